"""Untrained probes: what they tell, and when they tell nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from databases.architectures.space import finite_space
from databases.architectures.spaces.nasbench201_core import CORE
from databases.datasets.probes import NO_PROBES, PROBES, probes, ridge_accuracy
from databases.datasets.task import TRAIN, Task, split


def textured(seed: int = 0, *, count: int = 150) -> Task:
    """Two classes of noise, one of which is smooth: a convolution tells them apart, a mean colour does not."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pictures = rng.normal(128, 40, (count, 16, 16, 1))
    smooth = (pictures + np.roll(pictures, 1, 1) + np.roll(pictures, 1, 2)) / np.sqrt(3)
    images = np.where(labels[:, None, None, None] == 1, smooth, pictures).clip(0, 255).astype(np.uint8)
    return Task("texture", images, labels.astype(np.int64), split(labels.astype(np.int64)), ("rough", "smooth"))


def test_probes_are_distinct_cells_of_the_common_core() -> None:
    """Every task of the database was measured with them."""
    assert set(PROBES) <= set(CORE)
    nasbench = finite_space("nasbench201")
    assert len({nasbench.class_number(nasbench.parse(each)) for each in PROBES}) == len(PROBES)


def test_what_probes_tell_is_relative_and_the_same_each_time() -> None:
    """Centred, within a few units, and no draw of the caller's random state enters or is used up."""
    import torch

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again = probes(textured()), probes(textured())
    assert first == again and torch.equal(torch.get_rng_state(), state)
    assert len(first) == len(PROBES) and abs(sum(first)) < 1e-6 and 0.1 < np.std(first) <= 1


def test_other_images_are_told_apart() -> None:
    """The same labels on pictures without any class give another pattern."""
    task = textured()
    blank = replace(task, images=np.random.default_rng(1).integers(0, 256, task.images.shape, dtype=np.uint8))
    assert np.abs(np.subtract(probes(task), probes(blank))).max() > 0.5


def test_too_few_validation_images_tell_nothing() -> None:
    """An accuracy of a handful of images would be noise."""
    task = textured(count=40)
    assert probes(task) == NO_PROBES
    assert probes(replace(task, parts=np.full(40, TRAIN, dtype=np.uint8))) == NO_PROBES


@pytest.mark.parametrize("seed", [0, 1])
def test_ridge_regression_finds_separable_classes_and_only_those(seed: int) -> None:
    """Near one for shifted classes, near chance for labels that features say nothing of."""
    rng = np.random.default_rng(seed)
    labels = np.arange(300) % 3
    features = rng.normal(size=(300, 6)) + 4 * np.eye(6)[labels]
    told = ridge_accuracy(features[:200], labels[:200], features[200:], labels[200:])
    noise = rng.normal(size=(300, 6))
    untold = ridge_accuracy(noise[:200], labels[:200], noise[200:], labels[200:])
    assert told > 0.95 and 0.15 < untold < 0.55
