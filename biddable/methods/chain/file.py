"""A chain as its TOML file describes it, and the order in which its steps are computed.

::

    seeds = [0, 1, 2]
    compare = { baseline = "random", method = "selected", predicted = "higher" }

    [steps.answers]
    generate = "smollm2"
    prompts = "tasks.jsonl"

    [arms.random.steps.choose]
    select = "{answers}"
    rows = 60

``{NAME}`` in a text is the run folder of the step of that name, ``{{NAME}}`` is the text ``{NAME}``. What the
file says is read, looked up and compared; nothing of it is executed.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.config import configure, fields_of
from biddable.errors import BiddableError, FileError, InputError
from biddable.methods.chain.settings import ChainSettings, CompareSettings
from biddable.runs.files import read_toml

KINDS = ("run", "train", "generate", "select", "eval", "data")
"""What a step may be: its table holds one of these names. The first counts, the others are its options."""
LISTS = ("eval", "data")
"""Those that may be of several: models, sources."""
DRAWING = ("run", "train", "generate", "select", "data")
"""Those that depend on the seed."""
RESERVED = ("artifacts", "stages", "checkpoints", "plots", "exports")
"""Folders of every run."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_REFERENCE = re.compile(r"\{\{([a-z0-9_-]+)\}\}|\{([a-z0-9_-]+)\}")


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it is written.

    Attributes:
        field: where, as ``steps.sft``.
        name: what others call it.
        kind: one of ``KINDS``, and ``what`` its value: the method, the objective, the model.
        options: those of the command; names with underscores.
    """

    field: str
    name: str
    kind: str
    what: Any
    options: Mapping[str, Any]

    @property
    def needs(self) -> list[str]:
        """The names of the steps that it refers to."""
        return references([self.what, self.options])

    @property
    def says(self) -> str:
        """The step in a few words."""
        what = ", ".join(map(str, self.what)) if isinstance(self.what, list) else self.what
        return f"{self.kind} {what}" + (f" {self.options.get('model', '')}" if self.kind == "train" else "")


@dataclass(frozen=True, slots=True)
class Node:
    """A step of one arm and seed, or of several for which it is the same.

    Attributes:
        place: what it is called in its chain, as ``seed0/selected/sft``.
        folder: its run folder. All evaluations of one name share theirs.
        inputs: the places of the steps that it refers to, by their names.
        seed: of its draws.
    """

    place: str
    folder: str
    step: Step
    inputs: Mapping[str, str]
    seed: int


@dataclass(frozen=True, slots=True)
class Chain:
    """What a file describes.

    Attributes:
        file, out: its name, and the folder of the chain.
        settings: all but the steps.
        nodes: what is to be computed, by place, each after what it needs.
        chains: for each arm and seed the places of its steps by name; the arm is "" where there are none.
    """

    file: str
    out: str
    settings: ChainSettings
    nodes: Mapping[str, Node]
    chains: Mapping[tuple[str, int], Mapping[str, str]]

    @property
    def arms(self) -> list[str]:
        """The arms, in their order; [""] where there are none."""
        return list(dict.fromkeys(arm for arm, _ in self.chains))

    @property
    def seeds(self) -> list[int]:
        """The seeds, in their order."""
        return list(dict.fromkeys(seed for _, seed in self.chains))


def read_chain(path: str | Path, out: str | None = None) -> Chain:
    """Read a chain; nothing is looked up yet but its names.

    Args:
        path: the TOML file.
        out: the chain's folder, in place of the file's own.

    Raises:
        FileError: it cannot be read or is not TOML.
        InputError: a name, a step or a reference (named) is not as it must be.
    """
    file, table = str(path), read_toml(path)
    try:
        shared = _tables("steps", table.pop("steps", {}))
        arms = {
            name: _arm(f"arms.{name}", arm) for name, arm in _tables("arms", table.pop("arms", {})).items()
        }
        settings = _settings(table)
        taken = [*shared, *(name for arm in arms.values() for name in arm)]
        for name in arms:
            _check_name(f"arms.{name}", name, taken)
        if not shared and not any(arms.values()):
            raise InputError("steps", shared, "at least one step, as [steps.NAME]")
        folder = out or settings.out or str(Path("runs", Path(path).stem))
        variants = {arm: _steps(shared, arm, changes) for arm, changes in (arms or {"": {}}).items()}
        _check_compared(settings.compare, list(arms), _models(variants.get("", {}).values()))
        if settings.budget.equal and len(arms) < 2:
            raise InputError("budget.equal", settings.budget.equal, "two arms or more, which are to be equal")
        nodes, chains = _plan(folder, settings, shared, variants)
        return Chain(file, folder, settings, nodes, chains)
    except InputError as error:
        raise error.at(file) from None


def references(value: Any) -> list[str]:
    """The names of the steps that texts within a value refer to, each once."""
    if isinstance(value, str):
        return [match[2] for match in _REFERENCE.finditer(value) if match[2]]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return list(dict.fromkeys(name for part in inner for name in references(part)))


def resolved(value: Any, folders: Mapping[str, str]) -> Any:
    """The value with folders in the place of the steps that it refers to."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda each: f"{{{each[1]}}}" if each[1] else folders[each[2]], value)
    if isinstance(value, Mapping):
        return {name: resolved(part, folders) for name, part in value.items()}
    return [resolved(part, folders) for part in value] if isinstance(value, list) else value


def nearest(name: str, known: Sequence[str]) -> str:
    """What may have been meant, or all there is."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"{' or '.join(near)}?" if near else f"one of {', '.join(known)}"


def at_step(chain_file: str, step: Step, error: BiddableError) -> BiddableError:
    """An error of a step's options, with the file and the field."""
    if isinstance(error, InputError) and not error.where:
        return InputError(f"{step.field}.{error.field}", error.value, error.expected, where=chain_file)
    return FileError(chain_file, f"{step.field}: {error}")


def _settings(table: Mapping[str, Any]) -> ChainSettings:
    known = ("steps", "arms", *fields_of(ChainSettings))
    for name, value in table.items():
        if name not in known:
            raise InputError(name, value, nearest(name, known))
    made = configure(ChainSettings, table)
    if "seeds" in table and ("seed" in table or not made.seeds or len({*made.seeds}) < len(made.seeds)):
        raise InputError("seeds", table["seeds"], "each seed once, at least one, and no seed beside them")
    if made.out is not None and not made.out.strip():
        raise InputError("out", made.out, "the name of a folder")
    if made.compare.predicted == "equal" and not made.compare.margin:
        raise InputError("compare.margin", made.compare.margin, "a number above 0 where equal is predicted")
    if made.compare.margin and made.compare.predicted != "equal":
        raise InputError("compare.margin", made.compare.margin, 'compare.predicted = "equal" beside it')
    if made.compare.predicted and not made.compare.method:
        raise InputError("compare.predicted", made.compare.predicted, "compare.method beside it: of whom?")
    return made


def _tables(field: str, value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise InputError(field, value, f"tables, as [{field}.NAME]")
    for name, table in value.items():
        if not isinstance(table, dict):
            raise InputError(f"{field}.{name}", table, "a table")
        _check_name(f"{field}.{name}", name)
    return value


def _arm(field: str, arm: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    for name, value in arm.items():
        if name != "steps":
            raise InputError(f"{field}.{name}", value, f"steps alone, as [{field}.steps.NAME]")
    return _tables(f"{field}.steps", arm.get("steps", {}))


def _check_name(field: str, name: str, taken: Sequence[str] = ()) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(field, name, "a name of up to 60 of a-z, 0-9, '_' and '-'")
    if name in RESERVED or re.fullmatch(r"seed\d+", name):
        raise InputError(field, name, "another name: folders of a chain have this one")
    if name in taken:
        raise InputError(field, name, "a name that no step has")


def _steps(
    shared: Mapping[str, Mapping[str, Any]], arm: str, changes: Mapping[str, Mapping[str, Any]]
) -> dict[str, Step]:
    """The steps of an arm: the shared ones, with its own over them.

    A table of the arm that names no kind changes options of the shared step of that name; ``data`` is an
    option of most.
    """
    steps = {name: _step(f"steps.{name}", name, table) for name, table in shared.items()}
    for name, table in changes.items():
        field = f"arms.{arm}.steps.{name}"
        kind = _kind(table)
        if name in shared and (kind is None or (kind == "data" and _kind(shared[name]) != kind)):
            table = _over(_underscored(f"steps.{name}", shared[name]), _underscored(field, table))
        steps[name] = _step(field, name, table)
    for step in steps.values():
        for needed in step.needs:
            if needed not in steps:
                expected = f"a step: {nearest(needed, [*steps])} ({{{{{needed}}}}} is the text itself)"
                raise InputError(step.field, f"{{{needed}}}", expected)
    return steps


def _step(field: str, name: str, table: Mapping[str, Any]) -> Step:
    kind = _kind(table)
    if kind is None:
        wrong = next((each for each in KINDS if each in table), None)
        if wrong:
            raise InputError(f"{field}.{wrong}", table[wrong], "a text")
        near = [(each, key) for each in table for key in difflib.get_close_matches(each, KINDS, 1, 0.75)]
        meant = f" ({near[0][0]}: {near[0][1]}?)" if near else ""
        raise InputError(field, [*table], f"what the step is: one of {', '.join(KINDS)}{meant}")
    options = {key: value for key, value in _underscored(field, table).items() if key != kind}
    return Step(field, name, kind, table[kind], options)


def _kind(table: Mapping[str, Any]) -> str | None:
    for kind in KINDS:
        if isinstance(table.get(kind), str) or (kind in LISTS and isinstance(table.get(kind), list)):
            return kind
    return None


def _underscored(field: str, value: Any) -> Any:
    """Options as Python names them: ``max-tokens`` is ``max_tokens``."""
    if not isinstance(value, Mapping):
        return value
    named: dict[str, Any] = {}
    for written, part in value.items():
        name = written.replace("-", "_")
        if name in named:
            raise InputError(f"{field}.{written}", part, f"one value: {name} is given as well")
        named[name] = _underscored(f"{field}.{written}", part)
    return named


def _over(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: _over(table[name], changes[name])
        for name in table
        if isinstance(table[name], Mapping) and isinstance(changes.get(name), Mapping)
    }
    return {**table, **changes, **both}


def _models(steps: Iterable[Step]) -> dict[str, str]:
    """What the models that ``eval`` steps measure are called, by how the file has them: ``{sft}`` is sft."""
    several = (
        step.what if isinstance(step.what, list) else [step.what] for step in steps if step.kind == "eval"
    )
    return {str(model): str(model).strip("{}") for models in several for model in models}


def _check_compared(compare: CompareSettings, arms: Sequence[str], models: Mapping[str, str]) -> None:
    """What is compared must be arms, or without arms models that are measured (see ``_models``)."""
    if len(arms) == 1 and compare.method is not None:
        raise InputError("compare.method", compare.method, "a second arm, which it is compared with")
    for field in ("baseline", "method"):
        name = getattr(compare, field)
        if name is None:
            continue
        if arms and name not in arms:
            raise InputError(f"compare.{field}", name, f"an arm: {nearest(name, arms)}")
        if not arms and name not in {*models, *models.values()}:
            known = [*models.values()]
            expected = (
                f"a model of an eval step: {nearest(name, known)}" if known else "arms, or an eval step"
            )
            raise InputError(f"compare.{field}", name, expected)
    baseline, method = (models.get(name or "", name) for name in (compare.baseline, compare.method))
    if method is not None and method == baseline:
        raise InputError("compare.method", compare.method, "another than the baseline")
    if not arms and compare.method is not None and compare.predicted is None:
        raise InputError("compare.method", compare.method, "compare.predicted beside it, or arms")


def _ordered(steps: Mapping[str, Step]) -> list[str]:
    """Names, each after those that it needs, else as in the file. Raises InputError: they need each other."""
    ordered: list[str] = []

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            ring = " -> ".join([*above[above.index(name) :], name])
            raise InputError(steps[name].field, ring, "steps of which none needs itself")
        if name not in ordered:
            for needed in steps[name].needs:
                add(needed, (*above, name))
            ordered.append(name)

    for name in steps:
        add(name, ())
    return ordered


def _plan(
    out: str,
    settings: ChainSettings,
    shared: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Step]],
) -> tuple[dict[str, Node], dict[tuple[str, int], dict[str, str]]]:
    """What is to be computed. Steps with the same command, options and inputs are one."""
    nodes: dict[str, Node] = {}
    chains: dict[tuple[str, int], dict[str, str]] = {}
    known: dict[str, str] = {}
    for seed in settings.seeds or (settings.seed,):
        for arm, steps in variants.items():
            places: dict[str, str] = {}
            drawn: set[str] = set()  # with this seed
            own: set[str] = set()  # by this arm
            for name in _ordered(steps):
                step = steps[name]
                inputs = {needed: places[needed] for needed in step.needs}
                if (step.kind in DRAWING and "seed" not in step.options) or drawn & inputs.keys():
                    drawn.add(name)
                if step.field.startswith("arms.") or own & inputs.keys():
                    own.add(name)
                seeded = bool(settings.seeds) and name in drawn
                parts = [f"seed{seed}"] * seeded + [arm] * (name in own) + [name]
                key = json.dumps(
                    [name, step.kind, step.what, step.options, inputs, seed if name in drawn else None],
                    sort_keys=True,
                    default=str,  # dates, which no option takes
                )
                place = places[name] = known.setdefault(key, "/".join(parts))
                folder = str(Path(out, name if step.kind == "eval" else place))
                nodes.setdefault(place, Node(place, folder, step, inputs, seed))
            chains[arm, seed] = places
    return nodes, chains
