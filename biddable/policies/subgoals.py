"""Policies that reach goals, and what makes goals of an instruction on the way: SOAR's two halves.

    g(s, l)      what is to be seen k steps later, of an instruction's MiniLM vector l
    pi(a | s, g) what acts; the same network takes instructions instead: pi(a | s, f(l)), with g = s

Source: SOAR (arXiv 2407.20635, sec. 3); sub-goals as in SuSIE (arXiv 2310.10639).
"""

from __future__ import annotations

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
from biddable.models.embedding import TextVectors
from biddable.policies.goal_language import TEXT, minilm_once
from biddable.policies.goal_networks import AGENT, Seen, actor, with_places
from biddable.policies.heads import Head, head_of
from biddable.policies.networks import CELL_NAMES, MLP, CellStem, FiLMBlock, PictureStem, orthogonal

_COPY = 6.0
"""How much likelier, at first, what is in a cell stays there than that anything else comes, in nats."""


class ReachNetwork(nn.Module):
    """pi(a | s, g, z): for goals z is 0, for instructions z = f(l) and g = s. Both have the same weights.

    Args:
        seen: what observations are.
        outputs: of the head.
        width: of z; channels, hidden: of the layers.
    """

    centre: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, seen: Seen, outputs: int, *, width: int = 64, channels: int = 16, hidden: int = 128):
        super().__init__()
        self.seen, self.built = seen, {"width": width, "channels": channels, "hidden": hidden}
        self.f = MLP(TEXT, width, hidden=(hidden,))
        self.pi = actor(seen, width, outputs, channels=channels, hidden=hidden, goals=True)
        size = seen.shape[0] if seen.kind == "vectors" else 1
        self.register_buffer("centre", torch.zeros(TEXT))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def standardise(self, observations: Tensor, vectors: Tensor) -> None:
        """Take means and deviations of vectors, and the middle of instructions, from what is learned from."""
        if self.seen.kind == "vectors":
            self.mean, self.deviation = _moments(observations)
        self.centre = vectors.mean(0)

    def toward(self, obs: Tensor, goal: Tensor) -> Tensor:
        """The head's outputs [N, outputs] for goals, what is to be seen."""
        z = torch.zeros(len(obs), self.built["width"], device=obs.device)
        return self.pi(self._input(obs), z, self._input(goal))

    def told(self, obs: Tensor, vectors: Tensor) -> Tensor:
        """The head's outputs [N, outputs] for instructions' vectors [N, 384]."""
        z = F.normalize(self.f((vectors - self.centre) * math.sqrt(TEXT)), dim=-1)
        return self.pi(self._input(obs), z, self._input(obs))

    def _input(self, obs: Tensor) -> Tensor:
        return (obs.float() - self.mean) / self.deviation if self.seen.kind == "vectors" else obs


class SubgoalModel(nn.Module):
    """g(s, l): what is to be seen some steps later, as a change of what is seen now.

    Of cells it gives the log-probability of each name [N, W, H, 3, names]; of pictures and vectors numbers.

    Args:
        seen: what observations are.
        channels, hidden: of the layers; blocks: how many FiLM layers.
    """

    centre: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, seen: Seen, *, channels: int = 32, hidden: int = 128, blocks: int = 4):
        super().__init__()
        self.seen, self.built = seen, {"channels": channels, "hidden": hidden, "blocks": blocks}
        self.f = MLP(TEXT, hidden, hidden=(hidden,))
        size = seen.shape[0] if seen.kind == "vectors" else 1
        self.register_buffer("centre", torch.zeros(TEXT))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        if seen.kind == "vectors":
            self.body = MLP(size + hidden, size, hidden=(hidden, hidden), gain=0.01)
            return
        self.stem = CellStem(channels) if seen.kind == "cells" else PictureStem(channels)
        self.blocks = nn.ModuleList(FiLMBlock(channels, hidden) for _ in range(blocks))
        self.around = nn.ModuleList(nn.Linear(2 * channels, channels) for _ in range(blocks))
        self.last = orthogonal(nn.Conv2d(channels + 2, 2 * channels, 1))
        outputs = 3 * CELL_NAMES if seen.kind == "cells" else 3 * 64
        self.out = orthogonal(nn.Conv2d(2 * channels, outputs, 1), 0.01)

    def standardise(self, observations: Tensor, vectors: Tensor) -> None:
        """As ``ReachNetwork.standardise``."""
        if self.seen.kind == "vectors":
            self.mean, self.deviation = _moments(observations)
        self.centre = vectors.mean(0)

    def forward(self, obs: Tensor, vectors: Tensor) -> Tensor:
        """See the class; ``vectors`` [N, 384]."""
        text = self.f((vectors - self.centre) * math.sqrt(TEXT))
        if self.seen.kind == "vectors":
            change = self.body((obs.float() - self.mean) / self.deviation, text)
            return obs.float() + change * self.deviation
        features = self.stem(obs)
        for block, around in zip(self.blocks, self.around, strict=True):
            features = block(features, text)
            whole = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
            features = features + around(whole)[:, :, None, None]
        outputs = self.out(self.last(with_places(features)).relu())
        if self.seen.kind == "cells":
            names = outputs.movedim(1, -1).unflatten(-1, (3, CELL_NAMES))  # [N, W, H, 3, names]
            return (names + _COPY * F.one_hot(obs.long(), CELL_NAMES)).log_softmax(-1)
        height, width, _ = self.seen.shape
        change = F.pixel_shuffle(outputs, 8)[:, :, :height, :width].movedim(1, -1)
        return obs.float() / 255 + change

    def loss(self, obs: Tensor, vectors: Tensor, later: Tensor) -> Tensor:
        """[] how unlikely what was seen later is: of cells -log probabilities, a sum over an observation's
        cells; else mean squares."""
        outputs = self(obs, vectors)
        if self.seen.kind == "cells":
            chosen = outputs.gather(-1, later.long()[..., None])[..., 0]
            return -chosen.sum((1, 2, 3)).mean()
        if self.seen.kind == "vectors":
            return ((outputs - later.float()) / self.deviation).square().mean()
        return 10 * (outputs - later.float() / 255).square().mean()

    @torch.no_grad()
    def predict(self, obs: Tensor, vectors: Tensor) -> Tensor:
        """The likeliest sub-goals, as observations. A grid with an agent in it keeps exactly one."""
        outputs = self(obs, vectors)
        if self.seen.kind == "vectors":
            return outputs
        if self.seen.kind == "pictures":
            return (outputs.clamp(0, 1) * 255).round().byte()
        chosen = outputs.argmax(-1)  # [N, W, H, 3]
        has = (obs[..., 0] == AGENT).flatten(1).any(1)
        if has.any():
            agent = outputs[..., 0, AGENT].flatten(1).argmax(1)  # [N] where it is likeliest
            others = outputs[..., 0, :].clone()
            others[..., AGENT] = -torch.inf
            flat = torch.where(has[:, None], others.argmax(-1).flatten(1), chosen[..., 0].flatten(1))
            at = torch.zeros_like(flat, dtype=torch.bool).scatter(1, agent[:, None], True) & has[:, None]
            names = torch.where(at, AGENT, flat).view_as(chosen[..., 0])
            left = (obs[..., 0] == AGENT) & (names != AGENT)  # what an agent leaves is an empty cell: 1, 0, 0
            chosen = torch.cat([names[..., None], torch.where(left[..., None], 0, chosen[..., 1:])], -1)
        return chosen.to(torch.uint8)


class SubgoalPolicy:
    """Follows an instruction by sub-goals: g makes one every k steps, pi reaches it.

    It remembers an episode's sub-goal where it is told which episode an observation is of (``act_in``, as
    ``rollouts`` does); asked by ``act`` alone it makes a new one each time.

    Args:
        model: g.
        network: pi.
        head: what pi's outputs say about actions.
        steps_per_subgoal: k.
        max_subgoals: of an episode; the last one stays.
        encode: texts -> [texts, 384]; MiniLM without.
        rng: draws actions; without, an episode takes the likeliest.
        p_likeliest: with ``rng``, the share of episodes that take the likeliest actions all the same.

    Raises:
        InputError: a number below 1, or networks of other observations.
    """

    kind: ClassVar[str] = "subgoals"

    def __init__(
        self,
        model: SubgoalModel,
        network: ReachNetwork,
        head: Head,
        steps_per_subgoal: int = 20,
        max_subgoals: int = 5,
        *,
        encode: Any = None,
        rng: np.random.Generator | None = None,
        p_likeliest: float = 0.2,
    ):
        for name, value in (("steps_per_subgoal", steps_per_subgoal), ("max_subgoals", max_subgoals)):
            if value < 1:
                raise InputError(name, value, "an integer of at least 1")
        if model.seen != network.seen:
            raise InputError("model", model.seen, f"a model of what the policy sees: {network.seen}")
        self.model, self.network, self.head = model.eval(), network.eval(), head
        self.steps_per_subgoal, self.max_subgoals = steps_per_subgoal, max_subgoals
        self._vectors = TextVectors(encode or minilm_once)
        self._rng, self._p_likeliest = rng, p_likeliest
        self._episodes: dict[int, _Episode] = {}

    def act(self, observations: Sequence[Mapping[str, Any]]) -> list[Any]:
        """See ``Policy.act``: as in the first step of an episode.

        Raises:
            InputError: an observation of another shape, or without an instruction.
        """
        return self._act(observations, [_Episode(self._likeliest()) for _ in observations])

    def act_in(self, observations: Sequence[Mapping[str, Any]], episodes: Sequence[int]) -> list[Any]:
        """See ``EpisodicPolicy.act_in``."""
        before = self._episodes
        self._episodes = {i: before.get(i) or _Episode(self._likeliest()) for i in episodes}
        return self._act(observations, [self._episodes[i] for i in episodes])

    def subgoals(self, observations: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
        """[N, ...] what is to be seen next, for each observation with its instruction."""
        return self._subgoals(self._seen(observations), observations).numpy()

    @torch.no_grad()
    def _act(self, observations: Sequence[Mapping[str, Any]], episodes: list[_Episode]) -> list[Any]:
        current = self._seen(observations)
        due = [i for i, each in enumerate(episodes) if each.due(self.steps_per_subgoal, self.max_subgoals)]
        if due:
            made = self._subgoals(current[due], [observations[i] for i in due])
            for i, goal in zip(due, made, strict=True):
                episodes[i].goal = goal
        goals = torch.stack([each.goal for each in episodes if each.goal is not None])
        outputs = self.network.toward(current, goals)
        actions = self.head.mode(outputs)
        if self._rng is not None:
            likeliest = np.array([each.likeliest for each in episodes])
            drawn = self.head.to_env(self.head.sample(outputs, self._rng))
            actions = np.where(likeliest.reshape(-1, *[1] * (actions.ndim - 1)), actions, drawn)
        for each in episodes:
            each.steps += 1
        return actions.tolist() if actions.ndim == 1 else list(actions)

    def settings(self) -> dict[str, Any]:
        """See ``SavablePolicy``."""
        return {
            "head": self.head.settings(),
            "seen": asdict(self.network.seen),
            "pi": self.network.built,
            "g": self.model.built,
            "steps_per_subgoal": self.steps_per_subgoal,
            "max_subgoals": self.max_subgoals,
        }

    def tensors(self) -> dict[str, Tensor]:
        """See ``SavablePolicy``."""
        parts = {"pi": self.network.state_dict(), "g": self.model.state_dict()}
        return {f"{part}.{name}": value for part, of in parts.items() for name, value in of.items()}

    @classmethod
    def restored(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """See ``SavablePolicy``."""
        head, about = head_of(settings["head"]), settings["seen"]
        seen = Seen(str(about["part"]), about["kind"], tuple(map(int, about["shape"])))
        pi, g = ({name: int(size) for name, size in settings[part].items()} for part in ("pi", "g"))
        network, model = ReachNetwork(seen, head.outputs, **pi), SubgoalModel(seen, **g)
        for part, of in (("pi.", network), ("g.", model)):
            of.load_state_dict({n.removeprefix(part): v for n, v in tensors.items() if n.startswith(part)})
        return cls(model, network, head, int(settings["steps_per_subgoal"]), int(settings["max_subgoals"]))

    def _likeliest(self) -> bool:
        return self._rng is None or bool(self._rng.random() < self._p_likeliest)

    def _subgoals(self, current: Tensor, observations: Sequence[Mapping[str, Any]]) -> Tensor:
        texts = [str(each.get("instruction") or "").strip() for each in observations]
        if "" in texts:
            raise InputError("instruction", "", "what is to be done, in words")
        return self.model.predict(current, torch.from_numpy(self._vectors(texts)))

    def _seen(self, observations: Sequence[Mapping[str, Any]]) -> Tensor:
        part = self.network.seen.part
        for each in observations:
            if part not in each:
                raise InputError("observation", sorted(each), f"one with the part {part!r}")
        return torch.from_numpy(np.stack([self.network.seen.array(each[part]) for each in observations]))


class ToldPolicy:
    """Takes the likeliest action for an instruction: imitation from language (LCBC).

    Args:
        network: pi, which was taught instructions.
        head, encode: see ``SubgoalPolicy``.
    """

    def __init__(self, network: ReachNetwork, head: Head, encode: Any = None):
        self.network, self.head = network.eval(), head
        self._vectors = TextVectors(encode or minilm_once)

    @torch.no_grad()
    def act(self, observations: Sequence[Mapping[str, Any]]) -> list[Any]:
        """See ``Policy.act``."""
        seen = self.network.seen
        current = torch.from_numpy(np.stack([seen.array(each[seen.part]) for each in observations]))
        vectors = torch.from_numpy(self._vectors([str(each["instruction"]) for each in observations]))
        actions = self.head.mode(self.network.told(current, vectors))
        return actions.tolist() if actions.ndim == 1 else list(actions)


class _Episode:
    """What is remembered of an episode."""

    __slots__ = ("goal", "likeliest", "steps")

    def __init__(self, likeliest: bool):
        self.goal: Tensor | None = None
        self.steps, self.likeliest = 0, likeliest

    def due(self, every: int, most: int) -> bool:
        """Whether it is time for a sub-goal."""
        return self.steps % every == 0 and self.steps < every * most


def _moments(observations: Tensor) -> tuple[Tensor, Tensor]:
    mean, deviation = observations.float().mean(0), observations.float().std(0, unbiased=False)
    return mean, torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
