"""Texts of a model become instructions and samples, or a reason why not."""

from __future__ import annotations

from typing import Any

import pytest

from biddable.tasks.generated import (
    Sample,
    filter_instruction,
    is_classification,
    novel,
    parse_input_first,
    parse_instances,
    parse_output_first,
    post_filter,
    split_instructions,
)
from biddable.tasks.steps import Drop


def reason(result: Any) -> str:
    assert isinstance(result, Drop)
    return result.reason


def test_a_list_is_cut_at_its_numbers() -> None:
    raw = " Name a  fruit. |EoS|\n12. Name 2. of them.\n13 . Sing. \n14. |EoS|"
    assert split_instructions(raw) == ["Name a fruit.", "Name 2. of them.", "Sing."]
    assert split_instructions("  ") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Name a fruit.", "too short"),
        ("word " * 151, "too long"),
        ("Describe the Image in words.", "asks for more than text"),
        ("Please go to the shop now.", "asks for more than text"),
        ("Write a program that sorts numbers.", "asks for a program"),
        ("- Name a fruit you like.", "begins with punctuation"),
        ("Ärger dich nicht so sehr.", "begins with a letter that is not ASCII"),
    ],
)
def test_instructions_that_are_none(text: str, why: str) -> None:
    assert reason(filter_instruction(text)) == why


@pytest.mark.parametrize(
    "text",
    [
        "Name a fruit you like.",
        "word " * 150,
        "Explain what filed mapping means.",
        "Write a programme of the day.",
    ],
)
def test_instructions_that_stay(text: str) -> None:
    assert filter_instruction(text) == text or text.startswith("Write a program")


def test_what_is_near_to_a_seed_or_to_what_was_kept_is_not_new() -> None:
    seeds = ["Name a fruit that is red."]
    first, near, other, again = novel(
        [
            "Tell me a joke about cats.",
            "Name a fruit that is blue.",
            "What is rain?",
            "Tell me a joke about dogs.",
        ],
        seeds,
        0.7,
    )
    assert (first, other) == ("Tell me a joke about cats.", "What is rain?")
    assert isinstance(near, Drop)
    assert near.like == seeds[0]
    assert isinstance(again, Drop)
    assert again.like == first
    # Exactly at the threshold, and without stemming: "fruits" is another word.
    assert novel(["a b c d e f g x y z"], ["a b c d e f g h i j"], 0.7) == ["a b c d e f g x y z"]
    assert novel(["fruits apples"], ["fruit apple"], 0.1) == ["fruits apples"]
    assert novel([], seeds, 0.7) == []


def test_an_instance_with_an_input() -> None:
    raw = (
        "input: 3, 4 |EoS|\noutput: 7 |EoS|\nso it is\n\ninstruction: Double the number.\ninput: 2\noutput: 4"
    )
    assert parse_instances(raw, "Add up. |EoS|", "input") == [Sample("Add up.", "3, 4", "7")]


@pytest.mark.parametrize(
    ("raw", "kind", "why"),
    [
        ("", "input", "nothing was written"),
        (" \n ", "output", "nothing was written"),
        ("the answer is 7", "input", "line 1 is no input"),
        ("input: 3", "input", "line 2 is no output"),
        ("input: 3\n4\noutput: 7", "input", "line 2 is no output"),
        ("input: 3\noutput: |EoS|", "input", "the output is empty"),
        ("input: 3\noutput: 7", "output", "line 1 is no output"),
        ("output:", "output", "the output is empty"),
    ],
)
def test_instances_that_are_none(raw: str, kind: Any, why: str) -> None:
    assert reason(parse_instances(raw, "Add up.", kind)) == why


def test_an_empty_input_stays_and_a_caret_cuts_nothing() -> None:
    assert parse_instances("input:\noutput: 2^3", "Say.", "input") == [Sample("Say.", "", "2^3")]


def test_later_instructions_count_where_that_is_asked_for() -> None:
    raw = (
        "output: blue\n\ninstruction: Name a fruit that is red.\noutput: apple\n\n"
        "instruction: Too short here.\noutput: x\n\n"
        "instruction: Add up the two numbers.\ninput: 1, 2\noutput: 3\n\ninstruction: Cut off in the"
    )
    assert parse_instances(raw, "Name a colour.", "output") == [Sample("Name a colour.", "", "blue")]
    assert parse_instances(raw, "Name a colour.", "output", later=True) == [
        Sample("Name a colour.", "", "blue"),
        Sample("Name a fruit that is red.", "", "apple"),
        Sample("Add up the two numbers.", "1, 2", "3"),
    ]
    # A first part that is none does not take the later ones with it, nor lend them its instruction.
    rest = parse_instances("no idea\n\n" + raw.partition("\n\n")[2], "Name a colour.", "output", later=True)
    assert not isinstance(rest, Drop)
    assert [each.output for each in rest] == ["apple", "3"]


def test_self_instruct_input_first() -> None:
    raw = "Example 1\nInput: a\nb\nOutput: A\nExample 2\nInput: c\nOutput: C\nExample 3\nInput: d"
    assert parse_input_first(raw, "Shout.") == [Sample("Shout.", "a\nb", "A"), Sample("Shout.", "c", "C")]
    assert parse_input_first("Output: hi\n", "Greet.") == [Sample("Greet.", "", "hi")]
    assert parse_input_first("Hello there!", "Greet.") == [Sample("Greet.", "", "Hello there!")]
    assert reason(parse_input_first(" \n", "Greet.")) == "no instance was written"
    assert parse_input_first(raw, "Shout.", cut_off=True) == [Sample("Shout.", "a\nb", "A")]
    cut = reason(parse_input_first("Output: hi and", "Greet.", cut_off=True))
    assert cut == "cut off before the end of the first instance"


def test_self_instruct_output_first() -> None:
    raw = "Class label: happy\nInput: I won!\nClass label: sad\nI lost."
    assert parse_output_first(raw, "Mood?") == [
        Sample("Mood?", "I won!", "happy"),
        Sample("Mood?", "I lost.", "sad"),
    ]
    assert reason(parse_output_first("happy", "Mood?")) == "no instance was written"


@pytest.mark.parametrize(("raw", "yes"), [(" Yes", True), ("yes, it is", True), ("No", False), ("", False)])
def test_classification(raw: str, yes: bool) -> None:
    assert is_classification(raw) is yes


def test_post_filters() -> None:
    good = Sample("x", "a", "b")
    assert post_filter([good, good, Sample("x", "c", "c"), Sample("x", "d", "")]) == [good]
    assert reason(post_filter([Sample("x", "c", "c")])) == "the output is the input"
    assert reason(post_filter([Sample("x", "c", "")])) == "the output is empty"
    assert reason(post_filter([Sample("x", "c:", "d")])) == "input or output ends in a colon"
    assert reason(post_filter([good, Sample("x", "a", "other")])) == "one input has two outputs"
    assert post_filter([Sample("x", "", "b"), Sample("x", "", "c")]) == [
        Sample("x", "", "b"),
        Sample("x", "", "c"),
    ]
