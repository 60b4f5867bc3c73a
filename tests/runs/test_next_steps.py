"""The lines to type after a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from biddable.runs.next_steps import next_steps


def leave(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return folder


@pytest.mark.parametrize(
    ("left", "commands"),
    [
        ((), []),
        (("model/config.json",), ["chat", "generate", "eval", "export"]),
        (("model/adapter_config.json",), ["chat", "generate", "eval", "export"]),
        (("model/policy.safetensors",), []),
        (("data/pairs.parquet", "data/preferences.jsonl"), ["train dpo"]),
        (("data/conversations.jsonl", "judge/config.json"), ["train grpo", "train sft"]),
    ],
    ids=str,
)
def test_they_go_by_what_a_run_left(tmp_path: Path, left: tuple[str, ...], commands: list[str]) -> None:
    folder = leave(tmp_path / "run", *left)
    lines = next_steps(folder)
    expected = [f"biddable {command} " for command in (*commands, "report")]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected
    assert all(str(folder) in line for line in lines)


def test_a_method_may_give_its_own(tmp_path: Path) -> None:
    folder = leave(tmp_path / "a run", "model/config.json")
    quoted = f"'{folder}'"
    assert next_steps(folder, ["biddable judge {run}"]) == [
        f"biddable judge {quoted}",
        f"biddable report {quoted}",
    ]
