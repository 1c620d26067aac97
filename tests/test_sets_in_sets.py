"""Sets within folders of their own, copies of a set within it, and sets whose folders tell no classes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_class_folders import make, picture, refusal, sizes, told

from databases.datasets.loading import load_task
from databases.datasets.names import parts_of, series
from databases.datasets.task import TEST, TRAIN, VALIDATION


def below(*ways: str, classes: Sequence[str] = ("a", "b")) -> list[str]:
    return [f"{way}/{each}" for way in ways for each in classes]


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("rps", "rps-test-set"), (TRAIN, TEST)),
        (("pets_train", "pets_test", "PetsValid"), (TRAIN, TEST, VALIDATION)),
        (("horse-or-human", "validation-horse-or-human"), (TRAIN, VALIDATION)),
        (("rps", "rps-train", "rps-test"), ()),
        (("rps", "cards-test"), ()),
        (("rps", "rps2-test"), ()),
        (("cats_test", "dogs_test"), ()),
        (("images", "images_test"), ()),
        (("rps-val", "rps-test"), ()),
        (("a", "b"), ()),
    ],
)
def test_parts_are_told_by_what_names_have_in_common(folders: tuple[str, ...], parts: tuple[int, ...]) -> None:
    assert parts_of(folders) == dict(zip(folders, parts, strict=False))


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        (("rps/rps", "rps-test-set/rps-test-set"), [8, 2, 10]),
        (("archive/rps/rps", "archive/rps-test-set/rps-test-set"), [8, 2, 10]),
        (("rps", "rps-test-set"), [8, 2, 10]),
        (("horse-or-human", "validation-horse-or-human"), [8, 10, 2]),
        (("pets_train/pets", "pets_test/images"), [8, 2, 10]),
        (("pets_train/v2", "pets_test/v1"), [8, 2, 10]),
        (("dataset/train/train", "dataset/test/test"), [8, 2, 10]),
        (("archive/images/images",), [5, 3, 2]),
        (("data/raw",), [6, 2, 2]),
    ],
)
def test_folders_that_alone_wrap_the_classes_are_taken_off(
    tmp_path: Path, ways: tuple[str, ...], expected: list[int]
) -> None:
    make(tmp_path, *below(*ways))
    for results in ("data/results", "output"):
        (tmp_path / results).mkdir(parents=True)
    (tmp_path / "output" / "notes.txt").write_text("x")
    task = load_task(tmp_path)
    assert task.class_names == ("a", "b") and sizes(task) == expected


def test_pictures_without_classes_in_a_part_of_its_own_are_told(tmp_path: Path) -> None:
    for place, test in (
        ("x/x_train/x_train", "x/x_test/x_test"),
        ("train", "test/test"),
        ("train/train", "test/images"),
    ):
        root = make(tmp_path / place.replace("/", "_"), *below(place), test)
        task = load_task(root)
        assert task.class_names == ("a", "b") and f"left out 5 pictures in {test!r}" in told(task)
    assert "class 'c'" in refusal(make(tmp_path / "x", *below("train"), "test/c"))


@pytest.mark.parametrize(
    "ways",
    [("set1/set1", "set2/set2"), ("siteA/images", "siteB/photos"), ("x/y/z", "v/w"), ("siteA/data", "siteB/data")],
)
def test_sets_in_wrappers_are_refused_as_without_these(tmp_path: Path, ways: tuple[str, ...]) -> None:
    assert "hold the same folders 'a', 'b': either may be the classes" in refusal(make(tmp_path, *below(*ways)))


@pytest.mark.parametrize("results", ["data/results", "data/outputs", "runs"])
def test_pictures_that_programs_wrote_make_no_class_of_all_data(tmp_path: Path, results: str) -> None:
    message = refusal(make(tmp_path, *below("data/raw"), results))
    assert "holds 'a', 'b'" in message and f"take {results.rpartition('/')[2]!r} away if no class" in message


@pytest.mark.parametrize(
    "folders",
    [
        ("a/images", "b/images"),
        ("a/a", "b/b"),
        ("a/images", "b"),
        ("a/x/track1", "a/x/track2", "b/y/track1", "b/y/track2"),
        ("a/2020/jan", "a/2020/feb", "b/2021/jan", "b/2021/feb"),
        ("a/line1/day_1/left", "a/line1/day_1/right", "b/line2/day_3/left", "b/line2/day_3/right"),
        ("a/SOB/40X", "a/SOB/100X", "b/SOB/40X", "b/SOB/100X"),
        ("a/pets/cat", "a/pets/dog", "b/trees/oak", "b/trees/elm"),
        ("a/in", "a/out", "b/results"),
    ],
)
def test_folders_within_class_folders_stay_so(tmp_path: Path, folders: tuple[str, ...]) -> None:
    assert load_task(make(tmp_path, *folders)).class_names == ("a", "b")


@pytest.mark.parametrize(
    "names",
    [("cat", "cat_test"), ("cat/in", "cat/out", "cat_test/pics"), ("cat/2020", "cat/2021", "cat_test/2020")],
)
def test_classes_that_are_called_alike_are_no_parts(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert load_task(make(tmp_path, *names)).class_names == ("cat", "cat_test")


COPIES = [
    (below("flowers"), "flowers", "flowers/flowers"),
    (["a", "b"], ".", "set"),
    (["a", "b"], ".", "all/images"),
    ([*below("x/train"), *below("x/test")], "x", "x/x"),
    ([*below("train"), *below("test")], "train", "train/train"),
]


@pytest.mark.parametrize(("folders", "root", "into"), COPIES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_copy_of_all_classes_within_is_left_out_and_told(
    tmp_path: Path, folders: list[str], root: str, into: str, packed: bool
) -> None:
    data = make(tmp_path / "data", *folders)
    before = load_task(data)
    (data / root / "Thumbs.db").write_bytes(b"x")
    shutil.copytree(data / root, tmp_path / "aside")
    shutil.move(tmp_path / "aside", data / into)
    place = Path(shutil.make_archive(str(tmp_path / "data"), "zip", data)) if packed else data
    task = load_task(place)
    assert task.fingerprint == before.fingerprint and sizes(task) == sizes(before)
    assert "the same, by names and contents, lie in" in told(task)
    assert len(load_task(place, groups="none").images) == len(before.images)


@pytest.mark.parametrize("change", ["content", "more", "class"])
@pytest.mark.parametrize(("folders", "root", "into"), COPIES)
def test_a_second_set_of_all_classes_within_is_refused(
    tmp_path: Path, folders: list[str], root: str, into: str, change: str
) -> None:
    data = make(tmp_path / "data", *folders)
    shutil.copytree(data / root, tmp_path / "aside")
    shutil.move(tmp_path / "aside", data / into)
    one = next((data / into).rglob("a/0.png"))
    if change == "content":
        one.write_bytes(one.read_bytes()[:-1] + b"x")
    elif change == "more":
        (one.parent / "9.png").write_bytes(picture(9))
    else:
        make(data / into, "c")
    assert "holds folders of these names again, with other pictures" in refusal(data)


def test_two_further_sets_are_refused_and_one_is_a_class_by_the_users_word(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", *below("bright"), *below("dark"))
    assert "'bright', which holds" in refusal(tmp_path)
    assert load_task(tmp_path, groups="folder").class_names == ("a", "b", "bright", "dark")


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (("a", "b", "c", "old/a"), 4),
        (("a", "b", "c", "old/a", "old/b"), 4),
        (("a", "b", "c/a"), 3),
        (("a", "b", "c/x/1", "c/x/2"), 3),
        (("a/a", "b"), 2),
    ],
)
def test_a_folder_that_holds_some_names_again_is_a_class(
    tmp_path: Path, folders: tuple[str, ...], classes: int
) -> None:
    assert len(load_task(make(tmp_path, *folders)).class_names) == classes


def test_what_only_a_copy_holds_is_not_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    for each in ("a", "b"):
        shutil.copytree(tmp_path / each, tmp_path / "set" / each)
    make(tmp_path, "set/c", ending=".dcm")
    assert "in which no picture can be read" in refusal(tmp_path)


def named(root: Path, *files: str) -> Path:
    """Pictures of these names."""
    for index, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(picture(index))
    return root


@pytest.mark.parametrize("further", [("test1/1.jpg", "test1/2.jpg"), ("test_stg2/1.jpg",), ("test/1.jpg",), ()])
@pytest.mark.parametrize("place", ["train", "dogs-vs-cats/train", "train/train"])
def test_classes_in_the_names_of_files_are_seen_and_refused(tmp_path: Path, place: str, further: list[str]) -> None:
    top = place.partition("train")[0]
    files = [f"{place}/{name}.{index}.jpg" for name in ("cat", "dog") for index in range(4)]
    message = refusal(named(tmp_path, *files, *(f"{top}{file}" for file in further)))
    assert "no class folders in a train folder (their names begin with 'cat', 'dog'" in message
    assert "put a labels.csv with the columns file and class beside them" in message


@pytest.mark.parametrize("place", ["", "images/"])
def test_classes_in_the_names_of_loose_files_are_told(tmp_path: Path, place: str) -> None:
    files = [f"{place}{name}_{index}.jpg" for name in ("pug", "great_dane") for index in range(4)]
    assert "their names begin with 'great_dane', 'pug'" in refusal(named(tmp_path, *files))


def test_a_class_called_train_stays_one_whatever_its_files_are_called(tmp_path: Path) -> None:
    named(tmp_path, *(f"{of}/{by}_{at}.jpg" for of in ("train", "train_station") for by in "xy" for at in range(4)))
    assert load_task(tmp_path).class_names == ("train", "train_station")


@pytest.mark.parametrize(
    "folders",
    [
        ("HAM10000_images_part_1", "HAM10000_images_part_2"),
        ("part1", "part2"),
        ("images_001/images", "images_002/images"),
        ("archive/batch-1", "archive/batch-2"),
    ],
)
def test_parts_of_one_set_with_a_table_beside_are_no_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    make(tmp_path, *folders)
    assert "though by their names they are parts of one set" in told(load_task(tmp_path))
    (tmp_path / "meta.csv").write_text("lesion_id,image_id,dx\n1,0,x\n")
    message = refusal(tmp_path)
    assert "by their names parts of one set, and the table 'meta.csv' (columns lesion_id, image_id, dx)" in message
    assert "save the table as labels.csv" in message
    assert len(load_task(tmp_path, groups="none").class_names) == 2
    rows = [
        f"{each.relative_to(tmp_path).with_suffix('')},{'xy'[at % 2]}"
        for at, each in enumerate(tmp_path.rglob("*.png"))
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["image_id,class", *rows]))
    assert load_task(tmp_path).class_names == ("x", "y")


@pytest.mark.parametrize(
    "folders",
    [
        ("0", "1"),
        ("grade_1", "grade_2"),
        ("class1", "class2"),
        ("part1", "cat"),
        ("part_1", "batch_2"),
        ("session1", "session2"),
    ],
)
def test_numbered_classes_with_a_table_beside_stay_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    make(tmp_path, *folders)
    (tmp_path / "meta.csv").write_text("a,b\n1,2\n")
    assert set(load_task(tmp_path).class_names) == set(folders) and not series(folders)


@pytest.mark.parametrize(
    "file",
    [
        "$RECYCLE.BIN/S-1-5/$R1.png",
        "$Recycle.Bin/S-1-5/x.dat",
        "System Volume Information/IndexerVolumeGuid",
        "lost+found/#12.png",
        "a/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/old/1.png",
        "@Recycle/1.png",
        ".Trashes/501/1.png",
        "__pycache__/x.pyc",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_folders_of_systems_are_passed_over_and_told(tmp_path: Path, file: str, packed: bool) -> None:
    data = make(tmp_path / "data", "a", "b")
    named(data, file)
    task = load_task(Path(shutil.make_archive(str(tmp_path / "data"), "zip", data)) if packed else data)
    assert task.class_names == ("a", "b") and len(task.images) == 10
    assert ("ignored 1 file" if packed else "ignored 1 hidden folder") in told(task)


def test_small_copies_and_classes_of_such_names_are_told(tmp_path: Path) -> None:
    task = load_task(make(tmp_path, "fists", "palms", "Thumbs"))
    assert len(task.class_names) == 3 and "took the folder 'Thumbs' for a class: take it away if" in told(task)
