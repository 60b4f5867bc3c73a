"""HumanEval as a suite: asked, judged in the sandbox and counted."""

from __future__ import annotations

import json
import os

import pytest

from biddable.errors import InputError, MissingDependency, SandboxError
from biddable.runs.sandbox import require_sandbox
from biddable.suites.load import load_suite
from biddable.types import Record, Response

STUB = 'def double(x):\n    """ Twice x. """\n'
ROW = {
    "task_id": "Own/0",
    "prompt": STUB,
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate('a') == 'aa'\n",
}


@pytest.fixture
def file(tmp_path):
    try:
        require_sandbox()
    except (MissingDependency, SandboxError) as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    path = tmp_path / "HumanEval.jsonl"
    path.write_text(json.dumps(ROW))
    return path


def measured(suite, *texts):
    [task] = suite.tasks
    responses = tuple(map(Response, texts))
    verdicts = suite.judge([task] * len(responses), responses)
    record = Record(task=task, responses=responses, verdicts=tuple(verdicts))
    return {metric.name: metric.measure(record) for metric in suite.metrics}


def test_what_passes_counts(file):
    suite = load_suite(f"humaneval:{file}?seconds=20")
    [task] = suite.tasks
    assert (task.id, task.prompt, suite.sampling.temperature) == ("Own/0", STUB, 0.0)
    assert suite.version == "1 code"
    assert "\ndef" not in suite.sampling.stop
    assert measured(suite, *task.references) == {"pass@1": 1.0}
    assert measured(suite, "    return 4\n") == {"pass@1": 0.0}


def test_of_several_samples_the_chance_that_one_of_k_passes_counts(file):
    suite = load_suite(f"humaneval:{file}?k=2&seconds=20")
    right, wrong = "    return x + x\n", "    return x\n"
    assert measured(suite, right, wrong, wrong, wrong) == {"pass@1": 0.25, "pass@2": pytest.approx(0.5)}
    with pytest.raises(InputError, match="k is 2, expected from 1 to 1, the number of responses"):
        measured(suite, right)


def test_a_chat_model_is_asked_in_a_sentence_and_may_write_a_function(file):
    suite = load_suite(f"humaneval:{file}?instructed=true&seconds=20")
    assert suite.tasks[0].prompt.startswith("Complete the following Python code")
    answer = "Here:\n```python\ndef double(x):\n    return x * 2\n```"
    assert measured(suite, answer) == {"pass@1": 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [("k=0", "k is 0, expected an integer of at least 1"), ("reading=all", "reading is 'all', expected")],
)
def test_options_that_cannot_be_are_refused(file, options, message):
    with pytest.raises(InputError, match=message):
        load_suite(f"humaneval:{file}?{options}")
