"""A small policy from vectors to actions, as imitation and PPO train it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biddable.errors import InputError
from biddable.policies.heads import Head, head_of
from biddable.policies.networks import MLP


class ActorCritic(nn.Module):
    """Two networks for vectors [N, size]: outputs [N, head.outputs] and values [N].

    Args:
        size: of the vectors.
        outputs: of the head.
        hidden: width of each hidden layer.
    """

    def __init__(self, size: int, outputs: int, hidden: Sequence[int] = (64, 64)):
        super().__init__()
        self.actor = MLP(size, outputs, hidden=hidden, gain=0.01, activation="tanh")
        self.critic = MLP(size, 1, hidden=hidden, activation="tanh")

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and values."""
        return self.actor(state), self.critic(state)[:, 0]


def state_of(observation: Mapping[str, Any]) -> tuple[NDArray[np.float32]]:
    """The features of an observation that a network of vectors takes. Raises InputError: it has no state."""
    if "state" not in observation:
        raise InputError("observation", sorted(observation), "one with a vector 'state'")
    return (np.asarray(observation["state"], dtype=np.float32),)


class StatePolicy:
    """Takes the likeliest action for the ``state`` of an observation.

    Args:
        network: see ``ActorCritic``.
        head: what its outputs say about actions.
        size: of the state.
        hidden: as in the network.
    """

    kind: ClassVar[str] = "state"

    def __init__(self, network: ActorCritic, head: Head, size: int, hidden: Sequence[int] = (64, 64)):
        self.network, self.head, self.size, self.hidden = network.eval(), head, size, tuple(hidden)

    @torch.no_grad()
    def act(self, observations: Sequence[dict[str, Any]]) -> list[Any]:
        """See ``Policy.act``. Raises InputError: states of another size."""
        states = np.stack([state_of(observation)[0] for observation in observations])
        if states.shape[1:] != (self.size,):
            raise InputError("state", list(states.shape[1:]), f"[{self.size}], as it was trained on")
        actions = self.head.mode(self.network(torch.from_numpy(states))[0])
        return actions.tolist() if actions.ndim == 1 else list(actions)

    def settings(self) -> dict[str, Any]:
        """See ``SavablePolicy``."""
        return {"head": self.head.settings(), "size": self.size, "hidden": list(self.hidden)}

    def tensors(self) -> dict[str, Tensor]:
        """See ``SavablePolicy``."""
        return self.network.state_dict()

    @classmethod
    def restored(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """See ``SavablePolicy``."""
        head, size, hidden = head_of(settings["head"]), int(settings["size"]), settings["hidden"]
        network = ActorCritic(size, head.outputs, hidden)
        network.load_state_dict(dict(tensors))
        return cls(network, head, size, hidden)
