"""NAS-Bench-201's official file becomes records; a file that is something else runs and adds nothing."""

from __future__ import annotations

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
from records_world import by_key, says

from databases.errors import UserError
from databases.records.importers.tables import import_nasbench201
from databases.records.store import Store

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"


@pytest.fixture
def store() -> Iterator[Store]:
    with Store("sqlite://") as opened:
        yield opened


def run(data: str, seed: int, accuracies: dict[str, float], *, seconds: float, epochs: int = 2) -> ResultsCount:
    per_epoch = {epoch: np.float64(epoch) for epoch in range(epochs)}
    config = {"channel": 16, "num_cells": 5, "arch_str": CELL, "class_num": 10}
    result = ResultsCount(data, None, per_epoch, per_epoch, np.float32(0.1), np.int64(15), config, seed, epochs, None)
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
    full.update("cifar100", 999, run("cifar100", 999, {"x-valid": 70, "x-test": 71, "ori-test": 1}, seconds=5))
    less.update("cifar10-valid", 111, run("cifar10-valid", 111, {"x-valid": 80}, seconds=1))
    parts = {"full": full.state_dict(), "less": less.state_dict()}
    return {"meta_archs": [cell], "arch2infos": {0: parts}, "evaluated_indexes": [0]}


@pytest.mark.parametrize("zipped", [True, False])
def test_the_official_file_is_a_record_a_seed_and_one_of_the_means(tmp_path: Path, store: Store, zipped: bool) -> None:
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
def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(tmp_path: Path, store: Store, how: str) -> None:
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
