"""Arms of an experiment with goals and instructions: what each leaves out, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from biddable.experiments.goal_data import GoalData
from biddable.experiments.scores import ArmScores
from biddable.runs.figures import Curves, Figure, mean_curve


@dataclass(frozen=True, slots=True)
class Arm:
    """What an arm leaves out.

    Attributes:
        start: whether h looks at the first observation.
        align: "contrast" (InfoNCE), "pull" (the cosine of positives alone), or "none".
        goals: whether steps with goals are learned.
        unlabelled: whether unlabelled demonstrations are among them.
        frozen: whether f and h stay as the alignment left them.
    """

    start: bool = True
    align: Literal["contrast", "pull", "none"] = "contrast"
    goals: bool = True
    unlabelled: bool = True
    frozen: bool = False


GRIF, LCBC, NO_START, NO_ALIGN = "GRIF", "LCBC", "no start", "no alignment"
ARMS: dict[str, Arm] = {
    GRIF: Arm(),
    LCBC: Arm(align="none", goals=False, unlabelled=False),
    NO_START: Arm(start=False),
    NO_ALIGN: Arm(align="none"),
    "BC-Z": Arm(align="pull"),
    "labelled only": Arm(unlabelled=False),
    "frozen": Arm(frozen=True),
}
ERROR, SUCCESS = "action error", "success"


@dataclass(frozen=True, slots=True)
class Job:
    """An arm with a seed; ``labels`` 0: all."""

    arm: str
    seed: int
    rng_seed: int
    labels: int = 0

    @property
    def title(self) -> str:
        """What scores call it."""
        return f"{self.arm}, {self.labels} labels" if self.labels else self.arm

    @property
    def name(self) -> str:
        """Of its weights and checkpoints."""
        return f"{self.arm}-{self.labels}-{self.seed}".replace(" ", "-").lower()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: by test a number for each case.

    Attributes:
        weights: file of the weights.
        losses: (step, mean loss).
        hits: test -> "1" or "5" -> whether an instruction finds a transition of its own.
        chance: the same of any order, a mean.
        errors: test -> action error of each episode.
        success: test -> successes in the environment; empty where none were counted.
    """

    weights: str
    losses: list[tuple[int, float]]
    hits: dict[str, dict[str, list[float]]]
    chance: dict[str, dict[str, float]]
    errors: dict[str, list[float]]
    success: dict[str, list[float]]


def collected(data: GoalData, by_job: Mapping[Job, Outcome], by_text: Collection[str] = ()) -> ArmScores:
    """The scores of all arms; cases that share a source, or in retrieval a text, are drawn together.

    So are cases that share a text in the metrics ``by_text``: those of instructions that were never seen.
    """
    scores = ArmScores()
    for job, outcome in by_job.items():
        for test in data.tests:
            rows = {
                f"{SUCCESS}, {test}": outcome.success.get(test, []),
                **{f"hit@{k}, {test}": values for k, values in outcome.hits[test].items()},
                f"{ERROR}, {test}": outcome.errors[test],
            }
            for metric, values in rows.items():
                if values:
                    scores.add(job.title, values, metric=metric, seed=job.seed)
    for test, episodes in data.tests.items():
        sources = [data.demos.sources[e] for e in episodes]
        texts = [data.demos.instructions[e] for e in episodes]
        groups = {f"{ERROR}, {test}": sources, f"hit@1, {test}": texts, f"hit@5, {test}": texts}
        groups |= {metric: texts for metric in by_text if metric.endswith(f", {test}")}
        for metric, names in groups.items():
            if 1 < len({*names}) < len(names):
                scores.cluster(metric, names)
    return scores


def figures(
    scores: ArmScores, by_job: Mapping[Job, Outcome], arms: Sequence[str], fewer: Sequence[int]
) -> list[Figure]:
    """What the page shows.

    Args:
        scores: of ``collected``.
        by_job: outcomes.
        arms: in the order in which they are shown.
        fewer: numbers of labels that GRIF had, too.
    """
    tests = list(next(iter(by_job.values())).hits)
    shown: list[Figure] = []
    if scores.arms(f"{SUCCESS}, {tests[0]}"):
        metrics = [f"{SUCCESS}, {each}" for each in tests]
        shown.append(scores.bars("Success in the environment", metrics, arms=arms, unit="share of episodes"))
    hit = [f"hit@{k}, {each}" for each in tests for k in (1, 5)]
    shown.append(scores.table("An instruction finds its transition", hit, arms=arms))
    error = [f"{ERROR}, {each}" for each in tests]
    shown.append(scores.table("Actions for an instruction: error, lower is better", error, arms=arms))
    if fewer:
        named = [f"{GRIF}, {count} labels" for count in sorted(fewer)]
        shown.append(scores.table("GRIF with fewer labels", hit, arms=[*named, GRIF]))
    series = {arm: mean_curve([of.losses for job, of in by_job.items() if job.title == arm]) for arm in arms}
    note = "Arms have sums of other losses: compare an arm with itself alone."
    return [*shown, Curves("Training: loss", "step", "sum of the arm's losses", series, note=note)]


def retrieval_note(outcome: Outcome) -> str:
    """What any order of the transitions would find."""
    chance = [
        f"{share:.2f} at hit@{k} of {test}" for test, of in outcome.chance.items() for k, share in of.items()
    ]
    return (
        f"Any order of the transitions has {', '.join(chance)}: of several with the same text each counts. "
        "Their intervals are over texts."
    )
