"""``biddable judge SUITE``: score responses that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from biddable.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from biddable.judges.ifeval import IFEvalReport


@click.group()
def judge() -> None:
    """Score responses by the rules of their tasks; no model is needed.

    \b
    Example:
      biddable judge ifeval --tasks input_data.jsonl --responses responses.jsonl
    """


@judge.command()
@click.option("--tasks", required=True, metavar="FILE", help="The benchmark's input_data.jsonl.")
@click.option("--responses", required=True, metavar="FILE", help='Lines of {"prompt": "…", "response": "…"}.')
@click.option("--fixed", is_flag=True, help="Use the repaired rules; scores then differ from published ones.")
@json_option
def ifeval(tasks: str, responses: str, fixed: bool, as_json: bool) -> None:
    """Score responses to IFEval prompts as the official checkers do.

    \b
    Examples:
      biddable judge ifeval --tasks input_data.jsonl --responses responses.jsonl
      biddable judge ifeval --tasks input_data.jsonl --responses responses.jsonl --json
    """
    from biddable.judges.ifeval import evaluate
    from biddable.methods.evaluate import summarize
    from biddable.tasks.ifeval import load_ifeval, load_responses

    report = evaluate(load_ifeval(tasks), load_responses(responses), fixed=fixed)
    if as_json:
        print_json(summarize(report))
    else:
        print_table(accuracy_table("IFEval", report))


def accuracy_table(title: str, report: IFEvalReport) -> Table:
    """The four accuracies with their intervals, then each type of instruction."""
    from rich.table import Table

    caption = f"{title}: {report.n_prompts} prompts, {report.n_instructions} instructions"
    table = Table(title=caption, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("followed")
    for column in ("strict", "loose", "n"):
        table.add_column(column, justify="right")
    for label, kind, n in (
        ("prompts", "prompt", report.n_prompts),
        ("instructions", "inst", report.n_instructions),
    ):
        cells = (_with_interval(report, f"{kind}_{reading}") for reading in ("strict", "loose"))
        table.add_row(label, *cells, str(n), style="bold")
    for name, found in report.per_type.items():
        table.add_row(f"  {name}", f"{found.strict:.3f}", f"{found.loose:.3f}", str(found.n))
    table.caption = (
        f"{report.degenerate:.1%} of the responses repeat themselves, copy the prompt or say nothing."
    )
    table.caption_justify = "left"
    return table


def _with_interval(report: IFEvalReport, metric: Any) -> str:
    low, high = report.interval(metric)
    return f"{getattr(report, metric):.3f} [{low:.3f}, {high:.3f}]"
