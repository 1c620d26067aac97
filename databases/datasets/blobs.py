"""Image sources kept as encoded pictures in one ``.npz`` file: blobs, ends, labels, train and names."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

import numpy as np


def arrays_of(file: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The pictures of such a file decoded, all of one size: x and y of both parts, and the class names."""
    x, y, train = pictures(file, range(len(file["ends"]))), file["labels"], file["train"].astype(bool)
    parts = {"x_train": x[train], "y_train": y[train], "x_test": x[~train], "y_test": y[~train]}
    return {**parts, "class_names": file["names"]}


def pictures(file: Mapping[str, np.ndarray], places: Iterable[int]) -> np.ndarray:
    """Some pictures of such a file decoded, all of one size: (n, h, w, 3) uint8."""
    from PIL import Image

    blobs, ends = file["blobs"].tobytes(), [0, *file["ends"].tolist()]
    contents = (io.BytesIO(blobs[ends[place] : ends[place + 1]]) for place in places)
    return np.stack([np.asarray(Image.open(content).convert("RGB")) for content in contents])
