"""Measuring actors and refiners on tasks that no training has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from biddable.judges.answer import NOT_DEGENERATE, AnswerJudge
from biddable.judges.ifeval import IFEvalReport
from biddable.judges.ifeval import evaluate as ifeval
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
    official: IFEvalReport | None = None

    @property
    def passed(self) -> list[float]:
        """Per task: 1 where it counts, by every rule and, unless scored as published, as an answer."""
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
    def average(self) -> list[float]:
        """Per task: its part in the mean of IFEval's four accuracies; the mean over tasks is that mean."""
        assert self.official is not None
        # An accuracy over instructions gives a prompt with many of them more weight.
        share = self.official.n_prompts / self.official.n_instructions
        return [
            (all(one.strict) + all(one.loose) + share * (sum(one.strict) + sum(one.loose))) / 4
            for one in self.official.outcomes
        ]

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
    return Scored(texts, verdicts, _official(suite.tasks, texts) if suite.official else None)


def _official(tasks: Sequence[Task], texts: Sequence[str]) -> IFEvalReport:
    return ifeval(tasks, {task.prompt[-1].content: text for task, text in zip(tasks, texts, strict=True)})


def failures(suite: Suite, scored: Scored, limit: int) -> list[Negative]:
    """The first ``limit`` answers that fail, as roots for a search."""
    rows = zip(suite.tasks, scored.texts, scored.verdicts, strict=True)
    return [
        Negative(task, text, critique_of(verdict))
        for task, text, verdict in rows
        if not verdict.passed and text.strip()
    ][:limit]


def repaired_once(
    play: SelfPlay, name: str, refiner: Weights, negatives: Sequence[Negative]
) -> tuple[list[float], list[float]]:
    """Per failed answer: 1 where a single repair passes the checks, and 1 where its own judge passes it.

    The first is the paper's refinement accuracy; the second differs from it where the model judges itself.
    """
    settings = SearchSettings(branching=1, beam_width=1, max_depth=1, refine_tries=1)
    results = play.search(name, refiner, _criticised(play, name, refiner, negatives), settings)
    return _passing([n.task for n in negatives], results), [float(r.solved) for r in results]


def searched(
    play: SelfPlay, name: str, refiner: Weights, suite: Suite, scored: Scored, limit: int
) -> dict[str, list[float]]:
    """Step 7 at inference, on the first ``limit`` tasks of a suite: greedy, tree search, best of as many.

    Best-of-n repairs each failure as often as its tree did, so the two have spent the same. What counts is
    whether the checks pass what was found, whoever judged on the way.
    """
    count = min(limit, len(suite.tasks))
    head = Suite(suite.name, suite.title, suite.tasks[:count], suite.max_tokens)
    greedy = Scored(scored.texts[:count], scored.verdicts[:count])
    negatives = _criticised(play, name, refiner, failures(head, greedy, count))
    # A repair holds the whole answer once more: where answers are longer, so may repairs be.
    longest = play.config.refine_tokens + max(0, suite.max_tokens - play.config.max_tokens)
    search = partial(play.search, refiner=refiner, negatives=negatives, max_tokens=longest)
    settings = play.config.search_settings()
    trees = search(f"{name}-tree", settings=settings)
    widest = max((tree.expansions for tree in trees), default=1)
    samples = search(
        f"{name}-flat", settings=replace(settings, branching=max(widest, 1), beam_width=1, max_depth=1)
    )
    tasks = [negative.task for negative in negatives]
    flat_solved = [
        float(first <= tree.expansions)
        for first, tree in zip(_first_passing(tasks, samples), trees, strict=True)
    ]
    counts = scored.passed[:count]
    return {
        "greedy": counts,
        "tree search": _with(counts, head, negatives, _passing(tasks, trees)),
        "best of as many": _with(counts, head, negatives, flat_solved),
    }


def judge_bias(answers: Answers) -> dict[str, float]:
    """How the judge's verdicts on the actor's answers differ from the checks' (judge=self: its bias).

    Returns:
        ``judged_passing`` and ``checks_passing``, the shares that pass, over the answers on which the judge
        came to a verdict; ``passes_failures``, the share it passes of those that fail the rules, and
        ``fails_passes`` the other way round; 0 where there are none.
    """
    rows = [(task, text, note.passed) for task, text, note in answers.flat() if note.passed is not None]
    verdicts = AnswerJudge()([task for task, _, _ in rows], [Response(text) for _, text, _ in rows])
    judged = np.array([passed for _, _, passed in rows], dtype=bool)
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
    settings = play.config.search_settings()
    strategies = {
        "best of n": replace(settings, strategy="bfs", branching=most, beam_width=1, max_depth=1),
        "iterative": replace(settings, strategy="bfs", branching=1, beam_width=1, max_depth=most),
        "bfs": replace(settings, strategy="bfs", max_depth=most, budget=most),
        "dfs": replace(settings, strategy="dfs", max_depth=3, budget=most),
    }
    negatives = _criticised(play, name, refiner, negatives)
    tasks = [negative.task for negative in negatives]
    reached = {}
    for strategy, how in strategies.items():
        results = play.search(f"{name}-{strategy.replace(' ', '-')}", refiner, negatives, how)
        if strategy == "best of n":
            spent = _first_passing(tasks, results)
        else:
            passing = _passing(tasks, results)
            spent = [r.expansions if p else np.inf for r, p in zip(results, passing, strict=True)]
        reached[strategy] = [[float(s <= n) for n in GENERATIONS] for s in spent]
    return reached


def _criticised(play: SelfPlay, name: str, refiner: Weights, negatives: Sequence[Negative]) -> list[Negative]:
    """The same failures with what the refiner itself says of them, where it is the judge."""
    if play.config.judge == "rules" or not negatives:
        return list(negatives)

    def criticise() -> list[str]:
        seeds = [play.run.seed(name, "critique", negative.task.id) for negative in negatives]
        tasks, responses = [n.task for n in negatives], [Response(n.response) for n in negatives]
        return [verdict.critique for verdict in play.judge(refiner)(tasks, responses, seeds=seeds)]

    said = play.run.stage(f"{name}-critiques", criticise, list[str])
    return [replace(negative, critique=one) for negative, one in zip(negatives, said, strict=True)]


def _first_passing(tasks: Sequence[Task], results: Sequence[SearchResult]) -> list[float]:
    """How many of each root's children it took until one passed the checks; infinity where none did."""
    rows = [
        (task, Response(child.response))
        for task, result in zip(tasks, results, strict=True)
        for child in result.root.children
    ]
    verdicts = iter(AnswerJudge()([task for task, _ in rows], [response for _, response in rows]))
    passed = [[bool(next(verdicts).passed) for _ in result.root.children] for result in results]
    return [row.index(True) + 1 if any(row) else np.inf for row in passed]


def _passing(tasks: Sequence[Task], results: Sequence[SearchResult]) -> list[float]:
    verdicts = AnswerJudge()(tasks, [Response(result.best.response) for result in results])
    return [float(bool(v.passed) and r.refined) for v, r in zip(verdicts, results, strict=True)]


def _with(
    counts: Sequence[float], suite: Suite, negatives: Sequence[Negative], solved: Sequence[float]
) -> list[float]:
    """The greedy scores, with what a search made of the failures in their places."""
    gained = {negative.task.id: value for negative, value in zip(negatives, solved, strict=True)}
    return [max(p, gained.get(task.id, 0.0)) for p, task in zip(counts, suite.tasks, strict=True)]
