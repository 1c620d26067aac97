"""Arrays in a file that are read as if they were in memory; what was read is let go, so that memory stays bounded."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.files import replace_file

HELD = 128 * 2**20  # bytes of the file that the process keeps in its memory before it lets them go
AROUND = 2**16  # bytes that the system maps around each place that is read


class Mapped(np.memmap[Any, Any]):
    """An array (n, ...) in a file, read only; what is taken out of it is a plain array.

    The system keeps what is read in its own cache as long as there is room; nothing of it belongs to the process for
    long. Pickled, it is the path of the file.
    """

    _read = 0

    def __new__(cls, path: str | Path, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> Mapped:
        """The whole file as an array of that shape."""
        return super().__new__(cls, path, dtype=dtype, mode="r", shape=shape)  # type: ignore[return-value]

    def __getitem__(self, index: Any) -> Any:
        """What is at places: a view of a slice, a copy of a choice."""
        found = np.asarray(super().__getitem__(index))
        view = isinstance(index, int | np.integer | slice)
        self._read += found.nbytes if view else max(found.nbytes, AROUND * len(found))
        if self._read > HELD:
            self._read = 0
            let_go(self)
        return found

    def beside(self, name: str, shape: tuple[int, ...], fill: Callable[[npt.NDArray[Any]], None]) -> Mapped:
        """Another array in a file beside this one's, as ``fill`` makes it; one that is there already is taken."""
        path = Path(str(self.filename)).with_suffix(f".{name}.pixels")
        size = math.prod(shape) * self.dtype.itemsize
        if not (path.is_file() and path.stat().st_size == size):
            draft = path.with_suffix(f".{os.getpid()}")
            try:
                new_file(draft, size)
                made = np.memmap(draft, self.dtype, "r+", shape=shape)
                fill(made)
                made.flush()
                replace_file(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        return Mapped(path, shape, self.dtype.type)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Mapped, (str(self.filename), self.shape, self.dtype.type)


def let_go(array: npt.NDArray[Any]) -> None:
    """Gives back the memory of what was read or written of a mapped array; the file is as it was."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)


def new_file(path: Path, size: int) -> None:
    """A file of so many bytes, which has its room on the disk: a mapped one could not tell later that it has none."""
    with path.open("wb") as file:
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
