"""Frames of robot tasks in experiments: rows in three parts, states of words, parsers as stages of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import FileError, InputError
from biddable.experiments.stages import finetuned, sampled, with_seed
from biddable.judges.frames import argument_counts, exact_match, row_scores, task_counts
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.policies.frame_config import Kind, Labels, ParserConfig, States
from biddable.runs.files import read_json, write_json
from biddable.runs.run import Run
from biddable.tasks.compose_frames import compose_frames
from biddable.tasks.data import split
from biddable.tasks.frames import (
    UNKNOWN,
    Argument,
    InstructionExample,
    TaskFrame,
    format_frame_string,
    parse_frame_string,
    read_frames,
)
from biddable.tasks.steps import Drop, Funnel
from biddable.train.config import SftConfig
from biddable.types import Chat, Message, Task, user

PARTS = ("train", "dev", "test")
LEAST = {"train": 10, "dev": 2, "test": 2}
"""Rows of each part at least."""
LONGEST = 200
"""Words of an instruction at most: decoders look at all of them in every step."""
F1, GROUNDED, EXACT, TASKS = "argument F1", "argument F1 with object class", "exact match", "task F1"
SEVERAL = 3
"""From so many tasks on an instruction counts as one of several."""
ASK = "Robot tasks: "
"""What stands before the sentence, for a language model."""

Frames = tuple[TaskFrame, ...]


@dataclass(frozen=True, slots=True)
class FrameData:
    """Rows in three parts.

    Attributes:
        rows: by part.
        sources: of each test row what it is not independent of: its sentence, or the wording it begins with.
        funnel: what was dropped and why; its ids begin with the file's name.
        notes: what a reader must know of them.
    """

    rows: dict[str, list[InstructionExample]]
    sources: list[str]
    funnel: Funnel[Any]
    notes: list[str]


def composed(run_rng: Mapping[str, np.random.Generator], sizes: Mapping[str, int]) -> FrameData:
    """Household instructions by code; the wordings of a part are in no other."""
    drawn = {part: compose_frames(part, sizes[part], run_rng[part]) for part in PARTS}  # type: ignore[arg-type]
    rows = {part: [example for example, _ in of] for part, of in drawn.items()}
    funnel: Funnel[Any] = Funnel({})
    return FrameData(rows, [wording for _, wording in drawn["test"]], funnel, [])


def read_parts(
    source: Path, skills: Sequence[str], roles: Sequence[str], test: float, validation: float, seed: int
) -> FrameData:
    """Rows of a folder with ``train.csv``, and ``dev.csv`` and ``test.csv`` where they are, or of one CSV.

    A part that has no file is a share of what there is to learn from, by sentences. Rows to learn from or to
    choose by whose sentence is in the test are dropped, as are rows to learn from that are in ``dev``.

    Raises:
        FileError: a file is missing or holds no row that can be used.
        InputError: a part has too few rows.
    """
    files = {part: source / f"{part}.csv" for part in PARTS} if source.is_dir() else {"train": source}
    if not files["train"].exists():
        expected = "train.csv in it" if source.is_dir() else "a CSV, or a folder with train.csv"
        raise FileError(source, f"no such data: expected {expected}")
    read = {part: read_frames(file, skills, roles) for part, file in files.items() if file.exists()}
    part_of = {name: part for part, funnel in read.items() for name in funnel.ids}
    whole: Funnel[Any] = Funnel({name: row for each in read.values() for name, row in each.kept.items()})
    whole.dropped = [dropped for each in read.values() for dropped in each.dropped]
    # Steps are counted by name, so each file's reading has its own.
    whole.steps = [replace(step, step=f"{step.step} {part}") for part in read for step in read[part].steps]
    long = Drop(f"longer than {LONGEST} words")
    whole.apply("length", [long if len(row.words) > LONGEST else row for row in whole.rows])
    notes = []
    for part, share in (("test", test), ("dev", validation)):
        if part not in read:
            names = [name for name in whole.ids if part_of[name] == "train"]
            sentences = [_sentence(whole.kept[name]) for name in names]
            if len({*sentences}) < 2:
                raise InputError("data", f"{len({*sentences})} different sentences", "at least 14")
            _, held = split(names, sentences, share, seed)
            part_of |= dict.fromkeys(held, part)
            notes.append(f"No {part}.csv: {len(held)} rows, whole sentences, were held out for {part}.")
    _apart(whole, part_of)
    rows = {part: [row for name, row in whole.kept.items() if part_of[name] == part] for part in PARTS}
    for part, least in LEAST.items():
        if len(rows[part]) < least:
            raise InputError("data", f"{len(rows[part])} rows for {part}", f"at least {least} sound ones")
    learned = Labels.of(rows["train"])
    asked = {task.skill for row in rows["test"] for task in row.tasks}
    if new := sorted(asked - {*learned.skills}):
        notes.append(f"No row to learn from has these skills of the test: {', '.join(new)}.")
    return FrameData(rows, [_sentence(row) for row in rows["test"]], whole, notes)


def _sentence(row: InstructionExample) -> str:
    return " ".join(row.words)


def _apart(funnel: Funnel[Any], part_of: Mapping[str, str]) -> None:
    """Drop rows whose sentence is in a later part."""
    later: dict[str, set[str]] = {part: set() for part in PARTS}
    for name, row in funnel.kept.items():
        for part in PARTS[: PARTS.index(part_of[name])]:
            later[part].add(_sentence(row))
    why = Drop("its sentence is in a part that is held out")
    rows = funnel.kept.items()
    funnel.apply("held-out rows", [why if _sentence(row) in later[part_of[n]] else row for n, row in rows])


# -- stages --------------------------------------------------------------------------------------------------


def states_of(
    run: Run, model: LazyModel, rows: Mapping[str, Sequence[InstructionExample]], layer: int, echo: bool
) -> dict[str, States]:
    """Of each part the states of words of its sentences, computed once in a run."""
    from safetensors.numpy import load_file, save_file

    from biddable.models.token_states import word_states

    def fill(folder: Path) -> None:
        made = {}
        for part, of in rows.items():
            made[part] = np.concatenate(word_states(model(), [row.words for row in of], layer, echo=echo))
        save_file(made, folder / "states.safetensors")

    kept = load_file(run.stage_folder("states", fill) / "states.safetensors")
    return {
        part: np.split(kept[part], np.cumsum([len(row.words) for row in of])[:-1])
        for part, of in rows.items()
    }


@dataclass(frozen=True, slots=True)
class Fitted:
    """A parser that was fitted: where it is kept, its F1 on the validation rows, how many numbers it has."""

    folder: Path
    validation_f1: float
    parameters: int


def fitted(
    run: Run,
    name: str,
    kind: Kind,
    rows: Mapping[str, Sequence[InstructionExample]],
    states: Mapping[str, States],
    config: ParserConfig,
    encoder: tuple[str, int, bool],
    seed: int,
) -> Fitted:
    """A stage: a parser is fitted to ``train``, by the epoch that is best on ``dev``."""
    from biddable.policies.frame_parser import FrameParser, fit, standard_of

    def fill(folder: Path) -> None:
        which: dict[str, Any] = dict(zip(("encoder", "layer", "echo"), encoder, strict=True))
        standard = standard_of(states["train"])
        parser = FrameParser(kind, Labels.of(rows["train"]), config, standard, **which)

        def log(epoch: int, loss: float, f1: float | None) -> None:
            run.log(name, epoch, loss=loss, **({} if f1 is None else {"f1": f1}))

        best = fit(parser, rows["train"], states["train"], rows["dev"], states["dev"], seed, log)
        parser.save(folder)
        write_json(folder / "fit.json", {"validation_f1": best, "parameters": parser.parameters})

    folder = run.stage_folder(name, fill)
    told = read_json(folder / "fit.json")
    return Fitted(folder, told["validation_f1"], told["parameters"])


def parsed_by(
    run: Run, name: str, folder: Path, rows: Sequence[InstructionExample], states: States
) -> list[Frames]:
    """A stage: what a parser reads off rows whose states are there."""
    from biddable.policies.frame_parser import load_parser

    def parse() -> list[Frames]:
        return load_parser(folder).parse([row.words for row in rows], states)

    return run.stage(name, parse, list[Frames])


def generated(
    run: Run,
    name: str,
    base: str,
    rows: Mapping[str, Sequence[InstructionExample]],
    sft: SftConfig,
    max_tokens: int,
    seed: int,
) -> list[Frames]:
    """A language model with an adapter that writes frames as a string: what could be read of it, of each row.

    It learns from ``train`` alone: nothing is chosen by ``dev``.
    """
    chats: list[Chat] = [
        (*user(ASK + _sentence(row)), Message("assistant", format_frame_string(row.tasks)))
        for row in rows["train"]
    ]
    weights = finetuned(run, name, base, chats, with_seed(sft, seed))
    asked = [Task(f"row {at}", user(ASK + _sentence(row))) for at, row in enumerate(rows["test"])]
    greedy = Sampling(max_tokens=max_tokens, temperature=0.0)
    texts = [texts[0] for texts in sampled(run, f"{name}-test", weights, asked, 1, greedy)]
    return [tuple(parse_frame_string(text)) for text in texts]


# -- object classes and scores -------------------------------------------------------------------------------


def classes_by_name(frames: Sequence[Frames], objects: Sequence[str]) -> list[Frames]:
    """The same frames with object classes by names: the longest class name among an argument's words."""
    names = sorted(objects, key=len, reverse=True)

    def named(argument: Argument) -> Argument:
        words = f" {argument.text} "
        match = next((each for each in names if f" {each.replace('_', ' ')} " in words), UNKNOWN)
        return replace(argument, object_class=match)

    return [
        tuple(replace(task, arguments=tuple(map(named, task.arguments))) for task in tasks)
        for tasks in frames
    ]


def scored(predicted: Sequence[Frames], rows: Sequence[InstructionExample]) -> dict[str, list[float]]:
    """Numbers of every test row by metric; the mean of F1's is F1 over all rows (``row_scores``)."""
    pairs = [(ours, row.tasks) for ours, row in zip(predicted, rows, strict=True)]
    return {
        F1: row_scores([argument_counts(*pair) for pair in pairs]).tolist(),
        GROUNDED: row_scores([argument_counts(*pair, grounding=True) for pair in pairs]).tolist(),
        TASKS: row_scores([task_counts(*pair) for pair in pairs]).tolist(),
        EXACT: [float(exact_match(*pair)) for pair in pairs],
    }


def groups(rows: Sequence[InstructionExample]) -> dict[str, list[int]]:
    """Places of test rows by the number of their tasks, and those with words that serve more than once."""
    numbers = [len(row.tasks) for row in rows]
    found = {
        "1 task": [at for at, number in enumerate(numbers) if number == 1],
        "2 tasks": [at for at, number in enumerate(numbers) if number == 2],
        "3 and more tasks": [at for at, number in enumerate(numbers) if number >= SEVERAL],
        "shared arguments": [at for at, row in enumerate(rows) if _shares(row)],
    }
    return {name: places for name, places in found.items() if len(places) > 1}


def _shares(row: InstructionExample) -> bool:
    """Whether two tasks have an argument at the same place."""
    places = [{each.span for each in task.arguments} for task in row.tasks]
    return sum(map(len, places)) > len(set().union(*places))
