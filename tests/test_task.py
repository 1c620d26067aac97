"""Task: what it refuses, names, resizes and counts, and how images are divided among parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from databases.datasets.task import (
    TEST,
    TRAIN,
    VALIDATION,
    Task,
    check_seed,
    move_share,
    sample,
    split,
)
from databases.errors import UserError

LABELS = np.arange(40, dtype=np.int64) % 2
CLASS_SIZES = st.lists(st.integers(1, 30), min_size=2, max_size=8)


def small_task(**changes: Any) -> Task:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    return replace(Task("small", images, LABELS, split(LABELS), ("cat", "dog")), **changes)


def test_a_summary_says_what_was_read_and_names_few_classes() -> None:
    read = "40 coloured images of 16x16 px in 2 classes (cat, dog): 24 for training, 8 for validation, 8 for test"
    assert small_task().summary == read

    many = small_task(
        labels=np.arange(40, dtype=np.int64) % 8, parts=np.zeros(40, np.uint8), class_names=tuple("abcdefgh")
    )
    assert "in 8 classes (a, b, c, d, e, f, ...): 40 for training, 0 " in many.summary


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("dog ", "'dog '"),
        ("b\nnew", r"'b\nnew'"),
        ("a\x1b[31m", r"'a\x1b[31m'"),
        ("a\u202eb", r"'a\u202eb'"),
        ("Ara\u00f1a roja", "Ara\u00f1a roja"),
        ("\u067e\u200c\u062a", "\u067e\u200c\u062a"),
    ],
)
def test_the_summary_stays_one_line_that_shows_what_a_class_is_called(name: str, told: str) -> None:
    assert f"(cat, {told}):" in replace(small_task(), class_names=("cat", name)).summary


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((40, 16, 16, 3), np.float32)}, "images float32"),
        ({"images": np.zeros((40, 16, 12, 3), np.uint8)}, "16, 12"),
        ({"images": np.zeros((40, 16, 16, 2), np.uint8)}, "1 or 3"),
        ({"labels": LABELS.astype(np.int32)}, "labels int32"),
        ({"labels": LABELS[:39]}, r"labels int64 \(39,\) for 40 images"),
        ({"labels": LABELS + 1}, "labels 1 to 2 for 2 classes"),
        ({"labels": LABELS - 1}, "labels -1 to 0"),
        ({"parts": np.full(40, 3, np.uint8)}, "part 3"),
        ({"parts": (1 - LABELS).astype(np.uint8)}, "'cat' with 20 images, 0 of them for training"),
        ({"class_names": ("cat", "cat")}, "repeat"),
        ({"class_names": ("cat",), "labels": 0 * LABELS}, "1 class "),
    ],
)
def test_fields_that_do_not_fit_are_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        small_task(**changes)
    assert "allowed" in str(caught.value) or "may" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fingerprint_names_the_content_and_nothing_else() -> None:
    task = small_task()
    brighter, swapped, moved = task.images.copy(), task.labels.copy(), task.parts.copy()
    brighter[3, 2, 1, 0] ^= 1
    swapped[[0, 1]] = swapped[[1, 0]]
    moved[np.flatnonzero(moved == TRAIN)[0]] = TEST
    others = [small_task(images=brighter), small_task(labels=swapped), small_task(parts=moved)]
    others.append(small_task(class_names=("cat", "dog", "emu"), labels=np.arange(40) % 3))
    assert len({task.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert small_task(name="other", notes=("a",), source="b").fingerprint == task.fingerprint
    assert small_task(images=np.asfortranarray(task.images)).fingerprint == task.fingerprint


def test_fingerprint_is_the_same_on_every_machine() -> None:
    images = np.arange(40 * 64, dtype=np.int64).reshape(40, 8, 8, 1).astype(np.uint8)
    assert small_task(images=images).fingerprint == "3ec5e76dfcfe5884"


def test_part_gives_the_images_and_labels_of_that_part() -> None:
    task = small_task()
    for which in (TRAIN, VALIDATION, TEST):
        images, labels = task.part(which)
        np.testing.assert_array_equal(images, task.images[task.parts == which])
        np.testing.assert_array_equal(labels, task.labels[task.parts == which])


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_averages_what_a_pixel_covers(channels: int) -> None:
    halves = np.zeros((40, 32, 32, channels), np.uint8)
    halves[:, :, 16:] = 200
    task = small_task(images=halves)
    small = task.resized(8)
    assert small.images.shape == (40, 8, 8, channels)
    assert small.images[:, :, :3].max() == 0 and small.images[:, :, 5:].min() == 200
    assert abs(small.images.mean() - 100) < 1
    assert task.resized(32) is task
    with pytest.raises(UserError, match="8 to 256"):
        task.resized(2)


def test_statistics_count_the_training_part() -> None:
    labels = np.repeat(np.arange(2), [30, 10])
    parts = np.zeros(40, np.uint8)
    parts[:10] = TEST
    statistics = small_task(labels=labels, parts=parts).statistics()
    expected = {"images": 40, "train_images": 30, "classes": 2, "channels": 3, "resolution": 16}
    assert statistics.items() >= {**expected, "smallest_class": 10, "largest_class": 20}.items()
    assert statistics["balance"] == pytest.approx(0.9183, abs=1e-4)  # entropy of 1/3, 2/3 in bits


@settings(max_examples=100, deadline=None)
@given(CLASS_SIZES, st.integers(0, 3))
@example([1] * 20 + [10], 0)  # what twenty classes cannot give, the last one need not make up for
def test_split_keeps_every_class_in_train_and_the_shares_overall(sizes: list[int], seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = split(labels, seed=seed)
    assert set(labels[parts == TRAIN]) == set(range(len(sizes)))
    for part in (VALIDATION, TEST):
        counts = np.bincount(labels[parts == part], minlength=len(sizes))
        assert all(count >= 1 for count, size in zip(counts, sizes, strict=True) if size >= 10)
        assert all(abs(count - 0.2 * size) <= 1.5 for count, size in zip(counts, sizes, strict=True))
        if min(sizes) >= 2:
            assert counts.sum() >= 1
        if min(sizes) >= 10:
            assert abs(counts.sum() - 0.2 * sum(sizes)) <= 1
    np.testing.assert_array_equal(parts, split(labels, seed=seed))


def test_split_of_very_few_images_fills_the_parts_that_it_can() -> None:
    assert np.bincount(split(np.array([0, 0, 1, 1])), minlength=3).tolist() == [2, 1, 1]
    assert np.bincount(split(np.array([0, 0, 1])), minlength=3).tolist() == [2, 0, 1]


@pytest.mark.parametrize("seed", [1.5, 1.0, True, np.True_, "1", None, -1, 2**32])
def test_seeds_that_are_no_whole_number_in_range_are_refused_in_one_line(seed: Any) -> None:
    with pytest.raises(UserError, match=r"given seed .*; allowed are whole numbers from 0") as caught:
        check_seed(seed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(7), np.uint8(1)])
def test_whole_numbers_of_numpy_are_seeds_too(seed: Any) -> None:
    check_seed(seed)


def test_another_seed_splits_otherwise_and_shares_can_be_chosen() -> None:
    assert (split(LABELS, seed=0) != split(LABELS, seed=1)).any()
    assert np.bincount(split(LABELS, validation=0.5, test=0.25)).tolist() == [10, 20, 10]
    assert np.bincount(split(LABELS, validation=0, test=0), minlength=3).tolist() == [40, 0, 0]
    for options in ({"validation": 0.6, "test": 0.4}, {"test": -0.1}, {"seed": -1}):
        with pytest.raises(UserError, match="allowed are"):
            split(LABELS, **options)


def test_validation_is_taken_from_train_only() -> None:
    before = np.where(np.arange(40) < 10, TEST, TRAIN).astype(np.uint8)
    after = move_share(LABELS, before, VALIDATION, share=0.2, seed=0)
    np.testing.assert_array_equal(after == TEST, before == TEST)
    assert np.bincount(after).tolist() == [24, 6, 10]
    assert (before == TRAIN).sum() == 30  # the argument is left alone


@settings(max_examples=50, deadline=None)
@given(CLASS_SIZES, st.integers(1, 100))
def test_a_sample_keeps_to_its_size_and_every_class(sizes: list[int], most: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    chosen = sample(labels, np.zeros(len(labels), np.uint8), most=most, seed=0)
    counts = np.bincount(labels[chosen], minlength=len(sizes))
    assert len(chosen) <= max(most, sum(min(2, size) for size in sizes))
    assert all(count >= min(2, size) for count, size in zip(counts, sizes, strict=True))
    assert (np.diff(chosen) > 0).all()
    if most >= len(labels):
        assert len(chosen) == len(labels)
