"""Fitting an action hierarchy to demonstrations with phrases, and teaching it by corrections.

both networks   L = - log pi_h(z | o, g) - log pi_l(a | o, g, z)     z the label of the motion
corrections     L = - log pi_h(z* | o, g) alone, on old steps and corrected ones, in fixed shares of a batch
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor

from biddable.errors import FileError, InputError, said
from biddable.policies.config import HierarchyConfig
from biddable.policies.heads import Head
from biddable.policies.hierarchy import ActionHierarchy, Variant, state_of
from biddable.policies.imitation import Fitted, fit
from biddable.policies.motions import MotionVocabulary, Steps
from biddable.runs.files import write_atomic
from biddable.tasks.steps import Drop, Funnel

Array = NDArray[Any]


def fit_hierarchy(
    steps: Steps,
    variant: Variant,
    head: Head,
    config: HierarchyConfig,
    *,
    vocabulary: MotionVocabulary | None = None,
    parts: Sequence[str] = ("state",),
    hidden: Sequence[int] | None = None,
    checkpoint_dir: Path | None = None,
    on_step: Callable[[int], object] = lambda step: None,
) -> tuple[ActionHierarchy, Fitted]:
    """A policy of the variant.

    Args:
        steps: with actions; their phrases are the classes ("cluster": those of ``clusters``).
        variant: see ``hierarchy.Variant``.
        head: of the actions.
        config: see ``HierarchyConfig``.
        vocabulary: what phrases are made of.
        parts: of an observation that states are made of.
        hidden: widths, where they are others than those of ``config``.
        checkpoint_dir, on_step: as for ``imitation.fit``.

    Raises:
        InputError: no steps.
    """
    if not len(steps) or steps.actions is None:
        raise InputError("steps", "none", "some with actions")
    phrases = [] if variant == "flat" else sorted({*steps.phrases})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.fit.seed)
        policy = ActionHierarchy(
            variant,
            vocabulary,
            phrases,
            sorted({*steps.instructions}),
            config.vectors,
            parts,
            steps.states.shape[1],
            head,
            hidden or config.hidden,
        )
    policy.standardise(steps.states)
    inputs = policy.inputs(steps.states, steps.instructions)
    actions = torch.from_numpy(steps.actions)
    classes = None if variant == "flat" else _classes(policy, steps.phrases)
    networks = [network for network in (policy.motion_network, policy.action_network) if network is not None]

    def loss(rows: Tensor) -> Tensor:
        codes = None if classes is None else policy.codes[classes[rows]]
        seen = _moved(inputs[rows], policy.size, config.jitter)
        value = -head.log_prob(policy.outputs(seen, codes), actions[rows]).mean()
        if classes is not None:
            value = value + F.cross_entropy(policy.scores(seen), classes[rows])
        return value

    size = min(config.fit.batch_size, len(steps))
    draw = _drawing(len(steps), size)
    fitted = fit(networks, draw, loss, config.fit, checkpoint_dir=checkpoint_dir, on_step=on_step)
    return policy, fitted


def tuned(
    policy: ActionHierarchy,
    old: Steps,
    new: Steps | None,
    config: HierarchyConfig,
    *,
    checkpoint_dir: Path | None = None,
) -> ActionHierarchy:
    """The policy after it learned from more steps beside the old ones.

    Of a hierarchy the motion network alone learns; of a flat policy the action network.

    Args:
        policy: is left as it is.
        old: what it was fitted to.
        new: corrections, or for a flat policy steps with actions; None: the old ones go on alone.
        config: ``tune`` and ``new_share`` count.
        checkpoint_dir: as for ``imitation.fit``.

    Raises:
        InputError: no new steps, a phrase that is not known, or no actions for a flat policy.
    """
    if new is not None and not len(new):
        raise InputError("corrections", "none", "at least one")
    made = copy.deepcopy(policy)
    flat = made.motion_network is None
    both = [old] if new is None else [old, new]
    if flat and any(each.actions is None for each in both):
        raise InputError("steps", "without actions", "some with them: a flat policy learns no phrases")
    inputs = torch.cat([made.inputs(each.states, each.instructions) for each in both])
    if flat:
        actions = torch.from_numpy(
            np.concatenate([each.actions for each in both if each.actions is not None])
        )
        network = made.action_network
    else:
        phrases = [phrase for each in both for phrase in _normal(made, each.phrases)]
        made.extended(phrases)
        classes = _classes(made, phrases)
        assert made.motion_network is not None
        network = made.motion_network

    def loss(rows: Tensor) -> Tensor:
        seen = _moved(inputs[rows], made.size, config.jitter)
        if flat:
            return -made.head.log_prob(made.outputs(seen, None), actions[rows]).mean()
        return F.cross_entropy(made.scores(seen), classes[rows])

    draw = _drawing(len(old), config.tune.batch_size, 0 if new is None else len(new), config.new_share)
    fit(network, draw, loss, config.tune, checkpoint_dir=checkpoint_dir)
    return made


def flat_width(policy: ActionHierarchy) -> list[int]:
    """The width with which two hidden layers of a flat policy have as many weights as both networks.

    The depth is the hierarchy's.
    """
    inputs, outputs, depth = policy.inputs_width, policy.head.outputs, len(policy.hidden)

    def weights(width: int) -> int:
        return (inputs + 1) * width + (depth - 1) * (width + 1) * width + (width + 1) * outputs

    return [next(width for width in range(1, 100_000) if weights(width) >= policy.weights)] * depth


def clusters(actions: Array, count: int, seed: int) -> list[str]:
    """[N] names of the clusters of actions [N, A], by k-means, each number in its deviations."""
    deviation = actions.std(0)
    values = actions / np.where(deviation > 1e-6, deviation, 1.0)
    count = min(count, len(np.unique(values, axis=0)))
    _, places = kmeans2(values.astype(np.float64), count, minit="++", seed=seed)
    return [f"cluster {place}" for place in places]


@dataclass(slots=True)
class CorrectionBuffer:
    """Corrections to learn from: what was seen, and the phrase that somebody typed.

    ::

        buffer = CorrectionBuffer(policy)
        actions = policy.act([obs], correction="move left")
        buffer.add(obs, "move left")
        better = tuned(policy, old, buffer.steps(), HierarchyConfig())
    """

    policy: ActionHierarchy
    rows: list[tuple[NDArray[np.float32], str, str]] = field(default_factory=list)

    def add(self, observation: Mapping[str, Any], phrase: str) -> None:
        """Keep a correction. Raises InputError: no phrase of the vocabulary, or no such observation."""
        state = state_of(observation, self.policy.parts)
        if state.shape != (self.policy.size,) or not np.isfinite(state).all():
            raise InputError("state", list(state.shape), f"{self.policy.size} finite numbers")
        vocabulary = self.policy.vocabulary
        if vocabulary is None or self.policy.motion_network is None:
            raise InputError("policy", self.policy.variant, "one that takes phrases: words or onehot")
        self.rows.append((state, str(observation["instruction"]), vocabulary.normal(phrase)))

    def steps(self) -> Steps:
        """What was kept. Raises InputError: nothing."""
        if not self.rows:
            raise InputError("corrections", "none", "at least one")
        states, instructions, phrases = zip(*self.rows, strict=True)
        return Steps(np.stack(states), instructions, phrases)

    def write(self, path: Path) -> None:
        """Write what was kept as JSON lines, which ``read_corrections`` reads."""
        lines = [
            json.dumps({"instruction": instruction, "phrase": phrase, "state": state.tolist()})
            for state, instruction, phrase in self.rows
        ]
        write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def read_corrections(path: Path) -> Funnel[Any]:
    """The lines of a file of corrections, each ``{"instruction": …, "phrase": …, "state": […]}``.

    A line that is none is dropped and counted.

    Raises:
        FileError: the file cannot be read, or holds no line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, f"cannot be read: {said(error)}") from None
    rows = {f"line {i + 1}": line for i, line in enumerate(lines) if line.strip()}
    if not rows:
        raise FileError(path, "holds no corrections")
    funnel: Funnel[Any] = Funnel(rows)
    funnel.apply("reading", [_correction(line) for line in rows.values()])
    return funnel


def _correction(line: str) -> Any:
    try:
        row = json.loads(line)
    except ValueError as error:
        return Drop("no JSON", said(error))
    if not isinstance(row, dict) or any(
        not isinstance(row.get(key), str) for key in ("instruction", "phrase")
    ):
        return Drop("not an object with the texts instruction and phrase", line[:80])
    try:
        state = np.asarray(row.get("state"), dtype=np.float32)
    except (TypeError, ValueError):
        state = np.array(np.nan)
    if state.ndim != 1 or not np.isfinite(state).all():
        return Drop("state is no list of finite numbers", line[:80])
    return {"instruction": row["instruction"], "phrase": row["phrase"], "state": state.tolist()}


def _moved(inputs: Tensor, size: int, jitter: float) -> Tensor:
    """Inputs whose first ``size`` numbers, the state, are moved at random."""
    noise = torch.zeros_like(inputs)
    noise[:, :size] = jitter * torch.randn(len(inputs), size)
    return inputs + noise


def _normal(policy: ActionHierarchy, phrases: Sequence[str]) -> list[str]:
    if policy.vocabulary is None:
        return list(phrases)
    known = {phrase: policy.vocabulary.normal(phrase) for phrase in {*phrases}}
    return [known[phrase] for phrase in phrases]


def _classes(policy: ActionHierarchy, phrases: Sequence[str]) -> Tensor:
    places = {phrase: i for i, phrase in enumerate(policy.phrases)}
    return torch.tensor([places[phrase] for phrase in phrases])


def _drawing(
    old: int, size: int, new: int = 0, new_share: float = 0.0
) -> Callable[[np.random.Generator], Tensor]:
    """Draws rows: of the ``old`` first ones and, with the share ``new_share``, of the ``new`` after them."""
    share = new_share if new else 0.0

    def draw(rng: np.random.Generator) -> Tensor:
        is_new = rng.random(size) < share
        rows = np.where(is_new, old + (rng.random(size) * new).astype(np.int64), rng.integers(old, size=size))
        return torch.from_numpy(rows)

    return draw
