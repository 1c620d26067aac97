"""What people hand over as images and labels, as plain arrays of numpy: once, before anything else is done with it.

Tensors of torch, on any device and with or without gradients, images of Pillow of any mode, columns of pandas, lists,
arrays of Python objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.decoding import opened_picture
from databases.errors import UserError

Array: TypeAlias = npt.NDArray[Any]


def plain_array(values: object) -> Array:
    """Any array-like as an array of numpy; of Python objects where nothing better describes them.

    Arrays of objects become numbers or text where all they hold is such, and one array where they hold arrays of one
    shape. What is no array at all becomes an empty array of objects, which every check refuses.
    """
    if (pictures := _of_pictures(values if isinstance(values, list | tuple) else [values])) is not None:
        return pictures if isinstance(values, list | tuple) else pictures[0]
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # a tensor of torch
        values = _tensor(values)
    elif hasattr(values, "numpy") and not isinstance(values, np.ndarray):  # of TensorFlow or JAX
        values = values.numpy()
    if isinstance(values, list | tuple) and any(hasattr(each, "detach") for each in values):
        values = [_tensor(each) if hasattr(each, "detach") else each for each in values]
    if hasattr(values, "tocsr") and hasattr(values, "toarray"):
        raise UserError("given a sparse array or matrix; allowed are dense ones; give it as x.toarray()")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise UserError(
            f"given a masked array with {int(np.ma.getmaskarray(values).sum()):,} values missing; "
            "allowed are whole arrays; fill them in or leave these images out"
        )
    try:
        array: Array = _apart(values) if _is_flat(values) else np.asarray(values)
    except (ValueError, TypeError, RuntimeError):  # such as a list of images of different sizes
        return np.empty(0, dtype=object)
    if array.dtype.kind == "T":  # text of any length, which may be missing
        array = array.astype(object)
    return _of_objects(array) if array.dtype.kind == "O" else array


def _is_flat(values: object) -> bool:
    """Whether it is a list of single values, which numpy would turn into one type: 1 and "1" into the same text."""
    single = (str, bytes, bool, int, float, np.generic)
    return isinstance(values, list | tuple) and bool(values) and all(isinstance(each, single) for each in values)


def _apart(values: Any) -> Array:
    """Single values as an array of objects, as they are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _tensor(values: Any) -> Any:
    """A tensor of torch as an array; of types that numpy lacks, such as bfloat16, as float32."""
    try:
        held = values.detach().cpu()
        try:
            return held.resolve_conj().resolve_neg().numpy()
        except TypeError:
            return held.float().numpy()
    except (TypeError, RuntimeError) as problem:
        raise UserError(
            f"given a tensor of torch that no array can hold ({values.layout}, {values.dtype}, on {values.device}"
            f"{', nested' if values.is_nested else ''}); allowed are dense ones with values and one size; give it as "
            "x.to_dense(), of a quantized one x.dequantize(), of a nested one images brought to one size"
        ) from problem


def _of_pictures(values: Sequence[Any]) -> Array | None:
    """Images of Pillow as one array, grey ones in colour where another is; None where some are none."""
    if not values or not all(hasattr(each, "getbands") for each in values):
        return None
    found = [opened_picture(each) for each in values]
    if any(each.ndim == 3 for each in found) and all(each.dtype == np.uint8 for each in found):
        found = [each if each.ndim == 3 else np.repeat(each[..., None], 3, axis=2) for each in found]
    same = len({(each.shape, each.dtype) for each in found}) == 1
    return np.stack(found) if same else np.empty(0, dtype=object)


def _of_objects(array: Array) -> Array:
    """An array of objects as numbers, text or one larger array where all of them are of one kind; else itself."""
    held = list(array.flat)
    if not held:
        return array
    if array.ndim == 1 and (pictures := _of_pictures(held)) is not None:
        return pictures
    if all(isinstance(each, np.ndarray) or hasattr(each, "detach") for each in held) and array.ndim == 1:
        inner = [plain_array(each) for each in held]
        if len({each.shape for each in inner}) == 1 and all(each.dtype.kind in "buif" for each in inner):
            return np.stack(inner)
        return array
    for kinds in ((bool, np.bool_), (int, np.integer), (int, float, np.integer, np.floating), (str,), (bytes,)):
        if all(isinstance(each, kinds) for each in held) and (
            bool in kinds or not any(isinstance(each, bool | np.bool_) for each in held)
        ):
            plain = [each.item() if isinstance(each, np.generic) else each for each in held]
            found = np.array(plain)
            # whole numbers beyond what floats can hold, and text with a zero at its end, would become others
            same = all(a == b or a != a for a, b in zip(plain, found.tolist(), strict=True))
            return found.reshape(array.shape) if same and found.dtype.kind != "O" else array
    return array


def missing(labels: Array) -> list[int]:
    """Positions of the labels (n,) that are None, NaN or the missing value of pandas."""
    return [index for index, each in enumerate(labels.tolist()) if _is_missing(each)]


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def is_one_hot(labels: Array) -> bool:
    """Whether labels (n, classes) have a single 1 in each row and 0 elsewhere."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "buif":
        return False
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())
