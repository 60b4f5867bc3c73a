"""GRIF: it learns what it should on a line, runs on BabyAI and on a user's data, and goes on after a kill."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

import gymnasium as gym
from gymnasium import spaces

import biddable
from biddable.envs.base import instruction_space
from biddable.errors import InputError
from biddable.experiments import goal_language as learned
from biddable.experiments.claims import Claim
from biddable.experiments.goal_arms import ERROR, GRIF, LCBC, NO_START, SUCCESS, Job, Outcome, collected
from biddable.experiments.goal_data import NOBODY_SAYS, assembled
from biddable.methods.act import grif
from biddable.methods.act.grif import HELD_OUT, GrifConfig, train_arm
from biddable.methods.base import configure, prepare
from biddable.policies.datasets.write_minari import write_minari
from biddable.policies.goal_language import GoalLanguageNetwork
from biddable.policies.heads import Categorical
from biddable.policies.saved import load_policy
from biddable.runs.next_steps import NEW_SEED
from biddable.types import Trajectory

LEFT, RIGHT = "go to the left", "move one to the right"
OWN = {"cases": 3, "seeds": 2, "workers": 1, "fit.steps": 4, "fit.batch_size": 8}
TINY = {**OWN, "labels": 20, "free": 20}


def walk(rng: np.random.Generator, text: str, side: int, meta=None) -> Trajectory:
    """Two steps along a line from anywhere, with noise beside it; ``side`` 0 is down, 1 is up."""
    start = rng.normal(size=3) * 3
    states = start + np.arange(3)[:, None] * np.array([1.0 if side else -1.0, 0, 0])
    actions, rewards = np.full(2, side), np.zeros(2)
    return Trajectory(text, {"state": states.astype(np.float32)}, actions, rewards, meta=meta or {})


def walks(count: int, seed: int) -> list[Trajectory]:
    rng = np.random.default_rng(seed)
    return [walk(rng, (LEFT, RIGHT)[i % 2], i % 2) for i in range(count)]


def line_data():
    hidden = [replace(each, instruction=NOBODY_SAYS) for each in walks(40, 1)]
    head = {"kind": "categorical", "n": 2}
    data = assembled(walks(40, 0), hidden, {HELD_OUT: walks(60, 2)}, "state", head)
    vectors = np.random.default_rng(0).normal(size=(2, 384)).astype(np.float32)
    return replace(data, vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def config(**options) -> GrifConfig:
    return configure(grif.Grif, "smoke", {"fit.steps": 80, "fit.batch_size": 32, **options})


@pytest.mark.parametrize("options", [{}, {"joint": False}])
def test_the_change_is_found_and_the_goal_alone_is_not(options, tmp_path) -> None:
    data = line_data()
    shares = {}
    for arm in (GRIF, NO_START):
        outcome = train_arm(Job(arm, 0, 5), data, tmp_path, config(**options), "")
        network = learned.policy_of(data, tmp_path / outcome.weights).network
        states, rows = torch.from_numpy(data.observations), data.tests[HELD_OUT]
        with torch.no_grad():
            z = network.transition(states[data.demos.first[rows]], states[data.demos.last[rows]])
            nearest = (z @ network.language(torch.from_numpy(data.vectors)).T).argmax(1)
        shares[arm] = np.mean([data.wordings[e][0] == at for e, at in zip(rows, nearest, strict=True)])
        if arm == GRIF:
            assert np.mean(outcome.hits[HELD_OUT]["1"]) == 1
            assert np.mean(outcome.errors[HELD_OUT]) < 0.1
            assert outcome.chance[HELD_OUT]["1"] == pytest.approx(0.5)
            assert outcome.success == {}
    assert shares[GRIF] > 0.9
    # One starts anywhere, with a deviation of 3, and goes 2: of where one ends 75 % can be told.
    assert shares[NO_START] < 0.9


def test_a_policy_that_is_left_follows_instructions_and_goals(tmp_path, monkeypatch) -> None:
    data = line_data()
    outcome = train_arm(Job(GRIF, 0, 5), data, tmp_path, config(), "")
    policy = learned.policy_of(data, tmp_path / outcome.weights)
    policy._vectors = lambda texts: np.stack([data.vectors[data.texts.index(text)] for text in texts])
    state = np.array([0.5, 1.0, -1.0], np.float32)
    told = [{"state": state, "instruction": text} for text in (LEFT, RIGHT)]
    goals = [state + np.array([step, 0, 0], np.float32) for step in (-2.0, 2.0)]
    shown = [{"state": state, "initial": state, "goal": goal} for goal in goals]
    assert policy.act(told) == policy.act(shown) == [0, 1]


def test_an_arm_uses_what_it_says(tmp_path) -> None:
    """Language alone learns nothing of the unlabelled: other ones change nothing."""
    data = line_data()
    other = {**data.demos.observations, "state": data.observations.copy()}
    first = data.demos.first[data.unlabelled[0]]
    other["state"][first : first + 3] += 1.0
    changed = replace(data, demos=replace(data.demos, observations=other))
    short = config(**{"fit.steps": 3})
    for arm, same in ((LCBC, True), ("labelled only", True), (GRIF, False)):
        losses = [
            train_arm(Job(arm, 0, 5), each, tmp_path / f"{i}", short, "").losses
            for i, each in enumerate((data, changed))
        ]
        assert (losses[0] == losses[1]) == same, arm


def test_vectors_are_scaled_by_whole_episodes(tmp_path) -> None:
    """A robot that starts almost in one place does not see its way a thousand times as large."""
    data = line_data()
    states = data.observations.copy()
    states[data.demos.first] *= 1e-4
    data = replace(data, demos=replace(data.demos, observations={"state": states}))
    outcome = train_arm(Job(GRIF, 0, 5), data, tmp_path, config(**{"fit.steps": 1}), "")
    network = learned.policy_of(data, tmp_path / outcome.weights).network
    rows = np.concatenate([np.arange(data.demos.first[e], data.demos.last[e] + 1) for e in range(80)])
    np.testing.assert_allclose(network.deviation.numpy(), states[rows].std(0), rtol=1e-4)


def test_unseen_instructions_are_drawn_whole() -> None:
    data = replace(line_data(), tests={grif.UNSEEN: np.arange(80, 90)})
    numbers = [float(i % 2) for i in range(10)]
    cells = {grif.UNSEEN: numbers}
    outcome = Outcome("", [], {grif.UNSEEN: {"1": numbers, "5": numbers}}, {}, cells, cells)
    by_job = {Job(arm, 0, 0): outcome for arm in (GRIF, LCBC)}
    metrics = [f"{name}, {grif.UNSEEN}" for name in (SUCCESS, ERROR)]
    claims = [Claim(LCBC, GRIF, "higher", metric) for metric in metrics]
    for by_text, kind in ((metrics, "t over 2 clusters of 10 cases"), ((), "t over 10 cases")):
        made = collected(data, by_job, by_text).compare(claims)
        assert [each.interval_kind for each in made] == [kind] * 2


BOX = spaces.Box(-99, 99, (3,), np.float32)


class Line(gym.Env):
    """A line on which a user's policy is tried."""

    observation_space = spaces.Dict({"state": BOX, "instruction": instruction_space()})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self._side, self._at = int(seed or 0) % 2, np.zeros(3, np.float32)
        return self._seen(), {}

    def step(self, action):
        self._at = self._at + np.array([1.0 if action else -1.0, 0, 0], np.float32)
        done = abs(float(self._at[0])) >= 2
        return self._seen(), 0.0, done, False, {"success": (self._at[0] > 0) == bool(self._side)}

    def _seen(self):
        return {"state": self._at, "instruction": (LEFT, RIGHT)[self._side]}


class Silent(Line):
    """Says nothing of what is to be done."""

    observation_space = spaces.Dict({"state": BOX})

    def _seen(self):
        return {"state": self._at}


class Later(Line):
    """Its choices are 1 and 2."""

    action_space = spaces.Discrete(2, start=1)


gym.register("GrifLine-v0", lambda: Line())
gym.register("GrifLater-v0", lambda: Later())
gym.register("GrifSilent-v0", lambda: Silent())


def test_a_users_data_and_environment(tmp_path) -> None:
    broken = Trajectory(LEFT, {"state": np.zeros((3, 4), np.float32)}, np.zeros(2, np.int64), np.zeros(2))
    hidden = [replace(each, instruction="") for each in walks(20, 1)]
    mine = write_minari([*walks(20, 0), *hidden], tmp_path / "mine-v0")
    more = write_minari([broken], tmp_path / "more-v0")
    options = {**OWN, "labels": 0, "data": mine, "unlabelled": more, "env": "gym:GrifLine-v0"}
    results = biddable.run("grif", out=tmp_path / "run", preset="smoke", **options)
    assert results.metrics["labelled"] == 16
    assert results.metrics["unlabelled"] == 20
    assert results.metrics["tests"] == {HELD_OUT: 4}
    assert any("unlabelled episode 0: state is [4]" in note for note in results.notes)
    assert not any("no demonstration says" in note for note in results.notes)
    assert f"--seed {NEW_SEED}" in results.next_steps[0], "no episode of the demonstrations"
    metrics = {each.metric for each in results.comparisons}
    assert {f"success, {HELD_OUT}", f"hit@5, {HELD_OUT}", f"action error, {HELD_OUT}"} == metrics
    dropped = (tmp_path / "run" / "artifacts" / "dropped" / "episodes.jsonl").read_text()
    assert json.loads(dropped)["id"] == "unlabelled episode 0"
    policy = load_policy(tmp_path / "run")
    assert policy.act([{"state": np.zeros(3, np.float32), "instruction": "to the left"}])[0] in (0, 1)


@pytest.mark.parametrize(
    ("seeds", "came"),
    [
        ([-1] * 140, range(10**6, 10**6 + 3)),  # of no environment
        (range(10**6, 10**6 + 140), range(10**6 + 140, 10**6 + 143)),  # of a user's recording
        ([*range(80), *range(10**6, 10**6 + 60)], range(10**6, 10**6 + 60)),  # the library's: the tests' own
    ],
)
def test_successes_are_of_starts_that_nothing_was_learned_from(seeds, came, monkeypatch) -> None:
    data, asked = replace(line_data(), seeds=np.array(list(seeds))), []

    def rollouts(envs, policy, seeds, options):
        asked.extend(seeds)
        return [replace(walks(1, 0)[0], success=True) for _ in seeds]

    monkeypatch.setattr("biddable.policies.base.rollouts", rollouts)
    network = GoalLanguageNetwork(learned.seen_of(data), 2, width=4, channels=4, hidden=4)
    found = learned.played(network, Categorical(2), data, "gym:GrifLine-v0", cases=3)
    assert asked == list(came)
    assert found == {HELD_OUT: [1.0] * len(came)}


def test_an_environment_that_asks_for_nothing_known_is_named(tmp_path) -> None:
    """Gymnasium's environments without an instruction have the words of their name."""
    mine = write_minari(walks(12, 0), tmp_path / "mine-v0")
    options = {**OWN, "labels": 0, "data": mine, "env": "gym:GrifSilent-v0", "arms": ()}
    results = biddable.run("grif", out=tmp_path / "run", preset="smoke", **options)
    assert any("asks for 'grif silent' in its first episode" in note for note in results.notes)


def test_on_babyai_and_after_a_kill(tmp_path, monkeypatch) -> None:
    """Killed between stages, and between arms, it goes on and ends the same."""
    whole = biddable.run("grif", out=tmp_path / "whole", preset="smoke", **TINY)
    assert whole.metrics["labelled"] == whole.metrics["unlabelled"] == 20
    assert whole.metrics["tests"] == {grif.UNSEEN: 3, grif.SEEN: 3}
    held = next(note for note in whole.notes if note.startswith("Never named")).partition(": ")[2]
    about = json.loads((tmp_path / "whole" / "stages" / "data" / "about.json").read_text())
    names = held.removesuffix(".").split(", ")
    assert len(names) == 6
    assert not any(name in text for text in about["instructions"][:20] for name in names)
    unseen = about["instructions"][40:43]
    assert all(any(name in text for name in names) for text in unseen)

    calls = []
    original = grif.train_arm

    def stops(*args):
        if len(calls) in (0, 3):
            calls.append("killed")
            raise KeyboardInterrupt
        calls.append(args[0].arm)
        return original(*args)

    monkeypatch.setattr(grif, "train_arm", stops)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            biddable.run("grif", out=tmp_path / "killed", preset="smoke", **TINY)
    again = biddable.run("grif", out=tmp_path / "killed", preset="smoke", **TINY)
    assert len(calls) == 8 + 2, "finished arms are not computed again"
    assert again.metrics == whole.metrics
    assert again.comparisons == whole.comparisons


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": ("LCBC", "nothing")}, "arms is 'nothing', expected some of LCBC, no start"),
        ({"arms": ("LCBC", "LCBC")}, "each once"),
        (
            {"env": "gym:CartPole-v1"},
            "env is 'gym:CartPole-v1', expected nothing: it has an effect only with",
        ),
        ({"level": "BabyAI-Nowhere-v0"}, "env is 'minigrid:BabyAI-Nowhere-v0"),
        ({"level": "MiniGrid-Empty-5x5-v0"}, "level is 'MiniGrid-Empty-5x5-v0', expected a level of BabyAI"),
        ({"labels": 1}, "labels is 1, expected more"),
        ({"fewer_labels": (400,)}, "fewer_labels is 400, expected from 2 to 299: there are 300 labels"),
    ],
)
def test_settings_that_cannot_be_are_one_line(options, message) -> None:
    with pytest.raises(InputError) as caught:
        prepare(grif.Grif, options=options).check()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("trajectories", "options", "message"),
    [
        ([replace(each, instruction="") for each in walks(6, 0)], {}, "0 labelled episodes of 0 episodes"),
        (walks(6, 0)[::2], {}, "expected demonstrations with at least 2 different instructions"),
        (walks(8, 0), {"hold_out": "instructions"}, "8 labelled episodes of 2 instructions"),
        (walks(8, 0), {"labels": 8}, "labels is 8, expected at most 6"),
        (walks(8, 0), {"labels": 1}, "labels is 1, expected more"),
        (walks(4, 0), {"seeds": 1}, "seeds is 1, expected at least 2: one demonstration is held out"),
        (
            [replace(each, observations={"image": np.zeros((3, 9, 9, 1), np.uint8)}) for each in walks(8, 0)],
            {},
            "expected vectors [size], pictures [H, W, 3] of bytes",
        ),
        (
            walks(8, 0),
            {"env": "gym:CartPole-v1"},
            "env is 'gym:CartPole-v1', expected one that shows what the data do: state is 'float32 of",
        ),
        (walks(8, 0), {"env": "gym:GrifLater-v0"}, "expected one whose choices begin with 0"),
        (walks(8, 0), {"env": "minigrid:BabyAI-GoToLocal-v0"}, "observation has 'state'; it has direction"),
        (walks(8, 0), {"part": "wrist"}, "part is 'wrist', expected one of state"),
    ],
)
def test_data_that_cannot_be_is_one_line(trajectories, options, message, tmp_path) -> None:
    folder = write_minari(trajectories, tmp_path / "mine-v0")
    with pytest.raises(InputError) as caught:
        biddable.run("grif", out=tmp_path / "run", data=folder, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
