"""Weights of a subnet are slices of its base's; statistics are estimated again on other images.

Base and subnet are networks of one class with ``stem``, ``stages`` (of blocks that tell the `importance` of their
free channels) and ``classifier``. A stage keeps its first blocks, a kernel its centre, a block its most important
hidden channels (Cai, Gan, Wang, Zhang, Han, 2020). All else is taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from databases.errors import UserError


class Elastic(Protocol):
    """A block of a stage."""

    def importance(self) -> list[Tensor]:
        """(channels,) what each free channel adds to the output, one tensor for each kind of them."""


def inherit(base: nn.Module, network: nn.Module) -> None:
    """Gives the network its slices of the base's weights, as tensors of its own; it may lie on the meta device.

    A network for grey images gets the stem summed over the colours, one for another number of classes a
    classifier of zeros.
    """
    theirs = base.state_dict()
    slices = _slices(base, network, theirs)
    for name, value in network.state_dict().items():
        if name in slices:
            continue
        if theirs[name].shape == value.shape:
            slices[name] = theirs[name]
        elif name.startswith("classifier."):
            slices[name] = torch.zeros(value.shape)
        else:
            slices[name] = theirs[name].sum(dim=1, keepdim=True)
    own = {name: value.clone(memory_format=torch.contiguous_format) for name, value in slices.items()}
    network.load_state_dict(own, assign=True)


class Sharing(nn.Module):
    """A base whose slices are called by its own weights, so that what one learns all have (Cai and others, 2020).

    The statistics that it sees are kept where the slice is the base itself.
    """

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor, network: nn.Module) -> Tensor:
        """(b, c, h, w) -> (b, classes) logits of the slice that ``network`` has the shape of; on the meta device."""
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        whole = shapes == {name: value.shape for name, value in self.base.state_dict().items()}
        buffers = {name: value if whole else value.clone() for name, value in self.base.named_buffers()}
        tensors = {**dict(self.base.named_parameters()), **buffers}
        stages = _slices(self.base, network, tensors)
        rest = {name: tensors[name] for name in shapes if name not in stages}
        logits: Tensor = torch.func.functional_call(network, {**rest, **stages}, (x,))
        return logits


def _slices(base: nn.Module, network: nn.Module, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the stages of the network have of the base's tensors, or of others of these names and shapes."""
    ranks, slices = dict[str, list[Tensor]](), {}
    for name, value in network.state_dict().items():
        if name.startswith("stages."):
            _, stage, block, _ = name.split(".", 3)
            place = f"stages.{stage}.{block}"
            if place not in ranks:
                ranks[place] = cast(Elastic, base.get_submodule(place)).importance()
            slices[name] = _sliced(theirs[name], value.shape, ranks[place])
    return slices


def _sliced(value: Tensor, shape: torch.Size, ranks: list[Tensor]) -> Tensor:
    """The part of a tensor of the base that has this shape: kernels by centre, channels by importance."""
    for axis, (whole, part) in enumerate(zip(value.shape, shape, strict=True)):
        if whole == part:
            continue
        if axis >= 2:
            value = value.narrow(axis, (whole - part) // 2, part)
        else:
            rank = next(rank for rank in ranks if len(rank) == whole)
            value = value.index_select(axis, rank.argsort(descending=True, stable=True)[:part].sort().values)
    return value


@torch.no_grad()
def enlarge(network: nn.Module, base: nn.Module) -> None:
    """Gives a freshly made base the weights of one of its slices so that it computes the same at first.

    New blocks add nothing, new channels are fresh but not yet read, new places of kernels are zero (Chen,
    Goodfellow, Shlens, 2016). Cut out again, the slice is what it was: unread channels have no importance.
    """
    ours = network.state_dict()
    for name, value in base.state_dict().items():
        part = ours.get(name)
        if part is None:
            continue
        pairs = enumerate(zip(value.shape, part.shape, strict=True))
        known = tuple(_place(axis, whole, few) for axis, (whole, few) in pairs)
        if known:
            read = value[(slice(None), *known[1:])].clone()
            value.zero_()
            value[(slice(None), *known[1:])] = read
        value[known] = part
    for new, old in zip(_stages(base), _stages(network), strict=True):
        for block in list(new)[len(old) :]:
            [*_, last] = (each for each in block.modules() if isinstance(each, nn.BatchNorm2d))
            last.weight.zero_()


def _stages(network: nn.Module) -> list[nn.Sequential]:
    return [cast(nn.Sequential, stage) for stage in network.get_submodule("stages").children()]


def _place(axis: int, whole: int, part: int) -> slice:
    """Where a smaller tensor lies in the larger one: kernels in the middle, channels at the beginning."""
    begin = (whole - part) // 2 if axis >= 2 else 0
    return slice(begin, begin + part)


@torch.no_grad()
def recalibrate(
    network: nn.Module, batches: Iterable[Tensor | tuple[Tensor, ...]], norms: Sequence[nn.BatchNorm2d] | None = None
) -> None:
    """Estimates batch-norm statistics anew: the mean of those of the batches.

    The network ends in eval mode; its weights stay as they are.

    Args:
        network: called with each batch.
        batches: normalised images (b, c, h, w), in a tuple with whatever else the network is given.
        norms: whose statistics, by default all of the network.

    Raises:
        UserError: there is no batch, or one of a single image.
    """
    if norms is None:
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    sizes, before = [], {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network.eval()
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # of all batches, each counted once
        norm.train()
    try:
        for batch in batches:
            given = batch if isinstance(batch, tuple) else (batch,)
            sizes.append(len(given[0]))
            if sizes[-1] < 2:
                raise UserError("given a batch of one image to recalibrate on; allowed are two or more; give more")
            network(*given)
        if not sizes:
            raise UserError("given no images to recalibrate on; allowed are two or more; give some")
    except BaseException:
        network.load_state_dict(before, strict=False)
        raise
    finally:
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
        network.eval()
