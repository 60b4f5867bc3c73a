from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from biddable.errors import FileError
from biddable.tasks.followbench import load_followbench

PUBLISHED = Path(__file__).parents[2] / "../shared/data/followbench"
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published FollowBench files are not here")


def row(id_: str | int, level: int | str, **changed) -> dict:
    plain = {
        "example_id": id_,
        "category": "style",
        "source": "made up",
        "level": level,
        "instruction": f"instruction {id_}, level {level}",
        "target": "",
    }
    return plain | changed


def style_rows() -> list[dict]:
    return [row(id_, level) for id_ in ("1", "2") for level in range(6)]


def example_row(level: int, target: str = "{instruction}\n{{'bot': '{answer}'}}") -> dict:
    return row(7, level, category="example", target=target, answer="{'bot': 'yes'}")


def save(folder: Path, kind: str, rows: object) -> Path:
    path = folder / f"{kind}_constraints.json"
    path.write_text(json.dumps(rows))
    return path


def test_levels_one_to_five_of_every_group(tmp_path):
    tasks = load_followbench(save(tmp_path, "style", style_rows()))
    assert [task.id for task in tasks] == [
        f"style/{group}/{level}" for group in "12" for level in range(1, 6)
    ]
    third = tasks[7]
    assert third.prompt[0].content == "instruction 2, level 3"
    assert third.meta == {
        "kind": "style",
        "group": "style/2",
        "level": 3,
        "category": "style",
        "source": "made up",
        "evolution": [f"instruction 2, level {level}" for level in range(4)],
    }


def test_rows_in_any_order_and_numbers_as_text(tmp_path):
    rows = [row(1, "3"), *(row(1, level) for level in (5, 0, 2, 1, 4))]
    tasks = load_followbench(save(tmp_path, "style", rows))
    assert [task.meta["level"] for task in tasks] == [1, 2, 3, 4, 5]
    assert tasks[-1].meta["evolution"] == [f"instruction 1, level {level}" for level in (0, 1, 2)] + [
        "instruction 1, level 3",
        "instruction 1, level 4",
        "instruction 1, level 5",
    ]


def test_the_kind_example_has_templates_and_no_level_zero(tmp_path):
    tasks = load_followbench(save(tmp_path, "example", [example_row(level) for level in range(1, 6)]))
    assert len(tasks) == 5
    assert {task.meta["template"] for task in tasks} == {"{'bot': '{answer}'}"}
    assert "evolution" not in tasks[0].meta


def test_a_folder_gives_all_kinds_in_it(tmp_path):
    save(tmp_path, "style", style_rows())
    save(tmp_path, "content", style_rows())
    (tmp_path / "other.json").write_text("{}")
    assert Counter(task.meta["kind"] for task in load_followbench(tmp_path)) == {"content": 10, "style": 10}


def test_the_first_instruction_may_be_empty(tmp_path):
    rows = [row(1, level) for level in range(1, 6)] + [row(1, 0, instruction="")]
    assert load_followbench(save(tmp_path, "style", rows))[0].meta["evolution"] == [
        "",
        "instruction 1, level 1",
    ]


@pytest.mark.parametrize(
    ("kind", "rows", "problem"),
    [
        (
            "style",
            style_rows()[:-1],
            "group style/2 has the levels [0, 1, 2, 3, 4], expected [0, 1, 2, 3, 4, 5]",
        ),
        (
            "style",
            style_rows()[1:],
            "group style/1 has the levels [1, 2, 3, 4, 5], expected [0, 1, 2, 3, 4, 5]",
        ),
        (
            "style",
            [*style_rows(), row("1", 2)],
            "group style/1 has the levels [0, 1, 2, 2, 3, 4, 5], expected",
        ),
        ("example", [example_row(1)], "group example/7 has the levels [1], expected [1, 2, 3, 4, 5]"),
        (
            "example",
            [example_row(level, target="{answer}") for level in range(1, 6)],
            "group example/7: the target '{answer}' lacks an instruction line or one answer",
        ),
        (
            "example",
            [example_row(level, target="{instruction}\nAnswer:") for level in range(1, 6)],
            "lacks an instruction line or one answer",
        ),
        ("style", [row(1, 6)], "row 1: level: input should be less than or equal to 5"),
        ("style", [row(1, 0), row(1, "two")], "row 2: level: input should be a valid integer"),
        ("style", [row(1, 0), {"level": 1}], "row 2: example_id: field required"),
        ("style", [*style_rows(), *(row(3, n, instruction="") for n in range(6))], "of level 1 is empty"),
        ("style", [row(1, 0), "text"], "row 2: expected a JSON object"),
        ("style", [], "holds no rows"),
        ("style", {"rows": []}, ":1: example_id: field required"),
    ],
)
def test_malformed_files(tmp_path, kind, rows, problem):
    with pytest.raises(FileError) as error:
        load_followbench(save(tmp_path, kind, rows))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_not_there_or_not_json(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        load_followbench(tmp_path / "style_constraints.json")
    with pytest.raises(FileError, match=r"holds none of content_constraints\.json, "):
        load_followbench(tmp_path)
    with pytest.raises(FileError, match=r"expected a file named KIND_constraints\.json"):
        load_followbench(tmp_path / "rows.json")
    (tmp_path / "style_constraints.json").write_text('[\n{"example_id": }]')
    with pytest.raises(FileError, match=r"style_constraints\.json:2: not JSON"):
        load_followbench(tmp_path)


@published
def test_the_published_files():
    tasks = load_followbench(PUBLISHED)
    assert Counter(task.meta["kind"] for task in tasks) == {
        "content": 125,
        "situation": 110,
        "style": 150,
        "format": 150,
        "example": 200,
        "mixed": 85,
    }
    assert len({task.id for task in tasks}) == len(tasks)
    assert Counter(task.meta["level"] for task in tasks) == dict.fromkeys(range(1, 6), 164)
