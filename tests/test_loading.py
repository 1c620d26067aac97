"""Folders of pictures, and whatever else a user may point at, as a Task or one clear line."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from databases.datasets import group_split
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.errors import UserError

CLASSES = ("cat", "dog")


def write(path: Path, *, size: tuple[int, int] = (12, 10), seed: int = 0) -> Path:
    """One picture of coloured noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def folder(root: Path, names: tuple[str, ...] = CLASSES, *, count: int = 6, ending: str = "png") -> Path:
    """Class folders with `count` pictures each, all different."""
    for label, name in enumerate(names):
        for index in range(count):
            write(root / name / f"{index}.{ending}", seed=100 * label + index)
    return root


def refusal(data: Any, **options: Any) -> str:
    """The message with which data are refused: one line that says what is given, allowed and to be done."""
    with pytest.raises(UserError) as caught:
        load_task(data, **options)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("given") and "; allowed" in message
    assert message.count("; ") >= 2
    return message


def of_part(task: Task, part: int) -> int:
    return int((task.parts == part).sum())


def test_class_folders_become_a_task(tmp_path: Path) -> None:
    task = load_task(folder(tmp_path / "pets", ("class10", "class2", "Zebra"), count=5))
    assert task.class_names == ("Zebra", "class2", "class10")
    assert (task.name, task.source) == ("pets", "pets")
    assert task.images.shape == (15, 32, 32, 3)
    assert task.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert [of_part(task, part) for part in (TRAIN, VALIDATION, TEST)] == [9, 3, 3]
    assert task.notes == ("resized pictures of 12x10 pixels to 32x32",)
    assert load_task(str(tmp_path / "pets"), resolution=16).resolution == 16


def test_fingerprint_does_not_depend_on_the_order_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import databases.datasets.archives as archives

    folder(tmp_path, ("a", "b", "c"), count=11)
    first, walk = load_task(tmp_path), archives.Folder._walk
    monkeypatch.setattr(archives.Folder, "_walk", lambda *all: iter(sorted(walk(*all), key=lambda n: n[::-1])))
    assert load_task(tmp_path).fingerprint == first.fingerprint
    write(tmp_path / "a" / "0.png", seed=999)
    assert load_task(tmp_path).fingerprint != first.fingerprint


@pytest.mark.parametrize("valid", ["val", "valid", "validation"])
def test_part_folders_are_kept(tmp_path: Path, valid: str) -> None:
    for part, count in (("Train", 5), (valid, 2), ("test", 3)):
        folder(tmp_path / part, count=count)
    write(tmp_path / "test" / "unlabelled.png")
    task = load_task(tmp_path)
    assert task.class_names == CLASSES
    assert [of_part(task, part) for part in (TRAIN, VALIDATION, TEST)] == [10, 4, 6]
    assert any("unlabelled.png" in note for note in task.notes)


def test_missing_parts_are_drawn_from_train(tmp_path: Path) -> None:
    for case, brought, missing in (("a", "test", VALIDATION), ("b", "val", TEST)):
        folder(tmp_path / case / "train", count=10)
        folder(tmp_path / case / brought, count=3)
        task = load_task(tmp_path / case)
        assert (of_part(task, TRAIN), of_part(task, missing), len(task.images)) == (16, 4, 26)
    only_train = load_task(folder(tmp_path / "c" / "train", count=10).parent)
    assert [of_part(only_train, part) for part in (TRAIN, VALIDATION, TEST)] == [12, 4, 4]


def test_no_more_images_are_held_out_than_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    for most, held_out in ((12, 12), (6, 6), (1000, 12)):
        monkeypatch.setattr(group_split, "MOST_HELD_OUT", most)
        parts = load_task((images, np.arange(60) % 3)).parts
        assert [(parts == part).sum() for part in (VALIDATION, TEST)] == [held_out, held_out]


@pytest.mark.parametrize(
    ("mode", "ending", "channels"),
    [
        ("1", "png", 1),
        ("L", "jpg", 1),
        ("LA", "png", 1),
        ("I;16", "png", 1),
        ("F", "tif", 1),
        ("P", "gif", 3),
        ("RGB", "bmp", 3),
        ("RGBA", "webp", 3),
        ("CMYK", "jpg", 3),
    ],
)
def test_every_kind_of_picture_is_read(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    colour = Image.new("RGB", (9, 9), (250, 120, 20))
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for index in range(2):
            if mode == "I;16":
                picture = Image.fromarray(np.full((9, 9), 40_000, np.uint16))
            else:
                picture = colour.convert(mode if mode != "F" else "L").convert(mode)
            picture.save(tmp_path / name / f"{index}.{ending}")
    task = load_task(tmp_path)
    expected = {"1": 139, "I;16": 156}.get(mode, (147,) if channels == 1 else (250, 120, 20))
    assert task.channels == channels
    np.testing.assert_allclose(task.images.mean((0, 1, 2)), expected, atol=15)


def test_grey_stored_in_colour_is_grey_until_one_picture_is_coloured(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for index in range(3):
            Image.new("RGB", (9, 9), (index, index, index)).save(tmp_path / name / f"{index}.png")
    assert load_task(tmp_path).channels == 1
    Image.new("RGB", (9, 9), (3, 2, 3)).save(tmp_path / "dog" / "coloured.png")
    task = load_task(tmp_path, as_stored=True)
    assert task.channels == 3 and (task.images[1] == 1).all()


def test_transparent_is_white_and_orientation_is_followed(tmp_path: Path) -> None:
    folder(tmp_path)
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(tmp_path / "cat" / "-clear.png")
    turned = Image.new("RGB", (40, 20))
    turned.paste((255, 255, 255), (0, 0, 20, 20))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    turned.save(tmp_path / "cat" / "--turned.jpg", exif=exif)
    images = load_task(tmp_path, as_stored=True).images
    assert images[6, :12].min() > 240 and images[6, 20:].max() < 15
    assert (images[7] == 255).all()


def test_twelve_bit_pictures_keep_their_contrast(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for value in (1_000, 4_095):
            Image.fromarray(np.full((9, 9), value, np.uint16)).save(tmp_path / name / f"{value}.png")
    assert load_task(tmp_path).images[:, 0, 0, 0].tolist() == [62, 255, 62, 255]


def test_where_no_picture_is_found_the_other_files_are_named(tmp_path: Path) -> None:
    for label in CLASSES:
        write(tmp_path / label / "0.png").rename(tmp_path / label / "0")
    assert "with 0 pictures, none of them in a class folder, and 2 other files ('cat/0', 'dog/0')" in refusal(tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    folder(tmp_path / "pets")
    (tmp_path / "pets" / "bird").mkdir()
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "pets")
    for data in (tmp_path / "pets", packed):
        task = load_task(data)
        assert task.class_names == CLASSES and task.notes[0] == "left out 1 empty folder: 'bird'"


def test_only_folders_of_ones_own_that_lead_to_nothing_are_called_empty(tmp_path: Path) -> None:
    pets = folder(tmp_path / "data" / "pets").parent
    for name in (".git", "__MACOSX/pets", "pets/cat/.cache", "pets/bird/young"):
        (pets / name).mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for path in sorted(pets.rglob("*")):
            archive.write(path, path.relative_to(pets))
    for data in (pets, tmp_path / "packed.zip"):
        notes = load_task(data).notes
        assert [note for note in notes if "empty" in note] == ["left out 1 empty folder: 'pets/bird/young'"]


def test_folders_within_class_folders_are_named(tmp_path: Path) -> None:
    folder(tmp_path / "pets")
    assert not load_task(tmp_path / "pets").notes[1:]
    write(tmp_path / "pets" / "cat" / "young" / "0.png")
    notes = load_task(tmp_path / "pets").notes
    assert "took folders within class folders as parts of their classes: 'cat/young'" in notes


def test_images_that_are_all_the_same_are_told(tmp_path: Path) -> None:
    for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        write(tmp_path / f"{name}.png")
    assert load_task(tmp_path).notes[-1] == "all images are the same: nothing tells the classes apart"
    write(tmp_path / "dog" / "1.png", seed=1)
    assert "the same" not in load_task(tmp_path).notes[-1]


def test_what_is_no_picture_is_ignored_with_a_note(tmp_path: Path) -> None:
    plain = load_task(folder(tmp_path))
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    write(tmp_path / ".hidden" / "0.png")
    write(tmp_path / "cover.png")
    task = load_task(tmp_path)
    assert task.fingerprint == plain.fingerprint
    assert task.notes[:2] == (
        "left out 1 picture in no class folder: 'cover.png'",
        "ignored 2 files and 1 hidden folder (hidden, or no pictures): '.hidden/', 'cat/.DS_Store', 'cat/notes.txt'",
    )


def test_mixed_sizes_are_said_once(tmp_path: Path) -> None:
    write(folder(tmp_path) / "cat" / "wide.png", size=(80, 20))
    assert load_task(tmp_path).notes == ("resized pictures of 2 sizes, from 12x10 to 80x20 pixels, to 32x32",)


def test_class_names_are_the_same_text_on_every_system(tmp_path: Path) -> None:
    folder(tmp_path, ("e\u0301", "z"))
    (tmp_path / "z").rename(os.fsdecode(os.fsencode(tmp_path) + b"/z\xff"))
    assert load_task(tmp_path).class_names == ("z?", "\u00e9")


def test_large_folders_are_sampled_evenly_and_always_alike(tmp_path: Path) -> None:
    folder(tmp_path, count=30)
    task = load_task(tmp_path, max_images=20)
    assert np.bincount(task.labels).tolist() == [10, 10]
    assert task.notes[0].startswith("looked at 20 of 60 pictures, the same share of each class")
    assert load_task(tmp_path, max_images=20).fingerprint == task.fingerprint
    assert load_task(tmp_path, max_images=20, seed=1).fingerprint != task.fingerprint
    assert "too many files; allowed are 59;" in refusal(tmp_path, max_files=59)


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    folder(tmp_path / "data")
    (tmp_path / "data" / "cat" / "again").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "linked").symlink_to(folder(tmp_path / "elsewhere", ("x",)) / "x")
    (tmp_path / "data" / "cat" / "broken.png").symlink_to(tmp_path / "nowhere")
    assert load_task(tmp_path / "data").class_names == ("cat", "dog", "linked")


def test_folders_without_something_to_learn_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "flat" / "0.png")
    folder(tmp_path / "one", ("cat",))
    write(folder(tmp_path / "single") / "emu" / "0.png")
    write(tmp_path / "kaggle" / "train" / "0.png")
    folder(tmp_path / "late" / "train")
    folder(tmp_path / "late" / "test", ("emu",))
    cases = {
        "empty": "0 pictures",
        "flat": "1 picture, none of them in a class folder",
        "one": "1 class ('cat')",
        "single": "class 'emu' with 1 image",
        "kaggle": "no class folders in a train folder",
        "late": "class 'emu' in 'test' alone, with no pictures to train on",
    }
    for name, message in cases.items():
        assert message in refusal(tmp_path / name)


def test_paths_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert "No such file" in refusal(tmp_path / "missing")
    assert "an empty path" in refusal("")
    assert "cannot be found" in refusal("a\0b")
    assert "cannot be found" in refusal("x" * 5_000)
    assert "the file" in refusal(text)
    os.mkfifo(tmp_path / "pipe.zip")
    for what in (tmp_path / "pipe.zip", Path("/dev/zero")):
        assert "a socket, pipe or device; allowed are" in refusal(what)
    assert "'sklearn:iris'" in refusal("sklearn:iris")
    assert "a list" in refusal([1, 2])
    assert "a tuple" in refusal((1, 2, 3))


@pytest.mark.parametrize("options", [{"resolution": 4}, {"resolution": 1_000}, {"seed": -1}, {"max_images": 0}])
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, int]) -> None:
    refusal(folder(tmp_path), **options)
