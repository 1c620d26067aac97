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
