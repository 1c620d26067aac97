"""Which records a meta-model learns from: the rule that keeps CIFAR-10 out of all training."""

from __future__ import annotations

from databases.records.importers.nasbench201 import IMAGENET16
from databases.records.record import PUBLISHED_MEAN, Record


def may_teach(record: Record) -> bool:
    """Of NAS-Bench-201's tables ImageNet16-120's alone: those of CIFAR-10 and CIFAR-100 judge what was learnt.

    Of that table the published means, not the seeds they are the means of.
    """
    benchmark, _, published = record.task.partition("/")
    if benchmark != "nasbench201" or not published:
        return True
    a_seed = record.recipe == "nasbench201" and record.seed != PUBLISHED_MEAN
    return record.task == IMAGENET16 and not a_seed
