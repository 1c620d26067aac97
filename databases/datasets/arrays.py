"""Images and labels of any common kind, as uint8 images and class numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.cautions import told_of_sample
from databases.datasets.conversion import plain_array
from databases.datasets.decoding import is_coloured
from databases.datasets.groups import group_numbers
from databases.datasets.labels import checked_labels, class_numbers
from databases.datasets.npz import Arrays, joined
from databases.datasets.pictures import Labelled
from databases.datasets.scale import LEAST_TOP, TINY_OVERSHOOT, Scale, check_alike, find_scale
from databases.datasets.task import PICTURE_RESOLUTION, Images, check_classes, resize_images, sample
from databases.datasets.values import values_of
from databases.datasets.wide import wide_told
from databases.errors import UserError

KEPT_RESOLUTIONS = range(8, 65)

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """What the images of a task were, so that further ones can be read alike.

    Attributes:
        like: an image of the task, (1, px, px, c).
        scale: how values became 0 to 255.
        shape: of a single image as given, (h, w) or with its channels.
    """

    like: Images
    scale: Scale
    shape: tuple[int, ...]


def from_arrays(
    parts: Mapping[int, tuple[object, object]],
    *,
    given: str,
    resolution: int | None,
    most: int,
    seed: int,
    groups: object = None,
) -> Labelled:
    """Images and labels of each part as uint8 images of one size and class numbers, in the order given.

    Args:
        parts: of TRAIN and others, images (n, h, w), (n, h, w, c) or (n, c, h, w) and labels (n,) or (n, 1).
        given: what the user called the data, for errors.
        resolution: height and width; None keeps squares of 8 to 64 pixels and makes everything else 32.
        most: if there are more images than this, a stratified part of them is used.
        seed: which part.
        groups: (n,) equal for images that belong together, None: not told.

    Raises:
        UserError: when images, labels or groups cannot be used.
    """
    images = tuple(plain_array(x) for x, _ in parts.values())
    labels = tuple(plain_array(y) for _, y in parts.values())
    together = None if groups is None else plain_array(groups)
    arrays = Arrays(images, labels, tuple(parts), None, together, ())
    return from_npz(arrays, given=given, resolution=resolution, most=most, seed=seed)


def from_npz(arrays: Arrays, *, given: str, resolution: int | None, most: int, seed: int) -> Labelled:
    """The same for the arrays of an .npz file, which may name its classes; see `from_arrays`, also what is raised."""
    images = [checked_images(x, given) for x in arrays.images]
    targets = [checked_labels(y, given) for y in arrays.labels]
    _check_match(images, targets, given)
    labels, names, notes = class_numbers(np.concatenate(targets), arrays.class_names, given)
    where = np.repeat(np.array(arrays.parts, dtype=np.uint8), [len(x) for x in images])
    check_classes(labels, where, names, least=2)
    stacked = joined(images)
    if arrays.groups is not None:
        group_numbers(arrays.groups, len(stacked), given=given)  # refused before anything is read
    scale, told = find_scale(values_of(stacked), given=given)
    chosen = sample(labels, where, most=most, seed=seed)
    seen = told_of_sample(len(chosen), len(stacked), "images")
    notes = [*arrays.notes, *notes, *told, *seen]
    stacked = stacked[chosen] if seen else stacked
    pixels = _one_size(_without_copies(scale.to_bytes(stacked), notes), resolution, notes)
    groups = None if arrays.groups is None else np.asarray(arrays.groups)[chosen]
    in_all = where if seen else None
    white = None if scale.white == 255 and scale.kind == "byte" else scale.white
    return Labelled(pixels, labels[chosen], where[chosen], names, tuple(notes), white, groups=groups, in_all=in_all)


def kind_of_images(values: Array, task_images: Images, *, given: str) -> Kind:
    """What kind of images these are, of which a task's were made; raises UserError where they cannot be."""
    scale, _ = find_scale(values_of(checked_images(values, given)), given=given)
    return Kind(task_images[:1].copy(), scale, values.shape[1:])


def scale_told(values: Array, *, given: str) -> tuple[list[str], list[str]]:
    """All that is to be told of the range of images, and what of it is no matter of course.

    That the values of images are 0 to 1 or 0 to 255 is, unless some are clipped or all are dark.

    Raises:
        UserError: no range holds them, or several would do.
    """
    seen = values_of(checked_images(values, given))
    scale, told = find_scale(seen, given=given)
    told, white = [f"{given}: {note}" for note in told], scale.white
    within = max(-seen.low, seen.top - white) <= TINY_OVERSHOOT * white
    usual = white in (1, 255) and within and 255 * seen.top >= LEAST_TOP[255] * white
    tells_range = white == 1 or scale.kind != "byte"  # that of bytes is told by their type
    return told, told[1:] if usual and tells_range else told


def more_images(values: object, kind: Kind, *, given: str, quiet: bool = False) -> Images:
    """Further images of the kind from which those of a task were made, as that made them.

    Args:
        values: (n, h, w), (n, h, w, c) or (n, c, h, w), of any size; n at least 1.
        kind: see `kind_of_images`.
        given: what the user called them, for errors.
        quiet: warn of nothing.

    Raises:
        UserError: they are no images, a single one, have colours where the task's are grey, or values that it could
            not have.
    """
    told = wide_told(values, given=given, further=True)
    array, channels = plain_array(values), kind.like.shape[3]
    _refuse_single(array, kind, given)
    images = checked_images(array, given)
    if images.shape[3] > channels and is_coloured(images):
        raise UserError(f"given {given} in colour; allowed is grey, as the first images were; make them grey")
    for note in (*told, *check_alike(values_of(images), kind.scale, given=given)):
        if not quiet:
            warnings.warn(note, stacklevel=4)
    pixels = kind.scale.to_bytes(images)[..., :channels]
    return resize_images(
        np.ascontiguousarray(np.repeat(pixels, channels // pixels.shape[3], axis=3)), kind.like.shape[1]
    )


def _refuse_single(array: Array, kind: Kind, given: str) -> None:
    """Refuses what is a single image by its look: (h, w), (h, w, c), or (c, h, w) where the first had channels.

    Grey ones may have 1 or 2 (with what is transparent), coloured ones 3 or 4.
    """
    shape, channels_first = array.shape, len(kind.shape) == 3
    narrow = shape[-1:] != kind.shape[-1:] or channels_first
    single = array.ndim == 2 or (
        array.ndim == 3 and ((shape[-1] in (1, 2, 3, 4) and narrow) or (shape[0] in (3, 4) and channels_first))
    )
    if single and array.dtype.kind in "buif":
        raise UserError(
            f"given {given} of shape {shape}, which looks like a single image; allowed are (n, h, w), (n, h, w, c) and "
            "(n, c, h, w); give a single image as [X], which is a batch of one, and grey ones as X[..., None]"
        )


def _check_match(images: Sequence[Array], targets: Sequence[Array], given: str) -> None:
    """Refuse parts whose images and labels differ in number, or whose images differ in size."""
    for x, y in zip(images, targets, strict=True):
        if len(x) != len(y):
            raise UserError(
                f"given {given} with {len(x):,} images and {len(y):,} labels; allowed is one label an image; match them"
            )
    if len({x.shape[1:] for x in images}) > 1:
        raise UserError(
            f"given {given} with images of {' and '.join(str(x.shape[1:]) for x in images)}; "
            "allowed is one size; resize them alike"
        )


def checked_images(images: Array, given: str) -> Array:
    """Images as an array (n, h, w, c) of finite numbers, c = 1 or 3.

    Raises:
        UserError: they are of another shape or type, or some number is none.
    """
    if images.dtype.kind not in "buif":
        raise UserError(
            f"given {given} with images of type {images.dtype}; allowed is one array of numbers; "
            f"{'open the files' if images.dtype.kind in 'US' else 'bring the images to one size'} and stack them"
        )
    shape = images.shape
    if images.ndim == 3:
        images = images[..., None]
    last, first = (images.shape[-1] in (1, 3), images.shape[1] in (1, 3)) if images.ndim == 4 else (False, False)
    if last == first or 0 in images.shape:
        either = ", whose channels may be the second place or the last" if last and first else ""
        clear = {4: "leave transparency out, as x[..., :3]", 2: "leave transparency out, as x[..., :1]"}
        remedy = clear.get(shape[-1] if len(shape) == 4 else 0) or "reshape them"
        raise UserError(
            f"given {given} with images of shape {shape}{either}; "
            "allowed are (n, h, w), (n, h, w, c) and (n, c, h, w), none 0, h and w above 1, and one of the places of c "
            f"1 or 3; {remedy}"
        )
    if images.dtype.kind == "f" and not all(np.isfinite(image).all() for image in images):
        raise UserError(
            f"given {given} with images that hold NaN or infinity; allowed are 0 to 1 or 0 to 255; clean them"
        )
    return images if last else np.moveaxis(images, 1, -1)


def _without_copies(images: Images, notes: list[str]) -> Images:
    """One channel where three are the same everywhere; adds a note when that is so."""
    if images.shape[-1] == 1 or is_coloured(images):
        return images
    notes.append("kept one of three equal channels: all images are grey")
    return np.ascontiguousarray(images[..., :1])


def _one_size(images: Images, resolution: int | None, notes: list[str]) -> Images:
    """Square images of the resolution, or of the default one; adds a note when that is another size."""
    height, width = images.shape[1:3]
    px = resolution or (height if height == width and height in KEPT_RESOLUTIONS else PICTURE_RESOLUTION)
    if (height, width) != (px, px):
        notes.append(f"resized images of {width}x{height} pixels to {px}x{px}")
    return np.ascontiguousarray(resize_images(images, px))
