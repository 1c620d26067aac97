"""Searches on shared weights, and children trained alone, on small images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from torch import nn

from databases.architectures.space import Architecture, SharedSpace, shared_space
from databases.architectures.spaces.enas_macro import ENASMacro
from databases.architectures.supernets.mixed_edge import by_batch_statistics
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.search.controllers.learning_rule import Rule
from metad2a.search.controllers.multinomial import Multinomial
from metad2a.search.controllers.policy_gradient import PolicyGradient
from metad2a.supernets.alternation import alternate
from metad2a.supernets.training import SharedRecipe, labelled, new_supernet, train_supernet
from metad2a.train.inference import accuracy
from metad2a.train.train import train
from predictors.one_shot import OneShot

CELLS = "nasbench201"
DIGITS = ("enas-macro", "enas-micro")  # spaces whose children are trained alone on digits
LAYERS = 6  # of the macro space
RULE = Rule(learning_rate=3.5e-3, entropy=0.03)
REWARD, DERIVED = 128, 10  # images of a reward; children drawn at the end, of which the best is taken
SCORED = 300  # validation images of the final scores
ALONE = Recipe("", channels=4, cells=1, resolution=8, epochs=0, batch=32, learning_rate=0.05, average=0.25)
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Job:
    """A search on shared weights on a task in NAS-Bench-201.

    Attributes:
        recipe: of the shared weights. judged: children to score at the end.
        told: children whose scores the policy is told after each pass.
        policy: reinforce, multinomial, or uniform, which learns nothing.
        running: whether normalisations keep running statistics.
    """

    task: Task
    seed: int
    recipe: SharedRecipe
    judged: tuple[Architecture, ...]
    told: int
    policy: str = "reinforce"
    running: bool = False


@dataclass(frozen=True, eq=False)
class Searched:
    """What a search found.

    Attributes:
        job: what was asked for. scores: (judged,) shared-weight accuracies; ``repaired`` the same by batch
            statistics, and ``untrained`` those before any training.
        rewards, entropies: of each turn of the policy, the mean score of its draws, and its entropy over that of a
            uniform one.
        found: the best of a few draws by shared weights. likeliest: the child that the policy finds likeliest.
    """

    job: Job
    scores: Values
    repaired: Values
    untrained: Values
    rewards: Values
    entropies: Values
    found: Architecture
    likeliest: Architecture


def search(job: Job) -> Searched:
    """Alternates, derives a child and scores the judged ones."""
    space = shared_space(CELLS)
    train_part, valid = (labelled(job.task, part, job.recipe.resolution) for part in (TRAIN, VALIDATION))
    supernet = new_supernet(space, job.recipe.skeleton(job.task), seed=job.seed, running=job.running)
    reward = OneShot(space, supernet, valid.images, valid.labels, draw=REWARD, seed=job.seed)
    final = OneShot(space, supernet, valid.images[:SCORED], valid.labels[:SCORED])
    untrained = final.predict(job.judged)
    policy = new_policy(job.policy, space, job.seed)
    turns: list[tuple[float, float]] = []
    alternate(
        *(supernet, space, train_part),
        policy=policy,
        measure=reward,
        recipe=job.recipe,
        told=job.told,
        seed=job.seed,
        on_round=lambda scores: turns.append((float(np.mean(scores)), spread(policy))),
    )
    derived = policy.draw(DERIVED, seed=job.seed)
    found = derived[int(final.predict(derived).argmax())]
    scores = final.predict(job.judged)
    if job.running:
        by_batch_statistics(supernet)
    repaired = final.predict(job.judged) if job.running else scores
    rewards, entropies = np.array(turns).T
    return Searched(job, scores, repaired, untrained, rewards, entropies, found, policy.likeliest())


class Uniform:
    """Draws children by uniform choices and learns nothing."""

    def __init__(self, space: SharedSpace) -> None:
        self.space = space

    def draw(self, count: int, *, seed: int = 0) -> list[Architecture]:
        """Random children."""
        rng = np.random.default_rng(seed)
        return [self.space.sample(rng) for _ in range(count)]

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Nothing is learnt."""

    def likeliest(self) -> Architecture:
        """One of them."""
        return self.draw(1)[0]


def new_policy(name: str, space: SharedSpace, seed: int) -> PolicyGradient | Multinomial | Uniform:
    """The policy of that name."""
    if name == "reinforce":
        return PolicyGradient(space, seed=seed, rule=RULE, repeats=True)
    return Multinomial(space, seed=seed) if name == "multinomial" else Uniform(space)


def spread(policy: PolicyGradient | Multinomial | Uniform) -> float:
    """Entropy of what the policy's decisions take, over that of uniform choices; by what 200 draws took."""
    walks = np.array([each.walk for each in policy.draw(200)])  # (draws, decisions), all with the same options
    options = walks.max() + 1
    shares = np.stack([np.bincount(each, minlength=options) for each in walks.T]) / len(walks)
    return float(-(shares * np.log(shares.clip(1e-12))).sum(1).mean() / np.log(options))


@cache
def space_of(name: str) -> SharedSpace:
    """The space of that name, the macro one with few layers."""
    return ENASMacro(LAYERS) if name == "enas-macro" else shared_space(name)


@cache
def digits() -> Task:
    """Scikit-learn's digits."""
    return load_task("sklearn:digits")


def children(name: str, count: int) -> list[Architecture]:
    """The same random children for all."""
    rng = np.random.default_rng(11)
    return [space_of(name).sample(rng) for _ in range(count)]


@lent(threads=1)
def alone(job: tuple[str, int, int]) -> tuple[str, int, float]:
    """Space, child and epochs -> space, child and test accuracy of the child trained alone."""
    name, child, epochs = job
    architecture = children(name, child + 1)[child]
    training = train(digits(), architecture, recipe=replace(ALONE, epochs=epochs))
    return name, child, float(accuracy(training, digits(), TEST) or 0)


def shared(job: tuple[str, int, int, int]) -> tuple[str, int, Values]:
    """Space, seed, children, steps -> space, seed and (children,) accuracies by shared weights on the digits."""
    name, seed, count, steps = job
    recipe = SharedRecipe(channels=4, resolution=8, steps=steps, batch=64)
    train_part, valid = (labelled(digits(), part, recipe.resolution) for part in (TRAIN, VALIDATION))
    supernet: nn.Module = new_supernet(space_of(name), recipe.skeleton(digits()), seed=seed)
    train_supernet(supernet, space_of(name), train_part, recipe=recipe, seed=seed)
    found = OneShot(space_of(name), supernet, valid.images, valid.labels).predict(children(name, count))
    return name, seed, found
