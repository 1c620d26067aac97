"""A labels.csv (or several) beside pictures: which picture is of which class, and if told of which part and group.

    file,class
    a.png,cat
    b.png,dog

Files are named by their paths from the table's folder on, or by as much of the end of these as is unique; ``part``
(train, val, test) and ``group`` may stand beside. Without ``part`` folders called train, val and test tell it.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from databases.datasets.archives import Files
from databases.datasets.class_folders import Arranged, Picture
from databases.datasets.file_kinds import MOST_UNREAD, TABLE, hidden, unread_notes
from databases.datasets.names import natural, part_of, shown, shown_apart, some, sort_key
from databases.datasets.task import TRAIN
from databases.errors import UserError, count

COLUMNS = {  # what a column may be called
    "file": ("file", "filename", "file_name", "image", "image_name", "image_path", "path", "picture", "id", "image_id"),
    "class": ("class", "label", "category", "class_name", "target"),
    "part": ("part", "split", "subset", "set"),
    "group": ("group", "track", "patient"),
}
NEEDED = ("file", "class")
ONE = {"class": "classes", "part": "parts", "group": "groups"}  # of which a file has one
MOST_BYTES = 2**29


@dataclass(frozen=True)
class Row:
    """A row of a table, by the names of `COLUMNS`; ``line`` and ``table`` for errors."""

    line: int
    cells: Mapping[str, str]
    table: str = ""


@dataclass(frozen=True)
class Table:
    """The rows of a table, and notes on columns that might have been meant."""

    rows: list[Row]
    notes: list[str]


def find_tables(names: Sequence[str]) -> list[str]:
    """All files called labels.csv, the highest first."""
    tables = [name for name in names if PurePosixPath(name).name.lower() == TABLE and not hidden(name)]
    return sorted(tables, key=lambda name: (name.count("/"), name))


def arrange_by_table(
    files: Files, tables: Sequence[str], pictures: Sequence[str], others: Sequence[str], *, given: str
) -> Arranged | None:
    """Classes and parts of pictures by tables; None where none has columns for file and class.

    Raises:
        UserError: rows that cannot be used, more than a tenth of the pictures not listed or of the files not there, or
            a class without a picture.
    """
    read = {each: read_table(files.read(each, most=MOST_BYTES), NEEDED, given=f"{given}, {each}") for each in tables}
    used = {name: table for name, table in read.items() if table is not None}
    if not used:
        return None
    labelled: dict[str, Row] = {}
    absent: list[Row] = []
    for name, table in used.items():
        absent += _match(table.rows, Finder(pictures, str(PurePosixPath(name).parent)), labelled, name, given)
    called = " and ".join(used)
    unlisted = [name for name in pictures if name not in labelled]
    _refuse_gaps(f"{given}, whose {called}", pictures, labelled, absent, unlisted)
    parts, told = _parts(labelled, given)
    made = [
        Picture(name, row.cells["class"], parts[name], group=row.cells.get("group", ""))
        for name, row in labelled.items()
    ]
    made.sort(key=lambda picture: natural(picture.file))
    labels = sorted({picture.label for picture in made}, key=sort_key)
    names, notes = shown_apart(labels)
    odd = [note for table in used.values() for note in table.notes]
    notes = [f"took the classes of {count(len(made), 'picture')} from {called}", *odd, *told, *notes]
    if absent:
        notes.append(
            f"{count(len(absent), 'file')} of {called} cannot be read: {some(row.cells['file'] for row in absent)}"
        )
    rest = [name for name in others if name not in used]
    notes += unread_notes(len(made), rest, unlisted, files.lost, given=given)
    return Arranged(tuple(made), dict(zip(labels, names, strict=True)), tuple(notes))


def _match(rows: Sequence[Row], find: Finder, labelled: dict[str, Row], table: str, given: str) -> list[Row]:
    """Puts the row of each file into ``labelled``, and gives back the rows whose file is no picture there."""
    absent, place = list[Row](), f"{given}, whose {table}"
    for each in rows:
        row = Row(each.line, each.cells, table)
        file = find(row.cells["file"], f"{place} in line {row.line}")
        if not row.cells["class"]:
            raise UserError(f"given {place} in line {row.line} has no class; allowed is one a file; fill it in")
        if file is None:
            absent.append(row)
            continue
        first = labelled.setdefault(file, row)
        where = f"lines {first.line} and {row.line}"
        if first.table != table:
            where = f"line {row.line}, with line {first.line} of {first.table},"
        for what, plural in ONE.items():
            if first.cells.get(what) != row.cells.get(what):
                raise UserError(
                    f"given {place} in {where} has two {plural} for {file!r}; allowed is one; correct the table"
                )
    return absent


def _parts(labelled: Mapping[str, Row], given: str) -> tuple[dict[str, int], list[str]]:
    """The part of each file, by default training: as the tables tell, else as folders called train and so on do."""
    if any("part" in row.cells for row in labelled.values()):
        return {name: _part(row, f"{given}, whose {row.table}") for name, row in labelled.items()}, []
    ways = {name: [each for each in PurePosixPath(name).parts[:-1] if part_of(each) is not None] for name in labelled}
    found = {name: part_of(way[0]) if way else None for name, way in ways.items()}
    if TRAIN not in found.values() or len(set(found.values()) - {None}) < 2:
        return dict.fromkeys(labelled, TRAIN), []
    told = f"took the folders {some({way[0] for way in ways.values() if way})} as parts, as the table tells none"
    return {name: TRAIN if part is None else part for name, part in found.items()}, [told]


def read_table(content: bytes, needed: Sequence[str], *, given: str) -> Table | None:
    """A table with commas, semicolons or tabs; None where it lacks a needed column.

    Raises:
        UserError: it is no such table.
    """
    try:
        text = content.decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        heads = [head.strip().lower() for head in next(reader, [])]
        places = {key: heads.index(name) for key, names in COLUMNS.items() for name in reversed(names) if name in heads}
        if any(key not in places for key in needed):
            return None
        if twice := [head for head in heads if head and heads.count(head) > 1 and heads.index(head) in places.values()]:
            raise csv.Error(f"the column {twice[0]!r} is there twice")
        rows = []
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(heads):
                raise csv.Error(f"line {reader.line_num} has {len(cells)} cells, line 1 has {len(heads)}")
            rows.append(Row(reader.line_num, {key: cells[place].strip() for key, place in places.items()}))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise UserError(
            f"given {given}, which cannot be read as a table ({problem}); allowed is CSV in UTF-8; save it as that"
        ) from problem
    notes = [
        f"took the column {heads[places[key]]!r} for the {key}, not {some(spare)}"
        for key in places.keys() & {"class", "part", "group"}
        if (spare := [name for name in COLUMNS[key] if name in heads and heads.index(name) != places[key]])
    ]
    return Table(rows, sorted(notes))


class Finder:
    """Finds the file that a table names: by its path from the table's folder or from that of the data.

    Folders may be left out at the beginning, and the ending, where what is left names one file. Names that Unicode
    writes in two ways are the same where no file is called just so.
    """

    def __init__(self, names: Sequence[str], folder: str) -> None:
        self._names, self._folder = set(names), folder
        self._by_name, self._by_stem = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
        for name in names:
            path = PurePosixPath(shown(name))
            self._by_name[path.name].append(name)
            self._by_stem[path.stem].append(name)

    def __call__(self, text: str, place: str) -> str | None:
        """The name of the file, None where there is none.

        Raises:
            UserError: the text leads out of the data, or may mean several files.
        """
        text = text.replace("\\", "/")
        meant = posixpath.normpath(posixpath.join(self._folder, text))
        if f"{meant}/".startswith(("/", "../")) or re.match("[A-Za-z]:/", text):
            raise UserError(
                f"given {place} names {text!r}, which leads out of the folder of the pictures; "
                "allowed are paths within it, from the table's folder on; correct it"
            )
        inside = posixpath.normpath(text)
        for way in (meant, inside):
            if way in self._names:
                return way
        several = self._ending(shown(inside))
        if len(several) > 1:
            raise UserError(
                f"given {place} names {text!r}, which may be {some(several)}; allowed is one file; give its path"
            )
        return several[0] if several else None

    def _ending(self, text: str) -> list[str]:
        """The files whose path ends so, with the ending of the file's name or else without."""
        last = posixpath.basename(text)
        named = [name for name in self._by_name.get(last, ()) if f"/{shown(name)}".endswith(f"/{text}")]
        bare = ((name, PurePosixPath(shown(name)).with_suffix("")) for name in self._by_stem.get(last, ()))
        return named or [name for name, path in bare if f"/{path}".endswith(f"/{text}")]


def _part(row: Row, place: str) -> int:
    """The part that a row tells, by default training."""
    text = row.cells.get("part", "")
    part = part_of(text) if text else TRAIN
    if part is None:
        raise UserError(
            f"given {place} in line {row.line} has the part {text!r}; allowed are train, val and test; correct it"
        )
    return part


def _refuse_gaps(
    place: str, pictures: Sequence[str], labelled: Mapping[str, Row], absent: Sequence[Row], unlisted: Sequence[str]
) -> None:
    """Refuses a table that misses too many pictures, names too many that are not there, or loses a class."""
    if len(absent) * MOST_UNREAD > len(absent) + len(labelled):
        raise UserError(
            f"given {place} names {count(len(absent), 'file')} that are no pictures there "
            f"({some(row.cells['file'] for row in absent)}) and {len(labelled):,} that are; "
            "allowed is a tenth; paths begin at the table's folder: correct it"
        )
    if len(unlisted) * MOST_UNREAD > len(pictures):
        raise UserError(
            f"given {place} lists {len(labelled):,} of {len(pictures):,} pictures, not {some(unlisted)}; "
            "allowed is to leave out a tenth; complete it, or take it away where the folders tell the classes"
        )
    there = Counter(row.cells["class"] for row in labelled.values())
    lost = {row.cells["class"] for row in absent if row.cells["class"] not in there}
    if lost:
        raise UserError(
            f"given {place} has the class {some(lost)}, of which no picture can be read; allowed are classes with "
            "pictures; add them, or take the class out of the table"
        )
