"""Data as people have them that no other test names: read as meant, told, or refused with a remedy that fits."""

from __future__ import annotations

import io
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_class_folders import make, picture, refusal, told

from databases.datasets.group_split import move_groups
from databases.datasets.loading import load_task
from databases.datasets.task import VALIDATION
from databases.errors import UserError


@pytest.mark.parametrize(
    ("again", "first"),
    [("cat - Copy", "cat"), ("cat (1)", "cat"), ("cat_aug", "cat"), ("cat_backup", "cat"), ("cat copy 2", "cat")],
)
def test_a_class_that_is_called_as_a_copy_of_another_is_told(tmp_path: Path, again: str, first: str) -> None:
    task = load_task(make(tmp_path, "cat", "dog", again))
    assert len(task.class_names) == 3 and f"took {again!r} for a class beside {first!r}" in told(task)


@pytest.mark.parametrize("names", [("photocopy", "photo"), ("gold", "g"), ("cat2", "cat"), ("cold", "hot"), ("a (1)",)])
def test_of_classes_that_are_not_called_so_nothing_is_said(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert "for a class beside" not in told(load_task(make(tmp_path, *names, "other")))


def test_loose_pictures_are_told_apart_from_other_files(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    make(tmp_path, ".", count=3)
    (tmp_path / "a" / "notes.txt").touch()
    notes = told(load_task(tmp_path))
    assert "left out 3 pictures in no class folder: '0.png', '1.png', '2.png'" in notes
    assert "ignored 1 file (hidden, or no pictures): 'a/notes.txt'" in notes


def test_pictures_that_are_left_out_are_told_once(tmp_path: Path) -> None:
    notes = told(load_task(make(tmp_path, "train/a", "train/b", "test/a", "test/b", "figures")))
    assert notes.count("figures") == 1 and "left out 5 pictures in 'figures'" in notes


@pytest.mark.parametrize(
    ("folders", "advice"),
    [
        (("color/a", "color/b", "grey/a", "grey/b"), "give one of 'color', 'grey' alone if it is a set of its own"),
        (("x_80/a", "x_80/b", "x_20/a", "x_20/b"), "call the folders above train, val and test if they are parts"),
        (("siteA/a", "siteA/b", "siteB/a", "siteB/b", "c"), "give one of 'siteA', 'siteB' alone"),
    ],
)
def test_of_sets_side_by_side_it_is_told_what_can_be_done(
    tmp_path: Path, folders: tuple[str, ...], advice: str
) -> None:
    assert advice in refusal(make(tmp_path, *folders))
    assert load_task(tmp_path / folders[0].partition("/")[0]).class_names == ("a", "b")


def test_how_many_classes_are_too_small_is_told(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    make(tmp_path, *(f"p{index}" for index in range(20)), count=1)
    assert "given class 'p0' with 1 image, 1 of them for training (and 19 more such)" in refusal(tmp_path)


def test_classes_at_the_end_of_names_are_seen(tmp_path: Path) -> None:
    for index in range(8):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / f"{index:04}_{('cat', 'ship')[index % 2]}.png").write_bytes(picture(index))
    assert "(their names end with 'cat', 'ship', which may be classes)" in refusal(tmp_path)


def test_one_folder_of_pictures_that_a_table_names_is_no_class(tmp_path: Path) -> None:
    make(tmp_path, "ISIC_Training_Input")
    (tmp_path / "truth.csv").write_text("image,MEL\n" + "".join(f"{index},1.0\n" for index in range(5)))
    assert "save the table 'truth.csv' (columns image, MEL) as labels.csv" in refusal(tmp_path)


def test_documents_beside_pictures_that_are_left_out_make_no_folder_of_documents(tmp_path: Path) -> None:
    make(tmp_path, "train/a/images", "train/b/images", "val/images")
    (tmp_path / "val" / "annotations.txt").touch()
    notes = told(load_task(tmp_path))
    assert "left out 5 pictures in 'val/images'" in notes and "only documents" not in notes


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("https://example.org/pets.zip", "download it and name what you have"),
        ("nowhere", "check the path"),
    ],
)
def test_what_is_not_there_is_to_be_fetched_or_named_rightly(name: str, remedy: str) -> None:
    assert remedy in refusal(name)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("labels.csv", "give the folder of the pictures with the table in it as labels.csv"),
        ("cat.jpg", "give the folder above the folders of the classes"),
        ("cat.heic", "give the folder above the folders of the classes"),
        ("data.tar.gz", "unpack 'data.tar.gz' and give the folder"),
        ("data.7z", "unpack 'data.7z' and give the folder"),
        ("x.npy", "save images and labels as x and y in one .npz file"),
        ("x.mat", "or images and labels as x and y into an .npz file"),
        ("notes.md", "turn it into one of them"),
    ],
)
def test_a_file_that_is_no_data_is_told_what_to_give(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert remedy in refusal(tmp_path / name)


def test_folders_without_any_picture_are_to_be_filled(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.pdf").write_bytes(b"%PDF")
    assert "put pictures, such as PNG or JPEG, into such" in refusal(tmp_path)


def test_a_zip_of_pictures_that_is_called_npz_is_told_its_ending(tmp_path: Path) -> None:
    make(tmp_path / "set", "a", "b")
    packed = Path(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set"))
    packed.rename(tmp_path / "set.npz")
    assert "give it the ending .zip if it holds pictures" in refusal(tmp_path / "set.npz")


@pytest.mark.parametrize("names", [("a", "a\u200d"), ("b\ufeff", "b"), ("Cat", "\uff43\uff41\uff54")])
def test_classes_that_look_the_same_are_told(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert "differ in capitals, spaces or ways of writing alone" in told(load_task(make(tmp_path, *names)))


def test_broken_descriptions_of_pictures_print_nothing(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for index in range(6):
            exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + random.Random(index).randbytes(40)
            content = io.BytesIO()
            pixels = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(content, "jpeg", exif=exif)
            (tmp_path / label / f"{index}.jpg").write_bytes(content.getvalue())
    task = load_task(tmp_path)  # where any warning is an error
    assert task.resolution == 16 and len(task.images) == 12


@pytest.mark.parametrize("columns", ["filepath,labels", "img_path;label", "image_file\tlabels", "fname,category_name"])
def test_usual_names_of_columns_are_known(tmp_path: Path, columns: str) -> None:
    make(tmp_path, ".", count=10)
    between = next(each for each in ",;\t" if each in columns)
    rows = (f"{index}.png{between}{'ab'[index % 2]}" for index in range(10))
    (tmp_path / "labels.csv").write_text("\n".join([columns, *rows]))
    assert load_task(tmp_path).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("columns", "elsewhere"),
    [
        ("id,filepath,label", "/elsewhere/train/{}.png"),
        ("image,file_path,label", "C:\\data\\{}.png"),
        ("image_id,img_path,label", "raw/{}.dcm"),
        ("path,img_path,label", "old/{}.png"),
    ],
)
def test_a_further_column_of_paths_on_another_machine_is_not_taken(
    tmp_path: Path, columns: str, elsewhere: str
) -> None:
    make(tmp_path, ".", count=10)
    rows = (f"{index}.png,{elsewhere.format(index)},{'ab'[index % 2]}" for index in range(10))
    (tmp_path / "labels.csv").write_text("\n".join([columns, *rows]))
    assert load_task(tmp_path).class_names == ("a", "b")


@pytest.mark.parametrize("px", [9, 16, 28, 40, 64, 70, 150])
@pytest.mark.parametrize("up_to", [None, 128])
def test_small_squares_are_one_task_as_folder_zip_and_array(tmp_path: Path, px: int, up_to: int | None) -> None:
    x, y = np.random.default_rng(0).integers(0, 256, (20, px, px, 3), dtype=np.uint8), np.arange(20) % 2
    for index, (image, label) in enumerate(zip(x, np.array(["a", "b"])[y], strict=True)):
        (tmp_path / "set" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "set" / label / f"{index}.png")
    packed = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    tasks = [load_task(each, up_to=up_to) for each in (tmp_path / "set", packed, (x, np.array(["a", "b"])[y]))]
    assert len({(task.resolution, task.fingerprint) for task in tasks}) == 1


def test_paths_in_place_of_images_are_to_be_opened() -> None:
    assert "open the files and stack them" in refusal((np.array(["a.png"] * 4), [0, 1, 0, 1]))


def test_a_zip_made_on_windows_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for label in "ab":
            for index in range(6):
                archive.writestr(f"TRAIN\\{label}\\{index}.PNG", picture(index + ord(label)))
    assert load_task(tmp_path / "x.zip").class_names == ("a", "b")


def test_a_table_of_groups_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "set", "a", "b")
    (tmp_path / "groups.csv").write_text("file,group\n")

    def read(self: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(UserError, match=r"which cannot be read .Input/output error"):
        load_task(tmp_path / "set", groups=tmp_path / "groups.csv")


def test_classes_that_share_their_groups_give_one_of_them_where_all_are_large() -> None:
    labels, groups = np.repeat([0, 1], 30), np.tile(np.repeat([0, 1, 2], 10), 2)
    moved = move_groups(labels, np.zeros(60, np.uint8), VALIDATION, groups=groups, share=0.1, seed=0)
    assert np.bincount(labels[moved == VALIDATION]).tolist() == [10, 10]
