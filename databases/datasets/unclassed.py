"""Pictures of which nothing tells the classes: one line with what was seen, and the remedy that fits what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from databases.datasets.archives import Files
from databases.datasets.file_kinds import PACKED, ending_of, hidden, unpacking
from databases.datasets.names import some
from databases.datasets.other_tables import by_table
from databases.datasets.readings import ALLOWED
from databases.errors import UserError, count

MARKED = (".txt", ".xml", ".json")  # of files called as their pictures, which tell what is where in them


def without_classes(
    files: Files,
    pictures: Sequence[str],
    others: Sequence[str],
    found: Mapping[str, str],
    told: str,
    given: str,
) -> UserError:
    """The error for pictures without classes.

    Args:
        files: where all are.
        pictures: names of files that should be pictures.
        others: names of all other files.
        found: of those in folders that are no classes, these folders.
        told: what else the names tell.
        given: what the user called the folder.
    """
    seen = f"{len(found):,} of them in {some({*found.values()})}" if found else "none of them in a class folder"
    if found and (rest := {name.rpartition("/")[0] for name in pictures if name not in found} - {""}):
        seen += f", others in {some(rest)}"
    more = f", and {count(len(others), 'other file')} ({some(others)}{_boxes(pictures, others)})" if others else ""
    return UserError(
        f"given {given} with {count(len(pictures), 'picture')}, {seen}{told}{more}; {ALLOWED}; "
        f"{_remedy(files, pictures, others)}"
    )


def _boxes(pictures: Sequence[str], others: Sequence[str]) -> str:
    """What to say of files that are called as pictures, such as boxes of objects."""
    stems = {PurePosixPath(name).stem for name in pictures}
    beside = [name for name in others if ending_of(name) in MARKED and PurePosixPath(name).stem in stems]
    return ", some called as the pictures: boxes of objects, maybe, which are no classes" if beside else ""


def _remedy(files: Files, pictures: Sequence[str], others: Sequence[str]) -> str:
    """What to do: unpack, name a table, or sort."""
    packed = [name for name in others if ending_of(name) in PACKED and not hidden(name)]
    if packed and not pictures:
        return unpacking(packed)
    if not pictures:
        return "put pictures, such as PNG or JPEG, into such, or give images and labels as x and y in an .npz file"
    return f"sort the pictures into such, or {by_table(files, pictures)}"
