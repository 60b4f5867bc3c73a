"""What an experiment is told: who does what how, and how much of everything. Needs no simulator."""

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
"""How people do each task; straight ahead there is a pillar in the second."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; see the method's configuration."""

    base: int
    new: int
    back: int
    cases: int
    noise: float
    limit: int
    learns: float
    most_offers: int
