"""Whether the model behind a name is still the one whose answers are kept.

Nothing in the protocol says so for certain: a server restarted with other weights may tell the same of
itself. So it is asked: what it tells (its list of models, llama.cpp's ``/props``, the model and the
fingerprint in its answers), and one short greedy answer to a prompt that was asked before. All of that
together is the identity under which answers are kept and found.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from biddable.errors import StorageError
from biddable.models.endpoint import Endpoint, NoAnswerError, RefusedError
from biddable.runs.files import write_atomic

logger = logging.getLogger(__name__)

CANARY_TOKENS = 64
TRIED = 3
"""Prompts that are tried for the short answer, where the server refuses the first."""

_FACTS = ("id", "owned_by", "root", "parent", "meta", "digest", "sha", "hash", "revision", "quantization")
_PROPS = ("model_path", "model_alias", "build_info", "chat_template")
_FRESH_S = 600

Asked = list[dict[str, str]] | str
"""What a prompt is in a request: messages, or raw text."""

Ask = Callable[[Asked], Awaitable[tuple[str, str, str]]]


async def identity(
    endpoint: Endpoint,
    client: httpx.AsyncClient,
    name: str,
    folder: Path,
    url: str,
    prompts: Sequence[Asked],
    ask: Ask,
) -> str:
    """What answers of the model that serves ``name`` now are kept under.

    Where no short answer can be had it is a word of this process's own: nothing kept is used.

    Args:
        folder: where it is noted which prompt is asked, beside the kept answers.
        url: the address that is asked, that for chats or that for raw text.
        prompts: what to choose that prompt from where none is noted.
        ask: gives the model, the fingerprint and the text of a short greedy answer.

    Raises:
        EndpointError: the server cannot be reached, or refuses us.
    """
    noted_in = folder / "models" / _digest([url, name])
    noted = _noted(noted_in)
    for messages in [noted["messages"]] if noted else list(prompts[:TRIED]):
        try:
            answer = await ask(messages)
        except RefusedError:
            continue
        except NoAnswerError:
            break
        facts = await _facts(endpoint, client, name)
        digest = _digest([facts, *answer, messages])
        if noted and noted["identity"] != digest:
            logger.warning(
                "%s at %s is another model than when answers were kept, or answers otherwise: none of those "
                "is used",
                name,
                endpoint.shown_url,
            )
        if not noted or noted["identity"] != digest:
            _note(noted_in, {"messages": messages, "identity": digest})
        return digest
    if noted:
        logger.warning("%s does not answer what it answered before: no kept answer is used", name)
    return secrets.token_hex(16)


async def _facts(endpoint: Endpoint, client: httpx.AsyncClient, name: str) -> list[Any]:
    """What the server tells of the model; nothing that changes while it stays the same."""
    listed = await endpoint.get(client, f"{endpoint.url}/models")
    models = listed.get("data") if isinstance(listed, dict) else None
    entries = [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []
    entry = next((entry for entry in entries if entry.get("id") == name), entries[0] if entries else {})
    facts = {key: entry[key] for key in _FACTS if key in entry}
    created = entry.get("created")
    # Servers that know no date of their model give the time of the request.
    if isinstance(created, int) and abs(time.time() - created) > _FRESH_S:
        facts["created"] = created
    props = await endpoint.get(client, f"{endpoint.url.removesuffix('/v1')}/props") if entry else None
    return [facts, {key: props.get(key) for key in _PROPS} if isinstance(props, dict) else {}]


def _noted(path: Path) -> dict[str, Any] | None:
    try:
        noted = json.loads(path.read_bytes())
        asked = noted["messages"]
        whole = isinstance(noted["identity"], str) and (
            isinstance(asked, str)
            or all(isinstance(turn["role"], str) and isinstance(turn["content"], str) for turn in asked)
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return noted if whole and noted["messages"] else None


def _note(path: Path, content: dict[str, Any]) -> None:
    with suppress(StorageError, OSError):  # the cache says that it cannot keep anything
        write_atomic(path, json.dumps(content))


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
