"""Scoring FollowBench: the judge that reads how an instruction grew, the rule for templates, the scores.

Source: Jiang et al., ACL 2024 (arXiv 2310.20410), section 4. The wording of the request is ours; how the
answer is read and the three scores are the paper's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import TypedDict

import regex

from biddable.errors import InputError
from biddable.judges.base import require_equal_lengths
from biddable.models.base import GREEDY, LanguageModel, Sampling
from biddable.tasks.followbench import LEVELS
from biddable.types import Chat, CheckResult, Response, Task, Verdict, user

YES = "YES"
NOT_YES = ("NO", "PARTIAL", "MAYBE", "UNKNOWN", "N/A")
_WORDS = re.compile(rf"(?<![\w/])(?:{YES}|{'|'.join(NOT_YES)})(?![\w/])")
_AROUND = "` \t\r\n\u00a0\u200b\ufeff"
_QUOTES = " \t\r'\"‘’“”`*"

REQUEST = """\
An instruction was made harder by {n} constraint(s), added one at a time.

{growth}

Response to the last one:
{response}

Take the added constraints in order: say what each one is and whether the response satisfies it. Then end \
with one line that is nothing but a list of {n} string(s), one for each constraint: 'YES' or 'NO'."""


def followbench_chat(task: Task, response: str) -> Chat:
    """Ask which of the constraints that were added to the first instruction the response satisfies."""
    growth = [f"Constraints added: {n}\n{text}" for n, text in enumerate(task.meta["evolution"])]
    n = len(growth) - 1
    return user(REQUEST.format(n=n, growth="\n\n".join(growth), response=response))


def parse_satisfaction(text: str, n: int) -> tuple[bool, ...] | None:
    """Which of ``n`` constraints are satisfied, from the last line of a judge's answer; None if invalid.

    Blanks and code fences around the answer are no part of it. The line must hold one list of ``n`` words,
    with any text before and after it. Only YES satisfies; NO, PARTIAL, MAYBE, UNKNOWN and N/A do not; any
    other word makes the answer invalid. For n = 1 a line of text will do in which one of these words stands.

    The official parser reads the same lists, and is more generous with n = 1, where the letters YES or else
    NO anywhere in the line decide. Stricter here on purpose: "NOT SURE" is no NO, a line with both YES and NO
    says nothing, nor does a list of several. Invalid there and read here: lists without quotation marks or
    with curly ones, a fence with blanks behind it, and PARTIAL and the like for n = 1.
    """
    last_line = text.strip(_AROUND).rpartition("\n")[2]
    lists = re.findall(r"\[([^\[\]]*)\]", last_line)
    if n == 1 and not any("," in inner for inner in lists):
        said = set(_WORDS.findall(last_line))
        return (said == {YES},) if len(said) == 1 else None
    if len(lists) != 1:
        return None
    words = [word.strip(_QUOTES) for word in lists[0].split(",")]
    if len(words) == n + 1 and not words[-1]:  # a comma behind the last word
        words.pop()
    if len(words) != n or any(word != YES and word not in NOT_YES for word in words):
        return None
    return tuple(word == YES for word in words)


def matches_template(template: str, response: str) -> bool:
    """Whether the response is the template and nothing else, with one line of anything as its answer."""
    pattern = ".*".join(re.escape(part) for part in template.split("{answer}"))
    # With many answers in a template ``re`` may take ages.
    return regex.fullmatch(pattern, response) is not None


class FollowBenchJudge:
    """Judges tasks of ``load_followbench``: those of the kind *example* by rule, the rest by the model.

    A verdict's score is the share of the added constraints that are satisfied; it passes if all are.
    Both are None where the model's answer is invalid.
    """

    def __init__(self, model: LanguageModel, sampling: Sampling = GREEDY):
        self.model, self.sampling = model, sampling

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """One verdict for each response, from one call of the model; ``seeds`` are those of its samples.

        A response that could not be had does not pass, and nobody is asked about it. Where the model's answer
        could not be had, the verdict is as for an invalid one and says why.

        Raises:
            InputError: not one response, or not one seed, for each task.
        """
        require_equal_lengths(tasks, responses, seeds)
        asked = [
            i
            for i, (task, response) in enumerate(zip(tasks, responses, strict=True))
            if "template" not in task.meta and not response.error
        ]
        chats = [followbench_chat(tasks[i], responses[i].text) for i in asked]
        chat_seeds = None if seeds is None else [seeds[i] for i in asked]
        samples = self.model.generate(chats, sampling=self.sampling, seeds=chat_seeds) if chats else []
        answers = {i: of_chat[0] for i, of_chat in zip(asked, samples, strict=True)}
        return [
            _by_model(task, answers[i]) if i in answers else _without_model(task, response)
            for i, (task, response) in enumerate(zip(tasks, responses, strict=True))
        ]


class FollowBenchScores(TypedDict):
    """``hsr`` and ``ssr`` by level, from 1 to 5, each from 0 to 1; ``csl`` from 0 to 5.

    None stands where nothing could be scored. ``unparsed`` counts the verdicts that were left out.
    """

    hsr: list[float | None]
    ssr: list[float | None]
    csl: float | None
    unparsed: int


def followbench_scores(rows: Sequence[tuple[Task, Verdict]]) -> FollowBenchScores:
    """Hard and soft satisfaction rate and consistent satisfaction levels (equations 1-3).

    HSR is the share of responses that satisfy all constraints, SSR the mean share of constraints
    satisfied, CSL the mean over groups of the levels passed in a row from level 1 on. A verdict that
    could not be parsed is left out, and so is its group's CSL where that verdict would decide it.

    Raises:
        InputError: no rows, or a group in which a level is missing or twice.
    """
    if not rows:
        raise InputError("rows", rows, "at least one group of verdicts")
    groups: dict[str, list[tuple[int, Verdict]]] = defaultdict(list)
    for task, verdict in rows:
        groups[task.meta["group"]].append((task.meta["level"], verdict))
    ladders = [_ladder(group, graded) for group, graded in groups.items()]
    by_level = [[v for v in level if v.score is not None] for level in zip(*ladders, strict=True)]
    return {
        "hsr": [_mean([float(v.passed is True) for v in level]) for level in by_level],
        "ssr": [_mean([v.score for v in level if v.score is not None]) for level in by_level],
        "csl": _mean([float(run) for run in map(_consistent_levels, ladders) if run is not None]),
        "unparsed": sum(verdict.passed is None for _, verdict in rows),
    }


def _ladder(group: str, graded: list[tuple[int, Verdict]]) -> list[Verdict]:
    """A group's verdicts from level 1 to 5."""
    graded = sorted(graded, key=lambda pair: pair[0])
    levels = [level for level, _ in graded]
    if levels != LEVELS:
        raise InputError(f"levels of group {group}", levels, f"{LEVELS}, each once")
    return [verdict for _, verdict in graded]


def _consistent_levels(ladder: list[Verdict]) -> int | None:
    """Levels passed before the first that was not; None where that cannot be known."""
    for passed, verdict in enumerate(ladder):
        if verdict.passed is not True:
            return None if verdict.passed is None else passed
    return len(ladder)


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def _without_model(task: Task, response: Response) -> Verdict:
    if response.error:
        return Verdict(0.0, False, response.error)
    passed = matches_template(task.meta["template"], response.text)
    reason = f"{'is' if passed else 'is not'} of the form {task.meta['template']!r}"
    return Verdict(float(passed), passed, reason, (CheckResult("template", passed, reason),))


def _by_model(task: Task, answer: Response) -> Verdict:
    satisfied = None if answer.error else parse_satisfaction(answer.text, task.meta["level"])
    if satisfied is None:
        return Verdict(None, None, answer.error or answer.text)
    checks = tuple(CheckResult(f"constraint {i}", passed) for i, passed in enumerate(satisfied, 1))
    return Verdict(fmean(satisfied), all(satisfied), answer.text, checks)
