"""What the modules of a meta-graph cost one image on this processor, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from databases.architectures.supernets.instanas import MetaGraph


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
        around = processor_seconds(lambda: graph.stem(image), repeats)
        rows = []
        for layer in graph.layers:
            options = list(layer.edge.options)  # type: ignore[union-attr, arg-type]
            rows.append([processor_seconds(lambda m=m, x=x: m(x), repeats) for m in options])  # type: ignore[misc]
            x = options[0](x)
        around += processor_seconds(lambda: graph.classifier(graph.last(x).mean(dim=(2, 3))), repeats)
    graph.train(training)
    return Costs(torch.tensor(rows, dtype=torch.float32), around)


def processor_seconds(call: Callable[[], object], repeats: int, *, before: int = 3) -> float:
    """Median time that the processor spends on a call, after calls ``before``; others' work does not count."""
    taken = []
    for _ in range(repeats + before):
        begin = time.thread_time()
        call()
        taken.append(time.thread_time() - begin)
    return float(np.median(taken[before:]))
