"""Responses of served models kept on disk, so that a rerun asks only for what is missing.

One file per response rather than one database: it needs no lock, works on network file systems and
across forks, and damage costs the one response it hits. A file holds a digest and what it is the
digest of; whatever does not match (cut short, overwritten, by another version) counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from biddable.errors import StorageError
from biddable.runs.files import write_atomic
from biddable.types import Response

logger = logging.getLogger(__name__)


class ResponseCache:
    """Responses by the whole request that brought them (anything JSON can hold; never an API key)."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._warned = False

    def get(self, request: Mapping[str, Any]) -> Response | None:
        """The response to this very request, or None when there is none that can be read."""
        try:
            digest, _, body = self._path(request).read_bytes().partition(b"\n")
            if digest != _digest(body):
                return None
            fields = json.loads(body)
            return Response(
                text=fields["text"],
                token_ids=tuple(fields["token_ids"]),
                logprobs=tuple(fields["logprobs"]),
                finish_reason=fields["finish_reason"],
            )
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def put(self, request: Mapping[str, Any], response: Response) -> None:
        """Keep ``response``. Where that fails (disk full, no permission) the log is told, once.

        It never raises for that: the response in hand may have cost money, and not keeping it is no
        reason to lose it.
        """
        body = json.dumps(asdict(response)).encode()
        try:
            write_atomic(self._path(request), _digest(body) + b"\n" + body)
        except (StorageError, OSError) as error:
            if not self._warned:
                logger.warning("responses are not being kept in %s: %s", self.folder, error)
            self._warned = True

    def place(self, request: Mapping[str, Any]) -> str:
        """What tells a request from others."""
        canonical = json.dumps(request, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _path(self, request: Mapping[str, Any]) -> Path:
        key = self.place(request)
        # 256 folders keep each small enough to list even with millions of responses.
        return self.folder / key[:2] / key[2:]


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
