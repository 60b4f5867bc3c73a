"""Gymnasium's spaces as Minari writes them down, and whether two of actions are the same."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from biddable.errors import FileError, InputError, MissingDependency
from biddable.policies.datasets.base import ActionSpec, Trajectories
from biddable.types import Trajectory

Path = tuple[str | int, ...]
_TRIED = 10
"""Episodes that are tried until one is whole."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A space without parts. ``path`` says where it stands: keys of dictionaries, places in tuples."""

    path: Path
    type: str
    shape: tuple[int, ...]
    dtype: str
    described: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the part of the observations; without parts, the one that ``envs.gymnasium`` gives it."""
        if self.path:
            return ".".join(map(str, self.path))
        if self.is_text:
            return "text"
        if self.type == "Box" and self.dtype == "uint8" and len(self.shape) == 3:
            return "image"
        return "state" if self.type == "Box" and len(self.shape) == 1 else "observation"

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.type == "Text"

    @property
    def is_picture(self) -> bool:
        """Whether Minari would store it as JPEG: it looks at nothing else than shape, type and limits."""
        return (
            self.type == "Box"
            and len(self.shape) in {2, 3}
            and min(self.shape[:2]) >= 32
            and self.dtype == "uint8"
            and not np.any(self.described["low"])
            and bool(np.all(np.asarray(self.described["high"]) == 255))
        )

    def action(self) -> ActionSpec:
        """What an action of this space is."""
        about = self.described
        if self.type == "Box":
            low, high = (tuple(float(x) for x in np.ravel(about[name])) for name in ("low", "high"))
            known = all(map(math.isfinite, (*low, *high)))
            return ActionSpec("box", self.shape, low if known else (), high if known else ())
        if self.type == "Discrete":
            return ActionSpec("discrete", (), choices=(int(about["n"]),), start=int(about.get("start", 0)))
        if self.type == "MultiDiscrete":
            return ActionSpec("multi", self.shape, choices=tuple(int(n) for n in np.ravel(about["nvec"])))
        if self.type == "MultiBinary":
            return ActionSpec("multi", self.shape, choices=(2,) * math.prod(self.shape))
        if self.type == "Integers":  # of a data set that does not say how many there are
            return ActionSpec("discrete")
        return ActionSpec("other")


def leaves(described: dict[str, Any], path: Path = ()) -> Iterator[Leaf]:
    """The spaces without parts in a space as Minari describes it.

    Raises:
        ValueError: a kind of space that is not read.
        KeyError: a description that is not whole.
    """
    kind = described["type"]
    if kind == "Dict":
        for key, part in described["subspaces"].items():
            yield from leaves(part, (*path, key))
    elif kind == "Tuple":
        for place, part in enumerate(described["subspaces"]):
            yield from leaves(part, (*path, place))
    elif kind == "Box":
        yield Leaf(path, kind, tuple(described["shape"]), str(np.dtype(described["dtype"])), described)
    elif kind == "Discrete":
        yield Leaf(path, kind, (), "int64", described)
    elif kind == "MultiDiscrete":
        yield Leaf(path, kind, np.shape(described["nvec"]), str(np.dtype(described["dtype"])), described)
    elif kind == "MultiBinary":
        n = described["n"]
        yield Leaf(path, kind, (n,) if isinstance(n, int) else tuple(n), "int8", described)
    elif kind == "Text":
        yield Leaf(path, kind, (), "str", described)
    else:
        raise ValueError(f"a space of type {kind!r}, which is not read")


def described(space: Any) -> dict[str, Any]:
    """A Gymnasium space as Minari describes it.

    Raises:
        InputError: a kind of space that Minari has not.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "subspaces": {key: described(part) for key, part in space.items()}}
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "subspaces": [described(part) for part in space]}
    if isinstance(space, spaces.Box):
        limits = {"low": space.low.tolist(), "high": space.high.tolist()}
        return {"type": "Box", "dtype": str(space.dtype), "shape": list(space.shape), **limits}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "dtype": "int64", "start": int(space.start), "n": int(space.n)}
    if isinstance(space, spaces.MultiDiscrete):
        about = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        return {"type": "MultiDiscrete", "dtype": str(space.dtype), **about}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.n)}
    if isinstance(space, spaces.Text):
        return {"type": "Text"}
    raise InputError("space", space, "a Dict, Tuple, Box, Discrete, MultiDiscrete, MultiBinary or Text")


def action_of_space(space: Any) -> ActionSpec:
    """What an action of a Gymnasium space is."""
    try:
        about = described(space)
    except InputError:
        return ActionSpec("other")
    return next(leaves(about)).action() if "subspaces" not in about else ActionSpec("other")


def action_of(trajectories: Sequence[Trajectory]) -> ActionSpec:
    """What an action is in a data set, or in trajectories from elsewhere: as the first one has it."""
    if isinstance(trajectories, Trajectories):
        return trajectories.spec.action
    actions = trajectories[0].actions
    if not isinstance(actions, np.ndarray) or actions.dtype.kind not in "iuf":
        return ActionSpec("other")
    if actions.dtype.kind == "f":
        return ActionSpec("box", actions.shape[1:])
    return ActionSpec("multi" if actions.ndim > 1 else "discrete", actions.shape[1:])


def check_actions(trajectories: Sequence[Trajectory], env: Any) -> None:
    """Check that the actions of a data set are those of an environment.

    Where the data set does not say between which limits its numbers lie, those of its first whole episode
    count.

    Args:
        trajectories: the data set.
        env: the environment, a vector environment, or its space of actions.

    Raises:
        InputError: they are not, of another size, with other limits or in other units; it says what both
            have.
    """
    theirs = action_of(trajectories)
    space = getattr(env, "single_action_space", None) or getattr(env, "action_space", env)
    ours = action_of_space(space)
    same = theirs.kind == ours.kind and theirs.shape == ours.shape and theirs.start == ours.start
    for one, other in (
        (theirs.choices, ours.choices),
        (theirs.low, ours.low),
        (theirs.high, ours.high),
    ):
        if one and other:
            same = same and np.allclose(one, other)
    place = str(trajectories.path) if isinstance(trajectories, Trajectories) else None
    if not same:
        raise InputError("the data set's action", str(theirs), f"the environment's: {ours}", where=place)
    if not theirs.low:
        for i in range(min(len(trajectories), _TRIED)):
            with contextlib.suppress(FileError, MissingDependency):  # of an episode that is not whole
                check_units(trajectories[i].actions, ours, place)
                break


def check_units(actions: Any, env: ActionSpec, where: str | None = None) -> None:
    """Check that actions [N, ...] lie where those of an environment do: degrees are no radians.

    Single ones may lie outside, where an environment cuts them off itself; one without limits takes all.

    Raises:
        InputError: more than half of what stands at one place in an action lies outside.
    """
    if not env.low:
        return
    flat = np.asarray(actions, np.float64).reshape(len(actions), -1)
    low, high = np.array(env.low), np.array(env.high)
    slack = 1e-3 * (high - low)
    outside = ((flat < low - slack) | (flat > high + slack)).mean(0) > 0.5
    for place in np.flatnonzero(outside)[:1]:
        actual = f"from {flat[:, place].min():g} to {flat[:, place].max():g}"
        expected = f"in the environment's units, from {low[place]:g} to {high[place]:g}"
        raise InputError(f"number {place} of the data set's actions", actual, expected, where=where)
