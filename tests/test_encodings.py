"""Output that is not UTF-8, and names that UTF-8 cannot hold, break no command."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_world import OF_CELLS, FakeModel
from PIL import Image
from pipeline_world import random_base

from metad2a.cli import main
from metad2a.search import predict
from metad2a.search.predict import Network

pytestmark = pytest.mark.usefixtures("home")

NAMES = ("\u732b", "na\u00efve \u20ac")  # a cat; what Latin-1 holds in part


def told(monkeypatch: pytest.MonkeyPatch, encoding: str, *words: str) -> tuple[str, int]:
    """What the program writes to a stdout of that encoding, and its exit status."""
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["metad2a", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out.flush()
    content = out.buffer.getvalue()
    return content.decode(encoding), int(ended.value.code or 0)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes; one picture's name is no UTF-8."""
    for shade, name in enumerate(NAMES):
        folder = tmp_path / NAMES[1] / name
        folder.mkdir(parents=True)
        for number in range(6):
            Image.new("L", (8, 8), 40 + 100 * shade + number).save(folder / f"{number}.png")
    os.rename(folder / "5.png", os.fsencode(folder) + b"/\xe9.png")
    return tmp_path / NAMES[1]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's network, untrained, that knows the two classes."""
    classifier = random_base(1).with_head(np.zeros((2, 256), np.float32), np.zeros(2, np.float32), resolution=8)
    card = SimpleNamespace(sizes=(8,), resolution=8, mean=(0.0,), white=None, temperature=1.0, class_names=NAMES)
    monkeypatch.setattr(predict, "open_network", lambda run: Network(card, classifier))  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_table_escapes_what_the_output_cannot_show(
    encoding: str, monkeypatch: pytest.MonkeyPatch, pictures: Path, model: FakeModel
) -> None:
    text, status = told(monkeypatch, encoding, "recommend", str(pictures), *OF_CELLS)
    assert status == 0
    assert NAMES[1].encode(encoding, "backslashreplace").decode(encoding) in " ".join(text.split())


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_predictions_of_any_names_are_told_and_written(
    encoding: str,
    monkeypatch: pytest.MonkeyPatch,
    pictures: Path,
    network: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch's of arrays that cannot be written
        text, status = told(monkeypatch, encoding, "predict", "any", str(pictures))
    rows = list(csv.DictReader(text.splitlines()))
    assert status == 0 and len({row["file"] for row in rows}) == len(rows) == 12
    assert {row["class"] for row in rows} == {NAMES[0].encode(encoding, "backslashreplace").decode(encoding)}
    told(monkeypatch, encoding, "predict", "any", str(pictures), "--output", str(tmp_path / "found.csv"))
    assert capsys.readouterr().err == f"Written: {tmp_path / 'found.csv'}\n"
    written = list(csv.DictReader((tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()))
    assert len(written) == 12 and {row["class"] for row in written} == {NAMES[0]}
    assert sum("\\udce9" in row["file"] for row in written) == 1
    text, status = told(monkeypatch, encoding, "predict", "any", str(pictures), "--json")
    assert status == 0 and {each["class"] for each in json.loads(text)["predictions"]} == {NAMES[0]}
