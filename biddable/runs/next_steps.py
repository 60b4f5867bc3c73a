"""Commands to type next, for the artifacts of a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

NEW_SEED = 1_000_000_000
"""Of ``biddable act``: what methods collect and test begins with lower seeds, and demonstrations that are
recorded in an environment mostly begin with 0."""
_COMMANDS = {
    "model/*config.json": (  # a model or an adapter; the weights of a policy have none
        "biddable chat {run}",
        "biddable generate {run} --prompts FILE --out answers.jsonl",
        "biddable eval {run} --suite composed",
        "biddable export {run} FOLDER",
    ),
    "policy/policy.json": ("biddable act {run} --episodes 20 --video episodes.mp4",),
    "judge": ("biddable train grpo MODEL --tasks FILE --judge {run} --out FOLDER",),
    "data/pairs.*": ("biddable train dpo MODEL --data {run} --out FOLDER",),
    "data/preferences.*": ("biddable train dpo MODEL --data {run} --out FOLDER",),
    "data/responses.jsonl": ("biddable compare {run} RUN",),
    "data/conversations.*": ("biddable train sft MODEL --data {run} --out FOLDER",),
}
"""By what lies under ``artifacts/``."""


def next_steps(folder: str | Path, own: Sequence[str] = ()) -> list[str]:
    """Lines to type next.

    Args:
        folder: the run's.
        own: those that its method gave, with ``{run}`` for the folder, instead of what goes by the
            artifacts in it.
    """
    artifacts = Path(folder, "artifacts")
    usual = [line for left, lines in _COMMANDS.items() if any(artifacts.glob(left)) for line in lines]
    lines = dict.fromkeys([*(own or usual), "biddable report {run}"])
    return [line.replace("{run}", shlex.quote(str(folder))) for line in lines]
