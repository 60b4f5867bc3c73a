"""What to know of prompts whose answers are judged: which cannot be, and which contradict their rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from biddable.judges.ifeval.judge import undecided
from biddable.types import Check, Task, last_turn

NAMED = 10
"""Tasks that a sentence names; the rest is counted."""

_SMALL = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER = rf"\d[\d,]*|{'|'.join(_SMALL)}"
_NOUNS = {"num_words": "words?|mots|palabras", "num_sentences": "sentences?|phrases|frases"}
_ASKED = {
    argument: re.compile(
        rf"(?:\b({_NUMBER})\s*(?:to|and|or|–|-)\s*)?\b({_NUMBER})(?:\s*\+|\s+or\s+(?:more|less|fewer))?"
        rf"\s*-?\s*(?:{noun})\b",
        re.IGNORECASE,
    )
    for argument, noun in _NOUNS.items()
}
_EACH = re.compile(r"\b(?:each|every|per)\b[^.!?\n]*$", re.IGNORECASE)

KNOWN = (
    (
        "exactly one bullet point. Make sure to include a few bullet points",
        "the text asks for exactly one bullet point and for a few",
    ),
)
"""Words of published prompts that contradict themselves, and how."""


@dataclass(frozen=True, slots=True)
class Decidable:
    """The tasks whose rules can be decided here, and the id of each other one with the reason."""

    tasks: tuple[Task, ...]
    left_out: tuple[tuple[str, str], ...]


def decidable(tasks: Sequence[Task], *, fixed: bool = False) -> Decidable:
    """Part the tasks by whether what their rules need is there. Raises InputError: an unknown rule."""
    reasons = [undecided(task, fixed=fixed) for task in tasks]
    return Decidable(
        tuple(task for task, reason in zip(tasks, reasons, strict=True) if not reason),
        tuple((task.id, reason) for task, reason in zip(tasks, reasons, strict=True) if reason),
    )


def at_odds(task: Task) -> str:
    """How the text of a prompt and the arguments of its rules disagree; empty where no way is seen.

    Numbers of words and sentences are compared, wherever the text has some before these nouns. One more or
    less than the text has is what "at most" and "more than" come to, so it is no disagreement.
    """
    prompt = last_turn(task.prompt)
    for words, problem in KNOWN:
        if words in " ".join(prompt.split()):
            return problem
    for check in task.checks:
        for argument, asked in _ASKED.items():
            numbers = _numbers(prompt, asked)
            given = check.args.get(argument)
            if not numbers or not isinstance(given, int | float):
                continue
            if not numbers & {given - 1, given, given + 1}:
                told = " and ".join(map(str, sorted(numbers)))
                return f"the text has {told} {argument.removeprefix('num_')}, {argument} is {given:g}"
    return ""


def all_at_odds(tasks: Sequence[Task]) -> dict[str, str]:
    """The ids of the tasks whose text and arguments disagree, each with how."""
    return {task.id: problem for task in tasks if (problem := at_odds(task))}


def _numbers(prompt: str, asked: re.Pattern[str]) -> set[int]:
    """The numbers before the noun, of a range both; not those of each line or paragraph."""
    return {
        _SMALL.index(number.lower()) + 1 if number.lower() in _SMALL else int(number.replace(",", ""))
        for match in asked.finditer(prompt)
        if not _EACH.search(prompt[: match.start()])
        for number in match.groups()
        if number
    }


def remarks(tasks: Sequence[Task], left_out: Sequence[tuple[str, str]]) -> list[str]:
    """What a reader of the scores must know of the prompts, a sentence each.

    Args:
        tasks: those that are scored.
        left_out: the ids of those that are not, each with the reason.
    """
    notes = []
    by_reason: dict[str, list[str]] = {}
    for id, reason in left_out:
        by_reason.setdefault(reason, []).append(id)
    for reason, ids in by_reason.items():
        notes.append(f"Left out of the scores: {_count(ids)}, because {reason} ({_named(ids)}).")
    odd = [f"{id}: {problem}" for id, problem in all_at_odds(tasks).items()]
    if odd:
        which = _named(odd, "; ")
        notes.append(f"In {_count(odd)} text and arguments disagree; the arguments decide ({which}).")
    signs = [task.id for task in tasks if any(map(_counts_a_sign, task.checks))]
    if signs:
        notes.append(
            f"{_count(signs)} with a sign to count that is no letter: it is counted, where older official "
            f"checkers drew a letter at random ({_named(signs)})."
        )
    return notes


def _counts_a_sign(check: Check) -> bool:
    letter = check.args.get("letter")
    return check.id.endswith("keywords:letter_frequency") and isinstance(letter, str) and not letter.isalpha()


def _count(ids: Sequence[str]) -> str:
    return "1 prompt" if len(ids) == 1 else f"{len(ids)} prompts"


def _named(ids: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return between.join(ids[:NAMED]) + more
