from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.judges.deciding import DecidingJudge
from biddable.types import Response, Task, Verdict, user

TASKS = [Task(str(i), user("x")) for i in range(3)]
RESPONSES = [Response(text) for text in ("good", "torn", "lost")]


class Torn:
    """Decides on "good" at once, on "torn" at the second try, on "lost" never."""

    def __init__(self):
        self.calls: list[list[tuple[str, int]]] = []

    def __call__(self, tasks, responses, *, seeds=None):
        self.calls.append([(r.text, seed) for r, seed in zip(responses, seeds, strict=True)])
        last = {"good": 1, "torn": 2}
        return [
            Verdict(1.0, True, "fine")
            if last.get(response.text, 99) <= len(self.calls)
            else Verdict(0.5, None, "a tie")
            for response in responses
        ]


def test_only_the_undecided_are_asked_about_again_under_new_seeds():
    torn = Torn()
    verdicts = DecidingJudge(torn, tries=3)(TASKS, RESPONSES, seeds=[7, 8, 9])
    assert [[text for text, _ in call] for call in torn.calls] == [
        ["good", "torn", "lost"],
        ["torn", "lost"],
        ["lost"],
    ]
    assert [seed for _, seed in torn.calls[0]] == [7, 8, 9], "the first try is the judge's own"
    seeds = [seed for call in torn.calls for _, seed in call]
    assert len({*seeds}) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert [verdict.passed for verdict in verdicts] == [True, True, None]


def test_what_no_try_decides_has_no_score():
    verdict = DecidingJudge(Torn(), tries=2)(TASKS[2:], RESPONSES[2:])[0]
    assert verdict == Verdict(None, None, "undecided after 2 tries")


def test_a_row_does_not_depend_on_the_others():
    alone, together = Torn(), Torn()
    DecidingJudge(alone)(TASKS[2:], RESPONSES[2:], seeds=[9])
    DecidingJudge(together)(TASKS, RESPONSES, seeds=[7, 8, 9])
    assert [call[-1] for call in together.calls] == [call[-1] for call in alone.calls]


def test_bad_input():
    with pytest.raises(InputError, match="tries is 0"):
        DecidingJudge(Torn(), tries=0)
    with pytest.raises(InputError, match="seeds is 1"):
        DecidingJudge(Torn())(TASKS, RESPONSES, seeds=[1])
