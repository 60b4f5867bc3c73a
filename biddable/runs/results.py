"""``results.json``, checked as it is written and as it is read.

Whatever depends on the clock stands under ``timing`` and nowhere else, so two runs of one config
differ in nothing but that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from biddable.errors import FileError, InputError
from biddable.runs.codec import describe, jsonable
from biddable.runs.compare import verdict_on
from biddable.runs.files import read_json, write_json
from biddable.types import Comparison

SCHEMA_VERSION: Final = 1


class Results(BaseModel):
    """The results of a run.

    ``metrics`` is free: numbers and texts, nested as the method likes. ``environment`` says where it
    was computed, ``timing`` how long everything took, ``notes`` what a reader must know, ``next_steps``
    lines to type next, with ``{run}`` for the folder, where those of ``runs.next_steps`` do not fit.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    method: str = Field(min_length=1)
    comparisons: list[Comparison]
    config: dict[str, Any]
    environment: dict[str, Any]
    timing: dict[str, Any]
    metrics: dict[str, Any] = {}
    notes: list[str] = []
    next_steps: list[str] = []

    @field_validator("comparisons")
    @classmethod
    def _comparisons_are_sound(cls, comparisons: list[Comparison]) -> list[Comparison]:
        for comparison in comparisons:
            check_comparison(comparison)
        return comparisons

    @field_validator("metrics", "timing")
    @classmethod
    def _numbers_are_finite(cls, value: dict[str, Any]) -> dict[str, Any]:
        if field := _not_finite(value, ""):
            raise ValueError(f"{field} is not a finite number")
        return value


def check_comparison(comparison: Comparison) -> None:
    """Raise ValueError unless the numbers of a comparison agree with each other."""
    name, (low, high) = comparison.metric, comparison.interval
    numbers = (comparison.baseline, comparison.method, comparison.difference, low, high)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name}: a number is not finite")
    if low > high:
        raise ValueError(f"{name}: the interval {comparison.interval} ends before it begins")
    if not math.isclose(
        comparison.difference, comparison.method - comparison.baseline, rel_tol=1e-9, abs_tol=1e-9
    ):
        raise ValueError(f"{name}: the difference is not method minus baseline")
    if comparison.n < 1 or not comparison.seeds:
        raise ValueError(f"{name}: no case or no seed")
    if (comparison.verdict is None) == (comparison.role == "claim"):
        raise ValueError(f"{name}: a {comparison.role} with the verdict {comparison.verdict}")
    if comparison.p_value is not None and not 0 <= comparison.p_value <= 1:
        raise ValueError(f"{name}: the p-value {comparison.p_value} is not between 0 and 1")
    # For "equal" the margin, which is not kept, decides.
    if comparison.role == "claim" and comparison.predicted != "equal":
        verdict = verdict_on(comparison.interval, comparison.predicted)
        if comparison.verdict != verdict:
            raise ValueError(f"{name}: the interval says {verdict!r}, not {comparison.verdict!r}")


def write_results(path: str | Path, results: Results | Mapping[str, Any]) -> Results:
    """Write ``results.json`` from results or their fields, whole and sound or not at all.

    Returns the results as they will be read back.

    Raises:
        InputError: a number is not finite, an interval is reversed, a difference or a verdict does not
            agree with its numbers …
        StorageError: the disk is full …
    """
    plain = jsonable(dict(results))
    try:
        sound = Results.model_validate(plain)
    except ValidationError as error:
        raise InputError("results", plain.get("method"), f"sound results ({describe(error)})") from error
    write_json(path, jsonable(dict(sound)))
    return sound


def read_results(path: str | Path) -> Results:
    """Read ``results.json`` (or that of a run folder).

    Raises:
        FileError: it is missing, not JSON, of another version, or does not hold what it should.
    """
    file = Path(path, "results.json") if os.path.isdir(path) else Path(path)
    plain = read_json(file)
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if version != SCHEMA_VERSION:
        raise FileError(file, f"schema_version is {version}, this biddable reads {SCHEMA_VERSION}")
    try:
        return Results.model_validate(plain)
    except ValidationError as error:
        raise FileError(file, describe(error)) from error


def _not_finite(value: Any, field: str) -> str | None:
    """The name of the first number in a nested value that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return field.lstrip(".")
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inner = [(f"{field}.{name}", part) for name, part in value.items()]
    elif isinstance(value, list):
        inner = [(f"{field}[{index}]", part) for index, part in enumerate(value)]
    return next(filter(None, (_not_finite(part, name) for name, part in inner)), None)
