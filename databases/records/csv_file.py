"""Compressed CSV files: reading any of them, and the one file that holds tasks and records of a store."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from databases.errors import UserError
from databases.files import write_files
from databases.paths import user_path
from databases.records.record import Record, TaskEntry

GZIP = b"\x1f\x8b"  # the first bytes of every gzip file
LONGEST_CELL = 1 << 24  # characters; a task's spec may be longer than csv's default of 131,072

_RECORD_FIELDS = ("task", "recipe", "space", "architecture", "seed", "source")
_NUMBER_FIELDS = ("valid_accuracy", "test_accuracy", "train_seconds")
_FIELDS = ("kind", *_RECORD_FIELDS, *_NUMBER_FIELDS, "extra", "created", "name", "statistics", "spec")


def to_json(value: Mapping[str, object]) -> str:
    """A mapping as its one compact JSON text; raises UserError when JSON cannot hold it."""
    try:
        return json.dumps(dict(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"only finite numbers, texts, lists and mappings can be stored: {error}") from error


def write_csv(path: str | Path, tasks: Iterable[TaskEntry], records: Iterable[Record]) -> None:
    """Write tasks, then records, sorted by key, as gzip-compressed CSV: the same content, the same bytes.

    An existing file is replaced when the new one is complete. Raises UserError when it cannot be written.
    """
    target = user_path(path)

    def write(file: IO[bytes]) -> None:
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
        ):
            writer = csv.DictWriter(text, _FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(_task_row(task) for task in sorted(tasks, key=lambda task: task.key))
            writer.writerows(_record_row(record) for record in sorted(records, key=lambda record: record.key))

    try:
        write_files({target: write})
    except OSError as error:
        raise UserError(
            f"{target} cannot be written ({error.strerror}); give a path in a folder you may write to"
        ) from error


def read_csv(path: str | Path) -> Iterator[TaskEntry | Record]:
    """The tasks and records of a file of ``write_csv``, in its order; UserError names a damaged line."""
    for line, row in read_rows(path, _FIELDS):
        try:
            if row["kind"] == "task":
                yield _task(row)
            elif row["kind"] == "record":
                yield _record(row)
            else:
                raise UserError(f"kind is task or record, got {row['kind'][:40]!r}")
        except ValueError as error:
            raise UserError(f"{path}, line {line}: {error}; the file is damaged, export it again") from error


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """The lines of a CSV file, quoted where a cell needs it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def read_rows(
    path: str | Path, columns: Collection[str], *, optional: Collection[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) for each row of a CSV file, compressed or not, that must have the columns named.

    Further columns are passed on; with ``optional`` only those named there are allowed. Raises UserError when the
    file cannot be read, is no CSV, lacks a column, has one that is not allowed or a row of another length.
    """
    csv.field_size_limit(max(LONGEST_CELL, csv.field_size_limit()))
    try:
        with _open_text(path) as text:
            reader = csv.DictReader(text, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                there = f"only {', '.join(reader.fieldnames)[:60]!r}" if reader.fieldnames else "it is empty"
                expected = ", ".join([*columns][:6]) + (", ..." if len(columns) > 6 else "")
                raise UserError(
                    f"{path} has no column {missing[0]!r}, {there}; "
                    f"a table with commas between its cells is needed that has {expected}"
                )
            heads = list(reader.fieldnames or ())
            if optional is not None:
                _refuse_unknown(path, heads, [*columns, *optional])
            if twice := [head for head in heads if heads.count(head) > 1]:
                raise UserError(f"{path} has the column {twice[0][:40]!r} twice; each may stand once; take one out")
            for row in reader:
                if None in row or None in row.values():
                    raise _uneven(f"{path}, line {reader.line_num}", row, len(heads), own=optional is not None)
                yield reader.line_num, row
    except OSError as error:
        reason = error.strerror or "it is not whole"
        raise UserError(f"{path} cannot be read ({reason}); give the path of a .csv or .csv.gz file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a CSV table in UTF-8 ({error}); save it again in that encoding") from error
    except (EOFError, zlib.error, csv.Error) as error:
        raise UserError(f"{path} is damaged or is not a CSV table ({error}); get the file again") from error


def _uneven(place: str, row: Mapping[str | None, str | list[str] | None], heads: int, *, own: bool) -> UserError:
    """The error for a row of another length than the first; ``own`` for a table that the user wrote."""
    if not own:
        return UserError(f"{place} has not as many cells as line 1; the file is damaged, get it again")
    cells = heads + len(row[None] or ()) if None in row else sum(cell is not None for cell in row.values())
    return UserError(
        f"{place} has {cells} cells, line 1 has {heads}; each row needs one for each column, empty if you like: "
        "correct its commas, and put a cell that holds one into double quotes"
    )


def _refuse_unknown(path: str | Path, given: Collection[str], allowed: Collection[str]) -> None:
    unknown = [column for column in given if column not in allowed]
    if unknown:
        raise UserError(
            f"{path} has an unknown column {unknown[0][:40]!r}; allowed are {', '.join(allowed)}; "
            "correct its name or take it out"
        )


def cell_number(row: Mapping[str, str], column: str) -> float | None:
    """The number in a cell, None where the cell is empty; raises UserError for anything else."""
    text = row[column]
    try:
        return float(text) if text else None
    except ValueError:
        raise UserError(f"column {column} must hold a number or nothing, got {text[:40]!r}") from None


def cell_whole(row: Mapping[str, str], column: str) -> int:
    """The whole number in a cell, also as 0.0 as spreadsheets write it; raises UserError for anything else."""
    text = row[column].strip()
    try:
        return int(text)
    except ValueError:
        if re.fullmatch(r"[+-]?[0-9]+[.]0*", text):
            return int(text.partition(".")[0])
        raise UserError(f"column {column} must hold a whole number, got {text[:40]!r}") from None


def _open_text(path: str | Path) -> IO[str]:
    """UTF-8, with or without the mark that spreadsheets put before it."""
    with open(path, "rb") as raw:
        compressed = raw.read(2) == GZIP
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _task_row(task: TaskEntry) -> dict[str, object]:
    texts = {"kind": "task", "task": task.key, "name": task.name, "source": task.source}
    return {**texts, "statistics": to_json(task.statistics), "spec": to_json(task.spec)}


def _record_row(record: Record) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(record, name) for name in (*_RECORD_FIELDS, *_NUMBER_FIELDS, "created")}
    return {"kind": "record", **row, "extra": to_json(record.extra) if record.extra else ""}


def _task(row: Mapping[str, str]) -> TaskEntry:
    return TaskEntry(row["task"], row["name"], row["source"], _mapping(row["statistics"]), _mapping(row["spec"]))


def _record(row: Mapping[str, str]) -> Record:
    return Record(
        row["task"],
        row["space"],
        row["architecture"],
        row["recipe"],
        cell_whole(row, "seed"),
        row["source"],
        valid_accuracy=cell_number(row, "valid_accuracy"),
        test_accuracy=cell_number(row, "test_accuracy"),
        train_seconds=cell_number(row, "train_seconds"),
        extra=_mapping(row["extra"]) if row["extra"] else {},
        created=row["created"],
    )


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:  # brackets within brackets, without end
        value = None
    if not isinstance(value, dict):
        raise UserError(f"a JSON mapping is needed, got {text[:40]!r}")
    return value
