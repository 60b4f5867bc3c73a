"""Demonstrations as arrays, from which batches of steps, of later goals and of neighbours are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.policies.datasets.base import check_lengths
from biddable.types import Trajectory

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """Trajectories laid one after the other: E episodes, N actions, N + E observations.

    Attributes:
        instructions: [E] what was to be done.
        observations: name of each part -> [N + E, ...]; an episode's T + 1 stand together.
        actions: [N, ...].
        first: [E] the row of each episode's first observation.
        lengths: [E] its actions, T.
        episode: [N] the episode of each action.
        row: [N] the row of the observation before each action; the one after it is in the next row.
        sources: [E] what an episode shares with others that it is not independent of.
    """

    instructions: tuple[str, ...]
    observations: Mapping[str, Array]
    actions: Array
    first: NDArray[np.int64]
    lengths: NDArray[np.int64]
    episode: NDArray[np.int64]
    row: NDArray[np.int64]
    sources: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], parts: Sequence[str] = ("state",)) -> Demonstrations:
        """The arrays of trajectories.

        Args:
            trajectories: read one after the other, each once.
            parts: of the observations that are kept.

        Raises:
            InputError: no trajectory or none with a step, one without a part, or one whose observations or
                actions are of another shape, no numbers, or not finite, or that has not one observation more
                than actions.
        """
        if not len(trajectories):
            raise InputError("demonstrations", "none", "at least one")
        columns: dict[str, list[Array]] = {name: [] for name in (*parts, "action")}
        instructions, sources = [], []
        for i, trajectory in enumerate(trajectories):
            for name in parts:
                if name not in trajectory.observations:
                    known = ", ".join(sorted(trajectory.observations)) or "none"
                    raise InputError(
                        f"demonstrations[{i}]", f"without {name!r}", f"it among the parts: {known}"
                    )
                columns[name].append(_numbers(trajectory.observations[name], f"demonstrations[{i}].{name}"))
            check_lengths(trajectory, f"demonstrations[{i}]", parts)
            columns["action"].append(_numbers(trajectory.actions, f"demonstrations[{i}].actions"))
            instructions.append(trajectory.instruction)
            sources.append(str(trajectory.meta.get("source", i)))
        lengths = np.array([len(actions) for actions in columns["action"]])
        if not lengths.any():
            raise InputError("demonstrations", f"{len(lengths)} without a step", "at least one step")
        for name, arrays in columns.items():
            for i, array in enumerate(arrays):
                if array.shape[1:] != arrays[0].shape[1:]:
                    expected = f"{list(arrays[0].shape[1:])}, as in the first"
                    raise InputError(f"demonstrations[{i}].{name}", list(array.shape[1:]), expected)
        observations = {name: np.concatenate(columns[name]) for name in parts}
        return cls.laid(instructions, observations, np.concatenate(columns["action"]), lengths, sources)

    @classmethod
    def laid(
        cls,
        instructions: Sequence[str],
        observations: Mapping[str, Array],
        actions: Array,
        lengths: NDArray[np.int64],
        sources: Sequence[str] = (),
    ) -> Demonstrations:
        """Of arrays in which episodes of these lengths already lie one after the other."""
        first = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
        episode = np.repeat(np.arange(len(lengths)), lengths)
        t = np.arange(len(episode)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        row = first[episode] + t
        return cls(tuple(instructions), observations, actions, first, lengths, episode, row, tuple(sources))

    def __len__(self) -> int:
        """N, the number of actions."""
        return len(self.actions)

    @property
    def last(self) -> NDArray[np.int64]:
        """[E] the row of each episode's last observation."""
        return self.first + self.lengths

    def taken(self, episodes: NDArray[np.int64] | Sequence[int]) -> Demonstrations:
        """These episodes alone, in this order. Raises InputError: none."""
        if not len(episodes):
            raise InputError("episodes", "none", "at least one")
        chosen = np.asarray(episodes)
        starts = np.cumsum(self.lengths) - self.lengths
        rows = np.concatenate([np.arange(self.first[e], self.last[e] + 1) for e in chosen])
        actions = np.concatenate([np.arange(starts[e], starts[e] + self.lengths[e]) for e in chosen])
        return Demonstrations.laid(
            [self.instructions[e] for e in chosen],
            {name: part[rows] for name, part in self.observations.items()},
            self.actions[actions],
            self.lengths[chosen],
            [self.sources[e] for e in chosen],
        )

    def split(self, held_out: float, rng: np.random.Generator) -> tuple[Demonstrations, Demonstrations]:
        """To learn from, and held out, by source: none of what is held out shares one with the rest.

        Raises:
            InputError: fewer than two sources.
        """
        names = sorted({*self.sources})
        if len(names) < 2:
            raise InputError("demonstrations", f"{len(names)} source", "at least 2, to hold one out")
        count = min(max(1, round(held_out * len(names))), len(names) - 1)
        held = {names[i] for i in rng.permutation(len(names))[:count]}
        places = np.arange(len(self.sources))
        is_held = np.array([source in held for source in self.sources])
        return self.taken(places[~is_held]), self.taken(places[is_held])


def _numbers(values: Any, name: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise InputError(name, f"{array.dtype} of shape {list(array.shape)}", "numbers of one shape")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(name, "a number that is not finite", "finite numbers")
    return array
