"""SELF: self-evolution with language feedback (Lu et al., 2023, arXiv 2310.00533).

A model is taught two skills, to say what is wrong with an answer and to refine it. Then it answers new
prompts, criticises and refines its own answers, and is fine-tuned on those that stand; over and over.

Claim: it improves without labels. Vicuna-7B solves 6.8 points more of GSM8K than after the same
question-answer data alone, refining its answers once more at inference.

The steps:

1. the skills: a copy of the model is taught to refine (``experiments.teaching``);
2. ``samples`` answers to each prompt of the iteration, by the model as it is;
3. feedback: each answer is judged, and one that fails is criticised;
4. refinement of one failed answer of each prompt, by the critique (``experiments.repairs``);
5. the filter: what passed at once, and refinements that pass now (``evolved``);
6. fine-tuning of the model as it came on the data of all iterations so far; on to the next prompts.

Departures from the paper, and why:

* *The teacher* of the skills is GPT-4 in the paper. Here rules repair the model's own failed answers.
* *The feedback* comes from the tasks' checks by default, in words: a model of 135M parameters cannot
  criticise in prose. ``--judge self`` is the paper's: the taught model, by vote.
* *Two copies* of one model are trained, one that answers and one that refines, where the paper's is one: at
  this size the rate that teaches to refine (5e-4) spoils plain answers. The second is taught once.
* *Several attempts* at a refinement are made (``search.branching``; the paper: one), as most fail here.
* *Refining at inference* is measured by ``biddable run spar --inference-tasks``; here only how many failures
  one refinement mends, before and after the skills are taught.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

from biddable.config import Count, Natural, settings
from biddable.experiments.claims import Claim
from biddable.experiments.figures import losses, pairs_to_read
from biddable.experiments.instructions import BASE, LARGE, SMOKE, InstructionSettings
from biddable.experiments.judging import counts, model_as_judge, rules_as_judge
from biddable.experiments.measured import Measured
from biddable.experiments.repairs import (
    CLAIMED,
    MENDED,
    Refinement,
    Repaired,
    choose_failures,
    comparable,
    measure_refiners,
    refined_pairs,
    untrained_failures,
)
from biddable.experiments.stages import (
    Answers,
    Weights,
    answered,
    finetuned,
    publish_conversations,
    with_seed,
)
from biddable.experiments.teaching import TeachingSettings, require, taught
from biddable.judges.base import Judge
from biddable.methods.base import About
from biddable.methods.instruction import InstructionMethod
from biddable.models.base import Sampling
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.search.tree import SearchSettings
from biddable.train.config import SftConfig
from biddable.types import Chat, Preference, exchange


def refined_conversations(pairs: Sequence[Preference]) -> list[Chat]:
    """The refined answer of each pair as what is to be said."""
    return [exchange(pair.prompt, pair.chosen) for pair in pairs]


def evolved(answers: Answers, pairs: Sequence[Preference]) -> list[Chat]:
    """Step 5: of each task an answer that passed at once, or else the refined one, or none."""
    passed = {
        task.id: exchange(task.prompt, text)
        for task, text, verdict in reversed(answers.flat())
        if verdict.passed
    }
    refined = {
        pair.meta["task"]: chat for pair, chat in zip(pairs, refined_conversations(pairs), strict=True)
    }
    return list({**refined, **passed}.values())


@settings
class SelfEvolutionConfig(InstructionSettings):
    """Settings of SELF; the paper's values are named where 2 cores ask for others."""

    judge: Literal["rules", "self"] = "rules"
    """Who gives feedback and filters: the tasks' own rules, or the taught model by vote (the paper)."""
    votes: Count = 5
    """Judgements of each answer when the model judges (paper: 1); odd, or ties are many."""
    teaching: TeachingSettings = TeachingSettings()
    """The skills: what rules teach, the same for all seeds."""
    iterations: Count = 2
    """Rounds of answering, refining and training."""
    prompts: Count = 40
    """New prompts of each round."""
    samples: Count = 2
    """Answers to each of them (paper: 1)."""
    sampling: Sampling = Sampling(max_tokens=80, temperature=0.9, top_p=0.9)
    """How they are drawn."""
    search: SearchSettings = SearchSettings(branching=3, beam_width=1, max_depth=1, refine_tries=1)
    """How a failed answer is refined (paper: once)."""
    repair: Sampling = Sampling(max_tokens=160, temperature=0.7)
    """How the refiner writes."""
    sft: SftConfig = SftConfig(lr=5e-5, epochs=3)
    """How the model learns what stands."""
    refined_tasks: Natural = 20
    """Failed answers that refiners are compared on."""


class SelfEvolution(InstructionMethod):
    """SELF (see ``biddable.methods.improve.self_evolution``)."""

    about = About(
        title="SELF: fine-tuning on answers that the model has refined itself",
        citation="Lu et al. 2023, arXiv 2310.00533",
        claim=(
            "A model that was taught to criticise and refine improves by fine-tuning on its own refined and "
            "filtered answers, more with every iteration (Vicuna-7B, GSM8K: 6.8 points)."
        ),
        needs="a chat model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "2 (2 cores)", "default": "12 (1 core)", "full": "not measured"},
        takes="a chat model (--model), prompts with their checks (--tasks)",
        leaves="the trained model (artifacts/model), the refiner (artifacts/refiner), the conversations it "
        "learned from (artifacts/data)",
    )
    Config = SelfEvolutionConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **SMOKE,
            "sampling.max_tokens": 32,
            "repair.max_tokens": 64,
            "teaching.tasks": 16,
            "teaching.sft.lr": 3e-4,
            "teaching.sft.epochs": 2,
            "iterations": 1,
            "prompts": 8,
            "search.branching": 8,
            "refined_tasks": 6,
        },
        "full": {
            "teaching.tasks": 450,
            "iterations": 3,
            "prompts": 100,
            "seeds": 3,
            "test.tasks": 200,
            "test.held_out": 80,
            "refined_tasks": 40,
        },
        "gpu": {
            **LARGE,
            "sampling.max_tokens": 512,
            "repair.max_tokens": 768,
            "teaching.tasks": 1000,
            "iterations": 3,
            "prompts": 1000,
            "refined_tasks": 200,
        },
    }
    only: ClassVar = {**InstructionMethod.only, "judge=self": ("votes",)}
    config: SelfEvolutionConfig

    @property
    def arms(self) -> list[str]:
        """See ``InstructionMethod.arms``."""
        return [BASE, *(f"self-{number}" for number in range(1, self.config.iterations + 1))]

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, (_, *arms) = self.config, self.arms
        measured = self.begin(run, judge=config.judge)
        how = (self.instructions, config.teaching, config.sampling)
        judges = config.judge == "self"
        refiner = taught(run, "refiner0", config.model, *how, judgements=judges, seed=run.first_seed)
        refinement = Refinement(run, self._judge, config.repair, criticise=judges)
        numbers: dict[str, list[dict[str, Any]]] = {}
        for seed in self.seeds(run):
            model, chats, pairs = self._one_seed(run, seed, refiner, refinement, measured, numbers)
            failed = untrained_failures(measured, config.refined_tasks)
            weights: dict[str, Weights] = {"untrained": config.model, "taught": refiner}
            measure_refiners(refinement, f"seed{seed}-repairs", weights, failed, measured.scores, seed)

        stages = {"refiner0": "refiner"} | {f"seed{seed}-{arm}": arm for arm in arms}
        drawn = [
            *measured.figures(arms[-1], arms),
            *losses(run, stages, "Negative log-likelihood of a token."),
        ]
        if config.refined_tasks:
            columns = (MENDED, CLAIMED)
            drawn.append(measured.scores.table("Failed answers mended by one refinement", columns))
        publish_conversations(run, chats)
        refiners = Claim("untrained refiner", "taught refiner", metric=MENDED)
        return self.finish(
            run,
            measured,
            [(BASE, arms[-1]), *pairwise(arms)],
            claims=comparable([refiners], measured.scores),
            figures=[*drawn, *([pairs_to_read("Refined answers", pairs)] if pairs else [])],
            models={"model": model, "refiner": refiner},
            metrics={"scores": measured.scores.metrics(), "iterations": numbers},
        )

    def _one_seed(
        self,
        run: Run,
        seed: int,
        refiner: Path,
        refinement: Refinement,
        measured: Measured,
        numbers: dict[str, list[dict[str, Any]]],
    ) -> tuple[Path, list[Chat], list[Preference]]:
        """Steps 2 to 6: the last model, all that it learned from, and all refinements."""
        config, name = self.config, f"seed{seed}"
        tasks = self.instructions.train(seed, config.iterations * config.prompts)
        model, chats, refined = Path(config.model), list[Chat](), list[Preference]()
        for number, arm in enumerate(self.arms[1:], 1):
            stage = f"{name}-iter{number}"
            part = tasks[(number - 1) * config.prompts : number * config.prompts]
            start: Weights = config.model if number == 1 else model
            judge = self._judge(refiner)
            answers = answered(run, stage, start, part, config.samples, config.sampling, judge)
            failed = choose_failures(answers, run.rng(stage, "failures"))
            pairs = refined_pairs(Repaired(failed, refinement.search(stage, refiner, failed, config.search)))
            chats, refined = chats + evolved(answers, pairs), refined + pairs
            require(chats, "answers that pass, at once or refined,")
            model = finetuned(run, f"{name}-{arm}", config.model, chats, with_seed(config.sft, seed))
            measured.add(arm, model, seed=seed)
            of_round = {**counts(answers), "failed": len(failed), "refined": len(pairs)}
            numbers.setdefault(name, []).append(of_round | {"conversations": len(chats)})
        return model, chats, refined

    def _judge(self, refiner: Weights) -> Judge:
        return rules_as_judge if self.config.judge == "rules" else model_as_judge(refiner, self.config.votes)
