"""The first refiner and judge: a model taught by rules to repair and to judge its own answers.

Papers have a strong language model write these lessons, or people. Rules are a teacher too, and one that is
always at hand: they say which answers fail, and can repair some of them.
"""

from __future__ import annotations

from pathlib import Path

from biddable.config import Count, settings
from biddable.errors import BiddableError
from biddable.experiments.instructions import Instructions
from biddable.experiments.judging import judging_lessons, repair_lessons
from biddable.experiments.stages import Weights, finetuned, sampled, with_seed
from biddable.models.base import Sampling
from biddable.runs.run import Run
from biddable.train.config import SftConfig
from biddable.types import Chat


@settings
class TeachingSettings:
    """The lessons that rules give."""

    tasks: Count = 130
    """Tasks whose failed answers, repaired by rule, are the lessons; the same for all seeds."""
    samples: Count = 1
    """Answers to each of them."""
    sft: SftConfig = SftConfig(lr=5e-4, batch_size=4)
    """How they are learned."""


def taught(
    run: Run,
    name: str,
    weights: Weights,
    instructions: Instructions,
    how: TeachingSettings,
    sampling: Sampling,
    *,
    repairs: bool = True,
    judgements: bool = False,
    seed: int,
) -> Path:
    """A model that has learned to repair its own failures, to judge its own answers, or both.

    Called once in a run: as in the papers, one first refiner or judge serves all seeds.

    Args:
        run: the run.
        name: of the stage that trains it.
        weights: the model that answers, and that is taught.
        instructions: where the tasks come from.
        how: how many lessons, and how they are learned.
        sampling: how the answers are drawn.
        repairs: whether it learns to repair.
        judgements: whether it learns to judge.
        seed: of the training.

    Raises:
        BiddableError: there is nothing to learn, as rules can repair none of the failures.
    """
    tasks = instructions.train(run.seed("bootstrap"), how.tasks)

    def lessons() -> list[Chat]:
        texts = sampled(run, "bootstrap", weights, tasks, how.samples, sampling)
        repaired, judged = repair_lessons(tasks, texts, run.rng("lessons"))
        return (repaired if repairs else []) + (judging_lessons(judged) if judgements else [])

    chats = run.stage("lessons", lessons, list[Chat])
    if not chats:
        raise BiddableError(f"no failed answer to {len(tasks)} tasks could be repaired by rule; {MORE}")
    return finetuned(run, name, weights, chats, with_seed(how.sft, seed))


MORE = "use more prompts, more samples or easier rule types"


def require(rows: object, what: str) -> None:
    """Stop with one line where there is nothing to train on.

    Raises:
        BiddableError: ``rows`` are none.
    """
    if not rows:
        raise BiddableError(f"no {what} were found; {MORE}")
