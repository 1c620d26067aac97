"""The one cache of what takes long to compute: sets of arrays in a folder, each by all that it depends on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from databases.files import write_files

Arrays = dict[str, npt.NDArray[Any]]


def kept(folder: Path | None, key: tuple[object, ...], make: Callable[[], Arrays], *names: str) -> Arrays:
    """The arrays of these ``names`` that ``make`` computes, or that ``folder`` keeps by the same key (None: nothing).

    The key holds whatever changes the arrays: the task's fingerprint, digests of weights, versions of the code. What
    cannot be written there is not kept, and no result is lost.
    """
    if folder is None:
        return make()
    found = read(folder, key, *names)
    if found is None:
        found = make()
        with suppress(OSError):
            keep(folder, key, found)
    return found


def read(folder: Path, key: tuple[object, ...], *names: str) -> Arrays | None:
    """These arrays; None where they are missing or the file is broken, so that they are made anew."""
    try:
        with _path(folder, key).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile):
        return None


def keep(folder: Path, key: tuple[object, ...], arrays: Arrays) -> None:
    """Writes the arrays as a whole or not at all; the folder is made."""
    write_files({_path(folder, key): lambda file: np.savez(file, **arrays)})  # type: ignore[arg-type]


def _path(folder: Path, key: tuple[object, ...]) -> Path:
    return folder / f"{'-'.join(map(str, key))}.npz"
