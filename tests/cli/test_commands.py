"""An option of which one value counts is given once, whatever the command."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from biddable.cli import main
from biddable.cli.commands import Command as OurCommand
from biddable.cli.commands import Group

from .conftest import Command
from .fakes import assert_one_line


def commands(group: click.Group) -> Iterator[click.Command]:
    """All commands, a few methods for all."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


def test_every_command_looks_for_options_that_are_given_twice() -> None:
    listed = list(commands(main))
    assert len(listed) > 15
    assert [command.name for command in listed if not isinstance(command, OurCommand | Group)] == []


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ("generate parrot --prompts a.jsonl --out b.jsonl --prompts c.jsonl", "--prompts"),
        ("generate parrot --prompts a.jsonl --out b.jsonl --temperature 1 --temperature=0", "--temperature"),
        ("run spar --tasks a.jsonl --tasks b.jsonl", "--tasks"),
        ("run spar --search.branching 2 --search.branching 3", "--search.branching"),
        ("run grpo --beside-spar --no-beside-spar", "--beside-spar"),
        ("train grpo parrot --tasks a.jsonl --tasks b.jsonl --out run", "--tasks"),
        ("judge ifeval --tasks a.jsonl --responses b.jsonl --responses c.jsonl", "--responses"),
        ("chat parrot --system a --system b", "--system"),
    ],
)
def test_an_option_given_twice_is_refused(biddable: Command, arguments: str, flag: str) -> None:
    assert_one_line(biddable(*arguments.split()), f"{flag} is given 2 times, expected once")


def test_options_that_take_several_values_do(biddable: Command, parrot: object) -> None:
    for arguments in (
        "generate parrot --prompts a.jsonl --out b.jsonl --stop x --stop y",
        "run spar --arms self --arms humpback --tasks a.jsonl",
    ):
        assert_one_line(biddable(*arguments.split()), "a.jsonl: no such file")
    assert biddable("generate", "--help", "--help").exit_code == 0
