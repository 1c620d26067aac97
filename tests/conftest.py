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
    """A database with the published tables of NAS-Bench-201, which are development data; read it only."""
    from databases.records.importers import import_nasbench201
    from databases.records.store import Store

    place = tmp_path_factory.mktemp("tables") / "database.db"
    with Store(place) as store:
        import_nasbench201(store, shared / "nasbench201" / "accuracy.csv.gz")
    return str(place)
