"""Letting a model answer a file of prompts; what was killed goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biddable.errors import EndpointError, FileError, InputError
from biddable.judges.thinking import has_thinking, without_thinking
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import model_identity
from biddable.runs.codec import digest
from biddable.runs.executors import Executor, in_process
from biddable.runs.files import write_atomic
from biddable.runs.run import Run
from biddable.suites.answers import BATCH, Ask, answers, not_plain
from biddable.tasks.chats import asked, read_chat
from biddable.tasks.rows import read_values
from biddable.types import Chat, Response

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions

ADDED = {"responses", "response", "finish_reasons", "finish_reason", "error"}
"""Fields that are added to a row."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt of a file: where it stands, all its fields, the chat to answer, and its own seed."""

    where: str
    row: dict[str, Any]
    chat: Chat
    seed: int
    answered: bool
    """Whether the chat ended with an answer, which is left off."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What came of a file of prompts: how many responses, (place, reason) of each not had, and notes."""

    responses: int
    failed: list[tuple[str, str]]
    notes: list[str]


def read_prompt_rows(path: str | Path, seed: int = 0) -> list[PromptRow]:
    """The prompts of a file, with all that their lines hold.

    Raises:
        FileError: the file cannot be read, or holds no prompts.
        InputError: a line is no prompt.
    """
    rows = []
    for i, row in enumerate(read_values(str(path))):
        drawn = int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
        try:
            chat = read_chat(row.value)
            rows.append(PromptRow(row.where, row.value, asked(chat), drawn, chat[-1].role == "assistant"))
        except InputError as error:
            raise error.at(row.where) from None
    if not rows:
        raise FileError(path, "holds no prompts")
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
        RunError: ``OUT.part`` holds responses to other prompts, of another model or drawn otherwise.
        EndpointError: no prompt could be answered.
    """
    how, target = sampling or Sampling(), Path(out)
    part = target.with_name(target.name + ".part")
    config = {
        "model": str(model),
        "model_identity": model_identity(model),
        "prompts": digest([row.chat, row.seed] for row in rows),
        "n": n,
        "sampling": how,
    }
    ask = Ask(LazyModel(model, served), how, n)
    with Run.open(part, "generate", config, 0, executor=executor) as run:
        try:
            found = answers(run, "responses", ask, [row.chat for row in rows], [row.seed for row in rows])
        except BaseException:
            journal = run.folder / "stages" / "responses.jsonl"
            if not journal.exists() or journal.read_bytes().count(b"\n") < 2:  # the header, and no batch
                shutil.rmtree(part, ignore_errors=True)
            raise
    try:
        result = summary(rows, found, how, strip_thinking)
        lines = [line(row, each, strip_thinking) for row, each in zip(rows, found, strict=True)]
    except EndpointError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    write_atomic(target, "".join(lines))
    shutil.rmtree(part, ignore_errors=True)
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
    ask = Ask(LazyModel(model, served), sampling or Sampling(), n)
    items = [(row.chat, row.seed) for row in rows]
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    early: dict[int, list[list[Response]]] = {}
    due = 0
    for index, found in executor(ask, enumerate(batches)):
        early[index] = found
        while due in early:
            yield early.pop(due)
            due += 1


def line(prompt: PromptRow, responses: Sequence[Response], strip_thinking: bool = False) -> str:
    """A row with its responses, as a line; what an earlier call added to it is gone."""
    texts = [without_thinking(one.text) if strip_thinking else one.text for one in responses]
    reasons = [one.finish_reason for one in responses]
    added: dict[str, Any] = {"responses": texts, "finish_reasons": reasons}
    if len(responses) == 1:
        added |= {"response": texts[0], "finish_reason": reasons[0]}
    if error := next((one.error for one in responses if one.error), ""):
        added["error"] = error
    row = {**{name: value for name, value in prompt.row.items() if name not in ADDED}, **added}
    # ``json.dumps`` leaves this one control character raw, which a terminal obeys.
    return json.dumps(row).replace("\x7f", "\\u007f") + "\n"


def summary(
    rows: Sequence[PromptRow],
    found: Sequence[Sequence[Response]],
    how: Sampling,
    strip_thinking: bool,
) -> Generated:
    """What the responses [prompts][n] are besides plain texts.

    Raises:
        EndpointError: not one could be had.
    """
    pairs = [(row.where, one) for row, each in zip(rows, found, strict=True) for one in each]
    failed = [(place, one.error) for place, one in pairs if one.error]
    if len(failed) == len(pairs):
        place, reason = failed[0]
        others = f" (none of {len(rows)} prompts was answered)" if len(rows) > 1 else ""
        raise EndpointError(f"{place}: {reason}{others}")
    responses = [one for _, one in pairs]
    texts = [without_thinking(one.text) if strip_thinking else one.text for one in responses]
    notes = not_plain(
        len(responses),
        cut_off=sum(one.finish_reason == "length" for one in responses),
        max_tokens=how.max_tokens,
        empty=sum(not text.strip() and not one.error for text, one in zip(texts, responses, strict=True)),
        thinking=sum(has_thinking(one.text) for one in responses),
        thinking_removed=strip_thinking,
    )
    if failed:
        notes = [f"{len(failed)} of {len(responses)} answers could not be had; the rows say why.", *notes]
    return Generated(len(responses) - len(failed), failed, notes)
