"""Learning by passing tests: a tester makes hard tests that are worth learning from (Du, Zhang, Xie, 2020).

Three levels, each looked at through one step of the level below, by exact gradients:

    I    the learner's weights learn its training images;
    II   the tester's encoder and head learn its own images, and gamma times the tests, weighted by their scores;
    III  the architecture passes the tests of weights from I; the creator scores the tests so that these are hard for
         the learner, less lambda times the validation loss of a tester from II: what spoils a tester is no good test.

Without a creator every test counts alike; with an unrolled rate of 0 too, this is first-order DARTS (Liu, Simonyan,
Yang, 2019).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from metad2a.supernets.training import Labelled
from metad2a.train.optimisers import SGD, Adam

Weights: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Rule:
    """How it learns.

    Args:
        unrolled: rate of the step through which a higher level looks. weights, architecture, creator: rates of
            learner and tester (SGD), of the architecture and of the creator (Adam).
        gamma: weight of the tests in the tester's training. caution: lambda, published as 1; through one small step
            so little of the validation loss comes back that below some hundreds it changes nothing here.
        creates: whether there is a creator, or every test counts alike.
    """

    unrolled: float = 0.05
    weights: float = 0.05
    architecture: float = 3e-2
    creator: float = 1e-2
    gamma: float = 1.0
    caution: float = 1000.0
    creates: bool = True


@dataclass(frozen=True)
class Batches:
    """What one step sees: training images of learner and tester, tests, and the tester's validation images."""

    learner: Labelled
    tester: Labelled
    bank: Labelled
    valid: Labelled


def weighted_loss(losses: Tensor, scores: Tensor) -> Tensor:
    """(n,) losses and (n,) scores -> the mean loss by these weights."""
    return (losses * scores).sum() / scores.sum()


def stepped(weights: Weights, loss: Tensor, rate: float) -> Weights:
    """The weights, in their shapes, after one step down the loss (), differentiable in whatever the loss depends on."""
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
    pairs = zip(weights.items(), slopes, strict=True)
    return {name: value if slope is None else value - rate * slope for (name, value), slope in pairs}


class Examiner(nn.Module):
    """The tester: an encoder and a head that classifies what it sees."""

    def __init__(self, encoder: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(features, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, channels, h, w) -> (n, features) and (n, classes) logits."""
        features: Tensor = self.encoder(images)
        return features, self.head(features)


class Creator(nn.Linear):
    """Scores tests by their features: (n, features) -> (n,) between 0 and 1."""

    def __init__(self, features: int) -> None:
        super().__init__(features, 1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(n, features) -> (n,) scores; all one half before it has learnt."""
        return super().forward(features).squeeze(1).sigmoid()


class PassingTests:
    """A learner, its architecture, a tester and a creator, which learn together.

    Args:
        learner: called with images and a row of mixture weights for each edge; on one device with tester, creator
            and all batches. edges: (edges, options) its shape.
    """

    def __init__(
        self, learner: nn.Module, edges: tuple[int, int], tester: Examiner, creator: Creator, rule: Rule
    ) -> None:
        self.learner, self.tester, self.creator, self.rule = learner, tester, creator, rule
        place = next(learner.parameters()).device
        self.alpha = torch.zeros(edges, device=place, requires_grad=True)
        self._architecture = Adam([self.alpha], lr=rule.architecture, betas=(0.5, 0.999))
        self._creator = Adam(creator.parameters(), lr=rule.creator, betas=(0.5, 0.999))
        self._weights = [
            SGD(each.parameters(), lr=rule.weights, momentum=0.9, weight_decay=3e-4) for each in (learner, tester)
        ]

    def step(self, batches: Batches) -> None:
        """One step of everything: the third level first, then the weights of learner and tester."""
        outer, creator = self.gradients(batches)  # no loop: four optimisers, and gradients that are no loss's
        self.alpha.grad = outer
        self._architecture.step()
        if creator is not None:
            for parameter, slope in zip(self.creator.parameters(), creator, strict=True):
                parameter.grad = slope
            self._creator.step()
        for optimiser in self._weights:
            optimiser.zero_grad()
        (self._learnt(_weights(self.learner), batches.learner) + self._taught(batches)).backward()
        for optimiser, module in zip(self._weights, (self.learner, self.tester), strict=True):
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimiser.step()
        self.alpha.grad = None
        self.creator.zero_grad()

    def gradients(self, batches: Batches) -> tuple[Tensor, Sequence[Tensor] | None]:
        """Of the architecture, (edges, options), and of the creator's parameters; both to go down."""
        weights, rule = _weights(self.learner), self.rule
        if rule.unrolled:
            weights = stepped(weights, self._learnt(weights, batches.learner), rule.unrolled)
        losses = self._losses(weights, batches.bank)
        if not rule.creates:
            return torch.autograd.grad(losses.mean(), self.alpha)[0], None
        tester = stepped(_weights(self.tester), self._taught(batches), rule.unrolled)
        features, _ = functional_call(self.tester, tester, (batches.bank.images,))
        test = weighted_loss(losses, self.creator(features))
        _, logits = functional_call(self.tester, tester, (batches.valid.images,))
        spoilt = cross_entropy(logits, batches.valid.labels)
        outer = torch.autograd.grad(test, self.alpha, retain_graph=True)[0]
        return outer, torch.autograd.grad(rule.caution * spoilt - test, list(self.creator.parameters()))

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n,) scores of these as tests."""
        scores: Tensor = self.creator(self.tester(images)[0])
        return scores

    def likeliest(self, without: Collection[int] = ()) -> tuple[int, ...]:
        """The option with the largest weight of each edge, ``without`` some: DARTS leaves out that of no operation."""
        left = self.alpha.detach().clone()
        left[:, list(without)] = -torch.inf
        return tuple(left.argmax(1).tolist())

    def _losses(self, weights: Weights, part: Labelled) -> Tensor:
        """(n,) losses of the learner with these weights."""
        logits = functional_call(self.learner, weights, (part.images, self.alpha.softmax(1)))
        losses: Tensor = cross_entropy(logits, part.labels, reduction="none")
        return losses

    def _learnt(self, weights: Weights, part: Labelled) -> Tensor:
        """Level I."""
        return self._losses(weights, part).mean()

    def _taught(self, batches: Batches) -> Tensor:
        """Level II, of the tester's own weights."""
        own: Tensor = cross_entropy(self.tester(batches.tester.images)[1], batches.tester.labels)
        if not self.rule.creates or not self.rule.gamma:
            return own
        features, logits = self.tester(batches.bank.images)
        losses = cross_entropy(logits, batches.bank.labels, reduction="none")
        tests: Tensor = self.rule.gamma * (self.creator(features.detach()) * losses).mean()
        return own + tests


def _weights(module: nn.Module) -> Weights:
    """Its parameters by name."""
    return dict(module.named_parameters())
