"""What was learned from partly labelled demonstrations: policies, and how they do on the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.experiments.bot_episodes import TEST_SEED
from biddable.experiments.goal_data import GoalData

if TYPE_CHECKING:
    from biddable.policies.goal_language import GoalLanguageNetwork, GoalLanguagePolicy
    from biddable.policies.goal_networks import Seen
    from biddable.policies.heads import Head

SIZES = ("width", "channels", "hidden")
"""Settings of the networks."""
GALLERY = 256
"""Transitions that an instruction is to be found among, at most (App. F)."""
PARALLEL = 32
"""Environments that are played side by side."""


def device() -> str:
    """Where networks are trained: a GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def seen_of(data: GoalData) -> Seen:
    """What the policy sees of these data."""
    from biddable.policies.goal_networks import Seen

    return Seen.of(data.part, data.observations)


def built(network: GoalLanguageNetwork) -> dict[str, str]:
    """What a network is made anew from, for the file of its weights."""
    return {"built": json.dumps(network.built)}


def policy_of(data: GoalData, weights: Path) -> GoalLanguagePolicy:
    """The policy of weights that a worker left."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    from biddable.policies.goal_language import GoalLanguageNetwork, GoalLanguagePolicy
    from biddable.policies.heads import head_of

    with safe_open(weights, "pt") as file:
        how = json.loads(file.metadata()["built"])
    head = head_of(data.head)
    network = GoalLanguageNetwork(seen_of(data), head.outputs, **how)
    network.load_state_dict(load_file(weights))
    return GoalLanguagePolicy(network, head)


def check_env(env: str, data: GoalData) -> str:
    """Look whether a policy of these data can act in an environment; what that asks for in its first episode.

    Raises:
        InputError: no such environment, or other observations or actions than the data's.
    """
    from biddable.envs.base import make_env
    from biddable.policies.datasets.spaces import action_of_space, check_units

    with closing(make_env(env)) as made:
        obs, _ = made.reset(seed=TEST_SEED)
        space, actions = made.action_space, data.demos.actions
        if data.part not in obs:
            expected = f"an environment whose observation has {data.part!r}; it has {', '.join(sorted(obs))}"
            raise InputError("env", env, expected)
        try:
            seen_of(data).array(obs[data.part])
        except InputError as error:
            raise InputError("env", env, f"one that shows what the data do: {error}") from None
        shape = getattr(space, "shape", None)
        if hasattr(space, "n") != (data.head["kind"] == "categorical") or (shape or ()) != actions.shape[1:]:
            raise InputError("env", env, f"one whose actions are the data's, not {space}")
        if getattr(space, "start", 0):
            raise InputError("env", env, f"one whose choices begin with 0, as the data's do, not {space}")
        if hasattr(space, "n") and int(space.n) < int(data.head["n"]):
            raise InputError("env", env, f"one with at least {data.head['n']} actions, as in the data")
        check_units(actions, action_of_space(space))
        return str(obs.get("instruction", ""))


def played(
    network: GoalLanguageNetwork, head: Head, data: GoalData, env: str, cases: int
) -> dict[str, list[float]]:
    """Successes of the policy: by test on the starts of its demonstrations, or on ones that no episode had.

    On those of its demonstrations where they are the library's: from ``TEST_SEED`` on in the tests alone.

    Returns:
        name of a test -> 0 or 1 for each case; empty where the environment does not say.
    """
    from biddable.envs.base import make_env
    from biddable.policies.base import rollouts
    from biddable.policies.goal_language import GoalLanguagePolicy, minilm_once

    known = dict(zip(data.texts, data.vectors, strict=True))

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in texts if text not in known]
        known.update(zip(new, minilm_once(new), strict=True) if new else ())
        return np.stack([known[text] for text in texts])

    policy = GoalLanguagePolicy(network, head, encode)
    learned = data.seeds[np.concatenate([data.labelled, data.unlabelled])]
    first = max(TEST_SEED, 1 + int(data.seeds.max()))
    starts = {
        name: [int(seed) for seed in data.seeds[places]]
        if (data.seeds[places] >= TEST_SEED).all() and (learned < TEST_SEED).all()
        else list(range(first, first + cases))
        for name, places in data.tests.items()
    }
    asked: dict[str, Any] = dict.fromkeys(starts)
    if data.commanded:
        asked = {
            name: [{"instruction": data.demos.instructions[e]} for e in places]
            for name, places in data.tests.items()
        }
    envs = [make_env(env) for _ in range(min(PARALLEL, max(map(len, starts.values()))))]
    try:
        episodes = {
            name: rollouts(envs, policy, seeds, options=asked[name]) for name, seeds in starts.items()
        }
    finally:
        for each in envs:
            each.close()
    if any(each.success is None for several in episodes.values() for each in several):
        return {}
    return {name: [float(bool(each.success)) for each in several] for name, several in episodes.items()}


def action_errors(
    network: GoalLanguageNetwork, head: Head, data: GoalData, episodes: NDArray[np.int64]
) -> list[float]:
    """Of each episode, how far the likeliest actions for its instruction are from what was done."""
    import torch

    from biddable.policies.imitation import action_error

    part = data.demos.taken(episodes)
    vectors = torch.from_numpy(data.vectors[[data.wordings[e][0] for e in episodes]])
    errors: list[float] = []
    with torch.no_grad():
        z = network.language(vectors)
        for i in range(len(episodes)):
            rows = np.flatnonzero(part.episode == i)
            seen = torch.from_numpy(part.observations[data.part][part.row[rows]])
            outputs = network.outputs(seen, z[i].expand(len(rows), -1))
            errors.append(float(action_error(head, outputs, torch.from_numpy(part.actions[rows])).mean()))
    return errors


def retrieval(network: GoalLanguageNetwork, data: GoalData, ks: Sequence[int] = (1, 5)) -> dict[str, Any]:
    """Whether an instruction finds a transition of its own among those of all tests.

    Returns:
        name of a test -> k -> [cases] 0 or 1; and "chance": name -> k -> how often any order would.
    """
    import torch

    from biddable.policies.contrastive import cosines, hits, same

    episodes = np.concatenate(list(data.tests.values()))
    order = np.random.default_rng(0).permutation(len(episodes))
    found = {k: np.zeros(len(episodes)) for k in ks}
    chance = {k: np.zeros(len(episodes)) for k in ks}
    for places in np.array_split(order, -(-len(order) // GALLERY)):
        chosen = episodes[places]
        ids = torch.tensor([data.wordings[e][0] for e in chosen])
        first, last = (
            torch.from_numpy(data.observations[rows[chosen]]) for rows in (data.demos.first, data.demos.last)
        )
        with torch.no_grad():
            z_language = network.language(torch.from_numpy(data.vectors[ids.numpy()]))
            z_goal = torch.cat(
                [network.transition(*pair) for pair in zip(first.split(64), last.split(64), strict=True)]
            )
        positive = same(ids)
        scores = cosines(z_language, z_goal)
        for k in ks:
            found[k][places] = hits(scores, positive, k).numpy()
            chance[k][places] = _chance(positive.sum(1).numpy(), len(chosen), k)
    ends = np.cumsum([len(each) for each in data.tests.values()])
    spans = {
        name: slice(end - len(data.tests[name]), end) for name, end in zip(data.tests, ends, strict=True)
    }
    rows = {name: {str(k): found[k][span].tolist() for k in ks} for name, span in spans.items()}
    return {
        **rows,
        "chance": {name: {str(k): float(chance[k][span].mean()) for k in ks} for name, span in spans.items()},
    }


def _chance(positives: NDArray[np.int64], count: int, k: int) -> NDArray[np.float64]:
    """How likely one of so many positives among ``count`` is in the first k of a random order."""
    missed = np.ones(len(positives))
    for i in range(min(k, count)):
        missed *= np.clip(count - positives - i, 0, None) / (count - i)
    return 1 - missed
