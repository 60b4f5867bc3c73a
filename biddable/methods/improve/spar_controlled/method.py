"""The two experiments of figure 4 as one method: its settings, its comparisons, its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from biddable.config import Count, Natural, NonNegative, Positive, settings
from biddable.methods.base import About, Method, show
from biddable.methods.improve.spar_controlled.exercise import Split
from biddable.methods.improve.spar_controlled.experiment import (
    Experiment,
    Outcome,
    Settings,
    bars,
    compared,
)
from biddable.methods.improve.spar_controlled.letters import CASE_MARGIN, LETTERS
from biddable.methods.improve.spar_controlled.narration import STORIES
from biddable.models.load import require_trainable
from biddable.runs.results import Results
from biddable.runs.run import Run

Name = Literal["characters", "stories"]

DEMONSTRATIONS: Mapping[Name, int] = {"characters": 96, "stories": 4}
PAIRS: Mapping[Name, int] = {"characters": 128, "stories": 64}
CASES: Mapping[Name, int] = {"characters": 80, "stories": 48}


@settings
class ControlledConfig:
    """Settings of SPaR's controlled experiments, the same for both kinds of pairs."""

    model: str = "smollm2"
    """The model to start from."""
    experiments: Annotated[tuple[Name, ...], Field(min_length=1)] = ("characters", "stories")
    """Which of the two."""
    seeds: Count = 1
    """Repetitions, each with other demonstrations and pairs."""
    size: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the data to take; all is 96 demonstrations, 128 pairs and 80 cases of characters, and 4, 64
    and 48 of stories."""
    warm_up_lr: Positive = 1e-3
    """Highest learning rate on the demonstrations."""
    lr: Positive = 1e-4
    """Highest learning rate on the pairs (paper: 2e-7, for 8B parameters and all weights)."""
    beta: Positive = 0.1
    """DPO: how strongly the model is held to where it started (paper: 0.1)."""
    alpha: NonNegative = 1.0
    """DPO: weight of the chosen answer's negative log-likelihood (paper: 0.1)."""
    batch_size: Count = 8
    """Demonstrations or pairs in an optimizer step."""
    lora_rank: Natural = 16
    """Rank of LoRA adapters; 0 trains all weights (the paper)."""
    split: Split = "held-out"
    """Where the cases come from; the settings above were chosen on "validation"."""

    def settings(self, name: Name) -> Settings:
        """Sizes and training of one experiment."""
        from biddable.train.config import LoraConfig
        from biddable.train.dpo import DpoConfig
        from biddable.train.sft import SftConfig

        batch_size, lora = self.batch_size, LoraConfig(rank=self.lora_rank)
        return Settings(
            demonstrations=self._some(DEMONSTRATIONS[name]),
            pairs=self._some(PAIRS[name]),
            cases=self._some(CASES[name]),
            warmup=SftConfig(lr=self.warm_up_lr, epochs=1, batch_size=batch_size, lora=lora),
            dpo=DpoConfig(lr=self.lr, beta=self.beta, rpo_alpha=self.alpha, batch_size=batch_size, lora=lora),
            split=self.split,
        )

    def _some(self, count: int) -> int:
        return max(1, round(self.size * count))


class SparControlled(Method):
    """SPaR's controlled experiments (see ``biddable.methods.improve.spar_controlled``)."""

    about = About(
        title="SPaR, figure 4: what else a preference pair teaches",
        citation="Cheng et al., ICLR 2025, arXiv 2412.11605",
        claim=(
            "Where the two sides of a pair differ in something besides the constraint, the model learns that "
            "instead: the case of letters, not their number; stories get worse than untrained. Pairs that "
            "differ in the constraint alone teach it."
        ),
        needs="a chat model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={
            "smoke": "1 (2 cores)",
            "default": "7 (2 cores)",
            "full": "19 (2 cores)",
            "gpu": "not measured",
        },
        takes="any chat model whose weights can be trained (--model)",
    )
    Config = ControlledConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 0.06},
        "full": {"seeds": 3},
        "gpu": {"seeds": 10, "lora_rank": 0},
    }
    config: ControlledConfig

    def check(self) -> None:
        """See ``Method.check``: the model."""
        require_trainable(self.config.model)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        seeds = list(range(run.root_seed, run.root_seed + config.seeds))
        outcomes = {
            name: EXPERIMENTS[name](run, config.model, config.settings(name), seeds)
            for name in config.experiments
        }
        run.describe(model=config.model)
        show(run, [figure for outcome in outcomes.values() for figure in outcome.figures])
        comparisons = [each for outcome in outcomes.values() for each in outcome.comparisons]
        return run.finish(comparisons, metrics={name: one.metrics for name, one in outcomes.items()})


def characters(run: Run, model: str, settings: Settings, seeds: Sequence[int]) -> Outcome:
    """Figure 4 (a): exact numbers of letters, with the case as nuisance.

    Args:
        run: where every step is kept.
        model: what ``load_model`` takes; the model to start from.
        settings: sizes and training.
        seeds: one warm-up and one training of each arm for each.

    Raises:
        InputError: no seeds, or more demonstrations, pairs or cases than there are instructions.
    """
    scores, metrics, examples = Experiment(run, model, LETTERS, settings, seeds).run()
    comparison = partial(compared, "letters", scores, seeds)
    comparisons = [
        comparison("exact number", "untrained", "refined", "higher"),
        comparison("exact number", "interfering", "refined", "higher"),
        comparison("upper case", "untrained", "refined", "equal", margin=CASE_MARGIN),
        comparison("upper case", "untrained", "interfering", "higher"),
    ]
    drawn = bars(
        "Exact number of letters: the constraint and the nuisance", scores, ("exact number", "upper case")
    )
    return Outcome(comparisons, [drawn, examples], metrics)


def stories(run: Run, model: str, settings: Settings, seeds: Sequence[int]) -> Outcome:
    """Figure 4 (b): stories with a given first and last sentence.

    Arguments and errors are those of ``characters``.
    """
    scores, metrics, examples = Experiment(run, model, STORIES, settings, seeds).run()
    comparison = partial(compared, "stories", scores, seeds)
    comparisons = [
        comparison("both sentences", "untrained", "refined", "higher"),
        comparison("both sentences", "interfering", "refined", "higher"),
        comparison("both sentences", "untrained", "interfering", "lower"),
    ]
    drawn = bars(
        "Stories with a given first and last sentence",
        scores,
        ("first sentence", "last sentence", "both sentences"),
    )
    return Outcome(comparisons, [drawn, examples], metrics)


EXPERIMENTS: Mapping[Name, Callable[[Run, str, Settings, Sequence[int]], Outcome]] = {
    "characters": characters,
    "stories": stories,
}
