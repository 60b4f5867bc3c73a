"""Anybody's data: the shapes that are recognised, what is refused, and round trips without loss."""

import gzip
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biddable.errors import EndpointError, FileError, InputError, MissingDependency
from biddable.runs.tables import write_parquet
from biddable.tasks import data
from biddable.types import Check, Conversation, Message, Preference, Task, user

USER, ASSISTANT, SYSTEM = Message("user", "Hi."), Message("assistant", "Ho."), Message("system", "Sing.")
PAIR = Conversation((USER, ASSISTANT), (False, True))
OPENED = Conversation((SYSTEM, USER, ASSISTANT), (False, False, True))
LONG = Conversation((USER, ASSISTANT, USER, ASSISTANT), (False, True, False, True))
SECOND = Conversation(LONG.chat, (False, False, False, True))
U, A, S = ({"role": turn.role, "content": turn.content} for turn in (USER, ASSISTANT, SYSTEM))
H, G = {"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Ho."}
BETTER = Preference((USER,), "Ho.", "No.")
NO = {"role": "assistant", "content": "No."}


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "rows.jsonl"


@pytest.mark.parametrize(
    ("row", "conversation"),
    [
        ({"messages": [U, A]}, PAIR),
        ({"messages": [S, U, A]}, OPENED),
        ({"messages": [U, A], "system": "Sing."}, OPENED),
        ({"messages": [U, A], "prompt": "another column's"}, PAIR),
        ({"messages": json.dumps([U, A])}, PAIR),
        ({"messages": [U, {**A, "weight": 0}, U, {**A, "weight": 1}]}, SECOND),
        ({"messages": [{**U, "loss_weight": 0.0}, {**A, "loss_weight": 0.0}, U, A]}, SECOND),
        ({"conversations": [H, G]}, PAIR),
        ({"messages": [U, {**A, "train": False}, U, {**A, "train": True}]}, SECOND),
        ({"conversations": [{**H, "loss": None}, {**G, "loss": False}, H, {**G, "loss": True}]}, SECOND),
        ({"instruction": "Hi.", "input": "", "output": "Ho."}, PAIR),
        ({"instruction": "Hi.", "output": "Ho.", "system": "Sing."}, OPENED),
        ({"instruction": "Hi.", "output": "Ho.", "history": [["Hi.", "Ho."]]}, LONG),
        ({"prompt": "Hi.", "completion": "Ho."}, PAIR),
        ({"prompt": [U], "completion": [A]}, PAIR),
        ({"prompt": "Hi.", "response": "Ho."}, PAIR),
        ({"input": "Hi.", "output": ["Ho."]}, PAIR),
        ({"question": "Hi.", "answer": "Ho."}, PAIR),
    ],
    ids=str,
)
def test_conversations(file, row, conversation):
    assert data.read_conversations(lines(file, row, row)) == [conversation, conversation]


HH = "\n\nHuman: Hi.\n\nAssistant: {}"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi.", "chosen": "Ho.", "rejected": "No."},
        {"prompt": [U], "chosen": [A], "rejected": [NO]},
        {"prompt": "Hi.", "chosen": [U, A], "rejected": [U, NO]},
        {"chosen": [U, A], "rejected": [U, NO]},
        {"chosen_messages": [U, A], "rejected_messages": [U, NO]},
        {"prompt": "Hi.", "messages": [U, A], "chosen": [U, A], "rejected": [U, NO]},
        {"conversations": [H], "chosen": G, "rejected": {"from": "gpt", "value": "No."}},
        {"instruction": "Hi.", "input": "", "chosen": "Ho.", "rejected": "No."},
        {"question": "Hi.", "system": "", "chosen": "Ho.", "rejected": "No."},
        {"chosen": HH.format("Ho."), "rejected": HH.format("No.")},
        {"prompt": HH.format(""), "chosen": " Ho.".strip(), "rejected": "No."},
    ],
    ids=str,
)
def test_preferences(file, row):
    assert data.read_preferences(lines(file, row)) == [BETTER]


@pytest.mark.parametrize(
    ("row", "references"),
    [
        ({"input": "Hi.", "references": ["Ho.", "He."]}, ("Ho.", "He.")),
        ({"question": "Hi.", "answer": 4}, ("4",)),
        ({"article": "Hi.", "reference": "Ho."}, ("Ho.",)),
        ({"instruction": "Hi.", "output": "Ho."}, ("Ho.",)),
        ({"prompt": [U], "target": "Ho."}, ("Ho.",)),
    ],
    ids=str,
)
def test_examples(file, row, references):
    assert data.read_examples(lines(file, row)) == [Task("line-1", (USER,), (), references)]


def test_tables_and_lists_are_read_alike(tmp_path):
    rows = [
        {"input": "a, \u201cb\u201d\n\u2028c", "references": '["1", "2"]'},
        {"input": "007", "references": "x"},
    ]
    csv = 'input,references\n"a, \u201cb\u201d\n\u2028c","[""1"", ""2""]"\n\n007,x\n'
    files = {
        "a.csv": csv.encode(),
        "b.csv": csv.encode("utf-8-sig").replace(b"\n\n007", b"\r\n007"),
        "c.tsv.gz": gzip.compress(
            csv.replace(",r", "\tr").replace('","', '"\t"').replace("7,", "7\t").encode("utf-16")
        ),
        "d.json": json.dumps(rows).encode(),
        "e.json": json.dumps({"canary": "x", "examples": rows}).encode(),
        "f.json": json.dumps({"0": rows[0], "1": rows[1]}).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "g.parquet")
    for name in [*files, "g.parquet"]:
        tasks = data.read_examples(tmp_path / name)
        assert [(task.prompt[0].content, task.references) for task in tasks] == [
            (rows[0]["input"], ("1", "2")),
            ("007", ("x",)),
        ], name


def test_quotation_marks_in_the_other_kind_of_tsv(tmp_path):
    (tmp_path / "a.tsv").write_text('question\tanswer\n"Hi" he said\tHo\n')
    assert data.read_examples(tmp_path / "a.tsv")[0].prompt == user('"Hi" he said')


def test_instances_of_one_instruction(file):
    row = {
        "Definition": ["Add."],
        "Instances": [{"input": "1 2", "output": ["3"]}, {"input": "2", "output": ["2"]}],
    }
    tasks = data.read_examples(lines(file, row))
    assert [task.prompt for task in tasks] == [user("Add.\n1 2"), user("Add.\n2")]
    assert tasks[1].id == "line-1-Instances-2"
    row = {"task_prefix": "Sort.\n", "examples": [{"input": "b a", "target": "a b"}]}
    assert data.read_examples(lines(file, row))[0].prompt == user("Sort.\nb a")
    row = {"instruction": "Sort.", "instances": [{"input": "b a", "output": "a b"}]}
    assert data.read_examples(lines(file, row))[0].prompt == user("Sort.\nb a")


def test_a_row_that_is_one_itself_is_not_taken_for_a_list_of_rows(file):
    row = {"prompt": "Hi.", "examples": [{"input": "x", "output": "y"}]}
    assert data.read_prompts(lines(file, row)) == [(USER,)]
    assert data.read_conversations(lines(file, {"messages": [U, A], "data": [{"a": 1}]})) == [PAIR]
    with pytest.raises(FileError, match="has the columns 'data', 'rows'"):
        data.read_prompts(lines(file, {"data": [{"prompt": "x"}], "rows": [{"prompt": "y"}]}))


def test_tasks_with_and_without_checks(file):
    rows = [
        {"key": 7, "prompt": "Hi.", "instruction_id_list": ["a:b"], "kwargs": [{"n": 1, "m": None}]},
        {"key": "x", "messages": [U, A]},
        {"prompt": "Hi."},
        "Hi.",
    ]
    found = data.read_tasks(lines(file, *rows[:3]))
    assert found == [
        Task("7", (USER,), (Check("a:b", {"n": 1}),)),
        Task("x", (USER,)),
        Task("line-3", (USER,)),
    ]
    assert data.read_prompts(lines(file, *rows, {"text": "Once"})) == [(USER,)] * 4 + ["Once"]


def test_a_folder_is_its_data_files_in_order(tmp_path):
    lines(tmp_path / "b.jsonl", {"prompt": "b"})
    lines(tmp_path / "a.json", {"prompt": "a"})
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".cache").mkdir()
    lines(tmp_path / ".cache" / "c.jsonl", {"prompt": "c"})
    assert data.read_prompts(tmp_path) == [user("a"), user("b")]
    assert [task.id for task in data.read_tasks(tmp_path)] == ["line-1", "line-1 (b.jsonl:1)"]
    lines(tmp_path / "c.json", {"other": 1})
    with pytest.raises(FileError, match=r"c\.json:1: has the columns 'other', expected prompt"):
        data.read_prompts(tmp_path)


def test_a_run_is_what_it_left_of_the_kind(tmp_path):
    for name in ("config.json", ".lock"):
        (tmp_path / name).write_text("{}")
    folder = tmp_path / "artifacts" / "data"
    folder.mkdir(parents=True)
    task = Task("t", (USER,), (Check("a:b", {"n": [1]}),), ("Ho.",), {"level": 2})
    write_parquet(folder / "pairs.parquet", [Preference((USER,), "Ho.", "No.", {"task": "t"})], Preference)
    write_parquet(folder / "tasks.parquet", [task], Task)
    write_parquet(folder / "chats.parquet", [SECOND], Conversation)
    assert data.read_preferences(tmp_path) == [Preference((USER,), "Ho.", "No.", {"task": "t"})]
    assert data.read_conversations(tmp_path) == [SECOND]
    assert data.read_tasks(folder / "tasks.parquet") == [task]
    (folder / "pairs.parquet").unlink()
    with pytest.raises(FileError, match="expected chosen and rejected"):
        data.read_preferences(tmp_path)


@pytest.mark.parametrize(
    ("read", "row", "problem"),
    [
        ("conversations", {"a": 1, "b": None}, "has the columns 'a', expected messages or conversations"),
        ("conversations", ["Hi."], "a row is ['Hi.'], expected messages"),
        ("conversations", {"messages": [U]}, "messages is ['user'], expected a turn of the assistant's"),
        ("conversations", {"messages": [U, A], "label": False}, "label is False, expected none"),
        ("conversations", {"prompt": "q", "completion": "a", "label": "True"}, "label is 'True', expected"),
        ("conversations", {"messages": [U, {**A, "loss": "no"}]}, "turn [1].loss is 'no', expected true"),
        ("conversations", {"messages": [U, {**A, "weight": 0.5}]}, "turn [1].weight is 0.5, expected"),
        ("conversations", {"messages": [{**U, "loss": True}, A]}, "turn [0].loss is True, expected false"),
        ("conversations", {"messages": [U, {**A, "tool_calls": [1]}]}, "messages[1].tool_calls is [1]"),
        ("conversations", {"instruction": "Hi.", "output": ""}, "output is '', expected a text"),
        ("conversations", {"instruction": "Hi.", "output": ["a", "b"]}, "output is ['a', 'b'], expected one"),
        ("conversations", {"question": "Hi.", "answer": "a", "context": "c"}, "context is 'c', expected"),
        ("conversations", {"question": "Hi.", "A": "x", "answer": "A"}, "A is 'x', expected nothing beside"),
        ("preferences", {"prompt": "Hi.", "chosen": "Ho."}, "has the columns 'prompt', 'chosen', expected"),
        ("preferences", {"prompt": "Hi.", "chosen": "Ho.", "rejected": ""}, "rejected is '', expected a"),
        ("preferences", {"chosen": "Ho.", "rejected": "No."}, "chosen is 'Ho.', expected a prompt beside it"),
        ("preferences", {"chosen": [A], "rejected": [NO]}, "], expected at least one turn before"),
        ("preferences", {"chosen": [U, A], "rejected": [S, U, NO, U, A]}, "expected the turns of the prompt"),
        ("preferences", {"prompt": "Hi.", "chosen": [U], "rejected": [A]}, "chosen is 'user', expected a"),
        ("preferences", {"prompt": "Hi.", "chosen": 4, "rejected": "No."}, "chosen is 4, expected a text"),
        ("examples", {"input": "Hi.", "references": []}, "references is [], expected at least one text"),
        ("examples", {"input": "Hi.", "references": ["a", 1.5]}, "references[1] is 1.5, expected a text"),
        ("examples", {"input": "Hi.", "output": "a", "target": "b"}, "target is 'b', expected nothing: the"),
        ("examples", {"input": "Hi.", "question": "b", "target": "b"}, "question is 'b', expected nothing"),
        ("tasks", {"key": [1], "prompt": "Hi."}, "key is [1], expected an integer or a text"),
        ("tasks", {"key": 1, "prompt": "a"}, "key: '1' is that of"),
        ("tasks", {"prompt": "a", "instruction_id_list": ["x"]}, "kwargs: field required"),
        ("tasks", {"text": "Once"}, "has the columns 'text', expected prompt with"),
        ("tasks", {"prompt": "a", "checks": [{"args": 1}]}, "checks[0] is {'args': 1}, expected"),
        ("prompts", {"text": ""}, "text is '', expected a text that is not blank"),
    ],
    ids=str,
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named(file, read, row, problem):
    fine = {
        "conversations": {"messages": [U, A]},
        "preferences": {"prompt": "Hi.", "chosen": "Ho.", "rejected": "No."},
        "examples": {"input": "Hi.", "output": "Ho."},
    }.get(read, {"key": 1, "prompt": "Hi."})
    with pytest.raises(FileError) as caught:
        getattr(data, f"read_{read}")(lines(file, fine, row))
    assert str(caught.value).startswith(f"{file}:2: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"prompt,prompt\n1,2\n", ":1: two columns have the name 'prompt'"),
        ("a.csv", b'prompt,b\n"x\ny",1\n1,2,3\n', ":4: 3 cells, the header has 2"),
        ("a.csv", b'prompt,b\n1,"2\n', ":2: not CSV: unexpected end of data"),
        ("a.csv", b"prompt\ncaf\xe9\n", ":2: not UTF-8 text (`iconv -f cp1252"),
        ("a.csv", b"prompt\n", ": holds no rows"),
        ("a.csv", b"", ": holds no rows"),
        ("a.tsv", b"prompt\tb\n1\n", ":2: 1 cells, the header has 2"),
        ("a.parquet", b'{"prompt": "x"}', ": is no Parquet file"),
        ("a.parquet", b"PAR1nonsense", ": cannot be read as Parquet"),
        ("a.json", b'{"prompt": "x", "prompt": "y"}', "has the field 'prompt' twice"),
        ("a.json", b"[]", ": holds no rows"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError) as caught:
        data.read_prompts(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert problem in str(caught.value)


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        data.read_prompts(tmp_path / "a.jsonl")
    with pytest.raises(FileError, match="a folder without a file whose name ends in"):
        data.read_prompts(tmp_path)
    with pytest.raises(FileError, match="'': no such file"):
        data.read_prompts("")
    for name in ("hf:", "hf:a/b/c/d", "hf:a b", "hf:a/b:"):
        with pytest.raises(FileError, match=r"expected hf:OWNER/NAME\[/CONFIG\]\[:SPLIT\]"):
            data.read_prompts(name)


class FakeHub:
    """Stands for the package ``datasets``."""

    class exceptions:  # noqa: N801
        DatasetNotFoundError = FileNotFoundError

    def __init__(self, rows=None, error=None):
        self.rows, self.error, self.asked = rows, error, None

    def load_dataset(self, path, name, split):
        self.asked = path, name, split
        if self.error:
            raise self.error
        return self

    def to_list(self):
        return self.rows


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("hf:o/n", ("o/n", None, "train")),
        ("hf:o/n/main:test", ("o/n", "main", "test")),
        ("hf:n:train[:10%]", ("n", None, "train[:10%]")),
    ],
)
def test_a_data_set_of_the_hub(monkeypatch, source, asked):
    hub = FakeHub([{"question": "Hi.", "answer": "Ho."}])
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert data.read_examples(source) == [Task("row-1", (USER,), (), ("Ho.",))]
    assert hub.asked == asked
    before = data.digest(source)
    hub.rows = [{"question": "Hi.", "answer": "He."}]
    assert data.digest(source) != before


def test_errors_of_the_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependency, match="datasets is not installed; install it with: pip install"):
        data.read_prompts("hf:o/n")
    for error, kind, problem in (
        (FileNotFoundError("gone"), FileError, "hf:o/n: the hub has no such data set"),
        (ValueError("Unknown split"), FileError, "hf:o/n: cannot be read: Unknown split"),
        (ConnectionError("offline"), EndpointError, "hf:o/n: the hub cannot be reached: offline"),
    ):
        monkeypatch.setitem(sys.modules, "datasets", FakeHub(error=error))
        with pytest.raises(kind, match=problem):
            data.read_prompts("hf:o/n")


def test_the_digest_is_of_the_content(tmp_path, file):
    other = tmp_path / "else" / "copy.jsonl"
    other.parent.mkdir()
    assert data.digest(lines(file, U)) == data.digest(lines(other, U))
    assert data.digest(file) != data.digest(lines(other, A))


# Round trips.

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc"), inner, max_size=2),
    max_leaves=4,
)
metas = st.dictionaries(st.text("abc", min_size=1), json_values, max_size=2)
openings = st.lists(st.builds(Message, st.just("system"), texts), max_size=1)
prompts = st.builds(
    lambda opening, pairs, last: (
        *opening,
        *(turn for a, b in pairs for turn in (Message("user", a), Message("assistant", b))),
        Message("user", last),
    ),
    openings,
    st.lists(st.tuples(texts, texts), max_size=2),
    texts,
)
marks = st.lists(st.booleans(), min_size=9, max_size=9)
conversations = st.builds(
    lambda prompt, answer, marks: Conversation(
        chat := (*prompt, Message("assistant", answer)),
        tuple(turn.role == "assistant" and mark for turn, mark in zip(chat, marks, strict=False)),
    ),
    prompts,
    texts,
    marks,
)
checks = st.builds(Check, st.text("ab:", min_size=1), metas)
references = st.lists(texts, min_size=1, max_size=3).map(tuple)
tasks = st.builds(
    Task, st.text("abc", min_size=1), prompts, st.lists(checks, max_size=2).map(tuple), references, metas
)
kinds = pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])


def back_again(tmp_path_factory, suffix, kind, nouns, **options):
    path = tmp_path_factory.mktemp("trip") / f"data{suffix}"
    getattr(data, f"write_{kind}")(path, nouns, **options)
    return getattr(data, f"read_{kind}")(path)


@kinds
@pytest.mark.parametrize("form", ["messages", "sharegpt"])
@settings(max_examples=25, deadline=None)
@given(nouns=st.lists(conversations, min_size=1, max_size=3))
def test_conversations_come_back(tmp_path_factory, suffix, form, nouns):
    assert back_again(tmp_path_factory, suffix, "conversations", nouns, form=form) == nouns


@kinds
@settings(max_examples=25, deadline=None)
@given(nouns=st.lists(conversations, min_size=1, max_size=3))
def test_alpaca_holds_what_is_all_learned(tmp_path_factory, suffix, nouns):
    nouns = [Conversation(n.chat, tuple(turn.role == "assistant" for turn in n.chat)) for n in nouns]
    assert back_again(tmp_path_factory, suffix, "conversations", nouns, form="alpaca") == nouns


@kinds
@settings(max_examples=25, deadline=None)
@given(nouns=st.lists(st.builds(Preference, prompts, texts, texts, metas), min_size=1, max_size=3))
def test_preferences_come_back(tmp_path_factory, suffix, nouns):
    assert back_again(tmp_path_factory, suffix, "preferences", nouns) == nouns


@kinds
@settings(max_examples=25, deadline=None)
@given(nouns=st.lists(tasks, min_size=1, max_size=3, unique_by=lambda task: task.id))
def test_tasks_come_back_but_for_arguments_that_are_none(tmp_path_factory, suffix, nouns):
    given_only = [
        Task(
            task.id,
            task.prompt,
            tuple(Check(c.id, {k: v for k, v in c.args.items() if v is not None}) for c in task.checks),
            task.references,
            task.meta,
        )
        for task in nouns
    ]
    assert back_again(tmp_path_factory, suffix, "tasks", nouns) == given_only


@kinds
@settings(max_examples=25, deadline=None)
@given(nouns=st.lists(tasks, min_size=1, max_size=3, unique_by=lambda task: task.id))
def test_examples_come_back(tmp_path_factory, suffix, nouns):
    nouns = [Task(task.id, task.prompt, (), task.references, task.meta) for task in nouns]
    assert back_again(tmp_path_factory, suffix, "examples", nouns) == nouns


@kinds
@settings(max_examples=25, deadline=None)
@given(nouns=st.lists(prompts | texts, min_size=1, max_size=3))
def test_prompts_come_back(tmp_path_factory, suffix, nouns):
    assert back_again(tmp_path_factory, suffix, "prompts", nouns) == nouns


@pytest.mark.parametrize(
    ("write", "noun", "options", "problem"),
    [
        ("conversations", SECOND, {"form": "alpaca"}, "conversations[1] is Conversation"),
        ("conversations", Conversation((USER,), (False,)), {}, "conversations[1]: messages is ['user']"),
        ("conversations", Conversation((ASSISTANT,), (True,)), {"form": "alpaca"}, "conversations[1] is"),
        ("conversations", PAIR, {"form": "csv"}, "form is 'csv', expected one of messages, sharegpt, alpaca"),
        ("preferences", Preference((USER,), "", "No."), {}, "preferences[1]: chosen[0].content is ''"),
        ("preferences", Preference((USER,), "a", "b", {"v": float("nan")}), {}, "preferences[1] is"),
        ("preferences", Preference((USER,), "a", "b", {"v": "\ud83d"}), {}, "preferences[1] is"),
        ("examples", Task("a", (USER,)), {}, "examples[1] is Task"),
        ("tasks", Task("7.0", (USER,)), {}, "tasks[1] is Task"),
        ("prompts", " ", {}, "prompts[1]: text is ' '"),
    ],
    ids=str,
)
def test_what_would_not_come_back_is_not_written(tmp_path, write, noun, options, problem):
    fine = {
        "conversations": PAIR,
        "preferences": BETTER,
        "examples": Task("x", (USER,), (), ("a",)),
        "tasks": Task("x", (USER,)),
        "prompts": (USER,),
    }[write]
    with pytest.raises(InputError) as caught:
        getattr(data, f"write_{write}")(tmp_path / "data.jsonl", [fine, noun], **options)
    assert problem in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_only_names_that_say_the_form_are_written(tmp_path):
    with pytest.raises(InputError, match=r"expected a name that ends in \.jsonl, \.json or \.parquet"):
        data.write_prompts(tmp_path / "data.csv", [(USER,)])


# Splitting.


@settings(max_examples=50, deadline=None)
@given(
    sources=st.lists(st.text("abcdef", max_size=2), min_size=2, max_size=40).filter(
        lambda s: len(set(s)) > 1
    ),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_no_source_is_on_both_sides(sources, share, seed):
    rows = list(enumerate(sources))
    train, held_out = data.split(rows, sources, share, seed)
    assert sorted(train + held_out) == rows
    assert train == sorted(train)
    assert train
    assert held_out
    assert not {source for _, source in train} & {source for _, source in held_out}
    backwards, _ = data.split(rows[::-1], sources[::-1], share, seed)
    assert sorted(backwards) == train


def test_the_share_is_of_rows_and_the_seed_matters():
    rows = list(range(100))
    sides = [data.split(rows, rows, 0.2, seed) for seed in (0, 1)]
    assert [len(held_out) for _, held_out in sides] == [20, 20]
    assert sides[0] != sides[1]
    assert data.split(rows, rows, 0.2, 0) == sides[0]


@pytest.mark.parametrize(
    ("rows", "sources", "share", "problem"),
    [
        ([1, 2], ["a", "b"], 1.0, "share is 1.0, expected a number between 0 and 1"),
        ([1, 2], ["a"], 0.5, "sources is '1 of them', expected one for each of the 2 rows"),
        ([1, 2], ["a", "a"], 0.5, "sources is '1 different', expected at least two"),
    ],
)
def test_what_cannot_be_split(rows, sources, share, problem):
    with pytest.raises(InputError, match=problem):
        data.split(rows, sources, share, 0)


SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published files are not there")
@pytest.mark.parametrize(
    ("read", "name", "count", "learned"),
    [
        ("conversations", "agenttraj/babyai/val.parquet", 20, 116),
        ("conversations", "llamafactory/v1_sft_demo.jsonl", 150, 150),
        ("conversations", "llamafactory/alpaca_en_demo.json", 500, 500),
        ("conversations", "mt_bench/dummy_conversation.json", 100, 200),
        ("preferences", "llamafactory/dpo_en_demo.json", 150, 0),
        ("preferences", "llamafactory/v1_dpo_demo.jsonl", 10, 0),
        ("examples", "gsm8k/test.jsonl", 1319, 0),
        ("examples", "nq_open/NQ-open.dev.jsonl", 3610, 0),
        ("examples", "superni/task828", 428, 0),
        ("tasks", "ifeval/input_data.jsonl", 541, 0),
        ("prompts", "oasst/prompt_lottery_en_250_text.jsonl", 250, 0),
    ],
)
def test_published_files(read, name, count, learned):
    nouns = getattr(data, f"read_{read}")(SHARED / name)
    assert len(nouns) == count
    assert sum(sum(noun.trained) for noun in nouns if isinstance(noun, Conversation)) == learned


@pytest.mark.parametrize("name", ["thinking", "reasoning", "reasoning_content"])
def test_thoughts_beside_a_turn_to_learn_are_not_left_out_silently(tmp_path: Path, name: str) -> None:
    turns = [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "4", name: "Two and two make four."},
    ]
    file = tmp_path / "d.jsonl"
    file.write_text(json.dumps({"messages": turns}) + "\n")
    with pytest.raises(FileError, match=rf"turn \[1\]\.{name} is 'Two and two make four.', expected none"):
        data.read_conversations(file)
    for harmless in ({"weight": 0}, {name: None}, {name: ""}):
        file.write_text(json.dumps({"messages": [turns[0], {**turns[1], **harmless}]}) + "\n")
        assert data.read_conversations(file)[0].chat[1].content == "4"


def test_every_row_is_told_by_its_place(tmp_path):
    path = lines(
        tmp_path / "rows.jsonl", {"messages": [U, A]}, {"messages": [U, {**A, "content": ""}]}, {"x": 1}
    )
    path.write_text(path.read_text() + "{")
    rows = data.read_rows(path, "conversations")
    assert list(rows) == [f"{path}:{line}" for line in (1, 2, 3, 4)]
    assert rows[f"{path}:1"] == PAIR
    assert [row.reason for row in list(rows.values())[1:]] == [
        "messages[].content: expected a text that is not blank",
        "not of the shape of conversations",
        "not a row of its file",
    ]
    assert rows[f"{path}:2"].value["messages"][0] == U
    assert "messages[1].content is ''" in str(rows[f"{path}:2"].error)


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        ({"messages": [U, A]}, ["conversations"]),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, ["preferences"]),
        ({"conversations": [H], "chosen": G, "rejected": G}, ["preferences"]),
        (
            {"instruction": "q", "output": "a", "chosen": "a", "rejected": "b"},
            ["conversations", "preferences"],
        ),
        ({"messages": [U, {**A, "content": ""}]}, ["conversations"]),
        ({"text": "x"}, []),
    ],
)
def test_what_rows_can_be_read_as(file, row, kinds):
    assert data.kinds_of(lines(file, row)) == kinds


def test_of_a_completion_nothing_before_it_is_learned(file):
    lines(file, {"prompt": [U, A, U], "completion": [A]})
    assert data.read_conversations(file) == [SECOND]


def test_columns_stand_beside_a_conversation(tmp_path):
    path = tmp_path / "rows.jsonl"
    data.write_conversations(path, [PAIR], beside=[{"id": "a:1", "source": "a"}])
    assert json.loads(path.read_text()) == {"messages": [U, A], "id": "a:1", "source": "a"}
    assert data.read_conversations(path) == [PAIR]
