"""Reward models: what is learned, saved and opened by others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig as TrlConfig
from trl import RewardTrainer

from biddable.errors import InputError, ModelError
from biddable.judges.load import load_judge
from biddable.train.adapter import choose_weights
from biddable.train.config import LoraConfig
from biddable.train.learner import StepReport
from biddable.train.reward import RewardConfig, train_reward
from biddable.types import Preference, Response, Task, user

from .tiny import CONTEXT, gemma2, llama, local

PAIRS = [Preference(user(f"w{n}"), f"w{n + 10} w5", f"w{n + 10} w6 w7") for n in range(8)]
CONFIG = RewardConfig(lr=3e-3, epochs=6, batch_size=4, precision="fp32")


def trained(**changes: Any) -> tuple[Any, Any]:
    model = local()
    return model, train_reward(model, PAIRS, replace(CONFIG, **changes))


def whole(model: Any, answers: list[str]) -> list[list[int]]:
    """Token ids of w1's answers, by the tokenizer's own chat template."""
    return [
        model.tokenizer(
            model.tokenizer.apply_chat_template(
                [{"role": "user", "content": "w1"}, {"role": "assistant", "content": answer}], tokenize=False
            )
        )["input_ids"]
        for answer in answers
    ]


@pytest.mark.parametrize("rank", [0, 4])
def test_the_chosen_answers_get_the_higher_rewards(rank: int) -> None:
    _, report = trained(lora=LoraConfig(rank=rank), lr=1e-2 if rank else 3e-3)
    assert report.history[0].loss == pytest.approx(0.693, abs=0.05)
    assert report.history[-1].metrics["accuracy"] == 1
    assert report.history[-1].loss < 0.3


@pytest.mark.parametrize("rank", [0, 4])
def test_what_is_saved_opens_elsewhere_with_the_same_rewards(tmp_path: Path, rank: int) -> None:
    model, _ = trained(lora=LoraConfig(rank=rank))
    folder = model.save(tmp_path / "rm")
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = ["w11 w5", "w11 w6 w7 w8 w9"]
    rows = whole(model, answers)
    assert tokenizer.pad_token_id not in {row[-1] for row in rows}
    with torch.no_grad():
        ours = [model.module(input_ids=torch.tensor([row])).logits.item() for row in rows]
        batch = tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="pt")
        assert plain(**batch).logits[:, 0].tolist() == pytest.approx(ours, abs=1e-5)
    judge = load_judge(f"hf:{folder}?precision=fp32")
    verdicts = judge([Task("1", user("w1"))] * 2, [Response(answer) for answer in answers])
    assert [verdict.score for verdict in verdicts] == pytest.approx(ours, abs=1e-5)


def test_trl_goes_on_with_it(tmp_path: Path) -> None:
    model, _ = trained()
    folder = model.save(tmp_path / "rm")
    rows = [
        {
            side: [
                *({"role": t.role, "content": t.content} for t in pair.prompt),
                {"role": "assistant", "content": text},
            ]
            for side, text in (("chosen", pair.chosen), ("rejected", pair.rejected))
        }
        for pair in PAIRS
    ]
    args = TrlConfig(
        output_dir=str(tmp_path / "trl"),
        per_device_train_batch_size=8,
        max_steps=1,
        logging_steps=1,
        bf16=False,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        max_length=None,
    )
    trainer = RewardTrainer(model=str(folder), args=args, train_dataset=Dataset.from_list(rows))
    trainer.train()
    assert trainer.state.log_history[0]["loss"] < 0.3


class Killed(Exception):
    pass


@pytest.mark.parametrize("rank", [0, 4])
def test_a_killed_training_ends_with_the_same_bits(tmp_path: Path, rank: int) -> None:
    config = replace(CONFIG, lora=LoraConfig(rank=rank), checkpoint_every=2)
    undisturbed, resumed = local(), local()
    train_reward(undisturbed, PAIRS, config)

    def kill(report: StepReport) -> None:
        if report.step == 5:
            raise Killed

    with pytest.raises(Killed):
        train_reward(local(), PAIRS, config, checkpoint_dir=tmp_path, on_step=kill)
    train_reward(resumed, PAIRS, config, checkpoint_dir=tmp_path)
    expected = undisturbed.module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.module.state_dict().items())


def test_models_without_such_a_classifier_are_refused_before_anything_is_changed() -> None:
    for module, problem in (
        (gemma2(), "cannot be computed on packed batches"),
        (choose_weights(llama(), LoraConfig(rank=2), seed=0), "made from whole weights"),
    ):
        model = local(module)
        with pytest.raises(ModelError, match=problem):
            train_reward(model, PAIRS, CONFIG)
        assert model.module is module


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ([], r"preferences is \[\], expected at least one example"),
        (
            [PAIRS[0], Preference(user("w1"), " ".join(["w2"] * CONTEXT), "w3")],
            r"preferences\[1\] is '\d+ tokens'",
        ),
        ([Preference(user("w1"), "w2", "w2")], r"preferences\[0\]\.rejected is 'w2'"),
    ],
)
def test_bad_pairs_are_named(pairs: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"^{problem}"):
        train_reward(local(), pairs, CONFIG)


def test_pairs_that_are_too_long_can_be_dropped() -> None:
    long = Preference(user("w1"), " ".join(["w2"] * CONTEXT), "w3")
    report = train_reward(local(), [*PAIRS, long], replace(CONFIG, epochs=1, too_long="drop"))
    assert report.dropped == 1
