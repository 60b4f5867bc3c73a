"""Prompts that cannot be judged, and those whose text and arguments disagree."""

from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.judges.ifeval.prompts import all_at_odds, at_odds, decidable, remarks
from biddable.tasks.ifeval import load_ifeval
from biddable.types import Check, Task, user

PUBLISHED = Path(__file__).parents[4] / "shared/data"
REFUSED = Check("ja:detectable_format:nominal_ending", {"count": 1})
PLAIN = Check("punctuation:no_comma", {})


def asked(prompt, id="length_constraints:number_words", **args):
    return Task("7", user(prompt), (Check(id, args),))


@pytest.mark.parametrize(
    ("prompt", "args"),
    [
        ("Write at least 400 words.", {"num_words": 336, "relation": "at least"}),
        ("Write a 1,200+ word essay.", {"num_words": 200.0, "relation": "at least"}),
        ("Answer in 100 to 120 words.", {"num_words": 90, "relation": "at least"}),
        ("Write five sentences.", {"num_sentences": 8, "relation": "at least"}),
        ("Exactly one bullet point. Make sure to include a few bullet points!", {}),
    ],
)
def test_at_odds(prompt, args):
    prompt = prompt.replace("Exactly", "Write exactly")
    problem = at_odds(asked(prompt, **args))
    assert problem
    for value in args.values():
        assert isinstance(value, str) or f"{value:g}" in problem


@pytest.mark.parametrize(
    ("prompt", "args"),
    [
        ("Write at least 400 words.", {"num_words": 400}),
        ("Write at most 150 words.", {"num_words": 151, "relation": "less than"}),
        ("Write more than 30 sentences.", {"num_sentences": 31}),
        ("Answer in 100 to 120 words.", {"num_words": 100}),
        ("Answer in 100 to 120 words.", {"num_words": 121}),
        ("Each line should contain exactly one sentence.", {"num_sentences": 30}),
        ("Write four hundred words.", {"num_words": 400}),
        ("Write much.", {"num_words": 400}),
        ("Write 5 words.", {"num_bullets": 3}),
        ("Write 5 words.", {"num_words": "five"}),
    ],
)
def test_not_at_odds(prompt, args):
    assert at_odds(asked(prompt, **args)) == ""


def test_what_cannot_be_decided_is_left_out_by_name():
    tasks = [Task("1", user("a"), (PLAIN,)), Task("2", user("b"), (PLAIN, REFUSED))]
    ready = decidable(tasks)
    assert ready.tasks == (tasks[0],)
    [(id, reason)] = ready.left_out
    assert id == "2"
    assert reason.startswith("ja:detectable_format:nominal_ending needs a dictionary")
    assert remarks(ready.tasks, ready.left_out) == [
        f"Left out of the scores: 1 prompt, because {reason} (2)."
    ]
    with pytest.raises(InputError, match="a known instruction id"):
        decidable([Task("3", user("c"), (Check("no:rule", {}),))])


def test_remarks_name_tasks_and_count_the_rest():
    odd = [
        Task(str(n), user("Write 9 words."), (Check("length_constraints:number_words", {"num_words": 3}),))
        for n in range(12)
    ]
    [note] = remarks(odd, ())
    assert note.startswith(
        "In 12 prompts text and arguments disagree; the arguments decide (0: the text has 9 words,"
    )
    assert "and 2 more" in note
    sign = Check(
        "en:keywords:letter_frequency", {"letter": "#", "let_frequency": 1, "let_relation": "at least"}
    )
    [note] = remarks([Task("5", user("a"), (sign,)), Task("6", user("b"), (PLAIN,))], ())
    assert note.startswith("1 prompt with a sign to count that is no letter: it is counted")
    assert "(5)" in note
    assert remarks([Task("6", user("b"), (PLAIN,))], ()) == []


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not there")
def test_the_published_prompts_at_odds():
    assert set(all_at_odds(load_ifeval(PUBLISHED / "ifeval/input_data.jsonl"))) == {"337", "2078"}
    assert all_at_odds(load_ifeval(PUBLISHED / "ifbench/IFBench_test.jsonl")) == {}
