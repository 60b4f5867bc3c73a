"""SPaR from its first prompt to its proof."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from biddable.errors import BiddableError
from biddable.judges.ifeval import sentence_splitter_name
from biddable.methods.base import About, Method, show
from biddable.methods.improve.spar import evaluate, figures
from biddable.methods.improve.spar.arms import ARMS
from biddable.methods.improve.spar.checks import check_settings
from biddable.methods.improve.spar.config import TYPES, SparConfig
from biddable.methods.improve.spar.data import Negative, build_dpo_pairs, pair_similarity
from biddable.methods.improve.spar.evaluate import Scored, Suite
from biddable.methods.improve.spar.records import Iteration, Played, Start
from biddable.methods.improve.spar.selfplay import Answers, SelfPlay, Weights
from biddable.runs.compare import compare
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.search.nodes import SearchResult
from biddable.tasks.compose import SHORT_TYPES
from biddable.types import Comparison, Preference

logger = logging.getLogger(__name__)

BASE = "base"
Scores = dict[str, dict[str, list[Scored]]]
"""suite -> model -> one ``Scored`` per seed."""

NOTES = (
    "The first refiner is taught rule-made repairs of the model's own failures on training tasks; the "
    "paper's teacher is a strong language model, and none is at hand here. It is the same for all seeds, "
    "so the intervals do not cover how it came out.",
    "With judge=rules the tasks' own checks say what passes, in training and in the search at inference; "
    "the paper lets the refiner judge by vote.",
    "A text counts only if it is an answer: without it, this model learns to follow the rules in texts that "
    "loop, echo the request or say nothing (see biddable.judges.degenerate). IFEval is scored as published, "
    "by its rules alone.",
    "Held-out requests and wordings, and the held-out rule types, are seen by no training; settings were "
    "chosen on the validation split.",
)


class Spar(Method):
    """SPaR: self-play with tree-search refinement (see ``biddable.methods.improve.spar``)."""

    about = About(
        title="SPaR: self-play with tree-search refinement",
        citation="Cheng et al., ICLR 2025, arXiv 2412.11605",
        claim=(
            "Preference pairs made by repairing a failed answer teach instruction following better than "
            "pairs of independent samples, and self-play on them keeps improving over three iterations "
            "(LLaMA3-8B-Instruct, IFEval average: 77.9 to 81.8; with tree search at inference 83.7)."
        ),
        needs="a chat model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={
            "smoke": "2 (2 cores)",
            "default": "13 (2 cores), 4 with bf16",
            "full": "96 (2 cores with bf16)",
            "gpu": "not measured",
        },
        takes="any chat model whose weights can be trained (--model)",
        leaves="the improved model (artifacts/model), its refiner and its pairs (data/pairs.parquet)",
    )
    Config = SparConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "types": ("change_case:english_lowercase", "punctuation:no_comma"),
            "held_out_types": (),
            "arms": ("independent",),
            "prompts": 8,
            "samples": 3,
            "bootstrap": 16,
            "bootstrap_epochs": 2,
            "bootstrap_lr": 3e-4,
            "branch": 8,
            "max_depth": 1,
            "max_tokens": 32,
            "refine_tokens": 64,
            "test_tasks": 12,
            "test_held_out": 0,
        },
        "full": {  # the settings of results/spar.json; its arms and larger tests are on the method's page
            "types": TYPES,
            "seeds": 3,
            "iterations": 3,
            "bootstrap": 450,
            "prompts": 80,
            "arms": ("independent",),
            "test_tasks": 200,
            "test_held_out": 80,
            "ifeval_arms": ("base", "spar-3"),
            "inference_search": 40,
            "curve": 12,
        },
        "gpu": {
            "types": SHORT_TYPES,
            "brief": False,
            "iterations": 3,
            "prompts": 1000,
            "bootstrap": 1000,
            "rules": 3,
            "max_tokens": 512,
            "refine_tokens": 768,
            "seeds": 3,
            "arms": ("independent", "no-tree-search", "no-iterating", "self-rewarding", "self", "humpback"),
            "test_tasks": 500,
            "test_held_out": 200,
            "keep": 2,
            "max_depth": 3,
            "inference_search": 200,
            "curve": 100,
        },
    }
    config: SparConfig

    def check(self) -> None:
        """See ``Method.check``: the rule types, IFEval's file and arms, the model."""
        check_settings(self.config)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        run.describe(model=config.model, judge=config.judge, sentence_splitter=sentence_splitter_name())
        suites = evaluate.suites(config)
        seeds = list(range(run.root_seed, run.root_seed + config.seeds))
        scores: Scores = {suite.name: defaultdict(list) for suite in suites}
        plays = [SelfPlay(run, config, seed) for seed in seeds]
        refiner = plays[0].bootstrap()
        played = [self._one_seed(run, play, refiner, suites, scores) for play in plays]

        show(run, figures.report(suites, scores, played))
        self._leave_artifacts(run, played[-1])
        comparisons = list(_comparisons(suites, scores, seeds, played))
        return run.finish(comparisons, metrics=_metrics(suites, scores, played), notes=NOTES)

    def _one_seed(
        self, run: Run, play: SelfPlay, refiner: Path, suites: Sequence[Suite], scores: Scores
    ) -> Played:
        iterations = list(_iterate(play, refiner))
        start = Start(refiner, iterations[0])
        actors: dict[str, Path] = {}
        for arm in self.config.arms:
            actors |= ARMS[arm](play, start)
        actors |= {f"spar-{i}": iteration.actor for i, iteration in enumerate(iterations, 1)}

        models: Mapping[str, Weights] = {BASE: self.config.model, **actors}
        for suite in suites:
            for name, weights in models.items():
                if suite.name == "ifeval" and name not in self.config.ifeval_arms:
                    continue
                if name == BASE and scores[suite.name][BASE]:
                    continue  # greedy answers of the untrained model: the same for every seed
                stage = BASE if name == BASE else f"{play.name}-{name}"
                scores[suite.name][name].append(evaluate.score(run, stage, weights, suite))
        return self._refinement(play, Played(play, refiner, iterations), suites, scores)

    def _refinement(self, play: SelfPlay, played: Played, suites: Sequence[Suite], scores: Scores) -> Played:
        """How well refiners repair, and what their search adds at inference."""
        config, last = self.config, played.iterations[-1]
        held_out = suites[0]
        if config.inference_search:
            failed = evaluate.failures(held_out, scores[held_out.name][BASE][0], config.inference_search)
            refiners: dict[str, Weights] = {"untrained": config.model, "bootstrapped": played.refiner}
            refiners |= {f"iteration {i}": it.refiner for i, it in enumerate(played.iterations, 1)}
            for name, weights in refiners.items():
                stage = f"{play.name}-repairs-{name.replace(' ', '')}"
                found = evaluate.repaired_once(play, stage, weights, failed)
                played.repaired[name], played.claimed[name] = found
            for suite in suites:
                actors = scores[suite.name].get(f"spar-{len(played.iterations)}")
                if actors:
                    stage = f"{play.name}-inference" + (f"-{suite.name}" if suite is not held_out else "")
                    played.searched[suite.name] = evaluate.searched(
                        play, stage, last.refiner, suite, actors[-1], config.inference_search
                    )
        if config.curve:
            failed = evaluate.failures(held_out, scores[held_out.name][BASE][0], config.curve)
            played.curve = evaluate.curve(play, f"{play.name}-curve", last.refiner, failed)
        return played

    def _leave_artifacts(self, run: Run, played: Played) -> None:
        from biddable.runs.tables import write_parquet

        last = played.iterations[-1]
        run.publish(last.actor, "model")
        run.publish(last.refiner, "refiner")
        pairs = [pair for iteration in played.iterations for pair in iteration.pairs]
        write_parquet(run.artifact("data", "pairs.parquet"), pairs, Preference)


def _iterate(play: SelfPlay, refiner: Path) -> Iterator[Iteration]:
    """Step 7: the loop of steps 3 to 6."""
    config = play.config
    actor: Weights = config.model
    for number in range(1, config.iterations + 1):
        name = f"{play.name}-iter{number}"
        tasks = play.slice(number)
        answers = play.answer(name, actor, tasks, samples=config.samples, refiner=refiner)
        negatives = play.negatives(name, answers)
        results = play.search(name, refiner, negatives, config.search_settings())
        pairs = build_dpo_pairs(negatives, results)
        if number == 1 and not pairs:
            raise _nothing_to_learn(answers, negatives, results)
        if pairs:
            actor = play.train_actor(f"{name}-actor", actor, pairs)
            lessons = play.refiner_data(name, negatives, results, answers)
            refiner = play.train_refiner(f"{name}-refiner", refiner, lessons)
        else:  # a model that judges itself comes to find everything right
            logger.warning("iteration %d: nothing to learn was found; actor and refiner stay", number)
        yield Iteration(answers, negatives, results, pairs, Path(actor), refiner)


def _nothing_to_learn(
    answers: Answers, negatives: Sequence[Negative], results: Sequence[SearchResult]
) -> BiddableError:
    """Says why the first iteration came to nothing: a judge that passes all, a refiner that mends none."""
    decided = sum(note.passed is not None for _, _, note in answers.flat())
    bias = evaluate.judge_bias(answers)
    passed, right = (round(decided * bias[name]) for name in ("judged_passing", "checks_passing"))
    solved = sum(result.solved for result in results)
    return BiddableError(
        f"no refined pairs were found: of {decided} answers the judge passes {passed} (the checks {right}), "
        f"and {solved} of {len(negatives)} failures were mended; use more prompts, more samples or easier "
        "rule types"
    )


def _comparisons(
    suites: Sequence[Suite], scores: Scores, seeds: list[int], played: Sequence[Played]
) -> Iterator[Comparison]:
    """The paper's claims, each as a comparison on every suite."""
    last = f"spar-{len(played[0].iterations)}"
    for suite in suites:
        models = scores[suite.name]
        pairs = [(BASE, last)]
        pairs += [(f"spar-{i}", f"spar-{i + 1}") for i in range(1, len(played[0].iterations))]
        pairs += [("independent", "refined"), (BASE, "independent")]
        arms = (arm for arm in models if arm not in (BASE, "independent", "refined"))
        pairs += [(arm, _counterpart(arm, last)) for arm in arms if not arm.startswith("spar-")]
        for baseline, method in pairs:
            if baseline in models and method in models:
                yield _against(f"{suite.title}: {_passing(suite)}", models, baseline, method, seeds, "passed")
        if last in models:
            yield from _besides(suite, models, last, seeds)
    for suite in suites:
        if suite.name in played[0].searched:
            yield from _searches(suite, played, seeds)
    if played[0].repaired:
        yield from _repairs(played, seeds)


def _counterpart(arm: str, last: str) -> str:
    """Which of SPaR's actors has seen as many tasks as an arm's: those of one iteration, of k, or of all."""
    if arm == "no-iterating":
        return last
    iterations = arm.rpartition("-")[2]
    return f"spar-{iterations}" if iterations.isdecimal() else "spar-1"


def _passing(suite: Suite) -> str:
    return "all rules followed" if suite.official else "all rules followed in a proper answer"


def _besides(
    suite: Suite, models: Mapping[str, list[Scored]], last: str, seeds: list[int]
) -> Iterator[Comparison]:
    """What else can be said of untrained and last model: by rules alone, and how often no answer comes."""
    if suite.official:
        yield _against(f"{suite.title}: mean of the four accuracies", models, BASE, last, seeds, "average")
    else:
        whatever = f"{suite.title}: all rules followed, in whatever text"
        yield _against(whatever, models, BASE, last, seeds, "strict")
    no_answer = f"{suite.title}: degenerate texts"
    yield _against(no_answer, models, BASE, last, seeds, "degenerate", predicted="lower")


def _against(
    metric: str,
    models: Mapping[str, list[Scored]],
    baseline: str,
    method: str,
    seeds: list[int],
    what: str,
    predicted: Literal["higher", "lower"] = "higher",
) -> Comparison:
    rows = {name: np.array([getattr(scored, what) for scored in models[name]]) for name in (baseline, method)}
    return compare(
        metric,
        rows[baseline],
        rows[method],
        seeds=seeds,
        predicted=predicted,
        baseline_name=baseline,
        method_name=method,
    )


def _searches(suite: Suite, played: Sequence[Played], seeds: list[int]) -> Iterator[Comparison]:
    ways = played[0].searched[suite.name]
    arms = {name: np.array([p.searched[suite.name][name] for p in played]) for name in ways}
    for baseline in ("greedy", "best of as many"):
        yield compare(
            f"{suite.title}, search at inference: {_passing(suite)}",
            arms[baseline],
            arms["tree search"],
            seeds=seeds,
            baseline_name=baseline,
            method_name="tree search",
        )


def _repairs(played: Sequence[Played], seeds: list[int]) -> Iterator[Comparison]:
    repairs = [p.repaired for p in played]
    last = list(repairs[0])[-1]
    for baseline in ("untrained", "bootstrapped"):
        yield compare(
            "failed answers mended by one repair",
            np.array([r[baseline] for r in repairs]),
            np.array([r[last] for r in repairs]),
            seeds=seeds,
            baseline_name=f"{baseline} refiner",
            method_name=f"refiner of {last}",
        )


def _metrics(suites: Sequence[Suite], scores: Scores, played: Sequence[Played]) -> dict[str, Any]:
    """Every other number: accuracies of all models, sizes of the data, similarity of pairs."""
    accuracy = {
        suite.name: {name: _of_model(per_seed) for name, per_seed in scores[suite.name].items()}
        for suite in suites
    }
    return {"accuracy": accuracy, "seeds": {p.play.name: _of_seed(p) for p in played}}


def _of_model(per_seed: Sequence[Scored]) -> dict[str, Any]:
    found = {
        "passed": float(np.mean([s.passed for s in per_seed])),
        "prompt_strict": float(np.mean([s.strict for s in per_seed])),
        "degenerate": float(np.mean([s.degenerate for s in per_seed])),
        "share_followed": float(np.mean([s.followed for s in per_seed])),
        "per_seed": [float(np.mean(s.passed)) for s in per_seed],
    }
    reports = [scored.official for scored in per_seed if scored.official]
    if reports:
        names = ("prompt_strict", "inst_strict", "prompt_loose", "inst_loose", "average")
        found |= {name: float(np.mean([getattr(one, name) for one in reports])) for name in names}
    return found


def _of_seed(played: Played) -> dict[str, Any]:
    sampled = played.independent()
    return {
        "independent_pairs": len(sampled),
        "independent_pair_similarity": float(np.mean(pair_similarity(sampled))) if sampled else None,
        "iterations": [_of_iteration(iteration) for iteration in played.iterations],
        "repaired_once": {name: float(np.mean(solved)) for name, solved in played.repaired.items()},
        "repaired_once_says_its_judge": {
            name: float(np.mean(solved)) for name, solved in played.claimed.items()
        },
        "inference": {
            suite: {name: float(np.mean(solved)) for name, solved in ways.items()}
            for suite, ways in played.searched.items()
        },
        "curve": {name: np.mean(rows, axis=0).tolist() for name, rows in played.curve.items()},
    }


def _of_iteration(iteration: Iteration) -> dict[str, Any]:
    labels = [note.passed for _, _, note in iteration.answers.flat()]
    return {
        "answers": len(labels),
        "answers_passing": labels.count(True) / len(labels),
        "answers_undecided": labels.count(None) / len(labels),
        "judge": evaluate.judge_bias(iteration.answers),
        "negatives": len(iteration.negatives),
        "solved": sum(result.solved for result in iteration.results),
        "expansions": sum(result.expansions for result in iteration.results),
        "pairs": len(iteration.pairs),
        "pair_similarity": float(np.mean(pair_similarity(iteration.pairs))) if iteration.pairs else None,
    }
