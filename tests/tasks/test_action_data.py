"""Sequences of actions from every form of file; a row that cannot be read does not end the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.action_data import read_sequences
from biddable.tasks.action_windows import ActionSequence, windows
from biddable.tasks.actions import Taxonomy, action_text
from biddable.tasks.compose_actions import DISHES, compose_sequences

TEXT = "take cup, open tap, fill cup, close tap"
EPIC = "uid,participant_id,video_id,start_frame,verb,verb_class,noun,noun_class"


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def test_a_sequence_in_each_row(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "d.jsonl",
        {"actions": TEXT, "goal": " drink  water ", "id": "a", "source": "p1"},
        {"actions": [["take", "cup"], "open tap"], "id": 7},
        {
            "prompt": "take cup, open tap \n\n###\n\n",
            "completion": " fill cup, close tap ###",
            "clip_uid": "c",
        },
        {"prompt": "take cup"},
    )
    first, second, third, fourth = read_sequences(path).funnel.rows
    assert (first.goal, first.source, first.observed) == ("drink water", "p1", 0)
    assert action_text(first.actions) == TEXT
    assert (second.id, len(second.actions)) == ("7", 2)
    assert (third.id, third.observed, action_text(third.actions)) == ("c", 2, TEXT)
    assert (fourth.id, fourth.observed) == ("line 4", 1)


def test_a_list_in_a_cell(tmp_path: Path) -> None:
    path = lines(tmp_path / "d.csv", "id,actions", "a,\"['take cup', 'open tap']\"", 'b,"take cup, open tap"')
    assert [len(row.actions) for row in read_sequences(path).funnel.rows] == [2, 2]


def test_bad_rows_are_dropped_with_their_place_and_reason(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "d.jsonl",
        {"actions": TEXT, "id": "a"},
        "{broken",
        {"actions": "take the cup"},
        {"text": "hello"},
        {"actions": []},
        {"actions": TEXT, "goal": ["no text"]},
        {"actions": TEXT, "id": "a"},
    )
    read = read_sequences(path)
    assert [row.id for row in read.funnel.rows] == ["a"]
    told = {each.id: f"{each.why.reason} {each.why.detail}" for each in read.funnel.dropped}
    assert "d.jsonl:3: actions[0] is 'take the cup'" in told["d.jsonl:3"]
    assert "not of the shape" in told["d.jsonl:4"]
    assert "no action" in told["d.jsonl:5"]
    assert "goal: expected a text" in told["d.jsonl:6"]
    assert "id of an earlier" in told["d.jsonl:7"]
    assert len(told) == 6


def test_nothing_to_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"d\.jsonl: holds no sequence of actions: .*d\.jsonl:1: expected"):
        read_sequences(lines(tmp_path / "d.jsonl", {"text": "hello"}))
    with pytest.raises(FileError, match="no such file"):
        read_sequences(tmp_path / "gone.jsonl")


def test_a_label_outside_the_taxonomy_drops_its_sequence(tmp_path: Path) -> None:
    taxonomy = Taxonomy.from_classes([["take", "grab"]], [["cup", "mug"]])
    path = lines(tmp_path / "d.jsonl", {"actions": "grab mug", "id": "a"}, {"actions": "grab knife"})
    read = read_sequences(path, taxonomy)
    assert read.funnel.rows[0].actions == (("take", "cup"),)
    assert [each.why.detail for each in read.funnel.dropped] == ["grab knife"]


def epic(folder: Path, *rows: str) -> Path:
    lines(
        folder / "EPIC_verb_classes.csv",
        "verb_id,class_key,verbs",
        "0,take,\"['take', 'grab']\"",
        "1,open,['open']",
    )
    lines(
        folder / "EPIC_noun_classes.csv",
        "noun_id,class_key,nouns",
        "0,pan:dust,['pan:dust']",
        "1,door,['door']",
    )
    lines(folder / "EPIC_descriptions.csv", "video_id,date,description", 'V1,x,"swept, and left"')
    return lines(folder / "labels.csv", EPIC, *rows)


def test_epic_kitchens_by_classes_in_the_order_of_frames(tmp_path: Path) -> None:
    path = epic(tmp_path, "0,P1,V1,20,open,1,gate,1", "1,P1,V1,3,grab,0,pan,0", "2,P2,V2,1,open,1,door,1")
    read = read_sequences(path)
    first, second = read.funnel.rows
    assert action_text(first.actions) == "take dust-pan, open door"
    assert (first.goal, first.source, second.goal, second.source) == ("swept, and left", "P1", "", "P2")
    assert read.taxonomy is not None
    assert read.taxonomy.label(("grab", "pan:dust")) == ("take", "dust-pan")
    (tmp_path / "EPIC_verb_classes.csv").unlink()
    read = read_sequences(path)
    assert action_text(read.funnel.rows[0].actions) == "grab pan, open gate"
    assert any("words are those narrated" in note for note in read.notes)


def test_a_video_with_a_bad_action_is_dropped_and_no_other(tmp_path: Path) -> None:
    path = epic(
        tmp_path, "0,P1,V1,20,open,1,gate,1", "1,P1,V1,3,grab,9,pan,0", "2,P2,V2,1,open,1,door,1",
        "3,P2,V3,soon,open,1,door,1", "4,P2,,1,open,1,door,1", "5,short",
    )  # fmt: skip
    read = read_sequences(path)
    assert [row.id for row in read.funnel.rows] == ["V2"]
    told = {each.id: each.why.detail for each in read.funnel.dropped}
    assert "labels.csv:3: verb_class is '9', expected a number from 0 to 1" in told["V1"]
    assert "start_frame is 'soon'" in told["V3"]
    assert any("labels.csv:6" in name for name in told)
    assert any("labels.csv:7" in name for name in told)


def test_classes_out_of_order_are_refused(tmp_path: Path) -> None:
    path = epic(tmp_path, "0,P1,V1,20,open,1,gate,1")
    lines(tmp_path / "EPIC_verb_classes.csv", "verb_id,class_key,verbs", "1,take,['take']")
    with pytest.raises(FileError, match=r"EPIC_verb_classes\.csv:2: expected verb_id 0"):
        read_sequences(path)


def test_ego4d_clips(tmp_path: Path) -> None:
    clips = [
        {"video_uid": "v", "clip_uid": "c", "action_idx": at, "verb": "put_(place)", "noun": noun}
        for at, noun in ((1, "tap"), (0, "cup_(mug)"))
    ]
    (row,) = read_sequences(lines(tmp_path / "fho_lta.json", {"clips": clips})).funnel.rows
    assert (row.id, row.source, action_text(row.actions)) == ("c", "v", "put cup, put tap")


def sequence(number: int, observed: int = 0) -> ActionSequence:
    return ActionSequence("s", tuple(("do", str(at)) for at in range(number)), "g", "", observed)


def test_windows_have_ego4d_s_keys_and_bounds() -> None:
    made = windows(sequence(30), 8, 20)
    assert [each.id for each in made] == ["s_7", "s_8", "s_9"]  # 7 <= i < len - 20
    assert made[1].history[-1] == ("do", "8")
    assert made[1].future == tuple(("do", str(at)) for at in range(9, 29))
    assert {each.source for each in made} == {"s"}
    assert windows(sequence(27), 8, 20) == []
    assert [each.id for each in windows(sequence(40, observed=10), 8, 20)] == ["s_9"]
    assert windows(sequence(40, observed=7), 8, 20) == []
    for name in ("observed", "ahead", "stride"):
        with pytest.raises(InputError, match=name):
            windows(sequence(30), **{"observed": 8, "ahead": 20, "stride": 1, name: 0})


def test_composed_sequences_differ_follow_their_goal_and_are_long_enough() -> None:
    made = compose_sequences(30, 2, np.random.default_rng(0))
    assert made == compose_sequences(30, 2, np.random.default_rng(0))
    assert len({each.goal for each in made}) == 30
    assert all(len(each.actions) >= 28 for each in made)
    assert made[0].goal == made[1].goal
    assert made[0].actions != made[1].actions
    for each in made:
        dish = next(dish for dish in DISHES if f"make {dish.name} with" in each.goal)
        foods = {food for food in dish.foods if food in each.goal.replace(",", "").split()}
        assert len(foods) >= 2
        assert len(foods - {noun for _, noun in each.actions}) <= 1  # a step may be left out
    with pytest.raises(InputError, match="goals"):
        compose_sequences(0, 1, np.random.default_rng(0))
