"""Demonstrations in pictures of the expert of ``mujoco:TabletopBlocks``; some instructions are held out.

Six of the eighteen instructions are in no label to learn from: each colour once, each of the three tasks
twice. In episodes without their instruction they do occur, and other labels name their colour and their task.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from biddable.experiments.bot_episodes import TEST_SEED
from biddable.experiments.goal_data import SceneData
from biddable.runs.arrays import array_text, text_array
from biddable.runs.executors import on_cores
from biddable.runs.run import Run
from biddable.types import Trajectory

if TYPE_CHECKING:
    from biddable.envs.tabletop_blocks import TabletopBlocksEnv

ENV = "mujoco:TabletopBlocks"
NOISE = 0.1
"""Deviation of what is added to the expert's moves, so that it is seen to recover."""
HEAD = {"kind": "binned", "low": [-1.0] * 4, "high": [1.0] * 4, "bins": 21}
"""Numbers in bins, as the expert goes at full speed or not at all: a Gaussian would go in between."""
BATCH = 20
LEARNED_FIRST, UNSEEN_FIRST, SEEN_FIRST = TEST_SEED // 10, TEST_SEED, 2 * TEST_SEED
"""Seeds of the first episodes to learn from, and of those of the tests: ``biddable act`` begins with 0."""


@dataclass(frozen=True, slots=True)
class TableEpisode:
    """What the expert did: T actions between T + 1 pictures.

    Attributes:
        seed: of the table.
        instruction: what was commanded.
        actions: [T, 4] float32 in base64.
        pictures: [T + 1, 48, 48, 3] bytes, compressed, in base64.
        success: whether it did what was asked, and its hand went back.
    """

    seed: int
    instruction: str
    actions: str
    pictures: str
    success: bool

    def trajectory(self) -> Trajectory:
        """The same as arrays."""
        from biddable.envs.tabletop_blocks import PIXELS

        actions = text_array(self.actions, np.float32, (-1, 4))
        pictures = text_array(self.pictures, np.uint8, (-1, PIXELS, PIXELS, 3), compressed=True)
        rewards, meta = np.zeros(len(actions)), {"seed": self.seed}
        return Trajectory(self.instruction, {"image": pictures}, actions, rewards, self.success, meta=meta)


def held_out_instructions(rng: np.random.Generator) -> tuple[str, ...]:
    """Six instructions: each colour once, each task twice."""
    from biddable.envs.tabletop_blocks import ALL, MEANINGS

    tasks = np.array(list(MEANINGS)).reshape(3, len(ALL))
    return tuple(str(tasks[i // 2, colour]) for i, colour in enumerate(rng.permutation(len(ALL))))


def require_table() -> None:
    """Make the environment and draw it once.

    Raises:
        InputError: MuJoCo is missing.
        BiddableError: it cannot draw on this machine.
    """
    from biddable.envs.base import make_env

    with closing(make_env(ENV)) as env:
        env.reset(seed=0)


def table_episodes(asked: Sequence[tuple[int, str]]) -> list[TableEpisode]:
    """An episode of the expert for each seed and instruction."""
    from biddable.envs.tabletop_blocks import TabletopBlocksEnv

    with closing(TabletopBlocksEnv(rest=True)) as env:
        return [_episode(env, seed, text) for seed, text in asked]


def table_data(run: Run, labelled: int, unlabelled: int, cases: int, workers: int) -> SceneData:
    """Stage ``episodes``: demonstrations to learn from, and for the test.

    Args:
        run: keeps them.
        labelled, unlabelled: how many of each.
        cases: how many of the test with unseen instructions, and how many others.
        workers: processes.
    """
    from biddable.envs.tabletop_blocks import MEANINGS

    held_out = held_out_instructions(run.rng("held-out"))
    known = [text for text in MEANINGS if text not in held_out]
    rng = run.rng("instructions")
    # A few more than are needed, for now and then the expert fails.
    wanted = (labelled, unlabelled, cases, cases)
    sizes = [size + size // 10 + 5 for size in wanted]
    firsts = (LEARNED_FIRST, LEARNED_FIRST + sizes[0], UNSEEN_FIRST, SEEN_FIRST)
    pools = (known, list(MEANINGS), held_out, known)
    groups = [
        list(zip(count(first), _in_turn(pool, size, rng)))
        for first, pool, size in zip(firsts, pools, sizes, strict=True)
    ]
    asked = [each for group in groups for each in group]
    made = run.map("episodes", asked, table_episodes, TableEpisode, BATCH, executor=on_cores(workers))
    ends = np.cumsum(sizes)
    learned, free, unseen, seen = (
        [each for each in made[end - size : end] if each.success][:most]
        for end, size, most in zip(ends, sizes, wanted, strict=True)
    )
    left_out = sum(not each.success for each in made)
    return SceneData(learned, free, unseen, seen, held_out, left_out, "image", HEAD, commanded=True)


def _in_turn(texts: Sequence[str], size: int, rng: np.random.Generator) -> list[str]:
    """So many instructions, each as often as the others; every round is in an order of its own."""
    rounds = [[texts[i] for i in rng.permutation(len(texts))] for _ in range(-(-size // len(texts)))]
    return [text for each in rounds for text in each][:size]


def _episode(env: TabletopBlocksEnv, seed: int, instruction: str) -> TableEpisode:
    """What the expert does; recorded is what it meant to do (DART, Laskey et al., CoRL 2017)."""
    from biddable.envs.tabletop_blocks import expert

    rng = np.random.default_rng([seed, 1])  # the seed alone would draw the table's numbers again
    obs, _ = env.reset(seed=seed, options={"instruction": instruction})
    pictures, actions, done, success = [obs["image"]], [], False, False
    while not done:
        meant = expert(obs)
        actions.append(meant)
        noise = np.append(NOISE * rng.standard_normal(3), 0.0)
        obs, _, terminated, truncated, info = env.step((meant + noise).clip(-1, 1))
        pictures.append(obs["image"])
        done, success = terminated or truncated, bool(info["success"])
    seen = array_text(np.stack(pictures), compressed=True)
    return TableEpisode(seed, instruction, array_text(np.stack(actions)), seen, success)
