"""Image sources kept as encoded pictures in one ``.npz`` file: blobs, ends, labels, train and names."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping

import numpy as np


def arrays_of(file: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The pictures of such a file decoded, all of one size: x and y of both parts, and the class names."""
    from PIL import Image

    blobs, ends = file["blobs"].tobytes(), [0, *file["ends"].tolist()]
    images = [Image.open(io.BytesIO(blobs[begin:end])).convert("RGB") for begin, end in itertools.pairwise(ends)]
    x, y, train = np.stack([np.asarray(each) for each in images]), file["labels"], file["train"].astype(bool)
    parts = {"x_train": x[train], "y_train": y[train], "x_test": x[~train], "y_test": y[~train]}
    return {**parts, "class_names": file["names"]}
