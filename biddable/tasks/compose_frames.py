"""Household instructions with their frames, composed by code in the form of tagE's data.

A wording is a way to ask for a skill: a verb in a pattern. Wordings are divided, so that those of the test
are not in what is learned from, while verbs, patterns and objects are. Instructions ask for one to four
tasks; a later task may speak of an object of an earlier one ("it"), and one verb may govern two objects,
which makes two tasks of it.

In a pattern ``V`` is the verb, ``[role $kind]`` an argument of one of ``KINDS`` and ``[role words]`` one with
these words; several roles of one mention are joined by ``+``, and ``[theme& $kind]`` is one or two objects.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Literal

import numpy as np

from biddable.errors import InputError
from biddable.tasks.frames import UNKNOWN, Argument, InstructionExample, Span, TaskFrame

Part = Literal["train", "dev", "test"]
Wording = tuple[str, str, str]
"""Skill, verb and pattern."""

OBJECTS = {
    "cup": ("cup", "mug"), "book": ("book", "novel"), "cellphone": ("phone", "mobile", "cell phone"),
    "remote_control": ("remote", "remote control"), "bottle": ("bottle", "flask"), "apple": ("apple",),
    "towel": ("towel",), "pillow": ("pillow", "cushion"), "plate": ("plate", "dish"),
    "newspaper": ("newspaper", "paper"), "garbage_bag": ("trash", "garbage"), "knife": ("knife",),
    "bread": ("bread", "loaf"), "tomato": ("tomato",), "potato": ("potato",),
    "sofa": ("sofa", "couch", "settee"), "table": ("table", "desk", "coffee table"),
    "chair": ("chair", "armchair"), "bed": ("bed",), "shelf": ("shelf", "bookcase"),
    "counter": ("counter", "countertop"), "dresser": ("dresser", "chest of drawers"),
    "fridge": ("fridge", "refrigerator"), "microwave": ("microwave", "oven"),
    "cabinet": ("cabinet", "cupboard"), "drawer": ("drawer",), "box": ("box", "carton"),
    "door": ("door",), "window": ("window",), "blind": ("blinds", "shutters"),
    "tv": ("tv", "television"), "lamp": ("lamp", "light"), "coffee_machine": ("coffee machine",),
    "computer": ("computer", "laptop"), "kitchen": ("kitchen",), "bedroom": ("bedroom", "sleeping room"),
    "bathroom": ("bathroom", "washroom"), "drawing_room": ("living room", "lounge"),
    "hallway": ("hallway", "hall"),
    "person": ("mary", "john", "my mother", "the child"),
}  # fmt: skip
"""Object class -> its names."""
KINDS = {
    "thing": ("cup", "book", "cellphone", "remote_control", "bottle", "apple", "towel", "pillow", "plate",
              "newspaper", "garbage_bag", "knife"),
    "food": ("bread", "tomato", "potato", "apple"),
    "furniture": ("sofa", "table", "chair", "bed", "shelf", "counter", "dresser"),
    "container": ("fridge", "microwave", "cabinet", "drawer", "box"),
    "portal": ("door", "window", "blind", "fridge", "drawer", "cabinet"),
    "device": ("tv", "lamp", "coffee_machine", "computer"),
    "room": ("kitchen", "bedroom", "bathroom", "drawing_room", "hallway"),
    "person": ("person",),
}  # fmt: skip
STRANGE = ("parcel", "gadget", "souvenir", "trinket")
"""Things of no known class."""
ADJECTIVES = ("red", "blue", "small", "large", "wooden", "old", "white")

PATTERNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bringing": (("bring", "fetch", "get", "carry"), (
        "V [recipient me] the [theme& $thing]", "V the [theme $thing] to the [goal+area $room]",
        "V the [theme $thing] from the [source $furniture]",
        "could [agent you] V [recipient me] the [theme $thing] from the [source+area $room]",
        "V the [theme& $thing] here [manner quickly]")),
    "placing": (("put", "place", "set", "leave"), (
        "V the [theme& $thing] on the [goal $furniture]",
        "V the [theme $thing] in the [goal+containing_object $container]",
        "please V the [theme $thing] [manner carefully] on the [goal $furniture]",
        "V the [theme $thing] next to the [goal $furniture] in the [cogoal+area $room]")),
    "picking": (("pick up", "take", "grab", "lift"), (
        "V the [theme& $thing]", "V the [theme $thing] from the [source $furniture]",
        "V the [theme $thing] out of the [source+containing_object $container]",
        "can [agent you] V the [theme $thing] near the [source $furniture] in the [cosource+area $room]")),
    "motion": (("go", "walk", "move", "drive"), (
        "V to the [goal+area $room]", "V [manner slowly] to the [goal $furniture]", "V [manner forward]",
        "V [degree two steps] [manner ahead]", "V to the [goal $furniture] in the [cogoal+area $room]",
        "robot V towards the [goal $furniture]")),
    "rotation": (("turn", "rotate", "spin"), (
        "V [manner left]", "V [manner right]", "V [manner around]", "V to face the [goal $furniture]",
        "V [degree slightly] to the [manner left]", "now V [manner right] to face the [goal $furniture]")),
    "opening": (("open", "close", "shut"), (
        "V the [container_portal $portal]", "V the [container_portal $portal] in the [source+area $room]",
        "V the [container_portal $portal] [degree fully]",
        "will [agent you] V the [container_portal $portal]",
        "[manner gently] V the [container_portal $portal]")),
    "giving": (("give", "hand", "pass"), (
        "V [recipient me] the [theme $thing]", "V the [theme $thing] to [recipient $person]",
        "V [recipient $person] the [theme& $thing]",
        "would [agent you] V the [theme $thing] to [recipient me]")),
    "searching": (("find", "look for", "search for", "locate"), (
        "V the [theme $thing]", "V the [theme $thing] in the [area $room]",
        "V the [theme& $thing] around the [area $room]", "[agent you] should V the [theme $thing]")),
    "following": (("follow", "accompany", "come with"), (
        "V [cotheme $person]", "V [cotheme me]", "V [cotheme $person] to the [goal+area $room]",
        "V [cotheme me] [manner closely]")),
    "changing_operational_state": (("switch", "turn", "power"), (
        "V [operational_state on] the [device $device]", "V [operational_state off] the [device $device]",
        "V the [device $device] [operational_state off]",
        "V [operational_state on] the [device $device] in the [area $room]")),
    "checking_state": (("check if", "see if", "verify that"), (
        "V the [theme $portal] is [desired_state open]", "V the [theme $device] is [desired_state on]",
        "V the [theme $portal] is [desired_state closed]",
        "V the [theme $device] in the [area $room] is [desired_state off]")),
    "cutting": (("cut", "slice", "chop"), (
        "V the [theme $food]", "V the [theme& $food] on the [source $furniture]",
        "V the [theme $food] [manner thinly]")),
    "pushing": (("push", "shove", "slide"), (
        "V the [theme $furniture] [manner aside]", "V the [theme $furniture] to the [goal $portal]",
        "V the [theme $furniture] [degree a little]")),
    "inspecting": (("inspect", "examine", "look at"), (
        "V the [theme $thing]", "V the [theme $device] [manner closely]",
        "V the [theme $container] in the [area $room]")),
    "being_located": (("is", "stands", "lies"), (
        "the [theme $thing] V on the [goal $furniture]", "the [theme $thing] V in the [goal+area $room]",
        "your [theme $thing] V near the [goal $furniture]")),
    "being_in_category": (("is",), (
        "this V a [category $thing]", "that V the [category $room]", "this room V the [category $room]",
        "the [theme $thing] V [category mine]", "the [theme $furniture] V [category new]")),
}  # fmt: skip
"""Skill -> its verbs and patterns."""
LINKS = ("and", "then", "and then", "")
SHARES = {"train": 0.6, "dev": 0.15, "test": 0.25}
"""Of the wordings of each skill."""
NUMBERS = (0.55, 0.27, 0.12, 0.06)
"""How many instructions ask for one, two, three and four tasks."""

_TOKEN = re.compile(r"\[(\S+) ([^\]]+)\]|\S+")
ATTEMPTS = 50


def wordings(part: Part) -> list[Wording]:
    """The wordings of a part: of each skill its share, at least one, in an order that is drawn once."""
    found: list[Wording] = []
    for skill, (verbs, patterns) in PATTERNS.items():
        every = [(skill, verb, pattern) for verb in verbs for pattern in patterns]
        every.sort(key=lambda wording: hashlib.sha256("|".join(wording).encode()).digest())
        dev = max(1, round(SHARES["dev"] * len(every)))
        test = max(1, round(SHARES["test"] * len(every)))
        ends = {"test": every[:test], "dev": every[test : test + dev], "train": every[test + dev :]}
        found += ends[part]
    return found


def compose_frames(part: Part, number: int, rng: np.random.Generator) -> list[tuple[InstructionExample, str]]:
    """Instructions that differ, each with the wording of its first task.

    Raises:
        InputError: so many different ones were not to be had.
    """
    drawn, made = wordings(part), dict[str, tuple[InstructionExample, str]]()
    for _ in range(ATTEMPTS * number):
        if len(made) == number:
            break
        several = 1 + int(rng.choice(len(NUMBERS), p=NUMBERS))
        chosen = [drawn[i] for i in rng.choice(len(drawn), several)]
        example = _instruction(chosen, rng)
        made.setdefault(example.text, (example, " ".join(chosen[0])))
    if len(made) < number:
        raise InputError("number", number, f"at most {len(made)} instructions of {part} wordings")
    return list(made.values())


def _instruction(chosen: list[Wording], rng: np.random.Generator) -> InstructionExample:
    words: list[str] = []
    tasks: list[TaskFrame] = []
    for wording in chosen:
        if tasks:
            words += LINKS[rng.integers(len(LINKS))].split()
        tasks += _tasks(wording, words, tasks, rng)
    return InstructionExample(" ".join(words), tuple(words), tuple(tasks))


def _tasks(
    wording: Wording, words: list[str], before: list[TaskFrame], rng: np.random.Generator
) -> list[TaskFrame]:
    """The tasks of a wording, whose words are added to ``words``."""
    skill, verb, pattern = wording
    arguments: list[Argument] = []
    twin: Argument | None = None  # the second object of a verb
    trigger = Span(0, 0)
    for token in _TOKEN.finditer(pattern):
        if token[0] == "V":
            trigger = _add(words, verb)
        elif not token[1]:
            words.append(token[0])
        else:
            roles = token[1].removesuffix("&").split("+")
            earlier = _earlier(before) if roles[0] == "theme" and token[2] == "$thing" else None
            if earlier and words[-1] == "the" and rng.random() < 0.5:
                words[-1] = "it"
                arguments.append(replace(earlier, role="theme"))
                continue
            text, object_class = _mention(token[2], rng)
            span = _add(words, text)
            arguments += [Argument(role, text, object_class, span) for role in roles]
            if token[1].endswith("&") and rng.random() < 0.5:
                words += ["and", "the"]
                text, object_class = _mention(token[2], rng)
                twin = Argument("theme", text, object_class, _add(words, text))
    text = " ".join(words[trigger.start : trigger.end + 1])
    first = TaskFrame(skill, text, tuple(arguments), trigger)
    if twin is None:
        return [first]
    others = tuple(twin if each.role == "theme" else each for each in arguments)
    return [first, TaskFrame(skill, text, others, trigger)]


def _earlier(before: list[TaskFrame]) -> Argument | None:
    """What "it" may stand for: the theme of the task before, if it is a thing."""
    things = [each for each in before[-1].arguments if each.role == "theme"] if before else []
    return things[0] if things and things[0].object_class in (*KINDS["thing"], UNKNOWN) else None


def _mention(kind: str, rng: np.random.Generator) -> tuple[str, str]:
    """Words and class of an object of a kind, or given words."""
    if not kind.startswith("$"):
        return kind, "person" if kind in ("me", "mine") else UNKNOWN
    kind = kind.removeprefix("$")
    if kind == "thing" and rng.random() < 0.1:
        return str(rng.choice(STRANGE)), UNKNOWN
    object_class = str(rng.choice(KINDS[kind]))
    name = str(rng.choice(OBJECTS[object_class]))
    if kind in ("thing", "furniture", "container") and rng.random() < 0.25:
        name = f"{rng.choice(ADJECTIVES)} {name}"
    return name, object_class


def _add(words: list[str], text: str) -> Span:
    start = len(words)
    words += text.split()
    return Span(start, len(words) - 1)
