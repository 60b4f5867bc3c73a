"""What pages and forms have in common: elements, instructions as fields, clicks and typing.

A web environment shows the page as a list of elements and asks for actions on them. It never lets text be
made up: what is typed is the value of one of the instruction's fields (Gur et al., arXiv 1812.09195).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gymnasium import spaces

from biddable.errors import InputError

Kind = Literal["click", "type"]

TEXT_INPUTS = frozenset(
    ("input_text", "input_password", "input_number", "input_tel", "input_date", "textarea")
)


BARE_TEXT = "t"


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
        """An action, or one as three numbers: 0 to click and 1 to type, the ref, the field.

        Raises:
            InputError: something else.
        """
        if isinstance(action, WebAction):
            return action
        try:
            kind, ref, field = map(operator.index, action)
        except (TypeError, ValueError):
            raise InputError("action", action, "a WebAction, or three integers") from None
        if kind not in range(len(KINDS)):
            raise InputError("action", action, "0 to click or 1 to type as the first of its integers")
        return cls(KINDS[kind], ref, field)


class AnyText(spaces.Text):
    """A space of texts of any characters; Gymnasium's ``Text`` lists its characters."""

    def contains(self, x: Any) -> bool:
        """Whether it is a text that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length


class TupleOf(spaces.Space[tuple[Any, ...]]):
    """A space of tuples, of any length, of objects of a class."""

    def __init__(self, kind: type):
        super().__init__()
        self.kind = kind

    @property
    def is_np_flattenable(self) -> bool:
        """False: the objects are no arrays."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> tuple[Any, ...]:
        """The empty tuple: objects cannot be drawn."""
        return ()

    def contains(self, x: Any) -> bool:
        """Whether it is one."""
        return isinstance(x, tuple) and all(isinstance(each, self.kind) for each in x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TupleOf) and self.kind is other.kind

    def __repr__(self) -> str:
        return f"TupleOf({self.kind.__name__})"


def page_spaces() -> dict[str, spaces.Space[Any]]:
    """The spaces of an observation of a page, by name."""
    return {
        "instruction": AnyText(max_length=2000, min_length=0),
        "fields": TupleOf(Field),
        "dom": TupleOf(Element),
    }


MAX_REFS = 1000


def action_space(fields: int) -> spaces.MultiDiscrete:
    """Actions as three numbers (see ``WebAction.of``), where an instruction has at most so many fields."""
    return spaces.MultiDiscrete([len(KINDS), MAX_REFS, fields])


def check_action(action: WebAction, element: Element | None, elements: int, fields: Sequence[Any]) -> None:
    """Check an action against the page, before anything is changed.

    Args:
        action: what is to be done.
        element: the one that ``action.ref`` names, if the page has it.
        elements: how many the page has.
        fields: the instruction's.

    Raises:
        InputError: no such kind, element or field, a click on bare text, or typing into what takes no text.
    """
    if action.kind not in KINDS:
        raise InputError("kind", action.kind, "click or type")
    if element is None:
        raise InputError("ref", action.ref, f"one of the page's {elements} elements")
    if element.tag == BARE_TEXT:
        raise InputError("ref", action.ref, "an element, which bare text is not")
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
