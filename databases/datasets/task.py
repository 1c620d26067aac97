"""Task: labelled images of one size, divided into training, validation and test parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.mapped import Mapped, let_go
from databases.errors import UserError, count, in_a_line, key_of_name

TRAIN, VALIDATION, TEST = 0, 1, 2
USES = {VALIDATION: "validation", TEST: "test"}
MAX_CLASSES = 1_000
MIN_RESOLUTION, MAX_RESOLUTION = 8, 256
PICTURE_RESOLUTION = 32
NAMED = 6  # classes that a summary names
CHUNK = 4_096  # images that are looked at together
MAX_SEED = 2**32 - 1

Images: TypeAlias = npt.NDArray[np.uint8]  # (n, h, w, c)
Labels: TypeAlias = npt.NDArray[np.int64]  # (n,)
Parts: TypeAlias = npt.NDArray[np.uint8]  # (n,)


@dataclass(frozen=True, eq=False)
class Task:
    """A dataset to find a network for. Two tasks are the same when their fingerprints are.

    Attributes:
        name: what people call it.
        images: uint8 (n, h, w, c), square, c = 1 (grey) or 3 (red, green, blue).
        labels: int64 (n,) in 0..classes-1.
        parts: uint8 (n,), each TRAIN, VALIDATION or TEST; every class has a training image.
        class_names: one name a class, all different.
        source: where the images come from; held-out splits keep a source together.
        notes: one line for each thing that loading changed or left out.
        white: the value that stood for white in pictures of more than 8 bits; None where there were none.
        groups: int64 (n,), equal for images that belong together, which no part is drawn across; None: none do.
        train_in_all: training images of the data that these are a sample of; None: these are all.

    Raises:
        UserError: when the fields do not fit together.
    """

    name: str
    images: Images
    labels: Labels
    parts: Parts
    class_names: tuple[str, ...]
    source: str = ""
    notes: tuple[str, ...] = ()
    white: int | None = None
    groups: npt.NDArray[np.int64] | None = None
    train_in_all: int | None = None

    def __post_init__(self) -> None:
        """Refuse fields that do not fit together."""
        shape, dtype = self.images.shape, self.images.dtype
        if dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or shape[1] != shape[2]:
            raise UserError(f"given images {dtype} {shape}; allowed is uint8 (n, h, h, 1 or 3); use load_task")
        for field, values, wanted in (("labels", self.labels, np.int64), ("parts", self.parts, np.uint8)):
            if values.dtype != wanted or values.shape != shape[:1]:
                raise UserError(
                    f"given {field} {values.dtype} {values.shape} for {shape[0]} images; "
                    f"allowed is {np.dtype(wanted)} ({shape[0]},); give one for each image"
                )
        if len(set(self.class_names)) < len(self.class_names):
            raise UserError("given class names that repeat; each may stand once; rename or merge the classes")
        check_classes(self.labels, self.parts, self.class_names)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for coloured ones."""
        return int(self.images.shape[3])

    @property
    def resolution(self) -> int:
        """Height and width of an image, in pixels."""
        return int(self.images.shape[1])

    @property
    def train_images(self) -> int:
        """How many images training takes, which are more than these hold where these are a sample."""
        return int((self.parts == TRAIN).sum()) if self.train_in_all is None else self.train_in_all

    @property
    def summary(self) -> str:
        """One line for people: how many images of which size, the classes, and what each part holds."""
        colour = "grey" if self.channels == 1 else "coloured"
        names = ", ".join(map(in_a_line, self.class_names[:NAMED])) + (", ..." if self.classes > NAMED else "")
        train, validation, test = (f"{int((self.parts == part).sum()):,}" for part in (TRAIN, VALIDATION, TEST))
        return (
            f"{len(self.images):,} {colour} images of {self.resolution}x{self.resolution} px in {self.classes} classes "
            f"({names}): {train} for training, {validation} for validation, {test} for test"
        )

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name the content: images, labels, parts and the number of classes."""
        digest = hashlib.sha256(repr((self.images.shape, self.classes)).encode())
        for start in range(0, len(self.images), CHUNK):  # images on the disk are never in memory all at once
            digest.update(np.ascontiguousarray(self.images[start : start + CHUNK]).data)
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        digest.update(np.ascontiguousarray(self.parts).data)
        return digest.hexdigest()[:16]

    def places(self, which: int) -> npt.NDArray[np.intp]:
        """Positions (m,) of the images of TRAIN, VALIDATION or TEST."""
        return np.flatnonzero(self.parts == which)

    def part(self, which: int) -> tuple[Images, Labels]:
        """Images (m, h, w, c), all in memory, and labels (m,) of TRAIN, VALIDATION or TEST; see `places`."""
        chosen = self.parts == which
        return self.images[chosen], self.labels[chosen]

    def resized(self, px: int) -> Task:
        """The same task at px by px pixels; the task itself when it has that size already.

        Images in a file are resized into a file beside it, and only once. Raises UserError for impossible sizes.
        """
        check_resolution(px)
        if px == self.resolution or not isinstance(self.images, Mapped):
            return self if px == self.resolution else replace(self, images=resize_images(self.images, px))
        shape = (len(self.images), px, px, self.channels)
        return replace(self, images=self.images.beside(f"{px}px", shape, lambda target: _resize(self.images, target)))

    def statistics(self) -> dict[str, float | int]:
        """Plain numbers of the task; class sizes and balance are those of the training part.

        `balance` is the entropy of the class shares over its maximum: 1 when all classes are equally large.
        """
        sizes = np.bincount(self.labels[self.parts == TRAIN], minlength=self.classes)
        shares = sizes / sizes.sum()
        return {
            "images": len(self.images),
            "train_images": self.train_images,
            "classes": self.classes,
            "channels": self.channels,
            "resolution": self.resolution,
            "smallest_class": int(sizes.min()),
            "largest_class": int(sizes.max()),
            "balance": min(1.0, float(-(shares * np.log(shares)).sum() / np.log(self.classes))),
        }


def check_classes(labels: Labels, parts: Parts, class_names: Sequence[str], *, least: int = 1) -> None:
    """Refuse too few or too many classes, labels outside them, and classes that cannot be learnt.

    Args:
        labels: (n,) class numbers.
        parts: (n,) TRAIN, VALIDATION or TEST.
        class_names: one name a class.
        least: images that a class must have over all parts; one of them for training.

    Raises:
        UserError: naming the first class that does not do.
    """
    classes = len(class_names)
    if not 2 <= classes <= MAX_CLASSES:
        only = f" ({class_names[0]!r})" if classes == 1 else ""
        raise UserError(
            f"given {classes:,} class{'es' if classes != 1 else only}; allowed are 2 to {MAX_CLASSES:,}; "
            "give each class a folder (or a label) of its own, with at least two images"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise UserError(
            f"given labels {labels.min()} to {labels.max()} for {classes} classes; "
            f"allowed are 0 to {classes - 1}; number the classes from 0 or name them all"
        )
    if len(parts) and parts.max() > TEST:
        raise UserError(f"given a part {parts.max()}; allowed are 0 train, 1 validation and 2 test; correct it")
    sizes = np.bincount(labels, minlength=classes)
    train_sizes = np.bincount(labels[parts == TRAIN], minlength=classes)
    if small := np.flatnonzero((sizes < least) | (train_sizes == 0)).tolist():
        name, size, more = class_names[small[0]], int(sizes[small[0]]), len(small) - 1
        same = [each for each in class_names if each != name and key_of_name(each) == key_of_name(name)]
        do = "add images to the class" if size < least else "put some of them into training"
        raise UserError(
            f"given class {name!r} with {count(size, 'image')}, {train_sizes[small[0]]} of them for training"
            f"{f' (and {more:,} more such)' if more else ''}; allowed is at least {least}, 1 of them for training; "
            f"{do} or remove it{f', or call it {same[0]!r} if it is that class' if same else ''}"
        )


def check_resolution(px: int) -> None:
    """Refuse sizes that no network here can take; raises UserError."""
    if not MIN_RESOLUTION <= px <= MAX_RESOLUTION:
        raise UserError(
            f"given resolution {px} in pixels; allowed are {MIN_RESOLUTION} to {MAX_RESOLUTION}; 32 is usual"
        )


def check_seed(seed: int) -> None:
    """Refuse seeds that not every generator of random numbers takes; raises UserError."""
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= seed <= MAX_SEED:
        raise UserError(f"given seed {seed!r}; allowed are whole numbers from 0 to {MAX_SEED:,}; 0 is usual")


def resize_images(images: Images, px: int) -> Images:
    """Squeeze or stretch images (n, h, w, c) to (n, px, px, c), each new pixel the mean of what it covers."""
    if images.shape[1:3] == (px, px):
        return images
    resized = np.empty((len(images), px, px, images.shape[3]), dtype=np.uint8)
    _resize(images, resized)
    return resized


def _resize(images: Images, resized: Images) -> None:
    """Images (n, h, w, c) into those (n, px, px, c)."""
    from PIL import Image

    px = resized.shape[1]
    for index, image in enumerate(images):
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        small = picture.resize((px, px), Image.Resampling.BILINEAR)
        resized[index] = np.asarray(small).reshape(px, px, -1)
        if not (index + 1) % CHUNK:
            let_go(resized)


def split(labels: Labels, *, seed: int = 0, validation: float = 0.2, test: float = 0.2) -> Parts:
    """Divide images among the parts, each class in the same proportions.

    Every class keeps a training image. A class too small for its share of a part gives none, and the next
    gives more, so the sizes are right overall; a part that is asked for is empty only if no class has two.

    Args:
        labels: (n,) class numbers.
        seed: another seed draws other images.
        validation: share of all images for validation.
        test: share of all images for the test.

    Raises:
        UserError: when the shares leave nothing for training.
    """
    if not (0 <= validation and 0 <= test and validation + test < 1):
        raise UserError(
            f"given shares of {validation} for validation and {test} for the test; "
            "allowed are shares from 0 that stay below 1 together; 0.2 each is usual"
        )
    everything = np.full(len(labels), TRAIN, dtype=np.uint8)
    tested = move_share(labels, everything, TEST, share=test, seed=seed)
    return move_share(labels, tested, VALIDATION, share=validation / (1 - test), seed=seed)


def move_share(labels: Labels, parts: Parts, part: int, *, share: float, seed: int) -> Parts:
    """Moves a share of a class's training images to another part; see `split`, which raises alike. New parts (n,)."""
    if not 0 <= share < 1:
        raise UserError(f"given a share of {share}; allowed are shares from 0 to below 1; 0.2 is usual")
    draws = image_draws(len(labels), seed=seed, stream=part)
    moved, owed = parts.copy(), 0.0
    sizes: dict[int, int] = {}
    for label in np.unique(labels):
        members = np.flatnonzero((labels == label) & (parts == TRAIN))
        owed += share * len(members)
        taken = max(0, min(int(owed + 0.5), len(members) - 1))
        owed = min(owed - taken, 0.5)
        moved[members[np.argsort(draws[members], kind="stable")[:taken]]] = part
        sizes[int(label)] = len(members) - taken
    if share > 0 and not (moved == part).any() and max(sizes.values(), default=0) > 1:
        largest = max(sizes, key=lambda label: sizes[label])
        moved[np.flatnonzero((labels == largest) & (moved == TRAIN))[0]] = part
    return moved


def sample(labels: Labels, parts: Parts, *, most: int, seed: int) -> npt.NDArray[np.intp]:
    """Positions of about `most` images, in order: the same share of each class and part, but at least two.

    Never more than `most` unless that minimum needs more. All positions when there are no more than `most`.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    draws = image_draws(len(labels), seed=seed, stream=TEST + 1)
    strata, sizes = np.unique(labels * (TEST + 1) + parts, return_inverse=True, return_counts=True)[1:]
    least = np.minimum(sizes, 2)
    room = max(0, most - least.sum())
    kept = least + (sizes - least) * room // max(1, (sizes - least).sum())
    ranked = np.lexsort((draws, strata))  # stratum after stratum, the lowest draws first
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(ranked[rank < np.repeat(kept, sizes)])


def image_draws(count: int, *, seed: int, stream: int) -> npt.NDArray[np.float64]:
    """Uniform draws that rank images: unlike a shuffle, the same in every version of numpy."""
    check_seed(seed)
    return np.random.default_rng([seed, stream]).random(count)
