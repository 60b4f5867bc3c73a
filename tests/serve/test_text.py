"""A text that grows: never half a character, never a part of a stop string, and all of it in the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biddable.serve.text import GrowingText, offsets


def of_bytes(ids) -> str:
    return bytes(ids).decode("utf-8", "replace")


def grown(text: str, stop=()) -> list[str]:
    """The pieces of a text whose tokens are its bytes."""
    tokens = list(text.encode())
    growing = GrowingText(of_bytes, stop)
    pieces = [growing.add(token) for token in tokens[:-1]]
    cuts = [place for each in stop if (place := text.find(each)) >= 0]
    return [*pieces, growing.end(tokens[-1], text[: min(cuts)] if cuts else text)]


@given(st.text(min_size=1, max_size=30))
def test_the_pieces_are_the_text(text: str) -> None:
    pieces = grown(text)
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces if "\ufffd" not in text)


@given(st.text("abc", min_size=1, max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_nothing_is_given_that_a_stop_string_takes_back(text: str, stop: list[str]) -> None:
    cuts = [place for each in stop if (place := text.find(each)) >= 0]
    whole = text[: min(cuts)] if cuts else text
    pieces = grown(text, stop)
    assert "".join(pieces) == whole


def test_text_comes_as_soon_as_it_is_sure() -> None:
    assert grown("aé€b") == ["a", "", "é", "", "", "€", "b"]
    assert grown("abcabd", ("abd",)) == ["", "", "abc", "", "", ""]


@pytest.mark.parametrize("half", [b"ab\xe2\x82", b"\xff"])
def test_what_never_becomes_a_character_is_given_in_the_end(half: bytes) -> None:
    growing = GrowingText(of_bytes, ())
    pieces = [growing.add(token) for token in half[:-1]]
    assert "".join([*pieces, growing.end(half[-1], of_bytes(half))]) == of_bytes(half)


@pytest.mark.parametrize(("stop", "rest"), [((), "n. Go on"), (("Go",), "n. "), (("on",), "n. Go ")])
def test_a_whole_text_that_its_pieces_do_not_make_loses_nothing_either(stop, rest) -> None:
    def tidied(ids) -> str:
        text = of_bytes(ids)
        return text.replace(" n.", "n.") if len(text) > 8 else text  # a short piece does not show it

    tokens = list(b"do it n. Go on")
    growing = GrowingText(tidied, stop)
    pieces = [growing.add(token) for token in tokens[:-1]]
    whole = tidied(tokens)
    assert whole == "do itn. Go on"
    cuts = [place for each in stop if (place := whole.find(each)) >= 0]
    text = "".join([*pieces, growing.end(tokens[-1], whole[: min(cuts, default=len(whole))])])
    assert text == "do it " + rest


@given(st.lists(st.text("ab é€", min_size=1, max_size=3), max_size=10))
def test_offsets_of_pieces_are_their_places(pieces: list[str]) -> None:
    assert offsets("".join(pieces), pieces) == [len("".join(pieces[:n])) for n in range(len(pieces))]


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("w1 w2 w1", ["w1", "w2", "w1", "<end>"], [0, 3, 6, 8]),
        ("w1 w2", ["<turn>", "w1", "<turn>", "w2"], [0, 0, 2, 3]),
        ("do itn. Go", ["do", " it", " n", ".", " Go"], [0, 2, 5, 6, 7]),
        ("aé €b", ["a", "\ufffd", "\ufffd", " \ufffd", "\ufffd", "b"], [0, 1, 1, 1, 1, 4]),
        ("éé", ["\ufffd", "\ufffd", "é"], [0, 0, 1]),
        ("\ufffda", ["\ufffd", "a"], [0, 1]),
        ("cut ", ["cut", " ", "off", " here"], [0, 3, 4, 4]),
        ("", ["a"], [0]),
    ],
)
def test_offsets_point_into_the_text_as_it_is(text: str, tokens: list[str], expected: list[int]) -> None:
    assert offsets(text, tokens) == expected
