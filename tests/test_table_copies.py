"""Copies of a set with its labels.csv: read once, and told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_class_folders import make, picture, sizes, told
from test_label_table import rows, table

from databases.datasets.loading import load_task


@pytest.mark.parametrize(("one", "other"), [(".", "data"), ("x", "x/x"), ("pets", "pets2"), ("old/a", "new/b/a")])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("change", ["", "picture", "more", "table"])
def test_a_copy_with_its_table_is_left_out_and_told(
    tmp_path: Path, one: str, other: str, packed: bool, change: str
) -> None:
    data = tmp_path / "data"
    table(make(data / one, "images", count=10), rows(10, form="images/{i}.png,{name}"))
    before = load_task(data)
    shutil.copytree(data / one, tmp_path / "aside")
    (tmp_path / "aside" / ".DS_Store").write_bytes(b"x")
    (data / other).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tmp_path / "aside", data / other)
    if change == "picture":
        (data / other / "images" / "0.png").write_bytes(picture(1))
    elif change == "more":
        (data / other / "images" / "10.png").write_bytes(picture(1))
    elif change == "table":
        table(data / other, rows(10, form="images/{i}.png,my{name}"))
    place = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", data)) if packed else data
    if change == "table":
        assert load_task(place).class_names == ("cat", "dog", "mycat", "mydog")
        return
    task = load_task(place)
    assert (task.fingerprint == before.fingerprint) == (not change)
    assert ("left out 11 files in" in told(task)) == (not change)
    assert len(task.images) == (20 if change else 10), "of others all are read"


def test_of_copies_in_copies_one_is_read_and_parts_are_no_copies(tmp_path: Path) -> None:
    for folder in ("a", "a/a", "a/a/a"):
        table(make(tmp_path / folder, "x", count=10), rows(10, form="x/{i}.png,{name}"))
    task = load_task(tmp_path)
    assert len(task.images) == 10 and told(task).count("lie above it") == 2
    for part in ("train", "test"):
        table(make(tmp_path / "b" / part, "x", count=10), rows(10, form="x/{i}.png,{name}"))
    task = load_task(tmp_path / "b")
    assert sizes(task) == [8, 2, 10] and "copies or near copies of training" in told(task)
