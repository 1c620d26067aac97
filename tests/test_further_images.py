"""Images to predict are held to the range of those of the fit: what cannot be of it is refused, what may not is told.

A single image is not taken for many.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_scale import BYTES, NOISE, Y, as_given, with_one

from databases.datasets.arrays import kind_of_images, more_images
from databases.errors import UserError


def kind(x: Any, **options: Any) -> Any:
    return kind_of_images(np.asarray(x), as_given((x, Y)).images, given="X")


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (NOISE * 255, NOISE),
        (BYTES, NOISE),
        (BYTES, NOISE > 0.5),
        (BYTES, -NOISE),
        (BYTES.astype(int), (NOISE > 0.5).astype(float)),
        (NOISE, BYTES),
        (NOISE, NOISE * 2),
        ((NOISE * 65_535).astype(np.uint16), BYTES),
        ((NOISE * 65_535).astype(np.uint16), NOISE),
        (BYTES, (NOISE * 65_535).astype(np.uint16)),
    ],
)
def test_further_images_of_another_range_are_refused(first: Any, later: Any) -> None:
    with pytest.raises(UserError, match="as in the first images"):
        more_images(later, kind(first), given="X")


DEEP = (NOISE * 60_000).astype(np.uint16)
DARK = BYTES.astype(float)
DARK[0] *= 0.2  # of 250


@pytest.mark.parametrize("first", [BYTES, BYTES.astype(int), NOISE * 255, DEEP, DARK])
@pytest.mark.parametrize("divisor", [1, 64, 100, 127, 127.5, 255, 1_000, 65_535])
@pytest.mark.parametrize("kind_of_float", [np.float16, np.float32, np.float64])
def test_further_images_divided_by_anything_are_refused_as_fit_refuses_them(
    first: Any, divisor: float, kind_of_float: Any
) -> None:
    later = (BYTES / (divisor * 1.01)).astype(kind_of_float)
    if first is DEEP or divisor > 1:
        with pytest.raises(UserError, match="as in the first images"):
            more_images(later, kind(first), given="X")
    else:
        more_images(later, kind(first), given="X")


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (NOISE, NOISE / 255),
        (BYTES, (BYTES / 255 - 0.45) / 0.225),
        (NOISE * 255, (NOISE - 0.45) / 0.225),
        (BYTES, NOISE * 16),
        (BYTES, -NOISE * 3),
        ((NOISE * 4_095).astype(np.uint16), NOISE * 400),
        ((NOISE * 4_095).astype(np.uint16), NOISE * 256),
        (DEEP, NOISE * 8_000),
        (BYTES, np.concatenate([NOISE[:38], NOISE[38:] * 255])),
        (BYTES, np.float32(NOISE[:1] * 100)),
    ],
)
def test_fractions_that_fit_refuses_are_refused_of_further_images(first: Any, later: Any) -> None:
    with pytest.raises(UserError, match=r"as in the first images|allowed is one range for all images"):
        more_images(later, kind(first), given="X")


@pytest.mark.parametrize(
    ("first", "later", "look"),
    [
        (DEEP, BYTES.astype(np.uint16), "0 to 65,535, as in the first images, though they look like 0 to 255"),
        (DEEP, (NOISE * 4_095).astype(np.uint16), "though they look like 0 to 4,095"),
        (DEEP, (NOISE > 0.5).astype(np.uint16), "though they look like 0 to 1:"),
        ((NOISE * 4_095).astype(np.uint16), BYTES.astype(np.int32), "though they look like 0 to 255"),
        (DEEP, (NOISE * 8_000).astype(np.uint16), "0 to 65,535, as in the first images: scale them if 7,999"),
        (BYTES, (NOISE * 16).round(), "0 to 255, as in the first images: scale them if 16 is bright"),
        (BYTES.astype(int), (NOISE * 100).astype(int), "scale them if 99 is bright"),
        (DARK, NOISE * 100, "scale them if 99"),
        (DEEP, np.concatenate([DEEP[:2], DEEP[2:] // 300]), "X has 38 images with no value above 255"),
    ],
)
def test_whole_numbers_that_are_dark_or_of_another_range_are_told(first: Any, later: Any, look: str) -> None:
    scale = kind(first).scale.white
    with pytest.warns(UserWarning) as caught:
        found = more_images(later, kind(first), given="X")
    assert len(caught) == 1 and look in str(caught[0].message) and "\n" not in str(caught[0].message)
    np.testing.assert_allclose(found[..., 0], later * (255 / scale), atol=0.51)


@pytest.mark.parametrize("first", [BYTES, BYTES.astype(int), NOISE * 255])
@pytest.mark.parametrize("top", [0, 1, 2, 60])
def test_bytes_are_taken_however_dark(first: Any, top: int) -> None:
    later = np.minimum(BYTES, top)
    np.testing.assert_array_equal(more_images(later, kind(first), given="X")[..., 0], later)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (NOISE, NOISE * 0.2),
        (BYTES, BYTES.astype(float)),
        (BYTES, np.minimum(BYTES, 1)),
        (BYTES / 255, BYTES / 255 * 1.0000001),
        (BYTES, np.zeros((4, 12, 12))),
        (NOISE * 255, np.zeros((4, 12, 12), int)),
        (DEEP, DEEP[:1] // 2),
        (DEEP, np.zeros((4, 12, 12), np.uint16)),
    ],
)
def test_further_images_of_the_same_range_are_taken(first: Any, later: Any) -> None:
    scale = kind(first).scale.white
    found = more_images(later, kind(first), given="X")
    np.testing.assert_allclose(found[..., 0], later * (255 / scale), atol=0.51)


def test_further_images_a_little_outside_are_clipped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="clipped 1 of them to 0 to 1"):
        assert more_images(with_one(1.2), kind(NOISE), given="X")[3, 5, 5] == 255


COLOUR = np.random.default_rng(1).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("first", "single"),
    [
        (COLOUR, COLOUR[0]),
        (np.moveaxis(COLOUR, 3, 1), np.moveaxis(COLOUR[0], 2, 0)),
        (COLOUR, BYTES[0][..., None]),
        (BYTES, COLOUR[0]),
        (BYTES, BYTES[0]),
        (BYTES[..., None], BYTES[0][..., None]),
        (COLOUR, np.dstack([COLOUR[0], BYTES[0]])),
        (COLOUR, np.moveaxis(np.dstack([COLOUR[0], BYTES[0]]), 2, 0)),
        (BYTES, np.dstack([BYTES[0], BYTES[0]])),
    ],
)
def test_a_single_image_is_not_taken_for_many(first: Any, single: Any) -> None:
    with pytest.raises(UserError, match=r"single image.* as \[X\]"):
        more_images(single, kind(first), given="X")
    if single.ndim == first.ndim - 1 and sorted(single.shape)[0] in (1, 3, 12):
        assert len(more_images([single], kind(first), given="X")) == 1


def test_a_single_image_of_pillow_is_given_as_the_refusal_says() -> None:
    opened = Image.fromarray(BYTES[0])
    with pytest.raises(UserError, match=r"single image.* as \[X\]"):
        more_images(opened, kind(BYTES), given="X")
    np.testing.assert_array_equal(more_images([opened], kind(BYTES), given="X"), BYTES[:1, ..., None])


def test_grey_batches_after_colour_and_batches_of_one_or_three_are_taken() -> None:
    assert len(more_images(BYTES[:5], kind(COLOUR), given="X")) == 5
    assert len(more_images(BYTES[:4][..., None], kind(COLOUR), given="X")) == 4
    for count in (1, 3):
        assert len(more_images(BYTES[:count], kind(BYTES), given="X")) == count
