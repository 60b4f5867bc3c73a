"""Self-contained HTML pages: style, script and charts are inside.

Whatever a template is given is escaped unless it is ``Markup`` made here. As a second line of
defence the page carries a content security policy: only the one script that belongs to it may run,
and nothing may be fetched from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from biddable.errors import printable
from biddable.report import formats, style
from biddable.report.diff import diff_words
from biddable.runs.figures import TreeNode


def render(template: str, **values: Any) -> bytes:
    """The page ``template`` makes of ``values``, in UTF-8 (what UTF-8 cannot hold becomes "?")."""
    css, script = _asset("page.css"), _asset("page.js") + _asset("items.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().get_template(template)
    text = page.render(
        css=Markup(style.css_variables() + css), script=Markup(script), script_digest=digest, **values
    )
    return text.encode("utf-8", "replace")


def on_best_path(node: TreeNode) -> bool:
    """Whether a node is the one the search returned or leads to it."""
    return node.best or any(map(on_best_path, node.children))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("biddable.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "number": formats.number,
        "signed": formats.signed,
        "plain": formats.plain,
        "flatten": lambda value: list(formats.flatten(value)),
        "words_changed": lambda pair: diff_words(pair.before, pair.after),
    }
    environment.filters.update(filters)
    environment.tests["on_best_path"] = on_best_path
    return environment


def _shown(value: Any) -> Any:
    """A text without control characters and overrides of its direction; markup was made of such texts."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _asset(name: str) -> str:
    return files("biddable.report").joinpath("templates", name).read_text("utf-8")
