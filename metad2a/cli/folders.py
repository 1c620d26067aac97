"""Where results go: refused before any work where nothing can be written, or would replace what others wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from databases.errors import UserError
from databases.paths import real_path
from metad2a.runtime.files import refuse_foreign
from metad2a.runtime.home import home_path

if TYPE_CHECKING:
    from metad2a.export.export import Exported


def check_output_folder(folder: Path | None, *names: str, network: bool = False, data: str | None = None) -> None:
    """Raises UserError where the folder for results is a file or cannot be made, before any work is done.

    Also where others' files stand in the places of these ``names``, or of an exported ``network``, and where it lies
    in a folder of images, ``data``, as the home folder may not either: what is written there would count as images.
    """
    _refuse_within(data, folder, "--output")
    if folder is None:
        return
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UserError(f"--output {str(folder)!r} is a file: name a folder")
    _check_writable(folder / "result", f"--output {str(folder)!r}")
    if network:
        from metad2a.export.program import PROGRAM
        from metad2a.export.weights import WEIGHTS

        names = (*names, PROGRAM, WEIGHTS)
    refuse_foreign(folder, names)


def _refuse_within(data: str | None, place: Path | None, option: str) -> None:
    """Raises UserError where the home folder or a place to write to lies unhidden in a folder of images."""
    for given, name in ((home_path(), "METAD2A_HOME"), (place, option)):
        if data is not None and given is not None and _lies_in(real_path(given, called=name), Path(data)):
            raise UserError(
                f"given {name} {str(given)!r}, which lies in the folder of the images, {data!r}: what is written there "
                "would count as images; name a folder elsewhere"
            )


def _lies_in(inside: Path, folder: Path) -> bool:
    """Whether a real path is a folder of images or lies unhidden in it."""
    from databases.datasets.file_kinds import hidden

    above = real_path(folder)
    if not above.is_dir() or not inside.is_relative_to(above):
        return False
    way = inside.relative_to(above).as_posix()
    return way == "." or not hidden(way)


def copied(exported: Exported, folder: Path | None) -> Exported:
    """The exported network, in the ``folder`` that was asked for if there is one."""
    from metad2a.export.export import save

    return exported if folder is None else save(exported.training, exported.card, folder)


def check_output_file(file: Path | None, *, option: str, data: str | None = None) -> None:
    """Raises UserError where the file for a result is a folder, of others or cannot be written, before any work.

    Also where it, or the home folder, lies in a folder of images, ``data``.
    """
    _refuse_within(data, file, option)
    if file is None:
        return
    if os.path.isdir(file):
        raise UserError(f"{option} {str(file)!r} is a folder: name a file")
    _check_writable(file, f"{option} {str(file)!r}")
    refuse_foreign(file.absolute().parent, [file.name])


def refuse_read_later(file: Path | None, images: Iterable[Path], *, option: str) -> None:
    """Raises UserError where the file for a result would lie among images and count as one, or as their labels."""
    from databases.datasets.file_kinds import TABLE, UNREAD_PICTURES, ending_of, readable_formats

    if file is None:
        return
    pictures = readable_formats()[1] | UNREAD_PICTURES
    what = "their labels" if file.name.lower() == TABLE else "a picture" if ending_of(file.name) in pictures else ""
    for folder in images if what else ():
        if _lies_in(real_path(file, called=option), folder):
            raise UserError(
                f"given {option} {str(file)!r}, which lies in the folder of the images, {str(folder)!r}, and would "
                f"count as {what} by its name; give another name, such as predictions.csv, or a folder elsewhere"
            )


def _check_writable(file: Path, given: str) -> None:
    """Tries such a file in the nearest folder that is there, and leaves nothing: permissions alone do not tell."""
    above = next(each for each in file.absolute().parents if os.path.lexists(each))
    try:
        with NamedTemporaryFile(dir=above, prefix=f".{file.name}."):
            pass
    except OSError as error:
        reason = f"{given} cannot be made in {str(above)!r} ({error.strerror})"
        raise UserError(f"{reason}: name a place in a folder you may write to") from None
