"""Labels of any common kind as class numbers, and the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.conversion import missing
from databases.datasets.names import distinct, natural, shown, shown_apart, some
from databases.datasets.task import Labels
from databases.errors import UserError, count

Array: TypeAlias = npt.NDArray[Any]


def checked_labels(labels: Array, given: str) -> Array:
    """Labels (n,) as whole numbers from 0 or as text.

    Raises:
        UserError: they are neither, or some are missing.
    """
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.dtype.kind == "S":
        labels = _text(labels)
    if labels.ndim == 1 and labels.dtype.kind in "Of" and (places := missing(labels)):
        raise UserError(
            f"given {given} with {count(len(places), 'label')} missing (None or NaN), the first at {places[0]}; "
            "allowed is a whole number or name an image; fill them in or leave these images out"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "buifU":
        remedy = "of one-hot labels take argmax" if labels.ndim > 1 else "give them as text, y.astype(str)"
        raise UserError(
            f"given {given} with labels of type {labels.dtype} and shape {labels.shape}; "
            f"allowed is a whole number or name an image, (n,) or (n, 1); {remedy}"
        )
    if labels.dtype.kind == "U":
        return labels
    wrong = labels[~(np.isfinite(labels) & (labels >= 0) & (labels == np.floor(labels)) & (labels < 2**53))]
    if len(wrong):
        raise UserError(
            f"given {given} with a label {wrong[0]}; allowed are whole numbers from 0, or names; "
            "number the classes from 0, or give them as text, y.astype(str)"
        )
    return labels.astype(np.int64)


def class_numbers(labels: Array, class_names: Array | None, given: str) -> tuple[Labels, tuple[str, ...], list[str]]:
    """Class numbers (n,), their names, and notes.

    Raises:
        UserError: a label has no name.
    """
    if class_names is None:
        values, found = np.unique(labels, return_inverse=True)
        numbers, sorted_names = by_name(found, list(map(str, values)))
        names, notes = shown_apart(list(sorted_names))
        return numbers, tuple(names), notes
    raw = np.ravel(_text(class_names) if class_names.dtype.kind == "S" else class_names.astype(str)).tolist()
    names, repeated = distinct(list(map(shown, raw)))
    notes = [f"numbered class names that repeat: {', '.join(repeated[:3])}"] if repeated else []
    if labels.dtype.kind == "U":
        position = {name: index for index, name in reversed(list(enumerate(raw)))}
        unknown = labels[~np.isin(labels, raw)]
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
        without = [name for index, name in enumerate(names) if index not in set(present.tolist())]
        notes.append(f"left out {len(without):,} of {len(names):,} class names that have no image: {some(without)}")
    return np.searchsorted(present, labels), tuple(names[index] for index in present), notes


def by_name(numbers: npt.NDArray[np.int64], names: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    """Class numbers (n,) and names with the classes sorted by name, 2 before 10."""
    order = sorted(range(len(names)), key=lambda index: natural(names[index]))
    return np.argsort(order)[numbers].astype(np.int64), tuple(names[index] for index in order)


def _text(labels: Array) -> Array:
    """Bytes as text that is different where they are, also those that are not UTF-8."""
    decoded = [label.decode("utf-8", "surrogateescape") for label in labels.flat]
    return np.array(decoded, dtype=np.str_).reshape(labels.shape)
