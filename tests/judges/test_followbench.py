from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.judges.followbench import (
    FollowBenchJudge,
    followbench_chat,
    followbench_scores,
    matches_template,
    parse_satisfaction,
)
from biddable.tasks.followbench import load_followbench
from biddable.types import CheckResult, Response, Task, Verdict, user
from tests.doubles import Scripted

PUBLISHED = Path(__file__).parents[2] / "../shared/data/followbench"


def task(level: int, group: str = "style/1") -> Task:
    evolution = [f"instruction {n}" for n in range(level + 1)]
    return Task(
        f"{group}/{level}", user(evolution[-1]), meta={"group": group, "level": level, "evolution": evolution}
    )


def template_task(template: str) -> Task:
    return Task("example/1/1", user("?"), meta={"group": "example/1", "level": 1, "template": template})


def test_the_judge_sees_the_whole_evolution_and_the_response():
    text = followbench_chat(task(3), "my {answer}")[0].content
    steps = [f"Constraints added: {n}\ninstruction {n}" for n in range(4)]
    places = [text.index(step) for step in [*steps, "Response to the last one:\nmy {answer}", "a list of 3 "]]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("text", "n", "satisfied"),
    [
        ("1) a pun: there.\n['YES', 'NO']", 2, (True, False)),
        ('Reasons\n\n["YES", "YES", "NO"]  \n', 3, (True, True, False)),
        ("So the list is ['NO', 'NO'].", 2, (False, False)),
        ("[YES, NO]", 2, (True, False)),
        ("['PARTIAL', 'MAYBE', 'UNKNOWN', 'N/A', 'YES']", 5, (False, False, False, False, True)),
        ("['YES']", 1, (True,)),
        ("It is a pun.\nYES", 1, (True,)),
        ("**NO**", 1, (False,)),
        ("'YES'.", 1, (True,)),
        # Fences, text around the list, a comma too many, a line around the word.
        ("The list:\n```\n['YES', 'NO']\n```", 2, (True, False)),
        ("The list:\n```python\n['YES', 'NO']\n```\n", 2, (True, False)),
        ("```\nOne holds.\n['NO', 'YES']\n```  \n", 2, (False, True)),
        ("Here it is: ```['YES', 'NO']```", 2, (True, False)),
        ("I looked closely. ```\n['YES', 'NO']```", 2, (True, False)),
        ("Reasons\r\n['YES', 'NO']\r\n", 2, (True, False)),
        ("**Final answer:** `['YES', 'YES']`", 2, (True, True)),
        ("['YES', 'NO',]", 2, (True, False)),
        ("[‘YES’, “NO”]", 2, (True, False)),
        ("Answer: YES", 1, (True,)),
        ("**Answer:** NO.", 1, (False,)),
        ("```\nYES\n```", 1, (True,)),
        ("Constraint [1]: YES", 1, (True,)),
        ("Answer: N/A", 1, (False,)),
        ("NO, it does not.", 1, (False,)),
        ("['YES',]", 1, (True,)),
        # Only the last line counts.
        ("['YES', 'YES']\nI hope this helps.", 2, None),
        ("['NO', 'NO']\n['YES', 'YES']", 2, (True, True)),
        # Wrong length, other words, no list, several lists.
        ("['YES']", 2, None),
        ("['YES', 'YES', 'YES']", 2, None),
        ("['YES', 'yes']", 2, None),
        ("['YES', 'PERHAPS']", 2, None),
        ("['YES', '']", 2, None),
        ("[]", 1, None),
        ("YES", 2, None),
        ("NOT SURE", 1, None),
        ("YES or NO?", 1, None),
        ("YES/NO: maybe", 1, None),
        ("Yes", 1, None),
        ("['YES', 'YES', 'YES']", 1, None),
        ("```\n```", 1, None),
        ("['YES'] and ['NO']", 1, None),
        ("[['YES'], ['NO']]", 2, None),
        ("", 1, None),
        ("", 3, None),
    ],
)
def test_parse_satisfaction(text, n, satisfied):
    assert parse_satisfaction(text, n) == satisfied


@pytest.mark.parametrize(
    ("template", "response", "matches"),
    [
        ("BOT: {answer}", "BOT: sports", True),
        ("BOT: {answer}", "BOT: ", True),
        ("BOT: {answer}", "bot: sports", False),
        ("BOT: {answer}", "The answer is BOT: sports", False),
        ("BOT: {answer}", "BOT: sports\n", False),
        ("BOT: {answer}", "BOT: one\ntwo", False),
        ("#Bot#\n{answer}", "#Bot#\none", True),
        ("#Bot#\n{answer}", "#Bot# one", False),
        ("{'bot': '{answer}'}", "{'bot': 'it's me'}", True),
        ("{'bot': '{answer}'}", "{'bot': 'yes'", False),
        ("[Bot] (a+b)? {answer}.", "[Bot] (a+b)? no.", True),
        ("[Bot] (a+b)? {answer}.", "B (aab) no!", False),
    ],
)
def test_the_whole_answer_must_match_the_template(template, response, matches):
    assert matches_template(template, response) is matches


def test_a_template_with_many_answers_takes_no_ages():
    assert not matches_template("{answer}a" * 24 + "{answer}b", "b" + "a" * 60)
    assert matches_template("{answer}a" * 24 + "{answer}b", "b" + "a" * 60 + "b")


def test_verdicts_come_from_the_rule_or_from_one_call_of_the_model():
    model = Scripted("fine\n['YES', 'NO']", "no idea")
    tasks = [task(2), template_task("BOT: {answer}"), task(1), template_task("BOT: {answer}")]
    responses = [Response(text) for text in ("a", "BOT: b", "c", "d")]
    verdicts = FollowBenchJudge(model)(tasks, responses)
    (call,) = model.asked
    assert call["prompts"] == [followbench_chat(tasks[0], "a"), followbench_chat(tasks[2], "c")]
    assert [(v.score, v.passed) for v in verdicts] == [(0.5, False), (1.0, True), (None, None), (0.0, False)]
    assert verdicts[0].checks == (CheckResult("constraint 1", True), CheckResult("constraint 2", False))
    assert verdicts[2].critique == "no idea"
    assert verdicts[3].critique == "is not of the form 'BOT: {answer}'"


def test_what_could_not_be_had_is_no_answer_and_no_judgement():
    model = Scripted("YES")
    missing = Response("", finish_reason="error", error="400: no")
    verdicts = FollowBenchJudge(model)(
        [task(1), template_task("{answer}"), task(1)], [missing] * 2 + [Response("a")]
    )
    assert [(v.score, v.passed, v.critique) for v in verdicts[:2]] == [(0.0, False, "400: no")] * 2
    assert verdicts[2].passed
    assert len(model.asked[0]["prompts"]) == 1

    model.generate = lambda *args, **options: [[Response("", finish_reason="error", error="503: say YES")]]
    (verdict,) = FollowBenchJudge(model)([task(1)], [Response("a")])
    assert verdict == Verdict(None, None, "503: say YES")


def test_templates_alone_need_no_model():
    model = Scripted("never asked")
    assert FollowBenchJudge(model)([template_task("A: {answer}")], [Response("A: b")])[0].passed
    assert model.asked == []


def ladder(group: str, *satisfied: int | None) -> list[tuple[Task, Verdict]]:
    """A group in which so many of the n constraints of level n are satisfied (None: unreadable)."""
    return [
        (
            task(level, group),
            Verdict(None, None) if count is None else Verdict(count / level, count == level),
        )
        for level, count in enumerate(satisfied, 1)
    ]


def test_scores_by_hand():
    rows = ladder("a", 1, 2, 1, 4, 5) + ladder("b", 0, 1, 3, 2, 4)
    scores = followbench_scores(rows)
    assert scores["hsr"] == [0.5, 0.5, 0.5, 0.5, 0.5]
    assert scores["ssr"] == pytest.approx([0.5, 0.75, 2 / 3, 0.75, 0.9])
    assert scores["csl"] == 1.0  # two levels and none
    assert scores["unparsed"] == 0


def test_all_or_nothing():
    assert followbench_scores(ladder("a", 1, 2, 3, 4, 5))["csl"] == 5.0
    nothing = followbench_scores(ladder("a", 0, 0, 0, 0, 0))
    assert (nothing["csl"], nothing["hsr"], nothing["ssr"]) == (0.0, [0.0] * 5, [0.0] * 5)


def test_rows_may_come_in_any_order():
    rows = ladder("a", 1, 2, 1, 4, 5) + ladder("b", 0, 1, 3, 2, 4)
    assert followbench_scores(rows[::-1]) == followbench_scores(rows)


def test_what_could_not_be_read_is_counted_and_never_scored():
    rows = ladder("a", 1, None, 3, 4, 5) + ladder("b", 1, 0, None, 4, 5)
    scores = followbench_scores(rows)
    assert scores["unparsed"] == 2
    assert scores["hsr"] == [1.0, 0.0, 1.0, 1.0, 1.0]
    assert scores["csl"] == 1.0  # b fails before its gap; a's run would depend on the gap
    lost = followbench_scores(ladder("a", None, None, None, None, None))
    assert (lost["hsr"], lost["ssr"], lost["csl"], lost["unparsed"]) == ([None] * 5, [None] * 5, None, 5)


def test_missing_levels_and_no_rows():
    with pytest.raises(InputError) as error:
        followbench_scores(ladder("a", 1, 2, 3, 4))
    assert str(error.value) == "levels of group a is [1, 2, 3, 4], expected [1, 2, 3, 4, 5], each once"
    with pytest.raises(InputError, match=r"levels of group a is \[1, 1, 2"):
        followbench_scores(ladder("a", 1, 2, 3, 4, 5) + ladder("a", 1))
    with pytest.raises(InputError, match="rows is"):
        followbench_scores([])


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published FollowBench files are not here")
def test_the_published_answers_fit_their_templates():
    path = PUBLISHED / "example_constraints.json"
    answers = {
        f"example/{row['example_id']}/{row['level']}": row["answer"] for row in json.loads(path.read_text())
    }
    tasks = load_followbench(path)
    verdicts = FollowBenchJudge(Scripted("never asked"))(tasks, [Response(answers[t.id]) for t in tasks])
    # One published answer runs over many lines, which the published rule does not allow.
    assert {t.meta["group"] for t, v in zip(tasks, verdicts, strict=True) if not v.passed} == {"example/4"}
    assert followbench_scores(list(zip(tasks, verdicts, strict=True)))["csl"] == pytest.approx(5 * 39 / 40)
