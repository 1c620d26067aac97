"""Landmarks: each description tells apart what differs in it, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from databases.datasets.landmarks import landmarks, orientations

NAMES = ("features", "scatter", "pixels", "colour", "texture", "shape")
LABELS = np.repeat([0, 1], 30)


def noisy(make: object, *, seed: int = 0) -> dict[str, float]:
    """Landmarks of 60 noisy images, of class 0 or 1 as ``make(rng, label)`` draws them (16, 16, 3)."""
    rng = np.random.default_rng(seed)
    assert callable(make)
    images = np.stack([make(rng, label) for label in LABELS]) + rng.normal(0, 6, (60, 16, 16, 3))
    features = rng.normal(size=(60, 4)).astype(np.float32)
    found = landmarks(np.clip(images, 0, 255).astype(np.uint8), features, LABELS)
    return dict(zip(NAMES, found, strict=True))


def stripes(rng: np.random.Generator, upright: bool) -> np.ndarray:
    """Stripes across or upright, at a random place."""
    wave = 128 + 90 * np.sign(np.sin((np.arange(16) + rng.integers(8)) * np.pi / 4 + 0.1))
    plane = np.tile(wave, (16, 1))
    return np.repeat((plane if upright else plane.T)[..., None], 3, axis=-1)


def test_colour_tells_red_from_blue_where_brightness_is_equal() -> None:
    def make(rng: np.random.Generator, label: int) -> np.ndarray:
        image = np.full((16, 16, 3), 60.0)
        image[rng.integers(16, size=60), rng.integers(16, size=60), 0 if label else 2] = 220
        return image

    found = noisy(make)
    assert found["colour"] > 0.8 > found["texture"]


def test_texture_tells_the_direction_of_stripes_wherever_they_lie() -> None:
    found = noisy(stripes)
    assert found["texture"] > 0.8
    assert found["colour"] < 0.4


def test_shape_tells_where_the_edges_are() -> None:
    def make(rng: np.random.Generator, label: int) -> np.ndarray:
        image = np.full((16, 16, 3), 128.0)
        half = slice(0, 8) if label else slice(8, 16)
        image[:, half] += stripes(rng, True)[:, half] - 128
        return image

    found = noisy(make)
    assert found["shape"] > 0.8
    assert found["texture"] < found["shape"]


def test_plain_images_have_no_edges() -> None:
    assert orientations(np.full((2, 9, 9, 1), 77, dtype=np.uint8)).sum() == pytest.approx(0)
