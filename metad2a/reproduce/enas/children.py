"""Searches on shared weights of NAS-Bench-201's cells, whose truth is in its table."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from databases.architectures.space import Architecture, Space, shared_space
from databases.architectures.supernets.mixed_edge import by_batch_statistics
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.hosting import lent
from metad2a.reproduce.kept_jobs import digest
from metad2a.search.controllers.learning_rule import Rule
from metad2a.search.controllers.multinomial import Multinomial
from metad2a.search.controllers.policy_gradient import PolicyGradient
from metad2a.supernets.alternation import Measure, alternate
from metad2a.supernets.training import Labelled, SharedRecipe, labelled, new_supernet, train_supernet
from metad2a.train.torch_place import pick_place
from predictors.metrics import kendall_tau, mean_tau_interval
from predictors.one_shot import OneShot

CELLS = "nasbench201"
# Random children warm the weights; without that the policy learns from what first scored well: cells without weights.
WARM = SharedRecipe(resolution=8, steps=10_000, learning_rate=0.1, augment=True)
TURNS = SharedRecipe(resolution=8, steps=1500, augment=True)
COLD = SharedRecipe(resolution=8, steps=2500, augment=True)  # where nothing is warmed
TOLD = 35  # draws that the policy is told of after a pass, repeats included
RULE = Rule(learning_rate=3.5e-3, entropy=0.03)
REWARD, DERIVED = 128, 10  # images of a reward; children drawn at the end, of which the best is taken
SCORED, RANKED = 500, 400  # validation images of the final scores; children that are ranked by them
ENAS, RANDOM = "ENAS", "random children, as many, on weights that learn alike"
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Variant:
    """How a search on shared weights goes.

    Attributes:
        policy: reinforce, multinomial, or uniform, which learns nothing.
        running: whether normalisations keep running statistics.
        warmed: from weights that random children have warmed; else from untrained ones.
    """

    policy: str = "reinforce"
    running: bool = False
    warmed: bool = True


@dataclass(frozen=True, eq=False)
class Job:
    """Searches on shared weights on a task in NAS-Bench-201, all from the same weights.

    Attributes:
        warm: how random children warm the weights. recipe: how they and the policy then learn in turn. cold: how they
            do where nothing was warmed.
        told: children whose scores the policy is told after each pass. judged: children that the first variant scores.
        folder: where a killed training of the weights goes on.
    """

    task: Task
    seed: int
    warm: SharedRecipe
    recipe: SharedRecipe
    told: int
    variants: tuple[Variant, ...]
    judged: tuple[Architecture, ...] = ()
    folder: Path | None = None
    cold: SharedRecipe = COLD

    @property
    def checkpoint(self) -> Path | None:
        """Where the warming of the weights goes on."""
        if self.folder is None:
            return None
        return self.folder / f"warm-{digest(__name__, replace(self, folder=None))}.checkpoint"


@dataclass(frozen=True, eq=False)
class Searched:
    """What one variant found.

    Attributes:
        scores: (judged,) shared-weight accuracies by the first variant; none by others.
        rewards, entropies: of each turn of the policy, the mean score of its draws, and its entropy over that of a
            uniform one.
        found: the best of a few draws by shared weights; of a policy that learns nothing the best of as many as one
            that learns is told of. likeliest: the child that the policy finds likeliest.
        told: the children that the policy was told of.
    """

    scores: Values
    rewards: Values
    entropies: Values
    found: Architecture
    likeliest: Architecture
    told: frozenset[Architecture]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a job came to.

    Attributes:
        untrained, running, repaired: of the first `RANKED` children, accuracies by weights as they began; by the
            warmed ones with the statistics that ran along; and by the same with those of each batch.
    """

    job: Job
    untrained: Values
    running: Values
    repaired: Values
    variants: dict[Variant, Searched]


@dataclass(frozen=True)
class Cost:
    """Different children that the policy was told of, and with those that were scored only to be judged.

    each_saves: the images that training one alone takes, over all that taught the shared weights.
    """

    told: int
    judged: int
    each_saves: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """What shared weights say of the same children, (seeds, children), and the truth, (children,)."""

    scores: Values
    truth: Values

    @property
    def taus(self) -> Values:
        """(seeds,) Kendall's tau of both."""
        return np.array([kendall_tau(each, self.truth) for each in self.scores])

    def figures(self) -> dict[str, Any]:
        """The mean with its interval, which draws children too: those that were judged are a few of many."""
        return {**mean_tau_interval(self.scores, self.truth).to_json(), "of_seeds": self.taus}


@lent(threads=1)
def search(job: Job) -> Outcome:
    """Warms the weights, then searches by each variant on a copy of these or of untrained ones."""
    space = shared_space(CELLS)
    place = pick_place()
    train_part, valid = (labelled(job.task, part, job.warm.resolution, on=str(place)) for part in (TRAIN, VALIDATION))
    supernet = new_supernet(space, job.warm.skeleton(job.task), seed=job.seed, running=True).to(place)
    cold = copy.deepcopy(supernet)

    def scores(network: nn.Module) -> Values:
        images, labels = valid.images[:SCORED], valid.labels[:SCORED]
        return OneShot(space, network, images, labels).predict(job.judged[:RANKED])

    untrained = scores(by_batch_statistics(copy.deepcopy(supernet)))
    train_supernet(supernet, space, train_part, recipe=job.warm, seed=job.seed, checkpoint=job.checkpoint)
    running, repaired = scores(supernet), scores(by_batch_statistics(copy.deepcopy(supernet)))
    variants = {
        variant: _go(variant, copy.deepcopy(supernet if variant.warmed else cold), train_part, valid, job)
        for variant in job.variants
    }
    return Outcome(job, untrained, running, repaired, variants)


def _go(variant: Variant, supernet: nn.Module, train_part: Labelled, valid: Labelled, job: Job) -> Searched:
    """Alternates, derives a child and scores the judged ones."""
    space = shared_space(CELLS)
    if not variant.running:
        by_batch_statistics(supernet)
    reward = OneShot(space, supernet, valid.images, valid.labels, draw=REWARD, seed=job.seed)
    policy = new_policy(variant.policy, space, job.seed)
    turns: list[tuple[float, float]] = []
    counted = _Counted(policy)
    alternate(
        *(supernet, space, train_part),
        policy=counted,
        measure=reward,
        recipe=job.recipe if variant.warmed else job.cold,
        told=job.told,
        seed=job.seed,
        on_round=lambda scores: turns.append((float(np.mean(scores)), spread(policy))),
    )
    final = OneShot(space, supernet, valid.images[:SCORED], valid.labels[:SCORED])
    derived = derive(policy, reward, count=DERIVED, asked=len(turns) * job.told, seed=job.seed)
    found = derived[int(final.predict(derived).argmax())]
    rewards, entropies = np.array(turns).T
    scores = final.predict(job.judged if variant == job.variants[0] else ())
    return Searched(scores, rewards, entropies, found, policy.likeliest(), frozenset(counted.told))


class _Counted:
    """A policy that remembers which children it was told of."""

    def __init__(self, policy: PolicyGradient | Multinomial | Uniform) -> None:
        self.policy, self.told = policy, set[Architecture]()

    def draw(self, count: int, *, seed: int = 0) -> list[Architecture]:
        """Its draws."""
        return self.policy.draw(count, seed=seed)

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Tells it."""
        self.told.update(architectures)
        self.policy.tell(architectures, scores)


class Uniform:
    """Draws children by uniform choices and learns nothing."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed

    def draw(self, count: int, *, seed: int = 0) -> list[Architecture]:
        """Random children."""
        rng = np.random.default_rng(seed)
        return [self.space.sample(rng) for _ in range(count)]

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Nothing is learnt."""

    def likeliest(self) -> Architecture:
        """One of them."""
        return self.draw(1, seed=self.seed)[0]


def derive(
    policy: PolicyGradient | Multinomial | Uniform, reward: Measure, *, count: int, asked: int, seed: int
) -> list[Architecture]:
    """``count`` children that a policy draws in the end; one that learns nothing: by the reward the best of ``asked``.

    So random search is told of as many children as the others were in their turns.
    """
    if not isinstance(policy, Uniform):
        return policy.draw(count, seed=seed)
    drawn = policy.draw(asked, seed=seed)
    return [drawn[place] for place in np.argsort(-np.array(reward(drawn)), kind="stable")[:count]]


def new_policy(name: str, space: Space, seed: int) -> PolicyGradient | Multinomial | Uniform:
    """The policy of that name."""
    if name == "reinforce":
        return PolicyGradient(space, seed=seed, rule=RULE, repeats=True)
    return Multinomial(space, seed=seed) if name == "multinomial" else Uniform(space, seed)


def spread(policy: PolicyGradient | Multinomial | Uniform) -> float:
    """Entropy of what the policy's decisions take, over that of uniform choices; by what 200 draws took."""
    walks = np.array([each.walk for each in policy.draw(200)])  # (draws, decisions), all with the same options
    options = walks.max() + 1
    shares = np.stack([np.bincount(each, minlength=options) for each in walks.T]) / len(walks)
    return float(-(shares * np.log(shares.clip(1e-12))).sum(1).mean() / np.log(options))
