"""Styles of demonstrators, and the sizes of an experiment with them. Needs no simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Style = Literal["up-right", "right-up", "straight"]

BASE_STYLE: Style = "up-right"
STYLES: Mapping[str, tuple[Style, ...]] = {
    "Reach2D": ("up-right", "right-up", "straight"),
    "Reach2DPillar": ("up-right", "right-up"),
}
"""The styles in which each task is demonstrated; in Reach2DPillar the straight way is blocked."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of an experiment; see the fields of the same names in ``CompatibleDemosConfig``."""

    base_demos: int
    new_demos: int
    reverse_demos: int
    cases: int
    action_noise: float
    max_incompatible: int
    style_change_probability: float
    max_offers: int
