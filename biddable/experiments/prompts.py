"""Finding prompts for a task, as stages of a run: instructions proposed, and prompts scored on examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biddable import registry
from biddable.errors import InputError
from biddable.judges.reference import METRICS, ReferenceJudge
from biddable.models.base import GREEDY, NoScoresError, Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.run import Run
from biddable.search.prompts import (
    distinct,
    instruction_request,
    read_instruction,
    variation_request,
)
from biddable.suites.answers import BATCH
from biddable.suites.asking import uses_chat
from biddable.suites.base import Suite
from biddable.suites.cells import Cell, EvaluateSettings, evaluate_cell
from biddable.suites.metrics import ACC, chosen, score
from biddable.tasks.induction import InductionTask, read_induction
from biddable.tasks.templates import Exemplar, PromptTemplate, Template
from biddable.types import Prompt, Response, Task, as_chat

SCORE = "score"
Outputs = Literal["auto", "written", "chosen"]
Fitted = Callable[[Task], PromptTemplate]
"""A prompt for each task: with the exemplars nearest to it."""
Proposal = tuple[tuple[Exemplar, ...], str, int]
"""Examples, what was tried before (or, without examples, an instruction to vary), and a seed."""


@dataclass(frozen=True)
class _Propose:
    """Asks a model for an instruction, by examples or for another wording."""

    model: LazyModel
    sampling: Sampling

    def __call__(self, batch: Sequence[Proposal]) -> list[Response]:
        model = self.model()
        chat = uses_chat(model, "auto")
        requests = [
            instruction_request(pairs, chat=chat, tried=text) if pairs else variation_request(text, chat=chat)
            for pairs, text, _ in batch
        ]
        rows = model.generate(requests, sampling=self.sampling, seeds=[seed for *_, seed in batch])
        return [row[0] for row in rows]


def _whole(text: str, cut_off: bool) -> str:
    """An instruction, up to its last sentence where the model was cut off."""
    instruction = read_instruction(text)
    end = max(instruction.rfind(mark) for mark in ".!?")
    return instruction[: end + 1] if cut_off and end > 0 else instruction


def proposed(
    run: Run, name: str, proposer: LazyModel, asked: Sequence[Proposal], sampling: Sampling
) -> list[str]:
    """What a model proposes, one text for each; empty where it proposed none, or none could be had.

    How many could not be had is remarked. They are not asked for again: the others have their scores already.
    """
    responses = run.map(name, list(asked), _Propose(proposer, sampling), Response, BATCH, key=_key)
    if errors := [each.error for each in responses if each.error]:
        told = f"{len(errors)} of {len(responses)} could not be had; the first: {errors[0]}"
        run.remark(f"Proposals ({name}): {told}")
    return [_whole(each.text, each.finish_reason == "length") for each in responses]


def _key(item: Proposal) -> object:
    pairs, text, seed = item
    return [[(each.input, each.output) for each in pairs], text, seed]


def demonstrations(tasks: Sequence[Task], number: int, rng: np.random.Generator) -> tuple[Exemplar, ...]:
    """Some examples in an order that is drawn, each with one of its right outputs."""
    chosen = rng.permutation(len(tasks))[:number]
    return tuple(
        Exemplar(str(tasks[i].prompt), tasks[i].references[int(rng.integers(len(tasks[i].references)))])
        for i in chosen
    )


def instructions(
    run: Run,
    proposer: LazyModel,
    shown: Mapping[str, Sequence[Task]],
    draws: int,
    each: int,
    demos: int,
    sampling: Sampling,
) -> dict[str, tuple[list[str], str]]:
    """Instructions for tasks, proposed from examples; those of all tasks are written side by side.

    Args:
        run: the run.
        proposer: the model that proposes.
        shown: the examples of each task.
        draws, demos: how many draws of how many examples.
        each: instructions from each draw.
        sampling: how they are drawn.

    Returns:
        by task: what was proposed, equal ones once; and the likeliest after the first draw, or nothing.

    Raises:
        InputError: nothing is proposed for a task.
    """
    asked: list[Proposal] = []
    firsts: list[Proposal] = []
    for name, tasks in shown.items():
        rng = run.rng(name, "draws")
        pairs = [demonstrations(tasks, demos, rng) for _ in range(draws)]
        asked += [(pairs[d], "", run.seed(name, d, i)) for d in range(draws) for i in range(each)]
        firsts.append((pairs[0], "", 0))
    drawn = iter(proposed(run, "proposals", proposer, asked, sampling))
    greedy = proposed(run, "greedy", proposer, firsts, replace(sampling, temperature=GREEDY.temperature))
    made = {}
    for name, first in zip(shown, greedy, strict=True):
        texts = distinct([next(drawn) for _ in range(draws * each)])
        if not texts:
            expected = f"a model that proposes instructions: it wrote none for {name}"
            raise InputError("proposer_model", str(proposer.weights), expected)
        made[name] = (texts, first)
    return made


def prompt_tasks(
    specs: Sequence[str], composed: Sequence[InductionTask], outputs: Outputs
) -> list[InductionTask]:
    """The tasks that somebody names, or else composed ones.

    Raises:
        FileError: see ``read_induction``.
        InputError: so, two tasks of a name, no such metric, one that nothing is scored by, or outputs that
            are not chosen from a few.
    """
    read = [read_induction(spec) for spec in specs]
    for spec, of in zip(specs, read, strict=True):
        if (metric := registry.split_spec("data", spec)[1].get("metric")) and all(
            _chooses(task, outputs) for task in of
        ):
            expected = "none where outputs are chosen from a few labels: it is of written ones (outputs)"
            raise InputError("metric", metric, expected)
    tasks = [task for of in read for task in of] or list(composed)
    names = [task.name for task in tasks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError("data", twice, "a name of its own for each task (?name=…)")
    for task in tasks:
        if outputs == "chosen" and not task.chosen:
            raise InputError("outputs", "chosen", f"written: outputs of {task.name} are not a few labels")
        if task.metric not in METRICS:
            raise InputError("data", task.metric, f"a metric of {', '.join(METRICS)}")
    return tasks


def _chooses(task: InductionTask, outputs: Outputs) -> bool:
    """Whether outputs are chosen: where every example says among which (``auto``), or as is asked for."""
    return task.chosen if outputs == "auto" else outputs == "chosen"


@dataclass(frozen=True)
class Scoring:
    """How prompts for a task are scored.

    Attributes:
        model: whose prompts they are.
        metric: of written outputs, a name of ``judges.reference.METRICS``; empty: an output is the likeliest
            of the choices that its example names.
        template: prompts as a user's turn, as raw text, or as the model has a template.
        max_tokens: longest written output, which ends at its first line.
    """

    model: LazyModel
    metric: str = ""
    template: Template = "auto"
    max_tokens: int = 16

    @classmethod
    def of(
        cls, model: LazyModel, task: InductionTask, outputs: Outputs, template: Template, max_tokens: int
    ) -> Scoring:
        """How prompts for a task are scored, which has choices or is written."""
        return cls(model, "" if _chooses(task, outputs) else task.metric, template, max_tokens)


def chosen_note(scored: Sequence[tuple[InductionTask, Scoring]]) -> list[str]:
    """What to know of prompts under which outputs were chosen from a few."""
    notes = []
    if any(not how.metric and task.labels for task, how in scored):
        notes.append(
            "Outputs were the likeliest of few labels, which the prompt holds, for choosing among them. "
            "A model that writes may write something else; --outputs written looks for a prompt for that."
        )
    if own := [task.name for task, how in scored if not how.metric and not task.labels]:
        notes.append(
            f"{', '.join(own)}: each example has choices of its own, which a prompt cannot hold, and a model "
            "that writes may write something else; --outputs written looks for a prompt for that."
        )
    return notes


@dataclass(frozen=True)
class Validation:
    """Scores prompts on a task's examples, a cell of the run for each call."""

    run: Run
    name: str
    how: Scoring
    tasks: Sequence[Task]

    def __call__(
        self, part: str, prompts: Sequence[PromptTemplate | Fitted]
    ) -> tuple[list[float], list[list[Exemplar]]]:
        """Of each prompt: how good outputs are on average, and the inputs it got right with the outputs."""
        values, cell = executed(self.run, f"{part} {self.name}", self.how, prompts, self.tasks)
        right = [right_outputs(cell, p, self.tasks) for p in range(len(prompts))]
        return [float(row.mean()) for row in values], right


@dataclass(frozen=True)
class _Likelihood:
    """Nats per token of outputs after prompts; each (prompt text, output)."""

    model: LazyModel
    template: Template

    def __call__(self, batch: Sequence[tuple[str, str]]) -> list[float]:
        model = self.model()
        chat = uses_chat(model, self.template)
        prompts: list[Prompt] = [as_chat(text) if chat else text for text, _ in batch]
        outputs = [output if chat else f" {output}" for _, output in batch]
        scored = model.score(prompts, outputs, end=False)
        return [fmean(each.logprobs) for each in scored]


def likelihoods(
    run: Run, name: str, how: Scoring, prompts: Sequence[PromptTemplate], tasks: Sequence[Task]
) -> NDArray[np.float64] | None:
    """Mean nats per token of the outputs that are right, the first of each task [prompts, tasks].

    None where the model gives no log-probabilities.
    """
    rows = [(prompt.text(str(task.prompt)), task.references[0]) for prompt in prompts for task in tasks]
    try:
        values = run.map(name, rows, _Likelihood(how.model, how.template), float, BATCH)
    except NoScoresError:
        return None
    return np.array(values).reshape(len(prompts), len(tasks))


def executed(
    run: Run, name: str, how: Scoring, prompts: Sequence[PromptTemplate | Fitted], tasks: Sequence[Task]
) -> tuple[NDArray[np.float64], Cell]:
    """How good a model's outputs are, 0 to 1 [prompts, tasks], and the cell ``name`` with them.

    A prompt may be one that depends on the task. No task is shown its own output.
    """
    asked = [
        replace(
            task,
            id=f"{p}/{task.id}",
            prompt=_of(prompt, task).without(str(task.prompt)).text(str(task.prompt)),
            meta={"group": f"prompt {p}", "source": task.id},
        )
        for p, prompt in enumerate(prompts)
        for task in tasks
    ]
    if how.metric:
        suite = Suite(
            name,
            tuple(replace(each, choices=()) for each in asked),
            (score(SCORE),),
            judge=ReferenceJudge(how.metric),
            sampling=Sampling(max_tokens=how.max_tokens, temperature=0.0, stop=("\n",)),
            version=f"1 {how.metric}",
        )
    else:
        suite = Suite(name, tuple(asked), (ACC,), "choose")
    cell = evaluate_cell(run, how.model, suite, EvaluateSettings(template=how.template))
    metric = suite.metrics[0].name
    values = [record.metrics[metric] for record in cell.records]
    return np.array(values).reshape(len(prompts), len(tasks)), cell


def _of(prompt: PromptTemplate | Fitted, task: Task) -> PromptTemplate:
    return prompt if isinstance(prompt, PromptTemplate) else prompt(task)


def right_outputs(cell: Cell, prompt: int, tasks: Sequence[Task]) -> list[Exemplar]:
    """What a model got right with one of the prompts of ``executed``: inputs with its own outputs."""
    records = cell.records[prompt * len(tasks) : (prompt + 1) * len(tasks)]
    metric = cell.metrics[0].name
    return [
        Exemplar(
            str(task.prompt), chosen(record) or "" if record.scores else record.responses[0].text.strip()
        )
        for task, record in zip(tasks, records, strict=True)
        if record.metrics[metric] == 1.0
    ]


def variations(
    run: Run, name: str, proposer: LazyModel, texts: Sequence[str], number: int, sampling: Sampling
) -> list[str]:
    """Other wordings of instructions, ``number`` of each, without those that are there already."""
    asked = [((), text, run.seed(name, text, i)) for text in texts for i in range(number)]
    made = distinct(proposed(run, name, proposer, asked, sampling))
    known = {" ".join(text.lower().split()) for text in texts}
    return [text for text in made if " ".join(text.lower().split()) not in known]
