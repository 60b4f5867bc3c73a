"""Seed tasks of every form are read; what is none is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError
from biddable.tasks.seeds import (
    COMPOSED_SEEDS,
    gold_tasks,
    held_out_tasks,
    library_gold,
    library_seeds,
    one_line,
    read_seeds,
    split_seed_tasks,
)

PUBLISHED = Path(__file__).parents[2] / "../shared/data/self_instruct/seed_tasks.jsonl"


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_rows_of_every_form(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "instruction": "Add up.", "instances": [{"input": "1, 2", "output": "3"}]},
        {"instruction": "Greet.", "input": "", "output": " Hi! "},
        {"instruction": "Add up.", "input": "2, 2", "output": "4"},
        {"messages": [{"role": "user", "content": "Sing."}, {"role": "assistant", "content": "La."}]},
        {"instruction": "Name a city.", "output": ["Oslo", "Rome"]},
    ]
    seeds, left_out = read_seeds(written(tmp_path / "s.jsonl", *rows))
    assert left_out == []
    assert [(each.instruction, each.instances) for each in seeds] == [
        ("Add up.", (("1, 2", "3"), ("2, 2", "4"))),
        ("Greet.", (("", "Hi!"),)),
        ("Sing.", (("", "La."),)),
        ("Name a city.", (("", "Oslo"), ("", "Rome"))),
    ]
    kinds = split_seed_tasks(seeds)
    assert {kind: len(of) for kind, of in kinds.items()} == {"input": 1, "output": 3}
    [gold] = gold_tasks(seeds, first=False)
    assert (gold.references, gold.meta["input"], gold.meta["instruction"]) == (("4",), "2, 2", "Add up.")
    assert [task.references for task in gold_tasks(seeds, first=True)][-1] == ("Oslo", "Rome")


def test_rows_that_are_no_seeds_are_named(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add up.", "instances": []},
        {"instruction": "Greet.", "output": " "},
        {"instruction": "Sing.", "input": "", "output": "La."},
        {"messages": [{"role": "user", "content": "Sing."}]},
    ]
    seeds, left_out = read_seeds(written(tmp_path / "s.jsonl", *rows))
    assert [each.instruction for each in seeds] == ["Sing."]
    assert [text.partition(":")[0] for text in left_out] == ["line 1", "line 2", "line 4"]
    assert "instances is []" in left_out[0]
    assert "output is ' '" in left_out[1]


def test_a_file_without_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"holds no seed: line 1: instances is \[\]"):
        read_seeds(written(tmp_path / "s.jsonl", {"instruction": "Add up.", "instances": []}))
    with pytest.raises(FileError, match="nowhere"):
        read_seeds(tmp_path / "nowhere.jsonl")
    with pytest.raises(FileError, match="input is 3, expected a text"):
        read_seeds(written(tmp_path / "s.jsonl", {"instruction": "Count.", "input": 3, "output": "3"}))
    with pytest.raises(FileError, match="has the columns 'x'"):
        read_seeds(written(tmp_path / "s.jsonl", {"x": 1}))


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text('\ufeffinstruction,input,output\nAdd up.,"1, 2",3\nGreet.,,Hi!\n')
    seeds, _ = read_seeds(path)
    assert [each.kind for each in seeds] == ["input", "output"]


def test_seeds_of_the_library_are_enough_and_are_not_tested_on() -> None:
    seeds = library_seeds()
    kinds = split_seed_tasks(seeds)
    assert len(kinds["input"]) >= 24
    assert len(kinds["output"]) >= 10
    assert len(one_line(seeds)) == len(seeds) == len({each.instruction for each in seeds})
    gold = library_gold(125)
    assert 125 <= len(gold) <= 150
    assert not {each.instruction for each in seeds} & {task.meta["instruction"] for task in gold}
    assert not {*COMPOSED_SEEDS} & {task.meta["group"] for task in gold}
    assert all(task.references for task in gold)


def test_long_seeds_are_not_shown_as_examples(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Sing.", "output": "La.\nLa."},
        {"instruction": "Tell.", "output": "x" * 301},
        {"instruction": "Greet.", "output": "Hi!"},
    ]
    seeds, _ = read_seeds(written(tmp_path / "s.jsonl", *rows))
    assert [each.instruction for each in one_line(seeds)] == ["Greet."]


def test_the_published_seeds() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"Self-Instruct's seeds are not at {PUBLISHED}")
    seeds, left_out = read_seeds(PUBLISHED)
    assert {kind: len(of) for kind, of in split_seed_tasks(seeds).items()} == {"input": 125, "output": 50}
    assert left_out == []


def test_what_seeds_are_measured_on(tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {i}.", "output": str(i)} for i in range(60)]
    many, _ = read_seeds(written(tmp_path / "many.jsonl", *rows))
    left, gold, _ = held_out_tasks(many, 100)
    assert (len(left), len(gold)) == (48, 12)
    assert not {each.instruction for each in left} & {task.meta["instruction"] for task in gold}
    assert held_out_tasks(many[:40], 100) == (many[:40], [], [])  # too few to divide
    left, gold, left_out = held_out_tasks(many[:40], 5, tmp_path / "many.jsonl")
    assert (left, len(gold), left_out) == (many[:40], 5, [])
    assert not {each.instruction for each in left} & {task.meta["instruction"] for task in gold}


def test_seeds_of_several_files_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = [{"instruction": f"Say {name}.", "input": str(i), "output": str(i)} for i in range(3)]
        written(tmp_path / f"{name}.jsonl", *rows)
    seeds, _ = read_seeds(tmp_path)
    assert len({seed.id for seed in seeds}) == len(seeds) == 2
    gold = gold_tasks(seeds, first=False)
    assert len({task.id for task in gold}) == len(gold) == 4
    assert len({task.meta["group"] for task in gold}) == 2  # intervals are over seeds
