"""Training on files, from end to end on a model of two layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

import biddable
from biddable.errors import BiddableError, FileError, InputError, RunError
from biddable.judges.load import load_judge
from biddable.methods.training import fit
from biddable.models.base import Sampling
from biddable.models.load import load_model
from biddable.runs.results import Results
from biddable.train import loop
from biddable.types import Response, Task, Verdict, user
from tests.train.tiny import CONTEXT, local

LONG = " ".join(["w1"] * CONTEXT)
CHATS = [
    {
        "conversations": [
            {"from": "human", "value": f"w{n}"},
            {"from": "gpt", "value": f"w{n + 10} w{n + 20}", "loss": n % 2 == 0},
            {"from": "human", "value": "w1"},
            {"from": "gpt", "value": f"w{n + 30}"},
        ]
    }
    for n in range(10)
]
PAIRS = [{"prompt": f"w{n}", "chosen": f"w{n + 10} w5", "rejected": f"w{n + 10} w6"} for n in range(10)]
TASKS = [
    {"prompt": f"w{n}", "instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": ["w7"]}]}
    for n in range(6)
]
DATA = {"sft": CHATS, "dpo": PAIRS, "reward": PAIRS, "grpo": TASKS}
SETTINGS: dict[str, dict[str, Any]] = {
    "sft": {"lr": 1e-2, "epochs": 6},
    "dpo": {"lr": 3e-3, "epochs": 6},
    "reward": {"lr": 3e-3, "epochs": 6},
    "grpo": {"lr": 1e-3, "group_size": 4, "judge": "rules", "sampling": {"max_tokens": 6}, "epochs": 2},
}


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(local().save(tmp_path / "tiny"))


def written(folder: Path, rows: list[Any], name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def trained(kind: str, model: str | Path, folder: Path, **changes: Any) -> Results:
    data = written(folder, DATA[kind])
    how = {"batch_size": 4, "precision": "fp32", "held_out": 0.3, "out": folder / kind}
    return fit(kind, model, data, **how | SETTINGS[kind] | changes)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("rank", [0, 4])
def test_what_is_held_out_is_measured_and_the_model_is_left(kind, rank, model, tmp_path) -> None:
    results = trained(kind, model, tmp_path, **{"lora.rank": rank})
    rows = results.metrics["rows"]
    assert rows["learned"] + rows["held_out"] == len(DATA[kind])
    assert rows["held_out"] >= 0.3 * len(DATA[kind])
    assert results.comparisons[0].n == rows["held_out"]
    assert results.metrics["trained_tokens"] > 0
    assert results.method == f"train-{kind}"
    assert (tmp_path / kind / "artifacts" / "model").is_dir()
    assert (tmp_path / kind / "figures.json").is_file()
    if kind == "reward":
        assert results.metrics["held_out"]["accuracy"] == 1.0
        judge = load_judge(str(tmp_path / kind))
        better, worse = judge([Task("1", user("w2"))] * 2, [Response("w12 w5"), Response("w12 w6")])
        assert better.score > worse.score
    else:
        assert load_model(tmp_path / kind).generate([user("w1")], sampling=Sampling(max_tokens=4))


def test_only_turns_that_the_data_mark_are_learned(model: str, tmp_path: Path) -> None:
    marked = trained("sft", model, tmp_path, epochs=1)
    tokens = marked.metrics["trained_tokens"]
    assert tokens > 0
    every = [
        {
            "conversations": [
                {**turn, **({"loss": True} if "loss" in turn else {})} for turn in row["conversations"]
            ]
        }
        for row in CHATS
    ]
    data = written(tmp_path, every, "every.jsonl")
    how = {"batch_size": 4, "held_out": 0.3, "out": tmp_path / "every", "lr": 1e-2, "precision": "fp32"}
    assert fit("sft", model, data, **how).metrics["trained_tokens"] > tokens


def test_an_adapter_of_a_run_is_trained_on(model: str, tmp_path: Path) -> None:
    trained("sft", model, tmp_path, **{"lora.rank": 4})
    trained("dpo", tmp_path / "sft", tmp_path, **{"lora.rank": 4, "epochs": 1})
    again = load_model(tmp_path / "dpo")
    assert again.module.peft_config["default"].r == 4
    with pytest.raises(InputError, match=r"lora\.rank is 2, expected 4"):
        trained("dpo", tmp_path / "sft", tmp_path, **{"lora.rank": 2, "out": tmp_path / "other"})


@pytest.mark.parametrize("kind", DATA)
def test_killed_it_goes_on_and_ends_the_same(kind: str, model: str, tmp_path: Path, monkeypatch) -> None:
    expected = trained(kind, model, tmp_path, out=tmp_path / "whole", checkpoint_every=1)
    save = loop.Learner.save

    def killed(self: Any, *how: Any) -> None:
        save(self, *how)
        if self.done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Learner, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(kind, model, tmp_path, checkpoint_every=1)
    monkeypatch.setattr(loop.Learner, "save", save)
    found = trained(kind, model, tmp_path, checkpoint_every=1)
    assert found.metrics == expected.metrics
    assert found.comparisons == expected.comparisons
    weights = [tmp_path / name / "artifacts" / "model" / "model.safetensors" for name in ("whole", kind)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_other_data_is_another_training(model: str, tmp_path: Path) -> None:
    trained("dpo", model, tmp_path)
    data = written(tmp_path, PAIRS[:-1], "other.jsonl")
    with pytest.raises(RunError, match=r"data was .*, is now .*; use another folder$"):
        fit("dpo", model, data, out=tmp_path / "dpo", batch_size=4, precision="fp32", held_out=0.3, lr=3e-3)


def test_a_row_that_does_not_fit_is_named_by_its_place_in_the_file(model: str, tmp_path: Path) -> None:
    data = written(tmp_path, [*PAIRS, {"prompt": "w1", "chosen": LONG, "rejected": "w2"}])
    with pytest.raises(InputError, match=r"data\.jsonl: row 11: length is \d+, expected at most 64 tokens"):
        fit("dpo", model, data, out=tmp_path / "a")
    results = fit("dpo", model, data, out=tmp_path / "b", too_long="drop", precision="fp32")
    assert results.metrics["rows"]["too_long"] == 1
    assert "1 of 11 rows do not fit in the model's context and were left out." in results.notes


@pytest.mark.parametrize(
    ("objective", "changes", "problem"),
    [
        ("ppo", {}, "^objective is 'ppo', expected one of sft, dpo, reward, grpo$"),
        ("sft", {"turns": "all"}, "^turns is 'all', expected nothing: the data say"),
        ("sft", {"judge": "rules"}, "^judge is 'rules', expected none: only grpo has one$"),
        ("dpo", {"held_out": 1.0}, "^held_out is 1.0, expected a number of at least 0 and below 1$"),
        ("dpo", {"betta": 1.0}, "^betta is 1.0, expected one of the settings beta$"),
        ("grpo", {"judge": "nobody"}, "^judge is 'nobody', expected "),
        ("dpo", {"model": "openai:x@http://localhost:1"}, "^model is 'openai:"),
    ],
)
def test_what_cannot_be_is_named_and_leaves_nothing(objective, changes, problem, model, tmp_path) -> None:
    data = written(tmp_path, DATA.get(objective, PAIRS))
    how = {"model": model, "out": tmp_path / "out", **changes}
    with pytest.raises(InputError, match=problem):
        fit(objective, data=data, **how)
    assert not (tmp_path / "out").exists()


def test_data_of_another_kind_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"data\.jsonl:1: has the columns"):
        fit("dpo", model, written(tmp_path, CHATS), out=tmp_path / "out")


@pytest.mark.parametrize("objective", ["dpo", "reward", "grpo", "sft"])
def test_rows_of_one_prompt_are_one_in_an_interval(
    objective: str, model: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(DATA, objective, [row for row in DATA[objective][:6] for _ in range(3)])
    (comparison,) = trained(objective, model, tmp_path, epochs=1, held_out=0.5).comparisons
    assert comparison.n == 9
    assert "3 clusters of 9 cases" in comparison.interval_kind


def test_one_row_is_learned_and_nothing_measured(model: str, tmp_path: Path) -> None:
    results = fit("dpo", model, written(tmp_path, PAIRS[:1]), out=tmp_path / "out", precision="fp32")
    assert results.comparisons == []
    assert results.notes[0].startswith("Nothing was held out")


def test_a_held_out_answer_without_a_reward_is_left_out_and_counted(
    model: str, tmp_path: Path, monkeypatch
) -> None:
    def negative(spec: str) -> Any:
        def judge(tasks: Any, responses: Any, *, seeds: Any = None) -> list[Verdict]:
            scores = [None if int(task.id[-1]) % 2 else -2.0 for task in tasks]
            return [Verdict(score, None) for score in scores]

        return judge

    monkeypatch.setattr("biddable.methods.training.load_judge", negative)
    monkeypatch.setattr("biddable.methods.training.judge_identity", str)
    held = trained("grpo", model, tmp_path, held_out=0.5).metrics["held_out"]
    assert 0 < held["unscored"] < 1
    assert held["reward_before"] == held["reward_after"] == -2


def test_a_reward_model_opens_in_plain_transformers(model: str, tmp_path: Path) -> None:
    trained("reward", model, tmp_path)
    folder = tmp_path / "reward" / "artifacts" / "model"
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    assert plain.config.num_labels == 1
    tokenizer = local().tokenizer
    rows = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": "w1"}, {"role": "assistant", "content": text}], tokenize=False
        )
        for text in ("w11 w5", "w11 w6 w9 w9")
    ]
    ids = [tokenizer(text)["input_ids"] for text in rows]
    with torch.no_grad():
        expected = [plain(input_ids=torch.tensor([row])).logits.item() for row in ids]
    judged = load_judge(f"hf:{folder}?precision=fp32")(
        [Task("1", user("w1"))] * 2, [Response("w11 w5"), Response("w11 w6 w9 w9")]
    )
    assert [verdict.score for verdict in judged] == pytest.approx(expected, abs=1e-5)


def test_the_public_name() -> None:
    assert biddable.fit is fit
    assert issubclass(InputError, BiddableError)
