"""The values of images: of which kind they are, the extremes of each image, and what lies outside a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Values:
    """What is looked at to tell the range: the extremes of each image, and how far values lie outside a range.

    ``outside`` tells for a white how many values lie outside 0 to white, and how far all do on average;
    ``fractions`` whether any value is no whole number.
    """

    lows: npt.NDArray[np.float64]
    highs: npt.NDArray[np.float64]
    kind: str
    outside: Callable[[int], tuple[int, float]]
    fractions: Callable[[], bool]

    @property
    def low(self) -> float:
        """The smallest value of all."""
        return float(self.lows.min())

    @property
    def top(self) -> float:
        """The largest value of all."""
        return float(self.highs.max())

    @property
    def far(self) -> float:
        """How far from 0 the farthest value lies."""
        return max(-self.low, self.top)


def values_of(images: Sequence[Array] | Array, *, kind: str = "") -> Values:
    """The extremes of each of the images (n, h, w) or (n, h, w, c); ``kind`` where the type does not tell it."""
    lows = np.array([image.min() for image in images], dtype=np.float64)
    highs = np.array([image.max() for image in images], dtype=np.float64)
    kind = kind or kind_of(images[0].dtype)

    def outside(white: int) -> tuple[int, float]:
        count, total, sum_of_values = 0, 0.0, 0
        for image in images:
            sum_of_values += image.size
            if image.min() < 0 or image.max() > white:
                far = np.maximum(image - np.float64(white), 0) + np.maximum(-image.astype(np.float64), 0)
                count, total = count + int(np.count_nonzero(far)), total + float(far.sum())
        return count, total / (sum_of_values * white)

    def fractions() -> bool:
        return kind == "float" and any(bool((image != np.rint(image)).any()) for image in images)

    return Values(lows, highs, kind, outside, fractions)


def kind_of(dtype: np.dtype[Any]) -> str:
    """What numbers of a type are: 'bool', 'byte', 'whole' or 'float'."""
    return "byte" if dtype == np.uint8 else {"b": "bool", "u": "whole", "i": "whole"}.get(dtype.kind, "float")
