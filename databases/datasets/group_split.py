"""Dividing images among the parts so that what belongs together is on one side."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from databases.datasets.task import TEST, TRAIN, USES, VALIDATION, Labels, Parts, image_draws, move_share

HELD_OUT, MOST_HELD_OUT = 0.2, 10_000  # share, and images, of a part that is drawn: more judge no better, and take time

Groups = npt.NDArray[np.int64]


def completed(
    labels: Labels,
    parts: Parts,
    groups: Groups | None,
    order: npt.NDArray[np.intp],
    *,
    seed: int,
    wanted: Collection[int] = tuple(USES),
) -> Parts:
    """Parts (n,) as the data bring them, with missing ones drawn from the training images in that order."""
    missing = [part in wanted and not (parts == part).any() for part in (VALIDATION, TEST)]
    validation, test = (_share(len(labels)) * each for each in missing)
    together = None if groups is None else groups[order]
    found = np.empty_like(parts)
    found[order] = divide(labels[order], parts[order], groups=together, seed=seed, validation=validation, test=test)
    return found


def groups_note(groups: Groups, parts: Parts, *, told: bool) -> str:
    """One line on images that are kept on one side where these parts, as the data bring them, are completed."""
    sizes = np.bincount(groups)
    held, several = int(sizes[sizes > 1].sum()), int((sizes > 1).sum())
    what = "the groups that were named" if told else "near copies or frames of one track by their look"
    drawn = [use for part, use in USES.items() if not (parts == part).any()]
    if not drawn:
        return f"{held:,} images are in {several:,} groups ({what}); all parts are as given: none is drawn by groups"
    from_all = (
        "parts are drawn" if len(drawn) == len(USES) else f"images for {drawn[0]} are drawn from the training part"
    )
    return f"{held:,} images in {several:,} groups ({what}) stay together when {from_all}"


def training_images(parts: Parts) -> int:
    """How many of the images with these parts (n,) are left to train with when missing parts are drawn."""
    drawn = sum(not (parts == part).any() for part in (VALIDATION, TEST))
    return round(int((parts == TRAIN).sum()) * (1 - drawn * _share(len(parts))))


def _share(images: int) -> float:
    return min(HELD_OUT, MOST_HELD_OUT / images)


def divide(
    labels: Labels,
    parts: Parts | None = None,
    *,
    groups: Groups | None = None,
    seed: int = 0,
    validation: float = 0.2,
    test: float = 0.2,
) -> Parts:
    """Takes validation and test parts from the training images; see `task.split` for what holds of them.

    Args:
        labels: (n,) class numbers.
        parts: (n,) what the data bring; None: all are for training.
        groups: (n,) equal for images that belong together; None: each is by itself, and the parts are those of
            `task.split` to the last image.
        seed: another seed draws others.
        validation: share of all images for validation; 0 where the data bring that part.
        test: share of all images for the test; 0 where the data bring that part.
    """
    found = np.full(len(labels), TRAIN, dtype=np.uint8) if parts is None else parts
    for part, share in ((TEST, test), (VALIDATION, validation / (1 - test))):
        if groups is None:
            found = move_share(labels, found, part, share=share, seed=seed)
        else:
            found = move_groups(labels, found, part, groups=groups, share=share, seed=seed)
    return found


def move_groups(labels: Labels, parts: Parts, part: int, *, groups: Groups, share: float, seed: int) -> Parts:
    """Moves about a share of every class's training images to another part, whole groups only. Returns new parts (n,).

    Of each class groups are taken in a drawn order while that brings its number nearer to its share, those last that
    have images in other parts already; the class keeps a training image. Where groups are so large that nothing at all
    would be taken, each class gives its smallest.
    """
    moved = parts.copy()
    left = np.bincount(labels[parts == TRAIN], minlength=int(labels.max()) + 1)
    elsewhere = np.isin(groups, groups[parts != TRAIN])
    order = np.lexsort((image_draws(len(labels), seed=seed, stream=part), elsewhere))
    order = order[parts[order] == TRAIN]
    numbers, starts = np.unique(groups[order][by_group := np.argsort(groups[order], kind="stable")], return_index=True)
    members = dict(zip(numbers.tolist(), np.split(order[by_group], starts[1:]), strict=True))
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        total, taken = len(mine), int((moved[mine] == part).sum())
        for group in dict.fromkeys(groups[mine].tolist()):
            whole = members[group]
            if (moved[whole] != TRAIN).any():
                continue
            costs = np.bincount(labels[whole], minlength=len(left))
            size, wanted = int(costs[label]), share * total
            nearer = abs(taken + size - wanted) < abs(taken - wanted)
            if nearer and (left - costs)[costs > 0].min() >= 1:
                moved[whole] = part
                left -= costs
                taken += size
    if share and not (moved == part).any():
        for label in np.unique(labels):
            if (moved[labels == label] == part).any():  # by a group that it shares with a class before
                continue
            there = dict.fromkeys(groups[order[labels[order] == label]].tolist())
            for whole in sorted((members[group] for group in there), key=len):
                costs = np.bincount(labels[whole], minlength=len(left))
                if (moved[whole] == TRAIN).all() and (left - costs)[costs > 0].min() >= 1:
                    moved[whole], left = part, left - costs
                    break
    return moved
