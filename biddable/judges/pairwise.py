"""Which of two responses to one prompt is better: a language model that is shown both, or any judge's scores.

A model is asked twice, with either response in the first place, since models favour a place (L. Zheng et al.,
"Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", 2023, arXiv 2306.05685): a response wins that is
chosen in both places, else it is a tie. The wording of the request is ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import Protocol

from biddable import registry
from biddable.errors import InputError
from biddable.judges.base import Judge
from biddable.judges.labels import (
    ANSWER_TOKENS,
    LabelProbabilities,
    label_probabilities,
    quoted,
    quoted_prompt,
)
from biddable.judges.load import load_judge
from biddable.judges.rating import CRITERIA
from biddable.judges.summary import Mean
from biddable.models.base import LanguageModel
from biddable.runs.win_rate import EVEN, WinRate, win_rate
from biddable.types import Chat, Response, Task, Verdict, user

PAIRWISE = "pairwise"
"""What the name of a judge that is shown both responses begins with."""

PAIR_REQUEST = """\
Two responses to one instruction are compared. What counts: {criteria}.

<instruction>
{instruction}
</instruction>

<response A>
{a}
</response A>

<response B>
{b}
</response B>

Which response is better, A or B? Answer with the letter and nothing else:"""
"""What is the same in all requests comes first, so that it is computed once for all of them."""

REASONS = 3
"""Reasons why pairs were not decided that a note names."""
LETTERS = (("A",), ("B",))
# A capital letter that is no article and that nothing bad is said of, or a word for a tie.
_IS = r"is\b(?! (?:the |a |much |far )?(?:not|worse|worst|less|inferior|weaker)\b)|wins\b"
_NAMED = re.compile(
    rf"(?<![\w'])(?:(?P<letter>[AB])(?![\w'])(?! (?!{_IS}|over\b|or\b|and\b)[a-z])"
    r"|(?i:(?P<tie>tie|tied|draw|equal|equally)\b))"
)
_OPENING = re.compile(rf"\W*(?:(?:[Rr]esponse|[Oo]utput|[Aa]nswer)\W*)?([AB])\b(?! (?!{_IS})[a-z])")


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """What is said of two responses to one prompt.

    Attributes:
        win: 1 where the first is better, 0 where the second is, 1/2 for a tie; None where it is not decided.
        first_place: for each order in which they were shown (as they are, turned) how likely the one in the
            first place is to be better; empty where they were not shown together, or not read.
        critique: how it came about, or why it was not decided.
    """

    win: float | None
    first_place: tuple[float, ...] = ()
    critique: str = ""


class PairJudge(Protocol):
    """Says of many pairs at once which response is better."""

    def __call__(
        self,
        tasks: Sequence[Task],
        first: Sequence[Response],
        second: Sequence[Response],
        *,
        seeds: Sequence[int] | None = None,
    ) -> list[PairVerdict]:
        """One verdict for each pair, in order; ``seeds``, one for each pair, are for judges that sample."""


class PairwiseJudge:
    """A language model that is shown both responses, in either order; all requests are made at once.

    It decides by whether "A" or "B" is likelier. A model without log-probabilities writes its answer, in
    which a letter or a tie is read; where neither can be, in one of the orders, the pair is not decided.

    Args:
        model: the model that judges.
        criteria: what counts, as it stands in the request.
        max_tokens: the longest written answer.

    Raises:
        InputError: criteria are blank, or ``max_tokens`` is below 1.
    """

    def __init__(self, model: LanguageModel, criteria: str = CRITERIA, max_tokens: int = ANSWER_TOKENS):
        if not criteria.strip():
            raise InputError("criteria", criteria, "a text that says what counts")
        if max_tokens < 1:
            raise InputError("max_tokens", max_tokens, "an integer of at least 1")
        self.model, self.criteria, self.max_tokens = model, criteria.strip().removesuffix("."), max_tokens

    def __call__(
        self,
        tasks: Sequence[Task],
        first: Sequence[Response],
        second: Sequence[Response],
        *,
        seeds: Sequence[int] | None = None,
    ) -> list[PairVerdict]:
        """One verdict for each pair, in order; ``seeds`` change nothing.

        Raises:
            EndpointError: a served model answers nothing.
        """
        pairs = list(zip(tasks, first, second, strict=True))
        chats = [self._request(task, *shown) for task, a, b in pairs for shown in ((a, b), (b, a))]
        answers = label_probabilities(self.model, chats, LETTERS, _read, self.max_tokens)
        return [_verdict(*answers[i : i + 2]) for i in range(0, len(answers), 2)]

    def _request(self, task: Task, a: Response, b: Response) -> Chat:
        instruction = quoted_prompt(task.prompt)
        return user(
            PAIR_REQUEST.format(
                criteria=self.criteria, instruction=instruction, a=quoted(a.text), b=quoted(b.text)
            )
        )


def _read(text: str) -> tuple[float, float] | None:
    """The letter that a written answer opens with, else the only one in it, or a tie."""
    opening = _OPENING.match(text)
    matches = _NAMED.finditer(text)
    named = {opening[1]} if opening else {match["letter"] or "tie" for match in matches}
    if len(named) != 1:
        return None
    return {"A": (1.0, 0.0), "B": (0.0, 1.0), "tie": (EVEN, EVEN)}[named.pop()]


def _verdict(as_is: LabelProbabilities, turned: LabelProbabilities) -> PairVerdict:
    """What the answers to both orders come to."""
    if problem := as_is.problem or turned.problem:
        return PairVerdict(None, critique=problem)
    chances = as_is.probabilities[0], turned.probabilities[0]
    first, second = (_win(chance, EVEN) for chance in chances)
    how = "as written" if as_is.written else "by log-probability"
    if first == 1 - second:
        return PairVerdict(first, chances, f"the same in either order, {how}")
    return PairVerdict(EVEN, chances, f"the place decides, {how}")


def _win(ours: float, theirs: float) -> float:
    return EVEN if ours == theirs else float(ours > theirs)


@dataclass(frozen=True)
class ComparingJudge:
    """Any judge of single responses, by its scores: the higher one wins.

    Where it gives no scores, a response that passes wins over one that does not.
    """

    judge: Judge

    def __call__(
        self,
        tasks: Sequence[Task],
        first: Sequence[Response],
        second: Sequence[Response],
        *,
        seeds: Sequence[int] | None = None,
    ) -> list[PairVerdict]:
        """One verdict for each pair, in order. Raises what the judge raises."""
        drawn = None if seeds is None else [*(2 * seed for seed in seeds), *(2 * seed + 1 for seed in seeds)]
        verdicts = self.judge([*tasks, *tasks], [*first, *second], seeds=drawn)
        return [_compared(*both) for both in zip(verdicts[: len(tasks)], verdicts[len(tasks) :], strict=True)]


def _compared(first: Verdict, second: Verdict) -> PairVerdict:
    scores = [each.score for each in (first, second) if each.score is not None]
    if not all(map(isfinite, scores)):
        return PairVerdict(None, (), f"a score is {next(each for each in scores if not isfinite(each))}")
    if first.score is not None and second.score is not None:
        return PairVerdict(_win(first.score, second.score), (), f"{first.score:.4g} and {second.score:.4g}")
    if first.score is None and second.score is None and None not in (first.passed, second.passed):
        ours, theirs = bool(first.passed), bool(second.passed)
        return PairVerdict(_win(ours, theirs), (), f"passes: {ours} and {theirs}")
    blank = first if first.score is None else second
    return PairVerdict(None, (), blank.critique or "no score")


def load_pair_judge(spec: str) -> PairJudge:
    """A judge of pairs by name: ``pairwise:MODEL``, or what ``load_judge`` takes, by its scores.

    Options of the former are ``criteria`` and ``max_tokens``: ``pairwise:smollm2?criteria=how+polite+it+is``.

    Raises:
        InputError: there is no such judge, or it does not take such an option.
        ModelError: the model behind it cannot be found or read.
    """
    named, options = registry.split_spec("judge", spec)
    name, colon, argument = named.partition(":")
    if name != PAIRWISE:
        try:
            return ComparingJudge(load_judge(spec))
        except InputError as error:
            if (error.field, error.where) != ("judge", None):
                raise
            raise InputError("judge", spec, f"{PAIRWISE}:MODEL, {error.expected}") from None
    try:
        judge: PairJudge = registry.made(_pairwise_judge, [argument] if colon else [], options)
        return judge
    except InputError as error:
        raise error.at(f"judge {PAIRWISE}") from None


def _pairwise_judge(model: str, criteria: str = CRITERIA, max_tokens: int = ANSWER_TOKENS) -> PairJudge:
    from biddable.models.load import load_model

    return PairwiseJudge(load_model(model), criteria, max_tokens)


def judge_pairs(
    judge: PairJudge,
    tasks: Sequence[Task],
    first: Sequence[Response],
    second: Sequence[Response],
    *,
    seeds: Sequence[int] | None = None,
) -> list[PairVerdict]:
    """Judge each pair. What needs no judge is not asked: texts that are the same are a tie.

    A response that could not be had (``error``) loses against one that could; where neither could, nothing is
    decided. ``seeds``, one for each pair, are for judges that sample.

    Raises:
        InputError: not two responses for each task.
    """
    for name, responses in (("first", first), ("second", second)):
        if len(responses) != len(tasks):
            raise InputError(name, len(responses), f"as many as there are tasks ({len(tasks)})")
    verdicts = {place: known for place in range(len(tasks)) if (known := _known(first[place], second[place]))}
    rows = [place for place in range(len(tasks)) if place not in verdicts]
    if rows:
        judged = judge(
            [tasks[row] for row in rows],
            [first[row] for row in rows],
            [second[row] for row in rows],
            **({} if seeds is None else {"seeds": [seeds[row] for row in rows]}),
        )
        verdicts |= zip(rows, judged, strict=True)
    return [verdicts[place] for place in range(len(tasks))]


def _known(first: Response, second: Response) -> PairVerdict | None:
    if first.error and second.error:
        return PairVerdict(None, critique=f"no answer: {first.error}")
    if first.error or second.error:
        return PairVerdict(float(not first.error), critique=f"no answer: {first.error or second.error}")
    return PairVerdict(EVEN, critique="the same text") if first.text == second.text else None


@dataclass(frozen=True, slots=True)
class Order:
    """What showing pairs in both orders says of the judge.

    Attributes:
        first_place: the share of answers that choose the response in the first place, 1/2 where the place
            does not matter. An answer that chooses neither counts half.
        consistent: the share of pairs of which the same response is chosen in both orders.
    """

    first_place: Mean
    consistent: Mean


def order_of(verdicts: Sequence[PairVerdict], clusters: Sequence[Hashable] | None = None) -> Order | None:
    """How much the place decides; None where no pair was shown in both orders.

    ``clusters`` names for each pair what it shares with those that it is not independent of: its prompt.
    """
    from biddable.runs.statistics import share_interval

    rows = [row for row, verdict in enumerate(verdicts) if verdict.first_place]
    if not rows:
        return None
    groups = None if clusters is None else [clusters[row] for row in rows]
    firsts = win_rate(
        [fmean(_win(chance, EVEN) for chance in verdicts[row].first_place) for row in rows], clusters=groups
    )
    same = [float(verdicts[row].win in (0.0, 1.0)) for row in rows]
    alone = groups is None or len(set(groups)) == len(groups)
    interval = (
        share_interval(int(sum(same)), len(same)) if alone else win_rate(same, clusters=groups).interval
    )
    return Order(Mean(firsts.rate, firsts.interval, len(rows)), Mean(fmean(same), interval, len(rows)))


@dataclass(frozen=True, slots=True)
class PairSummary:
    """Verdicts on pairs: the win rate of the first of each, what the order did, and how many verdicts were
    not given, by the reason."""

    win_rate: WinRate
    order: Order | None
    undecided: dict[str, int]


def summarize_pairs(
    verdicts: Sequence[PairVerdict],
    first: Sequence[Response],
    second: Sequence[Response],
    clusters: Sequence[Hashable] | None = None,
) -> PairSummary:
    """The win rate of the first responses over the second, raw and at equal lengths (in characters).

    ``clusters`` names for each pair what it shares with those that it is not independent of: its prompt.

    Raises:
        InputError: no pair was decided, or something has another length.
    """
    reasons = Counter(verdict.critique for verdict in verdicts if verdict.win is None)
    if verdicts and len(verdicts) == reasons.total():
        reason, n = reasons.most_common(1)[0]
        raise InputError("verdicts", f"{len(verdicts)} undecided", f"one that is decided ({n}: {reason})")
    lengths = [len(each.text) for each in first], [len(each.text) for each in second]
    rate = win_rate([verdict.win for verdict in verdicts], lengths=lengths, clusters=clusters)
    return PairSummary(rate, order_of(verdicts, clusters), dict(reasons.most_common()))


def pair_notes(summary: PairSummary, first: Sequence[Response], second: Sequence[Response]) -> list[str]:
    """What a reader must know of verdicts on pairs, a sentence each.

    Who lost unjudged, what was left out and why, and whether the judge favours a place.
    """
    rate, notes = summary.win_rate, []
    gone = [(bool(ours.error), bool(theirs.error)) for ours, theirs in zip(first, second, strict=True)]
    ours, theirs = gone.count((True, False)), gone.count((False, True))
    if ours or theirs:
        notes.append(f"{ours} responses and {theirs} of the baseline could not be had, and lose.")
    if rate.undecided:
        why = "; ".join(f"{n}: {reason}" for reason, n in list(summary.undecided.items())[:REASONS])
        of = rate.n + rate.undecided
        notes.append(f"{rate.undecided} of {of} pairs are undecided and left out ({why}).")
    interval = summary.order and summary.order.first_place.interval
    if interval and not interval[0] <= EVEN <= interval[1]:
        place = "first" if interval[0] > EVEN else "second"
        notes.append(f"The judge favours the {place} place; where that decides, a pair is a tie.")
    return notes
