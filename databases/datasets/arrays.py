"""Arrays and .npz files: images and labels of any common kind, as uint8 images and class numbers.

Nothing in a file is ever unpickled: arrays of Python objects are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.archives import Zip
from databases.datasets.pictures import FULL_SCALES, Labelled, full_scale, is_coloured, natural
from databases.datasets.task import (
    PICTURE_RESOLUTION,
    TEST,
    TRAIN,
    VALIDATION,
    Images,
    Labels,
    check_classes,
    resize_images,
    sample,
)
from databases.errors import UserError

KEPT_RESOLUTIONS = range(8, 65)
LAYOUTS = (
    {TRAIN: ("x", "y")},
    {TRAIN: ("x_train", "y_train"), VALIDATION: ("x_val", "y_val"), TEST: ("x_test", "y_test")},
)
ENDING = ".npy"

Array: TypeAlias = npt.NDArray[Any]


def read_npz(archive: Zip, *, given: str) -> tuple[dict[int, tuple[Array, Array]], Array | None]:
    """Images and labels of each part of an .npz file, and its class names if it has some.

    Raises:
        UserError: when arrays are missing, are of Python objects, or cannot be read.
    """
    there = [name.removesuffix(ENDING) for name in archive.names if name.endswith(ENDING)]
    layout = next((keys for keys in LAYOUTS if keys[TRAIN][0] in there), LAYOUTS[0])
    used = {part: keys for part, keys in layout.items() if part == TRAIN or set(keys) & set(there)}
    missing = [key for keys in used.values() for key in keys if key not in there]
    if missing:
        raise UserError(
            f"given {given} without {' and '.join(missing)} but with {', '.join(sorted(there)) or 'none'}; "
            "allowed are x, y or x_train, y_train and if you like x_val, y_val, x_test, y_test; rename them"
        )
    arrays = {part: (read_member(archive, x, given), read_member(archive, y, given)) for part, (x, y) in used.items()}
    return arrays, read_member(archive, "class_names", given) if "class_names" in there else None


def read_member(archive: Zip, key: str, given: str) -> Array:
    """One array of an .npz file; raises UserError where it cannot be read or holds Python objects."""
    try:
        content = BytesIO(archive.read(key + ENDING))
        array: Array = np.lib.format.read_array(content, allow_pickle=False)
    except UserError:
        raise
    except Exception as problem:  # numpy's reader raises whatever a false header makes it raise
        raise UserError(
            f"given {given}, whose array {key!r} cannot be read ({' '.join(str(problem).split())[:120]}); "
            "allowed are arrays of numbers or text, never Python objects; save it again with numpy.savez"
        ) from problem
    return array


def from_arrays(
    parts: Mapping[int, tuple[npt.ArrayLike, npt.ArrayLike]],
    class_names: Array | None = None,
    *,
    given: str,
    resolution: int | None,
    most: int,
    seed: int,
) -> Labelled:
    """Images and labels of each part as uint8 images of one size and class numbers, in the order given.

    Args:
        parts: of TRAIN and others, images (n, h, w), (n, h, w, c) or (n, c, h, w) and labels (n,) or (n, 1).
        class_names: text (classes,), the names of labels 0, 1, ...
        given: what the user called the data, for errors.
        resolution: height and width; None keeps squares of 8 to 64 pixels and makes everything else 32.
        most: if there are more images than this, a stratified part of them is used.
        seed: which part.

    Raises:
        UserError: when images or labels cannot be used.
    """
    images = [_checked_images(x, given) for x, _ in parts.values()]
    targets = [_checked_labels(y, given) for _, y in parts.values()]
    _check_match(images, targets, given)
    labels, names, notes = _classes(np.concatenate(targets), class_names, given)
    where = np.repeat(np.array(list(parts), dtype=np.uint8), [len(x) for x in images])
    check_classes(labels, where, names, least=2)
    chosen = sample(labels, where, most=most, seed=seed)
    stacked = images[0] if len(images) == 1 else np.concatenate(images)
    if len(chosen) < len(stacked):
        notes.append(f"used {len(chosen):,} of {len(stacked):,} images, the same share of each class")
        stacked = stacked[chosen]
    pixels = _one_size(_without_copies(_as_bytes(stacked, given, notes), notes), resolution, notes)
    return Labelled(pixels, labels[chosen], where[chosen], names, tuple(notes))


def more_images(values: npt.ArrayLike, *, like: Images, scale: int, given: str) -> Images:
    """Further images of the kind from which those of a task were made, as that made them.

    Args:
        values: (n, h, w), (n, h, w, c) or (n, c, h, w), of any size; n at least 1.
        like: the task's images, (m, px, px, c).
        scale: the value that stands for white (`pictures.full_scale` of the first images' largest).
        given: what the user called them, for errors.

    Raises:
        UserError: they are no images, have colours where the task's are grey, or values that it could not have.
    """
    images, channels = _checked_images(values, given), like.shape[3]
    if images.shape[3] > channels and is_coloured(images):
        raise UserError(f"given {given} in colour; allowed is grey, as the first images were; make them grey")
    if images.min() < 0 or images.max() > scale:
        raise UserError(
            f"given {given} with values from {images.min():g} to {images.max():g}; "
            f"allowed are 0 to {scale:,}, as in the first images; scale them alike"
        )
    pixels = np.rint(images * np.float32(255 / scale)).astype(np.uint8)[..., :channels]
    return resize_images(np.ascontiguousarray(np.repeat(pixels, channels // pixels.shape[3], axis=3)), like.shape[1])


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


def _checked_images(values: npt.ArrayLike, given: str) -> Array:
    """Images as an array (n, h, w, c) of finite numbers, c = 1 or 3."""
    try:
        images: Array = np.asarray(values)
    except (ValueError, TypeError):  # such as a list of images of different sizes
        images = np.empty(0, dtype=object)
    if images.dtype.kind not in "buif":
        raise UserError(
            f"given {given} with images of type {images.dtype}; allowed is one array of numbers; "
            "bring the images to one size and stack them"
        )
    shape = images.shape
    if images.ndim == 3:
        images = images[..., None]
    last, first = (images.shape[-1] in (1, 3), images.shape[1] in (1, 3)) if images.ndim == 4 else (False, False)
    if last == first or 0 in images.shape:
        raise UserError(
            f"given {given} with images of shape {shape}; "
            "allowed are (n, h, w), (n, h, w, c) and (n, c, h, w), none 0, h and w above 1, and one of the places of c "
            "1 or 3; "
            "reshape them"
        )
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(
            f"given {given} with images that hold NaN or infinity; allowed are 0 to 1 or 0 to 255; clean them"
        )
    return images if last else np.moveaxis(images, 1, -1)


def _checked_labels(values: npt.ArrayLike, given: str) -> Array:
    """Labels (n,) as whole numbers from 0 or as text."""
    try:
        labels: Array = np.asarray(values)
    except (ValueError, TypeError):
        labels = np.empty(0, dtype=object)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = np.array([str(label) for label in labels.flat]).reshape(labels.shape)
    if labels.dtype.kind == "S":
        labels = np.array([label.decode("utf-8", "replace") for label in labels.flat]).reshape(labels.shape)
    if labels.ndim != 1 or labels.dtype.kind not in "buifU":
        raise UserError(
            f"given {given} with labels of type {labels.dtype} and shape {labels.shape}; "
            "allowed is a whole number or name an image, (n,) or (n, 1); take argmax of one-hot labels"
        )
    if labels.dtype.kind == "U":
        return labels
    wrong = labels[~(np.isfinite(labels) & (labels >= 0) & (labels == np.floor(labels)) & (labels < 2**53))]
    if len(wrong):
        raise UserError(
            f"given {given} with a label {wrong[0]}; allowed are whole numbers from 0, or names; "
            "number the classes from 0"
        )
    return labels.astype(np.int64)


def _classes(labels: Array, class_names: Array | None, given: str) -> tuple[Labels, tuple[str, ...], list[str]]:
    """Class numbers (n,), their names, and notes."""
    if class_names is None:
        values, numbers = np.unique(labels, return_inverse=True)
        order = sorted(range(len(values)), key=lambda index: natural(str(values[index])))
        rank = np.argsort(order)
        return rank[numbers].astype(np.int64), tuple(str(values[index]) for index in order), []
    names, notes = _distinct(np.ravel(class_names).astype(str).tolist())
    if labels.dtype.kind == "U":
        position = {name: index for index, name in enumerate(names)}
        unknown = labels[~np.isin(labels, names)]
        if len(unknown):
            raise UserError(
                f"given {given} with a label {str(unknown[0])!r} that is not among its class_names; "
                "allowed are those; add it or leave class_names out"
            )
        labels = np.array([position[label] for label in labels.tolist()], dtype=np.int64)
    elif len(labels) and labels.max() >= len(names):
        raise UserError(
            f"given {given} with a label {labels.max()} and {len(names):,} class_names; allowed are 0 to "
            f"{len(names) - 1}; name every class"
        )
    present = np.unique(labels)
    if len(present) < len(names):
        notes.append(f"left out {len(names) - len(present):,} of {len(names):,} class names that have no image")
    return np.searchsorted(present, labels), tuple(names[index] for index in present), notes


def _distinct(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names with a number behind each repetition, and notes."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    repeated = [name for name, times in seen.items() if times > 1]
    return distinct, [f"numbered class names that repeat: {', '.join(repeated[:3])}"] if repeated else []


def _as_bytes(images: Array, given: str, notes: list[str]) -> Images:
    """Values 0..1, 0..255 or whole numbers of 12 or 16 bits as 0..255; adds a note when they change."""
    low, top = images.min(), images.max()
    allowed = 255 if images.dtype.kind == "f" else FULL_SCALES[-1]
    if low < 0 or top > allowed:
        raise UserError(
            f"given {given} with values from {low:g} to {top:g}; "
            "allowed are 0 to 1, 0 to 255 and whole numbers to 65,535; undo any normalisation"
        )
    scale = full_scale(float(top))
    if scale == 255:
        return images.astype(np.uint8) if images.dtype.kind != "f" else np.rint(images).astype(np.uint8)
    if top > 0:
        notes.append(f"scaled values of 0 to {scale:,} to 0 to 255")
    return np.rint(images * np.float32(255 / scale)).astype(np.uint8)


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
