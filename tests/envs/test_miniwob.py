"""MiniWoB++ in a real Chromium: tasks can be done, and a browser that breaks costs no episode."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

pytest.importorskip("miniwob", reason='miniwob is not installed: pip install "biddable[envs]"')
if not shutil.which("chromedriver"):
    pytest.skip("no chromedriver: apt-get install chromium chromium-driver", allow_module_level=True)

from biddable.envs import miniwob
from biddable.envs.base import make_env
from biddable.envs.miniwob import MiniWoBEnv, names
from biddable.envs.pages import after_typing
from biddable.envs.web import Element, Field, WebAction
from biddable.errors import BiddableError, InputError
from biddable.policies.base import ScriptedPolicy, rollouts

KEEPERS = ("book-flight-nodelay", "drag-items")
"""Tasks whose pages look different once they were played, unless they are loaded anew."""
PARTIAL = 8
"""A seed of click-checkboxes on which sending at once earns a third."""


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


def play_at_random(env: MiniWoBEnv, seed: int, rng: np.random.Generator) -> None:
    """Up to six clicks, or typing where text is taken."""
    observation, _ = env.reset(seed=seed)
    for _ in range(6):
        targets = [each for each in observation["dom"] if each.tag not in ("t", "html", "body", "div")]
        target = targets[int(rng.integers(len(targets)))]
        kind = "type" if target.takes_text and observation["fields"] else "click"
        observation, _, terminated, truncated, _ = env.step(WebAction(kind, target.ref))
        if terminated or truncated:
            return


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all have ended; in a container they may stay as zombies."""
    _, alive = psutil.wait_procs(processes, timeout=0.5)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def enter_text(observation: dict) -> WebAction:
    """Type what is asked for, then send it."""
    box = element(observation, tag="input_text")
    return (
        WebAction("click", element(observation, tag="button").ref)
        if box.value
        else WebAction("type", box.ref)
    )


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


@pytest.mark.parametrize(("threshold", "success"), [(1.0, False), (0.25, True)])
def test_a_part_of_the_reward_is_success_only_above_the_threshold(threshold: float, success: bool) -> None:
    env = MiniWoBEnv("click-checkboxes", threshold=threshold)
    observation, _ = env.reset(seed=PARTIAL)
    _, reward, terminated, _, info = env.step(WebAction("click", element(observation, tag="button").ref))
    env.close()
    assert 0.25 < reward < 1, "some boxes are to stay empty, and so they are"
    assert (terminated, info["success"]) == (True, success)


def test_the_clock_ends_an_episode_only_where_it_is_asked_for(typing: MiniWoBEnv) -> None:
    env = MiniWoBEnv("enter-text", time_limit=1)
    observation, _ = env.reset(seed=3)
    time.sleep(1.2)
    *_, reward, terminated, _, info = env.step(WebAction("click", element(observation, tag="button").ref))
    env.close()
    assert (reward, terminated, info["success"], info["reason"]) == (-1, True, False, "timed out")
    typing.reset(seed=3)
    limit = typing._web.unwrapped.instance.driver.execute_script("return core.EPISODE_MAX_TIME;")
    assert limit == 2**31 - 1, "no page's own limit is left, and this is the longest that a timer takes"


@pytest.mark.slow
def test_a_policy_may_think_longer_than_the_page_would_wait(typing: MiniWoBEnv) -> None:
    def slowly(observation: dict) -> WebAction:
        time.sleep(6)
        return enter_text(observation)

    assert [each.success for each in rollouts([typing], ScriptedPolicy(slowly), range(2))] == [True, True]


def test_a_seed_makes_the_same_task(typing: MiniWoBEnv) -> None:
    asked = [typing.reset(seed=seed)[0]["fields"] for seed in (5, 5, 6)]
    assert asked[0] == asked[1] != asked[2]
    assert isinstance(asked[0][0], Field)


def test_nothing_is_seen_of_the_episode_before(typing: MiniWoBEnv) -> None:
    first, _ = typing.reset(seed=5)
    for element in (e for e in first["dom"] if e.tag in ("input_text", "button")):
        typing.step(WebAction("click", element.ref))
    assert typing.reset(seed=5)[0]["dom"] == first["dom"]


@pytest.mark.parametrize("task", KEEPERS)
def test_a_seed_is_the_same_page_whatever_was_played_before(task: str) -> None:
    env, rng = MiniWoBEnv(task), np.random.default_rng(0)
    first, _ = env.reset(seed=5)
    for seed in range(3):
        play_at_random(env, seed, rng)
    again, _ = env.reset(seed=5)
    env.close()
    assert again == first


@pytest.mark.parametrize("task", ["login-user", "enter-date"])
def test_pages_without_a_browser_are_typed_into_as_chromium_is(task: str) -> None:
    env = MiniWoBEnv(task)
    for seed in range(2):
        observation, _ = env.reset(seed=seed)
        places = [(box, field) for _ in range(2) for box in range(2) for field in range(2)]
        for box, field in places if task == "login-user" else [(0, 0)] * 3:
            before = [each for each in observation["dom"] if each.takes_text][box]
            observation = env.step(WebAction("type", before.ref, field))[0]
            after = element(observation, id=before.id).value
            assert after == after_typing(before, observation["fields"][field].value)
    env.close()


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
    assert gone(browser)


def test_one_that_breaks_every_time_is_given_up(monkeypatch, caplog) -> None:
    env = MiniWoBEnv("enter-text")

    def broken() -> None:
        raise TimeoutError

    monkeypatch.setattr(env, "_open", broken)
    with pytest.raises(BiddableError, match="the browser died or hung 3 times in a row"):
        env.reset(seed=0)
    assert caplog.messages == ["miniwob/enter-text-v1: the browser is started anew: TimeoutError: "] * 3


def test_what_cannot_be_done_is_one_line(typing: MiniWoBEnv) -> None:
    observation, _ = typing.reset(seed=3)
    with pytest.raises(InputError, match="ref is 999, expected one of the page's"):
        typing.step(WebAction("click", 999))
    with pytest.raises(InputError, match="field is 1, expected one of the instruction's 1 fields"):
        typing.step(WebAction("type", element(observation, tag="input_text").ref, 1))
    with pytest.raises(InputError, match="expected an element that takes text, which a button does not"):
        typing.step(WebAction("type", element(observation, tag="button").ref, 0))
    with pytest.raises(InputError, match="expected a WebAction, or three integers"):
        typing.step((0, float("nan"), 0))
    with pytest.raises(BiddableError, match="screenshots=True"):
        typing.render()


def test_bare_text_is_no_element() -> None:
    env = MiniWoBEnv("click-tab-2")
    observation, _ = env.reset(seed=0)
    with pytest.raises(InputError, match="expected an element, which bare text is not"):
        env.step(WebAction("click", element(observation, tag="t").ref))
    env.close()


def test_after_its_end_an_episode_takes_no_action(typing: MiniWoBEnv) -> None:
    observation, _ = typing.reset(seed=3)
    send = WebAction("click", element(observation, tag="button").ref)
    typing.step(send)
    with pytest.raises(BiddableError, match="enter-text-v1: the episode is over; reset begins another"):
        typing.step(send)


@pytest.mark.parametrize("most", [("MAX_FIELDS", 0, "1 fields"), ("MAX_REFS", 3, "6 elements")])
def test_a_page_with_more_than_actions_can_name(typing: MiniWoBEnv, most: tuple, monkeypatch) -> None:
    monkeypatch.setattr(miniwob, most[0], most[1])
    with pytest.raises(BiddableError, match=f"the page has {most[2]}; actions can name"):
        typing.reset(seed=3)


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
            {"env": "miniwob:click-nothing"},
            "env is 'miniwob:click-nothing', expected miniwob: and a task, such as",
        ),
        ({"env": "miniwob:click-test", "max_steps": 0}, "max_steps is 0"),
        (
            {"env": "miniwob:click-test", "threshold": 0},
            "threshold is 0, expected a number above 0",
        ),
        ({"env": "miniwob:click-test", "threshold": float("nan")}, "threshold is nan"),
        ({"env": "miniwob:click-test", "time_limit": -1}, "time_limit is -1, expected a number above 0"),
        ({"env": "miniwob:click-test", "time_limit": "10"}, "time_limit is '10', expected a number above 0"),
        ({"env": "miniwob:click-test", "time_limit": 1e9}, "and at most 2.14748e+06"),
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


def kill_browser(env: MiniWoBEnv) -> None:
    os.kill(env._web.unwrapped.instance.driver.service.process.pid, signal.SIGKILL)


def hang_page(env: MiniWoBEnv) -> None:
    env._web.unwrapped.instance.driver.execute_script("setTimeout(() => { while (true) {} }, 20);")


@pytest.mark.parametrize("fault", [kill_browser, hang_page])
def test_of_two_browsers_one_breaks(fault: Callable[[MiniWoBEnv], None], monkeypatch, caplog) -> None:
    monkeypatch.setattr(miniwob, "PAGE_SECONDS", 3)
    envs = [make_env("miniwob:enter-text") for _ in range(2)]
    asked = 0

    def act(observation: dict) -> WebAction:
        nonlocal asked
        asked += 1
        if asked == 4:  # both have typed, and the first has been asked what to do next
            fault(envs[1])
        return enter_text(observation)

    episodes = rollouts(envs, ScriptedPolicy(act), range(5), threads=True)
    started = [process for env in envs for process in env._processes]
    for env in envs:
        env.close()
    assert [episode.success for episode in episodes] == [True] * 5
    assert [len(episode) for episode in episodes] == [2] * 5
    assert sorted(env.restarts for env in envs) == [0, 1]
    assert [record.getMessage() for record in caplog.records if "started anew" in record.getMessage()]
    assert gone(started)


@pytest.mark.parametrize("processes", [False, True])
def test_browsers_side_by_side(processes: bool) -> None:
    envs = make_env("miniwob:enter-text", num_envs=2, processes=processes)
    obs, _ = envs.reset(seed=[5, 6])
    for _ in range(2):
        pages = [{name: values[i] for name, values in obs.items()} for i in range(2)]
        assert all(page in envs.single_observation_space for page in pages)
        actions = [enter_text(page) for page in pages]
        numbers = np.array([[("click", "type").index(a.kind), a.ref, a.field] for a in actions])
        obs, rewards, terminated, _, info = envs.step(numbers)
    envs.close()
    assert (rewards.tolist(), terminated.tolist()) == ([1.0, 1.0], [True, True])
    assert info["final_info"]["success"].tolist() == [True, True]
    assert obs["instruction"] != tuple(page["instruction"] for page in pages), "the next episode has begun"


def open_and_reset(task: str) -> None:
    env = MiniWoBEnv(task)
    try:
        observation, info = env.reset(seed=1)
        assert observation in env.observation_space
        assert observation["instruction"]
        assert {"body", "html"} & {each.tag for each in observation["dom"]}
        assert info == {"success": False, "restarts": 0}
    finally:
        env.close()


DOZEN = (
    "book-flight", "choose-date", "click-checkboxes-large", "click-pie", "daily-calendar", "email-inbox",
    "flight.Alaska", "form-sequence-3", "login-user-popup", "social-media-all", "terminal", "unicode-test",
)  # fmt: skip


def test_a_dozen_tasks_open() -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(open_and_reset, DOZEN))


@pytest.mark.slow
def test_all_tasks_open() -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(open_and_reset, names()))
