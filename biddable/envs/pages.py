"""Web pages without a browser: the elements of ``envs.web``, thousands of steps a second, for training.

A page has inputs that hold what is typed, boxes that a click ticks and clears, radio buttons of which one
is chosen, and elements that a click ends the episode with. Typing adds to what an input holds, as in a
browser, and nothing takes it away again: what was typed wrongly stays wrong. What an instruction wants is a
*goal*: what some of the elements have to read in the end.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from biddable.envs.web import (
    Element,
    Field,
    WebAction,
    action_space,
    check_action,
    check_fields,
    page_spaces,
)
from biddable.errors import BiddableError, InputError

SPARE_STEPS = 4
_DATE = re.compile(r"(\d\d)/(\d\d)/(\d{4})")


class PageEnv(gym.Env[dict[str, Any], Any]):
    """A page to be filled in and sent.

    Observation: ``instruction`` (text), ``fields`` (the same as a tuple of ``Field``) and ``dom`` (a tuple of
    ``Element``, in tree order). Action: a ``WebAction``. Sending the page ends the episode with reward 1 if
    the right element was clicked and everything reads as the goal says, else -1. Running out of steps, four
    more than fields, fails it too: the limit is the task's, as in the paper and in MiniWoB++, and so the
    episode is terminated there and not truncated. It is paid 0 (paper: -1): with -1 a policy that cannot
    succeed yet would, under a discount, learn to put sending off.

    Args:
        max_fields: the most fields that an instruction has here.

    Attributes:
        goal: what each element that matters has to read, by ref.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"]}  # noqa: RUF012
    render_mode = "ansi"

    def __init__(self, max_fields: int):
        self.observation_space = spaces.Dict(page_spaces())
        self.action_space = action_space(max_fields)
        self.fields: tuple[Field, ...] = ()
        self.goal: dict[int, str] = {}
        self._dom: dict[int, Element] = {}
        self._groups: dict[int, str] = {}
        self._ends: dict[int, bool] = {}
        self._steps = 0

    @abstractmethod
    def _build(self, given: Mapping[str, Any]) -> None:
        """Draw an instruction and lay out its page: ``fields``, ``goal``, and elements by ``_add``.

        What is ``given`` is taken instead of being drawn; see ``reset``.
        """

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new page with a new instruction; ``options`` is what a page takes instead of drawing it."""
        super().reset(seed=seed)
        self._dom, self._groups, self._ends, self._steps = {}, {}, {}, 0
        self._build(options or {})
        check_fields(self.fields)
        return self.observation(), {"success": False}

    def step(
        self, action: WebAction | Sequence[int]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Click or type.

        Raises:
            InputError: no such element or field, or typing into what takes no text; nothing was changed.
        """
        action = WebAction.of(action)
        element = self._dom.get(action.ref)
        check_action(action, element, len(self._dom), self.fields)
        assert element is not None
        self._steps += 1
        sent = action.kind == "click" and element.ref in self._ends
        if action.kind == "type":
            self._set(element.ref, after_typing(element, self.fields[action.field].value))
        elif not sent:
            self._click(element)
        success = sent and self._ends[element.ref] and self.filled() == 1.0
        late = not sent and self._steps >= len(self.fields) + SPARE_STEPS
        reward = 1.0 if success else -1.0 if sent else 0.0
        return self.observation(), reward, sent or late, False, {"success": success}

    @property
    def dom(self) -> tuple[Element, ...]:
        """The current elements, in tree order."""
        return tuple(self._dom.values())

    def begin_here(self) -> None:
        """Count the steps of the episode from now on."""
        self._steps = 0

    def filled(self) -> float:
        """Share of the goal's elements that read as the goal says; 1 where nothing has to be filled in."""
        return dom_potential(self.dom, self.goal) if self.goal else 1.0

    def oracle(self) -> list[WebAction]:
        """The actions that complete the instruction from here, sending last.

        Raises:
            BiddableError: no action does, as an input holds something else, which typing only adds to.
        """
        actions = []
        for ref, value in self.goal.items():
            element = self._dom[ref]
            if element.value != value and element.takes_text:
                reads = [after_typing(element, field.value) for field in self.fields]
                if value not in reads:
                    raise BiddableError(f"element {ref} reads {element.value!r}: typing only adds to that")
                actions.append(WebAction("type", ref, reads.index(value)))
            elif element.value != value:
                actions.append(WebAction("click", ref))
        return [*actions, WebAction("click", next(ref for ref, right in self._ends.items() if right))]

    def observation(self) -> dict[str, Any]:
        """The current observation."""
        return {"instruction": self._sentence(), "fields": self.fields, "dom": self.dom}

    def render(self) -> str:
        """The page as text."""
        lines = [
            f"{element.ref:3d} {element.tag:12s} {element.text or element.id} {element.value}".rstrip()
            for element in self.dom
        ]
        return "\n".join([f"# {self._sentence()}", *lines])

    def _sentence(self) -> str:
        """``Fill in the page with from "Oslo" and to "Lima", and send it.``"""
        parts = [f'{field.key} "{field.value}"' for field in self.fields]
        listed = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        return f"Fill in the page with {listed}, and send it."

    def _draw(self, values: Sequence[str], count: int = 1) -> list[str]:
        return [values[i] for i in self.np_random.choice(len(values), count, replace=False)]

    def _add(self, parent: int, tag: str, **attributes: Any) -> int:
        ref = len(self._dom) + 1
        self._dom[ref] = Element(ref, parent, tag, **attributes)
        return ref

    def _click(self, element: Element) -> None:
        if group := self._groups.get(element.ref):
            for ref, key in self._groups.items():
                if key == group:
                    self._set(ref, str(ref == element.ref))
        elif element.tag == "input_checkbox":
            self._set(element.ref, str(element.value != "True"))

    def _set(self, ref: int, value: str) -> None:
        self._dom[ref] = replace(self._dom[ref], value=value, tampered=True)


def dom_potential(dom: Sequence[Element], goal: Mapping[int, str]) -> float:
    """Share of the goal's elements that read as the goal says, from 0 to 1; elements are matched by ref.

    Args:
        dom: the page as it stands.
        goal: what each element that matters has to read, by ref.

    Raises:
        InputError: an empty goal, or one with elements that the page has not.
    """
    if not goal:
        raise InputError("goal", goal, "at least one element that matters")
    reads = {element.ref: element.value for element in dom}
    if missing := sorted(goal.keys() - reads.keys()):
        raise InputError("goal", f"element {missing[0]}", "elements of the page")
    return sum(reads[ref] == value for ref, value in goal.items()) / len(goal)


def held_out(values: Sequence[str], split: str) -> Sequence[str]:
    """The values of a split: every third one is held out, the others are for training.

    Raises:
        InputError: the split is neither ``train`` nor ``held-out``.
    """
    if split not in ("train", "held-out"):
        raise InputError("split", split, "train or held-out")
    return values[::3] if split == "held-out" else [v for i, v in enumerate(values) if i % 3]


def shown(tag: str, value: str) -> str:
    """The text of an empty element after typing: browsers turn 12/31/2027 into 2027-12-31 for dates."""
    date = _DATE.fullmatch(value) if tag == "input_date" else None
    return "-".join(date.group(3, 1, 2)) if date else value


def after_typing(element: Element, value: str) -> str:
    """The text of an element after typing a value into it, as Chromium has it: behind what it held before.

    A date that is typed into one stays in its year, which keeps the last six digits: 12/31/2027 makes
    312027-12-31 of 2027-12-31.
    """
    if not element.value:
        return shown(element.tag, value)
    date = _DATE.fullmatch(value) if element.tag == "input_date" else None
    if date:
        _, _, before = element.value.partition("-")
        return f"{int(date[2] + date[3])}-{before}"
    return element.value + value
