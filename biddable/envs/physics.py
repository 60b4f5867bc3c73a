"""The environments in MuJoCo, ``mujoco:NAME``, each in a module of its own."""

from __future__ import annotations

from typing import Any

from biddable.envs import hidden_goal, reach2d, tabletop, tabletop_blocks
from biddable.errors import InputError

_MAKERS: dict[str, Any] = {
    **dict.fromkeys(reach2d.NAMES, reach2d.Reach2DEnv),
    **dict.fromkeys(tabletop.NAMES, tabletop.TabletopEnv),
    **dict.fromkeys(tabletop_blocks.NAMES, tabletop_blocks.TabletopBlocksEnv),
    **dict.fromkeys(hidden_goal.NAMES, hidden_goal.HiddenGoalEnv),
}


def make(name: str, **options: Any) -> Any:
    """The environment of a name; options are those of its class.

    Raises:
        InputError: there is none.
    """
    bare = name.partition("?")[0]
    if bare not in _MAKERS:
        raise InputError("env", f"mujoco:{name}", "mujoco: and one of " + ", ".join(_MAKERS))
    return _MAKERS[bare](name, **options)
