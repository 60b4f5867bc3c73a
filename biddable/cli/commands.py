"""What every command is: a click command whose single options are given once."""

from __future__ import annotations

from collections import Counter

import click


class _Once:
    """Refuses an option given twice of which one value counts: click would take the last without a word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments of the command line."""
        if not ctx.resilient_parsing:
            assert isinstance(self, click.Command)
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for parameter, times in Counter(given).items():
                single = isinstance(parameter, click.Option) and not (parameter.multiple or parameter.count)
                if single and not parameter.is_eager and times > 1:
                    raise click.UsageError(f"{parameter.opts[0]} is given {times} times, expected once", ctx)
        return super().parse_args(ctx, args)  # type: ignore[misc]


class Command(_Once, click.Command):
    """A command."""


class Group(_Once, click.Group):
    """A command of commands."""

    command_class = Command
