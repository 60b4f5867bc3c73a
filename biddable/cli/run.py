"""``biddable run METHOD``: every method is a command whose options are its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from biddable import registry
from biddable.cli.commands import Group
from biddable.cli.flags import flag, written_as_flags
from biddable.cli.output import executor_option, folder_name, json_option, print_results

if TYPE_CHECKING:
    from biddable.methods.base import Method
    from biddable.runs.executors import Executor


class _Methods(Group):
    """The registered methods, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return registry.names("methods")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        return _command(cmd_name, registry.find("methods", cmd_name))


@click.group(cls=_Methods, subcommand_metavar="METHOD [OPTIONS]")
def run() -> None:
    """Run a method and print what came of its claims.

    The run folder keeps everything: the same command again goes on where it stopped.

    \b
    Examples:
      biddable run spar --help                      every setting of a method
      biddable run spar --preset smoke              a short run, to see that it works
      biddable run spar --seed 1 --out runs/again   another seed, in another folder
    """


def _command(name: str, method: type[Method]) -> click.Command:
    from biddable.cli.options import SettingsCommand, config_options

    @click.command(
        name,
        cls=SettingsCommand,
        help=_help(name, method),
        short_help=method.about.title,
        epilog="\n\n".join((_presets(method.presets), *_conditions(method))),
    )
    @click.option(
        "--preset",
        type=click.Choice(list({"default": {}, **method.presets})),
        default="default",
        show_default=True,
        help="Settings for a budget; options given beside it go first.",
    )
    @click.option(
        "--out",
        metavar="DIR",
        callback=folder_name,
        default=str(Path("runs", name)),
        show_default=True,
        help="The run folder.",
    )
    @click.option("--seed", default=0, show_default=True, help="What every random draw is derived from.")
    @executor_option
    @json_option
    @click.pass_context
    def command(
        ctx: click.Context,
        preset: str,
        out: str,
        seed: int,
        executor: Executor,
        as_json: bool,
        **settings: Any,
    ) -> None:
        from biddable.cli.options import given
        from biddable.methods import base
        from biddable.report.page import write_report

        with written_as_flags(ctx.params):
            results = base.run(
                name, out=out, preset=preset, seed=seed, executor=executor, **given(ctx, settings)
            )
        print_results(results, out, write_report(out), as_json=as_json)

    command.params[:0] = config_options(method.Config)
    return command


def _help(name: str, method: type[Method]) -> str:
    about = method.about
    minutes = [f"  {preset}: {time}" for preset, time in about.minutes.items()]
    examples = [
        f"  biddable run {name}",
        *(f"  biddable run {name} --preset {preset}" for preset in method.presets),
    ]
    return "\n\n".join(
        (
            about.title,
            about.citation,
            f"Claim: {about.claim}",
            f"Needs: {about.needs}",
            *([f"Takes: {about.takes}"] if about.takes else []),
            *([f"Leaves: {about.leaves}"] if about.leaves else []),
            "\n".join(("\b", "Minutes:", *minutes)),
            "\n".join(("\b", "Examples:", *examples)),
        )
    )


def _conditions(method: type[Method]) -> Iterator[str]:
    """Which options have an effect only beside others, a line for each condition."""
    from biddable.config import walk
    from biddable.methods.base import condition_told

    single = {setting.name for setting in walk(method.Config)}
    for when, names in method.only.items():
        flags = (flag(name) if name in single else f"{flag(name)}.*" for name in names)
        yield f"Only {condition_told(when)}: {', '.join(flags)}"


def _presets(presets: Mapping[str, Mapping[str, Any]]) -> str:
    """What each preset sets, under the options."""
    from biddable.cli.options import shown_preset

    return "\n\n".join(f"Preset {name}: {shown_preset(values)}" for name, values in presets.items())
