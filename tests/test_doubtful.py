"""Folders that are no classes by their names: masks, figures, heaps, parts in names; and pictures nothing sorts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_class_folders import make, picture, refusal, told
from test_sets_in_sets import below, named

from databases.datasets.loading import load_task


@pytest.mark.parametrize(
    ("folders", "drawn"),
    [
        (("images", "masks"), "masks"),
        (("JPEGImages", "SegmentationClass", "SegmentationObject"), "SegmentationClass"),
        (("VOC2012/JPEGImages", "VOC2012/ImageSets", "VOC2012/SegmentationClass"), "SegmentationClass"),
        (("train/images", "train/masks", "test/images", "test/masks"), "masks"),
        (("images/train", "images/val", "labels/train", "labels/val"), "labels"),
        (("train_images", "train_masks"), "train_masks"),
        (("original", "ground_truth"), "ground_truth"),
        (("img", "gt"), "gt"),
        (("rgb", "Mask_1", "Mask_2"), "Mask_1"),
        (("raw", "png_masks"), "png_masks"),
    ],
)
def test_pictures_beside_masks_of_them_are_no_classes(tmp_path: Path, folders: tuple[str, ...], drawn: str) -> None:
    message = refusal(make(tmp_path, *folders))
    assert "by their names pictures and masks or labels of these, no classes" in message and f"{drawn!r}" in message
    assert len(load_task(tmp_path, groups="none").class_names) > 1, "as the message says"
    if drawn == "labels":
        return
    for way in {folder.rpartition("/")[0] for folder in folders}:
        pictures = next(each for each in folders if each.rpartition("/")[0] == way)
        for index, path in enumerate(sorted((tmp_path / pictures).iterdir())):
            target = tmp_path / pictures / "ab"[index % 2] / path.name
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
        for other in folders:
            if other.rpartition("/")[0] == way and other != pictures:
                shutil.rmtree(tmp_path / other)
    assert load_task(tmp_path).class_names == ("a", "b"), "sorted as the message says"


@pytest.mark.parametrize(
    ("folders", "doubted", "what"),
    [
        (("cat", "dog", "figures"), "figures", "pictures about the data"),
        (("cat", "dog", "Screenshots"), "Screenshots", "pictures about the data"),
        (("train/cat", "train/dog", "train/docs"), "docs", "pictures about the data"),
        (("cat", "dog", "masks"), "masks", "masks or labels of the pictures"),
        (("cat", "dog", "ground truth"), "ground truth", "masks or labels of the pictures"),
        (("1", "2", "labels"), "labels", "masks or labels of the pictures"),
        (("cat", "dog", "results"), "results", "what programs wrote"),
        (("cat", "dog", "JPEGImages"), "JPEGImages", "pictures of all classes"),
        (("cat", "dog", "unsorted"), "unsorted", "pictures of all classes"),
        (("fists", "palms", "Thumbs"), "Thumbs", "small copies of the pictures"),
    ],
)
def test_a_folder_that_may_be_no_class_is_taken_with_a_word(
    tmp_path: Path, folders: tuple[str, ...], doubted: str, what: str
) -> None:
    task = load_task(make(tmp_path, *folders))
    assert len(task.class_names) == 3
    assert f"took the folder {doubted!r} for a class: take it away if it holds {what}" in told(task)


def test_a_few_pictures_in_a_folder_called_as_a_class_might_be_are_taken_with_a_word(tmp_path: Path) -> None:
    make(tmp_path, "cat", "dog", count=6)
    assert "took the folder 'doc' for a class: take it away if" in told(load_task(make(tmp_path, "doc", count=5)))


@pytest.mark.parametrize(
    "folders",
    [
        ("mask", "no_mask"),
        ("with_mask", "without_mask", "mask_weared_incorrect"),
        ("figures", "charts", "plots"),
        ("label_0", "label_1"),
        ("photo", "drawing", "painting"),
        ("masked", "unmasked"),
        ("doc", "pdf", "mail"),
        ("Log", "branch", "leaf"),
        ("screenshot", "meme", "photo"),
    ],
)
def test_of_classes_whose_names_only_resemble_such_nothing_is_said(tmp_path: Path, folders: tuple[str, ...]) -> None:
    task = load_task(make(tmp_path, *folders))
    assert set(task.class_names) == set(folders) and "take it away" not in told(task)


def test_masks_within_a_class_and_beside_its_pictures_are_told(tmp_path: Path) -> None:
    make(tmp_path, "a/images", "a/masks", "b")
    assert "took what is in 'a/masks' for pictures of its class" in told(load_task(tmp_path))
    shutil.rmtree(tmp_path / "a")
    files = [f"benign/benign ({i}){kind}.png" for i in range(5) for kind in ("", "_mask", "_mask_1")]
    task = load_task(named(tmp_path, *files, "b/x_mask.png"))
    assert (
        "took 10 pictures called as masks or labels of the pictures beside them ('benign/benign (0)_mask.png'"
        in told(task)
    )
    assert len(task.images) == 21


@pytest.mark.parametrize(
    "folders",
    [
        ("trainA", "trainB", "testA", "testB"),
        ("cat_train", "dog_train", "cat_test", "dog_test"),
        ("x/train_cat", "x/train_dog", "x/val_cat"),
    ],
)
def test_folders_of_a_class_and_a_part_are_no_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    message = refusal(make(tmp_path, *folders))
    assert "by their names parts of 2 classes" in message and "train/CLASS, test/CLASS" in message
    assert len(load_task(tmp_path, groups="none").class_names) == len(folders)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ((*below("a", "b", classes=("x", "y")), "c"), "of which 'a', 'b' hold the same folders 'x', 'y'"),
        ((*below("a", "b", "c", classes=("x", "y")), "d", "e"), "of which 'a', 'b', 'c' hold the same folders"),
        ((*below("data/a", "data/b", classes=("x", "y")), "data/c"), "of which 'a', 'b' hold the same folders"),
        (("raw/x", "raw/y", "docs"), "take 'docs' away if no class"),
    ],
)
def test_folders_that_hold_the_same_are_refused_beside_one_that_holds_pictures(
    tmp_path: Path, folders: tuple[str, ...], said: str
) -> None:
    message = refusal(make(tmp_path, *folders))
    assert said in message and "either may be the classes" in message
    tops = {folder.removeprefix("data/").partition("/")[0] for folder in folders}
    assert set(load_task(tmp_path, groups="folder").class_names) == tops


def test_where_most_folders_hold_pictures_they_are_classes_and_the_others_are_told(tmp_path: Path) -> None:
    task = load_task(make(tmp_path, *below("a", "b", classes=("x", "y")), "c", "d"))
    assert task.class_names == ("a", "b", "c", "d") and "if 'x', 'y' are classes, put them side by side" in told(task)
    task = load_task(make(tmp_path / "a" / "..", "a"))
    assert len(task.class_names) == 4, "pictures beside folders tell that these are a class"


@pytest.mark.parametrize(
    ("place", "labels", "ending"),
    [("train/images", "train/labels", "txt"), ("JPEGImages", "Annotations", "xml"), ("images", "labels", "json")],
)
def test_pictures_with_boxes_have_no_classes(tmp_path: Path, place: str, labels: str, ending: str) -> None:
    make(tmp_path, place)
    (tmp_path / labels).mkdir(parents=True)
    for index in range(5):
        (tmp_path / labels / f"{index}.{ending}").write_text("0 0.5 0.5 0.1 0.1")
    message = refusal(tmp_path)
    assert f"with 5 pictures, 5 of them in {place!r}" in message and "boxes of objects, maybe" in message


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        (("images.zip",), "give 'images.zip' itself"),
        (("data.npz",), "give 'data.npz' itself"),
        (("cat.zip", "dog.zip"), "unpack 'cat.zip', 'dog.zip' and give the folder"),
        (("data.tar.gz",), "unpack 'data.tar.gz' and give the folder"),
        (("x.npy", "y.npy"), "save images and labels as x and y in one .npz file"),
        (("train-00000-of-00001.parquet",), "write the pictures in 'train-00000-of-00001.parquet' into class folders"),
        (("README.md",), "put pictures, such as PNG or JPEG, into such"),
    ],
)
def test_what_is_packed_is_to_be_unpacked(tmp_path: Path, files: tuple[str, ...], remedy: str) -> None:
    for file in files:
        (tmp_path / file).write_bytes(b"x")
    assert remedy in refusal(tmp_path)
    if files[0].rpartition(".")[2] in ("gz", "npy", "parquet"):
        assert remedy in refusal(tmp_path / files[0])


@pytest.mark.parametrize("place", [".", "train", "images"])
def test_a_table_of_another_name_that_names_the_pictures_is_to_be_saved_as_labels(tmp_path: Path, place: str) -> None:
    make(tmp_path, place)
    rows = [f"{index},{'ab'[index % 2]}" for index in range(5)]
    (tmp_path / "train.csv").write_text("\n".join(["image_id,dx", *rows]))
    assert "save the table 'train.csv' (columns image_id, dx) as labels.csv" in refusal(tmp_path)
    (tmp_path / "train.csv").rename(tmp_path / "labels.csv")
    assert "with the columns file and class, by commas, semicolons or tabs, in place of image_id, dx" in refusal(
        tmp_path
    )
    (tmp_path / "labels.csv").write_text("\n".join(["image_id,class", *rows]))
    assert load_task(tmp_path).class_names == ("a", "b")


def test_a_picture_beside_what_is_packed_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "preview.png").write_bytes(picture(0))
    (tmp_path / "images.zip").write_bytes(b"x")
    assert "with 1 picture, none of them in a class folder, and 1 other file ('images.zip')" in refusal(tmp_path)
