"""Choosing some of a benchmark's groups by name: subjects, tasks."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from biddable.errors import InputError

_LISTED = 12


def chosen(field: str, wanted: Sequence[str], known: Collection[str]) -> list[str]:
    """The groups wanted, each once; all where none is named.

    Raises:
        InputError: there is no such group; the nearest are named, or all where they are few.
    """
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            few = ", ".join(list(known)[:_LISTED]) + (", …" if len(known) > _LISTED else "")
            raise InputError(field, name, f"one of {len(known)}: {' or '.join(near) + '?' if near else few}")
    return list(dict.fromkeys(wanted or known))
