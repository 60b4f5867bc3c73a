"""The official verdicts on IFBench's sample outputs, where its files are at hand."""

import json
from pathlib import Path

import pytest

from biddable.judges.ifeval import evaluate
from biddable.judges.ifeval.ifbench.tokens import STOP_WORDS
from biddable.judges.ifeval.judge import undecided
from biddable.judges.ifeval.punkt import data_roots
from biddable.tasks.ifeval import load_ifeval
from biddable.types import Response, last_turn

FOLDER = Path(__file__).parents[5] / "shared/data/ifbench"
OTHER_SPLITTER = (
    "Maintain a 2:1 ratio of declarative to interrogative sentences in your response. What do we call"
)


def rows(name):
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


@pytest.mark.skipif(not (FOLDER / "IFBench_test.jsonl").is_file(), reason="the published files are not there")
def test_as_the_official_checkers():
    tasks = {last_turn(task.prompt).strip(): task for task in load_ifeval(FOLDER / "IFBench_test.jsonl")}
    compared = 0
    for strict, loose in zip(
        rows("eval_results_strict.jsonl"), rows("eval_results_loose.jsonl"), strict=True
    ):
        task = tasks.get(strict["prompt"].strip())
        if task is None or undecided(task) or strict["prompt"].startswith(OTHER_SPLITTER):
            continue
        (outcome,) = evaluate([task], [Response(strict["response"])]).outcomes
        assert list(outcome.strict) == strict["follow_instruction_list"], strict["prompt"]
        assert list(outcome.loose) == loose["follow_instruction_list"], strict["prompt"]
        compared += len(outcome.strict)
    assert compared >= 310


def test_the_stop_words_are_those_of_nltk():
    listed = [root / "corpora" / "stopwords" / "english" for root in data_roots()]
    found = next((path for path in listed if path.is_file()), None)
    if found is None:
        pytest.skip("NLTK's stop words are not installed")
    assert {word for word in found.read_text("utf-8").split() if "'" not in word} == STOP_WORDS
