"""What may be done to training images without changing their class, and how that is found out on the images.

Mirroring makes "keep left" of "keep right". It is allowed where a probe that saw no mirrored image takes mirrored
validation images for the same classes: neither may accuracy fall by more than noise, nor may one class turn into
another. A probe that knows the classes no better than by chance shows nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from databases.datasets.task import VALIDATION, Task
from databases.errors import unknown
from databases.usual import AUTOMATIC
from metad2a.train.bases import Base
from metad2a.train.classifier import Classifier
from metad2a.train.logistic import Floats, Labels
from metad2a.train.probe import features, head, probed_places

Choice = Literal["auto", "none", "shift", "flip"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
FALL = 4.0  # points of accuracy: signs and digits lose 9 and 39, photographs and scans at most 2
FEWEST, TURNED = 4, 0.5  # images of a class, and the share of them that another class takes when mirrored
BLIND = 2.0  # standard errors above the commonest class's share, up to which a probe shows nothing


@dataclass(frozen=True)
class Augment:
    """Random shifts by up to an eighth, and mirroring of half of the images."""

    shift: bool = True
    flip: bool = False

    @property
    def choice(self) -> Choice:
        """The word that asks for it."""
        return "flip" if self.flip else "shift" if self.shift else "none"


PLAIN = Augment()


def choose(
    choice: str, base: Base, classifier: Classifier, task: Task, *, cache: Path | None = None
) -> tuple[Augment, str]:
    """What to do to training images, and one line that says so and why; ``classifier`` is a probe of ``base``.

    Raises:
        UserError: the choice is unknown.
    """
    if (found := asked(choice)) is not None:
        return found
    labels = task.labels[probed_places(task, VALIDATION)]
    if not len(labels):
        return (
            PLAIN,
            "training images are shifted, not mirrored: no validation image tells whether a class would change",
        )
    plain, mirrored = (
        head(classifier, features(base, task, VALIDATION, resolution=classifier.resolution, cache=cache, mirrored=each))
        for each in (False, True)
    )
    flip, why = judge(plain, mirrored, labels, task.class_names)
    return Augment(flip=flip), f"training images are shifted{_mirrored(flip)}: {why}"


def asked(choice: str) -> tuple[Augment, str] | None:
    """The same where the images need not be looked at, None for ``auto``; raises `UserError` for an unknown choice."""
    check_augment(choice)
    if choice == AUTOMATIC:
        return None
    if choice == "none":
        return Augment(shift=False), "training images stay as they are, as asked"
    flip = choice == "flip"
    return Augment(flip=flip), f"training images are shifted{_mirrored(flip)}, as asked"


def check_augment(choice: str) -> None:
    """Raises `UserError` for an unknown choice."""
    if choice not in CHOICES:
        raise unknown("augmentation", choice, CHOICES)


def _mirrored(flip: bool) -> str:
    return " and mirrored" if flip else ", not mirrored"


def judge(plain: Floats, mirrored: Floats, labels: Labels, class_names: tuple[str, ...]) -> tuple[bool, str]:
    """Whether mirroring keeps the classes, from logits (n, classes) of the images as they are and mirrored."""
    ours, theirs = plain.argmax(1), mirrored.argmax(1)
    before, after = (100 * float(np.mean(found == labels)) for found in (ours, theirs))
    for label, name in enumerate(class_names):
        known = theirs[(labels == label) & (ours == label)]
        taken, count = np.unique(known[known != label], return_counts=True)
        if len(known) >= FEWEST and len(taken) and count.max() >= TURNED * len(known):
            other = class_names[int(taken[count.argmax()])]
            return False, f"mirrored, {name!r} is taken for {other!r} ({count.max()} of {len(known)} validation images)"
    share = float(np.bincount(labels).max()) / len(labels)
    if before <= 100 * (share + BLIND * math.sqrt(share * (1 - share) / len(labels))):
        told = (
            f"a probe tells {before:.1f}% of {len(labels)} validation images, of which one class has {100 * share:.1f}%"
        )
        return False, f"{told}: too little to show that mirroring keeps the classes"
    told = f"a probe tells {after:.1f}% of mirrored validation images, {before:.1f}% of the plain ones"
    return before - after <= FALL, told


def augmented(images: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """(b, c, h, w) uint8 -> the same; what a shift uncovers repeats the edge."""
    count, side = len(images), images.shape[-1]
    if augment.flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
    if not augment.shift:
        return images
    margin = max(1, side // 8)
    dy, dx = torch.randint(-margin, margin + 1, (2, count), generator=generator)
    rows = (dy.view(-1, 1) + torch.arange(side)).clamp(0, side - 1)
    columns = (dx.view(-1, 1) + torch.arange(side)).clamp(0, side - 1)
    each = torch.arange(count).view(-1, 1, 1)
    moved = images.permute(0, 2, 3, 1)[each, rows.unsqueeze(2), columns.unsqueeze(1)]
    return moved.permute(0, 3, 1, 2)
