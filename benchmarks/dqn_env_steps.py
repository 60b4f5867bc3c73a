"""Steps of the environment a second while DQN learns, beside Stable-Baselines3 and CleanRL, in turns.

    python -m benchmarks.dqn_env_steps [--json] [--rounds N] [--level NAME] [--cleanrl FOLDER]

All sides have the same 4 MiniGrid levels (our ``GridEnv``), batches of 64, an update every 4 frames, one
thread, and no more random actions than 5 %. The network has two hidden layers on the flat picture, of 64
units; beside CleanRL of 120 and 84, as its script has. Stable-Baselines3, in one process, and CleanRL, from a
checkout in a process of its own, draw from their replay uniformly and their targets are not double: "uniform"
is ours like that, the other row is ours as it comes. CleanRL's script takes one environment only, not four.
The ceiling is what the environments alone do with random actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._cleanrl import beside_cleanrl
from benchmarks._common import Row, parser, report, time_both
from benchmarks.ppo_env_steps import ImageOnly, ceiling
from biddable.envs.base import make_env
from biddable.policies.dqn import DQN, DQNConfig
from biddable.policies.networks import MLP
from biddable.policies.vec_env import VecEnv

FRAMES = 2000
NUM_ENVS = 4
HIDDEN = (64, 64)
HIDDEN_IN_CLEANRL = (120, 84)
ACTIONS = 7
CONFIG = DQNConfig(
    exploration_fraction=0.0, learning_starts=500, train_frequency=NUM_ENVS, batch_size=64, lr=1e-4
)
PLAIN = replace(CONFIG, alpha=0.0, double=False)


class OfPicture(MLP):
    """Values of every action; all can be taken."""

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        """The mask, which is last, is not looked at."""
        return super().forward(arrays[0])


def levels(name: str) -> list[Any]:
    """The environments of one side."""
    return [make_env(f"minigrid:{name}") for _ in range(NUM_ENVS)]


def ours(name: str, config: DQNConfig, hidden: tuple[int, int] = HIDDEN) -> Callable[[], object]:
    """Some updates of ours, after those that fill the replay a little."""
    everything = np.ones(ACTIONS, dtype=np.float32)
    envs = VecEnv(levels(name), lambda obs: (obs["image"], everything), seed=0)
    dqn = DQN(OfPicture(7 * 7 * 3, ACTIONS, hidden=hidden), envs, config, seed=0)
    dqn.train(config.learning_starts)
    return lambda: dqn.train(dqn.frames + FRAMES)


def by_stable_baselines(name: str) -> Callable[[], object]:
    """As many of Stable-Baselines3's."""
    from stable_baselines3 import DQN as Theirs  # noqa: N811
    from stable_baselines3.common.vec_env import DummyVecEnv

    model = Theirs(
        "MlpPolicy",
        DummyVecEnv([partial(ImageOnly, env) for env in levels(name)]),
        learning_rate=CONFIG.lr,
        buffer_size=CONFIG.buffer_size,
        learning_starts=CONFIG.learning_starts,
        batch_size=CONFIG.batch_size,
        gamma=CONFIG.gamma,
        train_freq=CONFIG.train_frequency // NUM_ENVS,
        gradient_steps=1,
        target_update_interval=CONFIG.target_update_interval * CONFIG.train_frequency,
        exploration_fraction=1e-6,
        exploration_final_eps=CONFIG.final_epsilon,
        max_grad_norm=CONFIG.max_grad_norm,
        policy_kwargs={"net_arch": list(HIDDEN)},
        device="cpu",
    )
    model.learn(CONFIG.learning_starts)
    return lambda: model.learn(FRAMES, reset_num_timesteps=False)


def row_beside_cleanrl(name: str, checkout: Path, rounds: int, bound: float) -> Row:
    """As many frames of both, with CleanRL's network."""
    rates = beside_cleanrl(
        ours(name, PLAIN, HIDDEN_IN_CLEANRL),
        FRAMES,
        checkout,
        "dqn",
        name,
        rounds=rounds,
        total_timesteps=2 * FRAMES + 1,
        learning_rate=CONFIG.lr,
        buffer_size=CONFIG.buffer_size,
        learning_starts=4,
        train_frequency=CONFIG.train_frequency,
        batch_size=CONFIG.batch_size,
        target_network_frequency=CONFIG.target_update_interval * CONFIG.train_frequency,
        start_e=CONFIG.final_epsilon,
        end_e=CONFIG.final_epsilon,
    )
    return Row.of_rates(f"{name}, uniform, beside CleanRL", *rates, "steps/s", ceiling=bound)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--level", default="MiniGrid-MultiRoom-N2-S4-v0")
    options.add_argument("--cleanrl", type=Path, help="folder of a checkout of CleanRL")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    level, rounds = arguments.level, arguments.rounds
    bound = ceiling(level)
    rows = []
    for kind, config in (("uniform", PLAIN), ("priorities, double", CONFIG)):
        mine, theirs = time_both(ours(level, config), by_stable_baselines(level), rounds=rounds)
        name = f"{level}, {kind}, beside Stable-Baselines3"
        rows.append(Row.of_rates(name, FRAMES / mine, FRAMES / theirs, "steps/s", ceiling=bound))
    if arguments.cleanrl:
        rows.append(row_beside_cleanrl(level, arguments.cleanrl, rounds, bound))
    report(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
