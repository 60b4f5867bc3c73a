"""The settings of a chain: all of its file but the steps and arms."""

from __future__ import annotations

from typing import Literal

from biddable.config import Count, Natural, NonNegative, settings

Counted = Literal["rows", "tokens", "steps"]


@settings
class CompareSettings:
    """Which arms (without arms: which models) are compared, and what is predicted."""

    baseline: str | None = None
    """Whom the others are compared with; default: the first."""
    method: str | None = None
    """Whom the prediction is about, and whose model the chain leaves."""
    predicted: Literal["higher", "lower", "equal"] | None = None
    """The method's scores beside the baseline's. Without it nothing is claimed."""
    margin: NonNegative = 0.0
    """For "equal": the largest difference that counts as none."""


@settings
class BudgetSettings:
    """What the trainings of an arm may consume, over all seeds."""

    equal: Counted | None = None
    """The same for all arms, within 2 %."""
    rows: Count | None = None
    """Rows that are learned from, each as often as it is."""
    tokens: Count | None = None
    """Tokens that are worked on."""
    steps: Count | None = None
    """Optimizer steps."""


@settings
class ChainSettings:
    """All of a file but its steps and arms."""

    out: str | None = None
    """The chain's folder; default: ``runs/`` and the file's name."""
    seed: Natural = 0
    """What every random draw is derived from."""
    seeds: tuple[Natural, ...] = ()
    """Several: whatever depends on the seed is computed for each."""
    compare: CompareSettings = CompareSettings()
    """What is compared."""
    budget: BudgetSettings = BudgetSettings()
    """What trainings may consume."""
