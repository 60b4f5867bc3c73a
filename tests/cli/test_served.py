"""The commands that ask a served model, against a real server."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.served import Server, answer, ok

from .conftest import Command
from .fakes import assert_one_line

TASK = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n', "utf-8")
    tasks = [json.dumps({"key": i, "prompt": f"task {i}", **TASK}) + "\n" for i in range(3)]
    (tmp_path / "t.jsonl").write_text("".join(tasks), "utf-8")
    server = Server()
    yield server
    server.close()


def test_a_new_model_behind_the_same_name_is_scored_anew(biddable: Command, server: Server) -> None:
    evaluate = ("eval", f"openai:m@{server.url}", "--suite", "ifeval:t.jsonl", "--json", "--out")

    def strict(folder: str) -> float:
        [row] = json.loads(biddable(*evaluate, folder).stdout)["suites"]["ifeval"].values()
        return row["prompt_level_strict_acc"]

    server.canary = server.behaviours[0] = ok("with, commas")
    assert strict("a") == 0
    asked = len(server.requests)
    assert strict("b") == 0
    assert len(server.requests) == asked
    server.canary = server.behaviours[0] = ok("without any of those")
    assert strict("c") == 1
    # A run goes on from its own answers, whatever is served by now.
    assert strict("a") == 0


def test_a_prompt_that_is_refused_ends_no_evaluation_however_often(biddable: Command, server: Server) -> None:
    def not_1(handler, body) -> None:  # type: ignore[no-untyped-def]
        bad = body["messages"][0]["content"] == "task 1"
        (answer(400, {"error": {"message": "filtered"}}) if bad else ok())(handler, body)

    server.behaviours = [not_1]
    for _ in range(2):
        asked = ("--suite", "ifeval:t.jsonl", "--out", "r", "--json")
        result = biddable("eval", f"openai:m@{server.url}", *asked)
        assert result.exit_code == 0, result.stderr
        [row] = json.loads(result.stdout)["suites"]["ifeval"].values()
        assert (row["refused"], row["n"]) == (1, 3)
        assert result.stderr.count("400 Bad Request: filtered") == 1


def test_a_failure_is_said_once(
    biddable: Command, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def not_a(handler, body) -> None:  # type: ignore[no-untyped-def]
        bad = body["messages"][0]["content"] == "a"
        (answer(400, {"error": {"message": "filtered"}}) if bad else ok())(handler, body)

    server.behaviours = [not_a]
    result = biddable("generate", f"openai:m@{server.url}", "--prompts", "p.jsonl", "--out", "o.jsonl")
    assert result.stderr.count("400 Bad Request: filtered") == 1
    assert not [message for message in caplog.messages if "no answer" in message]
    assert not logging.getLogger("biddable.models.openai.unanswered").disabled


def test_no_cache_asks_anew_and_keeps_nothing(biddable: Command, server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        arguments = ("--prompts", "p.jsonl", "--out", "-", "--no-cache")
        assert biddable("generate", f"openai:m@{server.url}", *arguments).exit_code == 0
    assert len(server.requests) == 4
    assert not (tmp_path / "cache").exists()


def test_time_and_retries_reach_the_server(biddable: Command, server: Server) -> None:
    server.behaviours = [server.hang]
    begun = time.monotonic()
    result = biddable(
        "chat", f"openai:m@{server.url}", "--timeout", "0.3", "--retries", "0", "--no-cache", input="hi\n"
    )
    assert_one_line(result, "after 1 attempt; the last: not answered in full within 0.3 s", exit_code=1)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "option", [("--timeout", "5"), ("--retries", "0"), ("--concurrency", "2"), ("--no-cache",)]
)
def test_a_model_that_is_not_served_takes_none_of_these(biddable: Command, option: tuple[str, ...]) -> None:
    result = biddable("chat", "smollm2", *option, input="hi\n")
    assert_one_line(result, f"{option[0]} is ", "smollm2 is not served", exit_code=2)
