"""Published tables become records, and a table that is something else is refused by its line."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from records_world import by_key, says

from databases.errors import UserError
from databases.records.importers.tables import import_metad2a, import_nasbench201, read_zero_cost
from databases.records.store import Store

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
OTHER = CELL.replace("skip_connect", "none")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store("sqlite://") as opened:
        yield opened


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


@pytest.mark.slow
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
    classes: list[dict[str, object]] = [{"class_id": k, "wnid": f"n{k}", "name": f"thing_{k}"} for k in range(1, 31)]
    write_table(folder / "imagenet32_classes.csv", *classes)
    tasks: list[dict[str, object]] = [
        {"task_id": task, **{f"class_{place}": place + task for place in range(20)}} for task in range(1, 5)
    ]
    write_table(folder / "metad2a_tasks.csv.gz", *tasks)


def test_metad2a_rows_of_one_task_and_architecture_are_kept_apart_by_seed(tmp_path: Path, store: Store) -> None:
    write_metad2a(
        tmp_path,
        (3, CELL, 70, "train"),
        (1, CELL, 60, "train"),
        (3, CELL, 71, "valid"),
        (3, OTHER, 72, "train"),
    )
    assert import_metad2a(store, tmp_path) == 4
    rows = [
        (r.architecture, r.seed, r.test_accuracy, r.extra) for r in store.records(task="metad2a/3", source="metad2a")
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
