"""How a served model is asked, as options of the commands that ask one."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from biddable.errors import InputError

_FIELDS = {"timeout": "timeout_s", "retries": "retries", "concurrency": "concurrency", "no_cache": "cache"}

_OPTIONS = (
    click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="Longest time for one answer of a served model.  [default: 60]",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0),
        metavar="N",
        help="Further attempts where a served model fails.  [default: 5]",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(1),
        metavar="N",
        help="Requests to a served model at a time.  [default: 8]",
    ),
    click.option(
        "--no-cache", is_flag=True, help="Neither use nor keep answers of a served model in the cache."
    ),
)


def served_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of served models to a command, which takes them as ``served``.

    ``served`` is what ``load_model`` takes: ``ServedOptions``, or None where no option is given.
    """

    @functools.wraps(command)
    def with_served(*args: Any, **values: Any) -> Any:
        # By identity: 0 retries are given, and equal False.
        asked = {name: values.pop(name) for name in _FIELDS}
        given = {name: value for name, value in asked.items() if value is not None and value is not False}
        with _failures_left_to_the_command():
            models = ",".join(values["models"]) if "models" in values else values["model"]
            return command(*args, **values, served=_served(models, given) if given else None)

    for option in reversed(_OPTIONS):
        with_served = option(with_served)
    return with_served


@contextmanager
def _failures_left_to_the_command() -> Iterator[None]:
    """Within this, answers that could not be had are not logged: the command says which they are."""
    log = logging.getLogger("biddable.models.openai.unanswered")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _served(models: str, given: dict[str, Any]) -> Any:
    """How served models are asked; at least one of ``models``, separated by commas, must be served."""
    from biddable.models.openai import ServedOptions

    if not any(model.strip().startswith("openai:") for model in models.split(",")):
        name, value = next(iter(given.items()))
        flag = "--" + name.replace("_", "-")
        raise InputError(flag, value, f"nothing: {models} is not served (openai:NAME@URL)")
    return ServedOptions(**{_FIELDS[name]: name != "no_cache" and value for name, value in given.items()})
