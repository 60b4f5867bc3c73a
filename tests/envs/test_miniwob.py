"""MiniWoB++ in a real Chromium: tasks can be done, and a browser that breaks costs no episode."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import psutil
import pytest

pytest.importorskip("miniwob", reason='miniwob is not installed: pip install "biddable[envs]"')
if not shutil.which("chromedriver"):
    pytest.skip("no chromedriver: apt-get install chromium chromium-driver", allow_module_level=True)

from biddable.envs import miniwob
from biddable.envs.base import make_env
from biddable.envs.miniwob import MiniWoBEnv, names
from biddable.envs.web import Element, Field, WebAction
from biddable.errors import BiddableError, InputError


@pytest.fixture(scope="module")
def typing() -> Iterator[MiniWoBEnv]:
    env = MiniWoBEnv("enter-text")
    yield env
    env.close()


def element(observation: dict, **wanted: str) -> Element:
    return next(
        each
        for each in observation["dom"]
        if all(getattr(each, key) == value for key, value in wanted.items())
    )


def fill_in(env: MiniWoBEnv, observation: dict) -> dict:
    return env.step(WebAction("type", element(observation, tag="input_text").ref, 0))[0]


def test_all_tasks_are_there() -> None:
    assert len(names()) == 128
    assert {"click-test-2", "login-user", "book-flight", "social-media-all"} <= set(names())


def test_a_text_is_entered(typing: MiniWoBEnv) -> None:
    observation, info = typing.reset(seed=3)
    assert not info["success"]
    [field] = observation["fields"]
    assert field.value in observation["instruction"]
    observation = fill_in(typing, observation)
    assert element(observation, tag="input_text").value == field.value
    _, reward, terminated, truncated, info = typing.step(
        WebAction("click", element(observation, tag="button").ref)
    )
    assert (reward, terminated, truncated, info["success"]) == (1, True, False, True)


def test_sending_nothing_fails(typing: MiniWoBEnv) -> None:
    observation, _ = typing.reset(seed=3)
    _, reward, terminated, _, info = typing.step(WebAction("click", element(observation, tag="button").ref))
    assert terminated
    assert reward <= 0
    assert not info["success"]


def test_a_seed_makes_the_same_task(typing: MiniWoBEnv) -> None:
    asked = [typing.reset(seed=seed)[0]["fields"] for seed in (5, 5, 6)]
    assert asked[0] == asked[1] != asked[2]
    assert isinstance(asked[0][0], Field)


def test_an_episode_is_cut() -> None:
    env = MiniWoBEnv("enter-text", max_steps=1)
    observation, _ = env.reset(seed=0)
    assert env.step(WebAction("click", observation["dom"][0].ref))[2:4] == (False, True)
    env.close()


def test_a_browser_that_is_killed_costs_nothing(typing: MiniWoBEnv) -> None:
    observation, info = typing.reset(seed=4)
    before = info["restarts"]
    observation = fill_in(typing, observation)
    os.kill(typing._web.unwrapped.instance.driver.service.process.pid, signal.SIGKILL)
    *_, reward, terminated, _, info = typing.step(WebAction("click", element(observation, tag="button").ref))
    assert (reward, terminated, info["success"]) == (1, True, True)
    assert info["restarts"] == before + 1


def test_a_browser_that_hangs_costs_nothing(monkeypatch) -> None:
    monkeypatch.setattr(miniwob, "PAGE_SECONDS", 3)
    env = MiniWoBEnv("enter-text")
    observation, _ = env.reset(seed=4)
    observation = fill_in(env, observation)
    pid = env._web.unwrapped.instance.driver.service.process.pid
    os.kill(pid, signal.SIGSTOP)
    *_, reward, _, _, info = env.step(WebAction("click", element(observation, tag="button").ref))
    assert not psutil.pid_exists(pid)
    assert (reward, info["success"], info["restarts"]) == (1, True, 1)
    browser = env._processes
    env.close()
    assert not any(process.is_running() for process in browser)


def test_one_that_breaks_every_time_is_given_up(monkeypatch) -> None:
    env = MiniWoBEnv("enter-text")

    def broken() -> None:
        raise OSError("no more memory")

    monkeypatch.setattr(env, "_open", broken)
    with pytest.raises(BiddableError, match="the browser died or hung 3 times in a row"):
        env.reset(seed=0)


def test_what_cannot_be_done_is_one_line(typing: MiniWoBEnv) -> None:
    observation, _ = typing.reset(seed=3)
    with pytest.raises(InputError, match="ref is 999, expected one of the page's"):
        typing.step(WebAction("click", 999))
    with pytest.raises(InputError, match="field is 1, expected one of the instruction's 1 fields"):
        typing.step(WebAction("type", element(observation, tag="input_text").ref, 1))
    with pytest.raises(InputError, match="expected an element that takes text, which a button does not"):
        typing.step(WebAction("type", element(observation, tag="button").ref, 0))
    with pytest.raises(BiddableError, match="screenshots=True"):
        typing.render()


def test_a_picture_on_request() -> None:
    env = MiniWoBEnv("click-test", screenshots=True)
    observation, _ = env.reset(seed=0)
    assert observation["screenshot"].shape == (210, 160, 3)
    assert observation["screenshot"].std() > 10
    env.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"id": "miniwob:click-nothing"},
            "env is 'miniwob:click-nothing', expected miniwob: and a task, such as",
        ),
        ({"id": "miniwob:click-test", "max_steps": 0}, "max_steps is 0"),
    ],
)
def test_no_such_task(options: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_env(**options)
    assert message in str(caught.value)


def test_a_machine_without_browser(monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="apt-get install chromium chromium-driver"):
        MiniWoBEnv("click-test")
