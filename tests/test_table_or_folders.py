"""A labels.csv beside class folders: the table counts, and where folders tell other classes both are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_class_folders import make, refusal, told

from databases.datasets.loading import load_task


def labelled(root: Path, *folders: str, **classes: str) -> Path:
    """Ten pictures in each folder, and a table of their classes, by the folder's name and the last bit of a number."""
    lines = [f"{each}/{i}.png,{classes[each.rpartition('/')[2]].format(i % 2)}" for each in folders for i in range(10)]
    make(root, *folders, count=10)
    (root / "labels.csv").write_text("\n".join(["file,class", *lines]))
    return root


@pytest.mark.parametrize(
    ("folders", "classes", "words"),
    [
        (("cats", "dogs"), {"cats": "x{}", "dogs": "x{}"}, "by their folders 20 of 20 pictures would be of another"),
        (("train/cats", "train/dogs", "test/cats"), {"cats": "x{}", "dogs": "y"}, "'test/cats/0.png', which is 'x0'"),
        (("cats", "dogs", "owls"), {"cats": "cats", "dogs": "dogs", "owls": "dogs"}, "by their folders 10 of 30"),
        (
            ("cats", "dogs"),
            {"cats": "dogs", "dogs": "cats"},
            "'cats', 'dogs' tell the same classes by other names",
        ),
        (
            ("n1x", "n2x"),
            {"n1x": "cats", "n2x": "dogs"},
            "'n1x', 'n2x' tell the same classes by other names",
        ),
    ],
)
def test_class_folders_beside_a_table_of_other_classes_are_told(
    tmp_path: Path, folders: tuple[str, ...], classes: dict[str, str], words: str
) -> None:
    notes = told(load_task(labelled(tmp_path, *folders, **classes)))
    assert f"took the classes of {10 * len(folders)} pictures from 'labels.csv'" in notes
    assert words in notes and "take the table away" in notes
    (tmp_path / "labels.csv").unlink()
    assert load_task(tmp_path).class_names == tuple(sorted({each.rpartition("/")[2] for each in folders})), "as is told"


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (("cats", "dogs"), {"cats": "cats", "dogs": "dogs"}),
        (("Cats", "DOGS"), {"Cats": "cats", "DOGS": "dogs"}),
        (("train", "test"), {"train": "x{}", "test": "x{}"}),
        (("train",), {"train": "x{}"}),
        (("patient1", "patient2"), {"patient1": "x", "patient2": "y"}),
        (("2021-03-01", "2021-03-02"), {"2021-03-01": "x{}", "2021-03-02": "y"}),
        (("images_part_1", "images_part_2"), {"images_part_1": "x{}", "images_part_2": "y"}),
        (("images/train", "images/val"), {"train": "x{}", "val": "x{}"}),
    ],
)
def test_of_folders_that_tell_no_other_classes_than_a_table_nothing_is_said(
    tmp_path: Path, folders: tuple[str, ...], classes: dict[str, str]
) -> None:
    assert "take the table away" not in told(load_task(labelled(tmp_path, *folders, **classes)))


def test_pictures_in_class_folders_that_a_table_leaves_out_are_told_with_their_classes(tmp_path: Path) -> None:
    names = [f"c{letter}" for letter in "abcdefghijk"]
    root = make(labelled(tmp_path, *names, **{name: name for name in names}), "owl")
    notes = told(load_task(root))
    assert "5 files that no table names, ignored" in notes
    assert "by the folders 5 pictures that no table names would be of 'owl': add them to the table, or take" in notes


def test_a_table_that_names_a_few_pictures_of_class_folders_is_refused(tmp_path: Path) -> None:
    make(labelled(tmp_path, "cats", cats="cats"), "dogs", count=2)
    assert "take it away where the folders tell the classes" in refusal(tmp_path)
