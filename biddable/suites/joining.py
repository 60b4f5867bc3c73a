"""Which item of one log is which of another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
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
        repeated: how many of the pairs were found by a prompt that stands several times in a log: in order.
    """

    by: By
    pairs: tuple[tuple[Logged, Logged], ...] = field(repr=False)
    only_first: int
    only_second: int
    reworded: int
    repeated: int = 0


def join(first: Log, second: Log, by: By | None = None) -> Join:
    """Find the items of one log in another by what fits first, or by what is named.

    Ids, documents and prompts must tell items apart. Ids most of whose prompts differ belong to other items.

    Raises:
        FileError: the two have no item in common.
    """
    # Places say nothing where items have names: two files of other tasks have them in common, too.
    ways = WAYS if _nameless(first) or _nameless(second) else WAYS[:3]
    for way, ours, others in _tried(first, second, ways if by is None else (by,)):
        if ours is None or others is None:
            continue
        theirs = dict(zip(others, second.items, strict=True))
        found = [(key, mine) for key, mine in zip(ours, first.items, strict=True) if key in theirs]
        pairs = [(mine, theirs[key]) for key, mine in found]
        reworded = sum(not _same_prompt(*pair) for pair in pairs)
        # What is left of prompts in other templates may be the same in items that are not.
        if not pairs or (2 * reworded > len(pairs) and (way == "prompt" or (by is None and way == "id"))):
            continue
        if way == "position" and by is None and len(first.items) != len(second.items):
            continue
        n = len(pairs)
        twice = {text for text, time in (*ours, *others) if time} if way == "prompt" else set()
        repeated = sum(key[0] in twice for key, _ in found) if twice else 0
        return Join(way, tuple(pairs), len(first.items) - n, len(second.items) - n, reworded, repeated)
    how = by or "id, document or prompt"
    ids = {item.id for item in first.items} & {item.id for item in second.items} - {""}
    hint = (
        f"; {counted(len(ids), 'id')} in both, with other prompts: --by id joins them"
        if ids and not by
        else ""
    )
    sizes = f"{counted(len(second.items), 'item')} here, {len(first.items):,} there"
    raise FileError(second.path, f"no item in common with {first.path} ({sizes}; looked for by {how}{hint})")


def _tried(
    first: Log, second: Log, ways: Sequence[By]
) -> Iterator[tuple[By, list[Any] | None, list[Any] | None]]:
    """What items may be found by: their keys in both logs; prompts whole, then without their templates."""
    for way in ways:
        yield way, _keys(first.items, way), _keys(second.items, way)
        if way == "prompt":
            yield way, _unframed(first.items), _unframed(second.items)


def _unframed(items: Sequence[Logged]) -> list[Any] | None:
    """Prompts without the words that all of a log begin and end with, where any are left of each."""
    words = [item.prompt.split() for item in items]
    start = _shared(words)
    words = [each[start:] for each in words]
    end = _shared([each[::-1] for each in words])
    texts = [" ".join(each[: len(each) - end]) for each in words]
    return _numbered(texts) if all(texts) else None


def _shared(words: Sequence[Sequence[str]]) -> int:
    """How many words all begin with."""
    return sum(1 for _ in takewhile(lambda each: len({*each}) == 1, zip(*words, strict=False)))


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
    return _numbered(found)


def _numbered(texts: Sequence[str]) -> list[Any]:
    """Each with how often it stood before: a prompt that stands twice is taken in order."""
    times: Counter[str] = Counter()
    numbered = []
    for text in texts:
        numbered.append((text, times[text]))
        times[text] += 1
    return numbered


def _plain(prompt: str) -> str:
    return " ".join(prompt.split())


def _same_prompt(first: Logged, second: Logged) -> bool:
    """Whether two prompts are one, or one is the other within a template or after solved examples."""
    one, other = _plain(first.prompt), _plain(second.prompt)
    return one in other or other in one
