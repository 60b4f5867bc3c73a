"""Settings, run and claims: DQN under each curriculum, and the trained policy in a browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from biddable.config import Count, Positive, Share, settings
from biddable.methods.act.web_navigation.jobs import ArmSettings, Job, Outcome
from biddable.methods.base import About, Method, show
from biddable.runs.compare import compare, mean_interval
from biddable.runs.executors import on_cores
from biddable.runs.figures import Bars, Clip, Curves, Figure, Replays, Table, mean_curve
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.types import Comparison, Prediction

PRACTISED = (
    "click-button",
    "click-checkboxes",
    "click-link",
    "click-option",
    "enter-date",
    "enter-password",
    "enter-text",
    "login-user",
)
"""Tasks of MiniWoB++ of whose kind there is a page without a browser."""
OTHERS = ("click-dialog-2", "click-tab", "click-test-2", "click-widget")
"""Tasks of whose kind there is none: nothing like them was practised."""
WIDGETS = ("button", "boxes", "link", "option", "date", "password", "text", "login")
DQN_SETTINGS = (
    "gamma",
    "lr",
    "batch_size",
    "train_frequency",
    "target_update_interval",
    "exploration_fraction",
    "final_epsilon",
)
"""Fields of the configuration that are DQN's."""
MAX_CLIPS = 4

CLAIMS: tuple[tuple[str, str, Prediction], ...] = (
    ("sparse", "dense", "higher"),
    ("sparse", "warm start", "higher"),
    ("sparse", "goal simulation", "higher"),
    ("sparse", "metaqweb", "higher"),
    ("deep only", "dense", "higher"),
)
"""What the paper predicts of success on the form: (baseline, arm, direction)."""

NOTES = (
    "Success is that of the whole instruction, sparse, whatever was paid while training; values of text "
    "boxes were never seen in training.",
    "In the browser the policy that practised small pages is tried as it is; nothing is learned there.",
)


@settings
class WebNavigationConfig:
    """Settings of the comparison."""

    form: str = "short"
    """The form to be filled in: long (six fields), short (three) or login (two)."""
    seeds: Annotated[int, Field(ge=2)] = 5
    """Repetitions of every arm, each with its own initial weights and draws."""
    frames: Count = 6_000
    """Environment steps (actions on pages) that every network is trained for."""
    num_envs: Count = 16
    """Pages that step together."""
    cases: Annotated[int, Field(ge=2)] = 100
    """Test instructions on which every network is scored after training."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of whole instructions followed that frames to success are counted to."""
    browser_tasks: tuple[str, ...] = (*PRACTISED, *OTHERS)
    """Tasks of MiniWoB++ for the test in Chromium; empty leaves the browser out."""
    browser_cases: Annotated[int, Field(ge=2)] = 10
    """Episodes of each task for every network."""

    warm_start_probability: Share = 0.9
    """Warm start: initial probability that the oracle takes an action before the episode begins."""
    warm_start_fraction: Share = 0.6
    """Warm start: share of the training over which that probability falls to 0, linearly."""
    inet_updates: Count = 300
    """Meta-trainer: batches of 16 pages that the generator of instructions is trained on."""

    gamma: Share = 0.9
    """Discount."""
    lr: Positive = 2e-3
    """Learning rate."""
    batch_size: Count = 32
    """Transitions in a batch."""
    train_frequency: Count = 4
    """Environment steps for each update."""
    target_update_interval: Count = 100
    """Updates after which the network is copied to the target network."""
    exploration_fraction: Share = 0.25
    """Share of the training over which the share of random actions falls from 1, linearly."""
    final_epsilon: Share = 0.2
    """Share of random actions after exploration."""
    workers: Count = 2
    """Worker processes that train and test networks, one core each."""


class WebNavigation(Method):
    """Learning to Navigate the Web (see ``biddable.methods.act.web_navigation``)."""

    about = About(
        title="Learning to Navigate the Web",
        citation="Gur et al., ICLR 2019, arXiv 1812.09195",
        claim=(
            "A DQN that fills in web forms learns where success is sparse, if instructions grow under a "
            "curriculum or are made up by a meta-trainer; without demonstrations."
        ),
        needs="Gymnasium, MiniWoB++ and Chromium (pip install 'biddable[envs]'); 2 CPU cores",
        minutes={
            "smoke": "1 (2 cores)",
            "default": "10 (2 cores)",
            "full": "40 (2 cores)",
            "gpu": "not measured",
        },
        leaves="the weights of every policy (artifacts/model)",
    )
    Config = WebNavigationConfig
    packages = ("gymnasium", "miniwob")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "form": "login",
            "seeds": 2,
            "frames": 2_000,
            "cases": 20,
            "inet_updates": 30,
            "browser_tasks": ("enter-text", "click-button"),
            "browser_cases": 4,
        },
        "full": {"form": "long", "frames": 20_000, "browser_cases": 25},  # the published result
        "gpu": {"form": "long", "frames": 200_000, "seeds": 10, "browser_cases": 100, "workers": 16},
    }
    config: WebNavigationConfig

    def check(self) -> None:
        """See ``Method.check``: the form, the tasks and the browser."""
        from biddable.envs.forms import FormEnv

        FormEnv(self.config.form)
        if self.config.browser_tasks:
            from biddable.envs.miniwob import MiniWoBEnv

            for task in self.config.browser_tasks:
                MiniWoBEnv(task)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        from biddable.methods.act.web_navigation.student import train_students

        config = self.config
        seeds = list(range(run.root_seed, run.root_seed + config.seeds))
        jobs = [self._job(arm, seed, run.seed("student", seed)) for seed in seeds for arm in self._arms()]
        train = partial(train_students, run.artifact("model"))
        outcomes = run.map("students", jobs, train, Outcome, 1, executor=on_cores(config.workers))
        by_arm = {
            arm.name: [outcome for outcome in outcomes if outcome.arm == arm.name] for arm in self._arms()
        }
        browsed = self._in_browser(run, by_arm["all pages"])
        show(run, list(_figures(config, by_arm, browsed, self._clips(run, by_arm["all pages"][0]))))
        metrics = {
            "arms": {arm: _metrics(of) for arm, of in by_arm.items()},
            "browser": {
                task: {who: float(rows.mean()) for who, rows in of_task.items()}
                for task, of_task in browsed.items()
            },
        }
        return run.finish(list(_comparisons(by_arm, browsed, seeds)), metrics=metrics, notes=NOTES)

    def _arms(self) -> Iterator[ArmSettings]:
        page = (f"form:{self.config.form}",)
        yield ArmSettings("easy form", ("form:login",))
        yield ArmSettings("sparse", page)
        yield ArmSettings("dense", page, dense=True)
        yield ArmSettings("deep only", page, dense=True, shallow=False)
        yield ArmSettings("warm start", page, "warm start")
        yield ArmSettings("goal simulation", page, "goal simulation")
        yield ArmSettings("metaqweb", page, "meta-trainer", dense=True)
        yield ArmSettings("all pages", (*page * 2, *(f"widget:{name}" for name in WIDGETS)), dense=True)

    def _job(self, arm: ArmSettings, seed: int, rng_seed: int) -> Job:
        config = self.config
        return Job(
            arm=arm,
            seed=seed,
            rng_seed=rng_seed,
            frames=config.frames,
            num_envs=config.num_envs,
            cases=config.cases,
            threshold=config.threshold,
            warm_start=(config.warm_start_probability, config.warm_start_fraction),
            inet_updates=config.inet_updates,
            dqn={name: getattr(config, name) for name in DQN_SETTINGS},
        )

    def _in_browser(self, run: Run, trained: Sequence[Outcome]) -> dict[str, dict[str, np.ndarray]]:
        """Task -> policy ("trained", "at random") -> [seeds, cases] successes."""
        config = self.config
        if not config.browser_tasks:
            return {}
        from biddable.methods.act.web_navigation.chromium import Trial, evaluate_in_browser

        trials = [
            Trial(task, weights, outcome.seed, config.browser_cases)
            for task in config.browser_tasks
            for outcome in trained
            for weights in (outcome.weights, "")
        ]
        attempt = partial(evaluate_in_browser, run.artifact("model"))
        rows = run.map("browser", trials, attempt, list[float], 1, executor=on_cores(config.workers))
        by_task: dict[str, dict[str, list[list[float]]]] = {}
        for trial, row in zip(trials, rows, strict=True):
            who = "trained" if trial.weights else "at random"
            by_task.setdefault(trial.task, {}).setdefault(who, []).append(row)
        return {task: {who: np.array(of) for who, of in whos.items()} for task, whos in by_task.items()}

    def _clips(self, run: Run, outcome: Outcome) -> list[Clip]:
        tasks = [task for task in self.config.browser_tasks if task in PRACTISED]
        if not tasks:
            return []
        filmed_tasks = tasks[:: max(1, len(tasks) // MAX_CLIPS)]

        def film() -> list[Clip]:
            from biddable.methods.act.web_navigation.chromium import clips
            from biddable.policies.replays import filmed

            return filmed(partial(clips, run.artifact("model"), outcome.weights, filmed_tasks))

        return run.stage("clips", film, list[Clip])


def _comparisons(
    by_arm: Mapping[str, Sequence[Outcome]],
    browsed: Mapping[str, Mapping[str, np.ndarray]],
    seeds: list[int],
) -> Iterator[Comparison]:
    success = {arm: np.array([outcome.success for outcome in outcomes]) for arm, outcomes in by_arm.items()}
    for baseline, method, predicted in CLAIMS:
        yield compare(
            "success on values never seen",
            success[baseline],
            success[method],
            seeds=seeds,
            predicted=predicted,
            baseline_name=baseline,
            method_name=method,
        )
    for label, tasks in (("practised kinds", PRACTISED), ("other kinds", OTHERS)):
        by_policy = [browsed[task] for task in tasks if task in browsed]
        if by_policy:
            yield compare(
                f"success in Chromium, {label}",
                np.concatenate([successes["at random"] for successes in by_policy], axis=1),
                np.concatenate([successes["trained"] for successes in by_policy], axis=1),
                seeds=seeds,
                baseline_name="at random",
                method_name="all pages",
            )


def _metrics(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    inet = np.array([outcome.inet for outcome in outcomes if outcome.inet])
    names = ("inet_fields", "inet_instructions", "refused")
    return {
        "success": [float(np.mean(outcome.success)) for outcome in outcomes],
        "train_success": [float(np.mean(outcome.train_success)) for outcome in outcomes],
        "frames": [outcome.frames for outcome in outcomes],
        "reached": [outcome.reached for outcome in outcomes],
        **({name: inet[:, i].tolist() for i, name in enumerate(names)} if len(inet) else {}),
    }


def _figures(
    config: WebNavigationConfig,
    by_arm: Mapping[str, Sequence[Outcome]],
    browsed: Mapping[str, Mapping[str, np.ndarray]],
    clips: Sequence[Clip],
) -> Iterator[Figure]:
    on_form = [arm for arm in by_arm if arm not in ("easy form", "all pages")]
    yield Curves(
        title=f"Learning the {config.form} form",
        x_label="frames",
        y_label="share of whole instructions followed",
        series={
            arm: mean_curve([outcome.curve for outcome in outcomes])
            for arm, outcomes in by_arm.items()
            if arm in on_form
        },
        note="Means over seeds; whole instructions with values of the training, without a curriculum.",
    )
    success = {arm: np.array([outcome.success for outcome in outcomes]) for arm, outcomes in by_arm.items()}
    yield Bars(
        title="Success at the end",
        categories=tuple(by_arm),
        series={
            "values never seen": tuple(float(rows.mean()) for rows in success.values()),
            "values of the training": tuple(
                float(np.mean([outcome.train_success for outcome in outcomes]))
                for outcomes in by_arm.values()
            ),
        },
        intervals={"values never seen": tuple(mean_interval(rows) for rows in success.values())},
        unit="share of instructions",
        note="easy form: two fields, sparse reward; all pages: each kind of page in turn; the others: "
        f"the {config.form} form.",
    )
    if browsed:
        yield Bars(
            title="In Chromium: MiniWoB++, never trained on",
            categories=tuple(browsed),
            series={
                who: tuple(float(of[who].mean()) for of in browsed.values())
                for who in ("at random", "trained")
            },
            intervals={
                who: tuple(mean_interval(of[who]) for of in browsed.values())
                for who in ("at random", "trained")
            },
            unit="share of episodes",
            note="Practised, with other words: " + ", ".join(filter(browsed.__contains__, PRACTISED)) + ".",
        )
    meta = by_arm["metaqweb"]
    yield Table(
        title="The meta-trainer's generator of instructions",
        columns=("seed", "fields right", "instructions right", "refused"),
        rows=tuple((outcome.seed, *outcome.inet) for outcome in meta),
        note=f"On {len(meta)} x {config.cases} pages with values never seen; refused while practising.",
    )
    if clips:
        yield Replays("The policy of the first seed in Chromium", tuple(clips))
