"""``biddable data`` and ``biddable export --for``."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Command
from .fakes import assert_one_line, write_lines

ROWS = [
    {"instruction": "Name a river.", "output": "The Loire."},
    {"instruction": "Name a river.", "output": "The Loire."},
    {"instruction": "Name one river.", "output": "The Rhine."},
    {"instruction": "How do boats float?", "output": "They push water away."},
]


def test_a_funnel_is_printed_and_the_folder_stands_for_the_data(biddable: Command) -> None:
    write_lines("rows.jsonl", ROWS)
    result = biddable("data", "rows.jsonl", "--near", "0.6", "--out", "run")
    assert result.exit_code == 0, result.output
    assert "exact     4     3  the same as an earlier row (1)" in result.stdout
    assert "2 rows to learn from, 0 held out, 2 dropped" in result.stdout
    assert "biddable train sft MODEL --data run --out FOLDER" in result.stdout
    assert Path("run/report.html").read_text().count("biddable <b>data</b>") == 1
    exported = biddable("export", "run", "out", "--for", "llamafactory")
    assert (exported.exit_code, exported.stdout) == (0, "")
    assert "out: 2 rows in train.json; dataset_info.json, train.yaml" in exported.stderr
    again = biddable("data", "rows.jsonl", "--near", "0.6", "--out", "run", "--json")
    assert json.loads(again.stdout)["metrics"]["rows"]["kept"] == 2


def test_a_table_with_semicolons_and_a_mark_of_byte_order(biddable: Command) -> None:
    Path("rows.csv").write_bytes("\ufeffinstruction;output\nAdd 1.;2\nSay hi.;\n".encode())
    assert_one_line(biddable("data", "rows.csv", "--out", "run"), "rows.csv:3: output is ''")
    assert biddable("data", "rows.csv", "--out", "run", "--skip-bad").exit_code == 0
    assert json.loads(Path("run/artifacts/dropped/rows.jsonl").read_text())["row"] == {
        "instruction": "Say hi.",
        "output": "",
    }


def test_suites_are_named_with_their_options(biddable: Command) -> None:
    write_lines("rows.jsonl", ROWS)
    write_lines("tasks.jsonl", [{"key": 1, "prompt": "How do boats float?"}])
    result = biddable("data", "rows.jsonl", "--against", "tasks.jsonl", "--out", "run")
    assert result.exit_code == 0, result.output
    assert "a task of tasks.jsonl (1)" in result.stdout
    refused = biddable("data", "rows.jsonl", "--against", "bbh:none?tasks=a,b", "--out", "other")
    assert_one_line(refused, "suite bbh: tasks is", "a+b")


def test_mistakes_are_named_as_they_were_written(biddable: Command) -> None:
    write_lines("rows.jsonl", ROWS)
    one = ("data", "rows.jsonl", "--out", "run")
    assert_one_line(biddable(*one, "--max-tokens", "5"), "--max-tokens is 5", "a model beside it")
    assert_one_line(biddable("data", "rows.jsonl", "rows.jsonl", "--out", "run"), "SOURCE is 'rows.jsonl'")
    assert_one_line(biddable("data", "none.jsonl", "--out", "run"), "none.jsonl: no such file")
    assert_one_line(biddable(*one, "--near", "2"), "--near is", "expected a number of at most 1")
    assert_one_line(biddable("export", "none", "out", "--for", "trl"), "none: no such file")
    assert_one_line(biddable("export", "rows.jsonl", "out", "--kind", "preferences"), "--for beside it")
    assert_one_line(biddable("export", "rows.jsonl", "out", "--for", "trl", "--no-merge"), "--merge")
    Path("full").mkdir()
    Path("full/x").touch()
    assert_one_line(
        biddable("export", "rows.jsonl", "full", "--for", "trl"), "DIR is 'full'", "an empty folder"
    )
    assert not Path("run").exists()
