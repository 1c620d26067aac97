"""What makes accuracies on a dataset say less than they seem to: one line each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from databases.datasets.names import some
from databases.datasets.near_copies import Copies
from databases.datasets.task import TRAIN, USES, VALIDATION, Labels, Parts
from databases.errors import count, key_of_name

IMBALANCE = 10  # images of the largest class for one of the smallest
FEW = 0.01  # share of a part whose near copies in training may be chance
MISSING = {"nan", "null", "nat", "n/a", "<na>", "#n/a"}
JOINED = r"[|;,+&]"  # between several labels of one image
MAJORITY = 0.8  # share of the largest class


class Caution(str):
    """A note on what makes accuracies say less than they seem to."""


def cautions(
    labels: Labels,
    parts: Parts,
    class_names: Sequence[str],
    copies: Copies,
    files: Sequence[str] = (),
    groups: npt.NDArray[np.int64] | None = None,
    wanted: Collection[int] = tuple(USES),
) -> list[Caution]:
    """Notes on names of classes, their balance, classes absent from a part, pictures and groups that are in two places.

    Args:
        labels: (n,) class numbers.
        parts: (n,) of the images.
        class_names: of the class numbers.
        copies: pairs of images that show the same.
        files: their names, where they have some.
        groups: (n,) equal for images that belong together, None: each is by itself.
        wanted: parts that should have images.
    """
    names = files or [f"image {index}" for index in range(len(labels))]
    told = [
        *_alike(class_names),
        *_odd_names(class_names),
        *_balance(labels, class_names),
        *_absent(labels, parts, class_names, groups, wanted),
        *_two_classes(labels, class_names, copies, names),
        *_across(parts, copies, names),
        *([] if groups is None else _torn(parts, groups, names)),
    ]
    return [*map(Caution, told)]


def told_of_sample(seen: int, there: int, what: str) -> list[str]:
    """A note where a `sample` of ``there`` images, called ``what``, is looked at."""
    if seen == there:
        return []
    return [
        f"looked at {seen:,} of {there:,} {what}, the same share of each class: search and train use all, and figures "
        "are for all; the fingerprint is that of the sample"
    ]


def _alike(class_names: Sequence[str]) -> list[str]:
    """A note on classes whose names a reader takes for one."""
    alike = defaultdict[str, list[str]](list)
    for name in class_names:
        alike[key_of_name(name)].append(name)
    pairs = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if not pairs:
        return []
    more = f", and {len(pairs) - 1:,} more such," if len(pairs) > 1 else ""
    return [
        f"the classes {pairs[0]}{more} differ in capitals, spaces or ways of writing alone: "
        "if they are one, give them one name"
    ]


def _odd_names(class_names: Sequence[str]) -> list[str]:
    """Notes on names that may stand for missing labels, or for several labels of one image."""
    notes, known = [], set(class_names)
    if lost := [name for name in class_names if name.strip().lower() in MISSING]:
        notes.append(f"the class {some(lost)} may stand for missing labels: take its images out if so")
    pieces = {name: [piece.strip() for piece in re.split(JOINED, name)] for name in class_names}
    if several := [name for name, each in pieces.items() if len(each) > 1 and known.issuperset(each)]:
        notes.append(f"the class {some(several)} may be several labels of one image: it counts as one of its own")
    return notes


def _balance(labels: Labels, class_names: Sequence[str]) -> list[str]:
    """A note where some classes are far larger than others."""
    sizes = np.bincount(labels, minlength=len(class_names))
    large, small, share = int(sizes.argmax()), int(sizes.argmin()), sizes.max() / sizes.sum()
    if sizes.max() < IMBALANCE * sizes.min() and share < MAJORITY:
        return []
    return [
        f"the classes are imbalanced: {class_names[large]!r} has {count(int(sizes.max()), 'image')}, "
        f"{class_names[small]!r} has {sizes.min():,}; always answering {class_names[large]!r} is right for {share:.1%}"
    ]


def _absent(
    labels: Labels,
    parts: Parts,
    class_names: Sequence[str],
    groups: npt.NDArray[np.int64] | None,
    wanted: Collection[int],
) -> list[str]:
    """Notes on classes without an image in the validation or test part."""
    notes = []
    for part, use in USES.items():
        there = np.bincount(labels[parts == part], minlength=len(class_names))
        if not there.any() and part in wanted:
            notes.append(f"there is no image for {use}: {_why_none(parts, groups)}")
        absent = [name for name, size in zip(class_names, there, strict=True) if not size]
        if absent and there.any():
            many = f"{len(absent):,} of {len(class_names):,} classes have" if len(absent) > 1 else "a class has"
            notes.append(f"{many} no image for {use}, which tells nothing of {some(absent)}")
    return notes


def _why_none(parts: Parts, groups: npt.NDArray[np.int64] | None) -> str:
    """Why no image could be drawn from those for training, and what to do."""
    sizes: npt.NDArray[np.int64] | list[int] = (
        [] if groups is None else np.unique(groups[parts == TRAIN], return_counts=True)[1]
    )
    if max(sizes, default=1) == 1:
        return "it is drawn from the training images, of which every class keeps one, and none is left; add images"
    return (
        f"it is drawn from the {count(len(sizes), 'group')} of training images, and without any of them a class would "
        "have none for training; add images of more groups, or give --groups none"
    )


def _two_classes(labels: Labels, class_names: Sequence[str], copies: Copies, names: Sequence[str]) -> list[str]:
    """A note on the same pictures in two classes."""
    pairs = copies.pairs[labels[copies.pairs[:, 0]] != labels[copies.pairs[:, 1]]]
    if not len(pairs):
        return []
    first, second = pairs[0]
    return [
        f"{count(len(np.unique(pairs)), 'image')} show the same as one of another class: {names[first]!r} of "
        f"{class_names[labels[first]]!r} and {names[second]!r} of {class_names[labels[second]]!r}"
        f"{', ...' if len(pairs) > 1 else ''}"
    ]


def _across(parts: Parts, copies: Copies, names: Sequence[str]) -> list[str]:
    """Notes on copies of training images in the other parts."""
    notes = []
    for part, use in USES.items():
        others = "training" if part == VALIDATION else "training or validation"
        held = _held_elsewhere(parts, copies.pairs, part)
        total = int((parts == part).sum())
        exact = len(_held_elsewhere(parts, copies.pairs[copies.exact], part))
        if exact or len(held) > FEW * total:
            notes.append(
                f"{len(held):,} of {total:,} images for {use} ({len(held) / total:.1%}) are copies or near copies of "
                f"{others} images, such as {names[held[0]]!r}: that accuracy tells too much"
            )
    return notes


def _torn(parts: Parts, groups: npt.NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Notes on groups with images in several parts."""
    notes, several = [], np.bincount(groups)[groups] > 1
    for part, use in USES.items():
        others = "training" if part == VALIDATION else "training or validation"
        there = np.unique(groups[several & (parts == part)])
        held = there[np.isin(there, groups[parts < part])]
        if len(held):
            first = int(np.flatnonzero((parts == part) & (groups == held[0]))[0])
            notes.append(
                f"{len(held):,} of {count(len(there), 'group')} for {use} have images for {others} too, such as that "
                f"of {names[first]!r}: that accuracy does not tell how well further groups are known"
            )
    return notes


def _held_elsewhere(parts: Parts, pairs: npt.NDArray[np.int64], part: int) -> npt.NDArray[np.int64]:
    """Positions of the images of a part that have a copy in a part before it."""
    one, other = pairs[:, 0], pairs[:, 1]
    found = [
        one[(parts[one] == part) & (parts[other] < part)],
        other[(parts[other] == part) & (parts[one] < part)],
    ]
    return np.unique(np.concatenate(found))
