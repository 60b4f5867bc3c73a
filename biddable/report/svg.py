"""Matplotlib's SVG files made fit to stand inside an HTML page.

A file of its own may name its parts ``figure_1``, style every element and bring its own colours; in
a page those would clash with the next chart and ignore the reader's dark setting.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import Markup

from biddable.report import style

_DROPPED = ("metadata", "style")
_REFERENCE = re.compile(r"#(?=[A-Za-z_])")
_COLOUR = re.compile("|".join(style.LIGHT.values()))
_VARIABLE = {light: f"var(--{name})" for name, light in style.LIGHT.items()}


def inline(svg: bytes, *, prefix: str, classes: str) -> Markup:
    """``svg`` as an element of a page.

    Ids are led by ``prefix``, colours of the house style become its CSS variables, width and height
    are left to the page. It is hidden from screen readers: the page gives them the numbers.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        parent.tag = _local(parent.tag)
        for child in [child for child in parent if _local(child.tag) in _DROPPED]:
            parent.remove(child)
        for name in list(parent.attrib):
            value = parent.attrib.pop(name)
            parent.set(_local(name), _localised(_local(name), value, prefix))
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "class": classes, "aria-hidden": "true"})
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _localised(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "style":
        value = _COLOUR.sub(lambda match: _VARIABLE[match[0]], value)
    return _REFERENCE.sub(f"#{prefix}", value) if "#" in value else value


def _local(name: str) -> str:
    """The name without its XML namespace."""
    return name.rpartition("}")[2]
