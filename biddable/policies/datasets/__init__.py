"""Data sets of trajectories in the field's formats: reading them, writing them, recording one.

``read_trajectories`` reads Minari, LeRobotDataset, robomimic, RLDS and the folders that SOAR's robots log;
none of their packages is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from biddable.errors import FileError, InputError
from biddable.policies.datasets.base import ActionSpec as ActionSpec
from biddable.policies.datasets.base import DatasetSpec as DatasetSpec
from biddable.policies.datasets.base import Source
from biddable.policies.datasets.base import Trajectories as Trajectories
from biddable.policies.datasets.base import readable as readable
from biddable.policies.datasets.lerobot import INFO, LeRobotSource
from biddable.policies.datasets.minari import MAIN_FILE, METADATA, MinariSource
from biddable.policies.datasets.rlds import FEATURES, RldsSource
from biddable.policies.datasets.robomimic import RobomimicSource
from biddable.policies.datasets.soar_raw import SoarSource, soar_folders
from biddable.policies.datasets.spaces import check_actions as check_actions

Format = Literal["auto", "minari", "lerobot", "robomimic", "rlds", "soar"]

_READ = (
    "Minari (a folder with data/metadata.json), LeRobot (meta/info.json), "
    "robomimic (a .hdf5 file with data/demo_0), RLDS (features.json and .tfrecord files) and SOAR-Data "
    "(folders with actions.npy and language_task.txt) are read"
)
_HDF5 = (".hdf5", ".h5")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npy", ".npz")


def read_trajectories(
    path: str | Path,
    *,
    format: Format = "auto",
    instruction: str | None = None,
    parts: Sequence[str] | None = None,
    limit: int = 0,
) -> Trajectories:
    """The trajectories of a data set, each read when it is asked for.

    A part of the observations is called what the data set calls it, without LeRobot's ``observation.``.
    Observations without ``state`` get one: their vectors and numbers side by side (see ``base.Parts``).

    An episode succeeded if the data set says so (Minari's last ``success`` or ``is_success`` among the infos,
    LeRobot's ``next.success``), or if its only reward is a positive one in the step that terminated it.
    Otherwise nobody knows: None. ``meta`` holds ``episode`` (its place), ``wordings`` (the others of its
    instruction), ``split`` and what else the data set says.

    Args:
        path: the data set's folder; of robomimic, the file.
        format: which one; "auto" finds out.
        instruction: what was to be done, in episodes that do not say.
        parts: which parts of the observations to read; what is left out, videos for one, costs nothing.
        limit: how many trajectories at most; 0 for all.

    Raises:
        FileError: no data set that is read, another version of its format, or a description that is not
            whole. Reading a trajectory raises it for an episode that is missing, cut short or damaged, or has
            an action that is no number.
        InputError: an unknown format or part, an empty instruction, a negative limit; reading a trajectory:
            nobody says what was to be done.
        MissingDependency: what reads the format is not installed.
    """
    path = Path(path)
    if format not in get_args(Format):
        raise InputError("format", format, f"one of {', '.join(get_args(Format))}")
    if instruction is not None and not instruction.strip():
        raise InputError("instruction", instruction, "what was to be done, in words")
    if parts is not None and (isinstance(parts, str) or not parts):
        raise InputError("parts", parts, "names of parts of the observations")
    if limit < 0:
        raise InputError("limit", limit, "a number of trajectories, or 0 for all")
    kind, place = _kind(path) if format == "auto" else (format, path)
    source: Source
    if kind == "minari":
        source = MinariSource(place, instruction, parts)
    elif kind == "lerobot":
        source = LeRobotSource(place, instruction, parts)
    elif kind == "robomimic":
        source = RobomimicSource(place, instruction, parts)
    elif kind == "soar":
        source = SoarSource(place, instruction, parts)
    else:
        source = RldsSource(place, instruction, parts)
    trajectories = Trajectories(path, source)
    return trajectories[:limit] if limit else trajectories


def _kind(path: Path) -> tuple[str, Path]:
    """The format of what lies there, and where its reader begins."""
    if not path.exists():
        raise FileError(path, "no such file or folder")
    if path.is_file():
        if path.name == MAIN_FILE:
            return _kind(path.parent)
        if path.suffix in _HDF5:
            return "robomimic", path
        raise FileError(path, _refusal(path, [path]))
    for folder in (path, *_alone(path)):
        if (folder / "data" / METADATA).is_file():
            return "minari", folder
        if (folder / METADATA).is_file() and folder.name == "data":
            return "minari", folder.parent
        if (folder / INFO).is_file():
            return "lerobot", folder
        if (folder / FEATURES).is_file():
            return "rlds", folder
    if soar_folders(path):
        return "soar", path
    files = [file for file in sorted(path.iterdir()) if file.is_file()]
    demos = [file for file in files if file.suffix in _HDF5]
    if len(demos) == 1:
        return "robomimic", demos[0]
    if demos:
        raise FileError(path, f"holds {len(demos)} HDF5 files; name one of them: {demos[0].name}")
    raise FileError(path, _refusal(path, files))


def _alone(path: Path) -> list[Path]:
    """The folders in which a data set may stand by itself: RLDS' NAME/1.0.0."""
    inner = [each for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")]
    return inner if len(inner) == 1 else []


def _refusal(path: Path, files: Sequence[Path]) -> str:
    pickles = [file.name for file in files if file.suffix in _PICKLES]
    if pickles:
        return f"{pickles[0]} may hold a pickle, which runs programs when it is read: it is not read; {_READ}"
    return f"no data set that is read: {_READ}"
