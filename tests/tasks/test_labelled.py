from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.labelled import Labelled, read_labelled

PUBLISHED = Path(__file__).parents[2] / "../shared/data/classification"


def save(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(path: Path, **given: object) -> list[tuple[str, str, str]]:
    return [(row.text, row.text_pair, row.label) for row in read_labelled(path, **given)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'Sentence,Label,idx\n" Good, I say ",pos,0\n'),
        ("a.tsv", "text\tclass\nGood, I say\tpos\n"),
        ("a.jsonl", lines({"input": "Good, I say", "output": "pos"})),
        ("a.json", json.dumps([{"review": "Good, I say", "sentiment": "pos"}])),
        ("a.json", json.dumps({"content": "Good, I say", "category": " pos "}, indent=1)),
        ("a.txt", "__label__pos Good, I say\n\n"),
        ("a", lines({"text": "Good, I say", "label": "pos"})),
        ("a.csv.gz", gzip.compress(b'text,label\n"Good, I say",pos\n', mtime=0)),
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path, name, text):
    assert read(save(tmp_path / name, text)) == [("Good, I say", "", "pos")]


def test_where_a_row_stands(tmp_path):
    path = save(tmp_path / "a.csv", 'text,label\n"Two\nlines",a\nOne,b\n')
    assert read_labelled(path)[1] == Labelled("One", "", "b", f"{path}:4")


@pytest.mark.parametrize(
    "pair",
    [
        ("premise", "hypothesis"),
        ("sentence1", "sentence2"),
        ("question", "sentence"),
        ("Title", "Description"),
    ],
)
def test_pairs_of_texts(tmp_path, pair):
    path = save(tmp_path / "a.jsonl", lines({pair[1]: "two", "label": 1, pair[0]: "one", "idx": 0}))
    assert read(path) == [("one", "two", "1")]


def test_columns_that_are_named(tmp_path):
    path = save(tmp_path / "a.csv", "text,body,label,mark\nx,one,y,a\n")
    assert read(path, text="body", label="mark") == [("one", "", "a")]
    assert read(path, text="body", text_pair="text", label="mark") == [("one", "x", "a")]


def test_parquet_and_folders(tmp_path):
    for name, label in (("a", 0), ("b", 1)):
        pq.write_table(pa.table({"text": [name], "label": [label]}), tmp_path / f"{name}.parquet")
    assert read(tmp_path, labels=("bad", "good")) == [("a", "", "bad"), ("b", "", "good")]


def test_lines_of_a_label_and_a_text(tmp_path):
    path = save(tmp_path / "stsa.dev", "0 it 's bad .\n1 one\x85line .\r\n")
    assert read(path, labels=("negative", "positive")) == [
        ("it 's bad .", "", "negative"),
        ("one\x85line .", "", "positive"),
    ]
    path = save(tmp_path / "trec.txt", "NUM:dist How far ?\nHUM:ind Who ?\n")
    assert [row[2] for row in read(path)] == ["NUM:dist", "HUM:ind"]
    assert [row[2] for row in read(path, labels={"NUM": "number", "HUM:ind": "person"})] == [
        "number",
        "person",
    ]
    path = save(tmp_path / "subj.all", "0 caf\xe9\x85\n".encode("latin-1"))
    assert read(path, encoding="cp1252") == [("café…", "", "0")]
    with pytest.raises(FileError, match="not UTF-8 text"):
        read_labelled(path)


@pytest.mark.parametrize(
    ("value", "labels", "name"),
    [
        (1, ("a", "b"), "b"),
        (1.0, ("a", "b"), "b"),
        ("1", ("a", "b"), "b"),
        (True, ("a", "b"), "b"),
        (True, None, "true"),
        (1.0, None, "1"),
        ("b", ("a", "b"), "b"),
        (2, {1: "a", 2: "b"}, "b"),
        ("x:y", {"x": "b"}, "b"),
        ("0", {"0": "b"}, "b"),
    ],
)
def test_names_of_labels(tmp_path, value, labels, name):
    path = save(tmp_path / "a.jsonl", lines({"text": "t", "label": value}))
    assert read(path, labels=labels) == [("t", "", name)]


@pytest.mark.parametrize(
    ("row", "labels", "problem"),
    [
        ({"text": "t", "label": 2}, ("a", "b"), "label: is 2, expected one of 0 (a), 1 (b)"),
        ({"text": "t", "label": "c"}, ("a", "b"), "label: is 'c', expected one of 0 (a), 1 (b)"),
        ({"text": "t", "label": -1}, ("a", "b"), "label: is -1, expected one of"),
        ({"text": "t", "label": -1}, None, "label: is -1, which says that the row has no label"),
        ({"text": "t", "label": None}, None, "label: is None, expected a label: a text or an integer"),
        ({"text": "t", "label": 0.5}, None, "label: is 0.5, expected a label"),
        ({"text": "t", "label": ["a"]}, None, "label: is ['a'], expected a label"),
        ({"text": "t", "label": " "}, None, "label: is ' ', expected a label"),
        ({"text": " ", "label": "a"}, None, "text is ' ', expected a text that is not blank"),
        ({"text": None, "label": "a"}, None, "text is None, expected a text"),
        ({"text": "\ud800", "label": "a"}, None, "text is '\\ud800', expected text of whole characters"),
        ({"text": 3, "label": "a"}, None, "text is 3, expected a text"),
        ({"text": "t"}, None, "label: the columns are 'text': name that of the label"),
        ({"words": "t", "label": "a"}, None, "text: the columns are 'words', 'label': name that of"),
        ({"text": "t", "label": "a", "class": "b"}, None, "label: 'label', 'class' may each be it: name"),
        ({"text": "t", "review": "r", "label": "a"}, None, "text: 'text', 'review' may each be it: name"),
        ({"premise": "t", "hypothesis": "", "label": "a"}, None, "hypothesis is '', expected a text"),
        ("text", None, "expected an object with text and label, not 'text'"),
        ([1], None, "expected an object with text and label, not [1]"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, row, labels, problem):
    path = save(tmp_path / "a.jsonl", lines({"text": "t", "label": "0"}, row))
    with pytest.raises(FileError) as error:
        read_labelled(path, labels=labels)
    assert f"a.jsonl:2: {problem}" in str(error.value)


def test_columns_that_are_not_there(tmp_path):
    path = save(tmp_path / "a.csv", "text,label\nx,y\n")
    for given in ({"text": "body"}, {"label": "body"}, {"text": "text", "text_pair": "body"}):
        with pytest.raises(FileError, match=r"a\.csv:2: body: there is no such column among 'text', 'label'"):
            read_labelled(path, **given)
    with pytest.raises(InputError, match="text_pair is 'body', expected text as well"):
        read_labelled(path, text_pair="body")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.txt", "0 yes\nThe cat sat.\n", 'a.txt:2: expected a line "LABEL TEXT"'),
        ("a.txt", "0\n", 'a.txt:1: expected a line "LABEL TEXT"'),
        ("a.txt", "", "holds no rows"),
        ("a.csv", "", "holds no rows"),
        ("a.csv", "text,label\n", "holds no rows"),
        ("a.csv", "text,label\nx\n", "1 cells, the header has 2"),
        ("a.parquet", "PAR", "is no Parquet file"),
        ("a.jsonl", '{"text": "x", "label": NULL}\n', "a.jsonl:1"),
        ("a.zip", b"PK\x03\x04", "is a ZIP archive"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, text, problem):
    path = save(tmp_path / name, text)
    with pytest.raises(FileError) as error:
        read_labelled(path)
    assert problem in str(error.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_labelled(tmp_path / "a.csv")
    with pytest.raises(FileError, match="a folder without a file"):
        read_labelled(tmp_path)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
@pytest.mark.parametrize(
    ("name", "given", "count", "labels"),
    [
        ("sst2/stsa.binary.dev", {"labels": ("negative", "positive")}, 872, {"negative", "positive"}),
        ("sst2/stsa.binary.test", {}, 1821, {"0", "1"}),
        ("rte/train.head600.jsonl", {}, 600, {"entailment", "not_entailment"}),
        ("rte/val.jsonl", {}, 277, {"entailment", "not_entailment"}),
        ("cb/train.jsonl", {}, 250, {"entailment", "contradiction", "neutral"}),
        ("cb/val.jsonl", {}, 56, {"entailment", "contradiction", "neutral"}),
        (
            "trec/test.txt",
            {"labels": dict.fromkeys(["NUM", "LOC", "HUM", "DESC", "ENTY", "ABBR"], "x")},
            500,
            {"x"},
        ),
        ("agnews/test.head800.csv", {}, 799, {"1", "2", "3", "4"}),
        ("subj/subj.sample1500.all", {"encoding": "cp1252"}, 1500, {"0", "1"}),
    ],
)
def test_the_published_files(name, given, count, labels):
    rows = read_labelled(PUBLISHED / name, **given)
    assert len(rows) == count
    assert {row.label for row in rows} == labels
