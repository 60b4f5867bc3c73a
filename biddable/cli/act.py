"""``biddable act``: let a policy act in an environment, count successes, and look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from biddable.cli.commands import Command
from biddable.cli.flags import flag, written_as_flags
from biddable.cli.output import print_json, print_table, replaceable, say, tell
from biddable.errors import InputError

_FIELDS = ("env", "episodes", "video", "success", "instruction", "max_episode_steps", "film", "fps")
_SHOWN = 12
"""Instructions in the table, at most."""


@click.command(cls=Command)
@click.argument("policy", metavar="RUN")
@click.option("--env", "env", metavar="ID", help="The environment (see make_env).  [default: the policy's]")
@click.option(
    "--episodes", type=click.IntRange(1), default=20, show_default=True, help="How many are played."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the first; the others follow.",
)
@click.option("--instruction", metavar="TEXT", help="What is to be done, for environments of gym:.")
@click.option("--success", metavar="KEY", help="Where info tells it, for environments of gym:.")
@click.option("--max-episode-steps", type=click.IntRange(1), help="Cut episodes off after so many steps.")
@click.option(
    "--parallel", type=click.IntRange(1), default=8, show_default=True, help="Environments side by side."
)
@click.option("--video", metavar="FILE", help="Film the first episodes (.mp4 or .gif).")
@click.option("--film", type=click.IntRange(1), default=3, show_default=True, help="How many of them.")
@click.option("--fps", type=click.IntRange(1, 50), default=15, show_default=True, help="Pictures a second.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def act(
    policy: str,
    env: str | None,
    episodes: int,
    seed: int,
    instruction: str | None,
    success: str | None,
    max_episode_steps: int | None,
    parallel: int,
    video: str | None,
    film: int,
    fps: int,
    as_json: bool,
) -> None:
    """Let the policy that a run left act in an environment: success with its interval, returns, a film.

    RUN is a run that left a policy, a policy's folder, or the word random, which draws actions.

    \b
    Examples:
      biddable act runs/grif --episodes 100
      biddable act runs/ppo --env gym:CartPole-v1 --video cartpole.mp4
      biddable act random --env minigrid:BabyAI-GoToLocal-v0 --json
    """
    from biddable.policies.playing import FILMS, play, write_film
    from biddable.policies.saved import load_policy, policy_env

    with written_as_flags(_FIELDS):
        named = env or ("" if policy == "random" else policy_env(policy))
        if not named:
            raise InputError("env", None, "the environment to act in: what is played names none")
        given = click.get_current_context().get_parameter_source
        for name, number in (("film", film), ("fps", fps)):
            if video is None and given(name) is not ParameterSource.DEFAULT:
                raise InputError(name, number, f"nothing: it has an effect only with {flag('video')}")
        out = None if video is None else replaceable(flag("video"), video)
        if out is not None and out.suffix not in FILMS:
            raise InputError("video", video, "a name that ends in " + " or ".join(FILMS))
        options: dict[str, Any] = {"max_episode_steps": max_episode_steps}
        options |= {"instruction": instruction} if instruction is not None else {}
        options |= {"success": success} if success is not None else {}
        for name in ("instruction", "success"):
            if name in options and not named.startswith("gym:"):
                raise InputError(name, options[name], f"none: {named} has its own")
        acting = None if policy == "random" else load_policy(policy)
        seeds = range(seed, seed + episodes)
        played = play(acting, named, seeds, parallel=parallel, film=film if out else 0, **options)
        if out is not None:
            write_film(out, played.frames, fps)
    if as_json:
        by_instruction = {
            text: {"episodes": len(group), "success": _mean([each.success for each in group])}
            for text, group in played.by_instruction().items()
        }
        print_json({"policy": policy, "env": named, **played.summary(), "instructions": by_instruction})
        return
    print_table(*_tables(played, policy, named))
    if out is not None:
        tell(f"film: {Path(video or '')} ({len(played.frames)} pictures)")
    if not played.known:
        say("The environment does not say whether an episode succeeded (--success KEY, for those of gym:).")


def _tables(played: Any, policy: str, env: str) -> list[Any]:
    """Success, return and length; and success by instruction where there are several."""
    from rich.table import Table

    rate, numbers = played.success(), played.summary()
    whole = Table(title=f"{policy} in {env}")
    for column in ("episodes", "success", "95 % interval", "mean return", "mean length", "cut off"):
        whole.add_column(column, justify="right")
    share = ("unknown", "") if rate is None else (f"{rate[0]:.3f}", f"{rate[1][0]:.3f} to {rate[1][1]:.3f}")
    rest = (f"{numbers['mean_return']:.3f}", f"{numbers['mean_length']:.1f}", str(numbers["truncated"]))
    whole.add_row(str(numbers["episodes"]), *share, *rest)
    groups = played.by_instruction()
    if len(groups) < 2:
        return [whole]
    most = sorted(groups.items(), key=lambda pair: -len(pair[1]))
    each = Table(title="By instruction")
    for column in ("instruction", "episodes", "success"):
        each.add_column(column, justify="left" if column == "instruction" else "right")
    for text, group in most[:_SHOWN]:
        mean = _mean([episode.success for episode in group])
        each.add_row(text, str(len(group)), "unknown" if mean is None else f"{mean:.2f}")
    if len(most) > _SHOWN:
        each.caption = f"{len(most) - _SHOWN} more (--json has them all)"
    return [whole, each]


def _mean(successes: list[bool | None]) -> float | None:
    known = [success for success in successes if success is not None]
    return sum(known) / len(known) if known else None
