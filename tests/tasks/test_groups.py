from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.tasks.groups import chosen


def test_some_or_all():
    assert chosen("tasks", [], {"a": 1, "b": 2}) == ["a", "b"]
    assert chosen("tasks", ["b", "a", "b"], ["a", "b"]) == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anatomi", "one of 40: anatomy?"),
        ("x", "one of 40: anatomy, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, …"),
        ("anatomy,s1", "one of 40: anatomy?"),
    ],
)
def test_a_name_that_is_none(name, expected):
    with pytest.raises(InputError) as error:
        chosen("subjects", [name], ["anatomy", *(f"s{n}" for n in range(39))])
    assert str(error.value) == f"subjects is {name!r}, expected {expected}"
