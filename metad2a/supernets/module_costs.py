"""What the modules of a meta-graph cost one image on this processor, measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from databases.architectures.supernets.instanas import MetaGraph
from metad2a.runtime.clock import seconds_in_turn


@dataclass(frozen=True, eq=False)
class Costs:
    """Seconds of each module for one image, (layers, modules), and of what every image passes."""

    modules: Tensor
    around: float

    def of(self, masks: Tensor) -> Tensor:
        """(n, layers, modules) bool -> (n,) seconds."""
        return self.around + (masks * self.modules.to(masks.device)).sum(dim=(1, 2))


def profile(graph: MetaGraph, shape: tuple[int, int, int], *, repeats: int = 30) -> Costs:
    """Measures each module alone, for one image (channels, h, w) on this processor."""
    training = graph.training
    graph.eval()
    with torch.inference_mode():
        image = torch.randn(1, *shape)
        x = graph.stem(image)
        (around,) = seconds_in_turn([lambda: graph.stem(image)], repeats=repeats)
        rows = []
        for layer in graph.layers:
            options = list(layer.edge.options)  # type: ignore[union-attr, arg-type]
            rows.append(seconds_in_turn([partial(each, x) for each in options], repeats=repeats))
            x = options[0](x)
        around += seconds_in_turn([lambda: graph.classifier(graph.last(x).mean(dim=(2, 3)))], repeats=repeats)[0]
    graph.train(training)
    return Costs(torch.tensor(rows, dtype=torch.float32), around)
