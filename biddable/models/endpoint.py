"""Posting JSON to a server that may be slow, busy, broken or lying, in bounded time.

One ``post`` takes at most ``2 * retries + 1`` attempts of ``timeout_s`` each, with at most
``MAX_WAIT_S`` between two of them. What is worth another attempt: 408, 409, 429, any 5xx, a
connection that fails, an answer that is late or makes no sense.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from urllib.request import getproxies

import httpx

from biddable.errors import EndpointError, InputError
from biddable.models.address import TEXT, is_loopback, without_secrets
from biddable.models.waits import MAX_WAIT_S, asked_wait

MAX_MESSAGE = 300
LONG_WAIT_S = 5.0
WORTH_RETRYING = {408, 409, 429}
NO_ROUTE = {404, 405, 501}
FAULT_OF_THE_REQUEST = {400, 413, 422}
PERHAPS_OF_THE_REQUEST = {403, 451}
"""Refused access; by some servers' moderation, one prompt."""

T = TypeVar("T")


class NoAnswerError(EndpointError):
    """One request got no answer; others may fare better.

    Attributes:
        said: why, in one line, without the address.
    """

    def __init__(self, url: str, said: str):
        super().__init__(f"{url}: {said}")
        self.said = said


class RefusedError(NoAnswerError):
    """The server found fault with the request itself, or with us (``of_us``: one cannot tell).

    ``answer`` is what it said, as it came.
    """

    def __init__(self, url: str, said: str, answer: bytes, *, of_us: bool):
        super().__init__(url, said)
        self.answer, self.of_us = answer, of_us


class NoRouteError(EndpointError):
    """There is nothing at the address that was asked."""


class _TryAgainError(Exception):
    def __init__(self, problem: str, wait_s: float = 0.0, *, unreachable: bool = False):
        self.problem, self.wait_s, self.unreachable = problem, wait_s, unreachable


@dataclass(frozen=True)
class Endpoint:
    """A server, and how much patience to have with it.

    Args:
        url: base address, without a trailing slash and a query: what errors name.
        chat_url: the full address that chats are posted to.
        text_url: the full address that raw text is posted to.
        api_key: sent as a bearer token; never shown, not even when the server repeats it.
        timeout_s: seconds one attempt may take from connecting to the last byte.
        retries: attempts after the first. A long wait that the server asks for takes up none, at most so
            many times again.
        backoff_s: before retry ``k`` (from 0), wait a random time of up to ``backoff_s * 2**k`` seconds.
    """

    url: str
    chat_url: str
    text_url: str
    api_key: str | None = field(repr=False)
    timeout_s: float
    retries: int
    backoff_s: float

    def client(self) -> httpx.AsyncClient:
        """A client for any number of concurrent posts; it lives as long as one event loop."""
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
            if httpx.URL(self.url).host.endswith(".azure.com"):
                headers["api-key"] = self.api_key
        certificates = _certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"))
        # The environment's proxy stands on another machine: it cannot reach our loopback.
        through_proxy = not is_loopback(self.url)
        try:
            if through_proxy:
                _check_proxy_ports()
            return httpx.AsyncClient(
                headers=headers,
                timeout=self.timeout_s,
                verify=certificates,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
                trust_env=through_proxy,
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            given = ", ".join(f"{kind}={without_secrets(url)}" for kind, url in sorted(getproxies().items()))
            expected = f"http://HOST:PORT ({self._one_line(str(error))})"
            raise InputError("proxies of the environment", given, expected) from None

    async def post(
        self,
        client: httpx.AsyncClient,
        body: Mapping[str, Any],
        read: Callable[[bytes], T],
        *,
        retries: int | None = None,
    ) -> T:
        """Post ``body`` and return what ``read`` makes of the answer (ValueError from it: nonsense).

        What has a ``prompt`` goes where raw text is taken, all else where chats are.

        Raises:
            RefusedError: the server found fault with this request (400, 413, 422; 403, 451 perhaps).
            NoAnswerError: no attempt brought an answer.
            NoRouteError: there is nothing at that address, or no such model (404, 405, 501).
            EndpointError: it refuses us (401 …), or it cannot be reached.
        """
        retries = self.retries if retries is None else retries
        attempts = used = patience = 0
        while True:
            attempts += 1
            try:
                return await self._attempt(client, body, read)
            except _TryAgainError as again:
                problem = again
            if problem.wait_s >= LONG_WAIT_S and patience < retries:
                patience += 1
            else:
                used += 1
            if used > retries:
                break
            jitter = random.uniform(0, min(MAX_WAIT_S, self.backoff_s * 2 ** (attempts - 1)))
            await asyncio.sleep(max(problem.wait_s, jitter))
        times = f"{attempts} attempts" if attempts > 1 else "1 attempt"
        said = f"no usable answer after {times}; the last: {problem.problem}"
        if problem.unreachable:
            raise EndpointError(f"{self.shown_url}: {said}")
        raise NoAnswerError(self.shown_url, said)

    def url_for(self, body: Mapping[str, Any]) -> str:
        """The address that a request is posted to."""
        return self.text_url if "prompt" in body else self.chat_url

    async def get(self, client: httpx.AsyncClient, url: str) -> Any:
        """The JSON at an address of this server, asked for once; None where there is none."""
        try:
            async with asyncio.timeout(min(self.timeout_s, 10.0)):
                reply = await client.get(url)
            return reply.json() if reply.is_success else None
        except (TimeoutError, httpx.HTTPError, ValueError, RecursionError):
            return None

    @property
    def shown_url(self) -> str:
        """``url``, without the key where somebody put it there."""
        return self._without_key(self.url)

    async def _attempt(
        self, client: httpx.AsyncClient, body: Mapping[str, Any], read: Callable[[bytes], T]
    ) -> T:
        try:
            # httpx limits each read, so a server that trickles bytes would never run into its timeout.
            async with asyncio.timeout(self.timeout_s):
                reply = await client.post(self.url_for(body), content=json.dumps(body))
        except (TimeoutError, httpx.TimeoutException):
            late = f"not answered in full within {self.timeout_s:g} s (--timeout)"
            raise _TryAgainError(late) from None
        except httpx.RequestError as error:
            said = self._one_line(f"{type(error).__name__}: {error}")
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                way_out = "name a file with its certificate, or its authority's, in SSL_CERT_FILE"
                line = f"the server's certificate is not trusted; {way_out} ({said})"
                raise EndpointError(f"{self.shown_url}: {line}") from None
            raise _TryAgainError(said, unreachable=isinstance(error, httpx.ConnectError)) from None

        status = reply.status_code
        if reply.is_success:
            try:
                return read(reply.content)
            except ValueError as error:
                said = f"an answer that makes no sense ({error}): {_message(reply)}"
                raise _TryAgainError(self._one_line(said)) from None
        said = self._one_line(f"{status} {reply.reason_phrase}: {_message(reply) or '(nothing more)'}")
        if status in NO_ROUTE:
            asked = f" (raw text was posted to {TEXT})" if "prompt" in body else ""
            raise NoRouteError(f"{self.shown_url}: {said}{asked}")
        if status in WORTH_RETRYING or status >= 500:
            raise _TryAgainError(said, asked_wait(reply.headers, _body(reply)))
        if status in FAULT_OF_THE_REQUEST | PERHAPS_OF_THE_REQUEST:
            of_us = status in PERHAPS_OF_THE_REQUEST
            raise RefusedError(self.shown_url, said, reply.content, of_us=of_us)
        if target := reply.headers.get("Location", ""):
            said = self._one_line(f"{status} {reply.reason_phrase} to {without_secrets(target)}: ask there")
        raise EndpointError(f"{self.shown_url}: {said}")

    def _without_key(self, text: str) -> str:
        return text.replace(self.api_key, "***") if self.api_key else text

    def _one_line(self, text: str) -> str:
        # The text is a stranger's: no line breaks, no terminal escapes.
        text = "".join(c for c in " ".join(self._without_key(text).split()) if c.isprintable())
        return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


@cache
def _certificates(ssl_cert_file: str | None, requests_ca_bundle: str | None) -> ssl.SSLContext:
    # Reading them takes longer than a short answer, and a client lives for one call only.
    given = {"SSL_CERT_FILE": ssl_cert_file, "REQUESTS_CA_BUNDLE": requests_ca_bundle}
    named = {name: path for name, path in given.items() if path}
    if not named:
        return httpx.create_ssl_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, path in named.items():
        folder = os.path.isdir(path)
        try:
            context.load_verify_locations(None if folder else path, path if folder else None)
        except OSError:  # which ssl.SSLError is
            raise InputError(name, path, "a file of certificates (PEM)") from None
    return context


def _check_proxy_ports() -> None:
    """Raise ValueError for a port that no machine has: httpx lets it pass until it connects."""
    for kind in ("http", "https", "all"):
        url = getproxies().get(kind, "")
        port = httpx.URL(url if "://" in url else f"http://{url}").port
        if port is not None and port > 65535:
            raise ValueError(f"Invalid port: {port}, expected at most 65535")


def _message(reply: httpx.Response) -> str:
    """What the server says went wrong, from the places servers put it; else the body as it is."""
    try:
        body = json.loads(reply.content)
        body = body[0] if isinstance(body, list) else body
        error = body.get("error", body.get("detail", body.get("message")))
        message = error["message"] if isinstance(error, dict) else error
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        message = None
    return message if isinstance(message, str) else _body(reply)


def _body(reply: httpx.Response) -> str:
    # Not reply.text: for some encodings that a server may name (hex) Python's decoders raise.
    return reply.content.decode(errors="replace")
