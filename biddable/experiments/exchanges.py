"""Rows to choose from and rows held out: conversations by the last answer in them that is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.errors import FileError, InputError
from biddable.tasks.data import Unreadable, read_rows, split
from biddable.tasks.neighbours import Words, nearest, normalized
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Chat, Conversation, last_turn

FEWEST = 4
"""Held-out rows at least: two for the fit and the choice, two for the test."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A conversation to learn from, with the place of the last answer that is learned.

    Attributes:
        conversation, place: see above.
        level: of which quality it was made, where that is known.
    """

    conversation: Conversation
    place: int
    level: str = ""

    @property
    def prompt(self) -> Chat:
        """What came before the answer."""
        return self.conversation.chat[: self.place]

    @property
    def request(self) -> str:
        """The last turn of it."""
        return last_turn(self.prompt)

    @property
    def response(self) -> str:
        """The answer."""
        return self.conversation.chat[self.place].content

    @property
    def pair(self) -> tuple[Chat, str]:
        """Both."""
        return self.prompt, self.response


def as_exchange(row: Conversation, level: str = "") -> Exchange | Drop:
    """The last answer that is learned, or why there is none that can be."""
    places = [place for place, learned in enumerate(row.trained) if learned]
    if not places:
        return Drop("no answer is learned")
    if places[0] == 0:
        return Drop("an answer without a request")
    if any(not row.chat[place].content.strip() for place in places):
        return Drop("an answer that is empty")
    return Exchange(row, places[-1], level)


def read_exchanges(source: Path) -> Funnel[Any]:
    """The conversations of a source (``tasks.data``) that can be learned from, each exchange once.

    Raises:
        FileError: the source cannot be read, or holds no conversation.
    """
    read = {_name(source, name): row for name, row in read_rows(source, "conversations").items()}
    bad = {
        name: (row.value, Drop(row.reason, str(row.error)))
        for name, row in read.items()
        if isinstance(row, Unreadable)
    }
    if len(bad) == len(read):
        raise FileError(source, f"holds no conversation: {next(iter(bad.values()))[1].detail}")
    funnel: Funnel[Any] = Funnel({name: bad[name][0] if name in bad else row for name, row in read.items()})
    funnel.apply("reading", [bad[name][1] if name in bad else row for name, row in read.items()])
    funnel.apply("exchange", [as_exchange(row) for row in funnel.rows])
    once(funnel)
    return funnel


def _name(source: Path, where: str) -> str:
    """The place of a row, without the folders that its file is in."""
    return where.removeprefix(f"{source.parent}/") if len(source.parts) > 1 else where


def once(funnel: Funnel[Any]) -> None:
    """Drop rows whose conversation is that of an earlier one."""
    first: dict[tuple[str, ...], str] = {}
    results: list[Any] = []
    for name, row in funnel.kept.items():
        like = first.setdefault(tuple(normalized(turn.content) for turn in row.conversation.chat), name)
        results.append(row if like == name else Drop("repeats an earlier row", like=like))
    funnel.apply("repeats", results)


def apart(funnel: Funnel[Any], held: Mapping[str, Exchange], threshold: float) -> None:
    """Drop rows whose request is that of a held-out row, or as near to one as ``threshold`` (ROUGE-L)."""
    names, requests = list(held), [row.request for row in held.values()]
    same = {normalized(request): name for name, request in zip(names, requests, strict=True)}
    asked = [row.request for row in funnel.rows]
    near = nearest(asked, requests, 1, Words()) if threshold < 1 else [[] for _ in asked]
    results: list[Any] = []
    for row, request, found in zip(funnel.rows, asked, near, strict=True):
        like = same.get(normalized(request), "")
        if not like and found and found[0].similarity >= threshold:
            like = names[found[0].place]
        results.append(Drop("asks what a held-out row asks", like=like) if like else row)
    funnel.apply("held-out rows", results)


def held_out_rows(
    funnel: Funnel[Any], data: Path, dev: Path | None, share: float, overlap: float
) -> tuple[dict[str, Exchange], list[str]]:
    """Rows that are held out, and what to know of them; no row near to one of them is left in the funnel.

    Args:
        funnel: the rows of ``data``.
        data, dev: where they are from, and the held-out ones; None: these are a part of the data.
        share: how large a part.
        overlap: see ``apart``.

    Raises:
        FileError: ``dev`` cannot be read.
        InputError: too few rows are held out, or none is left to choose from.
    """
    notes = []
    if dev is not None:
        read = read_exchanges(dev)
        held: dict[str, Exchange] = dict(read.kept)
        if read.dropped:
            first = read.dropped[0]
            told = f"{len(read.dropped)} held-out rows were left out; the first"
            notes.append(f"{told}: {first.id}: {first.why.reason}.")
    else:
        sources = [normalized(row.request) for row in funnel.rows]
        if not 0 < share < 1:
            raise InputError("held_out", share, "a number between 0 and 1")
        if len({*sources}) < 2 * FEWEST:
            raise InputError("data", str(data), f"at least {2 * FEWEST} different requests, or --dev")
        _, names = split(funnel.ids, sources, share, seed=0)
        held = {name: funnel.kept[name] for name in names}
        drop = Drop("held out for the loss")
        funnel.apply("held out", [drop if name in held else row for name, row in funnel.kept.items()])
        notes.append(
            f"No --dev: {len(held)} rows of the data are held out, by their requests. They are no better "
            "than the data, so the rule looks for rows that are like most; good rows of your own say more."
        )
    if len({normalized(row.request) for row in held.values()}) < FEWEST:
        raise InputError("dev", str(dev or data), f"at least {FEWEST} held-out rows with different requests")
    before = len(funnel.rows)
    apart(funnel, held, overlap)
    if before and not funnel.rows:
        expected = f"rows to choose from that are not held out: all {before} ask what held-out rows ask"
        raise InputError("data", str(data), expected)
    return held, notes


def halves(rows: Sequence[Exchange]) -> tuple[list[Exchange], list[Exchange]]:
    """Held-out rows for the fit and the choice, and for the test, apart by their requests.

    Raises:
        InputError: there are not enough.
    """
    sources = [normalized(row.request) for row in rows]
    if len({*sources}) < FEWEST:
        raise InputError("dev", f"{len(rows)} rows", f"at least {FEWEST} that the model takes")
    parts = split(rows, sources, 0.5, seed=1)
    if min(map(len, parts)) < FEWEST // 2:
        raise InputError("dev", f"{len(rows)} rows", "rows of more requests: one request has most of them")
    return parts
