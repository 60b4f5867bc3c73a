"""Prompts of instruction tuning against in-context learning: by instruction, by examples, by both.

Source: Bigoulaeva et al. 2025 (arXiv 2501.08716), whose SampleGen models write solved examples of a task
before they solve it. The wordings are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biddable.errors import InputError
from biddable.experiments.cross_task import SplitTask
from biddable.tasks.superni import Instructed
from biddable.types import Chat, Message, Task

REGULAR = "Solve the task. Write the solution and nothing else."
SAMPLEGEN = (
    "Write two examples of the task with their answers, then use them to solve it: Example 1, Answer 1, "
    "Example 2, Answer 2, Solution, Answer Solution, END_EXAMPLES."
)
MARK, END = "Answer Solution:", "END_EXAMPLES"
WORDINGS = (
    "{task}\nInput: {text}",
    "{task}\n\n{text}",
    "Task: {task}\nText: {text}",
    "{text}\n\n{task}",
    "Input: {text}\nQuestion: {task}",
)


def render_regular(task: Instructed, text: str, wording: int = 0, *, system: str = REGULAR) -> Chat:
    """System text and question, as the tuned model learns and is asked."""
    question = WORDINGS[wording % len(WORDINGS)].format(task=task.definition, text=text).strip()
    return (Message("system", system), Message("user", question))


def render_direct(task: Instructed, text: str) -> str:
    """The bare question, without system text."""
    return f"{render_regular(task, text)[-1].content}\nOutput:"


def render_samplegen(examples: Sequence[Task], text: str) -> str:
    """Solved examples and the question, up to where its solution follows."""
    shown = [
        f"Example {n}: {each.meta['input']}\nAnswer {n}: {each.references[0]}\n"
        for n, each in enumerate(examples, 1)
    ]
    return f"{''.join(shown)}Solution: {text}\n{MARK}"


def split_for_samplegen(train: Sequence[Task], examples: int) -> tuple[list[Task], list[Task]]:
    """Rows that are asked, and the other half, of which examples are drawn.

    Raises:
        InputError: the halves share an input, or a half has fewer rows than examples are drawn.
    """
    questions, pool = list(train[::2]), list(train[1::2])
    if common := {each.meta["input"] for each in questions} & {each.meta["input"] for each in pool}:
        raise InputError("train", sorted(common)[0], "no question in its own pool of examples")
    if len(pool) < examples:
        raise InputError("examples", examples, f"at most {len(pool)}, half of a task's rows to learn from")
    return questions, pool


def drawn(pool: Sequence[Task], examples: int, rng: np.random.Generator) -> list[Task]:
    """``examples`` different rows of a pool."""
    return [pool[i] for i in rng.choice(len(pool), examples, replace=False)]


def regular_lessons(tasks: Sequence[SplitTask], rows: int) -> list[Chat]:
    """As many rows of each task by its instruction, in all wordings; a small task's rows come again."""
    return [
        (*render_regular(each.task, str(row.meta["input"]), n), Message("assistant", row.references[0]))
        for each in tasks
        for n, row in ((n, each.train[n % len(each.train)]) for n in range(rows))
    ]


def samplegen_lessons(
    tasks: Sequence[SplitTask], rows: int, examples: int, rng: np.random.Generator
) -> list[Chat]:
    """The same, where examples are written before the solution."""
    chats: list[Chat] = []
    for each in tasks:
        questions, pool = split_for_samplegen(each.train, examples)
        for n in range(rows):
            row = questions[n % len(questions)]
            text = str(row.meta["input"])
            said = f"{render_samplegen(drawn(pool, examples, rng), text)} {row.references[0]} {END}"
            prompt = render_regular(each.task, text, n, system=SAMPLEGEN)
            chats.append((*prompt, Message("assistant", said)))
    return chats


def extract_answer(text: str) -> str:
    """What follows the first mark, up to the end mark; empty, and so wrong, where there is none."""
    return text.partition(MARK)[2].partition(END)[0].strip()
