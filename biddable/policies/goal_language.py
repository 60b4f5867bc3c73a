"""Policies that take a goal or an instruction: encoders of both into one space, and what acts on it.

    z = h(s0, g)    of the change from the first observation to the goal
    z = f(l)        of the instruction's MiniLM vector
    pi(a | s, z)    what acts

Source: GRIF (arXiv 2307.00117, sec. 4).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from biddable.errors import InputError
from biddable.models.embedding import TextVectors, minilm
from biddable.policies.contrastive import Temperature
from biddable.policies.goal_networks import Seen, TransitionEncoder, actor
from biddable.policies.heads import Head, head_of
from biddable.policies.networks import MLP

TEXT = 384
"""Numbers of a MiniLM vector."""


class GoalLanguageNetwork(nn.Module):
    """f, h, pi and the temperature of their alignment.

    Args:
        seen: what observations are.
        outputs: of the head.
        width: of z.
        start: whether h looks at the first observation.
        channels, hidden: of the layers.
    """

    mean: Tensor
    deviation: Tensor
    centre: Tensor

    def __init__(
        self,
        seen: Seen,
        outputs: int,
        *,
        width: int = 64,
        start: bool = True,
        channels: int = 32,
        hidden: int = 128,
    ):
        super().__init__()
        self.seen = seen
        sizes = {"channels": channels, "hidden": hidden}
        self.built = {"width": width, "start": start, **sizes}
        self.f = MLP(TEXT, width, hidden=(hidden,))
        self.h = TransitionEncoder(seen, width, start=start, **sizes)
        self.pi = actor(seen, width, outputs, channels=channels, hidden=hidden)
        self.temperature = Temperature()
        size = seen.shape[0] if seen.kind == "vectors" else 1
        self.register_buffer("centre", torch.zeros(TEXT))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def standardise(self, observations: Tensor, vectors: Tensor) -> None:
        """Take means and deviations of vectors, and the middle of instructions, from what is learned from.

        Instructions of one kind share most words: what tells them apart is a small part of their vectors.
        """
        if self.seen.kind == "vectors":
            self.mean, deviation = observations.float().mean(0), observations.float().std(0, unbiased=False)
            self.deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
        self.centre = vectors.mean(0)

    def language(self, vectors: Tensor) -> Tensor:
        """z [N, width] of instructions' MiniLM vectors [N, 384], of length 1."""
        return F.normalize(self.f((vectors - self.centre) * math.sqrt(TEXT)), dim=-1)

    def transition(self, initial: Tensor, goal: Tensor) -> Tensor:
        """z [N, width] of first observations and goals, of length 1."""
        return F.normalize(self.h(self._input(initial), self._input(goal)), dim=-1)

    def outputs(self, obs: Tensor, z: Tensor) -> Tensor:
        """The head's outputs [N, outputs] for observations and z."""
        return self.pi(self._input(obs), z)

    def _input(self, obs: Tensor) -> Tensor:
        return (obs.float() - self.mean) / self.deviation if self.seen.kind == "vectors" else obs


class GoalLanguagePolicy:
    """Takes the likeliest action for an instruction, or for a goal.

    An observation says what to do by its ``instruction``; or by ``goal``, what is to be seen in the end, with
    ``initial``, what was seen first, and an instruction that is empty or missing.

    Args:
        network: see ``GoalLanguageNetwork``.
        head: what its outputs say about actions.
        encode: texts -> [texts, 384]; MiniLM without.
    """

    kind: ClassVar[str] = "goal-language"

    def __init__(self, network: GoalLanguageNetwork, head: Head, encode: Any = None):
        self.network, self.head = network.eval(), head
        self._vectors = TextVectors(encode or minilm_once)

    @torch.no_grad()
    def act(self, observations: Sequence[Mapping[str, Any]]) -> list[Any]:
        """See ``Policy.act``.

        Raises:
            InputError: both or neither of instruction and goal, a goal without the first observation, or an
                observation of another shape.
        """
        network = self.network
        current = self._batch([self._part(observation) for observation in observations])
        by_goal = [_is_goal(observation) for observation in observations]
        z = torch.empty(len(observations), network.built["width"])
        told = [i for i, is_goal in enumerate(by_goal) if not is_goal]
        shown = [i for i, is_goal in enumerate(by_goal) if is_goal]
        if told:
            texts = [str(observations[i]["instruction"]) for i in told]
            z[told] = network.language(torch.from_numpy(self._vectors(texts)))
        if shown:
            initial, goal = (
                self._batch([observations[i][name] for i in shown]) for name in ("initial", "goal")
            )
            z[shown] = network.transition(initial, goal)
        actions = self.head.mode(network.outputs(current, z))
        return actions.tolist() if actions.ndim == 1 else list(actions)

    def settings(self) -> dict[str, Any]:
        """See ``SavablePolicy``."""
        return {"head": self.head.settings(), "seen": asdict(self.network.seen), **self.network.built}

    def tensors(self) -> dict[str, Tensor]:
        """See ``SavablePolicy``."""
        return self.network.state_dict()

    @classmethod
    def restored(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """See ``SavablePolicy``."""
        head, about = head_of(settings["head"]), settings["seen"]
        seen = Seen(str(about["part"]), about["kind"], tuple(map(int, about["shape"])))
        sizes = {name: int(settings[name]) for name in ("width", "channels", "hidden")}
        network = GoalLanguageNetwork(seen, head.outputs, start=bool(settings["start"]), **sizes)
        network.load_state_dict(dict(tensors))
        return cls(network, head)

    def _part(self, observation: Mapping[str, Any]) -> Any:
        part = self.network.seen.part
        if part not in observation:
            raise InputError("observation", sorted(observation), f"one with the part {part!r}")
        return observation[part]

    def _batch(self, values: Sequence[Any]) -> Tensor:
        return torch.from_numpy(np.stack([self.network.seen.array(value) for value in values]))


def _is_goal(observation: Mapping[str, Any]) -> bool:
    """Whether an observation says by a goal what to do. Raises InputError: by both, or by neither."""
    goal, text = observation.get("goal"), str(observation.get("instruction") or "").strip()
    if (goal is None) == (not text):
        given = "both" if text else "neither"
        raise InputError("instruction, goal", given, "one of them: an instruction, or a goal with 'initial'")
    if goal is not None and observation.get("initial") is None:
        raise InputError("initial", None, "the first observation of the episode, beside the goal")
    return goal is not None


def minilm_once(texts: Sequence[str]) -> NDArray[np.float32]:
    """MiniLM's vectors [texts, 384]; the model is loaded at the first text of a process."""
    return _encoder()(texts)


@functools.cache
def _encoder() -> Any:
    return minilm()
