"""``biddable serve`` under load, beside llama.cpp's server: tokens a second, and how long answers take.

Clients ask both servers for chats over HTTP, each as soon as its last answer has come. SmolLM2-135M answers
at temperature 1 without a filter and ends where it ends, at ``--tokens`` at the latest; llama.cpp serves the
packaged Q4_1 file, ours the same weights in what it computes in. Both decode as many responses at a time as
there are clients. While one is asked, the other stands still.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks._common import Row, parser, report
from benchmarks.generation import PROMPTS, SLOTS, serve_llamacpp

CONTEXT = 512


@dataclass(frozen=True, slots=True)
class Load:
    """What a round of requests took: tokens a second, and seconds for each answer."""

    rate: float
    seconds: Sequence[float]

    def quantile(self, percent: int) -> float:
        """The seconds within which so many of a hundred answers came."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


@contextmanager
def ours(clients: int) -> Iterator[tuple[int, str]]:
    """The process of our server, and its address."""
    options = ("--port", "0", "--context", str(CONTEXT), "--parallel", str(clients))
    command = [sys.executable, "-m", "biddable", "serve", "smollm2", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r" at (http://[^ ]+:\d+)", process.stdout.readline())
            assert found
            yield process.pid, found[1]
        finally:
            process.kill()


@contextmanager
def llamacpp() -> Iterator[tuple[int, str]]:
    """The process of llama.cpp's server, and its address."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_llamacpp, args=(there,), daemon=True)
    process.start()
    try:
        assert process.pid
        yield process.pid, here.recv()
    finally:
        process.kill()


def load(address: str, texts: Sequence[str], clients: int, tokens: int) -> Load:
    """Ask for all ``texts``, ``clients`` at a time."""
    import httpx

    with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:

        def ask(seed: int) -> tuple[int, float]:
            body = {
                "messages": [{"role": "user", "content": texts[seed]}],
                "max_tokens": tokens,
                "temperature": 1.0,
                "top_k": 0,
                "min_p": 0,
                "seed": seed,
            }
            began = time.perf_counter()
            answer = client.post("/v1/chat/completions", json=body).raise_for_status().json()
            return int(answer["usage"]["completion_tokens"]), time.perf_counter() - began

        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(ask, range(len(texts))))
        made = sum(count for count, _ in answers)
        return Load(made / (time.perf_counter() - began), [seconds for _, seconds in answers])


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--tokens", type=int, default=128, help="longest response")
    arguments.add_argument("--requests", type=int, default=128, help="how many are sent in a round")
    arguments.add_argument("--rounds", type=int, default=2)
    options = arguments.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    texts = [PROMPTS[i % len(PROMPTS)] for i in range(options.requests)]
    with ExitStack() as stack:
        servers = [stack.enter_context(ours(SLOTS)), stack.enter_context(llamacpp())]
        for process, address in servers:
            load(address, texts[:2], 2, 4)
            os.kill(process, signal.SIGSTOP)
        loads: list[list[Load]] = [[], []]
        for round_ in range(options.rounds):
            for side in (0, 1) if round_ % 2 == 0 else (1, 0):
                process, address = servers[side]
                os.kill(process, signal.SIGCONT)
                loads[side].append(load(address, texts, SLOTS, options.tokens))
                os.kill(process, signal.SIGSTOP)
    what = f"{SLOTS} clients, {options.requests} requests, beside llama.cpp Q4_1"
    rates = [statistics.median(each.rate for each in side) for side in loads]
    rows = [Row.of_rates(what, *rates, "tokens/s")]
    for percent in (50, 95):
        taken = [statistics.median(each.quantile(percent) for each in side) for side in loads]
        rows.append(Row.of_times(f"seconds for an answer, p{percent}", *taken))
    report(rows, as_json=options.json)


if __name__ == "__main__":
    main()
