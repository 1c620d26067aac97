"""Searches on shared weights, and children trained alone, on small images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from databases.architectures.space import Architecture, SharedSpace, shared_space
from databases.architectures.spaces.enas_macro import ENASMacro
from databases.architectures.supernets.mixed_edge import by_batch_statistics
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.records.recipe import Recipe
from metad2a.search.controllers.learning_rule import Rule
from metad2a.search.controllers.policy_gradient import PolicyGradient
from metad2a.supernets.alternation import alternate
from metad2a.supernets.training import SharedRecipe, labelled, new_supernet, train_supernet
from metad2a.train.training import accuracy, train
from predictors.one_shot import OneShot

CELLS = "nasbench201"
DIGITS = ("enas-macro", "enas-micro")  # spaces whose children are trained alone on digits
LAYERS = 6  # of the macro space
RULE = Rule(learning_rate=3.5e-3, entropy=0.03)
REWARD, DERIVED = 128, 10  # images of a reward; children drawn at the end, of which the best is taken
SCORED = 500  # validation images of the final scores
ALONE = Recipe("", channels=4, cells=1, resolution=8, epochs=6, batch=32, learning_rate=0.05, average=0.25)
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Job:
    """A search by ENAS on a task in NAS-Bench-201.

    Attributes:
        running: whether normalisations keep running statistics. judged: children to score at the end.
        told: children whose scores the policy is told after each pass.
    """

    task: Task
    seed: int
    running: bool
    recipe: SharedRecipe
    judged: tuple[Architecture, ...]
    told: int


@dataclass(frozen=True, eq=False)
class Searched:
    """What a search found.

    Attributes:
        scores: (judged,) shared-weight accuracies; ``repaired`` the same of batch statistics, and ``untrained`` those
            before any training. rewards: mean score of each turn of the policy. found: the derived child.
    """

    seed: int
    running: bool
    scores: Values
    repaired: Values
    untrained: Values
    rewards: Values
    found: Architecture


def search(job: Job) -> Searched:
    """Alternates, derives a child and scores the judged ones."""
    space = shared_space(CELLS)
    train_part, valid = (labelled(job.task, part, job.recipe.resolution) for part in (TRAIN, VALIDATION))
    supernet = new_supernet(space, job.recipe.skeleton(job.task), seed=job.seed, running=job.running)
    reward = OneShot(space, supernet, valid.images, valid.labels, draw=REWARD, seed=job.seed)
    final = OneShot(space, supernet, valid.images[:SCORED], valid.labels[:SCORED])
    untrained = final.predict(job.judged)
    policy = PolicyGradient(space, seed=job.seed, rule=RULE, repeats=True)
    rewards: list[float] = []
    alternate(
        *(supernet, space, train_part),
        policy=policy,
        measure=reward,
        recipe=job.recipe,
        told=job.told,
        seed=job.seed,
        on_round=lambda scores: rewards.append(float(np.mean(scores))),
    )
    derived = policy.draw(DERIVED, seed=job.seed)
    found = derived[int(final.predict(derived).argmax())]
    scores = final.predict(job.judged)
    if job.running:
        by_batch_statistics(supernet)
    repaired = final.predict(job.judged) if job.running else scores
    return Searched(job.seed, job.running, scores, repaired, untrained, np.array(rewards), found)


@cache
def space_of(name: str) -> SharedSpace:
    """The space of that name, the macro one with few layers."""
    return ENASMacro(LAYERS) if name == "enas-macro" else shared_space(name)


@cache
def digits() -> Task:
    """Scikit-learn's digits, with the test part joined to validation: what ranks children is not what trains them."""
    return load_task("sklearn:digits")


def children(name: str, count: int) -> list[Architecture]:
    """The same random children for all."""
    rng = np.random.default_rng(11)
    return [space_of(name).sample(rng) for _ in range(count)]


def alone(job: tuple[str, int, int]) -> tuple[str, int, float]:
    """Space, child and seed -> space, child and test accuracy of the child trained alone."""
    name, child, seed = job
    torch.set_num_threads(1)
    architecture = children(name, child + 1)[child]
    return name, child, float(accuracy(train(digits(), architecture, recipe=ALONE, seed=seed), digits(), TEST) or 0)


def shared(job: tuple[str, int, int, int]) -> tuple[str, int, Values]:
    """Space, seed, children, steps -> space, seed and (children,) accuracies by shared weights on the digits."""
    name, seed, count, steps = job
    recipe = SharedRecipe(channels=4, resolution=8, steps=steps, batch=64)
    train_part, valid = (labelled(digits(), part, recipe.resolution) for part in (TRAIN, VALIDATION))
    supernet: nn.Module = new_supernet(space_of(name), recipe.skeleton(digits()), seed=seed)
    train_supernet(supernet, space_of(name), train_part, recipe=recipe, seed=seed)
    found = OneShot(space_of(name), supernet, valid.images, valid.labels).predict(children(name, count))
    return name, seed, found
