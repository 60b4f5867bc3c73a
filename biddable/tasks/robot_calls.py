"""From frames of robot tasks to calls of a robot's own functions with objects that are there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.errors import FileError
from biddable.runs.files import read_json
from biddable.tasks.frames import SKILLS, UNKNOWN, Argument, TaskFrame

WORDS = frozenset({"agent", "manner", "degree", "category", "operational_state", "desired_state"})
"""Roles that are filled by words; all others by objects."""
_NUMBER = re.compile(r"[_\s-]*\d+$")


@dataclass(frozen=True, slots=True)
class RobotCall:
    """A function of a robot and what it is called with.

    Attributes:
        function: its name; empty where the robot has none for the skill.
        arguments: by role, names of objects of the scene, or words.
        unresolved: what could not be found, a sentence each; a call with any is not to be made.
    """

    function: str
    arguments: dict[str, list[str]]
    unresolved: tuple[str, ...] = ()


def ground_to_skills(
    frames: Sequence[TaskFrame],
    skill_map: Mapping[str, str] | None = None,
    scene_objects: Mapping[str, str] | None = None,
) -> list[RobotCall]:
    """A call for each task. Nothing is guessed: what is not there, or there more than once, is said.

    Args:
        frames: tasks.
        skill_map: skill -> the robot's function; None: functions are called as skills.
        scene_objects: name of each object that is there -> its class; None: a class stands for its object.
    """
    by_class: dict[str, list[str]] = {}
    for name, kind in (scene_objects or {}).items():
        by_class.setdefault(kind, []).append(name)
    calls = []
    for frame in frames:
        function = frame.skill if skill_map is None else skill_map.get(frame.skill, "")
        unresolved = [] if function else [f"{frame.trigger}: the robot has no function for {frame.skill}"]
        arguments: dict[str, list[str]] = {}
        for each in frame.arguments:
            names = [each.object_class] if scene_objects is None else by_class.get(each.object_class, [])
            if each.role in WORDS and (each.object_class == UNKNOWN or not names):
                names = [each.text]
            if each.object_class == UNKNOWN and each.role not in WORDS:
                unresolved.append(f"{each.role} {each.text!r}: no known object")
            elif len(names) != 1:
                unresolved.append(f"{each.role} {each.text!r}: {_how_many(each, names)}")
            else:
                arguments.setdefault(each.role, []).extend(names)
        calls.append(RobotCall(function, arguments, tuple(unresolved)))
    return calls


def _how_many(argument: Argument, names: Sequence[str]) -> str:
    if not names:
        return f"no {argument.object_class} is there"
    return f"{len(names)} of class {argument.object_class} are there: {', '.join(names)}"


def read_skill_map(path: Path) -> dict[str, str]:
    """``{"placing": "place_object", …}``: skill -> function. Raises FileError."""
    read = _texts(path, "an object of SKILL: FUNCTION")
    made = {name.lower(): function for name, function in read.items()}
    if unknown := [name for name in made if name not in SKILLS]:
        raise FileError(path, f"{unknown[0]} is no skill, expected some of {', '.join(SKILLS)}")
    return made


def read_scene(path: Path) -> dict[str, str]:
    """``{"cup_1": "cup", …}``: object -> class; or a list of names, whose class is the name without number.

    Raises:
        FileError: the file cannot be read, or is neither.
    """
    value = read_json(path)
    if isinstance(value, list):
        if wrong := [each for each in value if not isinstance(each, str) or not each.strip()]:
            raise FileError(path, f"{wrong[0]!r} is no name of an object")
        if len({*value}) < len(value):
            raise FileError(path, "an object stands in the list twice")
        return {name: _NUMBER.sub("", name).lower().replace(" ", "_") for name in value}
    return {name: kind.lower().replace(" ", "_") for name, kind in _texts(path, "NAME: CLASS").items()}


def _texts(path: Path, expected: str) -> dict[str, str]:
    value: Any = read_json(path)
    if not isinstance(value, dict) or not value:
        raise FileError(path, f"expected {expected}")
    if wrong := [name for name, text in value.items() if not isinstance(text, str) or not text.strip()]:
        raise FileError(path, f"{wrong[0]} is {value[wrong[0]]!r}, expected a text")
    return value
