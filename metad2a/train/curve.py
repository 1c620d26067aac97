"""The learning curve of a fine-tuning as named numbers, which the record of it keeps."""

from __future__ import annotations

import math
from collections.abc import Iterable

from metad2a.train.loop import Epoch

POINTS = 10


def curve_of(epochs: Iterable[Epoch]) -> dict[str, float]:
    """What a training told on its way, named by the share of it in percent.

    ``loss_at_40`` is the mean loss of the training images in the epoch that ended then, the last of its tenth: at most
    `POINTS` are kept; ``valid_at_40`` how many of some validation images were right, in percent, wherever these were
    looked at, of two looks within a percent the last. Its end is the record's own; of a training that was killed and
    went on, the part since then.

    >>> curve_of([Epoch(1, 2.0, 9, 0.31, 1.0), Epoch(2, 1.5, 18, 0.38, 2.0, valid_accuracy=60.0)])
    {'loss_at_38': 1.5, 'valid_at_38': 60.0}
    """
    told = list(epochs)
    last = {math.ceil(max(_percent(each), 1) * POINTS / 100): each for each in told}
    found = {f"loss_at_{_percent(each)}": each.loss for each in last.values() if math.isfinite(each.loss)}
    looked = [each for each in told if each.valid_accuracy is not None]
    return found | {f"valid_at_{_percent(each)}": each.valid_accuracy or 0.0 for each in looked}


def _percent(epoch: Epoch) -> int:
    return round(100 * epoch.progress)
