"""What pages and forms have in common: elements, instructions as fields, clicks and typing.

A web environment shows the page as a list of elements and asks for actions on them. It never lets text be
made up: what is typed is the value of one of the instruction's fields (Gur et al., arXiv 1812.09195).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gymnasium import spaces

from biddable.envs.base import instruction_space
from biddable.errors import InputError

Kind = Literal["click", "type"]

TEXT_INPUTS = frozenset(
    ("input_text", "input_password", "input_number", "input_tel", "input_date", "textarea")
)


@dataclass(frozen=True, slots=True)
class Element:
    """A node of the page, with MiniWoB++'s attributes.

    Attributes:
        ref: tells it apart for as long as the episode lasts.
        parent: the ref of the node it stands in; 0 at the root.
        tag: ``button``, ``input_text``, ``label`` …, or ``t`` for bare text.
        text: what it reads, where it is a leaf.
        value: what is typed in; ``True`` or ``False`` for boxes and radio buttons; empty otherwise.
        left, top, width, height: in pixels, of a page 160 wide and 210 high.
    """

    ref: int
    parent: int
    tag: str
    text: str = ""
    value: str = ""
    id: str = ""
    classes: str = ""
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0
    focused: bool = False
    tampered: bool = False

    @property
    def takes_text(self) -> bool:
        """Whether it can be typed into."""
        return self.tag in TEXT_INPUTS


@dataclass(frozen=True, slots=True)
class Field:
    """One part of an instruction: ``from`` is ``Paris``."""

    key: str
    value: str


KINDS: tuple[Kind, ...] = ("click", "type")


@dataclass(frozen=True, slots=True)
class WebAction:
    """Click an element, or type the value of a field (its place among the instruction's) into it."""

    kind: Kind
    ref: int
    field: int = 0

    @classmethod
    def of(cls, action: WebAction | Sequence[int]) -> WebAction:
        """An action, or one as three numbers: 0 to click and 1 to type, the ref, the field."""
        if isinstance(action, WebAction):
            return action
        kind, ref, field = map(int, action)
        return cls(KINDS[kind], ref, field)


def page_spaces() -> dict[str, spaces.Space[Any]]:
    """What an observation of a page holds, by name."""
    element = spaces.Dict({"ref": spaces.Discrete(1000), "text": instruction_space()})
    return {
        "instruction": instruction_space(),
        "fields": spaces.Sequence(instruction_space()),
        "dom": spaces.Sequence(element),
    }


def action_space(fields: int) -> spaces.MultiDiscrete:
    """Actions as three numbers (see ``WebAction.of``), where an instruction has at most so many fields."""
    return spaces.MultiDiscrete([len(KINDS), 1000, fields])


def check_action(action: WebAction, element: Element | None, elements: int, fields: Sequence[Any]) -> None:
    """Refuse what cannot be done, before anything is changed.

    Args:
        action: what is to be done.
        element: the one that ``action.ref`` names, if the page has it.
        elements: how many the page has.
        fields: the instruction's.

    Raises:
        InputError: no such element or field, or typing into what takes no text.
    """
    if element is None:
        raise InputError("ref", action.ref, f"one of the page's {elements} elements")
    if action.kind == "type":
        if not element.takes_text:
            expected = f"an element that takes text, which a {element.tag} does not"
            raise InputError("ref", element.ref, expected)
        if not 0 <= action.field < len(fields):
            raise InputError("field", action.field, f"one of the instruction's {len(fields)} fields")


def check_fields(fields: Sequence[Field]) -> None:
    """Raise InputError unless there are fields, and no key comes twice."""
    if not fields:
        raise InputError("fields", list(fields), "at least one field")
    keys = [field.key for field in fields]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise InputError("fields", twice, "each key once")
