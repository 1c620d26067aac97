"""A folder that holds once more what lies beside it, as badly packed zips do: a copy is left out and told."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePosixPath

from databases.datasets.archives import Files
from databases.datasets.decoding import MAX_PICTURE_BYTES
from databases.datasets.names import part_of, shown, some
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
    """Whether files, by names, hold what their twins hold: by size and content, in a zip by checksum.

    Raises:
        UserError: as soon as it is clear that there is no time to tell.
    """
    pace = files.clock.pace(len(twins), "comparing two copies of them")
    for number, (one, other) in enumerate(twins.items()):
        pace.check(number, repr(files.root))
        marks = files.mark(one), files.mark(other)
        if files.root:  # where a mark tells times too
            marks = marks[0].partition(" ")[0], marks[1].partition(" ")[0]
        if marks[0] != marks[1]:
            return False
    step = -(-len(twins) // MOST_READ)
    looked_into = list(twins.items())[:: max(1, step)] if files.root else []
    pace = files.clock.pace(len(looked_into), "comparing two copies of them")
    for number, (one, other) in enumerate(looked_into):
        pace.check(number, repr(files.root))
        if not _same(files, one, other):
            return False
    return True


def _same(files: Files, one: str, other: str) -> bool:
    try:
        return files.read(one, most=MAX_PICTURE_BYTES) == files.read(other, most=MAX_PICTURE_BYTES)
    except OSError:
        return False


def copy_note(files: Files, folders: set[str], number: int, what: str, where: str) -> str:
    """How many files of a kind were left out, and where the same is."""
    by = ", sizes and the contents of some" if files.root and number > MOST_READ else " and contents"
    return f"left out {count(number, what)} in {some(folders)}: the same, by names{by}, lie {where}"


def copies_with_tables(files: Files, tables: Mapping[str, bytes], names: Sequence[str]) -> tuple[set[str], list[str]]:
    """What lies in folders that hold a table and all else as another folder does, by ``names``; and notes on it.

    ``tables`` are what stands in each, the highest first. Folders that are called after different parts are no copies.

    Raises:
        UserError: as soon as it is clear that there is no time to compare them.
    """
    if len(tables) < 2:
        return set(), []
    alike = defaultdict[bytes, list[str]](list)
    for table, content in tables.items():
        alike[content].append(str(PurePosixPath(table).parent))
    left, ordered, notes = set(names), sorted(names), list[str]()
    for folders in alike.values():
        for number, folder in reversed([*enumerate(folders)]):  # the deepest first
            inside = _below(folder, ordered, left)
            for other in folders[:number]:
                if inside and _parts(folder) == _parts(other) and _is_again(files, inside, folder, other, left):
                    above = other == "." or folder.startswith(f"{other}/")
                    where = "above it" if above else f"in {shown(other)!r}"
                    notes.append(copy_note(files, {folder}, len(inside), "file", where))
                    left -= {*inside}
                    break
    return {*names} - left, notes


def _below(folder: str, ordered: Sequence[str], left: Set[str]) -> list[str]:
    """The names in a folder, of all in order, that are left."""
    start, stop = (bisect_left(ordered, folder + after) for after in ("/", chr(ord("/") + 1)))
    return [name for name in ordered[start:stop] if name in left]


def _is_again(files: Files, inside: Sequence[str], folder: str, other: str, left: Set[str]) -> bool:
    """Whether another folder holds what is in a folder, outside of that."""
    place = "" if other == "." else f"{other}/"
    twins = {name: place + name.removeprefix(f"{folder}/") for name in inside[:1]}
    if not is_copy(files, twins) or not left >= {*twins.values()}:  # as of most folders
        return False
    twins = {name: place + name.removeprefix(f"{folder}/") for name in inside}
    others = {*twins.values()}
    return left >= others and others.isdisjoint(inside) and is_copy(files, twins)


def _parts(folder: str) -> list[int]:
    """The parts that the names of the folders on a way tell."""
    return [part for piece in folder.split("/") if (part := part_of(piece)) is not None]


def refused_set(given: str, folder: str, inner: Set[str]) -> UserError:
    """The error for a folder with further pictures in folders of the same names."""
    return UserError(
        f"given {given} with the folders {some(inner)} and, beside them, {shown(folder)!r}, which holds folders of "
        f"these names again, with other pictures: more of these classes, or else a class; {ALLOWED}; merge "
        "them, move it elsewhere, call it test if it is that, or give --groups folder if it is a class"
    )
