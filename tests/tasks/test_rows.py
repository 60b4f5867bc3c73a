"""Files that somebody else wrote, in whatever way they are encoded and packed."""

import gzip
import json
from functools import partial

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.rows import read_cells, read_text, read_values

ROWS = [{"a": "é\u2028"}, {"a": 2}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
LIST = json.dumps(ROWS, ensure_ascii=False)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "rows"


@pytest.mark.parametrize("packed", [bytes, partial(gzip.compress, mtime=0)])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text", [LINES, LIST, "\n \n" + LINES, json.dumps(ROWS, indent=2), LINES.replace("\n", "\r\n")]
)
def test_the_same_rows(file, packed, encoding, text):
    file.write_bytes(packed(text.encode(encoding)))
    assert [row.value for row in read_values(file)] == ROWS


def test_a_row_knows_its_place(file):
    file.write_text("\n" + LINES)
    assert [(row.where, row.name) for row in read_values(file)] == [
        (f"{file}:2", "line 2"),
        (f"{file}:3", "line 3"),
    ]
    file.write_text(LIST)
    assert [(row.where, row.name) for row in read_values(file)] == [
        (f"{file}: row 1", "row 1"),
        (f"{file}: row 2", "row 2"),
    ]


def test_one_object_over_several_lines_is_one_row(file):
    file.write_text(json.dumps(ROWS[1], indent=2))
    assert [row.value for row in read_values(file)] == [ROWS[1]]


def test_nan_is_what_tables_write_for_nothing(file):
    for text in ('{"a": NaN, "b": [NaN, -Infinity]}', '[{"a": NaN, "b": [NaN, -Infinity]}]'):
        file.write_text(text)
        assert read_values(file)[0].value == {"a": None, "b": [None, float("-inf")]}


def test_an_empty_file_has_no_rows(file):
    file.write_bytes(gzip.compress(b"", mtime=0))
    assert read_values(file) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            " is a Git LFS pointer, not the file",
        ),
        (gzip.compress(b"version https://git-lfs.github.com/spec/v1\n", mtime=0), " is a Git LFS pointer"),
        (b"PAR1\x15\x04", ": cannot be read as Parquet"),
        (b"PK\x03\x04", " is a ZIP archive"),
        (gzip.compress(LINES.encode(), mtime=0)[:-9], " is packed by gzip and damaged"),
        (b"\x1f\x8bnonsense", " is packed by gzip and damaged"),
        (b'{"a": 1}\n{"a": \xff}\n', ":2: not UTF-8 text"),
        (b"\xff\xfe{\x00a", " not UTF-16 text"),
        (b'{"a": 1}\n{"a": }\n', ":2: not JSON"),
        (b'[{"a": 1},\n{"a": }]\n', ":2: not JSON"),
        (b'[{"a": 1}]\n[2]\n', ":2: not JSON"),
        (b'{"a": 1}\n{"b": [{"a": 1, "c": 2, "a": 1}]}\n', ":2: not JSON that can be read: an object has"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named(file, content, problem):
    file.write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_values(file)
    assert (
        str(caught.value)
        .replace(": is", " is")
        .replace(": not UTF-16", " not UTF-16")
        .startswith(f"{file}{problem}")
    )


def test_cells_of_a_table_without_a_header(tmp_path):
    path = tmp_path / "dev.csv"
    path.write_bytes(b'"One, or\r\ntwo?",1,2\r\n\r\nThree?,3,4\r\n')
    rows = read_cells(path)
    assert [row.value for row in rows] == [["One, or\r\ntwo?", "1", "2"], ["Three?", "3", "4"]]
    assert [row.name for row in rows] == ["line 1", "line 4"]
    path.write_text("\n")
    with pytest.raises(FileError, match="holds no rows"):
        read_cells(path)
    path.write_text('a,"b\nc,d\n')
    with pytest.raises(FileError, match=r"dev\.csv:1: not CSV"):
        read_cells(path)


def test_text_in_an_encoding_that_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text\r\ncafé…\r\n".encode("cp1252"))
    assert read_text(path, "cp1252") == "text\ncafé…\n"
    assert [row.value for row in read_values(path, "cp1252")] == [{"text": "café…"}]
    with pytest.raises(FileError, match="not UTF-8 text"):
        read_text(path)
    with pytest.raises(FileError, match="not utf-8 text, as which it is to be read"):
        read_text(path, "utf-8")
    with pytest.raises(InputError, match="encoding is 'klingon', expected the name of a text encoding"):
        read_text(path, "klingon")
    path.write_bytes("text\ncafé\n".encode("utf-8-sig"))
    assert read_text(path, "utf-8") == read_text(path) == "text\ncafé\n"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_is_cut_at_what_its_header_is_cut_at(tmp_path, delimiter, mark):
    path = tmp_path / "rows.csv"
    cells = [["prompt", "completion"], ["Hi, you;", '"Ho"'], ["two\nlines", "|"]]
    quoted = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    path.write_text(mark + "\n".join(quoted), encoding="utf-8")
    assert [list(row.value.items()) for row in read_values(path)] == [
        [("prompt", "Hi, you;"), ("completion", '"Ho"')],
        [("prompt", "two\nlines"), ("completion", "|")],
    ]


def test_a_csv_of_one_column_keeps_its_semicolons(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("prompt\nHi; you\n")
    assert [row.value for row in read_values(path)] == [{"prompt": "Hi; you"}]


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [
        ("rows.jsonl", '{"a": 1}\n{"a"\n\n{"a": 2}', '{"a"'),
        ("rows.csv", "a,b\n1,2\n3\n4,5", ["3"]),
        ("rows.csv", "a;b\n1;2\n3\n4;5", ["3"]),
        ("rows.tsv", 'a\tb\n1"\t2\n3\n4\t5', ["3"]),
    ],
)
def test_lines_that_cannot_be_read_may_be_set_aside(tmp_path, name, content, value):
    path = tmp_path / name
    path.write_text(content)
    broken = []
    assert len(read_values(path, broken=broken)) == 2
    [(row, error)] = broken
    assert row.value == value
    assert str(error).startswith(row.where)
    with pytest.raises(FileError, match=row.where):
        read_values(path)


def test_one_broken_line_of_a_tsv_leaves_the_quotation_marks_of_the_others(file):
    table = file.with_suffix(".tsv")
    table.write_text('a\tb\n"x"\t"y\nz"\n1\n')
    broken = []
    assert [row.value for row in read_values(table, broken=broken)] == [{"a": "x", "b": "y\nz"}]
    assert [row.value for row, _ in broken] == [["1"]]
