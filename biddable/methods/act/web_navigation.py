"""Learning to Navigate the Web (Gur et al., ICLR 2019, arXiv 1812.09195): forms, from an instruction.

An instruction is a list of fields (key, value); a page is a tree of elements. A deep Q-network (*QWeb*)
values every click and every typing of a field into an element. On a long form success is too rare to learn
from. Two remedies: a *curriculum* of easier starts or shorter instructions, which needs an oracle, and a
*meta-trainer* that generates instructions from pages filled in at random, which needs none.

Claim: without demonstrations QWeb masters forms of up to 100 elements and some 14 million instructions,
where methods that had demonstrations fail; curricula and the meta-trainer each improve on it. (Numbers by
task: not verified.)

Parts, in ``biddable.policies``: ``web.features`` makes arrays of pages, ``web.qweb`` values actions, ``dqn``
trains, ``web.curricula`` decide how episodes begin and are rewarded (*dense*: by potential), ``web.inet``
generates instructions. ``train_student`` here puts them together; the test in a real browser and the figures
are ``biddable.experiments.navigation``'s.

Departures, and why:

* *The body of the paper was not available*: its abstract and public summaries are followed; the rest, sizes
  and rates included, is ours.
* *Pages* for training are built without a browser, at 22,000 steps a second and more; the network trained on
  all kinds of pages is then scored on MiniWoB++ in Chromium, without further training. Its form for booking
  flights is not among the tasks: it answers typing with a list of suggestions, which no page here has.
* *A click has no field*: its value is the highest over fields. In a table of kinds x fields x elements each
  click would stand once for every field.
* *Elements attend to the fields they resemble*, and the shallow part gets how far each field is done: without
  that the value of sending the form cannot depend on whether it is complete.
* *Inputs are named by the label beside them*, as screen readers do.
* *Dense reward* is ``gamma`` P(s') - P(s), also on the step that ends the episode, as the paper's summaries
  give it; so it is no longer without influence on what is best, which needs P = 0 there.
* *Truncation* has reward 0: with -1, as for sending a wrong form, a policy that cannot succeed yet learns to
  put sending off. The discount is 0.9: at 0.99 a useless step costs almost nothing with dense reward.
* *Typing adds to what an input holds*, as in MiniWoB++: what was typed wrongly cannot be taken away.
* *A random action* is a click or typing with equal probability; what takes text is not clicked, as typing
  does that first.
* *INET* is trained on pages whose instruction is known, each pick of an element a step of its own with
  reward 1 if the field comes out right; an instruction that cannot be followed is not practised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from biddable.config import Count, Positive, Share, settings
from biddable.experiments.navigation import (
    TEST_SEED,
    ArmSettings,
    Browsed,
    Job,
    Outcome,
    arm_metrics,
    browse,
    browser_clips,
    browser_figure,
    check_browser_tasks,
    generator_table,
    learning_figures,
    replays,
)
from biddable.methods.base import About, Method, show
from biddable.runs.compare import compare
from biddable.runs.executors import on_cores
from biddable.runs.figures import Clip, Figure
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.types import Comparison, Prediction

CURVE_POINTS = 20
CURVE_CASES = 20

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
    """Learning to Navigate the Web (see the module)."""

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
            "full": "82 (2 cores, busy)",
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
    only: ClassVar = {"browser_tasks": ("browser_cases",)}
    config: WebNavigationConfig

    def check(self) -> None:
        """See ``Method.check``: the form, the tasks and the browser."""
        from biddable.envs.forms import FormEnv

        FormEnv(self.config.form)
        check_browser_tasks(self.config.browser_tasks, (*PRACTISED, *OTHERS))

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        seeds = list(run.repetitions(config.seeds))
        # 1. Every arm trains a network from every seed, and scores it on values it has not seen.
        jobs = [self._job(arm, seed, run.seed("student", seed)) for seed in seeds for arm in self._arms()]
        train = partial(train_students, run.artifact("model"))
        outcomes = run.map("students", jobs, train, Outcome, 1, executor=on_cores(config.workers))
        by_arm = {
            arm.name: [outcome for outcome in outcomes if outcome.arm == arm.name] for arm in self._arms()
        }
        # 2. The networks that practised all kinds of pages act in a browser, where nothing is learned.
        trained = by_arm["all pages"]
        browsed = browse(run, config.browser_tasks, trained, config.browser_cases, config.workers)
        clips = browser_clips(run, [task for task in config.browser_tasks if task in PRACTISED], trained[0])
        # 3. What the paper says of the arms, beside what came of them.
        show(run, list(_figures(config, by_arm, browsed, clips)))
        metrics = {
            "arms": {arm: arm_metrics(of) for arm, of in by_arm.items()},
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


def train_students(folder: Path, jobs: list[Job]) -> list[Outcome]:
    """Train networks one after another, in a worker process. Weights are written to ``folder``."""
    import torch

    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    return [train_student(job, folder) for job in jobs]


def train_student(job: Job, folder: Path) -> Outcome:
    """Train a network, then score it on values of the training and on held-out ones."""
    import torch
    from safetensors.torch import save_file

    from biddable.envs.base import make_env
    from biddable.policies.base import rollouts, successes
    from biddable.policies.dqn import DQN, DQNConfig
    from biddable.policies.vec_env import Progress, VecEnv
    from biddable.policies.web.curricula import Practice
    from biddable.policies.web.features import featurize
    from biddable.policies.web.navigator import SIZES, Navigator
    from biddable.policies.web.qweb import QWeb

    # 1. Pages whose episodes begin as the curriculum says; dense reward adds gamma P(s') - P(s).
    curriculum, config = _curriculum(job), DQNConfig(**job.dqn)
    gamma = config.gamma if job.arm.dense else None
    pages = [Practice(make_env(job.page(i)), SIZES, curriculum, gamma) for i in range(job.num_envs)]
    # 2. QWeb values every click and every typing of a field into an element.
    torch.manual_seed(job.rng_seed)
    network = QWeb(shallow=job.arm.shallow)
    envs = VecEnv(pages, partial(featurize, sizes=SIZES), job.rng_seed)
    # 3. DQN; on the way, whole instructions from the empty page say how far it has come.
    curve, curve_every = [(0, 0.0)], max(1, job.frames // CURVE_POINTS)
    train_pages = [make_env(job.page(i)) for i in range(job.num_envs)]

    def note(progress: Progress) -> None:
        curriculum.advance(progress.frames / job.frames)
        if progress.frames >= curve[-1][0] + curve_every:
            episodes = rollouts(train_pages, Navigator(network), range(CURVE_CASES))
            curve.append((progress.frames, float(successes(episodes).mean())))

    DQN(network, envs, config, job.rng_seed).train(job.frames, note)
    # 4. Sparse success on whole instructions, of values held out and of values of the training.
    reached = [frames for frames, success in curve if success >= job.threshold]
    cases = range(TEST_SEED, TEST_SEED + job.cases)
    test_pages = [make_env(job.page(i), split="held-out") for i in range(job.num_envs)]
    weights = f"{job.arm.name.replace(' ', '-')}-{job.seed}.safetensors"
    save_file(network.state_dict(), folder / weights)
    return Outcome(
        arm=job.arm.name,
        seed=job.seed,
        frames=reached[0] if reached else job.frames,
        reached=bool(reached),
        curve=curve,
        success=successes(rollouts(test_pages, Navigator(network), cases)).tolist(),
        train_success=successes(rollouts(train_pages, Navigator(network), cases)).tolist(),
        weights=weights,
        inet=_inet_metrics(curriculum, job),
    )


def _curriculum(job: Job) -> Any:
    """How the episodes of an arm begin; the meta-trainer's generator is trained before."""
    from biddable.envs.base import make_env
    from biddable.policies.web.curricula import Curriculum, GoalSimulation, WarmStart
    from biddable.policies.web.inet import INET, INETConfig, MetaTrainer
    from biddable.policies.web.navigator import SIZES

    match job.arm.curriculum:
        case "warm start":
            return WarmStart(*job.warm_start, seed=job.rng_seed)
        case "goal simulation":
            return GoalSimulation(job.rng_seed)
        case "meta-trainer":
            env = make_env(job.arm.pages[0], seed=job.rng_seed)
            inet = INET(SIZES, job.rng_seed)
            inet.train(env, INETConfig(updates=job.inet_updates))
            return MetaTrainer(inet, env.all_values(), job.rng_seed)
    return Curriculum()


def _inet_metrics(curriculum: Any, job: Job) -> list[float]:
    """Shares of right fields and right instructions, on held-out values, and of instructions refused."""
    if job.arm.curriculum != "meta-trainer":
        return []
    from biddable.envs.base import make_env

    env = make_env(job.arm.pages[0], seed=TEST_SEED, split="held-out")
    return [*curriculum.inet.accuracy(env, job.cases), curriculum.refused / max(1, curriculum.drawn)]


def _comparisons(
    by_arm: Mapping[str, Sequence[Outcome]],
    browsed: Browsed,
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


def _figures(
    config: WebNavigationConfig,
    by_arm: Mapping[str, Sequence[Outcome]],
    browsed: Browsed,
    clips: Sequence[Clip],
) -> Iterator[Figure]:
    on_form = [arm for arm in by_arm if arm not in ("easy form", "all pages")]
    yield from learning_figures(by_arm, on_form, config.form)
    if browsed:
        yield browser_figure(browsed, PRACTISED)
    yield generator_table(by_arm["metaqweb"], config.cases)
    if clips:
        yield replays(clips)
