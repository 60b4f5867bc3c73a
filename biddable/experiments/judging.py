"""Judges beside the checks: rules in the words of a language model that judges, and how far one agrees.

Lessons are chats that end with what a judge or a refiner is to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from biddable.experiments.instructions import Scored, Suite
from biddable.experiments.stages import Answers, Weights
from biddable.judges.answer import NOT_DEGENERATE, AnswerJudge
from biddable.judges.base import Judge
from biddable.judges.lm_judge import END, JUDGE_SAMPLING, START, LMJudge, judge_chat, refine_chat
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.figures import Table
from biddable.runs.run import Run
from biddable.search.nodes import RefinementNode
from biddable.tasks.repairs import repair
from biddable.types import Chat, Message, Response, Task, Verdict


def critique_of(verdict: Verdict) -> str:
    """A rule judge's verdict in the form that a language model judges in."""
    lines = [f"- {'Met' if check.passed else 'Missed'}: {check.reason}" for check in verdict.checks]
    return "\n".join([*lines, f"Final Judgement: {'Yes' if verdict.passed else 'No'}"])


def rules_as_judge(
    tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
) -> list[Verdict]:
    """The checks as a judge that a search can climb: 1 when all are met, else half the share that is.

    That the text is an answer is one of them, or self-play would learn to follow the rules and say nothing.
    """
    return [
        replace(v, score=1.0 if v.passed else (v.score or 0.0) / 2, critique=critique_of(v))
        for v in AnswerJudge()(tasks, responses)
    ]


def model_as_judge(weights: Weights, votes: int = 5, sampling: Sampling = JUDGE_SAMPLING) -> Judge:
    """A model that judges by vote (see ``LMJudge``); it is loaded when it is first asked."""
    model = LazyModel(weights)

    def judge(
        tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        return LMJudge(model(), votes, sampling)(tasks, responses, seeds=seeds)

    return judge


def judgement_lesson(task: Task, response: str, critique: str) -> Chat:
    """The request to judge a response, and the critique as what is to be said."""
    return (*judge_chat(task, response), Message("assistant", critique))


def refinement_lesson(task: Task, node: RefinementNode) -> Chat:
    """The request to repair a node's parent, and what the refiner said that led to the node."""
    assert node.parent is not None
    chat = refine_chat(task, node.parent.response, node.parent.critique)
    return (*chat, Message("assistant", node.refinement))


def one_per_request(lessons: Iterable[Chat]) -> list[Chat]:
    """The first lesson for each judge's request and kind (a refinement has four turns, a judgement two)."""
    first: dict[tuple[str, int], Chat] = {}
    for chat in lessons:
        first.setdefault((chat[0].content, len(chat)), chat)
    return list(first.values())


def repair_lessons(
    tasks: Sequence[Task], texts: Sequence[Sequence[str]], rng: np.random.Generator
) -> tuple[list[Chat], list[tuple[Task, str]]]:
    """What a refiner can learn from failed answers that rules can repair.

    Args:
        tasks: what was asked.
        texts: answers to each task.
        rng: where a rule can be repaired in several ways.

    Returns:
        chats of a judge's request, the critique, the request to repair and the repair; and all answers with
        the repairs, for lessons in judging.
    """
    judge, lessons = AnswerJudge(), []
    answers = [(task, text) for task, of_task in zip(tasks, texts, strict=True) for text in of_task]
    judged = list(answers)
    for task, text in answers:
        verdict = judge([task], [Response(text)])[0]
        missed = [check for check in verdict.checks if not check.passed and check.id != NOT_DEGENERATE]
        repaired = repair(task, text, {check.id for check in missed}, rng) if missed else None
        if repaired is None or not judge([task], [Response(repaired)])[0].passed:
            continue
        judged.append((task, repaired))  # or a judge would meet failures only, and learn to say no
        what = " ".join(check.reason for check in missed)
        target = f"{what}\n{START}\n{repaired}\n{END}"
        lessons.append((*refine_chat(task, text, critique_of(verdict)), Message("assistant", target)))
    return lessons, judged


def judging_lessons(rows: Sequence[tuple[Task, str]]) -> list[Chat]:
    """What a judge can learn from the checks: its request for each answer, and their verdict in its form."""
    verdicts = AnswerJudge()([task for task, _ in rows], [Response(text) for _, text in rows])
    return [
        judgement_lesson(task, text, critique_of(verdict))
        for (task, text), verdict in zip(rows, verdicts, strict=True)
    ]


def judge_bias(answers: Answers) -> dict[str, float]:
    """How the judge's verdicts on answers differ from those of the checks.

    Returns:
        ``judged_passing`` and ``checks_passing``, the shares that pass, over the answers on which the judge
        came to a verdict; ``passes_failures``, the share it passes of those that fail the rules, and
        ``fails_passes`` the other way round; 0 where there are none.
    """
    rows = [(task, text, v.passed) for task, text, v in answers.flat() if v.passed is not None]
    verdicts = AnswerJudge()([task for task, _, _ in rows], [Response(text) for _, text, _ in rows])
    judged = np.array([passed for _, _, passed in rows], dtype=bool)
    right = np.array([bool(verdict.passed) for verdict in verdicts], dtype=bool)

    def share(values: np.ndarray) -> float:
        return float(values.mean()) if len(values) else 0.0

    return {
        "judged_passing": share(judged),
        "checks_passing": share(right),
        "passes_failures": share(judged[~right]),
        "fails_passes": share(~judged[right]),
    }


AGREEMENT = "judgements that agree with the checks"


def agreement(run: Run, name: str, judge: Judge, suite: Suite, answers: Scored) -> list[float]:
    """Per answer to a suite: 1 where a judge comes to the verdict of the checks; a stage of the run."""

    def assess() -> list[Verdict]:
        seeds = [run.seed(name, task.id) for task in suite.tasks]
        return judge(suite.tasks, [Response(text) for text in answers.texts], seeds=seeds)

    verdicts = run.stage(name, assess, list[Verdict])
    return [float(v.passed == bool(right)) for v, right in zip(verdicts, answers.passed, strict=True)]


def counts(answers: Answers) -> dict[str, Any]:
    """How many answers there are, how the judge found them, and how that differs from the checks."""
    passed = [verdict.passed for _, _, verdict in answers.flat()]
    return {
        "answers": len(passed),
        "answers_passing": passed.count(True) / len(passed),
        "answers_undecided": passed.count(None) / len(passed),
        "judge": judge_bias(answers),
    }


def judge_table(answers: Mapping[str, Answers]) -> Table:
    """``judge_bias`` of several sets of answers, by name."""
    rows = [(name, *(f"{share:.2f}" for share in judge_bias(of).values())) for name, of in answers.items()]
    return Table(
        title="The model as its own judge, beside the checks",
        columns=("answers", "it passes", "checks pass", "failures it passes", "passes it fails"),
        rows=tuple(rows),
        note="Of the answers on which the votes came to a verdict; shares.",
    )
