"""What may be no class by its name: parts of one set, masks beside pictures, small copies, figures, a heap of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Set

from databases.datasets.archives import Files
from databases.datasets.file_kinds import TABLE
from databases.datasets.names import (
    about,
    copied,
    heap,
    in_parts,
    marked,
    marks,
    pictured,
    series,
    small_copies,
    some,
    written,
)
from databases.datasets.other_tables import naming_table
from databases.datasets.readings import ALLOWED, Trail
from databases.datasets.task import TRAIN
from databases.errors import UserError, count

BY_THE_USER = "give --groups none if each folder is a class"
DRAWN = "masks or labels of the pictures"
SINGULAR = {"doc", "log", "figure", "plot", "chart", "screenshot"}  # of what is no class there are a few pictures
DOUBTFUL: Mapping[str, Callable[[str], bool]] = {  # what folders may hold by their names
    "small copies of the pictures": small_copies,
    DRAWN: marks,
    "what programs wrote": written,
    "pictures about the data": about,
    "pictures of all classes": heap,
}


def doubtful_notes(files: Files, trails: Mapping[str, Trail], given: str, *, grouped: bool) -> list[str]:
    """Notes on classes and pictures that may be none by their names, such as figures, masks and small copies.

    ``grouped`` is whether the user says that the folders are classes.

    Raises:
        UserError: they are parts of one set, and a table beside them names their pictures; or pictures and masks; or
            parts of several classes.
    """
    ways = {trail[:-1] for trail in trails.values() if len(trail) > 1}
    tops = {way[0] for way in ways}
    if not grouped:
        _refuse_marks(tops, given)
        _refuse_parts(tops, given)
    doubted = {top for top in tops if not (_has_opposite(top, tops) or _is_one_of_them(top, trails))}
    told = [
        f"took the folder {some(found)} for a class: take it away if it holds {what}"
        for what, tells in DOUBTFUL.items()
        if (found := set(filter(tells, doubted))) and found < tops
    ]
    drawn = {"/".join(way[: depth + 1]) for way in ways for depth in range(1, len(way)) if marks(way[depth])}
    if drawn:
        told.append(f"took what is in {some(drawn)} for pictures of its class: take it away if it is {DRAWN}")
    if again := [top for top in tops if copied(top) in tops]:
        first = some({copied(top) for top in again})
        told.append(f"took {some(again)} for a class beside {first}: move its pictures there if it is that one")
    told += _marked_notes(trails)
    return told if grouped else told + _series_notes(files, trails, given, tops)


def _refuse_marks(tops: Set[str], given: str) -> None:
    """Refuses pictures in one folder and masks of them in another."""
    drawn = set(filter(marks, tops))
    if drawn and drawn < tops and all(map(pictured, tops - drawn)):
        raise UserError(
            f"given {given} with the folders {some(tops)}, by their names pictures and masks or labels of these, no "
            f"classes; {ALLOWED}; sort the pictures of {some(tops - drawn)} into such, put a {TABLE} with the columns "
            f"file and class beside them and take {some(drawn)} away, or {BY_THE_USER}"
        )


def _refuse_parts(tops: Set[str], given: str) -> None:
    """Refuses folders for each class and part, such as cat_train, cat_test, dog_train and dog_test."""
    held = in_parts(tops)
    torn = any(TRAIN in each.values() and len({*each.values()}) > 1 for each in held.values())
    if torn and len(held) > 1 and sum(map(len, held.values())) == len(tops):
        raise UserError(
            f"given {given} with the folders {some(tops)}, by their names parts of {len(held):,} classes; {ALLOWED}; "
            f"sort them into train/CLASS, test/CLASS and so on, or {BY_THE_USER}"
        )


def _has_opposite(top: str, tops: Set[str]) -> bool:
    """Whether another folder is called as this one and more, as no_mask beside mask, and both are classes."""
    return any(other != top and top.lower() in other.lower() and not marks(other) for other in tops)


def _is_one_of_them(top: str, trails: Mapping[str, Trail]) -> bool:
    """Whether a folder is called in the singular, as classes are, and holds as many pictures as another one."""
    if top.lower() not in SINGULAR:
        return False
    sizes = Counter(trail[0] for trail in trails.values() if len(trail) > 1)
    return any(size <= sizes[top] for other, size in sizes.items() if other != top)


def _marked_notes(trails: Mapping[str, Trail]) -> list[str]:
    """A note on pictures that are called as masks of those beside them: 7.png, 7_mask.png."""
    paths = {name.rpartition(".")[0] for name in trails}
    found = []
    for name in trails:
        folder, slash, file = name.rpartition(".")[0].rpartition("/")
        if (of := marked(file)) and f"{folder}{slash}{of}" in paths:
            found.append(name)
    if not found:
        return []
    each = f"{count(len(found), 'picture')} called as {DRAWN} beside them ({some(found)})"
    return [f"took {each} for pictures of their classes: take them away if they are such"]


def _series_notes(files: Files, trails: Mapping[str, Trail], given: str, tops: Set[str]) -> list[str]:
    """A note on parts of one set; raises UserError where a table beside them names their pictures."""
    if not series(tops):
        return []
    table = naming_table(files, trails)
    if not table:
        return [f"took {some(tops)} for classes, though by their names they are parts of one set"]
    raise UserError(
        f"given {given} with the folders {some(tops)}, by their names parts of one set, and the table {table}, which "
        f"may tell the classes; {ALLOWED}; save the table as {TABLE} with the columns file (a picture's name) and "
        f"class, or {BY_THE_USER}"
    )
