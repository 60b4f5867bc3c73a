from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import FileError
from biddable.tasks.llmbar import SUBSETS, candidates, load_llmbar

PAIRS = [
    {"input": "Count to two.", "output_1": "1 2", "output_2": "2 1", "label": 1},
    {"input": "Say yes.", "output_1": "No.", "output_2": "Yes.", "label": 2},
]


def save(folder: Path, pairs: object = PAIRS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(pairs))
    return folder / "dataset.json"


def test_a_pair_becomes_two_questions(tmp_path):
    tasks = load_llmbar(save(tmp_path / "Natural"))
    assert [task.id for task in tasks] == ["Natural/0/1", "Natural/0/2", "Natural/1/1", "Natural/1/2"]
    assert [task.prompt[0].content for task in tasks] == ["Count to two."] * 2 + ["Say yes."] * 2
    assert [task.meta["follows"] for task in tasks] == [True, False, False, True]
    assert [response.text for response in candidates(tasks)] == ["1 2", "2 1", "No.", "Yes."]
    assert {task.meta["subset"] for task in tasks} == {"Natural"}


def test_the_published_layout_is_read_whole(tmp_path):
    for subset in SUBSETS[:0:-1]:
        save(tmp_path / "LLMBar" / "Adversarial" / subset)
    save(tmp_path / "LLMBar" / "Natural")
    save(tmp_path / "CaseStudy" / "Base-9", pairs=[])
    tasks = load_llmbar(tmp_path)
    assert list(dict.fromkeys(task.meta["subset"] for task in tasks)) == list(SUBSETS)
    assert len(tasks) == 5 * 4


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ([PAIRS[0], {**PAIRS[1], "label": 0}], "row 2: label: input should be 1 or 2"),
        ([{"input": "Say yes.", "output_1": "Yes.", "label": 1}], "row 1: output_2: field required"),
        ([{**PAIRS[0], "output_1": None}], "row 1: output_1: input should be a valid string"),
        ([], "holds no rows"),
    ],
)
def test_malformed_rows(tmp_path, pairs, problem):
    with pytest.raises(FileError) as error:
        load_llmbar(save(tmp_path / "Natural", pairs))
    assert problem in str(error.value)


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileError, match=r"no dataset\.json in a folder named Natural or Neighbor"):
        load_llmbar(tmp_path)
    with pytest.raises(FileError, match=r"no dataset\.json in a folder named"):
        load_llmbar(save(tmp_path / "elsewhere"))
    with pytest.raises(FileError, match="no such file"):
        load_llmbar(tmp_path / "Natural" / "dataset.json")
