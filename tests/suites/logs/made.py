"""Logs of every kind, as small as they can be."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROMPTS = ("Name a river.", "Write in small letters.", "Two words, no comma.", "Say hello.")


def lines(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def verdicts(path: Path, followed: Sequence[Sequence[bool]], *, texts: bool = True) -> Path:
    rows = []
    for place, each in enumerate(followed):
        row: dict[str, Any] = {
            "follow_all_instructions": all(each),
            "follow_instruction_list": list(each),
            "instruction_id_list": [f"rule:{i}" for i in range(len(each))],
        }
        rows.append(row | ({"prompt": PROMPTS[place], "response": f"answer {place}"} if texts else {}))
    return lines(path, rows)


def sample(place: int, value: Any, **more: Any) -> dict[str, Any]:
    """A sample as lm-eval 0.4.13 writes it."""
    return {
        "doc_id": place,
        "doc": {"question": PROMPTS[place % len(PROMPTS)], "answer": "x"},
        "target": "x",
        "arguments": {
            "gen_args_0": {"arg_0": f"Q: {PROMPTS[place % len(PROMPTS)]}\nA:", "arg_1": {"until": []}}
        },
        "resps": [["an answer"]],
        "filtered_resps": ["an answer"],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": f"hash {place}",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": value,
    } | more


def inspect_log(
    values: Sequence[Any], *, ids: Sequence[Any] = (), version: int = 2, **more: Any
) -> dict[str, Any]:
    """An Inspect log as version 2 has it, without its events."""
    samples = [
        {
            "id": ids[place] if ids else place + 1,
            "epoch": 1,
            "input": PROMPTS[place % len(PROMPTS)],
            "target": "C",
            "messages": [],
            "output": {"choices": [{"message": {"role": "assistant", "content": f"said {place}"}}]},
            "scores": {"match": {"value": value}},
            "metadata": {},
        }
        for place, value in enumerate(values)
    ]
    facts = {"task": "hello", "model": "openai/some", "dataset": {"name": "d"}, "config": {}}
    return {"version": version, "status": "success", "eval": facts, "plan": {}, "samples": samples} | more


def archive(path: Path, log: dict[str, Any], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """The same log as ``.eval``."""
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("_journal/start.json", json.dumps({"version": log["version"], "eval": log["eval"]}))
        for each in log["samples"]:
            file.writestr(f"samples/{each['id']}_epoch_{each['epoch']}.json", json.dumps(each))
        file.writestr("header.json", json.dumps({key: log[key] for key in log if key != "samples"}))
    return path


def review(place: int, value: dict[str, float], **more: Any) -> dict[str, Any]:
    """A review as EvalScope 1.x writes it."""
    turns = [
        {"role": "user", "content": PROMPTS[place]},
        {"role": "assistant", "content": "said", "model": "qwen"},
    ]
    score = {"value": value, "extracted_prediction": "said", "prediction": "said"}
    kept = {"score": score, "sample_id": place, "group_id": place, "sample_metadata": {"key": 1000 + place}}
    return {"index": place, "target": "", "messages": turns, "sample_score": kept} | more
