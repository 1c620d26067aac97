"""The arrays of an .npz file: read once, straight to their place; nothing in it is ever unpickled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.archives import Zip
from databases.datasets.names import some
from databases.datasets.task import TEST, TRAIN, VALIDATION
from databases.errors import UserError

NAMES = {  # of images and labels of a part, of which a file has one pair
    TRAIN: (("x", "y"), ("x_train", "y_train")),
    VALIDATION: (("x_val", "y_val"), ("x_valid", "y_valid"), ("x_validation", "y_validation")),
    TEST: (("x_test", "y_test"),),
}
GROUPS = ("groups", "group")
CLASS_NAMES = "class_names"
ALLOWED = "x, y or x_train, y_train and if you like x_val, y_val, x_test, y_test, groups, class_names"
PART = re.compile(r"[xy]_?(train|val|test|dev)\w*", re.IGNORECASE)  # can only be meant for a part
ENDING = ".npy"

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Arrays:
    """What an .npz file holds: images of all parts in one array where they are alike, and labels of each part.

    ``where`` is the part of each image; ``groups`` names what belongs together, where the file tells it.
    """

    images: tuple[Array, ...]
    labels: tuple[Array, ...]
    parts: tuple[int, ...]
    class_names: Array | None
    groups: Array | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Header:
    """What is known of an array before it is read; ``plain`` where its values can be read to their place."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    plain: bool


def read_npz(archive: Zip, *, given: str) -> Arrays:
    """Images and labels of each part of an .npz file, and its class names and groups if it has some.

    Raises:
        UserError: when arrays are missing, are of Python objects, or cannot be read.
    """
    there = [name.removesuffix(ENDING) for name in archive.names if name.endswith(ENDING)]
    if not there:
        raise UserError(
            f"given {given} without arrays ({some(archive.names) or 'nothing is in it'}); allowed are {ALLOWED}; "
            "give it the ending .zip if it holds pictures"
        )
    used = _used(there, given)
    headers = {part: _header(archive, x, given) for part, (x, _) in used.items()}
    grouping = next((key for key in GROUPS if key in there and _groups(archive, key, headers.values(), given)), None)
    left = sorted(set(there) - {key for keys in used.values() for key in keys} - {CLASS_NAMES, grouping})
    if strays := [key for key in left if PART.fullmatch(key) or _has_other(key, there)]:
        known = some(key for keys in used.values() for key in keys)
        raise UserError(
            f"given {given} with {some(strays)} beside {known}; allowed are {ALLOWED}; rename them or leave them out"
        )
    labels = {part: read_member(archive, y, given) for part, (_, y) in used.items()}
    empty = [part for part in used if part != TRAIN and not len(labels[part]) and headers[part].shape[:1] == (0,)]
    kept = [part for part in used if part not in empty]
    images = _read_together(archive, [used[part][0] for part in kept], [headers[part] for part in kept], given)
    names, groups = (read_member(archive, key, given) if key in there else None for key in (CLASS_NAMES, grouping))
    notes = [f"{used[part][0]} is empty: drawn from the other images where that part is needed" for part in empty]
    notes += [f"did not look at the arrays {some(left)} of the file"] if left else []
    return Arrays(images, tuple(labels[part] for part in kept), tuple(kept), names, groups, tuple(notes))


def _has_other(key: str, there: Sequence[str]) -> bool:
    """Whether an array x... has its y..., or the reverse: images and labels."""
    other = {"x": "y", "y": "x"}.get(key[:1].lower())
    return other is not None and other + key[1:].lower() in {each.lower() for each in there}


def _groups(archive: Zip, key: str, images: Iterable[_Header], given: str) -> bool:
    """Whether an array tells the groups: it is called so, or has a place for each image."""
    count = sum(header.shape[0] for header in images if header.shape)
    return key == GROUPS[0] or _header(archive, key, given).shape == (count,)


def _used(there: Sequence[str], given: str) -> dict[int, tuple[str, str]]:
    """Names of images and labels of each part that there is."""
    found = {part: [keys for keys in names if set(keys) & set(there)] for part, names in NAMES.items()}
    if several := next((pairs for pairs in found.values() if len(pairs) > 1), None):
        twice = some([key for keys in several for key in keys if key in there])
        raise UserError(f"given {given} with {twice}; allowed is one pair of these; leave the others out")
    used = {part: pairs[0] for part, pairs in found.items() if pairs}
    used = {TRAIN: NAMES[TRAIN][0], **used}
    if missing := [key for keys in used.values() for key in keys if key not in there]:
        raise UserError(
            f"given {given} without {' and '.join(missing)} but with {', '.join(sorted(there)) or 'none'}; "
            f"allowed are {ALLOWED}; save them so, as by numpy.savez(FILE, x=images, y=labels)"
        )
    return used


def read_member(archive: Zip, key: str, given: str) -> Array:
    """One array of an .npz file; raises UserError where it cannot be read or holds Python objects."""
    try:
        with archive.open(key + ENDING) as content:
            array: Array = np.lib.format.read_array(content, allow_pickle=False)
    except UserError:
        raise
    except Exception as problem:  # numpy's reader raises whatever a false header makes it raise
        raise _unreadable(given, key, problem) from problem
    return array


def _unreadable(given: str, key: str, problem: Exception) -> UserError:
    return UserError(
        f"given {given}, whose array {key!r} cannot be read ({' '.join(str(problem).split())[:120]}); "
        "allowed are arrays of numbers or text, never Python objects; save it again with numpy.savez, "
        "labels and names as array.astype(str), images of one size as numpy.stack(images)"
    )


def _header(archive: Zip, key: str, given: str) -> _Header:
    """The header of an array; raises UserError where it cannot be read or claims more than the file holds."""
    try:
        with archive.open(key + ENDING) as content:
            version = np.lib.format.read_magic(content)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read(content)
        if dtype.hasobject:
            raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
        if int(np.prod(shape, dtype=object)) * dtype.itemsize > archive.size(key + ENDING):
            raise ValueError(f"its header tells {shape}, more than it holds")
    except UserError:
        raise
    except Exception as problem:
        raise _unreadable(given, key, problem) from problem
    return _Header(shape, dtype, not fortran)


def _read_together(archive: Zip, keys: Sequence[str], headers: Sequence[_Header], given: str) -> tuple[Array, ...]:
    """The images of all parts: views into one array, without a copy on the way, where they are alike."""
    alike = len({(header.shape[1:], header.dtype, header.plain, len(header.shape) > 0) for header in headers}) == 1
    if not (alike and headers[0].plain and headers[0].shape):
        return tuple(read_member(archive, key, given) for key in keys)
    whole = np.empty((sum(header.shape[0] for header in headers), *headers[0].shape[1:]), headers[0].dtype)
    found, start = [], 0
    for key, header in zip(keys, headers, strict=True):
        part = whole[start : start + header.shape[0]]
        _fill(archive, key, part, given)
        found.append(part)
        start += header.shape[0]
    return tuple(found)


def _fill(archive: Zip, key: str, part: Array, given: str) -> None:
    """Reads the values of an array to their place."""
    try:
        with archive.open(key + ENDING) as content:
            version = np.lib.format.read_magic(content)
            (np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0)(content)
            if part.size:
                room = memoryview(part.reshape(-1).view(np.uint8).data)
                taken = 0
                while taken < len(room):
                    length = content.readinto(room[taken : taken + 2**22])  # type: ignore[attr-defined]
                    if not length:
                        raise ValueError("it ends too early")
                    taken += length
    except UserError:
        raise
    except Exception as problem:  # a damaged member raises whatever its bytes make the decoder raise
        raise _unreadable(given, key, problem) from problem


def joined(arrays: Sequence[Array]) -> Array:
    """Arrays one after the other: without a copy where they lie so in memory already."""
    if len(arrays) == 1:
        return arrays[0]
    base = arrays[0].base
    starts = np.cumsum([0, *(array.nbytes for array in arrays)])
    in_place = base is not None and base.flags.c_contiguous and base.nbytes == starts[-1]
    for array, start in zip(arrays, starts, strict=False):
        in_place = in_place and array.base is base and array.flags.c_contiguous
        in_place = in_place and array.ctypes.data == base.ctypes.data + start  # type: ignore[union-attr]
    return base.reshape(-1, *arrays[0].shape[1:]) if base is not None and in_place else np.concatenate(arrays)
