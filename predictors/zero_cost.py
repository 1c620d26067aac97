"""Scores of untrained networks: naswot, synflow, parameters and multiply-adds; higher promises more.

Every score is of a copy: the network given is left as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.networks.cells import Cell
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, image_space
from databases.datasets.task import TRAIN, Task, resize_images
from databases.errors import UserError
from databases.hosting import lent, own_ways

Scores = npt.NDArray[np.float64]  # (architectures,)


@own_ways()
def zero_cost(
    task: Task,
    architectures: Sequence[Architecture],
    *,
    skeleton: Skeleton,
    batch: int = 64,
    resolution: int = 16,
    seed: int = 0,
    on: str = "cpu",
    flow: bool = True,
) -> dict[str, Scores]:
    """Scores of many architectures for one task: naswot, synflow, logsynflow, parameters and flops.

    Args:
        task: naswot sees some of its training images.
        architectures: each is built once.
        skeleton: its input channels must be the task's; its classes may be any number.
        batch: images for naswot; fewer where the task has fewer that differ.
        resolution: side of the images in pixels.
        seed: draws the images and the weights, the same for every architecture.
        on: where it is computed, ``cpu`` or ``cuda``.
        flow: whether to compute synflow and logsynflow, which cost the most.

    Returns:
        Score name -> (architectures,). Singular naswot kernels have the worst finite score of the others.

    Raises:
        UserError: a skeleton for other images.
    """
    if skeleton.input_channels != task.channels:
        raise UserError(
            f"given a skeleton for {skeleton.input_channels} channels and images of {task.channels}: "
            f"use skeleton._replace(input_channels={task.channels})"
        )
    images = _batch(task, batch=batch, resolution=resolution, seed=seed).to(on)
    shape = (task.channels, resolution, resolution)
    codes, flows = [], []
    for architecture in architectures:
        network = _untrained(architecture, skeleton, seed).to(on)
        codes.append(naswot(network, images))
        if flow:
            flows.append(synflow(network, shape))
    plain, log = np.array(flows, dtype=np.float64).reshape(-1, 2).T
    return {
        "naswot": worst_for_singular(np.array(codes, dtype=np.float64)),
        **({"synflow": plain, "logsynflow": log} if flow else {}),
        "parameters": parameters(architectures, skeleton),
        "flops": flops(architectures, skeleton, resolution=resolution),
    }


def naswot(network: nn.Module, images: Tensor) -> float:
    """The score log |det K| of the kernel of ReLU codes (Mellor, Turner, Storkey, Crowley, 2021).

    An untrained network that maps the images of a batch to different linear regions scores high.

    Args:
        network: scored in training mode, that is with the batch's own statistics in every normalisation.
        images: (n, c, h, w) where the network is.

    Returns:
        -inf where K is singular, as it is when two images have the same code.
    """
    eigenvalues = np.linalg.eigvalsh(naswot_kernel(network, images))
    if eigenvalues[0] <= len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues[-1]:
        return -np.inf
    return float(np.log(eigenvalues).sum())


def naswot_kernel(network: nn.Module, images: Tensor) -> npt.NDArray[np.float64]:
    """K[i, j]: number of units of live ReLUs that are on for both or off for both of images i and j.

    A ReLU that several edges of a cell share counts once for each edge, as if each had its own.
    ``images`` are (n, c, h, w), the kernel is (n, n).
    """
    network = copy.deepcopy(network).train()
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def count(relu: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        signs = (output[: len(images)] > 0).flatten(1).float() * 2 - 1  # (n, units)
        kernel.add_((signs @ signs.T + signs.shape[1]) / 2, alpha=edges[relu])

    edges = dict(_live_relus(network))
    for relu in edges:
        relu.register_forward_hook(count)
    with torch.no_grad():  # one image twice has its own statistics, and batch normalisation of 1x1 maps asks for two
        network(images if len(images) > 1 else images.repeat(2, 1, 1, 1))
    return kernel.cpu().numpy()


def synflow(network: nn.Module, shape: tuple[int, int, int]) -> tuple[float, float]:
    """Synaptic flow, the sum of weight * gradient (Tanaka, Kunin, Yamins, Ganguli, 2020), and the same of logarithms.

    Of the network with absolute weights and without its normalisations, for one image of ones of the
    ``shape`` (c, h, w), in double precision. The gradient is that of the sum of outputs; weights are those of
    convolutions and linear layers (as Abdelfattah et al., 2021, do it). The sum of weight * log(1 + gradient) does
    not explode with depth (Cavagnero et al., 2023).
    """
    flow = _flow(network, shape)
    plain = sum(float((weight * gradient).sum()) for weight, gradient in flow)
    return plain, sum(float((weight * gradient.log1p()).sum()) for weight, gradient in flow)


def parameters(architectures: Sequence[Architecture], skeleton: Skeleton) -> Scores:
    """Trainable parameters of each architecture's network, (architectures,)."""
    counts = [image_space(each.space).parameters(each, skeleton) for each in architectures]
    return np.array(counts, dtype=np.float64)


def flops(architectures: Sequence[Architecture], skeleton: Skeleton, *, resolution: int) -> Scores:
    """Multiply-adds of each architecture's network for one square image, (architectures,)."""
    counts = [image_space(each.space).flops(each, skeleton, resolution=resolution) for each in architectures]
    return np.array(counts, dtype=np.float64)


def worst_for_singular(scores: Scores) -> Scores:
    """``scores`` (n,) with -inf replaced by the lowest finite one, or by 0 where none is finite."""
    finite = scores[np.isfinite(scores)]
    return np.where(np.isneginf(scores), finite.min() if len(finite) else 0.0, scores)


def _live_relus(network: nn.Module) -> Iterator[tuple[nn.Module, int]]:
    """ReLUs of a network and how many live edges each stands for; those without one are left out."""
    of_cells: dict[nn.Module, int] = {}
    for module in network.modules():
        if isinstance(module, Cell):
            for operation, edges in zip(module.operations, _live_edges(module), strict=True):
                of_cells |= {part: edges for part in operation.modules() if isinstance(part, nn.ReLU)}
    for module in network.modules():
        if isinstance(module, nn.ReLU) and of_cells.get(module, 1):
            yield module, of_cells.get(module, 1)


def _live_edges(cell: Cell) -> list[int]:
    """For each of a cell's groups, the edges that lie on a path from its input to its output."""
    reached, useful = {0}, {cell.last}
    for start, ends in cell.groups:  # in the order of their starts
        reached |= set(ends) if start in reached else set()
    for start, ends in reversed(cell.groups):
        useful |= {start} if useful & set(ends) else set()
    return [sum(end in useful for end in ends) if start in reached else 0 for start, ends in cell.groups]


def _flow(network: nn.Module, shape: tuple[int, int, int]) -> list[tuple[Tensor, Tensor]]:
    """Absolute weights and gradients of the layers that reach the output, for one image of ones."""
    network = copy.deepcopy(network).double().eval().requires_grad_(True)
    weights = []
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.register_forward_hook(lambda norm, inputs, output: inputs[0])
        elif isinstance(module, nn.Conv2d | nn.Linear):
            weights.append(module.weight)
    ones = torch.ones(1, *shape, dtype=torch.float64, device=weights[0].device)
    with torch.enable_grad():
        gradients = torch.autograd.grad(network(ones).sum(), weights, allow_unused=True)
    pairs = zip(weights, gradients, strict=True)
    return [(weight.detach(), gradient) for weight, gradient in pairs if gradient is not None]


def _batch(task: Task, *, batch: int, resolution: int, seed: int) -> Tensor:
    """Up to ``batch`` different training images, each channel with mean 0 and variance 1: (n, c, h, w)."""
    where = task.places(TRAIN)
    drawn = where[np.random.default_rng(seed).permutation(len(where))[: 2 * batch]]
    small = resize_images(task.images[drawn], resolution)
    _, first = np.unique(small, axis=0, return_index=True)  # equal images make every kernel singular
    x = torch.from_numpy(small[np.sort(first)[:batch]]).permute(0, 3, 1, 2).float()
    mean, scale = x.mean(dim=(0, 2, 3), keepdim=True), x.std(dim=(0, 2, 3), keepdim=True)
    return (x - mean) / scale.clamp(min=1.0)


def _untrained(architecture: Architecture, skeleton: Skeleton, seed: int) -> nn.Module:
    with lent(seed=seed):
        return image_space(architecture.space).network(architecture, skeleton)
