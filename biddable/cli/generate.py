"""``biddable generate``: responses to many prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from biddable.cli.commands import Command
from biddable.cli.judge import strip_thinking_option, warn
from biddable.cli.output import executor_option, printing, replaceable, tell
from biddable.cli.served import served_options

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions
    from biddable.runs.executors import Executor
    from biddable.types import Response

_SAMPLING = (
    click.option(
        "--temperature",
        type=click.FloatRange(0),
        default=1.0,
        show_default=True,
        help="0: the likeliest token.",
    ),
    click.option(
        "--top-p",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="Draw from the likeliest tokens that make up this share of probability.",
    ),
    click.option(
        "--top-k",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Draw from this many of the likeliest tokens; 0: from all.",
    ),
    click.option(
        "--max-tokens",
        type=click.IntRange(1),
        default=256,
        show_default=True,
        help="Longest response, in tokens.",
    ),
    click.option(
        "--stop", multiple=True, metavar="TEXT", help="A response ends before this; may be repeated."
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="What random draws are derived from.",
    ),
)


def sampling_options(command: Any) -> Any:
    """How to draw a response; the defaults filter nothing."""
    for option in reversed(_SAMPLING):
        command = option(command)
    return command


prompt_option = click.option(
    "--prompt",
    "around",
    type=click.Path(exists=True),
    metavar="PROMPT",
    help="What stands around every input: a run that found a prompt (biddable run ape), a prompt.json, or a "
    "text file with an instruction.",
)


@click.command(cls=Command)
@click.argument("model")
@click.option(
    "--prompts",
    required=True,
    metavar="SOURCE",
    help="What to answer: a file, a folder, a run, or hf:OWNER/NAME (docs/data.md lists the shapes of rows).",
)
@click.option("--out", required=True, metavar="FILE", help="The file to write; - is the standard output.")
@click.option(
    "--n", "count", type=click.IntRange(1), default=1, show_default=True, help="Responses to each prompt."
)
@prompt_option
@strip_thinking_option
@sampling_options
@served_options
@executor_option
def generate(
    model: str,
    prompts: str,
    out: str,
    count: int,
    around: str | None,
    strip_thinking: bool,
    seed: int,
    served: ServedOptions | None,
    executor: Executor,
    **sampling: Any,
) -> None:
    """Let a model answer many prompts.

    A row of --prompts is {"prompt": "…"}, {"messages": [{"role": "user", "content": "…"}, …]}, a question
    of a table, or {"text": "…"}, which is continued as it stands. Files are JSON lines, a JSON list, CSV,
    TSV or Parquet. --out gets the same rows as JSON lines, every field kept, with "responses": ["…", …] and
    "finish_reasons" added, and with "response" and "finish_reason" where there is one of them. A prompt that
    the model does not answer has "error" beside an empty response. The file is written whole, at the end;
    until then FILE.part keeps what is finished, and the same command goes on from there. Prompts are decoded
    128 side by side, and kept when all of these are finished.

    \b
    Examples:
      biddable generate smollm2 --prompts prompts.jsonl --out answers.jsonl
      biddable generate runs/spar --prompts prompts.jsonl --out answers.jsonl --n 4 --temperature 0.7
      biddable generate smollm2 --prompts inputs.csv --prompt runs/ape --out answers.jsonl --temperature 0
      biddable generate openai:NAME@http://localhost:8000 --prompts prompts.jsonl --out answers.jsonl
    """
    from biddable.methods import generate as generating
    from biddable.models.base import Sampling

    how, target = Sampling(**sampling), None if out == "-" else replaceable("--out", out)
    rows = generating.read_prompt_rows(prompts, seed, around)
    if answered := sum(row.answered for row in rows):
        note = "end with an answer of the assistant's, which is left off and asked for anew"
        tell(f"warning: {answered} of {len(rows)} chats {note}")
    asking: dict[str, Any] = {"n": count, "sampling": how, "served": served, "executor": executor}
    if target is not None:
        result = generating.generate_file(model, rows, target, strip_thinking=strip_thinking, **asking)
    else:
        responses: list[list[Response]] = []
        for batch in generating.generate_batches(model, rows, **asking):
            begun = rows[len(responses) : len(responses) + len(batch)]
            with printing():
                for row, each in zip(begun, batch, strict=True):
                    click.echo(generating.line(row, each, strip_thinking), nl=False)
            responses += batch
        result = generating.summary(rows, responses, how, strip_thinking)
    warn("prompt", result.failed, result.notes)
    if target is not None:
        tell(f"{result.responses} responses in {out}")
