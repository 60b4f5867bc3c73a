"""``biddable export``: a run's model as a folder that other libraries open."""

from __future__ import annotations

import click

from biddable.cli.commands import Command
from biddable.cli.output import folder_name, tell
from biddable.errors import InputError


@click.command(cls=Command)
@click.argument("model", metavar="RUN")
@click.argument("folder", metavar="DIR", callback=lambda *given: folder_name(*given))
@click.option(
    "--merge/--no-merge",
    default=True,
    show_default=True,
    help="Add an adapter to its base's weights, or write the adapter, which names its base.",
)
def export(model: str, folder: str, merge: bool) -> None:
    """Write the model that a run left as a Hugging Face folder.

    RUN may also be a folder of a model, a .gguf file or another model whose weights are here. Reward models
    stay sequence classifiers. DIR must be new or empty.

    \b
    Examples:
      biddable export runs/spar ./my-model
      biddable export runs/spar ./my-adapter --no-merge
    """
    from biddable.models.export import export as write

    try:
        write(model, folder, merge=merge)
    except InputError as error:
        raise InputError(
            {"folder": "DIR", "model": "RUN"}[error.field], error.value, error.expected
        ) from None
    tell(f"the model is in {folder}")
