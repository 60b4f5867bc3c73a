"""Networks that fill in pages, as students of an experiment: what they are trained with, how they are tried.

Training is the method's own; here is what it is given, what came of it, the test in a real browser, and the
figures. Needs no simulator until a browser is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError, shown
from biddable.runs.compare import mean_interval
from biddable.runs.executors import on_cores
from biddable.runs.figures import Bars, Clip, Curves, Figure, Replays, Table, mean_curve
from biddable.runs.run import Run

CurriculumName = Literal["none", "warm start", "goal simulation", "meta-trainer"]
TEST_SEED = 3_000_000
MAX_STEPS = 12
"""Of an episode in the browser."""
BROWSER_SEED = 50_000
MAX_CLIPS = 4

Browsed = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Task -> policy ("trained", "at random") -> [seeds, cases] successes."""


@dataclass(frozen=True, slots=True)
class ArmSettings:
    """The settings of an arm.

    Attributes:
        name: of the arm.
        pages: ids of environments; those of a vector env are taken from them in turn.
        curriculum: how episodes begin.
        dense: whether potential-based reward is added.
        shallow: whether the network has its shallow part.
    """

    name: str
    pages: tuple[str, ...]
    curriculum: CurriculumName = "none"
    dense: bool = False
    shallow: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """An arm with a seed, and everything else that its outcome depends on."""

    arm: ArmSettings
    seed: int
    rng_seed: int
    """Seed of initial weights and draws, derived from the run's root seed and ``seed``."""
    frames: int
    num_envs: int
    cases: int
    threshold: float
    warm_start: tuple[float, float]
    """The oracle's initial probability, and the share of the training over which it falls to 0."""
    inet_updates: int
    dqn: dict[str, Any]

    def page(self, index: int) -> str:
        """The id of the environment at ``index`` of a vector env."""
        return self.arm.pages[index % len(self.arm.pages)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        arm, seed: of the job.
        frames: environment steps until the threshold was reached; the whole budget where it never was.
        reached: whether the threshold was reached.
        curve: (frames, share of whole instructions followed) while training, on values of the training.
        success: success in each test case, 0 or 1, on held-out values.
        train_success: the same on values of the training.
        inet: the meta-trainer's: shares of right fields, of right instructions, of instructions refused.
        weights: file of the weights, in the run's model folder.
    """

    arm: str
    seed: int
    frames: int
    reached: bool
    curve: list[tuple[int, float]]
    success: list[float]
    train_success: list[float]
    weights: str
    inet: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trial:
    """A policy on a task; ``weights`` is a file's name, or empty for the random policy."""

    task: str
    weights: str
    seed: int
    cases: int


def check_browser_tasks(tasks: Sequence[str], known: Sequence[str]) -> None:
    """Look whether a policy can be tried on these tasks of MiniWoB++ in a browser.

    Args:
        tasks: names of tasks.
        known: those whose instructions are known to have fields; a page of each of the others is opened.

    Raises:
        InputError: no browser, no such task, or one whose instruction names no field: there a policy that
            types values of fields has nothing to go by.
    """
    if not tasks:
        return
    from biddable.envs.miniwob import MiniWoBEnv
    from biddable.envs.web import check_fields

    for task in tasks:
        with closing(MiniWoBEnv(task)) as env:
            if task in known:
                continue
            obs, _ = env.reset(seed=BROWSER_SEED)
            try:
                check_fields(obs["fields"])
            except InputError as error:
                unlike = f"{error.expected} in the instruction, unlike {shown(obs['instruction'])}"
                raise InputError("browser_tasks", task, f"tasks with {unlike}") from None


def browse(
    run: Run, tasks: Sequence[str], trained: Sequence[Outcome], cases: int, workers: int
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Stage ``browser``: every trained policy on every task, and a random one beside each.

    Args:
        run: the weights are in its model folder.
        tasks: of MiniWoB++; without any, nothing is done.
        trained: one for each seed.
        cases: episodes of each policy on each task.
        workers: processes.

    Returns:
        see ``Browsed``.
    """
    trials = [
        Trial(task, weights, outcome.seed, cases)
        for task in tasks
        for outcome in trained
        for weights in (outcome.weights, "")
    ]
    attempt = partial(evaluate_in_browser, run.artifact("model"))
    rows = run.map("browser", trials, attempt, list[float], 1, executor=on_cores(workers)) if trials else []
    by_task: dict[str, dict[str, list[list[float]]]] = {}
    for trial, row in zip(trials, rows, strict=True):
        who = "trained" if trial.weights else "at random"
        by_task.setdefault(trial.task, {}).setdefault(who, []).append(row)
    return {task: {who: np.array(of) for who, of in whos.items()} for task, whos in by_task.items()}


def evaluate_in_browser(folder: Path, trials: list[Trial]) -> list[list[float]]:
    """Success in each case, 0 or 1, for each trial; every trial of a task has the same cases."""
    from biddable.envs.miniwob import MiniWoBEnv
    from biddable.policies.base import rollouts, successes
    from biddable.policies.web.navigator import Navigator, RandomNavigator

    scores = []
    for trial in trials:
        seeds = range(BROWSER_SEED, BROWSER_SEED + trial.cases)
        policy = Navigator.load(folder / trial.weights) if trial.weights else RandomNavigator(trial.seed)
        with closing(MiniWoBEnv(trial.task, max_steps=MAX_STEPS)) as env:
            scores.append(successes(rollouts([env], policy, seeds)).tolist())
    return scores


def browser_clips(run: Run, tasks: Sequence[str], outcome: Outcome) -> list[Clip]:
    """Stage ``clips``: an episode of the policy on a few of the tasks, as animated pictures."""
    if not tasks:
        return []

    def film() -> list[Clip]:
        from biddable.policies.replays import filmed

        few = tasks[:: max(1, len(tasks) // MAX_CLIPS)]
        return filmed(partial(film_in_browser, run.artifact("model"), outcome.weights, few))

    return run.stage("clips", film, list[Clip])


def film_in_browser(folder: Path, weights: str, tasks: Sequence[str]) -> list[Clip]:
    """Clips of the policy in the browser, an episode of each task."""
    from biddable.envs.miniwob import MiniWoBEnv
    from biddable.policies.replays import clip
    from biddable.policies.web.navigator import Navigator

    policy, recorded = Navigator.load(folder / weights), []
    for task in tasks:
        with closing(MiniWoBEnv(task, max_steps=MAX_STEPS, screenshots=True)) as env:
            recorded.append(clip(env, policy, BROWSER_SEED, task))
    return recorded


def arm_metrics(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The numbers of an arm, one for each seed."""
    inet = np.array([outcome.inet for outcome in outcomes if outcome.inet])
    names = ("inet_fields", "inet_instructions", "refused")
    return {
        "success": [float(np.mean(outcome.success)) for outcome in outcomes],
        "train_success": [float(np.mean(outcome.train_success)) for outcome in outcomes],
        "frames": [outcome.frames for outcome in outcomes],
        "reached": [outcome.reached for outcome in outcomes],
        **({name: inet[:, i].tolist() for i, name in enumerate(names)} if len(inet) else {}),
    }


def learning_figures(
    by_arm: Mapping[str, Sequence[Outcome]], on_form: Sequence[str], form: str
) -> Iterator[Figure]:
    """How the arms learned, and their success at the end.

    Args:
        by_arm: outcomes of each arm, one for each seed.
        on_form: the arms that practised the form, whose curves are shown.
        form: its name.
    """
    yield Curves(
        title=f"Learning the {form} form",
        x_label="frames",
        y_label="share of whole instructions followed",
        series={arm: mean_curve([outcome.curve for outcome in by_arm[arm]]) for arm in on_form},
        note="Means over seeds; whole instructions with values of the training, without a curriculum.",
    )
    success = {arm: np.array([outcome.success for outcome in outcomes]) for arm, outcomes in by_arm.items()}
    known = [np.mean([outcome.train_success for outcome in outcomes]) for outcomes in by_arm.values()]
    yield Bars(
        title="Success at the end",
        categories=tuple(by_arm),
        series={
            "values never seen": tuple(float(rows.mean()) for rows in success.values()),
            "values of the training": tuple(map(float, known)),
        },
        intervals={"values never seen": tuple(mean_interval(rows) for rows in success.values())},
        unit="share of instructions",
        note="easy form: two fields, sparse reward; all pages: each kind of page in turn; the others: "
        f"the {form} form.",
    )


def browser_figure(browsed: Browsed, practised: Sequence[str]) -> Bars:
    """Success in the browser, task by task."""
    who = ("at random", "trained")
    return Bars(
        title="In Chromium: MiniWoB++, never trained on",
        categories=tuple(browsed),
        series={each: tuple(float(of[each].mean()) for of in browsed.values()) for each in who},
        intervals={each: tuple(mean_interval(of[each]) for of in browsed.values()) for each in who},
        unit="share of episodes",
        note="Practised, with other words: " + ", ".join(filter(browsed.__contains__, practised)) + ".",
    )


def generator_table(meta: Sequence[Outcome], cases: int) -> Table:
    """How right the meta-trainer's generator of instructions is, for each seed."""
    return Table(
        title="The meta-trainer's generator of instructions",
        columns=("seed", "fields right", "instructions right", "refused"),
        rows=tuple((outcome.seed, *outcome.inet) for outcome in meta),
        note=f"On {len(meta)} x {cases} pages with values never seen; refused while practising.",
    )


def replays(clips: Sequence[Clip]) -> Replays:
    """The clips as a figure."""
    return Replays("The policy of the first seed in Chromium", tuple(clips))
