from __future__ import annotations

import csv
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.fewshot import few_shot_prompt
from biddable.tasks.truthfulqa import read_truthfulqa

PUBLISHED = Path(__file__).parents[2] / "../shared/data/truthfulqa"
ROW = {
    "Type": "Adversarial",
    "Category": "Myths",
    "Question": "Are bats blind?",
    "Best Answer": "No",
    "Correct Answers": "No; They see; No; ",
    "Incorrect Answers": "Yes; All are;They see",
    "Source": "https://example.org",
}


def save(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_best_answer_among_false_ones(tmp_path):
    [task], shots = read_truthfulqa(save(tmp_path / "t.csv", ROW))
    assert task.prompt == "Q: Are bats blind?\nA:"
    assert (task.references, task.choices) == (("No",), ("No", "Yes", "All are"))
    assert task.meta == {"group": "Myths", "type": "Adversarial", "best": "No"}
    prompt, kept = few_shot_prompt(task.prompt, shots[""], 6)
    assert kept == 6
    assert prompt.startswith("Q: What is human life expectancy")
    assert prompt.endswith("in Barcelona, Spain.\n\nQ: Are bats blind?\nA:")


def test_all_true_answers_among_all(tmp_path):
    [task], _ = read_truthfulqa(save(tmp_path / "t.csv", ROW), form="mc2")
    assert task.references == ("No", "They see")
    assert task.choices == ("No", "They see", "Yes", "All are")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"Question": ""}, "Question: string should have at least 1 character"),
        ({"Best Answer": ""}, "Best Answer: string should have at least 1 character"),
        ({"Best Answer": " "}, "Correct Answers: "),
        ({"Incorrect Answers": ""}, "Incorrect Answers: string should have at least 1"),
        ({"Incorrect Answers": " ; ;"}, "Incorrect Answers: ' ; ;' has none"),
        ({"Incorrect Answers": "No; They see"}, "Incorrect Answers: 'No; They see' has none"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, change, problem):
    path = save(tmp_path / "t.csv", ROW, ROW | change)
    with pytest.raises(FileError) as error:
        read_truthfulqa(path)
    assert f"t.csv:3: {problem}" in str(error.value)


@pytest.mark.parametrize("missing", ["Question", "Best Answer", "Correct Answers", "Incorrect Answers"])
def test_a_column_that_is_missing(tmp_path, missing):
    path = save(tmp_path / "t.csv", {name: text for name, text in ROW.items() if name != missing})
    with pytest.raises(FileError, match=rf"t\.csv:2: {missing}: field required"):
        read_truthfulqa(path)


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="form is 'mc3', expected mc1 or mc2"):
        read_truthfulqa(save(tmp_path / "t.csv", ROW), form="mc3")
    with pytest.raises(FileError, match="no such file"):
        read_truthfulqa(tmp_path / "TruthfulQA.csv")
    (tmp_path / "t.csv").write_text("Question\n")
    with pytest.raises(FileError, match="holds no rows"):
        read_truthfulqa(tmp_path / "t.csv")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
@pytest.mark.parametrize("form", ["mc1", "mc2"])
@pytest.mark.parametrize(("name", "count"), [("", 817), ("_test", 718), ("_train", 99)])
def test_the_published_files(name, count, form):
    tasks, _ = read_truthfulqa(PUBLISHED / f"TruthfulQA{name}.csv", form=form)
    assert len(tasks) == count
    assert all({*task.references} < {*task.choices} for task in tasks)
    assert all(len({*task.choices}) == len(task.choices) for task in tasks)
