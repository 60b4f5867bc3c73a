"""The names of a run's stages, and the random draws that are derived from names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

import numpy as np

from biddable.errors import InputError, RunError
from biddable.runs.codec import jsonable

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


class Names:
    """The names that stages of one run have, all of which begin with the prefix of a scope.

    Args:
        prefix: ``seed0-``, or nothing.
        taken: the names of the whole run that were used; scopes share it.
    """

    def __init__(self, prefix: str = "", taken: set[str] | None = None):
        self._prefix = prefix
        self._taken: set[str] = set() if taken is None else taken

    def scope(self, name: str) -> Names:
        """The names that begin with ``name-`` as well. Raises InputError: no name of a stage starts so."""
        _check(name)
        return Names(f"{self._prefix}{name}-", self._taken)

    def whole(self, name: str) -> str:
        """A name with its prefix."""
        return self._prefix + name

    def take(self, name: str) -> str:
        """The same, for a stage of its own.

        Raises:
            InputError: no name for a stage.
            RunError: another stage of the run has it.
        """
        whole = self.whole(name)
        _check(whole)
        if whole in self._taken:
            raise RunError(f"stage {whole}: the name is used twice; both would get what is computed first")
        self._taken.add(whole)
        return whole

    def seed_sequence(self, root_seed: int, keys: Sequence[str | int]) -> np.random.SeedSequence:
        """What random draws for ``keys`` are derived from; the first key has the prefix before it."""
        if self._prefix:
            first, *rest = keys or ("",)
            keys = (f"{self._prefix}{first}", *rest)
        # Not hash(): that of a string differs from process to process.
        hashed = hashlib.sha256(json.dumps(jsonable(keys)).encode()).digest()
        return np.random.SeedSequence([root_seed, *np.frombuffer(hashed, dtype="<u4").tolist()])


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError("stage name", name, "up to 100 of a-z, 0-9, '_' and '-'")
