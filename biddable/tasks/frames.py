"""Robot tasks in an instruction: a skill, the words that ask for it, and arguments with roles and objects.

The format of tagE's data (csarkar/tagE, MIT): CSV with three columns. ``input`` is the instruction;
``tage_output`` has its tasks with word places, ``seq2seq_output`` the same with words and object classes::

    put the book on top of the armchair
    0 0 Placing ; 2 2 Theme; 7 7 Goal -4 4 Relation
    placing : put , theme : book :book , goal : armchair :chair

Places count whitespace-separated words from 0, the last word included; ``-4 4 Relation`` is a modifier of
the argument before it. Skills and roles are compared in lower case.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.errors import FileError, InputError
from biddable.runs.codec import jsonable
from biddable.runs.files import write_atomic
from biddable.tasks.rows import Broken, Row, read_text, read_values
from biddable.tasks.steps import Drop, Funnel

SKILLS = (
    "being_located", "being_in_category", "bringing", "changing_operational_state", "checking_state",
    "cutting", "following", "giving", "inspecting", "motion", "opening", "picking", "placing", "pushing",
    "rotation", "searching",
)  # fmt: skip
ROLES = (
    "agent", "area", "category", "container_portal", "containing_object", "cotheme", "degree",
    "desired_state", "device", "goal", "cogoal", "manner", "operational_state", "recipient", "source",
    "cosource", "theme",
)  # fmt: skip
UNKNOWN = "unk"
"""The object class of what is no object that a robot knows."""
COLUMNS = ("input", "tage_output", "seq2seq_output")
SENTENCE_COLUMNS = ("input", "instruction", "text", "prompt")
EDGES = ".,;:!?\"'()[]"
"""Punctuation that is taken off the ends of a word: strings of frames are cut at some of it."""

_SPAN = re.compile(r"(-?\d+)\s+(-?\d+)\s+(\S+)")
_MODIFIERS = re.compile(r"\s-{1,2}\s*(?=\d)")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Words from ``start`` to ``end``, which is one of them."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Modifier:
    """What an annotation says of an argument beside its words: a colour, a relation. It is not scored."""

    kind: str
    span: Span


@dataclass(frozen=True, slots=True)
class Argument:
    """What a task is about.

    Attributes:
        role: one of ``ROLES``.
        text: its words.
        object_class: the object that they name; ``unk`` where it is none that is known.
        span: where the words stand; None where only the words are known.
        modifiers: see ``Modifier``.
    """

    role: str
    text: str
    object_class: str = UNKNOWN
    span: Span | None = None
    modifiers: tuple[Modifier, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskFrame:
    """A task: one of ``SKILLS``, the words that ask for it, and its arguments in their order."""

    skill: str
    trigger: str
    arguments: tuple[Argument, ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class InstructionExample:
    """An instruction with its tasks.

    Attributes:
        text: as it was written.
        words: what spans count.
        tasks: in their order.
    """

    text: str
    words: tuple[str, ...]
    tasks: tuple[TaskFrame, ...]


def words_of(text: str) -> tuple[str, ...]:
    """Words of an instruction: cut at whitespace, in lower case, without punctuation at their ends.

    No word goes, so that places stay; one that is nothing but punctuation keeps it.

    Raises:
        InputError: not a text, or a blank one.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("instruction", text, "a text that is not blank")
    return tuple((word.strip(EDGES) or word).lower() for word in text.split())


# -- strings of frames ---------------------------------------------------------------------------------------


def format_frame_string(frames: Sequence[TaskFrame]) -> str:
    """Frames as ``seq2seq_output`` has them; ``parse_frame_string`` reads them back, without places."""
    return " ; ".join(
        " , ".join(
            [f"{frame.skill} : {frame.trigger}"]
            + [f"{each.role} : {each.text} :{each.object_class}" for each in frame.arguments]
        )
        for frame in frames
    )


def parse_frame_string(
    text: str, skills: Collection[str] = SKILLS, roles: Collection[str] = ROLES
) -> list[TaskFrame]:
    """Frames of a string, by the rules of tagE's scorer; what breaks them is dropped.

    It ends at the first blank part between semicolons. A task whose head has not exactly one colon or whose
    skill is not known is dropped whole; so is an argument without one or two colons, or of an unknown role.
    """
    return _parsed(text, skills, roles)[0]


def _parsed(text: str, skills: Collection[str], roles: Collection[str]) -> tuple[list[TaskFrame], str]:
    """The frames, and the first thing that was dropped."""
    frames, problem = [], ""
    for part in text.split(";"):
        if not part.strip():
            break
        head, *fields = part.split(",")
        skill, *trigger = (each.strip() for each in head.split(":"))
        if len(trigger) != 1 or skill.lower() not in skills:
            problem = problem or f"{head.strip()!r} is not SKILL : WORDS of a known skill"
            continue
        arguments = []
        for field in fields:
            role, *rest = (each.strip() for each in field.split(":"))
            if len(rest) not in (1, 2) or role.lower() not in roles:
                problem = problem or f"{field.strip()!r} is not ROLE : WORDS :CLASS of a known role"
                continue
            object_class = rest[1].lower() if len(rest) == 2 and rest[1] else UNKNOWN
            arguments.append(Argument(role.lower(), rest[0].lower(), object_class))
        frames.append(TaskFrame(skill.lower(), trigger[0].lower(), tuple(arguments)))
    return frames, problem


# -- rows ----------------------------------------------------------------------------------------------------


def example_of(row: dict[str, Any], skills: Collection[str], roles: Collection[str]) -> InstructionExample:
    """The instruction of a row of the three columns.

    Raises:
        InputError: a column that is missing or no text, a skill or a role that is not known, places outside
            the instruction or ending before they begin, or two columns that do not say the same.
    """
    for name in COLUMNS:
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise InputError(name, row.get(name), "a text that is not blank")
    words = words_of(row["input"])
    placed = [_placed(part, words, skills, roles) for part in row["tage_output"].split("|")]
    named, problem = _parsed(row["seq2seq_output"], skills, roles)
    if problem:
        raise InputError("seq2seq_output", row["seq2seq_output"], f"frames that can be read: {problem}")
    if len(named) != len(placed):
        expected = f"the {len(placed)} tasks of tage_output"
        raise InputError("seq2seq_output", f"{len(named)} tasks", expected)
    tasks = tuple(_joined(ours, theirs) for ours, theirs in zip(placed, named, strict=True))
    return InstructionExample(row["input"], words, tasks)


def _placed(text: str, words: Sequence[str], skills: Collection[str], roles: Collection[str]) -> TaskFrame:
    """A task of ``tage_output``, without object classes."""
    head, *fields = text.split(";")
    span, skill = _span(head, words)
    if skill.lower() not in skills:
        raise InputError("tage_output", skill, f"one of the {len(skills)} skills: {', '.join(skills)}")
    arguments = []
    for field in fields:
        main, *more = _MODIFIERS.split(field.strip())
        place, role = _span(main, words)
        if role.lower() not in roles:
            raise InputError("tage_output", role, f"one of the {len(roles)} roles: {', '.join(roles)}")
        modifiers = tuple(Modifier(kind, at) for at, kind in (_span(each, words) for each in more))
        arguments.append(Argument(role.lower(), _text(words, place), UNKNOWN, place, modifiers))
    return TaskFrame(skill.lower(), _text(words, span), tuple(arguments), span)


def _span(text: str, words: Sequence[str]) -> tuple[Span, str]:
    """``3 4 Theme``: where, and what."""
    match = _SPAN.fullmatch(text.strip())
    if not match:
        raise InputError("tage_output", text.strip(), "FIRST LAST NAME, two places of words and a name")
    start, end = int(match[1]), int(match[2])
    if not 0 <= start <= end < len(words):
        expected = f"first and last word among 0 to {len(words) - 1}, the first not after the last"
        raise InputError("tage_output", f"{start} {end}", expected)
    return Span(start, end), match[3]


def _text(words: Sequence[str], span: Span) -> str:
    return " ".join(words[span.start : span.end + 1])


def _joined(placed: TaskFrame, named: TaskFrame) -> TaskFrame:
    """A task with its places and its object classes."""
    ours = [(placed.skill, placed.trigger), *((each.role, each.text) for each in placed.arguments)]
    theirs = [(named.skill, named.trigger), *((each.role, each.text) for each in named.arguments)]
    if ours != theirs:
        differs = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), None)
        there, expected = (differs[1], differs[0]) if differs else (len(theirs) - 1, len(ours) - 1)
        raise InputError("seq2seq_output", there, f"what tage_output has: {expected}")
    pairs = zip(placed.arguments, named.arguments, strict=True)
    arguments = tuple(
        Argument(at.role, at.text, name.object_class, at.span, at.modifiers) for at, name in pairs
    )
    return TaskFrame(placed.skill, placed.trigger, arguments, placed.span)


def read_frames(path: Path, skills: Collection[str] = SKILLS, roles: Collection[str] = ROLES) -> Funnel[Any]:
    """The instructions of a file of the three columns; rows that cannot be used are dropped with the reason.

    Raises:
        FileError: the file cannot be read, has not the three columns, or no row that can be used.
    """
    broken: Broken = []
    rows = read_values(path, broken=broken)
    columns = next((set(row.value) for row in rows if isinstance(row.value, dict)), set())
    if rows and (missing := [name for name in COLUMNS if name not in columns]):
        there = ", ".join(sorted(map(str, columns))) or "none"
        raise FileError(path, f"no column {missing[0]} in it (columns: {there})")
    made = {row.name: _made(row, skills, roles) for row in rows}
    made |= {row.name: Drop("not a row of its file", str(error)) for row, error in broken}
    found: Funnel[Any] = Funnel(
        {f"{path.name} {row.name}": row.value for row in (*rows, *(each for each, _ in broken))}
    )
    found.apply("reading", list(made.values()))
    if not found.kept:
        first = found.dropped[0].why if found.dropped else Drop("it is empty")
        raise FileError(path, f"holds no row of frames: {first.reason} {first.detail}".rstrip())
    return found


def _made(row: Row, skills: Collection[str], roles: Collection[str]) -> InstructionExample | Drop:
    if not isinstance(row.value, dict):
        return Drop("not an object")
    try:
        return example_of(row.value, skills, roles)
    except InputError as error:
        return Drop(f"{error.field} is not sound", str(error))


def load_tage(path: str | Path, split: str = "train") -> list[InstructionExample]:
    """The instructions of ``SPLIT.csv`` in a folder, or of a file; see ``read_frames``."""
    path = Path(path)
    return read_frames(path / f"{split}.csv" if path.is_dir() else path).rows


def frame_row(example: InstructionExample) -> dict[str, str]:
    """An instruction as a row of the three columns."""

    def place(span: Span | None, name: str) -> str:
        if span is None:
            raise InputError("span", None, f"where {name} stands")
        return f"{span.start} {span.end} {name}"

    def argument(each: Argument) -> str:
        more = [f" -{place(modifier.span, modifier.kind)}" for modifier in each.modifiers]
        return place(each.span, each.role) + "".join(more)

    tasks = ("; ".join([place(t.span, t.skill), *map(argument, t.arguments)]) for t in example.tasks)
    return {
        "input": example.text,
        "tage_output": " | ".join(tasks),
        "seq2seq_output": format_frame_string(example.tasks),
    }


def write_frames(path: Path, examples: Sequence[InstructionExample]) -> None:
    """Write instructions as CSV of the three columns, whole or not at all. Raises StorageError."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(frame_row, examples))
    write_atomic(path, buffer.getvalue())


def as_json(text: str, frames: Sequence[TaskFrame]) -> dict[str, Any]:
    """An instruction and its tasks as JSON values."""
    return {"input": text, "tasks": jsonable(list(frames))}


def read_sentences(path: Path) -> list[tuple[str, str | Drop]]:
    """Instructions to parse, each with its place: the lines of a text file, or a column of a table.

    Blank lines are no instructions. In JSON lines, CSV and so on the column is one of ``SENTENCE_COLUMNS``.

    Returns:
        the place, and the instruction or why there is none.

    Raises:
        FileError: the file cannot be read, or holds no instruction.
    """
    found: list[tuple[str, str | Drop]] = []
    if path.suffix.lower() in (".txt", ""):
        lines = read_text(path).splitlines()
        found = [(f"line {at}", line.strip()) for at, line in enumerate(lines, 1) if line.strip()]
    else:
        broken: Broken = []
        for row in read_values(path, broken=broken):
            value = row.value
            if isinstance(value, dict):
                value = next((value[name] for name in SENTENCE_COLUMNS if name in value), None)
            sound = isinstance(value, str) and value.strip()
            expected = f"a text that is not blank in {', '.join(SENTENCE_COLUMNS)}"
            found.append((row.name, value.strip() if sound else Drop("no instruction", expected)))
        found += [(row.name, Drop("not a row of its file", str(error))) for row, error in broken]
    if not any(isinstance(each, str) for _, each in found):
        expected = f"lines, or one of the columns {', '.join(SENTENCE_COLUMNS)}"
        raise FileError(path, f"holds no instruction: expected {expected}")
    return found
