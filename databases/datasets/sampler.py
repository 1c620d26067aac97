"""Draws varied tasks from image sources: classes, images, balance, colour, resolution, mild noise and blur.

A `TaskSpec` is a task's stable identity: the same spec and source file always build the same task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.datasets.blobs import arrays_of
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task, resize_images
from databases.errors import UserError

# Image source -> family: relatives are held out together. Ordered so that large test sets come first.
FAMILIES: dict[str, str] = {
    "fashion_mnist": "fashion_mnist",
    "malaria": "malaria",
    "scenes15": "scenes15",
    "tinyimagenet100_16px": "tinyimagenet",
    "aerial_scenes": "aerial_scenes",
    "kannada_digits": "characters",
    "gtsrb": "gtsrb",
    "flowers5": "flowers5",
    "clothing": "clothing",
    "spoken_digits": "spoken_digits",
    "elpv": "elpv",
    "dungeon_tiles": "dungeon_tiles",
    "chars74k": "characters",
    "blood_cells": "blood_cells",
    "dtd10": "dtd10",
    "mnist_m": "characters",
    "brick_cracks": "brick_cracks",
    "notmnist": "characters",
    "tinyimagenet200": "tinyimagenet",
    "arabic_letters": "characters",
    "omniglot": "characters",
    "persian_digits": "characters",
    "bangla_digits": "characters",
}
SOURCES = tuple(FAMILIES)
# Sources for whole pipelines: as large as there are, and none that our own pretraining saw.
LARGE = {"flowers5": "_64px", "scenes15": "_64px", "dtd10": "_128px", "clothing": "_128px", "aerial_scenes": "_128px"}
PIPELINE_SOURCES = tuple(f"{name}{LARGE.get(name, '')}" for name, kin in FAMILIES.items() if kin != "tinyimagenet")
MOST_IMAGES = 960  # for training that a drawn task has, unless eight a class are more


@dataclass(frozen=True)
class TaskSpec:
    """One task of a source.

    Args:
        source: name of the image source (its ``.npz`` file without the ending).
        classes: class numbers of the source, in order.
        per_class: training images of the largest class (fewer where the source has fewer).
        grey: whether colour is taken away. seed: which training images.
        balance: images of the smallest class for one of the largest; those between fall geometrically.
        resolution: side in pixels that the images are made smaller to; 0 leaves them.
        noise: standard deviation of Gaussian noise in grey levels. blur: of a Gaussian blur in pixels.
    """

    source: str
    classes: tuple[int, ...]
    per_class: int
    grey: bool = False
    seed: int = 0
    balance: float = 1.0
    resolution: int = 0
    noise: float = 0.0
    blur: float = 0.0

    @property
    def name(self) -> str:
        """A short readable name."""
        changes = [
            ("grey", self.grey),
            (f"balance{self.balance:g}", self.balance < 1),
            (f"{self.resolution}px", self.resolution),
            (f"noise{self.noise:g}", self.noise),
            (f"blur{self.blur:g}", self.blur),
        ]
        changed = "".join(f"-{text}" for text, holds in changes if holds)
        return f"{self.source}-{len(self.classes)}x{self.per_class}{changed}-s{self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the store."""
        return asdict(self)

    @classmethod
    def from_json(cls, spec: Mapping[str, Any] | str) -> TaskSpec:
        """Reads `to_json` back."""
        given = dict(json.loads(spec) if isinstance(spec, str) else spec)
        return cls(**{**given, "classes": tuple(given["classes"])})


def family(source: str) -> str:
    """The group of relatives a source belongs to (itself where it has none): the unit of held-out splits."""
    name = re.sub(r"_\d+px$", "", source)
    return FAMILIES.get(source, FAMILIES.get(name, source))


def sample_specs(folder: Path, *, tasks: int, seed: int = 0, sources: Sequence[str] = SOURCES) -> list[TaskSpec]:
    """The first ``tasks`` specs of an endless sequence: all sources in turn, first whole, then varied."""
    return [_spec(folder, index, seed, sources) for index in range(tasks)]


def build_task(spec: TaskSpec, folder: Path) -> Task:
    """The task of a spec: drawn training images; up to 1,000 of the rest validate; all test images test.

    Raises:
        UserError: there is no such source in the folder.
    """
    data = _source(folder, spec.source)
    rng = np.random.default_rng([spec.seed, len(spec.classes), spec.per_class])
    chosen: dict[int, list[np.ndarray]] = {TRAIN: [], VALIDATION: []}
    for label, most in zip(spec.classes, _class_sizes(spec), strict=True):
        order = rng.permutation(np.flatnonzero(data["y_train"] == label))
        take = min(most, max(1, round(0.9 * len(order))))
        chosen[TRAIN].append(order[:take])
        chosen[VALIDATION].append(order[take:])
    rest = rng.permutation(np.concatenate(chosen[VALIDATION]))[:1000]
    train = np.concatenate(chosen[TRAIN])
    test = np.flatnonzero(np.isin(data["y_test"], spec.classes))
    images = np.concatenate([data["x_train"][train], data["x_train"][rest], data["x_test"][test]])
    labels = np.concatenate([data["y_train"][train], data["y_train"][rest], data["y_test"][test]])
    return Task(
        name=spec.name,
        images=np.ascontiguousarray(_changed(images, spec)),
        labels=np.searchsorted(np.array(spec.classes), labels).astype(np.int64),
        parts=np.repeat([TRAIN, VALIDATION, TEST], [len(train), len(rest), len(test)]).astype(np.uint8),
        class_names=tuple(data["class_names"][list(spec.classes)].tolist()),
        source=spec.source,
    )


def _class_sizes(spec: TaskSpec) -> list[int]:
    """Training images of each class, in the order of the classes: shuffled, at least two."""
    steps = np.linspace(0, 1, len(spec.classes))
    if spec.balance < 1:
        steps = np.random.default_rng([spec.seed, 1]).permutation(steps)
    return [max(2, round(spec.per_class * spec.balance**step)) for step in steps.tolist()]


def _changed(images: npt.NDArray[np.uint8], spec: TaskSpec) -> npt.NDArray[np.uint8]:
    """The images as the spec wants them: (n, height, width, channels)."""
    if spec.grey and images.shape[-1] == 3:
        images = np.round(images @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint8)
    if spec.resolution:
        images = resize_images(images, spec.resolution)
    if not (spec.blur or spec.noise):
        return images
    from scipy.ndimage import gaussian_filter

    values = images.astype(np.float32)
    if spec.blur:
        values = gaussian_filter(values, sigma=(0, spec.blur, spec.blur, 0))
    if spec.noise:
        values += spec.noise * np.random.default_rng([spec.seed, 2]).standard_normal(values.shape, dtype=np.float32)
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


@lru_cache(maxsize=3)
def _source(folder: Path, source: str) -> dict[str, np.ndarray]:
    path = folder / f"{source}.npz"
    if not path.is_file():
        raise UserError(f"no image source {source!r} in the folder {folder.name!r}: it should hold {path.name}")
    with np.load(path, allow_pickle=False) as file:
        if "blobs" in file.files:
            return arrays_of(file)
        return {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test", "class_names")}


def _spec(folder: Path, index: int, seed: int, sources: Sequence[str]) -> TaskSpec:
    source = sources[index % len(sources)]
    rng = np.random.default_rng([seed, index])
    data = _source(folder, source)
    counts = np.bincount(data["y_train"].astype(np.int64))
    whole = index < len(sources)
    most = min(len(counts), 20 if whole else 100)
    size = most if whole else int(np.round(np.exp(rng.uniform(np.log(2), np.log(most)))))
    classes = tuple(sorted(rng.choice(len(counts), size=size, replace=False).tolist()))
    most_a_class = max(8, min(int(0.9 * counts.max()), MOST_IMAGES // size))
    if whole:
        return TaskSpec(source, classes, most_a_class, False, seed)
    most_a_class = min(500, most_a_class)
    least = max(5, min(most_a_class, 160 // size))
    per_class = int(np.round(np.exp(rng.uniform(np.log(least), np.log(most_a_class)))))
    smaller = [px for px in (12, 16, 20) if px < data["x_train"].shape[1]]
    return TaskSpec(
        source,
        classes,
        per_class,
        grey=bool(data["x_train"].shape[-1] == 3 and rng.uniform() < 0.25),
        seed=seed,
        balance=round(float(rng.uniform(0.15, 0.7)), 2) if rng.uniform() < 0.3 else 1.0,
        resolution=int(rng.choice(smaller)) if smaller and rng.uniform() < 0.2 else 0,
        noise=round(float(rng.uniform(4, 24)), 1) if rng.uniform() < 0.2 else 0.0,
        blur=round(float(rng.uniform(0.4, 1.2)), 1) if rng.uniform() < 0.2 else 0.0,
    )
