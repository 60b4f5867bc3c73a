from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.fewshot import few_shot_prompt
from biddable.tasks.mmlu import CATEGORIES, read_mmlu
from biddable.types import Task

PUBLISHED = Path(__file__).parents[2] / "../shared/data/mmlu"
ROW = '" Which is ""even""?",1,2,3,5,B\n'


def folder(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.rpartition("_")[2] / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_question_with_one_solved(tmp_path):
    root = folder(tmp_path, world_religions_test=ROW, world_religions_dev="Who?,a,b,c,d,C\n")
    [task], shots = read_mmlu(root)
    assert task == Task(
        "world_religions/0",
        'Which is "even"?\nA. 1\nB. 2\nC. 3\nD. 5\nAnswer:',
        references=("B",),
        meta={"group": "world_religions", "category": "humanities"},
        choices=("A", "B", "C", "D"),
    )
    prompt, kept = few_shot_prompt(task.prompt, shots["world_religions"], 5)
    assert kept == 1
    assert prompt == (
        "The following are multiple choice questions (with answers) about world religions.\n\n"
        "Who?\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\n" + task.prompt
    )


def test_the_official_header_has_two_blanks(tmp_path):
    root = folder(tmp_path, anatomy_test=ROW)
    [task], shots = read_mmlu(root, style="official")
    assert shots["anatomy"].description.endswith("about  anatomy.")
    assert task.prompt.startswith(' Which is "even"?')
    assert task.meta["category"] == "other"
    assert read_mmlu(root)[0][0].meta["category"] == "stem"


def test_layouts(tmp_path):
    inner = folder(tmp_path / "data", anatomy_test=ROW, virology_test=ROW, virology_val="broken")
    tasks, _ = read_mmlu(tmp_path)
    assert [task.id for task in tasks] == ["anatomy/0", "virology/0"]
    assert read_mmlu(tmp_path, subjects=["virology"])[0] == tasks[1:]
    assert read_mmlu(inner / "test")[0] == tasks
    assert read_mmlu(inner / "test" / "anatomy_test.csv")[0] == tasks[:1]


@pytest.mark.parametrize(
    "header", ["question,A,B,C,D,answer", "Question,choice0,choice1,choice2,choice3,Answer"]
)
def test_a_header_and_an_index(tmp_path, header):
    path = tmp_path / "anatomy_test.of_somebody.csv"
    path.write_text(header + "\nWho?,a,b,c,d,2\n")
    [task], _ = read_mmlu(path)
    assert (task.references, task.meta["group"]) == (("C",), "anatomy")


def test_files_of_the_hub(tmp_path):
    row = {"question": "Who?", "subject": "anatomy", "choices": ["a", "b", "c", "d"], "answer": 3}
    for split in ("test", "dev", "validation"):
        path = tmp_path / "all" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row, row | {"subject": "virology"}]), path)
    tasks, shots = read_mmlu(tmp_path)
    assert [task.id for task in tasks] == ["anatomy/0", "virology/0"]
    assert shots["virology"].examples == ("Who?\nA. a\nB. b\nC. c\nD. d\nAnswer: D",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no rows"),
        (
            "Who?,a,b,c,B\n",
            "anatomy_test.csv:1: 5 cells, expected 6: a question, four choices and the answer",
        ),
        (ROW + "Who?,a,b,c,d,e,B\n", "anatomy_test.csv:2: 7 cells"),
        ("Who?,a,b,c,d,E\n", ":1: answer: is 'E', expected A, B, C, D or an index from 0 to 3"),
        ("Who?,a,b,c,d,4\n", ":1: answer: is '4'"),
        ("Who?,a,b,c,d,\n", ":1: answer: is ''"),
        ("Who?,a,,c,d,A\n", ":1: B is '', expected a text that is not blank"),
        (" ,a,b,c,d,A\n", ":1: question is ' ', expected a text that is not blank"),
        ('"Who?,a,b,c,d,A\n', ":1: not CSV"),
        ("question,A,B,C,D,answer\n", "holds no rows"),
        ("é".encode("latin-1"), ":1: not UTF-8 text"),
        (b"PK\x03\x04", "is a ZIP archive"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, text, problem):
    path = tmp_path / "anatomy_test.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FileError) as error:
        read_mmlu(path)
    assert problem in str(error.value)


def test_what_is_asked_for_is_not_there(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_mmlu(tmp_path / "mmlu")
    with pytest.raises(FileError, match=r"holds no file named SUBJECT_test\.csv"):
        read_mmlu(tmp_path)
    root = folder(tmp_path, anatomy_test=ROW)
    with pytest.raises(InputError, match="subjects is 'history', expected one of 1: anatomy"):
        read_mmlu(root, subjects=["history"])
    with pytest.raises(InputError, match="style is 'mine', expected lm-eval or official"):
        read_mmlu(root, style="mine")
    (tmp_path / "test" / "anatomy_test.2.csv").write_text(ROW)
    with pytest.raises(FileError, match=r"is of the subject anatomy, as .*anatomy_test\.2\.csv is: read one"):
        read_mmlu(root)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
def test_the_published_files():
    tasks, shots = read_mmlu(PUBLISHED)
    assert len({task.meta["group"] for task in tasks}) == len(shots) == 57
    assert {*shots} == {*CATEGORIES}
    assert all(len(each.examples) == 5 for each in shots.values())
    for variant in ("choice_index", "ABCD_index"):
        [first, *_], _ = read_mmlu(PUBLISHED / "variants" / f"astronomy_test.{variant}.csv")
        assert first.references == ("A",)
        assert first.meta["group"] == "astronomy"
