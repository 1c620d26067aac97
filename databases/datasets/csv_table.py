"""Tables in CSV that tell of files, and which file a row means: read as they are written, and nothing is guessed."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath

from databases.datasets.names import shown, some
from databases.errors import UserError, count

COLUMNS = {  # what a column may be called; of several the first counts: paths are often another machine's
    "file": (
        *("file", "filename", "file_name", "image", "image_name", "image_path", "path", "picture", "id", "image_id"),
        *("filepath", "file_path", "filepaths", "fname", "image_file", "img", "img_name", "img_path"),
    ),
    "class": ("class", "label", "category", "class_name", "target", "labels", "category_name"),
    "part": ("part", "split", "subset", "set", "parts", "splits"),
    "group": ("group", "track", "patient", "groups", "tracks", "patients", "group_id", "track_id", "patient_id"),
}
SEPARATOR = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)  # a first line by which Excel tells it
AS_WRITTEN = {"file", "class"}  # columns in which spaces around may matter


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


def read_table(
    content: bytes, needed: Sequence[str], optional: Sequence[str] = (), *, given: str, name: str = ""
) -> Table | None:
    """A table of that name with commas, semicolons or tabs; None where it lacks a needed column.

    Other columns than the needed and the optional ones are not looked at, and a note says so. Files and classes are
    told as they are written, with the spaces around.

    Raises:
        UserError: it is no such table.
    """
    try:
        text = content.decode("utf-8-sig")
        lines = io.StringIO(text, newline="")
        first, above, delimiter = _head(lines)
        reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        heads = [head.strip().lower() for head in next(reader, [])]
        keys = (*needed, *optional)
        places = {key: heads.index(head) for key in keys for head in reversed(COLUMNS[key]) if head in heads}
        if any(key not in places for key in needed):
            return None
        if twice := [head for head in heads if head and heads.count(head) > 1 and heads.index(head) in places.values()]:
            raise csv.Error(f"the column {twice[0]!r} is there twice")
        rows = []
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if len(cells) != len(heads):
                has = f"has {count(len(cells), 'cell')}, line {above + 1} has {len(heads):,}"
                raise csv.Error(f"line {above + reader.line_num} {has}")
            told = {key: cells[place] for key, place in places.items() if cells[place].strip() or key in needed}
            told = {key: text if key in AS_WRITTEN else text.strip() for key, text in told.items()}
            rows.append(Row(above + reader.line_num, told, name))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise UserError(
            f"given {given}, which cannot be read as a table ({problem}); allowed is CSV in UTF-8, each line with as "
            "many cells as the first; save it as that"
        ) from problem
    notes = [
        f"took the column {heads[places[key]]!r} for the {key}, not {some(spare)}"
        for key in places.keys() & {"class", "part", "group"}
        if (spare := [head for head in COLUMNS[key] if head in heads and heads.index(head) != places[key]])
    ]
    others = [head for head in heads if head and not any(head in COLUMNS[key] for key in keys)]
    notes += [f"did not look at the columns {some(others)} of the table"] if others else []
    return Table(rows, sorted(notes))


def _head(lines: Iterator[str]) -> tuple[str, int, str]:
    """The first line with words in it, how many stand above, and what is between cells: as Excel may tell above."""
    above, told = 0, ""
    for line in lines:
        if match := SEPARATOR.fullmatch(line):
            told = match[1]
        elif line.strip(" ,;\t\r\n"):
            return line, above, told or max(",;\t", key=line.count)
        above += 1
    return "", above, ","


class Finder:
    """Finds the file that a table names: by its path from the table's folder or from that of the data.

    Folders may be left out at the beginning, and the ending, where what is left names one file. Names that Unicode
    writes in two ways are the same where no file is called just so, and spaces around are left out where none is.
    ``root`` is where the data lie on the disk, for paths from there on.
    """

    def __init__(self, names: Sequence[str], folder: str, *, root: str = "") -> None:
        self._names, self._folder = set(names), folder
        self._root = os.path.realpath(root).replace("\\", "/").rstrip("/") if root else None
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
        found = self._as_written(text, place)
        return self._as_written(text.strip(), place) if found is None and text != text.strip() else found

    def _as_written(self, text: str, place: str) -> str | None:
        text = text.replace("\\", "/")
        below = self._below_root(text)
        meant = posixpath.normpath(posixpath.join(self._folder, text)) if below is None else below
        if f"{meant}/".startswith(("/", "../")) or (below is None and re.match("[A-Za-z]:/", text)):
            raise UserError(
                f"given {place} names {text!r}, which leads out of the folder of the pictures; "
                "allowed are paths within it, from the table's folder on; correct it, or take the table away where the "
                "folders tell the classes"
            )
        inside = posixpath.normpath(text) if below is None else below
        for way in (meant, inside):
            if way in self._names:
                return way
        several = self._ending(shown(inside))
        if below is not None:
            several = [name for name in several if name.count("/") == below.count("/")]
        if len(several) > 1:
            raise UserError(
                f"given {place} names {text!r}, which may be {some(several)}; allowed is one file; give its path"
            )
        return several[0] if several else None

    def _below_root(self, text: str) -> str | None:
        """A path from the top of the disk on as one from the folder of the data on, None where it lies not in that."""
        if self._root is None or not os.path.isabs(text):
            return None
        path = posixpath.normpath(text)
        if not path.startswith(f"{self._root}/"):
            folder, name = posixpath.split(path)
            path = f"{os.path.realpath(folder)}/{name}".replace("\\", "/")
        return path.removeprefix(f"{self._root}/") if path.startswith(f"{self._root}/") else None

    def _ending(self, text: str) -> list[str]:
        """The files whose path ends so, with the ending of the file's name or else without."""
        last = posixpath.basename(text)
        named = [name for name in self._by_name.get(last, ()) if f"/{shown(name)}".endswith(f"/{text}")]
        bare = ((name, PurePosixPath(shown(name)).with_suffix("")) for name in self._by_stem.get(last, ()))
        return named or [name for name, path in bare if f"/{path}".endswith(f"/{text}")]
