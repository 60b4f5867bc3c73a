"""Fine-tuning on right answers, from end to end on a model of two layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from biddable.errors import InputError
from biddable.models.base import Sampling
from biddable.train.config import LoraConfig
from biddable.train.sft import SftConfig, train_sft
from biddable.types import Chat, Message, user

from .tiny import CONTEXT, local


def answered(prompt: str, *answers: Any) -> Chat:
    """A chat in which each answer but the last is followed by the prompt again."""
    return tuple(turn for answer in answers for turn in (*user(prompt), Message("assistant", answer)))


CHATS = [answered("w1 w2", "w3 w4 w5"), answered("w1 w6", "w7"), answered("w8", "w9 w3 w3", "w10 w11")]
LONG = answered("w1", "w2", " ".join(["w2"] * CONTEXT))
CONFIG = SftConfig(lr=1e-2, epochs=30, batch_size=2, precision="fp32")


def mean_nll(model: Any, rows: list[tuple[Chat, str]]) -> float:
    scores = model.score([prompt for prompt, _ in rows], [answer for _, answer in rows])
    return -sum(score.total for score in scores) / sum(len(score.token_ids) for score in scores)


@pytest.mark.parametrize("lora_rank", [0, 8])
def test_the_model_learns_to_say_it_and_to_stop(lora_rank: int) -> None:
    model = local()
    report = train_sft(
        model, CHATS, replace(CONFIG, lora=LoraConfig(rank=lora_rank), lr=2e-2 if lora_rank else 1e-2)
    )
    assert report.history[-1].loss < 0.1 * report.history[0].loss
    prompts = [chat[:-1] for chat in CHATS]
    for chat, (response,) in zip(
        CHATS, model.generate(prompts, sampling=Sampling(max_tokens=8, temperature=0.0)), strict=True
    ):
        assert response.text == chat[-1].content
        assert response.finish_reason == "stop"


@pytest.mark.parametrize("turns", ["last", "all"])
def test_the_loss_is_the_mean_over_the_tokens_of_the_answers(turns: Any) -> None:
    rows = [(chat[:-1], chat[-1].content) for chat in CHATS]
    if turns == "all":
        rows.append((CHATS[2][:1], CHATS[2][1].content))
    config = replace(CONFIG, turns=turns, epochs=1, batch_size=4)
    (step,) = train_sft(local(), CHATS, config).history
    assert step.loss == pytest.approx(mean_nll(local(), rows), rel=1e-4)
    assert step.metrics["nll"] == step.loss


def test_only_the_last_turn_is_learned_unless_all_are_asked_for() -> None:
    first = [(CHATS[2][:1], CHATS[2][1].content)]
    last, every = local(), local()
    train_sft(last, CHATS[2:], replace(CONFIG, epochs=20))
    train_sft(every, CHATS[2:], replace(CONFIG, epochs=20, turns="all"))
    assert mean_nll(every, first) < 0.2 < 1 < mean_nll(last, first)


def test_an_assistants_turn_with_nothing_before_it_is_context() -> None:
    chat = (Message("assistant", "w1"), *answered("w2", "w3"))
    one, other = (train_sft(local(), [chat], replace(CONFIG, epochs=1, turns=t)) for t in ("last", "all"))
    assert one.history[0].loss == other.history[0].loss


def test_lora_trains_the_adapter_and_nothing_else() -> None:
    model = local()
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    train_sft(model, CHATS, replace(CONFIG, epochs=1, lora=LoraConfig(rank=4)))
    base = model.module.unload().state_dict()
    assert all(torch.equal(base[name], tensor) for name, tensor in before.items())


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=3, checkpoint_every=1)
    whole, resumed = local(), local()
    train_sft(whole, CHATS, config)

    def kill(report: Any) -> None:
        if report.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sft(local(), CHATS, config, checkpoint_dir=tmp_path, on_step=kill)
    report = train_sft(resumed, CHATS, config, checkpoint_dir=tmp_path)
    assert [one.step for one in report.history] == [4, 5, 6]
    expected = whole.module.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.module.state_dict().items())


ENDING = "expected a chat that ends with an assistant's turn, after at least one other$"


@pytest.mark.parametrize(
    ("chats", "problem"),
    [
        ([], r"^conversations is \[\], expected at least one example$"),
        ([CHATS[0], user("w1")], rf"^conversations\[1\] is \(Message.*, {ENDING}"),
        ([()], rf"^conversations\[0\] is \(\), {ENDING}"),
        ([(Message("assistant", "w1"),)], rf"^conversations\[0\] is \(Message.*, {ENDING}"),
        (["w1 w2"], r"^conversations\[0\] is 'w1 w2', expected a tuple of Message"),
        (
            [CHATS[0], ({"role": "user", "content": "w1"}, {"role": "assistant", "content": "w2"})],
            r"^conversations\[1\]\[0\] is {'role': 'user', .*, expected a Message\(role, content\)$",
        ),
        (
            [(*user("w1"), Message("tool", "w2"))],
            r"^conversations\[0\]\[1\]\.role is 'tool', expected one of system",
        ),
        ([answered("w1", None)], r"^conversations\[0\]\[1\]\.content is None, expected a text$"),
        (
            [answered("w1\udc00", "w2")],
            r"^conversations\[0\]\[0\]\.content is .*whole characters \(character 3 is",
        ),
        (
            [CHATS[0], answered("w1", "")],
            r"^conversations\[1\]\[1\]\.content is '', expected an answer that says",
        ),
        (
            [CHATS[2], LONG],
            r"^conversations\[1\]: length is \d+, expected at most 64 tokens, the model's context$",
        ),
    ],
)
@pytest.mark.parametrize("turns", ["last", "all"])
def test_bad_chats_are_named(turns: Any, chats: list[Chat], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        train_sft(local(), chats, replace(CONFIG, turns=turns))


def test_an_earlier_answer_that_says_nothing_is_refused_only_where_it_is_learned() -> None:
    chat = answered("w1", "", "w2")
    config = replace(CONFIG, epochs=1)
    assert train_sft(local(), [chat], config).history
    with pytest.raises(InputError, match=r"^conversations\[0\]\[1\]\.content is ''"):
        train_sft(local(), [chat], replace(config, turns="all"))


def test_answers_that_are_too_long_can_be_dropped() -> None:
    config = replace(CONFIG, epochs=1, too_long="drop")
    assert train_sft(local(), [LONG, *CHATS], config).dropped == 1
    all_turns = train_sft(local(), [LONG, *CHATS], replace(config, turns="all", batch_size=9))
    assert all_turns.dropped == 1  # the first answer of the chat fits
    rows = [(chat[:-1], chat[-1].content) for chat in CHATS]
    rows += [(chat[:1], chat[1].content) for chat in (CHATS[2], LONG)]
    assert all_turns.history[0].loss == pytest.approx(mean_nll(local(), rows), rel=1e-4)
