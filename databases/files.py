"""The one way to write a file or to replace a folder: whole or not at all, and on the disk when it is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

Content = bytes | Callable[[IO[bytes]], object]  # or what writes it into an open file


def write_files(contents: Mapping[Path, Content]) -> None:
    """Writes files under temporary names beside their places, then puts all in place; folders are made.

    Raises:
        OSError: one cannot be written; none was put in place unless the disk failed in the midst of that.
    """
    drafts = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in contents}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _named(path), drafts[path].open("wb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    content(file)
                file.flush()
                os.fsync(file.fileno())
        for path, draft in drafts.items():
            os.replace(draft, path)
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What the disk refuses, under the name of the file, also where a writer of archives makes an error of its own."""
    try:
        yield
    except Exception as problem:
        of_disk: BaseException | None = problem
        while of_disk is not None and not isinstance(of_disk, OSError):
            of_disk = of_disk.__context__
        if of_disk is None or of_disk.errno is None:
            raise
        raise OSError(of_disk.errno, of_disk.strerror, str(path)) from problem


def replace_file(draft: Path, path: Path) -> None:
    """Puts a finished file into the place of one that may be there, once all of it is on the disk."""
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(draft, path)


def replace_folder(draft: Path, folder: Path) -> None:
    """Puts a finished folder into the place of one that may be there.

    Killed in the midst of it, this leaves the old one or the new one; where neither is in place, `recover_folder`
    brings the old one back.
    """
    recover_folder(folder)
    try:
        if folder.exists():
            os.replace(folder, _previous(folder))
        os.replace(draft, folder)
    finally:
        recover_folder(folder)


def recover_folder(folder: Path) -> None:
    """Ends what a killed `replace_folder` left: the old folder is back, or gone where the new one stands."""
    previous = _previous(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
    elif previous.exists():
        os.replace(previous, folder)


def _previous(folder: Path) -> Path:
    """Where a folder waits while another takes its place."""
    return folder.with_name(f".{folder.name}.previous")
