"""Data sets for TRL, Axolotl and LLaMA-Factory: read back equal, and by TRL's own code."""

import json

import pytest

from biddable.errors import InputError
from biddable.tasks.data import read_conversations, read_preferences
from biddable.tasks.frameworks import FRAMEWORKS, write_for
from biddable.types import Conversation, Message, Preference, user
from tests.train.tiny import word_tokenizer


def chat(*texts, trained=None, system=""):
    roles = ["user", "assistant"]
    turns = tuple(Message(roles[i % 2], text) for i, text in enumerate(texts))
    opening = (Message("system", system),) if system else ()
    marks = [turn.role == "assistant" for turn in turns] if trained is None else trained
    return Conversation((*opening, *turns), (*(False,) * len(opening), *marks))


SINGLE = [chat("w1 w2", "w3"), chat("w4", "w5 w6", system="w9")]
WHOLE = [chat("w1", "w2", "w3", "w4"), chat("w5", "w6")]
LAST = [chat("w1", "w2", "w3", "w4", trained=[False, False, False, True]), chat("w5", "w6")]
MIXED = [
    chat("w1", "w2", "w3", "w4", "w5", "w6", trained=[False, True, False, False, False, True]),
    chat("w7", "w8"),
]
SPLIT = [
    chat("w1", "w2"),
    chat("w1", "w2", "w3", "w4", "w5", "w6", trained=[False] * 5 + [True]),
    chat("w7", "w8"),
]
PAIRS = [
    Preference(user("w1"), "w2", "w3", {"judge": "x"}),
    Preference(chat("w1", "w2", "w3", system="w9").chat, "w4 w5", "w6"),
]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("rows", "read"),
    [(SINGLE, SINGLE), (WHOLE, WHOLE), (LAST, LAST), (MIXED, SPLIT)],
    ids=["single", "whole", "last", "mixed"],
)
def test_conversations_are_read_back_with_what_is_learned(framework, rows, read, tmp_path):
    exported = write_for(framework, tmp_path / "out", rows, SINGLE)
    ending = "json" if framework == "llamafactory" else "jsonl"
    expected = rows if framework == "axolotl" else read
    assert read_conversations(tmp_path / "out" / f"train.{ending}") == expected
    assert read_conversations(tmp_path / "out" / f"test.{ending}") == SINGLE
    assert exported.rows == {f"train.{ending}": len(expected), f"test.{ending}": 2}
    assert ("became one row" in " ".join(exported.notes)) == (rows is MIXED and framework != "axolotl")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_preferences_are_read_back_without_their_meta(framework, tmp_path):
    write_for(framework, tmp_path / "out", PAIRS)
    [file] = (tmp_path / "out").glob("train.js*")
    expected = [Preference(pair.prompt, pair.chosen, pair.rejected) for pair in PAIRS]
    assert read_preferences(file) == expected


def trl_settings(folder):
    """What TRL's own command reads from the file of settings."""
    from trl import DPOConfig, ScriptArguments, SFTConfig, TrlParser

    [file] = folder.glob("*.yaml")
    kind = SFTConfig if file.stem == "sft" else DPOConfig
    # In its default, bf16, every later training of this process would compute.
    arguments = ["--config", str(file), "--output_dir", str(folder.parent / "run")]
    arguments += ["--use_cpu", "true", "--bf16", "false"]
    return TrlParser((ScriptArguments, kind)).parse_args_and_config(arguments)


@pytest.mark.parametrize(
    ("rows", "learned"),
    [
        (SINGLE, [["w3"], ["w5", "w6"]]),
        (WHOLE, [["w2", "w4"], ["w6"]]),
        (LAST, [["w4"], ["w6"]]),
        (MIXED, [["w2"], ["w6"], ["w8"]]),
    ],
    ids=["single", "whole", "last", "mixed"],
)
def test_trl_learns_the_same_turns(rows, learned, tmp_path):
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    from tests.train.tiny import llama

    write_for("trl", tmp_path / "out", rows, SINGLE)
    where, settings = trl_settings(tmp_path / "out")
    data = datasets.load_dataset(where.dataset_name, cache_dir=str(tmp_path / "cache"))
    assert set(data) == {"train", "test"}
    assert all(map(trl.data_utils.is_conversational, data["train"]))
    tokenizer = word_tokenizer()
    settings.eval_strategy = "no"
    trainer = trl.SFTTrainer(llama(), settings, train_dataset=data["train"], processing_class=tokenizer)
    rows_learned = []
    for row in trainer.train_dataset:
        batch = trainer.data_collator([row])
        labels = [int(label) for label in batch["labels"][0] if label >= 0]
        words = tokenizer.convert_ids_to_tokens(labels)
        rows_learned.append([word for word in words if word.startswith("w")])
    assert rows_learned == learned


def test_trl_takes_the_preferences(tmp_path):
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    from tests.train.tiny import llama

    write_for("trl", tmp_path / "out", PAIRS)
    where, settings = trl_settings(tmp_path / "out")
    data = datasets.load_dataset(where.dataset_name, cache_dir=str(tmp_path / "cache"))["train"]
    assert all(map(trl.data_utils.is_conversational, data))
    trainer = trl.DPOTrainer(
        llama(), ref_model=llama(), args=settings, train_dataset=data, processing_class=word_tokenizer()
    )
    assert len(trainer.train_dataset) == len(PAIRS)
    assert trainer.data_collator([trainer.train_dataset[0]])["input_ids"].shape[0] == 2


def test_axolotls_lines_are_its_settings(tmp_path):
    yaml = pytest.importorskip("yaml")
    write_for("axolotl", tmp_path / "out", MIXED, SINGLE)
    held = yaml.safe_load((tmp_path / "out" / "datasets.yaml").read_text())
    [entry], [test] = held["datasets"], held["test_datasets"]
    assert (entry["path"], entry["ds_type"]) == (str(tmp_path / "out" / "train.jsonl"), "json")
    assert (entry["type"], entry["message_field_training"]) == ("chat_template", "train")
    assert (entry["roles_to_train"], test["split"]) == (["assistant"], "train")
    turns = json.loads((tmp_path / "out" / "train.jsonl").read_text().splitlines()[0])["messages"]
    assert [turn["train"] for turn in turns] == [False, True, False, False, False, True]
    write_for("axolotl", tmp_path / "pairs", PAIRS)
    held = yaml.safe_load((tmp_path / "pairs" / "datasets.yaml").read_text())
    assert (held["rl"], held["datasets"][0]["type"]) == ("dpo", "chat_template.default")


def test_llamafactory_is_told_what_is_in_its_files(tmp_path):
    write_for("llamafactory", tmp_path / "mine", LAST, SINGLE)
    info = json.loads((tmp_path / "mine" / "dataset_info.json").read_text())
    assert info["mine"]["file_name"] == "train.json"
    assert info["mine_test"]["file_name"] == "test.json"
    assert (info["mine"]["formatting"], info["mine"]["columns"]) == ("sharegpt", {"messages": "messages"})
    row = json.loads((tmp_path / "mine" / "train.json").read_text())[1]
    tags = info["mine"]["tags"]
    assert {turn[tags["role_tag"]] for turn in row["messages"]} == {tags["user_tag"], tags["assistant_tag"]}
    assert "mask_history: true" in (tmp_path / "mine" / "train.yaml").read_text()
    write_for("llamafactory", tmp_path / "pairs", PAIRS)
    entry = json.loads((tmp_path / "pairs" / "dataset_info.json").read_text())["pairs"]
    assert entry["ranking"] is True
    [row, _] = json.loads((tmp_path / "pairs" / "train.json").read_text())
    assert row[entry["columns"]["chosen"]] == {"role": "assistant", "content": "w2"}


TWICE = Conversation((*user("w1"), *user("w2"), Message("assistant", "w3")), (False, False, True))
FIRST = Conversation(
    (Message("assistant", "w1"), *user("w2"), Message("assistant", "w3")), (True, False, False)
)


@pytest.mark.parametrize(
    ("framework", "rows", "message"),
    [
        (
            "llamafactory",
            [chat("w1", "w2"), TWICE],
            r"rows\[1\] is \['user', 'user', 'assistant'\], expected",
        ),
        ("trl", [FIRST], r"rows\[0\] is .*, expected a turn before the first that is learned"),
        ("trl", [], "rows is \\[\\], expected at least one row"),
        ("keras", [chat("w1", "w2")], "framework is 'keras', expected one of trl, axolotl, llamafactory"),
    ],
)
def test_what_a_framework_does_not_take_is_refused_and_nothing_is_written(framework, rows, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write_for(framework, tmp_path / "out", rows)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="a new or an empty folder"):
        write_for("trl", tmp_path, SINGLE)
    (tmp_path / "empty").mkdir()
    assert write_for("trl", tmp_path / "empty", SINGLE).files == ("sft.yaml", "train.jsonl")
