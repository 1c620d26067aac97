"""What several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data, which is not part of the repository."""
    named = os.environ.get("METAD2A_SHARED")
    folder = Path(named) if named else Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the development data: {folder} is no folder, name one in METAD2A_SHARED")
    return folder


@pytest.fixture(scope="session")
def tables(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the published means of NAS-Bench-201, which are development data; read it only.

    Takes seconds: tests that ask for it are slow ones.
    """
    from databases.records.importers import tables as importer
    from databases.records.record import PUBLISHED_MEAN
    from databases.records.store import Store

    place = tmp_path_factory.mktemp("tables") / "database.db"
    means = tuple(run for run in importer._RUNS if run.seed == PUBLISHED_MEAN or "ninapro" in run.task)
    with pytest.MonkeyPatch.context() as patch, Store(place) as store:
        patch.setattr(importer, "_RUNS", means)
        importer.import_nasbench201_csv(store, shared / "nasbench201" / "accuracy.csv.gz")
    return str(place)
