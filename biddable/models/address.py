"""Where a served model is asked: the address as the user gave it, and what of it may be shown."""

from __future__ import annotations

import ipaddress
import re

import httpx

from biddable.errors import InputError

CHAT = "/chat/completions"
TEXT = "/completions"
_SECRET = re.compile(r"key|token|secret|passw|sig|auth|code", re.IGNORECASE)


def base_url(url: str) -> str:
    """The address that a server's other routes hang from, without a query.

    ``/v1`` is put behind a path that has no version, unless the address names the route
    ``/chat/completions`` itself or a deployment of Azure: those are taken as they stand.

    Raises:
        InputError: it is no http(s) URL, or it holds what an address should not (a password, a key).
    """
    parsed = _parsed(url)
    path = parsed.path.rstrip("/")
    if path.endswith(CHAT):
        path = path.removesuffix(CHAT)
    elif not re.search(r"/v[0-9]|/deployments/", path):
        path += "/v1"
    return str(parsed.copy_with(path=path or "/", query=None)).rstrip("/")


def chat_url(url: str) -> str:
    """The address that chats are posted to, with the query that was given. Raises as ``base_url``."""
    parsed = _parsed(url)
    if parsed.path.rstrip("/").endswith(CHAT):
        return str(parsed)
    query = parsed.query.decode()
    return base_url(url) + CHAT + (f"?{query}" if query else "")


def text_url(url: str) -> str:
    """The address that raw text is posted to, beside that for chats. Raises as ``base_url``."""
    return chat_url(url).replace(CHAT, TEXT)


def without_secrets(url: str) -> str:
    """An address as it may be shown: without user, password and query."""
    return re.sub(r"\?.*", "?***", re.sub(r"//.*@", "//***@", url))


def is_loopback(url: str) -> bool:
    """Whether the address is of this very machine."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    address = parsed.scheme in {"http", "https"} and parsed.host and 0 < (parsed.port or 80) < 2**16
    if not address or parsed.userinfo or parsed.fragment:
        expected = "http(s)://HOST[:PORT][/PATH][?QUERY] without user or fragment"
        raise InputError("url", without_secrets(url), expected)
    if any(_SECRET.search(name) for name in parsed.params):
        # The name of a model is recorded with every result.
        expected = "an address without a key in its query: the key is read from OPENAI_API_KEY"
        raise InputError("url", without_secrets(url), expected)
    return parsed
