"""Instruction following as an experiment: tasks to learn from, held-out suites, and how models do on them.

Tasks are composed, or the user's own with their checks, of which a share is held out. All methods that
teach instruction following share these settings, so that they are measured alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from biddable.config import Count, Natural, settings
from biddable.errors import InputError
from biddable.experiments.stages import Weights
from biddable.judges.answer import NOT_DEGENERATE, AnswerJudge
from biddable.judges.ifeval import IFEvalReport
from biddable.judges.ifeval import evaluate as ifeval
from biddable.judges.ifeval.judge import bind
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import require_trainable
from biddable.runs.run import Run
from biddable.suites.answers import Ask, answers
from biddable.tasks.compose import SHORT_TYPES, Composer
from biddable.types import Response, Task, Verdict, last_turn

TEST_SEED = 20241211
"""Fixes the composed held-out tasks: the same for every run and seed. Tuning used the validation split."""

BASE = "base"
"""The arm of the model as it comes."""

EASY_TYPES = (
    "change_case:english_lowercase",
    "startend:quotation",
    "startend:end_checker",
    "punctuation:no_comma",
)
"""Rules that a hundred lessons teach a small model to repair; untrained, it rarely follows most."""

TYPES = (
    "change_case:english_lowercase",
    "change_case:english_capital",
    "startend:quotation",
    "startend:end_checker",
    "punctuation:no_comma",
    "detectable_content:number_placeholders",
    "detectable_format:number_highlighted_sections",
    "keywords:existence",
)
"""Rules that two sentences can be repaired for, most of which the untrained model rarely follows."""

HELD_OUT = (
    "detectable_format:title",
    "detectable_content:postscript",
    "detectable_format:number_bullet_lists",
    "keywords:forbidden_words",
)


@settings
class ComposeSettings:
    """Tasks composed of hand-written requests and verifiable rules."""

    types: tuple[str, ...] = EASY_TYPES
    """The rule types that tasks are composed of."""
    held_out_types: tuple[str, ...] = HELD_OUT
    """Rule types that training never meets."""
    rules: Annotated[int, Field(ge=1, le=3)] = 1
    """The most rules a task has."""
    brief: bool = True
    """Ask for answers of two sentences, so that they are whole within few tokens."""


@settings
class TestSettings:
    """What models are measured on."""

    tasks: Count = 100
    """Held-out composed tasks of the trained rule types."""
    held_out: Natural = 30
    """Held-out composed tasks whose rules are all of the held-out types."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of your own tasks that is held out."""
    ifeval: Path | None = None
    """The official IFEval prompts (input_data.jsonl), to score on them too."""
    ifeval_tokens: Count = 320
    """Longest answer to an IFEval prompt."""
    ifeval_arms: tuple[str, ...] = ()
    """Which arms are scored on IFEval, which takes most of the time; none named: all."""


@settings
class InstructionSettings:
    """What all methods that teach instruction following have to be told."""

    model: str = "smollm2"
    """The model to improve."""
    tasks: Path | None = None
    """Your own prompts with their checks, in IFEval's form; composed ones where none are named."""
    compose: ComposeSettings = ComposeSettings()
    """How tasks are composed."""
    test: TestSettings = TestSettings()
    """What models are measured on."""
    seeds: Count = 1
    """Repetitions with other tasks, samples and orders."""


SMOKE = {
    "compose.types": ("change_case:english_lowercase", "punctuation:no_comma"),
    "compose.held_out_types": (),
    "test.tasks": 12,
    "test.held_out": 0,
}
"""Settings of a run that only shows that everything works."""

LARGE = {
    "compose.brief": False,
    "compose.rules": 3,
    "compose.types": SHORT_TYPES,
    "seeds": 3,
    "test.tasks": 500,
    "test.held_out": 200,
}
"""Settings for a GPU."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Held-out tasks of one kind.

    ``official`` suites are scored by their rules alone, so that the numbers compare with published ones.
    ``max_tokens`` is its longest answer, ``usual_tokens`` that of the tasks that are learned from.
    """

    name: str
    title: str
    tasks: list[Task]
    max_tokens: int
    usual_tokens: int
    official: bool = False

    @property
    def passing(self) -> str:
        """What ``Scored.passed`` measures."""
        return f"{self.title}: all rules followed{'' if self.official else ' in a proper answer'}"


_SETTINGS = {
    "own": "tasks",
    "composed": "test.tasks",
    "held-out-types": "test.held_out",
    "ifeval": "test.ifeval",
}
"""Which setting says what is in a suite."""


class Instructions:
    """The tasks of an experiment, composed or the user's own.

    Args:
        settings: what a method was told.
        max_tokens: longest answer.
    """

    def __init__(self, settings: InstructionSettings, max_tokens: int):
        self.compose, self.test, self.file = settings.compose, settings.test, settings.tasks
        self.max_tokens, self.model = max_tokens, settings.model

    def check(self, arms: Sequence[str]) -> None:
        """Look at all that the settings name.

        Args:
            arms: all of the run by name, from the model as it comes to the one that the method ends with.

        Raises:
            InputError: an unknown rule type, a single task to measure on, tasks that cannot be judged or that
                IFEval's prompts are among, arms to score on IFEval that are not of the run or do not hold its
                first and last, no such model.
            FileError: a file that cannot be read.
        """
        if not set(self.compose.types) - set(self.compose.held_out_types):
            expected = "fewer than all of the rule types"
            raise InputError("compose.held_out_types", self.compose.held_out_types, expected)
        for field in ("types", "held_out_types"):
            types = getattr(self.compose, field)
            try:
                if types:
                    Composer(types=types, rules=(1, 1))
            except InputError as error:
                raise InputError(f"compose.{field}", error.value, error.expected) from None
        self._check_ifeval(arms)
        for task in [task for suite in self.suites for task in suite.tasks]:
            bind(task)
        for suite in self.suites:
            if len({task.prompt for task in suite.tasks}) < 2:
                expected = "at least two prompts to measure on: one has no interval"
                raise InputError(_SETTINGS[suite.name], len(suite.tasks), expected)
        self._check_held_out()
        require_trainable(self.model)

    def train(self, seed: int, number: int) -> list[Task]:
        """``number`` tasks to learn from, drawn by ``seed``.

        Where own tasks run out they begin anew, under other names, so that they are answered anew as well.
        """
        if self.file is not None:
            own, _ = self._own
            order = [
                replace(own[i], id=f"{own[i].id} again {epoch}") if epoch else own[i]
                for epoch in range(-(-number // len(own)))
                for i in self._shuffled(seed, epoch, len(own))
            ]
            return order[:number]
        composer = Composer(
            "train",
            types=self.compose.types,
            exclude_types=self.compose.held_out_types,
            rules=(1, self.compose.rules),
            brief=self.compose.brief,
            seed=seed,
        )
        return composer.sample(number)

    @cached_property
    def suites(self) -> list[Suite]:
        """The held-out tasks, those on held-out rule types, and IFEval where its file is given."""
        compose, test, usual = self.compose, self.test, self.max_tokens
        if self.file is not None:
            suites = [Suite("own", "held-out tasks", self._own[1], usual, usual)]
        else:
            trained = [each for each in compose.types if each not in compose.held_out_types]
            composer = partial(
                Composer, "test", rules=(1, compose.rules), brief=compose.brief, seed=TEST_SEED
            )
            tasks = composer(types=trained).sample(test.tasks)
            suites = [Suite("composed", "held-out tasks", tasks, usual, usual)]
            if test.held_out and compose.held_out_types:
                tasks = composer(types=compose.held_out_types).sample(test.held_out)
                suites.append(Suite("held-out-types", "held-out rule types", tasks, usual, usual))
        if test.ifeval is not None:
            from biddable.tasks.ifeval import load_ifeval

            tasks = load_ifeval(test.ifeval)
            suites.append(Suite("ifeval", "IFEval", tasks, test.ifeval_tokens, usual, official=True))
        return suites

    def _check_ifeval(self, arms: Sequence[str]) -> None:
        named, ends = self.test.ifeval_arms, (arms[0], arms[-1])
        if self.test.ifeval is None:
            return
        for name in named:
            if name not in arms:
                known = ", ".join(arms)
                raise InputError("test.ifeval_arms", name, f"one of the models of this run: {known}")
        if named and not {*ends} <= {*named}:
            expected = f"{' and '.join(ends)} among them: IFEval compares the two"
            raise InputError("test.ifeval_arms", named, expected)

    def _check_held_out(self) -> None:
        """Refuse IFEval's prompts that the user's tasks would be learned from."""
        if self.file is None or self.test.ifeval is None:
            return
        learned = {task.prompt for task in self._own[0]}
        if shared := [task.id for task in self.suites[-1].tasks if task.prompt in learned]:
            value = f"{self.test.ifeval} (prompt {shared[0]} is among {self.file})"
            raise InputError("test.ifeval", value, "prompts of which none is learned from")

    @cached_property
    def _own(self) -> tuple[list[Task], list[Task]]:
        """The user's tasks: to learn from, and held out; two prompts at least, as one has no interval."""
        from biddable.tasks.data import read_tasks, split

        assert self.file is not None
        tasks = read_tasks(self.file)
        if unchecked := [task.id for task in tasks if not task.checks]:
            expected = "tasks with their checks: instruction_id_list and kwargs in every row"
            raise InputError("tasks", f"{self.file} (task {unchecked[0]} has none)", expected)
        for task in tasks:
            try:
                bind(task)
            except InputError as error:
                raise error.at(f"{self.file}, task {task.id}") from None
        prompts = [str(task.prompt) for task in tasks]
        if len({*prompts}) < 3:
            expected = "at least three different prompts: one to learn from, two held out"
            raise InputError("tasks", str(self.file), expected)
        learned, held = split(tasks, prompts, self.test.share, seed=0)
        if len({task.prompt for task in held}) < 2:
            learned, more = split(learned, [str(task.prompt) for task in learned], 1 / len(tasks), seed=0)
            held += more
        return learned, held

    @staticmethod
    def _shuffled(seed: int, epoch: int, n: int) -> list[int]:
        return np.random.default_rng([seed, epoch]).permutation(n).tolist()


@dataclass(frozen=True, slots=True)
class Scored:
    """One model's greedy answers to a suite; the verdicts hold the rules and that the text is an answer."""

    texts: list[str]
    verdicts: list[Verdict]
    official: IFEvalReport | None = None

    @property
    def passed(self) -> list[float]:
        """Per task: 1 where every rule was followed and, unless the suite is official, in a proper answer."""
        return self.strict if self.official else [float(bool(verdict.passed)) for verdict in self.verdicts]

    @property
    def strict(self) -> list[float]:
        """Per task: 1 where every rule was followed, whatever the text is otherwise (prompt, strict)."""
        return [float(all(met)) for met in self._rules()]

    @property
    def followed(self) -> list[float]:
        """Per task: the share of its rules that was followed, whatever the text is otherwise."""
        return [float(np.mean(met)) for met in self._rules()]

    @property
    def average(self) -> list[float]:
        """Per task: its part in the mean of IFEval's four accuracies; the mean over tasks is that mean."""
        assert self.official is not None
        # An accuracy over instructions gives a prompt with many of them more weight.
        share = self.official.n_prompts / self.official.n_instructions
        return [
            (all(each.strict) + all(each.loose) + share * (sum(each.strict) + sum(each.loose))) / 4
            for each in self.official.outcomes
        ]

    @property
    def degenerate(self) -> list[float]:
        """Per task: 1 where the text is no answer (see ``biddable.judges.degenerate``)."""
        return [
            float(any(check.id == NOT_DEGENERATE and not check.passed for check in verdict.checks))
            for verdict in self.verdicts
        ]

    def _rules(self) -> list[list[bool]]:
        return [
            [check.passed for check in verdict.checks if check.id != NOT_DEGENERATE]
            for verdict in self.verdicts
        ]


def scored(run: Run, name: str, weights: Weights, suite: Suite) -> Scored:
    """Greedy answers of a model to a suite, judged."""
    ask = Ask(LazyModel(weights), Sampling(max_tokens=suite.max_tokens, temperature=0))
    rows = answers(run, f"{name}-on-{suite.name}", ask, [task.prompt for task in suite.tasks])
    texts = [samples[0].text for samples in rows]
    verdicts = AnswerJudge()(suite.tasks, [Response(text) for text in texts])
    return Scored(texts, verdicts, _official(suite.tasks, texts) if suite.official else None)


def _official(tasks: Sequence[Task], texts: Sequence[str]) -> IFEvalReport:
    return ifeval(tasks, {last_turn(task.prompt): text for task, text in zip(tasks, texts, strict=True)})
