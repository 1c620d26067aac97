"""Finalists that answer together, where validation tells that it helps.

Networks that begin with other weights or see other sizes err on other images, so the mean of their probabilities is
often better than the best of them. One is added while log-loss falls (Caruana, Niculescu-Mizil, Crew, Ksikes, 2004:
greedy choice of an ensemble on validation images): it tells more of few images than how many are right.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from databases.architectures.networks.average import AverageNetwork, Member
from databases.architectures.skeleton import Blueprint
from databases.hosting import lent
from metad2a.runtime.files import keep_files
from metad2a.search.pipelines.report import temperature
from metad2a.search.runs import CANDIDATES, RunFolder
from metad2a.train.classifier import Classifier
from metad2a.train.logistic import Floats, Labels

Shares: TypeAlias = npt.NDArray[np.floating]

LOGITS = "{}.logits.npy"  # beside the weights of a candidate
MOST = 3  # networks
LEAST = 0.001  # of log-loss by which another must make it lower: each costs milliseconds an image
TINY = 1e-12


def keep_logits(run: RunFolder, index: int, logits: Floats) -> None:
    """Stores what a candidate says of the validation images, (n, classes), by which it may join others."""
    content = io.BytesIO()
    np.save(content, logits)
    keep_files(run.folder / CANDIDATES, {LOGITS.format(index): content.getvalue()})


def drop_logits(run: RunFolder, index: int) -> None:
    """Forgets them, before other weights of the candidate are kept."""
    (run.folder / CANDIDATES / LOGITS.format(index)).unlink(missing_ok=True)


def read_logits(run: RunFolder) -> dict[int, Floats]:
    """What was kept of the candidates, (n, classes) each.

    A file that is gone or damaged costs its candidate's joining others alone.
    """
    found = {}
    for index in run.state.trained:
        with suppress(OSError, ValueError, EOFError):
            found[index] = np.load(run.folder / CANDIDATES / LOGITS.format(index), allow_pickle=False)
    return found


def finalists(
    logits: Mapping[int, Floats],
    labels: Labels,
    best: int,
    *,
    fits: Callable[[tuple[int, ...]], bool] = lambda chosen: True,
) -> tuple[int, ...]:
    """The networks whose mean is best on the validation images, ``best`` first; alone where no other helps.

    Args:
        logits: (n, classes) of each network, by its number.
        labels: (n,) the truth.
        best: the number of the network to begin with.
        fits: whether so many, by their numbers, may answer together.
    """
    if best not in logits or not len(labels):
        return (best,)
    shares = {index: _softmax(each / temperature(each, labels)) for index, each in logits.items()}
    chosen: tuple[int, ...] = (best,)
    now = shares[best]
    while len(chosen) < MOST:
        together = {
            index: (len(chosen) * now + each) / (len(chosen) + 1)
            for index, each in shares.items()
            if index not in chosen and fits((*chosen, index))
        }
        added = min(together, key=lambda index: _loss(together[index], labels), default=None)
        if added is None or _loss(together[added], labels) > _loss(now, labels) - LEAST:
            break
        chosen, now = (*chosen, added), together[added]
    return chosen


def together(logits: Mapping[int, Floats], heats: Mapping[int, float]) -> Floats:
    """(n, classes): what the mean of the networks ``heats``, given with their temperatures, says; logarithms."""
    shares = np.stack([_softmax(logits[index] / heat) for index, heat in heats.items()])
    found: Floats = np.log(shares.mean(0) + TINY).astype(np.float32)
    return found


def averaged(members: Mapping[int, Classifier], heats: Mapping[int, float], *, resolution: int) -> Classifier:
    """The mean of the members' probabilities as one network for images of ``resolution``."""
    plans = tuple(
        Member(each.blueprint, each.resolution, each.mean, each.scale, heats[index])  # type: ignore[arg-type]  # built with it
        for index, each in members.items()
    )
    blueprint = Blueprint("average:AverageNetwork", (plans, resolution))
    with lent(seed=0):  # the weights that it is made with are replaced
        network = blueprint.build()
    assert isinstance(network, AverageNetwork)
    network.load_members([each.network.state_dict() for each in members.values()])
    channels = len(next(iter(members.values())).mean)
    return Classifier(network.eval(), blueprint, (0.0,) * channels, (1.0,) * channels, resolution)


def _loss(shares: Shares, labels: Labels) -> float:
    return float(-np.log(shares[np.arange(len(labels)), labels] + TINY).mean())


def _softmax(logits: Shares) -> Shares:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    found: Shares = powers / powers.sum(1, keepdims=True)
    return found
