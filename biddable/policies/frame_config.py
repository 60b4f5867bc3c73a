"""How parsers of robot tasks are built, and what they tell apart. Torch is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biddable.config import Count, Positive, Share, settings
from biddable.tasks.frames import UNKNOWN, InstructionExample

Kind = Literal["nested", "flat"]
States = Sequence[NDArray[np.float16]]
"""Of each sentence [words, numbers of a state], as ``models.token_states`` gives them."""


@settings
class ParserConfig:
    """How a parser is built and fitted."""

    width: Count = 128
    """Numbers in a state of its encoder and decoders; even."""
    dropout: Share = 0.3
    """Share of numbers left out while it learns."""
    lr: Positive = 2e-3
    """Adam's highest learning rate; it falls to zero in a line."""
    batch_size: Count = 16
    """Instructions in a step."""
    epochs: Count = 24
    """Passes over the data; of the second half, the weights that are best on the validation rows are kept."""
    max_grad_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it."""
    max_tasks: Count = 8
    """Tasks that are read off an instruction at most."""
    max_arguments: Count = 10
    """Arguments of a task at most."""
    max_symbols: Count = 100
    """Symbols of a flat sequence at most."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a parser tells apart; each list is numbered from 1, for 0 is the end."""

    skills: tuple[str, ...]
    roles: tuple[str, ...]
    objects: tuple[str, ...]

    @classmethod
    def of(cls, examples: Sequence[InstructionExample]) -> Labels:
        """Those that examples have."""
        tasks = [task for each in examples for task in each.tasks]
        arguments = [each for task in tasks for each in task.arguments]
        return cls(
            tuple(sorted({task.skill for task in tasks})),
            tuple(sorted({each.role for each in arguments})),
            tuple(sorted({each.object_class for each in arguments} - {UNKNOWN})),
        )

    @property
    def symbols(self) -> list[tuple[str, str]]:
        """The labels of a flat sequence: (kind, name), the end first."""
        named = (("skill", self.skills), ("role", self.roles), ("object", (UNKNOWN, *self.objects)))
        return [("end", ""), *((kind, name) for kind, names in named for name in names)]
