"""Features of a task: cached by its content, a few images of every class, finite whatever the images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from databases.datasets import features
from databases.datasets.features import STATISTICS, Kind, extract, from_images
from databases.datasets.landmarks import nearest_mean_accuracy
from databases.datasets.task import Task, split


def pictures(*, classes: int = 3, per_class: int = 10, channels: int = 1, fill: int | None = None) -> Task:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), per_class)
    images = rng.integers(0, 256, (len(labels), 12, 12, channels)).astype(np.uint8)
    if fill is not None:
        images[:] = fill
    return Task("made up", images, labels, split(labels), tuple(f"c{i}" for i in range(classes)))


def test_the_cached_features_are_those_that_were_extracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract(pictures(), kind="random", cache=tmp_path)
    monkeypatch.setattr(features, "from_images", lambda *args, **options: pytest.fail("extracted again"))
    second = extract(replace(pictures(), name="renamed"), kind="random", cache=tmp_path)
    assert second.name == "renamed"
    for field in ("features", "labels", "statistics", "fingerprint"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("change", [{"images_per_class": 2}, {"seed": 1}, {"kind": "plain"}])
def test_other_options_are_cached_apart(tmp_path: Path, change: dict[str, object]) -> None:
    extract(pictures(), kind="random", cache=tmp_path)
    fresh = extract(pictures(), **{"kind": "random", **change})  # type: ignore[arg-type]
    cached = extract(pictures(), **{"kind": "random", "cache": tmp_path, **change})  # type: ignore[arg-type]
    np.testing.assert_array_equal(cached.features, fresh.features)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("per_class", [1, 4, 100])
def test_every_class_is_shown_by_up_to_so_many_training_images(per_class: int) -> None:
    task = pictures(per_class=10)  # 6 of each class are for training
    found = extract(task, images_per_class=per_class, kind="plain")
    assert np.bincount(found.labels).tolist() == [min(per_class, 6)] * 3
    assert (np.diff(found.labels) >= 0).all()
    assert len(found.features) == len(found.labels)


def test_many_classes_share_a_thousand_images() -> None:
    task = pictures(classes=200, per_class=12)
    assert np.bincount(extract(task, images_per_class=20, kind="plain").labels).tolist() == [5] * 200


@pytest.mark.parametrize("kind", ["trained", "random", "plain"])
@pytest.mark.parametrize("channels", [1, 3])
def test_features_and_statistics_are_finite_even_of_empty_pictures(kind: Kind, channels: int) -> None:
    for fill in (None, 0, 255):
        found = extract(pictures(channels=channels, fill=fill), kind=kind)
        assert np.isfinite(found.features).all()
        assert found.statistics.shape == (len(STATISTICS),)
        assert np.isfinite(found.statistics).all()


def test_one_image_a_class_is_enough() -> None:
    found = extract(pictures(), images_per_class=1, kind="plain")
    assert found.labels.tolist() == [0, 1, 2]
    assert np.isfinite(found.statistics).all()
    assert np.isfinite(found.mean()).all()


def test_an_image_has_the_same_features_in_any_company() -> None:
    images, _ = pictures(channels=3).part(0)
    together, alone = from_images(images, kind="random"), from_images(images[3:4], kind="random")
    np.testing.assert_allclose(together[3:4], alone, atol=1e-4)


def test_the_landmark_tells_separable_classes_from_mixed_ones() -> None:
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(4), 10)
    noise = rng.normal(0, 1, (40, 5)).astype(np.float32)
    apart = noise + 10 * np.eye(5, dtype=np.float32)[labels]
    (low, scatter), (high, wide) = nearest_mean_accuracy(noise, labels), nearest_mean_accuracy(apart, labels)
    assert high > low + 0.5
    assert wide > 0.8 > scatter
