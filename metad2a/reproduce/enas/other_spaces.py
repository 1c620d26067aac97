"""ENAS in its other spaces, on digits and on text: children by shared weights and trained alone, and the search."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, RecurrentSpace, SharedSpace, Space, shared_space, space
from databases.architectures.spaces.enas_macro import ENASMacro
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.reports.report import Table, Verdict, judged, paired, with_interval
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.enas import recurrent
from metad2a.reproduce.enas.children import DERIVED, ENAS, RANDOM, REWARD, TOLD, derive, new_policy
from metad2a.reproduce.nasnet.transferred_cells import fewer
from metad2a.supernets.alternation import turns
from metad2a.supernets.training import Draw, SharedRecipe, labelled, new_supernet, train_supernet
from metad2a.train.inference import accuracy
from metad2a.train.loop import OnEpoch
from metad2a.train.torch_place import pick_place
from metad2a.train.train import train
from predictors.metrics import bootstrap_interval
from predictors.one_shot import OneShot

DIGITS, TEXT = ("enas-macro", "enas-micro"), recurrent.SPACE
LAYERS = 6  # of the macro space
CHILD_RECIPE = Recipe("", channels=4, cells=1, resolution=8, epochs=0, batch=32, learning_rate=0.05, average=0.25)
ANY = "a random child (control)"
POLICIES = {ENAS: "reinforce", RANDOM: "uniform"}
Values = npt.NDArray[np.float64]


def image_space_of(name: str) -> SharedSpace:
    """The space of that name, the macro one with few layers."""
    return _MACRO if name == _MACRO.name else shared_space(name)


def _on_text(name: str) -> bool:
    return isinstance(space(name), RecurrentSpace)


_MACRO = ENASMacro(LAYERS)


@cache
def digits() -> Task:
    """Scikit-learn's digits."""
    return load_task("sklearn:digits", as_stored=True)


def children(name: str, count: int) -> list[Architecture]:
    """The same random children for all."""
    rng, chosen = np.random.default_rng(11), space(TEXT) if _on_text(name) else image_space_of(name)
    return [chosen.sample(rng) for _ in range(count)]


@dataclass(frozen=True)
class OtherSpaces:
    """How much is run in ENAS's other spaces: children of each are trained alone, and share weights.

    Attributes:
        trainings: of each child, on the digits; their mean is the truth, since one training hardly ranks children as
            another does: most know the digits. More children, too, make up for that.
        epochs, steps: of a training alone and of the shared weights, on the digits and on text.
        turns: of the search that goes on with these weights, likewise. told: children that the policy is told of in
            each.
    """

    children: int = 50
    trainings: int = 2
    epochs: tuple[float, float] = (3, 1.5)
    steps: tuple[int, int] = (1500, 300)
    turns: tuple[int, int] = (8, 10)
    told: int = TOLD


OTHER_SPACES = OtherSpaces()


@dataclass(frozen=True)
class ChildTraining:
    """A child to train alone, for so many epochs; less than one is one of so many images. On text all seeds are one."""

    child: Architecture
    epochs: float
    seed: int = 0


@lent(threads=1)
def train_alone(job: ChildTraining) -> tuple[ChildTraining, float]:
    """A child -> the same and how good it is when it was trained alone."""
    if _on_text(job.child.space):
        return job, recurrent.train_alone(job.child, epochs=job.epochs)
    task = digits() if job.epochs >= 1 else fewer(digits(), round(job.epochs * len(digits().labels)))
    training = train(task, job.child, recipe=replace(CHILD_RECIPE, epochs=max(1, round(job.epochs))), seed=job.seed)
    return job, float(accuracy(training, task, TEST) or 0)


class Shared(Protocol):
    """Weights that all children of a space share, and what they say of these: the larger, the better.

    Attributes:
        steps_a_turn: steps between two turns of a policy.
    """

    @property
    def space(self) -> Space:
        """Of the children."""

    @property
    def steps_a_turn(self) -> int:
        """Steps between two turns of a policy."""

    def teach(
        self, steps: int, *, seed: int, draw: Draw | None = None, on_epoch: OnEpoch | None = None, turn: bool = False
    ) -> None:
        """Each batch is learnt by a child that ``draw`` proposes, by default a random one; ``turn``: in turns."""

    def score(self, children: Sequence[Architecture]) -> Values:
        """(children,) by all validation data."""

    def reward(self, children: Sequence[Architecture]) -> list[float]:
        """Of each child by a few validation data, drawn anew."""


class SharedDigits:
    """Weights that all children of a space of image classifiers share, on the digits."""

    def __init__(self, name: str, seed: int) -> None:
        self.space, self.recipe, place = image_space_of(name), SharedRecipe(channels=4, resolution=8), pick_place()
        self._train, valid = (labelled(digits(), part, 8, on=str(place)) for part in (TRAIN, VALIDATION))
        self.steps_a_turn = max(1, len(self._train.labels) // self.recipe.batch)
        self.supernet = new_supernet(self.space, self.recipe.skeleton(digits()), seed=seed).to(place)
        self.score = OneShot(self.space, self.supernet, valid.images, valid.labels).predict
        self.reward = OneShot(self.space, self.supernet, valid.images, valid.labels, draw=REWARD, seed=seed)

    def teach(
        self, steps: int, *, seed: int, draw: Draw | None = None, on_epoch: OnEpoch | None = None, turn: bool = False
    ) -> None:
        """See `Shared`; a turn is a pass over the images."""
        recipe = replace(self.recipe, steps=steps)
        train_supernet(
            *(self.supernet, self.space, self._train), recipe=recipe, draw=draw, seed=seed, on_epoch=on_epoch
        )


@dataclass(frozen=True)
class Sharing:
    """A space's weights to share, and a search by them."""

    name: str
    seed: int
    size: OtherSpaces


@dataclass(frozen=True, eq=False)
class Found:
    """What shared weights say.

    Attributes:
        scores: (children,) of those that are trained alone too. cells: `ENAS`, `RANDOM` -> what the search ends with,
            and the best of as many random children by weights that learn for as long without a policy.
    """

    job: Sharing
    scores: Values
    cells: dict[str, Architecture]


@lent(threads=1)
def share(job: Sharing) -> Found:
    """Random children learn and are scored; then copies of the weights go on, in turn with each policy."""
    size, kind = job.size, int(_on_text(job.name))
    shared: Shared = recurrent.SharedText(job.seed) if kind else SharedDigits(job.name, job.seed)
    shared.teach(size.steps[kind], seed=job.seed)
    scores = shared.score(children(job.name, size.children))
    cells = {way: _found(policy, copy.deepcopy(shared), job) for way, policy in POLICIES.items()}
    return Found(job, scores, cells)


def _found(name: str, shared: Shared, job: Sharing) -> Architecture:
    """What a search ends with in which the weights and the policy of that name learn in turn."""
    many = job.size.turns[_on_text(job.name)]
    policy = new_policy(name, shared.space, job.seed)
    draw, tell = turns(policy, shared.reward, told=job.size.told, seed=job.seed)
    shared.teach(many * shared.steps_a_turn, seed=job.seed, draw=draw, on_epoch=tell, turn=True)
    drawn = derive(policy, shared.reward, count=DERIVED, asked=many * job.size.told, seed=job.seed)
    return drawn[int(shared.score(drawn).argmax())]


@dataclass(frozen=True, eq=False)
class Judged:
    """What one of the other spaces came to.

    Attributes:
        scores: (seeds, children) by shared weights. truth: (children,) trained alone.
        found: `ENAS`, `RANDOM` -> (seeds,) what it ends with, trained alone.
    """

    scores: Values
    truth: Values
    found: dict[str, Values]

    @property
    def ways(self) -> dict[str, Values]:
        """Way -> (seeds,) how good what it ends with is; of `ANY` the mean."""
        return {**self.found, ANY: np.full(len(self.scores), self.truth.mean())}

    def figures(self) -> dict[str, Any]:
        """The mean of each way with its interval over seeds, and how far ENAS is above the others, paired."""
        ways = self.ways
        return {
            "alone": {way: {**bootstrap_interval(each).to_json(), "of_seeds": each} for way, each in ways.items()},
            "enas_above": {way: paired(ways[ENAS], each) for way, each in ways.items() if way != ENAS},
        }


def judged_in_other_spaces(size: OtherSpaces, seeds: range, context: Context) -> dict[str, Judged]:
    """Space -> what shared weights say of random children and find, and what training alone says of both."""
    names = (*DIGITS, TEXT)
    drawn = {name: children(name, size.children) for name in names}
    alone = _trained_alone([each for of in drawn.values() for each in of], size, context)
    context.say(f"{sum(map(len, drawn.values()))} random children were trained alone on the digits and on text")
    jobs = [Sharing(name, seed, size) for name in names for seed in seeds]
    done = {(each.job.name, each.job.seed): each for each in context.run(share, jobs)}
    alone |= _trained_alone([cell for each in done.values() for cell in each.cells.values()], size, context)
    return {
        name: Judged(
            np.stack([done[name, seed].scores for seed in seeds]),
            np.array([alone[each] for each in drawn[name]]),
            {way: np.array([alone[done[name, seed].cells[way]] for seed in seeds]) for way in POLICIES},
        )
        for name in names
    }


def _trained_alone(cells: Sequence[Architecture], size: OtherSpaces, context: Context) -> dict[Architecture, float]:
    """Each child -> how good its trainings alone are, in the mean."""
    jobs = [
        ChildTraining(child, size.epochs[_on_text(child.space)], seed)
        for child in dict.fromkeys(cells)
        for seed in range(1 if _on_text(child.space) else size.trainings)
    ]
    found: dict[Architecture, list[float]] = {}
    for job, value in context.run(train_alone, jobs):
        found.setdefault(job.child, []).append(value)
    return {child: float(np.mean(values)) for child, values in found.items()}


def search_table(found: dict[str, dict[str, Any]]) -> Table:
    """`Judged.figures` by space -> what the searches end with."""
    rows = tuple(
        (
            name,
            way,
            with_interval(each, ".2f"),
            "" if way == ENAS else with_interval(of["enas_above"][way], "+.2f"),
        )
        for name, of in found.items()
        for way, each in of["alone"].items()
    )
    title = "Searches in ENAS's other spaces: test accuracy of a child trained alone; on text minus nats per token"
    return Table(title, ("Space", "Search", ">Trained alone [95%]", ">ENAS above it [95%]"), rows)


def search_verdicts(found: dict[str, dict[str, Any]]) -> tuple[Verdict, ...]:
    """That each search ends with something better than a random child, and than random search does."""
    return tuple(
        judged(
            f"{name}: what ENAS finds is better than {than}, both trained alone",
            "interval above 0",
            of["enas_above"][way],
            above=0,
            form="+.2f",
            learnt=True,
        )
        for name, of in found.items()
        for way, than in ((ANY, "a random child"), (RANDOM, "what as many random children end with"))
    )
