"""Measuring models on suites, in a folder that keeps every answer: the same call again costs nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biddable.config import configure
from biddable.errors import EndpointError, InputError, ModelError
from biddable.models.lazy import LazyModel
from biddable.models.load import model_identity
from biddable.runs.executors import Executor, in_process
from biddable.runs.figures import save_figures
from biddable.runs.files import write_atomic
from biddable.runs.run import Run
from biddable.suites.base import Suite
from biddable.suites.cells import EvaluateSettings, as_asked, called, evaluate_cell
from biddable.suites.figures import figures
from biddable.suites.leaderboard import Leaderboard, Row, leaderboard
from biddable.suites.load import load_suite
from biddable.suites.store import CELLS, Cell, is_evaluation, read_all_cells, read_cells, replaced
from biddable.types import last_turn

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions

AGAIN = "biddable eval OTHER_MODEL --suite SUITE"
"""What to type next where there is but one model."""
DEFAULT_FOLDER = Path("evals", "first")


def evaluate(
    models: str | Sequence[str],
    suites: str | Suite | Sequence[str | Suite],
    *,
    out: str | Path = DEFAULT_FOLDER,
    baseline: str | None = None,
    served: ServedOptions | None = None,
    executor: Executor = in_process,
    **settings: Any,
) -> Leaderboard:
    """Let models answer suites, judge what they say, and compare them.

    Everything is kept in ``out``: another call with other models or suites adds theirs to the leaderboard, a
    killed call goes on, and what could not be answered is asked again.

    Args:
        models: what ``load_model`` takes, one or several.
        suites: suites, or what ``load_suite`` takes, one or several.
        out: the evaluation's folder; made if missing.
        baseline: the model that the others are compared with, task by task (default: the first, where there
            are several).
        served: how served models are asked.
        executor: where answers are computed (``biddable.runs.executors``).
        settings: see ``EvaluateSettings``.

    Returns:
        the leaderboard of all that is in ``out``.

    Raises:
        InputError: no such model, suite, judge or setting, one named twice, a suite that cannot be measured,
            or a baseline that is none of the models.
        FileError: a file of a suite cannot be read.
        RunError: the folder holds something else.
        EndpointError, ModelError: a model answered no task of a suite, or cannot be loaded. What others
            answered is kept and reported first.
    """
    names = [models] if isinstance(models, str) else list(models)
    listed = [suites] if isinstance(suites, str | Suite) else list(suites)
    how = configure(EvaluateSettings, settings)
    for field, named in (("models", names), ("suite", listed)):
        if not named:
            raise InputError(field, named, "at least one")
    asked = [as_asked(load_suite(each) if isinstance(each, str) else each, how) for each in listed]
    unused = [*_written_only(asked, how), *_unused(asked, how)]
    _require_distinct("models", names, "each once")
    distinct = "each once; SUITE?name=OTHER calls the second something else"
    _require_distinct("suite", [suite.name for suite in asked], distinct)
    identities = {name: model_identity(name) for name in names}
    shown = [called(name, how) for name in names]
    known = {cell.model for cell in read_cells(out)} if is_evaluation(out) else set()
    if baseline is not None and baseline not in {*shown, *known}:
        raise InputError("baseline", baseline, f"one of the models: {', '.join([*shown, *sorted(known)])}")
    failed: list[EndpointError | InputError | ModelError] = []
    with Run.open(out, "eval", {"evaluation": 1}, seed=0, executor=executor) as run:
        for name, identity in identities.items():
            model = LazyModel(name, served if name.startswith("openai:") else None)
            for suite in asked:
                try:
                    cell = evaluate_cell(run, model, suite, how, identity=identity, again=True)
                except (EndpointError, InputError, ModelError) as error:
                    failed.append(error)
                    continue
                write_atomic(run.folder / CELLS / cell.name / "responses.jsonl", _responses(cell))
        if failed and not is_evaluation(run.folder):
            raise failed[0]
        cells, older = read_all_cells(run.folder)
        answered = list(dict.fromkeys(cell.model for cell in cells))
        first = baseline or (answered[0] if len(answered) > 1 else None)
        board = leaderboard(cells, first if first in answered else None)
        board = replace(board, notes=(*board.notes, *unused, *replaced(cells, older)))
        save_figures(run.folder / "figures.json", figures(board))
        seconds = {row.cell.name: row.cell.seconds for row in board.rows}
        run.finish(
            board.comparisons,
            metrics=measured(board),
            timing={"answering": seconds},
            notes=board.notes,
            next_steps=("biddable compare {run}",) if len(answered) > 1 else (f"{AGAIN} --out {{run}}",),
        )
    if failed:
        raise failed[0]
    return board


def measured(board: Leaderboard) -> dict[str, Any]:
    """The numbers of a leaderboard by suite and model."""
    return {
        suite: {row.cell.model: _numbers(row) for row in board.rows if row.cell.suite == suite}
        for suite in dict.fromkeys(row.cell.suite for row in board.rows)
    }


def _numbers(row: Row) -> dict[str, Any]:
    cell = row.cell
    scores = {score.metric: score.value for score in row.scores}
    intervals = {score.metric: list(score.interval) for score in row.scores if score.interval}
    chance = {score.metric: score.chance for score in row.scores if score.chance is not None}
    return {
        **scores,
        **cell.totals,
        "intervals": intervals,
        "chance": chance,
        "groups": {group.name: {"value": group.value, "n": group.n} for group in row.groups},
        "n": row.n,
        "asked": {
            "how": cell.ask,
            "template": cell.template,
            "shots": cell.shots,
            "max_tokens": cell.max_tokens,
            "strip_thinking": cell.strip_thinking,
        },
        "refused": row.refused,
        "refused_tasks": [{"task": id, "reason": reason} for id, reason in row.unanswered],
        "unparsable": row.unparsable,
        "degenerate": row.degenerate,
        "cut_off": row.cut_off,
        "empty": row.empty,
        "thinking": row.thinking,
        "prompt_tokens": row.prompt_tokens,
        "tokens": row.tokens,
    }


def _responses(cell: Cell) -> str:
    """The first response to each task, as ``biddable judge`` and others read it."""
    lines = []
    for record in cell.records:
        row = {"key": record.task.id, "prompt": last_turn(record.task.prompt)}
        for each in record.responses[:1]:
            row |= {"response": each.text, "finish_reason": each.finish_reason}
            row |= {"error": each.error} if each.error else {}
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


def _unused(suites: Sequence[Suite], how: EvaluateSettings) -> list[str]:
    """Settings that do not apply to texts whose likelihood is measured: they are shown as they are."""
    texts = ", ".join(suite.name for suite in suites if suite.ask == "perplexity")
    given = [*(["--shots"] if how.shots else []), *(["--template"] if how.template == "chat" else [])]
    return (
        [f"{texts}: texts are measured as they are, so {', '.join(given)} did not apply."]
        if texts and given
        else []
    )


def _written_only(suites: Sequence[Suite], how: EvaluateSettings) -> list[str]:
    """Which settings of written answers do not apply to some suites; refused where none is written."""
    others = [suite.name for suite in suites if suite.ask != "generate"]
    fields = ("judge", "samples", "temperature", "max_tokens")
    named = {field: value for field in fields if (value := getattr(how, field)) is not None}
    if named and len(others) == len(suites):
        field = next(iter(named))
        raise InputError(field, named[field], "a suite whose answers are written: these are not")
    if not named or not others:
        return []
    flags = ", ".join(f"--{field.replace('_', '-')}" for field in named)
    return [f"{', '.join(others)}: no answers are written, so {flags} did not apply."]


def _require_distinct(field: str, names: Sequence[str], expected: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(field, name, expected)
