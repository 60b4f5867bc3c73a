"""What a method is, how its configuration is read, and how it is run.

A method is one class: ``about`` says what the paper claims, ``Config`` holds every setting (a settings
class of ``biddable.config``, which may hold others), ``presets`` are settings for other budgets, and
``run`` does it all inside a run folder and ends in comparisons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from biddable import config as configs
from biddable import registry
from biddable.errors import InputError, MissingDependency
from biddable.judges.load import judge_identity
from biddable.models.load import model_identity
from biddable.runs.executors import Executor, in_process, named_executor
from biddable.runs.figures import Figure, save_figures
from biddable.runs.files import content_digest
from biddable.runs.folder import is_run
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import HUB, digest


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
    takes: str = ""
    """What of the user's own it works on: a model, data in which form."""
    leaves: str = ""
    """What it leaves to use: a model, an adapter, a data set, a prompt, a judge, a policy."""
    family: str = ""
    """What kind of method it is; empty: the name of its folder under ``biddable.methods``."""


class Method(ABC):
    """Base class of all methods.

    Attributes:
        config: its settings.
        given: those of them that were asked for, beside a preset's, by dotted name; see ``prepare``.
    """

    about: ClassVar[About]
    Config: ClassVar[type]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by preset, inner ones by dotted name; ``default`` is the configuration's own defaults."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What of the extra ``envs`` must be installed."""
    only: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Settings, or groups of them, that have an effect only beside others, by when they have it: ``data`` (it
    is named), ``no data``, ``search=ucb`` (it is that, or has it), ``starts<2`` (fewer of them), ``data or
    env``. Otherwise nobody may give them, but as none, false, 0 or empty, which ask for nothing; what a
    preset sets may have no effect."""

    def __init__(self, config: Any):
        self.config = config
        self.given: Mapping[str, Any] = {}

    def check(self) -> None:  # noqa: B027  (most have nothing to look at)
        """Raise InputError for settings that name what there is not; called before anything is written."""

    @classmethod
    def family(cls) -> str:
        """What kind of method it is: improve, feedback, data, measure, act …"""
        folder = cls.__module__.partition("biddable.methods.")[2].partition(".")[0]
        return cls.about.family or folder or "other"

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
            spec = find_spec(name)
        except ModuleNotFoundError:
            spec = None
        if spec is None:
            raise MissingDependency(name, 'pip install "biddable[envs]"')


def configure(method: type[Method], preset: str = "default", options: Mapping[str, Any] | None = None) -> Any:
    """The configuration of a preset with ``options`` on top, by dotted name or nested.

    Raises:
        InputError: an unknown preset or option, or a value that its field does not take.
    """
    known = {"default": {}, **method.presets}
    if preset not in known:
        raise InputError("preset", preset, "one of " + ", ".join(known))
    return configs.configure(method.Config, configs.merged(method.Config, known[preset], options or {}))


def prepare(
    method: type[Method], preset: str = "default", options: Mapping[str, Any] | None = None
) -> Method:
    """A method with its configuration (see ``configure``), before anything that it names is looked at.

    Raises:
        InputError: as ``configure``, or an option that has no effect beside the other settings (``only``).
        MissingDependency: a package that it needs.
    """
    made = method(configure(method, preset, options))
    require_packages(method)
    made.given = given = configs.flattened(options or {})
    for when, names in method.only.items():
        if any(_holds(made.config, each) for each in when.split(" or ")):
            continue
        for name, value in given.items():
            if value and any(name == each or name.startswith(f"{each}.") for each in names):
                raise InputError(name, value, f"nothing: it has an effect only {condition_told(when)}")
    return made


def condition_told(when: str) -> str:
    """A condition of ``Method.only`` in words: ``with --data or with --env``."""
    return " or ".join(_said(each) for each in when.split(" or "))


def _holds(config: Any, condition: str) -> bool:
    """Whether a condition of ``Method.only``, without ``or``, is met."""
    name, sign, wanted = _taken_apart(condition)
    value = reduce(getattr, name.removeprefix("no ").split("."), config)
    if sign == "<":
        return len(value) < int(wanted)
    if sign == "=":
        return wanted in map(str, value if isinstance(value, tuple) else (value,))
    return not value if name.startswith("no ") else bool(value)


def _said(condition: str) -> str:
    """The same in words: ``with --data``."""
    name, sign, wanted = _taken_apart(condition)
    flag = f"--{name.removeprefix('no ').replace('_', '-')}"
    if sign == "<":
        return f"with fewer than {wanted} {flag}"
    return f"{'without' if name.startswith('no ') else 'with'} {flag} {wanted}".rstrip()


def _taken_apart(condition: str) -> tuple[str, str, str]:
    """A setting's name, perhaps after ``no``, what stands between it and a value, and the value."""
    name, sign, value = condition.partition("<" if "<" in condition else "=")
    return name, sign, value


def run(
    name: str,
    *,
    out: str | Path | None = None,
    preset: str = "default",
    seed: int = 0,
    executor: str | Executor = in_process,
    **options: Any,
) -> Results:
    """Run a method; the same folder again goes on where it was.

    Args:
        name: the method's name (``biddable methods`` lists them).
        out: the run folder (default ``runs/NAME``).
        preset: ``default``, or one of the method's own, such as ``smoke``, ``full`` and ``gpu``.
        seed: what every random draw is derived from.
        executor: where mapped stages are computed: ``in-process``, ``processes:4``, ``ray``, or what
            ``biddable.runs.executors`` makes.
        options: fields of the method's configuration; inner ones as ``**{"dpo.lr": 1e-4}`` or as
            ``dpo={"lr": 1e-4}``.

    Returns:
        what is also in ``results.json``; ``biddable report FOLDER`` makes a page of it.
    """
    made = prepare(registry.find("methods", name), preset, options)
    made.check()
    settings = {"preset": preset, **_by_content(asdict(made.config)), **_weights(made.config)}
    where = named_executor(executor) if isinstance(executor, str) else executor
    with Run.open(out or Path("runs") / name, name, settings, seed, executor=where) as opened:
        return made.run(opened)


def _by_content(value: Any) -> Any:
    """Settings with a digest in the place of each file or folder that is there, or data set of the hub.

    So a changed file is another run, and a moved one is not.
    """
    if isinstance(value, dict):
        return {name: _by_content(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_by_content(part) for part in value]
    if isinstance(value, Path) and str(value).startswith(HUB):
        return digest(value)
    if isinstance(value, Path) and (value.is_file() or value.is_dir()):
        return content_digest(value / "artifacts" if is_run(value) else value)  # its logs do not count
    return value


def _weights(config: Any) -> dict[str, dict[str, str]]:
    """Digests of the local weights that settings name, so that a run does not go on with others.

    A setting that names a model is called ``model``, ``base``, ``tuned``, ``generator``, ``teacher``,
    ``student`` or ``detector``, or its name ends in ``_model``; so with ``judge``, and with ``models``,
    ``starts`` or ``voters`` for several.
    """
    digests = {name: (value, identity(value)) for name, value, identity in _weighty(config)}
    local = {name: digest for name, (value, digest) in digests.items() if digest != value}
    return {"weights": local} if local else {}


_NAMES_A_MODEL = ("model", "base", "tuned", "generator", "teacher", "student", "detector")


def _weighty(config: Any) -> Iterator[tuple[str, str, Callable[[str], str]]]:
    """The name and value of each setting that may name weights, and what tells those from others."""
    for name, value in ((each.name, each.default) for each in configs.walk(type(config), config)):
        kind = name.rpartition(".")[2].rpartition("_")[2]
        if kind in ("models", "starts", "voters") and isinstance(value, tuple | list):
            names = [str(part).partition("?")[0] if kind == "voters" else str(part) for part in value]
            yield from ((f"{name}[{at}]", part, model_identity) for at, part in enumerate(names))
        elif value and kind in (*_NAMES_A_MODEL, "judge"):
            yield name, str(value), judge_identity if kind == "judge" else model_identity


def show(run: Run, figures: list[Figure]) -> None:
    """Leave ``figures`` for the report."""
    save_figures(run.folder / "figures.json", figures)
