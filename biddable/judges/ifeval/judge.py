"""Judging responses by the rules their tasks name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from biddable.errors import InputError
from biddable.judges.ifeval.rule import Finding, Rule, find_rule, validate
from biddable.judges.ifeval.text import Text
from biddable.types import CheckResult, Response, Task, Verdict

Bound = Callable[[Text], Finding]
"""A rule with its arguments."""

_EMPTY = Finding(False, "The response is empty.")


def check(id: str, kwargs: Mapping[str, Any], response: str, *, fixed: bool = False) -> bool:
    """Whether a response obeys one instruction. An empty or blank response obeys none.

    Raises:
        InputError: an unknown id, wrong arguments, a response that is not a string, or a rule that cannot be
            decided for want of what it needs.
    """
    arguments = validate(id, kwargs, fixed=fixed)
    text = as_text(response, "response")
    rule = _decidable(find_rule(id, fixed=fixed), "instruction_id")
    return strict_finding(functools.partial(rule.check, **arguments), text).passed


def as_text(response: Any, field: str) -> Text:
    """The response, ready for the rules."""
    if not isinstance(response, str):
        raise InputError(field, response, "a string")
    return Text(response)


def bind(task: Task, *, fixed: bool = False) -> list[Bound]:
    """The checks of a task, ready to be called.

    Where all checks were given the same arguments, as one object for the whole task, each takes its own.

    Raises:
        InputError: the task has no checks, one that is ill-formed (named ``kwargs[i].argument``), or one that
            cannot be decided here.
    """
    if not task.checks:
        raise InputError("checks", task.checks, "at least one check", where=f"task {task.id}")
    try:
        rules = _rules(task, fixed)
        bound: list[Bound] = []
        for index, (rule, given) in enumerate(zip(rules, _given(task, rules), strict=True)):
            arguments = validate(rule.id, given, fixed=fixed, field=f"kwargs[{index}]")
            _decidable(rule, f"instruction_id_list[{index}]")
            bound.append(functools.partial(rule.check, **arguments))
    except InputError as error:
        raise error.at(f"task {task.id}") from None
    return bound


def undecided(task: Task, *, fixed: bool = False) -> str:
    """Why a task cannot be judged by its rules here: what one of them needs and is not there; else empty.

    Raises:
        InputError: a check that no rule knows.
    """
    for rule in _rules(task, fixed):
        if missing := rule.needs():
            return f"{rule.id} needs {missing}"
    return ""


def _rules(task: Task, fixed: bool) -> list[Rule]:
    return [
        find_rule(asked.id, fixed=fixed, field=f"instruction_id_list[{index}]")
        for index, asked in enumerate(task.checks)
    ]


def _decidable(rule: Rule, field: str) -> Rule:
    """The rule. Raises InputError: what it needs is not there."""
    if missing := rule.needs():
        raise InputError(field, rule.id, missing)
    return rule


def _given(task: Task, rules: Sequence[Rule]) -> list[Mapping[str, Any]]:
    """What each rule is given: not what another rule of the task takes, where all are given the same."""
    given = [check.args for check in task.checks]
    if len(given) == 1 or any(args != given[0] for args in given):
        return list(given)
    taken = {name for rule in rules for name in rule.args}
    return [
        {name: value for name, value in args.items() if name in rule.args or name not in taken}
        for args, rule in zip(given, rules, strict=True)
    ]


def strict_finding(bound: Bound, text: Text) -> Finding:
    """What the rule says of the response as it stands."""
    return bound(text) if text.stripped else _EMPTY


def loose_finding(bound: Bound, text: Text, strict: Finding) -> Finding:
    """The strict finding if it passes, else that of the first other form that does, else the strict one."""
    if strict.passed:
        return strict
    return next((finding for form in text.trimmed if (finding := bound(form)).passed), strict)


@dataclass(frozen=True, slots=True)
class RuleJudge:
    """Scores a response by the fraction of its task's checks that it passes; it passes if all do.

    Args:
        strict: judge the response as it stands; otherwise a check also passes on any loose variant of it.
        fixed: use the repaired variants of the rules. Published scores do not.
    """

    strict: bool = True
    fixed: bool = False

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """One verdict for each pair, in order; ``seeds`` change nothing.

        Raises:
            InputError: not one response per task, a task without checks, or ill-formed checks.
        """
        if len(tasks) != len(responses):
            raise InputError("responses", len(responses), f"as many as there are tasks ({len(tasks)})")
        return [self._verdict(task, response) for task, response in zip(tasks, responses, strict=True)]

    def _verdict(self, task: Task, response: Response) -> Verdict:
        text = as_text(response.text, f"response to task {task.id}")
        bound = bind(task, fixed=self.fixed)
        findings = [strict_finding(check, text) for check in bound]
        if not self.strict:
            findings = [loose_finding(check, text, each) for check, each in zip(bound, findings, strict=True)]
        results = tuple(
            CheckResult(asked.id, finding.passed, finding.reason)
            for asked, finding in zip(task.checks, findings, strict=True)
        )
        failed = [result.reason for result in results if not result.passed]
        followed = len(results) - len(failed)
        critique = " ".join([f"Followed {followed} of {len(results)} instructions.", *failed])
        return Verdict(followed / len(results), not failed, critique, results)
