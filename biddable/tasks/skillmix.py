"""Skills, query types, their mixes, and the rows made of them (Instruct-SkillMix, arXiv 2408.14774).

``skills.txt`` has a skill in each line; ``queries.txt`` has entries separated by ``###``, each
``* name * definition``. Rows are kept in the published columns: ``instruction, input, output,
skills_joined_str, query_str, generator``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from biddable.errors import FileError, InputError, shown
from biddable.runs.files import write_atomic
from biddable.tasks.neighbours import by_words, normalized
from biddable.tasks.neighbours import words as words_of
from biddable.tasks.rows import Row, read_text, read_values

JOIN = ", "
"""What stands between skills in ``skills_joined_str``, which is why a skill has no comma."""
COMPARED = 300
"""Instructions of which all pairs are compared for the diversity, at most."""
MOST_ENUMERATED = 200_000
"""Of more combinations than that, different ones are drawn by trying, instead of from their list."""

Mode = Literal["brevity", "junk"]
"""How shirkers answer: too short, or at length and of no use."""

_STARS = re.compile(r"\*+")
_ITEM = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s*")


@dataclass(frozen=True, slots=True)
class QueryType:
    """What kind of request a person makes."""

    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class SkillBank:
    """The skills that rows are to need, and the kinds of requests."""

    skills: tuple[str, ...]
    query_types: tuple[QueryType, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """What a row is to be made of: skills in the order in which they are named, and a kind of request."""

    skills: tuple[str, ...]
    query_type: QueryType

    @property
    def combination(self) -> tuple[str, ...]:
        """The skills in alphabetical order: the same for every order in which they are named."""
        return tuple(sorted(self.skills))


@dataclass(frozen=True, slots=True)
class Example:
    """A row: what is asked and answered, which skills it needs, and who wrote it."""

    instruction: str
    output: str
    skills: tuple[str, ...]
    query_type: str
    generator: str = ""


# -- skills and query types --------------------------------------------------------------------------------


def clean_skills(texts: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Skills of (place, text), each once, and of each text that is none its place and the reason.

    Blank texts are no skills and are passed over. A skill has no comma: by commas the published columns tell
    skills apart.
    """
    skills: dict[str, str] = {}
    left_out = []
    for place, text in texts:
        skill = " ".join(text.split())
        if not skill:
            continue
        if "," in skill:
            left_out.append(f"{place}: {shown(skill)} holds a comma")
        elif (key := normalized(skill)) in skills:
            left_out.append(f"{place}: {shown(skill)} is there already")
        else:
            skills[key] = skill
    return list(skills.values()), left_out


def read_skills(path: str | Path) -> tuple[list[str], list[str]]:
    """The skills of a file, one a line, and what was left out; see ``clean_skills``.

    Raises:
        FileError: the file cannot be read, or holds no skill.
    """
    lines = enumerate(read_text(path).split("\n"), 1)
    skills, left_out = clean_skills((f"{Path(path).name} line {n}", line) for n, line in lines)
    if not skills:
        why = f": {left_out[0]}" if left_out else ""
        raise FileError(path, f"holds no skill, expected one a line{why}")
    return skills, left_out


def parse_query_types(text: str, name: str = "queries") -> tuple[list[QueryType], list[str]]:
    """The query types of a text, and of each entry that is none its place and the reason.

    An entry is ``* name * definition``; stars of bold type, and a colon after the name, are no part of
    either. (The published code takes items 1 and 2 of what stars separate, and so a colon for the name where
    it is bold, and fails where nothing stands before the first star.)
    """
    types: dict[str, QueryType] = {}
    left_out = []
    for number, entry in enumerate((each for each in text.split("###") if each.strip()), 1):
        parts = [part.strip(" :\t\r\n") for part in _STARS.split(entry)]
        parts = [" ".join(part.split()) for part in parts if part]
        if "*" not in entry or len(parts) < 2:
            expected = "expected * name * definition"
            left_out.append(f"{name} entry {number}: {shown(entry.strip())}, {expected}")
        elif normalized(parts[0]) in types:
            left_out.append(f"{name} entry {number}: {shown(parts[0])} is there already")
        else:
            types[normalized(parts[0])] = QueryType(parts[0], " ".join(parts[1:]))
    return list(types.values()), left_out


def read_query_types(path: str | Path) -> tuple[list[QueryType], list[str]]:
    """The query types of a file, and what was left out; see ``parse_query_types``.

    Raises:
        FileError: the file cannot be read, or holds no query type.
    """
    types, left_out = parse_query_types(read_text(path), Path(path).name)
    if not types:
        why = left_out[0] if left_out else "the file is empty"
        raise FileError(path, f"holds no query type: {why}")
    return types, left_out


def parse_list(text: str) -> list[str]:
    """The items of a list that a model wrote, one a line, without bullets, numbers and bold type.

    Where some lines have a bullet or a number, the others are what stands around the list.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if _ITEM.match(line)]
    items = (_ITEM.sub("", line).replace("**", "") for line in marked or lines)
    return [item for item in (each.strip(" .;:\"'`") for each in items) if item]


# -- mixes -------------------------------------------------------------------------------------------------


def sample_mixes(bank: SkillBank, k: int, n: int, seed: int, *, unique: bool = False) -> list[Mix]:
    """``n`` mixes of ``k`` skills each.

    Query types take turns in a drawn order. Combinations may come again, in the same or another order, unless
    ``unique``.

    Raises:
        InputError: ``k`` is not from 1 to the number of skills, ``n`` is below 1, there is no query type, or
            ``unique`` and there are fewer combinations.
    """
    skills = bank.skills
    check_k(k, len(skills))
    if n < 1:
        raise InputError("n", n, "an integer of at least 1: all combinations may be very many")
    if not bank.query_types:
        raise InputError("query types", 0, "at least one")
    possible = math.comb(len(skills), k)
    if unique and n > possible:
        raise InputError("n", n, f"at most {possible}: {len(skills)} skills have no more combinations of {k}")
    rng = np.random.default_rng(seed)
    if unique and possible <= MOST_ENUMERATED:
        every = list(combinations(range(len(skills)), k))
        places = [rng.permutation(every[i]).tolist() for i in rng.permutation(possible)[:n]]
    else:
        places = []
        drawn: set[tuple[int, ...]] = set()
        while len(places) < n:
            place = rng.permutation(len(skills))[:k].tolist()
            if not unique or tuple(sorted(place)) not in drawn:
                drawn.add(tuple(sorted(place)))
                places.append(place)
    # As many of each kind as can be, in a drawn order.
    order = rng.permutation([i % len(bank.query_types) for i in range(n)])
    return [
        Mix(tuple(skills[i] for i in place), bank.query_types[kind])
        for place, kind in zip(places, order.tolist(), strict=True)
    ]


def check_k(k: int, skills: int) -> None:
    """Raises InputError unless rows of ``k`` skills can be made of so many."""
    if not 1 <= k <= skills:
        raise InputError("k", k, f"an integer from 1 to {skills}, the number of skills")


# -- shirkers ----------------------------------------------------------------------------------------------


def replaced_rows(rows: int, fraction: float) -> int:
    """How many of the first rows shirkers answer: at least one.

    Raises:
        InputError: the fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise InputError("fraction", fraction, "a number above 0 and at most 1")
    return max(1, round(fraction * rows))


def inject_shirkers(rows: Sequence[Example], fraction: float, outputs: Sequence[str]) -> list[Example]:
    """The rows, the outputs of the first ``fraction`` of them replaced in place by others.

    Instructions, order and all other rows stay as they are, as in the paper (200 of 1000).

    Raises:
        InputError: see ``replaced_rows``; or there is not an output for each row that is replaced.
    """
    number = replaced_rows(len(rows), fraction)
    if len(outputs) != number:
        raise InputError("outputs", len(outputs), f"one for each of {number} rows")
    replaced = [replace(row, output=text) for row, text in zip(rows, outputs, strict=False)]
    return [*replaced, *rows[number:]]


# -- what there is -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a data set covers.

    Attributes:
        rows: how many there are.
        skills: how many skills there are to choose from.
        used: how many of them any row needs.
        pairs, possible: different unordered pairs that stand together in a row, and how many could.
        similarity: mean ROUGE-L of two instructions (of at most ``COMPARED`` of them); None of a single one.
        instruction_words, output_words: mean numbers of words.
    """

    rows: int
    skills: int
    used: int
    pairs: int
    possible: int
    similarity: float | None
    instruction_words: float
    output_words: float

    @property
    def share(self) -> float:
        """Pairs there are of those that could be; 0 where none could."""
        return self.pairs / self.possible if self.possible else 0.0


def coverage_report(rows: Sequence[Example], skills: Sequence[str]) -> Coverage:
    """What the rows cover of the skills and of those that only the rows name.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("rows", 0, "at least one")
    known = {*skills, *(skill for row in rows for skill in row.skills)}
    pairs = {pair for row in rows for pair in combinations(sorted({*row.skills}), 2)}
    shown_rows = [rows[int(i)] for i in np.linspace(0, len(rows) - 1, min(len(rows), COMPARED)).round()]
    texts = [row.instruction for row in shown_rows]
    similarity = None
    if len(texts) > 1:
        nearness = by_words(texts, texts).astype(np.float64)
        similarity = float(nearness[np.triu_indices(len(texts), 1)].mean())
    return Coverage(
        rows=len(rows),
        skills=len(known),
        used=len({skill for row in rows for skill in row.skills}),
        pairs=len(pairs),
        possible=math.comb(len(known), 2),
        similarity=similarity,
        instruction_words=float(np.mean([len(words_of(row.instruction)) for row in rows])),
        output_words=float(np.mean([len(words_of(row.output)) for row in rows])),
    )


# -- the published columns ---------------------------------------------------------------------------------


def write_examples(path: str | Path, rows: Sequence[Example]) -> None:
    """Write rows as a JSON list with the published columns, whole or not at all."""
    values = [
        {
            "instruction": row.instruction,
            "input": "",
            "output": row.output,
            "skills_joined_str": JOIN.join(row.skills),
            "query_str": row.query_type,
            "generator": row.generator,
        }
        for row in rows
    ]
    text = ",\n".join(json.dumps(value, ensure_ascii=False) for value in values)
    write_atomic(Path(path), f"[{text}]\n")


def read_examples(path: str | Path) -> tuple[list[Example], list[str]]:
    """The rows of a file with the published columns, and of each that is none its place and the reason.

    Raises:
        FileError: the file cannot be read, or holds no such row.
    """
    broken: list[tuple[Row, FileError]] = []
    rows, left_out = [], []
    for row in read_values(path, broken=broken):
        try:
            rows.append(_example(row.value))
        except InputError as error:
            left_out.append(f"{row.name}: {error}")
    left_out += [f"{row.name}: {error}" for row, error in broken]
    if not rows:
        columns = "instruction, output, skills_joined_str"
        raise FileError(path, f"holds no row with {columns}" + (f": {left_out[0]}" if left_out else ""))
    return rows, left_out


def _example(value: Any) -> Example:
    if not isinstance(value, dict):
        raise InputError("row", value, "an object with instruction, output and skills_joined_str")
    instruction, output, joined = (
        _text(value, name) for name in ("instruction", "output", "skills_joined_str")
    )
    if given := _text(value, "input", blank=True):
        instruction = f"{instruction}\n{given}"
    skills = tuple(filter(None, (part.strip() for part in joined.split(","))))
    if not skills or len({*skills}) < len(skills):
        raise InputError("skills_joined_str", joined, "one skill or more, each once, separated by commas")
    kind, generator = (_text(value, name, blank=True) for name in ("query_str", "generator"))
    return Example(instruction, output, skills, kind, generator)


def _text(value: dict[str, Any], name: str, *, blank: bool = False) -> str:
    text = value.get(name)
    if blank and text is None:
        return ""
    if not isinstance(text, str) or not (blank or text.strip()):
        raise InputError(name, text, "a text" if blank else "a text that is not blank")
    return text.strip()
