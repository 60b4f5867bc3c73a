"""``load_suite``: one name for a suite, wherever it lives."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import replace
from pathlib import Path

from biddable import registry
from biddable.errors import InputError
from biddable.suites.base import Suite, check_suite


def load_suite(spec: str | Path) -> Suite:
    """Load a suite by name.

    Args:
        spec: the name of a suite of ours (``biddable suites`` lists them) or of another package, with its
            data behind a colon and options behind a question mark (``bbh:DIR?tasks=snarks``); or a TOML
            file that describes one (``mine.toml``). Each takes ``name=TEXT``, which it is called instead:
            so two of a kind stand side by side.

    Raises:
        InputError: there is no such suite, it does not take such an option, or it cannot be measured.
        FileError: a file of it cannot be read.
    """
    if str(spec).endswith(".toml"):
        from biddable.suites.own import read_suite

        return read_suite(spec)
    named, options = registry.split_spec("suite", str(spec))
    name, colon, argument = named.partition(":")
    known = registry.names("suites")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        expected = f"{' or '.join(near)}?" if near else ", ".join([*known, "or a TOML file"])
        raise InputError("suite", str(spec), expected)
    made = registry.find("suites", name)
    called = None if "name" in inspect.signature(made).parameters else options.pop("name", None)
    try:
        suite = registry.made(made, [argument] if colon else [], options)
    except InputError as error:
        raise error.at(f"suite {name}: {error.where}" if error.where else f"suite {name}") from None
    if not isinstance(suite, Suite):
        raise InputError(f"suite {name}", suite, "a Suite (biddable.suites.base), as its function returns")
    check_suite(suite)
    return suite if called is None else replace(suite, name=str(called))
