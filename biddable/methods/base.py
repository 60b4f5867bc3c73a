"""What a method is, how its configuration is read, and how it is run.

A method is one class: ``about`` says what the paper claims, ``Config`` holds every setting (a frozen
pydantic dataclass whose attribute docstrings are the command line's help), ``presets`` are settings
for other budgets, and ``run`` does it all inside a run folder and ends in comparisons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, ValidationError

from biddable import registry
from biddable.errors import InputError, MissingDependency
from biddable.models.load import model_identity
from biddable.runs.figures import Figure, save_figures
from biddable.runs.results import Results
from biddable.runs.run import Run

CONFIG = ConfigDict(use_attribute_docstrings=True, extra="forbid")
"""For ``@dataclass(frozen=True, kw_only=True, config=CONFIG)`` on a method's configuration."""


@dataclass(frozen=True, slots=True)
class About:
    """What a reader wants to know before running a method."""

    title: str
    citation: str
    claim: str
    needs: str
    """What must be there: a model, a browser, a simulator."""
    minutes: Mapping[str, str]
    """How long each preset takes, and where that was measured."""


class Method(ABC):
    """Base class of all methods."""

    about: ClassVar[About]
    Config: ClassVar[type]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by preset; ``default`` is the configuration's own defaults."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What of the extra ``envs`` must be installed."""

    def __init__(self, config: Any):
        self.config = config

    def check(self) -> None:  # noqa: B027  (most have nothing to look at)
        """Raise InputError for settings that name what there is not; called before anything is written."""

    @abstractmethod
    def run(self, run: Run) -> Results:
        """Do it, inside the run folder, and write ``results.json``."""


def require_packages(method: type[Method]) -> None:
    """Stop with one line unless the packages that a method needs are installed.

    Raises:
        MissingDependency: one is missing; the message says what to type.
    """
    for name in method.packages:
        try:
            found = find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise MissingDependency(name, 'pip install "biddable[envs]"')


def configure(method: type[Method], preset: str = "default", options: Mapping[str, Any] | None = None) -> Any:
    """The configuration of a preset with ``options`` on top.

    Raises:
        InputError: an unknown preset or option, or a value that its field does not take.
    """
    known = {"default": {}, **method.presets}
    if preset not in known:
        raise InputError("preset", preset, "one of " + ", ".join(known))
    values = {**known[preset], **(options or {})}
    try:
        return method.Config(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "options"
        expected = _expectation(first["type"], first["msg"], [one.name for one in fields(method.Config)])
        raise InputError(field, first["input"], expected) from None


def _expectation(kind: str, message: str, known: list[str]) -> str:
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return "one of the settings " + ", ".join(known)
    return message.removeprefix("Input should be ").removeprefix("Value error, ")


def run(
    name: str, *, out: str | Path | None = None, preset: str = "default", seed: int = 0, **options: Any
) -> Results:
    """Run a method; the same folder again goes on where it was.

    Args:
        name: the method's name (``biddable methods`` lists them).
        out: the run folder (default ``runs/NAME``).
        preset: ``default``, or one of the method's own, such as ``smoke``, ``full`` and ``gpu``.
        seed: what every random draw is derived from.
        options: fields of the method's configuration.

    Returns:
        what is also in ``results.json``; ``biddable report FOLDER`` makes a page of it.
    """
    method = registry.find("methods", name)
    config = configure(method, preset, options)
    require_packages(method)
    made = method(config)
    made.check()
    settings = {"preset": preset, **asdict(config), **_weights(config)}
    with Run.open(out or Path("runs") / name, name, settings, seed) as opened:
        return made.run(opened)


def _weights(config: Any) -> dict[str, dict[str, str]]:
    """Digests of the local weights that settings name, so that a run does not go on with others.

    A setting that names a model is called ``model``, or its name ends in ``_model``.
    """
    named = [one.name for one in fields(config) if one.name == "model" or one.name.endswith("_model")]
    values = {name: str(getattr(config, name) or "") for name in named}
    digests = {name: model_identity(value) for name, value in values.items() if value}
    local = {name: digest for name, digest in digests.items() if digest != values[name]}
    return {"weights": local} if local else {}


def show(run: Run, figures: list[Figure]) -> None:
    """Leave ``figures`` for the report."""
    save_figures(run.folder / "figures.json", figures)
