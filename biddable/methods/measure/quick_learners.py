"""Quick learners: how many labels does a task need, from a plain model and from one that knows instructions?

Gupta et al. 2023, "Instruction Tuned Models are Quick Learners" (arXiv 2306.05539). Both starts are tuned on
0, 10, 100 … labelled rows of a task that neither has met, and scored on the same held-out rows.

Claim: on the 119 test tasks of Super-NaturalInstructions, by ROUGE-L, an instruction-tuned model passes the
supervised state of the art (70.99) with 25 % of the labels when each task has its own model, and reaches it
with 6 % when one model learns all; with all labels it has 74.68. It needs fewer labels than the same model
without instruction tuning: some 4 % better in both settings.

The steps:

1. downstream tasks: rows with labels, or files of tasks (``--data``), or composed ones; by their place in the
   file rows are the test's, then validation's, then to learn from;
2. the starts: a model, and the same tuned on tasks of other categories with definition and two examples, or
   the two that ``--starts`` names;
3. each is tuned on the first rows of a task, as many as a size says; with ``--mode mtl`` on those of all;
4. the mean of the tasks' ROUGE-L by size is the curve; told are the size at which the tuned start passes what
   the plain one has with the most labels, and the area under each curve over the logarithm of the size.

Departures from the paper, and why:

* Its crossings, 6 % and 25 % of some 3,200 labels a task against a supervised model of 3B parameters, are out
  of reach here: the reference is the plain start with the most labels of the run.
* The plain start is the model as it comes, and smollm2 comes as a chat model: ``--starts gemma3-270m`` is a
  base model.
* Adapters are trained, not all weights: there is one model for each task, size, start and seed.
* Tasks of fewer than 250 rows have fewer held-out ones (40 % test, 10 % validation), and a row that is held
  out is never learned from; in the paper, small tasks are tested on what they learned.
* Labelled texts have no order that means something, so they are shuffled once; equal texts are one row. What
  is asked is a sentence with the labels, or ``--definition``; two training rows are the examples.
* As many epochs for all sizes, as in the paper, give more labels more steps: ``--equal steps`` does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal

import numpy as np

from biddable.config import Count, Natural, settings
from biddable.errors import InputError
from biddable.experiments import cross_task, task_folders
from biddable.experiments.claims import Claim
from biddable.experiments.cross_task import SplitTask, asked, encode, lessons, values
from biddable.experiments.labels import (
    area,
    crossing_size,
    downstream,
    label_curves,
    labelled_tasks,
    subset,
    subset_size,
)
from biddable.experiments.remarks import unanswered
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import Weights, finetuned, with_seed
from biddable.experiments.task_pool import scorable
from biddable.methods.base import About, Method, show
from biddable.models.load import require_trainable
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.suites.base import Suite
from biddable.suites.cells import Cell, evaluate_cell
from biddable.suites.figures import items
from biddable.suites.leaderboard import leaderboard
from biddable.tasks.compose.instructed import composed_tasks
from biddable.tasks.superni import Instructed
from biddable.train.config import LoraConfig, SftConfig
from biddable.types import Task

PLAIN, BARE, TUNED = "plain", "bare", "tuned"
METRICS = ("rouge_l", "exact_match")
CLASSIFICATION = "text_classification"
COMPOSED_ROWS = 250
"""Rows of each composed task: 100 to score, 10 to choose settings by, 140 to learn from."""


@settings
class QuickLearnersConfig:
    """Settings of quick learners."""

    starts: tuple[str, ...] = ("smollm2",)
    """A plain model, and one that was tuned on instructions; of the first alone the run makes the second."""
    data: tuple[Path, ...] = ()
    """Labelled texts, or tasks (SuperNI; beside labelled texts for the start alone); composed where none."""
    tasks: tuple[str, ...] = ()
    """Which tasks of them; none named: ``number`` are drawn. Files of labelled texts are a task each."""
    number: Count = 3
    """How many are drawn (paper: 119)."""
    sizes: tuple[str, ...] = ("0", "10", "100")
    """Labels, as counts, shares ("6%") or all (paper: 10, 1%, 100, 200, 1000, all)."""
    mode: Literal["stl", "mtl"] = "stl"
    """One model for each task, or one for all."""
    subsets: Literal["first", "random"] = "first"
    """Which rows a size has: the first of the file, as in the paper, or those of an order that is drawn."""
    equal: Literal["epochs", "steps"] = "epochs"
    """What is the same for all sizes; steps as near as whole epochs come."""
    instructions: bool = True
    """Show definition and examples before each input."""
    positive: Natural = 2
    """How many examples."""
    definition: str = ""
    """What is asked of labelled texts (default: to classify them, with the labels)."""
    text: str | None = None
    """The column of the texts, where its name does not tell."""
    label: str | None = None
    """The column of the labels."""
    labels: tuple[str, ...] = ()
    """Names of labels that are numbers, from 0."""
    encoding: str | None = None
    """Of text that is not Unicode."""
    bare_start: bool = False
    """A third start: as the tuned one, from the same rows without definitions and examples."""
    start_rows: Count = 5
    """Rows of each other task that the tuned start learns from."""
    test_rows: Count = 30
    """Rows of each task that are scored, from the first (paper: 100)."""
    max_chars: Count = 1000
    """Rows with a longer input are left out."""
    max_tokens: Count = 16
    """Longest answer (paper: 128)."""
    tune: bool = False
    """Score the validation rows instead, to choose settings by."""
    seeds: Count = 1
    """Repetitions in other orders."""
    sft: SftConfig = SftConfig(lr=1e-3, lora=LoraConfig(rank=8), too_long="drop")
    """How labels are learned (paper: all weights, 5e-5, 2 epochs)."""
    start: SftConfig = SftConfig(lr=1e-4, too_long="drop")
    """How the tuned start is made."""


class QuickLearners(Method):
    """Quick learners (see ``biddable.methods.measure.quick_learners``)."""

    about = About(
        title="Instruction tuned models are quick learners",
        citation="Gupta et al. 2023, arXiv 2306.05539",
        claim=(
            "An instruction-tuned model needs fewer labels of a task that it never met than the same model "
            "without: 25 % of them to pass the state of the art, 6 % when tasks are learned together."
        ),
        needs="a model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "9 (1 core)", "full": "65 (1 core)"},
        takes="one or two models (--starts), labelled texts or folders of tasks (--data)",
        leaves="the curve, answers (cells/), the model that learned most, or the tuned start (model)",
    )
    Config = QuickLearnersConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"number": 1, "sizes": ("0", "4"), "start_rows": 1, "test_rows": 4, "max_tokens": 6},
        "full": {
            "number": 6,
            "sizes": ("0", "10", "100", "all"),
            "test_rows": 60,
            "start_rows": 20,
            "max_tokens": 32,
            "sft.epochs": 2,
        },
        "gpu": {
            "number": 10,
            "sizes": ("0", "10", "100", "200", "1000", "all"),
            "test_rows": 100,
            "start_rows": 100,
            "max_chars": 4000,
            "max_tokens": 128,
            "seeds": 3,
            "sft.epochs": 2,
            "bare_start": True,
        },
    }
    only: ClassVar = {"no tasks": ("number",), "starts<2": ("start", "start_rows", "bare_start"),
                      "data": ("max_chars",), "instructions or starts<2": ("positive",)}  # fmt: skip
    config: QuickLearnersConfig

    def check(self) -> None:
        """See ``Method.check``: sizes, tasks, models."""
        config = self.config
        if not 1 <= len(config.starts) <= 2:
            raise InputError("starts", config.starts, "a plain model, and a tuned one or none")
        if not config.sizes or len({*config.sizes}) < len(config.sizes):
            raise InputError("sizes", config.sizes, "at least one, each once")
        for size in config.sizes:
            subset_size(size, 1)
        self._read()
        self._sides(np.random.default_rng(0))
        for model in config.starts:
            try:
                require_trainable(model)
            except InputError as error:
                raise InputError("starts", error.value, error.expected) from None

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, scores = self.config, ArmScores()
        run.describe(model=config.starts[0])
        tasks, others, notes = self._sides(run.rng("tasks"))
        short = min(tasks, key=lambda each: len(self._held_out(each)))
        count = min(config.test_rows, len(self._held_out(short)))
        if count < config.test_rows:
            notes = [*notes, f"{count} rows of each task are scored: {short.name} has no more."]
        rows = {each.name: [subset_size(size, len(each.train)) for size in config.sizes] for each in tasks}
        self.most = {name: max(of) for name, of in rows.items()}
        # From few to many, so that the last model is the one that learned most.
        sizes = sorted(enumerate(config.sizes), key=lambda each: sum(of[each[0]] for of in rows.values()))
        cells: dict[str, list[Cell]] = {}
        for seed in run.repetitions(config.seeds):
            starts = self._starts(run.scope(f"seed{seed}"), others, seed)
            for start, weights in starts.items():
                for at, size in sizes:
                    arm, named, answered = f"{start} {size}", f"{start} {size} (seed {seed})", []
                    groups = self._groups(tasks, size, run, seed)
                    for place, group in enumerate(groups):
                        part = f"seed{seed}-{start}-size{at}-{place}"
                        last = self._learned(run, part, weights, group, seed)
                        suite = self._suite(group, count)
                        answered.append(evaluate_cell(run.scope(part), last, suite, name=named))
                    if seed == run.first_seed:
                        cells[arm] = answered
                    for metric in METRICS:
                        row = [value for cell in answered for value in values(cell, metric)]
                        scores.add(arm, row, metric=metric, seed=seed)
        kept = last if len(groups) == 1 else weights
        if isinstance(kept, Path):
            run.publish(kept, "model")
        return self._finish(run, scores, cells, tasks, [*self.notes, *notes])

    # -- 1. tasks --------------------------------------------------------------------------------------

    def _read(self) -> None:
        """The user's labelled texts, all other tasks, and what of both is left out."""
        config = self.config
        folders = [path for path in config.data if task_folders.is_instructed(path)]
        files = [path for path in config.data if path not in folders]
        columns = {"text": config.text, "label": config.label, "labels": config.labels}
        how: dict[str, Any] = {**columns, "definition": config.definition, "encoding": config.encoding}
        self.own, self.notes = labelled_tasks(files, max_chars=config.max_chars, **how)
        self.pool: list[SplitTask] = []
        if folders:
            read, notes = task_folders.read_split_tasks(folders, max_chars=config.max_chars)
            self.pool, said = scorable(read)
            self.notes += [*notes, *said]
        else:
            self.pool = cross_task.split_composed(composed_tasks(COMPOSED_ROWS))
        if self.own:  # texts to classify: the tuned start has met no such task either
            self.pool = [each for each in self.pool if each.category != CLASSIFICATION]
        if len(names := [each.name for each in self.own]) > len({*names}):
            raise InputError("data", names, "files of different names")
        if self.own and config.tasks:
            raise InputError(
                "tasks", config.tasks, "none where labelled texts are given: each file is a task"
            )
        if self.own and self.given.get("number"):
            raise InputError("number", config.number, "none where labelled texts are given: no task is drawn")
        for name in ("definition", "text", "label", "labels", "encoding"):
            if not self.own and (value := getattr(config, name)):
                raise InputError(name, value, "--data with a file of labelled texts, which alone it is for")

    def _sides(self, rng: np.random.Generator) -> tuple[list[SplitTask], list[SplitTask], list[str]]:
        """Downstream tasks, those that the tuned start learns from, and notes."""
        config = self.config
        most = max((int(size) for size in config.sizes if size.isdigit()), default=0)
        tasks = self.own or downstream(self.pool, config.tasks, config.number, most, rng)
        for each in tasks:
            if config.instructions and len(each.task.positive) < config.positive:
                there = len(each.task.positive)
                raise InputError("positive", config.positive, f"at most {there}, the examples of {each.name}")
            if not self._held_out(each):
                raise InputError("tune", config.tune, f"false: {each.name} has no validation rows")
        notes = [
            f"{each.name} has {len(each.train)} rows to learn from: size {size} is all of them."
            for each in tasks
            for size in config.sizes
            if size.isdigit() and int(size) > len(each.train)
        ]
        if len(config.starts) == 2:
            told = f"Whether {config.starts[1]} was tuned on these tasks is not known here."
            return tasks, [], [*notes, told]
        everything = [*self.own, *self.pool]
        others, _, said = cross_task.hold_out(everything, [each.name for each in tasks], rng)
        return tasks, others, [*notes, *said]

    def _held_out(self, task: SplitTask) -> tuple[Task, ...]:
        return task.validation if self.config.tune else task.test

    def _suite(self, group: Sequence[SplitTask], count: int) -> Suite:
        rows = [(each, row) for each in group for row in self._held_out(each)[:count]]
        name = group[0].name if len(group) == 1 else "all tasks"
        return asked(name, rows, self._write, self.config.max_tokens)

    def _write(self, task: Instructed, text: str) -> str:
        """An input as it is asked, in training and test."""
        positive = self.config.positive if self.config.instructions else 0
        return encode(
            task, text, definition=self.config.instructions, positive=positive, style="quick-learners"
        )

    # -- 2. starts -------------------------------------------------------------------------------------

    def _starts(self, run: Run, others: Sequence[SplitTask], seed: int) -> dict[str, Weights]:
        config = self.config
        plain = config.starts[0]
        if len(config.starts) == 2:
            return {PLAIN: plain, TUNED: config.starts[1]}
        told = partial(encode, positive=config.positive, style="quick-learners")
        untold = partial(encode, definition=False, positive=0, style="quick-learners")
        writers = {**({BARE: untold} if config.bare_start else {}), TUNED: told}
        made: dict[str, Weights] = {PLAIN: plain}
        for name, write in writers.items():
            chats = lessons(others, config.start_rows, write, run.rng("start"))
            made[name] = finetuned(run, f"start-{name}", plain, chats, with_seed(config.start, seed))
        return made

    # -- 3. labels -------------------------------------------------------------------------------------

    def _groups(self, tasks: Sequence[SplitTask], size: str, run: Run, seed: int) -> list[list[SplitTask]]:
        """What one model learns, with the rows of a size: a task, or all."""
        subsets = []
        for each in tasks:
            order = None
            if self.config.subsets == "random":
                order = run.rng(f"seed{seed}-order", each.name).permutation(len(each.train)).tolist()
            subsets.append(subset(each, size, order))
        return [subsets] if self.config.mode == "mtl" else [[each] for each in subsets]

    def _learned(self, run: Run, part: str, start: Weights, group: Sequence[SplitTask], seed: int) -> Weights:
        """The start after the labels of a group; itself where there are none."""
        from biddable.train.loop import example_steps

        chats = []
        for each in group:
            # A row's answer is the same for all starts and sizes.
            answers = run.rng(f"seed{seed}-answers", each.name)
            chats += lessons([each], len(each.train), self._write, answers) if each.train else []
        if not chats:
            return start
        sft = with_seed(self.config.sft, seed)
        if self.config.equal == "steps":
            most = example_steps(sft.batch_size, sft.epochs, sum(self.most[each.name] for each in group))
            once = example_steps(sft.batch_size, 1, len(chats))
            sft = replace(sft, epochs=max(1, round(most / once)))
        return finetuned(run.scope(part), "labels", start, chats, sft)

    # -- 4. numbers ------------------------------------------------------------------------------------

    def _finish(
        self,
        run: Run,
        scores: ArmScores,
        cells: Mapping[str, Sequence[Cell]],
        tasks: Sequence[SplitTask],
        notes: Sequence[str],
    ) -> Results:
        sizes = self.config.sizes
        labels = {size: fmean(subset_size(size, len(each.train)) for each in tasks) for size in sizes}
        starts = list(dict.fromkeys(arm.partition(" ")[0] for arm in cells))
        curves = {
            start: {labels[size]: float(scores.values(f"{start} {size}", "rouge_l").mean()) for size in sizes}
            for start in starts
        }
        reference = curves[PLAIN][max(curves[PLAIN])]
        crossing = {start: crossing_size(curve, reference) for start, curve in curves.items()}
        claims = [
            Claim(f"{start} {size}", f"{TUNED} {size}", metric="rouge_l")
            for start in starts
            if start != TUNED
            for size in sizes
        ]
        answered = [cell for row in cells.values() for cell in row]
        show(
            run,
            [
                label_curves(scores, starts, labels, reference),
                scores.bars("By start and size", METRICS, group_by="arm"),
                cross_task.task_table(cells),
                items(leaderboard(answered)),
            ],
        )
        metrics = {
            "curve": {
                start: {str(size): value for size, value in curve.items()} for start, curve in curves.items()
            },
            "reference": reference,
            "crossing": crossing,
            "area": {start: area(curve) for start, curve in curves.items()},
            "tasks": {each.name: {"category": each.category, "rows": len(each.train)} for each in tasks},
            "scores": scores.metrics(),
        }
        notes = [*notes, *unanswered(answered), _told(crossing, reference)]
        return run.finish(scores.compare(claims), metrics=metrics, notes=notes)


def _told(crossing: Mapping[str, float | None], reference: float) -> str:
    size = crossing[TUNED]
    reached = "with no number of labels here" if size is None else f"with {size:g} labels a task"
    return f"The tuned start reaches what the plain one has with the most labels ({reference:.3f}) {reached}."
