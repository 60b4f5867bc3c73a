"""Suites of a user's own in TOML."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import BiddableError
from biddable.suites.base import Suite
from biddable.suites.load import load_suite
from biddable.types import Response

Make = Callable[..., Suite]

REVIEWS = [{"text": "Great.", "label": 1, "key": "a"}, {"text": "Awful.", "label": 0, "key": "b"}]
LABELLED = """
data = "data.jsonl"
template = "Review: {{ text }}\\nIt is"
labels = {0 = "bad", 1 = "good"}
columns = {answer = "label", id = "key"}
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A suite of a TOML text and rows."""

    def made(text: str, rows: Sequence[Any] = REVIEWS, **others: Sequence[Any]) -> Suite:
        for name, listed in {"data": rows, **others}.items():
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        return load_suite(tmp_path / "mine.toml")

    return made


def test_labels_are_what_a_model_chooses_among(make: Make) -> None:
    suite = make(LABELLED)
    assert (suite.name, suite.ask, suite.judge, suite.k) == ("mine", "choose", None, 0)
    assert [metric.name for metric in suite.metrics] == ["acc"]
    first, second = suite.tasks
    assert (first.id, first.prompt) == ("a", "Review: Great.\nIt is")
    assert (first.choices, first.references, second.references) == (("bad", "good"), ("good",), ("bad",))


def test_an_empty_cell_is_not_written_as_none(make: Make) -> None:
    text = 'data = "data.jsonl"\ntemplate = "{{ text }} TAIL"\ncolumns = {answer = "label"}\n'
    rows = [{"text": "a", "more": "b", "label": 1}, {"text": "c", "more": None, "label": 0}]
    with pytest.raises(BiddableError, match=r"data.jsonl:2: template: ValueError: an empty cell is written"):
        make(text.replace("TAIL", "{{ more }}"), rows)
    prompts = [task.prompt for task in make(text.replace("TAIL", "{{ more or '-' }}"), rows).tasks]
    assert prompts == ["a b", "c -"]


@pytest.mark.parametrize(
    ("keys", "columns", "answer"),
    [
        ("", 'choices = "options.text"', "two"),
        ('answer_is = "index"\n', 'choices = "options.text"', 1),
        ('answer_is = "number"\n', 'choices = ["first", "second"]', "2"),
        ('answer_is = "letter"\n', 'choices = ["first", "second"]', "(b)"),
        ('choices = ["one", "two"]\n', "", "two"),
        ('choices = ["one", "two"]\nlabels = {yes = "two", no = "one"}\n', "", "yes"),
        ('choices = ["one", "two"]\nlabels = {true = "two", false = "one"}\n', "", True),
    ],
)
def test_choices_and_answers_stand_where_others_have_them(
    make: Make, keys: str, columns: str, answer: Any
) -> None:
    options = [{"label": "A", "text": "one"}, {"label": "B", "text": "two"}]
    row = {"q": {"stem": "How many?"}, "options": options, "first": "one", "second": "two", "key": answer}
    text = f'data = "data.jsonl"\n{keys}[columns]\nprompt = "q.stem"\nanswer = "key"\n{columns}\n'
    [task] = make(text, [row]).tasks
    assert (task.prompt, task.choices, task.references) == ("How many?", ("one", "two"), ("two",))


def test_written_answers_are_compared_with_all_right_ones(make: Make) -> None:
    text = """
data = "data.jsonl"
name = "capitals"
metric = ["exact_match", "token_f1"]
ignore_case = true
max_tokens = 9
stop = "\\n"
[columns]
prompt = "q"
answer = "a"
group = "where"
source = "text"
"""
    rows = [{"q": "Capital?", "a": ["Bern", "Berne"], "where": "Europe", "text": 7.0}]
    suite = make(text, rows)
    assert (suite.name, suite.ask) == ("capitals", "generate")
    assert (suite.sampling.max_tokens, suite.sampling.temperature, suite.sampling.stop) == (9, 0.0, ("\n",))
    [task] = suite.tasks
    assert (task.references, task.meta) == (("Bern", "Berne"), {"group": "Europe", "source": "7"})
    assert suite.judge is not None
    verdicts = suite.judge([task] * 2, [Response("berne"), Response("berne, it is")])
    assert [verdict.score for verdict in verdicts] == [1.0, 0.5]
    assert [verdict.checks[1].passed for verdict in verdicts] == [True, False]  # the one that is headline


def test_texts_are_measured_by_their_likelihood(make: Make) -> None:
    text = 'data = "data.jsonl"\nask = "perplexity"\ncolumns = {prompt = "text"}\n'
    suite = make(text)
    assert [metric.name for metric in suite.metrics] == ["bits_per_byte"]
    assert [task.references for task in suite.tasks] == [(), ()]


def test_solved_examples_come_from_another_file_or_are_the_first_rows(make: Make) -> None:
    rows = [*REVIEWS, {"text": "Fine.", "label": 1, "key": "c"}]
    suite = make("shots = 2\n" + LABELLED, rows)
    assert [task.id for task in suite.tasks] == ["c"]
    shown = ("Review: Great.\nIt is good", "Review: Awful.\nIt is bad")
    assert suite.shots_of(suite.tasks[0]).examples == shown
    suite = make('shots = 1\ndescription = "Say it."\nshots_data = "more.jsonl"\n' + LABELLED, more=rows[2:])
    assert [task.id for task in suite.tasks] == ["a", "b"]
    assert suite.shots_of(suite.tasks[0]).examples == ("Review: Fine.\nIt is good",)
    assert suite.shots_of(suite.tasks[0]).description == "Say it."


def test_rows_have_their_numbers_as_ids(make: Make) -> None:
    numbered = LABELLED.replace(', id = "key"', "")
    assert [task.id for task in make(numbered).tasks] == ["1", "2"]
    assert [task.id for task in make("shots = 1\n" + numbered).tasks] == ["2"]


def test_columns_with_odd_names_are_reached_by_row(make: Make) -> None:
    text = LABELLED.replace("{{ text }}", "{{ row['the text'] }}")
    assert make(text, [{**REVIEWS[0], "the text": "Odd."}]).tasks[0].prompt == "Review: Odd.\nIt is"


def test_any_judge_may_judge(make: Make) -> None:
    text = 'data = "data.jsonl"\njudge = "reference:rouge_l?threshold=0.5"\n'
    text += 'columns = {prompt = "text", answer = "key"}'
    suite = make(text)
    assert [metric.name for metric in suite.metrics] == ["pass_rate", "score"]
    assert "rouge_l" in suite.version


def test_a_table_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label,key\nGreat.,1,a\n")
    (tmp_path / "mine.toml").write_text(LABELLED.replace(".jsonl", ".csv"))
    assert load_suite(str(tmp_path / "mine.toml")).tasks[0].references == ("good",)


CHOOSING = LABELLED.replace('labels = {0 = "bad", 1 = "good"}', "choices = ['bad', 'good']")
TEXTS = 'data = "data.jsonl"\nask = "perplexity"\ncolumns = {prompt = "text"}\n'
WRITTEN = 'data = "data.jsonl"\ncolumns = {prompt = "text", answer = "key"}\n'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("data = 'data.jsonl\n", ("mine.toml:1: not TOML: ",)),
        ('data = "a"\ndata = "b"\n', ("mine.toml:2: not TOML: Cannot overwrite a value",)),
        ("", ("mine.toml: data is None, expected a value",)),
        ('data = ""\ncolumns.prompt = "text"\n', ("mine.toml",)),
        ("metrc = 'acc'\n" + LABELLED, ("mine.toml: metrc is 'acc', expected one of the settings metric",)),
        (
            LABELLED.replace("answer =", "anwser ="),
            ("columns.anwser is 'label', expected", "columns.answer"),
        ),
        ("max_tokens = 0\n" + WRITTEN, ("mine.toml: max_tokens is 0, expected an integer of at least 1",)),
        ("metric = 'acc_nrm'\n" + LABELLED, ("metric is 'acc_nrm', expected acc_norm",)),
        ("metric = 'rouge'\n" + WRITTEN, ("metric is 'rouge', expected rouge_l",)),
        ("metric = 'acc'\n" + WRITTEN, ("metric is 'acc', expected", "ask = 'generate'")),
        ("metric = ['exact_match', 'exact_match']\n" + WRITTEN, ("each once",)),
        ("metric = ['token_f1', 'rouge_l']\n" + WRITTEN, ("only one of token_f1 and rouge_l",)),
        ("extract = '('\n" + WRITTEN, ("mine.toml: extract is '('", "a regular expression")),
        ("extract = 'a'\n" + LABELLED, ("extract is 'a', expected nothing of it where ask is 'choose'",)),
        ("judge = 'polite'\n" + WRITTEN, ("mine.toml: judge is 'polite'",)),
        ("judge = 'rules'\n" + WRITTEN, ("judge is 'rules'", "ifeval:FILE")),
        ("judge = 'reference:rouge_l'\nmetric = 'rouge_l'\n" + WRITTEN, ("none beside a judge",)),
        ("judge = 'reference:rouge_l'\n" + LABELLED, ("none where ask is 'choose'",)),
        ("stop = ''\n" + WRITTEN, ("mine.toml: stop",)),
        ('data = "gone.jsonl"\ncolumns.prompt="text"\ncolumns.answer="key"', ("gone.jsonl: no such file",)),
        ("shots = 2\n" + LABELLED, ("shots: 2 rows, expected more than 2",)),
        ("shots = 1\nshots_data = 'none.jsonl'\n" + LABELLED, ("none.jsonl: no such file",)),
        (LABELLED.replace("{{ text }}", "{{ txt }}"), ("data.jsonl:1", "template", "'txt', expected 'text'")),
        (LABELLED.replace("{{ text }}", "{{ text "), ("mine.toml: template, its line 2: ",)),
        (LABELLED.replace("{{ text }}", "{{ text.__class__.mro() }}"), ("data.jsonl:1: template: Security",)),
        (LABELLED.replace("{{ text }}", "{{ 1 / 0 }}"), ("data.jsonl:1: template: ZeroDivisionError",)),
        (LABELLED.replace("{{ text }}", "{% include 'x' %}"), ("data.jsonl:1: template: ",)),
        (LABELLED.replace("Review: {{ text }}\\nIt is", " "), ("data.jsonl:1: what is asked is empty",)),
        (
            LABELLED.replace('"label"', '"lable"'),
            ("data.jsonl:1: columns.answer", "'lable', expected 'label'"),
        ),
        (LABELLED.replace('"key"', '"id"'), ("data.jsonl:1: columns.id", "'id'")),
        (LABELLED.replace("1 = ", "2 = "), ("data.jsonl:1: label is '1', expected a label: 0, 2",)),
        (
            "labels = {}\n" + CHOOSING,
            ("labels is {}, expected at least one",),
        ),
        (
            CHOOSING,
            ("data.jsonl:1: label is '1', no choice of 'bad', 'good'", "answer_is"),
        ),
        (
            "answer_is = 'number'\n" + CHOOSING,
            ("data.jsonl:2: label is '0', expected the number of one of 2 choices",),
        ),
        (
            "answer_is = 'lettr'\n" + CHOOSING,
            ("answer_is is 'lettr'",),
        ),
        ("answer_is = 'index'\n" + LABELLED, ("answer_is is 'index', expected text",)),
        ("ask = 'choose'\n" + WRITTEN, ("choices is None, expected what to choose among",)),
        (WRITTEN.replace(', answer = "key"', ""), ("columns.answer is None",)),
        (WRITTEN.replace('prompt = "text", ', ""), ("template is None", "or columns.prompt")),
        ("template = 'x'\n" + WRITTEN, ("columns.prompt is 'text', expected no template beside it",)),
        ("judge = 'answer'\nextract = 'a'\n" + WRITTEN, ("mine.toml: extract is 'a', expected none beside",)),
        ("max_tokens = 7\n" + LABELLED, ("max_tokens is 7, expected nothing of it where ask is 'choose'",)),
        ("shots = 1\nshots_data = 'data.jsonl'\n" + LABELLED, ("shots_data is 'data.jsonl', expected ano",)),
        ("ask = 'perplexity'\n" + WRITTEN, ("columns.answer is 'key', expected nothing of it where ask",)),
        ("shots = 1\n" + TEXTS, ("shots is 1, expected nothing of it where ask is 'perplexity'",)),
        ("description = 'Read.'\n" + TEXTS, ("description is 'Read.', expected nothing of it",)),
        ("choices = ['a', 'b']\n" + TEXTS, ("mine.toml: choices is ",)),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_that_names_file_and_field(make: Make, text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(BiddableError) as caught:
        make(text)
    assert caught.value.exit_code == 2
    for part in parts:
        assert part in str(caught.value)
    assert "mine.toml" in str(caught.value) or ".jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([], ("data.jsonl: holds no rows",)),
        ([[1]], ("data.jsonl: row 1: expected an object",)),
        ([*REVIEWS, REVIEWS[0]], ("data.jsonl:3: the id 'a' is that of ", "data.jsonl:1 already")),
        ([{**REVIEWS[0], "label": None}], ("data.jsonl:1: label is None, expected a text or a number",)),
        ([{**REVIEWS[0], "label": []}], ("data.jsonl:1: label is [], expected a right answer",)),
        ([{**REVIEWS[0], "label": {"a": 1}}], ("data.jsonl:1: label is {'a': 1}",)),
        (
            [REVIEWS[0], {"text": "x", "key": "c"}],
            ("data.jsonl:2: columns.answer: there is no", "'label'"),
        ),
    ],
    ids=str,
)
def test_a_row_that_is_not_as_described_is_named(make: Make, rows: list[Any], parts: Sequence[str]) -> None:
    with pytest.raises(BiddableError) as caught:
        make(LABELLED, rows)
    for part in parts:
        assert part in str(caught.value)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"data = 'x'\nname = '\xff'\n")
    with pytest.raises(BiddableError, match=r"mine\.toml:2: not UTF-8 text"):
        load_suite(tmp_path / "mine.toml")
    with pytest.raises(BiddableError, match=r"gone\.toml: no such file"):
        load_suite(tmp_path / "gone.toml")
