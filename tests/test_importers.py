"""Published benchmarks become records, and files that are something else run nothing and add nothing."""

from __future__ import annotations

import csv
import gzip
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nas_201_api import ArchResults, NASBench201API, ResultsCount

from databases.errors import UserError
from databases.records.importers import import_metad2a, import_nasbench201, read_zero_cost
from databases.records.record import Record
from databases.records.store import Store

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
OTHER = CELL.replace("skip_connect", "none")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store("sqlite://") as opened:
        yield opened


def says(error: pytest.ExceptionInfo[UserError]) -> str:
    message = str(error.value)
    assert "\n" not in message and len(message) < 500
    return message


def measured(record: Record) -> tuple[float | None, float | None, float | None]:
    return record.valid_accuracy, record.test_accuracy, record.train_seconds


def by_key(store: Store) -> dict[tuple[str, str, int], tuple[float | None, float | None, float | None]]:
    return {(r.task.split("/")[1], r.recipe, r.seed): measured(r) for r in store.records(space="nasbench201")}


# the compact table


def accuracy_row(**cells: object) -> dict[str, object]:
    row: dict[str, object] = {"arch_index": 0, "arch_str": CELL}
    for task in ("cifar10", "cifar100", "imagenet16_120"):
        for run in ("mean", "seed777", "seed888", "seed999"):
            row |= {f"{task}_{part}_acc_200ep_{run}": "" for part in ("valid", "test")}
        row |= {f"{task}_valid_acc_12ep": "", f"{task}_test_acc_12ep": "", f"{task}_train_time_200ep_s": ""}
    row = {name: cell for name, cell in row.items() if not name.startswith("cifar10_test_acc_200ep_seed")}
    return row | {"ninapro_test_acc_200ep_seed777": "", "darcyflow_test_score_200ep_seed777": ""} | cells


def write_table(path: Path, *rows: dict[str, object]) -> Path:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["accuracy.csv", "accuracy.csv.gz"])
def test_a_row_of_the_compact_table_is_a_record_a_run_and_one_of_the_means(
    tmp_path: Path, store: Store, name: str
) -> None:
    row = accuracy_row(
        cifar10_valid_acc_200ep_seed888=81,
        cifar10_valid_acc_200ep_mean=82,
        cifar10_test_acc_200ep_mean=83,
        cifar10_train_time_200ep_s=1000.5,
        cifar100_test_acc_200ep_seed777=51,
        imagenet16_120_valid_acc_12ep=12,
        ninapro_test_acc_200ep_seed777=90,
        darcyflow_test_score_200ep_seed777=-0.5,
    )
    path = write_table(tmp_path / name, row)
    assert import_nasbench201(store, path) == 6
    assert by_key(store) == {
        ("cifar10", "nasbench201", 888): (81, None, None),
        ("cifar10", "nasbench201", -1): (82, 83, 1000.5),
        ("cifar100", "nasbench201", 777): (None, 51, None),
        ("imagenet16-120", "nasbench201-12ep", -1): (12, None, None),
        ("ninapro", "nasbench201", 777): (None, 90, None),
        ("darcyflow", "nasbench201", 777): (None, None, None),
    }
    assert store.records(task="nasbench201/darcyflow")[0].extra == {"score": -0.5}
    assert {record.architecture for record in store.records()} == {CELL}
    assert import_nasbench201(store, path) == 0


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"arch_str": "|conv~0|"}, "line 2: a cell of NAS-Bench-201 looks like"),
        ({"cifar10_valid_acc_12ep": "high"}, "line 2: column cifar10_valid_acc_12ep must hold a number"),
        ({"cifar10_valid_acc_12ep": 101}, "line 2: valid_accuracy must be a finite number in 0..100"),
    ],
)
def test_a_table_with_a_wrong_cell_names_its_line_and_adds_nothing(
    tmp_path: Path, store: Store, cells: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError) as error:
        import_nasbench201(store, write_table(tmp_path / "accuracy.csv", accuracy_row(**cells)))
    assert message in says(error)
    assert store.records() == []


def test_another_table_is_refused_and_adds_nothing(tmp_path: Path, store: Store) -> None:
    path = write_table(tmp_path / "people.csv", {"name": "Ada", "age": 36})
    with pytest.raises(UserError) as error:
        import_nasbench201(store, path)
    assert "no column 'arch_str'" in says(error)
    assert store.tasks() == []


def test_the_whole_compact_table_has_the_published_best_values(shared: Path, store: Store) -> None:
    assert import_nasbench201(store, shared / "nasbench201" / "accuracy.csv.gz") == 243_257
    best = {"cifar10": (91.61, 94.37), "cifar100": (73.49, 73.51), "imagenet16-120": (46.73, 47.31)}
    for name, (valid, test) in best.items():
        task = f"nasbench201/{name}"
        values = store.values(task, "nasbench201")
        assert len(values) == 15_625
        assert round(max(values.values()), 2) == valid
        assert round(max(store.values(task, "nasbench201", metric="test_accuracy").values()), 2) == test
    assert len(store.values("nasbench201/ninapro", "nasbench201", metric="test_accuracy")) == 15_625
    assert len(store.tasks()) == 5


def test_zero_cost_scores_are_read_by_task_score_and_architecture(shared: Path) -> None:
    scores = read_zero_cost(shared / "nasbench201")
    cell = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    assert scores["nasbench201/cifar10"]["naswot"][cell] == 740.8457
    assert len(scores["nasbench201/imagenet16-120"]["synflow"]) == 15_625
    assert "nregions" not in scores["nasbench201/imagenet16-120"]


# MetaD2A's tables


def write_metad2a(folder: Path, *rows: tuple[int, str, float, str]) -> None:
    names = ("task_id", "arch_str", "accuracy", "split")
    write_table(folder / "metad2a_meta_train.csv.gz", *(dict(zip(names, row, strict=True)) for row in rows))
    classes: list[dict[str, object]] = [
        {"class_id": k, "wnid": f"n{k}", "name": f"thing_{k}"} for k in range(1, 31)
    ]
    write_table(folder / "imagenet32_classes.csv", *classes)
    tasks: list[dict[str, object]] = [
        {"task_id": task, **{f"class_{place}": place + task for place in range(20)}} for task in range(1, 5)
    ]
    write_table(folder / "metad2a_tasks.csv.gz", *tasks)


def test_metad2a_rows_of_one_task_and_architecture_are_kept_apart_by_seed(
    tmp_path: Path, store: Store
) -> None:
    write_metad2a(
        tmp_path,
        (3, CELL, 70, "train"),
        (1, CELL, 60, "train"),
        (3, CELL, 71, "valid"),
        (3, OTHER, 72, "train"),
    )
    assert import_metad2a(store, tmp_path) == 4
    rows = [
        (r.architecture, r.seed, r.test_accuracy, r.extra)
        for r in store.records(task="metad2a/3", source="metad2a")
    ]
    assert sorted(rows, key=lambda row: row[2] or 0) == [
        (CELL, 0, 70, {"published_split_valid": 0}),
        (CELL, 1, 71, {"published_split_valid": 1}),
        (OTHER, 0, 72, {"published_split_valid": 0}),
    ]
    assert [task.key for task in store.tasks()] == ["metad2a/1", "metad2a/3"]
    spec: dict[str, Any] = dict(store.tasks()[1].spec)
    assert spec["imagenet_classes"] == list(range(3, 23)) and spec["class_names"][0] == "thing_3"
    assert import_metad2a(store, tmp_path) == 0


def test_metad2a_without_one_of_its_files_adds_nothing(tmp_path: Path, store: Store) -> None:
    write_metad2a(tmp_path, (1, CELL, 70, "train"))
    (tmp_path / "metad2a_tasks.csv.gz").unlink()
    with pytest.raises(UserError) as error:
        import_metad2a(store, tmp_path)
    assert "metad2a_tasks.csv.gz cannot be read" in says(error)
    assert store.records() == [] and store.tasks() == []


def test_the_whole_of_metad2a_has_its_published_size(shared: Path, store: Store) -> None:
    assert import_metad2a(store, shared / "nasbench201") == 4_630
    records = store.records(recipe="metad2a")
    assert sum(record.extra["published_split_valid"] for record in records) == 400
    assert len({record.architecture for record in records}) == 1_553
    assert {record.task for record in records} == {task.key for task in store.tasks(prefix="metad2a/")}


# NAS-Bench-201's official file


def run(
    data: str, seed: int, accuracies: dict[str, float], *, seconds: float, epochs: int = 2
) -> ResultsCount:
    per_epoch = {epoch: np.float64(epoch) for epoch in range(epochs)}
    config = {"channel": 16, "num_cells": 5, "arch_str": CELL, "class_num": 10}
    result = ResultsCount(
        data, None, per_epoch, per_epoch, np.float32(0.1), np.int64(15), config, seed, epochs, None
    )
    times = {epoch: np.float64(seconds / epochs) for epoch in range(epochs)}
    result.update_train_info(per_epoch, per_epoch, per_epoch, times)
    curves = {
        f"{images}@{epoch}": np.float64(accuracy if epoch == epochs - 1 else 1.0)
        for images, accuracy in accuracies.items()
        for epoch in range(epochs)
    }
    result.update_eval(curves, curves, curves)
    return result


def official(*, cell: str = CELL, best: float = 93.0) -> dict[str, Any]:
    full, less = ArchResults(0, cell), ArchResults(0, cell)
    full.update("cifar10-valid", 777, run("cifar10-valid", 777, {"x-valid": 90, "ori-test": 1}, seconds=10))
    full.update("cifar10-valid", 888, run("cifar10-valid", 888, {"x-valid": 91, "ori-test": 1}, seconds=20))
    full.update("cifar10", 777, run("cifar10", 777, {"ori-test": best}, seconds=30))
    full.update(
        "cifar100", 999, run("cifar100", 999, {"x-valid": 70, "x-test": 71, "ori-test": 1}, seconds=5)
    )
    less.update("cifar10-valid", 111, run("cifar10-valid", 111, {"x-valid": 80}, seconds=1))
    parts = {"full": full.state_dict(), "less": less.state_dict()}
    return {"meta_archs": [cell], "arch2infos": {0: parts}, "evaluated_indexes": [0]}


@pytest.mark.parametrize("zipped", [True, False])
def test_the_official_file_is_a_record_a_seed_and_one_of_the_means(
    tmp_path: Path, store: Store, zipped: bool
) -> None:
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(official(), path, _use_new_zipfile_serialization=zipped)
    assert import_nasbench201(store, path) == 7
    assert by_key(store) == {
        ("cifar10", "nasbench201", 777): (90, 93, 10),
        ("cifar10", "nasbench201", 888): (91, None, 20),
        ("cifar10", "nasbench201", -1): (90.5, 93, 15),
        ("cifar100", "nasbench201", 999): (70, 71, 5),
        ("cifar100", "nasbench201", -1): (70, 71, 5),
        ("cifar10", "nasbench201-12ep", 111): (80, None, 1),
        ("cifar10", "nasbench201-12ep", -1): (80, None, 1),
    }
    assert import_nasbench201(store, path) == 0


def test_the_means_agree_with_the_library_of_the_benchmark(tmp_path: Path, store: Store) -> None:
    torch.save(official(), tmp_path / "small.pth")
    import_nasbench201(store, tmp_path / "small.pth")
    library = NASBench201API(official(), verbose=False)
    for data, task, metric in (
        ("cifar10-valid", "cifar10", "valid-accuracy"),
        ("cifar100", "cifar100", "valid-accuracy"),
    ):
        theirs = library.get_more_info(0, data, hp="200", is_random=False)
        assert store.values(f"nasbench201/{task}", "nasbench201")[CELL] == theirs[metric]
        seconds = store.values(f"nasbench201/{task}", "nasbench201", metric="train_seconds")[CELL]
        assert seconds == theirs["train-all-time"]


class Runs:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "nested"])
def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(
    tmp_path: Path, store: Store, how: str
) -> None:
    path, evil = tmp_path / "evil.pth", {**official(), "evil": Runs(tmp_path / "made")}
    if how == "pickle":
        path.write_bytes(pickle.dumps(evil))
    elif how == "nested":  # the library itself would load the file that a text names
        torch.save(evil, tmp_path / "inner.pth")
        torch.save({"arch2infos": {0: {"full": str(tmp_path / "inner.pth")}}}, path)
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(UserError) as error:
        import_nasbench201(store, path)
    assert "give the original" in says(error)
    assert not (tmp_path / "made").exists() and store.records() == []


def test_numpy_objects_that_are_no_numbers_are_refused(tmp_path: Path, store: Store) -> None:
    for number, value in enumerate((np.dtype("O"), np.zeros(3), np.datetime64("2020-01-01"))):
        torch.save({**official(), "more": value}, tmp_path / f"{number}.pth")
        with pytest.raises(UserError) as error:
            import_nasbench201(store, tmp_path / f"{number}.pth")
        assert "more than data" in says(error)


def test_files_that_are_no_benchmark_are_a_user_error(tmp_path: Path, store: Store) -> None:
    torch.save(official(), tmp_path / "genuine.pth")
    whole = (tmp_path / "genuine.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.pth").write_bytes(b"\x80" + bytes(range(256)))
    (tmp_path / "empty.pth").touch()
    torch.save(torch.zeros(3), tmp_path / "weights.pth")
    torch.save({"state_dict": {}}, tmp_path / "checkpoint.pth")
    torch.save({"arch2infos": {0: {"full": {}, "less": {}}}}, tmp_path / "hollow.pth")
    torch.save(official(cell="|conv~0|"), tmp_path / "cell.pth")
    torch.save(official(best=930.0), tmp_path / "range.pth")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("cat/1.png", b"")
    for path in [*tmp_path.iterdir(), tmp_path / "missing.pth", tmp_path]:
        if path.name != "genuine.pth":
            with pytest.raises(UserError) as error:
                import_nasbench201(store, path)
            assert str(path) in says(error)
    assert store.records() == []
