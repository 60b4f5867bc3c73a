"""Meta-Rewarding Language Models (Wu et al., 2024, arXiv 2407.19594)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from biddable.errors import BiddableError
from biddable.experiments.pairs import best_against_worst
from biddable.experiments.stages import Answers, Weights, preferred
from biddable.judges.lm_judge import VOTE, judge_chat
from biddable.runs.run import Run
from biddable.train.dpo import DpoConfig
from biddable.types import Preference


def judgement_pairs(answers: Answers) -> list[Preference]:
    """A vote that agrees with the majority against one that does not, of each answer that has both."""
    pairs = []
    for task, text, verdict in answers.flat():
        votes = [check for check in verdict.checks if check.id == VOTE]
        agreeing = next((vote.reason for vote in votes if vote.passed == verdict.passed), None)
        disagreeing = next((vote.reason for vote in votes if vote.passed != verdict.passed), None)
        if verdict.passed is not None and agreeing and disagreeing:
            pairs.append(Preference(judge_chat(task, text), agreeing, disagreeing, {"task": task.id}))
    return pairs


def meta_rewarding(
    run: Run,
    name: str,
    start: Weights,
    judge: Weights,
    answers_of: Callable[[int, Weights, Weights], Answers],
    iterations: int,
    dpo: DpoConfig,
) -> list[tuple[Path, list[Preference]]]:
    """Train an actor on its best answers against its worst, and its judge on its disputed judgements."""
    actor, trained = start, []
    for iteration in range(1, iterations + 1):
        answers = answers_of(iteration, actor, judge)
        pairs = best_against_worst(answers)
        if not pairs and iteration == 1:
            raise BiddableError(
                "no pairs of answers with different scores were found; use more prompts or samples"
            )
        if pairs:
            actor = preferred(run, f"{name}{iteration}", actor, pairs, dpo)
        disputed = judgement_pairs(answers)
        if disputed and iteration < iterations:
            judge = preferred(run, f"{name}{iteration}-judge", judge, disputed, dpo)
        trained.append((Path(actor), pairs))
    return trained
