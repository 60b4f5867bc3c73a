"""GRPO on verifiable instructions: reinforcement learning with the tasks' own checks as the reward.

Group relative policy optimisation (Shao et al. 2024, DeepSeekMath, arXiv 2402.03300) as it is used for
verifiable instructions (Lambert et al. 2024, Tülu 3, arXiv 2411.15124; Pyatkin et al. 2025, IFBench,
arXiv 2507.02833): a model answers each prompt several times, checks say how many constraints every answer
meets, and answers better than the others to their prompt are reinforced.

Claim: training on verifiable constraints raises instruction following, also on constraint types that no
training prompt has (Tülu 3 8B: IFEval 82.4 to 92.2, IFBench, whose types are others, 28.9 to 45.9).

The steps:

1. prompts: composed verifiable tasks, or the user's own (``experiments.instructions``);
2. a group of answers to each, by the weights as they are;
3. rewards from a judge, by default the share of constraints met in a proper answer;
4. advantages: each reward beside its group's mean, divided by its deviation;
5. the clipped objective on every token; on to the next prompts (``train.grpo``).

``--beside-spar`` answers a question that neither paper asks: which of the two makes more of the same number
of tokens. SPaR runs first, on the same tasks; GRPO then gets as many prompts as use up the tokens that SPaR
generated and trained on, if its answers are as long. Trained on is what a step works on: prompts count, once
for all answers to them. Neither side pays for the prompts that it answers, nor for rules as judges;
``metrics.tokens`` says what both have spent.

Departures from the papers, and why:

* The model has 135M parameters and some hundred prompts, so the rate is higher (1e-4, all weights; chosen
  from 3e-5 and 1e-4 by 64 prompts and 100 validation tasks).
* A text that is no answer fails one check more: rules alone reward texts that loop or say nothing.
* No divergence term by default (as in the later of the two papers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from biddable.config import Count, settings
from biddable.experiments.figures import logged, losses
from biddable.experiments.instructions import BASE, LARGE, SMOKE, InstructionSettings
from biddable.experiments.stages import reinforced, with_seed
from biddable.judges.load import load_judge
from biddable.methods.base import About
from biddable.methods.improve.spar import Iteration, SelfPlay, SparConfig
from biddable.methods.instruction import InstructionMethod
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.train.config import GrpoConfig

SPAR = "spar"
GRPO = "grpo"


@settings
class VerifiableConfig(InstructionSettings):
    """Settings of GRPO on verifiable instructions."""

    judge: str = "answer"
    """Who gives the reward: what load_judge takes, such as answer, rules, hf:DIR or rating:MODEL."""
    prompts: Count = 64
    """Tasks to learn from; those of SPaR's budget with --beside-spar."""
    grpo: GrpoConfig = GrpoConfig(lr=1e-4, sampling=Sampling(max_tokens=80))
    """How it is trained."""
    beside_spar: bool = False
    """Run SPaR on the same tasks too, at its defaults, and spend as many tokens as it did."""


class Grpo(InstructionMethod):
    """GRPO on verifiable instructions (see ``biddable.methods.improve.grpo``)."""

    about = About(
        title="GRPO on verifiable instructions",
        citation="Shao et al. 2024, arXiv 2402.03300; Lambert et al. 2024, arXiv 2411.15124",
        claim=(
            "Reinforcing answers that meet more of their verifiable constraints than others to their prompt "
            "raises instruction following, also on constraint types that were not trained."
        ),
        needs="a chat model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "10 (1 core)", "gpu": "not measured"},
        takes="a chat model (--model), prompts with their checks (--tasks), any judge (--judge)",
        leaves="the trained model (artifacts/model)",
    )
    Config = VerifiableConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **SMOKE,
            **{"prompts": 8, "grpo.batch_size": 4, "grpo.group_size": 4, "grpo.sampling.max_tokens": 24},
        },
        "full": {"prompts": 1024, "seeds": 3, "test.tasks": 200, "test.held_out": 80},
        "gpu": {
            **LARGE,
            **{"prompts": 20_000, "grpo.batch_size": 64, "grpo.group_size": 16, "grpo.lr": 1e-6},
            "grpo.sampling.max_tokens": 512,
        },
    }
    only: ClassVar = {**InstructionMethod.only, "no beside_spar": ("prompts",)}
    config: VerifiableConfig

    @property
    def arms(self) -> list[str]:
        """See ``InstructionMethod.arms``."""
        return [BASE, *([SPAR] if self.config.beside_spar else []), GRPO]

    @property
    def sampling(self) -> Sampling:
        """See ``InstructionMethod.sampling``."""
        return self.config.grpo.sampling

    def check(self) -> None:
        """See ``Method.check``: the judge too."""
        super().check()
        load_judge(self.config.judge)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        measured = self.begin(run, judge=config.judge)
        spent: dict[str, dict[str, int]] = {}
        refiner: Path | None = None
        for seed in self.seeds(run):
            prompts = config.prompts
            if config.beside_spar:
                play = self._play(run, seed)
                refiner = refiner or play.bootstrap()  # one for all seeds, as in SPaR
                actor, budget = self._spar(play, refiner)
                measured.add(SPAR, actor, seed=seed)
                spent[f"seed{seed}-{SPAR}"], prompts = budget, budget["prompts"]
            name, tasks = f"seed{seed}-{GRPO}", self.instructions.train(seed, prompts)
            judge, how = load_judge(config.judge), with_seed(config.grpo, seed)
            model = reinforced(run, name, config.model, tasks, judge, how)
            measured.add(GRPO, model, seed=seed)
            generated, trained = self._generated(run, name, prompts), _trained(run, [name])
            spent[name] = {"generated": generated, "trained": trained, "prompts": prompts}

        first = f"seed{run.first_seed}-{GRPO}"
        curves = logged(run, first, "Sampled answers by step", ("reward", "passed", "alike", "cut_off"))
        return self.finish(
            run,
            measured,
            [(BASE, GRPO), (BASE, SPAR)],
            questions=[(SPAR, GRPO)],
            figures=[*measured.figures(GRPO), *curves, *losses(run, {first: GRPO})],
            models={"model": model},
            metrics={"tokens": spent},
        )

    def _play(self, run: Run, seed: int) -> SelfPlay:
        """SPaR on the same tasks, at its defaults; its answers are as long at most."""
        sampling = replace(SparConfig().sampling, max_tokens=self.instructions.max_tokens)
        settings = SparConfig(model=self.config.model, tasks=self.config.tasks, sampling=sampling)
        return SelfPlay(run, settings, self.instructions, seed)

    def _spar(self, play: SelfPlay, refiner: Path) -> tuple[Path, dict[str, int]]:
        """SPaR's actor, the tokens it spent, and how many prompts GRPO can make of them."""
        run, grpo, bootstrap = play.run, self.config.grpo, play.config.bootstrap
        iterations = list(play.iterate(refiner))

        def spend() -> dict[str, int]:
            encode: Any = LazyModel(play.config.model)()
            tokens = [len(encode.encode_response(text)) for text in _texts(iterations)]
            length = float(np.mean([len(encode.encode_response(text)) for text in _answers(iterations)]))
            prompt = float(np.mean([len(encode.encode_prompt(task.prompt)) for task in play.tasks]))
            first = bootstrap.tasks * bootstrap.samples  # answers, on average as long
            generated = round(sum(tokens) + first * length)
            rounds = range(1, len(iterations) + 1)
            stages = [f"{play.name}-iter{i}-{role}" for i in rounds for role in ("actor", "refiner")]
            trained = _trained(run, ["refiner0", *stages])
            # In each epoch a prompt costs GRPO a group of answers, and in each update that and itself.
            group = grpo.group_size * length
            cost = grpo.epochs * (group + grpo.updates * (group + prompt))
            prompts = max(1, round((generated + trained) / cost))
            return {"generated": generated, "trained": trained, "prompts": prompts}

        return iterations[-1].actor, run.stage(f"{play.name}-budget", spend, dict[str, int])

    def _generated(self, run: Run, stage: str, prompts: int) -> int:
        """Tokens of all answers that GRPO drew: their mean length by step, times their number."""
        lengths = [length for _, length in run.logged(stage, "length")]
        answers = self.config.grpo.epochs * prompts * self.config.grpo.group_size
        return round(answers * float(np.mean(lengths or [0])))


def _answers(iterations: Sequence[Iteration]) -> list[str]:
    return [text for iteration in iterations for texts in iteration.answers.texts for text in texts]


def _texts(iterations: Sequence[Iteration]) -> list[str]:
    """All that SPaR wrote in its iterations; repairs that could not be read are not among it."""
    trees = [result.root for iteration in iterations for result in iteration.repaired.results]
    repairs = [node.refinement for root in trees for node in root.walk() if node.refinement]
    return _answers(iterations) + repairs


def _trained(run: Run, stages: Sequence[str]) -> int:
    return int(sum(number for stage in stages for _, number in run.logged(stage, "tokens")))
