"""The library that MuJoCo renders with: it is chosen at import, by default one that needs a screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from ctypes.util import find_library
from typing import TypeVar

from biddable.errors import BiddableError

Renderer = TypeVar("Renderer")


def without_screen() -> None:
    """Make MuJoCo render through EGL where there is no screen; call it before MuJoCo is imported.

    Raises:
        BiddableError: ``MUJOCO_GL`` names OSMesa, and it is not there: MuJoCo cannot be imported so.
    """
    if os.environ.get("MUJOCO_GL", "").lower() == "osmesa" and not find_library("OSMesa"):
        how = "apt-get install libosmesa6, or set MUJOCO_GL to another library"
        raise BiddableError(f"MuJoCo cannot draw here: MUJOCO_GL is osmesa, which is not installed; {how}")
    if "DISPLAY" not in os.environ and find_library("EGL"):
        os.environ.setdefault("MUJOCO_GL", "egl")


def renderer(make: Callable[[], Renderer]) -> Renderer:
    """The renderer that ``make`` returns.

    Raises:
        BiddableError: MuJoCo cannot render on this machine.
    """
    if "DISPLAY" not in os.environ and "mujoco.glfw" in sys.modules:  # making one would abort the process
        how = "set MUJOCO_GL=egl, or import biddable's environments before mujoco"
        raise BiddableError(f"MuJoCo cannot draw here: it was told to use a screen, and there is none; {how}")
    try:
        return make()
    except Exception as error:  # whatever the chosen library raises where it is not whole
        how = "apt-get install libegl1, or set MUJOCO_GL to another library"
        raise BiddableError(f"MuJoCo cannot draw here: {how} ({error})") from error
