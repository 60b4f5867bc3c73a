"""The kinds of steps: what their options may be, and how each is computed by what the command line calls.

A kind of its own is one line of ``KINDS`` here and its name in ``file.KINDS``: ``check`` says before anything
is computed what is wrong, ``compute`` does it in the step's run folder, and what it left before stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biddable import registry
from biddable.config import configure, fields_of
from biddable.errors import InputError
from biddable.judges.load import load_judge
from biddable.methods import base
from biddable.methods.chain.file import Node, Step, nearest, references, resolved
from biddable.methods.chain.options import EvalSettings, GenerateSettings, ServedSettings, TrainSettings
from biddable.methods.chain.select import SelectSettings, candidates, select
from biddable.methods.curation_config import DataConfig
from biddable.methods.datasets import curate, read_suite
from biddable.methods.generate import generate_file, read_prompt_rows
from biddable.methods.training import OBJECTIVES, fit, training_config
from biddable.models.base import Sampling
from biddable.models.load import model_identity, require_trainable
from biddable.runs.codec import digest, jsonable
from biddable.runs.executors import Executor
from biddable.runs.files import read_jsonl, write_atomic
from biddable.runs.run import Run
from biddable.suites.cells import EvaluateSettings, as_asked, called
from biddable.suites.evaluate import evaluate
from biddable.suites.load import load_suite
from biddable.tasks.data import kinds_of, read_conversations

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions


@dataclass(frozen=True, slots=True)
class Measured:
    """A model that an ``eval`` step measured.

    Attributes:
        named: as the file names it: ``{sft}``.
        model: what records and leaderboards call it.
        suites: the names of the suites.
    """

    named: str
    model: str
    suites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of step.

    Attributes:
        check: raises for options that cannot be used, and gives all that tells the step from others.
        compute: does it in the node's folder, with its options resolved.
    """

    check: Callable[[Step], dict[str, Any]]
    compute: Callable[[Node, Any, dict[str, Any], Executor], list[Measured]]


def check(step: Step) -> dict[str, Any]:
    """All that tells a step from others of its place, as JSON has it.

    Raises:
        InputError, FileError, ModelError, MissingDependency: an option that there is not, or a value that
            cannot be used. What refers to a step is not looked up: it is not there yet.
    """
    facts: dict[str, Any] = jsonable({step.kind: step.what, **KINDS[step.kind].check(step)})
    return facts


def compute(node: Node, folders: Mapping[str, str], executor: Executor) -> list[Measured]:
    """Compute a node, or go on with it; ``folders`` are those of the steps it refers to, by name.

    Raises:
        ChangedRun: its folder holds what came of other options, or of other inputs.
    """
    what, options = resolved(node.step.what, folders), resolved(node.step.options, folders)
    return KINDS[node.step.kind].compute(node, what, options, executor)


def _refers(value: Any) -> bool:
    return bool(references(value))


def _require_known(options: Mapping[str, Any], *known: type | str) -> None:
    names = [each for part in known for each in ([part] if isinstance(part, str) else fields_of(part))]
    for name, value in options.items():
        if name not in names:
            raise InputError(name, value, nearest(name, names))


def _parts(options: Mapping[str, Any], *classes: type) -> list[dict[str, Any]]:
    """Options by the settings class that they belong to; those of none of them at the end."""
    parts = [{name: options[name] for name in options if name in fields_of(each)} for each in classes]
    rest = {name: value for name, value in options.items() if not any(name in part for part in parts)}
    return [*parts, rest]


def _listed(step: Step) -> list[str]:
    """What a step is of, one or several: models, sources."""
    several = [step.what] if isinstance(step.what, str) else list(step.what)
    for each in several:
        if not isinstance(each, str):
            raise InputError(step.kind, each, "a text, or a list of texts")
    return several


def _check_model(field: str, name: str) -> None:
    """A model that is asked, and may be served elsewhere."""
    if name.startswith("openai:"):
        from biddable.models.openai import parse_spec

        parse_spec(name)
    elif not name.startswith("vllm:") and not _refers(name):
        try:
            require_trainable(name)
        except InputError as error:
            raise InputError(field, name, error.expected) from None


def _served(options: Mapping[str, Any], models: list[str]) -> ServedOptions | None:
    given = configure(ServedSettings, options)
    if not options:
        return None
    if not any(model.startswith("openai:") for model in models):
        name, value = next(iter(options.items()))
        raise InputError(name, value, f"nothing: {', '.join(models)} is not served (openai:NAME@URL)")
    from biddable.models.openai import ServedOptions

    return ServedOptions(given.timeout, given.retries, given.concurrency, not given.no_cache)


# run: a method


def _check_run(step: Step) -> dict[str, Any]:
    try:
        method = registry.find("methods", step.what)
    except InputError as error:
        raise InputError("run", step.what, error.expected) from None
    options = dict(step.options)
    _require_known(options, method.Config, "preset", "seed")
    preset, seed = options.pop("preset", "default"), options.pop("seed", None)
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise InputError("seed", seed, "an integer of at least 0")
    made = base.prepare(method, preset, options)
    if not _refers(options):
        made.check()
    return {"preset": preset, **asdict(made.config)}


def _run(node: Node, what: Any, options: dict[str, Any], executor: Executor) -> list[Measured]:
    base.run(what, out=node.folder, executor=executor, **{"seed": node.seed, **options})
    return []


# train


def _check_train(step: Step) -> dict[str, Any]:
    if step.what not in OBJECTIVES:
        raise InputError("train", step.what, nearest(step.what, [*OBJECTIVES]))
    objective = OBJECTIVES[step.what]
    source, other = ("tasks", "data") if step.what == "grpo" else ("data", "tasks")
    _require_known(step.options, TrainSettings, objective.config)
    given, rest = _parts(step.options, TrainSettings)
    how = configure(TrainSettings, given)
    config = training_config(step.what, rest, judge=how.judge, held_out=how.held_out)
    if other in given:
        raise InputError(other, given[other], f"{source} instead: {step.what} learns from it")
    if (data := getattr(how, source)) is None:
        raise InputError(source, None, "a file, a folder, a step as {NAME}, or hf:NAME")
    if not _refers(how.model):
        require_trainable(how.model)
    if not _refers(data):
        objective.read(data)
    if step.what == "grpo" and not _refers(how.judge):
        load_judge(how.judge)
    return {**asdict(how), **asdict(config)}


def _train(node: Node, what: Any, options: dict[str, Any], executor: Executor) -> list[Measured]:
    given, rest = _parts(options, TrainSettings)
    data = given.pop("tasks" if what == "grpo" else "data")
    model = given.pop("model")
    fit(what, model, data, out=node.folder, executor=executor, **given, **{"seed": node.seed, **rest})
    return []


# generate


def _check_generate(step: Step) -> dict[str, Any]:
    _require_known(step.options, GenerateSettings, ServedSettings)
    given, served, _ = _parts(step.options, GenerateSettings, ServedSettings)
    how = configure(GenerateSettings, given)
    _check_model("generate", step.what)
    _served(served, [step.what])
    if not _refers(how.prompts):
        read_prompt_rows(how.prompts, 0, None if _refers(how.prompt) else how.prompt)
    return asdict(how)


def _generate(node: Node, what: Any, options: dict[str, Any], executor: Executor) -> list[Measured]:
    """The rows as ``biddable generate`` writes them, and as data those that were answered."""
    given, served, _ = _parts({"seed": node.seed, **options}, GenerateSettings, ServedSettings)
    how = configure(GenerateSettings, given)
    sampling = Sampling(**{name: getattr(how, name) for name in fields_of(Sampling)})
    rows = read_prompt_rows(how.prompts, how.seed, how.prompt)
    identity = {
        "model": what,
        "weights": model_identity(what),
        "prompts": digest([row.prompt, row.seed, row.row] for row in rows),
        "n": how.n,
        "strip_thinking": how.strip_thinking,
        "sampling": sampling,
    }
    with Run.open(node.folder, "generate", identity, how.seed, executor=executor) as run:
        whole = run.folder / "responses.jsonl"

        def answer() -> dict[str, Any]:
            result = generate_file(
                what,
                rows,
                whole,
                n=how.n,
                sampling=sampling,
                strip_thinking=how.strip_thinking,
                served=_served(served, [what]),
                executor=executor,
            )
            return {"responses": result.responses, "failed": result.failed, "notes": result.notes}

        result = run.stage("answering", answer, dict[str, Any])
        lines = whole.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line, (_, row) in zip(lines, read_jsonl(whole), strict=True) if _answered(row)]
        write_atomic(run.artifact("data", "responses.jsonl"), "".join(kept))
        metrics = {"prompts": len(rows), "answered": len(kept), "responses": result["responses"]}
        failed = [f"{place}: {reason}" for place, reason in result["failed"][:3]]
        left_out = len(rows) - len(kept)
        notes = [f"{left_out} prompts are left out of the data: {'; '.join(failed)} …"] if left_out else []
        run.finish([], metrics=metrics, notes=[*result["notes"], *notes])
    return []


def _answered(row: Mapping[str, Any]) -> bool:
    """Whether a prompt has an answer; some of several may not have been had, and are blank."""
    return not row.get("error") or any(text.strip() for text in row["responses"])


# select


def _check_select(step: Step) -> dict[str, Any]:
    _require_known(step.options, SelectSettings)
    how = configure(SelectSettings, step.options)
    if how.judge is not None and not _refers(how.judge):
        load_judge(how.judge)
    if not _refers(step.what):
        there = len({each.row for each in candidates(step.what)[0]})
        if there < how.rows:
            raise InputError("rows", how.rows, f"at most {there}, as many as {step.what} has with an answer")
    return asdict(how)


def _select(node: Node, what: Any, options: dict[str, Any], executor: Executor) -> list[Measured]:
    how = configure(SelectSettings, {"seed": node.seed, **options})
    select(what, how, out=node.folder, executor=executor)
    return []


# data


def _check_data(step: Step) -> dict[str, Any]:
    _require_known(step.options, DataConfig)
    config, sources = configure(DataConfig, step.options), _listed(step)
    if not sources or len({*sources}) < len(sources):
        raise InputError("data", sources, "at least one source, each once")
    if config.mix and len(config.mix) != len(sources):
        raise InputError("mix", config.mix, f"a share for each of {len(sources)} sources")
    for source in sources:
        if not _refers(source) and not kinds_of(source):
            read_conversations(source)  # says why not
    if config.judge is not None and not _refers(config.judge):
        load_judge(config.judge)
    for spec in config.against:
        if not _refers(spec):
            read_suite(spec)
    if config.model is not None and not _refers(config.model):
        require_trainable(config.model)
    return {**asdict(config), "sources": sources}


def _data(node: Node, what: Any, options: dict[str, Any], executor: Executor) -> list[Measured]:
    sources = [what] if isinstance(what, str) else what
    curate(sources, out=node.folder, executor=executor, **{"seed": node.seed, **options})
    return []


# eval


def _check_eval(step: Step) -> dict[str, Any]:
    _require_known(step.options, EvalSettings, ServedSettings)
    given, served, _ = _parts(step.options, EvalSettings, ServedSettings)
    how, models = configure(EvalSettings, given), _listed(step)
    for name in models:
        _check_model("eval", name)
    if not models or len({*models}) < len(models):
        raise InputError("eval", models, "at least one model, each once")
    _served(served, models)
    if how.baseline is not None and how.baseline not in models:
        raise InputError("baseline", how.baseline, f"one of the models: {', '.join(models)}")
    if not how.suites:
        raise InputError("suite", [], "at least one")
    later = _refers(how.judge) or _refers(str(how.prompt))
    for spec in how.suites:
        if not _refers(spec):
            suite = load_suite(spec)
            if not later:
                as_asked(suite, configure(EvaluateSettings, _parts(given, EvaluateSettings)[0]))
    return {**asdict(how), "models": models}


def _eval(node: Node, what: Any, options: dict[str, Any], executor: Executor) -> list[Measured]:
    given, served, _ = _parts(options, EvalSettings, ServedSettings)
    how = configure(EvalSettings, given)
    asked = _parts(given, EvaluateSettings)[0]
    models = [what] if isinstance(what, str) else list(what)
    suites = [load_suite(spec) for spec in how.suites]
    names = [called(model, how) for model in models]
    baseline = None if how.baseline is None else called(how.baseline, how)
    evaluate(
        models,
        suites,
        out=node.folder,
        baseline=baseline,
        served=_served(served, models),
        executor=executor,
        **asked,
    )
    measured = tuple(suite.name for suite in suites)
    return [Measured(named, name, measured) for named, name in zip(_listed(node.step), names, strict=True)]


KINDS: Mapping[str, Kind] = {
    "run": Kind(_check_run, _run),
    "train": Kind(_check_train, _train),
    "generate": Kind(_check_generate, _generate),
    "select": Kind(_check_select, _select),
    "data": Kind(_check_data, _data),
    "eval": Kind(_check_eval, _eval),
}


def left(folder: str | Path) -> str:
    """What a run left to use, in a few words."""
    artifacts = Path(folder, "artifacts")
    if not artifacts.is_dir():
        return ""
    names = [
        str(each.relative_to(artifacts))
        for kind in sorted(artifacts.iterdir())
        for each in (sorted(kind.iterdir()) if kind.name == "data" and kind.is_dir() else [kind])
    ]
    return ", ".join(names)
