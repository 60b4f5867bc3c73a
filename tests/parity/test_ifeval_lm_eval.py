"""The same booleans as lm-evaluation-harness, strict and loose, for every instruction."""

from itertools import product
from pathlib import Path

import pytest

from benchmarks._ifeval_responses import made_responses, made_tasks
from benchmarks.judging import decided_by_chance, load_peer, peer_outcomes
from biddable.errors import MissingDependency
from biddable.judges.ifeval import RULES, conflicts, evaluate, sentence_splitter_name
from biddable.tasks.ifeval import load_ifeval

OFFICIAL = Path(__file__).parents[3] / "shared/data/ifeval/input_data.jsonl"


@pytest.fixture(scope="module", autouse=True)
def peer():
    if sentence_splitter_name() != "punkt_tab":
        pytest.skip(
            "NLTK's punkt_tab data is not installed (pip install --no-deps llama-index-core brings it)"
        )
    try:
        load_peer()
    except MissingDependency as error:
        pytest.skip(str(error))


def assert_same(tasks, responses):
    tasks = [task for task in tasks if not decided_by_chance(task)]
    found = evaluate(tasks, responses).outcomes
    ours = [(list(outcome.strict), list(outcome.loose)) for outcome in found]
    assert ours == peer_outcomes(tasks, responses)
    followed = [passed for strict, _ in ours for passed in strict]
    assert 0.2 < sum(followed) / len(followed) < 0.8  # both answers are really compared


@pytest.mark.parametrize("seed", [1, 2])
def test_made_tasks(seed):
    tasks = made_tasks(200, seed)
    assert_same(tasks, made_responses(tasks, seed))


def test_the_official_tasks():
    if not OFFICIAL.exists():
        pytest.skip("the official IFEval prompts are not beside the project")
    tasks = load_ifeval(OFFICIAL)
    assert_same(tasks, made_responses(tasks, 3))


def test_the_same_conflicts():
    from lm_eval.tasks.ifeval.instructions_registry import (
        INSTRUCTION_CONFLICTS,
        INSTRUCTION_DICT,
        conflict_make,
    )

    table = conflict_make({id: set(others) for id, others in INSTRUCTION_CONFLICTS.items()})
    assert set(INSTRUCTION_DICT) <= set(RULES)  # those of IFBench and M-IFEval are others
    for one, other in product(INSTRUCTION_DICT, INSTRUCTION_DICT):
        assert (other in conflicts(one)) == (other in table[one])
