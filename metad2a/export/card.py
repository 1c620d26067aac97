"""The card of a trained network: what the header of its weights says, and how the network is made again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

import torch
from torch import nn

from databases.architectures.networks.average import Member
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import space
from databases.datasets.scale import FULL_SCALES
from databases.datasets.task import MAX_CLASSES, MAX_RESOLUTION
from metad2a.train.classifier import Classifier

FORMAT = 2
_MOST_MEMBERS = 10  # of an average
_MOST_CELLS = 100  # a stage; what a header may ask for before the weights are looked at


@dataclass(frozen=True)
class Card:
    """What the header of the weights says.

    Attributes:
        blueprint: how the network is made.
        sizes: height and width in pixels to which images are brought one after the other: the task's, then
            the network's.
        mean, scale: (input channels,) normalisation of the images, 0..255.
        white: the value that stood for white in the task's pictures of more than 8 bits; None: it had none.
        valid_accuracy, test_accuracy: percent; None where not measured.
        complete: whether training went to its end.
        train_seconds: wall time of training.
        temperature: what logits are divided by before the softmax, so that probabilities are calibrated.
    """

    space: str
    architecture: str
    recipe: str
    seed: int
    task: str
    fingerprint: str
    class_names: tuple[str, ...]
    sizes: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    blueprint: Blueprint
    valid_accuracy: float | None
    test_accuracy: float | None
    complete: bool
    train_seconds: float
    white: int | None = None
    temperature: float = 1.0
    format: int = FORMAT

    @property
    def resolution(self) -> int:
        """Height and width that the network takes, in pixels."""
        return self.sizes[-1]

    @property
    def others(self) -> int:
        """How many networks answer with the architecture's; the mean of all is the answer."""
        return max(0, sum(isinstance(each, Member) for each in _parts(self.blueprint)) - 1)

    def network(self) -> nn.Module:
        """The network without weights (on torch's "meta" device)."""
        with torch.device("meta"):
            return self.blueprint.build().eval()

    def classifier(self, network: nn.Module) -> Classifier:
        """With the card's ``network``, which has its weights and is in eval mode."""
        return Classifier(network, self.blueprint, self.mean, self.scale, self.resolution)

    def plain(self) -> dict[str, object]:
        """As JSON values; `read_card` gives the card back."""
        return {**asdict(self), "blueprint": self.blueprint.plain(), "resolution": self.resolution}


def read_card(values: dict[str, object]) -> Card:
    """The card in a header from outside; raises ValueError, KeyError or TypeError where it is none."""
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, known is {FORMAT}")
    values.pop("resolution")
    blueprint = Blueprint.read(_mapping(values, "blueprint"))
    lists = {name: _list(values, name) for name in ("class_names", "sizes", "mean", "scale")}
    if unknown := values.keys() - {each.name for each in fields(Card)}:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    card = Card(**{**values, **lists, "blueprint": blueprint})  # type: ignore[arg-type]  # checked below
    if not (_typed(card) and _possible(card)):
        raise ValueError("values in its header are impossible")
    space(card.space).parse(card.architecture)
    return card


def _typed(card: Card) -> bool:
    """Whether every field holds a value of its type.

    By hand: pydantic takes whole numbers for real ones, knows no `Blueprint`, and costs `predict` 0.1 s of importing.
    """
    texts = (card.space, card.architecture, card.recipe, card.task, card.fingerprint, *card.class_names)
    accuracies = (each for each in (card.valid_accuracy, card.test_accuracy) if each is not None)
    numbers = (*card.mean, *card.scale, card.train_seconds, card.temperature, *accuracies)
    return (
        all(type(each) is int for each in (card.seed, *card.sizes))
        and all(isinstance(each, str) for each in texts)
        and all(isinstance(each, float) and math.isfinite(each) for each in numbers)
        and isinstance(card.complete, bool)
    )


def _possible(card: Card) -> bool:
    """Whether the values are such as an export writes."""
    parts = list(_parts(card.blueprint))
    skeletons = (each for each in parts if isinstance(each, Skeleton))
    sides = [each.resolution for each in parts if isinstance(each, Member)]
    return (
        (card.white is None or (type(card.white) is int and card.white in FULL_SCALES))
        and 2 <= len(card.class_names) <= MAX_CLASSES
        and len(card.mean) == len(card.scale)
        and len(card.mean) in (1, 3)
        and 1 <= len(card.sizes) <= 2
        and all(1 <= size <= MAX_RESOLUTION for size in card.sizes)
        and all(1 <= each.cells <= _MOST_CELLS for each in skeletons)
        and len(sides) <= _MOST_MEMBERS
        and all(1 <= side <= MAX_RESOLUTION for side in sides)
        and card.temperature > 0
    )


def _parts(value: object) -> Iterator[object]:
    """A value and all within it."""
    yield value
    within = value.arguments if isinstance(value, Blueprint) else value if isinstance(value, tuple) else ()
    for each in within:
        yield from _parts(each)


def _list(values: Mapping[str, object], name: str) -> tuple[object, ...]:
    value = values[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is no list")
    return tuple(value)


def _mapping(values: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = values[name]
    if not isinstance(value, dict):
        raise TypeError(f"{name} is no mapping")
    return value
