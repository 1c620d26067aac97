"""The same images are the same task, however they are kept: the parts that are drawn and the order of training too."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from databases.datasets import loading
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION

CLASSES = ("cat", "dog", "owl")
LABELS = np.arange(90) % 3
IMAGES = np.random.default_rng(0).integers(0, 256, (90, 12, 12, 3), dtype=np.uint8)


def as_folder(place: Path) -> Path:
    for index, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = place / CLASSES[label] / f"{index * 37 % 90}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return place


def as_zip(place: Path) -> Path:
    folder = as_folder(place)
    with zipfile.ZipFile(place / "all.zip", "w") as file:
        for path in sorted(folder.rglob("*.png"), key=lambda path: path.stem):
            file.write(path, path.relative_to(folder))
    return place / "all.zip"


def as_table(place: Path) -> Path:
    place.mkdir()
    rows = []
    for index in np.random.default_rng(1).permutation(90):
        Image.fromarray(IMAGES[index]).save(place / f"{index}.png")
        rows.append(f"{index}.png,{CLASSES[LABELS[index]]}")
    (place / "labels.csv").write_text("file,class\n" + "\n".join(rows))
    return place


def as_npz(place: Path) -> Path:
    place.mkdir()
    order = np.random.default_rng(2).permutation(90)
    np.savez(place / "all.npz", x=IMAGES[order], y=LABELS[order], class_names=np.array(CLASSES))
    return place / "all.npz"


def numbered_anew(place: Path) -> Path:
    place.mkdir()
    np.savez(place / "all.npz", x=IMAGES, y=np.array((2, 0, 1))[LABELS], class_names=np.array(("dog", "owl", "cat")))
    return place / "all.npz"


@pytest.mark.parametrize("keep", [as_folder, as_zip, as_table, as_npz, numbered_anew])
def test_the_same_images_are_the_same_task_however_they_are_kept(tmp_path: Path, keep: Callable[[Path], Path]) -> None:
    task, arrays = load_task(keep(tmp_path / "kept")), load_task((IMAGES, LABELS))
    assert task.fingerprint == arrays.fingerprint and task.resolution == 12
    assert task.class_names == CLASSES
    assert [int((task.parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)] == [54, 18, 18]
    assert load_task(keep(tmp_path / "again"), seed=1).fingerprint != task.fingerprint


def test_named_groups_go_with_their_images() -> None:
    groups, order = np.arange(90) // 6, np.random.default_rng(3).permutation(90)
    one = load_task((IMAGES, LABELS), groups=groups)
    other = load_task((IMAGES[order], LABELS[order]), groups=groups[order])
    assert one.fingerprint == other.fingerprint and one.groups is not None
    parts = [set(one.parts[one.groups == group].tolist()) for group in set(one.groups.tolist())]
    assert len(parts) == 15 and all(len(each) == 1 for each in parts)


def test_equal_images_of_two_classes_do_not_trouble_the_order() -> None:
    images, labels = np.concatenate([IMAGES, IMAGES[:9]]), np.concatenate([LABELS, (LABELS[:9] + 1) % 3])
    order = np.random.default_rng(4).permutation(99)
    assert load_task((images, labels)).fingerprint == load_task((images[order], labels[order])).fingerprint


def test_images_that_are_too_many_to_move_are_divided_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MOST_MOVED", 0)
    order = np.random.default_rng(5).permutation(90)
    one, other = load_task((IMAGES, LABELS)), load_task((IMAGES[order], LABELS[order]))
    assert (one.images == IMAGES).all() and (one.parts[order] == other.parts).all()


def test_published_sets_can_be_left_as_they_are() -> None:
    assert (load_task((IMAGES, LABELS), as_stored=True).images == IMAGES).all()
