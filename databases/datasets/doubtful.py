"""Folders that may be no classes by their names: parts of one set, whose classes a table tells, or small copies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from databases.datasets.archives import Files
from databases.datasets.file_kinds import TABLE, ending_of, hidden
from databases.datasets.names import series, shown, small_copies, some
from databases.datasets.readings import ALLOWED, Trail
from databases.errors import UserError

TABLES = (".csv", ".tsv")
MOST_BYTES, MOST_COLUMNS = 2**29, 6


def doubtful_notes(
    files: Files, trails: Iterable[Trail], others: Sequence[str], given: str, *, grouped: bool
) -> list[str]:
    """Notes on classes that may be none by their names, such as images_part_1 and images_part_2.

    ``grouped`` is whether the user says that they are classes.

    Raises:
        UserError: they are parts of one set, and a table lies beside them.
    """
    tops = {trail[0] for trail in trails if len(trail) > 1}
    if copies := [top for top in tops if small_copies(top)]:
        return [f"took the folder {some(copies)} for a class: take it away if it holds small copies of the pictures"]
    if grouped or not series(tops):
        return []
    tables = sorted(name for name in others if ending_of(name) in TABLES and not hidden(name))
    if not tables:
        return [f"took {some(tops)} for classes, though by their names they are parts of one set"]
    raise UserError(
        f"given {given} with the folders {some(tops)}, by their names parts of one set, and the table "
        f"{shown(tables[0])!r}{_columns(files, tables[0])}, which may tell the classes; {ALLOWED}; save the table as "
        f"{TABLE} with the columns file (a picture's name) and class, or give --groups folder if the folders are the "
        "classes"
    )


def _columns(files: Files, table: str) -> str:
    """The first columns of a table, as far as it can be read."""
    try:
        first = files.read(table, most=MOST_BYTES).decode("utf-8-sig", "replace").partition("\n")[0].strip()
    except OSError:
        return ""
    columns = [each.strip(' "') for each in first.split(max(",;\t", key=first.count))]
    more = ", ..." if len(columns) > MOST_COLUMNS else ""
    return f" (columns {', '.join(columns[:MOST_COLUMNS])}{more})" if len(columns) > 1 else ""
