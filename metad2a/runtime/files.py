"""Folders of results: written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from databases.errors import UserError
from databases.files import write_files


def write_folder(folder: Path, write: Callable[[Path], list[str]]) -> list[str]:
    """Calls ``write`` with an empty folder and moves the files that it names into ``folder``; returns the names.

    Raises:
        UserError: the folder is a file or cannot be written; it is then left as it was.
    """
    missing = [each for each in (folder, *folder.parents) if not os.path.exists(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".metad2a-", dir=folder) as beside:
            names = write(Path(beside))
            for name in names:
                if (folder / name).is_dir():
                    raise IsADirectoryError(0, f"{name} in it is a folder")
            write_files({folder / name: (Path(beside) / name).read_bytes() for name in names})
        return names
    except BaseException as error:
        for each in missing:
            with suppress(OSError):
                each.rmdir()
        if not isinstance(error, OSError):
            raise
        reason = "it is a file" if os.path.isfile(folder) else error.strerror or str(error)
        raise UserError(f"Cannot write the answer to {folder} ({reason}): name another folder.") from None
