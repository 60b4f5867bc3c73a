"""SPaR's two controlled experiments: what does a preference pair teach besides the constraint?

Figure 4 of SPaR (arXiv 2412.11605). Two arms are trained by DPO from one start, on the same prompts, with
the same rejected answers and the same settings. They differ in the chosen answer alone: in *refined* pairs
it is the rejected one with the missed constraint repaired and nothing else changed; in *interfering* pairs
it meets the constraint as well, but differs in something that was never asked for, as an independent
sample would.

- ``characters``: write a letter so and so many times; the nuisance is its case.
- ``stories``: a story whose first and last sentence are given; the nuisance is all that stands between.

The paper starts from a 7B chat model, which has the form of the answers from the beginning. A model of
135M parameters has not: the start is that model after a few right answers, too few to be right often.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from biddable.methods.improve.spar.controlled.experiment import (
    Experiment,
    Outcome,
    Settings,
    bars,
    compared,
)
from biddable.methods.improve.spar.controlled.letters import CASE_MARGIN, LETTERS
from biddable.methods.improve.spar.controlled.narration import STORIES
from biddable.runs.run import Run
from biddable.train.dpo import DpoConfig
from biddable.train.sft import SftConfig

__all__ = ["FOR_LETTERS", "FOR_STORIES", "Outcome", "Settings", "characters", "stories"]

FOR_LETTERS = Settings(
    demonstrations=96,
    pairs=128,
    cases=80,
    warmup=SftConfig(lr=1e-3, epochs=1, batch_size=8, lora_rank=16),
    dpo=DpoConfig(lr=2e-4, beta=0.1, alpha=0.1, batch_size=8, lora_rank=16),
)
FOR_STORIES = Settings(
    demonstrations=32,
    pairs=64,
    cases=48,
    warmup=SftConfig(lr=1e-3, epochs=1, batch_size=8, lora_rank=16),
    dpo=DpoConfig(lr=2e-4, beta=0.1, alpha=0.1, batch_size=8, lora_rank=16),
)


def characters(
    run: Run, model: str, settings: Settings = FOR_LETTERS, seeds: Sequence[int] = (0,)
) -> Outcome:
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
    comparison = partial(compared, scores, seeds)
    comparisons = [
        comparison("exact length", "untrained", "refined", "higher"),
        comparison("exact length", "interfering", "refined", "higher"),
        comparison("upper-case letters", "untrained", "refined", "equal", margin=CASE_MARGIN),
        comparison("upper-case letters", "untrained", "interfering", "higher"),
    ]
    drawn = bars(
        "Exact number of letters: the constraint and the nuisance",
        scores,
        ("exact length", "upper-case letters"),
    )
    return Outcome(comparisons, [drawn, examples], metrics)


def stories(run: Run, model: str, settings: Settings = FOR_STORIES, seeds: Sequence[int] = (0,)) -> Outcome:
    """Figure 4 (b): stories with a given first and last sentence.

    Arguments and errors are those of ``characters``.
    """
    scores, metrics, examples = Experiment(run, model, STORIES, settings, seeds).run()
    comparison = partial(compared, scores, seeds)
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
