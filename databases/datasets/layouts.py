"""What lies above the classes of a folder: wrapping folders, parts, folds and copies, taken off one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from databases.datasets.archives import Files
from databases.datasets.names import (
    FOLD,
    TAKEN,
    natural,
    part_of,
    parts_of,
    shown,
    some,
    speaks_of_a_part,
    tells_a_part,
    wraps,
)
from databases.datasets.nested_sets import copy_note, inner_folders, is_copy, refused_set
from databases.datasets.readings import (
    ALLOWED,
    Trail,
    folders_within,
    peeled,
    refuse_loose_pictures,
    refuse_lost_parts,
    refuse_two_readings,
    refuse_untrained,
    unsorted,
)
from databases.datasets.task import TRAIN
from databases.errors import UserError, count


def pieces(name: str) -> Trail:
    """The folders and the name of a file."""
    return tuple(piece for piece in name.split("/") if piece not in ("", "."))


class Layout:
    """The folders above the classes, taken off step by step; what is left begins with the class folder."""

    def __init__(self, files: Files, pictures: Iterable[str], given: str) -> None:
        self.files, self.given = files, given
        self.trails = trails = {name: pieces(name) for name in pictures}
        self.depths = dict.fromkeys(trails, 0)
        self.parts: dict[str, int] = {}
        self.notes: list[str] = []
        self.loose: list[str] = []  # pictures left out that lie beside folders
        self.copies: dict[str, str] = {}  # folders left out, and those that hold the same

    def read(self, *, grouped: bool) -> None:
        """Takes off what is above the classes; raises UserError for two readings, a lost class, or too little time."""
        while (
            self._unwrap() or self._leave_copies(grouped=grouped) or self._take_parts() or self._take_folds(self.trails)
        ):
            self.files.clock.check(len(self.depths), self.given)
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

    def _leave_copies(self, *, grouped: bool) -> bool:
        """Leaves out folders that hold those beside them once more; others that do are classes if ``grouped``."""
        children = self._children()
        nested = self._nested(children)
        beside, left = children.keys() - nested.keys(), False
        one_set = len(beside) == 1 and self._has_classes(children[min(beside)])  # flowers beside data/flowers
        for top, (inner, depth) in sorted(nested.items()) if one_set or len(beside) > 1 else ():
            names = children[top]
            above = {name: pieces(name)[: self.depths[name]] for name in names}
            twins = {name: "/".join((*above[name], *self.trails[name][depth:])) for name in names}
            if inner <= beside and all(twin in self.trails for twin in twins.values()) and is_copy(self.files, twins):
                left = True
                copies = {"/".join((*way, top)) for way in above.values()}
                self.notes.append(copy_note(self.files, copies, len(names), "picture", f"in {some(inner)} beside it"))
                for name in names:
                    self.copies["/".join((*above[name], *self.trails[name][:depth]))] = "/".join(above[name])
                    del self.trails[name]
            elif inner >= beside and not one_set and not grouped:
                raise refused_set(self.given, top, beside)
        return left

    def _nested(self, children: Mapping[str, list[str]]) -> dict[str, tuple[set[str], int]]:
        """Of each folder that holds some beside it again: all that it holds, and how deep."""
        found = {}
        for top, names in children.items():
            part, tops = part_of(top), children.keys()
            if part is not None and any(self.parts.get(name) != part for name in names):
                continue  # a part beside the classes, which it may repeat
            if any(len(self.trails[name]) < 3 for name in names):
                continue
            inner, depth = inner_folders([self.trails[name] for name in names], tops)
            if inner & tops - {top}:
                found[top] = inner, depth
        return found

    def without_copies(self, names: Iterable[str]) -> list[str]:
        """The names without those in a copy that was left out which are beside it too."""
        names = list(names)
        known = set(names)
        copied = {
            name
            for folder, beside in self.copies.items()
            for name in names
            if name.startswith(f"{folder}/") and f"{beside}/{name[len(folder) + 1 :]}".lstrip("/") in known
        }
        return [name for name in names if name not in copied]

    def _take_parts(self) -> bool:
        """Takes off folders that tell the part, above the classes or below them."""
        if self.parts:
            return False
        children = self._children()
        named = {top: part for top in children if (part := part_of(top)) is not None} or self._parts_of_one(children)
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

    def _parts_of_one(self, children: Mapping[str, list[str]]) -> dict[str, int]:
        """Folders as parts by what they have in common: pets_train beside pets_test, or rps beside rps-test."""
        parts = parts_of(children) or parts_of(filter(tells_a_part, children))
        held = folders_within(peeled((trail for trail in self.trails.values() if parts), numbered=True))
        classes = set().union(*(held.get(top, ()) for top, part in parts.items() if part == TRAIN)) - {""}
        others = [held.get(top, set()) - {"", top} for top, part in parts.items() if part != TRAIN]
        strange = any(each and not each & classes for each in others)
        trained = [top for top, part in parts.items() if part == TRAIN]
        said = bool(parts) and all(map(tells_a_part, trained))
        if said and len(classes) < 2 and parts.keys() == children.keys():
            raise unsorted(children, [name for top in trained for name in children[top]], self.files, self.given)
        if len(classes) < 2 or (not said and any(map(TAKEN.fullmatch, classes))) or strange:
            return {}
        rest = parts.keys() - trained
        self.notes.append(
            f"took the folders {some(trained)} for training and {some(rest)} as other parts, by their names"
        )
        return parts

    def _has_folders(self, names: Iterable[str]) -> bool:
        """Whether pictures lie in folders within, but for one alone that is called as a part: train/train/picture."""
        lone = set[str]()
        for name in names:
            if len(trail := self.trails[name]) > 2:
                lone.add(trail[1])
                if len(lone) > 1 or len(trail) > 3 or part_of(trail[1]) is None:
                    return True
        return False

    def _beside_classes(self, children: Mapping[str, list[str]], named: Mapping[str, int]) -> bool:
        """Whether the folders below the parts are those beside them: a/ b/ test/a/ test/b/."""
        below = (self.trails[name] for top in named for name in children[top] if len(self.trails[name]) > 2)
        trails = peeled(below, numbered=True)
        return {trail[1] for trail in trails} <= children.keys() - named.keys()

    def _take_named(self, children: dict[str, list[str]], named: Mapping[str, int]) -> None:
        """Parts above the classes; what lies beside them without being a part is told or refused."""
        beside = {top: names for top, names in children.items() if top not in named}
        if beside and (set(named.values()) == {TRAIN} or any(map(self._has_classes, beside.values()))):
            self._assign(children, named)
            refuse_untrained(self._classes(children, named), named, beside, self.given)
            raise UserError(
                f"given {self.given} with the folders {some(named)} and, beside them, {some(beside)} with "
                f"{count(sum(map(len, beside.values())), 'picture')}; {ALLOWED}; name each of them train, val or test, "
                "or move it elsewhere"
            )
        for top, names in sorted(beside.items()):
            self.notes.append(
                f"left out {count(len(names), 'picture')} in {shown(top)!r}: it has no classes and is no part"
            )
            self._leave_out(names)
        self._assign(children, named)
        refuse_untrained(self._classes(children, named), named, beside, self.given)

    def _classes(self, children: Mapping[str, list[str]], tops: Iterable[str]) -> dict[str, set[str]]:
        """The classes in each folder of a part, once it is taken off."""
        there = {top: [self.trails[name] for name in children[top] if name in self.trails] for top in tops}
        return {top: {trail[0] for trail in trails if len(trail) > 1} for top, trails in there.items()}

    def _has_classes(self, names: Iterable[str]) -> bool:
        """Whether pictures lie in more than one folder below their first."""
        return len({self.trails[name][1] for name in names if len(self.trails[name]) > 2}) > 1

    def _leave_out(self, names: Iterable[str]) -> None:
        for name in names:
            del self.trails[name]

    def _assign(self, children: Mapping[str, list[str]], named: Mapping[str, int]) -> None:
        """Takes the part folders off, and folders that wrap all of a part."""
        loose = [name for name, trail in self.trails.items() if len(trail) < 2]
        self.loose += loose
        self._leave_out(loose)
        train_classes = {self.trails[name][0] for name in self.parts}  # those beside the parts, if any
        for top in sorted(named, key=lambda top: (named[top], natural(top))):
            names = children[top]
            self.parts |= dict.fromkeys(names, named[top])
            self._strip(names)
            while self._unwrap_part(names, train_classes) or self._take_folds(names):
                pass
            if named[top] != TRAIN:
                self._leave_unlabelled(top, names, train_classes)
            else:
                train_classes |= {self.trails[name][0] for name in names if len(self.trails[name]) > 1}

    def _leave_unlabelled(self, part: str, names: Sequence[str], classes: set[str]) -> None:
        """Leaves out pictures of a further part in one folder that is no class by its name: test/test/picture."""
        tops = {self.trails[name][0] for name in names if len(self.trails[name]) == 2}
        if classes and len(tops) == 1 and all(len(self.trails[name]) < 3 for name in names):
            top = min(tops)
            if top not in classes and (top == part or part_of(top) is not None or wraps(top)):
                self.notes.append(
                    f"left out {count(len(names), 'picture')} in {some({*map(self.home, names)})}: no classes lie there"
                )
                self._leave_out(names)

    def _unwrap_part(self, names: Sequence[str], classes: set[str]) -> bool:
        """Takes off one folder that is no class and holds all folders of a part: train/images/a, test/test/a."""
        tops = {self.trails[name][0] for name in names}
        wrapped = len(tops) == 1 and not tops & classes and all(len(self.trails[name]) > 2 for name in names)
        if wrapped:
            self._strip(names)
        return wrapped

    def _unclear(self, children: Mapping[str, list[str]], named: Mapping[str, int]) -> bool:
        """Folders with the name of a part, but no class folders in a train folder: refused, unless it is a class."""
        if named.keys() == children.keys() or all(map(speaks_of_a_part, children)):
            trained = [name for top in named for name in children[top] if named[top] == TRAIN]
            raise unsorted(children, trained, self.files, self.given)
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

    def _take_folds(self, names: Iterable[str]) -> bool:
        """Takes off fold1, fold2 above the classes, of all or of a part."""
        trails = [self.trails[name] for name in names]
        tops = {trail[0] for trail in trails}
        if len(tops) < 2 or not all(map(FOLD.fullmatch, tops)) or not all(len(trail) > 2 for trail in trails):
            return False
        self.notes.append(f"took the folders {some(tops)} as one set: the classes are the folders within")
        self._strip(names)
        return True
