"""Pictures that are drawn once: a PNG of ours tells what it was drawn of, and stays where that is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from metad2a.reports.figure import save
from metad2a.runtime.files import ours, write_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF = "metad2a"  # where a file tells what it was drawn of


def draw_once(draw: Callable[[], Figure], path: Path, *, of: str) -> None:
    """Writes what ``draw`` makes, unless a picture of ours ``of`` the same is there: drawing takes a second and more.

    Raises:
        UserError: it cannot be written there.
    """

    def write(beside: Path) -> list[str]:
        save(draw(), beside / path.name, metadata={OF: of})
        return [path.name]

    if not (path.name in ours(path.parent) and _told_in(path) == of):
        write_folder(path.parent, write)


def _told_in(path: Path) -> object:
    """What a picture of ours tells of what it was drawn of."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.info.get(OF)
    except (OSError, SyntaxError, ValueError):  # it is broken: drawn anew
        return None
