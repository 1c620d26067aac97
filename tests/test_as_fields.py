"""Messages on data name what the one who reads them can give: options on the command line, fields in requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from databases.datasets.loading import load_task
from metad2a.service import library
from metad2a.service.reading import summary_of
from metad2a.service.words import as_fields


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("give --groups folder if 'a' is a class", "give groups=folder if 'a' is a class"),
        ("add images, or give --groups none", "add images, or give groups=none"),
        ("name what belongs together (--groups)", "name what belongs together (groups)"),
        ("nothing", "nothing"),
    ],
)
def test_options_become_fields(text: str, told: str) -> None:
    assert as_fields(text) == told


def test_no_warning_of_an_upload_names_an_option(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=[0, 0, 1, 1], groups=[0, 0, 1, 1])
    told = load_task(tmp_path / "x.npz")
    assert "give --groups none" in "; ".join(told.notes)
    for notes in (summary_of(told)["warnings"], library.load_data(str(tmp_path / "x.npz"), "x").notes):
        assert "give groups=none" in "; ".join(notes) and "--" not in "; ".join(notes)
