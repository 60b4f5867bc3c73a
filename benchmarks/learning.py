"""What PPO and DQN learn beside Stable-Baselines3: mean returns after the same frames, over seeds.

    python -m benchmarks.learning [--json] [--seeds N] [--only NAME] [--frames-of 1.0]

Both sides have the same environments, the same networks (two hidden layers of 64, tanh for PPO and ReLU for
DQN; one standard deviation for all states), the same settings, and one thread. After the training each policy
plays 20 episodes greedily, on starts that it has not seen. The interval is Welch's, of the difference of the
means over seeds; it says how large a difference these seeds could have missed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from benchmarks._common import parser
from biddable.policies.dqn import DQN, DQNConfig, greedy
from biddable.policies.heads import head_for
from biddable.policies.networks import MLP
from biddable.policies.ppo import PPO, PPOConfig
from biddable.policies.vec_env import VecEnv

EPISODES = 20
HIDDEN = (64, 64)


@dataclass(frozen=True, slots=True)
class Task:
    """An environment and the settings that both sides learn it with."""

    env: str
    frames: int
    config: PPOConfig | DQNConfig


# DQN's ``learning_starts`` is a multiple of both target intervals in frames (400 and 240): the peer counts
# them from the first frame, we count updates, and so both copy after as many updates, but one. Half an
# interval apart, the episodes of the first 5,000 frames of CartPole differ by a quarter in length.
TASKS = (
    Task(
        "CartPole-v1",
        40_000,
        PPOConfig(num_envs=8, num_steps=32, batch_size=256, epochs=20, gamma=0.98, gae_lambda=0.8,
                  lr=1e-3, eps=1e-5, entropy_coef=0.0, normalize_advantages=True),
    ),
    Task(
        "Pendulum-v1",
        100_000,
        PPOConfig(num_envs=4, num_steps=1024, batch_size=64, epochs=10, gamma=0.9, gae_lambda=0.95,
                  lr=1e-3, eps=1e-5, entropy_coef=0.0, normalize_advantages=True),
    ),
    Task(
        "CartPole-v1",
        50_000,
        DQNConfig(lr=1e-3, batch_size=64, buffer_size=50_000, learning_starts=1200, train_frequency=4,
                  target_update_interval=100, exploration_fraction=0.2, final_epsilon=0.04, alpha=0.0,
                  double=False),
    ),
    Task(
        "Acrobot-v1",
        50_000,
        DQNConfig(lr=6e-4, batch_size=128, buffer_size=50_000, learning_starts=1200, train_frequency=4,
                  target_update_interval=60, exploration_fraction=0.12, final_epsilon=0.1, alpha=0.0,
                  double=False),
    ),
)  # fmt: skip


class OneDeviation(nn.Module):
    """An actor and a critic; the log standard deviations of continuous actions do not depend on the state."""

    def __init__(self, size: int, space: Any):
        super().__init__()
        self.discrete = isinstance(space, gym.spaces.Discrete)
        outputs = int(space.n) if self.discrete else space.shape[0]
        self.actor = MLP(size, outputs, hidden=HIDDEN, gain=0.01, activation="tanh")
        self.critic = MLP(size, 1, hidden=HIDDEN, activation="tanh")
        self.log_std = nn.Parameter(torch.zeros(0 if self.discrete else outputs))

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """[N, outputs of the head] and [N] values."""
        outputs = self.actor(state)
        if not self.discrete:
            outputs = torch.cat([outputs, self.log_std.expand_as(outputs)], 1)
        return outputs, self.critic(state)[:, 0]


class Values(MLP):
    """[N, actions] values; the mask, which is last, is not looked at."""

    def forward(self, *arrays: Tensor) -> Tensor:
        """See the class."""
        return super().forward(arrays[0])


def made(name: str) -> Any:
    """An environment whose continuous actions lie in [-1, 1]."""
    env = gym.make(name)
    return gym.wrappers.RescaleAction(env, -1.0, 1.0) if isinstance(env.action_space, gym.spaces.Box) else env


def played(name: str, act: Callable[[Any], Any]) -> float:
    """The mean return of episodes on starts of their own."""
    env, total = made(name), 0.0
    for seed in range(10_000, 10_000 + EPISODES):
        obs, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            obs, reward, terminated, truncated, _ = env.step(act(obs))
            total, ended = total + float(reward), terminated or truncated
    return total / EPISODES


def ours(task: Task, seed: int) -> float:
    """The mean return of what we learn."""
    torch.manual_seed(seed)
    count = task.config.num_envs if isinstance(task.config, PPOConfig) else 1
    envs = [made(task.env) for _ in range(count)]
    space, size = envs[0].action_space, envs[0].observation_space.shape[0]
    if isinstance(task.config, PPOConfig):
        head, network = head_for(space), OneDeviation(size, space)
        vector = VecEnv(envs, lambda obs: (np.asarray(obs, np.float32),), seed)
        PPO(network, vector, task.config, seed, head=head).train(task.frames)

        @torch.no_grad()
        def mode(obs: Any) -> Any:
            return head.mode(network(torch.from_numpy(np.asarray(obs, np.float32))[None])[0])[0]

        return played(task.env, mode)
    everything = np.ones(int(space.n), np.float32)
    values = Values(size, int(space.n), hidden=HIDDEN)
    vector = VecEnv(envs, lambda obs: (np.asarray(obs, np.float32), everything), seed)
    DQN(values, vector, task.config, seed).train(task.frames)

    def best(obs: Any) -> int:
        return int(greedy(values, (np.asarray(obs, np.float32)[None], everything[None]))[0])

    return played(task.env, best)


def theirs(task: Task, seed: int) -> float:
    """The mean return of what Stable-Baselines3 learns."""
    from stable_baselines3 import DQN as TheirDQN  # noqa: N811
    from stable_baselines3 import PPO as TheirPPO  # noqa: N811
    from stable_baselines3.common.vec_env import DummyVecEnv

    config: Any = task.config
    count = config.num_envs if isinstance(config, PPOConfig) else 1
    envs = DummyVecEnv([partial(made, task.env) for _ in range(count)])
    shared = {
        "learning_rate": config.lr,
        "batch_size": config.batch_size,
        "gamma": config.gamma,
        "max_grad_norm": config.max_grad_norm,
        "policy_kwargs": {"net_arch": list(HIDDEN)},
        "seed": seed,
        "device": "cpu",
    }
    if isinstance(config, PPOConfig):
        model: Any = TheirPPO(
            "MlpPolicy",
            envs,
            n_steps=config.num_steps,
            n_epochs=config.epochs,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            ent_coef=config.entropy_coef,
            vf_coef=config.value_coef,
            normalize_advantage=True,
            **shared,
        )
    else:
        model = TheirDQN(
            "MlpPolicy",
            envs,
            buffer_size=config.buffer_size,
            learning_starts=config.learning_starts,
            train_freq=config.train_frequency,
            gradient_steps=1,
            target_update_interval=config.target_update_interval * config.train_frequency,
            exploration_fraction=config.exploration_fraction,
            exploration_final_eps=config.final_epsilon,
            **shared,
        )
    model.learn(task.frames)
    return played(task.env, lambda obs: model.predict(obs, deterministic=True)[0])


@dataclass(frozen=True, slots=True)
class Learned:
    """The mean returns of every seed, and the interval of the difference of their means."""

    name: str
    ours: list[float]
    peer: list[float]
    low: float
    high: float


def main() -> None:
    """Train, play, print."""
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--frames-of", type=float, default=1.0, help="share of the frames, for a quick try")
    options.add_argument("--only", default="", help="tasks whose name holds this")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    rows = []
    for task in TASKS:
        name = f"{'PPO' if isinstance(task.config, PPOConfig) else 'DQN'}, {task.env}"
        if arguments.only not in name:
            continue
        some = Task(task.env, int(task.frames * arguments.frames_of), task.config)
        mine, peer = ([side(some, seed) for seed in range(arguments.seeds)] for side in (ours, theirs))
        if len({*mine, *peer}) == 1:  # all seeds of both sides reach the same
            low = high = 0.0
        else:
            low, high = stats.ttest_ind(mine, peer, equal_var=False).confidence_interval(0.95)
        rows.append(Learned(name, mine, peer, float(low), float(high)))
        if not arguments.json:
            means = f"ours {np.mean(mine):8.1f}  Stable-Baselines3 {np.mean(peer):8.1f}"
            print(f"{name:20} {means}  difference [{low:.1f}, {high:.1f}]", flush=True)
            print(f"{'':20} {[round(x) for x in mine]} {[round(x) for x in peer]}", flush=True)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
