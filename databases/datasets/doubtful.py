"""Folders that may be no classes by their names: parts of one set, whose classes a table tells, or small copies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePosixPath

from databases.datasets.archives import Files
from databases.datasets.file_kinds import TABLE, ending_of, hidden
from databases.datasets.names import series, shown, small_copies, some
from databases.datasets.readings import ALLOWED, Trail
from databases.errors import UserError

TABLES = (".csv", ".tsv")
MOST_BYTES, MOST_COLUMNS = 2**29, 6


def doubtful_notes(
    files: Files, trails: Mapping[str, Trail], others: Sequence[str], given: str, *, grouped: bool
) -> list[str]:
    """Notes on classes that may be none by their names, such as images_part_1 and images_part_2.

    ``grouped`` is whether the user says that they are classes.

    Raises:
        UserError: they are parts of one set, and a table beside them names their pictures.
    """
    tops = {trail[0] for trail in trails.values() if len(trail) > 1}
    if copies := [top for top in tops if small_copies(top)]:
        return [f"took the folder {some(copies)} for a class: take it away if it holds small copies of the pictures"]
    if grouped or not series(tops):
        return []
    tables = sorted(name for name in others if ending_of(name) in TABLES and not hidden(name))
    stems = {PurePosixPath(name).stem for name in trails} if tables else set()
    texts = {name: text for name in tables if _names_one((text := _text(files, name)), stems)}
    if not texts:
        return [f"took {some(tops)} for classes, though by their names they are parts of one set"]
    raise UserError(
        f"given {given} with the folders {some(tops)}, by their names parts of one set, and the table "
        f"{shown(min(texts))!r}{_columns(texts[min(texts)])}, which may tell the classes; {ALLOWED}; save the table as "
        f"{TABLE} with the columns file (a picture's name) and class, or give --groups folder if the folders are the "
        "classes"
    )


def _text(files: Files, table: str) -> str:
    """What stands in a table; nothing where it cannot be read."""
    try:
        return files.read(table, most=MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _names_one(text: str, stems: Set[str]) -> bool:
    """Whether a cell of a table is one of the names of pictures, with or without folders and ending."""
    for line in text.splitlines()[1:]:
        for cell in re.split(r"[,;\t]", line):
            path = PurePosixPath(cell.strip(' "').replace("\\", "/"))
            if path.name in stems or path.stem in stems:
                return True
    return False


def _columns(text: str) -> str:
    """The first columns of a table."""
    first = text.partition("\n")[0].strip()
    columns = [each.strip(' "') for each in first.split(max(",;\t", key=first.count))]
    more = ", ..." if len(columns) > MOST_COLUMNS else ""
    return f" (columns {', '.join(columns[:MOST_COLUMNS])}{more})" if len(columns) > 1 else ""
