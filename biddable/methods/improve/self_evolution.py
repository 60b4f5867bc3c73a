"""SELF: self-evolution with language feedback (Lu et al., 2023, arXiv 2310.00533)."""

from __future__ import annotations

from collections.abc import Sequence

from biddable.types import Chat, Message, Preference


def refined_conversations(pairs: Sequence[Preference]) -> list[Chat]:
    """The refined answer of each pair as what is to be said."""
    return [(*pair.prompt, Message("assistant", pair.chosen)) for pair in pairs]
