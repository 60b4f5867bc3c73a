"""``biddable eval MODEL``: let a model answer a suite of tasks and score what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from biddable import registry
from biddable.cli.flags import written_as_flags
from biddable.cli.judge import accuracy_table, missing, strip_thinking_option, warn
from biddable.cli.output import executor_option, folder_name, json_option, print_json, print_table, say_ending
from biddable.cli.served import served_options

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions
    from biddable.runs.executors import Executor


class _Suite(click.ParamType):
    """The name of a registered suite; which there are is looked up when it is asked, not on import."""

    name = "suite"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        return _suites().get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return _suites().convert(value, param, ctx)


def _suites() -> click.Choice[str]:
    return click.Choice(list(dict.fromkeys([*registry.BUILTIN["suites"], *registry.names("suites")])))


@click.command("eval")
@click.argument("model")
@click.option(
    "--suite",
    type=_Suite(),
    default="ifeval",
    show_default=True,
    help="ifeval: the published benchmark. composed: our own held-out tasks in its form.",
)
@click.option("--tasks", metavar="FILE", help="The suite's file; composed needs none.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Only the first N tasks.  [default: all; 200 of composed]",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    help="Longest response, in tokens.  [default: 1280, the published setting; half the context of a model "
    "made for less than twice that]",
)
@strip_thinking_option
@served_options
@click.option(
    "--out", metavar="DIR", callback=folder_name, help="The run folder.  [default: runs/eval-SUITE-MODEL]"
)
@executor_option
@json_option
def evaluate(
    model: str,
    suite: str,
    tasks: str | None,
    limit: int | None,
    max_tokens: int | None,
    strip_thinking: bool,
    served: ServedOptions | None,
    out: str | None,
    executor: Executor,
    as_json: bool,
) -> None:
    """Measure how well a model follows verifiable instructions.

    It answers greedily and rules score the answers. The run folder keeps every response, so the same
    command again goes on where it stopped; artifacts/data/responses.jsonl is what `biddable judge` reads.
    A task that the model does not answer (a server refuses it, it is too long) counts as not followed.

    \b
    Examples:
      biddable eval smollm2 --suite composed
      biddable eval smollm2 --suite ifeval --tasks input_data.jsonl
      biddable eval runs/spar --suite composed --limit 50
    """
    from biddable.methods import evaluate as evaluation
    from biddable.report.page import write_report
    from biddable.runs.next_steps import next_steps
    from biddable.runs.results import read_results

    folder = out or str(evaluation.evaluation_folder(model, suite))
    with written_as_flags(("suite", "tasks")):
        report = evaluation.evaluate(
            model,
            suite,
            tasks=tasks,
            limit=limit,
            max_tokens=max_tokens,
            strip_thinking=strip_thinking,
            out=folder,
            served=served,
            executor=executor,
        )
    page, results, steps = write_report(folder), read_results(Path(folder)), next_steps(folder)
    warn("task", report.unanswered, results.notes)
    if as_json:
        facts = {"model": model, "suite": suite, "folder": folder, "report": str(page), "next_steps": steps}
        print_json({**facts, **results.metrics, **missing("refused", report)})
    else:
        print_table(accuracy_table(f"{model} on {suite}", report, results.notes))
        say_ending(page, steps)
