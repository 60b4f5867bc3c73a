"""Frames of video files, through PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import FileError
from biddable.policies.datasets.base import reading

INSTALL = 'pip install "biddable[robots]"'


def frames(path: Path, times: Sequence[float] | NDArray[np.float64], name: str) -> NDArray[np.uint8]:
    """The frames that are shown at ``times``: [N, height, width, 3].

    Args:
        path: the video.
        times: in seconds, increasing.
        name: what they belong to, for errors: "episode 3".

    Raises:
        FileError: no such file, no video, or one without a frame at one of the times.
        MissingDependency: PyAV is not installed.
    """
    if not path.is_file():
        raise FileError(path, f"{name}: no such file")
    with reading(path, f"the video of {name}", INSTALL):
        import av

        tolerance = (times[1] - times[0]) / 2 if len(times) > 1 else 0.02
        pictures: list[NDArray[np.uint8]] = []
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            stream.thread_type = "AUTO"
            if times[0] > tolerance:  # to the key frame before it
                container.seek(int(times[0] / stream.time_base), stream=stream)
            try:
                for frame in container.decode(stream):
                    shown = float((frame.pts or 0) * stream.time_base)
                    if shown < times[len(pictures)] - tolerance:
                        continue
                    if shown > times[len(pictures)] + tolerance:
                        break
                    picture: Any = frame.to_ndarray(format="rgb24")
                    pictures.append(picture)
                    if len(pictures) == len(times):
                        break
            except av.FFmpegError as error:
                problem = f"{name}, frame {len(pictures)}: the video is damaged: {error.strerror}"
                raise FileError(path, problem) from error
        if len(pictures) < len(times):
            missing = f"{name}, frame {len(pictures)} of {len(times)}"
            raise FileError(path, f"{missing}: the video has none at {times[len(pictures)]:.3f} s")
        return np.stack(pictures)


def all_frames(path: Path, name: str) -> NDArray[np.uint8]:
    """Every frame of a video: [N, height, width, 3]; ``name`` is what it belongs to, for errors.

    Raises:
        FileError: no such file, no video, or one that is cut short.
        MissingDependency: PyAV is not installed.
    """
    return _decoded(path, name, 0)


def frame_shape(path: Path) -> tuple[int, int, int]:
    """Height, width and 3. Raises as ``all_frames``."""
    height, width, _ = _decoded(path, "the first frame", 1)[0].shape
    return height, width, 3


def _decoded(path: Path, name: str, most: int) -> NDArray[np.uint8]:
    if not path.is_file():
        raise FileError(path, f"{name}: no such file")
    with reading(path, f"the video of {name}", INSTALL):
        import av

        with av.open(str(path)) as container:
            decoded = islice(container.decode(container.streams.video[0]), most or None)
            pictures = [frame.to_ndarray(format="rgb24") for frame in decoded]
        if not pictures:
            raise ValueError("it has no frame")
        return np.stack(pictures)


def write_video(path: Path, pictures: NDArray[np.uint8], fps: int, codec: str) -> None:
    """Write frames [N, height, width, 3] as a video; sizes must be even.

    A key frame stands at every second one, so that single frames are read without decoding many (as LeRobot
    has it).
    """
    import av

    options = {"g": "2", "crf": "30"} | ({"preset": "12"} if codec == "libsvtav1" else {})
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
