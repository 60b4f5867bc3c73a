from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from biddable.runs.codec import decode, describe, digest, encode, first_problem, seal, unseal
from biddable.types import (
    Check,
    CheckResult,
    Comparison,
    Preference,
    Response,
    Task,
    Trajectory,
    Verdict,
    user,
)

ROOT = Path(__file__).parents[2]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
number = st.floats(allow_nan=False)
free = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
meta = st.dictionaries(text, free, max_size=3)
tasks = st.builds(
    Task,
    id=text,
    prompt=text.map(user),
    checks=st.lists(st.builds(Check, id=text, args=meta), max_size=2).map(tuple),
    references=st.lists(text, max_size=2).map(tuple),
    meta=meta,
)
responses = st.builds(
    Response,
    text=text,
    token_ids=st.lists(st.integers(0, 2**31)).map(tuple),
    logprobs=st.lists(number).map(tuple),
)
verdicts = st.builds(
    Verdict,
    score=st.none() | number,
    passed=st.none() | st.booleans(),
    checks=st.lists(st.builds(CheckResult, id=text, passed=st.booleans()), max_size=2).map(tuple),
)
trajectories = st.builds(
    Trajectory,
    instruction=text,
    observations=meta,
    actions=st.lists(free, max_size=2),
    rewards=st.lists(number, max_size=2),
    success=st.none() | st.booleans(),
    meta=meta,
)
preferences = st.builds(Preference, prompt=text.map(user), chosen=text, rejected=text, meta=meta)
nouns = [
    (Task, tasks),
    (Response, responses),
    (Verdict, verdicts),
    (Trajectory, trajectories),
    (Preference, preferences),
]


@pytest.mark.parametrize(("type", "values"), nouns, ids=lambda part: getattr(part, "__name__", ""))
def test_nouns_come_back_equal(type: Any, values: st.SearchStrategy[Any]) -> None:
    @given(st.lists(values, max_size=3))
    def round_trip(nouns: list[Any]) -> None:
        written, as_read_back = encode(nouns, list[type])
        assert b"\n" not in written
        assert decode(written, list[type]) == as_read_back == nouns

    round_trip()


def test_comparisons_and_plain_types_come_back_equal() -> None:
    comparison = Comparison("m", 0.1, 0.3, 0.2, (0.1, 0.3), 5, (0, 1), "higher", "held")
    assert encode(comparison, Comparison)[1] == comparison
    assert encode(None, None)[1] is None
    assert encode({"a": (1, 2)}, dict[str, tuple[int, int]])[1] == {"a": (1, 2)}


def test_floats_come_back_to_the_last_bit() -> None:
    values = [0.1 + 0.2, 1e-320, math.inf, -math.inf, -0.0]
    assert encode(values, list[float])[1] == values
    assert math.isnan(encode(math.nan, float)[1])


def test_arrays_become_lists_and_the_value_handed_out_is_the_one_read_back() -> None:
    trajectory = Trajectory(
        "go", {"state": np.array([[1, 2]])}, np.array([3]), np.array([0.5]), np.bool_(True)
    )
    written, as_read_back = encode(trajectory, Trajectory)
    plain = Trajectory("go", {"state": [[1, 2]]}, [3], [0.5], True)
    assert as_read_back == decode(written, Trajectory) == plain


@pytest.mark.parametrize(
    ("value", "type", "problem"),
    [
        ("x", int, "valid integer"),
        ([Response("a")], list[Task], "not a value of"),
        (object(), Any, "object cannot be written as JSON"),
        ([1, None], list[int], r"\[1\]: "),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, type: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        encode(value, type)


def test_describe_names_the_field() -> None:
    with pytest.raises(ValidationError) as caught:
        decode(b'{"id": "a", "prompt": "x", "checks": [{"args": {}}]}', Task)
    assert describe(caught.value) == "checks[0].id: field required"
    assert first_problem(caught.value) == (("checks", 0, "id"), "field required")


@given(st.binary(max_size=30), st.data())
def test_a_seal_shows_every_changed_byte(payload: bytes, data: st.DataObject) -> None:
    sealed = seal(payload)
    assert unseal(sealed) == payload
    position = data.draw(st.integers(0, len(sealed) - 1))
    assert unseal(sealed[:position]) is None
    changed = bytearray(sealed)
    changed[position] ^= data.draw(st.integers(1, 255))
    assert unseal(bytes(changed)) is None


def test_digests_tell_values_and_their_order_apart_and_agree_between_processes() -> None:
    task = Task("a", user("x"), (Check("c", {"k": 1, "j": (1, 2)}),))
    assert digest([task, 1]) == digest([task, 1])
    assert len({digest(items) for items in ([task, 1], [1, task], [task], [task, "1"], [])}) == 5
    script = (
        "from biddable.runs.codec import digest; from biddable.types import *;"
        "print(digest([Task('a', user('x'), (Check('c', {'j': (1, 2), 'k': 1}),)), 1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest([task, 1])
