"""Folders that can be read in two ways: refused where either reading may be meant, else told with the other one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from databases.datasets.archives import Files
from databases.datasets.names import (
    TAKEN,
    about,
    holds_a_set,
    natural,
    part_of,
    shown,
    some,
    told_by_names,
    wraps,
    written,
)
from databases.datasets.other_tables import by_table
from databases.datasets.task import TRAIN
from databases.errors import UserError, count, key_of_name

ALLOWED = "allowed is a folder with one folder of pictures for each class, below train, val and test if you like"
MOST_NAMED = 3  # classes of folders in a note

Trail: TypeAlias = tuple[str, ...]  # folders from the class folder down, and the file's name
Trails: TypeAlias = Mapping[str, Trail]  # by the names of the pictures


def folders_within(trails: Iterable[Trail]) -> dict[str, set[str]]:
    """For each first folder the folders within; an empty text where pictures lie in it directly."""
    found: dict[str, set[str]] = {}
    for trail in trails:
        if len(trail) > 1:
            found.setdefault(trail[0], set()).add(trail[1] if len(trail) > 2 else "")
    return found


def peeled(trails: Iterable[Trail], *, numbered: bool = False) -> list[Trail]:
    """The same without what alone wraps all folders of a first one: rps/rps/rock is as rps/rock.

    Numbered folders, which may be tracks or dates, are taken off only where ``numbered``.
    """
    by_top = defaultdict[str, list[Trail]](list)
    for trail in trails:
        by_top[trail[0]].append(trail)
    for top, each in by_top.items():
        while all(len(trail) > 3 for trail in each) and len({trail[1] for trail in each}) == 1:
            folder = each[0][1]
            if folder[-1:].isdigit() and folder != top and not wraps(folder) and not numbered:
                break
            each = [(top, *trail[2:]) for trail in each]
        by_top[top] = each
    return [trail for each in by_top.values() for trail in each]


def refuse_lost_parts(trails: Trails, parts: Mapping[str, int], given: str) -> None:
    """Refuses folders within class folders that are called as a part which their pictures are not in."""
    ways = {(trail[:-1], parts.get(name, TRAIN)) for name, trail in trails.items() if len(trail) > 2}
    there = {way[:depth] for way, _ in ways for depth in range(1, len(way) + 1)}
    beside: dict[Trail, set[str]] = {}  # the folders in each
    for way in there:
        beside.setdefault(way[:-1], set()).add(way[-1])
    lost = {
        "/".join(way[: depth + 1])
        for way, part in ways
        for depth in range(1, len(way))
        if part_of(way[depth]) not in (None, part) and _are_parts(beside[way[:depth]])
    }
    if lost:
        tops = {way.partition("/")[0] for way in lost}
        alone = f"give {some(tops)} alone if it is" if len(tops) == 1 else f"give one of {some(tops)} if each is"
        raise UserError(
            f"given {given} with {some(lost)} within class folders: a part, or else more pictures to train on; "
            "allowed are CLASS/train/picture and CLASS/test/picture for all pictures, or train/CLASS/picture with test "
            f"beside train; sort all so, {alone} a set of its own, or rename the folders if they are no part"
        )


def unsorted(folders: Iterable[str], names: Sequence[str], files: Files, given: str) -> UserError:
    """The error for folders that are called as parts and hold no classes; ``names`` are of pictures to train on."""
    return UserError(
        f"given {given} with the folders {some(folders)} but no class folders in a train folder"
        f"{told_by_names(names)}; allowed is train/CLASS/picture, with val and test beside train; sort the "
        f"pictures into such, or {by_table(files, names)}"
    )


def refuse_untrained(
    classes: Mapping[str, set[str]], parts: Mapping[str, int], beside: Iterable[str], given: str
) -> None:
    """Refuses classes without pictures to train on, as of sets for finding faults after seeing good ones alone.

    ``classes`` tells those in each folder of a part, ``beside`` which folders besides are no parts.
    """
    trained = {key_of_name(shown(each)) for top in classes if parts[top] == TRAIN for each in classes[top]}
    lost = {each for held in classes.values() for each in held if key_of_name(shown(each)) not in trained}
    if not lost or not trained:
        return
    tops = sorted(parts, key=lambda top: (parts[top], natural(top)))
    where = [top for top in tops if lost & classes[top]]
    renamed = ", ".join(f"{shown(top)!r} to 'part{number}'" for number, top in enumerate(tops, 1))
    raise UserError(
        f"given {given} with the {'class' if len(lost) == 1 else 'classes'} {some(lost)} in {some(where)} alone, with "
        f"no pictures to train on; {ALLOWED}, each class below train too; rename {renamed}"
        f"{f' and move {some(beside)} elsewhere' if beside else ''}, and parts are drawn from all pictures; or move "
        f"{some(lost)} elsewhere, or call each as below train if it is a class there"
    )


def _are_parts(folders: Iterable[str]) -> bool:
    """Whether folders side by side are parts by their names: all of them, or several parts among others."""
    found = [part_of(each) for each in folders]
    return None not in found or len({*found} - {None}) > 1


def refuse_loose_pictures(trails: Trails, given: str) -> None:
    """Refuses pictures beside folders, each alone, that would wrap the classes but for these."""
    rest, above, loose = dict(trails), list[str](), list[str]()
    while True:
        loose += [name for name, trail in rest.items() if len(trail) < 2]
        rest = {name: trail for name, trail in rest.items() if len(trail) > 1}
        tops = {trail[0] for trail in rest.values()}
        if len(tops) != 1:
            break
        above += tops
        rest = {name: trail[1:] for name, trail in rest.items()}
    if above and loose and tops:
        raise UserError(
            f"given {given} with {count(len(loose), 'picture')} ({some(loose)}) in none of the folders {some(tops)} "
            f"in {shown('/'.join(above))!r}; {ALLOWED}; move what is in none into one of them, or elsewhere"
        )


def refuse_two_readings(trails: Trails, given: str) -> None:
    """Refuses folders of folders either of which may be the classes.

    Most hold folders of the same names, or one is called as what holds data while others hold further folders, or all
    others as what programs write. A folder that alone wraps others tells nothing, but for one that all have in common.
    """
    inner = folders_within(trails.values())
    repeated = _repeated(inner)
    if not repeated and (len(names := set().union(*inner.values())) > 1 or any(map(wraps, names))):
        repeated = _repeated(inner := folders_within(peeled(trails.values())))
    why, advice = "", "put all class folders side by side"
    if repeated:
        holding = [top for top, folders in inner.items() if folders & repeated]
        who = "which hold" if len(holding) == len(inner) else f"of which {some(holding)} hold"
        why = f"{who} the same folders {some(repeated)}"
        advice = (
            "merge those of one name, call the folders above train, val and test if they are parts of one set, give "
            f"one of {some(holding)} alone if it is a set of its own"
        )
    elif held := _held(inner):
        flat = inner.keys() - held.keys()
        a_set = any(map(holds_a_set, held)) and not any(map(holds_a_set, flat))
        away = flat if a_set else {top for top in flat if written(top) or about(top)}
        if away:
            advice = f"take {some(away)} away if no class, {advice}"
        if any(map(wraps, held)) or (flat and away == flat):
            why = f"of which {some(held)} {'hold' if len(held) > 1 else 'holds'} {some(set().union(*held.values()))}"
    if why:
        raise UserError(
            f"given {given} with the folders {some(inner)}, {why}: either may be the classes; {ALLOWED}; {advice}, "
            f"give --groups folder if {some(inner)} are the classes, or put a labels.csv with "
            "the columns file and class into it"
        )


def _repeated(inner: Mapping[str, set[str]]) -> set[str]:
    """The folders that several hold, and no tracks or dates, where these are most; none where pictures lie beside.

    Folders that hold pictures alone may be classes beside them, or may not: they count as such that hold others.
    """
    holding = [folders for folders in inner.values() if folders != {""}]
    shared = Counter(folder for folders in holding for folder in folders)
    repeated = {folder for folder in shared if shared[folder] > 1 and not TAKEN.fullmatch(folder)}
    alike = sum(bool(folders & repeated) for folders in holding) / max(1, len(inner))
    most = alike if len(holding) < len(inner) else max(alike, len(repeated) / max(1, len(shared)))
    return set() if "" in shared or len(shared) < 2 or 2 * most <= 1 else repeated


def _held(inner: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Of folders that hold several which might be classes, and no tracks or dates, these."""
    held = {top: {each for each in folders if each and not TAKEN.fullmatch(each)} for top, folders in inner.items()}
    return {top: folders for top, folders in held.items() if len(folders) > 1}


def within_notes(trails: Iterable[Trail], *, grouped: bool) -> list[str]:
    """What was made of folders within class folders; the other reading where they might be classes themselves."""
    trails = [trail for trail in trails if len(trail) > 2]
    held = {} if grouped else _held(folders_within(peeled(trails)))
    notes = []
    if held:
        tops = sorted(held, key=natural)
        told = "; ".join(f"{shown(top)!r} of {some(held[top])}" for top in tops[:MOST_NAMED])
        notes.append(
            f"made one class each of several folders: {told}{'; ...' if len(tops) > MOST_NAMED else ''}; if "
            f"{some(set().union(*held.values()))} are classes, put them side by side without the folder above, or put "
            "a labels.csv with the columns file and class into the data"
        )
    if deeper := {"/".join(trail[:-1]) for trail in trails if trail[0] not in held}:
        notes.append(f"took folders within class folders as parts of their classes: {some(deeper)}")
    return notes
