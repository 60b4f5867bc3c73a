"""Inverse dynamics pre-training: an encoder of pictures, with which new tasks need few demonstrations.

Brandfonbrener et al., NeurIPS 2023, "Inverse Dynamics Pretraining Learns Good Representations for Multitask
Imitation" (arXiv 2305.16985). Which action led from one picture to the next depends on what moved, and not on
what for; the action for a picture alone depends on the task, which nobody says (the latent context).

Claim: of encoders pre-trained on demonstrations of other tasks, then frozen, one by inverse dynamics is best:
success of 0.58 over six suites, behaviour cloning 0.46, from scratch with crops 0.45, explicit and implicit
forward dynamics 0.44 and 0.43, static contrast 0.25; from true states 0.68 (figure 1, read off the picture).

The steps:

1. demonstrations: yours (``--data``, the new task's in ``--target``); or a controller's, of a point that
   moves to goals that are not in the picture, 300 of other goals and a few of each new one;
2. an encoder phi for each objective, with the same network, batches and steps:
   inverse dynamics ||f(phi(o_t), phi(o_t+n)) - a_t||^2, behaviour cloning ||f(phi(o_t)) - a_t||^2, explicit
   forward dynamics (the next picture from phi(o_t) and a_t), implicit (the next one among the batch's), and
   static contrast (two crops of one picture);
3. phi is frozen; a small network over phi(o) learns the new task from ``--few`` demonstrations, seed by seed;
   beside them an encoder learned *from scratch* with the policy, for as many steps as pre-training and
   policy have together, an *untrained* one, and the true states;
4. the test, once: errors of actions in held-out demonstrations of the new task; success in the environment;
5. the encoder by inverse dynamics and its first policy are left.

Departures from the paper, and why:

* *A smaller point mass*, pictures of 40 pixels, three convolutions instead of four and hundreds of steps
  instead of 100,000: minutes on two cores. An episode ends at the goal; the paper's stays there.
* *Crops*: by 2 of 40 pixels (8 of 120); the two pictures of an inverse dynamics pair are moved alike, for a
  step moves the point by about a pixel. Explicit forward dynamics has none, as in the paper.
* *No pairs beyond an episode's end*: the paper repeats the last observation there.
* *No R3M and no ImageNet encoder*: their weights are not at hand.
* *One encoder of each kind* for all few-shot seeds, as in the paper; ``--encoders 5`` for others.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
from pydantic import Field

from biddable.config import Count, Natural, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.pixel_demos import (
    RECORDED,
    STATE,
    TARGETS,
    PixelDemos,
    Reader,
    assembled,
    new_task,
    pool_and_test,
    record_hidden_goals,
    succeeded,
)
from biddable.experiments.pixel_policies import (
    ERROR,
    PROBE,
    SUCCESS,
    Job,
    Learned,
    Tested,
    check_env,
    collected,
    figures,
    probe,
    successes_in,
)
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import with_seed
from biddable.methods.base import About, Method, show
from biddable.policies.config import OBJECTIVES, ImitationConfig, Objective
from biddable.runs.executors import on_cores
from biddable.runs.next_steps import NEW_SEED
from biddable.runs.results import Results
from biddable.runs.run import Run

ID, BC, STATIC = "inverse-dynamics", "behaviour-cloning", "static-contrastive"
SCRATCH, UNTRAINED, STATES = "scratch", "untrained", "states"
SMALLEST = 15
"""Pixels of the shorter side that the convolutions need."""


@settings
class InverseDynamicsConfig:
    """Settings of inverse dynamics pre-training."""

    data: Path | None = None
    """Demonstrations with pictures (Minari, LeRobot, robomimic, RLDS); recorded where none are named."""
    target: Path | None = None
    """Demonstrations of the new task; without, they are taken out of the data."""
    task: str = ""
    """Without a target: the instruction of the new task; empty: the rarest with enough demonstrations."""
    part: str = "image"
    """The part of the observations that holds the pictures."""
    pixels: Count = 40
    """The longer side that pictures are scaled down to."""
    few: Count = 5
    """Demonstrations of the new task that a policy learns from."""
    env: str = ""
    """The new task as an environment, to count successes in; without, errors of actions alone."""
    cases: Count = 20
    """Episodes in the environment, of each seed."""
    objectives: tuple[Objective, ...] = OBJECTIVES
    """What encoders are pre-trained by; inverse-dynamics is one of them."""
    demos: Count = 300
    """Without data: recorded demonstrations to pre-train on."""
    tests: Count = 10
    """Without data: held-out demonstrations of each new task."""
    nstep: Count = 1
    """Steps between the two pictures of a pair."""
    crop: Natural = 2
    """By how many pixels pictures are moved at random."""
    fit: ImitationConfig = ImitationConfig(steps=800)
    """How encoders are pre-trained."""
    policy: ImitationConfig = ImitationConfig(steps=400, warmup=40)
    """How policies are fitted."""
    seeds: Annotated[int, Field(ge=2)] = 10
    """Policies of every arm, each from demonstrations of its own; without data each of a goal of its own."""
    encoders: Count = 1
    """Encoders of every objective, which the seeds take in turn."""
    workers: Count = 2
    """Processes, one core each."""


class InverseDynamics(Method):
    """Inverse dynamics pre-training (see ``biddable.methods.act.inverse_dynamics``)."""

    about = About(
        title="Inverse dynamics pre-training: an encoder of pictures for tasks with few demonstrations",
        citation="Brandfonbrener et al., NeurIPS 2023, arXiv 2305.16985",
        claim=(
            "An encoder that was pre-trained to say which action led from one picture to the next, then "
            "frozen, is better to imitate a new task with than others: success 0.58 over six suites, "
            "behaviour cloning 0.46, from scratch 0.45, static contrast 0.25."
        ),
        needs="nothing with --data; without, mujoco and minari",
        minutes={"smoke": "1 (2 cores)", "default": "8 (2 cores)", "full": "not measured"},
        takes="demonstrations with pictures (--data), a few of a new task (--target), an environment (--env)",
        leaves="the frozen encoder (artifacts/encoder), a policy of the new task (artifacts/policy), what "
        "was dropped (artifacts/dropped); without data the recorded ones (artifacts/demonstrations)",
    )
    Config = InverseDynamicsConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"demos": 12, "tests": 2, "few": 2, "cases": 2, "seeds": 2, "fit.steps": 10,
                  "fit.batch_size": 16, "fit.warmup": 2, "policy.steps": 20, "policy.batch_size": 32},
        "full": {"demos": 1000, "tests": 20, "cases": 50, "encoders": 5, "fit.steps": 4000,
                 "fit.batch_size": 256, "policy.steps": 2000},
        "gpu": {"demos": 1000, "tests": 20, "cases": 100, "encoders": 5, "fit.steps": 10_000,
                "fit.batch_size": 256, "policy.steps": 10_000, "workers": 8},
    }  # fmt: skip
    only: ClassVar = {
        "data": ("target", "task", "env"),
        "no data": ("demos", "tests"),
        "no data or env": ("cases",),
    }
    config: InverseDynamicsConfig

    # -- 1. demonstrations ---------------------------------------------------------------------------------

    def check(self) -> None:
        """See ``Method.check``: the objectives, the data, the environment."""
        config = self.config
        if ID not in config.objectives or len({*config.objectives}) < len(config.objectives):
            expected = f"{ID} and others, each once"
            raise InputError("objectives", list(config.objectives), expected)
        if config.fit.batch_size < 2 and {"forward-implicit", STATIC} & {*config.objectives}:
            expected = "at least 2: pictures of a batch are told apart"
            raise InputError("fit.batch_size", config.fit.batch_size, expected)
        self.notes: list[str] = []
        if config.data is None:
            self._require_recording()
            return
        if config.target is not None and config.task:
            raise InputError("task", config.task, "none beside a target, which is the new task")
        if config.target is not None and config.target.resolve() == config.data.resolve():
            expected = "other demonstrations than the data's; --task names a task that is among them"
            raise InputError("target", str(config.target), expected)
        self.reader = Reader(config.part, config.pixels, config.nstep)
        self.data = self._own(config.data)
        self._require_size(self.data)
        if config.env:
            check_env(config.env, config.data, self.data)

    def _require_recording(self) -> None:
        from biddable.envs.base import make_env
        from biddable.policies.datasets.write_minari import check_name

        if self.config.part != "image":
            raise InputError("part", self.config.part, "image, which is what is recorded without --data")
        make_env("mujoco:HiddenGoal").close()
        check_name(Path(RECORDED))

    def _require_size(self, data: PixelDemos) -> None:
        height, width = data.demos.observations[data.part].shape[1:3]
        if min(height, width) < SMALLEST:
            expected = f"more: pictures become {height} x {width}, and {SMALLEST} is the least"
            raise InputError("pixels", self.config.pixels, expected)
        if self.config.crop >= min(height, width):
            raise InputError("crop", self.config.crop, f"less than the pictures' {min(height, width)} pixels")

    def _own(self, path: Path) -> PixelDemos:
        """Yours, and what each episode is for."""
        config, reader = self.config, self.reader
        episodes = reader.read("data", path)
        if config.target is None:
            name, chosen = new_task(succeeded(episodes), config.task, config.few)
            targets = {key: episodes[key] for key in chosen}
            episodes = reader.without_failed(episodes, name) if name else episodes
            if not name:
                self.notes.append(
                    "The new task is in-distribution: its demonstrations are a part of the data, of which "
                    "nobody says that they are of another task. Name another --target or --task."
                )
        else:
            name = str(config.target)
            targets = reader.without_failed(reader.read("target", config.target))
            episodes = {**episodes, **targets}
        pool, test = pool_and_test(targets, config.few)
        held = {targets[key].meta["source"] for key in test}
        rest = [k for k, each in episodes.items() if k not in targets and each.meta["source"] not in held]
        self.funnel = reader.funnel([*episodes])
        tasks = [(name or "a part of the data", pool, test, config.env)]
        return assembled(episodes, config.part, reader.actions, rest, tasks)

    def _recorded(self, run: Run) -> PixelDemos:
        """Stage ``demonstrations``: the controller's, read as yours would be."""
        config = self.config
        goals = [run.seed("goal", seed) % 1_000_000 for seed in range(config.seeds)]
        each = config.few + config.tests
        folder = run.stage_folder(
            "demonstrations", lambda out: record_hidden_goals(out, config.demos, goals, each)
        )
        run.publish(folder, "demonstrations")
        reader = Reader(config.part, config.pixels, config.nstep, state=True)
        pretrain, targets = (reader.read(name, folder / name) for name in (RECORDED, TARGETS))
        groups: dict[str, list[str]] = {}
        for key, episode in targets.items():
            groups.setdefault(episode.instruction, []).append(key)
        tasks = [
            (text, keys[: config.few], keys[config.few :], f"mujoco:HiddenGoal?goal={goal}")
            for goal, (text, keys) in zip(goals, groups.items(), strict=True)
        ]
        self.funnel = reader.funnel([*pretrain, *targets])
        return assembled({**pretrain, **targets}, config.part, reader.actions, [*pretrain], tasks)

    # -- the run -------------------------------------------------------------------------------------------

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        data = self.data if config.data else self._recorded(run)
        self._require_size(data)
        folder = run.stage_folder("data", data.save)
        weights, executor = run.folder / "stages" / "weights", on_cores(config.workers)
        how = (folder, weights, replace(config, data=None, target=None))

        numbers = range(config.encoders)
        jobs = [Job(each, n, run.seed("encoder", n)) for n in numbers for each in config.objectives]
        learned = run.map("encoders", jobs, partial(learn_encoders, *how), Learned, 1, executor=executor)
        arms = [*config.objectives, SCRATCH, UNTRAINED]
        arms += [STATES] if STATE in data.demos.observations else []
        tries = [Job(arm, seed, run.seed("few", seed)) for seed in range(config.seeds) for arm in arms]
        tested = run.map("policies", tries, partial(test_policies, *how), Tested, 1, executor=executor)

        scores = collected(data, dict(zip(tries, tested, strict=True)))
        run.publish(weights / jobs[config.objectives.index(ID)].name, "encoder")
        run.publish(weights / Job(ID, 0, 0).policy, "policy")
        self.funnel.write_dropped(run.artifact("dropped", "episodes.jsonl"), lambda row: None)
        by_job = dict(zip(jobs, learned, strict=True))
        probes = {job.arm: made.probe for job, made in by_job.items() if job.number == 0}
        dropped = [self.funnel.table()] if self.funnel.dropped else []
        show(run, [*figures(scores, arms, by_job, data.head["kind"] == "categorical"), *dropped])
        metrics = {
            "episodes": self.funnel.counts(),
            "pre-training": {"episodes": len(data.pretrain)},
            "tasks": [{"name": t.name, "pool": len(t.pool), "test": len(t.test)} for t in data.tasks],
            "scores": scores.metrics(),
            **({PROBE: probes} if probes[ID] is not None else {}),
        }
        env = "" if data.task(0).env else " --env ID"
        play = f"biddable act {{run}} --episodes 100 --seed {NEW_SEED}{env}"
        comparisons = scores.compare(self._claims(scores, arms))
        notes = self._notes(data, bool(scores.arms(SUCCESS)))
        return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=(play,))

    def _claims(self, scores: ArmScores, arms: list[str]) -> list[Claim]:
        """The paper's are of success; errors of actions stand in for it where there is no environment."""
        measured = bool(scores.arms(SUCCESS))
        claims = []
        for arm in (each for each in arms if each != ID):
            role: Any = "question" if arm in (UNTRAINED, STATES) else "claim"
            claims += [Claim(arm, ID, "higher", SUCCESS, role)] if measured else []
            claims.append(Claim(arm, ID, "lower", ERROR, "question" if measured else role))
        return claims

    def _notes(self, data: PixelDemos, measured: bool) -> list[str]:
        config, task = self.config, data.task(0)
        notes = [
            *self.notes,
            f"The policy that is left was learned from {config.few} demonstrations: {task.name}.",
        ]
        if task.env and not measured:
            notes.append(f"{task.env} does not say whether an episode succeeded: no successes are counted.")
        if config.encoders == 1:
            notes.append(
                "Intervals are over new tasks and demonstrations, given one encoder of each kind: they do "
                "not say how much encoders of another seed would differ (--encoders 5)."
            )
        if dropped := len(self.funnel.dropped):
            first = self.funnel.dropped[0]
            notes.append(
                f"{dropped} episodes were left out (artifacts/dropped); {first.id}: {first.why.detail}"
            )
        return notes


# -- 2. to 4. ------------------------------------------------------------------------------------------------


def learn_encoders(
    folder: Path, weights: Path, config: InverseDynamicsConfig, jobs: list[Job]
) -> list[Learned]:
    """2. Pre-train encoders and leave them, in a worker process."""
    import torch

    torch.set_num_threads(1)
    data = PixelDemos.load(folder)
    return [_learn_encoder(job, data, weights, config) for job in jobs]


def _learn_encoder(job: Job, data: PixelDemos, weights: Path, config: InverseDynamicsConfig) -> Learned:
    from biddable.policies.heads import head_of
    from biddable.policies.representations import pretrain, save_encoder

    demos, checkpoints = data.demos.taken(data.pretrain), weights / "checkpoints" / job.name
    shutil.rmtree(weights / job.name, ignore_errors=True)  # of a run that was killed here
    how: Any = {"nstep": config.nstep, "crop": config.crop, "checkpoint_dir": checkpoints}
    fit, head = with_seed(config.fit, job.rng_seed), cast(Any, head_of(data.head))
    encoder, came = pretrain(cast(Objective, job.arm), demos, data.part, head, fit, **how)
    facts = {"objective": job.arm, "part": data.part, "pixels": config.pixels, "episodes": len(data.pretrain)}
    save_encoder(weights / job.name, encoder, **facts)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return Learned(list(zip(came.steps, came.losses, strict=True)), probe(encoder, data))


def test_policies(
    folder: Path, weights: Path, config: InverseDynamicsConfig, jobs: list[Job]
) -> list[Tested]:
    """3. and 4. Learn policies from a few demonstrations and test them, in a worker process."""
    import torch

    torch.set_num_threads(1)
    data = PixelDemos.load(folder)
    return [_test_policy(job, data, weights, config) for job in jobs]


def _test_policy(job: Job, data: PixelDemos, weights: Path, config: InverseDynamicsConfig) -> Tested:
    import torch

    from biddable.policies.heads import head_of
    from biddable.policies.imitation import action_error
    from biddable.policies.pixels import Standardise, few_shot
    from biddable.policies.representations import load_encoder, new_encoder
    from biddable.policies.saved import save_policy

    head, task, part = cast(Any, head_of(data.head)), data.task(job.number), data.part
    rng = np.random.default_rng(job.rng_seed)  # the same few for every arm
    few = data.demos.taken(np.array(task.pool)[rng.permutation(len(task.pool))[: config.few]])
    encoder: Any = None
    if job.arm == STATES:
        part, states = STATE, data.demos.taken(data.pretrain).observations[STATE]
        encoder = Standardise(torch.from_numpy(states))
    elif job.arm == UNTRAINED:
        encoder = new_encoder(job.rng_seed)
    elif job.arm != SCRATCH:
        encoder = load_encoder(weights / f"{job.arm}-{job.number % config.encoders}")
    more = config.fit.steps if job.arm == SCRATCH else 0  # as many steps as encoder and policy have
    fit = with_seed(replace(config.policy, steps=config.policy.steps + more), job.rng_seed)
    policy = few_shot(encoder, few, part, head, fit, crop=config.crop)
    if job.arm == ID:
        shutil.rmtree(weights / job.policy, ignore_errors=True)  # of a run that was killed here
        title = f"Imitates {config.few} demonstrations over a frozen encoder"
        save_policy(weights / job.policy, policy, title=title, env=task.env, task=task.name)
    test = data.demos.taken(task.test)
    outputs = policy.outputs(torch.from_numpy(test.observations[part][test.row]))
    errors = action_error(head, outputs, torch.from_numpy(test.actions))
    by_episode = [float(errors[test.episode == e].mean()) for e in range(len(test.lengths))]
    return Tested(by_episode, successes_in(policy, task.env, config.cases) if task.env else [])
