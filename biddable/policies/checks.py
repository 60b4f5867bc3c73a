"""What the learners' settings have in common: bounds on their numbers."""

from __future__ import annotations

from biddable.errors import InputError


def at_least_one(config: object, *names: str) -> None:
    """Raise InputError, naming the field, unless these are integers of at least 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise InputError(name, getattr(config, name), "an integer of at least 1")


def shares(config: object, *names: str) -> None:
    """Raise InputError, naming the field, unless these are numbers from 0 to 1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise InputError(name, getattr(config, name), "a number from 0 to 1")


def above_zero(config: object, *names: str) -> None:
    """Raise InputError, naming the field, unless these are numbers above 0."""
    for name in names:
        if not getattr(config, name) > 0:
            raise InputError(name, getattr(config, name), "a number above 0")
