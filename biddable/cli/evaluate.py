"""``biddable eval MODELS --suite SUITES``: measure models, and compare them. ``biddable suites``: on what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from biddable.cli.commands import Command
from biddable.cli.flags import written_as_flags
from biddable.cli.output import (
    executor_option,
    folder_name,
    json_option,
    print_json,
    print_table,
    say,
    say_ending,
    tell,
)
from biddable.cli.served import served_options
from biddable.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from biddable.models.openai import ServedOptions
    from biddable.runs.executors import Executor
    from biddable.suites.base import Suite
    from biddable.suites.leaderboard import Leaderboard, Row

_WORDS = {"held": "better", "contradicted": "worse", "not shown": "not shown", None: ""}
"""What came of the claim that a model is better than the baseline."""
NOTES = 12
"""Remarks that are printed; the page has all."""


@click.command("eval", cls=Command)
@click.argument("models", nargs=-1, required=True, metavar="MODEL[,MODEL…]")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    default=("composed",),
    show_default=True,
    metavar="SUITE[,SUITE…]",
    help="What to measure on: a suite with its data behind a colon and options behind a question mark, or a "
    "TOML file that describes your own. `biddable suites` lists them.",
)
@click.option("--baseline", metavar="MODEL", help="Whom the others are compared with.  [default: the first]")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Only N tasks of each suite, as many of each of its groups.",
)
@click.option(
    "--shots", type=click.IntRange(0), metavar="K", help="Solved examples.  [default: as the suite says]"
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    help="Responses to each task.  [default: as the suite needs, mostly 1]",
)
@click.option(
    "--temperature", type=click.FloatRange(0), metavar="T", help="[default: 0, the likeliest token]"
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    help="Longest response, in tokens.  [default: as the suite says (1280 of verifiable instructions); half "
    "the context of a model made for less than twice that]",
)
@click.option(
    "--template",
    type=click.Choice(["auto", "chat", "none"]),
    default="auto",
    show_default=True,
    help="chat: each prompt is a user's turn. none: raw text, for base models. auto: as the model has one.",
)
@click.option(
    "--prompt",
    type=click.Path(exists=True),
    metavar="PROMPT",
    help="What stands around every task: a run that found a prompt, its prompt.json, or a text file with an "
    "instruction. The model is then a row of its own, beside the one without.",
)
@click.option("--judge", metavar="JUDGE", help="Who judges responses, instead of the suite's own judge.")
@click.option(
    "--strip-thinking",
    is_flag=True,
    help="Judge responses without blocks of thinking (<think>…</think> and the like); they are kept whole.",
)
@served_options
@click.option(
    "--out",
    metavar="DIR",
    callback=folder_name,
    default="evals/first",
    show_default=True,
    help="The evaluation's folder. The same line again costs nothing; other models and suites are added.",
)
@executor_option
@json_option
def evaluate(
    models: tuple[str, ...],
    suites: tuple[str, ...],
    baseline: str | None,
    served: ServedOptions | None,
    out: str,
    executor: Executor,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure models on suites of tasks: by how much is one better than another, and can that be believed?

    Each model answers each suite; a judge or the log-probabilities of choices decide; scores come with
    intervals, and every model is compared with the baseline task by task. The folder keeps all answers, so a
    killed command goes on where it stopped, and its page shows every task with what each model said.

    \b
    Examples:
      biddable eval smollm2
      biddable eval smollm2,runs/spar --suite composed --baseline smollm2 --out evals/spar
      biddable eval smollm2,runs/spar --suite ifeval:input_data.jsonl,bbh:BIG-Bench-Hard?ask=choose --limit 50
      biddable eval runs/sft --suite mine.toml
    """
    from biddable.report.page import write_report
    from biddable.runs.next_steps import next_steps
    from biddable.runs.results import read_results
    from biddable.suites.evaluate import evaluate as measure

    with written_as_flags(("suite", "baseline", *settings)):
        board = measure(
            _separated(models),
            _suites(suites),
            out=out,
            baseline=baseline,
            served=served,
            executor=executor,
            **settings,
        )
    results = read_results(out)
    page, steps = write_report(out), next_steps(out, results.next_steps)
    for note in board.notes[:NOTES]:
        tell(f"warning: {note}")
    if more := len(board.notes[NOTES:]):
        tell(f"warning: and {more} more, on the page")
    if as_json:
        compared = [_comparison(each) for each in results.comparisons]
        facts = {"folder": out, "report": str(page), "next_steps": steps}
        print_json({"suites": results.metrics, "comparisons": compared, "notes": list(board.notes), **facts})
    else:
        print_table(leaderboard_table(board))
        say_ending(page, steps)


def _separated(names: Sequence[str]) -> list[str]:
    return [name.strip() for each in names for name in each.split(",") if name.strip()]


def _suites(names: Sequence[str]) -> list[str]:
    """Suites as commas separate them, which may also stand within an option: ``bbh:DIR?tasks=a,b``."""
    from biddable import registry

    known, suites = registry.names("suites"), list[str]()
    for name in _separated(names):
        if "?" in "".join(suites[-1:]) and not re.search(r"[:?]|\.toml$", name) and name not in known:
            suites[-1] += f"+{name}"
        else:
            suites.append(name)
    return suites


def _comparison(each: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(each)


def leaderboard_table(board: Leaderboard) -> Table:
    """Scores with their intervals and chance levels, and each model's difference from the baseline."""
    from rich.table import Table
    from rich.text import Text

    from biddable.suites.aggregate import averages

    table = Table(box=None, pad_edge=False)
    for column in ("suite", "model", "metric"):
        table.add_column(column)
    for column in ("score", "95 % interval", "chance", "difference", "n", "seconds"):
        table.add_column(column, justify="right")
    differences = {(each.method_name, each.metric): each for each in board.comparisons}
    for row in board.rows:
        for index, score in enumerate(row.scores):
            named = (row.cell.suite, row.cell.model) if index == 0 else ("", "")
            each = differences.get((row.cell.model, f"{row.cell.suite}: {score.metric}"))
            difference = ""
            if each and index == 0:
                low, high = each.interval
                difference = f"{each.difference:+.3f} [{low:+.3f}, {high:+.3f}] {_WORDS[each.verdict]}"
            table.add_row(
                *map(Text, named),
                Text(score.metric),
                f"{score.value:.3f}",
                "" if score.interval is None else f"[{score.interval[0]:.3f}, {score.interval[1]:.3f}]",
                "" if score.chance is None else f"{score.chance:.3f}",
                difference,
                str(row.n) if index == 0 else "",
                f"{row.cell.seconds:.0f}" if index == 0 else "",
                style="bold" if index == 0 else "",
            )
        for name, value in row.cell.totals.items():
            table.add_row("", "", Text(name), f"{value:.3f}", "", "", "", "", "")
    for average in averages(board):
        low, high = average.interval or (average.value, average.value)
        model, what = Text(average.model), Text(average.name)
        between = f"[{low:.2f}, {high:.2f}]" if average.interval else ""
        table.add_row(
            "average", model, what, f"{average.value:.2f}", between, "", "", str(len(average.parts))
        )
    table.caption = Text("\n".join(_asked(row) for row in board.rows))
    table.caption_justify = "left"
    return table


def _asked(row: Row) -> str:
    cell = row.cell
    how = "generated" if cell.ask == "generate" else "log-probability"
    shares = (
        f"unparsable {row.unparsable:.0%}, degenerate {row.degenerate:.0%}" if cell.ask == "generate" else ""
    )
    parts = (f"{cell.model} on {cell.suite}: {how}, template {cell.template}, {cell.shots} shots", shares)
    return ", ".join(part for part in parts if part)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--validate", metavar="FILE", help="Check a TOML file that describes a suite of your own.")
@json_option
def suites(name: str | None, validate: str | None, as_json: bool) -> None:
    """List what models can be measured on, tell of one suite, or check one of your own.

    \b
    Examples:
      biddable suites
      biddable suites mmlu
      biddable suites --validate mine.toml
    """
    import inspect

    from biddable import registry
    from biddable.suites.load import load_suite

    if validate:
        if not validate.endswith(".toml"):
            raise InputError("--validate", validate, "a TOML file (FILE.toml)")
        _tell_of(validate, load_suite(validate), as_json)
        return
    names = [name] if name else registry.names("suites")
    rows = {each: registry.find("suites", each) for each in names}
    described = {each: inspect.cleandoc(make.__doc__ or "") for each, make in rows.items()}
    if as_json:
        print_json({each: {"needs": _needs(make), "about": described[each]} for each, make in rows.items()})
    elif name:
        say(f"{_needs(rows[name], name)}\n\n{described[name]}{_options(rows[name])}")
    else:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        table.add_column("suite")
        table.add_column("what")
        for each, make in rows.items():
            table.add_row(Text(_needs(make, each), style="bold"), Text(described[each].split("\n")[0]))
        print_table(table)


def _tell_of(file: str, suite: Suite, as_json: bool) -> None:
    """What a file describes, and its first task as a model is shown it."""
    from biddable.tasks.fewshot import few_shot_prompt

    task = suite.tasks[0]
    prompt, shots = str(task.prompt), 0
    if suite.ask != "perplexity":
        prompt, shots = few_shot_prompt(prompt, suite.shots_of(task), suite.k, separator=suite.separator)
    metrics = [metric.name for metric in suite.metrics]
    if as_json:
        first = {"prompt": prompt, "choices": task.choices, "references": task.references, "meta": task.meta}
        facts = {"name": suite.name, "tasks": len(suite.tasks), "ask": suite.ask, "shots": suite.k}
        print_json({**facts, "metrics": metrics, "first": first})
        return
    how = {
        "generate": "a model writes an answer",
        "choose": "the likeliest choice is taken",
        "perplexity": "how likely each text is",
    }
    counted = f"{how[suite.ask]}; counted: {', '.join(metrics)}"
    say(f"{file}: the suite {suite.name}, {len(suite.tasks)} tasks, {shots} solved examples; {counted}")
    say(f"\nThe first task, as a model is shown it:\n\n{prompt}\n")
    if task.choices:
        say(f"To choose among: {', '.join(map(repr, task.choices))}")
    if task.references:
        say(f"Right: {', '.join(map(repr, task.references))}")
    say(f"Next: biddable eval smollm2 --suite {file}")


def _options(make: Any) -> str:
    """What a suite takes after the question mark, a line each."""
    import inspect
    from typing import Literal, get_args, get_origin, get_type_hints

    hints, lines = get_type_hints(make), []
    for each in inspect.signature(make).parameters.values():
        if each.default is each.empty:
            continue
        hint = hints[each.name]
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(hint, "")
        if get_origin(hint) is Literal:
            kind = ", ".join(map(str, get_args(hint)))
        elif get_origin(hint) is tuple:
            kind = "one or several, separated by commas"
        default = str(each.default).lower() if hint is bool else each.default
        lines.append(
            f"  {each.name}  {kind}" + ("" if default in ("", (), None) else f"  [default: {default}]")
        )
    return "\n\nOptions, as ?NAME=VALUE&NAME=VALUE:\n" + "\n".join(lines) if lines else ""


def _needs(make: Any, name: str = "") -> str:
    """How a suite is named: with its data and its options."""
    import inspect

    parameters = inspect.signature(make).parameters.values()
    data = [each.name.upper() for each in parameters if each.default is each.empty]
    options = "&".join(each.name + "=…" for each in parameters if each.default is not each.empty)
    return f"{name}{''.join(':' + each for each in data)}{'?' + options if options else ''}"
