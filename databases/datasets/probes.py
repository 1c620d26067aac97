"""Probes: how well untrained networks of a few cells tell the classes of a task apart.

Each cell's network keeps its random weights; a ridge regression on its pooled features of training images is judged on
validation images (random features; Rahimi, Recht, 2007; Saxe et al., 2011). Which cells do well before any training
tells which cells suit the images.
"""

from __future__ import annotations

import hashlib
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.architectures.spaces.nasbench201_core import CORE
from databases.datasets.task import TRAIN, VALIDATION, Task, resize_images
from databases.errors import UserError
from databases.hosting import lent

if TYPE_CHECKING:
    from torch import Tensor, nn

Floats: TypeAlias = npt.NDArray[np.float64]

PROBES = tuple(CORE[number] for number in (*range(11), 12, 14, 19))
NO_PROBES = (0.0,) * len(PROBES)  # of a task whose images are not at hand
CHANNELS, CELLS, RESOLUTION, DRAWS = 8, 1, 16, 2
TRAIN_IMAGES, VALIDATION_IMAGES, FEWEST = 640, 400, 20
RIDGE = 0.03  # a training image
THREADS = 2  # networks side by side
SEEN = 4  # networks after which their pace is known


VERSION = hashlib.sha256(
    repr((PROBES, DRAWS, CHANNELS, CELLS, RESOLUTION, TRAIN_IMAGES, VALIDATION_IMAGES, FEWEST, RIDGE)).encode()
).hexdigest()[:8]  # of what is kept of tasks


def probes(task: Task, *, deadline: float = math.inf) -> tuple[float, ...]:
    """For each of `PROBES` its accuracy less the mean over all, in units of their spread; zeros where nothing is told.

    The mean over two draws of random weights, always the same ones. A task of fewer than 20 validation images tells
    nothing.

    Raises:
        UserError: as soon as it is clear that they will not be done by the monotonic second ``deadline``.
    """
    import torch

    (images, labels), (asked, truth) = _some(task, TRAIN, TRAIN_IMAGES), _some(task, VALIDATION, VALIDATION_IMAGES)
    if len(truth) < FEWEST:
        return NO_PROBES
    x = torch.from_numpy(np.concatenate([images, asked])).permute(0, 3, 1, 2).float()
    dims = (0, 2, 3)
    known = x[: len(labels)]
    x = (x - known.mean(dims, keepdim=True)) / known.std(dims, keepdim=True).clamp(min=1.0)
    x = x.contiguous(memory_format=torch.channels_last)
    networks = [_network(cell, x.shape[1], seed) for cell in PROBES for seed in range(DRAWS)]

    begin = time.monotonic()

    def right(number: int, network: nn.Module) -> float:
        _check_pace(begin, number / len(networks), deadline)
        features = _pooled(network, x, len(labels))
        return ridge_accuracy(features[: len(labels)], labels, features[len(labels) :], truth)

    with lent(), ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = np.reshape(list(pool.map(right, range(len(networks)), networks)), (len(PROBES), DRAWS)).mean(1)
    return tuple(((found - found.mean()) / (found.std() + 0.01)).tolist())


def _check_pace(begin: float, done: float, deadline: float) -> None:
    now = time.monotonic()
    known = done * len(PROBES) * DRAWS >= SEEN
    if now > deadline or (known and begin + (now - begin) / done > deadline):
        takes = f", which takes about {math.ceil((now - begin) / done)} s here" if known else ""
        raise UserError(
            "the budget is over before the images are looked at and architectures are ranked"
            f"{takes}: give the same command with a larger one"
        )


def ridge_accuracy(
    features: Floats, labels: npt.NDArray[np.int64], asked: Floats, truth: npt.NDArray[np.int64]
) -> float:
    """Share of the asked (m, d) that a ridge regression on features (n, d) and their classes gets right.

    Written out, since importing scikit-learn's takes seconds (5 on a busy core), which `recommend` has not.
    """
    center, spread = features.mean(0), features.std(0) + 1e-3
    inside, outside = (features - center) / spread, (asked - center) / spread
    targets = np.eye(int(max(labels.max(), truth.max())) + 1)[labels]
    shares = targets.mean(0)
    gram = inside.T @ inside + RIDGE * len(inside) * np.eye(inside.shape[1])
    weights = np.linalg.solve(gram, inside.T @ (targets - shares))
    return float(((outside @ weights + shares).argmax(1) == truth).mean())


def _some(task: Task, part: int, most: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    where = task.places(part)
    chosen = where[np.random.default_rng(0).permutation(len(where))[:most]]
    return resize_images(task.images[chosen], RESOLUTION), task.labels[chosen]


def _network(cell: str, channels: int, seed: int) -> nn.Module:
    """An untrained network that gives pooled features; its batch normalisation heeds the last batch alone."""
    import torch

    from databases.architectures.skeleton import Skeleton
    from databases.architectures.space import image_space, space

    with lent(seed=seed):
        skeleton = Skeleton(CHANNELS, CELLS, channels, 2)
        network = image_space("nasbench201").network(space("nasbench201").parse(cell), skeleton)
    network.classifier = torch.nn.Identity()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def _pooled(network: nn.Module, x: Tensor, known: int) -> Floats:
    """Pooled features (n, d) of (n, c, h, w) images; batch normalisation heeds the first ``known``."""
    import torch

    with torch.no_grad():
        parts = network.train()(x[:known]), network.eval()(x[known:])
    found: Floats = torch.cat(parts).double().numpy()
    return found
