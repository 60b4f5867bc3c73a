from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.tasks.fewshot import Shots, few_shot_prompt

SHOTS = Shots("Add.", ("1+1=2", "1+2=3", "2+2=4"))


def test_the_first_k_examples_stand_between_the_description_and_the_query():
    assert few_shot_prompt("3+1=", SHOTS, 2) == ("Add.\n\n1+1=2\n\n1+2=3\n\n3+1=", 2)
    assert few_shot_prompt("3+1=", SHOTS, 0) == ("Add.\n\n3+1=", 0)
    assert few_shot_prompt("3+1=", SHOTS, 1, separator="\n") == ("Add.\n1+1=2\n3+1=", 1)


def test_without_a_description_nothing_stands_before_the_examples():
    assert few_shot_prompt("3+1=", Shots(examples=("1+1=2",)), 5) == ("1+1=2\n\n3+1=", 1)
    assert few_shot_prompt("3+1=", Shots(), 5) == ("3+1=", 0)


@pytest.mark.parametrize(("room", "kept"), [(31, 3), (30, 2), (24, 2), (23, 1), (17, 1), (16, 0), (1, 0)])
def test_examples_are_dropped_from_the_end_while_the_prompt_is_too_long(room, kept):
    prompt, found = few_shot_prompt("3+1=", SHOTS, 3, room=room, count=len)
    assert found == kept
    assert prompt == "\n\n".join(["Add.", *SHOTS.examples[:kept], "3+1="])


@pytest.mark.parametrize("k", [-1, 1.5, True, "3"])
def test_a_number_of_examples_that_is_none(k):
    with pytest.raises(InputError, match=r"shots is .*, expected an integer of at least 0"):
        few_shot_prompt("3+1=", SHOTS, k)


def test_room_is_nothing_without_a_way_to_count():
    with pytest.raises(InputError, match="count is None"):
        few_shot_prompt("3+1=", SHOTS, 1, room=10)
