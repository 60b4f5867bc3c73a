"""Words as Beacons (arXiv 2410.08632): a language model's subgoals, in training only.

On a grid whose only reward comes at the end, a *teacher* reads the level and lists subgoals in order: the
key, the locked door, the ball. The *student* (PPO) observes the current subgoal and gets a bonus for reaching
it, in training only. A subgoal is encoded by its offset from the agent (*relative*), by what is in its cell
(*representation*), or by the vector of its name (*language*).

Claim: 30 to 200 times fewer steps than recent methods for sparse rewards; representation is best overall; a
teacher that errs is slower than one that does not, and better than none.

The steps:

1. teachers: the language model's accuracy is measured (``policies.teachers``); the oracle, or a surrogate
   that errs as often, proposes subgoals;
2. students: ``policies.subgoal_env`` adds the current subgoal to observations and its bonus to rewards,
   ``policies.ppo`` trains (``experiments.beacon_students``);
3. frames to success, and success without a teacher, of every arm and seed.

Departures, and why:

* *Levels* are small ones (default MultiRoom-N4-S5; ``level`` takes KeyCorridor, ObstructedMaze, DoorKey too):
  150,000 frames or fewer, not 15 million. So the rate is 1e-3 (the paper: 1e-4), for all arms alike.
* *The language model* as a teacher is SmolLM2 (135M): it ranks the objects of the level by likelihood, since
  it does not write valid JSON; its prompt is ours, the paper's is not public. As there, its accuracy is
  measured first and the training asks a surrogate that errs as often. Published accuracies of three larger
  models are taken as they are.
* *Vectors of names* are SmolLM2's mean hidden states (576 numbers; the paper: a sentence encoder's 384).
* *Frames to success* count until 80 % of the last 100 episodes succeeded; a student that never reaches that
  counts with the whole budget, so differences are at least what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from biddable.config import Count, NonNegative, Positive, settings
from biddable.errors import InputError
from biddable.experiments.beacon_jobs import TEST_SEED, ArmSettings, Job, Outcome
from biddable.experiments.claims import Claim
from biddable.experiments.scores import ArmScores
from biddable.methods.base import About, Method, show
from biddable.runs.executors import on_cores
from biddable.runs.figures import Clip, Curves, Figure, Replays, mean_curve
from biddable.runs.results import Results
from biddable.runs.run import Run

ORACLE = (1.0,)
PPO_SETTINGS = ("num_envs", "num_steps", "lr", "entropy_coef")
"""Fields of the configuration that are PPO's."""
FRAMES, ALONE = "frames to success", "success without a teacher"


class Published(NamedTuple):
    """A teacher as the paper measured it.

    Attributes:
        relative, representation: accuracy of subgoals in either encoding, from 0 to 1.
        mean, std: of the distance of a wrong cell from the right one, in cells.
    """

    relative: float
    representation: float
    mean: float
    std: float


PUBLISHED: Mapping[str, Mapping[str, Published]] = {
    "MultiRoom-N2-S4": {
        "llama": Published(0.9210, 0.9295, 0.26, 1.01),
        "deepseek": Published(0.3518, 0.2731, 0.26, 1.01),
        "qwen": Published(0.7135, 0.5585, 0.26, 1.01),
    },
    "MultiRoom-N4-S5": {
        "llama": Published(0.5397, 0.5480, 3.69, 4.65),
        "deepseek": Published(0.1294, 0.1753, 3.69, 4.65),
        "qwen": Published(0.3604, 0.3521, 3.69, 4.65),
    },
    "KeyCorridorS3R3": {
        "llama": Published(0.9743, 0.9847, 0.18, 1.20),
        "deepseek": Published(0.3337, 0.9063, 0.18, 1.20),
        "qwen": Published(0.9810, 0.9957, 0.18, 1.20),
    },
    "ObstructedMaze-1Dlh": {
        "llama": Published(0.9880, 0.9887, 0.08, 0.82),
        "deepseek": Published(0.4300, 0.7390, 0.08, 0.82),
        "qwen": Published(0.6687, 0.7417, 0.08, 0.82),
    },
}
"""By level. The error of wrong cells is Llama's for all three: the others' are not known here."""
TAUGHT = (
    *("MiniGrid-MultiRoom-N2-S4-v0", "MiniGrid-MultiRoom-N4-S5-v0", "MiniGrid-MultiRoom-N4-S5-v1"),
    *("MiniGrid-KeyCorridorS3R3-v0", "BabyAI-KeyCorridorS3R3-v0", "MiniGrid-ObstructedMaze-1Dlh-v0"),
)
"""The levels by MiniGrid's own names."""

NOTES = (
    "A student that never reached the success rate counts with the whole budget of frames: differences are "
    "at least what is printed.",
    "Frames to success are one number for each seed: their intervals are over seeds.",
    "Teachers other than the oracle are surrogates that err as often as the model did: published accuracies "
    "for llama, deepseek and qwen, measured ones for smollm2, or the model that was named.",
)


@settings
class WordsAsBeaconsConfig:
    """Settings of the comparison."""

    level: str = "MiniGrid-MultiRoom-N4-S5-v1"
    """A level of MultiRoom, KeyCorridor, DoorKey or ObstructedMaze with one door."""
    seeds: Annotated[int, Field(ge=2)] = 5
    """Repetitions of every arm, each with its own initial weights and draws."""
    frames: Count = 120_000
    """Environment steps that every student is trained for (paper: 15 million and more)."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the latest 100 episodes that must succeed for frames to success."""
    cases: Annotated[int, Field(ge=2)] = 100
    """Test levels on which every student is scored after training."""
    subgoal_bonus: NonNegative = 0.2
    """The most that reaching a subgoal adds to the reward (the paper's alpha: 0.2)."""
    noisy_teachers: bool = False
    """Add arms whose teachers err as often as language models do: published ones of the level, and the model
    that is measured."""
    teacher_model: str = "smollm2"
    """The language model that is measured as a teacher and gives the language arm its vectors; "": none."""
    teacher_levels: Count = 40
    """Levels on which the accuracy of the language model is measured."""

    num_envs: Count = 16
    """Levels that step together (paper: 16)."""
    num_steps: Count = 128
    """Steps of each level between two updates (paper: 128)."""
    lr: Positive = 1e-3
    """Learning rate (paper: 1e-4)."""
    entropy_coef: NonNegative = 5e-4
    """Weight of the entropy bonus in the loss (paper: 5e-4)."""
    workers: Count = 2
    """Worker processes that train students, one core each."""


class WordsAsBeacons(Method):
    """Words as Beacons (see ``biddable.methods.act.words_as_beacons``)."""

    about = About(
        title="Words as Beacons: subgoals in training only",
        citation="arXiv 2410.08632, 2024",
        claim=(
            "A language model's subgoals, shown and paid while training, let PPO learn sparse-reward grids "
            "in a fraction of the frames; the student then acts without a teacher."
        ),
        needs="MiniGrid (pip install 'biddable[envs]'); 2 CPU cores",
        minutes={
            "smoke": "1 (2 cores)",
            "default": "13 (2 cores)",
            "full": "17 (2 cores, busy)",
            "gpu": "not measured",
        },
        takes="a language model as the teacher that is measured (--teacher-model)",
        leaves="the weights of every policy (artifacts/model)",
    )
    Config = WordsAsBeaconsConfig
    packages = ("gymnasium", "minigrid")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "level": "MiniGrid-MultiRoom-N2-S4-v0",
            "seeds": 2,
            "frames": 12_000,
            "cases": 20,
            "noisy_teachers": False,
            "teacher_levels": 4,
        },
        "full": {"frames": 150_000, "noisy_teachers": True},  # the published result
        "gpu": {
            "level": "MiniGrid-KeyCorridorS3R3-v0",
            "frames": 15_000_000,
            "lr": 1e-4,
            "workers": 16,
            "noisy_teachers": True,
        },
    }
    only: ClassVar = {
        "teacher_model": ("teacher_levels",),
        " or ".join(("teacher_model", *(f"level={level}" for level in TAUGHT))): ("noisy_teachers",),
    }
    config: WordsAsBeaconsConfig

    def check(self) -> None:
        """See ``Method.check``: the level."""
        _require_level(self.config.level)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        from biddable.experiments.beacon_students import train_students

        config = self.config
        pool, measured = self._language(run)
        arms = list(self._arms(measured))
        seeds = list(run.repetitions(config.seeds))
        jobs = [self._job(arm, run.seed("student", seed), pool) for seed in seeds for arm in arms]
        train = partial(train_students, run.artifact("model"))
        outcomes = run.map("students", jobs, train, Outcome, 1, executor=on_cores(config.workers))
        by_arm = {arm.name: [outcome for outcome in outcomes if outcome.arm == arm.name] for arm in arms}
        first = {job.arm.name: job for job in jobs[: len(arms)]}
        film = partial(self._clips, run, [first["ppo"], first["representation"]])
        clips = run.stage("clips", film, list[Clip])
        scores = _scores(by_arm, seeds)
        show(run, list(_figures(config, by_arm, scores, clips)))
        metrics = {
            "teacher_accuracy": measured,
            "arms": {arm: _metrics(of) for arm, of in by_arm.items()},
            "scores": scores.metrics(),
        }
        return run.finish(scores.compare(_claims(list(by_arm))), metrics=metrics, notes=NOTES)

    def _language(self, run: Run) -> tuple[dict[str, list[float]], list[float]]:
        """Vectors of all phrases, and the language model's accuracy as a teacher, subgoal by subgoal."""
        if not self.config.teacher_model:
            return {}, []

        def compute() -> tuple[dict[str, list[float]], list[float]]:
            from biddable.envs.minigrid_subgoals import KINDS, oracle_subgoals
            from biddable.models.embedding import text_vectors
            from biddable.models.load import load_model
            from biddable.policies.teachers import LMTeacher

            model = load_model(self.config.teacher_model)
            vectors = text_vectors(model, [kind.replace("_", " ") for kind in KINDS])
            levels = [_level(self.config.level, seed) for seed in range(self.config.teacher_levels)]
            right = [oracle_subgoals(level) for level in levels]
            proposed = LMTeacher(model).propose_many(levels)
            hits = [
                [a.position == b.position for a, b in zip(p, r, strict=True)]
                for p, r in zip(proposed, right, strict=True)
            ]
            pool = {kind: vector.tolist() for kind, vector in zip(KINDS, vectors, strict=True)}
            return pool, np.mean(hits, axis=0).tolist()

        return run.stage("language", compute, tuple[dict[str, list[float]], list[float]])

    def _arms(self, measured: Sequence[float]) -> Iterator[ArmSettings]:
        alpha = self.config.subgoal_bonus
        yield ArmSettings("ppo")
        yield ArmSettings("relative", "relative", ORACLE, alpha)
        yield ArmSettings("representation", "representation", ORACLE, alpha)
        if measured:
            yield ArmSettings("language", "language", ORACLE, alpha)
        yield ArmSettings("reward only", "representation", ORACLE, alpha, shown=False)
        yield ArmSettings("input only", "representation", ORACLE, 0.0)
        if not self.config.noisy_teachers:
            return
        for model, published in self._published().items():
            yield ArmSettings(f"taught by {model}", "representation", (published.representation,), alpha)
            if model == "llama":
                yield ArmSettings(
                    "taught by llama, relative",
                    "relative",
                    (published.relative,),
                    alpha,
                    mean=published.mean,
                    std=published.std,
                )
        if measured:
            own = self.config.teacher_model
            teacher = own if own == "smollm2" else "the measured model"  # a name may be a path, or "qwen"
            yield ArmSettings(f"taught by {teacher}", "representation", tuple(measured), alpha)

    def _published(self) -> Mapping[str, Published]:
        """The published teachers of the level, by name."""
        name = next((name for name in PUBLISHED if f"-{name}-" in self.config.level), "")
        return PUBLISHED.get(name, {})

    def _job(self, arm: ArmSettings, seed: int, pool: dict[str, list[float]]) -> Job:
        config = self.config
        ppo = {name: getattr(config, name) for name in PPO_SETTINGS}
        vectors = pool if arm.encoding == "language" else {}
        return Job(arm, seed, config.level, config.frames, config.threshold, config.cases, ppo, vectors)

    def _clips(self, run: Run, jobs: Sequence[Job]) -> list[Clip]:
        """Clips of the first seed's students without a teacher and of the representation arm."""
        from biddable.experiments.beacon_students import load_student, make_student_env
        from biddable.policies.replays import clip, filmed

        def record_clips() -> list[Clip]:
            made = []
            for job in jobs:
                with closing(make_student_env(job, 0)) as env:
                    students = [load_student(job, run.artifact("model"), env, i) for i in range(2)]
                    made += [
                        clip(env, student, TEST_SEED + i, job.arm.name) for i, student in enumerate(students)
                    ]
            return made

        return filmed(record_clips)


def _require_level(name: str) -> None:
    """Raise InputError unless the level exists and has subgoals."""
    from biddable.envs.minigrid_subgoals import oracle_subgoals

    try:
        oracle_subgoals(_level(name, 0))
    except InputError as error:
        if error.field == "env":
            raise InputError("level", name, "a level of MiniGrid") from None
        raise InputError(
            "level", name, "a level of MultiRoom, KeyCorridor, DoorKey or ObstructedMaze"
        ) from None


def _level(name: str, seed: int) -> Any:
    from biddable.envs.base import make_env

    env = make_env(f"minigrid:{name}")
    env.reset(seed=seed)
    return env.level


def _claims(arms: Sequence[str]) -> Iterator[Claim]:
    """The paper's claims on frames to success, and on success without a teacher."""
    for arm in arms:
        if arm != "ppo":
            yield Claim("ppo", arm, "lower", FRAMES)
    for arm in ("relative", "language"):
        if arm in arms:
            yield Claim(arm, "representation", "lower", FRAMES)
    for arm in arms:
        if arm.startswith("taught by "):
            oracle = "relative" if arm.endswith("relative") else "representation"
            yield Claim(oracle, arm, "higher", FRAMES)
    for arm in ("reward only", "representation"):
        yield Claim("ppo", arm, "higher", ALONE)


def _scores(by_arm: Mapping[str, Sequence[Outcome]], seeds: Sequence[int]) -> ArmScores:
    scores = ArmScores()
    for arm, outcomes in by_arm.items():
        for seed, outcome in zip(seeds, outcomes, strict=True):
            scores.add(arm, outcome.frames, metric=FRAMES, seed=seed)
            scores.add(arm, outcome.alone, metric=ALONE, seed=seed)
    return scores


def _metrics(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "frames": [outcome.frames for outcome in outcomes],
        "reached": [outcome.reached for outcome in outcomes],
        "with_teacher": float(np.mean([outcome.with_teacher for outcome in outcomes])),
        "alone": float(np.mean([outcome.alone for outcome in outcomes])),
    }


def _figures(
    config: WordsAsBeaconsConfig,
    by_arm: Mapping[str, Sequence[Outcome]],
    scores: ArmScores,
    clips: Sequence[Clip],
) -> Iterator[Figure]:
    plotted = {arm: outcomes for arm, outcomes in by_arm.items() if not arm.startswith("taught by ")}
    yield Curves(
        title=f"Learning {config.level}",
        x_label="frames",
        y_label="success of the latest 100 episodes",
        series={
            arm: mean_curve([outcome.curve for outcome in outcomes]) for arm, outcomes in plotted.items()
        },
        note="Means over seeds; the teacher is the oracle.",
    )
    yield scores.bars(
        f"Frames to {config.threshold:.0%} success",
        (FRAMES,),
        unit=f"frames, of {config.frames}",
        note="A student that never reached it counts with all frames.",
    )
    yield Replays(
        "The first students on two levels",
        tuple(clips),
        note="ppo never had a teacher; representation has one still.",
    )
