"""Data sets of one's own, made better in a run folder: see ``curation`` for the steps."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from biddable.config import configure
from biddable.errors import InputError
from biddable.judges.load import judge_identity
from biddable.methods.curation import Curation, drawn, loaded_judge
from biddable.methods.curation_config import SETTLED, DataConfig
from biddable.runs.codec import digest as values_digest
from biddable.runs.executors import Executor, in_process, named_executor
from biddable.runs.folder import is_run
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import (
    Kind,
    Unreadable,
    digest,
    kinds_of,
    read_conversations,
    read_preferences,
    read_rows,
    read_tasks,
)
from biddable.tasks.frameworks import Exported, write_for
from biddable.tasks.steps import Funnel
from biddable.tasks.views import Row, asked_in
from biddable.types import Preference


def curate(
    sources: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    executor: str | Executor = in_process,
    **values: Any,
) -> Results:
    """Make a data set of one's own files, without the rows that are not to be learned from.

    The same call again goes on where it was killed, and one with another mixture, ``rows``, ``held_out`` or
    ``min_score`` where these could not be had. What is left is the run's ``artifacts/data``, what is
    held out ``artifacts/held_out``, what was dropped ``artifacts/dropped/rows.jsonl``, each with the reason.

    Args:
        sources: conversations or preferences (see ``biddable.tasks.data``), one or several.
        out: the run folder (default ``runs/data``).
        executor: where a judge judges.
        values: fields of ``DataConfig``.

    Returns:
        what is also in ``results.json``: how many rows each step kept, and why it dropped the others.

    Raises:
        InputError: an unknown setting, a source given twice, a suite or a judge that there is not, or a row
            that does not fit the mixture.
        FileError: a source, or a row of one, cannot be read.
        RunError: the folder holds another run.
    """
    config = configure(DataConfig, values)
    names = [str(source) for source in sources]
    kind = _check(config, names)
    rows, source_of = _read(names, kind, config.skip_bad)
    tasks = {spec: read_suite(spec) for spec in config.against}
    if config.mix or config.rows is not None:  # what is impossible from the first is refused without a folder
        readable = [name for name, row in rows.items() if not isinstance(row, Unreadable)]
        drawn(config, readable, source_of, config.seed)
    identity = {
        **{name: value for name, value in asdict(config).items() if name not in SETTLED},
        "kind": kind,
        "sources": names,
        "data": [digest(name) for name in names],
        "tasks": values_digest(tasks.items()) if tasks else None,
    }
    if config.judge:
        loaded_judge(config.judge)
        identity["judge_weights"] = judge_identity(config.judge)
    counter = _token_counter(config.model) if config.model else None
    encode = _encoder() if config.near_by == "vectors" and (config.near or config.held_out) else None
    seed = identity.pop("seed")
    where = named_executor(executor) if isinstance(executor, str) else executor
    with Run.open(out or Path("runs") / "data", "data", identity, seed, executor=where) as run:
        return Curation(run, config, kind, Funnel(rows), source_of, tasks, counter, encode).finish()


def export_data(source: str | Path, folder: str | Path, framework: str, kind: Kind | None = None) -> Exported:
    """Write a data set as another framework reads it, with what the run ``curate`` made of it held out.

    Args:
        source: a run, or conversations or preferences (see ``biddable.tasks.data``).
        folder: new or empty.
        framework: ``trl``, ``axolotl`` or ``llamafactory``.
        kind: which rows, where there are both.

    Raises:
        InputError: no such framework, there are rows of both kinds, or a row (named) that it does not take.
        FileError: the source cannot be read.
        StorageError: the folder cannot be written.
    """
    kinds = [kind] if kind else kinds_of(source) or ["conversations"]
    if len(kinds) > 1:
        raise InputError("kind", None, f"one of {' and '.join(kinds)}: {source} has both")
    read: Any = read_conversations if kinds[0] == "conversations" else read_preferences
    aside = Path(source, "artifacts", "held_out", f"{kinds[0]}.jsonl")
    held = read(aside) if is_run(source) and aside.is_file() else []
    return write_for(framework, folder, read(source), held)


def _check(config: DataConfig, names: Sequence[str]) -> Kind:
    """What the rows are. Raises InputError and FileError before anything is computed."""
    if not names:
        raise InputError("sources", [], "at least one: a file, a folder, a run or hf:NAME")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise InputError("sources", twice[0], "each source once")
    if config.mix and len(config.mix) != len(names):
        raise InputError("mix", config.mix, f"a share for each of {len(names)} sources")
    kinds = [config.kind] if config.kind != "auto" else list(kinds_of(names[0]) or ("conversations",))
    if len(kinds) > 1:
        raise InputError("kind", "auto", f"one of {' and '.join(kinds)}: the rows of {names[0]} are both")
    if kinds[0] == "preferences":
        for field in ("judge", "one_answer"):
            if value := getattr(config, field):
                raise InputError(field, value, "none: preferences have two responses to each prompt")
    kind: Any = kinds[0]
    return kind


def _read(names: Sequence[str], kind: Kind, skip_bad: bool) -> tuple[dict[str, Row], dict[str, str]]:
    """The rows by their places, and the source of each."""
    rows: dict[str, Row] = {}
    source_of: dict[str, str] = {}
    for name in names:
        for place, row in read_rows(name, kind).items():
            if place in source_of:
                raise InputError("sources", name, f"rows that {source_of[place]} has not ({place})")
            if isinstance(row, Unreadable) and not skip_bad:
                raise row.error
            rows[place], source_of[place] = row, name
    if all(isinstance(row, Unreadable) for row in rows.values()):
        raise next(row.error for row in rows.values())
    return rows, source_of


def read_suite(spec: str) -> dict[str, str]:
    """The prompts of a suite's tasks, or of those in a file, by their ids. Raises InputError, FileError."""
    from biddable.suites.load import load_suite

    try:
        of_file = os.path.exists(spec) and not spec.endswith(".toml")
        tasks = read_tasks(spec) if of_file else load_suite(spec).tasks
    except InputError as error:
        if error.field != "suite":  # an option of it, which is named
            raise
        raise InputError("against", error.value, error.expected) from None
    return {task.id: asked_in(task.prompt) for task in tasks}


def _token_counter(model: str) -> Callable[[Row], int | str]:
    """How many tokens a row has, or why it cannot be rendered."""
    from biddable.models.chat import ChatFormat
    from biddable.models.load import locate, require_trainable
    from biddable.models.tokenizer import read_tokenizer

    require_trainable(model)
    chats = ChatFormat(read_tokenizer(locate(model)[0]))

    def count(row: Row) -> int | str:
        try:
            if isinstance(row, Preference):
                return max(len(chats.whole(row.prompt, text)) for text in (row.chosen, row.rejected))
            *earlier, last = row.chat
            whole = last.role == "assistant" and earlier
            ids = chats.whole(tuple(earlier), last.content) if whole else chats.prompt(row.chat)
            return len(ids)
        except InputError as error:
            return str(error)

    return count


def _encoder() -> Callable[[Sequence[str]], Any]:
    from biddable.models.embedding import minilm

    return minilm()
