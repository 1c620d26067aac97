"""A labels.csv (or several) beside pictures: which picture is of which class, and if told of which part and group.

    file,class
    a.png,cat
    b.png,dog

Files are named by their paths from the table's folder on, or by as much of the end of these as is unique; ``part``
(train, val, test) and ``group`` may stand beside, or in another table of the same files; an empty cell tells nothing.
Where no table of a file tells its part folders called train, val and test do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeAlias

from databases.datasets.archives import Files
from databases.datasets.class_folders import Arranged, Picture
from databases.datasets.csv_table import Finder, Row, Table, read_table
from databases.datasets.file_kinds import MOST_UNREAD, TABLE, hidden, unread_notes
from databases.datasets.names import natural, part_of, shown_apart, some, sort_key
from databases.datasets.nested_sets import copies_with_tables
from databases.datasets.other_tables import content_of
from databases.datasets.table_or_folders import folder_notes
from databases.datasets.task import TRAIN
from databases.errors import UserError, count

NEEDED, OPTIONAL = ("file", "class"), ("part", "group")
ONE = {"class": "classes", "part": "parts", "group": "groups"}  # of which a file has one

Labelled: TypeAlias = Mapping[str, Sequence[Row]]  # of each file the rows that tell something new


def find_tables(names: Sequence[str]) -> list[str]:
    """All files called labels.csv, the highest first."""
    tables = [name for name in names if PurePosixPath(name).name.lower() == TABLE and not hidden(name)]
    return sorted(tables, key=lambda name: (name.count("/"), name))


def arrange_by_table(
    files: Files, tables: Sequence[str], pictures: Sequence[str], others: Sequence[str], *, given: str
) -> Arranged | None:
    """Classes and parts of pictures by tables; None where none has columns for file and class.

    Where class folders would tell others, that is noted.

    Raises:
        UserError: rows that cannot be used, more than a tenth of the pictures not listed or of the files not there, or
            a class without a picture.
    """
    if not tables:
        return None
    contents = {name: content_of(files, name, given) for name in tables}
    copied, left = copies_with_tables(files, contents, [*pictures, *(each for each in others if not hidden(each))])
    pictures, others = ([name for name in names if name not in copied] for names in (pictures, others))
    used, ignored = _read_all({name: text for name, text in contents.items() if name not in copied}, given)
    if not used:
        return None
    labelled, absent = dict[str, list[Row]](), list[Row]()
    labels_of, alike = _labels(used.values())
    for name, table in used.items():
        find = Finder(pictures, str(PurePosixPath(name).parent), root=files.root)
        rows = [replace(row, cells={**row.cells, "class": labels_of[row.cells["class"]]}) for row in table.rows]
        absent += _match(rows, find, labelled, given)
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
    notes = [f"took the classes of {count(len(made), 'picture')} from {called}", *left, *odd, *alike, *told, *notes]
    if ignored:
        notes.append(f"ignored {count(len(ignored), 'table')} that cannot be read as CSV in UTF-8: {some(ignored)}")
    notes += _gap_notes(absent, unlisted, called)
    class_names = dict(zip(labels, names, strict=True))
    classes = {picture.file: class_names[picture.label] for picture in made}
    notes += folder_notes(files, classes, pictures, others, given=given)
    rest = [name for name in others if name not in used and name not in ignored]
    notes += unread_notes(len(made), rest, [], files.lost, given=given)
    return Arranged(tuple(made), class_names, tuple(notes))


def _gap_notes(absent: Sequence[Row], unlisted: Sequence[str], called: str) -> list[str]:
    """Notes on rows without a picture, and on pictures without a row."""
    away = [row.cells["file"] for row in absent]
    gaps = (away, f"of {called} not there or no pictures"), (unlisted, "that no table names, ignored")
    return [f"{count(len(which), 'file')} {why}: {some(which)}" for which, why in gaps if which]


def _read_all(contents: Mapping[str, bytes], given: str) -> tuple[dict[str, Table], set[str]]:
    """The tables that have the columns, and those that are no tables but lie in folders below one that is."""
    used, ignored = dict[str, Table](), set[str]()
    for name, content in contents.items():
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


def _labels(tables: Iterable[Table]) -> tuple[dict[str, str], list[str]]:
    """What each class of a table is called: without spaces around; and a note on those that differ by these alone."""
    texts = {row.cells["class"] for table in tables for row in table.rows}
    alike = Counter(text.strip() for text in texts)
    several = [name for name, times in alike.items() if times > 1]
    notes = [f"took classes that differ in spaces around them alone as one: {some(several)}"] if several else []
    return {text: text.strip() for text in texts}, notes


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
        if what in first.cells and what in row.cells and first.cells[what].strip() != row.cells[what].strip():
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
        known = {PurePosixPath(name).stem.casefold(): name for name in pictures}
        stems = (PurePosixPath(row.cells["file"].strip().replace("\\", "/")).stem.casefold() for row in absent)
        near = next((known[stem] for stem in stems if stem in known), "")
        raise UserError(
            f"given {place} names {count(len(absent), 'file')} that are no pictures there "
            f"({some(row.cells['file'] for row in absent)}){f', where there is {near!r},' if near else ''} and "
            f"{len(labelled):,} that are; allowed is a tenth; paths begin at the table's folder, and capitals and "
            "endings count: correct it"
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
