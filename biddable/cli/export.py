"""``biddable export``: a run's model as a folder that other libraries open, or a data set in their form."""

from __future__ import annotations

from typing import Any

import click

from biddable.cli.commands import Command
from biddable.cli.output import folder_name, tell
from biddable.errors import InputError

_NAMES = {"folder": "DIR", "model": "RUN", "source": "RUN", "framework": "--for", "kind": "--kind"}


@click.command(cls=Command)
@click.argument("model", metavar="RUN")
@click.argument("folder", metavar="DIR", callback=lambda *given: folder_name(*given))
@click.option(
    "--merge/--no-merge",
    default=True,
    show_default=True,
    help="Add an adapter to its base's weights, or write the adapter, which names its base.",
)
@click.option(
    "--for",
    "framework",
    type=click.Choice(["trl", "axolotl", "llamafactory"]),
    help="Write the data that RUN left (or a file, a folder, hf:NAME) as this framework reads them.",
)
@click.option(
    "--kind",
    type=click.Choice(["conversations", "preferences"]),
    help="With --for, which rows.  [default: what there are]",
)
@click.pass_context
def export(
    ctx: click.Context, model: str, folder: str, merge: bool, framework: str | None, kind: Any
) -> None:
    """Write the model that a run left as a Hugging Face folder, or its data for another framework.

    RUN may also be a folder of a model, a .gguf file or another model whose weights are here. Reward models
    stay sequence classifiers. DIR must be new or empty.

    With --for, DIR gets the rows to learn from (train), those that are held out (test), and the settings that
    the framework needs: which columns, and which turns are learned.

    \b
    Examples:
      biddable export runs/spar ./my-model
      biddable export runs/spar ./my-adapter --no-merge
      biddable export runs/data ./for-trl --for trl
      biddable export prefs.jsonl ./for-llamafactory --for llamafactory
    """
    given = click.core.ParameterSource.COMMANDLINE
    try:
        if framework:
            if ctx.get_parameter_source("merge") is given:
                raise InputError("--merge", "given", "nothing beside --for: data are not merged")
            from biddable.methods.datasets import export_data

            exported = export_data(model, folder, framework, kind)
            for note in exported.notes:
                tell(f"note: {note}")
            rows = ", ".join(f"{number:,} rows in {name}" for name, number in exported.rows.items())
            tell(
                f"{folder}: {rows}; {', '.join(name for name in exported.files if name not in exported.rows)}"
            )
            return
        if kind:
            raise InputError("--kind", kind, "--for beside it: a model has no rows")
        from biddable.models.export import export as write

        write(model, folder, merge=merge)
    except InputError as error:
        name = _NAMES.get(error.field, error.field)
        raise InputError(name, error.value, error.expected, where=error.where) from None
    tell(f"the model is in {folder}")
