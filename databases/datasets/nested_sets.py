"""A folder that holds all class folders beside it once more, as badly packed zips do: a copy is left out and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from databases.datasets.archives import Files
from databases.datasets.decoding import MAX_PICTURE_BYTES
from databases.datasets.names import shown, some
from databases.datasets.readings import ALLOWED, Trail
from databases.errors import UserError, count

MOST_READ = 1_000  # pairs of pictures whose contents are compared; of all others the sizes


def inner_folders(trails: Sequence[Trail], beside: Set[str]) -> tuple[set[str], int]:
    """The folders within a folder, and how deep; none where pictures lie beside them.

    One that alone wraps all is passed over, unless one of that name stands ``beside`` the folder.
    """
    depth = 1
    while all(len(trail) > depth + 1 for trail in trails):
        inner = {trail[depth] for trail in trails}
        if inner & beside or len(inner) > 1:
            return inner, depth
        depth += 1
    return set(), 0


def is_copy(files: Files, twins: Mapping[str, str]) -> bool:
    """Whether files, by names, hold what their twins hold: by size and content, in a zip by checksum."""
    for one, other in twins.items():
        marks = files.mark(one), files.mark(other)
        if files.root:  # where a mark tells times too
            marks = marks[0].partition(" ")[0], marks[1].partition(" ")[0]
        if marks[0] != marks[1]:
            return False
    step = -(-len(twins) // MOST_READ)
    looked_into = list(twins.items())[:: max(1, step)] if files.root else []
    return all(_same(files, one, other) for one, other in looked_into)


def _same(files: Files, one: str, other: str) -> bool:
    try:
        return files.read(one, most=MAX_PICTURE_BYTES) == files.read(other, most=MAX_PICTURE_BYTES)
    except OSError:
        return False


def copy_note(files: Files, folders: set[str], pictures: int, inner: set[str]) -> str:
    """What was left out."""
    by = ", sizes and the contents of some" if files.root and pictures > MOST_READ else " and contents"
    return (
        f"left out {count(pictures, 'picture')} in {some(folders)}: the same, by names{by}, lie in {some(inner)} "
        "beside it"
    )


def refused_set(given: str, folder: str, inner: Set[str]) -> UserError:
    """The error for a folder with further pictures in folders of the same names."""
    return UserError(
        f"given {given} with the folders {some(inner)} and, beside them, {shown(folder)!r}, which holds folders of "
        f"these names again, with other pictures: more of these classes, or else a class; {ALLOWED}; merge "
        "them, move it elsewhere, call it test if it is that, or give --groups folder if it is a class"
    )
