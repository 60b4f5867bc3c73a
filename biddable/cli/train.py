"""``biddable train``: a model on one's own files; the options are the configuration of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from biddable.cli.commands import Group
from biddable.cli.flags import written_as_flags
from biddable.cli.output import executor_option, folder_name, json_option, print_results

if TYPE_CHECKING:
    from biddable.runs.executors import Executor

_HELP = {
    "sft": (
        "Teach a model to say what the assistant says (supervised fine-tuning).",
        "SOURCE holds conversations: messages, ShareGPT, Alpaca, prompt and response. All of the assistant's "
        "turns are learned, but those that the data mark otherwise.",
        "smollm2 --data chats.jsonl",
    ),
    "dpo": (
        "Make a model prefer the better of two answers (direct preference optimisation).",
        "SOURCE holds preferences: prompt, chosen, rejected.",
        "runs/sft --data prefs.jsonl --lora.rank 16",
    ),
    "reward": (
        "Train a reward model on preferences; a judge, and a plain sequence classifier.",
        "SOURCE holds preferences: prompt, chosen, rejected.",
        "smollm2 --data prefs.jsonl",
    ),
    "grpo": (
        "Reinforce the answers that a judge rewards (group relative policy optimisation).",
        "SOURCE holds tasks: prompts, with the rules that check an answer where the judge needs them.",
        "smollm2 --tasks tasks.jsonl --judge rules",
    ),
}


class _Objectives(Group):
    """The kinds of training, whose settings are read when one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in _HELP else None


@click.group(cls=_Objectives, subcommand_metavar="OBJECTIVE MODEL [OPTIONS]")
def train() -> None:
    """Train a model on your own files.

    A few per cent of the rows are held out and measured before and after. The run folder keeps everything:
    the same command again goes on where it stopped, and the folder stands for the model in every command.

    \b
    Examples:
      biddable train sft smollm2 --data chats.jsonl --out runs/sft
      biddable train dpo runs/sft --data prefs.jsonl --lora.rank 16 --out runs/dpo
      biddable train reward smollm2 --data prefs.jsonl --out runs/rm
      biddable train grpo smollm2 --tasks tasks.jsonl --judge runs/rm --out runs/grpo
    """


def _command(name: str) -> click.Command:
    from biddable.cli.options import SettingsCommand, config_options
    from biddable.methods.training import JUDGE, OBJECTIVES

    summary, takes, example = _HELP[name]

    @click.command(
        name,
        cls=SettingsCommand,
        short_help=summary,
        help=f"{summary}\n\n{takes} MODEL may be a run.\n\n\b\nExample:\n  biddable train {name} {example} "
        f"--out runs/{name}",
    )
    @click.argument("model")
    @click.option(
        "--tasks" if name == "grpo" else "--data",
        "data",
        required=True,
        metavar="SOURCE",
        help="A file, a folder of files, a run or hf:NAME.",
    )
    @click.option("--out", required=True, metavar="DIR", callback=folder_name, help="The run folder.")
    @click.option(
        "--held-out",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.05,
        show_default=True,
        help="Share of the rows that is measured on, not learned; 0: none.",
    )
    @executor_option
    @json_option
    @click.pass_context
    def command(
        ctx: click.Context,
        model: str,
        data: str,
        out: str,
        held_out: float,
        executor: Executor,
        as_json: bool,
        judge: str = JUDGE,
        **settings: Any,
    ) -> None:
        from biddable.cli.options import given
        from biddable.methods.training import fit
        from biddable.report.page import write_report

        with written_as_flags([*settings, "judge"]):
            results = fit(
                name,
                model,
                data,
                out=out,
                judge=judge,
                held_out=held_out,
                executor=executor,
                **given(ctx, settings),
            )
        print_results(results, out, write_report(out), as_json=as_json)

    if name == "grpo":
        judge_help = "Who rewards: rules, answer, lm:MODEL, rating:MODEL, hf:DIR, a run with a reward model."
        command.params.append(
            click.Option(["--judge"], metavar="SPEC", default=JUDGE, show_default=True, help=judge_help)
        )
    # Which turns are learned, the data say.
    command.params += [option for option in config_options(OBJECTIVES[name].config) if option.name != "turns"]
    return command
