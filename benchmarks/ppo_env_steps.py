"""Steps of the environment a second while PPO learns, beside Stable-Baselines3 and CleanRL, in turns.

    python -m benchmarks.ppo_env_steps [--json] [--rounds N] [--level NAME] [--cleanrl FOLDER]

All sides have the same 16 MiniGrid levels (our ``GridEnv``, whose view is several times faster than the
package's own), 128 steps a stretch, 4 epochs, batches of 256, one thread. Beside Stable-Baselines3, in one
process, the network is a convolutional one; beside CleanRL, which is run from a checkout in a process of its
own, it is CleanRL's: two hidden layers of 64 with tanh for the actor, and as many for the critic. The ceiling
is what the environments alone do with random actions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from benchmarks._cleanrl import beside_cleanrl
from benchmarks._common import Row, parser, report, time_both
from biddable.envs.base import make_env
from biddable.policies.networks import MLP, GridActorCritic
from biddable.policies.ppo import PPO, PPOConfig
from biddable.policies.vec_env import VecEnv

UPDATES = 4
CONFIG = PPOConfig(lr=1e-4)
STEPS = UPDATES * CONFIG.num_envs * CONFIG.num_steps


class ImageOnly(gym.Env[Any, Any]):
    """What Stable-Baselines3 can take: the picture alone, as numbers."""

    def __init__(self, env: Any):
        self.env, self.action_space = env, env.action_space
        self.observation_space = gym.spaces.Box(0, 255, (7, 7, 3), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """The first picture."""
        obs, info = self.env.reset(seed=seed)
        return obs["image"].astype(np.float32), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The next picture."""
        obs, *rest = self.env.step(int(action))
        return obs["image"].astype(np.float32), *rest


def levels(name: str) -> list[Any]:
    """The environments of one side."""
    return [make_env(f"minigrid:{name}") for _ in range(CONFIG.num_envs)]


class LikeCleanRL(nn.Module):
    """The network of CleanRL's script."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = MLP(7 * 7 * 3, 7, activation="tanh", gain=0.01)
        self.critic = MLP(7 * 7 * 3, 1, activation="tanh")

    def forward(self, image: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and values."""
        return self.actor(image), self.critic(image)[:, 0]


def ours(name: str, network: nn.Module) -> Callable[[], object]:
    """Some updates of ours."""
    nothing = np.zeros(1, dtype=np.float32)
    envs = VecEnv(levels(name), lambda obs: (obs["image"], nothing), seed=0)
    ppo = PPO(network, envs, CONFIG, seed=0)
    return lambda: ppo.train(ppo.frames + STEPS)


def by_stable_baselines(name: str) -> Callable[[], object]:
    """As many of Stable-Baselines3's."""
    from stable_baselines3 import PPO as Theirs  # noqa: N811
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import DummyVecEnv

    class Convolutions(BaseFeaturesExtractor):
        def __init__(self, space: Any):
            super().__init__(space, 256)
            layers: list[nn.Module] = []
            for inputs in (3, 32, 32):
                layers += [nn.Conv2d(inputs, 32, 3, stride=2, padding=1), nn.ELU()]
            self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 256), nn.ReLU())

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.body(image.permute(0, 3, 1, 2))

    model = Theirs(
        "MlpPolicy",
        DummyVecEnv([lambda env=env: ImageOnly(env) for env in levels(name)]),
        learning_rate=CONFIG.lr,
        n_steps=CONFIG.num_steps,
        batch_size=CONFIG.batch_size,
        n_epochs=CONFIG.epochs,
        gamma=CONFIG.gamma,
        gae_lambda=CONFIG.gae_lambda,
        clip_range=CONFIG.clip_range,
        ent_coef=CONFIG.entropy_coef,
        vf_coef=CONFIG.value_coef,
        max_grad_norm=CONFIG.max_grad_norm,
        normalize_advantage=CONFIG.normalize_advantages,
        policy_kwargs={"features_extractor_class": Convolutions, "net_arch": []},
        device="cpu",
    )
    return lambda: model.learn(STEPS, reset_num_timesteps=False)


def ceiling(name: str) -> float:
    """Steps a second of the environments alone."""
    envs, rng = levels(name), np.random.default_rng(0)
    for env in envs:
        env.reset(seed=0)
    start, count = time.perf_counter(), 0
    for env in envs:
        for action in rng.integers(7, size=1000).tolist():
            *_, terminated, truncated, _ = env.step(action)
            count += 1
            if terminated or truncated:
                env.reset()
    return count / (time.perf_counter() - start)


def row_beside_cleanrl(name: str, checkout: Path, rounds: int, bound: float) -> Row:
    """As many updates of both, with CleanRL's network."""
    rates = beside_cleanrl(
        ours(name, LikeCleanRL()),
        STEPS,
        checkout,
        "ppo",
        name,
        rounds=rounds,
        total_timesteps=STEPS,
        num_envs=CONFIG.num_envs,
        num_steps=CONFIG.num_steps,
        num_minibatches=CONFIG.num_envs * CONFIG.num_steps // CONFIG.batch_size,
        update_epochs=CONFIG.epochs,
        learning_rate=CONFIG.lr,
    )
    return Row.of_rates(f"{name}, beside CleanRL", *rates, "steps/s", ceiling=bound)


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
    mine, theirs = time_both(ours(level, GridActorCritic(1, 7)), by_stable_baselines(level), rounds=rounds)
    name = f"{level}, beside Stable-Baselines3"
    rows = [Row.of_rates(name, STEPS / mine, STEPS / theirs, "steps/s", ceiling=bound)]
    if arguments.cleanrl:
        rows.append(row_beside_cleanrl(level, arguments.cleanrl, rounds, bound))
    report(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
