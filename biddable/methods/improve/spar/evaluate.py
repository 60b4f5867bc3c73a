"""Measuring actors and refiners on tasks that no training has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from biddable.judges.answer import NOT_DEGENERATE, AnswerJudge
from biddable.methods.improve.spar.config import SparConfig
from biddable.methods.improve.spar.data import Negative, critique_of
from biddable.methods.improve.spar.selfplay import BATCH, Answers, Lazy, SelfPlay, Weights
from biddable.models.base import Sampling
from biddable.runs.run import Run
from biddable.search.nodes import SearchResult
from biddable.search.tree import SearchSettings
from biddable.tasks.compose import Composer
from biddable.types import Response, Task, Verdict

TEST_SEED = 20241211
"""Fixes the held-out tasks: the same for every run and seed. Tuning used the validation split."""

GENERATIONS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Where figure 5 is read off."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Held-out tasks of one kind.

    ``official`` suites are scored by their rules alone, so that the numbers compare with published ones.
    """

    name: str
    title: str
    tasks: list[Task]
    max_tokens: int
    official: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """One model's greedy answers to a suite; the verdicts hold the rules and that the text is an answer."""

    texts: list[str]
    verdicts: list[Verdict]
    official: bool = False

    @property
    def passed(self) -> list[float]:
        """Per task: 1 where it counts, by every rule and, unless ``official``, as an answer."""
        if self.official:
            return self.strict
        return [float(bool(verdict.passed)) for verdict in self.verdicts]

    @property
    def strict(self) -> list[float]:
        """Per task: 1 where every rule was followed, whatever the text is otherwise (prompt, strict)."""
        return [float(all(met)) for met in self._rules()]

    @property
    def followed(self) -> list[float]:
        """Per task: the share of its rules that was followed, whatever the text is otherwise."""
        return [float(np.mean(met)) for met in self._rules()]

    @property
    def degenerate(self) -> list[float]:
        """Per task: 1 where the text is no answer (see ``biddable.judges.degenerate``)."""
        return [
            float(any(check.id == NOT_DEGENERATE and not check.passed for check in verdict.checks))
            for verdict in self.verdicts
        ]

    def _rules(self) -> list[list[bool]]:
        return [
            [check.passed for check in verdict.checks if check.id != NOT_DEGENERATE]
            for verdict in self.verdicts
        ]


def suites(config: SparConfig) -> list[Suite]:
    """The held-out composed tasks, those on held-out rule types, and IFEval where its file is given."""
    trained = [one for one in config.types if one not in config.held_out_types]
    composer = partial(Composer, "test", rules=(1, config.rules), brief=config.brief, seed=TEST_SEED)
    found = [
        Suite(
            "composed", "held-out tasks", composer(types=trained).sample(config.test_tasks), config.max_tokens
        )
    ]
    if config.test_held_out and config.held_out_types:
        tasks = composer(types=config.held_out_types).sample(config.test_held_out)
        found.append(Suite("held-out-types", "held-out rule types", tasks, config.max_tokens))
    if config.ifeval is not None:
        from biddable.tasks.ifeval import load_ifeval

        found.append(
            Suite("ifeval", "IFEval", load_ifeval(config.ifeval), config.ifeval_tokens, official=True)
        )
    return found


def score(run: Run, name: str, weights: Weights, suite: Suite) -> Scored:
    """Greedy answers of a model to a suite, judged."""
    model = Lazy(weights)
    how = Sampling(max_tokens=suite.max_tokens, temperature=0)

    def answer(batch: list[Task]) -> list[str]:
        return [samples[0].text for samples in model().generate([t.prompt for t in batch], sampling=how)]

    texts = run.map(f"{name}-on-{suite.name}", suite.tasks, answer, str, 4 * BATCH)
    verdicts = AnswerJudge()(suite.tasks, [Response(text) for text in texts])
    return Scored(texts, verdicts, suite.official)


def failures(suite: Suite, scored: Scored, limit: int) -> list[Negative]:
    """The first ``limit`` answers that fail, as roots for a search."""
    rows = zip(suite.tasks, scored.texts, scored.verdicts, strict=True)
    return [
        Negative(task, text, critique_of(verdict), (verdict.score or 0.0) / 2)
        for task, text, verdict in rows
        if not verdict.passed and text.strip()
    ][:limit]


def repaired_once(play: SelfPlay, name: str, refiner: Weights, negatives: Sequence[Negative]) -> list[float]:
    """Per failed answer: 1 where a single repair passes the checks (the paper's refinement accuracy)."""
    settings = SearchSettings(branch=1, keep=1, max_depth=1, refine_tries=1)
    results = play.search(name, refiner, negatives, settings)
    return _passing([n.task for n in negatives], results)


def searched(
    play: SelfPlay, name: str, refiner: Weights, suite: Suite, scored: Scored, limit: int
) -> dict[str, list[float]]:
    """Step 7 at inference, on the first ``limit`` tasks of a suite: greedy, tree search, best of as many.

    Best-of-n repairs each failure as often as its tree did, so the two have spent the same.
    """
    count = min(limit, len(suite.tasks))
    head = Suite(suite.name, suite.title, suite.tasks[:count], suite.max_tokens)
    greedy = Scored(scored.texts[:count], scored.verdicts[:count], scored.official)
    negatives = failures(head, greedy, count)
    trees = play.search(f"{name}-tree", refiner, negatives, play.config.search_settings())
    widest = max((tree.expansions for tree in trees), default=1)
    flat = SearchSettings(branch=max(widest, 1), keep=1, max_depth=1)
    samples = play.search(f"{name}-flat", refiner, negatives, flat)
    tree_solved = _passing([n.task for n in negatives], trees)
    flat_solved = [
        float(first_success(sample, play.config.gate) <= tree.expansions)
        for sample, tree in zip(samples, trees, strict=True)
    ]
    return {
        "greedy": greedy.passed,
        "tree search": _with(greedy, head, negatives, tree_solved),
        "best of as many": _with(greedy, head, negatives, flat_solved),
    }


def judge_bias(answers: Answers) -> dict[str, float]:
    """How the judge's verdicts on the actor's answers differ from the checks' (judge=self: its bias).

    Returns:
        ``judged_passing`` and ``checks_passing``, the shares that pass, over the answers on which the judge
        came to a verdict; ``passes_failures``, the share it passes of those that fail the rules, and
        ``fails_passes`` the other way round; 0 where there are none.
    """
    rows = [(task, text, note.label) for task, text, note in answers.flat() if note.label is not None]
    verdicts = AnswerJudge()([task for task, _, _ in rows], [Response(text) for _, text, _ in rows])
    judged = np.array([label == 1 for _, _, label in rows], dtype=bool)
    right = np.array([bool(verdict.passed) for verdict in verdicts], dtype=bool)

    def share(values: np.ndarray) -> float:
        return float(values.mean()) if len(values) else 0.0

    return {
        "judged_passing": share(judged),
        "checks_passing": share(right),
        "passes_failures": share(judged[~right]),
        "fails_passes": share(~judged[right]),
    }


def curve(
    play: SelfPlay, name: str, refiner: Weights, negatives: Sequence[Negative]
) -> dict[str, list[list[float]]]:
    """Figure 5: per strategy and failed answer, whether it was repaired within each of ``GENERATIONS``."""
    most = GENERATIONS[-1]
    config = play.config
    strategies = {
        "best of n": SearchSettings(branch=most, keep=1, max_depth=1, gate=config.gate),
        "iterative": SearchSettings(branch=1, keep=1, max_depth=most, gate=config.gate),
        "bfs": SearchSettings(
            branch=config.branch, keep=config.keep, max_depth=most, budget=most, gate=config.gate
        ),
        "dfs": SearchSettings(
            strategy="dfs", branch=config.branch, keep=config.keep, max_depth=3, budget=most, gate=config.gate
        ),
    }
    reached = {}
    for strategy, settings in strategies.items():
        results = play.search(f"{name}-{strategy.replace(' ', '-')}", refiner, negatives, settings)
        spent = [
            first_success(r, config.gate) if strategy == "best of n" else r.expansions if r.solved else np.inf
            for r in results
        ]
        reached[strategy] = [[float(s <= n) for n in GENERATIONS] for s in spent]
    return reached


def first_success(result: SearchResult, gate: float) -> float:
    """How many of the root's children it took until one passed; infinity where none did."""
    places = [i for i, child in enumerate(result.root.children, 1) if child.value > gate]
    return places[0] if places else np.inf


def _passing(tasks: Sequence[Task], results: Sequence[SearchResult]) -> list[float]:
    verdicts = AnswerJudge()(tasks, [Response(result.best.response) for result in results])
    return [float(bool(v.passed) and r.refined) for v, r in zip(verdicts, results, strict=True)]


def _with(
    greedy: Scored, suite: Suite, negatives: Sequence[Negative], solved: Sequence[float]
) -> list[float]:
    """The greedy scores, with what a search made of the failures in their places."""
    gained = {negative.task.id: value for negative, value in zip(negatives, solved, strict=True)}
    return [max(p, gained.get(task.id, 0.0)) for p, task in zip(greedy.passed, suite.tasks, strict=True)]
