"""Pages and instructions as arrays of sizes that do not change, and actions as places in them.

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
"""Words looked at in a text."""
VOCABULARY = 1024
"""Words are told apart by a hash, so that there are no unknown ones; 0 is no word."""
ELEMENT_NUMBERS = 6
OVERLAPS = 5

NOT_CLICKED = frozenset(("html", "body", "div", "p", "ul", "li", "label", BARE_TEXT))
"""Tags of elements that only hold or name others."""
_TICKED = ("input_checkbox", "input_radio")
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The most elements and fields that there may be."""

    elements: int = 48
    fields: int = 6

    @property
    def actions(self) -> int:
        """Kinds x fields x elements."""
        return len(KINDS) * self.fields * self.elements


def featurize(
    seen: Mapping[str, Any], sizes: Sizes, *, truncate: bool = False
) -> tuple[NDArray[np.float32], ...]:
    """What a network sees of a page and its instruction.

    A click is for no field: its place is that of the first one. What takes text is not clicked: typing does
    that first. Where there are many fields a random action would hardly ever be a click: the mask's numbers
    make both kinds equally likely.

    Args:
        seen: an observation with ``fields`` and ``dom``.
        sizes: see ``Sizes``.
        truncate: leave out the fields and elements that are too many, the last ones.

    Returns:
        words of each element [E, 2, words] (what it is called; what it reads), numbers of each element
        [E, 6], words of each field [F, 2, words] (key; value), overlaps of each field and element [F, E, 5],
        and the mask [actions]. Words are float32 numbers below ``VOCABULARY``, exact as such. Overlaps: of
        the key and what the element is called, of the value and that, of the value and what the element
        reads, whether these are equal, and how much the element that the key names holds the value.

    Raises:
        InputError: an empty instruction, a key that comes twice, more fields or elements than there may be.
    """
    dom: Sequence[Element] = seen["dom"]
    fields: Sequence[Field] = seen["fields"]
    check_fields(fields)
    if truncate:
        dom, fields = dom[: sizes.elements], fields[: sizes.fields]
    for name, found, most in (("dom", dom, sizes.elements), ("fields", fields, sizes.fields)):
        if len(found) > most:
            raise InputError(name, f"{len(found)} of them", f"at most {most}")
    called, typed = _codes(names_of(dom)), _codes([one.value for one in dom])
    keys, values = _codes([field.key for field in fields]), _codes([field.value for field in fields])
    ticked = np.array([one.value == "True" for one in dom])
    named, says, reads = overlap(keys, called), overlap(values, called), overlap(values, typed)
    done = named * np.maximum(reads, says * ticked)
    overlaps = np.zeros((sizes.fields, sizes.elements, OVERLAPS), dtype=np.float32)
    overlaps[: len(fields), : len(dom)] = np.stack((named, says, reads, _equal(values, typed), done), -1)
    return (
        _embedded(called, typed, sizes.elements),
        _element_numbers(dom, sizes.elements),
        _embedded(keys, values, sizes.fields),
        overlaps,
        _mask(dom, len(fields), sizes),
    )


def names_of(dom: Sequence[Element]) -> list[str]:
    """What each element is called: its text, tag and id, and for an input the text that stands beside it."""
    return [f"{text_beside(one, dom, place)} {one.text} {one.tag} {one.id}" for place, one in enumerate(dom)]


def text_beside(one: Element, dom: Sequence[Element], place: int | None = None) -> str:
    """What follows a box or a radio button, and what precedes other inputs, in the same parent; else nothing.

    Args:
        one: an element of the page.
        dom: the page.
        place: the element's, where it is known.
    """
    if not one.tag.startswith("input"):
        return ""
    beside = (dom.index(one) if place is None else place) + (1 if one.tag in _TICKED else -1)
    there = 0 <= beside < len(dom) and dom[beside].parent == one.parent
    return dom[beside].text if there else ""


def overlap(wanted: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.float64]:
    """[wanted, found] share of the words of one that are among the other's; 0 where there are none.

    Args:
        wanted: codes of words [wanted, words]; 0 is no word.
        found: codes of words [found, words].
    """
    there = wanted != 0
    among = (wanted[:, None, :, None] == found[None, :, None, :]).any(-1) & there[:, None]
    return among.sum(-1) / np.maximum(there.sum(-1), 1)[:, None]


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


def _equal(wanted: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (wanted[:, None] == found[None]).all(-1)


def _embedded(first: NDArray[np.int64], second: NDArray[np.int64], most: int) -> NDArray[np.float32]:
    """[most, 2, words] numbers of words; hashes that fall together do so in embeddings only."""
    out = np.zeros((most, 2, WORDS), dtype=np.float32)
    for part, codes in enumerate((first, second)):
        out[: len(codes), part] = np.where(codes == 0, 0, 1 + codes % (VOCABULARY - 1))
    return out


def _element_numbers(dom: Sequence[Element], most: int) -> NDArray[np.float32]:
    out = np.zeros((most, ELEMENT_NUMBERS), dtype=np.float32)
    out[: len(dom)] = [
        (
            one.takes_text,
            bool(one.value) and one.value != "False",
            one.value == "True",
            one.tag == "button",
            one.left / 160,
            one.top / 210,
        )
        for one in dom
    ]
    return out.clip(-1, 2)  # what is hidden may stand thousands of pixels away


def _mask(dom: Sequence[Element], fields: int, sizes: Sizes) -> NDArray[np.float32]:
    out = np.zeros((len(KINDS), sizes.fields, sizes.elements), dtype=np.float32)
    takes = np.array([one.takes_text for one in dom])
    clicked = ~takes & [one.tag not in NOT_CLICKED for one in dom]
    out[KINDS.index("click"), 0, : len(dom)] = clicked / max(1, clicked.sum())
    out[KINDS.index("type"), :fields, : len(dom)] = takes / max(1, fields * takes.sum())
    return out.reshape(-1)
