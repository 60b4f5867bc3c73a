"""Letting a model answer prompts that somebody has; what was killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biddable.errors import EndpointError, InputError
from biddable.judges.thinking import has_thinking, without_thinking
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import model_identity
from biddable.runs.codec import digest
from biddable.runs.executors import Executor, in_process
from biddable.runs.files import write_atomic
from biddable.suites.answers import BATCH, Ask, answers, finished, not_plain, unfinished
from biddable.tasks import data
from biddable.tasks.templates import read_prompt
from biddable.types import Prompt, Response

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions

ADDED = {"responses", "response", "finish_reasons", "finish_reason", "error"}
"""Fields that are added to a row."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """What is to be answered: where it stands, all fields of its row, the prompt, and its own seed."""

    where: str
    row: dict[str, Any]
    prompt: Prompt
    seed: int
    answered: bool
    """Whether the chat ended with an answer, which is left off."""
    choices: tuple[str, ...] = ()
    """What the response is the likeliest of; empty: what the model writes."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What came of all prompts: how many responses, (place, reason) of each not had, and notes."""

    responses: int
    failed: list[tuple[str, str]]
    notes: list[str]


def read_prompt_rows(source: str | Path, seed: int = 0, around: str | Path | None = None) -> list[PromptRow]:
    """The prompts of a file, a folder, a run or a data set of the hub, with all that their rows hold.

    A row that is a text alone is written with it as ``prompt``. ``around`` is what stands around each
    (``tasks.templates.read_prompt``); rows keep their own prompts.

    Raises:
        FileError: the source cannot be read, holds nothing, or a row (named) is no prompt; so of ``around``.
        InputError: a row (named) is a chat that what stands around it does not take.
    """
    template = None if around is None else read_prompt(around)
    rows = []
    for i, (row, prompt, answered) in enumerate(data.read_prompt_rows(source)):
        fields = {"prompt": row.value} if isinstance(row.value, str) else row.value
        drawn = int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
        if template is not None:
            try:
                prompt = template.prompt(prompt)
            except InputError as error:
                raise error.at(row.where) from None
        choices = template.choices if template else ()
        rows.append(PromptRow(row.where, fields, prompt, drawn, answered, choices))
    return rows


def generate_file(
    model: str | Path,
    rows: Sequence[PromptRow],
    out: str | Path,
    *,
    n: int = 1,
    sampling: Sampling | None = None,
    strip_thinking: bool = False,
    served: ServedOptions | None = None,
    executor: Executor = in_process,
) -> Generated:
    """Write each prompt's row with its responses added. The same call again goes on where it was killed.

    ``out`` is written whole; until then the folder ``OUT.part`` keeps what is finished.

    Args:
        model: what ``load_model`` takes.
        rows: what ``read_prompt_rows`` gives.
        out: the file to write.
        n: responses to each prompt.
        sampling: how to draw one.
        strip_thinking: write responses without their blocks of thinking.
        served: how a served model is asked.
        executor: where responses are computed (``biddable.runs.executors``).

    Raises:
        InputError: several responses to each prompt that chooses among labels.
        RunError: ``OUT.part`` holds responses to other prompts, of another model or drawn otherwise.
        EndpointError: no prompt could be answered.
    """
    how, target = sampling or Sampling(), Path(out)
    config = {
        "model": str(model),
        "model_identity": model_identity(model),
        "prompts": digest([row.prompt, row.seed] for row in rows),
        "n": n,
        "sampling": how,
        **({"choices": rows[0].choices} if rows and rows[0].choices else {}),
    }
    ask = _ask(model, served, how, n, rows)
    with unfinished(target, "generate", config, executor) as run:
        prompts, seeds = [row.prompt for row in rows], [row.seed for row in rows]
        responses = answers(run, "responses", ask, prompts, seeds, again=True)
    try:
        result = summary(rows, responses, how, strip_thinking)
        lines = [line(row, each, strip_thinking) for row, each in zip(rows, responses, strict=True)]
    except EndpointError:
        finished(target)
        raise
    write_atomic(target, "".join(lines))
    finished(target)
    return result


def generate_batches(
    model: str | Path,
    rows: Sequence[PromptRow],
    *,
    n: int = 1,
    sampling: Sampling | None = None,
    served: ServedOptions | None = None,
    executor: Executor = in_process,
) -> Iterator[list[list[Response]]]:
    """The responses to each batch of prompts, [prompts][n], in order, each as soon as it is there."""
    ask = _ask(model, served, sampling or Sampling(), n, rows)
    items = [(row.prompt, row.seed) for row in rows]
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    early: dict[int, list[list[Response]]] = {}
    due = 0
    for index, responses in executor(ask, enumerate(batches)):
        early[index] = responses
        while due in early:
            yield early.pop(due)
            due += 1


def _ask(
    model: str | Path, served: ServedOptions | None, sampling: Sampling, n: int, rows: Sequence[PromptRow]
) -> Ask:
    choices = rows[0].choices if rows else ()
    if choices and n > 1:
        raise InputError("n", n, "1: the prompt chooses among its labels, and would choose the same again")
    return Ask(LazyModel(model, served), sampling, n, choices)


def line(prompt: PromptRow, responses: Sequence[Response], strip_thinking: bool = False) -> str:
    """A row with its responses, as a line; what an earlier call added to it is gone."""
    texts = [_shown(response, strip_thinking) for response in responses]
    reasons = [response.finish_reason for response in responses]
    added: dict[str, Any] = {"responses": texts, "finish_reasons": reasons}
    if len(responses) == 1:
        added |= {"response": texts[0], "finish_reason": reasons[0]}
    if error := next((response.error for response in responses if response.error), ""):
        added["error"] = error
    row = {**{name: value for name, value in prompt.row.items() if name not in ADDED}, **added}
    # ``json.dumps`` leaves this one control character raw, which a terminal obeys.
    return json.dumps(row).replace("\x7f", "\\u007f") + "\n"


def summary(
    rows: Sequence[PromptRow],
    responses: Sequence[Sequence[Response]],
    how: Sampling,
    strip_thinking: bool,
) -> Generated:
    """What the responses [prompts][n] are besides plain texts.

    Raises:
        EndpointError: not one could be had.
    """
    flat = [response for each in responses for response in each]
    places = [row.where for row, each in zip(rows, responses, strict=True) for _ in each]
    failed = [(place, response.error) for place, response in zip(places, flat, strict=True) if response.error]
    if len(failed) == len(flat):
        place, reason = failed[0]
        others = f" (none of {len(rows)} prompts was answered)" if len(rows) > 1 else ""
        raise EndpointError(f"{place}: {reason}{others}")
    notes = not_plain(
        len(flat),
        cut_off=sum(response.finish_reason == "length" for response in flat),
        max_tokens=how.max_tokens,
        empty=sum(not _shown(response, strip_thinking).strip() and not response.error for response in flat),
        thinking=sum(has_thinking(response.text) for response in flat),
        thinking_removed=strip_thinking,
    )
    if failed:
        notes = [f"{len(failed)} of {len(flat)} answers could not be had; the rows say why.", *notes]
    return Generated(len(flat) - len(failed), failed, notes)


def _shown(response: Response, strip_thinking: bool) -> str:
    return without_thinking(response.text) if strip_thinking else response.text
