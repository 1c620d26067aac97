"""Which picture is of which class and part, by the folders that it lies in; and what would vanish otherwise.

Read are: CLASS/picture; train/CLASS/picture with val and test beside it, by any usual name and wrapped or not;
CLASS/train/picture; fold1/CLASS/picture; CLASS/picture with test/CLASS/picture beside; pets_train/CLASS/picture with
pets_test beside. A copy of all within is left out; see `layouts`. Everything within a class folder belongs to the
class. A class is its folder's raw name, whatever bytes it holds. What can be read in two ways is refused, and so is a
class folder in which no picture can be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from databases.datasets.archives import Files
from databases.datasets.doubtful import doubtful_notes
from databases.datasets.file_kinds import refuse_lost_classes, unread_notes
from databases.datasets.layouts import Layout
from databases.datasets.names import natural, pictured, shown, shown_apart, some, sort_key, told_by_names
from databases.datasets.other_tables import naming_table
from databases.datasets.readings import within_notes
from databases.datasets.task import TRAIN
from databases.datasets.unclassed import without_classes


@dataclass(frozen=True, slots=True)
class Picture:
    """One file that should be a picture; ``label`` tells its class, as raw text."""

    file: str
    label: str
    part: int
    folder: str = ""  # from its class folder down, where it lies in one within
    group: str = ""  # what belongs together, where that is told


@dataclass(frozen=True)
class Arranged:
    """All pictures in the order of their names, the names of their classes by label, and notes."""

    pictures: tuple[Picture, ...]
    class_names: Mapping[str, str]
    notes: tuple[str, ...]


def arrange(
    files: Files, pictures: Sequence[str], others: Sequence[str], *, given: str, grouped: bool = False
) -> Arranged:
    """Classes and parts of pictures by their folders.

    Args:
        files: where they are; its lost and empty entries are told.
        pictures: names of files that should be pictures.
        others: names of all other files.
        given: what the user called the folder, for errors.
        grouped: whether folders within class folders are groups by the user's word, and so no classes.

    Raises:
        UserError: nothing is in class folders, the folders can be read in two ways, or a class would vanish.
    """
    layout = Layout(files, pictures, given)
    layout.read(grouped=grouped)
    others = layout.without_copies(others)
    found = [
        Picture(name, trail[0], layout.parts.get(name, TRAIN), "/".join(trail[:-1]) if len(trail) > 2 else "")
        for name, trail in layout.trails.items()
        if len(trail) > 1
    ]
    loose = [name for name, trail in layout.trails.items() if len(trail) < 2] + layout.loose
    labels = {picture.label for picture in found}
    told = told_by_names(pictures) if len(labels) < 2 else ""
    homes = {picture.file: layout.home(picture.file) for picture in found}
    single = len(labels) == 1 and (all(map(pictured, labels)) or naming_table(files, pictures))
    if told or not found or single:
        raise without_classes(files, pictures, others, homes, told, given)
    found.sort(key=lambda picture: natural(picture.file))
    passed = set(pictures) - layout.trails.keys()
    papers = refuse_lost_classes({*homes.values()}, others, files.lost, passed, given=given)
    doubts = doubtful_notes(files, layout.trails, given, grouped=grouped)
    names, notes = _class_names(found)
    notes = [*layout.notes, *doubts, *notes, *papers, *unread_notes(len(found), others, loose, files.lost, given=given)]
    notes += within_notes(layout.trails.values(), grouped=grouped)
    return Arranged(tuple(found), names, tuple(notes))


def _class_names(pictures: Sequence[Picture]) -> tuple[dict[str, str], list[str]]:
    """What each label is called, and notes.

    Names that Unicode writes in two ways are one class where no part has both, as in folders from two systems.
    """
    where = defaultdict[str, defaultdict[str, set[int]]](lambda: defaultdict(set))
    for picture in pictures:
        where[shown(picture.label)][picture.label].add(picture.part)
    same = {
        label: min(labels)
        for name, labels in where.items()
        for label in labels
        if len(labels) > 1 and "?" not in name and sum(map(len, labels.values())) == len(set().union(*labels.values()))
    }
    labels = sorted({same.get(picture.label, picture.label) for picture in pictures}, key=sort_key)
    names, notes = shown_apart(labels)
    called = dict(zip(labels, names, strict=True))
    if same:
        notes.append(
            f"took class folders whose names differ in their encoding alone as one: {some(set(same.values()))}"
        )
    return called | {label: called[other] for label, other in same.items()}, notes
