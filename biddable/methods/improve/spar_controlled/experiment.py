"""Three arms of an exercise: the start, and the start trained on either kind of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from biddable.errors import InputError
from biddable.experiments.pairs import pair_similarity
from biddable.methods.improve.spar_controlled.exercise import Exercise, Pairing, Split
from biddable.models.base import Sampling
from biddable.models.load import load_model, load_trainable
from biddable.runs.compare import compare, mean_interval
from biddable.runs.figures import Bars, DiffPair, Diffs, Figure
from biddable.runs.run import Run
from biddable.types import Comparison, Message, Prediction, Preference, Task

if TYPE_CHECKING:
    from biddable.train.dpo import DpoConfig
    from biddable.train.loop import StepReport
    from biddable.train.sft import SftConfig

Arm = Literal["untrained", "interfering", "refined"]

ARMS: tuple[Arm, ...] = ("untrained", "interfering", "refined")
PAIRINGS: tuple[Pairing, ...] = ("interfering", "refined")

ScoresByArm = dict[Arm, dict[str, np.ndarray]]
"""arm -> metric -> [seeds, cases]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Sizes and training of one experiment, the same for both arms."""

    demonstrations: int
    """Right answers the start is taught with."""
    pairs: int
    """Preference pairs of each arm."""
    cases: int
    """Instructions the three are compared on."""
    warmup: SftConfig
    """How the start is taught."""
    dpo: DpoConfig
    """How each arm is trained."""
    split: Split = "held-out"
    """Where the cases come from; settings are chosen on "validation"."""

    def __post_init__(self) -> None:
        for name in ("demonstrations", "pairs", "cases"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "an integer of at least 1")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an experiment."""

    comparisons: list[Comparison]
    figures: list[Figure]
    metrics: dict[str, Any] = field(default_factory=dict)


class Experiment:
    """The three arms of an exercise; each step is a stage of the run."""

    def __init__(self, run: Run, model: str, exercise: Exercise, settings: Settings, seeds: Sequence[int]):
        if not seeds:
            raise InputError("seeds", list(seeds), "at least one seed")
        self._run, self._model, self._exercise, self._settings = run, model, exercise, settings
        self._seeds = seeds
        self._cases = self._draw(settings.split, settings.cases, "cases")

    def run(self) -> tuple[ScoresByArm, dict[str, Any], Diffs]:
        """Scores [seeds, cases] by arm and metric; their means; a pair of each kind to look at."""
        answers = [self._answers(seed) for seed in self._seeds]
        scores = {arm: self._scores([texts[arm] for texts in answers]) for arm in ARMS}
        pairs = {pairing: self._pairs(self._seeds[0], pairing) for pairing in PAIRINGS}
        metrics = {
            "means": {
                arm: {name: float(values.mean()) for name, values in of.items()} for arm, of in scores.items()
            },
            "pair similarity": {pairing: pair_similarity(of) for pairing, of in pairs.items()},
        }
        return scores, metrics, _examples(self._exercise.name, pairs)

    def _answers(self, seed: int) -> dict[Arm, list[str]]:
        name = f"{self._exercise.name}-seed{seed}"
        start = self._run.stage_folder(f"{name}-untrained", partial(self._warm_up, seed))
        folders: dict[Arm, Path] = {"untrained": start}
        for pairing in PAIRINGS:
            stage = f"{name}-{pairing}"
            folders[pairing] = self._run.stage_folder(
                stage, partial(self._prefer, stage, start, seed, pairing)
            )
        return {
            arm: self._run.map(
                f"{name}-{arm}-answers", self._cases, partial(self._generate, folder), str, len(self._cases)
            )
            for arm, folder in folders.items()
        }

    def _warm_up(self, seed: int, folder: Path) -> None:
        from biddable.train.sft import train_sft

        demonstrations, rng = self._training_tasks(seed)[0], self._rng(seed, "demonstrations")
        chats = [
            (*task.prompt, Message("assistant", self._exercise.demonstrate(task, rng)))
            for task in demonstrations
        ]
        model = load_trainable(self._model)
        train_sft(model, chats, replace(self._settings.warmup, seed=seed))
        model.save(folder)

    def _prefer(self, stage: str, start: Path, seed: int, pairing: Pairing, folder: Path) -> None:
        from biddable.train.dpo import train_dpo

        def log(report: StepReport) -> None:
            self._run.log(stage, report.step, loss=report.loss, **report.metrics)

        model = load_trainable(start)
        train_dpo(model, self._pairs(seed, pairing), replace(self._settings.dpo, seed=seed), on_step=log)
        model.save(folder)

    def _generate(self, folder: Path, tasks: list[Task]) -> list[str]:
        greedy = Sampling(temperature=0.0, max_tokens=self._exercise.max_tokens)
        return [
            row[0].text
            for row in load_model(folder).generate([task.prompt for task in tasks], sampling=greedy)
        ]

    def _pairs(self, seed: int, pairing: Pairing) -> list[Preference]:
        """The same generator for both arms, so that they share their rejected answers."""
        rng = self._rng(seed, "pairs")
        return [self._exercise.pair(task, pairing, rng) for task in self._training_tasks(seed)[1]]

    def _training_tasks(self, seed: int) -> tuple[list[Task], list[Task]]:
        """Those for the demonstrations and those for the pairs; none is in both."""
        first = self._settings.demonstrations
        tasks = self._draw("train", first + self._settings.pairs, "tasks", seed)
        return tasks[:first], tasks[first:]

    def _scores(self, texts: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        rows = [
            [self._exercise.measure(task, text) for task, text in zip(self._cases, row, strict=True)]
            for row in texts
        ]
        return {name: np.array([[case[name] for case in row] for row in rows]) for name in rows[0][0]}

    def _draw(self, split: Split, count: int, *keys: str | int) -> list[Task]:
        tasks = self._exercise.tasks(split)
        if count > len(tasks):
            raise InputError(f"{split} instructions", count, f"at most {len(tasks)}, which is all there are")
        return [tasks[i] for i in self._rng(*keys).permutation(len(tasks))[:count]]

    def _rng(self, *keys: str | int) -> np.random.Generator:
        return self._run.rng(self._exercise.name, *keys)


def compared(
    exercise: str,
    scores: ScoresByArm,
    seeds: Sequence[int],
    metric: str,
    baseline: Arm,
    method: Arm,
    predicted: Prediction,
    margin: float = 0.0,
) -> Comparison:
    """Two arms on one metric, over all seeds and cases."""
    return compare(
        f"{exercise}: {metric}",
        scores[baseline][metric],
        scores[method][metric],
        seeds=seeds,
        predicted=predicted,
        margin=margin,
        baseline_name=baseline,
        method_name=method,
    )


def bars(title: str, scores: ScoresByArm, metrics: tuple[str, ...]) -> Bars:
    """The means of all arms, with their intervals."""
    return Bars(
        title,
        metrics,
        {arm: tuple(float(of[name].mean()) for name in metrics) for arm, of in scores.items()},
        {arm: tuple(mean_interval(of[name]) for name in metrics) for arm, of in scores.items()},
        unit="share",
        note="Held-out instructions, greedy answers; 95 % intervals.",
    )


def _examples(name: str, pairs: dict[Pairing, list[Preference]]) -> Diffs:
    return Diffs(
        f"One instruction, two pairs ({name})",
        tuple(
            DiffPair(
                of[0].prompt[0].content, of[0].rejected, of[0].chosen, ("rejected", "chosen"), note=pairing
            )
            for pairing, of in pairs.items()
        ),
    )
