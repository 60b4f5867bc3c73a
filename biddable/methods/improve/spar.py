"""SPaR: self-play with tree-search refinement (Cheng et al., ICLR 2025, arXiv 2412.11605).

One model plays two roles. The *actor* answers; the *refiner* judges an answer and repairs it. A tree
search over repairs finds, for an answer that failed, one that passes and differs from it in little but
the constraint that was missed. Such pairs train the actor (DPO); what worked trains the refiner (RFT).

Claim: pairs of independent samples differ in much that does not matter, which hurts; refined pairs do
not. IFEval average of LLaMA3-8B-Instruct: 77.9 untrained, 79.3 Self-Rewarding, 81.8 after three
iterations, 83.7 with tree search at inference (Table 1). Similarity of the two sides of a pair: 0.90
refined, 0.85 independent.

The steps:

1. prompts: composed verifiable tasks, or the user's own (``experiments.instructions``);
2. bootstrap of the refiner (``SelfPlay.bootstrap``);
3. K sampled answers, judged; one failure per task (``choose_failures``);
4. a tree of repairs from each failure (``search.tree``);
5. actor: DPO on repaired against original, with the likelihood term (``refined_pairs``);
6. refiner: fine-tuning on winning repairs and disputed judgements (``refiner_data``);
7. over and over; the same search at inference (``experiments.repairs``).

The baselines of Table 1 are methods of their own, called on SPaR's tasks and settings; the ablations of
Table 4 are here (``ARMS``). The experiments of figure 4 are the method ``spar-controlled``.

Departures from the paper, and why:

* *Teacher.* No strong model is at hand: the first refiner learns rule-made repairs of the model's own
  failures on training tasks. The actor gets no supervised stage (as the paper's 70B model).
* *Judge.* A model of 135M parameters cannot judge in prose, so by default the tasks' rules are the
  judge (value 1 when all are met, else half the share that is, so that a tree prefers what is nearer;
  the threshold at 0.5 lets none of these pass). ``judge=self`` is the paper's: the refiner, by vote. That
  a text is an answer is one of the rules (``judges.degenerate``): self-play on rules alone ends in texts
  like ``"*this*"``.
* *Prompts* are composed from hand-written requests and 25 rule types, not evolved from Infinity-Instruct.
* *DPO's settings* are those of a small model, and alike for all arms: 1e-4 over three epochs (the paper, for
  8B: 2e-7 and one), and a likelihood term of weight 2 (the paper: 0.1). With 0.1 the actor soon loops: both
  sides of a refined pair share most of their text, and DPO then lowers the likelihood of both. They were
  tuned on the validation split (see the manual's page).
* *At inference* the answers that are repaired are those the checks fail, whoever judges the repairs; with
  ``judge=self`` the refiner criticises them in its own words, and the checks say what came of it.
* *RFT* goes on from the previous refiner, and only the last turn carries loss (the paper leaves both open);
  the rate falls to zero (the paper's stays). Where rules judge, it learns repairs only.
* *Caps* on the refiner's data stay the paper's numbers below 10,000 prompts, where they rarely bind; what
  repeats a judge prompt is left out once for repairs and once for judgements.
* *The critique that is taught* is the first vote that agrees with the majority, everywhere; the official
  script takes the last for the refiner's targets. It matters with ``judge=self`` only.
* A tree in which no repair could be made is a failure like any other; the official script skips it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from biddable.config import Count, Natural, settings
from biddable.errors import InputError
from biddable.experiments import judging, repairs, stages
from biddable.experiments.claims import Claim
from biddable.experiments.figures import losses, pairs_to_read, search_trees
from biddable.experiments.instructions import BASE, LARGE, SMOKE, TYPES, Instructions, InstructionSettings
from biddable.experiments.measured import Measured
from biddable.experiments.pairs import independent_pairs, pair_similarity, similarity_table
from biddable.experiments.repairs import Repaired
from biddable.experiments.stages import Answers, Weights, answered, finetuned, preferred, with_seed
from biddable.experiments.teaching import TeachingSettings, require, taught
from biddable.judges.base import Judge
from biddable.judges.ifeval import sentence_splitter_name
from biddable.methods.base import About
from biddable.methods.improve import humpback, meta_rewarding, self_evolution, self_rewarding
from biddable.methods.instruction import InstructionMethod
from biddable.models.base import Sampling
from biddable.runs.figures import Figure
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.search.tree import SearchSettings
from biddable.train.config import DpoConfig, SftConfig
from biddable.types import Chat, Preference, Task

logger = logging.getLogger(__name__)

Arm = Literal[
    "independent", "no-tree-search", "no-iterating", "self-rewarding", "meta-rewarding", "self", "humpback"
]

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


@settings
class SparConfig(InstructionSettings):
    """Settings of SPaR; the paper's values are named where 2 cores ask for others."""

    judge: Literal["rules", "self"] = "rules"
    """Who says whether an answer passes: the tasks' own rules, or the refiner by vote (the paper)."""
    votes: Count = 5
    """Judgements of each answer when the model judges (paper: 5); odd, or ties are many."""
    arms: tuple[Arm, ...] = ()
    """What to compare SPaR with on the same tasks and settings."""
    iterations: Count = 1
    """Rounds of self-play (paper: 3)."""
    prompts: Count = 44
    """New training tasks per iteration (paper: 10,000)."""
    samples: Annotated[int, Field(ge=2)] = 5
    """Answers the actor gives to each training task (paper: 5)."""
    sampling: Sampling = Sampling(max_tokens=80, temperature=0.9, top_p=0.9)
    """How they are drawn (paper: the same, 2048 tokens)."""
    bootstrap: TeachingSettings = TeachingSettings()
    """The first refiner: what rules teach it, the same for all seeds."""
    search: SearchSettings = SearchSettings(beam_width=1, max_depth=2, refine_tries=2)
    """The tree of repairs (paper: beam width 2, depth 3, 9 tries)."""
    repair: Sampling = Sampling(max_tokens=160, temperature=0.7)
    """How the refiner writes, its reflection included (paper: the same, 3072 tokens)."""
    actor: DpoConfig = DpoConfig(lr=1e-4, epochs=3, rpo_alpha=2.0)
    """How the actor is trained (paper: rate 2e-7, one epoch, likelihood term 0.1)."""
    refiner: SftConfig = SftConfig(lr=5e-5, batch_size=4)
    """How the refiner is trained in an iteration (paper: rate 2e-6, five epochs)."""
    inference_tasks: Natural = 0
    """Held-out tasks of each suite on which tree search also repairs what the last actor failed."""
    budget_tasks: Natural = 0
    """Failed answers on which four searches are compared by number of generations (figure 5)."""

    @model_validator(mode="after")
    def _consistent(self) -> SparConfig:
        if len({*self.arms}) < len(self.arms):
            raise InputError("arms", self.arms, "each arm once")
        if self.judge == "rules" and "meta-rewarding" in self.arms:
            raise InputError("arms", "meta-rewarding", "judge=self with it: rules have nothing to learn")
        if self.judge == "self" and self.votes % 2 == 0:
            raise InputError("votes", self.votes, "an odd number, so that votes can be settled")
        return self

    @property
    def trained_arms(self) -> list[str]:
        """All models of a run by their names in its tables, the last iteration's at the end."""
        numbers = range(1, self.iterations + 1)
        several = ("self-rewarding", "meta-rewarding")  # train an actor in each iteration, as SPaR does
        names = [BASE]
        for arm in self.arms:
            names += [f"{arm}-{i}" for i in numbers] if arm in several else [arm]
            names += ["refined"] if arm == "independent" else []
        return [*names, *(f"spar-{i}" for i in numbers)]


def refiner_data(
    repaired: Repaired, answers: Answers, rng: np.random.Generator, *, judgements: bool, scale: float = 1.0
) -> list[Chat]:
    """Step 6: repairs that won and judgements that were disputed, at most one of each for a judge prompt.

    Refinements repair the winning node's *parent*. Judgements come from nodes and answers on which the
    votes were split: unanimous ones teach nothing.

    Args:
        repaired: the trees.
        answers: the actor's, judged.
        rng: chooses a node of each tree.
        judgements: whether the refiner is to judge as well.
        scale: of the paper's caps.
    """
    rows = [(f.task, result) for f, result in zip(*repaired, strict=True) if result.refined]
    mended = [judging.refinement_lesson(task, result.best) for task, result in rows if result.solved]
    if not judgements:
        return judging.one_per_request(mended[: round(4000 * scale)])
    of_nodes: dict[bool, list[Chat]] = {True: [], False: []}
    for task, result in rows:
        nodes = [node for node in result.root.walk() if node.parent is not None and node.critique.strip()]
        for passed, low, high in ((True, 0.5, 1.0), (False, 0.0, 0.5)):
            split = [node for node in nodes if low < node.value < high]
            if split:
                node = split[int(rng.integers(len(split)))]
                of_nodes[passed].append(judging.judgement_lesson(task, node.response, node.critique))
    of_answers: dict[bool, list[Chat]] = {True: [], False: []}
    for task, text, verdict in answers.flat():
        if verdict.passed is not None and 0 < (verdict.score or 0) < 1:
            of_answers[verdict.passed].append(judging.judgement_lesson(task, text, verdict.critique))
    groups = (  # with the paper's caps, for 10,000 prompts
        (mended, 4000),
        (of_nodes[True], 1500),
        (of_nodes[False], 1000),
        (of_answers[False], 500),
        (of_answers[True], 2500),
    )
    caps = [(chats, max(1, round(cap * scale))) for chats, cap in groups]
    return judging.one_per_request(chat for chats, cap in caps for chat in chats[:cap])


@dataclass(frozen=True, slots=True)
class Iteration:
    """One round of self-play and what came of it."""

    answers: Answers
    repaired: Repaired
    pairs: list[Preference]
    actor: Path
    refiner: Path


class SelfPlay:
    """The steps of SPaR for one seed; each is a stage of the run and is computed once."""

    def __init__(self, run: Run, config: SparConfig, instructions: Instructions, seed: int):
        self.run, self.config, self.instructions, self.seed = run, config, instructions, seed
        self.name = f"seed{seed}"
        self.refinement = repairs.Refinement(run, self.judge, config.repair, criticise=config.judge == "self")
        self.tasks = instructions.train(seed, config.iterations * config.prompts)

    def slice(self, iteration: int) -> list[Task]:
        """The training tasks of an iteration (from 1), none of which another iteration has."""
        start = (iteration - 1) * self.config.prompts
        return self.tasks[start : start + self.config.prompts]

    def bootstrap(self) -> Path:
        """Step 2: the first refiner, taught rule-made repairs of what the model really got wrong.

        In the paper a strong teacher writes them. Rules are a teacher too, and the only one here. As there,
        one first refiner serves all seeds; so this is called once in a run.
        """
        config = self.config
        return taught(
            self.run,
            "refiner0",
            config.model,
            self.instructions,
            config.bootstrap,
            config.sampling,
            judgements=config.judge == "self",
            seed=self.seed,
        )

    def answer(self, name: str, actor: Weights, tasks: list[Task], refiner: Weights) -> Answers:
        """Step 3: K answers of the actor to each task, judged."""
        config, judge = self.config, self.judge(refiner)
        return answered(self.run, name, actor, tasks, config.samples, config.sampling, judge)

    def repair(self, name: str, refiner: Weights, answers: Answers, how: SearchSettings) -> Repaired:
        """Steps 3 and 4: a failed answer of each task, and a tree of repairs from it."""
        failed = repairs.choose_failures(answers, self.run.rng(name, "negatives"))
        return Repaired(failed, self.refinement.search(name, refiner, failed, how))

    def train_actor(self, name: str, start: Weights, pairs: Sequence[Preference]) -> Path:
        """Step 5: DPO with the likelihood term; the reference is the actor it starts from."""
        return preferred(self.run, name, start, pairs, with_seed(self.config.actor, self.seed))

    def iterate(self, refiner: Path) -> Iterator[Iteration]:
        """Step 7: the loop of steps 3 to 6."""
        config, actor = self.config, self.config.model
        for number in range(1, config.iterations + 1):
            name = f"{self.name}-iter{number}"
            answers = self.answer(name, actor, self.slice(number), refiner)
            repaired = self.repair(name, refiner, answers, config.search)
            pairs = repairs.refined_pairs(repaired)
            if number == 1 and not pairs:
                raise repairs.nothing_to_learn(answers, repaired)
            if pairs:
                actor = str(self.train_actor(f"{name}-actor", actor, pairs))
                rng, scale = self.run.rng(name, "rft"), max(1.0, config.prompts / 10_000)
                judges = config.judge == "self"
                lessons = refiner_data(repaired, answers, rng, judgements=judges, scale=scale)
                how = with_seed(config.refiner, self.seed)
                refiner = finetuned(self.run, f"{name}-refiner", refiner, lessons, how)
            else:  # a model that judges itself comes to find everything right
                logger.warning("iteration %d: nothing to learn was found; actor and refiner stay", number)
            yield Iteration(answers, repaired, pairs, Path(actor), refiner)

    def judge(self, refiner: Weights) -> Judge:
        """Who says whether an answer does what was asked: the rules, or the refiner itself by vote."""
        if self.config.judge == "rules":
            return judging.rules_as_judge
        return judging.model_as_judge(refiner, self.config.votes)


# The ablations of Table 4, and the baselines of Table 1 on the same tasks: functions from the self-play, its
# first refiner and its first iteration to the actors they train, the last one final.


def independent(play: SelfPlay, refiner: Path, first: Iteration) -> dict[str, Path]:
    """Without refinement: pairs of independent samples, beside as many refined pairs."""
    pairs = independent_pairs(first.answers, play.run.rng(play.name, "independent"))
    number = min(len(pairs), len(first.pairs))
    require(pairs, "independent pairs (a task with both a passing and a failing sample)")
    return {
        "independent": play.train_actor(f"{play.name}-independent", play.config.model, pairs[:number]),
        "refined": play.train_actor(f"{play.name}-refined", play.config.model, first.pairs[:number]),
    }


def no_tree_search(play: SelfPlay, refiner: Path, first: Iteration) -> dict[str, Path]:
    """One repair of each failure instead of a tree."""
    single = replace(play.config.search, branching=1, beam_width=1, max_depth=1)
    failed = first.repaired.failed
    results = play.refinement.search(f"{play.name}-once", refiner, failed, single)
    pairs = repairs.refined_pairs(Repaired(failed, results))
    require(pairs, "pairs from single repairs")
    return {"no-tree-search": play.train_actor(f"{play.name}-no-tree-search", play.config.model, pairs)}


def no_iterating(play: SelfPlay, refiner: Path, first: Iteration) -> dict[str, Path]:
    """The tasks of all iterations at once, answered and repaired by the first actor and refiner."""
    pairs = list(first.pairs)
    for iteration in range(2, play.config.iterations + 1):
        name = f"{play.name}-no-iterating{iteration}"
        answers = play.answer(name, play.config.model, play.slice(iteration), refiner)
        pairs += repairs.refined_pairs(play.repair(name, refiner, answers, play.config.search))
    return {"no-iterating": play.train_actor(f"{play.name}-no-iterating", play.config.model, pairs)}


def rewarding(play: SelfPlay, refiner: Path, first: Iteration) -> dict[str, Path]:
    """Self-Rewarding (``improve.self_rewarding``)."""
    name, config = f"{play.name}-self-rewarding", play.config
    answers_of = partial(_answers_of, play, name, first, judge=refiner)
    dpo = with_seed(config.actor, play.seed)
    trained = self_rewarding.self_rewarding(play.run, name, config.model, answers_of, config.iterations, dpo)
    return {f"self-rewarding-{number}": model for number, (model, _) in enumerate(trained, 1)}


def meta(play: SelfPlay, refiner: Path, first: Iteration) -> dict[str, Path]:
    """Meta-Rewarding (``improve.meta_rewarding``): the judge is trained on its own disputed judgements."""
    name, config = f"{play.name}-meta-rewarding", play.config
    answers_of = partial(_answers_of, play, name, first)
    dpo = with_seed(config.actor, play.seed)
    rounds = meta_rewarding.meta_rewarding(
        play.run, name, config.model, refiner, answers_of, config.iterations, dpo
    )
    return {f"meta-rewarding-{number}": each.actor for number, each in enumerate(rounds, 1)}


def _answers_of(
    play: SelfPlay, name: str, first: Iteration, iteration: int, actor: Weights, judge: Weights
) -> Answers:
    """An actor's answers to the tasks of an iteration; those to the first are the same for all arms."""
    if iteration == 1:
        return first.answers
    return play.answer(f"{name}{iteration}", actor, play.slice(iteration), judge)


def self_refined(play: SelfPlay, refiner: Path, first: Iteration) -> dict[str, Path]:
    """SELF (``improve.self_evolution``): plain fine-tuning on what refinement found, without the rejected."""
    conversations = self_evolution.refined_conversations(first.pairs)
    return {"self": _finetuned(play, "self", conversations)}


def backtranslated(play: SelfPlay, refiner: Path, first: Iteration) -> dict[str, Path]:
    """Humpback (``improve.humpback``) on the actor's passing samples, one per task."""
    texts = humpback.passing_texts(first.answers)
    require(texts, "passing samples to write instructions for")
    stage = f"{play.name}-humpback-requests"
    conversations = humpback.curated(play.run, stage, play.config.model, texts)
    return {"humpback": _finetuned(play, "humpback", conversations)}


ARMS: dict[Arm, Callable[[SelfPlay, Path, Iteration], dict[str, Path]]] = {
    "independent": independent,
    "no-tree-search": no_tree_search,
    "no-iterating": no_iterating,
    "self-rewarding": rewarding,
    "meta-rewarding": meta,
    "self": self_refined,
    "humpback": backtranslated,
}


@dataclass(slots=True)
class Played:
    """What one seed came to: its self-play, the first refiner, its rounds, and figure 5 (``by_budget``)."""

    play: SelfPlay
    refiner: Path
    iterations: list[Iteration]
    by_budget: dict[str, list[list[float]]] = field(default_factory=dict)

    @property
    def independent(self) -> list[Preference]:
        """The pairs that independent samples of the first iteration give, before any cut to equal numbers."""
        rng = self.play.run.rng(self.play.name, "independent")
        return independent_pairs(self.iterations[0].answers, rng)


class Spar(InstructionMethod):
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
        takes="a chat model (--model), prompts with their checks (--tasks)",
        leaves="the actor (artifacts/model), the refiner (artifacts/refiner), the pairs (artifacts/data)",
    )
    Config = SparConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **SMOKE,
            "sampling.max_tokens": 32,
            "arms": ("independent",),
            "prompts": 8,
            "samples": 3,
            "bootstrap.tasks": 16,
            "bootstrap.sft.epochs": 2,
            "bootstrap.sft.lr": 3e-4,
            "search.branching": 8,
            "search.max_depth": 1,
            "repair.max_tokens": 64,
        },
        "full": {  # the settings of results/spar.json; its arms and larger tests are on the method's page
            "compose.types": TYPES,
            "seeds": 3,
            "iterations": 3,
            "bootstrap.tasks": 450,
            "prompts": 80,
            "arms": ("independent",),
            "test.tasks": 200,
            "test.held_out": 80,
            "test.ifeval_arms": (BASE, "spar-3"),
            "inference_tasks": 40,
            "budget_tasks": 12,
        },
        "gpu": {
            **LARGE,
            "sampling.max_tokens": 512,
            "iterations": 3,
            "prompts": 1000,
            "bootstrap.tasks": 1000,
            "repair.max_tokens": 768,
            "arms": ("independent", "no-tree-search", "no-iterating", "self-rewarding", "self", "humpback"),
            **{"search.beam_width": 2, "search.max_depth": 3},
            "inference_tasks": 200,
            "budget_tasks": 100,
        },
    }
    only: ClassVar = {**InstructionMethod.only, "judge=self": ("votes",)}
    config: SparConfig

    @property
    def arms(self) -> list[str]:
        """See ``InstructionMethod.arms``."""
        return self.config.trained_arms

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        measured = self.begin(run, judge=config.judge, sentence_splitter=sentence_splitter_name())
        plays = [SelfPlay(run, config, self.instructions, seed) for seed in self.seeds(run)]
        refiner = plays[0].bootstrap()
        played = [self._one_seed(play, refiner, measured) for play in plays]

        last = played[-1].iterations[-1]
        pairs = [pair for iteration in played[-1].iterations for pair in iteration.pairs]
        stages.publish_pairs(run, pairs)
        of_seeds = {p.play.name: _of_seed(p) for p in played}
        return self.finish(
            run,
            measured,
            self._pairs(),
            claims=self._claims(measured),
            figures=self._figures(measured, played),
            models={"model": last.actor, "refiner": last.refiner},
            metrics={"scores": measured.scores.metrics(), "seeds": of_seeds},
            notes=NOTES,
        )

    @property
    def _last(self) -> str:
        return f"spar-{self.config.iterations}"

    def _one_seed(self, play: SelfPlay, refiner: Path, measured: Measured) -> Played:
        played = Played(play, refiner, list(play.iterate(refiner)))
        actors: dict[str, Path] = {}
        for name in self.config.arms:
            actors |= ARMS[name](play, refiner, played.iterations[0])
        actors |= {f"spar-{i}": iteration.actor for i, iteration in enumerate(played.iterations, 1)}
        for arm, weights in actors.items():
            measured.add(arm, weights, seed=play.seed)
        self._repairs(played, measured)
        return played

    def _repairs(self, played: Played, measured: Measured) -> None:
        """How well refiners repair, what their search adds at inference, and figure 5."""
        config, play, last = self.config, played.play, played.iterations[-1]
        if limit := config.inference_tasks:
            refiners: dict[str, Weights] = {"untrained": config.model, "bootstrapped": played.refiner}
            refiners |= {f"iteration {i}": it.refiner for i, it in enumerate(played.iterations, 1)}
            failed, name = repairs.untrained_failures(measured, limit), f"{play.name}-repairs"
            repairs.measure_refiners(play.refinement, name, refiners, failed, measured.scores, play.seed)
            name, how = f"{play.name}-inference", (limit, config.search)
            repairs.measure_at_inference(
                play.refinement, name, last.refiner, measured, self._last, *how, seed=play.seed
            )
        if limit := config.budget_tasks:
            failed, name = repairs.untrained_failures(measured, limit), f"{play.name}-curve"
            played.by_budget = repairs.by_budget(play.refinement, name, last.refiner, failed, config.search)

    def _pairs(self) -> list[tuple[str, str]]:
        """The arms that the paper compares, each pair on every suite."""
        last = self._last
        pairs = [(BASE, last)]
        pairs += [(f"spar-{i}", f"spar-{i + 1}") for i in range(1, self.config.iterations)]
        pairs += [("independent", "refined"), (BASE, "independent")]
        trained = (arm for arm in self.arms if arm not in (BASE, "independent", "refined"))
        pairs += [(arm, _counterpart(arm, last)) for arm in trained if not arm.startswith("spar-")]
        return pairs

    def _claims(self, measured: Measured) -> list[Claim]:
        """What the paper says of refiners and of search at inference."""
        if not self.config.inference_tasks:
            return []
        refiner = f"iteration {self.config.iterations} refiner"
        earlier = ("untrained refiner", "bootstrapped refiner")
        claims = repairs.inference_claims(measured, self._last)
        claims += [Claim(name, refiner, metric=repairs.MENDED) for name in earlier]
        return repairs.comparable(claims, measured.scores)

    def _figures(self, measured: Measured, played: Sequence[Played]) -> list[Figure]:
        first, name = played[0], played[0].play.name
        start, numbers = first.iterations[0], range(1, len(first.iterations) + 1)
        trainings = {"refiner0": "first refiner"}
        for i in numbers:
            trainings |= {f"{name}-iter{i}-{role}": f"{role}, iteration {i}" for role in ("actor", "refiner")}
        drawn = measured.figures(self._last, [f"spar-{i}" for i in numbers], beside=("independent",))
        drawn += losses(first.play.run, trainings, LOSSES)
        if first.by_budget:
            drawn.append(repairs.budget_curve([p.by_budget for p in played]))
        kinds = {f"{p.play.name}, independent": p.independent for p in played}
        rounds = {f"{p.play.name}, iteration {i}": it for p in played for i, it in enumerate(p.iterations, 1)}
        kinds |= {f"{title}, refined": iteration.pairs for title, iteration in rounds.items()}
        drawn.append(similarity_table(kinds, "The paper: 0.90 for refined pairs, 0.85 for independent ones."))
        if self.config.judge == "self":
            answers = {title: iteration.answers for title, iteration in rounds.items()}
            drawn.append(judging.judge_table(answers))
        if self.config.inference_tasks:
            columns = (repairs.MENDED, repairs.CLAIMED)
            drawn.append(measured.scores.table("Failed answers mended by one repair", columns))
        tasks = [failure.task for failure in start.repaired.failed]
        drawn.append(search_trees("Refinement trees of the first iteration", tasks, start.repaired.results))
        pairs = {"Refined pairs": start.pairs, "Independent pairs": first.independent}
        return drawn + [pairs_to_read(title, of_kind) for title, of_kind in pairs.items() if of_kind]


LOSSES = (
    "First seed. Refiners: mean negative log-likelihood of a token; actors: DPO with its likelihood term, "
    "which are not on one scale."
)


def _counterpart(arm: str, last: str) -> str:
    """Which of SPaR's actors has learned from as many tasks as an arm's: those of one iteration or all."""
    if arm == "no-iterating":
        return last
    iterations = arm.rpartition("-")[2]
    return f"spar-{iterations}" if iterations.isdecimal() else "spar-1"


def _finetuned(play: SelfPlay, arm: str, conversations: Sequence[Chat]) -> Path:
    """An actor fine-tuned as long as one that learns from pairs."""
    config = play.config
    how = with_seed(replace(config.refiner, lr=config.actor.lr, epochs=config.actor.epochs), play.seed)
    return finetuned(play.run, f"{play.name}-{arm}", config.model, conversations, how)


def _of_seed(played: Played) -> dict[str, Any]:
    return {
        "independent_pairs": len(played.independent),
        "independent_pair_similarity": pair_similarity(played.independent),
        "iterations": [_of_iteration(iteration) for iteration in played.iterations],
        "by_budget": {name: np.mean(rows, axis=0).tolist() for name, rows in played.by_budget.items()},
    }


def _of_iteration(iteration: Iteration) -> dict[str, Any]:
    return {
        **judging.counts(iteration.answers),
        **repairs.counts(iteration.repaired),
        "pairs": len(iteration.pairs),
        "pair_similarity": pair_similarity(iteration.pairs),
    }
