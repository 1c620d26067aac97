"""The convolution chain of NAS with reinforcement learning (Zoph, Le, 2017): layers with skip connections.

Each round of a loop decides a layer's filter height, filter width, strides and number of filters, and by a
subset decision which earlier layers it reads; then whether another layer follows, up to a cap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from databases.architectures import decisions
from databases.architectures.decisions import Decision, Repeat
from databases.architectures.networks.plans import Layer, shapes, unread
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, ImageSpace
from databases.architectures.typed_graph import GraphBatch

LEAST, MOST = 4, 15  # layers
OPTIONS = {
    "filter height": (1, 3, 5, 7),
    "filter width": (1, 3, 5, 7),
    "stride height": (1, 2, 3),
    "stride width": (1, 2, 3),
    "filters": (24, 36, 48, 64),  # at 24 channels of the skeleton, in proportion at others
}
_LAYER = re.compile(r"(\d)x(\d) stride (\d)x(\d) filters (\d+)(?: of ([\d+]+))?")
_VALUES = [f"{name} {value}" for name, values in OPTIONS.items() for value in values]


_LAYER_PART = decisions.Sequence(
    (
        *(Decision(name, tuple(map(str, values))) for name, values in OPTIONS.items()),
        Decision("reads", kind="subset", adds_node=True),
    )
)


class NASRL(ImageSpace):
    """Chains of 4 to 15 convolutions."""

    name = "nas-rl"
    example = (
        "3x3 stride 1x1 filters 36, 5x1 stride 2x2 filters 24 of 0, "
        "1x7 stride 1x3 filters 64 of 0+1, 1x1 stride 1x1 filters 48"
    )
    node_types = ("padding", "input", "output", *_VALUES)
    program = decisions.Sequence(
        (
            *[_LAYER_PART] * (LEAST - 1),
            Repeat(_LAYER_PART, Decision("more", ("stop", "go on")), most=MOST - LEAST + 1),
        )
    )

    def text(self, architecture: Architecture) -> str:
        """Each layer with the earlier layers that it reads; one that names none reads the image."""
        return ", ".join(map(_text, self.layers(architecture)))

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        found = [_LAYER.fullmatch(each) for each in text.split(", ")]
        if not LEAST <= len(found) <= MOST:
            raise self.refuse(text)
        walk: list[int] = []
        for i, each in enumerate(found):
            if each is None:
                raise self.refuse(text)
            values = [int(value) for value in each.groups()[:5]]
            reads = {int(source) for source in (each[6] or "").split("+") if source}
            fits = all(value in known for value, known in zip(values, OPTIONS.values(), strict=True))
            if not fits or any(source >= i for source in reads):
                raise self.refuse(text)
            walk += [known.index(value) for value, known in zip(values, OPTIONS.values(), strict=True)]
            walk.append(sum(1 << source for source in reads))
            if i + 1 >= LEAST and i + 1 < MOST:
                walk.append(int(i + 1 < len(found)))
        architecture = self.architecture(tuple(walk))
        if self.text(architecture) != text:
            raise self.refuse(text)
        return architecture

    def layers(self, architecture: Architecture) -> list[Layer]:
        """The walk as layers, with the published numbers of filters."""
        rest, found = architecture.walk, list[Layer]()
        while rest:  # from the last obligatory layer on, each is followed by whether another comes
            (*choices, subset), rest = rest[:6], rest[6 + (len(found) + 1 >= LEAST) :]
            height, width, down, across, filters = (
                values[choice] for values, choice in zip(OPTIONS.values(), choices, strict=True)
            )
            reads = tuple(source for source in range(len(found)) if subset >> source & 1)
            found.append(Layer((height, width), (down, across), filters, reads))
        return found

    def key(self, architecture: Architecture) -> str:
        """The text with the layers in canonical order, which depends on what each reads and is read by.

        Equal keys are the same network; layers that refinement by neighbours cannot tell apart keep their order.
        """
        layers = self.layers(architecture)
        every = range(len(layers))
        readers = [[i for i in every if source in layers[i].inputs] for source in every]
        colours = _ranks([(each.kernel, each.stride, each.filters) for each in layers])
        for _ in every:
            colours = _ranks(
                [
                    (colours[i], *(tuple(sorted(colours[j] for j in near)) for near in (layers[i].inputs, readers[i])))
                    for i in every
                ]
            )
        order: list[int] = []
        while len(order) < len(layers):
            ready = [i for i in every if i not in order and set(layers[i].inputs) <= set(order)]
            order.append(min(ready, key=lambda i: (colours[i], i)))
        return ", ".join(
            _text(layers[i]._replace(inputs=tuple(sorted(map(order.index, layers[i].inputs))))) for i in order
        )

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """Input; five nodes a layer, one for each of its numbers, in a row; output."""
        places, each_layer = len(OPTIONS) * MOST + 2, len(OPTIONS)
        types = np.zeros((len(architectures), places), dtype=np.int64)
        adjacency = np.zeros((len(architectures), places, places), dtype=np.float32)
        types[:, [0, -1]] = [self.node_types.index("input"), self.node_types.index("output")]
        for row, architecture in enumerate(architectures):
            layers = self.layers(architecture)
            for i, layer in enumerate(layers):
                values = (*layer.kernel, *layer.stride, layer.filters)
                first, last = i * each_layer + 1, (i + 1) * each_layer
                named = [f"{name} {value}" for name, value in zip(OPTIONS, values, strict=True)]
                types[row, first : last + 1] = [self.node_types.index(each) for each in named]
                adjacency[row, range(first + 1, last + 1), range(first, last)] = 1
                adjacency[row, first, [(source + 1) * each_layer for source in layer.inputs] or [0]] = 1
            adjacency[row, -1, [(i + 1) * each_layer for i in unread(layers)]] = 1
        return GraphBatch(types, adjacency)

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """The chain with its classifier; the skeleton's number of cells has no meaning here."""
        layers = tuple(self._scaled(architecture, skeleton))
        return Blueprint("chain:ChainNetwork", (layers, skeleton.input_channels, skeleton.classes))

    def parameters(self, architecture: Architecture, skeleton: Skeleton) -> int:
        """Weights of convolutions, normalisations and the linear layer."""
        layers = self._scaled(architecture, skeleton)
        met = zip(layers, shapes(layers, channels=skeleton.input_channels, resolution=1), strict=True)
        total = sum((each.kernel[0] * each.kernel[1] * shape.inputs + 2) * each.filters for each, shape in met)
        return total + (sum(layers[i].filters for i in unread(layers)) + 1) * skeleton.classes

    def flops(self, architecture: Architecture, skeleton: Skeleton, *, resolution: int) -> int:
        """Multiply-adds of convolutions and the linear layer, and the last bias's additions."""
        layers = self._scaled(architecture, skeleton)
        met = zip(layers, shapes(layers, channels=skeleton.input_channels, resolution=resolution), strict=True)
        total = sum(
            shape.height * shape.width * each.kernel[0] * each.kernel[1] * shape.inputs * each.filters
            for each, shape in met
        )
        return total + (sum(layers[i].filters for i in unread(layers)) + 1) * skeleton.classes

    def _scaled(self, architecture: Architecture, skeleton: Skeleton) -> list[Layer]:
        layers = self.layers(architecture)
        smallest = OPTIONS["filters"][0]
        return [each._replace(filters=each.filters * skeleton.channels // smallest) for each in layers]


def _text(layer: Layer) -> str:
    reads = f" of {'+'.join(map(str, layer.inputs))}" if layer.inputs else ""
    (height, width), (down, across) = layer.kernel, layer.stride
    return f"{height}x{width} stride {down}x{across} filters {layer.filters}{reads}"


def _ranks(values: Sequence[tuple[object, ...]]) -> list[int]:
    """The rank of each value among the different ones."""
    number = {value: rank for rank, value in enumerate(sorted(set(values)))}
    return [number[value] for value in values]


NAS_RL = NASRL()
