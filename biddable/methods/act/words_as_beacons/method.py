"""Students with different teachers, and with none: settings, comparisons, run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from biddable.config import Count, NonNegative, Positive, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.scores import ArmScores
from biddable.methods.act.words_as_beacons.jobs import TEST_SEED, Arm, Job, Outcome
from biddable.methods.base import About, Method, show
from biddable.runs.executors import on_cores
from biddable.runs.figures import Clip, Curves, Figure, Replays, mean_curve
from biddable.runs.results import Results
from biddable.runs.run import Run

ORACLE = (1.0,)
FRAMES, ALONE = "frames to success", "success without a teacher"


class Published(NamedTuple):
    """A teacher as the paper measured it: accuracy of both kinds of subgoals, how far wrong cells are off."""

    relative: float
    representation: float
    mean: float
    std: float


PUBLISHED: Mapping[str, Mapping[str, Published]] = {
    "MultiRoom-N2-S4": {
        "llama": Published(0.9210, 0.9295, 0.26, 1.01),
        "deepseek": Published(0.3518, 0.2731, 0.26, 1.01),
        "qwen": Published(0.7135, 0.5585, 0.26, 1.01),
    },
    "MultiRoom-N4-S5": {
        "llama": Published(0.5397, 0.5480, 3.69, 4.65),
        "deepseek": Published(0.1294, 0.1753, 3.69, 4.65),
        "qwen": Published(0.3604, 0.3521, 3.69, 4.65),
    },
    "KeyCorridorS3R3": {
        "llama": Published(0.9743, 0.9847, 0.18, 1.20),
        "deepseek": Published(0.3337, 0.9063, 0.18, 1.20),
        "qwen": Published(0.9810, 0.9957, 0.18, 1.20),
    },
    "ObstructedMaze-1Dlh": {
        "llama": Published(0.9880, 0.9887, 0.08, 0.82),
        "deepseek": Published(0.4300, 0.7390, 0.08, 0.82),
        "qwen": Published(0.6687, 0.7417, 0.08, 0.82),
    },
}
"""By level. The error of wrong cells is Llama's for all three: the others' are not known here."""

NOTES = (
    "Who never reached the success rate counts with the whole budget of frames, so that differences are at "
    "least what is printed.",
    "Frames to success are one number for each seed: their intervals are over seeds.",
    "Teachers other than the oracle are surrogates that err as often as the model did: published accuracies "
    "for llama, deepseek and qwen, measured ones for smollm2.",
)


@settings
class WordsAsBeaconsConfig:
    """Settings of the comparison."""

    level: str = "MiniGrid-MultiRoom-N4-S5-v1"
    """A level of MultiRoom, KeyCorridor, DoorKey or ObstructedMaze with one door."""
    seeds: Annotated[int, Field(ge=2)] = 5
    """Students of each kind."""
    frames: Count = 120_000
    """Frames that every student sees (paper: 15 million and more)."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Success of the latest 100 episodes that counts as having learned."""
    cases: Annotated[int, Field(ge=2)] = 100
    """Levels that every student is tried on at the end."""
    alpha: NonNegative = 0.2
    """What a subgoal pays at most (paper: 0.2)."""
    noisy: bool = False
    """Whether teachers that err are compared too."""
    teacher_model: str = "smollm2"
    """The language model whose accuracy as a teacher is measured; empty for none."""
    teacher_levels: Count = 40
    """Levels on which it is measured."""

    envs: Count = 16
    """Levels side by side (paper: 16)."""
    steps: Count = 128
    """Steps between updates (paper: 128)."""
    lr: Positive = 1e-3
    """Learning rate (paper: 1e-4)."""
    entropy: NonNegative = 5e-4
    """Weight of the entropy (paper: 5e-4)."""
    workers: Count = 2
    """Processes that students are trained in, one core each."""


class WordsAsBeacons(Method):
    """Words as Beacons (see ``biddable.methods.act.words_as_beacons``)."""

    about = About(
        title="Words as Beacons: subgoals in training only",
        citation="arXiv 2410.08632, 2024",
        claim=(
            "A language model's subgoals, shown and paid while training, let PPO learn sparse-reward grids "
            "in a fraction of the frames; the student then acts without a teacher."
        ),
        needs="MiniGrid (pip install 'biddable[envs]'); 2 CPU cores",
        minutes={
            "smoke": "1 (2 cores)",
            "default": "13 (2 cores)",
            "full": "30 (2 cores)",
            "gpu": "not measured",
        },
        takes="a language model as the teacher that is measured (--teacher-model)",
        leaves="the weights of every policy (artifacts/model)",
    )
    Config = WordsAsBeaconsConfig
    packages = ("gymnasium", "minigrid")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "level": "MiniGrid-MultiRoom-N2-S4-v0",
            "seeds": 2,
            "frames": 12_000,
            "cases": 20,
            "noisy": False,
            "teacher_levels": 4,
        },
        "full": {"frames": 150_000, "noisy": True},  # the published result
        "gpu": {
            "level": "MiniGrid-KeyCorridorS3R3-v0",
            "frames": 15_000_000,
            "lr": 1e-4,
            "workers": 16,
            "noisy": True,
        },
    }
    config: WordsAsBeaconsConfig

    def check(self) -> None:
        """See ``Method.check``: the level."""
        _require_level(self.config.level)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        from biddable.methods.act.words_as_beacons.student import train_students

        config = self.config
        pool, measured = self._language(run)
        arms = list(self._arms(measured))
        seeds = list(range(run.root_seed, run.root_seed + config.seeds))
        jobs = [self._job(arm, run.seed("student", seed), pool) for seed in seeds for arm in arms]
        train = partial(train_students, run.artifact("model"))
        found = run.map("students", jobs, train, Outcome, 1, executor=on_cores(config.workers))
        by_arm = {arm.name: [one for one in found if one.arm == arm.name] for arm in arms}
        first = {job.arm.name: job for job in jobs[: len(arms)]}
        film = partial(self._clips, run, [first["ppo"], first["representation"]])
        clips = run.stage("clips", film, list[Clip])
        scores = _scores(by_arm, seeds)
        show(run, list(_figures(config, by_arm, scores, clips)))
        metrics = {
            "teacher_accuracy": measured,
            "arms": {arm: _metrics(of) for arm, of in by_arm.items()},
            "scores": scores.metrics(),
        }
        return run.finish(scores.compare(_claims(list(by_arm))), metrics=metrics, notes=NOTES)

    def _language(self, run: Run) -> tuple[dict[str, list[float]], list[float]]:
        """Vectors of all phrases, and how right the language model is as a teacher, place by place."""
        if not self.config.teacher_model:
            return {}, []

        def compute() -> tuple[dict[str, list[float]], list[float]]:
            from biddable.methods.act.words_as_beacons.subgoals import KINDS, oracle_subgoals
            from biddable.methods.act.words_as_beacons.teachers import LMTeacher
            from biddable.models.load import load_model
            from biddable.policies.text import text_vectors

            model = load_model(self.config.teacher_model)
            vectors = text_vectors(model, [kind.replace("_", " ") for kind in KINDS])
            levels = [_level(self.config.level, seed) for seed in range(self.config.teacher_levels)]
            right = [oracle_subgoals(level) for level in levels]
            proposed = LMTeacher(model).propose_many(levels)
            hits = [
                [a.position == b.position for a, b in zip(p, r, strict=True)]
                for p, r in zip(proposed, right, strict=True)
            ]
            pool = {kind: vector.tolist() for kind, vector in zip(KINDS, vectors, strict=True)}
            return pool, np.mean(hits, axis=0).tolist()

        return run.stage("language", compute, tuple[dict[str, list[float]], list[float]])

    def _arms(self, measured: Sequence[float]) -> Iterator[Arm]:
        alpha = self.config.alpha
        yield Arm("ppo")
        yield Arm("relative", "relative", ORACLE, alpha)
        yield Arm("representation", "representation", ORACLE, alpha)
        if measured:
            yield Arm("language", "language", ORACLE, alpha)
        yield Arm("reward only", "representation", ORACLE, alpha, shown=False)
        yield Arm("input only", "representation", ORACLE, 0.0)
        if not self.config.noisy:
            return
        name = next((name for name in PUBLISHED if f"-{name}-" in self.config.level), "")
        for model, found in PUBLISHED.get(name, {}).items():
            yield Arm(f"taught by {model}", "representation", (found.representation,), alpha)
            if model == "llama":
                yield Arm(
                    "taught by llama, relative",
                    "relative",
                    (found.relative,),
                    alpha,
                    mean=found.mean,
                    std=found.std,
                )
        if measured:
            yield Arm("taught by smollm2", "representation", tuple(measured), alpha)

    def _job(self, arm: Arm, seed: int, pool: dict[str, list[float]]) -> Job:
        config = self.config
        ppo = {"envs": config.envs, "steps": config.steps, "lr": config.lr, "entropy": config.entropy}
        vectors = pool if arm.encoding == "language" else {}
        return Job(arm, seed, config.level, config.frames, config.threshold, config.cases, ppo, vectors)

    def _clips(self, run: Run, jobs: Sequence[Job]) -> list[Clip]:
        """What the first students with no teacher and with the paper's best do."""
        from biddable.methods.act.words_as_beacons.student import load_student, make_student_env
        from biddable.policies.replays import clip, filmed

        def play() -> list[Clip]:
            made = []
            for job in jobs:
                with closing(make_student_env(job, 0)) as env:
                    students = [load_student(job, run.artifact("model"), env, i) for i in range(2)]
                    made += [clip(env, one, TEST_SEED + i, job.arm.name) for i, one in enumerate(students)]
            return made

        return filmed(play)


def _require_level(name: str) -> None:
    """Raise InputError unless the level exists and has subgoals."""
    from biddable.methods.act.words_as_beacons.subgoals import oracle_subgoals

    try:
        oracle_subgoals(_level(name, 0))
    except InputError as error:
        if error.field == "env":
            raise InputError("level", name, "a level of MiniGrid") from None
        raise InputError(
            "level", name, "a level of MultiRoom, KeyCorridor, DoorKey or ObstructedMaze"
        ) from None


def _level(name: str, seed: int) -> Any:
    from biddable.envs.base import make_env

    return make_env(f"minigrid:{name}", seed=seed).level


def _claims(arms: Sequence[str]) -> Iterator[Claim]:
    """What the paper says of frames and, of the student alone, of success."""
    for arm in arms:
        if arm != "ppo":
            yield Claim("ppo", arm, "lower", FRAMES)
    for arm in ("relative", "language"):
        if arm in arms:
            yield Claim(arm, "representation", "lower", FRAMES)
    for arm in arms:
        if arm.startswith("taught by "):
            oracle = "relative" if arm.endswith("relative") else "representation"
            yield Claim(oracle, arm, "higher", FRAMES)
    for arm in ("reward only", "representation"):
        yield Claim("ppo", arm, "higher", ALONE)


def _scores(by_arm: Mapping[str, Sequence[Outcome]], seeds: Sequence[int]) -> ArmScores:
    scores = ArmScores()
    for arm, outcomes in by_arm.items():
        for seed, outcome in zip(seeds, outcomes, strict=True):
            scores.add(arm, outcome.frames, metric=FRAMES, seed=seed)
            scores.add(arm, outcome.alone, metric=ALONE, seed=seed)
    return scores


def _metrics(found: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "frames": [one.frames for one in found],
        "reached": [one.reached for one in found],
        "with_teacher": float(np.mean([one.with_teacher for one in found])),
        "alone": float(np.mean([one.alone for one in found])),
    }


def _figures(
    config: WordsAsBeaconsConfig,
    by_arm: Mapping[str, Sequence[Outcome]],
    scores: ArmScores,
    clips: Sequence[Clip],
) -> Iterator[Figure]:
    drawn = {arm: found for arm, found in by_arm.items() if not arm.startswith("taught by ")}
    yield Curves(
        title=f"Learning {config.level}",
        x_label="frames",
        y_label="success of the latest 100 episodes",
        series={arm: mean_curve([one.curve for one in found]) for arm, found in drawn.items()},
        note="Means over seeds; the teacher is the oracle.",
    )
    yield scores.bars(
        f"Frames to {config.threshold:.0%} success",
        (FRAMES,),
        unit=f"frames, of {config.frames}",
        note="Who never got there counts with all frames.",
    )
    yield Replays(
        "The first students on two levels",
        tuple(clips),
        note="ppo never had a teacher; representation has one still.",
    )
