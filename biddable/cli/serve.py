"""``biddable serve``: a model for OpenAI's clients."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from contextlib import suppress

import click

from biddable.cli.commands import Command
from biddable.cli.generate import prompt_option
from biddable.cli.output import say, tell
from biddable.errors import InputError

STOPPING = 2.0
"""Seconds that what is computed has to come to an end of its own, once nobody waits for it."""


@click.command(cls=Command)
@click.argument("model", metavar="RUN|MODEL")
@prompt_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0: a free one, which is printed.",
)
@click.option(
    "--api-key",
    metavar="KEY",
    envvar="BIDDABLE_API_KEY",
    help="What clients have to show; better in the environment, as BIDDABLE_API_KEY, where nobody sees it.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1),
    metavar="N",
    help="Responses computed at a time.  [default: 16, or what fits in memory]",
)
@click.option(
    "--context",
    type=click.IntRange(2),
    metavar="TOKENS",
    help="Most tokens of a prompt and its response together.  [default: 4096, or what the model has]",
)
@click.option(
    "--queue",
    type=click.IntRange(0),
    default=64,
    show_default=True,
    metavar="N",
    help="Responses that may wait; more are refused with 429.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for one request.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long what is under way may take once the server is told to stop.",
)
def serve(
    model: str,
    around: str | None,
    host: str,
    port: int,
    api_key: str | None,
    parallel: int | None,
    context: int | None,
    queue: int,
    timeout: float,
    grace: float,
) -> None:
    """Serve a model to OpenAI's clients.

    Chat completions and completions, with streams, seeds, n, stop and log-probabilities. Requests join those
    that are computed already. Ctrl-C stops taking requests and finishes those under way.

    \b
    Examples:
      biddable serve smollm2
      biddable serve runs/spar --port 0
      biddable serve smollm2 --prompt instruction.txt
      BIDDABLE_API_KEY=$(openssl rand -hex 16) biddable serve smollm2 --host 0.0.0.0
    """
    from biddable.tasks.templates import read_prompt

    key = _usable(api_key)
    template = None if around is None else read_prompt(around)
    choices = template.choices if template is not None else ()
    for option, seconds in (("--timeout", timeout), ("--grace", grace)):
        if not math.isfinite(seconds):
            raise InputError(option, seconds, "a finite number of seconds")
    from biddable.serve import server

    listener = server.open_socket(host, port)
    with listener:
        service = server.load_service(
            model,
            template=template,
            rows=parallel,
            context=context,
            queue=queue,
            seconds=timeout,
            api_key=key,
        )
        if not key and not server.is_loopback(host):
            tell(f"warning: {host} is reached from elsewhere, and without --api-key anybody may ask")

        def ready(address: str) -> None:
            limit = service.limits.context
            room = "" if limit is None else f", {limit} tokens of context"
            joins = "" if service.backend.joins else "; a request does not join others"
            chooses = f"; it answers with one of {len(choices)} choices" if choices else ""
            say(
                f"serving {service.name} at {address}: {service.backend.rows} at a time{room}{joins}{chooses}"
            )
            say("next:\n  " + "\n  ".join(_next_steps(service.name, address, guarded=bool(key))))

        server.Server(service, listener, grace, ready).answer()
    tell("stopped")
    if not service.backend.ended(STOPPING):
        # PyTorch aborts the process where the interpreter ends while a thread of it computes.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(0)


def _next_steps(name: str, address: str, *, guarded: bool) -> list[str]:
    """What to type next."""
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "Name three rivers."}]})
    key = '-H "Authorization: Bearer $BIDDABLE_API_KEY" ' if guarded else ""
    header = f"-H 'Content-Type: application/json' {key}"
    asking = f"biddable generate {shlex.quote(f'openai:{name}@{address}')} --prompts FILE --out answers.jsonl"
    given = "OPENAI_API_KEY=$BIDDABLE_API_KEY " if guarded else ""
    return [f"curl {address}/v1/chat/completions {header}-d {shlex.quote(body)}", given + asking]


def _usable(key: str | None) -> str:
    """The key to ask for; "" for none. Raises InputError: no client could send it."""
    if key is None:
        return ""
    if not key or not (key.isascii() and key.isprintable() and " " not in key):
        raise InputError("--api-key", "(not shown)", "printable ASCII without spaces")
    return key
