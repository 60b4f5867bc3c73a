"""Responses to the same prompts in two files, which of them belong together, and published annotations.

A row holds a prompt in any shape that prompts have, a ``key`` or an ``id``, and what was answered:
``responses`` and ``response`` (as ``biddable generate`` writes them) or ``output`` (AlpacaEval's). An
annotation is AlpacaEval's: ``output_1`` (the baseline's), ``output_2`` and a ``preference`` from 1 to 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from biddable.errors import FileError, InputError, shown
from biddable.tasks.formats import UnknownShapeError, place_of, prompt_of, task_of
from biddable.tasks.ifeval import task_id
from biddable.tasks.responses import NAMED, mostly_alike
from biddable.tasks.rows import Row, require_rows
from biddable.types import Response, Task, as_chat, last_turn

_TEXTS = ("response", "output")


@dataclass(frozen=True, slots=True)
class Answered:
    """A response, the task it answers (None where the row has an id alone), and that id, empty for none.

    ``generator`` is whose response it is, where the row says.
    """

    task: Task | None
    response: Response
    key: str
    generator: str
    where: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to one task; pairs of one ``prompt`` (a number) are not independent.

    ``win``: what an annotation says, 1 where the first is better, 0 where the second is; None: nothing.
    """

    task: Task
    first: Response
    second: Response
    prompt: int
    win: float | None = None


@dataclass(frozen=True, slots=True)
class Paired:
    """What two files have in common.

    Attributes:
        pairs: in the order of the first file.
        names: of the two models, where the rows say; else empty.
        only: for either file, the tasks that it alone answers, by name.
        by_id: tasks that were joined by their id, because their prompts read otherwise.
        left_over: responses to a prompt for which the other file has fewer, and more than one.
        repeated: ids that join nothing, as a file has them at several prompts.
    """

    pairs: tuple[Pair, ...]
    names: tuple[str, str]
    only: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    by_id: tuple[str, ...] = ()
    left_over: int = 0
    repeated: tuple[str, ...] = ()
    sources: tuple[str, str] = ("", "")

    @property
    def clusters(self) -> list[int]:
        """The prompt of each pair."""
        return [pair.prompt for pair in self.pairs]

    @property
    def notes(self) -> list[str]:
        """What a reader must know of how they were joined, a sentence each."""
        notes = []
        for tasks, source in zip(self.only, self.sources, strict=False):
            if tasks:
                n = len(tasks)
                notes.append(f"Only {source} answers {n} prompt{'s' * (n > 1)}, left out: {_named(tasks)}.")
        if self.by_id:
            wording = "because the files have other wordings of the prompt, or one has none"
            notes.append(f"Joined by id, {wording}: {_named(self.by_id)}.")
        if self.repeated:
            notes.append(f"Not joined by id, which several prompts have: {_named(self.repeated)}.")
        if n := self.left_over:
            notes.append(f"{n} response{'s have' if n > 1 else ' has'} no counterpart to the same prompt.")
        prompts = len({*self.clusters})
        if prompts < len(self.pairs):
            notes.append(f"{prompts} prompt{'s' * (prompts > 1)}: pairs of one prompt are counted together.")
        return notes


def _named(tasks: Sequence[str]) -> str:
    return ", ".join(tasks[:NAMED]) + (f" and {len(tasks) - NAMED} more" if len(tasks) > NAMED else "")


def read_answers(path: str | Path) -> list[Answered]:
    """Every response of a file; a row may hold several.

    A response that is null, or is empty in a row with an ``error``, could not be had: it has an ``error``.

    Raises:
        FileError: the file cannot be read or is empty, or a row (named) has neither a prompt nor an id, or no
            response.
    """
    return [answer for row in require_rows(path) for answer in _answers(row)]


def join_answers(first: Sequence[Answered], second: Sequence[Answered], sources: tuple[str, str]) -> Paired:
    """Find for each response of a file its counterpart in another: by prompt, else by id.

    Several responses to one prompt are paired in order; a single one is paired with each of the other file's.
    By id are joined those that are left: where a file has no prompts, or most words of both prompts are the
    same. An id that several prompts of a file have joins nothing.

    Raises:
        FileError: ``sources``, the names of the files, have no prompt in common.
    """
    groups = _by_prompt(first), _by_prompt(second)
    partners = {key: key for key in groups[0] if key in groups[1]}
    by_id, repeated = [], []
    several = _of_several(groups[0]) | _of_several(groups[1])
    theirs = {each[0].key: key for key, each in groups[1].items() if key not in groups[0] and each[0].key}
    for key, each in groups[0].items():
        other = theirs.get(each[0].key) if each[0].key else None
        if key in partners or other is None or not _may_be_one(each[0], groups[1][other][0]):
            continue
        if each[0].key in several:
            repeated.append(each[0].key)
            continue
        partners[key] = other
        by_id.append(_name(each[0]))
    pairs: list[Pair] = []
    left_over = 0
    for number, (key, mine) in enumerate(groups[0].items()):
        if key not in partners:
            continue
        others = groups[1][partners[key]]
        tasks = [each.task for each in (*mine, *others) if each.task is not None]
        if not tasks:
            raise FileError(mine[0].where, f"no prompt, and none under the id {mine[0].key} in {sources[1]}")
        n = max(len(mine), len(others)) if 1 in (len(mine), len(others)) else min(len(mine), len(others))
        left_over += max(len(mine), len(others)) - n
        for place in range(n):
            one, other_one = mine[place if len(mine) > 1 else 0], others[place if len(others) > 1 else 0]
            pairs.append(Pair(max(tasks, key=_known), one.response, other_one.response, number))
    if not pairs:
        sizes = f"{len(groups[1])} prompts here, {len(groups[0])} there; looked for by prompt and id"
        if repeated:
            sizes += f", and several have the id {repeated[0]}"
        raise FileError(sources[1], f"no prompt in common with {sources[0]} ({sizes})")
    used = {*partners.values()}
    only = (
        tuple(_name(each[0]) for key, each in groups[0].items() if key not in partners),
        tuple(_name(each[0]) for key, each in groups[1].items() if key not in used),
    )
    names = _generator(first), _generator(second)
    return Paired(tuple(pairs), names, only, tuple(by_id), left_over, tuple(dict.fromkeys(repeated)), sources)


def read_annotations(path: str | Path) -> Paired:
    """Pairs with what somebody prefers, in AlpacaEval's form.

    The first of a pair is ``output_2``, the model's; the second ``output_1``, the baseline's. A
    ``preference`` of 1 is for the baseline, 2 for the model, what lies between is how likely the model is to
    be better (1.5, or 0 as AlpacaEval has it, is a tie); null, or an empty cell, is undecided.

    Raises:
        FileError: the file cannot be read or is empty, a row (named) is no annotation, or rows are of several
            pairs of models.
    """
    numbers: dict[str, int] = {}
    pairs: list[Pair] = []
    models: dict[tuple[str, str], str] = {}
    for row in require_rows(path):
        value = _object(row)
        outputs = []
        for name in ("output_2", "output_1"):
            if not isinstance(value.get(name), str):
                raise FileError(row.where, f"{name} is {shown(value.get(name))}, expected a text")
            outputs.append(Response(value[name]))
        task = _task(row)
        if task is None:
            raise FileError(row.where, "no prompt: instruction (or prompt, messages …) required")
        number = numbers.setdefault(_asked(task), len(numbers))
        pairs.append(Pair(task, outputs[0], outputs[1], number, _preferred(row, value)))
        models.setdefault((_text(value, "generator_2"), _text(value, "generator_1")), row.where)
    if len(models) > 1:
        (first, _), (second, where) = list(models.items())[:2]
        told = f"{second[0]} beside {second[1]}, and earlier rows are of {first[0]} beside {first[1]}"
        raise FileError(where, f"{told}: expected a file of one pair of models")
    [(model, baseline)] = models
    return Paired(tuple(pairs), (model, baseline), sources=(str(path), str(path)))


def _preferred(row: Row, value: dict[str, Any]) -> float | None:
    if "preference" not in value:
        raise FileError(row.where, "preference: field required")
    given = value["preference"]
    if given is None or given == "":  # a table's cell without a value
        return None
    try:
        number = float(given) if isinstance(given, int | float | str) and given is not True else -1.0
    except ValueError:
        number = -1.0
    if not isfinite(number) or isinstance(given, bool) or not (number == 0 or 1 <= number <= 2):
        expected = "1 (output_1 is better) to 2 (output_2 is), 0 or 1.5 (a tie), or null"
        raise FileError(row.where, f"preference is {shown(given)}, expected {expected}")
    return number - 1 if number else 0.5


def _object(row: Row) -> dict[str, Any]:
    if not isinstance(row.value, dict):
        raise FileError(row.where, "expected a JSON object")
    return row.value


def _text(value: dict[str, Any], name: str) -> str:
    return str(value.get(name) or "")


def _answers(row: Row) -> list[Answered]:
    value = _object(row)
    name = "key" if value.get("key") is not None else "id"
    key = value.get(name)
    if isinstance(key, bool) or not isinstance(key, str | int | float | None):
        raise FileError(row.where, f"{name} is {shown(key)}, expected an integer or a text")
    task, generator = _task(row), _text(value, "generator")
    if task is None and not task_id(key):
        raise FileError(row.where, "neither a prompt (prompt, messages, instruction …) nor a key or id")
    return [
        Answered(task, response, task_id(key), generator, row.where) for response in _responses(row, value)
    ]


def _responses(row: Row, value: dict[str, Any]) -> list[Response]:
    if isinstance(value.get("responses"), list):
        name, texts = "responses", value["responses"]
        if not texts:
            raise FileError(row.where, "responses is [], expected at least one")
    else:
        name = next((name for name in _TEXTS if name in value), "")
        if not name:
            raise FileError(row.where, "response: field required (or responses, or output)")
        texts = [value[name]]
    for place, text in enumerate(texts):
        if not isinstance(text, str | None):
            at = f"{name}[{place}]" if name == "responses" else name
            raise FileError(row.where, f"{at} is {shown(text)}, expected a text, or null for none")
    reason = " ".join(str(value.get("error") or "").split())
    return [
        Response(text) if text or (text is not None and not reason) else _none(reason or f"{name} is null")
        for text in texts
    ]


def _none(reason: str) -> Response:
    return Response("", finish_reason="error", error=reason)


def _task(row: Row) -> Task | None:
    """What a row asks; None where it has no prompt."""
    try:
        try:
            return task_of(row)
        except UnknownShapeError:
            return Task(place_of(row), prompt_of(row))  # raw text, which no file of tasks has
    except UnknownShapeError:
        return None
    except InputError as error:
        raise FileError(row.where, str(error)) from None


def _known(task: Task) -> tuple[bool, bool]:
    """Whether rules, or references, say how a task is judged."""
    return bool(task.checks), bool(task.references)


def _asked(task: Task) -> str:
    """A prompt without what tools change in passing: line ends, and blanks around it."""
    turns = (f"{turn.role}: {turn.content.replace(chr(13), '').strip()}" for turn in as_chat(task.prompt))
    return "\n\n".join(turns)


def _by_prompt(answers: Sequence[Answered]) -> dict[str, list[Answered]]:
    """Responses by what they answer: its prompt, or its id where there is no prompt."""
    groups: dict[str, list[Answered]] = {}
    for each in answers:
        groups.setdefault(f"id {each.key}" if each.task is None else _asked(each.task), []).append(each)
    return groups


def _of_several(groups: dict[str, list[Answered]]) -> set[str]:
    """The ids that several prompts have."""
    times = Counter(key for each in groups.values() for key in {answer.key for answer in each})
    return {key for key, count in times.items() if key and count > 1}


def _may_be_one(first: Answered, second: Answered) -> bool:
    if first.task is None or second.task is None:
        return True
    return mostly_alike(last_turn(first.task.prompt), last_turn(second.task.prompt))


def _name(answer: Answered) -> str:
    return answer.key or (answer.task.id if answer.task else answer.where)


def _generator(answers: Sequence[Answered]) -> str:
    """The one model that all rows name."""
    names = {each.generator for each in answers}
    return names.pop() if len(names) == 1 else ""
