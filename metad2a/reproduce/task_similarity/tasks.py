"""Eight tasks of three image sets, one network trained on each, how far they lie apart, and what transfers.

All networks of one round begin with the same weights, so that their parameters mean the same. Only the layers below
the classifier are compared: classifiers differ in their number of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, Task
from databases.hosting import lent
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.nasnet.transferred_cells import fewer
from metad2a.supernets.training import labelled
from metad2a.train.loop import Loop, in_turn
from metad2a.train.optimisers import Adam
from metad2a.train.torch_place import pick_place
from predictors.fisher import fisher_diagonal, frechet_distance, log_determinant_distance

Values = npt.NDArray[np.float64]
SIDE, CHANNELS, WIDTHS = 16, 3, (8, 16, 16)
EPOCHS, BATCH, LEARNING_RATE = 12, 32, 3e-3
LOOKED_AT, FEW = 96, 60  # images for the Fisher matrix; and those that a transferred network's classifier is fitted to
LOG_DETERMINANT, FRECHET = "log-determinant", "Frechet"
DISTANCES = {LOG_DETERMINANT: log_determinant_distance, FRECHET: frechet_distance}

# Name -> image set, and for each class of the set its class here.
GROUPS: dict[str, tuple[str, tuple[int, ...]]] = {
    "digits": ("sklearn:digits", tuple(range(10))),
    "digits, odd": ("sklearn:digits", tuple(each % 2 for each in range(10))),
    "digits, 0": ("sklearn:digits", tuple(int(each == 0) for each in range(10))),
    "mnist": ("mnist", tuple(range(10))),
    "mnist, odd": ("mnist", tuple(each % 2 for each in range(10))),
    "mnist, 0": ("mnist", tuple(int(each == 0) for each in range(10))),
    "cifar10": ("cifar10", tuple(range(10))),
    "cifar10, vehicles": ("cifar10", (1, 1, 0, 0, 0, 0, 0, 0, 1, 1)),
}


def tasks(context: Context, *, images: int) -> list[Task]:
    """All tasks with at most so many training images; the fast run has those of the digits, which need no files."""
    loaded: dict[str, Task] = {}
    found = []
    for name, (source, classes) in GROUPS.items():
        bundled = source.startswith("sklearn:")
        if context.fast and not bundled:
            continue
        if source not in loaded:
            data = load_task(source if bundled else context.image_source(source), resolution=SIDE, as_stored=True)
            loaded[source] = fewer(data, images).resized(SIDE)
        found.append(_grouped(loaded[source], name, classes))
    return found


def _grouped(task: Task, name: str, classes: Sequence[int]) -> Task:
    """The task with classes put together, in three channels."""
    colour = task.images if task.channels == CHANNELS else np.repeat(task.images, CHANNELS, axis=3)
    names = tuple(str(each) for each in range(max(classes) + 1))
    return replace(task, name=name, images=colour, labels=np.array(classes)[task.labels], class_names=names)


@dataclass(frozen=True, eq=False)
class Round:
    """What one initialisation tells of n tasks.

    Attributes:
        distances: name -> (n, n) from the source (row) to the target; on the diagonal to a second training of the
            target itself, on its images in another order.
        transfer: (n, n) test accuracy in percent on the target of a classifier on the source's layers, fitted to few
            images, less that on the layers as they began.
    """

    seed: int
    distances: dict[str, Values]
    transfer: Values


@dataclass(frozen=True, eq=False)
class Job:
    """An initialisation and the tasks."""

    seed: int
    tasks: tuple[Task, ...]


@lent(threads=1)
def one_round(job: Job) -> Round:
    """Trains a network on each task, and compares all of them on every task's images."""
    data = [_Data.of(each) for each in job.tasks]
    trained = [_trained(each, job.seed, order=0) for each in data]
    transfer = np.zeros((len(data), len(data)))
    for j, target in enumerate(data):
        start = _few_shot(_fresh(target.classes, job.seed), target, job.seed)
        transfer[:, j] = [_few_shot(network, target, job.seed) - start for network in trained]
    return Round(job.seed, _distances(data, trained, job.seed), transfer)


@lent(threads=1)
def compared(job: Job) -> dict[str, Values]:
    """The distances of a round alone."""
    data = [_Data.of(each) for each in job.tasks]
    return _distances(data, [_trained(each, job.seed, order=0) for each in data], job.seed)


def _distances(data: Sequence[_Data], trained: Sequence[nn.Sequential], seed: int) -> dict[str, Values]:
    """Name -> (n, n); on the diagonal to a second training."""
    distances = {name: np.zeros((len(data), len(data))) for name in DISTANCES}
    for j, target in enumerate(data):
        matrices = [_below(network, target.x[:LOOKED_AT]) for network in trained]
        second = _below(_trained(target, seed, order=1), target.x[:LOOKED_AT])
        for i in range(len(data)):
            for name, distance in DISTANCES.items():
                distances[name][i, j] = distance(second if i == j else matrices[i], matrices[j])
    return distances


@dataclass(frozen=True, eq=False)
class _Data:
    """Training and test images (n, c, h, w) and labels (n,), on CUDA where it is at hand."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int

    @classmethod
    def of(cls, task: Task) -> _Data:
        train, test = (labelled(task, part, SIDE, on=str(pick_place())) for part in (TRAIN, TEST))
        return cls(train.images, train.labels, test.images, test.labels, task.classes)


def _fresh(classes: int, seed: int) -> nn.Sequential:
    """(b, 3, 16, 16) -> (b, classes); the layers below the classifier begin alike whatever the classes.

    Smooth units: one that is off for all images has no Fisher entries, and their logarithms would outweigh all others.
    """
    layers: list[nn.Module] = []
    with lent(seed=seed):
        for before, now in zip((CHANNELS, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, now, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(WIDTHS[-1] * (SIDE // 8) ** 2, classes)]
    return nn.Sequential(*layers).to(pick_place())


def _trained(data: _Data, seed: int, *, order: int) -> nn.Sequential:
    network = _fresh(data.classes, seed)
    optimiser = Adam(network.parameters(), lr=LEARNING_RATE)
    shuffle = torch.Generator().manual_seed(2 * seed + order)
    orders = [torch.randperm(len(data.y), generator=shuffle).split(BATCH) for _ in range(EPOCHS)]

    def loss(network: nn.Module, chosen: Tensor) -> Tensor:
        return nn.functional.cross_entropy(network(data.x[chosen]), data.y[chosen])

    loop = Loop(network, optimiser, steps=sum(map(len, orders)))
    loop.run(in_turn(loop, iter(orders)), loss)
    return network


def _below(network: nn.Sequential, images: Tensor) -> dict[str, Tensor]:
    """The Fisher diagonal of the layers below the classifier."""
    found = fisher_diagonal(network, images)
    return {name: each.cpu() for name, each in found.items() if not name.startswith(f"{len(network) - 1}.")}


def _few_shot(network: nn.Sequential, target: _Data, seed: int) -> float:
    """Test accuracy in percent of a classifier that is fitted to few images, on the layers below the network's own."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with torch.inference_mode():
        x, test = (network[:-1](each).cpu().numpy() for each in (target.x, target.test_x))
    order, y = np.random.default_rng(seed).permutation(len(x)), target.y.cpu().numpy()
    labels = y[order]
    first = [int(np.argmax(labels == each)) for each in np.unique(labels)]  # of every class at least one
    chosen = order[list(dict.fromkeys([*first, *range(FEW)]))[:FEW]]
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x[chosen], y[chosen])
    return float(100 * fitted.score(test, target.test_y.cpu().numpy()))
