"""Folders as people arrange them: read as meant or refused with what was seen; no class vanishes without a word."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from databases.datasets import file_kinds
from databases.datasets.loading import load_task
from databases.datasets.names import part_of
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.errors import UserError


def picture(seed: int) -> bytes:
    """A small picture of noise."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def make(root: Path, *folders: str, count: int = 5, ending: str = ".png") -> Path:
    """Folders with pictures, all different."""
    for folder in folders:
        place = root / folder
        place.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (place / f"{index}{ending}").write_bytes(picture(hash_of(folder) + index))
    return root


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(errors="surrogateescape"), "big") % 2**40


def refusal(data: Any) -> str:
    """The one line with which data are refused."""
    with pytest.raises(UserError) as caught:
        load_task(data)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("given") and "allowed" in message
    return message


def told(task: Task) -> str:
    return "; ".join(task.notes)


def sizes(task: Task) -> list[int]:
    return [int((task.parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)]


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("train", TRAIN),
        ("Training_Set", TRAIN),
        ("training_set", TRAIN),
        ("trainset", TRAIN),
        ("TrainImages", TRAIN),
        ("seg_train", TRAIN),
        ("train2017", TRAIN),
        ("images-val", VALIDATION),
        ("dev", VALIDATION),
        ("test_set", TEST),
        ("Final_Test", TEST),
        ("evaluation", TEST),
        ("train_cats", None),
        ("trains", None),
        ("contest", None),
        ("set", None),
        ("train2", None),
    ],
)
def test_names_of_parts_are_known_in_all_usual_forms(folder: str, part: int | None) -> None:
    assert part_of(folder) == part


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("training_set/training_set/a", "training_set/training_set/b", "test_set/test_set/a"), [16, 4, 5]),
        (("train/images/a", "train/images/b", "val/images/a", "test/images/b"), [20, 5, 5]),
        (("seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/b"), [16, 4, 5]),
        (("data/images/train/a", "data/images/train/b", "data/images/test/a"), [16, 4, 5]),
        (("fold1/a", "fold1/b", "fold2/a", "fold2/b"), [24, 8, 8]),
        (("batch_1/train/a", "batch_1/train/b", "batch_2/train/a", "batch_2/test/a"), [24, 6, 10]),
        (("kfold-1/a", "kfold-2/a", "kfold-2/b"), [18, 6, 6]),
        (("k-fold_1/a", "K-Fold_2/b"), [12, 4, 4]),
        (("a/train", "b/train", "a/test"), [16, 4, 10]),
        (("a", "b", "test/a", "test/b"), [16, 4, 20]),
        (("train2017/a", "train2017/b", "val2017/a"), [16, 5, 4]),
    ],
)
def test_usual_layouts_are_read_as_meant(tmp_path: Path, folders: tuple[str, ...], expected: list[int]) -> None:
    make(tmp_path, *folders, count=10)
    for folder in folders:
        if "train" not in folder and "fold" not in folder.lower() and folder.split("/")[0] not in "ab":
            for index in range(5, 10):
                (tmp_path / folder / f"{index}.png").unlink()
    task = load_task(tmp_path)
    assert task.class_names == ("a", "b")
    assert sum(sizes(task)) == sum(len(list((tmp_path / folder).iterdir())) for folder in folders)
    assert all(size > 0 for size in sizes(task))


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("OK", "NG", "test"), "the folder 'test' beside 'NG', 'OK'"),
        (("a", "b", "val/unsorted"), "the folder 'val'"),
        (("siteA/ill", "siteA/well", "siteB/ill", "siteB/well"), "either may be the classes"),
        (("train/a", "train/b", "extra/a", "extra/b"), "beside them, 'extra' with 10 pictures"),
        (("train/a", "train/b", "test/a", "more/a", "more/b"), "'more'"),
        (("train/images/a", "train/images/b", "train/masks/a", "train/masks/b"), "hold the same folders 'a', 'b'"),
        (("left/class1", "left/class2", "right/class1", "right/class2"), "the same folders 'class1', 'class2'"),
        (("siteA/1", "siteA/2", "siteB/1", "siteB/2"), "hold the same folders '1', '2'"),
        (("part_a/cat", "part_a/dog", "part_b/cat", "part_b/cow"), "the same folders 'cat'"),
        (("lab/grade 0", "lab/grade 1", "home/grade 1", "home/grade 2"), "the same folders 'grade 1'"),
        (("x/a", "x/b", "x/c", "y/a", "y/d", "y/e"), "either may be the classes"),
        (("train/lab/1", "train/lab/2", "train/home/1", "train/home/2"), "either may be the classes"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_what_was_seen(
    tmp_path: Path, folders: tuple[str, ...], words: str
) -> None:
    assert words in refusal(make(tmp_path, *folders))


def test_folders_that_only_look_like_parts_are_classes(tmp_path: Path) -> None:
    assert load_task(make(tmp_path / "a", "valid", "invalid")).class_names == ("invalid", "valid")
    vehicles = load_task(make(tmp_path / "b", "train", "plane", "car"))
    assert vehicles.class_names == ("car", "plane", "train") and "'train' for a class" in told(vehicles)
    ages = load_task(make(tmp_path / "c", "cat/2021", "cat/2022", "dog/2021", "dog/2022"))
    assert ages.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    "inner",
    [
        ("session1", "session2"),
        ("track_01", "track_02", "track_03"),
        ("2021-05-03", "2021-05-04"),
        ("00012", "00013"),
        ("patient 7", "video3", "misc"),
        ("photos",),
    ],
)
def test_folders_of_tracks_and_dates_are_no_classes(tmp_path: Path, inner: tuple[str, ...]) -> None:
    folders = [f"{name}/{folder}" for name in ("cat", "dog") for folder in inner if (name, folder) != ("dog", "misc")]
    assert load_task(make(tmp_path, *folders)).class_names == ("cat", "dog")


def test_a_name_that_two_of_many_classes_share_by_chance_is_no_class(tmp_path: Path) -> None:
    folders = ("smith/anna", "smith/bob", "lee/carl", "lee/anna", "kim/dora", "roy/eve", "roy/finn", "may/gil")
    assert len(load_task(make(tmp_path, *folders)).class_names) == 5


@pytest.mark.parametrize("inner", [("1", "2"), ("roi1", "roi2"), ("a", "b")])
def test_the_user_can_say_which_of_two_readings_is_meant(tmp_path: Path, inner: tuple[str, ...]) -> None:
    make(tmp_path, *(f"{outer}/{folder}" for outer in ("cat", "dog") for folder in inner), count=10)
    assert "give --groups folder if 'cat', 'dog' are the classes" in refusal(tmp_path)
    task = load_task(tmp_path, groups="folder")
    assert task.class_names == ("cat", "dog") and task.groups is not None
    rows = [f"{each.relative_to(tmp_path)},{each.parent.name}" for each in sorted(tmp_path.rglob("*.png"))]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class", *rows]))
    assert load_task(tmp_path).class_names == inner


def test_pictures_without_classes_beside_the_parts_are_told(tmp_path: Path) -> None:
    task = load_task(make(tmp_path, "seg_train/a", "seg_train/b", "seg_test/a", "seg_pred/seg_pred"))
    assert task.class_names == ("a", "b") and "left out 5 pictures in 'seg_pred'" in told(task)


def test_links_that_lead_nowhere_and_sockets_are_told(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "self.png").symlink_to(tmp_path / "a" / "self.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    here = os.getcwd()
    os.chdir(tmp_path / "b")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")
        os.chdir(here)
        task = load_task(tmp_path)
    assert "1 broken link" in told(task) and "1 link in a circle" in told(task)
    assert "1 link to a folder above" in told(task) and "2 socket, pipe or device" in told(task)
    assert "'a/gone.png'" in told(task) and len(task.images) == 10


@pytest.mark.parametrize("lost", ["link to nowhere", "folder of broken links", "loop", "circle"])
def test_a_class_that_loses_everything_to_links_is_refused(tmp_path: Path, lost: str) -> None:
    make(tmp_path, "a", "b")
    if lost == "link to nowhere":
        (tmp_path / "bird").symlink_to(tmp_path.parent / "unmounted")
    elif lost == "folder of broken links":
        (tmp_path / "bird").mkdir()
        for index in range(3):
            (tmp_path / "bird" / f"{index}.png").symlink_to(tmp_path / "nowhere")
    elif lost == "loop":
        (tmp_path / "bird").symlink_to(tmp_path)
    else:
        (tmp_path / "bird").symlink_to(tmp_path / "bird")
    assert "the class folder 'bird', in which no picture can be read" in refusal(tmp_path)


@pytest.mark.parametrize("ending", [".heic", ".dcm", "", ".cr2", ".mp4", ".jpg_large", ".npy", ".zip", ".pt", ".h5"])
def test_a_class_of_files_that_cannot_be_read_is_refused(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats = file_kinds.readable_formats()
    without = (formats[0], formats[1] - file_kinds.HEIC)
    monkeypatch.setattr("databases.datasets.pictures.readable_formats", lambda: without)
    make(tmp_path, "a", "b")
    make(tmp_path, "bird", ending=ending, count=12)
    message = refusal(tmp_path)
    assert "the class folder 'bird', in which no picture can be read" in message and f"bird/0{ending}" in message
    assert ("metad2a[heic]" in message) == (ending == ".heic")
    assert ("let their names end as what they are" in message) == (ending == "")
    (tmp_path / "bird").rename(tmp_path / ".bird")
    assert load_task(tmp_path).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("name", "advice"), [("data (1).zip", "what they are packed in"), ("a (1).dcm", "convert them")]
)
def test_a_bracket_in_a_name_makes_no_link_of_it(tmp_path: Path, name: str, advice: str) -> None:
    make(tmp_path, "a", "b", "bird")
    for each in (tmp_path / "bird").iterdir():
        each.unlink()
    (tmp_path / "bird" / name).write_bytes(b"x")
    assert advice in refusal(tmp_path) and "mend the links" not in refusal(tmp_path)
    (tmp_path / "bird" / name).unlink()
    (tmp_path / "bird" / "0.zip").symlink_to(tmp_path / "nowhere.zip")
    assert "mend the links" in refusal(tmp_path)


def test_a_class_lost_in_one_part_and_a_lost_part_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "one", "train/a", "train/b", "test/a")
    make(tmp_path / "one", "test/b", ending=".dcm")
    assert "class folder 'test/b'" in refusal(tmp_path / "one")
    make(tmp_path / "two", "train/a", "train/b")
    make(tmp_path / "two", "val/a", "val/b", ending=".dcm")
    assert "with the part 'val'" in refusal(tmp_path / "two")


def test_documents_beside_the_classes_are_no_lost_class(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    (tmp_path / "docs").mkdir()
    for name in ("README", "notes.txt", "boxes.xml"):
        (tmp_path / "docs" / name).write_text("x")
    task = load_task(tmp_path)
    assert task.class_names == ("a", "b") and "no class is made of 'docs'" in told(task)


def test_what_may_hold_pictures_is_told_wherever_it_lies(tmp_path: Path) -> None:
    make(tmp_path, "train/a", "train/b")
    (tmp_path / "test.zip").write_bytes(b"x")
    assert "may be data: 1 .zip" in told(load_task(tmp_path))


def test_more_than_a_tenth_of_unreadable_pictures_is_refused_and_fewer_are_told(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", count=20)
    make(tmp_path, "a", ending=".dcm", count=2)
    assert "2 .dcm" in told(load_task(tmp_path))
    make(tmp_path, "a", ending=".dcm", count=9)
    assert "9 pictures that cannot be read" in refusal(tmp_path)


def test_heic_is_read_where_pillow_heif_is_there(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    make(tmp_path, "a")
    (tmp_path / "b").mkdir()
    for index in range(5):
        Image.new("RGB", (64, 64), (250, 10 * index, 20)).save(tmp_path / "b" / f"{index}.heic")
    task = load_task(tmp_path)
    assert task.class_names == ("a", "b") and abs(int(task.images[5, 9, 9, 0]) - 250) < 12


def test_a_class_that_is_written_in_two_ways_in_two_parts_is_refused_with_both(tmp_path: Path) -> None:
    make(tmp_path, "train/Cat", "train/dog", "test/cat", "test/dog")
    assert "given class 'cat'" in refusal(tmp_path) and "or call it 'Cat' if it is that class" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "ending"),
    [("a/b.PNG", ".png"), ("a.b/c", ""), (".hidden", ""), ("a/b.", ""), ("a/b.tar.gz", ".gz"), ("..x", "")],
)
def test_endings_are_those_of_the_files_own_names(name: str, ending: str) -> None:
    assert file_kinds.ending_of(name) == ending
