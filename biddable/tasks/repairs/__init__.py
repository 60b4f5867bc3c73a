"""Repairs by rule: a small edit of a real response after which it does what was asked.

They stand in for a language model as the refiner of SPaR (arXiv 2412.11605, section 2.3): the two sides
of a preference pair then differ in little but the constraint that was missed. Where no edit would make
sense (another language, a text that is far too short) there is no repair, and ``repair`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from biddable.errors import InputError
from biddable.tasks.compose import conflicts as ids
from biddable.tasks.repairs import shape, wording
from biddable.tasks.repairs.context import Context
from biddable.tasks.repairs.frame import Frame, Rules, complete, put_together, take_apart
from biddable.tasks.repairs.text import sentence_ends, words
from biddable.types import Task

__all__ = ["repair"]

Fix = Callable[[str, Any, Context], str | None]

# These concern every corner of the response.
TEXT_FIXES: dict[str, Fix] = {ids.FORBIDDEN: wording.forbidden_words, ids.NO_COMMA: wording.no_comma}
# What takes away comes before what adds, and the layout comes last, over the final sentences.
BODY_FIXES: dict[str, Fix] = {
    ids.WORDS: shape.word_count,
    ids.SENTENCES: shape.sentence_count,
    ids.LETTER: wording.letter_frequency,
    ids.EXISTENCE: wording.keyword_existence,
    ids.FREQUENCY: wording.word_frequency,
    ids.PLACEHOLDERS: shape.placeholders,
    ids.CONSTRAINED: shape.constrained_response,
    ids.TWO_RESPONSES: shape.two_responses,
    ids.BULLETS: shape.bullets,
    ids.PARAGRAPHS: shape.starred_paragraphs,
    ids.FIRST_WORD: shape.paragraph_first_word,
    ids.SECTIONS: shape.sections,
    ids.HIGHLIGHTS: shape.highlights,
    ids.CAPITAL_WORDS: wording.capital_words,
}
FRAME_RULES = frozenset(
    {
        ids.TITLE,
        ids.POSTSCRIPT,
        ids.END,
        ids.QUOTATION,
        ids.REPEAT_PROMPT,
        ids.JSON,
        ids.CAPITAL,
        ids.LOWERCASE,
    }
)
ROUNDS = 4
"""How often the body is shortened again for what was added around it."""


def repair(
    task: Task, response_text: str, failed_check_ids: Collection[str], rng: np.random.Generator
) -> str | None:
    """An edit of the response that meets the failed checks and, where possible, still meets the others.

    The result is an attempt, to be judged like any other response. None means that there is no
    sensible edit: nothing to work on, a language to translate into, text missing that only a writer
    could add, or nothing that this response would change by.

    Raises:
        InputError: a failed check that the task does not have.
    """
    rules: Rules = {check.id: check.args for check in task.checks}
    for check_id in failed_check_ids:
        if check_id not in rules:
            raise InputError("failed_check_ids", check_id, "one of the task's checks: " + ", ".join(rules))
    repairable = TEXT_FIXES.keys() | BODY_FIXES.keys() | FRAME_RULES
    if not response_text.strip() or not failed_check_ids or not repairable.issuperset(failed_check_ids):
        return None
    failed = set(failed_check_ids)
    context = Context(rules, rng, room=_upper_limits(rules))
    whole = response_text
    for rule, fix in TEXT_FIXES.items():
        if rule in failed:
            whole = fix(whole, rules[rule], context) or whole
    frame, body = take_apart(whole, rules)
    # A check that passed is looked after as well, unless its fix would touch even the original.
    fixes = {
        rule: fix
        for rule, fix in BODY_FIXES.items()
        if rule in failed or (rule in rules and fix(body, rules[rule], context) == body)
    }
    for _ in range(ROUNDS):
        text = _attempt(replace(frame), body, fixes, failed, context)
        if text is None or not _tightened(text, context):
            break
    return None if text is None or text.strip() == response_text.strip() else text


def _attempt(
    frame: Frame, body: str, fixes: Mapping[str, Fix], failed: Collection[str], context: Context
) -> str | None:
    for rule, fix in fixes.items():
        fixed = fix(body, context.rules[rule], context)
        if fixed is not None:
            body = fixed
        elif rule in failed:
            return None
    completed = complete(frame, body, context)
    return None if completed is None else put_together(frame, completed, context.rules)


def _upper_limits(rules: Rules) -> dict[str, int]:
    """The most words and sentences a response may have, where there is such a rule."""
    return {
        rule: rules[rule][number] - 1
        for rule, number in ((ids.WORDS, "num_words"), (ids.SENTENCES, "num_sentences"))
        if rule in rules and rules[rule]["relation"] == "less than"
    }


def _tightened(text: str, context: Context) -> bool:
    """Take from the room of the body what the whole text has too much; False if it fits."""
    lengths = {ids.WORDS: len(words(text)), ids.SENTENCES: len(sentence_ends(text))}
    excess = {rule: lengths[rule] - limit for rule, limit in _upper_limits(context.rules).items()}
    for rule, surplus in excess.items():
        context.room[rule] -= max(0, surplus)
    return any(surplus > 0 for surplus in excess.values())
