"""Random subnets of a base learn what it knows, so that slices of it are worth more than they inherit."""

from __future__ import annotations

import copy
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from databases.architectures.spaces.subnets import Subnets
from databases.architectures.supernets.pretrained import Family, Stages
from metad2a.train.precision import half

WHOLE = 4  # of so many batches the base itself learns one


class Sampled:
    """The loss of a batch that a random subnet learns, half of it from labels, half from the base as it began.

    All slices share the base's weights (Once-for-All; Cai, Gan, Wang, Zhang, Han, 2020); the frozen base teaches them
    (Hinton, Vinyals, Dean, 2015).

    Args:
        family: of the base. most: its stages, or those of the slice that stands for it here.
        base: of these stages, before its training. classes: that it tells apart.
    """

    def __init__(self, family: Family, most: Stages, base: nn.Module, classes: int) -> None:
        self.space, self.most, self.classes = Subnets(family), most, classes
        self.teacher = copy.deepcopy(base).eval().requires_grad_(False)
        self.made = lru_cache(maxsize=16)(self._made)

    def stages(self, seed: int) -> Stages:
        """Those that learn the batch of this seed."""
        rng = np.random.default_rng(seed)
        drawn = self.space.base if not rng.integers(WHOLE) else self.space.sample(rng)
        pairs = zip(self.space.stages(drawn), self.most, strict=True)
        return tuple(
            tuple((min(k, most), min(e, wide)) for (k, e), (most, wide) in zip(blocks, limits, strict=False))
            for blocks, limits in pairs
        )

    def loss(self, sharing: nn.Module, x: Tensor, labels: Tensor, seed: int, smoothing: float) -> Tensor:
        """Of normalised images (b, c, h, w) and labels (b,)."""
        with half(self.teacher, x.device):
            logits = sharing(x, self.made(self.stages(seed))).float()
            with torch.no_grad():
                told = self.teacher(x).float().softmax(1)
        learnt: Tensor = nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        return (learnt + nn.functional.cross_entropy(logits, told)) / 2

    def _made(self, stages: Stages) -> nn.Module:
        with torch.device("meta"):
            return self.space.family.blueprint(stages, 3, self.classes).build().train()
