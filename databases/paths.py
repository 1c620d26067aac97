"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path

from databases.errors import UserError


def user_path(text: str | Path, *, called: str = "") -> Path:
    """The path that a user wrote, with the home folder for ``~`` or ``~name`` at its beginning.

    Args:
        text: what was written.
        called: what it was written for, such as an option or a variable, for errors.

    Raises:
        UserError: that home folder cannot be told.
    """
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError) as problem:  # no such user, or no name of one
        begin = Path(text).parts[0]
        given = f"{called} {str(text)!r}" if called else repr(str(text))
        raise UserError(
            f"given {given}, where {begin!r} is the home folder of no user here; allowed are ~, ~NAME of a user and "
            "plain paths; write the path out"
        ) from problem


def real_path(text: str | Path, *, called: str = "") -> Path:
    """The same without links, also where these lead in a circle, which `Path.resolve` cannot bear."""
    return Path(os.path.realpath(user_path(text, called=called)))
