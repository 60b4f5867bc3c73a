"""Self-Rewarding Language Models (Yuan et al., ICML 2024, arXiv 2401.10020).

The model answers each prompt several times, a judge scores the answers, and the best against the worst of
them train it by DPO, over and over: the model of one iteration answers in the next.

Claim: each iteration follows instructions better (Llama 2 70B, AlpacaEval 2 win rate against GPT-4 Turbo:
9.94 %, 15.38 % and 20.44 % after one, two and three iterations).

The steps:

1. prompts: tasks, composed or the user's own;
2. ``samples`` answers to each, by the model as it is;
3. a judge scores them: the model itself by prompt in the paper;
4. pairs: the highest score against the lowest, where they differ;
5. DPO on the pairs; on to the next prompts with the new model.

Departures from the paper, and why:

* *The judge.* By default the tasks' own checks score the answers: a model of 135M parameters cannot judge in
  prose. ``--judge lm:self`` is the paper's: the model of the iteration, by vote of yes and no, where the
  paper has it add up points from 0 to 5.
* *Prompts* come from the user or the composer, not from the model itself, and there is no initial
  fine-tuning on evaluation examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from biddable.config import Count, settings
from biddable.experiments.figures import losses, pairs_to_read
from biddable.experiments.instructions import BASE, LARGE, SMOKE, InstructionSettings
from biddable.experiments.judging import model_as_judge
from biddable.experiments.pairs import best_against_worst, pair_similarity
from biddable.experiments.stages import Answers, Weights, answered, preferred, publish_pairs, with_seed
from biddable.experiments.teaching import require
from biddable.judges.base import Judge
from biddable.judges.load import load_judge
from biddable.methods.base import About
from biddable.methods.instruction import InstructionMethod
from biddable.models.base import Sampling
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.train.config import DpoConfig
from biddable.types import Preference

SELF = "lm:self"
"""The judge that is the model itself."""


def self_rewarding(
    run: Run,
    name: str,
    start: Weights,
    answers_of: Callable[[int, Weights], Answers],
    iterations: int,
    dpo: DpoConfig,
) -> list[tuple[Path, list[Preference]]]:
    """Steps 2 to 5, ``iterations`` times.

    Args:
        run: where every training is a stage, called ``name`` and the number of the iteration.
        name: of the stages.
        start: the model to begin with.
        answers_of: the judged answers of an iteration (from 1) by a model.
        iterations: how many.
        dpo: how the pairs are trained on; the reference is the model of the iteration before.

    Returns:
        for each iteration its model, and the pairs it learned from.

    Raises:
        BiddableError: the first iteration found no pair.
    """
    model, trained = start, []
    for iteration in range(1, iterations + 1):
        pairs = best_against_worst(answers_of(iteration, model))
        if iteration == 1:
            require(pairs, "pairs of answers with different scores")
        if pairs:
            model = preferred(run, f"{name}{iteration}", model, pairs, dpo)
        trained.append((Path(model), pairs))
    return trained


@settings
class SelfRewardingConfig(InstructionSettings):
    """Settings of Self-Rewarding; the paper's values are named where 2 cores ask for others."""

    judge: str = "answer"
    """Who scores the answers: what load_judge takes, or lm:self, the model itself (the paper)."""
    iterations: Count = 2
    """Rounds of answering and training (paper: 3)."""
    prompts: Count = 60
    """Tasks of each round (paper: as many as gave 3,964 pairs, then 6,942)."""
    samples: Annotated[int, Field(ge=2)] = 5
    """Answers to each task (paper: 4)."""
    sampling: Sampling = Sampling(max_tokens=80, temperature=0.9, top_p=0.9)
    """How they are drawn."""
    dpo: DpoConfig = DpoConfig(lr=1e-4, epochs=3, rpo_alpha=2.0)
    """How pairs are trained on (paper: no likelihood term)."""


class SelfRewarding(InstructionMethod):
    """Self-Rewarding Language Models (see ``biddable.methods.improve.self_rewarding``)."""

    about = About(
        title="Self-Rewarding: the model's own best answers against its worst",
        citation="Yuan et al., ICML 2024, arXiv 2401.10020",
        claim=(
            "Iterated DPO on the best against the worst of a model's own judged answers makes it follow "
            "instructions better with every iteration."
        ),
        needs="a chat model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "10 (1 core)", "full": "not measured"},
        takes="a chat model (--model), prompts with their checks (--tasks), any judge (--judge)",
        leaves="the trained model (artifacts/model), the pairs it learned from (artifacts/data)",
    )
    Config = SelfRewardingConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {**SMOKE, "sampling.max_tokens": 32, "iterations": 1, "prompts": 8, "samples": 3},
        "full": {"iterations": 3, "prompts": 200, "seeds": 3, "test.tasks": 200, "test.held_out": 80},
        "gpu": {**LARGE, "sampling.max_tokens": 512, "iterations": 3, "prompts": 1000},
    }
    config: SelfRewardingConfig

    @property
    def arms(self) -> list[str]:
        """See ``InstructionMethod.arms``."""
        return [BASE, *(f"iteration-{number}" for number in range(1, self.config.iterations + 1))]

    def check(self) -> None:
        """See ``Method.check``: the judge too."""
        super().check()
        if self.config.judge != SELF:
            load_judge(self.config.judge)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        _, *arms = self.arms
        measured = self.begin(run, judge=self.config.judge)
        for seed in self.seeds(run):
            trained = self._train(run, seed)
            for arm, (weights, _) in zip(arms, trained, strict=True):
                measured.add(arm, weights, seed=seed)

        last = arms[-1]
        pairs = [pair for _, of_iteration in trained for pair in of_iteration]
        stages = {f"seed{seed}-dpo{number}": f"iteration {number}" for number in range(1, len(arms) + 1)}
        drawn = [*measured.figures(last, arms), *losses(run, stages, "DPO with its likelihood term.")]
        publish_pairs(run, pairs)
        return self.finish(
            run,
            measured,
            [(BASE, last), *pairwise(arms)],
            figures=[*drawn, pairs_to_read("Pairs", pairs)],
            models={"model": trained[-1][0]},
            metrics={
                "pairs": [len(of_iteration) for _, of_iteration in trained],
                "pair_similarity": pair_similarity(pairs),
            },
        )

    def _train(self, run: Run, seed: int) -> list[tuple[Path, list[Preference]]]:
        """The model of each iteration, and its pairs."""
        config, name = self.config, f"seed{seed}"
        tasks = self.instructions.train(seed, config.iterations * config.prompts)

        def answers_of(iteration: int, model: Weights) -> Answers:
            part = tasks[(iteration - 1) * config.prompts : iteration * config.prompts]
            stage, judge = f"{name}-iter{iteration}", judge_named(config.judge, model)
            return answered(run, stage, model, part, config.samples, config.sampling, judge)

        return self_rewarding(
            run, f"{name}-dpo", config.model, answers_of, config.iterations, with_seed(config.dpo, seed)
        )


def judge_named(spec: str, model: Weights) -> Judge:
    """The judge, which is ``model`` itself where it is so named."""
    return model_as_judge(model) if spec == SELF else load_judge(spec)
