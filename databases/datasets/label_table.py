"""A labels.csv (or several) beside pictures: which picture is of which class, and if told of which part and group.

    file,class
    a.png,cat
    b.png,dog

Files are named by their paths from the table's folder on, or by as much of the end of these as is unique; ``part``
(train, val, test) and ``group`` may stand beside, or in another table of the same files; an empty cell tells nothing.
Where no table of a file tells its part folders called train, val and test do.
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
from typing import TypeAlias

from databases.datasets.archives import Files
from databases.datasets.class_folders import Arranged, Picture
from databases.datasets.file_kinds import MOST_UNREAD, TABLE, hidden, unread_notes
from databases.datasets.names import natural, part_of, shown, shown_apart, some, sort_key
from databases.datasets.task import TRAIN
from databases.errors import UserError, count

COLUMNS = {  # what a column may be called
    "file": ("file", "filename", "file_name", "image", "image_name", "image_path", "path", "picture", "id", "image_id"),
    "class": ("class", "label", "category", "class_name", "target"),
    "part": ("part", "split", "subset", "set", "parts", "splits"),
    "group": ("group", "track", "patient", "groups", "tracks", "patients", "group_id", "track_id", "patient_id"),
}
NEEDED, OPTIONAL = ("file", "class"), ("part", "group")
ONE = {"class": "classes", "part": "parts", "group": "groups"}  # of which a file has one
MOST_BYTES = 2**29


@dataclass(frozen=True)
class Row:
    """A row of a table, by the names of `COLUMNS`; ``line`` and ``table`` for errors."""

    line: int
    cells: Mapping[str, str]
    table: str = ""


Labelled: TypeAlias = Mapping[str, Sequence[Row]]  # of each file the rows that tell something new


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
    used, ignored = _read_all(files, tables, given)
    if not used:
        return None
    labelled: dict[str, list[Row]] = {}
    absent: list[Row] = []
    for name, table in used.items():
        absent += _match(table.rows, Finder(pictures, str(PurePosixPath(name).parent)), labelled, given)
    called = some(used)
    unlisted = [name for name in pictures if name not in labelled]
    _refuse_gaps(f"{given}, whose {called}", pictures, labelled, absent, unlisted)
    parts, told = _parts(labelled, given)
    made = [
        Picture(name, rows[0].cells["class"], parts[name], group=_told(rows, "group"))
        for name, rows in labelled.items()
    ]
    made.sort(key=lambda picture: natural(picture.file))
    labels = sorted({picture.label for picture in made}, key=sort_key)
    names, notes = shown_apart(labels)
    odd = dict.fromkeys(note for table in used.values() for note in table.notes)
    notes = [f"took the classes of {count(len(made), 'picture')} from {called}", *odd, *told, *notes]
    if ignored:
        notes.append(f"ignored {count(len(ignored), 'table')} that cannot be read as CSV in UTF-8: {some(ignored)}")
    away = [row.cells["file"] for row in absent]
    for which, why in ((away, f"of {called} not there or no pictures"), (unlisted, "that no table names, ignored")):
        notes += [f"{count(len(which), 'file')} {why}: {some(which)}"] if which else []
    rest = [name for name in others if name not in used and name not in ignored]
    notes += unread_notes(len(made), rest, [], files.lost, given=given)
    return Arranged(tuple(made), dict(zip(labels, names, strict=True)), tuple(notes))


def _read_all(files: Files, tables: Sequence[str], given: str) -> tuple[dict[str, Table], set[str]]:
    """The tables that have the columns, and those that are no tables but lie in folders below one that is."""
    used, ignored = dict[str, Table](), set[str]()
    for name in tables:
        content = files.read(name, most=MOST_BYTES)
        try:
            table = read_table(content, NEEDED, OPTIONAL, given=f"{given}, {name}", name=name)
        except UserError:
            above = {str(each) for each in PurePosixPath(name).parent.parents}
            if not any(str(PurePosixPath(each).parent) in above for each in used):
                raise
            ignored.add(name)
        else:
            if table is not None:
                used[name] = table
    return used, ignored


def _match(rows: Sequence[Row], find: Finder, labelled: dict[str, list[Row]], given: str) -> list[Row]:
    """Puts rows that tell something new to those of their file in ``labelled``; gives back those without a picture."""
    absent = list[Row]()
    for row in rows:
        place = f"{given}, whose {row.table} in line {row.line}"
        file = find(row.cells["file"], place)
        if not row.cells["class"]:
            raise UserError(f"given {place} has no class; allowed is one a file; fill it in")
        if file is None:
            absent.append(row)
            continue
        known = labelled.setdefault(file, [])
        for first in known:
            _refuse_two(first, row, file, given)
        if row.cells.keys() - {key for first in known for key in first.cells}:
            known.append(row)
    return absent


def _refuse_two(first: Row, row: Row, file: str, given: str) -> None:
    """Refuses two rows of a file that differ in a column that both have."""
    where = f"lines {first.line} and {row.line}"
    if first.table != row.table:
        where = f"line {row.line}, with line {first.line} of {first.table},"
    for what, plural in ONE.items():
        if what in first.cells and what in row.cells and first.cells[what] != row.cells[what]:
            raise UserError(
                f"given {given}, whose {row.table} in {where} has two {plural} for {file!r}; allowed is one; "
                "correct the table"
            )


def _told(rows: Sequence[Row], what: str) -> str:
    """What the rows of a file tell of it, an empty text where none does."""
    return next((row.cells[what] for row in rows if what in row.cells), "")


def _parts(labelled: Labelled, given: str) -> tuple[dict[str, int], list[str]]:
    """The part of each file, by default training: as its tables tell, else as folders called train and so on do."""
    telling = {name: row for name, rows in labelled.items() for row in rows if "part" in row.cells}
    known = {name: _part(row, f"{given}, whose {row.table}") for name, row in telling.items()}
    ways = {name: [each for each in PurePosixPath(name).parts[:-1] if part_of(each) is not None] for name in labelled}
    found = {name: part_of(way[0]) if way else None for name, way in ways.items()}
    there = set(found.values())
    meant = len(there) > 1 if known else TRAIN in there and len(there - {None}) > 1
    taken = {name: part for name, part in found.items() if meant and part is not None and name not in known}
    parts, notes = dict.fromkeys(labelled, TRAIN) | taken | known, list[str]()
    if taken:
        told = f"took the folders {some({ways[name][0] for name in taken})} as parts of {count(len(taken), 'picture')}"
        notes.append(f"{told}, as their table tells none")
    if known and (rest := len(parts) - len(taken.keys() | known.keys())):
        notes.append(f"took {count(rest, 'picture')} for training, of which no table tells a part")
    return parts, notes


def read_table(
    content: bytes, needed: Sequence[str], optional: Sequence[str] = (), *, given: str, name: str = ""
) -> Table | None:
    """A table of that name with commas, semicolons or tabs; None where it lacks a needed column.

    Other columns than the needed and the optional ones are not looked at, and a note says so.

    Raises:
        UserError: it is no such table.
    """
    try:
        text = content.decode("utf-8-sig")
        delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        heads = [head.strip().lower() for head in next(reader, [])]
        keys = (*needed, *optional)
        places = {key: heads.index(head) for key in keys for head in reversed(COLUMNS[key]) if head in heads}
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
            told = {key: text for key, place in places.items() if (text := cells[place].strip()) or key in needed}
            rows.append(Row(reader.line_num, told, name))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise UserError(
            f"given {given}, which cannot be read as a table ({problem}); allowed is CSV in UTF-8; save it as that"
        ) from problem
    notes = [
        f"took the column {heads[places[key]]!r} for the {key}, not {some(spare)}"
        for key in places.keys() & {"class", "part", "group"}
        if (spare := [head for head in COLUMNS[key] if head in heads and heads.index(head) != places[key]])
    ]
    others = [head for head in heads if head and not any(head in COLUMNS[key] for key in keys)]
    notes += [f"did not look at the columns {some(others)} of the table"] if others else []
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
    text = row.cells["part"]
    if (part := part_of(text)) is None:
        raise UserError(
            f"given {place} in line {row.line} has the part {text!r}; allowed are train, val and test; correct it"
        )
    return part


def _refuse_gaps(
    place: str, pictures: Sequence[str], labelled: Labelled, absent: Sequence[Row], unlisted: Sequence[str]
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
    there = Counter(rows[0].cells["class"] for rows in labelled.values())
    lost = {row.cells["class"] for row in absent if row.cells["class"] not in there}
    if lost:
        raise UserError(
            f"given {place} has the class {some(lost)}, of which no picture can be read; allowed are classes with "
            "pictures; add them, or take the class out of the table"
        )
