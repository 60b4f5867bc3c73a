"""A language model that says how likely "yes" is, or rates a response on a scale.

The rating is the mean of the scale's digits by their probabilities, which is finer than the likeliest digit
(Y. Liu et al., "G-Eval", 2023, arXiv 2303.16634, without its steps of evaluation; the wording is ours).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from math import isfinite

from biddable.errors import InputError
from biddable.judges.base import require_equal_lengths
from biddable.judges.labels import (
    ANSWER_TOKENS,
    LabelProbabilities,
    label_probabilities,
    quoted,
    quoted_prompt,
)
from biddable.models.base import LanguageModel
from biddable.types import Chat, Prompt, Response, Task, Verdict, user

logger = logging.getLogger(__name__)

CRITERIA = "how well the response follows the instruction"

RATING_REQUEST = """\
Rate the response to the instruction from {low} (worst) to {high} (best). What counts: {criteria}.

<instruction>
{instruction}
</instruction>

<response>
{response}
</response>

Your rating, a number from {low} to {high} and nothing else:"""
"""What is the same in all requests comes first, so that it is computed once for all of them."""

YES_OR_NO = (("Yes", "yes", "YES"), ("No", "no", "NO"))
_OPENING = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_YES_OR_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
# What an answer says of the scale. One that names another scale names two numbers, and is not read.
_OF_A_SCALE = (
    r"(?<=\d)\s*(?:/|out of|of)\s*{high}(?:[.,]0+)?(?!\w)"
    r"|(?:scale|range)? ?(?:of|from) {low} ?(?:to|-|–) ?{high}(?!\w)"
)
_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:[.,]\d+)?(?!\w)")


def yes_probabilities(model: LanguageModel, prompts: Sequence[Prompt]) -> list[float]:
    """How likely the answer to each question is yes: P(yes) / (P(yes) + P(no)), from one call of ``score``.

    A model without log-probabilities writes its answer, which counts as 1 (yes), 0 (no) or, where it says
    neither, 0.5; how many those are is logged. So is a prompt that cannot be asked.

    Args:
        model: any model.
        prompts: questions that are answered with yes or no, as chats or raw text.

    Raises:
        EndpointError: a served model answers nothing.
    """
    answers = label_probabilities(model, prompts, YES_OR_NO, read_yes)
    if problems := [answer.problem for answer in answers if answer.problem]:
        counted = f"{len(problems)} of {len(answers)} questions"
        logger.warning("%s to %s count as 0.5; the first: %s", counted, model.name, problems[0])
    return [answer.probabilities[0] if answer.probabilities else 0.5 for answer in answers]


def read_yes(text: str) -> tuple[float, float] | None:
    """The word that the answer opens with, else the only one of the two in it."""
    opening = _OPENING.match(text)
    words = {word.lower() for word in ([opening[1]] if opening else _YES_OR_NO.findall(text))}
    return None if len(words) != 1 else (1.0, 0.0) if words == {"yes"} else (0.0, 1.0)


class RatingJudge:
    """Rates each response on a scale of digits; the score is the rating from 0 (worst) to 1 (best).

    The rating is the mean of the digits by their log-probabilities, of all requests in one call. A model
    without log-probabilities writes a number. What it does not rate has no score, and the critique says why.

    Args:
        model: the model that judges.
        criteria: what counts, as it stands in the request.
        scale: the lowest and the highest digit.
        threshold: a response passes whose score is at least this; None decides nothing.
        max_tokens: the longest written answer.

    Raises:
        InputError: the scale is not two digits that rise, criteria are blank, or a threshold not in [0, 1].
    """

    def __init__(
        self,
        model: LanguageModel,
        criteria: str = CRITERIA,
        scale: tuple[int, int] = (1, 5),
        threshold: float | None = 0.5,
        max_tokens: int = ANSWER_TOKENS,
    ):
        low, high = scale
        if not 0 <= low < high <= 9:
            raise InputError("scale", scale, "two digits that rise, of which each is one token: (1, 5)")
        if not criteria.strip():
            raise InputError("criteria", criteria, "a text that says what counts")
        if threshold is not None and not (isfinite(threshold) and 0 <= threshold <= 1):
            raise InputError("threshold", threshold, "a number from 0 (worst) to 1 (best)")
        if max_tokens < 1:
            raise InputError("max_tokens", max_tokens, "an integer of at least 1")
        self.model, self.criteria, self.scale = model, criteria.strip().removesuffix("."), (low, high)
        self.threshold, self.max_tokens = threshold, max_tokens
        self._of_scale = re.compile(_OF_A_SCALE.format(low=low, high=high), re.IGNORECASE)

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """One verdict for each response, in order; ``seeds`` change nothing.

        Raises:
            InputError: not one response for each task.
            EndpointError: a served model answers nothing.
        """
        require_equal_lengths(tasks, responses, seeds)
        chats = [self._request(task, each.text) for task, each in zip(tasks, responses, strict=True)]
        low, high = self.scale
        digits = [(str(digit),) for digit in range(low, high + 1)]
        answers = label_probabilities(self.model, chats, digits, self._read, self.max_tokens)
        return [self._verdict(answer) for answer in answers]

    def _request(self, task: Task, response: str) -> Chat:
        low, high = self.scale
        instruction = quoted_prompt(task.prompt)
        text = RATING_REQUEST.format(
            low=low, high=high, criteria=self.criteria, instruction=instruction, response=quoted(response)
        )
        return user(text)

    def _read(self, text: str) -> list[float] | None:
        """The only number of a written answer that is one on the scale; 3.5 is between two digits."""
        low, high = self.scale
        numbers = {
            float(number.replace(",", ".")) for number in _NUMBER.findall(self._of_scale.sub("", text))
        }
        if len(numbers) != 1 or not low <= (number := numbers.pop()) <= high:
            return None
        return [max(0.0, 1 - abs(number - digit)) for digit in range(low, high + 1)]

    def _verdict(self, answer: LabelProbabilities) -> Verdict:
        if answer.problem:
            return Verdict(None, None, f"no rating: {answer.problem}")
        low, high = self.scale
        rating = low + sum(place * probability for place, probability in enumerate(answer.probabilities))
        score = min(1.0, max(0.0, (rating - low) / (high - low)))
        how = "as written" if answer.written else "by log-probability"
        passed = None if self.threshold is None else score >= self.threshold
        return Verdict(score, passed, f"rated {rating:.2f} on a scale from {low} to {high}, {how}")
