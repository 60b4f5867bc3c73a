"""Numbers and durations read as people write them."""

from __future__ import annotations

import pytest

from biddable.report.formats import decimals, duration, flatten, number, plain, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (1.0, "1.000"),
        (0.00123, "0.00123"),
        (0.0, "0.000"),
        (-0.25, "−0.250"),
        (3.14159, "3.14"),
        (77.94, "77.9"),
        (12345.6, "12,346"),
        (12345, "12,345"),
        (-7, "−7"),
    ],
)
def test_a_number_shows_about_three_figures(value: float, text: str) -> None:
    assert number(value) == text


def test_the_decimals_of_a_row_suit_its_largest_number() -> None:
    assert decimals([0.2, 0.4]) == 3
    assert decimals([0.2, 40.0]) == 1
    assert decimals([]) == 3
    assert decimals([0.0, 40.0, 7.0]) == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0521, "+0.052"), (-0.0521, "−0.052"), (0.0, "0.000"), (-0.0001, "0.000"), (0.0001, "0.000")],
)
def test_a_difference_has_a_sign_unless_it_rounds_to_nothing(value: float, text: str) -> None:
    assert signed(value, 3) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.307, "0.31 s"), (42.4, "42 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_nested_settings_become_dotted_names() -> None:
    settings = {"model": "smollm2", "search": {"branch": 3, "gate": {}}, "seeds": [0, 1]}
    assert list(flatten(settings)) == [
        ("model", "smollm2"),
        ("search.branch", 3),
        ("search.gate", {}),
        ("seeds", [0, 1]),
    ]
    assert list(flatten({})) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "yes"), (1e-06, "1e-06"), ([0, [1, None]], "0, 1, none"), ("a", "a"), ({}, "{}")],
)
def test_settings_as_text(value: object, text: str) -> None:
    assert plain(value) == text
