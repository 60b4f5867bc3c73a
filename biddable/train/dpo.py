"""Training on preferences: direct preference optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from biddable.errors import InputError
from biddable.models.base import TrainableModel
from biddable.models.chat import require_prompt, require_text
from biddable.train.config import DpoConfig
from biddable.train.examples import Encoder, require_answer
from biddable.train.learner import Learner, Objective, Scores
from biddable.train.loop import OnStep, TrainReport, example_steps, fit_examples
from biddable.train.losses import Losses, dpo_loss
from biddable.types import Preference


def train_dpo(
    model: TrainableModel,
    preferences: Sequence[Preference],
    config: DpoConfig | None = None,
    *,
    checkpoint_dir: Path | None = None,
    on_step: OnStep | None = None,
) -> TrainReport:
    """Make ``model`` prefer what was chosen; the reference is the model as it comes in.

    The reference's log-probabilities are computed once, before the first step, so no second model is
    kept. ``model.module`` is trained in place; with ``lora.rank`` it gets an adapter.

    Args:
        model: what to train. To resume, pass it as it was at first.
        preferences: the pairs.
        config: see ``DpoConfig``.
        checkpoint_dir: see ``train.loop.fit``.
        on_step: see ``train.loop.fit``.

    Returns:
        the report; metrics of each step are ``margin`` (of the implicit rewards), ``accuracy`` (share of
        pairs with a margin above 0) and ``nll`` (of the chosen responses, per token).

    Raises:
        InputError: no pairs, one that is none, a chosen side that says nothing, two equal sides, or a
            pair that is too long (naming the pair).
    """
    config = config or DpoConfig()
    for index, pair in enumerate(preferences):
        require_pair(f"preferences[{index}]", pair)
    examples, kept = Encoder.of(model).encode_all(
        [(pair.prompt, (pair.chosen, pair.rejected)) for pair in preferences],
        field="preferences",
        too_long=config.too_long,
    )
    steps = example_steps(config.batch_size, config.epochs, len(examples))
    with Learner(model, config, steps=steps) as learner:
        # 1. The reference: [pairs, 2] log-probabilities of chosen and rejected before any step.
        rows = learner.logprobs(examples, shown_as="reference")
        reference = torch.stack([torch.stack([answer.sum() for answer in row]) for row in rows])
        # 2. Steps.
        report = fit_examples(
            learner,
            examples,
            dpo_objective(config),
            columns=lambda pairs: {"reference": reference[list(pairs)].flatten()},
            checkpoint_dir=checkpoint_dir,
            on_step=on_step,
        )
    return replace(report, dropped=len(preferences) - len(kept))


def dpo_objective(config: DpoConfig) -> Objective:
    """The loss of pairs, from the log-probabilities of chosen, rejected, chosen … in turn."""

    def objective(scores: Scores) -> Losses:
        policy_w, policy_l = scores.sums.view(-1, 2).unbind(1)
        ref_w, ref_l = scores["reference"].view(-1, 2).unbind(1)
        nll_w = -policy_w / scores.lengths[::2]
        return dpo_loss(policy_w, policy_l, ref_w, ref_l, config.beta, nll_w, config.rpo_alpha)

    return objective


def require_pair(field: str, pair: object) -> None:
    """Raise InputError, naming ``field``, unless ``pair`` is a preference that can be learned from."""
    if not isinstance(pair, Preference):
        raise InputError(field, pair, "a Preference(prompt, chosen, rejected)")
    require_prompt(f"{field}.prompt", pair.prompt)
    require_answer(f"{field}.chosen", pair.chosen)
    require_text(f"{field}.rejected", pair.rejected)
    if pair.chosen == pair.rejected:
        raise InputError(f"{field}.rejected", pair.rejected, "a text other than the chosen one")
