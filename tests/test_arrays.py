"""Arrays and .npz files in every layout people save them in, and one clear line for the rest."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from databases.datasets import loading
from databases.datasets.archives import Zip
from databases.datasets.arrays import from_npz
from databases.datasets.npz import read_npz
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.errors import UserError

load_task = partial(loading.load_task, as_stored=True)  # places tell what became of each image

X = np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), dtype=np.uint8)
X[0, 0, 0, 0] = 255
Y = np.arange(20) % 2
GREY = X[..., 0]


def refusal(data: Any, **options: Any) -> str:
    """The one line with which data are refused."""
    with pytest.raises(UserError) as caught:
        load_task(data, **options)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("given") and "allowed" in message
    return message


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (X, X),
        (X.tolist(), X),
        (X.astype(np.int64), X),
        (X.astype(np.float32), X),
        (X / 255, X),
        (X.astype(np.uint16) * 257, X),
        (X.transpose(0, 3, 1, 2), X),
        (GREY, GREY[..., None]),
        (GREY[:, None], GREY[..., None]),
        (np.repeat(GREY[..., None], 3, axis=-1), GREY[..., None]),
        (GREY > 127, 255 * (GREY > 127)[..., None]),
    ],
)
def test_images_in_any_layout_and_range_are_the_same_pixels(x: Any, expected: np.ndarray[Any, Any]) -> None:
    task = load_task((x, Y))
    np.testing.assert_array_equal(task.images, expected)
    assert task.images.flags.c_contiguous and task.name == "arrays"


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (Y[:, None], ("0", "1")),
        (Y.astype(float), ("0", "1")),
        (Y.astype(bool), ("0", "1")),
        (8 * Y + 2, ("2", "10")),
        (np.where(Y, "dog", "cat"), ("cat", "dog")),
        (np.where(Y, "dog", "cat").astype(object), ("cat", "dog")),
        (np.where(Y, b"dog", b"cat"), ("cat", "dog")),
    ],
)
def test_labels_of_any_kind_are_class_numbers(y: Any, names: tuple[str, ...]) -> None:
    task = load_task((X, y))
    assert task.class_names == names
    np.testing.assert_array_equal(task.labels, Y)


def test_sizes_of_arrays_are_kept_up_to_64_pixels() -> None:
    for shape, kept in (((20, 28, 28), 28), ((20, 64, 64), 64), ((20, 65, 65), 32), ((20, 20, 30), 32)):
        task = load_task((np.full(shape, 12, np.uint8) * np.arange(20, dtype=np.uint8)[:, None, None], Y))
        assert task.resolution == kept
        assert bool(task.notes) == (shape[1:] != (kept, kept))
    assert load_task((X, Y), resolution=16).resolution == 16


HOLE = np.where(np.arange(12) == 5, np.nan, 0.5) * np.ones((20, 12, 1))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, Y[:19], "20 images and 19 labels"),
        (HOLE, Y, "NaN"),
        (np.full((20, 12, 12), np.inf), Y, "infinity"),
        (GREY - 128.0, Y, "values from -128"),
        (GREY * 2.0, Y, "to 510"),
        (np.full((20, 12, 12), 70_000), Y, "70,000"),
        (X[..., [0, 1, 2, 0]], Y, "(20, 12, 12, 4)"),
        (X[..., [0, 1, 2, 0]], Y, "leave transparency out, as x[..., :3]"),
        (X[..., [0, 1]], Y, "leave transparency out, as x[..., :1]"),
        (np.zeros((20, 3, 12, 3), np.uint8), Y, "(20, 3, 12, 3)"),
        (X.reshape(20, -1), Y, "(20, 432)"),
        (X[:0], Y[:0], "(0, 12, 12, 3)"),
        ([X[0], X[1, :5]], [0, 1], "type object"),
        (np.full((20, 12, 12), "a"), Y, "<U1"),
        (X, Y - 1, "label -1"),
        (X, Y + 0.5, "label 0.5"),
        (X, np.where(Y, np.nan, 0), "10 labels missing (None or NaN), the first at 1"),
        (X, Y + 2.0**60, "or give them as text, y.astype(str)"),
        (X, np.array(["2020-01-01", "2021-01-01"], "M8[D]")[Y], "give them as text, y.astype(str)"),
        (X, [1, "b"] * 10, "give them as text, y.astype(str)"),
        (X, np.eye(2)[Y], "argmax"),
        (X, [None] * 20, "20 labels missing"),
        (X, ["a", None] * 10, "10 labels missing (None or NaN), the first at 1"),
        (X, 0 * Y, "1 class ('0')"),
        (X, np.minimum(np.arange(20), 1), "class '0' with 1 image,"),
        (np.zeros((2_002, 8, 8), np.uint8), np.arange(2_002) // 2, "1,001 classes"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(x: Any, y: Any, message: str) -> None:
    assert message in refusal((x, y))


def test_npz_with_its_own_parts_keeps_them(tmp_path: Path) -> None:
    names = np.array(["cat", "emu", "dog"])
    path = save(tmp_path / "pets.npz", x_train=X, y_train=2 * Y, x_test=X[:6], y_test=2 * Y[:6], class_names=names)
    task = load_task(path)
    assert (task.name, task.class_names) == ("pets", ("cat", "dog"))
    assert np.bincount(task.parts).tolist() == [16, 4, 6]
    np.testing.assert_array_equal(task.part(TEST)[0], X[:6])
    np.testing.assert_array_equal(task.part(TEST)[1], Y[:6])
    assert task.notes[0] == "left out 1 of 3 class names that have no image: 'emu'"
    assert "6 of 6 images for test (100.0%) are copies" in task.notes[-1]
    whole = save(tmp_path / "b.npz", x_train=X, y_train=Y, x_val=X, y_val=Y, x_test=X, y_test=Y)
    assert [int((load_task(whole).parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)] == [20, 20, 20]


def test_npz_of_x_and_y_equals_the_arrays(tmp_path: Path) -> None:
    assert load_task(save(tmp_path / "a.npz", x=X, y=Y)).fingerprint == load_task((X, Y)).fingerprint


def test_class_names_give_labels_their_meaning(tmp_path: Path) -> None:
    words = np.where(Y, "ant", "bee")
    task = load_task(save(tmp_path / "a.npz", x=X, y=words, class_names=["bee", "ant"]))
    assert task.class_names == ("bee", "ant") and task.labels.tolist() == Y.tolist()
    same = load_task(save(tmp_path / "b.npz", x=X, y=Y, class_names=["crane", "crane"]))
    assert same.class_names == ("crane", "crane (2)") and "repeat" in same.notes[0]
    assert "'ant' that is not" in refusal(save(tmp_path / "c.npz", x=X, y=words, class_names=["bee", "fly"]))
    assert "label 1 and 1 class_names" in refusal(save(tmp_path / "d.npz", x=X, y=Y, class_names=["bee"]))


def test_npz_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    assert "without y but with x, z" in refusal(save(tmp_path / "a.npz", x=X, z=Y))
    assert "without y_test" in refusal(save(tmp_path / "b.npz", x_train=X, y_train=Y, x_test=X))
    sizes = save(tmp_path / "c.npz", x_train=X, y_train=Y, x_test=X[:, :9, :9], y_test=Y)
    assert "(12, 12, 3) and (9, 9, 3)" in refusal(sizes)
    (tmp_path / "d.npz").write_bytes(pickle.dumps([X, Y]))
    assert "not a zip file" in refusal(tmp_path / "d.npz")
    assert "allowed are 5,000 bytes" in refusal(save(tmp_path / "e.npz", x=X, y=Y), max_bytes=5_000)


class Trap:
    """Would leave a trace if it were ever unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled",))


def test_python_objects_in_npz_are_never_unpickled(tmp_path: Path) -> None:
    traps = np.array([Trap()] * 20, dtype=object)
    for key in ("x", "y", "class_names"):
        arrays = {"x": X, "y": Y, key: traps}
        assert f"array '{key}' cannot be read" in refusal(save(tmp_path / f"{key}.npz", **arrays))


@pytest.mark.parametrize("claim", [b"(99999,12,12),}", b"(9**999,12,12)}", b"(9999999999999)"])
def test_an_array_with_a_false_header_is_refused(tmp_path: Path, claim: bytes) -> None:
    buffer = io.BytesIO()
    np.save(buffer, GREY)
    false = buffer.getvalue().replace(b"(20, 12, 12), }", claim)
    with zipfile.ZipFile(save(tmp_path / "a.npz", y=Y), "a") as archive:
        archive.writestr("x.npy", false)
    assert false != buffer.getvalue() and "array 'x' cannot be read" in refusal(tmp_path / "a.npz")


def test_large_arrays_are_sampled_evenly() -> None:
    task = load_task((X, Y), max_images=10)
    assert np.bincount(task.labels).tolist() == [5, 5]
    sources = [next(i for i in range(20) if (X[i] == image).all()) for image in task.images]
    assert task.labels.tolist() == Y[sources].tolist() and sources == sorted(sources)
    (note,) = task.notes
    assert note.startswith("looked at 10 of 20 images, the same share of each class")


def test_digits_of_scikit_learn() -> None:
    task: Task = load_task("sklearn:digits")
    assert task.images.shape == (1797, 8, 8, 1) and task.images.max() == 255
    assert task.class_names == tuple("0123456789") and task.notes == ()


def test_a_large_npz_is_read_without_a_second_copy_of_its_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4_000, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(4_000) % 2
    path = save(
        tmp_path / "a.npz", x_train=images[:3_000], y_train=labels[:3_000], x_test=images[3_000:], y_test=labels[3_000:]
    )
    tracemalloc.start()
    with closing(Zip(path)) as archive:
        loaded = from_npz(read_npz(archive, given="a"), given="a", resolution=None, most=10_000, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(loaded.images, images)
    assert peak < 1.5 * images.nbytes


def test_an_empty_part_is_none(tmp_path: Path) -> None:
    task = load_task(save(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:0], y_test=Y[:0]))
    assert "x_test is empty" in task.notes[0] and (task.parts == TEST).any()


def test_what_was_pickled_is_refused_with_advice_that_helps(tmp_path: Path) -> None:
    for labels in (["a", "b"], [1, 2]):
        objects = np.array(labels * 10, dtype=object)
        assert "labels and names as array.astype(str)" in refusal(save(tmp_path / "a.npz", x=X, y=objects))
        assert load_task(save(tmp_path / "b.npz", x=X, y=objects.astype(str))).class_names == tuple(map(str, labels))
    images = np.empty(len(X), dtype=object)
    images[:] = list(X)
    assert "images of one size as numpy.stack(images)" in refusal(save(tmp_path / "a.npz", x=images, y=Y))
    assert load_task(save(tmp_path / "c.npz", x=np.stack(list(X)), y=Y)).images.shape[1:3] == X.shape[1:3]


def test_every_array_of_a_file_is_used_told_or_refused(tmp_path: Path) -> None:
    y, test = np.arange(len(X)) % 2, {"x_test": X[:6], "y_test": np.arange(6) % 2}
    parts = load_task(save(tmp_path / "a.npz", x=X, y=y, **test)).parts
    assert np.count_nonzero(parts == TEST) == 6
    valid = {"x_valid": X[:4], "y_valid": np.arange(4) % 2}
    parts = load_task(save(tmp_path / "b.npz", x_train=X, y_train=y, **valid)).parts
    assert np.count_nonzero(parts == VALIDATION) == 4
    grouped = load_task(save(tmp_path / "c.npz", x=X, y=y, group=np.arange(len(X)) // 2))
    assert any("groups" in note for note in grouped.notes)
    noted = load_task(save(tmp_path / "d.npz", x=X, y=y, ids=np.arange(len(X)), year=np.arange(3))).notes
    assert "did not look at the arrays 'ids', 'year' of the file" in noted
    for strays in (("Y_val",), ("x_tset", "y_tset"), ("x2", "y2"), ("X",), ("x_development",)):
        told = f"with {', '.join(map(repr, strays))} beside 'x', 'y'"
        assert told in refusal(save(tmp_path / "e.npz", x=X, y=y, **dict.fromkeys(strays, X)))
    others = {"x_mean": X.mean(0), "y_names": np.array(["a", "b"]), "group": np.array("mnist")}
    noted = load_task(save(tmp_path / "h.npz", x=X, y=y, **others)).notes
    assert "did not look at the arrays 'group', 'x_mean', 'y_names' of the file" in noted
    twice = {"x_train": X, "y_train": y}
    assert "'x', 'x_train', 'y', ..." in refusal(save(tmp_path / "f.npz", x=X, y=y, **twice))
    assert "without y_test" in refusal(save(tmp_path / "g.npz", x=X, y=y, x_test=X[:6]))


def test_what_could_be_two_layouts_says_which() -> None:
    said = refusal((np.zeros((30, 3, 16, 3)), np.arange(30) % 2))
    assert "of shape (30, 3, 16, 3), whose channels may be the second place or the last; allowed" in said
