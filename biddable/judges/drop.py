"""DROP's exact match and F1: answers of one span or several, each a bag of words, numbers as numbers.

Source: Dua et al., NAACL 2019 (arXiv 1903.00161), and the rules of the benchmark's evaluation, which
lm-evaluation-harness has too. As there, a written answer is one span: of several it meets one at most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from biddable.judges.base import require_equal_lengths
from biddable.judges.text_metrics import ARTICLES, WITHOUT_PUNCTUATION
from biddable.types import CheckResult, Response, Task, Verdict

CHECK = "drop:em"


class DropJudge:
    """Scores a response by DROP's F1 with the nearest of people's answers; it passes if it is one of them.

    People's answers are a task's ``meta["spans"]``, of each a list of spans, as ``read_drop`` gives them.
    """

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """Compare each response with its task's answers; ``seeds`` are ignored.

        A task without answers is not decided: score and passed are None. A response that is an error does not
        pass.
        """
        require_equal_lengths(tasks, responses, seeds)
        return [_verdict(task, response) for task, response in zip(tasks, responses, strict=True)]


def drop_scores(predicted: Sequence[str], answer: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of predicted spans with those of one answer; both at least one.

    Exact match: as many spans on both sides, and the same ones. F1: spans are paired off one to one, so that
    the sum of the pairs' F1 is largest; that sum over the larger number of spans, to two digits.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    ours, theirs = list(map(drop_normalized, predicted)), list(map(drop_normalized, answer))
    exact = len(ours) == len(theirs) and {*ours} == {*theirs}
    f1 = np.array([[_bag_f1({*span.split()}, {*gold.split()}) for span in ours] for gold in theirs])
    pairs = linear_sum_assignment(f1, maximize=True)
    return float(exact), float(np.round(f1[pairs].sum() / max(f1.shape), 2))


def drop_normalized(text: str) -> str:
    """Words between blanks and hyphens, in lower case, without articles and ASCII punctuation.

    A word that is a number keeps its point, and is written as Python writes a float: "1,000" as "1000.0".
    """
    words = (_word(word) for word in re.split("[ -]", text.lower()))
    return " ".join(word for word in words if word)


def _word(text: str) -> str:
    text = text if _number(text) else text.translate(WITHOUT_PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", _number(text) or text).split())


def _number(text: str) -> str | None:
    try:
        return str(float(text))
    except ValueError:
        return None


def _bag_f1(ours: set[str], theirs: set[str]) -> float:
    """F1 of two sets of words; 0 where the answer holds numbers and ours none of them."""
    numbers = {word for word in theirs if _number(word)}
    if numbers and not numbers & ours:
        return 0.0
    if not ours or not theirs:
        return float(ours == theirs)
    precision, recall = len(ours & theirs) / len(ours), len(ours & theirs) / len(theirs)
    return 2 * precision * recall / (precision + recall) if precision else 0.0


def _verdict(task: Task, response: Response) -> Verdict:
    answers = task.meta.get("spans")
    if not answers:
        return Verdict(None, None, "The task has no answers of spans.")
    if response.error:
        return Verdict(None, False, response.error)
    exact, f1 = map(max, zip(*(drop_scores([response.text], spans) for spans in answers), strict=True))
    passed = exact == 1.0
    reason = f"F1 {f1:.2f} with the nearest of {', '.join(map(repr, task.references))}."
    return Verdict(f1, passed, reason, (CheckResult(CHECK, passed, reason),))
