"""Features of a task that come ready, where its images are not at hand: read from an .npz file, kept as text.

| array | shape | is |
|---|---|---|
| features | (m, 192) | of m training images, by `databases.datasets.features.from_images` or of your own making |
| labels | (m,) | the class of each: numbers or names |
| train_images, channels, resolution | () | of the whole task, where you know them |
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.datasets.archives import Zip
from databases.datasets.features import (
    MOST_IMAGES,
    STATISTICS,
    TaskFeatures,
    draw,
    plain_statistics,
    standardised,
)
from databases.datasets.landmarks import nearest_mean_accuracy
from databases.datasets.npz import ENDING, read_member
from databases.errors import UserError

PER_CLASS = 20
MOST = 1e15  # whose square is a number in single precision
# What pixels would tell stands at about its mean over the own tasks: the landmarks; brightness, contrast, edges.
PIXEL_LANDMARK, PIXELS = 0.46, (0.42, 0.26, 0.50)
ALLOWED = "allowed is an .npz file with features (m, {width}) and labels (m,)"


def read_features(path: Path, *, name: str = "", source: str = "") -> TaskFeatures:
    """The features in an .npz file; of many images 20 a class are kept, at most 1,000 in all.

    Raises:
        UserError: the file or an array is missing, damaged, not finite or of the wrong shape.
    """
    from databases.datasets.backbone import WIDTHS

    arrays, allowed = _arrays(path), ALLOWED.format(width=WIDTHS[-1])
    given, names = arrays["features"], arrays["labels"]
    if given.dtype.kind not in "fiu" or given.ndim != 2 or given.shape[1] != WIDTHS[-1]:
        raise UserError(f"given features {given.shape} of {given.dtype} in {path}; {allowed}; make them again")
    if names.dtype.kind not in "iuSU" or names.shape != given.shape[:1]:
        raise UserError(
            f"given labels {names.shape} of {names.dtype} for {len(given)} features in {path}; {allowed}; "
            "give one label, a whole number or a name, for each row"
        )
    if not np.isfinite(given).all():
        raise UserError(f"given features with NaN or infinity in {path}; {allowed}; leave those rows out")
    if len(given) and max(-float(given.min()), float(given.max())) > MOST:
        raise UserError(f"given features beyond {MOST:g} in {path}; {allowed}; scale them")
    classes, labels = np.unique(names, return_inverse=True)
    if not 2 <= len(classes) <= MOST_IMAGES:
        raise UserError(f"given {len(classes)} different labels in {path}; allowed are 2 to {MOST_IMAGES:,} classes")
    numbers = labels.astype(np.int64)
    kept = draw(numbers, max(1, min(PER_CLASS, MOST_IMAGES // len(classes))), 0)
    features = standardised(given[kept].astype(np.float32))
    return TaskFeatures(features, numbers[kept], _statistics(arrays, features, numbers[kept], path), name, source)


def to_text(task: TaskFeatures) -> str:
    """Features, labels and statistics as text for a database; features in half precision."""
    file = io.BytesIO()
    arrays = {"labels": task.labels.astype(np.int16), "statistics": task.statistics}
    np.savez_compressed(file, features=task.features.astype(np.float16), **arrays)  # type: ignore[arg-type]
    return base64.b64encode(file.getvalue()).decode("ascii")


def from_text(text: str, *, name: str = "", source: str = "", fingerprint: str = "") -> TaskFeatures:
    """Reads `to_text` back; raises `UserError` for anything else."""
    try:
        with np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as file:
            features, labels = file["features"].astype(np.float32), file["labels"].astype(np.int64)
            found = TaskFeatures(features, labels, file["statistics"], name, source, fingerprint)
    except (ValueError, KeyError, OSError, EOFError, binascii.Error, zipfile.BadZipFile) as error:
        raise UserError(f"the stored features of {name!r} are damaged ({error}); import them again") from error
    if found.statistics.shape != (len(STATISTICS),):
        raise UserError(
            f"the features of {name!r} were stored by another metad2a: import its table into a new database"
        )
    return found


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the file that are known here."""
    if not path.is_file():
        raise UserError(f"given features {str(path)!r}, which is no file; give an .npz file beside the table")
    with closing(Zip(path)) as archive:
        there = [name.removesuffix(ENDING) for name in archive.names if name.endswith(ENDING)]
        missing = [name for name in ("features", "labels") if name not in there]
        if missing:
            raise UserError(
                f"given {path} without {' and '.join(missing)} but with {', '.join(sorted(there)) or 'none'}; "
                "allowed are features, labels and if you like train_images, channels, resolution; rename them"
            )
        known = ("features", "labels", "train_images", "channels", "resolution")
        return {name: read_member(archive, name, str(path)) for name in known if name in there}


def _statistics(
    arrays: dict[str, npt.NDArray[Any]],
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    path: Path,
) -> npt.NDArray[np.float32]:
    accuracy, margin = nearest_mean_accuracy(features, labels)
    pixels = PIXEL_LANDMARK
    return plain_statistics(
        train_images=_number(arrays, "train_images", len(arrays["labels"]), path),
        classes=int(labels.max()) + 1,
        channels=int(_number(arrays, "channels", 3, path)),
        resolution=int(_number(arrays, "resolution", 32, path)),
        balance=1.0,
        landmarks=(accuracy, margin, pixels, pixels, pixels, pixels),
        pixels=PIXELS,
    )


def _number(arrays: dict[str, npt.NDArray[Any]], name: str, default: int, path: Path) -> float:
    value = arrays.get(name, np.array(default))
    if value.size != 1 or value.dtype.kind not in "fiu" or not 1 <= float(value.reshape(())) < np.inf:
        raise UserError(f"given {name} {str(value)[:40]} in {path}; allowed is one number from 1; correct it")
    return float(value.reshape(()))
