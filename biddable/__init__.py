"""biddable: make any policy follow instructions better, and prove it.

Everything public is reached lazily, so that ``import biddable`` costs next to nothing::

    import biddable
    model = biddable.load_model("smollm2")
    result = biddable.run("spar", preset="smoke", out="runs/first")
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load_model": "biddable.models.load",
    "make_env": "biddable.envs.base",
    "Sampling": "biddable.models.base",
    "run": "biddable.methods.base",
    "evaluate": "biddable.suites.evaluate",
    "load_suite": "biddable.suites.load",
    "load_judge": "biddable.judges.load",
    "Judge": "biddable.judges.base",
    "Suite": "biddable.suites.base",
    "compare_logs": "biddable.suites.comparison",
    "read_logs": "biddable.suites.logs.read",
    "fit": "biddable.methods.training",
    "load_policy": "biddable.policies.saved",
    "read_trajectories": "biddable.policies.datasets",
    "Run": "biddable.runs.run",
    **dict.fromkeys(
        (
            "Message",
            "Chat",
            "Check",
            "Task",
            "Response",
            "Verdict",
            "Preference",
            "Trajectory",
            "Comparison",
            "user",
        ),
        "biddable.types",
    ),
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'biddable' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
