"""Frames of robot tasks: rows are read whole and written back; what is not sound is dropped and said."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.frames import (
    COLUMNS,
    ROLES,
    SKILLS,
    Argument,
    Modifier,
    Span,
    TaskFrame,
    example_of,
    format_frame_string,
    frame_row,
    load_tage,
    parse_frame_string,
    read_frames,
    read_sentences,
    words_of,
    write_frames,
)

PUT = {
    "input": "Put the red book on the armchair left of the couch",
    "tage_output": "0 0 Placing ; 2 3 Theme -2 2 isColour; 6 6 Goal - 7 7 Relation -- 8 8 Relation;"
    "10 10 coGoal",
    "seq2seq_output": "placing : put , theme : red book :book , goal : armchair :chair , "
    "cogoal : couch :sofa",
}
TAKE = {
    "input": "take my phone and place it on the bed",
    "tage_output": "0 0 Picking ; 1 2 Theme| 4 4 Placing ; 1 2 Theme ;8 8 Goal",
    "seq2seq_output": "picking : take , theme : my phone :cellphone ; placing : place , "
    "theme : my phone :cellphone , goal : bed :bed",
}


def write(path: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def changed(row: dict[str, str], **values: str) -> dict[str, str]:
    return {**row, **values}


def test_places_are_of_words_and_both_ends_count() -> None:
    example = example_of(PUT, SKILLS, ROLES)
    [task] = example.tasks
    assert (task.skill, task.trigger, task.span) == ("placing", "put", Span(0, 0))
    theme, goal, cogoal = task.arguments
    assert theme == Argument("theme", "red book", "book", Span(2, 3), (Modifier("isColour", Span(2, 2)),))
    # a minus, with a blank after it or doubled, begins a modifier: it is no negative place
    assert [each.span for each in goal.modifiers] == [Span(7, 7), Span(8, 8)]
    assert (cogoal.role, cogoal.object_class) == ("cogoal", "sofa")


def test_an_argument_that_two_tasks_share_is_in_both() -> None:
    first, second = example_of(TAKE, SKILLS, ROLES).tasks
    assert first.arguments[0] == second.arguments[0]
    assert second.arguments[0].text == "my phone"  # no determiner is taken off


@pytest.mark.parametrize("row", [PUT, TAKE])
def test_rows_and_strings_come_back_as_they_were(row: dict[str, str]) -> None:
    example = example_of(row, SKILLS, ROLES)
    assert example_of(frame_row(example), SKILLS, ROLES) == example
    text = format_frame_string(example.tasks)
    assert format_frame_string(parse_frame_string(text)) == text
    assert parse_frame_string(text) == parse_frame_string(row["seq2seq_output"])


def test_a_string_is_parsed_as_the_scorer_does() -> None:
    def skills(text: str) -> list[str]:
        return [task.skill for task in parse_frame_string(text)]

    assert skills("motion : go ; ; rotation : turn") == ["motion"]  # it ends at the first blank part
    assert skills("motion : go ; flying : up ; rotation : turn") == ["motion", "rotation"]
    assert skills("motion go , goal : bed") == []
    assert skills("motion : go : on") == []
    assert skills("") == []
    [task] = parse_frame_string(
        "Motion : go , goal : bed , pilot : me , goal , theme : a : b : c , area : x :y"
    )
    assert [(each.role, each.text, each.object_class) for each in task.arguments] == [
        ("goal", "bed", "unk"),
        ("area", "x", "y"),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (changed(PUT, input=" "), "input is ' ', expected a text that is not blank"),
        (changed(PUT, tage_output="0 0 Placing ; 2 31 Theme"), "among 0 to 10"),
        (changed(PUT, tage_output="0 0 Placing ; 3 2 Theme"), "the first not after the last"),
        (changed(PUT, tage_output="0 0 Placing ; -3 2 Theme"), "among 0 to 10"),
        (changed(PUT, tage_output="0 0 Flying"), "'Flying', expected one of the 16 skills"),
        (changed(PUT, tage_output="0 0 Placing ; 2 3 Pilot"), "'Pilot', expected one of the 17 roles"),
        (changed(PUT, tage_output="0 0 Placing 2 3 Theme"), "FIRST LAST NAME"),
        (
            changed(PUT, seq2seq_output=TAKE["seq2seq_output"]),
            "2 tasks', expected the 1 tasks of tage_output",
        ),
        (
            changed(PUT, seq2seq_output=PUT["seq2seq_output"].replace("couch", "sofa")),
            "expected what tage_output",
        ),
        (changed(PUT, seq2seq_output="placing , put"), "frames that can be read"),
    ],
)
def test_a_row_that_is_not_sound_is_dropped_with_its_reason(
    tmp_path: Path, row: dict[str, str], told: str
) -> None:
    with pytest.raises(InputError, match="expected") as error:
        example_of(row, SKILLS, ROLES)
    assert told in str(error.value)
    funnel = read_frames(write(tmp_path / "d.csv", PUT, row, TAKE))
    assert [len(each.tasks) for each in funnel.rows] == [1, 2]
    [dropped] = funnel.dropped
    assert dropped.id == "d.csv line 3"
    assert told in dropped.why.detail


def test_files_that_do_not_serve(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no column tage_output in it"):
        read_frames(write(tmp_path / "a.csv", PUT, columns=("input", "seq2seq_output")))
    with pytest.raises(FileError, match="holds no row of frames"):
        read_frames(write(tmp_path / "b.csv", changed(PUT, input=" ")))
    with pytest.raises(FileError, match=r"c\.csv"):
        read_frames(tmp_path / "c.csv")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    examples = [example_of(row, SKILLS, ROLES) for row in (PUT, TAKE)]
    write_frames(tmp_path / "train.csv", examples)
    assert load_tage(tmp_path) == examples
    assert load_tage(tmp_path / "train.csv") == examples


def test_words_of_people_lose_their_punctuation_and_no_place() -> None:
    assert words_of("Please, bring me the BOOK!") == ("please", "bring", "me", "the", "book")
    assert words_of("go - then stop") == ("go", "-", "then", "stop")
    assert words_of("wait ... here") == ("wait", "...", "here")
    for wrong in ("", "  ", None, 3):
        with pytest.raises(InputError, match="a text that is not blank"):
            words_of(wrong)  # type: ignore[arg-type]


def test_sentences_of_a_text_file_and_of_tables(tmp_path: Path) -> None:
    lines = tmp_path / "s.txt"
    lines.write_text("turn left\n\n  go to the bed \n")
    assert read_sentences(lines) == [("line 1", "turn left"), ("line 3", "go to the bed")]
    table = tmp_path / "s.jsonl"
    table.write_text('{"instruction": "turn"}\n{"instruction": 4}\n{"input": "go"}\n{broken\n')
    read = read_sentences(table)
    assert [text for _, text in read if isinstance(text, str)] == ["turn", "go"]
    assert len(read) == 4
    lines.write_text("\n \n")
    with pytest.raises(FileError, match="holds no instruction"):
        read_sentences(lines)


def test_a_frame_without_places_is_not_written_as_if_it_had_some() -> None:
    example = example_of(TAKE, SKILLS, ROLES)
    bare = type(example)(example.text, example.words, (TaskFrame("picking", "take"),))
    with pytest.raises(InputError, match="where picking stands"):
        frame_row(bare)
