"""``biddable generate``: responses to a file of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from biddable.cli.judge import strip_thinking_option, warn
from biddable.cli.output import ascii_json, printing, replaceable, tell
from biddable.cli.served import served_options
from biddable.errors import EndpointError, FileError, InputError

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions
    from biddable.types import Chat, Response

ADDED = {"responses", "response", "finish_reasons", "finish_reason", "error"}
"""Fields that ``generate`` adds to a row."""

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


@click.command()
@click.argument("model")
@click.option(
    "--prompts", required=True, metavar="FILE", help="Lines with a prompt (a text) or messages (a chat)."
)
@click.option("--out", required=True, metavar="FILE", help="The file to write; - is the standard output.")
@click.option(
    "--n", "count", type=click.IntRange(1), default=1, show_default=True, help="Responses to each prompt."
)
@strip_thinking_option
@sampling_options
@served_options
def generate(
    model: str,
    prompts: str,
    out: str,
    count: int,
    strip_thinking: bool,
    seed: int,
    served: ServedOptions | None,
    **sampling: Any,
) -> None:
    """Let a model answer a file of prompts.

    Each line of --prompts is {"prompt": "…"} or {"messages": [{"role": "user", "content": "…"}, …]}.
    --out gets the same lines, every field kept, with "responses": ["…", …] and "finish_reasons" added, and
    with "response" and "finish_reason" where there is one of them. A prompt that the model does not answer
    has "error" beside an empty response. The file is written whole, at the end.

    \b
    Examples:
      biddable generate smollm2 --prompts prompts.jsonl --out answers.jsonl
      biddable generate runs/spar --prompts prompts.jsonl --out answers.jsonl --n 4 --temperature 0.7
      biddable generate openai:NAME@http://localhost:8000 --prompts prompts.jsonl --out answers.jsonl
    """
    import numpy as np

    from biddable.judges.thinking import has_thinking, without_thinking
    from biddable.methods.answers import not_plain
    from biddable.models.base import Sampling
    from biddable.models.load import load_model
    from biddable.runs.files import write_atomic

    how = Sampling(**sampling)
    target = None if out == "-" else replaceable("--out", out)
    rows = _read(prompts)
    seeds = [int(np.random.SeedSequence([seed, i]).generate_state(1)[0]) for i in range(len(rows))]
    places, chats = [place for place, _, _ in rows], [chat for _, _, chat in rows]
    try:
        loaded = load_model(model, served=served)
        answers = loaded.generate(chats, n=count, sampling=how, seeds=seeds)
    except InputError as error:  # raised only where no prompt can be answered
        raise error.at(places[0]) if error.field == "prompt" else error from None
    thinking = sum(has_thinking(found.text) for responses in answers for found in responses)
    if strip_thinking:
        answers = [[replace(one, text=without_thinking(one.text)) for one in found] for found in answers]
    failed = _failed(places, answers)
    responses = [one for found in answers for one in found]
    notes = not_plain(
        len(responses),
        cut_off=sum(one.finish_reason == "length" for one in responses),
        max_tokens=how.max_tokens,
        empty=sum(not one.text.strip() and not one.error for one in responses),
        thinking=thinking,
        thinking_removed=strip_thinking,
    )
    if failed:
        notes = [f"{len(failed)} of {len(responses)} answers could not be had; the rows say why.", *notes]
    warn("prompt", failed, notes)
    lines = [
        ascii_json(_answered(row, found)) + "\n" for (_, row, _), found in zip(rows, answers, strict=True)
    ]
    if target is None:
        with printing():
            click.echo("".join(lines), nl=False)
    else:
        write_atomic(target, "".join(lines))
        tell(f"{len(responses) - len(failed)} responses in {out}")


def _read(path: str) -> list[tuple[str, dict[str, Any], Chat]]:
    """Each row's place, the row, and the chat to answer."""
    from biddable.tasks.chats import asked, read_chat
    from biddable.tasks.rows import read_values

    rows, answered = [], 0
    for row in read_values(path):
        try:
            chat = read_chat(row.value)
            rows.append((row.where, row.value, asked(chat)))
        except InputError as error:
            raise error.at(row.where) from None
        answered += chat[-1].role == "assistant"
    if not rows:
        raise FileError(path, "holds no prompts")
    if answered:
        note = "end with an answer of the assistant's, which is left off and asked for anew"
        tell(f"warning: {answered} of {len(rows)} chats {note}")
    return rows


def _answered(row: dict[str, Any], responses: Sequence[Response]) -> dict[str, Any]:
    """A row with its responses; what an earlier ``generate`` added to it is gone."""
    texts, reasons = [one.text for one in responses], [one.finish_reason for one in responses]
    added: dict[str, Any] = {"responses": texts, "finish_reasons": reasons}
    if len(responses) == 1:
        added |= {"response": texts[0], "finish_reason": reasons[0]}
    if error := next((one.error for one in responses if one.error), ""):
        added["error"] = error
    return {**{name: value for name, value in row.items() if name not in ADDED}, **added}


def _failed(places: Sequence[str], answers: Sequence[Sequence[Response]]) -> list[tuple[str, str]]:
    """The place of the prompt of each answer that could not be had, and the reason.

    Raises:
        EndpointError: not one could be had.
    """
    pairs = [(place, one) for place, found in zip(places, answers, strict=True) for one in found]
    failed = [(place, one.error) for place, one in pairs if one.error]
    if len(failed) == len(pairs):
        place, reason = failed[0]
        others = f" (none of {len(answers)} prompts was answered)" if len(answers) > 1 else ""
        raise EndpointError(f"{place}: {reason}{others}")
    return failed
