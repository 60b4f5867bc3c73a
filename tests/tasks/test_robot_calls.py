"""Calls of a robot: what is not there, or there more than once, is said and not guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from biddable.errors import FileError
from biddable.tasks.frames import parse_frame_string
from biddable.tasks.robot_calls import RobotCall, ground_to_skills, read_scene, read_skill_map

FRAMES = parse_frame_string(
    "picking : take , agent : you :unk , theme : mug :cup ; "
    "motion : go , manner : slowly :unk , goal : bed :bed"
)


def test_without_a_scene_a_class_stands_for_its_object() -> None:
    assert ground_to_skills(FRAMES) == [
        RobotCall("picking", {"agent": ["you"], "theme": ["cup"]}),
        RobotCall("motion", {"manner": ["slowly"], "goal": ["bed"]}),
    ]


def test_objects_of_the_scene() -> None:
    scene = {"mug_1": "cup", "bed_1": "bed", "bed_2": "bed"}
    first, second = ground_to_skills(FRAMES, {"picking": "grasp"}, scene)
    assert first == RobotCall("grasp", {"agent": ["you"], "theme": ["mug_1"]})
    assert second.function == ""
    assert second.unresolved == (
        "go: the robot has no function for motion",
        "goal 'bed': 2 of class bed are there: bed_1, bed_2",
    )
    [call] = ground_to_skills(FRAMES[:1], None, {"bed_1": "bed"})
    assert call.unresolved == ("theme 'mug': no cup is there",)
    assert "theme" not in call.arguments


def test_an_object_of_no_known_class_is_not_guessed() -> None:
    [call] = ground_to_skills(parse_frame_string("picking : take , theme : gizmo :unk"))
    assert call.unresolved == ("theme 'gizmo': no known object",)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.json"

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    assert read_scene(write('["cup_1", "cup 2", "Remote control"]')) == {
        "cup_1": "cup",
        "cup 2": "cup",
        "Remote control": "remote_control",
    }
    assert read_scene(write('{"a": "Cup"}')) == {"a": "cup"}
    assert read_skill_map(write('{"Placing": "put_down"}')) == {"placing": "put_down"}
    for read, text, told in (
        (read_scene, '["cup", 3]', "3 is no name"),
        (read_scene, '["cup", "cup"]', "twice"),
        (read_scene, '{"cup": 1}', "cup is 1, expected a text"),
        (read_scene, "4", "expected NAME: CLASS"),
        (read_skill_map, '{"flying": "fly"}', "flying is no skill"),
        (read_skill_map, "{}", "expected an object of SKILL: FUNCTION"),
        (read_skill_map, "{", "x.json"),
    ):
        with pytest.raises(FileError, match=told):
            read(write(text))
