"""Web pages in a data set: elements and fields are stored as JSON, actions on them as three numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from biddable.types import Trajectory


def paged(trajectory: Trajectory) -> Trajectory:
    """With elements, fields and actions for those of a web page, which was recorded as JSON and numbers."""
    seen = trajectory.observations
    if not {"dom", "fields"} <= seen.keys():
        return trajectory
    from biddable.envs.web import Element, Field, WebAction

    made = {"dom": Element, "fields": Field}
    columns = {
        name: tuple(tuple(kind(**each) for each in json.loads(text)) for text in seen[name])
        for name, kind in made.items()
    }
    actions = tuple(WebAction.of(action) for action in trajectory.actions)
    return replace(trajectory, observations={**seen, **columns}, actions=actions)


def numbers(action: Any) -> Any:
    """An action on a page as three numbers (see ``WebAction.of``); others as they are."""
    from biddable.envs.web import KINDS, WebAction

    return (KINDS.index(action.kind), action.ref, action.field) if isinstance(action, WebAction) else action
