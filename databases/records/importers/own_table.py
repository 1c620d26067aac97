"""A user's own benchmark: one plain CSV table, with images or ready features beside it, as tasks and records.

    task,architecture,recipe,value,seed,images
    leaves,|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|,mine,81.5,0,leaves/
    leaves,|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|,mine,79.2,0,

| column | holds |
|---|---|
| task | a name of your choice |
| architecture | the cell, as NAS-Bench-201 writes it, or whatever the space of the row writes |
| recipe | how it was trained: a name of your choice, or a recipe of metad2a by which it really was trained |
| value | accuracy on held-out images in percent, or another score from 0 to 100 that is better when higher |
| seed | whole number from 0; -1 for a mean over seeds |
| images | on one row of each task at least: its labelled images, in any form that `recommend` takes |
| groups | if you like: what belongs together among them, as `--groups` of `recommend` |
| features | in their place: ready features, an .npz file; see `databases.datasets.ready_features` |
| source | if you like: tasks whose images are related have one source, and are held out together |
| space | if you like: where the architecture is from, such as pipeline; empty: nasbench201 |
| channels, cells, resolution | if you like, on every row of a recipe: size of the network (by default 16, 5, 32) |

The recipe of a pipeline is ``probe``, or tells the steps as records of ours do (``400-steps-anew`` of own weights,
``400-steps`` of others); a fine-tuning teaches where the probe of its weights is among the task's rows.

Paths begin at the table's folder. What predictors see of the images is kept in the database, so neither they nor the
table are needed again; a later table may add rows to a task without naming its images.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from databases.architectures.space import ImageSpace, space
from databases.datasets.features import TaskFeatures, extract
from databases.datasets.groups import WAYS
from databases.datasets.loading import load_task
from databases.datasets.ready_features import from_text, read_features, to_text
from databases.errors import Say, UserError
from databases.paths import user_path
from databases.records.csv_file import cell_whole, read_rows
from databases.records.recipe import RECIPES
from databases.records.record import Record, RecordKey, TaskEntry, utc_now
from databases.records.store import Store
from databases.usual import DEFAULT_SPACE

COLUMNS = ("task", "architecture", "recipe", "value", "seed")
SIZE = ("channels", "cells", "resolution")
OPTIONAL = ("images", "features", "source", "groups", "space", *SIZE)
DATABASE = "the database"
ANEW = (  # records are only ever added
    "; to correct the database, write it with `metad2a database export FILE`, unpack FILE, correct the line in a text "
    "editor, and read it into a new one with `metad2a database import records FILE --database NEW`"
)
_NAME = re.compile(r"[\w][\w .+-]{0,79}")


@dataclass(frozen=True)
class _Row:
    """One row of a table, read and checked by itself."""

    line: int
    task: str
    value: float
    record: Record
    images: str
    features: str
    source: str
    groups: str


def import_table(store: Store, path: str | Path, *, say: Say = lambda line: None) -> int:
    """Add the tasks and records of a user's table; returns how many records were new.

    ``say`` is told what reading the images changed or left out.

    Raises:
        UserError: a row, a file beside the table, or a contradiction among rows or with the database; then
            nothing was added.
    """
    table = user_path(path)
    rows = _rows(table)
    _refuse_contradictions(rows, store, table)
    known = {entry.name: entry for entry in store.tasks(prefix="table/")}
    entries = [
        _entry(name, _of_task(rows, name), known.get(name), table, say) for name in dict.fromkeys(r.task for r in rows)
    ]
    for name in sorted({each.record.space for each in rows if not space(each.record.space).ranked}):
        say(f"rows of the space {name} are kept, and compared where they are of all of it; nothing learns from them")
    store.add_tasks(entries)
    facts = {each.name: _facts(each) for each in entries}
    return store.add(replace(each.record, extra={**each.record.extra, **facts[each.task]}) for each in rows)


def size_of(record: Record) -> tuple[int, int, int] | None:
    """Channels, cells and resolution of the network, where the table said them."""
    if not record.extra.keys() >= set(SIZE):
        return None
    channels, cells, resolution = (int(record.extra[name]) for name in SIZE)
    return channels, cells, resolution


def _facts(entry: TaskEntry) -> dict[str, float]:
    """What records tell of their task beside accuracies."""
    seen = from_text(str(entry.spec["features"]), name=entry.name)
    return {"classes": float(seen.labels.max() + 1), "train_images": float(seen.train_images)}


def _rows(table: Path) -> list[_Row]:
    found, created = [], utc_now()
    for line, row in read_rows(table, COLUMNS, optional=OPTIONAL):
        try:
            found.append(_row(line, row, f"table:{table.name.split('.')[0]}", created))
        except UserError as error:
            raise UserError(f"{table}, line {line}: {error}") from error
    if not found:
        raise UserError(f"{table} has no rows; a table is needed that has at least one below {', '.join(COLUMNS)}")
    highest = max(each.value for each in found)
    if highest <= 1:
        raise UserError(f"{table}: the highest value is {highest:g}; value is percent, 0 to 100: multiply by 100")
    return found


def _row(line: int, row: Mapping[str, str], measured_by: str, created: str) -> _Row:
    task, recipe = (_name(row, column) for column in ("task", "recipe"))
    if recipe in RECIPES and RECIPES[recipe].published:
        raise UserError(f"the recipe {recipe!r} is that of a published benchmark; give yours a name of its own")
    chosen = space((row.get("space") or "").strip() or DEFAULT_SPACE)
    architecture = chosen.parse(row["architecture"].strip())
    if reason := chosen.not_by(architecture, recipe):
        raise UserError(reason)
    value = _number(row["value"])
    if not 0 <= value <= 100:
        raise UserError(f"value must be a number from 0 to 100, got {row['value'][:40]!r}")
    size = _size(row, recipe)
    if size and not isinstance(chosen, ImageSpace):
        raise UserError(f"{', '.join(SIZE)} say nothing of the space {chosen.name!r}; leave them empty there")
    key = RecordKey(f"table/{task}", chosen.name, str(architecture), recipe, _seed(row["seed"]))
    record = Record(*key, measured_by, valid_accuracy=value, extra=size, created=created)
    beside = [(row.get(column) or "").strip() for column in ("images", "features", "source", "groups")]
    return _Row(line, task, value, record, *beside)


def _name(row: Mapping[str, str], column: str) -> str:
    text = row[column].strip()
    if not _NAME.fullmatch(text):
        raise UserError(f"{column} must be a name of letters, digits, spaces, and . + - _, got {text[:40]!r}")
    return text


def _seed(text: str) -> int:
    try:
        return cell_whole({"seed": text}, "seed")
    except UserError:
        raise UserError(f"seed must be a whole number from 0, or -1 for a mean, got {text[:40]!r}") from None


def _number(text: str) -> float:
    """The number in a cell, NaN where there is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _size(row: Mapping[str, str], recipe: str) -> dict[str, float]:
    """The size of the network, for a recipe that metad2a does not know."""
    sizes = {name: _number(row[name]) for name in SIZE if row.get(name)}
    if not sizes:
        return {}
    if len(sizes) < len(SIZE) or any(value < 1 or value % 1 for value in sizes.values()):
        raise UserError(f"{', '.join(SIZE)} must be three whole numbers from 1, or all be left out")
    known = RECIPES.get(recipe)
    if known and sizes != {"channels": known.channels, "cells": known.cells, "resolution": known.resolution}:
        raise UserError(f"the recipe {recipe!r} of metad2a has another size; give yours a name of its own")
    return sizes


def _refuse_contradictions(rows: Sequence[_Row], store: Store, table: Path) -> None:
    """Raises UserError for two values of one key and for two sizes of one recipe, here or in the database."""
    values: dict[RecordKey, tuple[float, str]] = {}
    sizes: dict[str, tuple[tuple[int, int, int] | None, str]] = {}
    for recipe in {each.record.recipe for each in rows} - set(RECIPES):
        for record in store.records(recipe=recipe)[:1]:
            sizes[recipe] = size_of(record), DATABASE
    for task in {each.record.task for each in rows}:
        values |= {known.key: (known.valid_accuracy or 0.0, DATABASE) for known in store.records(task=task)}
    for each in rows:
        record, here = each.record, f"line {each.line}"
        value, where = values.setdefault(record.key, (each.value, here))
        if value != each.value:
            raise UserError(
                f"{table}, {here}: value {each.value:g}, but {where} has {value:g} for the same task, "
                "architecture, recipe and seed; keep one, or give them different seeds" + ANEW * (where == DATABASE)
            )
        size, where = sizes.setdefault(record.recipe, (size_of(record), here))
        if record.recipe not in RECIPES and size != size_of(record):
            raise UserError(
                f"{table}, {here}: {', '.join(SIZE)} of the recipe {record.recipe!r} differ from those of {where}; "
                "give each size a recipe of its own"
            )


def _of_task(rows: Sequence[_Row], name: str) -> list[_Row]:
    return [each for each in rows if each.task == name]


def _entry(name: str, rows: Sequence[_Row], known: TaskEntry | None, table: Path, say: Say) -> TaskEntry:
    """The task of these rows; reads its images or features, unless the database has them."""
    images, features, source, groups = (_only(rows, column, table) for column in OPTIONAL[:4])
    place = f"{table}, line {rows[0].line}: the task {name!r}"
    if images and features:
        raise UserError(f"{place} has images and features; name one of them")
    if groups and not images:
        raise UserError(f"{place} has groups but no images; leave them out, or name images")
    if not images and not features:
        if known is None:
            raise UserError(f"{place} has neither images nor features; name one in a column of that name")
        return known
    try:
        seen, content, notes = _features(name, (images, groups or "auto"), features, source or name, table)
    except UserError as error:
        raise UserError(_in_columns(f"{place}: {error}")) from error
    for note in notes:
        say(_in_columns(f"{name}: {note}"))
    if known is not None and known.spec.get("content") != content:
        raise UserError(f"{place} is known with other images or features; give it another name")
    statistics = {"images": float(len(seen.labels)), "classes": float(seen.labels.max() + 1)}
    spec = {"content": content, "features": to_text(seen)}
    return TaskEntry(f"table/{name}", name, source or name, statistics, spec)


def _only(rows: Sequence[_Row], column: str, table: Path) -> str:
    """What the rows of a task say in a column that need not be repeated."""
    given = {getattr(each, column): each.line for each in reversed(rows)}
    given.pop("", None)
    if len(given) > 1:
        lines = " and ".join(str(line) for line in sorted(given.values())[:2])
        raise UserError(f"{table}: lines {lines} name different {column} for the task {rows[0].task!r}; name one")
    return next(iter(given), "")


def _in_columns(text: str) -> str:
    """What is told of images, with an option of the command line as the column that it is here."""
    return text.replace("--groups ", "the column groups with ")


def _features(
    name: str, images: tuple[str, str], features: str, source: str, table: Path
) -> tuple[TaskFeatures, str, tuple[str, ...]]:
    """What predictors see of the task, by its images and their groups; a digest of what it was made from; and notes."""
    if features:
        path = table.parent / user_path(features)
        found = read_features(path, name=name, source=source)
        return found, hashlib.sha256(path.read_bytes()).hexdigest()[:16], ()
    data, groups = images
    beside = data if data.startswith("sklearn:") else str(table.parent / user_path(data))
    task = load_task(beside, groups=groups if groups in WAYS else table.parent / user_path(groups))
    return replace(extract(task), name=name, source=source), task.fingerprint, task.notes
