"""Whether a text is an answer at all: rules on its form cannot see it, and training for them ruins it first.

``"*this*"`` highlights a phrase, and the request sent back between quotation marks is quoted. A model that
is rewarded for rules alone finds such answers within a few steps, so whoever trains on rules needs this too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from biddable.judges.base import Judge
from biddable.judges.ifeval import RuleJudge
from biddable.types import CheckResult, Response, Task, Verdict

NOT_DEGENERATE = "answer:not_degenerate"
"""The check's name in a verdict."""
MAY_COPY = {"combination:repeat_prompt", "detectable_format:constrained_response"}
"""Rules that ask for words of the request, or for hardly any."""
RUN = 4
"""Length, in words, of what counts as repeated or copied."""
MOST_REPEATED = 0.3
FEWEST_OWN_WORDS = 5

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")


def repetition(text: str) -> float:
    """The share of 4-grams that were there before, from 0 to 1 (seq-rep-4; Welleck et al. 2020, section 3).

    Words and punctuation marks count, so that loops of either are seen.
    """
    grams = _grams(_TOKEN.findall(text.lower()))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def own_words(request: str, text: str) -> tuple[int, int]:
    """How many words of ``text`` are outside runs of four or more from ``request``, and how many it has."""
    known = set(_grams(_WORD.findall(request.lower())))
    words = _WORD.findall(text.lower())
    copied = {i + k for i, gram in enumerate(_grams(words)) if gram in known for k in range(RUN)}
    return len(words) - len(copied), len(words)


def degeneracy(request: str, text: str, *, may_copy: bool = False) -> str:
    """What keeps a text from being an answer, in one sentence; empty where nothing does.

    A text is degenerate where more than 30 % of its 4-grams are repeats, where it has fewer than five words
    of its own, or where more than half of its words are copied from the request in runs of four or more. It
    is meant for answers of a sentence or longer: an answer of one word is not told from none.

    Args:
        may_copy: look for repetition only, as the request asks for its own words or for a word or two.
    """
    if repetition(text) > MOST_REPEATED:
        return "The answer repeats itself."
    if may_copy:
        return ""
    own, words = own_words(request, text)
    if own < min(FEWEST_OWN_WORDS, words) or own < words / 2:
        return "The answer copies the request."
    return "The answer says nothing." if own < FEWEST_OWN_WORDS else ""


@dataclass(frozen=True)
class AnswerJudge:
    """Another judge's verdict, and that the text is an answer: one more check, ``answer:not_degenerate``."""

    judge: Judge = field(default_factory=RuleJudge)

    def __call__(self, tasks: Sequence[Task], responses: Sequence[Response]) -> list[Verdict]:
        """As the other judge; a degenerate text does not pass, and its score is that of one check more."""
        verdicts = self.judge(tasks, responses)
        return [_with_answer(*row) for row in zip(tasks, responses, verdicts, strict=True)]


def _with_answer(task: Task, response: Response, verdict: Verdict) -> Verdict:
    may_copy = any(check.id in MAY_COPY for check in task.checks)
    fault = degeneracy(request_of(task), response.text, may_copy=may_copy)
    found = CheckResult(NOT_DEGENERATE, not fault, fault or "It is an answer of its own.")
    checks = (*verdict.checks, found)
    score = sum(check.passed for check in checks) / len(checks)
    reason = f"{verdict.reason} {fault}".strip()
    return replace(verdict, score=score, passed=verdict.passed and not fault, reason=reason, checks=checks)


def request_of(task: Task) -> str:
    """What the user said."""
    return "\n".join(message.content for message in task.prompt if message.role == "user")


def _grams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + RUN]) for i in range(len(tokens) - RUN + 1)]
