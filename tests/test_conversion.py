"""What people hand over as images and labels becomes plain arrays, once and without loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from databases.datasets.arrays import kind_of_images, more_images
from databases.datasets.conversion import is_one_hot, missing, plain_array
from databases.datasets.loading import load_task
from databases.errors import UserError
from metad2a.search.estimator import MetaD2AClassifier

Y = np.arange(40) % 2
X = np.random.default_rng(0).integers(0, 256, (40, 12, 12), dtype=np.uint8)


@pytest.mark.parametrize(
    "x",
    [
        torch.from_numpy(X),
        torch.from_numpy(X)[:, None],
        (torch.from_numpy(X) / 255).requires_grad_(),
        list(torch.from_numpy(X)),
        [Image.fromarray(each) for each in X],
        np.array([*X, None], dtype=object)[:-1],
        np.ma.masked_array(X, mask=False),
    ],
)
def test_images_in_any_container_are_the_same_task(x: Any) -> None:
    assert load_task((x, Y)).fingerprint == load_task((X, Y)).fingerprint


COLOUR = [Image.fromarray(each) for each in np.random.default_rng(1).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)]


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "1", "I;16", "F", "some grey", "turned"])
@pytest.mark.parametrize("container", [list, tuple, pd.Series])
def test_images_of_pillow_are_what_their_files_are(tmp_path: Path, mode: str, container: Any) -> None:
    if mode == "some grey":
        images = [each.convert("L") if index % 3 else each for index, each in enumerate(COLOUR)]
    elif mode == "turned":
        images = [each.copy() for each in COLOUR]
        for each in images[:9]:
            each.getexif()[0x0112] = 6
    elif mode == "I;16":
        images = [Image.fromarray(each.astype(np.uint16) * 257) for each in X]
    else:
        images = [each.convert("L").convert(mode) if mode == "F" else each.convert(mode) for each in COLOUR]
    for index, each in enumerate(images):
        place = tmp_path / "01"[index % 2] / f"{index:02}.tif"
        place.parent.mkdir(exist_ok=True)
        (each if mode != "HSV" else each.convert("RGB")).save(place, exif=each.getexif())
    assert load_task((container(images), Y)).fingerprint == load_task(tmp_path).fingerprint
    assert plain_array(images[0]).shape[:2] == (12, 12)


def test_images_of_pillow_of_several_sizes_or_depths_are_refused() -> None:
    for other in (COLOUR[0].resize((5, 5)), Image.fromarray(X[0].astype(np.uint16))):
        images: Any = [*COLOUR[:39], other]
        with pytest.raises(UserError, match="bring the images to one size"):
            load_task((images, Y))


def test_tensors_of_types_that_numpy_lacks_become_floats() -> None:
    assert plain_array(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32


def test_a_list_of_tensors_and_arrays_is_one_array() -> None:
    values: list[Any] = [X[0], torch.ones(12, 12, requires_grad=True)]
    for each in (values, values[::-1]):
        assert plain_array(each).shape == (2, 12, 12)


@pytest.mark.filterwarnings("ignore:.*(quantized|nested|Sparse CSR):UserWarning")
@pytest.mark.parametrize("kind", ["sparse", "csr", "quantized", "meta", "nested", "jagged", "mkldnn"])
def test_tensors_that_no_array_can_hold_are_refused_in_one_line(kind: str) -> None:
    floats = torch.rand(40, 12)
    made: dict[str, Callable[[], Any]] = {
        "sparse": lambda: floats.to_sparse(),
        "csr": lambda: floats.to_sparse_csr(),
        "quantized": lambda: torch.quantize_per_tensor(floats, 1.0, 0, torch.quint8),
        "meta": lambda: floats.to("meta"),
        "nested": lambda: torch.nested.nested_tensor(list(floats)),
        "jagged": lambda: torch.nested.nested_tensor(list(floats), layout=torch.jagged),
        "mkldnn": lambda: floats.to_mkldnn(),
    }
    odd = made[kind]()
    for act in (
        lambda: load_task((odd, Y)),
        lambda: load_task((X, odd)),
        lambda: load_task((odd, Y), up_to=64),
        lambda: load_task(([odd], Y)),
        lambda: load_task((X, Y), groups=odd),
        lambda: MetaD2AClassifier(max_time=1).fit(odd, Y),
        lambda: MetaD2AClassifier(max_time=1).fit(X, odd),
        lambda: more_images(odd, kind_of_images(X, X[..., None], given="X"), given="X"),
    ):
        with pytest.raises(UserError, match="tensor of torch that no array can hold") as refusal:
            act()
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "y",
    [
        torch.from_numpy(Y),
        pd.Series(Y, dtype="Int64"),
        pd.Series(Y == 1, dtype="boolean"),
        pd.DataFrame({"label": Y}),
        Y.astype(object),
        [np.int8(each) for each in Y],
        pd.Series(Y, index=np.arange(40)[::-1]),
    ],
)
def test_labels_in_any_container_are_the_same_classes(y: Any) -> None:
    task, plain = load_task((X, y)), load_task((X, Y))
    label = {image.tobytes(): each for image, each in zip(X, Y, strict=True)}
    assert [label[image[..., 0].tobytes()] for image in task.images] == task.labels.tolist()
    assert task.class_names == ("0", "1") and task.fingerprint == plain.fingerprint


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_texts_of_pandas_are_texts(dtype: Any) -> None:
    task = load_task((X, pd.Series(np.where(Y, "dog", "cat"), dtype=dtype)))
    assert task.class_names == ("cat", "dog")


@pytest.mark.parametrize("absent", [None, float("nan"), pd.NA])
def test_text_of_numpy_of_any_length_is_text_and_may_be_missing(absent: Any) -> None:
    y: Any = np.where(Y, "dog", "cat").astype(np.dtypes.StringDType(na_object=absent))
    assert load_task((X, y)).class_names == load_task((X, y[:, None])).class_names == ("cat", "dog")
    assert (
        load_task((X, Y), groups=y).groups is not None
        and plain_array(y.astype(np.dtypes.StringDType())).dtype.kind == "U"
    )
    y[3] = absent
    assert missing(plain_array(y)) == [3]
    with pytest.raises(UserError, match=r"1 label missing .None or NaN., the first at 3"):
        load_task((X, y))
    with pytest.raises(UserError, match=r"1 are missing .None or NaN., the first at 3"):
        MetaD2AClassifier(max_time=1).fit(X, y)


def test_an_error_holds_no_whole_array() -> None:
    with pytest.raises(UserError, match=r"Complex data not supported.; allowed"):
        MetaD2AClassifier(max_time=1).fit(X, Y * 1j)


@pytest.mark.parametrize(
    "values", [[1, "1"], [True, "True"], [1.0, "1.0"], [b"a", "a"], ["a\0", "a"], [2**53, 2**53 + 1, 0.5], [True, 1]]
)
def test_a_list_of_labels_merges_no_two(values: list[Any]) -> None:
    labels = [values[i % len(values)] for i in range(len(X))]
    with pytest.raises(UserError, match="type object"):
        load_task((X, labels))
    with pytest.raises(UserError, match="type object"):
        load_task((X, tuple(labels)))


def test_text_in_arrays_of_objects_keeps_classes_apart() -> None:
    mixed = np.array([1, "1"] * 20, dtype=object)
    with pytest.raises(UserError, match="type object"):
        load_task((X, mixed))
    strange = np.where(Y, b"caf\xe9", b"caf\xe8")
    task = load_task((X, strange))
    assert task.class_names == ("caf?", "caf? (2)") and np.bincount(task.labels).tolist() == [20, 20]
    assert any("not UTF-8" in note for note in task.notes)


def test_missing_labels_are_found() -> None:
    assert missing(plain_array(pd.Series(["a", None, "b"], dtype="string"))) == [1]
    assert missing(plain_array(pd.Series([1, None], dtype="Int64"))) == [1]
    assert not missing(plain_array(["a", "b"]))


def test_masked_values_are_not_taken_for_real_ones() -> None:
    with pytest.raises(UserError, match="144 values missing"):
        plain_array(np.ma.masked_array(X, mask=np.arange(40)[:, None, None] * np.ones((40, 12, 12)) == 7))


def test_one_hot_labels_are_told_from_others() -> None:
    assert is_one_hot(np.eye(3)[Y]) and is_one_hot(np.eye(3, dtype=bool))
    assert not is_one_hot(Y[:, None]) and not is_one_hot(np.ones((4, 2))) and not is_one_hot(Y)
