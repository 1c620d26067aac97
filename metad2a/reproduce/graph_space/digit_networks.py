"""Networks of one to four layers on scikit-learn's digits: a real space whose layers have knobs of their own.

A layer is a convolution (filters, kernel), a pooling (kind) or a dense layer (width); any may follow any. Written as a
decision graph a walk decides what there is; written flat it decides every knob of every place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.decisions import walks
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN, VALIDATION
from databases.hosting import lent
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.graph_space.graph_problems import Knobs, Problem, layered, layers
from metad2a.reproduce.simulated import ProgramSpace
from metad2a.train.inference import normalisation, prepare
from metad2a.train.loop import Loop
from metad2a.train.optimisers import Adam

KNOBS: Knobs = {
    "convolution": (("8", "16"), ("1", "3")),
    "pooling": (("max", "average"),),
    "dense": (("16", "64"),),
}
IMAGES, BATCH, LEARNING_RATE = 540, 20, 3e-3
Layers = tuple[tuple[str, tuple[str, ...]], ...]  # type and knobs of each layer
GOOD = 0.9  # quantile
A_JOB = 40  # networks trained between two reports


class Shrink(nn.Module):
    """Halves height and width, as far as there is something to halve."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, ceil(h / 2), ceil(w / 2))."""
        pool = nn.functional.max_pool2d if self.kind == "max" else nn.functional.avg_pool2d
        return x if x.shape[-1] == 1 else pool(x, 2, ceil_mode=True)


def network(found: Layers) -> nn.Sequential:
    """(n, 1, 8, 8) images -> (n, 10) logits; a dense layer leaves one pixel with as many channels as it is wide."""
    parts: list[nn.Module] = []
    channels, side = 1, 8
    for name, knobs in found:
        if name == "pooling":
            parts.append(Shrink(knobs[0]))
            side = -(-side // 2)
            continue
        width, kernel = int(knobs[0]), side if name == "dense" else int(knobs[1])
        padding = 0 if name == "dense" else kernel // 2
        parts += [nn.Conv2d(channels, width, kernel, padding=padding, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels, side = width, 1 if name == "dense" else side
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


@cache
def _digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images and labels of the training part's beginning, and of the validation part."""
    task = load_task("sklearn:digits", as_stored=True)
    scale = normalisation(task)
    (x, y), (valid, wanted) = task.part(TRAIN), task.part(VALIDATION)
    images = (prepare(each, *scale, torch.device("cpu")).contiguous() for each in (x[:IMAGES], valid))
    return (next(images), torch.from_numpy(y[:IMAGES]), next(images), torch.from_numpy(wanted))


def accuracy(found: Layers) -> float:
    """Validation accuracy in percent after one pass over a part of the digits."""
    x, y, valid, wanted = _digits()
    with lent(seed=0):
        trained = network(found)
        optimiser = Adam(trained.parameters(), lr=LEARNING_RATE)
        order = torch.randperm(len(y)).split(BATCH)

        def loss(trained: nn.Module, chosen: Tensor) -> Tensor:
            return nn.functional.cross_entropy(trained(x[chosen]), y[chosen])

        Loop(trained, optimiser, steps=len(order)).run(lambda generator, first: order[first:], loss)
    with torch.inference_mode():
        return float(100 * (trained.eval()(valid).argmax(1) == wanted).float().mean())


def named(walk: tuple[int, ...], *, form: str) -> Layers:
    """The layers of a walk, with their knobs' values."""
    return tuple(
        (name, tuple(options[i] for options, i in zip(KNOBS[name], taken, strict=True)))
        for name, taken in layers(walk, KNOBS, form=form)
    )


def trained(job: Sequence[Layers]) -> list[tuple[Layers, float]]:
    """Each network with its accuracy."""
    with lent(threads=1):
        return [(each, accuracy(each)) for each in job]


def measured(depth: int, context: Context) -> dict[Layers, float]:
    """Every network of at most ``depth`` layers, trained once."""
    every = [named(walk, form="graph") for walk in walks(layered(KNOBS, depth, form="graph"))]
    jobs = [every[i : i + A_JOB] for i in range(0, len(every), A_JOB)]
    return {each: value for done in context.run(trained, jobs) for each, value in done}


def problem(depth: int, values: dict[Layers, float], *, form: str) -> Problem:
    """The look-up of a walk's network; good is the quantile `GOOD` of all networks' accuracies (0 to 1)."""
    known: npt.NDArray[np.float64] = np.array(list(values.values()))
    space = ProgramSpace(f"digits, {form}", layered(KNOBS, depth, form=form))
    return Problem(space, lambda walk: values[named(walk, form=form)] / 100, float(np.quantile(known, GOOD)) / 100)
