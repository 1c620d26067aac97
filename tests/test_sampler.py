"""Sampled tasks: the same spec is the same task, and the specs are varied."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from databases.datasets import sampler
from databases.datasets.sampler import FAMILIES, SOURCES, TaskSpec, build_task, family, sample_specs
from databases.datasets.task import TEST, TRAIN, VALIDATION
from databases.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 10)
    np.savez(
        tmp_path / "colours.npz",
        x_train=rng.integers(0, 256, (50, 8, 8, 3)).astype(np.uint8),
        y_train=labels,
        x_test=rng.integers(0, 256, (50, 8, 8, 3)).astype(np.uint8),
        y_test=labels,
        class_names=np.array(list("abcde")),
    )
    return tmp_path


def test_the_same_spec_builds_the_same_task(folder: Path) -> None:
    spec = TaskSpec("colours", (0, 2, 3), 4, seed=1)
    first = build_task(spec, folder).fingerprint
    sampler._source.cache_clear()
    assert build_task(TaskSpec.from_json(json.dumps(spec.to_json())), folder).fingerprint == first


@pytest.mark.parametrize(
    "other",
    [
        TaskSpec("colours", (0, 2, 4), 4),
        TaskSpec("colours", (0, 2, 3), 5),
        TaskSpec("colours", (0, 2, 3), 4, grey=True),
        TaskSpec("colours", (0, 2, 3), 4, seed=1),
        TaskSpec("colours", (0, 2, 3), 4, balance=0.5),
        TaskSpec("colours", (0, 2, 3), 4, resolution=6),
        TaskSpec("colours", (0, 2, 3), 4, noise=5.0),
        TaskSpec("colours", (0, 2, 3), 4, blur=0.5),
    ],
)
def test_another_spec_builds_another_task(folder: Path, other: TaskSpec) -> None:
    assert build_task(other, folder).fingerprint != build_task(TaskSpec("colours", (0, 2, 3), 4), folder).fingerprint


def test_a_task_has_the_images_of_its_classes_and_keeps_the_parts_apart(folder: Path) -> None:
    task = build_task(TaskSpec("colours", (1, 4), 6, grey=True), folder)
    assert task.class_names == ("b", "e")
    assert task.channels == 1
    assert [np.bincount(task.part(part)[1]).tolist() for part in (TRAIN, VALIDATION, TEST)] == [
        [6, 6],
        [4, 4],
        [10, 10],
    ]
    assert len({image.tobytes() for image in task.images}) == 40


def test_changes_of_the_images_are_what_the_spec_says(folder: Path) -> None:
    def images(**changes: float) -> np.ndarray:
        return build_task(TaskSpec("colours", (1, 4), 6, **changes), folder).images.astype(float)  # type: ignore[arg-type]

    plain = images()
    assert images(resolution=4).shape[1:] == (4, 4, 3)
    assert images(blur=1.0).std() < 0.6 * plain.std()
    inner = (plain > 40) & (plain < 215)  # nothing is clipped there
    assert (images(noise=8.0) - plain)[inner].std() == pytest.approx(8, rel=0.05)


def test_unbalanced_classes_fall_to_the_smallest_share(folder: Path) -> None:
    task = build_task(TaskSpec("colours", (0, 1, 2, 3), 8, balance=0.25, seed=3), folder)
    assert sorted(np.bincount(task.part(TRAIN)[1]).tolist()) == [2, 3, 5, 8]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'nowhere'.*nowhere\.npz"):
        build_task(TaskSpec("nowhere", (0, 1), 4), tmp_path)


def test_relatives_are_one_family_and_strangers_their_own() -> None:
    assert family("mnist_m") == family("omniglot") == "characters"
    assert family("tinyimagenet200") == family("tinyimagenet100_16px")
    assert family("my own") == "my own"
    assert not {"cifar10", "mnist", "cifar100"} & set(FAMILIES)


def test_the_sampled_specs_are_stable_and_varied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(np.arange(50), 100)
    source = {"y_train": labels, "x_train": np.empty((len(labels), 1, 1, 3), dtype=np.uint8)}
    monkeypatch.setattr(sampler, "_source", lambda folder, name: source)
    specs = sample_specs(folder, tasks=3 * len(SOURCES))
    assert specs[:30] == sample_specs(folder, tasks=30)
    assert [spec.source for spec in specs[: len(SOURCES)]] == list(SOURCES)
    assert len({(spec.source, spec.classes, spec.per_class, spec.grey) for spec in specs}) == len(specs)
    assert len({len(spec.classes) for spec in specs}) > 10
    assert len({spec.per_class for spec in specs}) > 15
    assert {spec.grey for spec in specs} == {True, False}
    assert all(len({getattr(spec, name) for spec in specs}) > 2 for name in ("balance", "noise", "blur"))
    assert all(len(spec.classes) * spec.per_class <= 960 for spec in specs)


def test_the_first_sampled_spec_can_be_built(shared: Path) -> None:
    spec = sample_specs(shared / "images", tasks=1)[0]
    task = build_task(spec, shared / "images")
    assert task.classes == len(spec.classes) == 10
    assert len(task.part(TRAIN)[1]) == 960
    assert len(task.part(TEST)[1]) >= 1000
    assert task.fingerprint == build_task(spec, shared / "images").fingerprint
