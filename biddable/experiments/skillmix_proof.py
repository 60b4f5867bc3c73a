"""The proof of Instruct-SkillMix on composed tasks: which rows a model learns to combine skills from.

Arms learn from as many rows each, in as many steps: rows of one rule, of ``k``, of a few combinations only,
and of ``k`` with a share of them answered by shirkers. All are measured on combinations that no arm learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from biddable.config import Count, settings
from biddable.errors import InputError, RunError
from biddable.experiments.claims import Claim
from biddable.experiments.figures import answers_to_read, losses
from biddable.experiments.instructions import BASE, EASY_TYPES, TEST_SEED, Scored, Suite, scored
from biddable.experiments.scores import ArmScores
from biddable.experiments.skillmix import coverage_numbers, coverage_table
from biddable.experiments.skillmix_rules import (
    Checked,
    composed,
    covering,
    divided,
    passes,
    rows_table,
    rule_combinations,
    shirked,
    verified,
)
from biddable.experiments.stages import Weights, finetuned, with_seed
from biddable.judges.answer import AnswerJudge
from biddable.models.base import Sampling
from biddable.runs.figures import Figure
from biddable.runs.run import Run
from biddable.tasks.skillmix import Example, Mode, coverage_report, inject_shirkers, replaced_rows
from biddable.tasks.steps import Funnel
from biddable.train.config import SftConfig
from biddable.types import Comparison, Response, Task, Verdict, exchange, user

ONE, FEW = "k=1", "few combinations"
SHIRKERS: tuple[Mode, ...] = ("brevity", "junk")
REPLACED = "answers of the replaced rows that pass their checks"
MORE_TASKS = 1.3
"""Tasks for each row that is wanted, since some get no answer that passes."""


RULES = (
    *EASY_TYPES,
    "detectable_content:number_placeholders",
    "detectable_format:number_highlighted_sections",
)
"""Rules that a small model learns from some dozens of rows, of which 14 pairs go together."""


@settings
class ProofSettings:
    """The experiment on composed rules, which is made where a run is given no skills."""

    types: tuple[str, ...] = RULES
    """The rules that are the skills."""
    samples: Count = 2
    """The teacher's answers to each task, of which the first that passes is kept."""
    sampling: Sampling = Sampling(max_tokens=64, temperature=0.8, top_p=0.95)
    """How they are drawn; the held-out answers are as long at most."""
    test: Annotated[int, Field(ge=2)] = 300
    """Held-out tasks."""
    few: bool = False
    """One more arm, whose rows are of a few combinations in which every rule stands."""
    shirkers: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the rows that shirkers answer."""
    seeds: Count = 1
    """Repetitions with other rows and orders."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the proof is made with.

    Attributes:
        teacher, student: the model that answers, and the one that learns.
        k: rules of a task.
        rows: rows of each arm, at most.
        held_out: share of the combinations that are held out.
        sft: how students are trained.
        how: the other settings.
    """

    teacher: str
    student: str
    k: int
    rows: int
    held_out: float
    sft: SftConfig
    how: ProofSettings


@dataclass(slots=True)
class Outcome:
    """What came of it: the rows of the last seed's ``k`` arm, the model that learned them, and the rest."""

    rows: list[Example]
    model: Path
    funnels: dict[str, Funnel[Checked]]
    comparisons: list[Comparison]
    figures: list[Figure]
    metrics: dict[str, Any]


@dataclass(slots=True)
class ArmRows:
    """What arms learn from: funnels and tasks of those that the teacher answers, and the rows of all."""

    funnels: dict[str, Funnel[Checked]]
    tasks: dict[str, list[Task]]
    rows: dict[str, list[Example]]
    shirkers: dict[str, dict[str, float]] = field(default_factory=dict)


class RuleProof:
    """The experiment.

    Raises:
        InputError: rule types of which too few go together.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        types = plan.how.types
        every = rule_combinations(types, plan.k) if plan.k > 1 else []
        if len(every) < 2:
            expected = "2 or more, and so that several sets of so many rule types go together"
            raise InputError("k", plan.k, f"{expected} (for skills of your own: --skills)")
        rng = np.random.default_rng(TEST_SEED)
        self.learned, self.held = divided(every, plan.held_out, rng)
        if not self.held:
            raise InputError("proof.types", list(types), "more that go together: none can be held out")
        self.few = covering(self.learned, rng)
        self.mixed = f"k={plan.k}"
        self.scores, self.answers = ArmScores(), dict[str, Scored]()
        longest = plan.how.sampling.max_tokens
        rng = np.random.default_rng([TEST_SEED, plan.k])
        tasks = composed(self.held, plan.how.test, "test", rng, "unseen")
        self.suite = Suite("unseen", "unseen combinations of rules", tasks, longest, longest)

    def run(self, run: Run) -> Outcome:
        """All arms of all seeds."""
        plan, metrics = self.plan, dict[str, Any]()
        self._measure(run, BASE, plan.student, None)
        for seed in run.repetitions(plan.how.seeds):
            scope = run.scope(f"seed{seed}")
            arms = self._rows(scope)
            self._add_shirkers(scope, arms, seed)
            models = {}
            for arm, rows in arms.rows.items():
                chats = [exchange(user(row.instruction), row.output) for row in rows]
                models[arm] = finetuned(
                    scope, stage_name(arm), plan.student, chats, with_seed(plan.sft, seed)
                )
                self._measure(scope, arm, models[arm], seed)
            metrics[f"seed{seed}"] = {
                "rows": len(arms.rows[self.mixed]),
                "steps": {arm: funnel.counts() for arm, funnel in arms.funnels.items()},
                "replaced answers": arms.shirkers,
            }
        covered = {arm: coverage_report(arms.rows[arm], plan.how.types) for arm in arms.funnels}
        metrics |= {
            "combinations": {"learned": len(self.learned), "held out": len(self.held)},
            "held-out combinations": [list(of) for of in self.held],
            "coverage": {arm: coverage_numbers(each) for arm, each in covered.items()},
            "scores": self.scores.metrics(),
        }
        last = f"seed{seed}-{stage_name(self.mixed)}"
        figures = [
            *self._figures(arms),
            coverage_table(covered),
            *losses(run, {last: self.mixed}),
        ]
        comparisons = self.scores.compare(self.claims())
        return Outcome(arms.rows[self.mixed], models[self.mixed], arms.funnels, comparisons, figures, metrics)

    def _rows(self, run: Run) -> ArmRows:
        """Rows of the arms that the teacher answers, as many of each."""
        plan = self.plan
        of_arm: dict[str, Sequence[tuple[str, ...]]] = {
            ONE: [(name,) for name in plan.how.types],
            self.mixed: self.learned,
        }
        if plan.how.few:
            of_arm[FEW] = self.few
        number, funnels = round(MORE_TASKS * plan.rows), {}
        for arm, of in of_arm.items():
            name = stage_name(arm)
            tasks = composed(of, number, "train", run.rng("tasks", arm), name)
            sampling = plan.how.sampling
            funnels[arm] = verified(run, f"{name}-teacher", plan.teacher, tasks, plan.how.samples, sampling)
        equal = min(plan.rows, *(len(funnel.kept) for funnel in funnels.values()))
        if equal < 2:
            short = min(funnels, key=lambda arm: len(funnels[arm].kept))
            reasons = funnels[short].steps[0].reasons
            raise RunError(
                f"{short}: {equal} of {number} tasks got an answer that passes; dropped: {reasons}"
            )
        if equal < plan.rows:
            run.remark(f"{equal} rows in each arm instead of {plan.rows}: no more answers passed.")
        kept = {arm: funnel.rows[:equal] for arm, funnel in funnels.items()}
        return ArmRows(
            funnels,
            {arm: [each.task for each in of] for arm, of in kept.items()},
            {arm: [each.example(plan.teacher) for each in of] for arm, of in kept.items()},
        )

    def _add_shirkers(self, run: Run, arms: ArmRows, seed: int) -> None:
        """Add the arms whose first rows shirkers answer, and note what became of these answers."""
        share, whole = self.plan.how.shirkers, arms.rows[self.mixed]
        number = replaced_rows(len(whole), share)
        first = arms.tasks[self.mixed][:number]
        for mode in SHIRKERS:
            how = (self.plan.teacher, whole[:number], mode, self.plan.how.sampling)
            texts = shirked(run, f"{mode}-teacher", *how)
            arms.rows[mode] = inject_shirkers(whole, share, texts)
        for arm in (self.mixed, *SHIRKERS):
            outputs = [row.output for row in arms.rows[arm][:number]]
            passed = passes(first, outputs)
            if number > 1:
                self.scores.add(arm, passed, metric=REPLACED, seed=seed)
            words = float(np.mean([len(output.split()) for output in outputs]))
            arms.shirkers[arm] = {"answers": number, "passing": sum(passed), "mean words": words}

    def _measure(self, run: Run, arm: str, weights: Weights, seed: int | None) -> None:
        """Let an arm answer the held-out tasks."""
        self.answers[arm] = answered = scored(run, stage_name(arm), weights, self.suite)
        sources = [task.meta["base"] for task in self.suite.tasks]
        for metric, values in ((self.suite.passing, answered.passed), (self.single, answered.followed)):
            self.scores.add(arm, values, metric=metric, seed=seed)
            if len({*sources}) < len(sources):
                self.scores.cluster(metric, sources)

    @property
    def single(self) -> str:
        """What the share of rules that were followed is called."""
        return f"{self.suite.title}: single rules followed"

    def claims(self) -> list[Claim]:
        """What the paper predicts."""
        whole = self.suite.passing
        return [
            Claim(BASE, self.mixed, "higher", whole),
            Claim(ONE, self.mixed, "higher", whole),
            *([Claim(FEW, self.mixed, "higher", whole)] if self.plan.how.few else []),
            *(Claim(self.mixed, mode, "lower", whole) for mode in SHIRKERS),
            Claim(BASE, self.mixed, "higher", self.single),
            Claim(ONE, self.mixed, "higher", self.single, "question"),
            *(Claim(self.mixed, mode, "lower", self.single, "question") for mode in SHIRKERS),
            # Rows are answers that pass: those in their place can only pass less often.
            *(
                Claim(self.mixed, mode, "lower", REPLACED, "control")
                for mode in SHIRKERS
                if self.scores.arms(REPLACED)
            ),
        ]

    def _figures(self, arms: ArmRows) -> list[Figure]:
        """Scores, what arms learn from, what was dropped, and answers to read."""
        whole, shown = self.suite.passing, (BASE, ONE, self.mixed, "junk")
        read = [(self.answers[arm].texts, self.answers[arm].verdicts) for arm in shown]
        return [
            self.scores.bars("Combinations of rules that no arm learned", (whole,), unit="share"),
            self.scores.table("Held-out tasks", (whole, self.single)),
            rows_table(arms.funnels, arms.rows),
            *(funnel.table(f"{arm}: what the checks kept") for arm, funnel in arms.funnels.items()),
            answers_to_read(
                "Answers to held-out tasks", self.suite.tasks, *read, note=f"In turn: {', '.join(shown)}."
            ),
            *(
                answers_to_read(
                    f"{arm}: what is learned",
                    arms.tasks[self.mixed],
                    ([row.output for row in arms.rows[arm]], self._verdicts(arms, arm)),
                )
                for arm in (self.mixed, *SHIRKERS)
            ),
        ]

    def _verdicts(self, arms: ArmRows, arm: str) -> list[Verdict]:
        return AnswerJudge()(arms.tasks[self.mixed], [Response(row.output) for row in arms.rows[arm]])


def stage_name(arm: str) -> str:
    """An arm as the name of a stage."""
    return arm.replace(" ", "-").replace("=", "")
