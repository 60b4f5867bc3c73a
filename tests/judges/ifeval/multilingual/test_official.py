"""M-IFEval's official verdicts, where its files are at hand; what differs is known one by one."""

import json
from pathlib import Path

import pytest

from biddable.judges.ifeval import evaluate
from biddable.judges.ifeval.judge import bind, undecided
from biddable.tasks.ifeval import load_ifeval
from biddable.types import Check, Response, Task

PUBLISHED = Path(__file__).parents[5] / "shared/data"
FOLDER = PUBLISHED / "ifeval_logs/m_ifeval"
# Keys and rules whose verdicts may differ: an older prompt, random letters, unseeded language detection.
KNOWN = {
    ("2785", "number_placeholders"),
    ("1122", "letter_frequency"),
    ("1129", "letter_frequency"),
    ("1645", "english_capital"),
    ("3456", "english_capital"),
    ("3617", "english_capital"),
    ("3112", "response_language"),
    ("9", "french_capital"),
}
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the published files are not there")


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def differing(tasks, verdicts, reading):
    """Key and rule of each boolean that differs; and how many were compared."""
    prefixed = [
        Task(
            task.id,
            task.prompt,
            tuple(
                Check(id, asked.args)
                for id, asked in zip(row["instruction_id_list"], task.checks, strict=True)
            ),
        )
        for task, row in zip(tasks, verdicts, strict=True)
    ]
    report = evaluate(prefixed, [Response(row["response"]) for row in verdicts])
    found, compared = set(), 0
    for task, row, outcome in zip(prefixed, verdicts, report.outcomes, strict=True):
        for asked, ours, theirs in zip(
            task.checks, getattr(outcome, reading), row["follow_instruction_list"], strict=True
        ):
            compared += 1
            if ours != theirs:
                found.add((task.id, asked.id.rpartition(":")[2]))
    return found, compared


@pytest.mark.parametrize("folder", sorted(FOLDER.glob("en_*/")), ids=lambda path: path.name[:12])
def test_english(folder):
    tasks = load_ifeval(PUBLISHED / "ifeval/input_data.jsonl")
    strict = rows(folder / "eval_results_strict.jsonl")
    found, compared = differing(tasks, strict, "strict")
    assert compared == 834
    assert found <= KNOWN
    loose = [
        {**row, "response": each["response"]}
        for row, each in zip(rows(folder / "eval_results_loose.jsonl"), strict, strict=True)
    ]
    assert differing(tasks, loose, "loose")[0] <= KNOWN


def test_french():
    (folder,) = FOLDER.glob("fr_*/")
    tasks = {task.prompt[-1].content.strip(): task for task in load_ifeval(FOLDER / "fr_input_data.jsonl")}
    verdicts = rows(folder / "eval_results_strict.jsonl")
    found, compared = differing([tasks[row["prompt"].strip()] for row in verdicts], verdicts, "strict")
    assert compared == 345
    assert found <= KNOWN


@pytest.mark.parametrize("language", ["es", "ja"])
def test_prompts_without_verdicts_can_be_judged(language):
    tasks = load_ifeval(FOLDER / f"{language}_input_data.jsonl")
    left_out = [task for task in tasks if undecided(task)]
    assert len(left_out) == {"es": 9, "ja": 7}[language]
    for task in tasks:
        if task not in left_out:
            assert bind(task)
