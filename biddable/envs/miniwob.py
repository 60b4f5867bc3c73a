"""MiniWoB++: web tasks in a real Chromium, one browser to an environment."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import gymnasium as gym
import miniwob
import numpy as np
import psutil
from gymnasium import spaces
from miniwob.action import ActionSpaceConfig, ActionTypes
from selenium.common.exceptions import WebDriverException
from urllib3.exceptions import HTTPError

from biddable.envs.web import (
    KINDS,
    MAX_REFS,
    Element,
    Field,
    WebAction,
    action_space,
    check_action,
    page_spaces,
)
from biddable.errors import BiddableError, InputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE_SECONDS = 15
"""How long a browser may take to answer before it is taken to hang."""
RESTARTS = 3
"""How often in a row a browser is started anew before giving up."""

MAX_FIELDS = 20
"""Of an instruction; the tasks that there are have up to 8."""

_BROKEN = (WebDriverException, HTTPError, OSError, RuntimeError)
_ACTIONS = ActionSpaceConfig(  # in the order of KINDS
    action_types=(ActionTypes.CLICK_ELEMENT, ActionTypes.FOCUS_ELEMENT_AND_TYPE_FIELD)
)
_PREFIX = "miniwob/"
MAX_SECONDS = (2**31 - 1) / 1000
"""The longest time that a page's timer can be set to; one set to more would run out at once."""
_AT_LOAD = """
let state = 1;
Math.random = () => { state = (state * 48271) % 2147483647; return state / 2147483647; };
"""
"""Some pages draw while they load, before MiniWoB++ seeds them: they are to draw the same each time."""
_log = logging.getLogger(__name__)
gym.register_envs(miniwob)

T = TypeVar("T")


def names() -> list[str]:
    """The names of all tasks, without versions."""
    return sorted(
        id.removeprefix(_PREFIX).rpartition("-v")[0] for id in gym.registry if id.startswith(_PREFIX)
    )


class MiniWoBEnv(gym.Env[dict[str, Any], Any]):
    """A task of MiniWoB++ in a browser.

    Observation: ``instruction``, ``fields`` (what MiniWoB++ extracts from it, as a tuple of ``Field``),
    ``dom`` (a tuple of ``Element``, in tree order) and, where asked for, ``screenshot`` [210, 160, 3] uint8.
    Action: a ``WebAction``. The reward is the task's own, which does not fall with time. Success is a reward
    of 1: 21 of the tasks pay some of it for wrong answers (see the documentation on environments).

    Each reset loads the page anew, so that a seed makes the same page whatever was played before.
    A browser that dies or hangs is started anew, and what was done in the episode is done again;
    ``info["restarts"]`` counts how often.

    Args:
        name: the task, without version: ``click-test-2`` …
        max_steps: steps after which an episode is truncated.
        screenshots: take them; they cost half of a step.
        threshold: the reward that counts as success, above 0 and at most 1; less than 1 is for the tasks that
            grade how close a click came.
        time_limit: seconds of wall clock after which MiniWoB++ ends an episode with reward -1; None for no
            such limit, so that a slow policy is not judged by its speed.

    Raises:
        InputError: no such task, an option out of range, or no browser on this machine.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(
        self,
        name: str,
        *,
        max_steps: int = 20,
        screenshots: bool = False,
        threshold: float = 1.0,
        time_limit: float | None = None,
    ):
        if name not in names():
            raise InputError("env", f"miniwob:{name}", f"miniwob: and a task, such as {names()[0]}")
        if max_steps < 1:
            raise InputError("max_steps", max_steps, "an integer of at least 1")
        self._threshold = _number("threshold", threshold, 1.0)
        self._milliseconds = 1000 * (
            MAX_SECONDS if time_limit is None else _number("time_limit", time_limit, MAX_SECONDS)
        )
        _find_browser()
        self._id, self._max_steps, self._screenshots = f"{_PREFIX}{name}-v1", max_steps, screenshots
        self._web: Any = None
        self._processes: list[psutil.Process] = []
        self._episode: list[WebAction] = []
        self._page: dict[str, Any] = {}
        self._over = True
        self._seed = 0
        self.restarts = 0
        parts = page_spaces()
        if screenshots:
            parts["screenshot"] = spaces.Box(0, 255, (210, 160, 3), np.uint8)
        self.observation_space = spaces.Dict(parts)
        self.action_space = action_space(MAX_FIELDS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new instance of the task; the same seed makes the same one.

        Raises:
            BiddableError: the browser died or hung too often, or the page has more than actions can name.
        """
        super().reset(seed=seed)
        self._seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._episode, self._over = [], True
        self._page, info = self._surviving(self._open)
        self._check_page()
        self._over = False
        return self._observation(), {"success": False, "restarts": self.restarts, **info}

    def step(
        self, action: WebAction | Sequence[int]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Click or type.

        Raises:
            InputError: no action, no such element or field, or typing into what takes no text; nothing was
                done.
            BiddableError: the episode is over, the browser died or hung too often, or the page has more than
                actions can name.
        """
        if self._over:
            raise BiddableError(f"{self._id}: the episode is over; reset begins another")
        made = WebAction.of(action)
        self._check(made)
        self._episode.append(made)
        page, reward, done, info = self._surviving(lambda: self._do(made), again=self._replay)
        if not done:  # the last page is blank
            self._page = page
            self._check_page()
        late = not done and len(self._episode) >= self._max_steps
        self._over = done or late
        return (
            self._observation(),
            reward if done else 0.0,
            done,
            late,
            {"success": done and reward >= self._threshold, "restarts": self.restarts, **info},
        )

    def render(self) -> Any:
        """The screen. Raises BiddableError: screenshots are not taken."""
        if not self._screenshots:
            raise BiddableError("no picture: make the environment with screenshots=True")
        return self._page.get("screenshot")

    def close(self) -> None:
        """Close the browser."""
        if self._web is not None:
            with contextlib.suppress(*_BROKEN):
                self._web.unwrapped.instance.driver.quit()
        self._kill()

    def _open(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin the episode, in a new browser where there is none."""
        if self._web is None:
            self._web = gym.make(self._id, action_space_config=_ACTIONS, disable_env_checker=True)
            instance = self._web.unwrapped.instance
            driver = psutil.Process(instance.driver.service.process.pid)
            self._processes = [driver, *driver.children(recursive=True)]
            instance.record_screenshots = self._screenshots
            instance.driver.set_script_timeout(PAGE_SECONDS)
            instance.driver.set_page_load_timeout(PAGE_SECONDS)
            instance.driver.command_executor.client_config.timeout = PAGE_SECONDS
            instance.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _AT_LOAD})
        self._load()
        page, info = self._web.reset(seed=self._seed)
        return page, _facts(info)

    def _load(self) -> None:
        """Load the page with nothing left of earlier episodes: MiniWoB++ keeps what was typed, scrolled …"""
        instance = self._web.unwrapped.instance
        instance.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        instance.driver.execute_script("localStorage.clear(); sessionStorage.clear();")
        instance.driver.get(instance.url)
        instance.driver.execute_script(f"core.EPISODE_MAX_TIME = {self._milliseconds};")

    def _do(self, action: WebAction) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        made = self._web.unwrapped.create_action(KINDS.index(action.kind), ref=action.ref)
        if action.kind == "type":
            made["field"] = action.field
        page, _, done, _, info = self._web.unwrapped.step(made)
        return page, float(info["raw_reward"]), bool(done), _facts(info)

    def _replay(self) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        """Repeat the episode from its start in a new browser."""
        self._open()
        for action in self._episode[:-1]:
            self._do(action)
        return self._do(self._episode[-1])

    def _surviving(self, attempt: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """The result of ``attempt``; if the browser fails, that of ``again`` in a new browser."""
        for _ in range(RESTARTS):
            try:
                return attempt()
            except _BROKEN as error:
                what = f"{type(error).__name__}: {error}".splitlines()[0]
                _log.warning("%s: the browser is started anew: %s", self._id, what)
                self._kill()
                self.restarts += 1
                attempt = again or attempt
        raise BiddableError(f"{self._id}: the browser died or hung {RESTARTS} times in a row")

    def _kill(self) -> None:
        """End the browser without asking it: one that hangs would not answer."""
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._processes:  # only the driver is our child; in a container nobody may bury the others
            with contextlib.suppress(psutil.TimeoutExpired):
                self._processes[0].wait(PAGE_SECONDS)
        self._processes, self._web = [], None

    def _check_page(self) -> None:
        refs = max((node["ref"] for node in self._page["dom_elements"]), default=0)
        counts = (("fields", len(self._page["fields"]), MAX_FIELDS), ("elements", refs, MAX_REFS - 1))
        for name, count, limit in counts:
            if count > limit:
                raise BiddableError(f"{self._id}: the page has {count} {name}; actions can name {limit}")

    def _check(self, action: WebAction) -> None:
        nodes = self._page["dom_elements"]
        element = next((_element(node) for node in nodes if node["ref"] == action.ref), None)
        check_action(action, element, len(nodes), self._page["fields"])

    def _observation(self) -> dict[str, Any]:
        page = self._page
        obs = {
            "instruction": page["utterance"],
            "fields": tuple(Field(key, value) for key, value in page["fields"]),
            "dom": tuple(map(_element, page["dom_elements"])),
        }
        return {**obs, "screenshot": page["screenshot"]} if self._screenshots else obs


def _element(node: dict[str, Any]) -> Element:
    same = {name: node[name] for name in ("ref", "parent", "tag", "text", "value", "id", "classes")}
    sides: Any = {side: float(node[side][0]) for side in ("left", "top", "width", "height")}
    focused, tampered = (bool(flag) for flag in node["flags"][:2])
    return Element(**same, **sides, focused=focused, tampered=tampered)


def _number(name: str, value: float, most: float) -> float:
    """A number above 0 and at most ``most``. Raises InputError: it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise InputError(name, value, f"a number above 0 and at most {most:g}")
    return float(value)


def _facts(info: dict[str, Any]) -> dict[str, Any]:
    return {"reason": info["reason"]} if info.get("reason") else {}


def _find_browser() -> None:
    """Tell MiniWoB++ where the browser and its driver are; by default it asks hosts on the net."""
    driver = shutil.which("chromedriver")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not (driver and browser):
        raise InputError(
            "env", "miniwob", "Chromium and its driver: apt-get install chromium chromium-driver"
        )
    os.environ.setdefault("MINIWOB_CHROME_BINARY", browser)
    os.environ.setdefault("MINIWOB_CHROMEDRIVER", driver)
