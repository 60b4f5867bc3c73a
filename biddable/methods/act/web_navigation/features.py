"""Pages and instructions as arrays of sizes that do not change, and actions as places in them.

Source: arXiv 1812.09195. An action is a kind (click or type), a field and an element. To click no field is
needed; but which field a click is *for* is what a network can score, so every pair stands for an action.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.envs.web import KINDS, Element, Field, WebAction, check_fields
from biddable.errors import InputError

WORDS = 6
"""Words looked at in a text."""
VOCABULARY = 1024
"""Words are told apart by a hash, so that there are no unknown ones; 0 is no word."""
ELEMENT_NUMBERS = 6
OVERLAPS = 4

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


def featurize(seen: Mapping[str, Any], sizes: Sizes) -> tuple[NDArray[Any], ...]:
    """What a network sees of a page and its instruction.

    Args:
        seen: an observation with ``fields`` and ``dom``.
        sizes: see ``Sizes``.

    Returns:
        words of each element [E, 2, words] (what it is called; what is typed in), numbers of each element
        [E, 6], words of each field [F, 2, words] (key; value), overlaps of each field and element [F, E, 4],
        and the mask [actions]. Words are float32 numbers below ``VOCABULARY``, exact as such.

    Raises:
        InputError: an empty instruction, a key that comes twice, more fields or elements than there may be.
    """
    dom: Sequence[Element] = seen["dom"]
    fields: Sequence[Field] = seen["fields"]
    check_fields(fields)
    for name, found, most in (("dom", dom, sizes.elements), ("fields", fields, sizes.fields)):
        if len(found) > most:
            raise InputError(name, f"{len(found)} of them", f"at most {most}")
    called = [words_of(f"{one.tag} {one.text} {one.id}") for one in dom]
    typed = [words_of(one.value) for one in dom]
    keys, values = (
        [words_of(text) for text in texts] for texts in zip(*((f.key, f.value) for f in fields), strict=True)
    )
    overlaps = np.zeros((sizes.fields, sizes.elements, OVERLAPS), dtype=np.float32)
    for f in range(len(fields)):
        for e, element in enumerate(dom):
            overlaps[f, e] = (
                overlap(keys[f], called[e]),
                overlap(values[f], called[e]),
                overlap(values[f], typed[e]),
                element.value.lower() == fields[f].value.lower(),
            )
    return (
        _numbered(list(zip(called, typed, strict=True)), sizes.elements),
        _element_numbers(dom, sizes.elements),
        _numbered(list(zip(keys, values, strict=True)), sizes.fields),
        overlaps,
        _mask(dom, len(fields), sizes),
    )


def words_of(text: str) -> list[str]:
    """Its words in lower case, at most ``WORDS``."""
    return _WORD.findall(text.lower())[:WORDS]


def overlap(wanted: Sequence[str], found: Sequence[str]) -> float:
    """Share of the wanted words that are among those found; 0 where none is wanted."""
    return sum(word in found for word in wanted) / len(wanted) if wanted else 0.0


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


def dom_potential(dom: Sequence[Element], goal: Mapping[int, str]) -> float:
    """Share of what matters that reads as in the goal, from 0 to 1; elements are told apart by their refs.

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


def _numbered(rows: Sequence[tuple[Sequence[str], Sequence[str]]], most: int) -> NDArray[np.float32]:
    out = np.zeros((most, 2, WORDS), dtype=np.float32)
    for row, texts in enumerate(rows):
        for part, words in enumerate(texts):
            out[row, part, : len(words)] = [1 + zlib.crc32(w.encode()) % (VOCABULARY - 1) for w in words]
    return out


def _element_numbers(dom: Sequence[Element], most: int) -> NDArray[np.float32]:
    out = np.zeros((most, ELEMENT_NUMBERS), dtype=np.float32)
    for row, one in enumerate(dom):
        ticked = one.value == "True"
        out[row] = (
            one.takes_text,
            bool(one.value) and one.value != "False",
            ticked,
            one.tag == "button",
            one.left / 160,
            one.top / 210,
        )
    return out


def _mask(dom: Sequence[Element], fields: int, sizes: Sizes) -> NDArray[np.float32]:
    out = np.zeros((len(KINDS), sizes.fields, sizes.elements), dtype=np.float32)
    leaves = np.array([one.tag not in ("body", "div") for one in dom])
    out[KINDS.index("click"), :fields, : len(dom)] = leaves
    out[KINDS.index("type"), :fields, : len(dom)] = [one.takes_text for one in dom]
    return out.reshape(-1)
