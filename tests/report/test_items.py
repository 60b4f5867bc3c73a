"""Answered items in a page: the data its script reads, what prompts share, and the overview."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from biddable.errors import InputError
from biddable.report.items import LONG_OPENING, embedded, overview
from biddable.runs.figures import Answer, Item, Items

SHOTS = "Questions about stars.\n\n" + "\n\n".join(f"Q: star {i}?\nA: yes" for i in range(30)) + "\n\n"


def items(*made: Item) -> Items:
    return Items("t", ("a", "b"), made)


def test_the_data_holds_no_markup_and_reads_back_as_it_was() -> None:
    text = "</script><!-- <script> & \u2028 雪 \x00 \u202e"
    figure = items(Item("1", text, text, text, (text,), {"b": Answer(text, None, 0.5, (text,))}))
    data = embedded(figure)
    assert not any(letter in data for letter in "<>&\u2028")
    [row] = json.loads(data)["items"]
    shown = "</script><!-- <script> & \u2028 雪 \\x00 \\u202e"
    assert row["prompt"] == row["references"][0] == json.loads(data)["suites"][0] == shown
    assert row["answers"] == [None, {"text": shown, "correct": None, "score": 0.5, "notes": [shown]}]


def test_what_the_prompts_of_a_group_open_with_is_kept_once() -> None:
    assert len(SHOTS) > LONG_OPENING
    made = [Item(str(i), "mmlu", "astronomy", f"{SHOTS}Q: question {i}?") for i in range(3)]
    data = json.loads(embedded(items(*made, Item("x", "mmlu", "law", f"{SHOTS}Q: alone?"))))
    assert data["openings"] == [SHOTS, ""]
    assert [row["prompt"] for row in data["items"][:3]] == [f"Q: question {i}?" for i in range(3)]
    assert data["items"][3]["prompt"] == f"{SHOTS}Q: alone?"
    for row, item in zip(data["items"], made, strict=False):
        assert data["openings"][row["opening"]] + row["prompt"] == item.prompt


def test_prompts_that_are_the_same_are_shown_whole() -> None:
    data = json.loads(embedded(items(Item("1", "s", "g", SHOTS), Item("2", "s", "g", SHOTS))))
    assert [row["prompt"] for row in data["items"]] == [SHOTS, SHOTS]


def test_the_overview_counts_what_each_model_got_right_by_suite_and_group() -> None:
    right, wrong, unread = Answer("t", True), Answer("t", False), Answer("t")
    made = items(
        Item("1", "bbh", "snarks", "p", (), {"a": right, "b": wrong}),
        Item("2", "mmlu", "law", "p", (), {"a": right}),
        Item("3", "bbh", "navigate", "p", (), {"a": unread, "b": right}),
        Item("4", "bbh", "snarks", "p", (), {"a": right, "b": right}),
    )
    columns, rows = overview(made)
    assert columns == ["suite", "group", "items", "a, right", "b, right"]
    assert rows == [["bbh", "snarks", 2, 2, 1], ["bbh", "navigate", 1, 0, 1], ["mmlu", "law", 1, 1, 0]]


def test_the_words_for_outcomes_and_places_are_the_figures() -> None:
    made = replace(items(), outcomes=("kept", "dropped"), places=("source", "step"))
    assert overview(made)[0] == ["source", "step", "items", "a, kept", "b, kept"]
    data = json.loads(embedded(made))
    assert (data["outcomes"], data["places"]) == (["kept", "dropped"], ["source", "step"])
    with pytest.raises(InputError, match=r"outcomes is \('kept', 'kept'\), expected two words that differ"):
        replace(made, outcomes=("kept", "kept"))
