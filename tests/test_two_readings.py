"""Folders that can be read in two ways, and what may have been a class or a part: refused, or told with both."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_class_folders import make, picture, refusal, sizes, told

from databases.datasets.loading import load_task


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("a/train", "a/test", "b"), "'a/test' within class folders"),
        (("a", "b", "a/test"), "'a/test' within class folders"),
        (("a", "b", "a/test", "b/test"), "'a/test', 'b/test' within class folders"),
        (("a/x/train", "a/x/test", "b/y/train", "b/y/test"), "'a/x/test', 'b/y/test' within class folders"),
        (("a/train", "a/test", "a/extra", "b/train", "b/test"), "'a/test', 'b/test' within class folders"),
        (("a/val", "b/val"), "'a/val', 'b/val' within class folders"),
        (("train/a", "train/b", "train/b/val_set"), "'b/val_set' within class folders"),
    ],
)
def test_a_part_within_some_class_folders_is_not_trained_on(
    tmp_path: Path, folders: tuple[str, ...], words: str
) -> None:
    assert words in refusal(make(tmp_path, *folders))


@pytest.mark.parametrize(
    "folders", [("a/train", "b"), ("a/train", "b/train"), ("a/valid", "a/invalid", "b"), ("train/a/train", "train/b")]
)
def test_a_folder_that_is_called_as_the_part_of_its_pictures_is_none_too_many(
    tmp_path: Path, folders: tuple[str, ...]
) -> None:
    assert load_task(make(tmp_path, *folders)).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("labeled/a", "labeled/b", "unlabeled"), "of which 'labeled' holds 'a', 'b'"),
        (("data/cats", "data/dogs", "extra"), "of which 'data' holds 'cats', 'dogs'"),
        (
            ("train/imgs/a", "train/imgs/b", "train/more/c", "train/more/d", "val/imgs/a"),
            "of which 'imgs', 'more' hold",
        ),
        (("Dataset_1/a", "Dataset_1/b", "Dataset_2/c", "Dataset_2/d"), "either may be the classes"),
    ],
)
def test_what_holds_data_by_its_name_is_no_class_of_all_that_lies_in_it(
    tmp_path: Path, folders: tuple[str, ...], words: str
) -> None:
    message = refusal(make(tmp_path, *folders))
    assert words in message and "give --groups folder" in message and "put all class folders side by side" in message
    assert len(load_task(tmp_path, groups="folder").class_names) == 2


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (
            ("cats/indoor", "cats/outdoor", "dogs"),
            "made one class each of several folders: 'cats' of 'indoor', 'outdoor'",
        ),
        (("animal/cat", "animal/dog", "plant/oak"), "several folders: 'animal' of 'cat', 'dog'; if 'cat', 'dog' are"),
        (("cats/2021", "cats/2022", "dogs/photos"), "parts of their classes: 'cats/2021', 'cats/2022', 'dogs/photos'"),
    ],
)
def test_folders_that_are_made_one_class_are_named_with_the_other_reading(
    tmp_path: Path, folders: tuple[str, ...], words: str
) -> None:
    task = load_task(make(tmp_path, *folders))
    assert len(task.class_names) == 2 and words in told(task)


@pytest.mark.parametrize("place", [".", "data", "train"])
def test_a_loose_picture_that_hides_all_classes_is_named(tmp_path: Path, place: str) -> None:
    top = "train/images" if place == "train" else "data/x"
    make(tmp_path, f"{top}/cats", f"{top}/dogs")
    (tmp_path / place / "preview.png").write_bytes(picture(0))
    message = refusal(tmp_path)
    assert "preview.png') in none of the folders 'cats', 'dogs'" in message


@pytest.mark.parametrize("link", ["St. Bernard", "v1.0", "bird", "no.5", "test"])
def test_a_broken_link_that_may_have_been_a_class_is_refused(tmp_path: Path, link: str) -> None:
    make(tmp_path, "a", "b")
    (tmp_path / link).symlink_to(tmp_path / "nowhere")
    assert f"{link!r}, in which no picture can be read" in refusal(tmp_path) and "mend the links" in refusal(tmp_path)


@pytest.mark.parametrize("link", ["a.png", "README", "notes.txt", "all.zip", "film.mp4", "scan.dcm"])
def test_a_broken_link_with_the_name_of_a_file_is_told(tmp_path: Path, link: str) -> None:
    make(tmp_path, "a", "b")
    (tmp_path / link).symlink_to(tmp_path / "nowhere")
    assert f"left out what leads to no file (1 broken link): {link!r}" in told(load_task(tmp_path))


@pytest.mark.parametrize(
    ("folders", "link"),
    [
        (("train/a", "train/b"), "test"),
        (("data/train/a", "data/train/b"), "data/val2017"),
        (("train/images/a", "train/images/b"), "Final_Test"),
        (("a/train", "b/train"), "a/test"),
    ],
)
def test_a_broken_link_that_was_a_part_is_refused(tmp_path: Path, folders: tuple[str, ...], link: str) -> None:
    make(tmp_path, *folders)
    (tmp_path / link).symlink_to(tmp_path / "nowhere")
    assert f"with the part {link!r}, in which no picture can be read" in refusal(tmp_path)


def test_a_part_of_unreadable_files_is_refused_at_any_depth_and_notes_in_parts_are_none(tmp_path: Path) -> None:
    make(tmp_path, "train/images/a", "train/images/b")
    (tmp_path / "train" / "weights.bin").write_bytes(b"x")
    assert sum(sizes(load_task(tmp_path))) == 10
    make(tmp_path, "test/images/a", ending=".dcm")
    assert "with the part 'test'" in refusal(tmp_path)


def test_a_class_of_hidden_files_and_hidden_folders_are_told(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", ".git/objects", "c/.thumbs")
    for index in range(3):
        (tmp_path / "c" / f".{index}.png").write_bytes(picture(index))
    notes = told(load_task(tmp_path))
    assert "no class is made of 'c', where only hidden files lie" in notes
    assert "ignored 3 files and 2 hidden folders" in notes and "'.git/'" in notes


@pytest.mark.parametrize(
    "folders",
    [
        ("photo", "drawing/charcoal", "drawing/pencil"),
        ("photos", "paintings/oil", "paintings/water"),
        ("photo/flickr", "photo/unsplash", "painting/monet", "painting/vangogh"),
        ("sorted/bin_a", "sorted/bin_b", "unsorted/heap", "unsorted/pile"),
        ("happy/ann", "happy/val", "sad/bob"),
        ("ok/cam1", "ok/eval", "broken/cam2"),
    ],
)
def test_names_that_only_look_like_wrappers_or_parts_are_read(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert len(load_task(make(tmp_path, *folders)).class_names) == 2


def test_code_and_results_outside_the_data_are_no_parts_of_them(tmp_path: Path) -> None:
    make(tmp_path, "data/train/a", "data/train/b", "data/val/a", "data/val/b")
    for name in ("test/__pycache__/t.pyc", "eval/out.npy"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    assert sizes(load_task(tmp_path))
    (tmp_path / "data" / "test").mkdir()
    (tmp_path / "data" / "test" / "1.dcm").write_bytes(b"x")
    assert "the part 'data/test'" in refusal(tmp_path)
