"""Composed rows of known quality: right answers, a model's own, and answers that are right elsewhere."""

from __future__ import annotations

from typing import Any

from biddable.experiments.exchanges import Exchange, as_exchange
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.run import Run
from biddable.suites.answers import Ask, answers
from biddable.tasks.compose.skills import skill_tasks
from biddable.tasks.steps import Funnel
from biddable.tasks.superni import Instructed
from biddable.types import Conversation, Prompt, Task, exchange, user

LEVELS = ("right", "own answer", "own answer, hot", "own answer, cut off", "right for another")
"""Of composed rows: right; the model's own after examples at temperature 0.7 and 1.5; its own without
examples, which are long and stop at the limit; and the right answer to another task's input."""


def composed_pool(
    run: Run, model: LazyModel, each: int, held: int, max_tokens: int
) -> tuple[Funnel[Any], list[Exchange], list[Exchange], list[Task]]:
    """Rows of five levels of quality, and right rows held out: for the fit and the choice, and for the test.

    Every task has rows in both held-out parts, and further ones are dealt to the levels at random.

    Args:
        run: the run.
        model: whose own answers are rows.
        each: rows of each level.
        held: rows of each held-out part.
        max_tokens: longest own answer.

    Returns:
        the rows; those held out; and the tasks of the last, which have the right answers.
    """
    per = -(-held // len(skill_tasks(1)))
    tasks = skill_tasks(2 * per - (-len(LEVELS) * each // 30))
    parts = [
        [(task, task.instances[at]) for at in span for task in tasks if len(task.instances) > 2 * per][:held]
        for span in (range(per), range(per, 2 * per))
    ]
    left = [(task, row) for task in tasks for row in task.instances[2 * per :]]
    order = run.rng("levels").permutation(len(left))[: len(LEVELS) * each]
    dealt = [[left[i] for i in order[level :: len(LEVELS)]] for level in range(len(LEVELS))]
    made = [[row.references[0] for _, row in dealt[0]]]
    for stage, temperature, shown in (("own", 0.7, True), ("hot", 1.5, True), ("long", 0.7, False)):
        asked = dealt[len(made)]
        stop = ("\n",) if shown else ()
        ask = Ask(model, Sampling(max_tokens=max_tokens, temperature=temperature, stop=stop))
        prompts: list[Prompt] = [_shown(*row) if shown else user(_asked(*row)) for row in asked]
        said = answers(run, stage, ask, prompts, [run.seed(stage, row.id) for _, row in asked])
        made.append([samples[0].text.strip() for samples in said])
    others = dealt[len(made)]
    made.append([others[at - 1][1].references[0] for at in range(len(others))])
    rows: dict[str, Any] = {}
    for level, texts, which in zip(LEVELS, made, dealt, strict=True):
        for (task, row), text in zip(which, texts, strict=True):
            chat = exchange(user(_asked(task, row)), text)
            rows[row.id] = (Conversation(chat, (False, True)), level)
    order = run.rng("order").permutation(len(rows))
    funnel: Funnel[Any] = Funnel({name: rows[name] for name in (list(rows)[i] for i in order)})
    funnel.apply("exchange", [as_exchange(*row) for row in funnel.rows])
    dev, test = ([_right(*row) for row in part] for part in parts)
    return funnel, dev, test, [row for _, row in parts[1]]


def _right(task: Instructed, row: Task) -> Exchange:
    return Exchange(Conversation(exchange(user(_asked(task, row)), row.references[0]), (False, True)), 1)


def _asked(task: Instructed, row: Task) -> str:
    return f"{task.definition}\n{row.meta['input']}"


def _shown(task: Instructed, row: Task) -> str:
    """The same after two solved examples, as raw text, so that what is written is short."""
    solved = "".join(f"Input: {each.input}\nOutput: {each.output}\n\n" for each in task.positive)
    return f"{task.definition}\n\n{solved}Input: {row.meta['input']}\nOutput:"
