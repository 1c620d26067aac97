"""Folders that may be no classes by their names: parts of one set, whose classes a table tells, or small copies."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import PurePosixPath

from databases.datasets.archives import Files
from databases.datasets.file_kinds import TABLE, ending_of, hidden
from databases.datasets.names import series, shown, small_copies, some
from databases.datasets.readings import ALLOWED, Trail
from databases.errors import UserError

TABLES = (".csv", ".tsv")
MOST_BYTES, MOST_COLUMNS = 2**27, 6


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
    names = {PurePosixPath(name).stem for name in trails} if tables else set()
    table, text = next(filter(lambda each: _names_one(each[1], names), _texts(files, tables)), ("", ""))
    if not table:
        return [f"took {some(tops)} for classes, though by their names they are parts of one set"]
    raise UserError(
        f"given {given} with the folders {some(tops)}, by their names parts of one set, and the table "
        f"{shown(table)!r}{_columns(text)}, which may tell the classes; {ALLOWED}; save the table as "
        f"{TABLE} with the columns file (a picture's name) and class, or give --groups folder if the folders are the "
        "classes"
    )


def _texts(files: Files, tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What stands in each table, as far as it can be read."""
    for table in tables:
        with contextlib.suppress(OSError):
            content = files.read(table, most=MOST_BYTES)
            yield table, content.replace(b"\0", b"").decode("utf-8-sig", "replace")  # without what UTF-16 puts between


def _names_one(text: str, names: Set[str]) -> bool:
    """Whether a cell below a table's first line is one of the names of pictures, be it with folders and an ending."""
    cells = {*re.split(r'[,;\t\r\n"/\\]+', text.partition("\n")[2])}
    return not names.isdisjoint(cells) or not names.isdisjoint(cell.rpartition(".")[0] for cell in cells)


def _columns(text: str) -> str:
    """The first columns of a table."""
    first = text.partition("\n")[0].strip()
    columns = [each.strip(' "') for each in first.split(max(",;\t", key=first.count))]
    more = ", ..." if len(columns) > MOST_COLUMNS else ""
    return f" (columns {', '.join(columns[:MOST_COLUMNS])}{more})" if len(columns) > 1 else ""
