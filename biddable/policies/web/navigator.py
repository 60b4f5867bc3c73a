"""Policies for web pages: a network that values actions, and one that draws them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from biddable.envs.web import WebAction
from biddable.policies.dqn import greedy
from biddable.policies.web.features import Sizes, action_at, featurize
from biddable.policies.web.qweb import QWeb

SIZES = Sizes(elements=48, fields=7)


class Navigator:
    """A network as a policy: the action with the highest value on each page."""

    def __init__(self, network: QWeb, sizes: Sizes = SIZES):
        self.network, self.sizes = network, sizes

    @classmethod
    def load(cls, path: str | Path, *, shallow: bool = True) -> Navigator:
        """The policy of a weights file."""
        network = QWeb(shallow=shallow)
        network.load_state_dict(load_file(path))
        return cls(network)

    def act(self, observations: Sequence[dict[str, Any]]) -> list[WebAction]:
        """See ``Policy.act``. Elements and fields beyond ``sizes`` are left out."""
        inputs = [featurize(obs, self.sizes, truncate=True) for obs in observations]
        places = greedy(self.network, tuple(np.stack(parts) for parts in zip(*inputs, strict=True)))
        return [
            action_at(place, obs["dom"], self.sizes)
            for place, obs in zip(places.tolist(), observations, strict=True)
        ]


class RandomNavigator:
    """Draws among the actions that can be taken, with the mask's weights, as a learner explores."""

    def __init__(self, seed: int, sizes: Sizes = SIZES):
        self._rng, self._sizes = np.random.default_rng(seed), sizes

    def act(self, observations: Sequence[dict[str, Any]]) -> list[WebAction]:
        """See ``Policy.act``."""
        masks = [featurize(obs, self._sizes, truncate=True)[-1] for obs in observations]
        return [
            action_at(int(self._rng.choice(len(mask), p=mask / mask.sum())), obs["dom"], self._sizes)
            for mask, obs in zip(masks, observations, strict=True)
        ]
