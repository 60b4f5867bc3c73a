"""``biddable chain FILE``: steps that build on each other, arms that are compared at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from biddable.cli.commands import Command
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
from biddable.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from biddable.methods.chain.file import Node
    from biddable.methods.chain.run import Plan
    from biddable.runs.executors import Executor
    from biddable.runs.results import Results


@click.command(cls=Command)
@click.argument("file")
@click.option(
    "--out", metavar="DIR", callback=folder_name, help="The chain's folder.  [default: as the file says]"
)
@click.option("--dry-run", is_flag=True, help="Check the file and print the plan; nothing is computed.")
@click.option("--until", metavar="STEP", help="Compute this step, of every arm and seed, and what it needs.")
@executor_option
@json_option
def chain(
    file: str, out: str | None, dry_run: bool, until: str | None, executor: Executor, as_json: bool
) -> None:
    """Compute a chain of steps that FILE describes: make data, select, train, refine, evaluate.

    Each step is a run in a folder of its own, so a killed command goes on where it stopped. Arms are variants
    that share steps; they are compared at the end, task by task. Everything in the file is checked before
    the first step is computed.

    \b
    A file:
      [steps.sft]
      train = "sft"
      model = "smollm2"
      data = "chats.jsonl"
      [steps.test]
      eval = ["smollm2", "{sft}"]

    \b
    Examples:
      biddable chain mine.toml --dry-run
      biddable chain mine.toml
      biddable chain mine.toml --until sft
    """
    from biddable.methods.chain.run import compute_plan, plan_chain

    try:
        plan = plan_chain(file, out=out, until=until)
    except InputError as error:
        if error.field != "until":
            raise
        raise InputError("--until", error.value, error.expected) from None
    if dry_run:
        _print_plan(plan, as_json)
        return
    total = sum(step.runs for step in plan.steps)
    begun: list[Node] = []
    looked_at = {step.node.place for step in plan.steps if step.state == "finished"}

    def on_step(node: Node, event: str) -> None:
        if event == "started":
            begun.append(node)
            tell(f"step {len(begun)} of {total}: {node.place} ({node.step.says})")
        elif node.place not in looked_at:
            _write_page(node.folder)

    results = compute_plan(plan, executor=executor, on_step=on_step)
    if results is not None:
        _print_end(plan, results, as_json)
        return
    plan = plan_chain(file, out=out, until=until)
    again = f"biddable chain {file}" + (f" --out {out}" if out else "")
    if as_json:
        print_json({"folder": plan.chain.out, "steps": _facts(plan), "next_steps": [again]})
        return
    print_table(_steps(plan, computed=True))
    say(f"\nnext:\n  {again}")


def _print_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json({"folder": plan.chain.out, "steps": _facts(plan)})
        return
    print_table(_steps(plan, computed=False))
    left = sum(step.runs and step.state != "finished" for step in plan.steps)
    say(f"\n{plan.chain.out}: {left} of {len(plan.steps)} steps to compute")


def _print_end(plan: Plan, results: Results, as_json: bool) -> None:
    from biddable.methods.chain.run import finished
    from biddable.report.page import write_report
    from biddable.report.terminal import result_table
    from biddable.runs.next_steps import next_steps

    out = plan.chain.out
    page, steps, whole = write_report(out), next_steps(out, results.next_steps), finished(plan)
    if as_json:
        facts = {"folder": out, "report": str(page), "next_steps": steps, "steps": _facts(whole)}
        print_json({**dict(results), **facts})
        return
    tables = [_steps(whole, computed=True), _consumed(results)]
    print_table(*tables, *([result_table(results)] if results.comparisons else []))
    for note in results.notes:
        tell(f"note: {note}")
    say_ending(page, steps)


def _write_page(folder: str) -> None:
    from biddable.report.page import write_report

    write_report(folder)


def _steps(plan: Plan, *, computed: bool) -> Table:
    """Every step; what it left and how long that took, or what will be done."""
    from rich.table import Table
    from rich.text import Text

    columns = ("step", "what", "state", "seconds", "left") if computed else ("step", "what", "state", "runs")
    table = Table(*columns, box=None, pad_edge=False)
    for facts in _facts(plan):
        cells = [facts["step"], facts["what"], facts["state"]]
        if computed:
            cells += ["" if facts["seconds"] is None else f"{facts['seconds']:.0f}", facts["left"]]
        else:
            cells.append(_runs(facts))
        table.add_row(*map(Text, cells))
    return table


def _runs(facts: dict[str, Any]) -> str:
    if not facts["runs"]:
        return "no"
    return {"finished": "looked at", "begun": "goes on", "to do": "yes"}[facts["state"]]


def _facts(plan: Plan) -> list[dict[str, Any]]:
    from biddable.methods.chain.run import seconds
    from biddable.methods.chain.steps import left

    return [
        {
            "step": each.node.place,
            "what": each.node.step.says,
            "folder": each.node.folder,
            "state": each.state,
            "runs": each.runs,
            "seconds": seconds(each.node) if each.state == "finished" else None,
            "left": left(each.node.folder) if each.state == "finished" else "",
        }
        for each in plan.steps
    ]


def _consumed(results: Results) -> Table:
    """What the trainings of each arm consumed, and how long all of its steps took."""
    from rich.table import Table
    from rich.text import Text

    table = Table("trainings of", box=None, pad_edge=False)
    arms: dict[str, dict[str, Any]] = results.metrics["consumed"]
    for name in next(iter(arms.values())):
        table.add_column(name, justify="right")
    table.add_column("seconds of all steps", justify="right")
    for arm, counts in arms.items():
        numbers = ["not known" if count is None else f"{count:,}" for count in counts.values()]
        table.add_row(Text(arm), *numbers, f"{results.timing['arms'][arm]:,.0f}")
    return table
