"""Which picture is of which class and part, by the folders that it lies in; and what would vanish otherwise.

Read are: CLASS/picture; train/CLASS/picture with val and test beside it, by any usual name and wrapped or not;
CLASS/train/picture; fold1/CLASS/picture; CLASS/picture with test/CLASS/picture beside. Everything within a class
folder belongs to the class. A class is its folder's raw name, whatever bytes it holds. What can be read in two ways is
refused, and so is a class folder in which no picture can be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from databases.datasets.archives import Files
from databases.datasets.file_kinds import TABLE, refuse_lost_classes, unread_notes
from databases.datasets.names import FOLD, natural, part_of, shown, shown_apart, some, sort_key
from databases.datasets.readings import (
    ALLOWED,
    Trail,
    folders_within,
    refuse_loose_pictures,
    refuse_lost_parts,
    refuse_two_readings,
    within_notes,
)
from databases.datasets.task import TRAIN
from databases.errors import UserError, count


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
    layout = _Layout({name: pieces(name) for name in pictures}, given)
    layout.read(grouped=grouped)
    found = [
        Picture(name, trail[0], layout.parts.get(name, TRAIN), "/".join(trail[:-1]) if len(trail) > 2 else "")
        for name, trail in layout.trails.items()
        if len(trail) > 1
    ]
    loose = [name for name, trail in layout.trails.items() if len(trail) < 2] + layout.unlabelled
    if not found:
        more = f", and {count(len(others), 'other file')} ({some(others)})" if others else ""
        raise UserError(
            f"given {given} with {len(pictures):,} pictures, none of them in a class folder{more}; "
            f"{ALLOWED}; sort the pictures into such, or {_by_table(others)}"
        )
    found.sort(key=lambda picture: natural(picture.file))
    homes = {layout.home(picture.file) for picture in found}
    papers = refuse_lost_classes(homes, others, files.lost, given=given)
    names, notes = _class_names(found)
    notes = [*layout.notes, *notes, *papers, *unread_notes(len(found), others, loose, files.lost, given=given)]
    notes += within_notes(layout.trails.values(), grouped=grouped)
    return Arranged(tuple(found), names, tuple(notes))


def _by_table(others: Sequence[str]) -> str:
    """How a table would tell the classes."""
    if any(name.rpartition("/")[2].lower() == TABLE for name in others):
        return f"give the {TABLE} there a first line with the columns file and class, by commas, semicolons or tabs"
    return f"put a {TABLE} with the columns file and class beside them"


def pieces(name: str) -> Trail:
    """The folders and the name of a file."""
    return tuple(piece for piece in name.split("/") if piece not in ("", "."))


class _Layout:
    """The folders above the classes, taken off step by step; what is left begins with the class folder."""

    def __init__(self, trails: dict[str, Trail], given: str) -> None:
        self.trails, self.given = trails, given
        self.depths = dict.fromkeys(trails, 0)
        self.parts: dict[str, int] = {}
        self.notes: list[str] = []
        self.unlabelled: list[str] = []

    def read(self, *, grouped: bool) -> None:
        """Takes off wrapping folders, parts and folds until only classes are left."""
        while self._unwrap() or self._take_parts() or self._take_folds():
            pass
        refuse_lost_parts(self.trails, self.parts, self.given)
        refuse_loose_pictures(self.trails, self.given)
        if not grouped:
            refuse_two_readings(self.trails, self.given)

    def _unwrap(self) -> bool:
        """Takes off a folder that wraps everything, as in many zips."""
        tops = {trail[0] for trail in self.trails.values()}
        wrapped = len(tops) == 1 and all(len(trail) > 2 for trail in self.trails.values())
        if not wrapped or self.parts or part_of(min(tops)) is not None:
            return False
        self._strip(self.trails)
        return True

    def _strip(self, names: Iterable[str]) -> None:
        for name in list(names):
            self.trails[name] = self.trails[name][1:]
            self.depths[name] += 1

    def home(self, name: str) -> str:
        """The path of the class folder of a picture."""
        return "/".join(pieces(name)[: self.depths[name] + 1])

    def _children(self) -> dict[str, list[str]]:
        """Names of the pictures by the first folder of their trails."""
        found = defaultdict[str, list[str]](list)
        for name, trail in self.trails.items():
            if len(trail) > 1:
                found[trail[0]].append(name)
        return found

    def _take_parts(self) -> bool:
        """Takes off folders that tell the part, above the classes or below them."""
        if self.parts:
            return False
        children = self._children()
        named = {top: part for top in children if (part := part_of(top)) is not None}
        with_classes = {top: part for top, part in named.items() if self._has_folders(children[top])}
        if TRAIN in with_classes.values():
            self._take_named(children, named)
        elif with_classes and named == with_classes and self._beside_classes(children, with_classes):
            others = [name for top in children.keys() - named.keys() for name in children[top]]
            self.parts = dict.fromkeys(others, TRAIN)
            self._assign(children, named)
            self.notes.append(f"took the folders beside {some(named)} as the classes of the training part")
        elif named:
            return self._unclear(children, named)
        else:
            return self._take_inner_parts()
        return True

    def _has_folders(self, names: Iterable[str]) -> bool:
        return any(len(self.trails[name]) > 2 for name in names)

    def _beside_classes(self, children: Mapping[str, list[str]], named: Mapping[str, int]) -> bool:
        """Whether the folders below the parts are those beside them: a/ b/ test/a/ test/b/."""
        below = {self.trails[name][1] for top in named for name in children[top] if len(self.trails[name]) > 2}
        return below <= children.keys() - named.keys()

    def _take_named(self, children: dict[str, list[str]], named: Mapping[str, int]) -> None:
        """Parts above the classes; what lies beside them without being a part is told or refused."""
        beside = {top: names for top, names in children.items() if top not in named}
        if beside and (set(named.values()) == {TRAIN} or any(map(self._has_classes, beside.values()))):
            raise UserError(
                f"given {self.given} with the folders {some(named)} and, beside them, {some(beside)} with "
                f"{count(sum(map(len, beside.values())), 'picture')}; {ALLOWED}; name each of them train, val or test, "
                "or move it elsewhere"
            )
        for top, names in beside.items():
            self.notes.append(
                f"left out {count(len(names), 'picture')} in {shown(top)!r}: it has no classes and is no part"
            )
            self._leave_out(names)
        self._assign(children, named)

    def _has_classes(self, names: Iterable[str]) -> bool:
        """Whether pictures lie in more than one folder below their first."""
        return len({self.trails[name][1] for name in names if len(self.trails[name]) > 2}) > 1

    def _leave_out(self, names: Iterable[str]) -> None:
        for name in names:
            self.unlabelled.append(name)
            del self.trails[name]

    def _assign(self, children: Mapping[str, list[str]], named: Mapping[str, int]) -> None:
        """Takes the part folders off, and folders that wrap all of a part."""
        loose = [name for name, trail in self.trails.items() if len(trail) < 2]
        self._leave_out(loose)
        train_classes = {top for top in children if top not in named}
        for top in sorted(named, key=lambda top: (named[top], natural(top))):
            names = children[top]
            self.parts |= dict.fromkeys(names, named[top])
            self._strip(names)
            while self._wraps(names, train_classes):
                self._strip(names)
            if named[top] == TRAIN:
                train_classes |= {self.trails[name][0] for name in names if len(self.trails[name]) > 1}

    def _wraps(self, names: Sequence[str], classes: set[str]) -> bool:
        """Whether one folder that is no class holds all folders of a part: train/images/a, test/test/a."""
        tops = {self.trails[name][0] for name in names}
        return len(tops) == 1 and not tops & classes and all(len(self.trails[name]) > 2 for name in names)

    def _unclear(self, children: Mapping[str, list[str]], named: Mapping[str, int]) -> bool:
        """Folders with the name of a part, but no class folders in a train folder: refused, unless it is a class."""
        if named.keys() == children.keys():
            raise UserError(
                f"given {self.given} with the folders {some(named)} but no class folders in a train folder; "
                "allowed is train/CLASS/picture, with val and test beside train; sort the pictures into such"
            )
        lower = {top.lower() for top in children}
        unclear = [top for top, part in named.items() if part != TRAIN and f"in{top.lower()}" not in lower]
        if unclear:
            raise UserError(
                f"given {self.given} with the folder {some(unclear)} beside {some(children.keys() - named.keys())}, "
                f"which is a class or else a part without classes; {ALLOWED}; rename it if it is a class, "
                "sort it into class folders if it is a part, or move it elsewhere"
            )
        self.notes.append(f"took the folder {some(named)} for a class, as others stand beside it")
        return False

    def _take_inner_parts(self) -> bool:
        """Parts below the classes: a/train/picture, a/test/picture."""
        inner = set().union(*folders_within(self.trails.values()).values())
        parts = {folder: part_of(folder) for folder in inner}
        if TRAIN not in parts.values() or None in parts.values() or len(set(parts.values())) < 2:
            return False
        for name, trail in self.trails.items():
            if len(trail) > 2:
                self.parts[name] = parts[trail[1]] or TRAIN
                self.trails[name] = (trail[0], *trail[2:])
        self.notes.append(f"took the folders {some(inner)} within class folders as parts")
        return False

    def _take_folds(self) -> bool:
        """Takes off fold1, fold2 above the classes."""
        children = self._children()
        folds = len(children) > 1 and all(map(FOLD.fullmatch, children))
        if not folds or not all(len(trail) > 2 for trail in self.trails.values()):
            return False
        self.notes.append(f"took the folders {some(children)} as one set: the classes are the folders within")
        self._strip(self.trails)
        return True


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
