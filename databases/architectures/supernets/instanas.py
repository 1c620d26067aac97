"""The network of InstaNAS, a child of it for every image (Cheng, Lin, Juan, Wei, Sun, 2020).

MobileNetV2's row of layers (Sandler, Howard, Zhu, Zhmoginov, Chen, 2018), each with five modules that are on or off
independently and whose outputs are added; where the shapes agree, the layer's input too. A layer that changes the
shape has its plain module on where nothing else is. That the input is added once, by the layer and not by every
module, is ours: so a layer without modules is the identity.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from databases.architectures.networks.mobile import ConvBN, InvertedResidual
from databases.architectures.skeleton import Skeleton
from databases.architectures.supernets.mixed_edge import MixedEdge

Stage: TypeAlias = tuple[float, int, int]  # channels for one of the stem, layers, stride of the first one
Masks: TypeAlias = Sequence[Sequence[bool]]  # of each layer, which of its modules are on


def module(name: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    """A module of a layer, without a short cut: ``3x3e6`` has kernel 3 and expansion 6."""
    if name == "plain":
        return nn.Sequential(
            ConvBN(inputs, outputs, 3, nn.ReLU6(), stride=stride), ConvBN(outputs, outputs, 3, nn.Identity())
        )
    kernel, expansion = int(name[0]), int(name[-1])
    return InvertedResidual(inputs, outputs, (kernel, expansion), stride=stride, excite=False, activation=nn.ReLU6).body


class MetaLayer(nn.Module):
    """A layer with the modules named ``names``; see `MetaGraph`."""

    def __init__(self, names: Sequence[str], inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.keeps = stride == 1 and inputs == outputs
        self.edge = MixedEdge([module(name, inputs, outputs, stride) for name in names])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, inputs, h, w) and (b, modules) bool, legal -> (b, outputs, h / stride, w / stride)."""
        y: Tensor = self.edge(x, mask)
        return x + y if self.keeps else y


class MetaGraph(nn.Module):
    """Stem, the layers, 1x1 convolution, classifier.

    Args:
        layers: the names of each layer's modules; all for the whole graph, fewer for a static child.
    """

    def __init__(self, layers: Sequence[Sequence[str]], stages: Sequence[Stage], skeleton: Skeleton) -> None:
        super().__init__()
        now = skeleton.channels
        self.stem = ConvBN(skeleton.input_channels, now, 3, nn.ReLU6())
        self.layers = nn.ModuleList()
        shapes = [(times, stride if place == 0 else 1) for times, many, stride in stages for place in range(many)]
        for names, (times, stride) in zip(layers, shapes, strict=True):
            outputs = max(2, round(skeleton.channels * times))
            self.layers.append(MetaLayer(names, now, outputs, stride))
            now = outputs
        self.needs = [not layer.keeps for layer in self.layers if isinstance(layer, MetaLayer)]  # a module
        self.last = ConvBN(now, 4 * now, 1, nn.ReLU6())
        self.classifier = nn.Linear(4 * now, skeleton.classes)

    def forward(self, images: Tensor, masks: Tensor | Masks | None = None) -> Tensor:
        """(b, input_channels, h, w) float and (b, layers, modules) bool -> (b, classes) logits.

        Masks are one for each image or one for all; without them every module is on.
        """
        x = self.stem(images)
        if masks is not None and not isinstance(masks, Tensor):
            masks = torch.tensor(masks, device=x.device).expand(len(x), -1, -1)
        for place, layer in enumerate(self.layers):
            assert isinstance(layer, MetaLayer)
            modules = len(layer.edge.options)
            if masks is None:  # an export fixes len(x)
                x = layer(x, torch.ones(x.shape[0], modules, dtype=torch.bool, device=x.device))
            else:
                x = layer(x, masks[:, place, :modules])
        logits: Tensor = self.classifier(self.last(x).mean(dim=(2, 3)))
        return logits

    def legal(self, masks: Tensor) -> Tensor:
        """(n, layers, modules) bool -> the same, with the last module on where a layer needs one and has none."""
        last = torch.zeros_like(masks)
        last[..., -1] = torch.tensor(self.needs, device=masks.device) & ~masks.any(dim=2)
        return masks | last

    def child(self, mask: Tensor) -> MetaGraph:
        """A copy with only the modules that are on in (layers, modules) bool, a legal mask."""
        copied = copy.deepcopy(self)
        for layer, on in zip(copied.layers, mask.tolist(), strict=True):
            assert isinstance(layer, MetaLayer)
            layer.edge = MixedEdge([each for each, used in zip(layer.edge.options, on, strict=True) if used])
        return copied


class PathController(nn.Module):
    """A small residual network that says for an image which modules are on (Cheng et al., 2020).

    Args:
        widths: of its stages, of one residual block each.
    """

    def __init__(self, layers: int, modules: int, input_channels: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        self.shape = (layers, modules)
        parts: list[nn.Module] = [ConvBN(input_channels, widths[0], 3, nn.ReLU())]
        for before, width in zip((widths[0], *widths), widths, strict=False):
            parts.append(_Residual(before, width, stride=1 if before == width else 2))
        self.body = nn.Sequential(*parts)
        self.last = nn.Linear(widths[-1], layers * modules)

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float -> (b, layers, modules) logits of each module being on."""
        logits: Tensor = self.last(self.body(images).mean(dim=(2, 3)))
        return logits.view(-1, *self.shape)


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, or a 1x1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBN(inputs, outputs, 3, nn.ReLU(), stride=stride), ConvBN(outputs, outputs, 3, nn.Identity())
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else ConvBN(inputs, outputs, 1, nn.Identity(), stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / stride, w / stride)."""
        y: Tensor = self.body(x) + self.shortcut(x)
        return y.relu()


class InstanceNetwork(nn.Module):
    """A meta-graph with its controller: every image takes its own path; needs torch alone.

    Args:
        modules: the names of every layer's. widths: of the controller's stages.
    """

    def __init__(
        self, modules: Sequence[str], stages: Sequence[Stage], skeleton: Skeleton, widths: Sequence[int] = (16, 32, 64)
    ) -> None:
        super().__init__()
        layers = sum(many for _, many, _ in stages)
        self.controller = PathController(layers, len(modules), skeleton.input_channels, widths)
        self.graph = MetaGraph([modules] * layers, stages, skeleton)  # last: a network ends with its classifier

    def paths(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) -> (b, layers, modules) bool: the modules that are likelier on than off."""
        return self.graph.legal(self.controller(images) >= 0)

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float -> (b, classes) logits."""
        logits: Tensor = self.graph(images, self.paths(images))
        return logits
