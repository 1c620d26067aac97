"""How far two tasks lie apart, by what matters to networks trained on each: distances of Fisher information.

After Le, Soltani, Ravier, Tarokh (2021). Both networks have one structure, and both are looked at on the target's
images. Unlike the authors' code this takes the true Fisher diagonal, of single images and over the labels that a
network itself expects, so that networks with other classes are compared too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

Diagonal = Mapping[str, "Tensor"]  # parameter -> (its shape), entries of the Fisher matrix's diagonal
LEAST = 1e-10  # added to entries before their logarithm is taken
A_BATCH = 32  # images at once: each has a gradient for every class


def fisher_diagonal(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Mean over images and expected labels of the squared derivative of the label's log probability.

    The network, (b, c, h, w) -> (b, classes) logits, stays as it is; it must treat each image on its own, so that
    normalisations use running statistics or there are none.

    Args:
        network: whose parameters are looked at.
        images: (n, c, h, w).
    """
    import torch
    from torch.func import functional_call, jacrev, vmap

    weights = {name: each.detach() for name, each in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def log_probabilities(at: dict[str, Tensor], image: Tensor) -> Tensor:
        logits: Tensor = functional_call(network, (at, buffers), (image[None],))
        return logits[0].log_softmax(0)

    def of_one(image: Tensor) -> dict[str, Tensor]:
        gradients = jacrev(log_probabilities)(weights, image)  # parameter -> (classes, its shape)
        expected = log_probabilities(weights, image).exp()
        return {name: torch.tensordot(expected, each**2, dims=1) for name, each in gradients.items()}

    total = {name: torch.zeros_like(each) for name, each in weights.items()}
    for batch in images.split(A_BATCH):
        for name, each in vmap(of_one)(batch).items():
            total[name] += each.sum(0).detach()
    return {name: each / len(images) for name, each in total.items()}


def log_determinant_distance(source: Diagonal, target: Diagonal) -> float:
    """Sum over layers of the difference of the logarithms of their determinants, for each parameter; 0 for the same.

    Both are of the same parameters and scaled to unit trace.
    """
    (a, b), count = (_of_unit_trace(each) for each in (source, target)), _count(target)
    layers = (float(((a[name] + LEAST).log() - (b[name] + LEAST).log()).sum().abs()) for name in b)
    return sum(layers) / count


def frechet_distance(source: Diagonal, target: Diagonal) -> float:
    """Length of the difference of square roots over that of two, so that it lies in [0, 1]; 0 for the same.

    Both are of the same parameters and scaled to unit trace.
    """
    a, b = (_of_unit_trace(each) for each in (source, target))
    return float((sum(float(((a[name].sqrt() - b[name].sqrt()) ** 2).sum()) for name in b) / 2) ** 0.5)


def _of_unit_trace(diagonal: Diagonal) -> dict[str, Tensor]:
    """The diagonal in double precision, with entries that sum to one."""
    trace = sum(float(each.double().sum()) for each in diagonal.values())
    return {name: each.double() / max(trace, 1e-300) for name, each in diagonal.items()}


def _count(diagonal: Diagonal) -> int:
    return sum(each.numel() for each in diagonal.values())
