"""Small pages without a browser, built like MiniWoB++'s: text boxes, boxes to tick, buttons, links.

They have the structure and the fields of eight of its tasks, and other words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from biddable.envs.forms import WORDS, Split
from biddable.envs.pages import PageEnv, held_out, shown
from biddable.envs.web import Field
from biddable.errors import InputError

ROW = 18  # pixels
TOP = 50
MAX_TARGETS = 6


class WidgetEnv(PageEnv):
    """A small page; see ``PageEnv``.

    Args:
        name: one of ``WIDGETS``.
        split: values that instructions are drawn from.

    Raises:
        InputError: no such page or split.
    """

    def __init__(self, name: str, split: Split = "train"):
        if name not in WIDGETS:
            raise InputError("env", f"widget:{name}", "widget: and one of " + ", ".join(WIDGETS))
        self.words = {kind: held_out(values, split) for kind, values in WORDS.items()}
        self._lay_out = WIDGETS[name]
        self._area = 0
        super().__init__(MAX_TARGETS + 1)

    def _build(self, given: Mapping[str, Any]) -> None:
        if given:
            raise InputError("options", sorted(given), "none: a small page takes no instruction")
        body = self._add(0, "body", width=160, height=210)
        wrap = self._add(body, "div", id="wrap", width=160, height=210)
        self._area = self._add(wrap, "div", id="area", top=TOP, width=160)
        self.fields, self.goal = (), {}
        self._lay_out(self)

    def _top(self) -> float:
        return TOP + 2 + ROW * (len(self._dom) // 3)

    def _button(self, text: str, *, right: bool = True) -> int:
        ref = self._add(self._area, "button", text=text, id="subbtn", left=2, top=self._top(), height=ROW)
        self._ends[ref] = right
        return ref

    def _one_input(self, tag: str, value: str) -> None:
        ref = self._add(self._area, tag, id="tt", left=7, top=self._top(), height=ROW)
        self.fields, self.goal = (Field("target", value),), {ref: shown(tag, value)}
        self._button("Submit")

    def text(self) -> None:
        """One text box without a name."""
        self._one_input("input_text", self._draw(self.words["names"])[0])

    def date(self) -> None:
        """One date."""
        self._one_input("input_date", self._draw(self.words["dates"])[0])

    def _labelled(self, labels: Mapping[str, str], tags: Mapping[str, str]) -> list[int]:
        refs = []
        for id, label in labels.items():
            row = self._add(self._area, "p", left=2, top=self._top(), height=2 * ROW)
            self._add(row, "label", text=label, left=2, top=self._top(), height=ROW)
            refs.append(self._add(row, tags[id], id=id, left=7, top=self._top(), height=ROW))
        return refs

    def password(self) -> None:
        """A password, to be typed in twice."""
        value = self._draw(self.words["words"])[0]
        labels = {"password": "Password", "verify": "Verify password"}
        refs = self._labelled(labels, dict.fromkeys(labels, "input_password"))
        self.fields, self.goal = (Field("target", value),), dict.fromkeys(refs, value)
        self._button("Submit")

    def login(self) -> None:
        """A name and a password."""
        values = [self._draw(self.words[kind])[0] for kind in ("names", "words")]
        labels = {"username": "Username", "password": "Password"}
        refs = self._labelled(labels, {"username": "input_text", "password": "input_password"})
        self.fields = tuple(Field(id, value) for id, value in zip(labels, values, strict=True))
        self.goal = dict(zip(refs, values, strict=True))
        self._button("Login")

    def _choices(self, tag: str, options: list[str]) -> dict[str, int]:
        refs = {}
        for place, option in enumerate(options):
            row = self._add(self._area, "label", left=2, top=self._top(), height=ROW)
            refs[option] = self._add(row, tag, id=f"ch{place}", value="False", left=6, top=self._top())
            self._add(row, "t", text=option, left=29, top=self._top())
        return refs

    def boxes(self) -> None:
        """Boxes, some of which are to be ticked and the others left alone."""
        options = self._draw(self._all_words(), int(self.np_random.integers(2, MAX_TARGETS + 1)))
        refs = self._choices("input_checkbox", options)
        targets = self._draw(options, int(self.np_random.integers(len(options) + 1)))
        named = tuple(Field(f"target {i}", target) for i, target in enumerate(targets))
        self.fields = (*named, Field("button", "submit"))
        self.goal = {ref: str(option in targets) for option, ref in refs.items()}
        self._button("Submit")

    def option(self) -> None:
        """Radio buttons of which one is to be chosen."""
        options = self._draw(self._all_words(), int(self.np_random.integers(2, MAX_TARGETS + 1)))
        refs = self._choices("input_radio", options)
        self._groups = dict.fromkeys(refs.values(), "options")
        target = self._draw(options)[0]
        self.fields, self.goal = (Field("target", target),), {refs[target]: "True"}
        self._button("Submit")

    def button(self) -> None:
        """A button to click, among others, text boxes and texts."""
        texts = self._draw(self._all_words(), 3)
        for text in texts:
            if self.np_random.random() < 0.5:
                self._add(self._area, "input_text", left=2, top=self._top(), height=ROW)
            if self.np_random.random() < 0.5:
                self._add(self._area, "div", text=" ".join(self._draw(self._all_words(), 3)), top=self._top())
            self._button(text, right=False)
        self._one_to_click(texts)

    def link(self) -> None:
        """A link to click, among others and bare text."""
        texts = self._draw(self._all_words(), 3)
        for text in texts:
            self._add(self._area, "t", text=" ".join(self._draw(self._all_words(), 3)), top=self._top())
            ref = self._add(self._area, "span", text=text, classes="alink", top=self._top(), height=ROW)
            self._ends[ref] = False
        self._one_to_click(texts)

    def _one_to_click(self, texts: list[str]) -> None:
        target = self._draw(texts)[0]
        self.fields = (Field("target", target),)
        [right] = [ref for ref in self._ends if self._dom[ref].text == target]
        self._ends[right] = True

    def _all_words(self) -> list[str]:
        return [*self.words["words"], *self.words["names"], *self.words["cities"]]


WIDGETS: Mapping[str, Callable[[WidgetEnv], None]] = {
    lay_out.__name__: lay_out
    for lay_out in (
        WidgetEnv.text,
        WidgetEnv.date,
        WidgetEnv.password,
        WidgetEnv.login,
        WidgetEnv.boxes,
        WidgetEnv.option,
        WidgetEnv.button,
        WidgetEnv.link,
    )
}
