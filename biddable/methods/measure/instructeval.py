"""INSTRUCTEVAL: one suite for instruction-tuned models, and whether the quality of their data matters most.

Chia, Hong, Bing and Poria 2023, "INSTRUCTEVAL: Towards Holistic Evaluation of Instruction-Tuned Large
Language Models" (arXiv 2306.04757). The suite is ``biddable eval``: MMLU, BBH, DROP, CRASS, HumanEval and HHH
with ``style=instructeval``, and the average of the first five. The claim about data is this method.

Claim: of pretraining, instruction data and training method, the quality of the instruction data is the most
crucial factor. Average of the five problem-solving tasks, of the same base tuned on other data: Flan-T5-XXL
50.8, TK-Instruct-11B 26.8, T0 21.5, untuned T5-XXL 21.3.

The steps:

1. instruction data: files of tasks (``--data``), or composed ones; some tasks are learned, and whole
   categories are held out; of the tasks learned, rows are held out too;
2. three sets of data: clean; shuffled, the same rows with answers of other rows of their task; noisy, several
   times as many different rows, a share of which has the answer of another;
3. the same model learns each set in the same number of lessons and steps: clean and shuffled rows come again
   where noisy has new ones;
4. each, and the untuned model, is scored on held-out rows and on unseen tasks, where a response is right if
   it begins with the reference (the paper's metric), and on the suites that ``--suites`` names;
5. clean data is to beat shuffled, clean to beat more but noisy, noisy to beat shuffled, clean to beat none.

Departures from the paper, and why:

* The paper compares published models, which differ in more than their data; here nothing else differs.
* Answers of other rows keep form and frequency of right ones, so that what is lost is that they are right.
* At 135M parameters HumanEval and most of BBH are at the floor: there they test the sandbox and the readers,
  and say nothing of data.
* IMPACT, writing rated by a large model, is left out: a judge of 135M parameters rates at random.
* MMLU and the others are written and compared by prefix as in the paper; the suites' other style differs.
* The learning rate was not tuned; ``--tune`` scores rows and tasks that are set aside for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from biddable.config import Count, Natural, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.cross_task import SplitTask, hold_out, split_composed
from biddable.experiments.figures import losses
from biddable.experiments.over_tasks import Row
from biddable.experiments.remarks import add_decided, unanswered
from biddable.experiments.samplegen import render_regular
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import Weights, finetuned, publish_conversations, with_seed
from biddable.experiments.task_pool import read_pool
from biddable.judges.reference import ReferenceJudge
from biddable.methods.base import About, Method, show
from biddable.models.base import Sampling
from biddable.models.load import require_trainable
from biddable.runs.figures import Figure, Table
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.suites.aggregate import averaged_over
from biddable.suites.base import Suite
from biddable.suites.cells import Cell, EvaluateSettings, as_asked, evaluate_cell
from biddable.suites.figures import figures
from biddable.suites.leaderboard import leaderboard
from biddable.suites.load import load_suite
from biddable.suites.metrics import met
from biddable.tasks.compose.skills import skill_tasks
from biddable.train.config import SftConfig
from biddable.types import Chat, Message, Task

UNTUNED, SHUFFLED, NOISY, CLEAN = "untuned", "shuffled", "noisy", "clean"
ROWS, HELD_OUT, UNSEEN = "rows of tasks", "held-out rows", "unseen tasks"
COMPOSED_ROWS = 120
"""Rows of each composed task, at most: 48 to score, 10 to choose settings by, 62 to learn from."""
_DRAWS = 50

Lesson = tuple[SplitTask, Task, str]
"""A row to learn from with its task and the answer that is taught."""


# -- 2. three sets of data ---------------------------------------------------------------------------------


def misanswered(answers: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The same answers in another order, as few in their place as a number of draws finds."""
    orders = [rng.permutation(len(answers)).tolist() for _ in range(_DRAWS)]
    best = min(
        orders,
        key=lambda order: sum(answers[at] == answer for at, answer in zip(order, answers, strict=True)),
    )
    return [answers[at] for at in best]


def clean_lessons(task: SplitTask, rows: int) -> list[Lesson]:
    """The first rows with their answers; a small task's come again."""
    chosen = [task.train[n % len(task.train)] for n in range(rows)]
    return [(task, row, row.references[0]) for row in chosen]


def shuffled_lessons(task: SplitTask, rows: int, rng: np.random.Generator) -> list[Lesson]:
    """The same rows, each with the answer of another."""
    lessons = clean_lessons(task, rows)
    answers = misanswered([answer for *_, answer in lessons], rng)
    return [(each, row, answer) for (each, row, _), answer in zip(lessons, answers, strict=True)]


def noisy_lessons(task: SplitTask, rows: int, noise: float, rng: np.random.Generator) -> list[Lesson]:
    """Rows of which a share has the answer of another."""
    lessons = clean_lessons(task, rows)
    chosen = sorted(rng.choice(rows, round(noise * rows), replace=False).tolist())
    answers = misanswered([lessons[at][2] for at in chosen], rng) if chosen else []
    for at, answer in zip(chosen, answers, strict=True):
        lessons[at] = (*lessons[at][:2], answer)
    return lessons


def wrong(lessons: Sequence[Lesson]) -> float:
    """The share of lessons whose answer is not right."""
    return fmean(answer not in row.references for _, row, answer in lessons)


def as_chats(lessons: Sequence[Lesson], times: int) -> list[Chat]:
    """The lessons as chats, all of them again and again."""
    return [
        (*render_regular(each.task, str(row.meta["input"])), Message("assistant", answer))
        for _ in range(times)
        for each, row, answer in lessons
    ]


# -- 4. suites ---------------------------------------------------------------------------------------------


def rows_suite(sides: Mapping[str, Sequence[Row]], max_tokens: int) -> Suite:
    """Rows of tasks by side, right where a response begins with the reference."""
    tasks = [
        Task(
            row.id,
            render_regular(each.task, str(row.meta["input"])),
            references=row.references,
            meta={**row.meta, "side": side},
        )
        for side, rows in sides.items()
        for each, row in rows
    ]
    names = ("prefix_match", "strict_prefix_match")
    return Suite(
        ROWS,
        tuple(tasks),
        tuple(met(each, f"reference:{each}") for each in names),
        judge=ReferenceJudge(names),
        sampling=Sampling(max_tokens=max_tokens, temperature=0.0),
    )


@settings
class InstructEvalConfig:
    """Settings of INSTRUCTEVAL's experiment on data."""

    model: str = "smollm2"
    """The model that learns each set of data."""
    data: tuple[Path, ...] = ()
    """Folders of tasks, in the layouts of Super-NaturalInstructions or BIG-Bench Hard; else composed ones."""
    suites: tuple[str, ...] = ()
    """Suites to score beside them, as ``biddable eval`` takes them (mmlu:DIR?style=instructeval)."""
    limit: Count = 100
    """Tasks of each of these suites, from the first."""
    held_out: tuple[str, ...] = ()
    """Categories or tasks that are not learned; none named: whole categories are drawn."""
    number: Count = 8
    """Tasks that are learned, and as many unseen ones that are scored, at most."""
    rows: Annotated[int, Field(ge=2)] = 4
    """Rows of each task that clean and shuffled data have."""
    amount: Annotated[int, Field(ge=2)] = 4
    """How many times as many noisy data have; the others come so often instead."""
    noise: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the noisy rows that have the answer of another."""
    test_rows: Count = 20
    """Rows of each task that are scored."""
    max_chars: Natural = 600
    """Rows with a longer input are left out."""
    max_tokens: Count = 8
    """Longest response to them (paper: 2 to 32)."""
    tune: bool = False
    """Score rows and tasks that are set aside to choose settings by."""
    seeds: Count = 1
    """Repetitions with other answers shuffled and other orders."""
    sft: SftConfig = SftConfig(lr=1e-4, too_long="drop")
    """How each set is learned."""


class InstructEval(Method):
    """INSTRUCTEVAL's claim about data (see ``biddable.methods.measure.instructeval``)."""

    about = About(
        title="INSTRUCTEVAL: quality of instruction data",
        citation="Chia et al. 2023, arXiv 2306.04757",
        claim=(
            "The quality of instruction data matters most: clean answers beat shuffled ones, and a few clean "
            "rows beat many noisy ones, learned in equal steps (of one base, Flan 50.8, T0 21.5)."
        ),
        needs="a model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "6 (1 core)", "full": "44 (1 core)"},
        takes="a model (--model), folders of tasks (--data), suites to score (--suites)",
        leaves="the model tuned on clean data (artifacts/model), the data (artifacts/data), answers (cells/)",
    )
    Config = InstructEvalConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "number": 3,
            "rows": 2,
            "amount": 2,
            "test_rows": 2,
            "max_tokens": 4,
            "limit": 4,
            "sft.lora.rank": 4,
            "sft.lr": 1e-3,
        },
        "full": {"number": 12, "rows": 6, "test_rows": 25, "max_chars": 400, "max_tokens": 16, "seeds": 3},
        "gpu": {
            "number": 20,
            "rows": 50,
            "test_rows": 100,
            "max_chars": 4000,
            "max_tokens": 32,
            "limit": 1000,
            "seeds": 3,
        },
    }
    only: ClassVar = {"suites": ("limit",), "data": ("max_chars",)}
    config: InstructEvalConfig

    @property
    def arms(self) -> list[str]:
        """From no data to the best."""
        return [UNTUNED, SHUFFLED, NOISY, CLEAN]

    def check(self) -> None:
        """See ``Method.check``: tasks, suites, the model."""
        config = self.config
        self.tasks, self.notes = (
            read_pool(config.data, max_chars=config.max_chars)
            if config.data
            else (split_composed(skill_tasks(COMPOSED_ROWS)), list[str]())
        )
        how = EvaluateSettings(limit=config.limit)
        self.suites = [as_asked(load_suite(each), how) for each in config.suites]
        names = [suite.name for suite in self.suites]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise InputError("suites", repeated[0], "each suite once")
        self._sides(np.random.default_rng(0))
        for suite in self.suites:
            if suite.ask == "perplexity":
                raise InputError("suites", suite.name, "suites of tasks that have right answers")
        require_trainable(config.model)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, scores = self.config, ArmScores()
        run.describe(model=config.model)
        seen, unseen, notes = self._sides(run.rng("held-out"))
        suites = self._asked(seen, unseen)
        cells: list[Cell] = []
        found: dict[str, dict[tuple[str, int | None], list[float | None]]] = {}
        shares: dict[str, dict[str, float]] = {}
        learned: dict[str, list[Chat]] = {}
        for seed in run.repetitions(config.seeds):
            part = run.scope(f"seed{seed}")
            weights: dict[str, Weights] = {UNTUNED: config.model}
            for arm, (lessons, times) in self._lessons(part, seen).items():
                learned[arm] = as_chats(lessons, times)
                weights[arm] = finetuned(part, arm, config.model, learned[arm], with_seed(config.sft, seed))
                shares[f"seed{seed} {arm}"] = {
                    "rows": len(lessons),
                    "lessons": len(learned[arm]),
                    "wrong": wrong(lessons),
                }
            for arm in self.arms:
                once = arm == UNTUNED
                if once and seed > run.first_seed:
                    continue
                answered = [evaluate_cell(part.scope(arm), weights[arm], suite, name=arm) for suite in suites]
                cells += answered if seed == run.first_seed else []
                for suite, cell in zip(suites, answered, strict=True):
                    for metric, values in _values(suite, cell).items():
                        found.setdefault(metric, {})[arm, None if once else seed] = values
        run.publish(Path(weights[CLEAN]), "model")
        publish_conversations(run, learned[CLEAN])
        notes += [*add_decided(scores, found), *unanswered(cells)]
        names = list(scores.metrics())
        averages = {arm: 100 * fmean(scores.values(arm, name).mean() for name in names) for arm in self.arms}
        comparisons = scores.compare([claim for name in names for claim in _claims(name)])
        notes.append(averaged_over(names, [suite.name for suite in self.suites]))
        show(run, self._figures(run, scores, cells, averages, notes[-1], shares))
        metrics = {
            "scores": scores.metrics(),
            "average in %": averages,
            "data": shares,
            "learned": {each.name: each.category for each in seen},
            "unseen": {each.name: each.category for each in unseen},
        }
        return run.finish(comparisons, metrics=metrics, notes=[*self.notes, *notes, *_floors(scores, names)])

    # -- 1. which tasks are learned ------------------------------------------------------------------------

    def _sides(self, rng: np.random.Generator) -> tuple[list[SplitTask], list[SplitTask], list[str]]:
        """Tasks to learn, tasks to score unseen, and notes."""
        config = self.config
        seen, unseen, notes = hold_out(self.tasks, config.held_out, rng)
        if config.tune:
            seen, unseen, more = hold_out(seen, (), rng)
            notes = [*notes, *more]
        sides = []
        for tasks in (seen, unseen):
            chosen = sorted(rng.permutation(len(tasks))[: config.number].tolist())
            sides.append([tasks[at] for at in chosen])
        wanted = config.rows * config.amount
        for each in sides[0]:
            if len(each.train) < wanted:
                notes.append(
                    f"{each.name} has {len(each.train)} rows to learn from, not {wanted}: they come again."
                )
        return sides[0], sides[1], notes

    # -- 2. and 3. data ------------------------------------------------------------------------------------

    def _lessons(self, run: Run, seen: Sequence[SplitTask]) -> dict[str, tuple[list[Lesson], int]]:
        """The lessons of each set, and how often they come."""
        config = self.config
        few, many = config.rows, config.rows * config.amount
        shuffling, noising = run.rng(SHUFFLED), run.rng(NOISY)
        sets = {
            SHUFFLED: [shuffled_lessons(each, few, shuffling) for each in seen],
            NOISY: [noisy_lessons(each, many, config.noise, noising) for each in seen],
            CLEAN: [clean_lessons(each, few) for each in seen],
        }
        return {
            arm: ([lesson for of in lessons for lesson in of], 1 if arm == NOISY else config.amount)
            for arm, lessons in sets.items()
        }

    # -- 4. suites -----------------------------------------------------------------------------------------

    def _asked(self, seen: Sequence[SplitTask], unseen: Sequence[SplitTask]) -> list[Suite]:
        count, longest = self.config.test_rows, self.config.max_tokens
        known = [
            (each, row)
            for each in seen
            for row in (each.validation if self.config.tune else each.test)[:count]
        ]
        if not known:
            raise InputError("tune", True, "false: these tasks have no rows to choose settings by")
        new = [(each, row) for each in unseen for row in each.test[:count]]
        return [rows_suite({HELD_OUT: known, UNSEEN: new}, longest), *self.suites]

    def _figures(
        self,
        run: Run,
        scores: ArmScores,
        cells: Sequence[Cell],
        averages: Mapping[str, float],
        averaged_over: str,
        shares: Mapping[str, Mapping[str, float]],
    ) -> list[Figure]:
        rows = tuple((name, of["rows"], of["lessons"], of["wrong"]) for name, of in shares.items())
        stages = {f"seed{run.first_seed}-{arm}": arm for arm in self.arms[1:]}
        names = list(scores.metrics())
        return [
            scores.bars("Scores by data", names, arms=self.arms, group_by="metric", note="0 to 1."),
            Table("Average", ("data", "average in %"), tuple(averages.items()), note=averaged_over),
            Table("What was learned", ("data", "rows", "lessons", "share with a wrong answer"), rows),
            *losses(run, stages),
            *figures(leaderboard(cells, UNTUNED)),
        ]


def _values(suite: Suite, cell: Cell) -> dict[str, list[float | None]]:
    """The headline of each record, by the name of suite or side with metric and shots, as it is printed."""
    found: dict[str, list[float | None]] = {}
    headline = cell.metrics[0].name
    for record in cell.records:
        name = str(record.task.meta.get("side", suite.name)) if suite.name == ROWS else suite.name
        found.setdefault(f"{name}: {headline}, {suite.k} shots", []).append(record.metrics.get(headline))
    return found


def _claims(metric: str) -> list[Claim]:
    pairs = [(SHUFFLED, CLEAN), (NOISY, CLEAN), (SHUFFLED, NOISY), (UNTUNED, CLEAN)]
    return [Claim(*pair, metric=metric) for pair in pairs]


def _floors(scores: ArmScores, metrics: Sequence[str]) -> list[str]:
    """Metrics by which no arm gets anything right."""
    return [
        f"{metric}: every arm is at 0; it says nothing of the data."
        for metric in metrics
        if not any(scores.values(arm, metric).any() for arm in scores.arms(metric))
    ]
