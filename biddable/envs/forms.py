"""Web forms without a browser.

A form has an input for each key of the instruction, some that the instruction does not mention, and a
button. The instruction's values and the order of the inputs are drawn anew at each reset.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from biddable.envs.pages import PageEnv, held_out
from biddable.envs.web import Field
from biddable.errors import InputError
from biddable.runs.files import read_json

Split = Literal["train", "held-out"]

_VALUES = read_json(Path(str(files(__package__) / "forms.json")))
WORDS: Mapping[str, Sequence[str]] = _VALUES["texts"]
"""Values that can be typed, by what they are: cities, names, words, dates."""
CHOICES: Mapping[str, Sequence[str]] = _VALUES["choices"]
TEXTS: Mapping[str, Sequence[str]] = {
    key: WORDS[kind]
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
    """The inputs of a form: keys that the instruction names, and others on the page."""

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


class FormEnv(PageEnv):
    """A form to be filled in and sent; see ``PageEnv``.

    A reset takes the options ``fields`` (an instruction: its keys must be on the form), ``order`` (that of
    the inputs, as ``order`` gives it) and ``goal`` (by ref; else it follows from the fields).

    Args:
        name: one of ``FORMS``.
        split: values that instructions are drawn from; no value of a text input is in both.

    Attributes:
        order: of the inputs, numbers of ``keys``.
        keys: of all inputs, those that instructions name first.

    Raises:
        InputError: no such form or split.
    """

    def __init__(self, name: str, split: Split = "train"):
        if name not in FORMS:
            raise InputError("env", f"form:{name}", "form: and one of " + ", ".join(FORMS))
        self.form = FORMS[name]
        self.keys = (*self.form.keys, *self.form.others)
        self._texts = {key: held_out(values, split) for key, values in TEXTS.items()}
        self.order: Sequence[int] = ()
        super().__init__(len(self.form.keys))

    def _build(self, given: Mapping[str, Any]) -> None:
        """Lay out a row for each input, in the order of this episode, and the button."""
        self.fields = tuple(given["fields"]) if "fields" in given else self._instruction()
        if unknown := next((field.key for field in self.fields if field.key not in self.keys), None):
            raise InputError("fields", unknown, "keys of the form: " + ", ".join(self.keys))
        order = given.get("order")
        self.order = self.np_random.permutation(len(self.keys)).tolist() if order is None else order
        body = self._add(0, "body", width=160, height=210)
        top = 0
        for at in self.order:
            top = self._row(body, self.keys[at], top)
        button = self._add(body, "button", text=self.form.button, id="send", top=top, width=60, height=ROW)
        self._ends[button] = True
        self.goal = dict(given["goal"]) if "goal" in given else dict(map(self._wanted, self.fields))

    def all_values(self) -> list[str]:
        """Every value of a text box that this split may draw."""
        return sorted({value for values in self._texts.values() for value in values})

    def _instruction(self) -> tuple[Field, ...]:
        values = {key: CHOICES.get(key) or self._texts[key] for key in self.form.keys}
        return tuple(Field(key, self._draw(of_key)[0]) for key, of_key in values.items())

    def _row(self, body: int, key: str, top: int) -> int:
        """Add an input with its label; returns the top of the next row, in pixels."""
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
        return top + ROW

    def _wanted(self, field: Field) -> tuple[int, str]:
        """The ref of the element that a field is about, and the text it has to read."""
        ids = {_slug(field.key), _slug(field.key, field.value)}
        element = next((element for element in self._dom.values() if element.id in ids), None)
        if element is None:
            raise InputError("fields", f"{field.key}={field.value}", "a choice that the form offers")
        return element.ref, field.value if element.takes_text else "True"


def _slug(*parts: str) -> str:
    allowed = string.ascii_lowercase + string.digits
    return "-".join("".join(c if c in allowed else "-" for c in part.lower()) for part in parts)
