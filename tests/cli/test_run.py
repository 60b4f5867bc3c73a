"""``run``, ``methods``, ``report`` and ``compare``, on the method that the manual writes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

import click
import pytest
from pydantic import Field

from biddable import registry
from biddable.cli.options import config_options, given
from biddable.config import Count, Natural, Positive, configure, settings
from biddable.methods.base import About, Method
from biddable.runs.results import read_results
from tests.doubles import Parrot

from .conftest import Command
from .fakes import assert_one_line

SMOKE = ("run", "ask-again", "--preset", "smoke")


@settings
class Adapter:
    """A low-rank adapter."""

    rank: Natural = 0
    """Its rank."""


@settings
class Training:
    """Training on pairs.

    At length.
    """

    lr: Positive = 1e-4
    """Learning rate."""
    max_tokens: Count = 8
    """Longest text."""
    fast: bool = False
    """Hurry."""
    adapter: Adapter = Adapter(rank=4)
    """Which adapter."""


@settings
class EveryKind:
    """One field of every kind."""

    count: int = 3
    """How many."""
    rate: float = 0.5
    """A share,
    over two lines."""
    name: str = "x"
    """A name."""
    file: Path | None = None
    """A file."""
    search: Literal["bfs", "dfs"] = "bfs"
    """An order."""
    loud: bool = False
    """Shout."""
    arms: tuple[Literal["a", "b", "c"], ...] = ("a",)
    """Some of a few."""
    sizes: list[Count] = Field(default_factory=lambda: [1, 2, 3, 4, 5, 6])
    """Some numbers."""
    norm: tuple[Literal["none", "bytes"], ...] = ()
    """Of which none is one."""
    rate_of: Literal["auto"] | float = "auto"
    """A word or a number."""
    training: Training = Training(lr=5e-4)
    """How to train."""
    needed: int
    """Without a default."""


class Everything(Method):
    about = About(title="t", citation="c", claim="c", needs="n", minutes={})
    Config = EveryKind
    presets: ClassVar = {
        "quick": {"count": 1, "loud": True, "arms": ("a", "b"), "training.adapter.rank": 2},
        "ready": {"needed": 1, "training": {"lr": 1e-3}},
    }
    only: ClassVar = {"no file or search=dfs": ("rate_of", "training"), "loud": ("arms",)}

    def run(self, run: Any) -> Any:
        raise NotImplementedError


def parsed(*arguments: str) -> dict[str, Any]:
    """What of ``EveryKind`` a command line sets."""
    found: dict[str, Any] = {}

    @click.command()
    @click.pass_context
    def command(ctx: click.Context, **settings: Any) -> None:
        found.update(given(ctx, settings))

    command.params += config_options(EveryKind)
    command.main(list(arguments), standalone_mode=False)
    return found


def test_only_options_that_are_given_reach_the_configuration() -> None:
    assert parsed("--needed", "1") == {"needed": 1}


def test_every_kind_of_field_is_read() -> None:
    found = parsed(
        "--count", "4", "--rate", "0.25", "--name", "y", "--file", "f", "--search", "dfs", "--loud",
        "--needed", "1", "--arms", "a, b", "--arms", "c", "--sizes", "7,8", "--norm", "none",
        "--rate-of", "0.1", "--training.max-tokens", "9", "--training.fast", "--training.adapter.rank", "16",
    )  # fmt: skip
    assert asdict(configure(EveryKind, found)) == {
        "count": 4, "rate": 0.25, "name": "y", "file": Path("f"), "search": "dfs", "loud": True, "needed": 1,
        "arms": ("a", "b", "c"), "sizes": [7, 8], "norm": ("none",), "rate_of": 0.1,
        "training": {"lr": 5e-4, "max_tokens": 9, "fast": True, "adapter": {"rank": 16}},
    }  # fmt: skip


def test_a_flag_can_be_switched_off_and_a_list_emptied() -> None:
    found = parsed("--no-loud", "--no-training.fast", "--arms", "", "--needed", "1")
    assert found == {"loud": False, "training.fast": False, "arms": (), "needed": 1}


def test_what_help_writes_for_no_value_is_read_as_none() -> None:
    assert parsed("--file", "none", "--arms", "none") == {"file": None, "arms": ()}


@pytest.mark.parametrize(
    "arguments",
    [("--search", "dijkstra"), ("--count", "three"), ("--rate", "half"), ("--training.lrr", "1")],
    ids=str,
)
def test_what_no_field_takes_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        parsed(*arguments)


def test_help_is_made_of_docstrings_and_defaults(biddable: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILTIN["methods"], "everything", f"{__name__}:Everything")
    text = " ".join(biddable("run", "everything", "--help").stdout.split())
    assert "--count INTEGER How many. [default: 3]" in text
    assert "A share, over two lines. [default: 0.5]" in text
    assert "--file PATH|none A file. [default: none]" in text
    assert "--rate-of auto|FLOAT A word or a number. [default: auto]" in text
    assert "--search [bfs|dfs] An order. [default: bfs]" in text
    assert "--loud / --no-loud Shout. [default: no]" in text
    assert "--arms a|b|c,… Some of a few. [default: a]" in text
    assert "--sizes INTEGER,… Some numbers. [default: 1,2,3,4,… (6)]" in text
    assert "Without a default. [required]" in text
    assert "Preset quick: --count 1, --loud yes, --arms a,b, --training.adapter.rank 2" in text
    assert "Preset ready: --needed 1, --training.lr 0.001" in text


def test_help_ends_with_what_has_an_effect_only_beside_others(
    biddable: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BUILTIN["methods"], "everything", f"{__name__}:Everything")
    text = " ".join(biddable("run", "everything", "--help").stdout.split())
    assert "Only without --file or with --search dfs: --rate-of, --training.*" in text
    assert "Only with --loud: --arms" in text


def test_help_lists_inner_settings_below_what_they_are_for(
    biddable: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BUILTIN["methods"], "everything", f"{__name__}:Everything")
    text = biddable("run", "everything", "--help").stdout
    head, _, tail = text.partition("Training on pairs (--training.*):\n")
    training, _, adapter = tail.partition("A low-rank adapter (--training.adapter.*):\n")
    assert "--needed" in head
    assert "--training" not in head
    assert "--training.lr FLOAT" in training
    assert "[default: 0.0005]" in training
    assert "--training.fast / --no-training.fast" in training
    assert "--training.adapter.rank" not in training
    assert "--training.adapter.rank INTEGER" in adapter
    assert "[default: 4]" in adapter


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--needed is None, expected a value: it has no default"),
        (("--needed", "1", "--training.lr", "-1"), "--training.lr is -1.0, expected a number above 0"),
        (
            ("--needed", "1", "--training.adapter.rank", "-1"),
            "--training.adapter.rank is -1, expected an",
        ),
        (("--preset", "ready", "--training.max-tokens", "0"), "--training.max-tokens is 0, expected an int"),
        (("--needed", "1", "--rate-of", "x"), "--rate-of is 'x', expected 'auto' or a number"),
        (("--needed", "1", "--sizes", "1,two"), "--sizes is 'two', expected an integer"),
    ],
    ids=str,
)
def test_errors_name_settings_as_they_are_typed(
    biddable: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setitem(registry.BUILTIN["methods"], "everything", f"{__name__}:Everything")
    assert_one_line(biddable("run", "everything", *arguments), message)


def test_a_run_prints_its_claims_and_where_its_page_is(biddable: Command, ask_again: Parrot) -> None:
    result = biddable(*SMOKE, "--tasks", "5", "--out", "here")
    assert result.exit_code == 0, result.output
    assert "prompts followed" in result.stdout
    page = f"report: {Path('here/report.html')}"
    assert result.stdout.splitlines()[-3:] == [page, "next:", "  biddable report here"]
    assert Path("here/report.html").stat().st_size > 1000
    config = json.loads(Path("here/config.json").read_text())
    assert (config["method"], config["seed"]) == ("ask-again", 0)
    assert config["config"] == {"preset": "smoke", "model": "smollm2", "tasks": 5, "max_tokens": 64}


def test_the_same_folder_again_computes_nothing(biddable: Command, ask_again: Parrot) -> None:
    first = biddable(*SMOKE, "--json")
    asked = len(ask_again.chats)
    again = biddable(*SMOKE, "--json")
    assert len(ask_again.chats) == asked > 0
    documents = [json.loads(result.stdout) for result in (first, again)]
    for document in documents:
        del document["timing"]
    assert documents[0] == documents[1]
    assert documents[0]["folder"] == str(Path("runs/ask-again"))
    assert documents[0]["report"] == str(Path("runs/ask-again/report.html"))


def test_interrupted_and_called_again_it_ends_as_if_undisturbed(biddable: Command, ask_again: Parrot) -> None:
    ask_again.interrupt_after = 1
    assert biddable(*SMOKE, "--out", "cut").exit_code == 130
    ask_again.interrupt_after = -1
    assert biddable(*SMOKE, "--out", "cut").exit_code == 0
    assert biddable(*SMOKE, "--out", "whole").exit_code == 0
    cut, whole = read_results("cut"), read_results("whole")
    assert (cut.comparisons, cut.metrics) == (whole.comparisons, whole.metrics)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("ask-agian",), ("'ask-agian'", "ask-again")),
        (("ask-again", "--tasks", "1"), ("--tasks is 1", "2")),
        (("ask-again", "--max-tokens", "0"), ("--max-tokens is 0",)),
        (("ask-again", "--preset", "huge"), ("--preset", "smoke")),
        (("ask-again", "--seed", "-1"), ("seed", "-1")),
        (("ask-again", "--out", "file"), ("file",)),
        (("ask-again", "--out", "full"), ("full", "no run")),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_writes_nothing(
    biddable: Command, ask_again: Parrot, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    Path("file").write_text("")
    Path("full").mkdir()
    Path("full/precious").write_text("")
    assert_one_line(biddable("run", *arguments), *parts)
    assert sorted(str(path) for path in Path().rglob("*")) == ["file", "full", str(Path("full/precious"))]


def test_another_configuration_needs_another_folder(biddable: Command, ask_again: Parrot) -> None:
    biddable(*SMOKE)
    assert_one_line(biddable(*SMOKE, "--tasks", "9"), "tasks was 8, is now 9", "another folder")


def listed(biddable: Command) -> dict[str, Any]:
    """The row of ask-again."""
    rows = json.loads(biddable("methods", "--json").stdout)
    [found] = [row for row in rows if row["name"] == "ask-again"]
    return found


def test_methods_are_listed_with_their_last_result(biddable: Command, ask_again: Parrot) -> None:
    before = listed(biddable)
    assert before["last_result"] is None
    assert before["minutes"] == {"smoke": "1 (2 cores)", "default": "5 (2 cores)"}
    biddable(*SMOKE)
    assert listed(biddable)["last_result"].startswith(("The claim held", "The claim was"))
    lines = [line.split() for line in biddable("methods").stdout.splitlines()]
    assert ["other"] in lines
    assert ["improve"] in lines
    [line] = [line for line in lines if line[:1] == ["ask-again"]]
    assert line[:6] == ["ask-again", "Ask", "again", "5", "(2", "cores)"]
    assert line[6:8] == ["The", "claim"]


def test_one_method_is_shown_whole(biddable: Command, ask_again: Parrot) -> None:
    result = biddable("methods", "ask-again")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    for part in (
        "paper an example, not a paper", "needs any chat model", "takes any chat model (--model)",
        "leaves nothing to use", "default: 5", "preset smoke --tasks 8, --max-tokens 64",
        "--max-tokens 200 Longest answer.",
    ):  # fmt: skip
        assert part in text
    document = json.loads(biddable("methods", "ask-again", "--json").stdout)
    assert document["presets"] == {"smoke": {"tasks": 8, "max_tokens": 64}}
    assert {"name": "model", "default": "smollm2", "help": "The model to ask."} in document["settings"]
    assert (document["family"], document["takes"]) == ("other", "any chat model (--model)")
    assert_one_line(biddable("methods", "ask-agian"), "'ask-agian'", "ask-again")


def test_a_damaged_run_does_not_hide_the_list(biddable: Command, ask_again: Parrot) -> None:
    biddable(*SMOKE)
    Path("runs/ask-again/results.json").write_text("{")
    assert listed(biddable)["last_result"].startswith("unreadable")


def test_a_published_result_stands_in_for_a_run(biddable: Command, ask_again: Parrot) -> None:
    biddable(*SMOKE)
    Path("results").mkdir()
    Path("runs/ask-again/results.json").rename("results/ask-again.json")
    assert listed(biddable)["last_result"].startswith("The claim")


def test_report_writes_the_page_anew(biddable: Command, ask_again: Parrot) -> None:
    printed = biddable(*SMOKE, "--out", "here").stdout
    Path("here/report.html").unlink()
    assert biddable("report", "here").stdout == printed
    assert Path("here/report.html").exists()
    assert json.loads(biddable("report", "here", "--json").stdout)["method"] == "ask-again"


def test_compare_names_what_differs(biddable: Command, ask_again: Parrot) -> None:
    biddable(*SMOKE, "--out", "one")
    biddable(*SMOKE, "--out", "two", "--tasks", "5")
    table = biddable("compare", "one", "two", "--out", "both.html")
    assert table.exit_code == 0, table.output
    lines = [line.split() for line in table.stdout.splitlines()]
    assert ["tasks", "8", "5"] in lines
    assert sum(line[1:3] == ["prompts", "followed"] for line in lines) == 2
    assert Path("both.html").stat().st_size > 1000
    document = json.loads(biddable("compare", "one", "two", "--json").stdout)
    assert document["names"] == ["one", "two"]
    assert ["tasks", "8", "5"] in document["config"]


@pytest.mark.parametrize(
    "arguments", [("report", "gone"), ("compare", "gone", "gone"), ("report", "empty")], ids=str
)
def test_what_is_no_run_is_refused(biddable: Command, arguments: tuple[str, ...]) -> None:
    Path("empty").mkdir()
    assert_one_line(biddable(*arguments), arguments[1])
    assert not list(Path("empty").iterdir())
