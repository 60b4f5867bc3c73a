"""Puts published results where a page asks for them.

``<!-- results: NAME -->`` becomes what was compared in ``results/NAME.json`` and what came of it,
``<!-- accuracy: NAME -->`` the models by task suite. ``mkdocs`` calls ``on_page_markdown``;
``python docs/hooks.py`` writes the README anew, where the text that was filled in before ends at
``<!-- end -->``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from biddable.report.markdown import accuracy_markdown, results_markdown
from biddable.runs.results import read_results

ROOT = Path(__file__).parents[1]
# What was filled in before reaches to the first end with no other place on the way: that is another one's.
PLACE = re.compile(
    r"<!-- (results|accuracy): ([a-z0-9-]+) -->\n(?:(?:(?!<!-- (?:results|accuracy): ).)*?<!-- end -->\n)?",
    re.DOTALL,
)
WRITERS = {"results": results_markdown, "accuracy": accuracy_markdown}


def fill(text: str) -> str:
    """``text`` with what it asks for; doing it again changes nothing."""

    def written(place: re.Match[str]) -> str:
        what, method = place.groups()
        results = read_results(ROOT / "results" / f"{method}.json")
        return f"<!-- {what}: {method} -->\n{WRITERS[what](results)}\n<!-- end -->\n"

    return PLACE.sub(written, text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs calls for each page."""
    return fill(markdown)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(fill(readme.read_text()))
