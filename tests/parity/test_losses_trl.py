"""The same losses and gradients as TRL's trainers on the same texts, and the same training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RewardTrainer, SFTConfig, SFTTrainer
from trl import RewardConfig as TrlRewardConfig

from biddable.models.base import Sampling
from biddable.models.chat import ChatFormat
from biddable.models.classifier import packed_classifier
from biddable.models.local import LocalModel
from biddable.models.packed import PackedLM, span_logprobs
from biddable.train.config import TrainConfig
from biddable.train.dpo import DpoConfig, dpo_objective, train_dpo
from biddable.train.examples import Encoder, Example
from biddable.train.grpo import GrpoConfig, grpo_objective
from biddable.train.learner import Batch, Learner, Objective
from biddable.train.losses import group_advantages
from biddable.train.reward import RewardConfig, encode_pairs, reward_module, reward_objective
from biddable.train.sft import SftConfig, sft_objective, train_sft
from biddable.types import Chat, Message, Preference, user
from tests.train.tiny import MODULES, llama, local, word_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

PAIRS = (
    Preference(user("w1 w2 w3"), "w4 w5 w6 w7", "w4 w5 w8"),  # refined: opens alike
    Preference((Message("system", "w9"), *user("w1")), "w10", "w11 w12 w13 w14 w15"),
    Preference(user("w1 w2 w3"), "w16 w17", "w4 w5 w6 w7"),  # the same prompt, another pair's answer
    Preference(user("w20"), "w21 w22 w23", "w21"),  # one side begins the other
)
CHATS = (
    (*user("w1 w2"), Message("assistant", "w3 w4 w5")),
    (*user("w1"), Message("assistant", "w6"), *user("w7 w8"), Message("assistant", "w9 w10")),
    (Message("system", "w11"), *user("w12"), Message("assistant", "w13 w14 w15 w16")),
)


def test_dpo(policy: Any, reference: Any, tmp_path) -> None:
    expected = trl_gradients(trl_dpo(policy, reference, PAIRS, tmp_path, beta=0.3))
    loss, gradients = our_dpo(policy, reference, DpoConfig(beta=0.3, precision="fp32"))
    assert_same(loss, gradients, expected)


def test_dpo_with_the_likelihood_term(policy: Any, reference: Any, tmp_path) -> None:
    """TRL takes the mean over a batch's tokens, we over each response's and then over pairs.

    The two are one thing where a batch is one pair, so ours is compared with the mean of such batches.
    """
    losses, gradients = [], []
    for number, pair in enumerate(PAIRS):
        both = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.1]}
        trainer = trl_dpo(policy, reference, [pair], tmp_path / str(number), beta=0.1, **both)
        loss, gradient = trl_gradients(trainer)
        losses.append(loss)
        gradients.append(gradient)
    expected = sum(losses) / 4, {name: sum(one[name] for one in gradients) / 4 for name in gradients[0]}
    loss, ours = our_dpo(policy, reference, DpoConfig(beta=0.1, rpo_alpha=0.1, precision="fp32"))
    assert_same(loss, ours, expected)


@pytest.mark.parametrize("turns", ["last", "all"])
def test_sft(policy: Any, turns: Any, tmp_path) -> None:
    expected = trl_gradients(trl_sft(policy, CHATS, tmp_path, turns=turns))
    loss, gradients = our_sft(policy, SftConfig(turns=turns, precision="fp32"))
    assert_same(loss, gradients, expected)


@pytest.mark.parametrize("center", [0.0, 0.01])
def test_reward(policy: Any, center: float, tmp_path) -> None:
    tokenizer = word_tokenizer()
    classifier = reward_module(policy, tokenizer, seed=0)
    with torch.no_grad():
        classifier.score.weight.mul_(20)  # far from 0, as after some training
    rows = [
        {
            side: turns_of((*pair.prompt, Message("assistant", text)))
            for side, text in (("chosen", pair.chosen), ("rejected", pair.rejected))
        }
        for pair in PAIRS
    ]
    trainer = RewardTrainer(
        model=copy.deepcopy(classifier),
        args=trl_config(TrlRewardConfig, tmp_path, len(rows), center_rewards_coefficient=center or None),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    expected = trl_gradients(trainer)
    config = RewardConfig(center=center)
    batch = Batch(encode_pairs(PAIRS, ChatFormat.of(policy, tokenizer), 64, config))
    how = {"network": packed_classifier, "task": "SEQ_CLS"}
    objective = lambda scores: reward_objective(scores, center)  # noqa: E731
    assert_same(*our_gradients(classifier, batch, objective, **how), expected)


@pytest.mark.parametrize(
    ("loss_type", "normalize"), [("grpo", "sequence"), ("dapo", "token"), ("dr_grpo", "length")]
)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"epsilon_high": 0.28}, {"epsilon_high": 0.28}),
        ({"beta": 0.04, "correct_kl": True}, {"use_bias_correction_kl": True}),
        (
            {"ratio": "sequence", "beta": 0.1},
            {"importance_sampling_level": "sequence", "use_bias_correction_kl": False},
        ),
    ],
    ids=["plain", "clip-higher", "kl", "sequence"],
)
def test_grpo(loss_type: str, normalize: Any, ours: Any, theirs: Any, tmp_path) -> None:
    """The samples come from a near model, so that some ratios are clipped."""
    policy, length = llama(), 12
    groups = [
        Example((1, 2, 3), ((4, 5, 6), (7, 8), (9,), (4, 5, 10, 11))),
        Example((12, 13), ((14,), (14, 15, 16, 17, 18), (19, 20), (21, 3))),
    ]
    rows = [(one.prompt, answer) for one in groups for answer in one.completions]
    rewards = torch.tensor([[1.0, 0.0, 0.5, 0.0], [0.25, 1.0, 1.0, 0.0]])
    old, start = (
        span_logprobs(PackedLM(module), rows, max_tokens=100)
        for module in (moved(policy, 2), moved(policy, 3))
    )
    advantages = group_advantages(rewards).flatten()
    tokens = sum(len(answer) for _, answer in rows)
    padded = {
        "prompt_ids": pad_sequence([torch.tensor(prompt[::-1]) for prompt, _ in rows], True).flip(1),
        "completion_ids": pad_sequence([torch.tensor(answer) for _, answer in rows], True),
    }
    lengths = torch.tensor([[len(prompt), len(answer)] for prompt, answer in rows])
    inputs = {
        **padded,
        "prompt_mask": (torch.arange(3).flip(0) < lengths[:, :1]).long(),
        "completion_mask": (torch.arange(5) < lengths[:, 1:]).long(),
        "advantages": advantages,
        "old_per_token_logps": pad_sequence(old, True),
        "ref_per_token_logps": pad_sequence(start, True),
        "num_items_in_batch": torch.tensor(tokens),
    }
    trainer = GRPOTrainer(
        model=copy.deepcopy(policy),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=trl_config(
            GRPOConfig,
            tmp_path,
            8,
            loss_type=loss_type,
            num_generations=4,
            max_completion_length=length,
            **theirs,
        ),
        train_dataset=Dataset.from_list([{"prompt": "w1"}] * 2),
        processing_class=word_tokenizer(),
    )
    trainer.beta = ours.get("beta", 0.0)  # told beforehand, it would load a reference by its name
    trainer.model.eval()
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    config = GrpoConfig(normalize=normalize, sampling=Sampling(max_tokens=length), **ours)
    columns: dict[str, Any] = {"advantages": advantages, "old": old}
    if config.beta:
        columns["reference"] = start
    units = {"sequence": 8, "token": tokens, "length": 8 * length}[normalize]
    found = our_gradients(policy, Batch(groups, units, columns), grpo_objective(config))
    assert_same(*found, (loss.item(), gradients_of(trainer.model)))


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_advantages(scale: Any) -> None:
    """As TRL's trainer computes them, from its formulas."""
    rewards = torch.tensor([[1.0, 0.0, 0.5, 0.0], [0.25, 1.0, 1.0, 0.0]])
    flat = rewards.flatten()
    expected = flat - rewards.mean(1).repeat_interleave(4)
    if scale != "none":
        deviation = rewards.std(1).repeat_interleave(4) if scale == "group" else flat.std().expand_as(flat)
        expected = expected / (deviation + 1e-4)
    torch.testing.assert_close(group_advantages(rewards, scale).flatten(), expected)


def moved(module: Any, seed: int) -> Any:
    """A model near ``module``."""
    near = copy.deepcopy(module)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in near.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return near


def test_a_whole_dpo_training(tmp_path) -> None:
    start = llama()
    trainer = trl_dpo(
        start,
        copy.deepcopy(start),
        PAIRS,
        tmp_path,
        num_train_epochs=5,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        logging_steps=1,
    )
    trainer.train()
    model = local(copy.deepcopy(start))
    config = DpoConfig(
        lr=1e-3, epochs=5, batch_size=4, schedule="constant", warmup=0.0, beta=0.1, precision="fp32"
    )
    ours = train_dpo(model, PAIRS, config).history
    theirs = trainer.state.log_history[:-1]  # the last is a summary
    for name, theirs_is in {"loss": "loss", "grad_norm": "grad_norm", "margin": "rewards/margins"}.items():
        expected = [row[theirs_is] for row in theirs]
        got = [getattr(report, name, report.metrics.get(name)) for report in ours]
        assert got == pytest.approx(expected, rel=1e-3, abs=1e-4), name
    assert ours[-1].loss < 0.9 * ours[0].loss


def test_a_whole_sft_training(tmp_path) -> None:
    start = llama()
    trainer = trl_sft(
        start,
        CHATS,
        tmp_path,
        turns="all",
        num_train_epochs=5,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        logging_steps=1,
    )
    trainer.train()
    model = local(copy.deepcopy(start))
    config = SftConfig(
        lr=1e-3, epochs=5, batch_size=4, schedule="constant", warmup=0.0, turns="all", precision="fp32"
    )
    ours = train_sft(model, CHATS, config).history
    theirs = trainer.state.log_history[:-1]
    for name in ("loss", "grad_norm"):
        expected = [row[name] for row in theirs]
        assert [getattr(report, name) for report in ours] == pytest.approx(expected, rel=1e-3, abs=1e-4), name
    assert ours[-1].loss < 0.9 * ours[0].loss


@pytest.fixture(params=MODULES)
def policy(request) -> Any:
    return MODULES[request.param](seed=0)


@pytest.fixture
def reference(policy: Any) -> Any:
    """Near the policy, yet not the same, so that margins differ from 0."""
    near = copy.deepcopy(policy)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in near.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return near


Result = tuple[float, dict[str, torch.Tensor]]
"""The loss of a batch, and its gradient by parameter."""


def assert_same(loss: float, gradients: dict[str, torch.Tensor], expected: Result) -> None:
    assert loss == pytest.approx(expected[0], rel=1e-4)
    assert gradients.keys() == expected[1].keys()
    for name, gradient in gradients.items():
        difference = (gradient - expected[1][name]).norm()
        assert difference <= 1e-4 * expected[1][name].norm() + 1e-6, name


def our_dpo(policy: Any, reference: Any, config: DpoConfig) -> Result:
    examples = encode(policy, [(pair.prompt, (pair.chosen, pair.rejected)) for pair in PAIRS])
    spans = [(one.prompt, answer) for one in examples for answer in one.completions]
    logprobs = span_logprobs(PackedLM(reference), spans, max_tokens=40)
    batch = Batch(examples, columns={"reference": torch.stack([row.sum() for row in logprobs])})
    return our_gradients(policy, batch, dpo_objective(config))


def our_sft(policy: Any, config: SftConfig) -> Result:
    examples = encode(policy, [row for chat in CHATS for row in answers(chat, config.turns)])
    return our_gradients(policy, Batch(examples, sum(one.counted for one in examples)), sft_objective)


def answers(chat: Chat, turns: str) -> list[tuple[Chat, tuple[str]]]:
    places = [place for place, turn in enumerate(chat) if turn.role == "assistant"]
    return [(chat[:place], (chat[place].content,)) for place in (places if turns == "all" else places[-1:])]


def encode(module: Any, rows: Sequence[tuple[Chat, Sequence[str]]]) -> list[Example]:
    model = LocalModel(module, word_tokenizer(), name="tiny")
    return Encoder.of(model).encode_all(rows, field="rows", too_long="error")[0]


def our_gradients(module: Any, batch: Batch, objective: Objective, **how: Any) -> Result:
    """Of a learner's step, in micro-batches, whose optimizer's step is left out."""
    model: Any = SimpleNamespace(module=module)
    config = TrainConfig(lr=1.0, precision="fp32", max_tokens_per_step=40)
    with Learner(model, config, steps=1, **how) as learner:
        module.zero_grad()
        loss, _ = learner._gradients(batch, objective, {})
    return loss, gradients_of(module)


def trl_gradients(trainer: Any) -> Result:
    (batch,) = trainer.get_train_dataloader()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), gradients_of(trainer.model)


def gradients_of(module: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


def trl_dpo(policy: Any, reference: Any, pairs: Sequence[Preference], folder: Any, **options: Any) -> Any:
    rows = [
        {
            "prompt": turns_of(pair.prompt),
            "chosen": turns_of((Message("assistant", pair.chosen),)),
            "rejected": turns_of((Message("assistant", pair.rejected),)),
        }
        for pair in pairs
    ]
    config = trl_config(DPOConfig, folder, len(rows), **options)
    data = Dataset.from_list(rows)
    return DPOTrainer(
        # It patches the model's forward, so it gets one of its own.
        model=copy.deepcopy(policy),
        ref_model=copy.deepcopy(reference),
        args=config,
        train_dataset=data,
        processing_class=word_tokenizer(),
    )


def trl_sft(policy: Any, chats: Sequence[Chat], folder: Any, *, turns: str, **options: Any) -> Any:
    if turns == "all":
        rows = [{"messages": turns_of(chat)} for chat in chats]
        options["assistant_only_loss"] = True
    else:
        rows = [{"prompt": turns_of(chat[:-1]), "completion": turns_of(chat[-1:])} for chat in chats]
    config = trl_config(SFTConfig, folder, len(rows), **options)
    data = Dataset.from_list(rows)
    model = copy.deepcopy(policy)
    return SFTTrainer(model=model, args=config, train_dataset=data, processing_class=word_tokenizer())


def trl_config(kind: Callable[..., Any], folder: Any, batch_size: int, **options: Any) -> Any:
    if kind is not GRPOConfig:  # which has no such limit
        options["max_length"] = None
    return kind(
        output_dir=str(folder),
        per_device_train_batch_size=batch_size,
        bf16=False,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        **options,
    )


def turns_of(chat: Chat) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in chat]
