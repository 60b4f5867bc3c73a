"""What SPaR's report shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from biddable.judges.answer import AnswerJudge
from biddable.methods.answers import SHOWN, answers_to_read
from biddable.methods.improve.spar.data import pair_similarity
from biddable.methods.improve.spar.evaluate import GENERATIONS, Scored, Suite, judge_bias
from biddable.methods.improve.spar.records import Played
from biddable.runs.compare import mean_interval
from biddable.runs.figures import Bars, Curves, DiffPair, Diffs, Figure, Point, Table, Tree, TreeNode, Trees
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.types import Preference, Response, Task


def report(
    suites: Sequence[Suite], scores: Mapping[str, Mapping[str, list[Scored]]], played: Sequence[Played]
) -> list[Figure]:
    """Every figure of a run, in the order a reader wants them."""
    last = f"spar-{len(played[0].iterations)}"
    found: list[Figure] = [_by_rule(suite, scores[suite.name], last) for suite in suites]
    found.append(_models(suites, scores))
    found += [_published(suite, scores[suite.name]) for suite in suites if suite.official]
    found += [_answers(suite, scores[suite.name], last) for suite in suites if last in scores[suite.name]]
    found.append(_over_iterations(suites, scores, len(played[0].iterations)))
    found += _training(played[0])
    if played[0].curve:
        found.append(_generations(played))
    found.append(_data(played))
    if played[0].play.config.judge == "self":
        found.append(_judge(played))
    if played[0].repaired:
        found.append(_repairs(played))
    found.append(_trees(played[0]))
    found += _pairs(played[0])
    return found


def _by_rule(suite: Suite, models: Mapping[str, list[Scored]], last: str) -> Bars:
    shown = [name for name in ("base", "independent", last) if name in models]
    rates = {name: _rates(suite, models[name]) for name in shown}
    rules = sorted(rates["base"])
    return Bars(
        title=f"Rules followed, by type: {suite.title}",
        categories=tuple(rule.partition(":")[2].replace("_", " ") for rule in rules),
        series={name: tuple(rates[name][rule] for rule in rules) for name in shown},
        unit="share followed" if suite.official else "share followed in a proper answer",
    )


def _rates(suite: Suite, per_seed: Sequence[Scored]) -> dict[str, float]:
    passed: dict[str, list[bool]] = defaultdict(list)
    for scored in per_seed:
        for verdict, degenerate in zip(scored.verdicts, scored.degenerate, strict=True):
            for check in verdict.checks:
                passed[check.id].append(check.passed and (scored.official is not None or not degenerate))
    return {rule: float(np.mean(values)) for rule, values in passed.items()}


def _models(suites: Sequence[Suite], scores: Mapping[str, Mapping[str, list[Scored]]]) -> Table:
    names = list(scores[suites[0].name])
    rows = []
    for name in names:
        cells: list[str] = [name]
        for suite in suites:
            per_seed = scores[suite.name].get(name)
            cells += (
                [_with_interval([s.passed for s in per_seed]), _percent([s.degenerate for s in per_seed])]
                if per_seed
                else ["–", "–"]
            )
        rows.append(tuple(cells))
    return Table(
        title="All models: share of tasks on which every rule is followed",
        columns=("model", *(column for suite in suites for column in (suite.title, "degenerate"))),
        rows=tuple(rows),
        note="Greedy answers, strict; 95 % intervals by bootstrap over seeds and tasks. Degenerate "
        "texts loop, copy the request or say nothing; they count on IFEval only, scored as published.",
    )


def _published(suite: Suite, models: Mapping[str, list[Scored]]) -> Table:
    """The numbers that papers print of IFEval."""
    names = ("prompt_strict", "inst_strict", "prompt_loose", "inst_loose", "average")
    reports = {name: [s.official for s in per_seed if s.official] for name, per_seed in models.items()}
    return Table(
        title=f"{suite.title} as published: the four accuracies and their mean",
        columns=("model", "prompt strict", "inst. strict", "prompt loose", "inst. loose", "mean"),
        rows=tuple(
            (model, *(f"{100 * np.mean([getattr(one, name) for one in of_model]):.1f} %" for name in names))
            for model, of_model in reports.items()
        ),
        note="By the rules alone, means over seeds. The bare prompt, sent back, would have a mean of 33 %.",
    )


def _percent(shares: Sequence[Sequence[float]]) -> str:
    return f"{100 * np.mean(shares):.0f} %"


def _answers(suite: Suite, models: Mapping[str, list[Scored]], last: str) -> Trees:
    before, after = models["base"][0], models[last][0]
    return answers_to_read(
        f"Answers to read: {suite.title}",
        suite.tasks,
        (before.texts, before.verdicts),
        (after.texts, after.verdicts),
        note=f"The untrained model's answer and, below it, that of {last} (first seed).",
    )


def _with_interval(passed: Sequence[Sequence[float]]) -> str:
    low, high = mean_interval(np.array(passed))
    return f"{100 * np.mean(passed):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _over_iterations(
    suites: Sequence[Suite], scores: Mapping[str, Mapping[str, list[Scored]]], iterations: int
) -> Curves:
    series = {}
    for suite in suites:
        models = scores[suite.name]
        names = [(0, "base"), *((i, f"spar-{i}") for i in range(1, iterations + 1))]
        series[suite.title] = tuple(
            _point(i, [s.passed for s in models[name]]) for i, name in names if name in models
        )
    return Curves(
        title="Learning over the iterations of self-play",
        x_label="iteration",
        y_label="share of tasks with every rule followed",
        series=series,
    )


def _point(x: float, passed: Sequence[Sequence[float]]) -> Point:
    low, high = mean_interval(np.array(passed))
    return Point(x, float(np.mean(passed)), low, high)


def _training(played: Played) -> list[Figure]:
    """The losses of SPaR's own trainings. A process that follows another's run keeps none, and shows none."""
    folders = {"first refiner": played.refiner}
    for i, iteration in enumerate(played.iterations, 1):
        folders[f"actor, iteration {i}"] = iteration.actor
        folders[f"refiner, iteration {i}"] = iteration.refiner
    titles: dict[str, str] = {}  # by stage; an iteration that found nothing to learn keeps the one before
    for title, folder in folders.items():
        titles.setdefault(folder.name, title)
    curves = {title: played.play.run.logged(stage, "loss") for stage, title in titles.items()}
    series = {title: tuple(Point(*row) for row in rows) for title, rows in curves.items() if rows}
    if not series:
        return []
    return [
        Curves(
            title="Training: loss by step",
            x_label="optimizer step",
            y_label="loss of the step's batch",
            series=series,
            note="First seed. Refiners: mean negative log-likelihood of a token; actors: DPO with its "
            "likelihood term, which are not on one scale.",
        )
    ]


def _generations(played: Sequence[Played]) -> Curves:
    def points(name: str) -> tuple[Point, ...]:
        rows = np.concatenate([np.array(p.curve[name]) for p in played])
        return tuple(Point(n, float(rows[:, i].mean())) for i, n in enumerate(GENERATIONS))

    return Curves(
        title="Repairing held-out failures: four ways to spend generations (figure 5)",
        x_label="generations",
        y_label="share repaired",
        series={name: points(name) for name in played[0].curve},
        x_scale="log",
    )


def _data(played: Sequence[Played]) -> Table:
    rows = []
    for p in played:
        sampled = p.independent()
        if sampled:
            rows.append((p.play.name, "independent", len(sampled), _mean(pair_similarity(sampled))))
        for i, iteration in enumerate(p.iterations, 1):
            similarity = _mean(pair_similarity(iteration.pairs))
            rows.append((p.play.name, f"refined, iteration {i}", len(iteration.pairs), similarity))
    return Table(
        title="Training pairs: how much of the two sides is the same text",
        columns=("seed", "pairs", "count", "similarity"),
        rows=tuple(rows),
        note="The paper: 0.90 for refined pairs, 0.85 for independent ones.",
    )


def _judge(played: Sequence[Played]) -> Table:
    rows = [
        (p.play.name, str(i), *(f"{share:.2f}" for share in judge_bias(iteration.answers).values()))
        for p in played
        for i, iteration in enumerate(p.iterations, 1)
    ]
    return Table(
        title="The model as its own judge, beside the checks",
        columns=("seed", "iteration", "it passes", "checks pass", "failures it passes", "passes it fails"),
        rows=tuple(rows),
        note="Of the actor's answers on which the votes came to a verdict; shares.",
    )


def _repairs(played: Sequence[Played]) -> Table:
    return Table(
        title="Failed answers mended by one repair",
        columns=("refiner", "by the checks", "by who judges"),
        rows=tuple(
            (name, _percent([p.repaired[name] for p in played]), _percent([p.claimed[name] for p in played]))
            for name in played[0].repaired
        ),
        note="With judge=self the second is the refiner's own opinion of what it wrote.",
    )


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}" if len(values) else ""


def _trees(played: Played) -> Trees:
    first = played.iterations[0]
    order = sorted(range(len(first.results)), key=lambda i: (not first.results[i].solved, i))
    solved, unsolved = order[: SHOWN * 2 // 3], order[-SHOWN // 3 :]
    shown = dict.fromkeys([*solved, *unsolved])
    return Trees(
        title="Refinement trees of the first iteration",
        trees=tuple(_tree(first.negatives[i].task, first.results[i]) for i in shown),
        note="Two thirds were solved and one third were not, where there are as many.",
    )


def _tree(task: Task, result: SearchResult) -> Tree:
    judge = AnswerJudge()

    def node(at: RefinementNode) -> TreeNode:
        checks = judge([task], [Response(at.response)])[0].checks
        return TreeNode(
            text=at.response,
            value=at.value,
            failed=tuple(check.id for check in checks if not check.passed),
            critique=at.critique,
            children=tuple(node(child) for child in at.children),
            best=at is result.best,
        )

    return Tree(prompt=task.prompt[-1].content, root=node(result.root))


def _pairs(played: Played) -> list[Figure]:
    kinds = {"Refined pairs": played.iterations[0].pairs, "Independent pairs": played.independent()}
    return [_diffs(title, pairs[:SHOWN]) for title, pairs in kinds.items() if pairs]


def _diffs(title: str, pairs: Sequence[Preference]) -> Diffs:
    return Diffs(
        title=title,
        pairs=tuple(
            DiffPair(pair.prompt[-1].content, pair.rejected, pair.chosen, labels=("rejected", "chosen"))
            for pair in pairs
        ),
    )
