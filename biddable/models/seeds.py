"""What callers of a model may ask for: how many responses, and with which seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from biddable.errors import InputError
from biddable.types import Prompt


def row_seeds(prompts: Sequence[Prompt], n: int, seeds: Sequence[int] | None) -> Sequence[int]:
    """One seed for each chat: those given, or 0, 1, ….

    Raises:
        InputError: ``n`` is below 1, or ``seeds`` holds more or fewer.
    """
    if n < 1:
        raise InputError("n", n, "an integer of at least 1")
    if seeds is None:
        return range(len(prompts))
    require_one_each("seeds", seeds, prompts)
    return seeds


def require_one_each(field: str, values: Sequence[Any], prompts: Sequence[Prompt]) -> None:
    """Raise InputError unless there is one value for each chat."""
    if len(values) != len(prompts):
        raise InputError(field, f"{len(values)} of them", f"one for each of the {len(prompts)} prompts")


def sample_seed(row_seed: int, sample: int) -> int:
    """The seed of one of a row's responses for engines that are not ours: 31 bits, which all take.

    Mixed rather than ``row_seed + sample``: rows have neighbouring seeds, and would share responses.
    """
    return int.from_bytes(hashlib.sha256(f"{row_seed}/{sample}".encode()).digest()[:4], "big") >> 1
