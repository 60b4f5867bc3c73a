"""Who proposes instructions: a served model, and one that fails now and then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import EndpointError
from biddable.methods.base import run
from tests.models.served import Server, answer, ok

SMALL: dict[str, Any] = {
    "draws": 2, "proposals": 5, "demos": 2, "examples": 4, "finalists": 2, "pool": 2, "shots": 0, "test": 4,
    "sampling.max_tokens": 16, "max_tokens": 4,
}  # fmt: skip


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "sides.csv"
    words = ["left", "right"]
    path.write_text("input,output\n" + "".join(f"go {words[i % 2]} {i},{words[i % 2]}\n" for i in range(24)))
    return path


def proposals(folder: Path) -> list[str]:
    return (folder / "artifacts/data/proposals.csv").read_text().splitlines()[1:]


@pytest.mark.parametrize("method", ["ape", "teach-or-show"])
def test_llamacpps_server_proposes(
    tmp_path: Path, smollm2: Any, llamacpp: str, table: Path, method: str
) -> None:
    small = SMALL if method == "ape" else {"budget": 4, "validation": 4, "test": 4, "k": 1, "max_tokens": 4}
    options = {**small, "data": (str(table),), "sampling.max_tokens": 16}
    made = run(method, out=tmp_path / "run", proposer_model=f"openai:smollm2@{llamacpp}", **options)
    assert (tmp_path / "run/artifacts/prompt.json").is_file()
    assert made.environment["proposer"] == f"openai:smollm2@{llamacpp}"
    assert not any("could not be had" in note for note in made.notes)


def test_a_proposer_that_refuses_a_third_of_the_time_is_counted_and_asked_once(
    tmp_path: Path, smollm2: Any, server: Server, table: Path
) -> None:
    refusal = answer(400, {"error": {"message": "I would rather not"}})
    texts = [f"Say the side, way {i}." for i in range(11)]
    server.behaviours = [refusal if i % 3 == 0 else ok(text) for i, text in enumerate(texts)]
    out, options = tmp_path / "run", {**SMALL, "data": (str(table),)}
    made = run("ape", out=out, proposer_model=f"openai:m@{server.url}", **options)
    assert any("4 of 10 could not be had; the first:" in note and "rather not" in note for note in made.notes)
    assert len(proposals(out)) == 6
    assert len(server.requests) == 11  # ten drawn, and the likeliest
    again = run("ape", out=out, proposer_model=f"openai:m@{server.url}", **options)
    assert (again.metrics, again.notes) == (made.metrics, made.notes)
    assert len(server.requests) == 11


def test_a_proposer_that_is_not_there_is_said_and_asked_again_later(
    tmp_path: Path, smollm2: Any, server: Server, table: Path
) -> None:
    server.behaviours = [answer(400, {"error": {"message": "no"}})]
    out, options = (
        tmp_path / "run",
        {**SMALL, "data": (str(table),), "proposer_model": f"openai:m@{server.url}"},
    )
    with pytest.raises(EndpointError, match=r"10 requests failed, and so did a plain one"):
        run("ape", out=out, **options)
    server.behaviours = [ok("Say the side.")]
    run("ape", out=out, **options)
    assert json.loads((out / "artifacts/prompt.json").read_text())["instruction"] == "Say the side."
