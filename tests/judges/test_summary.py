from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.judges.summary import judge_responses, summarize_verdicts
from biddable.runs.statistics import mean_interval, share_interval
from biddable.types import CheckResult, Response, Task, Verdict, user

TASKS = [Task(str(i), user("x")) for i in range(3)]


def test_what_could_not_be_had_fails_without_being_judged():
    asked = []

    def judge(tasks, responses, *, seeds=None):
        asked.extend(response.text for response in responses)
        return [Verdict(1.0, True) for _ in responses]

    refused = Response("", finish_reason="error", error="too long")
    verdicts = judge_responses(judge, TASKS, [Response("a"), refused, Response("b")])
    assert asked == ["a", "b"]
    assert verdicts[1] == Verdict(None, False, "no answer: too long")
    assert [verdict.passed for verdict in verdicts] == [True, False, True]
    assert judge_responses(judge, TASKS[:1], [refused])[0].passed is False
    with pytest.raises(InputError, match="responses is 1"):
        judge_responses(judge, TASKS, [refused])


def test_the_undecided_and_unscored_are_counted_apart():
    met, missed = CheckResult("a", True), CheckResult("a", False)
    verdicts = [
        Verdict(1.0, True, checks=(met,)),
        Verdict(0.0, False, checks=(missed, CheckResult("b", True))),
        Verdict(0.5, None, checks=(met, missed)),
        Verdict(None, None),
    ]
    summary = summarize_verdicts(verdicts)
    assert (summary.n, summary.undecided, summary.unscored) == (4, 2, 1)
    assert (summary.passed.value, summary.passed.n) == (0.5, 2)
    assert (summary.score.value, summary.score.n) == (0.5, 3)
    low, high = summary.score.interval
    assert low < 0.5 < high
    assert {name: (mean.value, mean.n) for name, mean in summary.checks.items()} == {
        "a": (0.5, 4),
        "b": (1.0, 1),
    }


def test_a_reward_model_without_a_threshold_passes_nothing_and_fails_nothing():
    summary = summarize_verdicts([Verdict(-3.0, None)])
    assert summary.passed is None
    assert (summary.score.value, summary.score.interval, summary.undecided) == (-3.0, None, 1)


def test_the_share_that_passes_has_an_interval_with_a_width():
    for passes, count in ((True, 20), (False, 0)):
        summary = summarize_verdicts([Verdict(1.0, passes)] * 20)
        assert summary.passed.interval == share_interval(count, 20)
        assert summary.score.interval is None
        of_five = summarize_verdicts([Verdict(1.0, passes)] * 20, [place // 4 for place in range(20)])
        assert of_five.passed.interval == share_interval(count // 4, 5)


def test_responses_to_one_prompt_are_counted_together():
    verdicts = [Verdict(score, score > 0.5) for score in (1.0, 0.2, 0.9, 0.1, 0.3) for _ in range(4)]
    apart, together = summarize_verdicts(verdicts), summarize_verdicts(verdicts, [n // 4 for n in range(20)])
    assert together.score.interval == pytest.approx(mean_interval([1.0, 0.2, 0.9, 0.1, 0.3]))
    assert together.score.value == apart.score.value
    low, high = together.passed.interval
    assert 0 <= low < apart.passed.interval[0] < apart.passed.interval[1] < high <= 1
    assert summarize_verdicts(verdicts, range(20)) == apart


def test_no_verdicts():
    with pytest.raises(InputError, match="verdicts is"):
        summarize_verdicts([])
