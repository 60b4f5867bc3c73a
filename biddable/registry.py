"""Finding methods, task suites, judges and environments by name.

What the library brings is listed here as ``module:attribute`` and imported only when asked for.
Third parties add their own through entry points in the groups ``biddable.methods``,
``biddable.suites``, ``biddable.judges`` and ``biddable.envs``; a name of ours cannot be taken over.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any, Literal

from biddable.errors import InputError

Kind = Literal["methods", "suites", "judges", "envs"]

BUILTIN: dict[str, dict[str, str]] = {
    "methods": {
        "compatible-demos": "biddable.methods.act.compatible_demos:CompatibleDemos",
        "grpo": "biddable.methods.improve.grpo:Grpo",
        "humpback": "biddable.methods.improve.humpback:Humpback",
        "meta-rewarding": "biddable.methods.improve.meta_rewarding:MetaRewarding",
        "self-evolution": "biddable.methods.improve.self_evolution:SelfEvolution",
        "self-rewarding": "biddable.methods.improve.self_rewarding:SelfRewarding",
        "spar": "biddable.methods.improve.spar:Spar",
        "spar-controlled": "biddable.methods.improve.spar_controlled:SparControlled",
        "web-navigation": "biddable.methods.act.web_navigation:WebNavigation",
        "words-as-beacons": "biddable.methods.act.words_as_beacons:WordsAsBeacons",
    },
    "suites": {
        "ifeval": "biddable.tasks.suites:ifeval",
        "composed": "biddable.tasks.suites:composed",
    },
    "judges": {
        "rules": "biddable.judges.load:rule_judge",
        "answer": "biddable.judges.load:answer_judge",
        "lm": "biddable.judges.load:lm_judge",
        "hf": "biddable.judges.load:reward_judge",
    },
    "envs": {
        "form": "biddable.envs.forms:FormEnv",
        "widget": "biddable.envs.widgets:WidgetEnv",
        "metaworld": "biddable.envs.metaworld:MetaWorldEnv",
        "minigrid": "biddable.envs.minigrid:GridEnv",
        "miniwob": "biddable.envs.miniwob:MiniWoBEnv",
        "mujoco": "biddable.envs.reach2d:Reach2DEnv",
    },
}


def names(kind: Kind) -> list[str]:
    """Every registered name of a kind, sorted."""
    return sorted({*BUILTIN[kind], *(point.name for point in _points(kind))})


def find(kind: Kind, name: str) -> Any:
    """Import and return what is registered under ``name``.

    Raises:
        InputError: nothing is registered under that name; the message offers the nearest ones.
    """
    if target := BUILTIN[kind].get(name):
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in _points(kind):
        if point.name == name:
            return point.load()
    known = names(kind)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    expected = f"{' or '.join(near)}?" if near else ", ".join(known)
    raise InputError(kind.removesuffix("s"), name, f"one of {len(known)} {kind}: {expected}")


def items(kind: Kind) -> Iterator[tuple[str, Any]]:
    """Every ``(name, object)`` of a kind, imported one by one."""
    return ((name, find(kind, name)) for name in names(kind))


def _points(kind: Kind) -> Any:
    return entry_points(group=f"biddable.{kind}")
