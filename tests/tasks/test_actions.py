"""Actions: every kind of wrong list is read and counted, and an unknown word stays unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.actions import (
    Taxonomy,
    action_text,
    normalise,
    parse_action_list,
    read_actions,
)

TAXONOMY = Taxonomy.from_classes(
    [["take", "grab", "pick-up"], ["put", "place"], ["turn-on"], ["pour"], ["measure"]],
    [["cup", "mug"], ["water"], ["chopping-board"], ["tap"], ["ladder"]],
)


def counted(text: str, length: int = 3) -> tuple[str, dict[str, int]]:
    parsed = parse_action_list(text, TAXONOMY, length)
    return action_text(parsed.actions), parsed.counts


def test_words_are_brought_to_one_form() -> None:
    assert normalise(" Turn_On ") == "turn-on"
    assert normalise("board:chopping") == "chopping-board"
    assert normalise("Don't!") == "don't"
    assert normalise(" .,: ") == ""


def test_a_plain_list() -> None:
    text, counts = counted("take cup, put cup, pour water")
    assert text == "take cup, put cup, pour water"
    assert counts == {"replies": 1, "items": 3}


@pytest.mark.parametrize(
    "text",
    [
        "The next 3 actions are: take cup, put cup, pour water.",
        "Sure:\n\n1. Take cup\n2. Put cup\n3. Pour water\n",
        "- take cup;put cup;\n* pour water",
        "1) take cup 2) put cup 3) pour water",
        "take cup => put cup -> pour water",
        " take cup, , put cup,, pour water ###",
    ],
)
def test_lists_of_every_form(text: str) -> None:
    assert counted(text)[0] == "take cup, put cup, pour water"


def test_other_than_two_words() -> None:
    text, counts = counted("turn on tap, take the chopping board, pick up a mug, put", 4)
    assert text == "turn-on tap, take chopping-board, take cup, put "
    assert counts["of other than two words"] == 4
    assert counts["unknown nouns"] == 1


def test_an_unknown_word_is_no_frequent_one() -> None:
    text, counts = counted("take dough, frobnicate cup, wait for answer")
    assert text == "take dough, frobnicate cup, wait answer"
    assert (counts["unknown verbs"], counts["unknown nouns"]) == (2, 2)


def test_synonyms_and_spelling_are_taken_and_counted() -> None:
    text, counts = counted("grab mug, measre ladder, pour waters")
    assert text == "take cup, measure ladder, pour water"
    assert (counts["synonyms"], counts["by spelling"]) == (2, 2)
    assert parse_action_list("pour waters", TAXONOMY, 1, cutoff=100).counts["unknown nouns"] == 1


def test_too_long_too_short_and_nothing() -> None:
    assert counted("take cup, take cup, take cup, put cup")[1]["items cut off"] == 1
    text, counts = counted("take cup")
    assert text == "take cup, take cup, take cup"
    assert counts["actions repeated"] == 2
    for nothing in ("", "  ,\n, 1.", "I am sorry but nothing here can be said about that"):
        text, counts = counted(nothing)
        assert text == ""
        assert counts["empty replies"] == 1


@pytest.mark.parametrize(("name", "value"), [("length", 0), ("cutoff", 101.0), ("cutoff", -1.0)])
def test_numbers_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        parse_action_list("take cup", TAXONOMY, **{name: value})


def test_the_taxonomy_of_ego4d(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    entries = {"verbs": ["put_(place,_leave)", "turn_on_(switch_on)"], "nouns": ["baking_soda", "cup_(mug)"]}
    path.write_text(json.dumps(entries))
    made = Taxonomy.from_json(path)
    assert list(made.verbs) == ["put", "turn-on"]
    assert made.label(("leave", "mug")) == ("put", "cup")
    assert made.label(("switch-on", "baking-soda")) == ("turn-on", "baking-soda")
    assert made.label(("eat", "mug")) is None
    assert Taxonomy(**made.plain()).find("place", "verb") == ("put", "synonym")  # type: ignore[arg-type]


def test_a_word_of_two_classes_is_its_own_class_s() -> None:
    made = Taxonomy.from_classes([["take", "put"], ["put", "grab"], ["hold", "grab"]], [["cup"]])
    assert made.label(("put", "cup")) == ("put", "cup")
    assert made.label(("grab", "cup")) == ("put", "cup")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "lists verbs and nouns"),
        ({"verbs": ["put"]}, "nouns: expected a list of texts"),
        ({"verbs": ["put", "put_(x)"], "nouns": ["cup"]}, "another word than that of an earlier class"),
        ({"verbs": [], "nouns": ["cup"]}, "at least one word"),
        ({"verbs": ["_(put)"], "nouns": ["cup"]}, "verbs is ''"),
    ],
)
def test_no_taxonomy(tmp_path: Path, value: Any, told: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(value))
    with pytest.raises(FileError, match=told) as refused:
        Taxonomy.from_json(path)
    assert "\n" not in str(refused.value)


def test_actions_as_a_user_writes_them() -> None:
    pairs = (("take", "cup"), ("turn-on", "chopping-board"))
    assert read_actions("actions", "Take cup, turn-on board:chopping ###") == pairs
    assert read_actions("actions", ["take cup", ["turn_on", "chopping-board"]]) == pairs
    for bad, told in (
        ("take cup, put", r"actions\[1\] is ' put', expected two words"),
        (["take the cup"], r"actions\[0\]"),
        ([["take", "!"]], r"actions\[0\]"),
        ([3], r"actions\[0\]"),
        (3, "actions is 3"),
    ):
        with pytest.raises(InputError, match=told):
            read_actions("actions", bad)
