"""Which item of one log is which of another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from biddable.errors import FileError
from biddable.suites.logs.base import Log, Logged, counted

By = Literal["id", "document", "prompt", "position"]
WAYS: tuple[By, ...] = ("id", "document", "prompt", "position")


@dataclass(frozen=True, slots=True)
class Join:
    """Which item of one log is which of another's.

    Attributes:
        by: what they were found by.
        pairs: items that are in both.
        only_first, only_second: how many are in one alone.
        reworded: how many of the pairs have another prompt.
    """

    by: By
    pairs: tuple[tuple[Logged, Logged], ...] = field(repr=False)
    only_first: int
    only_second: int
    reworded: int


def join(first: Log, second: Log, by: By | None = None) -> Join:
    """Find the items of one log in another by what fits first, or by what is named.

    Ids, documents and prompts must tell items apart. Ids most of whose prompts differ belong to other items.

    Raises:
        FileError: the two have no item in common.
    """
    # Places say nothing where items have names: two files of other tasks have them in common, too.
    ways = WAYS if _nameless(first) or _nameless(second) else WAYS[:3]
    for way in ways if by is None else (by,):
        keys = _keys(first.items, way), _keys(second.items, way)
        if keys[0] is None or keys[1] is None:
            continue
        theirs = dict(zip(keys[1], second.items, strict=True))
        pairs = [(mine, theirs[key]) for key, mine in zip(keys[0], first.items, strict=True) if key in theirs]
        reworded = sum(not _same_prompt(*pair) for pair in pairs)
        if not pairs or (by is None and way == "id" and 2 * reworded > len(pairs)):
            continue
        if way == "position" and by is None and len(first.items) != len(second.items):
            continue
        n = len(pairs)
        return Join(way, tuple(pairs), len(first.items) - n, len(second.items) - n, reworded)
    how = by or "id, document or prompt"
    ids = {item.id for item in first.items} & {item.id for item in second.items} - {""}
    hint = (
        f"; {counted(len(ids), 'id')} in both, with other prompts: --by id joins them"
        if ids and not by
        else ""
    )
    sizes = f"{counted(len(second.items), 'item')} here, {len(first.items):,} there"
    raise FileError(second.path, f"no item in common with {first.path} ({sizes}; looked for by {how}{hint})")


def _nameless(log: Log) -> bool:
    return all(_keys(log.items, way) is None for way in ("id", "document", "prompt"))


def _keys(items: Sequence[Logged], by: By) -> list[Any] | None:
    """What tells items apart; None where it does not."""
    if by == "position":
        return [item.position for item in items]
    of: dict[str, Callable[[Logged], str]] = {
        "id": lambda item: item.id,
        "document": lambda item: item.document,
        "prompt": lambda item: _plain(item.prompt),
    }
    found = [of[by](item) for item in items]
    if not all(found):
        return None
    if by != "prompt":
        return list(found) if len({*found}) == len(found) else None
    # A prompt that stands twice is taken in order.
    times: Counter[str] = Counter()
    numbered = []
    for text in found:
        numbered.append((text, times[text]))
        times[text] += 1
    return numbered


def _plain(prompt: str) -> str:
    return " ".join(prompt.split())


def _same_prompt(first: Logged, second: Logged) -> bool:
    """Whether two prompts are one, or one is the other within a template or after solved examples."""
    one, other = _plain(first.prompt), _plain(second.prompt)
    return one in other or other in one
