"""An HDF5 file that is open from the first reading on; a process of its own opens it anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from biddable.errors import FileError


class Hdf5File:
    """A file to be read, by name."""

    def __init__(self, path: Path):
        self.path, self._file, self._pid = path, None, 0

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_file": None, "_pid": 0}

    def open(self) -> Any:
        """The ``h5py.File``. Raises FileError: no such file, or no HDF5 (cut short, say)."""
        if self._file is None or self._pid != os.getpid():
            import h5py

            if not self.path.is_file():
                raise FileError(self.path, "no such file")
            try:
                self._file, self._pid = h5py.File(self.path, "r"), os.getpid()
            except OSError as error:
                problem = " ".join(str(error).split())
                raise FileError(self.path, f"no HDF5 file that can be read: {problem}") from error
        return self._file
