from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biddable.errors import FileError, InputError, StorageError
from biddable.runs.tables import read_parquet, schema, write_parquet
from biddable.types import (
    Check,
    CheckResult,
    Message,
    Preference,
    Response,
    Task,
    Trajectory,
    Verdict,
    user,
)

NOUNS: list[tuple[Any, list[Any]]] = [
    (
        Task,
        [
            Task(
                "a",
                user("x"),
                (Check("length", {"n": 3, "words": ["é", None]}),),
                ("r",),
                {"nested": {"y": 1.5}},
            ),
            Task("b", (Message("system", ""), Message("user", "\u2028"))),
        ],
    ),
    (Response, [Response("x", (1, 2), (-0.1, -1e-300), "length"), Response("")]),
    (Preference, [Preference(user("x"), "good", "bad", {"value": 0.6})]),
    (
        Trajectory,
        [
            Trajectory("go", {"image": [[1, 2]], "text": ["a", None]}, [3], [1.0], True, meta={"seed": 1}),
            Trajectory("stay", {}, [], [], None, False, True),
        ],
    ),
    (Verdict, [Verdict(None, None, "unparsable"), Verdict(0.5, True, "", (CheckResult("a", True),))]),
]


@pytest.mark.parametrize(("type", "rows"), NOUNS, ids=lambda part: getattr(part, "__name__", ""))
def test_nouns_come_back_equal(tmp_path: Path, type: Any, rows: list[Any]) -> None:
    for some in (rows, rows[:1], []):
        write_parquet(tmp_path / "rows.parquet", some, type)
        assert read_parquet(tmp_path / "rows.parquet", type) == some


def test_columns_are_plain_and_free_form_fields_are_json(tmp_path: Path) -> None:
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    assert schema(Preference) == pa.schema(
        [
            ("prompt", pa.list_(message)),
            ("chosen", pa.string()),
            ("rejected", pa.string()),
            ("meta", pa.string()),
        ]
    )
    write_parquet(tmp_path / "x.parquet", [Preference(user("x"), "a", "b", {"v": (1, None)})], Preference)
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == [
        {
            "prompt": [{"role": "user", "content": "x"}],
            "chosen": "a",
            "rejected": "b",
            "meta": '{"v": [1, null]}',
        }
    ]


def test_arrays_become_lists(tmp_path: Path) -> None:
    trajectory = Trajectory(
        "go", {"image": np.array([[1, 2]], np.uint8)}, np.array([2]), np.array([1.0]), True
    )
    write_parquet(tmp_path / "t.parquet", [trajectory], Trajectory)
    plain = Trajectory("go", {"image": [[1, 2]]}, [2], [1.0], True)
    assert read_parquet(tmp_path / "t.parquet", Trajectory) == [plain]


def test_files_of_others_are_read_where_they_fit(tmp_path: Path) -> None:
    table = pa.table(
        {
            "more": [1.0],
            "token_ids": pa.array([[1, 2]], pa.list_(pa.int32())),
            "text": pa.array(["x"], pa.large_string()),
            "logprobs": pa.array([[-1.0, -2.0]], pa.list_(pa.float32())),
            "finish_reason": pa.array(["stop"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    assert read_parquet(tmp_path / "r.parquet", Response) == [Response("x", (1, 2), (-1.0, -2.0))]


def test_a_file_of_another_noun_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "r.parquet", [Response("x")], Response)
    with pytest.raises(FileError, match=r"r.parquet: no column prompt, chosen, rejected, meta: not"):
        read_parquet(tmp_path / "r.parquet", Preference)


def test_prompts_of_a_table_are_chats_or_raw_text(tmp_path: Path) -> None:
    raw = [Preference("x", "a", "b"), Preference("y", "a", "b")]
    write_parquet(tmp_path / "p.parquet", raw, Preference)
    assert pq.read_table(tmp_path / "p.parquet")["prompt"].to_pylist() == ["x", "y"]
    assert read_parquet(tmp_path / "p.parquet", Preference) == raw
    with pytest.raises(InputError, match="prompt is 'chats and raw text'"):
        write_parquet(tmp_path / "q.parquet", [*raw, Preference(user("z"), "a", "b")], Preference)
    assert not (tmp_path / "q.parquet").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"meta": ["{}", "{"]}, "row 2: not JSON in a free-form field"),
        ({"meta": ["{}", None]}, "row 2: not JSON in a free-form field"),
        ({"meta": ["{}", "[]"]}, "row 2: meta: input should be"),
        ({"chosen": [None, "b"]}, "row 1: chosen: input should be a valid string"),
        ({"prompt": [None, None]}, "row 1: prompt: input should be"),
        (
            {"prompt": [[{"role": "robot", "content": "x"}]] * 2},
            r"row 1: prompt\[0\].role: input should be 'system'",
        ),
        ({"prompt": [1, 2]}, "cannot be read as Parquet"),
        ({"chosen": [[1], [2]]}, "cannot be read as Parquet"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    prompt = [{"role": "user", "content": "x"}]
    columns = {"prompt": [prompt] * 2, "chosen": ["a", "b"], "rejected": ["a", "b"], "meta": ["{}", "{}"]}
    pq.write_table(pa.table({**columns, **changes}), tmp_path / "p.parquet")
    with pytest.raises(FileError, match=problem) as caught:
        read_parquet(tmp_path / "p.parquet", Preference)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text that is no Parquet\n" * 10])
def test_files_that_are_no_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(FileError, match=r"x.parquet: cannot be read as Parquet") as caught:
        read_parquet(tmp_path / "x.parquet", Task)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match="missing: no such file"):
        read_parquet(tmp_path / "missing", Task)
    whole = tmp_path / "whole.parquet"
    write_parquet(whole, [Task("a", user("x" * 1000))], Task)
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(FileError, match="cannot be read as Parquet"):
        read_parquet(whole, Task)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.parquet"
    write_parquet(path, [Response("old")], Response)

    def full(table: pa.Table, where: Path, **_: Any) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StorageError, match=r"no space left on the disk while writing .*r.parquet"):
        write_parquet(path, [Response("new")], Response)
    assert [file.name for file in tmp_path.iterdir()] == ["r.parquet"]
    assert read_parquet(path, Response) == [Response("old")]
