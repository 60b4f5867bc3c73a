"""``biddable serve`` as a process: how it starts, how it ends, and that it comes up again."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.serve.running import ask, command, until
from tests.train.tiny import local

from .conftest import Command
from .fakes import assert_one_line

WAIT = 60
"""Seconds for a process to end: PyTorch's takes its time where others compute, too."""


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory) -> str:
    return str(local().save(tmp_path_factory.mktemp("models") / "tiny"))


def test_it_says_where_it_is_and_what_to_type_and_ends_by_a_signal(tiny_folder) -> None:
    with command(tiny_folder, "--port", "0", BIDDABLE_API_KEY="secret") as running:
        assert running.said[0].startswith("serving tiny at http://127.0.0.1:")
        assert f"curl {running.url}/v1/chat/completions" in running.said[2]
        assert "Bearer $BIDDABLE_API_KEY" in running.said[2]
        assert f"biddable generate openai:tiny@{running.url}" in running.said[3]
        assert ask(running.url).status_code == 401
        assert ask(running.url, headers={"Authorization": "Bearer secret"}).status_code == 200
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(WAIT) == 0
        assert running.process.stderr.read() == "stopped\n"


def test_what_is_under_way_ends_and_new_requests_are_refused(tiny_folder) -> None:
    with command(tiny_folder, "--port", "0", "--parallel", "2", "--grace", "110") as running:
        with ThreadPoolExecutor(1) as pool:
            # One request, so that nothing hangs on when a second one comes; long after two rows it goes on.
            asking = pool.submit(ask, running.url, n=100, max_tokens=50, seed=1)
            until(lambda: running.health()["active"] == 2)
            running.process.send_signal(signal.SIGINT)
            until(lambda: running.health()["status"] == "stopping")
            refused = ask(running.url)
            answer = asking.result()
        assert running.process.wait(WAIT) == 0
    assert refused.status_code == 503
    assert answer.status_code == 200
    assert len(answer.json()["choices"]) == 100


@pytest.mark.parametrize("grace", ["110", "0"])
def test_a_second_signal_or_the_end_of_the_grace_ends_what_is_under_way(tiny_folder, grace) -> None:
    with command(tiny_folder, "--port", "0", "--parallel", "2", "--grace", grace) as running:
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask, running.url, n=128, max_tokens=50)
            until(lambda: running.health()["active"] == 2)
            running.process.send_signal(signal.SIGTERM)
            if grace != "0":
                until(lambda: running.health()["status"] == "stopping")
                running.process.send_signal(signal.SIGTERM)
            assert asking.result().status_code == 503
        assert running.process.wait(WAIT) == 0
        lines = running.process.stderr.read().splitlines()
    assert lines == ["a request failed (503): the server is shutting down", "stopped"]


def test_killed_and_started_again_it_answers_the_same(tiny_folder) -> None:
    with command(tiny_folder, "--port", "0") as running:
        port = running.url.rpartition(":")[2]
        first = ask(running.url, seed=3, max_tokens=20).json()
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(ask, running.url, n=60, max_tokens=50)
            until(lambda: running.health()["active"])
            running.process.send_signal(signal.SIGKILL)
            assert isinstance(under_way.exception(), httpx.HTTPError)
        running.process.wait()
    with command(tiny_folder, "--port", port) as running:
        again = ask(running.url, seed=3, max_tokens=20).json()
    assert again["choices"] == first["choices"]
    assert again["system_fingerprint"] == first["system_fingerprint"]


def test_a_port_that_is_taken_is_one_line(biddable: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_one_line(biddable("serve", "smollm2", "--port", port), f"--port is {port}", "a free port")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--host", "no such host"), "--host"),
        (("--host", "203.0.113.7"), "203.0.113.7"),
        (("--api-key", "two words"), "--api-key is '(not shown)'"),
        (("--timeout", "nan"), "--timeout is nan, expected a finite number"),
        (("--grace", "inf"), "--grace is inf, expected a finite number"),
        (("--prompt", "."), "a run that leaves a prompt"),
    ],
)
def test_what_cannot_be_served_so_is_one_line(biddable: Command, tiny_folder, arguments, named) -> None:
    assert_one_line(biddable("serve", tiny_folder, "--port", "0", *arguments), named)


CHOOSING = '{"instruction": "Judge.", "choices": ["w1", "w2"]}'


def test_a_prompt_that_chooses_is_served(tiny_folder, tmp_path) -> None:
    path = tmp_path / "p.json"
    path.write_text(CHOOSING)
    with command(tiny_folder, "--port", "0", "--prompt", str(path)) as running:
        assert running.said[0].endswith(
            "1 at a time, 64 tokens of context; a request does not join others; "
            "it answers with one of 2 choices\n"
        )
        text = running.ask().json()["choices"][0]["message"]["content"]
    assert text in ("w1", "w2")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--parallel", "2"), "--parallel is 2, expected 1: a prompt that chooses"),
        ((), "the prompt's choices is ['w1', 'w2'], expected none: the model is served elsewhere"),
    ],
)
def test_a_prompt_chooses_by_the_weights_that_are_here_one_at_a_time(
    biddable: Command, tiny_folder, arguments, named
) -> None:
    Path("p.json").write_text(CHOOSING)
    model = tiny_folder if arguments else "openai:m@http://127.0.0.1:9"
    result = biddable("serve", model, "--port", "0", "--prompt", "p.json", *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {named}")  # transformers may draw a bar before


def test_more_than_the_model_or_the_memory_has_is_refused(biddable: Command, tiny_folder) -> None:
    for option, value in (("--context", "9000"), ("--parallel", "99999999")):
        result = biddable("serve", tiny_folder, "--port", "0", option, value)
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1].startswith(f"error: {option} is {value}, expected ")


def test_a_model_that_is_not_there_is_one_line(biddable: Command) -> None:
    assert_one_line(biddable("serve", "smollm3", "--port", "0"), "smollm2?")
    assert_one_line(biddable("serve", "vllm:m", "--port", "0"), "vllm:m", "vllm serve is one")
    assert_one_line(
        biddable("serve", "openai:m@http://127.0.0.1:9", "--port", "0", "--context", "64"), "--context is 64"
    )
