"""``biddable judge SUITE``: score responses that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from biddable.cli.commands import Group
from biddable.cli.output import json_option, print_json, print_table, say, tell
from biddable.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from biddable.judges.ifeval import IFEvalReport
    from biddable.judges.summary import VerdictSummary
    from biddable.tasks.responses import Matched
    from biddable.types import Task

NAMED = 10
"""Tasks without an answer that are named; the rest is counted."""

strip_thinking_option = click.option(
    "--strip-thinking",
    is_flag=True,
    help="Take blocks of thinking (<think>…</think> and the like) off the answers.",
)


@click.group(cls=Group)
def judge() -> None:
    """Score responses by the rules of their tasks, which need no model, or by another judge.

    \b
    Examples:
      biddable judge ifeval --tasks input_data.jsonl --responses responses.jsonl
      biddable judge ifeval --tasks mine.jsonl --responses responses.jsonl --judge runs/rm
    """


@judge.command()
@click.option("--tasks", required=True, metavar="FILE", help="The benchmark's input_data.jsonl.")
@click.option("--responses", required=True, metavar="FILE", help='Lines of {"prompt": "…", "response": "…"}.')
@click.option(
    "--judge",
    "spec",
    default="rules",
    show_default=True,
    metavar="JUDGE",
    help="rules: the official checkers; or answer, lm:MODEL, rating:MODEL, hf:DIR, a run folder.",
)
@click.option("--fixed", is_flag=True, help="Use the repaired rules; scores then differ from published ones.")
@strip_thinking_option
@json_option
def ifeval(tasks: str, responses: str, spec: str, fixed: bool, strip_thinking: bool, as_json: bool) -> None:
    """Score responses to IFEval prompts as the official checkers do.

    The rules of IFEval, IFBench and M-IFEval are known. A response belongs to the task with its prompt, else
    with its key. A task without one counts as not followed; a task with a rule that cannot be decided here is
    left out, and named. The samples that lm-eval logs are read as well. With --judge the verdicts of another
    judge are counted, and --json lists each; a judge that is a model needs prompts only, without rules.

    \b
    Examples:
      biddable judge ifeval --tasks input_data.jsonl --responses responses.jsonl
      biddable judge ifeval --tasks input_data.jsonl --responses responses.jsonl --judge 'lm:smollm2?votes=3'
      biddable judge ifeval --tasks IFBench_test.jsonl --responses responses.jsonl --json
    """
    from biddable.judges.ifeval import evaluate, prompts
    from biddable.suites.instructions import remarks, summarize
    from biddable.tasks.data import read_tasks
    from biddable.tasks.ifeval import load_ifeval
    from biddable.tasks.responses import load_responses, match

    asked = load_ifeval(tasks) if spec == "rules" else read_tasks(tasks)
    matched = match(asked, load_responses(responses), responses)
    if spec != "rules":
        if fixed:
            raise InputError("--fixed", True, f"no --judge beside it: {spec} is no rules?fixed=true")
        _by_judge(spec, asked, matched, strip_thinking, as_json)
        return
    ready = prompts.decidable(asked, fixed=fixed)
    if not ready.tasks:
        expected = f"a task whose rules can be decided here: {ready.left_out[0][1]}"
        raise InputError("--tasks", tasks, expected)
    left_out = dict(ready.left_out)
    answers = [each for task, each in zip(asked, matched.responses, strict=True) if task.id not in left_out]
    report = evaluate(ready.tasks, answers, fixed=fixed, strip_thinking=strip_thinking)
    notes = [*remarks(report), *prompts.remarks(ready.tasks, ready.left_out), *matched.notes]
    warn("task", report.unanswered, notes)
    if as_json:
        print_json(
            {
                **summarize(report),
                **missing("missing", report),
                "cut_off": report.cut_off,
                "empty": report.empty,
                "thinking": report.thinking,
                "max_tokens": matched.max_tokens,
                "left_out": left_out,
                "edited": dict(matched.edited),
                "at_odds": prompts.all_at_odds(ready.tasks),
            }
        )
    else:
        print_table(accuracy_table("IFEval", report, notes))


def _by_judge(
    spec: str, tasks: Sequence[Task], matched: Matched, strip_thinking: bool, as_json: bool
) -> None:
    """Print what any judge says of the responses."""
    from biddable.judges.load import load_judge
    from biddable.judges.summary import judge_responses, summarize_verdicts
    from biddable.judges.thinking import without_thinking

    responses = matched.responses
    if strip_thinking:
        responses = tuple(replace(each, text=without_thinking(each.text)) for each in responses)
    verdicts = judge_responses(load_judge(spec), tasks, responses)
    summary = summarize_verdicts(verdicts)
    missing = [(task.id, each.error) for task, each in zip(tasks, responses, strict=True) if each.error]
    notes = [f"{len(missing)} of {summary.n} tasks have no answer and do not pass."] if missing else []
    notes += matched.notes
    if summary.unscored > len(missing):
        notes.append(f"{summary.unscored - len(missing)} of {summary.n} answers got no score.")
    warn("task", missing, notes)
    if as_json:
        rows = [{"task": task.id, **asdict(verdict)} for task, verdict in zip(tasks, verdicts, strict=True)]
        print_json({"judge": spec, **asdict(summary), "missing": len(missing), "verdicts": rows})
    else:
        say(f"{summary.n} responses, judged by {spec}")
        print_table(verdict_table(summary, notes))


def verdict_table(summary: VerdictSummary, notes: Sequence[str]) -> Table:
    """Share passed and mean score with their intervals, then each check, and below them ``notes``."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column, justify in (("", "left"), ("mean", "right"), ("n", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]  # a literal
    for name, mean in (("passed", summary.passed), ("score", summary.score)):
        if mean is not None:
            low_high = "" if mean.interval is None else f" [{mean.interval[0]:.3f}, {mean.interval[1]:.3f}]"
            table.add_row(name, f"{mean.value:.3f}{low_high}", str(mean.n), style="bold")
    table.add_row("undecided", str(summary.undecided), str(summary.n))
    for name, mean in summary.checks.items():
        table.add_row(Text(f"  {name}"), f"{mean.value:.3f}", str(mean.n))
    table.caption = Text("\n".join(notes)) if notes else None
    table.caption_justify = "left"
    return table


def warn(kind: str, unanswered: Sequence[tuple[str, str]], notes: Sequence[str]) -> None:
    """Say on stderr which of a kind (tasks, prompts) have no answer, and what else a reader must know."""
    for name, reason in unanswered[:NAMED]:
        tell(f"warning: {kind} {name} has no answer: {reason}")
    if more := len(unanswered[NAMED:]):
        tell(f"warning: and {more} more have no answer")
    for note in notes:
        tell(f"warning: {note}")


def missing(name: str, report: IFEvalReport) -> dict[str, Any]:
    """How many tasks have no answer, and which, as ``refused`` and ``refused_tasks``."""
    listed = [{"task": task, "reason": reason} for task, reason in report.unanswered]
    return {name: len(listed), f"{name}_tasks": listed}


def accuracy_table(title: str, report: IFEvalReport, notes: Sequence[str]) -> Table:
    """The four accuracies with their intervals, then each type of instruction, and below them ``notes``."""
    from rich.table import Table
    from rich.text import Text

    # As Text, so that nothing in a name is taken for markup.
    caption = Text(f"{title}: {report.n_prompts} prompts, {report.n_instructions} instructions")
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
        table.add_row(Text(f"  {name}"), f"{found.strict:.3f}", f"{found.loose:.3f}", str(found.n))
    degenerate = (
        f"{report.degenerate:.1%} of the responses repeat themselves, copy the prompt or say nothing."
    )
    table.caption = Text("\n".join([degenerate, *notes]))
    table.caption_justify = "left"
    return table


def _with_interval(report: IFEvalReport, metric: Any) -> str:
    low, high = report.interval(metric)
    return f"{getattr(report, metric):.3f} [{low:.3f}, {high:.3f}]"
