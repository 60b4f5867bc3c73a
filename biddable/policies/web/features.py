"""Pages and instructions as arrays of fixed sizes, and actions as places in them.

Source: arXiv 1812.09195. An action is a kind (click or type), a field and an element; a click has no field
and stands at the first one's place.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.envs.web import BARE_TEXT, KINDS, Element, Field, WebAction, check_fields
from biddable.errors import InputError

WORDS = 8
"""Words of a text that are used; the rest is left out."""
VOCABULARY = 1024
"""Size of the table of word hashes, so no word is unknown; 0 is no word."""
ELEMENT_NUMBERS = 6
OVERLAPS = 5

NOT_CLICKED = frozenset(("html", "body", "div", "p", "ul", "li", "label", BARE_TEXT))
"""Tags of elements that only hold or name others."""
_TICKED = ("input_checkbox", "input_radio")
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The most elements and fields of a page."""

    elements: int = 48
    fields: int = 6

    @property
    def actions(self) -> int:
        """Kinds x fields x elements."""
        return len(KINDS) * self.fields * self.elements


def featurize(
    obs: Mapping[str, Any], sizes: Sizes, *, truncate: bool = False
) -> tuple[NDArray[np.float32], ...]:
    """The network's inputs for a page and its instruction.

    A click has no field and stands at the place of the first one. Elements that take text are not clicked:
    typing clicks them first. The mask's weights make both kinds of actions equally likely in random draws.

    Args:
        obs: an observation with ``fields`` and ``dom``.
        sizes: see ``Sizes``.
        truncate: leave out the last fields and elements where there are more than ``sizes`` allows.

    Returns:
        words of each element [E, 2, words] (name; value), numbers of each element [E, 6], words of each field
        [F, 2, words] (key; value), overlaps of each field and element [F, E, 5], and the mask [actions].
        Words are integers below ``VOCABULARY`` as float32. The five overlaps: key in name, value in name,
        value in the element's value, whether these two are equal, and how far the field is done there.

    Raises:
        InputError: an empty instruction, a key that comes twice, more fields or elements than there may be.
    """
    dom: Sequence[Element] = obs["dom"]
    fields: Sequence[Field] = obs["fields"]
    check_fields(fields)
    if truncate:
        dom, fields = dom[: sizes.elements], fields[: sizes.fields]
    for name, items, limit in (("dom", dom, sizes.elements), ("fields", fields, sizes.fields)):
        if len(items) > limit:
            raise InputError(name, f"{len(items)} of them", f"at most {limit}")
    called, typed = _codes(names_of(dom)), _codes([element.value for element in dom])
    keys, values = _codes([field.key for field in fields]), _codes([field.value for field in fields])
    ticked = np.array([element.value == "True" for element in dom])
    key_in_name, value_in_name = overlap(keys, called), overlap(values, called)
    value_in_text = overlap(values, typed)
    field_done = key_in_name * np.maximum(value_in_text, value_in_name * ticked)
    overlaps = np.zeros((sizes.fields, sizes.elements, OVERLAPS), dtype=np.float32)
    pairs = (key_in_name, value_in_name, value_in_text, _equal(values, typed), field_done)
    overlaps[: len(fields), : len(dom)] = np.stack(pairs, -1)
    return (
        _embedded(called, typed, sizes.elements),
        _element_numbers(dom, sizes.elements),
        _embedded(keys, values, sizes.fields),
        overlaps,
        _mask(dom, len(fields), sizes),
    )


def names_of(dom: Sequence[Element]) -> list[str]:
    """The name of each element: the text beside it where it is an input, then its own text, tag and id."""
    return [f"{text_beside(e, dom, place)} {e.text} {e.tag} {e.id}" for place, e in enumerate(dom)]


def text_beside(element: Element, dom: Sequence[Element], place: int | None = None) -> str:
    """The text after a box or a radio button, and before other inputs, in the same parent; else empty.

    Args:
        element: one of the page's.
        dom: the page.
        place: the element's, where it is known.
    """
    if not element.tag.startswith("input"):
        return ""
    beside = (dom.index(element) if place is None else place) + (1 if element.tag in _TICKED else -1)
    inside = 0 <= beside < len(dom) and dom[beside].parent == element.parent
    return dom[beside].text if inside else ""


def overlap(wanted: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """[W, C] share of the words of each wanted text that are among those of the other; 0 for no words.

    Args:
        wanted: word codes [W, words]; 0 is no word.
        codes: word codes [C, words].
    """
    is_word = wanted != 0
    matched = (wanted[:, None, :, None] == codes[None, :, None, :]).any(-1) & is_word[:, None]
    return matched.sum(-1) / np.maximum(is_word.sum(-1), 1)[:, None]


@lru_cache(maxsize=100_000)
def codes_of(text: str) -> tuple[int, ...]:
    """A number above 0 for each of its first words, in lower case; filled up with 0 to ``WORDS``."""
    words = _WORD.findall(text.lower())[:WORDS]
    return (*(zlib.crc32(word.encode()) or 1 for word in words), *[0] * (WORDS - len(words)))


def place_of(action: WebAction, dom: Sequence[Element], sizes: Sizes) -> int:
    """The number of an action. Raises InputError: the page has no such element."""
    refs = [element.ref for element in dom]
    if action.ref not in refs:
        raise InputError("ref", action.ref, f"one of the page's {len(refs)} elements")
    kind = KINDS.index(action.kind)
    return (kind * sizes.fields + action.field) * sizes.elements + refs.index(action.ref)


def action_at(place: int, dom: Sequence[Element], sizes: Sizes) -> WebAction:
    """The action of a number. Raises InputError: beyond the page's elements."""
    rest, element = divmod(place, sizes.elements)
    kind, field = divmod(rest, sizes.fields)
    if element >= len(dom):
        raise InputError("element", element, f"one of the page's {len(dom)} elements")
    return WebAction(KINDS[kind], dom[element].ref, field)


def _codes(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.array([codes_of(text) for text in texts], dtype=np.int64)


def _equal(wanted: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (wanted[:, None] == codes[None]).all(-1)


def _embedded(first: NDArray[np.int64], second: NDArray[np.int64], rows: int) -> NDArray[np.float32]:
    """[rows, 2, words] numbers of words, below ``VOCABULARY``; two words may share one."""
    out = np.zeros((rows, 2, WORDS), dtype=np.float32)
    for part, codes in enumerate((first, second)):
        out[: len(codes), part] = np.where(codes == 0, 0, 1 + codes % (VOCABULARY - 1))
    return out


def _element_numbers(dom: Sequence[Element], rows: int) -> NDArray[np.float32]:
    out = np.zeros((rows, ELEMENT_NUMBERS), dtype=np.float32)
    out[: len(dom)] = [
        (
            element.takes_text,
            bool(element.value) and element.value != "False",
            element.value == "True",
            element.tag == "button",
            element.left / 160,
            element.top / 210,
        )
        for element in dom
    ]
    return out.clip(-1, 2)  # what is hidden may stand thousands of pixels away


def _mask(dom: Sequence[Element], fields: int, sizes: Sizes) -> NDArray[np.float32]:
    out = np.zeros((len(KINDS), sizes.fields, sizes.elements), dtype=np.float32)
    takes = np.array([element.takes_text for element in dom])
    clicked = ~takes & [element.tag not in NOT_CLICKED for element in dom]
    out[KINDS.index("click"), 0, : len(dom)] = clicked / max(1, clicked.sum())
    out[KINDS.index("type"), :fields, : len(dom)] = takes / max(1, fields * takes.sum())
    return out.reshape(-1)
