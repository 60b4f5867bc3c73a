"""Any environment of Gymnasium's, one's own included, with an instruction and success."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from biddable import make_env
from biddable.errors import BiddableError, InputError
from biddable.policies.base import ScriptedPolicy, rollouts, successes
from biddable.policies.vec_env import VecEnv


class Goal(gym.Env):
    """A goal dictionary, as robots' environments have; success is reached in step 2 and lost in step 4."""

    observation_space = spaces.Dict(
        {
            "observation": spaces.Box(-9, 9, (4,), np.float64),
            "achieved_goal": spaces.Box(-9, 9, (2,), np.float64),
            "desired_goal": spaces.Box(-9, 9, (2,), np.float64),
        }
    )
    action_space = spaces.Box(-1, 1, (2,))

    def __init__(self, key: str = "is_success", size: int = 1):
        self.key, self.size = key, size

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {"place": "the shelf"}

    def step(self, action):
        self.steps += 1
        return self._seen(), -1.0, False, self.steps == 5, {self.key: float(2 <= self.steps < 4)}

    def _seen(self):
        return {
            "observation": np.arange(4.0),
            "achieved_goal": np.zeros(2),
            "desired_goal": np.array([0.5, 1.0]),
        }


def test_arrays_numbers_and_pictures_have_names() -> None:
    obs, _ = make_env("gym:CartPole-v1").reset()
    assert (obs["state"].shape, obs["instruction"]) == ((4,), "cart pole")
    env = make_env("gym:FrozenLake-v1")
    obs, _ = env.reset()
    assert (obs["observation"], obs["state"].argmax(), len(obs["state"])) == (0, 0, 16)
    assert env.observation_space.contains({**obs, "observation": np.int64(obs["observation"])})


def test_a_goal_dictionary_has_a_state_without_what_was_achieved() -> None:
    env = make_env(Goal, instruction="move to {desired_goal} at {place}")
    obs, _ = env.reset()
    assert obs["state"].tolist() == [0, 1, 2, 3, 0.5, 1.0]
    assert obs["instruction"] == "move to 0.50 1.00 at the shelf"
    assert env.observation_space["state"].shape == (6,)


def test_success_is_read_where_it_is_told_and_counted_as_asked() -> None:
    wait = ScriptedPolicy(lambda obs: np.zeros(2, np.float32))
    for options, expected in (
        ({}, 0.0),
        ({"success_at": "any"}, 1.0),
        ({"success": lambda obs, reward, terminated, info: info["is_success"] == 0}, 1.0),
    ):
        assert successes(rollouts([make_env(Goal(), **options)], wait, [0]))[0] == expected, options
    (silent,) = rollouts([make_env(Goal("other"))], wait, [0])
    assert silent.success is None
    named = rollouts([make_env(Goal("other"), success="other", success_at="any")], wait, [0])
    assert named[0].success is True
    with pytest.raises(
        InputError, match=r"success is 'won', expected a key of info, which has \['is_success'\]"
    ):
        rollouts([make_env(Goal(), success="won")], wait, [0])


def test_names_instances_classes_and_functions_are_taken() -> None:
    for env in ("gym:CartPole-v1", gym.make("CartPole-v1"), lambda: gym.make("CartPole-v1")):
        assert make_env(env, instruction="balance").reset(seed=0)[0]["instruction"] == "balance"
    assert make_env(Goal, size=3).env.size == 3
    side_by_side = make_env(Goal, num_envs=2)
    assert side_by_side.reset()[0]["state"].shape == (2, 6)
    gym.register("Biddable/Mine-v0", entry_point=Goal)
    try:
        assert make_env("gym:Biddable/Mine-v0").reset()[0]["instruction"] == "mine"
    finally:
        del gym.registry["Biddable/Mine-v0"]


@pytest.mark.parametrize("id", ["gym:CartPole-v1", "minigrid:BabyAI-GoToLocal-v0", "mujoco:Reach2D"])
def test_the_seed_is_that_of_the_first_reset_and_the_limit_is_kept(id) -> None:
    first, _ = make_env(id, seed=5).reset()
    again, _ = make_env(id).reset(seed=5)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    env = make_env(id, max_episode_steps=3)
    for _ in range(2):
        env.reset()
        action = env.action_space.sample() * 0
        assert [env.step(action)[3] for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        ("CartPole-v1", {}, "expected FAMILY:NAME.*gym:CartPole-v1 is one of Gymnasium's"),
        ("gym:CartPoll-v1", {}, "near it are CartPole-v1"),
        ("gym:no_such_module_1:X-v0", {}, "expected one that can be made: .*no_such_module_1"),
        ("gym:CartPole-v1", {"speed": 3}, "expected one that can be made: TypeError"),
        ("gym:CartPole-v1", {"max_episode_steps": 0}, "max_episode_steps is 0"),
        ("gym:CartPole-v1", {"instruction": " "}, "instruction is ' '"),
        ("gym:CartPole-v1", {"success_at": "once"}, "success_at is 'once', expected end or any"),
        (Goal(), {"size": 2}, "size is 2, expected no option"),
        (Goal(), {"num_envs": 2}, "several cannot be one and the same"),
        (object(), {}, "expected a Gymnasium environment"),
    ],
)
def test_bad_input_is_one_line(env, options, message) -> None:
    with pytest.raises(InputError, match=message):
        make_env(env, **options)


def test_a_name_in_the_instruction_that_is_no_value_is_named() -> None:
    with pytest.raises(InputError, match=r"instruction is '\{goal\}', expected names of parts"):
        make_env(Goal, instruction="reach {goal}").reset()


class Own(gym.Env):
    """As people write them: its array is one and the same all the time, and ``reset`` takes no options."""

    observation_space = spaces.Box(-9, 9, (2,), np.float64)
    action_space = spaces.Box(-1, 1, (2,))

    def __init__(self, info: object = None, broken: bool = False):
        self.info, self.broken, self.resets = {} if info is None else info, broken, 0
        self.seen = np.zeros(2)

    def reset(self, *, seed=None):
        self.resets += 1
        if self.broken and self.resets % 2 == 0:
            raise RuntimeError("the cable is loose")
        self.steps = 0
        self.seen[:] = 0
        return self.seen, {}

    def step(self, action):
        self.steps += 1
        self.seen += action
        action *= 0
        return self.seen, 1.0, self.steps == 3, False, self.info


def test_what_an_environment_writes_over_stays_as_it_was_seen() -> None:
    (episode,) = rollouts([make_env(Own())], ScriptedPolicy(lambda obs: np.ones(2, np.float32)), [0])
    assert episode.observations["state"].tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert episode.actions.tolist() == [[1, 1]] * 3


def test_who_says_none_says_nothing() -> None:
    (episode,) = rollouts(
        [make_env(Own({"success": None, "is_success": 1.0}))], ScriptedPolicy(lambda obs: np.zeros(2)), [0]
    )
    assert episode.success is True
    (episode,) = rollouts([make_env(Own({"success": None}))], ScriptedPolicy(lambda obs: np.zeros(2)), [0])
    assert episode.success is None


@pytest.mark.parametrize(
    ("env", "action", "message"),
    [
        ("gym:Pendulum-v1", [np.nan], r"action is \[nan\], expected finite numbers of shape \(1,\)"),
        ("gym:Pendulum-v1", [0.0, 1.0, 2.0], r"expected finite numbers of shape \(1,\)"),
        ("gym:CartPole-v1", 2, r"action is 2, expected one of Discrete\(2\)"),
        ("gym:CartPole-v1", 0.5, r"action is 0.5, expected one of Discrete\(2\)"),
    ],
)
def test_what_is_no_action_is_refused_and_nothing_has_changed(env, action, message) -> None:
    tried, untouched = make_env(env), make_env(env)
    for each in (tried, untouched):
        each.reset(seed=3)
    with pytest.raises(InputError, match=message):
        tried.step(action)
    action = untouched.action_space.sample()
    assert np.array_equal(tried.step(action)[0]["state"], untouched.step(action)[0]["state"])


class OldReset(Own):
    def reset(self):
        return super().reset()[0]


class OldStep(Own):
    def step(self, action):
        obs, reward, ended, _, info = super().step(action)
        return obs, reward, ended, info


class OldResult(Own):
    def reset(self, *, seed=None, options=None):
        return super().reset()[0]


def learn(env) -> None:
    envs = VecEnv([env], lambda obs: (obs["state"],), 0)
    for _ in range(3):
        envs.step(np.zeros((1, 2), np.float32))


def lost(obs, reward, terminated, info):
    return terminated and info["nothing"]


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        (OldReset, {}, "env is 'OldReset', expected a Gymnasium environment, whose reset takes a seed"),
        (OldResult, {}, "what reset returned is 'ndarray', expected 2 of them"),
        (OldStep, {}, "what step returned is '4 values', expected 5 of them"),
        (lambda: Own(info=[]), {}, r"the info that step returned is \[\], expected a dictionary"),
        (Own, {"success": lost}, "success is .*, expected a function that says True or False: KeyError"),
        (Own, {"instruction": "to {state:.1f}"}, r"'to \{state:.1f\}', expected \{state\} alone"),
    ],
)
def test_environments_of_another_kind_are_one_line_for_learners_too(env, options, message) -> None:
    zeros = np.zeros((1, 2), np.float32)
    with pytest.raises(InputError, match=message):
        rollouts([make_env(env, **options)], ScriptedPolicy(lambda obs: zeros[0]), [0])
    with pytest.raises(InputError, match=message):
        learn(make_env(env, **options))


class Pays(Own):
    def __init__(self, reward):
        super().__init__()
        self.reward = reward

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, self.reward, *rest


def test_a_reward_is_a_number_or_an_array_of_one() -> None:
    wait = ScriptedPolicy(lambda obs: np.zeros(2, np.float32))
    for reward in (1, np.float32(1), np.array([1.0]), np.array([[1]])):
        assert rollouts([make_env(Pays(reward))], wait, [0])[0].rewards.tolist() == [1, 1, 1]
    for reward in (None, np.ones(2), "much", np.nan):
        with pytest.raises(InputError, match=r"reward is .*, expected a finite number"):
            rollouts([make_env(Pays(reward))], wait, [0])


def test_one_that_cannot_begin_again_at_once_keeps_the_episode_before() -> None:
    envs = VecEnv([make_env(Own(broken=True))], lambda obs: (obs["state"],), 0)
    for _ in range(3):
        told = [part.tolist() for part in envs.step(np.ones((1, 2), np.float32))]
    assert told == [[1.0], [True], [False]], "its last reward, and that it ended"
    assert envs.next_obs[0].tolist() == [[3, 3]]
    assert list(envs.latest_episodes) == [(None, 3, 3.0)]


@pytest.mark.filterwarnings("ignore:.*ERROR.*:UserWarning")  # Gymnasium's log
def test_in_a_process_of_its_own_a_reset_says_the_same_line() -> None:
    envs = make_env(OldResult, 2, processes=True)
    with pytest.raises(BiddableError, match="what reset returned is 'ndarray', expected 2 of them"):
        envs.reset()
    envs.close(terminate=True)
