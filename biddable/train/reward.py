"""Training a reward model on preferences: a sequence classifier of one label (Bradley-Terry).

What is saved opens as ``AutoModelForSequenceClassification`` in plain ``transformers`` and in TRL, and as a
judge (``load_judge``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForSequenceClassification

from biddable.errors import InputError, ModelError, said
from biddable.models.base import TrainableModel
from biddable.models.chat import ChatFormat
from biddable.models.classifier import packed_classifier
from biddable.models.plain import context_of
from biddable.train.config import RewardConfig
from biddable.train.dpo import require_pair
from biddable.train.examples import Example
from biddable.train.learner import Learner, Scores
from biddable.train.loop import OnStep, TrainReport, example_steps, fit_examples
from biddable.train.losses import Losses, reward_loss
from biddable.train.scorer import language_model
from biddable.types import Preference


def train_reward(
    model: TrainableModel,
    preferences: Sequence[Preference],
    config: RewardConfig | None = None,
    *,
    checkpoint_dir: Path | None = None,
    on_step: OnStep | None = None,
) -> TrainReport:
    """Turn ``model`` into one that gives the chosen of two responses the higher reward.

    The language model's head is taken off and a head of one number put on: afterwards ``model.module`` is
    a sequence classifier, which ``model.save`` writes, and ``model`` no longer generates. The reward is read
    at the last token of the whole conversation, as the chat template renders it. An adapter (``lora.rank``)
    is added to the weights at the end, so that plain ``transformers`` opens what is saved.

    Args:
        model: a language model. To resume, pass it as it was at first.
        preferences: the pairs.
        config: see ``RewardConfig``.
        checkpoint_dir: see ``train.loop.fit``.
        on_step: see ``train.loop.fit``.

    Returns:
        the report; metrics of each step are ``margin`` and ``accuracy`` (share of margins above 0).

    Raises:
        InputError: no pairs, one that is none, or one that is too long (naming the pair).
        ModelError: the architecture has no sequence classifier, or cannot be trained on packed batches.
    """
    config = config or RewardConfig()
    if not preferences:
        raise InputError("preferences", [], "at least one example")
    for index, pair in enumerate(preferences):
        require_pair(f"preferences[{index}]", pair)
    format = ChatFormat.of(model.module, model.tokenizer)
    examples = encode_pairs(preferences, format, context_of(model.module.config), config)
    language_model(model.module, bf16=False)  # or its body would be refused only after the head is off
    model.module = reward_module(model.module, model.tokenizer, seed=config.seed)
    steps = example_steps(config.batch_size, config.epochs, len(examples))
    with Learner(model, config, steps=steps, network=packed_classifier, task="SEQ_CLS") as learner:
        report = fit_examples(
            learner,
            examples,
            lambda scores: reward_objective(scores, config.center),
            checkpoint_dir=checkpoint_dir,
            on_step=on_step,
        )
    if isinstance(model.module, PeftModel):
        model.module = model.module.merge_and_unload()
    return replace(report, dropped=len(preferences) - len(examples))


def reward_objective(scores: Scores, center: float = 0.0) -> Losses:
    """The loss of pairs, from the rewards of chosen, rejected, chosen … in turn."""
    chosen, rejected = scores["scores"].view(-1, 2).unbind(1)
    return reward_loss(chosen, rejected, center)


def reward_module(module: Any, tokenizer: Any, *, seed: int) -> Any:
    """The body of a language model under a head of one number, with weights drawn from ``seed``.

    The body's weights are shared with ``module``, not copied.

    Raises:
        ModelError: there is no such classifier of this architecture, or it is an adapter.
    """
    if isinstance(module, PeftModel):
        raise ModelError(
            "a reward model is made from whole weights: export the adapter merged, and start there"
        )
    labels = {"id2label": {0: "reward"}, "label2id": {"reward": 0}}
    config = type(module.config).from_dict({**module.config.to_dict(), **labels})
    pad = _pad_id(tokenizer, ChatFormat.of(module, tokenizer).end_id)
    config.pad_token_id = pad
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    try:
        with torch.device("meta"):
            classifier: Any = AutoModelForSequenceClassification.from_config(config)
        width = classifier.score.in_features
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{type(module).__name__} has no sequence classifier ({said(error)})") from None
    setattr(classifier, classifier.base_model_prefix, module.get_decoder())
    weight = next(module.parameters())
    classifier.score = nn.Linear(width, 1, bias=False, device=weight.device, dtype=weight.dtype)
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # so small that all rewards begin near 0
        classifier.score.weight.copy_(torch.randn(1, width, generator=numbers) / (width + 1))
    return classifier.eval()


def encode_pairs(
    preferences: Sequence[Preference], format: ChatFormat, context: int, config: RewardConfig
) -> list[Example]:
    """Both sides of each pair as token ids, split after what they have in common."""
    examples = []
    for index, pair in enumerate(preferences):
        try:
            sides = [format.whole(pair.prompt, answer) for answer in (pair.chosen, pair.rejected)]
        except InputError as error:
            raise error.at(f"preferences[{index}]") from None
        if (longest := max(map(len, sides))) > context:
            if config.too_long == "drop":
                continue
            expected = f"at most {context} tokens, the model's context"
            raise InputError(f"preferences[{index}]", f"{longest} tokens", expected)
        # Neither side may be empty after the split: the reward is read at its last token.
        most = min(map(len, sides)) - 1
        common = next((i for i in range(most) if sides[0][i] != sides[1][i]), most)
        examples.append(Example(tuple(sides[0][:common]), tuple(tuple(side[common:]) for side in sides)))
    if not examples:
        raise InputError("preferences", f"{len(preferences)} pairs", f"one that fits in {context} tokens")
    return examples


def _pad_id(tokenizer: Any, end: int) -> int:
    """A token to pad with that ends no conversation: ``transformers`` reads the reward before the padding."""
    candidates = [
        tokenizer.pad_token_id,
        tokenizer.unk_token_id,
        tokenizer.bos_token_id,
        *tokenizer.all_special_ids,
    ]
    return next((int(token) for token in candidates if token is not None and token != end), 0)
