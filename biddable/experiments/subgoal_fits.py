"""Around SOAR's losses: the sub-goal model, policies, their test, the episodes that they learn from."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.experiments.commanding import HELD_OUT, VIDEOS, Lab
from biddable.experiments.goal_data import GoalData
from biddable.experiments.goal_language import check_env as check_env
from biddable.experiments.goal_language import device as device
from biddable.experiments.goal_language import seen_of
from biddable.experiments.improvement import SOAR, ZONE, Autonomous, Collection, CollectJob, Job
from biddable.experiments.stages import with_seed
from biddable.policies.batches import Demonstrations
from biddable.policies.proposals import TaskStatistics
from biddable.runs.run import Run
from biddable.types import Trajectory

if TYPE_CHECKING:
    from biddable.policies.subgoals import ReachNetwork, SubgoalModel

G = "g.safetensors"
PARALLEL = 32
"""Environments that are played side by side."""
_AGENT, _FREE = 10, (1, 3, 8)  # MiniGrid's agent; empty, floor, goal
_AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))


def save_data(data: GoalData, tasks: Sequence[str], folder: Path) -> None:
    """Write what workers read: the data, with the vectors of its instructions and of tasks."""
    from biddable.models.embedding import minilm

    texts = tuple(dict.fromkeys([*data.texts, *tasks]))
    replace(data, texts=texts, vectors=minilm()(texts)).save(folder)


def tensors(data: GoalData, demos: Demonstrations) -> tuple[Any, Any, Any]:
    """Observations [N + E, ...], vectors of the episodes' instructions [E, 384], actions [N, ...]."""
    import torch

    encode = known_vectors(data)
    arrays = demos.observations[data.part], encode(demos.instructions), demos.actions
    s, vectors, a = (torch.from_numpy(array).to(device()) for array in arrays)
    return s, vectors, a


def known_vectors(data: GoalData) -> Any:
    """texts -> [texts, 384]; MiniLM is loaded for those alone whose vectors are not in the data."""
    from biddable.models.embedding import TextVectors
    from biddable.policies.goal_language import minilm_once

    vectors = TextVectors(minilm_once)
    vectors.add(data.texts, data.vectors)
    return vectors


# -- the sub-goal model --------------------------------------------------------------------------------------


def subgoals(run: Run, lab: Lab, config: Any) -> dict[str, float]:
    """Stages ``subgoals`` and ``quality``: the sub-goal model, and how often it is right."""
    checkpoints, seed = run.checkpoints("subgoals"), run.seed("subgoals")
    folder = run.stage_folder("subgoals", lambda to: fit_subgoals(lab, config, seed, to, checkpoints))
    lab.weights.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / G, lab.weights / G)
    return run.stage("quality", lambda: subgoal_quality(lab, config), dict[str, float])


def fit_subgoals(lab: Lab, config: Any, seed: int, folder: Path, checkpoints: Path) -> None:
    """Train g on what is to be seen k steps later, in videos or else in demonstrations; leave its weights."""

    import torch

    from biddable.policies.goals import hindsight_goals
    from biddable.policies.imitation import fit

    data = GoalData.load(lab.data)
    demos = data.demos.taken(data.tests.get(VIDEOS, data.labelled))
    s, vectors, _ = tensors(data, demos)
    k = config.steps_per_subgoal
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _new_model(config, data).to(device())
    model.standardise(s, vectors)

    def batch(rng: np.random.Generator) -> tuple[Any, Any, Any]:
        steps = rng.integers(len(demos), size=config.subgoal_fit.batch_size)
        later = hindsight_goals(demos, steps, rng, "delta", nearest=k, farthest=k)
        return s[demos.row[steps]], vectors[demos.episode[steps]], s[later]

    how = with_seed(config.subgoal_fit, seed)
    fit(model, batch, lambda drawn: model.loss(*drawn), how, checkpoint_dir=checkpoints)
    leave(model, folder, G.removesuffix(".safetensors"))


def subgoal_quality(lab: Lab, config: Any) -> dict[str, float]:
    """How often, on held-out demonstrations, g says what came, and of a grid what can be reached in time.

    Returns:
        "mean square" of vectors (in their deviations) and of pictures (of bytes / 255); of cells "as it came"
        and "reachable": the agent alone has moved, to where k steps take it.
    """
    import torch

    from biddable.policies.goals import hindsight_goals

    data, k = GoalData.load(lab.data), config.steps_per_subgoal
    demos = data.demos.taken(data.tests[HELD_OUT])
    s, vectors, _ = tensors(data, demos)
    steps, rng = np.arange(len(demos)), np.random.default_rng(0)
    later = s[hindsight_goals(demos, steps, rng, "delta", nearest=k, farthest=k)]
    model, now = load_model(lab, config, data).to(device()), s[demos.row]
    pairs = zip(now.split(256), vectors[demos.episode].split(256), strict=True)
    made = torch.cat([model.predict(*pair) for pair in pairs])
    if model.seen.kind != "cells":
        scale = model.deviation if model.seen.kind == "vectors" else 255.0
        return {"mean square": float(((made.float() - later.float()) / scale).square().mean())}
    reached = [
        _reachable(grid, goal, k) for grid, goal in zip(now.cpu().numpy(), made.cpu().numpy(), strict=True)
    ]
    return {
        "as it came": float((made == later).flatten(1).all(1).float().mean()),
        "reachable": float(np.mean(reached)),
    }


def _reachable(grid: NDArray[Any], goal: NDArray[Any], steps: int) -> bool:
    """Whether turns and moves of a grid's agent lead to a goal in time; one cell ahead may change as well."""
    at, to = (np.argwhere(each[..., 0] == _AGENT) for each in (grid, goal))
    if len(at) != 1 or len(to) != 1:
        return False
    (x, y), (goal_x, goal_y) = at[0], to[0]
    here, there = grid.copy(), goal.copy()
    here[x, y], there[goal_x, goal_y] = (1, 0, 0), (1, 0, 0)
    other = [tuple(map(int, cell)) for cell in np.argwhere((here != there).any(-1))]
    if len(other) > 1:
        return False
    end = (int(goal_x), int(goal_y), int(goal[goal_x, goal_y, 2]))
    waiting, seen = deque([((int(x), int(y), int(grid[x, y, 2])), 0)]), set()
    while waiting:
        (x, y, facing), taken = waiting.popleft()
        if (x, y, facing) == end:  # what changed beside it takes a step of its own, and lies ahead
            ahead = (x + _AHEAD[facing][0], y + _AHEAD[facing][1])
            return not other or (other[0] == ahead and taken < steps)
        if taken == steps or (x, y, facing) in seen:
            continue
        seen.add((x, y, facing))
        waiting += [((x, y, (facing + turn) % 4), taken + 1) for turn in (1, 3)]
        nx, ny = x + _AHEAD[facing][0], y + _AHEAD[facing][1]
        if 0 <= nx < len(here) and 0 <= ny < here.shape[1] and here[nx, ny, 0] in _FREE:
            waiting.append(((nx, ny, facing), taken + 1))
    return False


# -- policies ------------------------------------------------------------------------------------------------


def new_network(config: Any, data: GoalData, seed: int) -> ReachNetwork:
    """pi with the first weights of a seed."""
    import torch

    from biddable.policies.heads import head_of
    from biddable.policies.subgoals import ReachNetwork

    sizes = {name: getattr(config, name) for name in ("width", "channels", "hidden")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ReachNetwork(seen_of(data), head_of(data.head).outputs, **sizes).to(device())


def _new_model(config: Any, data: GoalData) -> SubgoalModel:
    from biddable.policies.subgoals import SubgoalModel

    return SubgoalModel(seen_of(data), channels=config.channels, hidden=config.hidden)


def load_model(lab: Lab, config: Any, data: GoalData) -> SubgoalModel:
    """g of the run."""
    from safetensors.torch import load_file

    model = _new_model(config, data)
    model.load_state_dict(load_file(lab.weights / G))
    return model.eval()


def leave(network: Any, folder: Path, name: str) -> str:
    """Leave a network's weights in a folder; the file's name."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.cpu().state_dict(), folder / f"{name}.safetensors")
    return f"{name}.safetensors"


def policy_of(
    arm: str, lab: Lab, config: Any, data: GoalData, weights: str, rng: np.random.Generator | None = None
) -> Any:
    """The policy of an arm's weights; with ``rng`` SOAR's draws actions, but for a share of episodes."""
    from safetensors.torch import load_file

    from biddable.policies.heads import head_of
    from biddable.policies.subgoals import SubgoalPolicy, ToldPolicy

    network, head, encode = new_network(config, data, 0).cpu(), head_of(data.head), known_vectors(data)
    network.load_state_dict(load_file(lab.weights / weights))
    if arm != SOAR:
        return ToldPolicy(network, head, encode)
    k, most = config.steps_per_subgoal, config.max_subgoals
    how = {"encode": encode, "rng": rng, "p_likeliest": config.p_likeliest}
    return SubgoalPolicy(load_model(lab, config, data), network, head, k, most, **how)


def tested(policy: Any, lab: Lab, error: float, seed: int) -> list[float]:
    """Of each case 1 where it succeeded: as the environment says, or else the detector."""
    from biddable.policies.base import rollouts

    came: list[Trajectory | None] = [None] * len(lab.cases)
    for name in dict.fromkeys(case.env for case in lab.cases):
        places = [i for i, case in enumerate(lab.cases) if case.env == name]
        cases = [lab.cases[i] for i in places]
        with ExitStack() as stack:
            envs = lab.make([name] * min(PARALLEL, len(cases)), stack)
            seeds, options = [case.seed for case in cases], [case.options for case in cases]
            for i, each in zip(places, rollouts(envs, policy, seeds, options=options), strict=True):
                came[i] = each
    episodes = [each for each in came if each is not None]
    if all(each.success is not None for each in episodes):
        return [float(bool(each.success)) for each in episodes]
    _, detector = lab.judges(error, np.random.default_rng(seed))
    return [float(verdict) for verdict in detector.judge(episodes)]


# -- a policy's own episodes ---------------------------------------------------------------------------------


def left(
    name: str,
    lab: Lab,
    data: GoalData,
    episodes: Sequence[Trajectory],
    judged: Sequence[bool],
    stats: TaskStatistics,
    detector: Any,
) -> Collection:
    """Leave collected episodes in a file, seen as the data are (pictures scaled down); what came of them."""
    seen, rows = seen_of(data), []
    for each in episodes:
        values = np.stack([seen.array(value) for value in each.observations[data.part]])
        rows.append(replace(each, observations={data.part: values}))
    truth = np.array([-1 if each.success is None else int(each.success) for each in episodes], np.int8)
    verdicts = np.array(judged, dtype=bool)
    Autonomous(Demonstrations.of(rows, (data.part,)), verdicts, truth).save(lab.weights / name)
    is_told = bool((truth >= 0).all())
    return Collection(
        name,
        stats.attempts,
        stats.successes,
        stats.balance(),
        float(truth.mean()) if is_told else None,
        float((verdicts == truth).mean()) if is_told else None,
        getattr(detector, "unreadable", 0) / max(1, getattr(detector, "asked", 0)),
    )


def leave_policy(run: Run, lab: Lab, config: Any, weights: str, facts: Mapping[str, Any]) -> None:
    """Leave the artifact ``policy``."""
    from biddable.policies.saved import save_policy

    policy = policy_of(SOAR, lab, config, GoalData.load(lab.data), weights)
    title = "SOAR: instructions by sub-goals"
    save_policy(run.artifact("policy"), policy, title=title, env=lab.envs[0], **facts)


def leave_episodes(run: Run, lab: Lab, collections: Mapping[CollectJob, Collection]) -> None:
    """Leave the first seed's episodes as a Minari data set, the artifact ``data/autonomous-v0``."""
    from biddable.policies.datasets.write_minari import write_minari

    folder = run.artifact("data", "autonomous-v0")
    files = [each.file for job, each in collections.items() if (job.seed, job.proposer) == (0, ZONE)]
    if not folder.exists():
        rows = [row for file in files for row in Autonomous.load(lab.weights / file).trajectories()]
        write_minari(rows, folder, algorithm="soar")


def own_episodes(job: Job, lab: Lab, mix: Sequence[float]) -> list[Demonstrations | None]:
    """The episodes of a seed's rounds so far: those that count as done, and the others; None for none.

    Raises:
        InputError: there are none of a kind that the mix gives a share to.
    """
    if not job.round:
        return []
    sides: tuple[list[Trajectory], list[Trajectory]] = ([], [])
    for number in range(1, job.round + 1):
        own = Autonomous.load(lab.weights / CollectJob(job.seed, 0, number, "").name)
        done = own.labels(job.error, np.random.default_rng([job.rng_seed, number]))
        for each, is_done in zip(own.trajectories(), done, strict=True):
            sides[0 if is_done else 1].append(each)
    for side, share, kind in zip(sides, mix[1:], ("judged done", "judged not done"), strict=True):
        if share and not side:
            expected = f"at least one, as mix gives them {share:g}: collect more episodes, or change the mix"
            raise InputError(f"episodes {kind}", "none", expected)
    return [Demonstrations.of(side, tuple(side[0].observations)) if side else None for side in sides]
