"""What a rule is: an id, the arguments it takes, a sentence that asks for it, and a function that checks it.

The 25 rules of the benchmark register themselves in :mod:`.rules`, their repaired variants in
:mod:`.repaired`; anyone may add rules of their own with :func:`register`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from biddable.errors import InputError


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a check; ``reason`` is a sentence that says what was found and what was asked."""

    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Arg:
    """What values an argument may have (``expected`` says it in words), and how a description shows them.

    ``read`` gives the value that is meant where it is written otherwise (5.0 for 5), before it is looked at.
    """

    accepts: Callable[[Any], bool]
    expected: str
    show: Callable[[Any], object] = lambda value: value
    read: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True, slots=True)
class Rule:
    """One verifiable instruction.

    ``description`` is a format string over the arguments. ``check`` is called with the text and the arguments
    by name. ``at_most`` maps an argument to one that it must not exceed. ``needs`` says what is missing here,
    without which the rule cannot be decided; it is empty where nothing is.
    """

    id: str
    description: str
    check: Callable[..., Finding]
    args: Mapping[str, Arg] = field(default_factory=dict)
    at_most: Mapping[str, str] = field(default_factory=dict)
    needs: Callable[[], str] = str


RULES: dict[str, Rule] = {}
REPAIRED: dict[str, Rule] = {}


def register(rule: Rule) -> None:
    """Add a rule.

    Raises:
        InputError: the id is taken, or is not ``group:name``.
    """
    if rule.id in RULES:
        raise InputError("rule.id", rule.id, "an id that is not taken")
    if not all(rule.id.partition(":")):
        raise InputError("rule.id", rule.id, 'an id like "group:name"')
    RULES[rule.id] = rule


def find_rule(id: str, *, fixed: bool = False, field: str = "instruction_id") -> Rule:
    """The rule of that id, or its repaired variant where ``fixed`` is asked for and there is one.

    Raises:
        InputError: there is no such rule; the message names the nearest ones.
    """
    if id not in RULES:
        near = difflib.get_close_matches(str(id).lower(), RULES, n=2, cutoff=0.4) or sorted(RULES)
        raise InputError(field, id, "a known instruction id, such as " + " or ".join(near[:2]))
    return REPAIRED.get(id, RULES[id]) if fixed else RULES[id]


class _Missing:
    def __repr__(self) -> str:
        return "missing"


def validate(
    id: str, kwargs: Mapping[str, Any], *, fixed: bool = False, field: str = "kwargs"
) -> dict[str, Any]:
    """Check that ``kwargs`` are exactly what the rule takes, and give them as its check takes them.

    An unexpected argument that is None is left out: copies of the benchmark name all arguments everywhere.

    Raises:
        InputError: an unknown id, or an unexpected, missing, null or ill-formed argument, which is named
            ``field.name``.
    """
    rule = find_rule(id, fixed=fixed)
    for name, value in kwargs.items():
        if name not in rule.args and value is not None:
            takes = ", ".join(rule.args) or "no arguments"
            raise InputError(f"{field}.{name}", value, f"no such argument: {id} takes {takes}")
    found: dict[str, Any] = {}
    for name, arg in rule.args.items():
        value = kwargs.get(name, _Missing())
        found[name] = arg.read(value)
        if not arg.accepts(found[name]):
            raise InputError(f"{field}.{name}", value, arg.expected)
    for small, large in rule.at_most.items():
        if found[small] > found[large]:
            raise InputError(f"{field}.{small}", found[small], f"at most {large}, which is {found[large]}")
    return found


def describe(id: str, kwargs: Mapping[str, Any]) -> str:
    """The sentence that asks for this instruction.

    Raises:
        InputError: as for :func:`validate`.
    """
    found = validate(id, kwargs)
    rule = RULES[id]
    return rule.description.format(**{name: rule.args[name].show(value) for name, value in found.items()})
