"""Looking at images: probes of frozen networks, cheap ones first, as many as there is time for."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.errors import Say
from metad2a.recommend.chances import (
    FIT_SECONDS,
    SHARE,
    MeasuredProbe,
    fit_seconds,
    is_far,
    probe_seconds,
    sensible_probes,
)
from metad2a.recommend.pipeline_cost import OURS
from metad2a.train.bases import OTHER, Base, installed
from metad2a.train.pipeline import base_of
from metad2a.train.probe import FEW, Probed, loss_of_few, probe, probed_places, speed, width

IS_FAR = "HOG tells these images well better than our weights do, and where it did, it was better than lite0 too"
IS_BEHIND = "on a few images it was behind"
NO_TIME = "a probe would take too much of the seconds that were left"
FIRST = 0.6  # of the seconds left that the first probe may take, of a part of the images if need be
LEAST, LEAST_EACH = 2_000, 20  # training images, and of each class, that it learns from in any case
PARTLY = {"hog": (0.8, 500, 10)}  # the same three of others that may learn from a part: signs show by HOG alone
STEP = 1.25  # times so many images
JUDGE, LEAST_JUDGES = 0.3, 500  # of these seconds, that validation images may take, and how many judge in any case
MANY = 2  # times the few images, from which a dear network is looked at with a few of them first


@dataclass(frozen=True, eq=False)
class Look:
    """One probe.

    Attributes:
        probed: the fitted network; None where its accuracy was known.
        seconds: what features and regression took.
    """

    measured: MeasuredProbe
    probed: Probed | None
    seconds: float


def looks(
    task: Task,
    *,
    left: Callable[[], float],
    cache: Path | None = None,
    known: Mapping[Pipeline, float] | None = None,
    also: Base | None = None,
    insist: bool = False,
    share: float = SHARE,
    left_out: dict[str, str] | None = None,
    now: Say = lambda text: None,
) -> Iterator[Look]:
    """The first probe always, networks where they fit into a ``share`` of the seconds ``left``; ``known`` are timed.

    The first one, and those that may (`PARTLY`), learn from as many images as there is time for, and are judged by as
    many; these have shares of their own.
    ``also`` is the user's own network, probed once at least where one is to ``insist`` on it. Where there are many
    images, networks that are dearer than ours look at a few first, and at all of them only where they are not behind.
    ``left_out`` is told why, by the name of the weights, of each network that is not probed.
    """
    why: dict[str, str] = {} if left_out is None else left_out
    few, found = _Few(task), list[MeasuredProbe]()
    for number, pipeline in enumerate(_to_probe(task, also)):
        if pipeline.weights == "lite0" and is_far(found):
            why[pipeline.weights] = IS_FAR
            continue
        base, must = base_of(pipeline, task, also=also), insist and pipeline.weights == OTHER
        rate = speed(base, task, resolution=pipeline.resolution)
        whole = None if number == 0 or pipeline.weights in PARTLY else share
        most, in_time = fitting(task, pipeline, base, rate, left(), whole=whole)
        if known and pipeline in known:
            found.append(MeasuredProbe(pipeline, known[pipeline], rate))
            yield Look(found[-1], None, 0.0)
        elif number == 0 or must or in_time:
            now(f"Probing {pipeline}")
            if not must and not few.promises(pipeline, base):
                why[pipeline.weights] = IS_BEHIND
                continue
            probed = probe(base, task, resolution=pipeline.resolution, cache=cache, most=most)
            insist = insist and pipeline.weights != OTHER
            found.append(MeasuredProbe(pipeline, probed.valid_accuracy or 0.0, rate))
            yield Look(found[-1], probed, probed.seconds)
        else:
            why.setdefault(pipeline.weights, NO_TIME)


def _all(task: Task) -> dict[int, int]:
    return {part: len(probed_places(task, part)) for part in (TRAIN, VALIDATION)}


def fitting(
    task: Task, pipeline: Pipeline, base: Base, rate: float, left: float, *, whole: float | None = None
) -> tuple[dict[int, int], bool]:
    """How many images of each part a probe looks at, and whether that takes no more than its share of the seconds left.

    All of them for the share ``whole``; without one as many as the share of these weights allows.
    """
    part, least, each = PARTLY.get(pipeline.weights, (FIRST, LEAST, LEAST_EACH))
    seconds = left * (part if whole is None else whole)
    most = _all(task)
    if whole is None:
        most = affordable(task, seconds, rate=rate, features=width(base), least=max(least, each * task.classes))
    needed = probe_seconds(most[TRAIN], most[VALIDATION], rate=rate, features=width(base), classes=task.classes)
    return most, needed <= seconds


def affordable(task: Task, seconds: float, *, rate: float, features: int, least: int) -> dict[int, int]:
    """Of how many images of each part, ``least`` for training in any case, a probe takes no more than these seconds.

    Where that is not all of them it goes in steps: another time the machine seems somewhat quicker or slower, and would
    not find the features that were kept.
    """
    left = seconds - FIT_SECONDS
    judges = _some(JUDGE * left * rate, len(probed_places(task, VALIDATION)), least=LEAST_JUDGES)
    wanted = (left - judges / rate) / (1 / rate + fit_seconds(features, task.classes))
    learnt = _some(wanted, len(probed_places(task, TRAIN)), least=least)
    return {TRAIN: learnt, VALIDATION: judges}


def _some(wanted: float, there: int, *, least: int) -> int:
    """As many images as are wanted, in steps of `STEP` from ``least`` on, of those that are there."""
    steps = math.floor(math.log(max(1.0, wanted / least), STEP))
    return there if wanted >= there else min(there, int(least * STEP**steps))


class _Few:
    """What a few of the images tell of networks, the best so far being ours."""

    def __init__(self, task: Task) -> None:
        self.task, self.best = task, math.inf
        self.tell = sum(_all(task).values()) > MANY * sum(FEW.values())

    def promises(self, pipeline: Pipeline, base: Base) -> bool:
        """Whether it does no worse than each before; one that is not dear promises enough."""
        if not self.tell or pipeline.weights not in ("lite0", OTHER):
            return True
        if self.best == math.inf:
            self.best = loss_of_few(base_of(OURS, self.task), self.task, resolution=OURS.resolution)
        loss = loss_of_few(base, self.task, resolution=pipeline.resolution)
        promises, self.best = not loss > self.best, min(loss, self.best)
        return promises


def _to_probe(task: Task, also: Base | None) -> list[Pipeline]:
    """The sensible ones of what is there; a network of one size sees the images as large as they come."""
    there = [name for name, is_there in installed().items() if is_there]
    found = sensible_probes(task.resolution, there if also is None else [*there, OTHER])
    if also is None or also.side is None:
        return found
    last = max(each.resolution for each in found if each.weights == OTHER)
    return [each for each in found if each.weights != OTHER or each.resolution == last]


def imagenet_probe(task: Task) -> Pipeline | None:
    """The first probe of ImageNet's weights, where they are there."""
    return next((each for each in _to_probe(task, None) if each.weights == "lite0"), None)


def about(also: Base | None, measured: Sequence[MeasuredProbe], left_out: Mapping[str, str]) -> list[str]:
    """What is to be known of networks: which the user's own is, and why some were not looked at, a line a reason."""
    seen = {each.pipeline.weights for each in measured}
    own = {} if also is None else {OTHER: also.name}
    names = defaultdict[str, list[str]](list)
    for key, name in {**own, "hog": "HOG", "lite0": "lite0"}.items():
        if key in left_out and key not in seen:
            names[left_out[key]].append(name)
    why = [
        f"{' and '.join(each)} {'was' if len(each) == 1 else 'were'} left out: {reason}"
        for reason, each in names.items()
    ]
    if also is None or OTHER not in seen:
        return why
    enlarged = f", which sees images enlarged to {also.side} px" if also.side else ""
    return [f"{OTHER} is {also.name}{enlarged}; what fine-tuning it adds is judged by trainings of lite0", *why]
