"""The one way to write a file: whole or not at all, and on the disk when it is done."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Writes files under temporary names beside their places, then puts all in place; folders are made.

    Raises:
        OSError: one cannot be written; none was put in place unless the disk failed in the midst of that.
    """
    drafts = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in contents}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with drafts[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, draft in drafts.items():
            os.replace(draft, path)
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def write_arrays(path: Path, **arrays: npt.NDArray[Any]) -> None:
    """An ``.npz`` file, by `write_files`."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    write_files({path: file.getvalue()})


def read_arrays(path: Path, *names: str) -> dict[str, npt.NDArray[Any]] | None:
    """These arrays of an ``.npz`` file of a cache; None where it is missing or broken, so that it is made anew."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile):
        return None
