from __future__ import annotations

from pathlib import Path

import pytest

from biddable.errors import FileError
from biddable.tasks.crass import read_crass
from biddable.types import Task

HEADER = "PCTID;PCTSubId;Premise;QCC;CorrectAnswer;Answer1;Answer2;PossibleAnswer3\n"
ROWS = [f"{n};a;A man sings {n}. ;What if he had slept?;Right;Wrong;Worse;\n" for n in range(4)]


def save(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_question_with_three_solved(tmp_path):
    path = save(tmp_path / "crass.csv", HEADER + "".join(ROWS))
    [task], shots = read_crass(path)
    lines = task.prompt.split("\n")
    assert lines[0] == "A man sings 3. What if he had slept?"
    assert sorted(line[3:] for line in lines[1:4]) == ["Right", "Worse", "Wrong"]
    assert [line[:3] for line in lines[1:4]] == ["A. ", "B. ", "C. "]
    assert lines[4:] == ["Answer:"]
    assert f"{task.references[0]}. Right" in lines
    assert task.choices == ("A", "B", "C")
    assert task.meta["source"] == "A man sings 3."
    assert len(shots["crass"].examples) == 3
    all_asked, none = read_crass(path, held_out=0)
    assert all_asked[3] == task
    assert none["crass"].examples == ()
    assert {each.references[0] for each in all_asked} > {"A"}


def test_solved_examples_share_no_premise_with_what_is_asked(tmp_path):
    premises = ["It rains.", "it  rains.", "Snow.", "Sun.", "Wind.", "Fog.", "Fog.", "Sun."]
    rows = "".join(f"{premise};What if not {n}?;Yes;No\n" for n, premise in enumerate(premises))
    path = save(tmp_path / "crass.csv", "Premise;Question;Right;Wrong\n" + rows)
    tasks, shots = read_crass(path, held_out=2)
    assert [each.split(" What")[0] for each in shots["crass"].examples] == ["Snow.", "Wind."]
    assert [task.id for task in tasks] == [f"crass/{n}" for n in (0, 1, 3, 5, 6, 7)]
    tasks, shots = read_crass(path)
    assert [each.split(" What")[0] for each in shots["crass"].examples] == ["It rains.", "Snow.", "Wind."]
    assert {task.meta["source"] for task in tasks} == {"Sun.", "Fog."}, "one too few with a single question"
    with pytest.raises(FileError, match="5 premises, expected more than the 5 shown solved"):
        read_crass(path, held_out=5)


def test_a_table_without_names_of_items(tmp_path):
    path = save(tmp_path / "crass.csv", "Premise;Question;Right;Wrong\nIt rains.;And if not?;Dry;Wet\n")
    [task], _ = read_crass(path, held_out=0)
    assert task == Task(
        "crass/0",
        f"It rains. And if not?\nA. {task.meta['answers'][0]}\nB. {task.meta['answers'][1]}\nAnswer:",
        references=("AB"[task.meta["answers"].index("Dry")],),
        meta={"group": "crass", "source": "It rains.", "answers": task.meta["answers"]},
        choices=("A", "B"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no rows"),
        (HEADER, "0 questions, expected more than the 3 shown solved"),
        (HEADER + "".join(ROWS[:3]), "3 questions, expected more than the 3 shown solved"),
        ("".join(ROWS), 'crass.csv:1: expected a header with ";" between the cells'),
        (HEADER.replace(";", ","), "crass.csv:1: expected a header"),
        (HEADER + "0;a;P;Q;R\n", "crass.csv:2: 3 cells, expected a premise, a question and two to four"),
        (HEADER + "0;a;;Q;R;W;;\n", "crass.csv:2: premise: is empty"),
        (HEADER + "0;a;P; ;R;W;;\n", "crass.csv:2: question: is empty"),
        (HEADER + "0;a;P;Q;;W;V;\n", "crass.csv:2: right answer: is empty"),
        (HEADER + "0;a;P;Q;R;;;\n", "crass.csv:2: answers: are ['R'], expected two to four that differ"),
        (HEADER + "0;a;P;Q;R;R;W;\n", "crass.csv:2: answers: are ['R', 'R', 'W']"),
        (HEADER + '0;a;"P;Q;R;W;;\n', "crass.csv:2: not CSV"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, problem):
    with pytest.raises(FileError) as error:
        read_crass(save(tmp_path / "crass.csv", text))
    assert problem in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_crass(tmp_path / "crass.csv")
