"""Mending failed answers by search: how many, at which cost, and beside sampling as often.

What counts is whether the tasks' checks pass what a search came to, whoever judged on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from biddable.errors import BiddableError
from biddable.experiments.claims import Claim
from biddable.experiments.instructions import BASE, Scored, Suite
from biddable.experiments.judging import critique_of, judge_bias
from biddable.experiments.measured import Measured
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import Answers, Weights, searched
from biddable.experiments.teaching import MORE
from biddable.judges.answer import AnswerJudge
from biddable.judges.base import Judge
from biddable.models.base import Sampling
from biddable.runs.figures import Curves, Point
from biddable.runs.run import Run
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.search.tree import SearchSettings
from biddable.types import Preference, Response, Task

BUDGETS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Generations at which accuracy by budget is read off."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that fails its task, and the critique that says so."""

    task: Task
    response: str
    critique: str


def choose_failures(answers: Answers, rng: np.random.Generator) -> list[Failure]:
    """One randomly chosen failed answer of each task that has any."""
    chosen = []
    for task, texts, verdicts in zip(answers.tasks, answers.texts, answers.verdicts, strict=True):
        failed = [i for i, v in enumerate(verdicts) if v.passed is False and texts[i].strip()]
        if failed:
            pick = failed[int(rng.integers(len(failed)))]
            chosen.append(Failure(task, texts[pick], verdicts[pick].critique))
    return chosen


class Repaired(NamedTuple):
    """Failed answers, and the tree of repairs of each."""

    failed: list[Failure]
    results: list[SearchResult]


def refined_pairs(repaired: Repaired) -> list[Preference]:
    """What a tree found against the *original* answer, for trees that were solved."""
    return [
        Preference(failure.task.prompt, result.best.response, failure.response, {"task": failure.task.id})
        for failure, result in zip(*repaired, strict=True)
        if result.solved and result.best.response != failure.response
    ]


def counts(repaired: Repaired) -> dict[str, int]:
    """How many failures there were, how many were mended, and what it took."""
    return {
        "negatives": len(repaired.failed),
        "solved": sum(result.solved for result in repaired.results),
        "expansions": sum(result.expansions for result in repaired.results),
    }


def nothing_to_learn(answers: Answers, repaired: Repaired) -> BiddableError:
    """Says why there are no refined pairs: a judge that passes all, or a refiner that mends none."""
    decided = sum(verdict.passed is not None for _, _, verdict in answers.flat())
    bias, failed = judge_bias(answers), len(repaired.failed)
    passed, right = (round(decided * bias[name]) for name in ("judged_passing", "checks_passing"))
    solved = sum(result.solved for result in repaired.results)
    return BiddableError(
        f"no refined pairs were found: of {decided} answers the judge passes {passed} (the checks {right}), "
        f"and {solved} of {failed} failures were mended; {MORE}"
    )


class Refinement:
    """Searches from failed answers, each round of which is a stage of the run.

    Args:
        run: where they are kept.
        judge_of: the judge of a search with a refiner; the refiner itself, or one for all.
        sampling: how a refiner writes.
        criticise: whether a search begins with the judge's own critique of each failure.
    """

    def __init__(
        self, run: Run, judge_of: Callable[[Weights], Judge], sampling: Sampling, *, criticise: bool = False
    ):
        self.run, self.judge_of, self.sampling, self.criticise = run, judge_of, sampling, criticise

    def search(
        self,
        name: str,
        refiner: Weights,
        failed: Sequence[Failure],
        how: SearchSettings,
        *,
        longer: int = 0,
    ) -> list[SearchResult]:
        """A tree from each failure, whose repairs may be ``longer`` by so many tokens."""
        sampling = replace(self.sampling, max_tokens=self.sampling.max_tokens + longer)
        roots = [RefinementNode(failure.response, failure.critique, 0.0) for failure in failed]
        tasks = [failure.task for failure in failed]
        return searched(self.run, name, refiner, self.judge_of(refiner), tasks, roots, how, sampling)

    def criticised(self, name: str, refiner: Weights, failed: Sequence[Failure]) -> list[Failure]:
        """The same failures with what the judge itself says of them, where it is to."""
        if not self.criticise or not failed:
            return list(failed)

        def ask() -> list[str]:
            seeds = [self.run.seed(name, "critique", failure.task.id) for failure in failed]
            responses = [Response(failure.response) for failure in failed]
            verdicts = self.judge_of(refiner)([failure.task for failure in failed], responses, seeds=seeds)
            return [verdict.critique for verdict in verdicts]

        critiques = self.run.stage(f"{name}-critiques", ask, list[str])
        return [replace(failure, critique=said) for failure, said in zip(failed, critiques, strict=True)]


INFERENCE = "search at inference"
MENDED = "failed answers mended by one repair"
CLAIMED = f"{MENDED}, by whoever judges"
ONCE = SearchSettings(branching=1, beam_width=1, max_depth=1, refine_tries=1)


def measure_refiners(
    refinement: Refinement,
    name: str,
    refiners: Mapping[str, Weights],
    failed: Sequence[Failure],
    scores: ArmScores,
    seed: int,
) -> None:
    """How many failures a single repair of each refiner mends, by the checks and by whoever judges."""
    for arm, refiner in refiners.items() if failed else ():
        stage = f"{name}-{arm.replace(' ', '')}"
        roots = refinement.criticised(stage, refiner, failed)
        results = refinement.search(stage, refiner, roots, ONCE)
        passed = passing(results, [failure.task for failure in roots])
        scores.add(f"{arm} refiner", passed, metric=MENDED, seed=seed)
        claimed = [float(result.solved) for result in results]
        scores.add(f"{arm} refiner", claimed, metric=CLAIMED, seed=seed)


def comparable(claims: Sequence[Claim], scores: ArmScores) -> list[Claim]:
    """The claims on two scores or more: where hardly anything failed there is nothing to compare."""
    return [
        claim
        for claim in claims
        if all(
            arm in scores.arms(claim.metric) and scores.values(arm, claim.metric).size > 1
            for arm in (claim.baseline, claim.method)
        )
    ]


def failures(suite: Suite, scored: Scored, limit: int) -> list[Failure]:
    """The first ``limit`` failed answers to a suite, or to its first tasks, as roots for a search."""
    rows = zip(suite.tasks, scored.texts, scored.verdicts, strict=False)
    return [
        Failure(task, text, critique_of(verdict))
        for task, text, verdict in rows
        if not verdict.passed and text.strip()
    ][:limit]


def untrained_failures(measured: Measured, limit: int) -> list[Failure]:
    """The first failed answers of the model as it comes to the first suite."""
    suite = measured.suites[0]
    return failures(suite, measured.answers[suite.name][BASE][0], limit)


def passing(results: Sequence[SearchResult], tasks: Sequence[Task]) -> list[float]:
    """Per tree: 1 where it rewrote the root into something that the checks pass."""
    verdicts = AnswerJudge()(tasks, [Response(result.best.response) for result in results])
    return [float(bool(v.passed) and r.refined) for v, r in zip(verdicts, results, strict=True)]


def at_inference(
    refinement: Refinement,
    name: str,
    refiner: Weights,
    suite: Suite,
    answers: Scored,
    limit: int,
    how: SearchSettings,
) -> dict[str, list[float]]:
    """Per task: 1 where the greedy answer passes, or what a search made of its failure.

    Best-of-n repairs each failure as often as its tree did, so the two have spent the same.

    Args:
        refinement: how searches are made.
        name: of the stages.
        refiner: the weights that repair.
        suite: the tasks, of which the first ``limit`` are taken.
        answers: greedy answers to it.
        limit: how many tasks.
        how: the tree.
    """
    tasks = suite.tasks[:limit]
    failed = failures(replace(suite, tasks=tasks), answers, limit)
    failed = refinement.criticised(name, refiner, failed)
    # A repair holds the whole answer once more: where answers are longer, so may repairs be.
    search = partial(refinement.search, longer=max(0, suite.max_tokens - suite.usual_tokens))
    trees = search(f"{name}-tree", refiner, failed, how)
    widest = max(1, max((tree.expansions for tree in trees), default=1))
    flat = search(f"{name}-flat", refiner, failed, replace(how, branching=widest, beam_width=1, max_depth=1))
    asked = [failure.task for failure in failed]
    reached = zip(first_passing(asked, flat), trees, strict=True)
    ways = {
        "tree search": passing(trees, asked),
        "best of as many": [float(first <= tree.expansions) for first, tree in reached],
    }
    greedy = answers.passed[: len(tasks)]
    mended = {way: dict(zip([t.id for t in asked], values, strict=True)) for way, values in ways.items()}
    rows = {
        way: [max(score, of.get(task.id, 0.0)) for score, task in zip(greedy, tasks, strict=True)]
        for way, of in mended.items()
    }
    return {"greedy": greedy, **rows}


def measure_at_inference(
    refinement: Refinement,
    name: str,
    refiner: Weights,
    measured: Measured,
    arm: str,
    limit: int,
    how: SearchSettings,
    *,
    seed: int,
) -> None:
    """``at_inference`` on every suite that ``arm`` answered; the scores go to those of ``measured``."""
    for suite in measured.answered_by(arm):
        stage = name if suite is measured.suites[0] else f"{name}-{suite.name}"
        answers = measured.answers[suite.name][arm][-1]
        for way, values in at_inference(refinement, stage, refiner, suite, answers, limit, how).items():
            measured.scores.add(way, values, metric=f"{suite.passing}, {INFERENCE}", seed=seed)


def inference_claims(measured: Measured, arm: str) -> list[Claim]:
    """Tree search beats greedy answers, and as many single repairs."""
    return [
        Claim(way, "tree search", metric=f"{suite.passing}, {INFERENCE}")
        for suite in measured.answered_by(arm)
        for way in ("greedy", "best of as many")
    ]


def by_budget(
    refinement: Refinement, name: str, refiner: Weights, failed: Sequence[Failure], how: SearchSettings
) -> dict[str, list[list[float]]]:
    """Per strategy and failure: whether it was mended within each of ``BUDGETS`` (SPaR, figure 5)."""
    failed = refinement.criticised(name, refiner, failed)
    most = BUDGETS[-1]
    strategies = {
        "best of n": replace(how, strategy="bfs", branching=most, beam_width=1, max_depth=1),
        "iterative": replace(how, strategy="bfs", branching=1, beam_width=1, max_depth=most),
        "bfs": replace(how, strategy="bfs", max_depth=most, budget=most),
        "dfs": replace(how, strategy="dfs", max_depth=3, budget=most),
    }
    asked = [failure.task for failure in failed]
    reached = {}
    for strategy, settings in strategies.items():
        stage = f"{name}-{strategy.replace(' ', '-')}"
        results = refinement.search(stage, refiner, failed, settings)
        if strategy == "best of n":
            spent = first_passing(asked, results)
        else:
            rows = zip(results, passing(results, asked), strict=True)
            spent = [result.expansions if passed else np.inf for result, passed in rows]
        reached[strategy] = [[float(generations <= n) for n in BUDGETS] for generations in spent]
    return reached


def first_passing(tasks: Sequence[Task], results: Sequence[SearchResult]) -> list[float]:
    """How many of each root's children it took until one passed the checks; infinity where none did."""
    rows = [
        (task, Response(child.response))
        for task, result in zip(tasks, results, strict=True)
        for child in result.root.children
    ]
    verdicts = iter(AnswerJudge()([task for task, _ in rows], [response for _, response in rows]))
    passed = [[bool(next(verdicts).passed) for _ in result.root.children] for result in results]
    return [row.index(True) + 1 if any(row) else np.inf for row in passed]


def budget_curve(rows: Sequence[Mapping[str, Sequence[Sequence[float]]]]) -> Curves:
    """Share mended by number of generations, from what ``by_budget`` gave for each seed."""

    def points(strategy: str) -> tuple[Point, ...]:
        values = np.concatenate([np.array(of_seed[strategy]) for of_seed in rows])  # [failures, budgets]
        return tuple(Point(n, float(values[:, i].mean())) for i, n in enumerate(BUDGETS))

    return Curves(
        title="Repairing held-out failures: four ways to spend generations",
        x_label="generations",
        y_label="share repaired",
        series={strategy: points(strategy) for strategy in rows[0]},
        x_scale="log",
    )
