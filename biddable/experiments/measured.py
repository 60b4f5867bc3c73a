"""How the arms of an instruction-following experiment do on its held-out suites: claims, numbers, figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from biddable.experiments.claims import Claim
from biddable.experiments.figures import answers_to_read
from biddable.experiments.instructions import BASE, Instructions, Scored, Suite, scored
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import Weights
from biddable.runs.figures import Bars, Curves, Figure, Table, Trees
from biddable.runs.run import Run
from biddable.types import Comparison, RoleOfComparison

ACCURACIES = ("prompt_strict", "inst_strict", "prompt_loose", "inst_loose", "average")
"""The numbers that papers print of IFEval."""


class Measured:
    """Greedy answers of every arm to every suite; each is a stage of the run.

    Args:
        run: where they are kept.
        instructions: the suites.

    Attributes:
        scores: [seeds, cases] per arm and metric.
        answers: suite -> arm -> one ``Scored`` per seed.
    """

    def __init__(self, run: Run, instructions: Instructions):
        self.run, self.suites = run, instructions.suites
        self.ifeval_arms = instructions.test.ifeval_arms
        self.scores = ArmScores()
        self.answers: dict[str, dict[str, list[Scored]]] = {
            suite.name: defaultdict(list) for suite in self.suites
        }

    def add(self, arm: str, weights: Weights, *, seed: int | None = None) -> None:
        """Let ``weights`` answer all suites.

        Args:
            arm: what the model is called; arms of several seeds have one name.
            weights: the model.
            seed: which repetition it belongs to; None: it is the same for all.
        """
        stage = arm if seed is None else f"seed{seed}-{arm}"
        for suite in self.suites:
            if suite.official and self.ifeval_arms and arm not in self.ifeval_arms:
                continue
            answers = scored(self.run, stage, weights, suite)
            self.answers[suite.name][arm].append(answers)
            # Composed tasks share requests, and what is asked twice is answered alike: no cases of their own.
            sources = [task.meta.get("base", task.prompt) for task in suite.tasks]
            for metric, values in _values(suite, answers).items():
                self.scores.add(arm, values, metric=metric, seed=seed)
                if len({*sources}) < len(sources):
                    self.scores.cluster(metric, sources)

    def answered_by(self, arm: str) -> list[Suite]:
        """The suites that an arm answered."""
        return [suite for suite in self.suites if arm in self.answers[suite.name]]

    def comparisons(
        self,
        pairs: Iterable[tuple[str, str]],
        last: str,
        questions: Iterable[tuple[str, str]] = (),
    ) -> list[Comparison]:
        """Each pair (baseline, method) on every suite that both answered: the method passes more.

        ``questions`` are pairs of which nobody says so.

        Of the model as it comes and the arm ``last`` two more: the rules alone, and fewer texts that are no
        answers.
        """
        return self.scores.compare(
            [
                claim
                for suite in self.suites
                for claim in self._claims(suite, list(pairs), last, list(questions))
            ]
        )

    def figures(
        self, last: str, iterations: Sequence[str] = (), *, beside: Sequence[str] = ()
    ) -> list[Figure]:
        """What a reader wants to see of it, the arm ``last`` beside the model as it comes.

        Args:
            last: the arm to show.
            iterations: the arms of a method's iterations, first to last, for a curve over them.
            beside: arms to show beside the two, where there are any, rule by rule.
        """
        drawn: list[Figure] = [self._by_rule(suite, (BASE, *beside, last)) for suite in self.suites]
        drawn.append(self._table())
        drawn += [self._published(suite) for suite in self.suites if suite.official]
        drawn += [self._to_read(suite, last) for suite in self.answered_by(last)]
        if iterations:
            drawn.append(self._over_iterations(iterations))
        return drawn

    def metrics(self) -> dict[str, Any]:
        """Every number, by suite and arm."""
        return {
            suite.name: {arm: _numbers(rows) for arm, rows in self.answers[suite.name].items()}
            for suite in self.suites
        }

    def _claims(
        self,
        suite: Suite,
        pairs: Sequence[tuple[str, str]],
        last: str,
        questions: Sequence[tuple[str, str]],
    ) -> Iterator[Claim]:
        arms = self.answers[suite.name]
        for pair in (*pairs, *questions):
            if {*pair} <= {*arms}:
                role: RoleOfComparison = "claim" if pair in pairs else "question"
                yield Claim(*pair, "higher", metric=suite.passing, role=role)
        if last in arms and BASE in arms:
            also = "mean of the four accuracies" if suite.official else "all rules followed, in whatever text"
            yield Claim(BASE, last, "higher", metric=f"{suite.title}: {also}")
            yield Claim(BASE, last, "lower", metric=f"{suite.title}: degenerate texts")

    def _by_rule(self, suite: Suite, chosen: Sequence[str]) -> Bars:
        arms = self.answers[suite.name]
        shown = [arm for arm in chosen if arm in arms]
        rates = {arm: _by_type(suite, arms[arm]) for arm in shown}
        rules = sorted(rates[BASE])
        return Bars(
            title=f"Rules followed, by type: {suite.title}",
            categories=tuple(rule.partition(":")[2].replace("_", " ") for rule in rules),
            series={arm: tuple(rates[arm][rule] for rule in rules) for arm in shown},
            unit="share followed" if suite.official else "share followed in a proper answer",
        )

    def _table(self) -> Table:
        columns = [
            metric for suite in self.suites for metric in (suite.passing, f"{suite.title}: degenerate texts")
        ]
        return self.scores.table(
            "All models",
            columns,
            note="Shares of tasks, greedy answers, strict; 95 % intervals. Degenerate texts loop, copy the "
            "request or say nothing; they count on IFEval only, scored as published.",
        )

    def _published(self, suite: Suite) -> Table:
        reports = {
            arm: [each.official for each in rows if each.official]
            for arm, rows in self.answers[suite.name].items()
        }
        return Table(
            title=f"{suite.title} as published: the four accuracies and their mean",
            columns=("model", "prompt strict", "inst. strict", "prompt loose", "inst. loose", "mean"),
            rows=tuple(
                (
                    arm,
                    *(
                        f"{100 * np.mean([getattr(each, name) for each in rows]):.1f} %"
                        for name in ACCURACIES
                    ),
                )
                for arm, rows in reports.items()
            ),
            note="By the rules alone, means over seeds. The bare prompt, sent back, has a mean of 33 %.",
        )

    def _to_read(self, suite: Suite, last: str) -> Trees:
        before, after = (self.answers[suite.name][arm][0] for arm in (BASE, last))
        return answers_to_read(
            f"Answers to read: {suite.title}",
            suite.tasks,
            (before.texts, before.verdicts),
            (after.texts, after.verdicts),
            note=f"The untrained model's answer and, below it, that of {last} (first seed).",
        )

    def _over_iterations(self, iterations: Sequence[str]) -> Curves:
        return self.scores.curves(
            "Over the iterations",
            dict(enumerate((BASE, *iterations))),
            [suite.passing for suite in self.suites],
            y_label="share of tasks with every rule followed",
        )


def _values(suite: Suite, answers: Scored) -> dict[str, list[float]]:
    """Per case, by metric."""
    values = {suite.passing: answers.passed, f"{suite.title}: degenerate texts": answers.degenerate}
    if suite.official:
        return {**values, f"{suite.title}: mean of the four accuracies": answers.average}
    return {**values, f"{suite.title}: all rules followed, in whatever text": answers.strict}


def _by_type(suite: Suite, rows: Sequence[Scored]) -> Mapping[str, float]:
    """Share of tasks on which each rule is followed; in a proper answer, unless the suite is official."""
    passed: dict[str, list[bool]] = defaultdict(list)
    for each in rows:
        for verdict, degenerate in zip(each.verdicts, each.degenerate, strict=True):
            for check in verdict.checks:
                passed[check.id].append(check.passed and (suite.official or not degenerate))
    return {rule: float(np.mean(values)) for rule, values in passed.items()}


def _numbers(rows: Sequence[Scored]) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "passed": float(np.mean([each.passed for each in rows])),
        "prompt_strict": float(np.mean([each.strict for each in rows])),
        "degenerate": float(np.mean([each.degenerate for each in rows])),
        "share_followed": float(np.mean([each.followed for each in rows])),
        "per_seed": [float(np.mean(each.passed)) for each in rows],
    }
    if reports := [each.official for each in rows if each.official]:
        numbers |= {
            name: float(np.mean([getattr(report, name) for report in reports])) for name in ACCURACIES
        }
    return numbers
