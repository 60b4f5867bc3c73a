"""Natural Instructions: does a model that learned tasks from their instructions do tasks it never met?

Mishra et al. 2022, "Cross-Task Generalization via Natural Language Crowdsourcing Instructions" (ACL 2022,
arXiv 2104.08773); encodings, baselines and scores as in Super-NaturalInstructions (Wang et al. 2022, arXiv
2204.07705). Tasks are files that say in words what is asked, with examples; a model learns some and is scored
on others, of which it sees the instruction and no labelled row.

Claim: models that read the instructions do unseen tasks 19 % better than models that do not (61 tasks, 193
thousand instances, BART). Of the successor, by ROUGE-L on 119 unseen English tasks: copying the input 14.20,
copying the first example's answer 28.54, T5 of 11B parameters untuned 30.16, tuned with definition and two
examples 60.07 (3B: 54.33).

The steps:

1. tasks: files (``--data``), or tasks composed of word lists; rows that cannot be used are left out and told;
2. whole categories are held out; a task that shares a data set with one of them, or is defined as it is, is
   not learned from either;
3. each encoding of the seen tasks is learned by the same model on the same rows in the same order: the bare
   input (none), after the definition (definition), after definition and two right examples (examples), or
   after one of five encodings drawn for each row, as Tk-Instruct does (mixture);
4. each is scored on the unseen tasks in its own encoding (mixture: in that of examples), by ROUGE-L and exact
   match; beside them the untuned model, the input copied, and the first example's answer copied.

Departures from the paper, and why:

* Inputs are never cut: longer ones (``--max-chars``) are left out and counted, as a cut prompt loses its end.
* Categories that files do not tell (the CSV layout) are found: definitions that resemble each other are one.
* Seen tasks weigh the same, as in the first version of the paper; a small one's rows come again.
* A model with a chat template is asked by a user's turn.
* Intervals are over the rows of the unseen tasks at hand and say nothing of other tasks; the table of tasks
  shows how far they agree.
* Settings are chosen with ``--tune``, which sets the held-out categories aside and holds out others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from biddable.config import Count, settings
from biddable.errors import InputError
from biddable.experiments import cross_task, task_folders
from biddable.experiments.claims import Claim
from biddable.experiments.cross_task import SplitTask, asked, copied, encode, hold_out, lessons, values
from biddable.experiments.figures import losses
from biddable.experiments.remarks import unanswered, undefined
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import finetuned, publish_conversations, with_seed
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
from biddable.train.config import SftConfig
from biddable.types import Chat

Encoding = Literal["none", "definition", "examples", "mixture"]

UNTUNED, COPY_INPUT, COPY_DEMO = "untuned", "copy-input", "copy-demo"
METRICS = ("rouge_l", "exact_match")
COMPOSED_ROWS = 200
"""Rows of each composed task: more than are learned from and scored, so that both keep to their side."""

ENCODINGS: dict[str, dict[str, Any]] = {
    "none": {"definition": False, "positive": 0},
    "definition": {"definition": True, "positive": 0},
    "examples": {"definition": True, "positive": 2},
}
MIXED: tuple[dict[str, Any], ...] = (
    {"definition": True, "positive": 0},
    {"definition": False, "positive": 2},
    {"definition": True, "positive": 2},
    {"definition": True, "positive": 2, "negative": 2},
    {"definition": True, "positive": 2, "explanations": True},
)
"""Tk-Instruct's five."""


# -- 3. encodings ------------------------------------------------------------------------------------------


def writer(encoding: Encoding, rng: np.random.Generator) -> Callable[[Instructed, str], str]:
    """How an input is written for training; ``rng`` draws the encoding where it is a mixture."""
    if encoding == "mixture":
        return lambda task, text: encode(task, text, **MIXED[int(rng.integers(len(MIXED)))])
    return partial(encode, **ENCODINGS[encoding])


def asked_as(encoding: Encoding) -> Callable[[Instructed, str], str]:
    """How an input is written to be scored."""
    return partial(encode, **ENCODINGS["examples" if encoding == "mixture" else encoding])


# -- 4. baselines ------------------------------------------------------------------------------------------


def copy_input(rows: Sequence[tuple[SplitTask, Any]]) -> list[str]:
    """The input as the answer."""
    return [str(row.meta["input"]) for _, row in rows]


def copy_demo(rows: Sequence[tuple[SplitTask, Any]]) -> list[str]:
    """The answer of the task's first right example."""
    return [each.task.positive[0].output if each.task.positive else "" for each, _ in rows]


@settings
class NaturalInstructionsConfig:
    """Settings of Natural Instructions."""

    model: str = "smollm2"
    """The model to tune."""
    data: tuple[Path, ...] = ()
    """Folders of tasks: JSON files of Super-NaturalInstructions, or CSV folders; composed ones where none."""
    held_out: tuple[str, ...] = ()
    """Categories or tasks to hold out; none named: a third of the tasks, in whole categories, drawn."""
    encodings: tuple[Encoding, ...] = ("none", "definition", "examples")
    """What of the instruction is shown; the model of the last that shows any is kept."""
    rows: Count = 12
    """Rows of each seen task that are learned from (paper: at most 6,500; Tk-Instruct: 100)."""
    test_rows: Count = 20
    """Rows of each unseen task that are scored, from the first (Tk-Instruct: 100)."""
    max_chars: Count = 1000
    """Rows with a longer input are left out."""
    max_tokens: Count = 24
    """Longest answer (Tk-Instruct: 128)."""
    tune: bool = False
    """Set the held-out categories aside and hold out others, to choose settings by."""
    seeds: Count = 1
    """Repetitions with other answers of those that are right, and in other orders."""
    sft: SftConfig = SftConfig(lr=1e-4, too_long="drop")
    """How each encoding is learned."""


class NaturalInstructions(Method):
    """Natural Instructions (see ``biddable.methods.measure.natural_instructions``)."""

    about = About(
        title="Cross-task generalization via natural language instructions",
        citation="Mishra et al. 2022, arXiv 2104.08773",
        claim=(
            "A model tuned on tasks with their written instructions does tasks that it never met better than "
            "one tuned on the same rows without them (by 19 %), by ROUGE-L."
        ),
        needs="a model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "7 (1 core)", "full": "not measured"},
        takes="a model (--model), folders of tasks in either layout of Super-NaturalInstructions (--data)",
        leaves="the tuned model (artifacts/model), what it learned from (artifacts/data), answers (cells/)",
    )
    Config = NaturalInstructionsConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"rows": 1, "test_rows": 2, "max_tokens": 8, "encodings": ("none", "examples")},
        "full": {
            "rows": 20,
            "test_rows": 40,
            "max_tokens": 64,
            "seeds": 3,
            "encodings": ("none", "definition", "mixture", "examples"),
        },
        "gpu": {
            "rows": 100,
            "test_rows": 100,
            "max_tokens": 128,
            "max_chars": 4000,
            "seeds": 3,
            "sft.lr": 5e-5,
            "sft.epochs": 2,
            "sft.batch_size": 16,
            "encodings": ("none", "definition", "mixture", "examples"),
        },
    }
    only: ClassVar = {"data": ("max_chars",)}
    config: NaturalInstructionsConfig

    def check(self) -> None:
        """See ``Method.check``: the tasks, what is held out, the model."""
        config = self.config
        if "none" not in config.encodings or len({*config.encodings}) < max(2, len(config.encodings)):
            raise InputError("encodings", config.encodings, "none and at least one other, each once")
        self.tasks, self.notes = self._tasks()
        self._sides(np.random.default_rng(0))
        require_trainable(config.model)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, scores = self.config, ArmScores()
        run.describe(model=config.model)
        cells: dict[str, Cell] = {}
        stages: dict[str, str] = {}
        made: dict[str, Path] = {}
        learned: dict[str, list[Chat]] = {}
        seen, unseen, said = self._sides(run.rng("held-out"))
        rows = [(each, row) for each in unseen for row in each.test[: config.test_rows]]
        for seed in run.repetitions(config.seeds):
            name = f"seed{seed}"
            for encoding in config.encodings:
                # Labels and order are the same for all.
                labels, mixing = run.rng(name, "labels"), run.rng(name, "mixture")
                chats = learned[encoding] = lessons(seen, config.rows, writer(encoding, mixing), labels)
                stage = f"{name}-{encoding}"
                made[encoding] = finetuned(run, stage, config.model, chats, with_seed(config.sft, seed))
                suite = asked(f"unseen {encoding}", rows, asked_as(encoding), config.max_tokens)
                cells[stage] = self._scored(run, encoding, made[encoding], suite, scores, seed)
                stages[stage] = stage
            untuned = asked("unseen untuned", rows, asked_as("examples"), config.max_tokens)
            cells[f"{name}-{UNTUNED}"] = self._scored(run, UNTUNED, config.model, untuned, scores, seed)
            for arm, texts in ((COPY_INPUT, copy_input(rows)), (COPY_DEMO, copy_demo(rows))):
                for metric, row in copied(untuned, texts).items():
                    scores.add(arm, row, metric=metric, seed=seed)
        kept = self._told()[-1]
        publish_conversations(run, learned[kept])
        run.publish(made[kept], "model")
        comparisons = scores.compare(self._claims())
        shown = {arm: cell for arm, cell in cells.items() if arm.startswith(f"{name}-")}
        arms = [COPY_INPUT, COPY_DEMO, UNTUNED, *config.encodings]
        show(
            run,
            [
                scores.bars("Unseen tasks", METRICS, arms=arms, group_by="metric", note="0 to 1."),
                cross_task.task_table({arm: [cell] for arm, cell in shown.items()}),
                *losses(run, stages),
                items(leaderboard(list(shown.values()))),
            ],
        )
        tasks = {
            "seen": {each.name: each.category for each in seen},
            "unseen": {each.name: each.category for each in unseen},
            "rows_learned": len(chats),
            "rows_scored": len(rows),
        }
        notes = [*self.notes, *said, *unanswered(cells.values())]
        return run.finish(comparisons, metrics={"scores": scores.metrics(), "tasks": tasks}, notes=notes)

    def _scored(
        self, run: Run, arm: str, weights: str | Path, suite: Suite, scores: ArmScores, seed: int
    ) -> Cell:
        cell = evaluate_cell(run.scope(f"seed{seed}-{arm}"), weights, suite, name=f"{arm} (seed {seed})")
        for metric in METRICS:
            scores.add(arm, values(cell, metric), metric=metric, seed=seed)
        return cell

    def _claims(self) -> list[Claim]:
        """Whoever read instructions beats who read none; the last encoding beats the untuned and copies."""
        told = self._told()
        pairs = [("none", encoding) for encoding in told]
        pairs += [(arm, told[-1]) for arm in (UNTUNED, COPY_INPUT, COPY_DEMO)]
        return [Claim(*pair, metric="rouge_l") for pair in pairs]

    def _told(self) -> list[Encoding]:
        """The encodings that show instructions."""
        return [encoding for encoding in self.config.encodings if encoding != "none"]

    # -- 1. and 2. tasks, and which are held out -----------------------------------------------------------

    def _tasks(self) -> tuple[list[SplitTask], list[str]]:
        if not self.config.data:
            return cross_task.split_composed(composed_tasks(COMPOSED_ROWS)), []
        tasks, notes = task_folders.read_split_tasks(self.config.data, max_chars=self.config.max_chars)
        if not any(each.task.definition for each in tasks):
            expected = "tasks that say what is asked: none of these has a definition"
            raise InputError("data", ", ".join(map(str, self.config.data)), expected)
        tasks, said = scorable(tasks)
        notes += [*said, *undefined(tasks)]
        few = [each.name for each in tasks if len(each.task.positive) < ENCODINGS["examples"]["positive"]]
        return tasks, [*notes, *([f"Fewer than two examples have {', '.join(few)}."] if few else [])]

    def _sides(self, rng: np.random.Generator) -> tuple[list[SplitTask], list[SplitTask], list[str]]:
        seen, unseen, notes = hold_out(self.tasks, self.config.held_out, rng)
        if self.config.tune:
            seen, unseen, more = hold_out(seen, (), rng)
            notes = [*notes, *more]
        return seen, unseen, notes
