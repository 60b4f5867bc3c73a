"""Meta-Rewarding Language Models: the judge learns as well (Wu et al., 2024, arXiv 2407.19594).

Self-Rewarding trains a model on its best answers against its worst, as it judges them itself; the judge
stays as it was and soon has nothing more to say. Here a third role judges the judgements, and the judge is
trained on its better judgements against its worse.

Claim: the judge gets better, and so do the answers. Llama-3-8B-Instruct wins 22.9 % of AlpacaEval 2
(length-controlled) as it comes and 39.4 % after four iterations, Self-Rewarding with the same length control
35.5 %; on Arena-Hard 20.6 and 29.1 %.

The steps:

1. a judge is taught to judge (``experiments.teaching``); it is the same for both methods;
2. ``samples`` answers to each task of the iteration, by the actor as it is;
3. the judge votes on each answer ``votes`` times; an answer's score is the share of yes;
4. the actor is trained on best against worst answers (DPO);
5. the meta-judge settles each disputed judgement, and the judge is trained on what it upheld against what it
   did not (``judgement_pairs``, DPO);
6. on to the next tasks; Self-Rewarding does the same from the same answers, with the first judge throughout.

Departures from the paper, and why:

* *The first judge* learns from rules what people's ratings taught the paper's: a model of 135M parameters
  does not write a judgement that can be read. Even so taught it passes most of what it is shown (see the
  manual's page of SPaR), so little is to be expected at this size; how often it agrees with the tasks' checks
  is measured, first judge beside last.
* *Two copies* of one model are trained, an actor and a judge, where the paper's is one: at this size the rate
  that teaches to judge spoils plain answers.
* *The judge* says yes or no by vote, where the paper's gives points up to 5.
* *The meta-judge* is the majority of the votes, or the tasks' checks (``--meta checks``). The paper's
  compares two judgements in prose, in both orders, and ranks them by Elo; this model cannot.
* *Judgements are learned from* in every iteration; in the paper's in the first two of four.
* *Length control* is left out: the answers have a few dozen tokens at most, all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from biddable.config import Count, settings
from biddable.errors import BiddableError
from biddable.experiments.claims import Claim
from biddable.experiments.figures import losses, pairs_to_read
from biddable.experiments.instructions import BASE, LARGE, SMOKE, InstructionSettings
from biddable.experiments.judging import AGREEMENT, agreement, judge_table, model_as_judge
from biddable.experiments.measured import Measured
from biddable.experiments.pairs import best_against_worst
from biddable.experiments.stages import Answers, Weights, answered, preferred, publish_pairs, with_seed
from biddable.experiments.teaching import MORE, TeachingSettings, taught
from biddable.judges.answer import AnswerJudge
from biddable.judges.lm_judge import VOTE, judge_chat
from biddable.methods.base import About
from biddable.methods.improve.self_rewarding import self_rewarding
from biddable.methods.instruction import InstructionMethod
from biddable.models.base import Sampling
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.train.config import DpoConfig
from biddable.types import Preference, Response

Meta = Literal["majority", "checks"]


def judgement_pairs(answers: Answers, meta: Meta = "majority") -> list[Preference]:
    """Step 5: a judgement that the meta-judge upholds against one that it does not, of each answer with both.

    Args:
        answers: with the judge's votes as the checks of each verdict.
        meta: whether the majority of the votes settles what is right, or the tasks' checks.
    """
    pairs = []
    for task, text, verdict in answers.flat():
        settled = verdict.passed
        if meta == "checks":
            settled = AnswerJudge()([task], [Response(text)])[0].passed
        votes = [check for check in verdict.checks if check.id == VOTE]
        upheld = next((vote.reason for vote in votes if vote.passed == settled), None)
        overruled = next((vote.reason for vote in votes if vote.passed != settled), None)
        if settled is not None and upheld and overruled:
            pairs.append(Preference(judge_chat(task, text), upheld, overruled, {"task": task.id}))
    return pairs


@dataclass(frozen=True, slots=True)
class Round:
    """One iteration: what was answered, the pairs it gave, the actor and the judge that learned from them."""

    answers: Answers
    pairs: list[Preference]
    judgements: list[Preference]
    actor: Path
    judge: Path


def meta_rewarding(
    run: Run,
    name: str,
    start: Weights,
    judge: Weights,
    answers_of: Callable[[int, Weights, Weights], Answers],
    iterations: int,
    dpo: DpoConfig,
    meta: Meta = "majority",
) -> list[Round]:
    """Steps 2 to 6, ``iterations`` times.

    Args:
        run: where every training is a stage, called ``name`` and the number of the iteration.
        name: of the stages.
        start: the actor to begin with.
        judge: the judge to begin with.
        answers_of: the judged answers of an iteration (from 1) by an actor and a judge.
        iterations: how many.
        dpo: how both kinds of pairs are trained on; the reference is the model of the iteration before.
        meta: who settles disputed judgements.

    Raises:
        BiddableError: the first iteration found no pair of answers.
    """
    actor, rounds = start, []
    for iteration in range(1, iterations + 1):
        answers = answers_of(iteration, actor, judge)
        pairs, judgements = best_against_worst(answers), judgement_pairs(answers, meta)
        if not pairs and iteration == 1:
            raise BiddableError(f"the judge scored no two answers to one task differently; {MORE}")
        if pairs:
            actor = preferred(run, f"{name}{iteration}", actor, pairs, dpo)
        if judgements:
            judge = preferred(run, f"{name}{iteration}-judge", judge, judgements, dpo)
        rounds.append(Round(answers, pairs, judgements, Path(actor), Path(judge)))
    return rounds


@settings
class MetaRewardingConfig(InstructionSettings):
    """Settings of Meta-Rewarding; the paper's values are named where 2 cores ask for others."""

    teaching: TeachingSettings = TeachingSettings(tasks=60)
    """The first judge: what rules teach it, the same for all seeds."""
    votes: Count = 5
    """Judgements of each answer (paper: 11)."""
    judging: Sampling = Sampling(max_tokens=96, temperature=0.7)
    """How they are drawn."""
    meta: Meta = "majority"
    """Who settles a disputed judgement: the majority of the votes, or the tasks' checks."""
    iterations: Count = 2
    """Rounds of answering, judging and training (paper: 4)."""
    prompts: Count = 24
    """Tasks of each round (paper: 5,000)."""
    samples: Annotated[int, Field(ge=2)] = 4
    """Answers to each task (paper: 7)."""
    sampling: Sampling = Sampling(max_tokens=64, temperature=0.9, top_p=0.9)
    """How they are drawn."""
    dpo: DpoConfig = DpoConfig(lr=1e-4, epochs=3, rpo_alpha=2.0)
    """How both kinds of pairs are trained on (paper: rate 5e-6, ten epochs, no likelihood term)."""
    beside_self_rewarding: bool = True
    """Run Self-Rewarding too, from the same answers, with the first judge throughout."""


class MetaRewarding(InstructionMethod):
    """Meta-Rewarding (see ``biddable.methods.improve.meta_rewarding``)."""

    about = About(
        title="Meta-Rewarding: the judge is trained as well as the answers",
        citation="Wu et al. 2024, arXiv 2407.19594",
        claim=(
            "A model that is also trained on its better judgements follows instructions better than one "
            "whose judge stays as it was (Llama-3-8B-Instruct, AlpacaEval 2: 22.9 % to 39.4 %; "
            "Self-Rewarding 35.5 %), and judges better."
        ),
        needs="a chat model whose weights can be trained; one of 135M parameters is a poor judge",
        minutes={"smoke": "1 (2 cores)", "default": "20 (1 core)", "full": "not measured"},
        takes="a chat model (--model), prompts with their checks (--tasks)",
        leaves="the actor (artifacts/model), the judge as a language model (artifacts/judge), the pairs of "
        "answers and of judgements (artifacts/data)",
    )
    Config = MetaRewardingConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **SMOKE,
            "sampling.max_tokens": 24,
            "judging.max_tokens": 48,
            "teaching.tasks": 16,
            "prompts": 6,
            "samples": 3,
            "votes": 3,
        },
        "full": {"teaching.tasks": 200, "prompts": 100, "seeds": 3, "test.tasks": 200, "test.held_out": 80},
        "gpu": {
            **LARGE,
            "sampling.max_tokens": 512,
            "judging.max_tokens": 512,
            "teaching.tasks": 1000,
            "iterations": 4,
            "prompts": 1000,
            "samples": 7,
            "votes": 11,
        },
    }
    config: MetaRewardingConfig

    @property
    def trained(self) -> list[str]:
        """The actor of each iteration."""
        return [f"meta-rewarding-{number}" for number in range(1, self.config.iterations + 1)]

    @property
    def beside(self) -> list[str]:
        """The model of each iteration of Self-Rewarding, where it is asked for."""
        numbers = range(1, self.config.iterations + 1)
        return [f"self-rewarding-{number}" for number in numbers if self.config.beside_self_rewarding]

    @property
    def arms(self) -> list[str]:
        """See ``InstructionMethod.arms``."""
        return [BASE, *self.beside, *self.trained]

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, last = self.config, self.trained[-1]
        measured = self.begin(run, meta=config.meta)
        how = (self.instructions, config.teaching, config.sampling)
        judge = taught(run, "judge0", config.model, *how, repairs=False, judgements=True, seed=run.first_seed)
        for seed in self.seeds(run):
            rounds = self._one_seed(run, seed, judge, measured)

        numbers = range(1, config.iterations + 1)
        stages = {f"seed{seed}-dpo{i}": f"answers, iteration {i}" for i in numbers}
        stages |= {f"seed{seed}-dpo{i}-judge": f"judgements, iteration {i}" for i in numbers}
        drawn = [*measured.figures(last, self.trained), *losses(run, stages)]
        drawn.append(judge_table({f"iteration {i}": each.answers for i, each in enumerate(rounds, 1)}))
        for kind in ("pairs", "judgements"):
            pairs = [pair for each in rounds for pair in getattr(each, kind)]
            drawn += [pairs_to_read(kind.capitalize(), pairs)] if pairs else []
            publish_pairs(run, pairs, kind)
        return self.finish(
            run,
            measured,
            [(BASE, last), *pairwise(self.trained), *((arm, last) for arm in self.beside[-1:])],
            claims=[Claim("first judge", "last judge", metric=AGREEMENT)],
            figures=drawn,
            models={"model": rounds[-1].actor, "judge": rounds[-1].judge},
            metrics={
                "scores": measured.scores.metrics(),
                "pairs": [len(each.pairs) for each in rounds],
                "judgements": [len(each.judgements) for each in rounds],
            },
        )

    def _one_seed(self, run: Run, seed: int, judge: Path, measured: Measured) -> list[Round]:
        """Both methods on the same tasks, and how well the judges judge what the model says as it comes."""
        config, name = self.config, f"seed{seed}"
        tasks = self.instructions.train(seed, config.iterations * config.prompts)

        def answers_of(iteration: int, actor: Weights, judge: Weights, arm: str = "meta") -> Answers:
            part = tasks[(iteration - 1) * config.prompts : iteration * config.prompts]
            voting = model_as_judge(judge, config.votes, config.judging)
            stage = f"{name}-{arm}{iteration}"
            return answered(run, stage, actor, part, config.samples, config.sampling, voting)

        def by_first_judge(iteration: int, actor: Weights) -> Answers:  # the first answers are the same
            return rounds[0].answers if iteration == 1 else answers_of(iteration, actor, judge, "self")

        dpo, number = with_seed(config.dpo, seed), config.iterations
        rounds = meta_rewarding(run, f"{name}-dpo", config.model, judge, answers_of, number, dpo, config.meta)
        if self.beside:
            trained = self_rewarding(run, f"{name}-self", config.model, by_first_judge, number, dpo)
            for arm, (weights, _) in zip(self.beside, trained, strict=True):
                measured.add(arm, weights, seed=seed)
        for arm, each in zip(self.trained, rounds, strict=True):
            measured.add(arm, each.actor, seed=seed)
        suite = measured.suites[0]
        for arm, weights in (("first judge", judge), ("last judge", rounds[-1].judge)):
            voting = model_as_judge(weights, config.votes, config.judging)
            stage = f"{name}-{arm.replace(' ', '-')}"
            scores = agreement(run, stage, voting, suite, measured.answers[suite.name][BASE][0])
            measured.scores.add(arm, scores, metric=AGREEMENT, seed=seed)
        return rounds
