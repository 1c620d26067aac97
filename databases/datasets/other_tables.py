"""Tables beside pictures: what stands in them, and those by which classes might be told but are not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Set
from pathlib import PurePosixPath

from databases.datasets.archives import Files
from databases.datasets.file_kinds import TABLE, ending_of, hidden
from databases.datasets.names import shown
from databases.errors import UserError, in_a_line

TABLES = (".csv", ".tsv")
MOST_BYTES, MOST_COLUMNS, MOST_LETTERS = 2**29, 6, 40


def content_of(files: Files, table: str, given: str) -> bytes:
    """What stands in a table.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return files.read(table, most=MOST_BYTES)
    except OSError as problem:
        raise UserError(
            f"given {given}, whose {shown(table)} cannot be read ({problem.strerror or problem}); "
            "allowed is a file that you may read; make it readable, or take it away where the folders tell the classes"
        ) from problem


def naming_table(files: Files, pictures: Iterable[str]) -> str:
    """The first table that names one of these pictures, with its columns; an empty text where none does."""
    tables = sorted(name for name in files.names if ending_of(name) in TABLES and not hidden(name))
    names = {PurePosixPath(name).stem for name in pictures} if tables else set()
    table, text = next(filter(lambda each: _names_one(each[1], names), _texts(files, tables)), ("", ""))
    columns = _columns(text)
    return f"{shown(table)!r}{f' (columns {columns})' if columns else ''}" if table else ""


def by_table(files: Files, pictures: Iterable[str]) -> str:
    """How a table would tell the classes of these pictures: one that is there, or a new one."""
    if tables := [name for name in files.names if name.rpartition("/")[2].lower() == TABLE and not hidden(name)]:
        columns = next((_columns(text) for _, text in _texts(files, tables)), "")
        told = f"give the {TABLE} there a first line with the columns file and class, by commas, semicolons or tabs"
        return f"{told}, in place of {columns}" if columns else told
    if table := naming_table(files, pictures):
        return f"save the table {table} as {TABLE} with the columns file (a picture's name) and class"
    return f"put a {TABLE} with the columns file and class beside them"


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
    first = text.partition("\n")[0].strip()
    found = [each.strip(' "') for each in first.split(max(",;\t", key=first.count))]
    more = ", ..." if len(found) > MOST_COLUMNS else ""
    return (
        f"{', '.join(in_a_line(each[:MOST_LETTERS]) for each in found[:MOST_COLUMNS])}{more}" if len(found) > 1 else ""
    )
