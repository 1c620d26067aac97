"""Where a table tells the classes and class folders would tell others: what these would give, and how to get that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from databases.datasets.archives import Files
from databases.datasets.class_folders import arrange
from databases.datasets.names import TAKEN, part_of, series, shown, some
from databases.errors import UserError, count, key_of_name


def folder_notes(
    files: Files, classes: Mapping[str, str], pictures: Sequence[str], others: Sequence[str], *, given: str
) -> list[str]:
    """Notes where the folders of pictures tell other classes than a table, which gave ``classes`` by their names.

    Nothing where folders are no classes by their names, such as parts, tracks and dates. See `arrange` for the rest.
    """
    by_folder = _classes_of(files, pictures, others, given)
    folders = {name: by_folder[folder] for name in pictures if (folder := name.rpartition("/")[0]) in by_folder}
    named = {name: (folder, classes[name]) for name, folder in folders.items() if name in classes}
    pairs, notes = {*named.values()}, list[str]()
    would = {folder for folder, _ in pairs}
    differing = {pair for pair in pairs if len(set(map(key_of_name, pair))) > 1}
    if differing and len(pairs) == len(would) == len({*classes.values()}):
        notes.append(f"the folders {some(would)} tell the same classes by other names: take the table away for these")
    elif differing:
        other = [name for name, pair in named.items() if pair in differing]
        first = min(other)
        notes.append(
            f"by their folders {len(other):,} of {count(len(named), 'picture')} would be of another class, such as "
            f"{shown(first)!r}, which is {classes[first]!r} by the table, and the classes would be {some(would)}: take "
            "the table away if the folders are right"
        )
    if missing := [folder for name, folder in folders.items() if name not in classes]:
        notes.append(
            f"by the folders {count(len(missing), 'picture')} that no table names would be of {some({*missing})}: add "
            "them to the table, or take that away if the folders are right"
        )
    return notes


def _classes_of(files: Files, pictures: Sequence[str], others: Sequence[str], given: str) -> dict[str, str]:
    """The class of each folder in which pictures lie, nothing where folders tell none: one picture stands for all."""
    one_of = {name.rpartition("/")[0]: name for name in reversed(pictures)}
    if sum(part_of(folder.rpartition("/")[2]) is None for folder in one_of) < 2:
        return {}
    try:
        found = arrange(files, [*one_of.values()], others, given=given)
    except UserError:  # they cannot be read as classes
        return {}
    names = {*found.class_names.values()}
    if all(map(TAKEN.fullmatch, names)) or series(names):
        return {}
    return {each.file.rpartition("/")[0]: found.class_names[each.label] for each in found.pictures}
