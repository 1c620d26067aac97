"""Compact CSV tables of published measurements: NAS-Bench-201, its zero-cost scores, MetaD2A's tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from databases.errors import UserError
from databases.records.csv_file import cell_number, read_rows
from databases.records.importers.nasbench201 import (
    RECIPE,
    SHORT_RECIPE,
    SOURCE,
    SPACE,
    TASKS,
    cell,
    import_nasbench201_file,
)
from databases.records.record import PUBLISHED_MEAN, Record, RecordKey, TaskEntry, utc_now
from databases.records.store import Store

_TORCH_STARTS = (b"PK", b"\x80")  # a zip archive or a pickle: how torch.save's files begin
_COLUMN_OF_TASK = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet16_120"}
_SCORE_COLUMN = "darcyflow_test_score_200ep_seed777"
_SCORES = ("synflow", "logsynflow", "naswot", "nregions")
_METAD2A_FILES = ("metad2a_meta_train.csv.gz", "metad2a_tasks.csv.gz", "imagenet32_classes.csv")
_METAD2A_CLASSES = tuple(f"class_{place}" for place in range(20))


class _Run(NamedTuple):
    """Where a row of the accuracy table holds the numbers of one record; an empty text: it does not."""

    task: str
    recipe: str
    seed: int
    valid: str = ""
    test: str = ""
    seconds: str = ""


def _runs() -> Iterator[_Run]:
    for task, name in _COLUMN_OF_TASK.items():
        for seed in (777, 888, 999):
            test = "" if name == "cifar10" else f"{name}_test_acc_200ep_seed{seed}"
            yield _Run(TASKS[task].key, RECIPE, seed, f"{name}_valid_acc_200ep_seed{seed}", test)
        accuracies = (f"{name}_valid_acc_200ep_mean", f"{name}_test_acc_200ep_mean")
        yield _Run(TASKS[task].key, RECIPE, PUBLISHED_MEAN, *accuracies, f"{name}_train_time_200ep_s")
        accuracies = (f"{name}_valid_acc_12ep", f"{name}_test_acc_12ep")
        yield _Run(TASKS[task].key, SHORT_RECIPE, PUBLISHED_MEAN, *accuracies)
    yield _Run(TASKS["ninapro"].key, RECIPE, 777, test="ninapro_test_acc_200ep_seed777")


_RUNS = tuple(_runs())
_ACCURACY_COLUMNS = ("arch_str", *(column for run in _RUNS for column in run[3:] if column), _SCORE_COLUMN)


def import_nasbench201_csv(store: Store, path: str | Path) -> int:
    """Add ``accuracy.csv.gz``: NAS-Bench-201 (Dong and Yang, 2020) and NAS-Bench-360 (Tu et al., 2022).

    Of CIFAR-10, CIFAR-100 and ImageNet16-120: one record a seed and one of the published means (200 epochs),
    one of the separate training of 12 epochs (its seed is not known: kept as a mean of one). Of NinaPro: one
    record, seed 777. Of Darcy Flow: one record whose ``extra["score"]`` is 1 - relative L2 error, not an
    accuracy. An empty cell is a missing value. Returns how many records were new; raises UserError naming
    the line that cannot be read, when the rows before it may have been added.
    """
    records = _accuracy_records(path)
    first = list(islice(records, 1))  # a file that is no such table leaves the store as it was
    store.add_tasks(TASKS.values())
    return store.add(chain(first, records))


def import_metad2a(store: Store, folder: str | Path) -> int:
    """Add MetaD2A's meta-training database (Lee, Hyung and Hwang, 2021): 20-class tasks of ImageNet32x32.

    ``folder`` holds ``metad2a_meta_train.csv.gz``, ``metad2a_tasks.csv.gz`` and ``imagenet32_classes.csv``.
    Tasks without a measurement are left out; ``spec`` has ``imagenet_classes`` (1..1000) and ``class_names``.
    The seed counts the rows of the same task and architecture. ``extra["published_split_valid"]`` is 1 in the
    published validation part, whose tasks also occur in the training part. Returns how many records were
    new; raises UserError, with nothing added, when a file is missing or has a line that cannot be read.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is no folder; give the folder that holds {', '.join(_METAD2A_FILES)}")
    records = list(_metad2a_records(Path(folder) / "metad2a_meta_train.csv.gz"))
    store.add_tasks(list(_metad2a_tasks(Path(folder), {record.task for record in records})))
    return store.add(records)


def read_zero_cost(folder: str | Path) -> dict[str, dict[str, dict[str, float]]]:
    """Task key -> score -> architecture -> value, of ``zero_cost.csv.gz`` (FreeREA, Cavagnero et al., 2023).

    Scores: synflow, logsynflow, naswot (-inf where the kernel is singular), nregions (not for
    ImageNet16-120). The architectures are named by ``accuracy.csv.gz`` in the same folder.
    """
    rows = read_rows(Path(folder) / "accuracy.csv.gz", ("arch_index", "arch_str"))
    architectures = {row["arch_index"]: row["arch_str"] for _, row in rows}
    scores: dict[str, dict[str, dict[str, float]]] = {}
    path = Path(folder) / "zero_cost.csv.gz"
    for line, row in read_rows(path, ("arch_index", "cifar10_naswot")):
        if row["arch_index"] not in architectures:
            raise UserError(f"{path}, line {line}: accuracy.csv.gz has no arch_index {row['arch_index']!r}")
        for task, column in _COLUMN_OF_TASK.items():
            for score in _SCORES:
                value = cell_number(row, f"{column}_{score}") if f"{column}_{score}" in row else None
                if value is not None:
                    of_task = scores.setdefault(TASKS[task].key, {})
                    of_task.setdefault(score, {})[architectures[row["arch_index"]]] = value
    return scores


def _accuracy_records(path: str | Path) -> Iterator[Record]:
    created = utc_now()
    for line, row in read_rows(path, _ACCURACY_COLUMNS):
        try:
            yield from _accuracy_row(row, created)
        except UserError as error:
            raise UserError(f"{path}, line {line}: {error}") from error


def _accuracy_row(row: Mapping[str, str], created: str) -> Iterator[Record]:
    architecture = cell(row["arch_str"])
    for task, recipe, seed, *columns in _RUNS:
        valid, test, seconds = (cell_number(row, column) if column else None for column in columns)
        if valid is not None or test is not None:
            key = RecordKey(task, SPACE, architecture, recipe, seed)
            yield Record(*key, SOURCE, valid, test, seconds, {}, created)
    score = cell_number(row, _SCORE_COLUMN)
    if score is not None:
        key = RecordKey(TASKS["darcyflow"].key, SPACE, architecture, RECIPE, 777)
        yield Record(*key, SOURCE, extra={"score": score}, created=created)


def _metad2a_records(path: Path) -> Iterator[Record]:
    created, rows_of = utc_now(), Counter[tuple[str, str]]()
    for line, row in read_rows(path, ("task_id", "arch_str", "accuracy", "split")):
        try:
            if row["split"] not in ("train", "valid"):
                raise UserError(f"split must be train or valid, got {row['split'][:40]!r}")
            task, architecture = f"metad2a/{row['task_id']}", cell(row["arch_str"])
            seed = rows_of[task, architecture]
            yield Record(
                *(task, SPACE, architecture, "metad2a", seed, "metad2a"),
                test_accuracy=cell_number(row, "accuracy"),
                extra={"published_split_valid": float(row["split"] == "valid")},
                created=created,
            )
        except UserError as error:
            raise UserError(f"{path}, line {line}: {error}") from error
        rows_of[task, architecture] += 1


def _metad2a_tasks(folder: Path, wanted: Collection[str]) -> Iterator[TaskEntry]:
    names = {
        row["class_id"]: row["name"] for _, row in read_rows(folder / "imagenet32_classes.csv", ("class_id", "name"))
    }
    path = folder / "metad2a_tasks.csv.gz"
    for line, row in read_rows(path, ("task_id", *_METAD2A_CLASSES)):
        classes = [row[column] for column in _METAD2A_CLASSES]
        if not names.keys() >= set(classes):
            raise UserError(f"{path}, line {line}: a class is missing in imagenet32_classes.csv")
        if f"metad2a/{row['task_id']}" in wanted:
            yield TaskEntry(
                f"metad2a/{row['task_id']}",
                f"MetaD2A task {row['task_id']}",
                "imagenet",
                {"classes": len(classes), "channels": 3, "resolution": 32},
                {
                    "imagenet_classes": [int(number) for number in classes],
                    "class_names": [names[number] for number in classes],
                },
            )


def import_nasbench201(store: Store, path: str | Path) -> int:
    """Add NAS-Bench-201, from its official ``.pth`` file or the compact ``.csv``/``.csv.gz`` table.

    Which of the two it is, the first bytes of the file tell. Returns how many records were new; raises
    UserError when the file cannot be read or is neither.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give NAS-Bench-201-v1_1-096897.pth or accuracy.csv.gz"
        ) from error
    read = import_nasbench201_file if start.startswith(_TORCH_STARTS) else import_nasbench201_csv
    return read(store, path)
