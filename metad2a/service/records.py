"""Records of the database, page by page and as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Select, func, select, tuple_

from databases.errors import UserError
from databases.records.connection import RECORDS, Database
from databases.records.csv_file import csv_text

COLUMNS = (
    "task", "space", "architecture", "recipe", "seed", "source",
    "valid_accuracy", "test_accuracy", "train_seconds", "created",
)  # fmt: skip
_KEY = tuple(RECORDS.primary_key.columns)
_BATCH = 1000


def page(
    database: Database, wanted: Mapping[str, str | None], *, limit: int, after: list[Any] | None
) -> list[dict[str, Any]]:
    """Records that agree with what is ``wanted``, in the order of their key, beyond the key ``after``."""
    check_filter(wanted)
    with database.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(_query(wanted, after).limit(limit))]


def check_filter(wanted: Mapping[str, str | None]) -> None:
    """Refuses filters that no record could agree with and some databases break at; raises UserError."""
    if any(value is not None and re.search(r"[\x00-\x1f]", value) for value in wanted.values()):
        raise UserError("a filter holds a control character: give the plain text")


def count_in(database: Database, space: str) -> int:
    """How many records of a space there are."""
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).where(RECORDS.c.space == space)).scalar_one())


def place_of(record: Mapping[str, Any]) -> list[Any]:
    """The key of a record, for a cursor."""
    return [record[column.name] for column in _KEY]


def as_csv(database: Database, wanted: Mapping[str, str | None]) -> Iterator[str]:
    """All records that agree, a batch at a time."""
    yield csv_text([COLUMNS])
    after: list[Any] | None = None
    while found := page(database, wanted, limit=_BATCH, after=after):
        yield csv_text([_safe(each[name]) for name in COLUMNS] for each in found)
        after = place_of(found[-1])


def _query(wanted: Mapping[str, str | None], after: list[Any] | None) -> Select[Any]:
    query = select(*(RECORDS.c[name] for name in COLUMNS)).order_by(*_KEY)
    for name, value in wanted.items():
        if value is not None:
            query = query.where(RECORDS.c[name] == value)
    return query if after is None else query.where(tuple_(*_KEY) > tuple_(*after))


def _safe(value: Any) -> Any:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
