"""What belongs together by the user's word: by folder, by the beginning of the files' names, or by a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.class_folders import Picture
from databases.datasets.conversion import plain_array
from databases.datasets.csv_table import Finder, read_table
from databases.datasets.names import some
from databases.errors import UserError, count, did_you_mean
from databases.paths import user_path
from databases.usual import AUTOMATIC

NONE, FOLDER, PREFIX = "none", "folder", "prefix"
WAYS = (AUTOMATIC, NONE, FOLDER, PREFIX)
ALLOWED = (
    "allowed are folder (the folders within class folders), prefix (the files' names up to their last _ - . or space), "
    "a CSV file with the columns file and group, auto and none"
)
PREFIXED = re.compile(r"(.+)[ _.-][^ _.-]+")

Groups: TypeAlias = npt.NDArray[np.int64]


def check_way(groups: str | Path) -> None:
    """Refuses what is neither a way to group nor a file; raises UserError."""
    if str(groups) not in WAYS and not user_path(groups, called="the groups").is_file():
        meant = did_you_mean(str(groups), WAYS)
        raise UserError(f"given the groups {str(groups)!r}; {ALLOWED}; {meant}choose one, or check the path")


def named_groups(pictures: Sequence[Picture], groups: str | Path, *, root: str = "") -> tuple[list[str], list[str]]:
    """The group of each picture, an empty text where it is by itself; and notes.

    Args:
        pictures: the pictures.
        groups: folder, prefix or the path of a table; auto takes what a labels.csv tells, none nothing.
        root: where the pictures lie on the disk, for a table that names them from its top on; empty in a zip.

    Raises:
        UserError: nothing can be grouped so.
    """
    notes: list[str] = []
    if groups == FOLDER:
        found, notes = _by_folder(pictures)
    elif groups == PREFIX:
        stems = [PurePosixPath(picture.file).stem for picture in pictures]
        found = [match[1] if (match := PREFIXED.fullmatch(stem)) else "" for stem in stems]
    elif groups in (AUTOMATIC, NONE):
        return [picture.group if groups == AUTOMATIC else "" for picture in pictures], notes
    else:
        found, notes = _by_table(pictures, user_path(groups), root)
    if not any(found) or (len(set(found)) == 1 and all(found)):
        why = "leaves each picture by itself" if not any(found) else f"puts all into one group ({some(set(found))})"
        raise UserError(f"given the groups {str(groups)!r}, which {why}; {ALLOWED}; choose another")
    return found, notes


def _by_folder(pictures: Sequence[Picture]) -> tuple[list[str], list[str]]:
    """Groups by the folders within class folders, of one name in several classes too; and notes on such.

    But not across parts as given, which may number them anew: those are told.
    """
    below = [picture.folder[len(picture.label) + 1 :] for picture in pictures]
    labels, parts = defaultdict[str, set[str]](set), defaultdict[str, set[int]](set)
    for name, picture in zip(below, pictures, strict=True):
        labels[name or picture.file].add(picture.label)
        parts[name or picture.file].add(picture.part)
    notes = []
    if several := [name for name, found in labels.items() if len(found) > 1]:
        notes.append(f"took folders of the same name in several classes as one group: {some(several)}")
    if torn := {name: None for name, found in parts.items() if len(found) > 1}:
        notes.append(
            f"folders of the same name are in several parts: {some(torn)}; if each is one subject, the test tells "
            "nothing of others"
        )
    return [f"{name}/{at.part}" if name in torn else name for name, at in zip(below, pictures, strict=True)], notes


def _by_table(pictures: Sequence[Picture], path: Path, root: str) -> tuple[list[str], list[str]]:
    """Groups from a CSV file, and notes on pictures that it does not list and on files that are none."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UserError(
            f"given the groups {str(path)!r}, which cannot be read ({problem.strerror}); {ALLOWED}; make it readable"
        ) from problem
    table = read_table(content, ("file", "group"), given=repr(str(path)))
    if table is None:
        raise UserError(
            f"given {str(path)!r} without the columns file and group; allowed is a table with both; add them"
        )
    find = Finder([picture.file for picture in pictures], ".", root=root)
    group, notes = dict[str, str](), [*table.notes]
    absent = []
    for row in table.rows:
        name, told = row.cells["file"], row.cells["group"]
        file = find(name, f"{path}, line {row.line},")
        if file is None:
            absent.append(name)
        elif group.setdefault(file, told) != told:
            raise UserError(
                f"given {path}, line {row.line}, with another group for {name!r} than before; "
                "allowed is one; correct it"
            )
    if absent and not group:
        raise UserError(
            f"given {path} with {count(len(absent), 'file')} that are no pictures there ({some(absent)}); "
            "allowed are paths from the folder of the pictures on; correct them"
        )
    found = [group.get(picture.file, "") for picture in pictures]
    if absent:
        notes.append(f"found no picture for {count(len(absent), 'file')} of {path.name}: {some(absent)}")
    if alone := sum(not each for each in found):
        notes.append(f"in no group of {path.name}, and so each by itself: {count(alone, 'picture')}")
    return found, notes


def group_numbers(groups: object, images: int, *, given: str) -> Groups | None:
    """Groups given one an image, of any kind, as numbers (n,); empty texts are by themselves; None where all are.

    Raises:
        UserError: they are not one for each image.
    """
    array: npt.NDArray[Any] = plain_array(groups)
    if array.shape != (images,) or array.dtype.kind not in "buifUS":
        raise UserError(
            f"given {given} with groups {array.dtype} {array.shape} for {images:,} images; allowed is a number or text "
            "for each image; match them"
        )
    numbers = np.unique(array, return_inverse=True)[1].astype(np.int64)
    alone = array == array.dtype.type() if array.dtype.kind in "US" else np.zeros(images, dtype=np.bool_)
    numbers[alone] = images + np.flatnonzero(alone)
    numbers, sizes = np.unique(numbers, return_inverse=True, return_counts=True)[1:]
    return numbers.astype(np.int64) if (sizes > 1).any() else None
