"""Published benchmarks as suites, on files made here: what is asked, and what counts as right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError
from biddable.suites.base import Suite
from biddable.suites.cells import EvaluateSettings, as_asked
from biddable.suites.load import load_suite
from biddable.types import Record, Response


def written(suite: Suite, *texts: str) -> dict[str, float]:
    """The metrics of responses to the first task, in the mean."""
    task = suite.tasks[0]
    assert suite.judge is not None
    responses = tuple(map(Response, texts))
    verdicts = tuple(suite.judge([task] * len(texts), responses))
    return {metric.name: metric.measure(Record(task, responses, verdicts)) for metric in suite.metrics}


def test_gsm8k_counts_the_number_after_the_mark_and_the_last_one(tmp_path: Path) -> None:
    row = {"question": "1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2"}
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n")
    suite = load_suite(f"gsm8k:{tmp_path / 'test.jsonl'}")
    assert suite.k == 5
    assert written(suite, "So #### 2") == {"exact_match": 1.0, "exact_match_flexible": 1.0}
    assert written(suite, "So it is 2") == {"exact_match": 0.0, "exact_match_flexible": 1.0}
    assert written(suite, "#### 3", "2") == {"exact_match": 0.0, "exact_match_flexible": 0.5}


def test_bbh_is_written_or_chosen(tmp_path: Path) -> None:
    rows = [{"input": "Which?\nOptions:\n(A) x\n(B) y", "target": "(B)"}]
    (tmp_path / "snarks.json").write_text(json.dumps({"examples": rows}))
    (tmp_path / "word_sorting.json").write_text(json.dumps({"examples": [{"input": "b a", "target": "a b"}]}))
    suite = load_suite(f"bbh:{tmp_path}?tasks=snarks")
    assert (suite.ask, len(suite.tasks)) == ("generate", 1)
    assert written(suite, "(B)", " (B)", "(A)") == {"exact_match": pytest.approx(2 / 3)}
    reasoned = load_suite(f"bbh:{tmp_path}?tasks=snarks&reasoning=true")
    for text, right in (("x\nSo the answer is (B).", 1), ("so the answer is (B)\n", 1), ("It is (B).", 0)):
        assert written(reasoned, text) == {"exact_match": right}
    chosen = load_suite(f"bbh:{tmp_path}?ask=choose")
    assert [(task.choices, task.references) for task in chosen.tasks] == [(("(A)", "(B)"), ("(B)",))]
    assert chosen.notes == ("1 of 2 tasks list no options: left out.",)
    assert load_suite(f"bbh:{tmp_path}?ask=choose&tasks=snarks").notes == ()
    with pytest.raises(InputError, match="none of these tasks of bbh lists its options"):
        load_suite(f"bbh:{tmp_path}?ask=choose&tasks=word_sorting")
    with pytest.raises(InputError, match="ask is 'perplexity', expected 'generate' or 'choose'"):
        load_suite(f"bbh:{tmp_path}?ask=perplexity")


def test_texts_are_whole_files_or_rows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.\n\nTwo.")
    (tmp_path / "b.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n')
    assert [len(load_suite(f"text:{tmp_path / name}").tasks) for name in ("a.txt", "b.jsonl")] == [1, 2]
    (tmp_path / "blank.txt").write_text(" \n")
    with pytest.raises(InputError, match=r"suite text: text is .*blank.*, expected a text"):
        load_suite(f"text:{tmp_path / 'blank.txt'}")
    (tmp_path / "c.jsonl").write_text('{"text": "One."}\n{"prompt": "Two?"}\n')
    with pytest.raises(FileError, match=r"c\.jsonl:2: expected a column text"):
        load_suite(f"text:{tmp_path / 'c.jsonl'}")


def test_settings_change_what_the_suite_says() -> None:
    suite = load_suite("composed?tasks=5")
    changed = as_asked(suite, EvaluateSettings(limit=2, shots=3, temperature=0.5, samples=2, max_tokens=9))
    assert (len(changed.tasks), changed.k) == (2, 3)
    assert (changed.sampling.temperature, changed.sampling.max_tokens) == (0.5, 9)
    judged = as_asked(suite, EvaluateSettings(judge="answer"))
    assert [metric.name for metric in judged.metrics] == ["pass_rate", "score"]
    assert judged.version != suite.version
    with pytest.raises(InputError, match="shots is -1"):
        as_asked(suite, EvaluateSettings(shots=-1))
