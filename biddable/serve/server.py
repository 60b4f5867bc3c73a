"""A service on a port: from a model's name to the end of the process."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from biddable.errors import InputError, one_line
from biddable.models.agreement import proved_length
from biddable.models.load import load_model
from biddable.models.local import LocalModel
from biddable.models.openai import ServedOptions, unanswered
from biddable.models.plain import context_of
from biddable.models.stream import Stream, fitting_rows
from biddable.runs.codec import digest
from biddable.serve.app import Limits, Service
from biddable.serve.backends import Alone, Backend, Joining
from biddable.tasks.templates import PromptTemplate

ROWS, CONTEXT = 16, 4096
"""What is decoded at a time, and how long, where nobody says; less where the model or the memory has less."""

SENDING = 2
"""Seconds that answers have at least to be sent once the server stops."""


def load_service(
    spec: str,
    *,
    template: PromptTemplate | None = None,
    rows: int | None = None,
    context: int | None = None,
    queue: int = 64,
    seconds: float = 600.0,
    api_key: str = "",
) -> Service:
    """The service of a model.

    Args:
        spec: what ``load_model`` takes.
        template: what stands around every prompt.
        rows: responses computed at a time; ``ROWS``, or as many as fit, when None.
        context: the most tokens of prompt and response together; ``CONTEXT``, or the model's, when None.
        queue: responses that may wait.
        seconds: the longest time for one request.
        api_key: what clients have to show; "" for nothing.

    Raises:
        ModelError: the model cannot be had.
        InputError: ``rows`` or ``context`` is more than the model or the memory has, or ``template`` chooses
            and the model is served elsewhere.
    """
    choices = template.choices if template is not None else ()
    if spec.startswith("openai:"):
        if choices:
            expected = "none: the model is served elsewhere, and gives no log-probabilities to choose by"
            raise InputError("the prompt's choices", list(choices), expected)
        if context is not None:
            raise InputError("--context", context, "none: the model is served elsewhere and has its own")
        unanswered.disabled = True  # the service says so itself
        # Kept answers would hide that the other server is gone, and a request without a seed has none.
        model = load_model(spec, served=ServedOptions(timeout_s=seconds, retries=1, cache=False))
        limits = Limits(queue, None, seconds, api_key)
        return Service(model.name, model, Alone(model, rows or ROWS), limits, template=template)
    if spec.startswith("vllm:"):
        raise InputError(
            "model", spec, "a model that is computed here, or openai:NAME@URL (vllm serve is one)"
        )
    model = load_model(spec)
    assert isinstance(model, LocalModel)
    most = min(context_of(model.module.config), proved_length(model.module.config))
    if context is not None and not 1 < context <= most:
        raise InputError("--context", context, f"2 to {most}, which the model was made for")
    context = context or min(CONTEXT, most)
    known = [model.fingerprint, template] if model.fingerprint else []
    return Service(
        Path(os.path.abspath(spec)).name if os.path.exists(spec) else spec,
        model,
        _backend(model, rows, context, choices),
        Limits(queue, context, seconds, api_key),
        template=template,
        fingerprint=digest(known) if known else "",
    )


def _backend(model: LocalModel, rows: int | None, context: int, choices: Sequence[str]) -> Backend:
    engine = model.batched_engine(context)
    if engine is None or choices:
        if rows not in (None, 1):
            why = "a prompt that chooses is answered" if choices else "this model is computed"
            raise InputError("--parallel", rows, f"1: {why} one request after the other")
        return Alone(model, 1, choices)
    fitting = fitting_rows(engine, context)
    if rows is not None and rows > fitting:
        raise InputError("--parallel", rows, f"at most {fitting} beside --context {context}: more do not fit")
    return Joining(model, Stream(engine, rows or min(ROWS, fitting), context))


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that will listen there. Raises InputError: it is taken, or no address of this machine."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError("--host", host, f"an address of this machine ({error})") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
    except OSError as error:
        made.close()
        raise _taken(host, port, error) from None
    return made


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host's name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Server(uvicorn.Server):
    """A service on a socket.

    After SIGINT or SIGTERM new requests are refused, and those under way have ``grace_s`` seconds; a second
    signal ends them.

    Args:
        service: what answers.
        listener: from ``open_socket``.
        grace_s: how long requests may take once it is told to stop.
        ready: told the address once it listens.
    """

    def __init__(
        self, service: Service, listener: socket.socket, grace_s: float, ready: Callable[[str], None]
    ):
        super().__init__(
            uvicorn.Config(
                service.app(),
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                lifespan="off",  # what it says of an end by force is a traceback
                timeout_graceful_shutdown=SENDING,
            )
        )
        self._service, self._listener, self._grace_s, self._ready = service, listener, grace_s, ready

    def answer(self) -> None:
        """Answer until a signal comes. Raises InputError: another server has taken the port."""
        host, port = self._listener.getsockname()[:2]
        try:
            self.run([self._listener])
        except OSError as error:
            raise _taken(host, port, error) from None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        self._service.backend.start()
        await super().startup(sockets)
        host, port = self._listener.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        self._ready(f"http://{shown}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does; in the main thread, between any two instructions."""
        if self._service.stopping or not self.started:
            self.force_exit = self.should_exit  # what ends by itself may still be told to its clients
            self.should_exit = True
        else:
            self._service.stopping = True
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._finish()))

    async def _finish(self) -> None:
        """Wait for what is under way, then end."""
        ends = self._loop.time() + self._grace_s
        while self._service.under_way and self._loop.time() < ends and not self.should_exit:
            await asyncio.sleep(0.05)
        # What is computed has yet to be sent; what is not, to be refused.
        left = 0 if self.should_exit else math.ceil(ends - self._loop.time())
        self.config.timeout_graceful_shutdown = max(SENDING, left)
        self._service.backend.stop()
        self.should_exit = True


def _taken(host: str, port: int, error: OSError) -> InputError:
    problem = one_line(error.strerror or str(error)).lower()
    return InputError("--port", port, f"a free port of {host}, or 0 for any ({problem})")
