"""A judge that compares a response with a task's right answers.

Beside the measures of ``text_metrics`` there are three that read an answer out of the response first:
GSM8K's number, after "####" or the last one, by the rules of lm-evaluation-harness; and an option's letter.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from biddable.errors import InputError, shown
from biddable.judges import induction, text_metrics
from biddable.judges.base import require_equal_lengths
from biddable.types import CheckResult, Response, Task, Verdict

_Measure = Callable[[str, str], float]
_Extract = Callable[[str, Task], str | None]

_AFTER_MARK = re.compile(r"#### (-?[0-9.,]+)")
_NUMBER = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_OPTION = re.compile(r"\(?([A-Z])\)?")
_SAID = re.compile(
    r"\b(?i:answer|option|choice)(?i:\s++is)?\s*+:?\s*+[\"'*_$\\({\[]*(?:boxed\{)?\(?([A-Z])\b"
)
_FIRST = re.compile(r"[\"'*_(\[]*(?:([A-Z])(?:[\"'*_)\]]*(?=$|[).:,;\n]))|([B-HJ-Z])(?=\s))")
_ALONE = re.compile(r"\W*([A-Za-z])\W*")
_BRACKETED = re.compile(r"\(([A-Z])\)|\\boxed\{([A-Z])\}")


def _whole(text: str, task: Task) -> str:
    return text


def _strict_number(text: str, task: Task) -> str | None:
    match = _AFTER_MARK.search(text)
    return _plain_number(match[1]) if match else None


def _last_number(text: str, task: Task) -> str | None:
    numbers = _NUMBER.findall(text)
    return _plain_number(numbers[-1]) if numbers else None


def _plain_number(text: str) -> str:
    return text.strip().replace(",", "").replace("$", "").removesuffix(".")


def option_letter(text: str, task: Task) -> str | None:
    """The letter of the option that a response chooses; None where none is told, or several are.

    It is the response itself, else what follows "answer is" (the last time that is said), else a letter that
    the response begins with, else the only one in round brackets. A letter that is none of the task's options
    does not count.
    """
    letters = _letters(task)
    text = text.strip()
    alone = _ALONE.fullmatch(text)
    if alone and (letter := alone[1].upper()) in letters:
        return letter
    said = [letter for letter in _SAID.findall(text) if letter in letters]
    if said:
        return said[-1]
    first = _FIRST.match(text)
    if first and (letter := first[1] or first[2]) in letters:
        return letter
    bracketed = {first or second for first, second in _BRACKETED.findall(text)} & {*letters}
    return bracketed.pop() if len(bracketed) == 1 else None


def _letters(task: Task) -> str:
    if not task.choices:
        return string.ascii_uppercase
    named = [_OPTION.fullmatch(choice) for choice in task.choices]
    if all(named):
        return "".join(name[1] for name in named if name)
    return string.ascii_uppercase[: len(task.choices)]


def _option_matches(letter: str, reference: str) -> float:
    named = _OPTION.fullmatch(reference.strip().upper())
    return float(named is not None and named[1] == letter.upper())


def _same_number(number: str, reference: str) -> float:
    return float(number == _plain_number(reference.rpartition("#### ")[2]))


METRICS: dict[str, tuple[_Extract, _Measure]] = {
    "exact_match": (_whole, text_metrics.equality),
    "superni_exact_match": (_whole, text_metrics.superni_exact_match),
    "squad_exact_match": (_whole, text_metrics.squad_exact_match),
    "token_f1": (_whole, text_metrics.token_f1),
    "rouge_l": (_whole, text_metrics.rouge_l),
    "prefix_match": (_whole, text_metrics.prefix_match),
    "strict_prefix_match": (_whole, text_metrics.strict_prefix_match),
    "induction_exact_match": (_whole, induction.induction_exact_match),
    "induction_exact_set": (_whole, induction.induction_exact_set),
    "induction_contains": (_whole, induction.induction_contains),
    "induction_f1": (_whole, induction.induction_f1),
    "gsm8k_strict": (_strict_number, _same_number),
    "gsm8k_flexible": (_last_number, _same_number),
    "option_letter": (option_letter, _option_matches),
}
"""By name: what is read out of a response, and how that is compared with a reference."""


@dataclass(frozen=True)
class ReferenceJudge:
    """Scores a response, from 0 to 1, by the reference it is nearest to; None where no answer was read.

    Args:
        metric: a name of ``METRICS``, or several: the verdict's score is the first's, and each is a check.
        extract: a regular expression; what is compared is its first match instead of the whole response, or
            the first of its groups that matches.
        last: whether it is the last match instead.
        ignore: regular expressions; their matches are taken out of both texts before they are compared.
        ignore_case, ignore_punctuation: what else is no difference (punctuation is ASCII's).
        threshold: the score from which on a response passes.
    """

    metric: str | tuple[str, ...] = "exact_match"
    extract: str = ""
    last: bool = False
    ignore: tuple[str, ...] = ()
    ignore_case: bool = False
    ignore_punctuation: bool = False
    threshold: float = 1.0

    def __post_init__(self) -> None:
        """Raises InputError: no such metric or threshold, or a pattern is no regular expression."""
        if not self.names:
            raise InputError("metric", self.metric, f"at least one of {', '.join(METRICS)}")
        for name in self.names:
            if name not in METRICS:
                raise InputError("metric", name, f"one of {', '.join(METRICS)}")
        if not 0 < self.threshold <= 1:
            raise InputError("threshold", self.threshold, "a number above 0 and at most 1")
        if self.last and not self.extract:
            raise InputError("last", self.last, "false, or extract: a pattern of which it is the last match")
        if isinstance(self.ignore, str):
            raise InputError("ignore", self.ignore, "a tuple of regular expressions")
        for field, pattern in (("extract", self.extract), *(("ignore", each) for each in self.ignore)):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(field, pattern, f"a regular expression ({error})") from None

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics by name."""
        return (self.metric,) if isinstance(self.metric, str) else tuple(self.metric)

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """Compare each response with its task's references; ``seeds`` are ignored.

        A task without references is not decided: score and passed are None. A response that could not be
        read, or that is an error, does not pass.
        """
        require_equal_lengths(tasks, responses, seeds)
        return [self._verdict(task, response) for task, response in zip(tasks, responses, strict=True)]

    def _verdict(self, task: Task, response: Response) -> Verdict:
        if not task.references:
            return Verdict(None, None, "The task has no reference.")
        if response.error:
            return Verdict(None, False, response.error)
        scored = [self._score(name, task, response.text) for name in self.names]
        checks = tuple(
            CheckResult(f"reference:{name}", score is not None and score >= self.threshold, reason)
            for name, (score, reason) in zip(self.names, scored, strict=True)
        )
        return Verdict(scored[0][0], checks[0].passed, scored[0][1], checks)

    def _score(self, name: str, task: Task, response: str) -> tuple[float | None, str]:
        """The best score over the references, and what it is for in words."""
        extract, measure = METRICS[name]
        text = self._matched(response)
        answer = None if text is None else extract(text, task)
        if answer is None:
            return None, f"No answer was found in {shown(response)}."
        if name == "rouge_l" and not any(map(text_metrics.rouge_tokens, task.references)):
            return None, "ROUGE-L compares Latin letters and digits, and the references have none."
        answer = self._plain(answer)
        scored = [(measure(answer, self._plain(each)), each) for each in self._references(name, task)]
        score, nearest = max(scored, key=lambda pair: pair[0])
        return score, f"{shown(answer)} against {shown(nearest)}: {score:.4g}."

    def _references(self, name: str, task: Task) -> tuple[str, ...]:
        """A task's references; where letters are compared, the letters of choices that are texts."""
        if name != "option_letter" or all(_OPTION.fullmatch(each.strip()) for each in task.references):
            return task.references
        letters = dict(zip(task.choices, _letters(task), strict=False))
        return tuple(letters.get(each, each) for each in task.references)

    def _matched(self, text: str) -> str | None:
        if not self.extract:
            return text
        matches = list(re.finditer(self.extract, text))
        if not matches:
            return None
        match = matches[-1 if self.last else 0]
        return next((group for group in match.groups() if group), match[0] if not match.re.groups else None)

    def _plain(self, text: str) -> str:
        for pattern in self.ignore:
            text = re.sub(pattern, "", text)
        if self.ignore_case:
            text = text.lower()
        return text.translate(text_metrics.WITHOUT_PUNCTUATION) if self.ignore_punctuation else text


def reference_judge(
    metric: str,
    extract: str = "",
    last: bool = False,
    ignore: str = "",
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    threshold: float = 1.0,
) -> ReferenceJudge:
    """The judge by name: ``reference:rouge_l``, ``reference:exact_match,token_f1?ignore_case=true``."""
    return ReferenceJudge(
        tuple(name.strip() for name in metric.split(",")),
        extract,
        last,
        (ignore,) if ignore else (),
        ignore_case,
        ignore_punctuation,
        threshold,
    )
