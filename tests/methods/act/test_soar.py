"""SOAR: it runs on BabyAI, goes on after a kill, learns in a user's environment, refuses what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

import gymnasium as gym
from gymnasium import spaces

import biddable
from biddable.envs.base import instruction_space
from biddable.errors import InputError
from biddable.experiments import improvement
from biddable.experiments import subgoal_fits as fits
from biddable.experiments.commanding import Lab
from biddable.experiments.improvement import LCBC, SOAR, Autonomous, CollectJob, Job
from biddable.methods.act import soar
from biddable.methods.act.soar import Soar, SoarConfig
from biddable.methods.base import configure, prepare
from biddable.policies.batches import Demonstrations
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.write_minari import write_minari
from biddable.policies.saved import load_policy
from biddable.runs.next_steps import NEW_SEED
from biddable.types import Trajectory

LEFT, RIGHT = "go to the left", "move one to the right"
OWN = {"workers": 1, "cases": 6, "episodes": 8, "seeds": 2, "fit.steps": 4, "subgoal_fit.steps": 4,
       "fit.batch_size": 8, "subgoal_fit.batch_size": 8}  # fmt: skip
TINY = {**OWN, "rooms.demos": 6, "rooms.videos": 6}
LEARNS = {"cases": 24, "episodes": 40, "fit.steps": 150, "subgoal_fit.steps": 200, "steps_per_subgoal": 2,
          "max_subgoals": 3, "workers": 1, "seeds": 2, "mix": (0.8, 0.2, 0.0)}  # fmt: skip


class Line(gym.Env):
    """A line; it succeeded where it ended on the side that was asked for, left of -2 or right of 2."""

    observation_space = spaces.Dict(
        {"state": spaces.Box(-99, 99, (3,), np.float32), "instruction": instruction_space()}
    )
    action_space = spaces.Discrete(2)

    def __init__(self, commands: bool = True, tells: bool = True, texts=(LEFT, RIGHT)):
        self._commands, self._tells, self._texts = commands, tells, texts

    def reset(self, *, seed=None, options=None):
        self._text = self._texts[int(seed or 0) % len(self._texts)]
        if self._commands:
            self._text = (options or {}).get("instruction", self._text)
        start = np.random.default_rng(seed).normal(size=3) * [0.2, 1, 1]
        self._at = start.astype(np.float32)
        return self._seen(), {}

    def step(self, action):
        self._at = self._at + np.array([1.0 if action else -1.0, 0, 0], np.float32)
        done = abs(float(self._at[0])) >= 2
        told = {"success": bool((self._at[0] > 0) == (self._text == RIGHT) and done)} if self._tells else {}
        return self._seen(), 0.0, done, False, told

    def _seen(self):
        return {"state": self._at, "instruction": self._text}


gym.register("SoarLine-v0", lambda: Line())
gym.register("SoarAsks-v0", lambda: Line(commands=False))
gym.register("SoarSilent-v0", lambda: Line(tells=False))
gym.register("SoarOther-v0", lambda: Line(commands=False, texts=("sing", "dance")))


def walks(count: int, seed: int = 0, size: int = 3) -> list[Trajectory]:
    """Three steps to the side that is asked for, from near the middle."""
    rng, made = np.random.default_rng(seed), []
    for i in range(count):
        side = 1.0 if i % 2 else -1.0
        states = rng.normal(size=size) * 0.5 + np.arange(4)[:, None] * side * np.eye(size)[0]
        text, actions = (RIGHT if i % 2 else LEFT), np.full(3, i % 2)
        made.append(Trajectory(text, {"state": states.astype(np.float32)}, actions, np.zeros(3)))
    return made


def mine(folder: Path, count: int = 40) -> Path:
    return write_minari(walks(count), folder / "mine-v0")


def test_it_learns_in_a_users_environment(tmp_path) -> None:
    options = {**LEARNS, "data": mine(tmp_path), "env": "gym:SoarLine-v0"}
    results = biddable.run("soar", out=tmp_path / "run", preset="smoke", **options)
    scores = results.metrics["scores"]["success"]
    assert scores["SOAR, after"]["mean"] > 0.9
    assert scores["LCBC, after"]["mean"] > 0.9
    assert results.metrics["commanded"]
    assert results.metrics["tasks"] == 2
    assert results.metrics["demonstrations"] == 36
    assert results.metrics["sub-goals"]["mean square"] < 0.2
    by_role = {(each.metric, each.method_name): each.role for each in results.comparisons}
    assert by_role == {
        ("success", "SOAR, after"): "claim",
        ("gain in success", "SOAR"): "claim",
        ("success", "LCBC, after"): "question",
        ("success lost per unit of detector error", "SOAR"): "claim",
        ("balance of attempts", "zone + UCB"): "control",
    }
    assert f"--seed {NEW_SEED}" in results.next_steps[0], "no episode of the demonstrations"
    assert soar.COLLECT_SEED + 1_000_000 * 100 < NEW_SEED, "nor of its own, of a hundred repetitions"
    policy = load_policy(tmp_path / "run")
    seen = [{"state": np.zeros(3, np.float32), "instruction": text} for text in (LEFT, RIGHT)]
    assert policy.act(seen) == [0, 1]
    own = read_trajectories(tmp_path / "run" / "artifacts" / "data" / "autonomous-v0")
    assert len(own) == 40
    assert {each.instruction for each in own} == {LEFT, RIGHT}
    assert all(each.success is not None for each in own)


def test_an_environment_with_its_own_instructions_is_reset_until_it_asks(tmp_path) -> None:
    options = {**LEARNS, **OWN, "mix": (0.8, 0.1, 0.1), "errors": (), "compare_proposers": False,
               "data": mine(tmp_path, 12), "env": "gym:SoarAsks-v0", "rounds": 2}  # fmt: skip
    tasks = tmp_path / "tasks.txt"
    tasks.write_text(f"{LEFT}\n\n{RIGHT}\n")
    options["mix"] = (1.0, 0.0, 0.0)
    results = biddable.run("soar", out=tmp_path / "run", preset="smoke", tasks=tasks, **options)
    assert not results.metrics["commanded"]
    assert any("takes no commanded instruction" in note for note in results.notes)
    assert sum(each["attempts"] for each in results.metrics["by task"].values()) == 2 * 2 * 8
    assert len(read_trajectories(tmp_path / "run" / "artifacts" / "data" / "autonomous-v0")) == 2 * 8


def test_a_model_says_what_was_done_where_the_environment_does_not(tmp_path, monkeypatch) -> None:
    from biddable.models import load
    from biddable.policies import detectors
    from biddable.types import Response, last_turn
    from tests.doubles import Double

    class Sees(Double):
        name = "sees"

        def say(self, prompt, seed, sample):
            text = last_turn(prompt)
            if "Write one yes-or-no question" in text:
                begins = text.startswith("A robot is asked")
                return Response("Can it begin?\ntrue" if begins else "Is it at the right?\ntrue")
            if "Can it begin" in text:
                return Response("true")
            return Response("true" if float(text.split("state: ")[1].split()[0]) > 0 else "hard to say")

    monkeypatch.setattr(load, "load_model", lambda name, **_: Sees())
    monkeypatch.setattr(load, "locate", lambda name: (Path(), name))
    options = {**OWN, "mix": (1.0, 0.0, 0.0), "data": mine(tmp_path, 12), "env": "gym:SoarSilent-v0"}
    results = biddable.run("soar", out=tmp_path / "run", preset="smoke", detector="sees", **options)
    assert any("does not say what succeeded" in note and "no curve" in note for note in results.notes)
    assert any("could not be read; they count as no" in note for note in results.notes)
    assert results.metrics["collected"]["success while collecting"] is None
    assert not any("detector error" in each.metric for each in results.comparisons)
    assert detectors.ModelDetector(Sees()).viable({"state": np.ones(3)}, [LEFT]) == [True]


def test_on_babyai_as_a_command_killed_and_gone_on_with(tmp_path, monkeypatch) -> None:
    options = {**TINY, "mix": (0.9, 0.0, 0.1)}
    whole = biddable.run("soar", out=tmp_path / "whole", preset="smoke", **options)
    assert whole.metrics["tasks"] == 36
    assert whole.metrics["sub-goals"].keys() == {"as it came", "reachable"}
    calls: list[str] = []
    train, collect = soar.train_arm, soar.collect

    def stops(name, original):
        def called(*args):
            calls.append(name)
            if len(calls) in (1, 4, 7, 9):
                raise KeyboardInterrupt
            return original(*args)

        return called

    monkeypatch.setattr(soar, "train_arm", stops("train", train))
    monkeypatch.setattr(soar, "collect", stops("collect", collect))
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            biddable.run("soar", out=tmp_path / "killed", preset="smoke", **options)
    again = biddable.run("soar", out=tmp_path / "killed", preset="smoke", **options)
    assert calls.count("train") + calls.count("collect") == 2 * 2 + 2 * 2 + 2 * 2 * 2 + 4
    assert again.metrics == whole.metrics
    assert again.comparisons == whole.comparisons

    film = tmp_path / "soar.gif"
    command = [sys.executable, "-m", "biddable", "act", str(tmp_path / "whole"), "--episodes", "2"]
    more = ["--max-episode-steps", "6", "--film", "1", "--video", str(film), "--json"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["episodes"] == 2
    assert "walls=1" in said["env"]
    assert film.stat().st_size > 500


def test_the_arms_learn_from_what_they_say(tmp_path) -> None:
    """Another instruction changes LCBC alone; episodes judged not done change neither without a share."""
    config = configure(Soar, "smoke", {**TINY, "mix": (0.5, 0.5, 0.0)})
    data = replace(_data(tmp_path), vectors=np.eye(2, 384, dtype=np.float32))
    lab = Lab(tmp_path, tmp_path, ("gym:SoarLine-v0",), (LEFT, RIGHT), True, (), 6)
    own = walks(8, 5)
    told = [replace(each, instruction=LEFT) for each in own]
    failed = [replace(each, actions=1 - each.actions) for each in own]
    losses: dict[tuple[str, str], list] = {}
    for name, episodes in {"own": [*own, *own], "told": [*told, *own], "failed": [*own, *failed]}.items():
        judged = np.arange(16) < 8
        demos = Demonstrations.of(episodes)
        Autonomous(demos, judged, judged.astype(np.int8)).save(tmp_path / CollectJob(0, 0, 1, "").name)
        for arm in (SOAR, LCBC):
            losses[arm, name] = soar.train_arm(Job(arm, 0, 3, 1), lab, config, data).losses
    assert losses[SOAR, "own"] == losses[SOAR, "told"] == losses[SOAR, "failed"]
    assert losses[LCBC, "own"] == losses[LCBC, "failed"] != losses[LCBC, "told"]


def _data(folder: Path):
    from biddable.experiments.commanding import HELD_OUT
    from biddable.experiments.goal_data import assembled

    head = {"kind": "categorical", "n": 2}
    data = assembled(walks(12), [], {HELD_OUT: walks(4, 1)}, "state", head)
    fits.leave(fits._new_model(configure(Soar, "smoke", TINY), data), folder, "g")
    return data


def test_labels_of_a_detector_that_errs() -> None:
    truth = np.tile([0, 1], 1000).astype(np.int8)
    own = Autonomous(Demonstrations.of(walks(2)), truth == 0, truth)
    assert (own.labels(-1, np.random.default_rng(0)) == (truth == 0)).all()
    assert (own.labels(0.0, np.random.default_rng(0)) == (truth == 1)).all()
    few, many = ((own.labels(e, np.random.default_rng(0)) != (truth == 1)) for e in (0.2, 0.4))
    assert few.mean() == pytest.approx(0.2, abs=0.03)
    assert many[few].all(), "a detector that errs more errs there, too"
    with pytest.raises(InputError, match="the environment does not say what succeeded"):
        replace(own, truth=-truth).labels(0.2, np.random.default_rng(0))


def test_without_an_episode_of_a_kind_that_has_a_share_it_ends_in_one_line(tmp_path) -> None:
    own = Autonomous(Demonstrations.of(walks(4)), np.zeros(4, bool), np.zeros(4, np.int8))
    own.save(tmp_path / CollectJob(0, 0, 1, "").name)
    lab = Lab(tmp_path, tmp_path, (), (), True, (), 6)
    with pytest.raises(
        InputError, match="episodes judged done is 'none', expected at least one, as mix gives"
    ):
        fits.own_episodes(Job(SOAR, 0, 0, 1), lab, (0.8, 0.2, 0.0))
    sides = fits.own_episodes(Job(SOAR, 0, 0, 1), lab, (0.8, 0.0, 0.2))
    assert sides[0] is None
    assert len(sides[1].lengths) == 4


def test_what_errors_cost_is_the_slope_of_each_case() -> None:
    arms, none = (SOAR, LCBC), improvement.Outcome("", [], [1.0, 0.0])
    outcomes = {Job(arm, seed, 0): none for arm in arms for seed in (0, 1)}
    for seed in (0, 1):
        for arm, last in ((SOAR, [1.0, 1.0]), (LCBC, [0.0, 1.0])):
            for error, values in ((-1.0, [1.0, 1.0]), (0.0, [1.0, 1.0]), (0.5, last)):
                outcomes[Job(arm, seed, 0, 1, error)] = replace(none, success=values)
    scores = improvement.scored(outcomes, 1, {})
    assert scores.values(SOAR, improvement.GAIN).tolist() == [[0, 1]] * 2
    assert scores.values(SOAR, improvement.LOST).tolist() == [[0, 0]] * 2
    assert scores.values(LCBC, improvement.LOST).tolist() == [[2, 0]] * 2


def test_a_sub_goal_can_be_reached_or_not() -> None:
    grid = np.zeros((5, 5, 3), np.uint8)
    grid[..., 0] = 2
    grid[1:-1, 1:-1] = 1, 0, 0
    now, ahead, far, taken = grid.copy(), grid.copy(), grid.copy(), grid.copy()
    now[1, 1], ahead[2, 1], far[3, 3] = (10, 0, 0), (10, 0, 1), (10, 0, 0)
    now[3, 1] = ahead[3, 1] = far[3, 1] = 6, 0, 0
    taken[2, 1] = 10, 0, 0
    for goal, steps, expected in [
        (ahead, 2, True),
        (ahead, 1, False),
        (far, 5, False),
        (far, 6, True),
        (taken, 2, True),
        (taken, 1, False),
        (grid, 9, False),
        (now, 1, True),
    ]:
        assert fits._reachable(now, goal, steps) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mix": (0.8, 0.3, 0.0)}, "mix is [0.8, 0.3, 0.0], expected three shares that sum to 1"),
        ({"mix": (1.2, -0.2, 0.0)}, "none below 0"),
        ({"discount": 1.0}, "discount is 1.0, expected a number above 0 and below 1"),
        ({"errors": (0.2,)}, "errors is [0.2], expected none, or at least two, each once"),
        ({"errors": (0.2, 0.2)}, "each once"),
        (
            {"env": "gym:SoarLine-v0"},
            "env is 'gym:SoarLine-v0', expected nothing: it has an effect only with",
        ),
        ({"detector": "nobody-has-it"}, "nobody-has-it"),
        ({"detector": "openai:nothing"}, "openai:NAME@URL"),
        ({"off_limits": ("the",)}, "tasks is 'none', expected at least one"),
        ({"rooms": {"level": "BabyAI-Nowhere-v0"}}, "env is 'minigrid:BabyAI-Nowhere-v0"),
        ({"rooms": {"level": "MiniGrid-Empty-5x5-v0"}}, "MiniGrid-Empty-5x5-v0?num_dists=4"),
        ({"rooms": {"objects": 60}}, "at most 21 of num_dists"),
        ({"rooms": {"layouts": 100}}, "rooms.layouts is 100, expected at most 99"),
        ({"detector": "openai:m@http://localhost:1/v1", "error": 0.1}, "error is 0.1, expected 0"),
    ],
)
def test_settings_that_cannot_be_are_one_line(options, message) -> None:
    with pytest.raises(biddable.errors.BiddableError) as caught:
        prepare(Soar, options=options).check()
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "lines", "message"),
    [
        ({}, "", "tasks is 'none', expected at least one"),
        ({}, "go\ngo\n", "tasks is 'go', expected texts that say what to do, each once"),
        ({"env": "gym:SoarOther-v0"}, "go\n", "asks for ('dance', …): it takes no commanded instruction"),
        ({"env": ""}, None, "env is 'none', expected an environment to collect episodes in"),
        ({"env": "gym:CartPole-v1"}, None, "some that gym:CartPole-v1 asks for"),
        ({"env": "minigrid:BabyAI-GoToLocal-v0"}, f"{LEFT}\n", "can be commanded in BabyAI"),
        ({"env": "minigrid:BabyAI-GoToLocal-v0"}, "go to the red ball\n", "observation has 'state'; it has"),
        ({"part": "wrist"}, None, "part is 'wrist', expected one of state"),
        ({"test_share": 0.0}, None, "test_share is 0.0"),
        ({"env": "gym:SoarSilent-v0"}, None, "gym:SoarSilent-v0 does not say in info['success']"),
    ],
)
def test_tasks_and_environments_that_do_not_fit_are_one_line(options, lines, message, tmp_path) -> None:
    tasks = None if lines is None else tmp_path / "tasks.txt"
    if tasks is not None:
        tasks.write_text(lines or "")
    options = {"data": mine(tmp_path, 12), "env": "gym:SoarLine-v0", "tasks": tasks, **options}
    with pytest.raises(biddable.errors.BiddableError) as caught:
        biddable.run("soar", out=tmp_path / "run", **options)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_learned_from_is_one_line(tmp_path) -> None:
    short = Trajectory(LEFT, {"state": np.zeros((1, 3), np.float32)}, np.zeros(0, np.int64), np.zeros(0))
    with pytest.raises(InputError, match="no steps"):
        write_minari([short], tmp_path / "short-v0")
    four = write_minari(walks(12, size=4), tmp_path / "four-v0")
    with pytest.raises(InputError, match=r"numbers of shape \[4\], as it was trained on"):
        Soar(SoarConfig(data=four, env="gym:SoarLine-v0")).check()
    alike = write_minari([replace(each, instruction=LEFT) for each in walks(12)], tmp_path / "alike-v0")
    with pytest.raises(InputError, match="expected demonstrations with at least 2 different instructions"):
        Soar(SoarConfig(data=alike, env="gym:SoarLine-v0")).check()
