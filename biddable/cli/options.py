"""Command-line options made of a settings class, and the help that groups those of inner classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click

from biddable.cli.commands import Command
from biddable.cli.flags import flag
from biddable.config import REQUIRED, Setting, flattened, walk

LISTED = 4
"""Items of a list that help shows."""

NONE = "none"
"""What is written for a setting that has no value, and for an empty list."""

_SCALARS: dict[Any, click.ParamType] = {int: click.INT, float: click.FLOAT, Path: click.Path()}


class SettingOption(click.Option):
    """The flag of one setting.

    Attributes:
        heading: over the flags of an inner settings class in help; empty for those of the outer one.
    """

    heading = ""


class SettingsCommand(Command):
    """A command whose help lists the flags of inner settings under headings of their own, at the end."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = None if isinstance(parameter, click.Argument) else parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "heading", "") or "Options", []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def config_options(cls: type) -> list[click.Option]:
    """A flag for every setting of a settings class, those of inner classes as ``--dpo.lr``.

    Help is the field's docstring. A flag that is not given is left out of the configuration, so that a
    preset can set it; the default shown is the configuration's own.
    """
    return [_option(setting) for setting in walk(cls)]


def given(ctx: click.Context, names: Iterable[str]) -> dict[str, Any]:
    """The options among ``names`` that stand on the command line, as the user wrote them."""
    return {
        name: ctx.params[name]
        for name in names
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def shown(value: Any) -> str:
    """A setting as it would be written on the command line; a long list by its first items."""
    if value is None or value == ():
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        first = ",".join(map(str, value[:LISTED]))
        return first if len(value) <= LISTED else f"{first},… ({len(value)})"
    return str(value)


def shown_preset(values: Mapping[str, Any]) -> str:
    """What a preset sets, as flags."""
    return ", ".join(f"{flag(name)} {shown(value)}" for name, value in flattened(values).items())


def _option(setting: Setting) -> click.Option:
    """Whether a value is needed, and within its bounds, the settings class says: a preset may give it."""
    name, written = setting.name, flag(setting.name)
    types = _types(setting.field.annotation)
    kind, (first, *_) = get_origin(types[0]) or types[0], get_args(types[0]) or (str,)
    help_text = " ".join((setting.field.description or "").split())
    default = "[required]" if setting.default is REQUIRED else f"[default: {shown(setting.default)}]"
    how: dict[str, Any] = {"help": f"{help_text}  {default}"}
    if types == [bool]:
        written = f"{written}/--no-{written[2:]}"
        how["default"] = None
    elif kind in (tuple, list):
        split = _split if NONE in get_args(first) else _split_or_none
        how |= {"multiple": True, "callback": split, "metavar": f"{_metavar(first)},…"}
    elif len(types) == 1 and kind is Literal:
        how["type"] = click.Choice(get_args(types[0]))
    elif len(types) == 1:
        how["type"] = _SCALARS.get(types[0], click.STRING)
    else:
        how |= {"callback": _or_none, "metavar": _metavar(setting.field.annotation)}
    option = SettingOption([name.replace(".", "__"), written], **how)
    option.name = name  # which click would not take: it is no identifier
    if prefix := name.rpartition(".")[0]:
        option.heading = f"{_first_line(setting.group)} ({flag(prefix)}.*)"
    return option


def _types(hint: Any) -> list[Any]:
    """The types that a field takes, in its order: those of a union, without their bounds."""
    if get_origin(hint) is Annotated:
        return _types(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [part for each in get_args(hint) for part in _types(each)]
    return [hint]


def _metavar(hint: Any) -> str:
    """What may be written, as ``auto|FLOAT``."""
    return "|".join(map(_written, _types(hint)))


def _written(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if kind is NoneType:
        return NONE
    return _SCALARS[kind].name.upper() if kind in _SCALARS else "VALUE"


def _first_line(group: type) -> str:
    return (group.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def _or_none(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    return None if value == NONE else value


def _split(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    """``--x a,b --x c`` is three values, ``--x ""`` none."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def _split_or_none(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    parts = _split(ctx, parameter, values)
    return () if parts == (NONE,) else parts
