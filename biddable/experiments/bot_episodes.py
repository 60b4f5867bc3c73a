"""Demonstrations of BabyAI's bot in the whole grid, of which some instructions are held out.

An instruction is unseen if it names one of six objects, a colour and a kind, that no instruction to learn
from names: each colour once, each kind twice. In episodes without their instruction they do occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from biddable.errors import BiddableError, InputError
from biddable.experiments.goal_data import SceneData
from biddable.policies.detectors import COLOURS
from biddable.runs.arrays import array_text, text_array
from biddable.runs.executors import on_cores
from biddable.runs.run import Run
from biddable.types import Trajectory

if TYPE_CHECKING:
    from biddable.envs.minigrid import GridEnv

KINDS = ("key", "ball", "box")
VIEW = "?view=full"
TEST_SEED = 1_000_000
BATCH = 50
SCANNED = 16
"""Levels that are looked through for each test case: every ninth has an unseen instruction."""


@dataclass(frozen=True, slots=True)
class BotEpisode:
    """What the bot did: T actions between T + 1 grids.

    Attributes:
        seed: of the level.
        instruction: what was asked.
        actions: [T].
        grids: [T + 1, W, H, 3] bytes in base64.
        shape: of them.
        success: whether it did what was asked.
        problem: why there is no episode, where the bot finds no way; empty otherwise.
    """

    seed: int
    instruction: str
    actions: list[int]
    grids: str
    shape: list[int]
    success: bool
    problem: str = ""

    def trajectory(self) -> Trajectory:
        """The same as arrays."""
        grids = text_array(self.grids, np.uint8, self.shape)
        actions, meta = np.array(self.actions, dtype=np.int64), {"seed": self.seed}
        rewards = np.zeros(len(actions))
        return Trajectory(self.instruction, {"grid": grids}, actions, rewards, self.success, meta=meta)


def held_out_objects(rng: np.random.Generator) -> tuple[str, ...]:
    """Six objects: each colour once, each kind twice."""
    colours = [COLOURS[i] for i in rng.permutation(len(COLOURS))]
    return tuple(f"{colour} {KINDS[i // 2]}" for i, colour in enumerate(colours))


def require_level(level: str) -> None:
    """Make a level of BabyAI. Raises InputError: another one, or none."""
    from biddable.envs.base import make_env

    if not level.startswith("BabyAI-"):
        raise InputError("level", level, "a level of BabyAI, which its bot masters")
    make_env(f"minigrid:{level}{VIEW}").close()


def instructions(level: str, seeds: Sequence[int]) -> list[str]:
    """What is asked in each of these levels."""
    from biddable.envs.base import make_env

    with closing(make_env(f"minigrid:{level}")) as env:
        return [str(env.reset(seed=seed)[0]["instruction"]) for seed in seeds]


def bot_episodes(level: str, seeds: Sequence[int]) -> list[BotEpisode]:
    """An episode of the bot for each seed."""
    from biddable.envs.base import make_env
    from biddable.envs.minigrid import GridEnv

    with closing(make_env(f"minigrid:{level}{VIEW}")) as env:
        assert isinstance(env, GridEnv)
        return [bot_episode(env, seed) for seed in seeds]


def bot_episode(env: GridEnv, seed: int, instruction: str = "") -> BotEpisode:
    """What the bot does from a seed; of a commanded instruction, where one is given."""
    from biddable.envs.minigrid import Bot

    obs, info = env.reset(seed=seed, options={"instruction": instruction} if instruction else None)
    text, grids, actions, done = str(obs["instruction"]), [obs["grid"]], [], False
    try:
        bot = Bot(env)
        while not done:
            actions.append(bot.act())
            obs, _, terminated, truncated, info = env.step(actions[-1])
            grids.append(obs["grid"])
            done = terminated or truncated
    except BiddableError as error:
        return BotEpisode(seed, text, [], "", [], False, str(error))
    stacked = np.stack(grids)
    return BotEpisode(seed, text, actions, array_text(stacked), list(stacked.shape), bool(info["success"]))


def bot_data(run: Run, level: str, labelled: int, unlabelled: int, cases: int, workers: int) -> SceneData:
    """Stages ``instructions`` and ``episodes``: demonstrations to learn from, and for the test.

    Args:
        run: keeps them.
        level: of BabyAI.
        labelled, unlabelled: how many of each.
        cases: how many of the test with unseen instructions, and how many others.
        workers: processes.

    Raises:
        InputError: a level in which few instructions name an object by its colour and its kind.
    """
    from biddable.envs.base import make_env

    held_out = held_out_objects(run.rng("held-out"))
    executor = on_cores(workers)

    def told(name: str, seeds: Sequence[int]) -> list[tuple[int, bool]]:
        texts = run.map(name, list(seeds), partial(instructions, level), str, 4 * BATCH, executor=executor)
        return [
            (seed, any(each in text for each in held_out)) for seed, text in zip(seeds, texts, strict=True)
        ]

    # More than are needed: of what is unseen none is labelled, and now and then the bot fails.
    spare = 2 * labelled + unlabelled + 20
    train = told("instructions", range(spare))
    labels = [seed for seed, unseen in train if not unseen][: labelled + labelled // 10 + 10]
    taken = {*labels}
    rest = [seed for seed, _ in train if seed not in taken]
    test = told("test-instructions", range(TEST_SEED, TEST_SEED + SCANNED * cases + 100))
    sides = [
        [seed for seed, unseen in test if unseen == side][: cases + cases // 10 + 5] for side in (True, False)
    ]
    for side, name in zip(sides, ("unseen", "other"), strict=True):
        if len(side) < cases:
            found = f"{level}: {len(side)} of {len(test)} instructions {name}"
            expected = f"{cases}: a level whose instructions name objects by colour and kind, some of them"
            raise InputError("level", found, expected)
    seeds = [*labels, *rest, *sides[0], *sides[1]]
    made = run.map("episodes", seeds, partial(bot_episodes, level), BotEpisode, BATCH, executor=executor)
    right = {each.seed: each for each in made if each.success}

    def first(of: Sequence[int], count: int) -> list[BotEpisode]:
        return [right[seed] for seed in of if seed in right][:count]

    unseen, seen = (first(side, cases) for side in sides)
    left_out = len(made) - len(right)
    with closing(make_env(f"minigrid:{level}")) as env:
        head = {"kind": "categorical", "n": int(env.action_space.n)}
    learned = first(labels, labelled), first(rest, unlabelled)
    return SceneData(*learned, unseen, seen, held_out, left_out, "grid", head)
