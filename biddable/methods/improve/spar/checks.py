"""Whether what SPaR's settings name is there; looked at before anything is written."""

from __future__ import annotations

from pathlib import Path

from biddable.errors import FileError, InputError
from biddable.judges.ifeval.judge import bind
from biddable.methods.improve.spar.config import SparConfig
from biddable.models.load import require_trainable
from biddable.tasks.compose import Composer

EVERY_ITERATION = ("self-rewarding", "meta-rewarding")
"""The arms that train an actor in every iteration, as SPaR itself does."""


def check_settings(config: SparConfig) -> None:
    """Look at all of them.

    Raises:
        InputError: an unknown rule type; a file of IFEval that cannot be read or judged; arms to score on it
            that the run does not train, or without the two it is there to compare; no such model.
    """
    _require_types("types", config.types)
    _require_types("held_out_types", config.held_out_types)
    _require_ifeval_arms(config)
    if config.ifeval is not None:
        _require_ifeval(config.ifeval)
    require_trainable(config.model)


def scored_models(config: SparConfig) -> list[str]:
    """All models of a run by their names in its tables: the untrained one, those of the arms, its own."""
    iterations = range(1, config.iterations + 1)
    names = ["base"]
    for arm in config.arms:
        if arm in EVERY_ITERATION:
            names += [f"{arm}-{i}" for i in iterations]
        else:
            names += [arm, "refined"] if arm == "independent" else [arm]
    return [*names, *(f"spar-{i}" for i in iterations)]


def _require_types(field: str, types: tuple[str, ...]) -> None:
    try:
        if types:  # that some are left to train on, the configuration has seen to
            Composer(types=types, rules=(1, 1))
    except InputError as error:
        raise InputError(field, error.value, error.expected) from None


def _require_ifeval_arms(config: SparConfig) -> None:
    models, last = scored_models(config), f"spar-{config.iterations}"
    known = {*models, *SparConfig.ifeval_arms}  # the default names more than most runs train
    for name in config.ifeval_arms:
        if name not in known:
            raise InputError("ifeval_arms", name, "one of the models of this run: " + ", ".join(models))
    if config.ifeval is not None and not {"base", last} <= {*config.ifeval_arms}:
        expected = f"base and {last} among them: IFEval compares the two"
        raise InputError("ifeval_arms", config.ifeval_arms, expected)


def _require_ifeval(path: Path) -> None:
    from biddable.tasks.ifeval import load_ifeval

    try:
        tasks = load_ifeval(path)
    except FileError as error:
        raise InputError("ifeval", str(path), f"IFEval's input_data.jsonl ({error})") from None
    for task in tasks:
        bind(task)
