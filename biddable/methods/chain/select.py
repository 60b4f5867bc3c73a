"""Choosing among rows to learn from: those that a judge likes best, or any; of each at most one response."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biddable.config import REQUIRED, Count, Natural, settings
from biddable.errors import InputError
from biddable.judges.load import judge_identity, load_judge
from biddable.methods.base import show
from biddable.runs.executors import Executor, in_process
from biddable.runs.figures import Table
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import digest, read_prompt_rows, write_conversations
from biddable.tasks.formats import UnknownShapeError, conversation_of, task_of
from biddable.tasks.rows import Row
from biddable.types import Conversation, Message, Prompt, Response, Task, Verdict, as_chat

BATCH = 64


@settings
class SelectSettings:
    """How rows are chosen."""

    rows: Count = REQUIRED
    """How many."""
    judge: str | None = None
    """Who says how good a response is (``load_judge``): the best are taken. Without one, any are."""
    seed: Natural = 0
    """Decides what is taken among equals, and without a judge."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response to the prompt of row ``row``, and what is to be learned if it is chosen."""

    row: int
    task: Task
    text: str
    learned: Conversation


def select(
    source: str | Path, how: SelectSettings, *, out: str | Path, executor: Executor = in_process
) -> Results:
    """Choose rows of a source, and leave them as conversations; the same call again goes on.

    A row is what ``biddable generate`` writes (of its ``responses`` one is chosen), or a conversation, whose
    last answer is judged. Answers that could not be had, and blank ones, are not chosen.

    Raises:
        FileError: the source cannot be read, or a row (named) is neither.
        InputError: fewer rows than are asked for, or no such judge.
        RunError: the folder holds something else.
    """
    judge = None if how.judge is None else load_judge(how.judge)
    identity: dict[str, Any] = {"data": digest(source), "rows": how.rows, "judge": how.judge}
    if how.judge is not None:
        identity["judge_weights"] = judge_identity(how.judge)
    rows, skipped = candidates(source)
    there = len({each.row for each in rows})
    if there < how.rows:
        raise InputError("rows", how.rows, f"at most {there}, as many as {source} has with an answer")
    with Run.open(out, "select", identity, how.seed, executor=executor) as run:
        drawn = run.rng("order").permutation(len(rows))
        verdicts: list[Verdict] = []
        if judge is not None:
            seeds = [run.seed("judge", place) for place in range(len(rows))]

            def judged(batch: list[int]) -> list[Verdict]:
                assert judge
                tasks, texts = [rows[i].task for i in batch], [Response(rows[i].text) for i in batch]
                return judge(tasks, texts, seeds=[seeds[i] for i in batch])

            places = list(range(len(rows)))
            verdicts = run.map("verdicts", places, judged, Verdict, BATCH, executor=in_process)
        taken = _best(rows, drawn, [_score(each) for each in verdicts], how.rows)
        write_conversations(
            run.artifact("data", "conversations.jsonl"), [rows[place].learned for place in taken]
        )
        metrics: dict[str, Any] = {
            "rows": {"came": there, "kept": len(taken), "responses": len(rows), "not_answered": skipped}
        }
        if verdicts:
            metrics["passed"] = {
                "all": _share([verdict.passed for verdict in verdicts]),
                "chosen": _share([verdicts[place].passed for place in taken]),
            }
        shown = [(rows[place].task.id, rows[place].text) for place in taken[:20]]
        show(run, [Table("Some of what was chosen", ("row", "response"), tuple(shown))])
        notes = [f"{skipped} answers are blank or could not be had, and were not chosen."] if skipped else []
        return run.finish([], metrics=metrics, notes=notes)


def candidates(source: str | Path) -> tuple[list[Candidate], int]:
    """All responses of a source, and how many are blank or could not be had. Raises FileError, InputError."""
    found, skipped = [], 0
    for place, (row, prompt, _) in enumerate(read_prompt_rows(source)):
        responses = row.value.get("responses") if isinstance(row.value, dict) else None
        task = _task(row, place, prompt)
        if isinstance(responses, list):
            chat = as_chat(prompt)
            mask = tuple(False for _ in chat)
            for text in responses:
                if not isinstance(text, str):
                    raise InputError("responses", responses, "a list of texts", where=row.where)
                learned = Conversation((*chat, Message("assistant", text)), (*mask, True))
                if text.strip():
                    found.append(Candidate(place, task, text, learned))
                skipped += not text.strip()
        else:
            try:
                whole = conversation_of(row)
            except UnknownShapeError:
                expected = "rows with an answer: responses of biddable generate, or conversations"
                raise InputError("select", [*row.value][:9], expected, where=row.where) from None
            except InputError as error:
                raise error.at(row.where) from None
            text = whole.chat[-1].content
            if whole.chat[-1].role == "assistant" and text.strip():
                found.append(Candidate(place, task, text, whole))
            else:
                skipped += 1
    return found, skipped


def _task(row: Row, place: int, prompt: Prompt) -> Task:
    """What a judge is shown: with its checks and references, where the row has them."""
    try:
        return task_of(row)
    except UnknownShapeError:  # raw text
        return Task(str(place + 1), as_chat(prompt))
    except InputError as error:
        raise error.at(row.where) from None


def _best(rows: list[Candidate], drawn: np.ndarray[Any, Any], scores: list[float], count: int) -> list[int]:
    """The places of the best responses, one of each row at most, in the order of the source."""
    order = sorted(drawn.tolist(), key=lambda place: -scores[place] if scores else 0.0)  # ties stay as drawn
    taken: dict[int, int] = {}
    for place in order:
        if len(taken) < count:
            taken.setdefault(rows[place].row, place)
    return sorted(taken.values())


def _score(verdict: Verdict) -> float:
    return -float("inf") if verdict.score is None else verdict.score


def _share(passed: list[bool | None]) -> float:
    return float(np.mean([each is True for each in passed]))
