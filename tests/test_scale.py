"""The value that is white: never guessed from one value, always told, and the same when predicting as when fitting."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from databases.datasets.arrays import kind_of_images, more_images
from databases.datasets.decoding import read_picture
from databases.datasets.loading import load_task
from databases.datasets.scale import number
from databases.datasets.task import Task
from databases.errors import UserError

Y = np.arange(40) % 2
NOISE = np.random.default_rng(0).random((40, 12, 12))
BYTES = (NOISE * 255).round().astype(np.uint8)


def told(task: Task) -> str:
    return "; ".join(task.notes)


as_given = partial(load_task, as_stored=True)  # in the order of what they are compared with


def refusal(x: Any) -> str:
    with pytest.raises(UserError) as caught:
        as_given((x, Y))
    assert "\n" not in str(caught.value) and "; allowed" in str(caught.value)
    return str(caught.value)


def with_one(value: float, x: Any = NOISE * 0.5) -> np.ndarray[Any, Any]:
    changed = np.array(x)
    changed[3, 5, 5] = value
    return changed


def cubic(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Images enlarged so that sharp edges overshoot."""
    enlarged = [Image.fromarray(each.astype(np.float32)).resize((32, 32), Image.Resampling.BICUBIC) for each in x]
    return np.stack([np.asarray(each) for each in enlarged])


@pytest.mark.parametrize("value", [1.0000000000000004, 1.0000001, 1.01, 1.3, -0.0001])
def test_one_value_a_little_outside_is_clipped_and_told(value: float) -> None:
    task = as_given((with_one(value), Y))
    np.testing.assert_array_equal(task.images[0], as_given((with_one(0.5), Y)).images[0])
    assert task.images[3, 5, 5] == (255 if value > 1 else 0)
    assert "took values as 0 to 1" in told(task) and "clipped 1 of them" in told(task)


def test_what_cubic_resizing_leaves_outside_is_clipped() -> None:
    sharp = (NOISE > 0.8).astype(float)
    soft = cubic(sharp)
    assert soft.min() < -0.05 and soft.max() > 1.02
    for x in (soft, soft * 255):
        task = as_given((x, Y))
        np.testing.assert_allclose(task.images[..., 0], np.clip(soft, 0, 1) * 255, atol=0.51)
        assert "that lie outside" in told(task)


def test_a_single_256_among_bytes_changes_nothing_else() -> None:
    whole = with_one(256, BYTES.astype(np.int64))
    task = as_given((whole, Y))
    np.testing.assert_array_equal(task.images[..., 0], np.minimum(whole, 255))
    assert "took values as 0 to 255: they are 0 to 256; clipped 1 of them" in told(task)


@pytest.mark.parametrize(
    "x",
    [
        NOISE * 2,
        NOISE * 16,
        (NOISE * 16).round(),
        (NOISE * 16).round().astype(int),
        NOISE * 100,
        NOISE / 255,
        with_one(3.0),
        with_one(200.0),
        NOISE - 0.5,
        NOISE * 255 - 100,
        (NOISE * 500).astype(np.uint16),
        (NOISE * 127).astype(np.int8),
        with_one(65_535, (NOISE * 4_095).astype(np.uint16)),
        with_one(5_000, (NOISE * 4_095).astype(np.uint16)),
        with_one(8_191, (NOISE * 3_000).astype(np.uint16)),
        np.concatenate([NOISE[:30], NOISE[30:] * 255]),
        np.concatenate([BYTES[:38], BYTES[38:] * np.uint16(200)]),
    ],
)
def test_values_that_can_be_taken_in_two_ways_are_refused(x: Any) -> None:
    assert "values" in refusal(x)


@pytest.mark.parametrize(
    ("x", "white"),
    [
        (NOISE, 1),
        (NOISE * 0.3, 1),
        (NOISE * 255, 255),
        (BYTES.astype(int), 255),
        ((NOISE * 4_095).astype(np.uint16), 4_095),
        ((NOISE * 65_535).astype(np.int32), 65_535),
        ((NOISE * 4_095).round(), 4_095),
        ((NOISE * 8_191).astype(np.uint16), 8_191),
        ((NOISE * 5_000).astype(np.uint16), 8_191),
        ((NOISE * 8_191).round().astype(np.float32), 8_191),
        ((NOISE * 12_000).astype(np.uint16), 65_535),
        ((NOISE * 4_095).round().astype(np.float32), 4_095),
        ((NOISE * 65_535).round(), 65_535),
        ((NOISE * 65_535).round().astype(np.float32), 65_535),
    ],
)
def test_the_range_that_was_taken_is_told(x: Any, white: int) -> None:
    task = as_given((x, Y))
    assert f"took values as 0 to {white:,}" in told(task)
    np.testing.assert_allclose(task.images[..., 0], x * (255 / white), atol=0.51)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5e-5, "5e-05"),
        (-1.2345678e-7, "-1.23457e-07"),
        (1 / 3, "0.333333"),
        (np.float32(0.1), "0.1"),
        (1.0000000000000004, "1.0000000000000004"),
        (0.9999999, "0.9999999"),
        (65_535.001, "65535.001"),
        (-0.0, "0"),
        (4_095.0, "4,095"),
        (1e300, "1e+300"),
        (5e-324, "4.94066e-324"),
    ],
)
def test_values_are_told_short_and_right(value: float, text: str) -> None:
    assert number(value) == text


def test_bytes_are_bytes_however_dark_but_that_is_told() -> None:
    task = as_given((BYTES // 16, Y))
    np.testing.assert_array_equal(task.images[..., 0], BYTES // 16)
    assert "none is above 15" in told(task)
    assert not as_given((BYTES, Y)).notes


def test_images_that_will_be_nearly_black_are_told() -> None:
    x = (NOISE * 65_535).astype(np.uint16)
    x[:4] //= 300
    assert "4 images with no value above 255 will be nearly black" in told(as_given((x, Y)))


def test_digits_as_scikit_learn_gives_them_are_refused_or_the_same() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    with pytest.raises(UserError, match="values from 0 to 16"):
        as_given((digits.images, digits.target))
    spread = as_given((digits.images * (255 / 16), digits.target))
    assert spread.fingerprint == as_given("sklearn:digits").fingerprint


def write(folder: Path, pictures: Any, mode: str | None = None) -> Path:
    for index, picture in enumerate(pictures):
        place = folder / ("a", "b")[index % 2] / f"{index}.tif"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture, mode).save(place)
    return folder


def test_float_pictures_a_little_outside_keep_their_scale(tmp_path: Path) -> None:
    x = cubic(0.9 * (NOISE > 0.8))[:, :12, :12].astype(np.float32)
    x[0, 0, 0], x[1, 0, 0] = 1.0000001, -0.01
    task = as_given(write(tmp_path, x), resolution=12)
    order = sorted(range(40), key=lambda index: (index % 2, index))
    np.testing.assert_allclose(task.images[..., 0], np.clip(x[order], 0, 1) * 255, atol=0.51)
    assert "took values as 0 to 1" in told(task) and task.white == 1


@pytest.mark.parametrize("top", [2, 16, 300, 1_000, 4_095, 6_000, 9_000, 65_535, 70_000])
@pytest.mark.parametrize("rounded", [True, False])
def test_floats_are_taken_or_refused_in_arrays_as_in_pictures(tmp_path: Path, top: int, *, rounded: bool) -> None:
    x = (NOISE * (top / NOISE.max())).astype(np.float32)
    x = x.round() if rounded else x
    np.savez(tmp_path / "a.npz", x=x, y=Y)
    seen = list[str]()
    for data in ((x, Y), tmp_path / "a.npz", write(tmp_path / "pictures", x)):
        try:
            notes = as_given(data, resolution=12).notes
            seen += [next(note for note in notes if note.startswith("took values")).partition(":")[0]]
        except UserError:
            seen += ["refused"]
    assert len(set(seen)) == 1


def test_float_pictures_of_an_unclear_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nearly black"):
        as_given(write(tmp_path, (NOISE * 16).astype(np.float32)))


@pytest.mark.parametrize("top", [1, 15, 254])
def test_dark_bytes_are_told_of_pictures_as_of_arrays(tmp_path: Path, top: int) -> None:
    x = (NOISE * top).round().astype(np.uint8)
    note = "scaled values of 0 to 1 to 0 to 255" if top == 1 else f"none is above {top}: scale them"
    files, arrays = as_given(write(tmp_path, x)), as_given((x, Y))
    assert (note in told(files)) == (note in told(arrays)) == (top < 128)
    assert np.array_equal(np.sort(files.images, axis=0), np.sort(arrays.images, axis=0)) and files.white == arrays.white


def test_thin_bright_lines_are_bright_however_small_pictures_become(tmp_path: Path) -> None:
    x = np.zeros((40, 128, 128), np.uint8)
    x[np.arange(40), 3 * np.arange(40)] = 255
    assert "none is above" not in told(as_given(write(tmp_path, x), resolution=16))


@pytest.mark.parametrize("x", [-NOISE, -NOISE * 3, 2 * NOISE - 1, (BYTES.astype(np.int16) - 128).astype(np.int8)])
def test_what_was_normalised_is_refused_with_what_to_do(x: Any) -> None:
    assert "undo any normalisation, so that black is 0" in refusal(x)


@pytest.mark.parametrize("rounded", [True, False])
def test_13_bits_are_predicted_as_they_were_learnt(tmp_path: Path, *, rounded: bool) -> None:
    x = (NOISE * 8_000).astype(np.uint16)
    first = x if rounded else NOISE * 8_000
    task = as_given((first, Y))
    kind = kind_of_images(first, task.images, given="X")
    darker = more_images(first[:3] // 2, kind, given="X")[..., 0]
    np.testing.assert_array_equal(darker, np.rint(first[:3] // 2 * (255 / 8_191)))
    with pytest.raises(UserError, match="allowed are 0 to 8,191, as in the first images"):
        more_images(first[:3] * 2, kind, given="X")
    files = as_given(write(tmp_path, x))
    assert files.white == task.white == 8_191 and "took values as 0 to 8,191" in told(files)
    buffer = io.BytesIO()
    Image.fromarray(x[0]).save(buffer, "png")
    one = read_picture(buffer.getvalue(), px=12, channels=1, white=8_191)
    np.testing.assert_allclose(one.pixels, task.images[0], atol=1)
    assert one.dark == 0


def test_few_bright_images_of_16_bits_among_13_are_told() -> None:
    x = with_one(65_535, (NOISE * 8_191).astype(np.uint16))
    assert "39 images with no value above 8,191 will be nearly black" in told(as_given((x, Y)))
    assert "8,191" not in told(as_given(((NOISE * 65_535).astype(np.uint16), Y)))


@pytest.mark.parametrize(
    ("top", "white", "beside", "words"),
    [
        (1_023, 4_095, 0, "none of the values is above 1,023: scale them if that is white"),
        (16_383, 65_535, 0, "none of the values is above 16,383: scale them if that is white"),
        (1_023, 8_191, 8_000, "10 images with no value above 1,023 will be dark: scale them if that is white"),
        (4_095, 8_191, 8_000, "10 images with no value above 4,095 will be dark: scale them if that is white"),
        (1_023, 4_095, 4_000, "10 images with no value above 1,023 will be dark: scale them if that is white"),
        (16_383, 65_535, 60_000, "10 images with no value above 16,383 will be dark: scale them if that is white"),
        (4_095, 4_095, 4_000, ""),
        (7_000, 8_191, 8_000, ""),
        (40_000, 65_535, 60_000, ""),
    ],
)
@pytest.mark.parametrize("files", [False, True])
def test_images_of_fewer_bits_are_dark_and_told(
    tmp_path: Path, top: int, white: int, beside: int, words: str, *, files: bool
) -> None:
    x = (NOISE * beside).astype(np.uint16)
    x[: 10 if beside else None] = (NOISE * top)[: 10 if beside else None]
    x[:, 0, 0] = [top if not beside or index < 10 else beside for index in range(40)]
    notes = told(as_given(write(tmp_path, x) if files else (x, Y)))
    assert f"took values as 0 to {white:,}" in notes
    assert words in notes if words else ("dark" not in notes and "none of" not in notes)
