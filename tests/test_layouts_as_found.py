"""Layouts as public data have them: read as meant or refused with a remedy that helps when it is followed."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from test_class_folders import make, refusal, sizes, told
from test_sets_in_sets import below

from databases.datasets.class_folders import Arranged, arrange
from databases.datasets.loading import load_task
from databases.datasets.names import TAKEN, holds_a_set
from databases.datasets.pace import Clock
from databases.errors import UserError


@pytest.mark.parametrize(
    ("folders", "lost", "renamed"),
    [
        (("train/good", "test/good", "test/bent", "test/cut"), "classes 'bent', 'cut' in 'test'", ("train", "test")),
        (
            ("bottle/train/good", "bottle/test/good", "bottle/test/bent", "bottle/ground_truth/bent"),
            "class 'bent' in 'test'",
            ("train", "test"),
        ),
        (
            ("train/good", "val/good", "test/bent", "ground_truth/bent", "ground_truth/cut"),
            "class 'bent' in 'test'",
            ("train", "val", "test"),
        ),
        (("train/a", "train/b", "val/c", "test/d"), "classes 'c', 'd' in 'test', 'val'", ("train", "val", "test")),
        (("set_train/a", "set_train/b", "set_test/a", "set_test/c"), "", ("set_train", "set_test")),
    ],
)
def test_classes_in_further_parts_alone_are_refused_with_a_remedy_that_helps(
    tmp_path: Path, folders: tuple[str, ...], lost: str, renamed: tuple[str, ...]
) -> None:
    root = make(tmp_path, *folders)
    message = refusal(root)
    assert (lost or "class 'c' in 'set_test'") + " alone, with no pictures to train on" in message
    assert "ground_truth" not in str(folders) or "and move 'ground_truth' elsewhere" in message
    for number, top in enumerate(renamed, 1):
        assert f"{top!r} to 'part{number}'" in message
        place = next(root.rglob(top))
        place.rename(place.with_name(f"part{number}"))
    for masks in list(root.rglob("ground_truth")):
        shutil.rmtree(masks)
    pictures = [folder for folder in folders if "ground_truth" not in folder]
    task = load_task(root)
    assert set(task.class_names) == {folder.rpartition("/")[2] for folder in pictures}
    assert len(task.images) == 5 * len(pictures)


@pytest.mark.parametrize("sets", [("bottle", "cable"), ("bottle",)])
def test_of_sets_beside_others_one_is_to_be_given(tmp_path: Path, sets: tuple[str, ...]) -> None:
    make(tmp_path, *below(*(f"{each}/{part}" for each in sets for part in ("train", "test"))), *below("all/x"))
    message = refusal(tmp_path)
    assert ("give one of 'bottle', 'cable' if each is" if len(sets) > 1 else "give 'bottle' alone if it is") in message
    assert load_task(tmp_path / "bottle").class_names == ("a", "b")


@pytest.mark.parametrize(("one", "other"), [("pets", "data/pets"), ("PETS", "pets/PETS"), ("x/pets", "x/old/pets")])
@pytest.mark.parametrize("inner", ["", "train"])
@pytest.mark.parametrize("change", [False, True])
def test_a_copy_of_a_set_in_a_wrapper_beside_it_is_left_out_and_told(
    tmp_path: Path, one: str, other: str, inner: str, change: bool
) -> None:
    make(tmp_path, *below(f"{one}/{inner}" if inner else one))
    if inner:
        make(tmp_path, *below(f"{one}/test"))
    before = load_task(tmp_path)
    shutil.copytree(tmp_path / one, tmp_path / other)
    if change:
        changed = next((tmp_path / other).rglob("a/0.png"))
        changed.write_bytes(changed.read_bytes()[:-1] + b"x")
        refusal(tmp_path)
    else:
        task = load_task(tmp_path)
        assert task.fingerprint == before.fingerprint and sizes(task) == sizes(before)
        assert "the same, by names and contents, lie in" in told(task)


def test_copies_are_told_in_one_order(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    for folder in ("old", "copy", "new"):
        for each in ("a", "b"):
            shutil.copytree(tmp_path / each, tmp_path / folder / each)
    notes = [note for note in load_task(tmp_path).notes if note.startswith("left out")]
    assert [note.split("'")[1] for note in notes] == ["copy", "new", "old"]


@pytest.mark.parametrize("folders", [("cars_train", "cars_test"), ("x/cars_train/cars_train", "x/cars_test/cars_test")])
def test_parts_of_one_name_without_classes_are_no_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert "but no class folders in a train folder" in refusal(make(tmp_path, *folders))


@pytest.mark.parametrize(
    "folders",
    [
        ("training_fake", "training_real"),
        ("cat", "b_train", "b_test"),
    ],
)
def test_classes_whose_names_speak_of_parts_stay_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert set(load_task(make(tmp_path, *folders)).class_names) == set(folders)


@pytest.mark.parametrize("further", ["pets_unlabeled", "extra"])
@pytest.mark.parametrize("classes", [("a", "b"), ("00000", "00001"), ("1990", "2000")])
def test_parts_of_one_name_are_read_beside_pictures_without_classes(
    tmp_path: Path, further: str, classes: tuple[str, ...]
) -> None:
    task = load_task(make(tmp_path, *below("pets_train", "pets_test", classes=classes), further))
    assert task.class_names == classes and sizes(task) == [8, 2, 10]
    assert f"left out 5 pictures in {further!r}: it has no classes and is no part" in told(task)


def test_folds_of_the_training_part_are_read_as_one(tmp_path: Path) -> None:
    task = load_task(make(tmp_path, *below("train/fold1", "train/fold2", "test")))
    assert task.class_names == ("a", "b") and sizes(task)[2] == 10 and len(task.images) == 30


@pytest.mark.parametrize("folder", ["pets_dataset", "The lung dataset", "simpsonsDataset"])
def test_a_set_beside_pictures_without_classes_is_refused(tmp_path: Path, folder: str) -> None:
    message = refusal(make(tmp_path, *below(folder), "Test cases"))
    assert holds_a_set(folder) and "take 'Test cases' away if no class" in message


@pytest.mark.parametrize(
    "folders",
    [
        ("cats/x", "cats/y", "dogs", "results"),
        ("walk/anna", "walk/ben", "run"),
        ("good_dataset/x", "good_dataset/y", "bad_dataset"),
    ],
)
def test_classes_called_as_what_programs_write_stay_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert set(load_task(make(tmp_path, *folders)).class_names) == {each.partition("/")[0] for each in folders}


def test_folders_of_cameras_are_no_classes(tmp_path: Path) -> None:
    assert all(map(TAKEN.fullmatch, ("100CANON", "101MSDCF", "100_PANA", "102APPLE")))
    assert not any(map(TAKEN.fullmatch, ("001apple", "101ruler", "256objects", "001.ak47", "n01440764")))
    make(tmp_path, *below("good", "bad", classes=("100CANON", "101CANON")))
    assert load_task(tmp_path).class_names == ("bad", "good")


@pytest.mark.parametrize(
    "table", ["image,label\n{}.png,x\n", "id;dx\n{};x\n", "id,dx\r\n{},x\r\n", 'path\tdx\n"x\\{}.jpg"\tx\n']
)
def test_parts_of_one_set_are_refused_where_a_table_names_their_pictures(tmp_path: Path, table: str) -> None:
    make(tmp_path, "part_1", "part_2")
    (tmp_path / "a.csv").write_text("part,price\nscrew,3 EUR\n")
    assert load_task(tmp_path).class_names == ("part_1", "part_2")
    (tmp_path / "b.csv").write_text(table.format("3"))
    with pytest.raises(UserError, match=r"and the table 'b\.csv' \(columns"):
        load_task(tmp_path)


@pytest.mark.parametrize(
    "folders",
    [
        ("lower/sick/polyps", "lower/sound/cecum", "upper/sound/pylorus"),
        ("x/left/a", "x/left/b", "x/right/a", "y/left/c", "y/right/d"),
    ],
)
def test_folders_that_several_hold_are_refused_however_many_they_hold(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert "which hold the same folders" in refusal(make(tmp_path, *folders))


@pytest.mark.parametrize("beside", ["masks", "extra"])
@pytest.mark.parametrize("inner", ["images", "unlabeled", "train"])
def test_parts_without_classes_beside_other_pictures_are_refused(tmp_path: Path, inner: str, beside: str) -> None:
    told = refusal(make(tmp_path, f"train/{inner}", f"val/{inner}", beside))
    assert any(each in told for each in (beside, "no class folders", "given 1 class")), told


class Listed:
    """Files in memory, as a zip has them."""

    clock = Clock()
    root, empty, lost, notes = "", list[str](), list[tuple[str, str]](), list[str]()

    def __init__(self, contents: Mapping[str, str]) -> None:
        self.contents, self.names = contents, list(contents)

    def read(self, name: str, *, most: int) -> bytes:
        return self.contents[name].encode()

    def mark(self, name: str) -> str:
        return self.contents[name]


WORDS = "train Train test val a b c pets pets_train pets_test images data fold1 fold2 part_1 part_2 results dataset "
WORDS += "x_dataset 2020 2021 track1 cat 0 1 00001 unlabeled ä 100CANON set old masks run"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_folders_all_pictures_are_read_told_or_refused_in_any_order(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(150):
        words = draw.sample(WORDS.split(), draw.randint(2, 6))
        ways = ["/".join(draw.choices(words, k=draw.choice((1, 1, 2, 2, 3, 4)))) for _ in range(draw.randint(2, 8))]
        given = {f"{way}/{i}.png": f"{way.rpartition('/')[2]} {i}" for way in ways for i in range(draw.randint(1, 3))}
        top = f"{draw.choice(ways).partition('/')[0]}/"
        given |= {f"{words[0]}/{name}": text for name, text in given.items() if name.startswith(top)}
        results: list[Arranged | str] = []
        for names in (list(given), draw.sample(list(given), len(given))):
            try:
                results.append(arrange(Listed({each: given[each] for each in names}), names, [], given="x"))
            except UserError as problem:
                results.append(str(problem))
        first, second = results
        assert first == second
        if isinstance(first, Arranged):
            missed = len(given) - len(first.pictures)
            counts = re.findall(r"(?:left out|ignored) ([\d,]+) (?:picture|file)", "; ".join(first.notes))
            assert sum(int(each.replace(",", "")) for each in counts) >= missed
