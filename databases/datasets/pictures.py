"""Pictures in files: every file as pixels of one size, in memory or, where they are too many, in a file.

Grey of more than 8 bits is scaled by the smallest of 1, 255, 4,095, 8,191 and 65,535 that holds all such pictures of
the set, so 12-bit pictures keep their contrast; see `scale`. How one file is read tells `decoding`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from databases.datasets.archives import Files
from databases.datasets.cautions import told_of_sample
from databases.datasets.class_folders import Picture, arrange
from databases.datasets.decoding import MAX_PICTURE_BYTES, decode_run, why_unreadable
from databases.datasets.draft import Progress
from databases.datasets.file_kinds import ending_of, hidden, readable_formats
from databases.datasets.groups import FOLDER, NONE, named_groups
from databases.datasets.label_table import arrange_by_table, find_tables
from databases.datasets.names import some, sort_key
from databases.datasets.pace import Pace
from databases.datasets.room import Room
from databases.datasets.settling import Settling, broken_names
from databases.datasets.stored import Settled
from databases.datasets.task import Images, Labels, Parts, check_classes, sample
from databases.errors import count
from databases.usual import AUTOMATIC

BETWEEN = 100  # pictures between two tellings of how far reading is


@dataclass(frozen=True)
class Labelled:
    """Images (n, h, w, c) with labels and parts as found; `parts` is all TRAIN when there were none.

    `white` is the value that stood for white in pictures of more than 8 bits, None when there were none; `files` are
    their names, `groups` (n,) what the data say belongs together, None where they do not; `in_all` tells the parts of
    all images that these are a sample of, None where these are all.
    """

    images: Images
    labels: Labels
    parts: Parts
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    white: int | None = None
    files: tuple[str, ...] = ()
    groups: object = None
    in_all: Parts | None = None


@dataclass(frozen=True)
class Named:
    """Pictures, not read yet, with labels (n,), parts (n,) and what belongs together (n), None where nothing does."""

    pictures: tuple[Picture, ...]
    labels: Labels
    parts: Parts
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    groups: list[str] | None


def _left_out(files: Files) -> list[str]:
    """A note on empty folders."""
    return [f"left out {count(len(files.empty), 'empty folder')}: {some(files.empty)}"] if files.empty else []


# long, since what can be asked and what is told of pictures are a line each
def read_pictures(
    files: Files,
    *,
    given: str,
    px: int,
    most: int,
    seed: int,
    groups: str | Path = AUTOMATIC,
    deadline: float = math.inf,
    room: Room | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Labelled:
    """All pictures of a folder of class folders, px by px pixels, in the order of their names.

    Args:
        files: the folder or zip.
        given: what the user called it, for errors.
        px: height and width to bring every picture to.
        most: if there are more pictures than this, a stratified part of them is read.
        seed: which part.
        groups: how the user groups pictures; see `groups.named_groups`.
        deadline: monotonic second at which all must be read.
        room: for more pictures than memory should hold; None: all are held in memory.
        on_progress: is told how many are read, of how many.

    Raises:
        UserError: when there is nothing to learn from, more than a tenth of the files cannot be read, or time is short.
    """
    named = name_pictures(files, given, groups=groups)
    pictures, labels, parts, class_names = named.pictures, named.labels, named.parts, named.class_names
    chosen = sample(labels, parts, most=most, seed=seed)
    seen = told_of_sample(len(chosen), len(pictures), "pictures")
    notes = [*named.notes, *seen]
    names = [pictures[index].file for index in chosen]
    settle = Settling(names, given, px)
    if room is None or len(names) * px * px * 3 <= room.held:
        images, settled = _in_memory(files, names, settle, Pace(len(names), deadline), on_progress)
    else:
        images, settled = room.decoded(
            files, names, px=px, given=given, settle=settle, deadline=deadline, on_progress=on_progress
        )
        notes.append(
            f"all {len(images):,} pictures are used for training; decoded once, they lie in {str(room.folder)!r} "
            f"({images.nbytes / 1e9:.1f} GB)"
        )
    chosen = np.delete(chosen, list(settled.broken))
    return Labelled(
        images,
        labels[chosen],
        parts[chosen],
        class_names,
        (*notes, *_decoding_notes(settled, names, px), *settled.told),
        settled.white,
        tuple(pictures[index].file for index in chosen),
        None if named.groups is None else [named.groups[index] for index in chosen],
        parts if seen else None,
    )


def name_pictures(files: Files, given: str, *, groups: str | Path) -> Named:
    """Which file is of which class, part and group, by a labels.csv or else by the folders.

    Raises:
        UserError: nothing tells classes that can be learnt, or groups.
    """
    grouped = groups in (FOLDER, NONE)
    endings = readable_formats()[1]
    pictures, others = list[str](), list[str]()
    for name in files.names:
        (others if hidden(name) or ending_of(name) not in endings else pictures).append(name)
    tables = find_tables(others)
    by_table = arrange_by_table(files, tables, pictures, others, given=given)
    unused = [f"took no classes from {some(tables)}: no columns file and class"] if tables and not by_table else []
    arranged = by_table or arrange(files, pictures, others, given=given, grouped=grouped)
    called = arranged.class_names
    class_names = tuple(dict.fromkeys(called[label] for label in sorted(called, key=sort_key)))
    number = {label: class_names.index(name) for label, name in called.items()}
    labels = np.array([number[picture.label] for picture in arranged.pictures], dtype=np.int64)
    parts = np.array([picture.part for picture in arranged.pictures], dtype=np.uint8)
    check_classes(labels, parts, class_names, least=2)
    named, told = named_groups(arranged.pictures, groups, root=files.root)
    notes = (*files.notes, *unused, *arranged.notes, *told, *_left_out(files))
    return Named(arranged.pictures, labels, parts, class_names, notes, named if any(named) else None)


def _in_memory(
    files: Files, names: Sequence[str], settle: Settling, pace: Pace, on_progress: Progress
) -> tuple[Images, Settled]:
    """The pictures of these names, decoded here and now."""
    shape = (len(names), settle.px, settle.px)
    pixels, deep = np.empty((*shape, 3), dtype=np.uint8), np.empty(shape, dtype=np.float32)  # untouched, no memory

    def contents() -> Iterator[bytes | str]:
        for index, name in enumerate(names):
            pace.check(index, settle.given)
            if not index % BETWEEN:
                on_progress(index, len(names))
            try:
                yield files.read(name, most=MAX_PICTURE_BYTES)
            except OSError as problem:
                yield why_unreadable(problem)

    settled = settle(pixels, deep, [decode_run(contents(), 0, pixels, deep)])
    images = pixels.reshape(-1)[: math.prod(settled.shape)].reshape(settled.shape)
    return images if settled.shape[3] == 3 else images.copy(), settled  # a copy of grey ones is a third


def _decoding_notes(settled: Settled, names: Sequence[str], px: int) -> list[str]:
    """What was skipped, and what was resized."""
    notes = []
    if settled.broken:
        notes.append(
            f"skipped {count(len(settled.broken), 'unreadable picture')}: {broken_names(settled.broken, names)}"
        )
    return notes if set(settled.sizes) == {(px, px)} else [*notes, _sizes_note(settled.sizes, px)]


def _sizes_note(sizes: Counter[tuple[int, int]], px: int) -> str:
    """One line that tells the sizes before resizing."""
    (width, height), (most_width, most_height) = min(sizes), max(sizes)
    if len(sizes) == 1:
        return f"resized pictures of {width}x{height} pixels to {px}x{px}"
    return (
        f"resized pictures of {len(sizes):,} sizes, from {width}x{height} to "
        f"{most_width}x{most_height} pixels, to {px}x{px}"
    )
