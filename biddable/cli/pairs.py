"""``biddable judge pairwise`` and ``rate``: which of two responses is better, and how good each is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import click

from biddable.cli.commands import Command
from biddable.cli.judge import strip_thinking_option, verdict_table, warn
from biddable.cli.output import ascii_json, json_option, print_json, print_table, replaceable, say, tell
from biddable.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from biddable.judges.pairwise import PairSummary, PairVerdict
    from biddable.runs.win_rate import WinRate
    from biddable.tasks.pairs import Pair, Paired
    from biddable.types import Response, Task

_NO_TERMS = (
    "Length-controlled: at equal lengths, by logistic regression on the difference of lengths; without "
    "AlpacaEval's terms for each instruction, so near that leaderboard's figure, and not the same."
)
_ROWS = "generate's output, AlpacaEval's outputs, or lines with a prompt or id and a response"

_criteria = click.option(
    "--criteria", metavar="TEXT", help="What counts, in words, for a language model that judges."
)
_out = click.option(
    "--out",
    metavar="FILE",
    help="Write a line for each verdict to this file, at the end; until then FILE.part keeps what is "
    "finished, and the same command goes on from there.",
)


@click.command(cls=Command)
@click.option("--responses", metavar="FILE", help=f"The responses to judge: {_ROWS}.")
@click.option("--baseline", metavar="FILE", help="The responses that they are compared with, likewise.")
@click.option(
    "--judge",
    "spec",
    metavar="JUDGE",
    help="pairwise:MODEL is shown both; rating:MODEL, rules, hf:DIR, a run … are compared by their scores.",
)
@click.option(
    "--annotations", metavar="FILE", help="Count preferences that are there already, in AlpacaEval's form."
)
@_criteria
@strip_thinking_option
@_out
@json_option
def pairwise(
    responses: str | None,
    baseline: str | None,
    spec: str | None,
    annotations: str | None,
    criteria: str | None,
    strip_thinking: bool,
    out: str | None,
    as_json: bool,
) -> None:
    """Compare two files of responses to the same prompts: how often is the one better?

    A model that judges (pairwise:MODEL) is shown both responses, in both orders: what it says both times
    counts, else the pair is a tie, which is half a win. Responses are joined by prompt, else by id; what one
    file alone has is left out, and named. A response that could not be had loses. The win rate is also given
    as it would be if both were as long.

    \b
    Examples:
      biddable judge pairwise --responses tuned.jsonl --baseline base.jsonl --judge pairwise:smollm2
      biddable judge pairwise --responses tuned.jsonl --baseline base.jsonl --judge runs/rm --json
      biddable judge pairwise --annotations annotations.json
    """
    from biddable.judges.pairwise import pair_notes, summarize_pairs

    target = None if out is None else _target(out, responses, baseline, annotations)
    if annotations is not None:
        given = {"--responses": responses, "--baseline": baseline, "--judge": spec, "--criteria": criteria}
        for option, value in given.items():
            if value is not None:
                raise InputError(option, value, "nothing beside --annotations, which is judged already")
        judged = annotations
        paired, verdicts = _annotated(annotations, strip_thinking)
    else:
        for option, value in (("--responses", responses), ("--baseline", baseline), ("--judge", spec)):
            if value is None:
                raise InputError(option, None, "a value; or --annotations FILE instead of all three")
        judged = _with_criteria(str(spec), criteria)
        paired, verdicts = _compared(str(responses), str(baseline), judged, strip_thinking, target)
    tasks, first, second = _columns(paired)
    names = _names(paired, responses, baseline)
    if target is not None:
        lines = [_pair_row(*each, names, judged) for each in zip(paired.pairs, verdicts, strict=True)]
        _write(target, lines, judged=annotations is None)
    summary = summarize_pairs(verdicts, first, second, paired.clusters)
    notes = pair_notes(summary, first, second)
    if summary.win_rate.controlled is None:
        notes.append(f"No length-controlled win rate: {summary.win_rate.problem}.")
    notes += paired.notes
    warn("pair", [], notes)
    if as_json:
        rows = [{"task": task.id, **asdict(verdict)} for task, verdict in zip(tasks, verdicts, strict=True)]
        print_json(
            {
                "judge": judged,
                "model": names[0],
                "baseline": names[1],
                **asdict(summary.win_rate),
                "order": summary.order,
                "reasons": summary.undecided,
                "only_responses": paired.only[0],
                "only_baseline": paired.only[1],
                "by_id": paired.by_id,
                "verdicts": rows,
            }
        )
    else:
        said = "preferences of" if annotations is not None else "judged by"
        say(f"{names[0]} beside {names[1]}: {len(verdicts)} pairs, {said} {judged}")
        print_table(_pair_table(summary))
        say("\n".join(["", *_tested(summary.win_rate), *notes]))
    if target is not None:
        tell(f"{len(verdicts)} verdicts in {out}")


def _annotated(path: str, strip_thinking: bool) -> tuple[Paired, list[PairVerdict]]:
    from biddable.judges.pairwise import PairVerdict
    from biddable.tasks.pairs import read_annotations

    paired = _stripped(read_annotations(path)) if strip_thinking else read_annotations(path)
    reasons = ("no preference" if pair.win is None else "" for pair in paired.pairs)
    verdicts = [PairVerdict(pair.win, (), why) for pair, why in zip(paired.pairs, reasons, strict=True)]
    return paired, verdicts


def _compared(
    responses: str, baseline: str, spec: str, strip_thinking: bool, target: Path | None
) -> tuple[Paired, list[PairVerdict]]:
    from biddable.judges.pairwise import load_pair_judge
    from biddable.suites.judging import compared
    from biddable.tasks.pairs import join_answers, read_answers

    paired = join_answers(read_answers(responses), read_answers(baseline), (responses, baseline))
    if strip_thinking:
        paired = _stripped(paired)
    return paired, compared(spec, load_pair_judge(spec), *_columns(paired), target)


def _stripped(paired: Paired) -> Paired:
    pairs = (
        replace(pair, first=_thoughtless(pair.first), second=_thoughtless(pair.second))
        for pair in paired.pairs
    )
    return replace(paired, pairs=tuple(pairs))


def _thoughtless(response: Response) -> Response:
    from biddable.judges.thinking import without_thinking

    return replace(response, text=without_thinking(response.text))


@click.command(cls=Command)
@click.option("--responses", required=True, metavar="FILE", help=f"The responses to judge: {_ROWS}.")
@click.option(
    "--judge", "spec", required=True, metavar="JUDGE", help="rating:MODEL, or any other judge of responses."
)
@_criteria
@strip_thinking_option
@_out
@json_option
def rate(
    responses: str, spec: str, criteria: str | None, strip_thinking: bool, out: str | None, as_json: bool
) -> None:
    """Judge the responses of one file, with their prompts as they stand beside them.

    rating:MODEL lets a language model rate from 1 to 5 (?scale=9: to 9); the score is the rating from 0
    (worst) to 1 (best).

    \b
    Examples:
      biddable judge rate --responses answers.jsonl --judge rating:smollm2
      biddable judge rate --responses answers.jsonl --judge rating:smollm2 --criteria "how polite it is"
    """
    from biddable.judges.load import load_judge
    from biddable.judges.summary import summarize_verdicts
    from biddable.suites.judging import rated
    from biddable.tasks.pairs import read_answers

    target = None if out is None else _target(out, responses)
    judged = _with_criteria(spec, criteria)
    tasks: list[Task] = []
    texts: list[Response] = []
    for answer in read_answers(responses):
        if answer.task is None:
            raise InputError("prompt", None, "a prompt (or messages, instruction …)", where=answer.where)
        tasks.append(answer.task)
        texts.append(_thoughtless(answer.response) if strip_thinking else answer.response)
    verdicts = rated(judged, load_judge(judged), tasks, texts, target)
    summary = summarize_verdicts(verdicts, [task.prompt for task in tasks])
    missing = [(task.id, each.error) for task, each in zip(tasks, texts, strict=True) if each.error]
    notes = [f"{len(missing)} of {summary.n} responses could not be had and do not pass."] if missing else []
    if (prompts := len({task.prompt for task in tasks})) < len(tasks):
        notes.append(f"{prompts} prompt{'s' * (prompts > 1)}: responses to one prompt are counted together.")
    unscored = [
        verdict.critique
        for verdict, each in zip(verdicts, texts, strict=True)
        if verdict.score is None and not each.error
    ]
    if unscored:
        notes.append(f"{len(unscored)} of {summary.n} got no score; the first: {unscored[0] or 'no reason'}.")
    warn("prompt", missing, notes)
    rows = [{"task": task.id, **asdict(verdict)} for task, verdict in zip(tasks, verdicts, strict=True)]
    if target is not None:
        lines = [
            {**_prompt(task), "response": each.text, **row}
            for task, each, row in zip(tasks, texts, rows, strict=True)
        ]
        _write(target, lines, judged=True)
    if as_json:
        print_json({"judge": judged, **asdict(summary), "missing": len(missing), "verdicts": rows})
    else:
        say(f"{summary.n} responses, judged by {judged}")
        print_table(verdict_table(summary, []))
        if notes:
            say("\n".join(["", *notes]))
    if target is not None:
        tell(f"{len(verdicts)} verdicts in {out}")


def _target(out: str, *sources: str | None) -> Path:
    """The file to write, which must be none of those that are read."""
    target = replaceable("--out", out)
    for source in sources:
        if source is not None and os.path.realpath(source) == str(target):
            raise InputError("--out", out, "another file than the one that is judged")
    return target


def _with_criteria(spec: str, criteria: str | None) -> str:
    """The judge's name with the criteria among its options."""
    if criteria is None:
        return spec
    return f"{spec}{'&' if '?' in spec else '?'}criteria={quote_plus(criteria)}"


def _columns(paired: Paired) -> tuple[list[Task], list[Response], list[Response]]:
    pairs = paired.pairs
    return [pair.task for pair in pairs], [pair.first for pair in pairs], [pair.second for pair in pairs]


def _names(paired: Paired, responses: str | None, baseline: str | None) -> tuple[str, str]:
    """What the two are called: as their rows say, else as their files, as far as that tells them apart."""
    if all(paired.names) and paired.names[0] != paired.names[1]:
        return paired.names
    if responses is None or baseline is None:
        return "output_2", "output_1"
    short = os.path.basename(responses), os.path.basename(baseline)
    return short if short[0] != short[1] else (responses, baseline)


def _pair_row(pair: Pair, verdict: PairVerdict, names: tuple[str, str], judged: str) -> dict[str, Any]:
    """A verdict as an annotation in AlpacaEval's form, which --annotations reads."""
    return {
        "id": pair.task.id,
        **_prompt(pair.task),
        "output_1": pair.second.text,
        "generator_1": names[1],
        "output_2": pair.first.text,
        "generator_2": names[0],
        "annotator": judged,
        "preference": None if verdict.win is None else 1 + verdict.win,
        "first_place": list(verdict.first_place),
        "critique": verdict.critique,
    }


def _prompt(task: Task) -> dict[str, Any]:
    if isinstance(task.prompt, str):
        return {"text": task.prompt}
    if len(task.prompt) == 1 and task.prompt[0].role == "user":
        return {"prompt": task.prompt[0].content}
    return {"messages": [{"role": turn.role, "content": turn.content} for turn in task.prompt]}


def _write(target: Path, rows: Sequence[dict[str, Any]], *, judged: bool) -> None:
    from biddable.runs.files import write_atomic
    from biddable.suites.answers import finished

    write_atomic(target, "".join(ascii_json(row) + "\n" for row in rows))
    if judged:
        finished(target)


def _tested(rate: WinRate) -> list[str]:
    """The test and the lengths, and how the rate at equal lengths came about."""
    tested = "" if rate.p is None else f"Wins against losses: {rate.test}, p = {rate.p:.2g}. "
    lengths = f"Mean length {rate.length:.0f} characters, the baseline's {rate.baseline_length:.0f}."
    return [tested + lengths, *([_NO_TERMS] if rate.controlled else [])]


def _pair_table(summary: PairSummary) -> Table:
    """The win rate, raw and at equal lengths, what it is made of, and what the order did."""
    from rich.table import Table

    rate, order = summary.win_rate, summary.order
    table = Table(box=None, pad_edge=False)
    for column, justify in (("", "left"), ("mean", "right"), ("n", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]  # a literal
    table.add_row("win rate", _interval(rate.rate, rate.interval), str(rate.n), style="bold")
    if controlled := rate.controlled:
        value = _interval(controlled.rate, controlled.interval)
        table.add_row("  length-controlled", value, str(rate.n), style="bold")
    for name, count in (("wins", rate.wins), ("ties", rate.ties), ("losses", rate.losses)):
        table.add_row(f"  {name}", f"{count / rate.n:.3f}", str(count))
    if order:
        shares = {"first place chosen": order.first_place, "same in both orders": order.consistent}
        for name, mean in shares.items():
            table.add_row(name, _interval(mean.value, mean.interval), str(mean.n))
    table.add_row("undecided", str(rate.undecided), str(rate.n + rate.undecided))
    return table


def _interval(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.3f}" + ("" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]")
