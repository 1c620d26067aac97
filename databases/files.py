"""The one way to write a file: whole or not at all, and on the disk when it is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
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
            with drafts[path].open("wb") as file:
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
