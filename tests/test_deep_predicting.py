"""Pictures of more than 8 bits to predict: taken in the range of the training pictures, or refused, by both readers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exporting import a_task, exported, module
from PIL import Image

from databases.datasets.decoding import read_picture
from databases.datasets.task import Images


def write(place: Path, values: object) -> Path:
    Image.fromarray(np.asarray(values, dtype=np.float32)).save(place)
    return place


def read_twice(folder: Path, white: int, values: object) -> list[Images | str]:
    """What `metad2a predict` and an exported `model.py` make of a float TIFF: pixels, or a refusal."""
    program = module(exported(folder, replace(a_task(channels=1), white=white)).program)
    place, found = write(folder / "a.tif", values), list[Images | str]()
    for read in (
        lambda: read_picture(place.read_bytes(), px=program.SIZES[0], channels=1, white=white).pixels,
        lambda: program.open_picture(str(place))[0].numpy(),
    ):
        try:
            found.append(read())
        except ValueError as problem:
            found.append(str(problem))
    return found


@pytest.mark.parametrize(("white", "value"), [(1, -0.0001), (1, 1.0000001), (1, 1.3), (255, 255.4), (255, -20)])
def test_a_little_outside_is_clipped_as_in_training(tmp_path: Path, white: int, value: float) -> None:
    values = np.random.default_rng(0).random((12, 12)) * white
    values[3, 3] = value
    expected = np.rint(np.clip(values, 0, white) * (255 / white))[..., None]
    for read in read_twice(tmp_path, white, values):
        np.testing.assert_allclose(np.asarray(read), expected, atol=1)


@pytest.mark.parametrize(
    ("white", "top"),
    [
        *((255, 1.0), (255, 2.0), (255, 2.55), (4_095, 255.0), (4_095, 300.0), (8_191, 300.0)),
        *((65_535, 1.0), (65_535, 4_095.0), (1, 1 / 255), (1, 2.0), (1, 255.0)),
    ],
)
def test_floats_of_another_range_are_refused(tmp_path: Path, white: int, top: float) -> None:
    for read in read_twice(tmp_path, white, np.random.default_rng(0).random((12, 12)) * top):
        assert isinstance(read, str) and f"0..{white}, the range of the training pictures" in read


def test_black_is_black_in_any_range(tmp_path: Path) -> None:
    assert not any(np.any(read) for read in read_twice(tmp_path, 255, np.zeros((12, 12))))


@pytest.mark.parametrize(("white", "top"), [(65_535, 255), (65_535, 4_095), (4_095, 255), (8_191, 900), (65_535, 1)])
def test_whole_numbers_that_are_dark_or_of_another_range_are_told(tmp_path: Path, white: int, top: int) -> None:
    program = module(exported(tmp_path, replace(a_task(channels=1), white=white)).program)
    place, size = tmp_path / "a.png", program.SIZES[0]
    values = np.random.default_rng(0).integers(0, top + 1, (size, size)).astype(np.uint16)
    Image.fromarray(values).save(place)
    with pytest.warns(UserWarning, match=f"as 0..{white}, the range of the training pictures; scale it to that if"):
        read = program.open_picture(str(place))[0].numpy()
    again = read_picture(place.read_bytes(), px=size, channels=1, white=white)
    np.testing.assert_array_equal(read, again.pixels)
    assert again.dark == values.max()
    Image.fromarray((values // 2 + white // 2).astype(np.uint16)).save(place)
    program.open_picture(str(place))
    assert not read_picture(place.read_bytes(), px=size, channels=1, white=white).dark
