"""The routes: who may ask, how much, how long, and what is answered where something is wrong."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from biddable.errors import BiddableError, InputError, one_line, said
from biddable.models.base import LanguageModel
from biddable.models.local import LocalModel
from biddable.serve.answers import Form, error_body, sent_event
from biddable.serve.backends import Backend, FailedError, Part, Work
from biddable.serve.fields import BODY, Asked, read_body, read_request
from biddable.tasks.templates import PromptTemplate

logger = logging.getLogger(__name__)

MAX_BODY, MOST_READ = 1 << 20, 1 << 25
"""Bytes of a request, and how many more are read so that its client comes to read the refusal."""

ELSEWHERE_TOKENS = 256
"""The longest response of a model that is served elsewhere, where a request does not say."""

T = TypeVar("T")


class RefusedError(Exception):
    """A request is not taken: ``response`` is answered instead."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", **where: str | None):
        super().__init__(message)
        self.response = JSONResponse(error_body(one_line(message), kind, **where), status)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes.

    Attributes:
        queue: how many responses may wait for a row.
        context: the most tokens of prompt and response together; None: the model is served elsewhere.
        seconds: the longest time for one request.
        api_key: what clients have to show; "" for nothing.
    """

    queue: int = 64
    context: int | None = None
    seconds: float = 600.0
    api_key: str = ""


class Service:
    """A model behind OpenAI's routes.

    Args:
        name: what clients call the model.
        model: what reads prompts.
        backend: what answers them.
        limits: what is taken.
        template: what stands around every prompt; where it has choices, ``backend`` chooses among them.
        fingerprint: what tells these weights and this template from others; "" where that is not known.
    """

    def __init__(
        self,
        name: str,
        model: LanguageModel,
        backend: Backend,
        limits: Limits,
        *,
        template: PromptTemplate | None = None,
        fingerprint: str = "",
    ):
        self.name, self.model, self.backend, self.limits = name, model, backend, limits
        self.template, self.fingerprint = template, fingerprint
        self.stopping = False
        self.under_way = 0  # responses, those that wait included
        self._requests = self._failed = 0
        self._seconds = 1.0  # what a request took of late
        self._encoding = asyncio.Lock()

    def app(self) -> Starlette:
        """The application; whoever runs it starts and stops ``backend``."""
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._text, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._models),
            Route("/health", self._health),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})

    async def _health(self, request: Request) -> Response:
        facts = self.backend.facts()
        alive = facts.pop("alive")
        status = "stopping" if self.stopping else "ok" if alive else "broken"
        told: dict[str, Any] = {"status": status}  # all that whoever has no key comes to know
        if self._has_key(request):
            told |= {"model": self.name, "context": self.limits.context, "joins": self.backend.joins, **facts}
            waiting = max(0, self.under_way - self.backend.rows)
            told |= {"waiting": waiting, "requests": self._requests, "failed": self._failed}
        return JSONResponse(told, 200 if status == "ok" else 503)

    async def _models(self, request: Request) -> Response:
        return await self._guarded(request, self._list)

    async def _chat(self, request: Request) -> Response:
        return await self._guarded(request, lambda request: self._answer(request, chat=True))

    async def _text(self, request: Request) -> Response:
        return await self._guarded(request, lambda request: self._answer(request, chat=False))

    async def _guarded(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        """What ``handle`` answers, or the error that ends this request and no other."""
        try:
            self._require_key(request)
            return await handle(request)
        except RefusedError as refusal:
            return refusal.response
        except InputError as error:
            field = None if error.field == BODY else error.field
            return JSONResponse(error_body(str(error), "invalid_request_error", field), 400)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:
            return self._fault(error)

    def _fault(self, error: Exception) -> JSONResponse:
        """A request that failed: a line in the log, and what its client is told."""
        status = error.status if isinstance(error, FailedError) else 500
        self._failed += 1
        problem = str(error) if isinstance(error, FailedError | BiddableError) else said(error)
        logger.warning("a request failed (%d): %s", status, problem)
        return JSONResponse(error_body(one_line(problem), "server_error"), status)

    def _has_key(self, request: Request) -> bool:
        """Whether a request shows the key, if one is asked for."""
        if not (key := self.limits.api_key):
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), key.encode())
        return same and scheme.lower() == "bearer"

    def _require_key(self, request: Request) -> None:
        if not self._has_key(request):
            message = "the API key is missing or wrong, expected 'Authorization: Bearer KEY'"
            refusal = RefusedError(401, message, "authentication_error", code="invalid_api_key")
            refusal.response.headers["WWW-Authenticate"] = "Bearer"
            raise refusal

    def _require_room(self) -> None:
        if self.stopping:
            refusal = RefusedError(503, "the server is shutting down", "server_error")
        elif self.under_way >= self.backend.rows + self.limits.queue:
            message = f"{self.under_way} responses are under way or wait: the queue takes no more (--queue)"
            refusal = RefusedError(429, message, "rate_limit_error", code="queue_full")
        else:
            return
        refusal.response.headers["Retry-After"] = str(max(1, min(60, round(self._seconds))))
        raise refusal

    def _require_model(self, name: str) -> None:
        if name not in ("", self.name):
            message = f"model is {name!r}, expected {self.name!r}: it is the one that is served"
            raise RefusedError(404, message, param="model", code="model_not_found")

    async def _list(self, request: Request) -> Response:
        entry = {"id": self.name, "object": "model", "created": 0, "owned_by": "biddable"}
        if self.limits.context is not None:
            entry["max_model_len"] = self.limits.context
        if name := request.path_params.get("name"):
            self._require_model(name)
            return JSONResponse(entry)
        return JSONResponse({"object": "list", "data": [entry]})

    async def _answer(self, request: Request, *, chat: bool) -> Response:
        self._require_room()
        self._requests += 1
        asked = read_request(read_body(await self._body(request)), chat=chat)
        self._require_model(asked.model)
        work = await self._work(asked, chat=chat)
        tokens = sum(map(len, work.encoded)) if work.encoded else None
        form = Form(self.name, self.fingerprint, chat, asked.logprobs, tokens)
        self._require_room()
        answer = _Answer(self.backend.parts(work), self._reserved(work.rows))
        try:
            if not asked.stream:
                choices = await _unless_gone(request, _gathered(answer.parts, work.rows))
                return JSONResponse(form.whole(choices))
            first = await _unless_gone(request, _first(answer.parts))  # before the status is sent
            events = self._events(form, first, answer.parts, usage=asked.usage)
            return answer.stream(events)
        finally:
            if not answer.streams:
                await answer.close()

    async def _body(self, request: Request) -> bytes:
        """A request's body. Raises RefusedError: it is too large, or does not come."""
        body, size = bytearray(), 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size <= MAX_BODY:
                        body += chunk
                    elif size > MOST_READ:
                        break
        except TimeoutError:
            raise RefusedError(408, "the body did not come in time (--timeout)") from None
        if size > MAX_BODY:
            message = f"the body is larger than {MAX_BODY} bytes"
            raise RefusedError(413, message, code="request_too_large")
        return bytes(body)

    def _reserved(self, rows: int) -> Callable[[], None]:
        """Count responses as under way, until what is returned is called."""
        began = time.monotonic()
        self.under_way += rows

        def release() -> None:
            self.under_way -= rows
            self._seconds += 0.2 * (time.monotonic() - began - self._seconds)

        return release

    async def _work(self, asked: Asked, *, chat: bool) -> Work:
        """What a request comes to. Raises InputError: it is not for this model."""
        field = "messages" if chat else "prompt"
        prompts = asked.prompts
        encoded: tuple[list[int], ...] = ()
        try:
            if self.template is not None:
                prompts = tuple(self.template.prompt(prompt) for prompt in prompts)
            if isinstance(self.model, LocalModel):
                encode = self.model.encode_prompt
                async with self._encoding:  # a long text must not keep the others waiting
                    encoded = await asyncio.to_thread(lambda: tuple(map(encode, prompts)))
        except InputError as error:
            raise InputError(re.sub("^prompt", field, error.field), error.value, error.expected) from None
        if not self.backend.joins and (asked.top or (asked.logprobs and not encoded)):
            name = "top_logprobs" if chat and encoded else "logprobs"
            raise InputError(name, asked.top or asked.logprobs, "none: this model does not tell them")
        choices = self.template.choices if self.template is not None else ()
        if choices:
            asked = self._choosing(asked, choices)
        longest = self._longest(field, asked.max_tokens, encoded)
        how = replace(asked.sampling, max_tokens=longest)
        seed = secrets.randbits(63) if asked.seed is None else asked.seed
        return Work(
            prompts,
            encoded,
            asked.n,
            how,
            seed,
            logprobs=asked.logprobs,
            top=asked.top,
            growing=asked.stream,
            seconds=self.limits.seconds,
        )

    def _choosing(self, asked: Asked, choices: Sequence[str]) -> Asked:
        """A request that one of ``choices`` answers. Raises InputError: it asks for something else."""
        if asked.n > 1:
            expected = "1: the prompt chooses among its choices, and would choose the same again"
            raise InputError("n", asked.n, expected)
        if asked.logprobs:
            raise InputError("logprobs", True, "none: the prompt chooses, and no token is drawn")
        if asked.sampling.stop:
            raise InputError("stop", asked.sampling.stop, "none: the prompt's choices are answered whole")
        assert isinstance(self.model, LocalModel)
        return replace(asked, max_tokens=max(len(self.model.encode_text(f" {each}")) for each in choices))

    def _longest(self, field: str, max_tokens: int | None, encoded: tuple[list[int], ...]) -> int:
        """The longest response, in tokens: what is asked for, or what fits."""
        if self.limits.context is None:
            return max_tokens or ELSEWHERE_TOKENS
        context, least = self.limits.context, max_tokens or 1
        if least >= context:
            expected = f"at most {context - 1}: the context is {context} tokens, the prompt included"
            raise InputError("max_tokens", max_tokens, expected)
        longest = max(map(len, encoded))
        room = context - longest
        if room < least:
            expected = f"at most {context - least}, to leave {least} to answer"
            message = f"{field} is {longest} tokens, expected {expected}: the context is {context} tokens"
            raise RefusedError(400, message, param=field, code="context_length_exceeded")
        return max_tokens or room

    async def _events(
        self, form: Form, first: Part, parts: AsyncIterator[Part], *, usage: bool
    ) -> AsyncIterator[str]:
        """The events of a stream; an error is the last of them."""
        lengths: dict[int, int] = {}
        count = 0
        part: Part | None = first
        while part is not None:
            if part.choice not in lengths and form.chat:
                yield sent_event(form.opening(part.choice))
            if part.text or part.tokens or part.finish:
                yield sent_event(form.event(part, lengths.get(part.choice, 0)))
            lengths[part.choice] = lengths.get(part.choice, 0) + len(part.text)
            count += part.count
            try:
                part = await anext(parts, None)
            except Exception as error:
                yield f"data: {bytes(self._fault(error).body).decode()}\n\n"
                return
        if usage:
            yield sent_event(form.ending(count))
        yield "data: [DONE]\n\n"


class _Answer:
    """What a backend makes of a request; closed once, its rows are free and its place is another's."""

    def __init__(self, parts: AsyncGenerator[Part], release: Callable[[], None]):
        self.parts, self._release, self.streams = parts, release, False

    def stream(self, events: AsyncIterator[str]) -> Response:
        """The response that sends ``events`` and closes this in the end, also where its client goes."""
        self.streams, close = True, self.close

        class Events(StreamingResponse):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                try:
                    await super().__call__(scope, receive, send)
                finally:
                    await close()

        return Events(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})

    async def close(self) -> None:
        """Give everything back."""
        self._release()
        await self.parts.aclose()


async def _first(parts: AsyncIterator[Part]) -> Part:
    return await anext(parts)


async def _gathered(parts: AsyncIterator[Part], count: int) -> list[list[Part]]:
    """The parts of each choice."""
    choices: list[list[Part]] = [[] for _ in range(count)]
    async for part in parts:
        choices[part.choice].append(part)
    return choices


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives; it is ended when the client goes. Raises ClientDisconnect."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.wait((task, gone))


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    body = error_body(one_line(message), "invalid_request_error")
    return JSONResponse(body, error.status_code, error.headers)
