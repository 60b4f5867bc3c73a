"""tagE's scorer, on cases worked out by hand."""

from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.judges.frames import (
    Counts,
    argument_counts,
    argument_f1,
    exact_match,
    matched,
    row_scores,
    task_counts,
)
from biddable.tasks.frames import parse_frame_string as frames

GOLD = frames("picking : take , theme : mug :cup , source : bed :bed ; motion : go , goal : bed :bed")


def test_only_arguments_of_matched_tasks_are_hits_and_all_predicted_count() -> None:
    ours = frames("picking : take , theme : mug :book ; motion : walk , goal : bed :bed")
    assert argument_counts(ours, GOLD) == Counts(1, 2, 3)
    assert argument_counts(ours, GOLD, grounding=True) == Counts(0, 2, 3)
    assert task_counts(ours, GOLD) == Counts(1, 2, 2)
    scores = argument_f1([ours], [GOLD])
    assert scores == pytest.approx({"precision": 1 / 2, "recall": 1 / 3, "f1": 0.4})


def test_an_argument_that_is_predicted_twice_counts_twice() -> None:
    ours = frames("motion : go , goal : bed :bed , goal : bed :bed")
    assert argument_counts(ours, GOLD) == Counts(2, 2, 3)


def test_tasks_are_matched_once_and_in_order() -> None:
    gold = frames("motion : go , goal : bed ; motion : go , goal : sofa")
    ours = frames("motion : go , goal : sofa ; motion : go , goal : sofa ; motion : go , goal : bed")
    assert matched(ours, gold) == [gold[0], gold[1], None]
    assert argument_counts(ours, gold) == Counts(1, 3, 2)


def test_a_task_without_arguments_changes_nothing_of_arguments() -> None:
    assert argument_counts(frames("motion : go"), frames("motion : go")) == Counts()
    assert argument_f1([frames("motion : go")], [[]])["f1"] == 0


def test_classes_have_their_right_names_and_change_no_other_number() -> None:
    ours = frames("picking : take , theme : mug ; motion : go , goal : bed , goal : sofa")
    whole = argument_f1([ours], [GOLD], per_class=True)
    assert {k: whole[k] for k in ("precision", "recall", "f1")} == argument_f1([ours], [GOLD])
    assert whole["roles"]["goal"]["precision"] == 1 / 2  # of two predicted one is right
    assert whole["roles"]["goal"]["recall"] == 1
    assert whole["roles"]["source"] == {
        "precision": 0, "recall": 0, "f1": 0, "gold": 1, "predicted": 0,
    }  # fmt: skip
    assert whole["skills"]["picking"]["recall"] == 1 / 2


def test_the_whole_structure() -> None:
    turned = frames("picking : take , source : bed :bed , theme : mug :cup ; motion : go , goal : bed :x")
    assert exact_match(turned, GOLD)  # the order of arguments says nothing
    assert not exact_match(turned, GOLD, grounding=True)
    assert not exact_match(GOLD[::-1], GOLD)
    assert not exact_match(GOLD[:1], GOLD)


def test_numbers_of_rows_have_f1_as_their_mean() -> None:
    gold = [GOLD, frames("motion : go , goal : bed"), frames("rotation : turn , manner : left")]
    ours = [GOLD[:1], frames("motion : go , goal : sofa"), []]
    counts = [argument_counts(*pair) for pair in zip(ours, gold, strict=True)]
    assert row_scores(counts).mean() == pytest.approx(argument_f1(ours, gold)["f1"])
    assert row_scores([Counts(), Counts()]).tolist() == [0, 0]
    assert row_scores([Counts(1, 1, 1)] * 3).tolist() == [1, 1, 1]


def test_as_many_predictions_as_rows() -> None:
    with pytest.raises(InputError, match="2, one for each annotated row"):
        argument_f1([GOLD], [GOLD, GOLD])
