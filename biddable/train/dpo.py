"""Training on preferences: direct preference optimisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from biddable.errors import InputError
from biddable.models.base import TrainableModel
from biddable.models.chat import require_chat, require_text
from biddable.runs.progress import progress
from biddable.train.adapter import choose_weights
from biddable.train.config import TrainConfig
from biddable.train.examples import Encoder, Example, require_answer
from biddable.train.loop import Objective, Scores, StepReport, TrainReport, train
from biddable.train.losses import Losses, dpo_loss, require_alpha, require_beta
from biddable.train.scorer import packed, sequence_logprobs
from biddable.types import Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoConfig(TrainConfig):
    """Direct preference optimisation (Rafailov et al. 2023; the likelihood term as in SPaR)."""

    lr: float = 1e-6
    """Highest learning rate; with LoRA, some 20 times more is usual."""
    beta: float = 0.1
    """How strongly to hold to the model as it was; smaller lets it move further."""
    alpha: float = 0.0
    """Weight of the chosen response's negative log-likelihood per token (SPaR: 0.1)."""

    def __post_init__(self) -> None:
        TrainConfig.__post_init__(self)
        require_beta(self.beta)
        require_alpha(self.alpha)


def train_dpo(
    model: TrainableModel,
    preferences: Sequence[Preference],
    config: DpoConfig | None = None,
    *,
    checkpoint_dir: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainReport:
    """Make ``model`` prefer what was chosen; the reference is the model as it comes in.

    The reference's log-probabilities are computed once, before the first step, so no second model is
    kept. ``model.module`` is trained in place; with ``lora_rank`` it gets an adapter.

    Args:
        model: what to train. To resume, pass it as it was at first.
        preferences: the pairs.
        config: see ``DpoConfig``.
        checkpoint_dir: see ``train.loop.train``.
        on_step: see ``train.loop.train``.

    Returns:
        the report; metrics of each step are ``margin`` (of the implicit rewards), ``accuracy`` (share of
        pairs with a margin above 0) and ``nll`` (of the chosen responses, per token).

    Raises:
        InputError: no pairs, one that is none, a chosen side that says nothing, two equal sides, or a
            pair that is too long (naming the pair).
    """
    config = config or DpoConfig()
    for index, pair in enumerate(preferences):
        _require_pair(f"preferences[{index}]", pair)
    encoder = Encoder.of(model)
    examples, kept = encoder.encode_all(
        [(pair.prompt, (pair.chosen, pair.rejected)) for pair in preferences],
        field="preferences",
        too_long=config.too_long,
    )
    model.module = choose_weights(model.module, lora_rank=config.lora_rank, seed=config.seed)
    reference = _reference(model, examples, config)
    report = train(
        model.module,
        examples,
        dpo_objective(reference, config),
        config,
        checkpoint_dir=checkpoint_dir,
        on_step=on_step,
    )
    return replace(report, dropped=len(preferences) - len(kept))


def _require_pair(field: str, pair: object) -> None:
    if not isinstance(pair, Preference):
        raise InputError(field, pair, "a Preference(prompt, chosen, rejected)")
    require_chat(f"{field}.prompt", pair.prompt)
    require_answer(f"{field}.chosen", pair.chosen)
    require_text(f"{field}.rejected", pair.rejected)
    if pair.chosen == pair.rejected:
        raise InputError(f"{field}.rejected", pair.rejected, "a text other than the chosen one")


def dpo_objective(reference: Tensor, config: DpoConfig) -> Objective:
    """The loss of pairs, given the [pairs, 2] log-probabilities of chosen and rejected in the reference."""

    def objective(scores: Scores) -> Losses:
        policy_w, policy_l = scores.logprobs.view(-1, 2).unbind(1)
        ref_w, ref_l = reference[scores.examples].to(policy_w.device).unbind(1)
        nll_w = -policy_w / scores.lengths[::2]
        return dpo_loss(policy_w, policy_l, ref_w, ref_l, config.beta, nll_w, config.alpha)

    return objective


def _reference(model: TrainableModel, examples: Sequence[Example], config: DpoConfig) -> Tensor:
    """[pairs, 2] log-probabilities of the chosen and the rejected responses before training."""
    with packed(model.module, config) as lm:
        max_tokens = config.tokens_at_once(next(lm.parameters()).device)
        with progress(len(examples), "reference") as advance:
            return torch.stack(sequence_logprobs(lm, examples, max_tokens, advance))
