"""``biddable act``: what a saved policy does in an environment, and its film."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from gymnasium import spaces

from biddable import load_policy, make_env
from biddable.errors import FileError
from biddable.policies.base import rollouts
from biddable.policies.heads import head_for
from biddable.policies.playing import RandomPolicy, write_film
from biddable.policies.saved import policy_env, save_policy
from biddable.policies.state import ActorCritic, StatePolicy

from .conftest import Command
from .fakes import assert_one_line

ENV = "gym:CartPole-v1"


def saved(folder, *, env: str = ENV, space=None) -> str:
    torch.manual_seed(0)
    head = head_for(space or spaces.Discrete(2))
    policy = StatePolicy(ActorCritic(4, head.outputs, (8,)), head, 4, (8,))
    return str(save_policy(folder / "policy", policy, title="A policy that knows nothing", env=env, frames=0))


def test_a_saved_policy_acts_as_before(tmp_path) -> None:
    for space in (spaces.Discrete(2), spaces.Box(-2, 2, (3,))):
        folder = saved(tmp_path / str(space), space=space)
        again, head = load_policy(folder), head_for(space)
        torch.manual_seed(0)
        policy = StatePolicy(ActorCritic(4, head.outputs, (8,)), head, 4, (8,))
        observations = [{"state": torch.randn(4).numpy()} for _ in range(5)]
        assert str(again.act(observations)) == str(policy.act(observations))
    assert policy_env(folder) == ENV


def test_it_counts_and_films(biddable: Command, tmp_path) -> None:
    folder = saved(tmp_path)
    pytest.importorskip("pygame")
    film = tmp_path / "film.gif"
    result = biddable("act", folder, "--episodes", "5", "--film", "2", "--video", str(film), "--json")
    told = json.loads(result.stdout)
    with_policy = rollouts([make_env(ENV)], load_policy(folder), range(5))
    assert (told["episodes"], told["success"]) == (5, None)
    assert told["mean_return"] == pytest.approx(sum(map(len, with_policy)) / 5), "the same episodes"
    from PIL import Image

    with Image.open(film) as pictures:
        most = sum(len(each) + 1 for each in with_policy[:2])
        assert most / 3 < pictures.n_frames <= most, "pictures that are the same are one"


def test_tables_say_what_is_known(biddable: Command, tmp_path) -> None:
    result = biddable(
        "act",
        "random",
        "--env",
        "minigrid:BabyAI-GoToLocal-v0",
        "--episodes",
        "3",
        "--max-episode-steps",
        "9",
    )
    assert "95 % interval" in result.stdout
    assert "By instruction" in result.stdout
    result = biddable("act", saved(tmp_path), "--episodes", "2", "--max-episode-steps", "5")
    assert "unknown" in result.stdout
    assert "does not say whether an episode succeeded" in result.stdout


@pytest.mark.parametrize("env", ["form:long", "widget:boxes"])
def test_random_actions_on_a_page_are_among_those_it_has(biddable: Command, env) -> None:
    told = json.loads(biddable("act", "random", "--env", env, "--episodes", "8", "--json").stdout)
    assert told["episodes"] == 8
    assert told["mean_length"] > 1


@pytest.mark.parametrize("fps", [15, 24, 50])
def test_a_film_lasts_as_long_as_it_should(fps, tmp_path) -> None:
    from PIL import Image

    pictures = [np.full((16, 16, 3), 4 * shade, np.uint8) for shade in (*range(59), 58)]
    write_film(tmp_path / "film.gif", pictures, fps)
    with Image.open(tmp_path / "film.gif") as film:
        lasts = 0
        for frame in range(film.n_frames):
            film.seek(frame)
            lasts += film.info["duration"]
    assert lasts == pytest.approx(60 / fps * 1000, abs=10)


def test_random_actions_and_an_environment_of_the_same_seed_draw_other_numbers() -> None:
    env = make_env("gym:Pendulum-v1")
    env.reset(seed=7)
    RandomPolicy(env.action_space, 7).act([{}])
    streams = [each.np_random.bit_generator.state["state"]["inc"] for each in (env, env.action_space)]
    assert streams[0] != streams[1]


def test_a_browser_is_filmed(biddable: Command, tmp_path) -> None:
    pytest.importorskip("miniwob", reason='miniwob is not installed: pip install "biddable[envs]"')
    if not shutil.which("chromedriver"):
        pytest.skip("chromedriver is not installed: apt-get install chromium-driver")
    film = tmp_path / "film.gif"
    biddable("act", "random", "--env", "miniwob:click-test", "--episodes", "1", "--video", str(film))
    from PIL import Image

    with Image.open(film) as picture:
        assert min(picture.size) >= 160


def test_bad_input_is_one_line(biddable: Command, tmp_path) -> None:
    folder = saved(tmp_path)
    assert_one_line(biddable("act", str(tmp_path)), "holds no policy")
    assert_one_line(biddable("act", "random"), "--env is None", "the environment to act in")
    assert_one_line(biddable("act", folder, "--video", "x.avi"), "--video is 'x.avi'", ".mp4 or .gif")
    assert_one_line(biddable("act", folder, "--env", "gym:Pole-v1"), "gym:Pole-v1")
    assert_one_line(biddable("act", folder, "--env", "gym:Acrobot-v1"), "state is [6], expected [4]")
    moves = saved(tmp_path / "moves", space=spaces.Box(-2, 2, (3,)))
    assert_one_line(biddable("act", moves), "action is array(", "expected one of Discrete(2)")
    assert_one_line(
        biddable("act", folder, "--env", "minigrid:BabyAI-GoToLocal-v0", "--instruction", "go"),
        "--instruction is 'go'",
    )
    for name in ("--film", "--fps"):
        assert_one_line(biddable("act", folder, name, "4"), f"{name} is 4", "an effect only with --video")
    assert_one_line(biddable("act", folder, "--success", "won"), "--success is 'won'", "a key of info")


def test_a_damaged_policy_is_named(tmp_path) -> None:
    folder = saved(tmp_path)
    about = tmp_path / "policy" / "policy.json"
    about.write_text(about.read_text().replace('"state"', '"os:system"'))
    with pytest.raises(FileError, match="kind is 'os:system', expected one of"):
        load_policy(folder)
    folder = saved(tmp_path / "other")
    (tmp_path / "other" / "policy" / "weights.safetensors").write_bytes(b"no")
    with pytest.raises(FileError, match="no policy of kind state"):
        load_policy(folder)
