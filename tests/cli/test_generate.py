"""``generate`` and ``chat``."""

from __future__ import annotations

import gzip
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from biddable.methods import generate as generating
from biddable.models.base import TokenScores
from biddable.runs.run import Run
from biddable.suites import answers
from biddable.tasks.data import write_conversations
from biddable.types import Conversation, Message, exchange, user
from tests.doubles import Fickle, Parrot

from .conftest import Command
from .fakes import assert_one_line, write_lines
from .test_main import ROOT

ARGUMENTS = ("generate", "parrot", "--prompts", "in.jsonl", "--out", "out.jsonl")


def written() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_what_a_kill_can_lose_is_said(biddable: Command) -> None:
    told = " ".join(biddable("generate", "--help").stdout.split())
    assert f"decoded {answers.BATCH} side by side, and kept when all of these are finished" in told


def test_lines_keep_their_fields_and_gain_responses(biddable: Command, parrot: Parrot) -> None:
    chat = [{"role": "system", "content": "Sing."}, {"role": "user", "content": "Now."}]
    write_lines("in.jsonl", [{"id": 7, "prompt": "Hé"}, {"messages": chat}])
    result = biddable(*ARGUMENTS, "--n", "2")
    assert (result.exit_code, result.stdout) == (0, "")
    first, second = written()
    assert (first["id"], first["prompt"], second["messages"]) == (7, "Hé", chat)
    assert [len(line["responses"]) for line in (first, second)] == [2, 2]
    assert "response" not in first
    assert parrot.chats[1] == (Message("system", "Sing."), Message("user", "Now."))


def test_a_single_response_is_what_judge_reads(biddable: Command, parrot: Parrot) -> None:
    write_lines("in.jsonl", [{"prompt": "Hello", "key": 1, "instruction_id_list": ["punctuation:no_comma"],
                              "kwargs": [{}]}])  # fmt: skip
    assert biddable(*ARGUMENTS).exit_code == 0
    judged = biddable("judge", "ifeval", "--tasks", "in.jsonl", "--responses", "out.jsonl", "--json")
    assert json.loads(judged.stdout)["prompt_strict"] == 1.0


TURN = {"role": "user", "content": "Now."}
FORMS = [
    {"prompt": "Now."},
    {"prompt": [TURN]},
    {"messages": [{**TURN, "content": [{"type": "text", "text": "Now."}]}]},
    {"messages": [TURN, {"role": "assistant", "content": "an answer on record"}]},
    {"conversations": [{"from": "human", "value": "Now."}, {"from": "gpt", "value": "an answer on record"}]},
    {"instruction": "Now.", "input": "", "output": "an answer on record"},
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("packed", [bytes, partial(gzip.compress, mtime=0)])
@pytest.mark.parametrize("as_list", [True, False])
def test_prompts_as_others_write_them(
    biddable: Command, parrot: Parrot, encoding: str, packed: Callable[[bytes], bytes], as_list: bool
) -> None:
    text = json.dumps(FORMS) if as_list else "\n".join(map(json.dumps, FORMS))
    Path("in.jsonl").write_bytes(packed(text.encode(encoding)))
    result = biddable(*ARGUMENTS)
    assert result.exit_code == 0, result.output
    assert parrot.chats == [(Message("user", "Now."),)] * 6
    assert [{name: line[name] for name in form} for form, line in zip(FORMS, written(), strict=True)] == FORMS
    assert "2 of 6 chats end with an answer of the assistant's" in result.stderr


def test_prompts_are_read_from_whatever_holds_some(biddable: Command, parrot: Parrot) -> None:
    """Tables with a question, texts to continue, lines that are texts, in files of one folder."""
    folder = Path("prompts")
    folder.mkdir()
    (folder / "a.csv").write_text('id,question\n7,"Why, then?"\n')
    write_lines("prompts/b.jsonl", [{"text": "Once upon"}])
    (folder / "c.json").write_text('["Plain."]')
    assert biddable("generate", "parrot", "--prompts", "prompts", "--out", "out.jsonl").exit_code == 0
    assert parrot.chats == [(Message("user", "Why, then?"),), "Once upon", (Message("user", "Plain."),)]
    kept = [{name: line[name] for name in line if name not in generating.ADDED} for line in written()]
    assert kept == [{"id": "7", "question": "Why, then?"}, {"text": "Once upon"}, {"prompt": "Plain."}]
    assert all(line["response"] for line in written())

    (folder / "d.jsonl").write_text('{"prompt": "p"}\n{"prompt": 1}\n')
    failed = biddable("generate", "parrot", "--prompts", "prompts", "--out", "out.jsonl")
    assert_one_line(failed, "prompts/d.jsonl:2: prompt is 1")


def test_prompts_are_those_that_a_run_left(biddable: Command, parrot: Parrot) -> None:
    run = Run.open("run", "spar", {}, 0)
    learned = Conversation(exchange(user("Hi."), "Ho."), (False, True))
    write_conversations(run.artifact("data", "conversations.jsonl"), [learned])
    run.close()
    result = biddable("generate", "parrot", "--prompts", "run", "--out", "out.jsonl")
    assert result.exit_code == 0, result.output
    assert parrot.chats == [user("Hi.")]
    assert "1 of 1 chats end with an answer" in result.stderr


def test_prompts_of_the_hub_are_written_as_json(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what JSON has no value for."""
    rows = [{"question": "Hi.", "day": date(2024, 1, 2), "sound": b"\xff", "seen": complex(1, 2)}]
    table = SimpleNamespace(to_list=lambda: rows)
    absent = type("DatasetNotFoundError", (Exception,), {})
    hub = SimpleNamespace(
        load_dataset=lambda *names, split: table, exceptions=SimpleNamespace(DatasetNotFoundError=absent)
    )
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert biddable("generate", "parrot", "--prompts", "hf:o/n", "--out", "out.jsonl").exit_code == 0
    [line] = written()
    assert (line["question"], line["day"], line["sound"]) == ("Hi.", "2024-01-02", "_w==")
    assert parrot.chats == [user("Hi.")]


def test_a_prompt_without_an_answer_is_named_and_the_others_are_written(
    biddable: Command, fickle: Fickle
) -> None:
    write_lines("in.jsonl", [{"prompt": "say it"}, {"prompt": "refuse it"}, {"prompt": "cut it"}])
    result = biddable(*ARGUMENTS)
    assert result.exit_code == 0, result.output
    assert "prompt in.jsonl:2 has no answer: 400 Bad Request: content filter\n" in result.stderr
    assert "1 of 3 answers could not be had" in result.stderr
    assert "1 of 3 answers (33.3%) were cut off at 256 tokens" in result.stderr
    assert "2 responses in out.jsonl" in result.stderr
    assert [line["finish_reason"] for line in written()] == ["stop", "error", "length"]
    assert [line["finish_reasons"] for line in written()] == [["stop"], ["error"], ["length"]]
    assert [line.get("error") for line in written()] == [None, "400 Bad Request: content filter", None]
    assert written()[1]["response"] == ""

    fickle.refuses = False
    again = biddable("generate", "fickle", "--prompts", "out.jsonl", "--out", "out.jsonl", "--n", "2")
    assert again.exit_code == 0
    assert all(not line.keys() & {"error", "response", "finish_reason"} for line in written())


def test_no_answer_at_all_is_an_error_and_writes_nothing(biddable: Command, fickle: Fickle) -> None:
    write_lines("in.jsonl", [{"prompt": "refuse it"}, {"prompt": "refuse that"}])
    assert_one_line(biddable(*ARGUMENTS), "in.jsonl:1", "400 Bad Request", "none of 2 prompts", exit_code=1)
    assert not Path("out.jsonl").exists()


def test_thinking_is_counted_and_taken_off_on_demand(biddable: Command, fickle: Fickle) -> None:
    write_lines("in.jsonl", [{"prompt": "say it"}, {"prompt": "think of it"}])
    kept = biddable(*ARGUMENTS)
    assert "1 of 2 answers hold a block of thinking as part of the answer; --strip-thinking" in kept.stderr
    assert written()[1]["response"].startswith("<think>")
    assert (
        "1 of 2 answers held a block of thinking, which was taken off"
        in biddable(*ARGUMENTS, "--strip-thinking").stderr
    )
    assert [line["response"][:8] for line in written()] == ["say it [", "think of"]


def test_the_seed_decides_and_a_line_does_not_depend_on_the_others(biddable: Command, parrot: Parrot) -> None:
    def responses(count: int, seed: str) -> list[str]:
        write_lines("in.jsonl", [{"prompt": "same"}] * count)
        assert biddable(*ARGUMENTS, "--seed", seed).exit_code == 0
        return [line["response"] for line in written()]

    two, three, other = responses(2, "0"), responses(3, "0"), responses(2, "1")
    assert three[:2] == two
    assert len({*three, *other}) == 5


def test_sampling_options_reach_the_model(biddable: Command, parrot: Parrot) -> None:
    write_lines("in.jsonl", [{"prompt": "p"}])
    options = ("--temperature", "0.7", "--top-p", "0.9", "--top-k", "5", "--max-tokens", "9", "--stop", "A",
               "--stop", "B")  # fmt: skip
    assert biddable(*ARGUMENTS, *options).exit_code == 0
    [how] = parrot.samplings
    assert (how.temperature, how.top_p, how.top_k, how.max_tokens, how.stop) == (0.7, 0.9, 5, 9, ("A", "B"))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "holds no rows"),
        (b"{", ":1: not JSON"),
        (b'{"prompt": "p"}\n\xff', ":2: not UTF-8"),
        (b"7", ":1: a row is 7, expected prompt"),
        (b"{}", ":1: has the columns , expected prompt"),
        (b'{"prompt": "p"}\n{"id": 1, "topic": "x"}', ":2: has the columns 'id', 'topic', expected prompt"),
        (b'{"question": "q", "context": "c"}', ":1: context is 'c', expected nothing beside question"),
        (b'{"text": " "}', ":1: text is ' ', expected a text that is not blank"),
        (b'"p"\n" "', ":2: the line is ' '"),
        (b'{"prompt": "p", "messages": []}', "at least one message"),
        (b'{"prompt": "p", "messages": [{"role": "user", "content": "q"}]}', "either messages or prompt"),
        (b'{"messages": [{"role": "tool", "content": "4"}]}', "messages[0].role is 'tool'"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "a part of type text"),
        (b'{"messages": [{"role": "assistant", "content": "x"}]}', "a turn to answer"),
        (b'[{"prompt": "p"}, {"prompt": 1}]', "in.jsonl: row 2: prompt is 1"),
        (b'{"prompt": 1}', "prompt is 1"),
        (b'{"prompt": " "}', "not blank"),
        (b'{"prompt": "\\ud83d"}', "surrogate"),
        (b'{"messages": []}', "at least one message"),
        (b'{"messages": "hello"}', "messages"),
        (b'{"messages": [{"role": "pope", "content": "x"}]}', "role"),
        (b'{"messages": [{"role": "user"}]}', "content"),
        (b'{"messages": [{"role": "user", "content": "\\ud83d"}]}', "surrogate"),
    ],
    ids=str,
)
def test_prompts_that_cannot_be_used(biddable: Command, parrot: Parrot, content: bytes, part: str) -> None:
    Path("in.jsonl").write_bytes(content)
    Path("out.jsonl").write_text("precious")
    assert_one_line(biddable(*ARGUMENTS), "in.jsonl", part)
    assert Path("out.jsonl").read_text() == "precious"
    assert parrot.loads == 0


def test_nothing_is_generated_for_a_place_that_cannot_be_written(biddable: Command, parrot: Parrot) -> None:
    write_lines("in.jsonl", [{"prompt": "p"}])
    assert_one_line(biddable(*ARGUMENTS[:-1], "."), "--out")
    assert_one_line(biddable(*ARGUMENTS[:-1], "in.jsonl/out"), "in.jsonl", exit_code=1)
    assert parrot.calls == 0


def test_links_stay_and_devices_are_left_alone(biddable: Command, parrot: Parrot) -> None:
    write_lines("in.jsonl", [{"prompt": "p"}])
    Path("out.jsonl").symlink_to("real.jsonl")
    assert biddable(*ARGUMENTS).exit_code == 0
    assert Path("out.jsonl").is_symlink()
    assert len(Path("real.jsonl").read_text().splitlines()) == 1
    os.mkfifo("pipe")
    assert_one_line(biddable(*ARGUMENTS[:-1], "pipe"), "--out", "pipe")
    assert Path("pipe").is_fifo()
    assert parrot.calls == 1


def test_a_dash_is_the_standard_output(biddable: Command, parrot: Parrot) -> None:
    write_lines("in.jsonl", [{"prompt": "p"}])
    result = biddable(*ARGUMENTS[:-1], "-")
    assert json.loads(result.stdout)["prompt"] == "p"
    assert not Path("-").exists()


def test_an_interruption_leaves_nothing_half_written(biddable: Command, parrot: Parrot) -> None:
    write_lines("in.jsonl", [{"prompt": "p"}])
    parrot.interrupt_after = 0
    assert biddable(*ARGUMENTS).exit_code == 130
    assert [path.name for path in Path().iterdir()] == ["in.jsonl"]


def test_what_was_killed_goes_on_and_other_work_is_refused(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "BATCH", 2)
    write_lines("in.jsonl", [{"prompt": f"p{i}"} for i in range(5)])
    assert biddable(*ARGUMENTS[:-1], "whole.jsonl").exit_code == 0
    parrot.interrupt_after = parrot.calls + 1
    interrupted = biddable(*ARGUMENTS)
    assert (interrupted.exit_code, Path("out.jsonl").exists()) == (130, False)
    assert "the same command goes on" in interrupted.stderr
    parrot.interrupt_after = -1
    assert_one_line(biddable(*ARGUMENTS, "--seed", "1"), "out.jsonl.part", "prompts was")
    asked = len(parrot.chats)
    assert biddable(*ARGUMENTS).exit_code == 0
    assert len(parrot.chats) == asked + 3
    assert Path("out.jsonl").read_text() == Path("whole.jsonl").read_text()
    assert not Path("out.jsonl.part").exists()


def test_a_piped_chat_remembers_resets_and_exits(biddable: Command, parrot: Parrot) -> None:
    said = "one\n\ntwo\n/reset\nthree\n/exit\nfour\n"
    result = biddable("chat", "parrot", "--system", "Sing.", input=said)
    assert result.exit_code == 0
    assert result.stdout == "one [0]\ntwo [1]\nthree [3]\n"
    assert [len(chat) for chat in parrot.chats] == [2, 4, 2]
    assert parrot.chats[1][2] == Message("assistant", "one [0]")


def test_a_chat_ends_with_its_input(biddable: Command, parrot: Parrot) -> None:
    assert biddable("chat", "parrot", input="hello").stdout == "hello [0]\n"
    assert biddable("chat", "parrot", input="").stdout == ""
    assert biddable("chat", "parrot", input=b"\xef\xbb\xbfhello\r\n").stdout == "hello [0]\n"


def test_a_chat_refuses_what_is_no_text(biddable: Command, parrot: Parrot) -> None:
    result = biddable("chat", "parrot", input=b"good\n\xff\n")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: line 2: ")
    assert result.stderr.count("\n") == 1
    assert_one_line(biddable("chat", "parrot", "--system", " ", input="x"), "--system")


SCRIPT = """
import biddable.models.load
from doubles import Parrot
from biddable.errors import InputError
class Short(Parrot):
    def generate(self, chats, **options):
        if len(chats[0]) > 2:
            raise InputError("prompts[0]", "9000 tokens", "at most 8192")
        return super().generate(chats, **options)
biddable.models.load.load_model = Short().load
from biddable.cli import main
main(["chat", "parrot"])
"""


def test_on_a_terminal_a_chat_goes_on_after_an_error() -> None:
    terminal, end = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", SCRIPT]
    process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
    os.close(end)
    try:
        seen = _until(terminal, "> ")
        answers = {"one": "one [0]", "two": "/reset forgets", "/reset": "/reset", "three": "three [3]"}
        for line, answer in answers.items():
            os.write(terminal, f"{line}\n".encode())
            seen += _until(terminal, answer, then="> ")
        os.write(terminal, b"\x04")  # Ctrl-D: the end of the input
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(terminal)
    assert seen.count("error: ") == 1


def _until(terminal: int, expected: str, then: str = "") -> str:
    """What the terminal shows up to ``expected`` and, after that, ``then``."""
    seen, deadline = "", time.monotonic() + 60
    while then not in seen.partition(expected)[2] or expected not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096).decode()
    return seen


def test_a_prompt_stands_around_every_input(biddable: Command, parrot: Parrot) -> None:
    write_lines("in.jsonl", [{"prompt": "dog"}, {"messages": [TURN]}])
    Path("prompt.json").write_text(
        json.dumps({"instruction": "Say it in French.", "output": "French: {output}"})
    )
    assert biddable(*ARGUMENTS, "--prompt", "prompt.json").exit_code == 0
    first, second = [chat[-1].content for chat in parrot.chats]
    assert first == "Say it in French.\n\nInput: dog\nFrench:"
    assert second == "Say it in French.\n\nInput: Now.\nFrench:"
    assert [line.get("prompt") for line in written()] == ["dog", None]


def test_a_prompt_with_choices_lets_the_model_choose(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(prompts: Any, continuations: Any, *, end: bool = True) -> list[TokenScores]:
        return [TokenScores((1,), (-float(len(text)),)) for text in continuations]

    monkeypatch.setattr(parrot, "score", score)
    write_lines("in.jsonl", [{"prompt": "dog"}, {"messages": [TURN]}])
    Path("prompt.json").write_text(json.dumps({"instruction": "Judge.", "choices": ["good", "bad"]}))
    assert biddable(*ARGUMENTS, "--prompt", "prompt.json").exit_code == 0
    assert [line["response"] for line in written()] == ["bad", "bad"]
    chatted = biddable("chat", "parrot", "--prompt", "prompt.json", input="one\n")
    assert chatted.stdout == "bad\n"
    twice = biddable(*ARGUMENTS[:-1], "again.jsonl", "--prompt", "prompt.json", "--n", "2")
    assert (twice.exit_code, "n is 2, expected 1: the prompt chooses" in twice.stderr) == (2, True)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("p.json", "{}", "p.json: "),
        ("p.txt", "", "p.txt: expected an instruction"),
        ("p.json", '{"instruction": "x", "template": "none"}', "in.jsonl"),
    ],
)
def test_a_prompt_that_cannot_be_used(
    biddable: Command, parrot: Parrot, file: str, content: str, problem: str
) -> None:
    write_lines("in.jsonl", [{"messages": [TURN, {"role": "assistant", "content": "y"}, TURN]}])
    Path(file).write_text(content)
    result = biddable(*ARGUMENTS, "--prompt", file)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not Path("out.jsonl").exists()


def test_with_a_prompt_each_line_of_a_chat_is_an_input(biddable: Command, parrot: Parrot) -> None:
    Path("p.txt").write_text("Answer in one word.")
    assert biddable("chat", "parrot", "--prompt", "p.txt", input="one\ntwo\n").exit_code == 0
    assert [[turn.content for turn in chat] for chat in parrot.chats] == [
        ["Answer in one word.\n\none"],
        ["Answer in one word.\n\ntwo"],
    ]
    refused = biddable("chat", "parrot", "--prompt", "p.txt", "--system", "Sing.", input="one\n")
    assert (refused.exit_code, "system is 'Sing.', expected none beside --prompt" in refused.stderr) == (
        2,
        True,
    )
