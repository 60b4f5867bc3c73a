"""Motions in words: what a robot does over the next steps, read off its own senses ("move left and up").

The labels of RT-H (arXiv 2403.01823, section IV): the change of each axis over a few steps, without those
that hardly change, the largest first.

    vocabulary = MotionVocabulary.of(("x", "y", "z", "opening"), [positions], threshold=0.25, horizon=3)
    vocabulary.label(positions)                    # ["move forward and left", …]
    vocabulary.parse("move left and close gripper")  # [0, 1, 0, -1]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError

WORDS = {
    "x": ("move forward", "move backward"),
    "y": ("move left", "move right"),
    "z": ("move up", "move down"),
    "roll": ("roll right", "roll left"),
    "pitch": ("tilt down", "tilt up"),
    "yaw": ("turn left", "turn right"),
    "opening": ("open gripper", "close gripper"),
    "grip": ("close gripper", "open gripper"),
    "base": ("drive forward", "drive backward"),
    "heading": ("steer left", "steer right"),
}
"""Axis -> what it is called that it grows, and that it falls; x is forward, y left, z up."""
STILL = "stay still"
AND = " and "
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MotionVocabulary:
    """Words for the motions of D axes.

    Attributes:
        axes: [D] their names.
        words: [D] of each, what is said where it grows, and where it falls.
        scale: [D] how far each goes within the horizon where it goes far; changes are divided by it, so that
            metres, radians and gripper units compare. 0 for an axis that never moves.
        threshold: the share of ``scale`` below which a change is not spoken of.
        horizon: steps over which a change is taken.
        most: how many motions a phrase names at most.

    Raises:
        InputError: one of them is not so.
    """

    axes: tuple[str, ...]
    words: tuple[tuple[str, str], ...]
    scale: tuple[float, ...]
    threshold: float = 0.25
    horizon: int = 3
    most: int = 3

    def __post_init__(self) -> None:
        if not self.axes or len({*self.axes}) < len(self.axes):
            raise InputError("axes", list(self.axes), "names, at least one and each once")
        if not len(self.axes) == len(self.words) == len(self.scale):
            raise InputError("words", list(self.words), f"a pair for each of {', '.join(self.axes)}")
        spoken = [word for pair in self.words for word in pair]
        for word in spoken:
            if not word.strip() or " ".join(word.lower().split()) != word or AND in f" {word} ":
                raise InputError("words", word, "words in lower case, none of which is 'and'")
            if spoken.count(word) > 1 or word == STILL:
                raise InputError("words", word, f"each once, and not {STILL!r}")
            begins, _, last = word.rpartition(" ")
            if begins and last in spoken:
                expected = f"not it alone beside {word!r}, of which 'and {last}' is short for"
                raise InputError("words", last, expected)
        if not (np.isfinite(self.scale).all() and min(self.scale) >= 0):
            raise InputError("scale", list(self.scale), "numbers of at least 0")
        if not 0 < self.threshold < np.inf:
            raise InputError("threshold", self.threshold, "a number above 0")
        for name, value in (("horizon", self.horizon), ("most", self.most)):
            if value < 1:
                raise InputError(name, value, "an integer of at least 1")

    @classmethod
    def of(
        cls,
        axes: Sequence[str],
        episodes: Sequence[NDArray[Any]],
        *,
        words: Mapping[str, tuple[str, str]] | None = None,
        threshold: float = 0.25,
        horizon: int = 3,
        most: int = 3,
    ) -> Self:
        """The vocabulary whose scale is that of the episodes.

        Args:
            axes: [D] names.
            episodes: of each the positions [T + 1, D].
            words: axis -> its pair, over those of ``WORDS``.
            threshold, horizon, most: see the class.

        Raises:
            InputError: an axis without words, no episode, or positions that are not [T + 1, D] of finite
                numbers.
        """
        known = {**WORDS, **(words or {})}
        if missing := [axis for axis in axes if axis not in known]:
            expected = f"an axis with words, {', '.join(known)}, or words for it"
            raise InputError("axes", missing[0], expected)
        made = cls(
            tuple(axes), tuple(known[axis] for axis in axes), (1.0,) * len(axes), threshold, horizon, most
        )
        if not episodes:
            raise InputError("episodes", "none", "at least one")
        changes = np.abs(np.concatenate([made.changes(positions) for positions in episodes]))
        scale = []
        for column in changes.T:
            moving = column[column > 0.01 * column.max()] if len(column) else column
            scale.append(float(np.quantile(moving, 0.95)) if len(moving) else 0.0)
        return cls(made.axes, made.words, tuple(scale), threshold, horizon, most)

    def changes(self, positions: NDArray[Any]) -> Numbers:
        """[T, D] how far each axis goes from each step on within the horizon.

        Near the end there are fewer steps, whose change is stretched as if it went on.

        Raises:
            InputError: positions that are not [T + 1, D] of finite numbers.
        """
        values = np.asarray(positions, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.axes) or len(values) < 2:
            expected = f"[T + 1, {len(self.axes)}], for {', '.join(self.axes)}, with T of at least 1"
            raise InputError("positions", list(values.shape), expected)
        if not np.isfinite(values).all():
            raise InputError("positions", "a number that is not finite", "finite numbers")
        start = np.arange(len(values) - 1)
        end = np.minimum(start + self.horizon, len(values) - 1)
        return (values[end] - values[start]) * (self.horizon / (end - start))[:, None]

    def describe(self, change: NDArray[Any] | Sequence[float]) -> str:
        """The phrase for a change [D] within the horizon. Raises InputError: not D finite numbers."""
        values = np.asarray(change, dtype=np.float64)
        if values.shape != (len(self.axes),) or not np.isfinite(values).all():
            raise InputError("change", change, f"{len(self.axes)} finite numbers")
        scale = np.asarray(self.scale)
        share = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
        order = np.argsort(-np.abs(share), kind="stable")[: self.most]
        return self._phrase([(int(i), bool(share[i] > 0)) for i in order if abs(share[i]) > self.threshold])

    def label(self, positions: NDArray[Any]) -> list[str]:
        """The phrase of each of T steps, for positions [T + 1, D]. Raises InputError: as ``changes``."""
        return [self.describe(change) for change in self.changes(positions)]

    def parse(self, phrase: str) -> NDArray[np.int64]:
        """[D] 1 where the phrase says that an axis grows, -1 where it falls, 0 where it says nothing.

        Raises:
            InputError: a word that there is not, or two that contradict each other.
        """
        mask = np.zeros(len(self.axes), dtype=np.int64)
        for axis, grows in self._parts(phrase):
            mask[axis] = 1 if grows else -1
        return mask

    def normal(self, phrase: str) -> str:
        """The phrase as ``describe`` writes it, its parts in their order. Raises InputError: as ``parse``."""
        return self._phrase(self._parts(phrase))

    def first(self, phrase: str) -> str:
        """The first motion of a phrase alone. Raises InputError: ``parse``."""
        return self._phrase(self._parts(phrase)[:1])

    @property
    def spoken(self) -> list[str]:
        """All single motions."""
        return [word for pair in self.words for word in pair]

    def settings(self) -> dict[str, Any]:
        """What ``restored`` makes it anew from, as JSON values."""
        return {
            "axes": list(self.axes),
            "words": [list(pair) for pair in self.words],
            "scale": list(self.scale),
            "threshold": self.threshold,
            "horizon": self.horizon,
            "most": self.most,
        }

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> Self:
        """The vocabulary of these settings. Raises InputError, KeyError or TypeError: they are of none."""
        words = tuple((str(grows), str(falls)) for grows, falls in settings["words"])
        numbers = (float(settings["threshold"]), int(settings["horizon"]), int(settings["most"]))
        return cls(tuple(settings["axes"]), words, tuple(map(float, settings["scale"])), *numbers)

    def _phrase(self, parts: Sequence[tuple[int, bool]]) -> str:
        """Parts as words; what a part begins with is not said again where the one before began so."""
        said, lead = [], ""
        for axis, grows in parts:
            word = self.words[axis][0 if grows else 1]
            begins, _, last = word.rpartition(" ")
            said.append(last if begins and begins == lead else word)
            lead = begins
        return AND.join(said) or STILL

    def _parts(self, phrase: str) -> list[tuple[int, bool]]:
        """The axes that a phrase speaks of, in its order, and whether each grows."""
        text = " ".join(str(phrase).lower().replace(",", " and ").split()).rstrip(".")
        text = text.replace(f"{AND}and ", AND)
        if text == STILL:
            return []
        known = {word: (i, j == 0) for i, pair in enumerate(self.words) for j, word in enumerate(pair)}
        parts: list[tuple[int, bool]] = []
        lead = ""
        for part in text.split(AND):
            word = part if part in known else f"{lead} {part}".strip()
            if word not in known:
                expected = f"words of {', '.join(self.spoken)}, with 'and' between them, or {STILL!r}"
                raise InputError("phrase", phrase, expected)
            axis, grows = known[word]
            if axis in [other for other, _ in parts]:
                expected = f"{' or '.join(self.words[axis])}, once: they are one axis, {self.axes[axis]}"
                raise InputError("phrase", phrase, expected)
            parts.append((axis, grows))
            lead = word.rpartition(" ")[0]
        return parts


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of demonstrations to learn from.

    Attributes:
        states: [N, S].
        instructions: [N].
        phrases: [N] what the motion was labelled, or corrected to.
        actions: [N, A]; None where steps are corrections, which say nothing of actions.
    """

    states: NDArray[np.float32]
    instructions: Sequence[str]
    phrases: Sequence[str]
    actions: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.states)
