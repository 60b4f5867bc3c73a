"""A file of responses that are there already, and which of them answers which task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.errors import FileError, InputError, shown
from biddable.tasks.chats import asked, read_chat
from biddable.tasks.ifeval import task_id
from biddable.tasks.rows import Row, require_rows
from biddable.types import FinishReason, Response, Task, last_turn

_PROMPTS = ("prompt", "messages", "conversations", "instruction")
_LIMITS = ("max_tokens", "max_new_tokens", "max_gen_toks")
NAMED = 10
"""Tasks that a sentence names."""
ALIKE = 0.8
"""The share of its words that an edited prompt has kept; no two prompts of IFEval have so many in common."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One row: the response, the prompt and task's id that it names (empty: none), its limit of tokens."""

    response: Response
    prompt: str
    key: str
    where: str
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """One response for each task, in order; and how many of the file's answer none of them.

    ``edited`` has the id of each task whose prompt reads otherwise in the file, and what told that its
    response belongs to it: its key or its place. ``max_tokens`` is the one limit that the answers name.
    """

    responses: tuple[Response, ...]
    left_over: int
    edited: tuple[tuple[str, str], ...] = ()
    max_tokens: int | None = None

    @property
    def notes(self) -> list[str]:
        """What a reader must know of how they were matched, a sentence each."""
        notes = []
        if self.left_over:
            n = self.left_over
            notes.append(f"{n} response{'s belong' if n > 1 else ' belongs'} to none of the tasks.")
        for told in ("key", "place"):
            if ids := [id for id, by in self.edited if by == told]:
                named = ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")
                notes.append(
                    f"Joined by {told}, because the file has another wording of the prompt: {named}."
                )
        if self.max_tokens:
            notes.append(f"The limit of the answers was {self.max_tokens} tokens.")
        return notes


def load_responses(path: str | Path) -> list[Answer]:
    """Every response of a file whose rows hold ``prompt`` (or ``messages``) or ``key``, and ``response``.

    Also read: the samples that lm-eval logs (``doc`` with ``filtered_resps`` or ``resps``), and
    ``responses`` with a single one. A response that is null or no text, or a row with an ``error``, is an
    answer that could not be had: a response with an ``error``.

    Raises:
        FileError: the file cannot be read or is empty, or a row (named) has no response, or several.
    """
    return [_answer(row) for row in require_rows(path)]


def match(tasks: Sequence[Task], answers: Sequence[Answer], path: str | Path) -> Matched:
    """Find the response to each task: by prompt (its last turn) and key, else by prompt, else by key.

    Where no row has either, they are taken in order, if there are as many as tasks; where some have, the
    others belong to none. A prompt that was edited since belongs to the task with its key, or, where the rows
    are in the order of the tasks, to the one in its place, if most of its words are the same. A task without
    a row gets a response with an ``error``.

    Raises:
        FileError: two rows (the second is named) give different responses to one task; or no row fits any.
    """
    if all(not (answer.prompt or answer.key) for answer in answers):
        if len(answers) != len(tasks):
            problem = (
                f"{len(answers)} responses without prompt or key for {len(tasks)} tasks, expected as many"
            )
            raise FileError(path, problem)
        return Matched(tuple(answer.response for answer in answers), 0, max_tokens=_limit(answers))
    known: dict[tuple[str, str], Answer] = {}
    by_prompt: dict[str, list[Answer]] = {}
    named = [answer for answer in answers if answer.prompt or answer.key]
    for answer in named:
        _add(known, (answer.prompt, answer.key), answer)
        by_prompt.setdefault(answer.prompt, []).append(answer)
    found = [_find(task, known, by_prompt) for task in tasks]
    edited = _edited(tasks, answers, found)
    found = [edited[place][0] if place in edited else answer for place, answer in enumerate(found)]
    if not any(found):
        prompt, key = shown(last_turn(tasks[0].prompt)), shown(tasks[0].id)
        first = f"prompt {prompt} and the key {key}"
        raise FileError(path, f"names none of the tasks, the first of which has the {first}")
    used = {(answer.prompt, answer.key) for answer in found if answer}
    missing = Response("", finish_reason="error", error=f"no response to it in {path}")
    responses = tuple(answer.response if answer else missing for answer in found)
    return Matched(
        responses,
        len(known) - len(used) + len(answers) - len(named),
        tuple((tasks[place].id, told) for place, (_, told) in edited.items()),
        _limit(answers),
    )


def _edited(
    tasks: Sequence[Task], answers: Sequence[Answer], found: Sequence[Answer | None]
) -> dict[int, tuple[Answer, str]]:
    """For a task without an answer: that of its key, else place, with nearly its prompt; and by which."""
    used = {(answer.prompt, answer.key) for answer in found if answer}
    free = [answer for answer in answers if answer.prompt and (answer.prompt, answer.key) not in used]
    by_key: dict[str, list[Answer]] = {}
    for answer in free:
        by_key.setdefault(answer.key, []).append(answer)
    in_order = len(answers) == len(tasks) and all(
        answer is None or answer.prompt == answers[place].prompt for place, answer in enumerate(found)
    )
    edited: dict[int, tuple[Answer, str]] = {}
    for place, task in enumerate(tasks):
        if found[place]:
            continue
        at_place = [answers[place]] if in_order and not answers[place].key else []
        for told, candidates in (("key", by_key.get(task.id, [])), ("place", at_place)):
            alike = [each for each in candidates if mostly_alike(each.prompt, last_turn(task.prompt))]
            if len(alike) == 1:
                edited[place] = alike[0], told
    return edited


def mostly_alike(first: str, second: str) -> bool:
    """Whether two prompts have most of their words in common."""
    words, others = Counter(first.split()), Counter(second.split())
    return 2 * (words & others).total() >= ALIKE * (words.total() + others.total())


def _limit(answers: Sequence[Answer]) -> int | None:
    limits = {answer.max_tokens for answer in answers}
    return limits.pop() if len(limits) == 1 else None


def _find(
    task: Task, known: Mapping[tuple[str, str], Answer], by_prompt: Mapping[str, Sequence[Answer]]
) -> Answer | None:
    prompt = _plain(last_turn(task.prompt))
    for place in ((prompt, task.id), ("", task.id)):
        if place in known:
            return known[place]
    same = by_prompt.get(prompt, ())
    if different := [answer for answer in same if answer.response != same[0].response]:
        raise _differs(different[0])
    return same[0] if same else None


def _add(known: dict[tuple[str, str], Answer], place: tuple[str, str], answer: Answer) -> None:
    if known.setdefault(place, answer).response != answer.response:
        raise _differs(answer)


def _plain(prompt: str) -> str:
    """A prompt without what tools change in passing: line ends, and blanks around it."""
    return prompt.replace("\r\n", "\n").strip()


def _differs(answer: Answer) -> FileError:
    return FileError(answer.where, "response: differs from an earlier one to the same prompt")


def _answer(row: Row) -> Answer:
    value = row.value
    if not isinstance(value, dict):
        raise FileError(row.where, "expected a JSON object")
    task = value["doc"] if isinstance(value.get("doc"), dict) else value
    prompt = ""
    if any(task.get(name) is not None for name in _PROMPTS):
        try:
            prompt = asked(read_chat(task))[-1].content
        except InputError as error:
            raise FileError(row.where, str(error)) from None
    key = task.get("key")
    if isinstance(key, bool) or not isinstance(key, str | int | float | None):
        raise FileError(row.where, f"key is {shown(key)}, expected an integer or a text")
    return Answer(_response(row, value), _plain(prompt), task_id(key), row.where, _named_limit(value))


def _named_limit(value: dict[str, Any]) -> int | None:
    """The limit of tokens that a row names, in the arguments that lm-eval logs, too."""
    asked: Any = value.get("arguments")
    for place in ("gen_args_0", "arg_1"):
        asked = asked.get(place) if isinstance(asked, dict) else None
    for names in (value, asked if isinstance(asked, dict) else {}):
        for limit in map(names.get, _LIMITS):
            if type(limit) is int and limit > 0:
                return limit
    return None


def _response(row: Row, value: dict[str, Any]) -> Response:
    if value.get("error") and not value.get("response"):
        return _none(" ".join(str(value["error"]).split()))
    text = _text(row, value)
    if text is None:
        return _none("the response is null")
    if not isinstance(text, str):
        return _none(f"the response is {shown(text)}, expected a text")
    cut: FinishReason = "length" if value.get("finish_reason") == "length" else "stop"
    return Response(text, finish_reason=cut)


def _text(row: Row, value: dict[str, Any]) -> Any:
    if "response" in value:
        return value["response"]
    for name in ("responses", "filtered_resps", "resps"):
        if isinstance(texts := value.get(name), list) and texts:
            inner = texts[0] if name == "resps" and isinstance(texts[0], list) else texts
            if len(inner) != 1:
                raise FileError(row.where, f"{name}: {len(inner)} to one prompt, expected one")
            return inner[0]
    raise FileError(row.where, "response: field required")


def _none(reason: str) -> Response:
    return Response("", finish_reason="error", error=reason)
