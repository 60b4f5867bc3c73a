"""Web forms without a browser: the elements of ``envs.web``, thousands of steps a second, for training.

A form has an input for each key of the instruction, some that the instruction does not mention, and a
button. The instruction's values and the order of the inputs are drawn anew at each reset.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
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
from biddable.errors import InputError
from biddable.runs.files import read_json

Split = Literal["train", "held-out"]

_VALUES = read_json(Path(str(files(__package__) / "forms.json")))
CHOICES: Mapping[str, Sequence[str]] = _VALUES["choices"]
TEXTS: Mapping[str, Sequence[str]] = {
    key: _VALUES["texts"][kind]
    for kind, keys in {
        "names": ("username", "passenger", "contact"),
        "words": ("password", "voucher"),
        "cities": ("from", "to"),
        "dates": ("departure date", "return date"),
    }.items()
    for key in keys
}


@dataclass(frozen=True, slots=True)
class Form:
    """What a form asks for: keys that the instruction names, and more that stand on the page."""

    keys: tuple[str, ...]
    others: tuple[str, ...] = ()
    button: str = "Submit"


FORMS: Mapping[str, Form] = {
    "login": Form(("username", "password"), button="Login"),
    "short": Form(("from", "to", "departure date"), ("class",), "Search"),
    "long": Form(
        ("from", "to", "departure date", "return date", "passenger", "class"),
        ("voucher", "contact", "seat", "meal"),
        "Book",
    ),
}

ROW = 14  # pixels
SPARE_STEPS = 4


class FormEnv(gym.Env[dict[str, Any], Any]):
    """A form to be filled in and sent.

    Observation: ``instruction`` (text), ``fields`` (the same as a tuple of ``Field``) and ``dom`` (a tuple of
    ``Element``, in tree order). Action: a ``WebAction``. Sending the form ends the episode with reward 1 if
    every field is as the instruction says, else -1; so does the limit, four steps more than fields, with -1.

    Args:
        name: one of ``FORMS``.
        split: values that instructions are drawn from; no value of a text input is in both.

    Attributes:
        goal: what each element that matters has to read, by ref.

    Raises:
        InputError: no such form or split.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"]}  # noqa: RUF012
    render_mode = "ansi"

    def __init__(self, name: str, split: Split = "train"):
        if name not in FORMS:
            raise InputError("env", f"form:{name}", "form: and one of " + ", ".join(FORMS))
        if split not in ("train", "held-out"):
            raise InputError("split", split, "train or held-out")
        self.form, self.split = FORMS[name], split
        self.observation_space = spaces.Dict(page_spaces())
        self.action_space = action_space(len(self.form.keys))
        self.fields: tuple[Field, ...] = ()
        self.goal: dict[int, str] = {}
        self._dom: dict[int, Element] = {}
        self._groups: dict[int, str] = {}
        self._button = self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new form with a new instruction.

        ``options["fields"]`` gives the instruction instead of drawing it: the keys must be on the form.
        """
        super().reset(seed=seed)
        given = (options or {}).get("fields")
        self.fields = tuple(given) if given is not None else self._instruction()
        check_fields(self.fields)
        self._build()
        self._steps = 0
        return self._observation(), {"success": False}

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
        if action.kind == "type":
            self._set(element.ref, self.fields[action.field].value)
        else:
            self._click(element)
        self._steps += 1
        sent = element.ref == self._button and action.kind == "click"
        success = sent and self.filled() == 1.0
        late = not sent and self._steps >= len(self.fields) + SPARE_STEPS
        reward = 1.0 if success else -1.0 if sent or late else 0.0
        return self._observation(), reward, sent, late, {"success": success}

    @property
    def dom(self) -> tuple[Element, ...]:
        """The page as it stands."""
        return tuple(self._dom.values())

    def filled(self) -> float:
        """The share of what matters that reads as it should."""
        return float(np.mean([self._dom[ref].value == value for ref, value in self.goal.items()]))

    def oracle(self) -> list[WebAction]:
        """Actions that do what the instruction says, sending last."""
        actions = []
        for place, field in enumerate(self.fields):
            ref = self._target(field)
            typed = self._dom[ref].takes_text
            actions.append(WebAction("type", ref, place) if typed else WebAction("click", ref))
        return [*actions, WebAction("click", self._button)]

    def render(self) -> str:
        """The page as text."""
        lines = [
            f"{element.ref:3d} {element.tag:12s} {element.text or element.id} {element.value}".rstrip()
            for element in self.dom
        ]
        return "\n".join([f"# {_sentence(self.fields)}", *lines])

    def _instruction(self) -> tuple[Field, ...]:
        return tuple(Field(key, self._draw(self._values(key))) for key in self.form.keys)

    def _values(self, key: str) -> Sequence[str]:
        if key in CHOICES:
            return CHOICES[key]
        values = TEXTS[key]
        return values[::3] if self.split == "held-out" else [v for i, v in enumerate(values) if i % 3]

    def _draw(self, values: Sequence[str]) -> str:
        return values[int(self.np_random.integers(len(values)))]

    def _build(self) -> None:
        """Lay the page out: a row for each input, in an order of this episode, and the button."""
        self._dom, self._groups, self.goal = {}, {}, {}
        body = self._add(0, "body", width=160, height=210)
        keys = [*self.form.keys, *self.form.others]
        if unknown := next((field.key for field in self.fields if field.key not in keys), None):
            raise InputError("fields", unknown, "keys of the form: " + ", ".join(keys))
        top = 0
        for at in self.np_random.permutation(len(keys)):
            key = keys[at]
            options = CHOICES.get(key)
            row = self._add(body, "div", top=top, width=160, height=ROW * (1 + len(options or ())))
            self._add(row, "label", text=key.capitalize(), top=top, width=60, height=ROW)
            if options is None:
                tag = "input_password" if key == "password" else "input_text"
                self._add(row, tag, id=_slug(key), left=60, top=top, width=90, height=ROW)
            for option in options or ():
                top += ROW
                ref = self._add(row, "input_radio", id=_slug(key, option), value="False", top=top, height=ROW)
                self._groups[ref] = key
                self._add(row, "label", text=option, left=20, top=top, width=60, height=ROW)
            top += ROW
        self._button = self._add(
            body, "button", text=self.form.button, id="send", top=top, width=60, height=ROW
        )
        for field in self.fields:
            ref = self._target(field)
            self.goal[ref] = field.value if self._dom[ref].takes_text else "True"

    def _add(self, parent: int, tag: str, **attributes: Any) -> int:
        ref = len(self._dom) + 1
        self._dom[ref] = Element(ref, parent, tag, **attributes)
        return ref

    def _target(self, field: Field) -> int:
        wanted = {_slug(field.key), _slug(field.key, field.value)}
        ref = next((ref for ref, element in self._dom.items() if element.id in wanted), None)
        if ref is None:
            raise InputError("fields", f"{field.key}={field.value}", "a choice that the form offers")
        return ref

    def _click(self, element: Element) -> None:
        if group := self._groups.get(element.ref):
            for ref, key in self._groups.items():
                if key == group:
                    self._set(ref, str(ref == element.ref))

    def _set(self, ref: int, value: str) -> None:
        self._dom[ref] = replace(self._dom[ref], value=value, tampered=True)

    def _observation(self) -> dict[str, Any]:
        return {
            "instruction": _sentence(self.fields),
            "fields": self.fields,
            "dom": self.dom,
        }


def _slug(*parts: str) -> str:
    allowed = string.ascii_lowercase + string.digits
    return "-".join("".join(c if c in allowed else "-" for c in part.lower()) for part in parts)


def _sentence(fields: Sequence[Field]) -> str:
    """``Fill in the form with from "Oslo" and to "Lima", and send it.``"""
    parts = [f'{field.key} "{field.value}"' for field in fields]
    listed = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return f"Fill in the form with {listed}, and send it."
