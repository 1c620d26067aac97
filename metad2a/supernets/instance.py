"""InstaNAS: a controller learns which path through a meta-graph each image takes (Cheng, Lin, Juan, Wei, Sun, 2020).

Three stages: the meta-graph alone, with modules left out at random; controller and meta-graph in turn; the meta-graph
with the controller's paths. A path earns nothing unless it classifies its image, and then more the nearer its time is
to the middle of a window, whose upper end falls. The controller is rewarded for what it draws beyond what its likeliest
path earns; the meta-graph learns with the batch's paths shuffled, so that any image can use any path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from databases.architectures.supernets.inherit import recalibrate
from databases.architectures.supernets.instanas import InstanceNetwork
from metad2a.supernets.module_costs import Costs
from metad2a.supernets.training import Labelled
from metad2a.train.loop import Loop, cosine
from metad2a.train.optimisers import SGD, Adam

TOGETHER = 250  # images whose statistics are taken at once
WON, LOST = 30.0, 0.0  # rewards of a right and of a wrong answer, before the time counts


@dataclass(frozen=True)
class InstanceRecipe:
    """How it is trained; the last three are the parts that can be left out.

    Args:
        pretraining, search, tuning: steps of the three stages. bound: shaped probabilities lie between 1 - bound and
            bound. entropy: weight of its bonus. first, last: the window's upper end as the search begins, of the
            time with everything on, and as it ends, of that of MobileNetV2's modules.
        shuffled: paths change places within a batch. falling: the window's end falls, or stays at the whole graph's
            time. bounded: probabilities are shaped.
    """

    pretraining: int = 600
    search: int = 400
    tuning: int = 200
    batch: int = 64
    learning_rate: float = 0.05
    tuning_rate: float = 0.01
    controller_rate: float = 3e-3
    bound: float = 0.8
    entropy: float = 0.8
    first: float = 0.7
    last: float = 0.5
    shuffled: bool = True
    falling: bool = True
    bounded: bool = True


def latency_reward(seconds: Tensor, low: float, up: float) -> Tensor:
    """(n,) seconds -> (n,) between 0 at both ends of the window and outside it, and 1 at its middle."""
    return (4 * (up - seconds) * (seconds - low) / (up - low) ** 2).clamp(min=0)


def reward(right: Tensor, seconds: Tensor, low: float, up: float) -> Tensor:
    """(n,) bool and (n,) seconds -> (n,) what the paths earn."""
    return torch.where(right, WON * latency_reward(seconds, low, up), torch.full_like(seconds, LOST))


def shaped(p: Tensor, bound: float) -> Tensor:
    """Probabilities of any shape, between 0 and 1 -> between 1 - bound and bound, so that every module is tried."""
    return bound * p + (1 - bound) * (1 - p)


class InstanceTraining:
    """The three stages on one network, in place.

    Args:
        network: with fresh weights. train: its images, on the same device. costs: of its modules. seed: of everything
            drawn.
    """

    def __init__(
        self, network: InstanceNetwork, train: Labelled, costs: Costs, recipe: InstanceRecipe, *, seed: int = 0
    ) -> None:
        self.network, self.graph, self.controller = network, network.graph, network.controller
        self.train, self.costs, self.recipe, self.seed = train, costs, recipe, seed
        self.random = torch.Generator().manual_seed(seed)
        self.optimiser = Adam(self.controller.parameters(), lr=recipe.controller_rate)
        everything = torch.ones(1, *self.controller.shape, dtype=torch.bool)
        mobile = torch.zeros_like(everything)
        mobile[..., 0] = True
        self.low = float(costs.of(self.graph.legal(torch.zeros_like(everything))))
        self.most, self.mobile = float(costs.of(everything)), float(costs.of(mobile))

    def pretrain(self) -> None:
        """All modules for half of the steps, then each is kept by a chance that falls to a half."""

        def masks(images: Tensor, progress: float) -> Tensor:
            keep = 1 - max(0.0, progress - 0.5)
            drawn = torch.rand(len(images), *self.controller.shape, generator=self.random) < keep
            return self.graph.legal(drawn.to(images.device))

        self._run(self.recipe.pretraining, self.recipe.learning_rate, masks)

    def search(self) -> None:
        """For each batch a step of the controller, then one of the meta-graph."""

        def masks(images: Tensor, progress: float) -> Tensor:
            drawn = self._drawn(self._p(images).detach())
            return drawn[torch.randperm(len(drawn), generator=self.random)] if self.recipe.shuffled else drawn

        self.controller.train()
        self._run(self.recipe.search, self.recipe.tuning_rate, masks, before=self.teach)

    def tune(self) -> None:
        """The meta-graph alone on the controller's likeliest paths, then its normalisations anew."""
        self.controller.eval()

        def paths(images: Tensor) -> Tensor:
            with torch.no_grad():
                return self.network.paths(images)

        self._tune(paths, self.recipe.tuning)

    def tune_child(self, mask: Tensor) -> None:
        """As many steps as `search` and `tune` take, for one static child, (layers, modules) bool."""
        mask, steps = mask.to(self.train.images.device), self.recipe.search + self.recipe.tuning
        self._tune(lambda images: mask.expand(len(images), -1, -1), steps)

    def _tune(self, paths: Callable[[Tensor], Tensor], steps: int) -> None:
        self._run(steps, self.recipe.tuning_rate, lambda images, progress: paths(images))
        recalibrate(self.graph, ((part, paths(part)) for part in self.train.images.split(TOGETHER) if len(part) > 1))

    def up(self, progress: float) -> float:
        """The window's upper end."""
        if not self.recipe.falling:
            return self.most
        first, last = self.recipe.first * self.most, self.recipe.last * self.mobile
        return max(first + progress * (last - first), 1.01 * self.low)

    def teach(self, images: Tensor, labels: Tensor, progress: float) -> None:
        """One step of the controller: advantage over its own likeliest paths, and an entropy bonus.

        Images are (b, c, h, w), labels (b,); ``progress`` is the share of the training that is done.
        """
        p = self._p(images)
        with torch.no_grad():
            self.graph.eval()
            drawn, likeliest = self._drawn(p), self.graph.legal(p >= 0.5)
            earned, base = (self._reward(images, labels, each, progress) for each in (drawn, likeliest))
            self.graph.train()
        chosen = torch.where(drawn, p, 1 - p).clamp(min=1e-6).log().sum(dim=(1, 2))
        entropy = nn.functional.binary_cross_entropy(p, p, reduction="none").sum(dim=(1, 2))
        loss = -((earned - base) * chosen + self.recipe.entropy * entropy).mean()
        self.optimiser.zero_grad()  # no loop: one step inside of a step of the graph's loop, on its batch
        loss.backward()
        self.optimiser.step()

    def _p(self, images: Tensor) -> Tensor:
        """(b, layers, modules) chances that modules are on, shaped where asked for."""
        p: Tensor = self.controller(images).sigmoid()
        return shaped(p, self.recipe.bound) if self.recipe.bounded else p.clamp(1e-3, 1 - 1e-3)

    def _drawn(self, p: Tensor) -> Tensor:
        return self.graph.legal(torch.rand(p.shape, generator=self.random).to(p.device) < p)

    def _reward(self, images: Tensor, labels: Tensor, masks: Tensor, progress: float) -> Tensor:
        right = self.graph(images, masks).argmax(1) == labels
        return reward(right, self.costs.of(masks), self.low, self.up(progress))

    def _run(
        self,
        steps: int,
        rate: float,
        masks: Callable[[Tensor, float], Tensor],
        *,
        before: Callable[[Tensor, Tensor, float], None] = lambda images, labels, progress: None,
    ) -> None:
        optimiser = SGD(self.graph.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=4e-5)
        loop = Loop(self.graph, optimiser, steps=steps, schedule=cosine(), seed=self.seed, gradient_norm=5.0)
        images, labels = self.train.images, self.train.labels

        def batches(generator: torch.Generator, first: int) -> Iterator[Tensor]:
            order = torch.randperm(len(labels), generator=generator).split(self.recipe.batch)
            yield from order[first : max(1, len(labels) // self.recipe.batch)]

        def loss(graph: nn.Module, rows: Tensor) -> Tensor:
            before(images[rows], labels[rows], loop.progress)
            logits = graph(images[rows], masks(images[rows], loop.progress))
            return nn.functional.cross_entropy(logits, labels[rows])

        loop.run(batches, loss)
