"""Servers for tests: the command in a process of its own, or a service in a thread of this one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from biddable.models.stream import Stream
from biddable.serve.app import Limits, Service
from biddable.serve.backends import Joining
from biddable.serve.server import Server, open_socket
from tests.train.tiny import local


@dataclass
class Running:
    """A server under way."""

    process: subprocess.Popen
    url: str
    said: list[str]

    def ask(self, **body):
        """The answer to a chat of one turn, as the server gives it."""
        return ask(self.url, **body)

    def health(self):
        return httpx.get(f"{self.url}/health", timeout=60, trust_env=False).json()


def ask(url: str, text: str = "w1 w2", route: str = "chat/completions", headers=None, **body):
    what = {"prompt": text} if route == "completions" else {"messages": [{"role": "user", "content": text}]}
    what |= body
    return httpx.post(f"{url}/v1/{route}", json=what, timeout=120, trust_env=False, headers=headers)


@contextmanager
def command(*arguments: str, **environment: str) -> Iterator[Running]:
    """``biddable serve`` with these arguments, once it listens; killed in the end."""
    settings = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "biddable", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=settings,
    )
    try:
        line = process.stdout.readline()
        found = re.search(r" at (http://[^ ]+:\d+)", line)
        assert found, (line, process.stderr.read() if process.poll() is not None else "")
        said = [line, *(process.stdout.readline() for _ in range(3))]
        yield Running(process, found[1], said)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def service_of(*, rows: int = 4, context: int = 64, **limits) -> Iterator[tuple[Service, str]]:
    """A service of a tiny model of its own in a thread, and its address."""
    model = local()
    backend = Joining(model, Stream(model.batched_engine(context), rows, context))
    with listening(Service("tiny", model, backend, Limits(context=context, **limits))) as running:
        yield running


@contextmanager
def listening(service: Service) -> Iterator[tuple[Service, str]]:
    """Any service in a thread, and its address."""
    listener, addresses = open_socket("127.0.0.1", 0), []
    server = Server(service, listener, 1.0, addresses.append)
    thread = threading.Thread(target=server.answer, daemon=True)
    thread.start()
    while not addresses:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield service, addresses[0]
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join(10)


def until(true, seconds: float = 60.0) -> None:
    """Wait for something to become true."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not become true"
        time.sleep(0.02)
