"""Folders of results: written as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from databases.errors import UserError
from databases.files import write_files
from metad2a.runtime.home import home_path

LEDGER = ".metad2a"  # in a folder of results: digest and name of each file that we wrote there


def write_folder(folder: Path, write: Callable[[Path], list[str]]) -> list[str]:
    """Calls ``write`` with an empty folder and moves the files that it names into ``folder``; returns the names.

    Raises:
        UserError: the folder is a file, cannot be written or holds files of others in these places; it is then left
            as it was.
    """
    missing = [each for each in (folder, *folder.parents) if not os.path.exists(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".metad2a-", dir=folder) as beside:
            names = write(Path(beside))
            for name in names:
                if (folder / name).is_dir():
                    raise IsADirectoryError(0, f"{name} in it is a folder")
            refuse_foreign(folder, names)
            contents = {name: (Path(beside) / name).read_bytes() for name in names}
            digests = _ledger(folder) | {
                name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
            }
            lines = "".join(f"{digest} {name}\n" for name, digest in digests.items())
            listed = {} if _in_home(folder) else {LEDGER: lines.encode()}
            write_files({folder / name: content for name, content in {**contents, **listed}.items()})
        return names
    except BaseException as error:
        for each in missing:
            with suppress(OSError):
                each.rmdir()
        if not isinstance(error, OSError):
            raise
        reason = "it is a file" if os.path.isfile(folder) else error.strerror or str(error)
        raise UserError(f"Cannot write the answer to {folder} ({reason}): name another folder.") from None


def refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """Raises UserError where one of the files stands in the folder and is not ours."""
    for name in sorted({each for each in names if os.path.lexists(folder / each)} - ours(folder)):
        raise UserError(
            f"{str(folder / name)!r} was not written by this metad2a, or was changed since, and would be replaced: "
            "name another folder, or move that file"
        )


def ours(folder: Path) -> set[str]:
    """Names of the files in a folder that `write_folder` wrote and nobody changed; in the home folder all are ours."""
    if not folder.is_dir():
        return set()
    if _in_home(folder):
        return {each.name for each in folder.iterdir()}
    return {name for name, digest in _ledger(folder).items() if _digest(folder / name) == digest}


def _in_home(folder: Path) -> bool:
    return folder.resolve().is_relative_to(home_path().resolve())


def _ledger(folder: Path) -> dict[str, str]:
    """Name -> digest of what was written there; of a file of others that is called so nothing is believed."""
    try:
        lines = (folder / LEDGER).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition(" ") for line in lines)
    return {name: digest for digest, _, name in pairs if name and os.path.basename(name) == name}


def _digest(path: Path) -> str | None:
    """Of a plain file; None of a link, and where there is none."""
    try:
        return None if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
