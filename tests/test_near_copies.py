"""What belongs together stays on one side of a split; clean data are split as ever; and what to be wary of is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from databases.datasets import loading
from databases.datasets.group_split import divide
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task, split
from databases.errors import UserError

load_task = partial(loading.load_task, as_stored=True)  # places tell what became of each image

RNG = np.random.default_rng(0)
CLEAN = RNG.integers(0, 256, (120, 16, 16, 3), dtype=np.uint8)
Y = np.arange(120) % 2
XY = (("x", CLEAN[:40]), ("y", Y[:40]))


def smooth(count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Different pictures of soft shapes, (count, 40, 40, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(each).resize((40, 40), Image.Resampling.BICUBIC)) for each in small])


def tracks(count: int, frames: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Frames of each picture that wander, darken and are noisy, and the track of each."""
    rng, found = np.random.default_rng(1), []
    for scene in smooth(count):
        for frame in range(frames):
            left, top = rng.integers(0, 5, 2)
            cut = scene[top : top + 32, left : left + 32].astype(float) * (1 - 0.02 * frame) + rng.normal(
                0, 6, (32, 32, 3)
            )
            found.append(np.clip(cut, 0, 255))
    return np.stack(found).astype(np.uint8), np.repeat(np.arange(count), frames)


def torn(parts: np.ndarray[Any, Any], groups: np.ndarray[Any, Any]) -> int:
    """How many groups lie in more than one part."""
    return sum(len(set(parts[groups == group].tolist())) > 1 for group in np.unique(groups))


def told(task: Task) -> str:
    return "; ".join(task.notes)


def test_clean_images_are_split_as_ever() -> None:
    for x in (CLEAN, smooth(120)[:, :32, :32]):
        task = load_task((x, Y))
        np.testing.assert_array_equal(task.parts, split(task.labels))
        assert task.groups is None and not task.notes


@pytest.mark.parametrize(("count", "frames"), [(24, 10), (60, 4), (16, 30)])
def test_frames_of_one_track_stay_together(count: int, frames: int) -> None:
    x, track = tracks(count, frames)
    task = load_task((x, track % 2))
    torn_before, torn_now = torn(split(track % 2), track), torn(task.parts, track)
    assert torn_before > 0.8 * count and torn_now <= 0.1 * count
    assert "stay together" in told(task)
    for part, share in ((VALIDATION, 0.2), (TEST, 0.2)):
        assert abs((task.parts == part).mean() - share) < 0.08


def test_copies_of_a_picture_stay_together_however_they_were_saved() -> None:
    bright = np.clip(CLEAN[:20] * 0.8 + 20, 0, 255).astype(np.uint8)
    x, y = np.concatenate([CLEAN, CLEAN[:20], bright]), np.concatenate([Y, Y[:20], Y[:20]])
    task = load_task((x, y))
    picture = np.concatenate([np.arange(120), np.arange(20), np.arange(20)])
    assert torn(task.parts, picture) == 0 and "60 images in 20 groups" in told(task)
    assert torn(load_task((x, y), groups="none").parts, picture) > 5


def test_the_same_pictures_in_two_classes_are_told_and_stay_together() -> None:
    x, y = np.concatenate([CLEAN, CLEAN[:6]]), np.concatenate([Y, 1 - Y[:6]])
    task = load_task((x, y))
    assert "12 images show the same as one of another class: 'image 0' of '0' and 'image 120' of '1', ..." in told(task)
    assert torn(task.parts, np.concatenate([np.arange(120), np.arange(6)])) == 0


def test_copies_across_the_parts_that_data_bring_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=CLEAN[:80], y_train=Y[:80], x_test=CLEAN[70:], y_test=Y[70:])
    assert "10 of 50 images for test (20.0%) are copies or near copies of training or validation images" in told(
        load_task(tmp_path / "a.npz")
    )


def test_imbalance_and_what_the_largest_class_alone_gives_are_told() -> None:
    y = (np.arange(120) < 6).astype(int)
    task = load_task((CLEAN, y))
    assert "always answering '0' is right for 95.0%" in told(task) and "'1' has 6" in told(task)
    assert "imbalanced" not in told(load_task((CLEAN, Y)))


def test_a_class_absent_from_a_part_is_told(tmp_path: Path) -> None:
    x, y = CLEAN[:100], np.arange(100) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_val=CLEAN[100:], y_val=Y[100:])
    assert "a class has no image for validation, which tells nothing of '2'" in told(load_task(tmp_path / "a.npz"))


def pictures(root: Path, names: list[str]) -> Path:
    for index, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(CLEAN[index]).save(root / name)
    return root


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["Cat", "cat", "dog"], "the classes 'Cat' and 'cat' differ in capitals"),
        (["dog", "cat ", "cat"], "the classes 'cat' and 'cat ' differ in"),
        (["1", "01", "1.0", "10"], "the classes '01' and '1' and '1.0' differ in"),
        (["caf\u00e9", "cafe\u0301"], "numbered different classes whose names look alike: 'caf\u00e9'"),
        (["1", "\uff11", "red  kite", "Red Kite"], "the classes '1' and '\uff11', and 1 more such, differ in"),
    ],
)
def test_classes_that_a_reader_takes_for_one_are_told_in_one_note(names: list[str], words: str) -> None:
    task = load_task((CLEAN, np.array(names)[np.arange(len(CLEAN)) % len(names)]))
    assert told(task).count(words) == 1 and task.classes == len(names)
    assert sum("differ in capitals" in note or "look alike" in note for note in task.notes) == 1


def test_classes_that_differ_in_more_are_not_told_of() -> None:
    task = load_task((CLEAN, np.array(["cat", "cats", "c at"])[np.arange(len(CLEAN)) % 3]))
    assert "differ in capitals" not in told(task)


def by_name(task: Task, groups: list[str]) -> int:
    """How many of the groups, in the order of the images, are torn."""
    return torn(task.parts, np.array(groups))


FOLDERS = [f"{c}/t{t}/{i}.png" for c in "ab" for t in range(10) for i in range(5)]
PREFIXES = [f"{c}/t{t}_{i}.png" for c in "ab" for t in range(10) for i in range(5)]


def test_users_name_groups_by_folder_prefix_or_table(tmp_path: Path) -> None:
    folders, prefixes = pictures(tmp_path / "f", FOLDERS), pictures(tmp_path / "p", PREFIXES)
    expected = [f"{c}{t}" for c in "ab" for t in range(10) for i in range(5)]
    assert by_name(load_task(folders), expected) > 10
    assert by_name(load_task(folders, groups="folder"), expected) == 0
    task = load_task(prefixes, groups="prefix")
    assert by_name(task, expected) == 0 and "100 images in 10 groups (the groups that were named)" in told(task)
    table = tmp_path / "g.csv"
    rows = ["gone.png,a/t0", *(f"{name},{name.split('_')[0]}" for name in PREFIXES[:90])]
    table.write_text("\n".join(["file,group", *rows]))
    task = load_task(prefixes, groups=table)
    assert by_name(task, expected) <= 2 and "in no group of g.csv, and so each by itself: 10 pictures" in told(task)
    assert "found no picture for 1 file of g.csv: 'gone.png'" in told(task)
    more = [f"{row},1,1,1,1" for row in rows]
    table.write_text("\n".join(["file,group,class,class,label,split", *more]))
    assert "took the column" not in told(load_task(prefixes, groups=table))  # of what tells no group


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ("tracks", "given the groups 'tracks'; allowed are folder"),
        ("folder", "leaves each picture by itself"),
        ("b.csv", "without the columns file and group"),
        ("out.csv", "line 2, names '../a/t0_0.png', which leads out of the folder"),
        ("elsewhere.csv", "with 2 files that are no pictures there .'c/t0_0.png', 'c/t0_1.png'"),
        ("twice.csv", "line 3, with another group for 'b/t0_0.png' than before"),
    ],
)
def test_groups_that_cannot_be_are_refused(tmp_path: Path, groups: str, words: str) -> None:
    data = pictures(tmp_path / "p", PREFIXES)
    (tmp_path / "b.csv").write_text("name,track\n1,2\n")
    (tmp_path / "twice.csv").write_text("file,group\nb/t0_0.png,1\nb/t0_0.png,2\n")
    for name, folder in (("out.csv", "../a"), ("elsewhere.csv", "c")):
        (tmp_path / name).write_text(f"file,group\n{folder}/t0_0.png,1\n{folder}/t0_1.png,1\n")
    with pytest.raises(UserError, match=words):
        load_task(data, groups=str(tmp_path / groups) if "." in groups else groups)
    with pytest.raises(UserError, match="for arrays"):
        load_task((CLEAN, Y), groups="folder")
    with pytest.raises(UserError, match="for each image; match them"):
        load_task((CLEAN, Y), groups=[1, 2])


def test_groups_of_arrays_are_numbers_or_texts(tmp_path: Path) -> None:
    track = np.arange(120) // 6
    for groups in (track, [f"t{each}" for each in track]):
        assert torn(load_task((CLEAN, Y), groups=groups).parts, track) == 0
    np.savez(tmp_path / "a.npz", x=CLEAN, y=Y, groups=track)
    assert torn(load_task(tmp_path / "a.npz").parts, track) == 0
    assert torn(load_task(tmp_path / "a.npz", groups="none").parts, track) > 5


def test_a_table_of_labels_may_tell_groups(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(60)]
    pictures(tmp_path, names)
    rows = [f"{name},{'ab'[i // 30]},{i // 6}" for i, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class,group", *rows]))
    assert torn(load_task(tmp_path).parts, np.arange(60) // 6) == 0


BOTH = [f"{c}/s{t}/{i}.png" for c in "ab" for t in range(8) for i in range(3)]


def test_a_folder_of_one_name_in_several_classes_is_one_group(tmp_path: Path) -> None:
    task = load_task(pictures(tmp_path, BOTH), groups="folder")
    assert by_name(task, [name.split("/")[1] for name in BOTH]) == 0 and "48 images in 8 groups" in told(task)
    assert "folders of the same name in several classes as one group: 's0', 's1', 's2', ..." in told(task)
    assert "same name in several classes" not in told(load_task(pictures(tmp_path / "c", FOLDERS[:50]), groups="auto"))


def test_validation_is_drawn_by_groups_of_the_training_part_alone(tmp_path: Path) -> None:
    names = [f"{part}/{c}/s{t}/{i}.png" for part in ("train", "test") for c in "ab" for t in range(4) for i in range(3)]
    task = load_task(pictures(tmp_path, names), groups="folder")
    subjects = np.array([name.split("/")[2] for name in sorted(names)])  # as pictures are read
    drawn, trained = (set(subjects[task.parts == part]) for part in (VALIDATION, TRAIN))
    assert len(drawn) == 1 and not drawn & trained and (task.parts == TEST).sum() == 24
    assert "stay together when images for validation are drawn from the training part" in told(task)
    assert "folders of the same name are in several parts: 's0', 's1', 's2', ...; if each is one subject" in told(task)


def test_a_group_without_images_elsewhere_is_drawn_first() -> None:
    labels, parts = np.arange(24) % 2, np.repeat([TRAIN, TEST], [16, 8]).astype(np.uint8)
    groups = np.concatenate([np.repeat(np.arange(8), 2), np.repeat(np.arange(4), 2)])
    found = divide(labels, parts, groups=groups, validation=0.2, test=0.0)
    assert set(groups[found == VALIDATION]) <= {4, 5, 6, 7} and (found == VALIDATION).any()


def test_named_groups_in_several_parts_as_given_are_told(tmp_path: Path) -> None:
    pictures(tmp_path / "t", [f"{i}.png" for i in range(40)])
    part, patient = np.repeat([TRAIN, VALIDATION, TEST], [24, 8, 8]), np.arange(40) % 5
    rows = [f"{i}.png,{'ab'[i % 2]},{['train', 'val', 'test'][part[i]]},p{patient[i]}" for i in range(40)]
    (tmp_path / "t" / "labels.csv").write_text("\n".join(["file,class,part,patient", *rows]))
    halves = {f"{xy}_{name}": what[part == i] for i, name in enumerate(("train", "val", "test")) for xy, what in XY}
    np.savez(tmp_path / "a.npz", **halves, groups=patient)
    np.savez(tmp_path / "b.npz", **halves, groups=np.arange(40) // 4)
    for data in ("t", "a.npz"):
        notes = told(load_task(tmp_path / data))
        assert "40 images are in 5 groups (the groups that were named); all parts are as given" in notes
        assert "5 of 5 groups for validation have images for training too" in notes and "drawn from" not in notes
        assert "5 of 5 groups for test have images for training or validation too" in notes
    assert "as given" in (notes := told(load_task(tmp_path / "b.npz"))) and "too, such as" not in notes


def test_no_part_is_empty_however_large_groups_are() -> None:
    for seed in range(5):
        labels, groups = np.arange(30) // 15, np.arange(30) // 5
        parts = divide(labels, groups=groups, seed=seed)
        assert [np.bincount(labels[parts == part]).tolist() for part in (TRAIN, VALIDATION, TEST)] == [[5, 5]] * 3
        assert torn(parts, groups) == 0


def test_a_part_without_an_image_is_told_with_the_reason(tmp_path: Path) -> None:
    task = load_task((CLEAN[:20], np.arange(20) // 10), groups=np.arange(20) // 10)
    for use in ("validation", "test"):
        assert f"no image for {use}: it is drawn from the 2 groups of training images, and without any" in told(task)
    np.savez(tmp_path / "a.npz", x_train=CLEAN[:2], y_train=[0, 1], x_test=CLEAN[2:4], y_test=[0, 1])
    assert "no image for validation: it is drawn from the training images, of which" in told(
        load_task(tmp_path / "a.npz")
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 8), min_size=6, max_size=30), st.integers(1, 3), st.integers(0, 3))
def test_groups_are_never_torn_and_every_class_keeps_a_training_image(
    sizes: list[int], classes: int, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.random.default_rng(seed).integers(0, classes, len(groups)) if classes > 1 else groups % 2
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    parts = divide(labels, groups=groups, seed=seed)
    assert torn(parts, groups) == 0
    assert set(labels[parts == TRAIN]) == set(labels)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=60), st.integers(0, 3))
def test_without_groups_parts_are_those_of_the_plain_split(labels: list[int], seed: int) -> None:
    numbers = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    np.testing.assert_array_equal(divide(numbers, seed=seed), split(numbers, seed=seed))


def test_of_very_many_images_exact_copies_are_grouped_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("databases.datasets.loading.MOST_LOOKED_AT", 50)
    x, y = np.concatenate([CLEAN, CLEAN[:20]]), np.concatenate([Y, Y[:20]])
    task = load_task((x, y))
    assert torn(task.parts, np.concatenate([np.arange(120), np.arange(20)])) == 0
    assert "exact copies only" in told(task) and "40 images in 20 groups" in told(task)
