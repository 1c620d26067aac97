"""A finished candidate as the run folder keeps it."""

from __future__ import annotations

import math

from databases.architectures.networks import cost
from databases.architectures.space import Architecture
from databases.architectures.spaces.pipeline import PIPELINE
from databases.datasets.task import Task
from metad2a.export import export
from metad2a.export.card import Card
from metad2a.search.run_state import Trained
from metad2a.train.classifier import Classifier
from metad2a.train.training import Training


def trained_of(
    architecture: Architecture, classifier: Classifier, accuracy: float | None, *, seconds: float, passes: float
) -> Trained:
    """What the run's state says of it."""
    network, side = cost.without_weights(classifier.blueprint.build), classifier.resolution
    return Trained(
        architecture,
        expected_accuracy=None,
        valid_accuracy=accuracy,
        complete=True,
        epochs=max(1, math.ceil(passes)),
        seconds=seconds,
        parameters=cost.parameters(network),
        flops=cost.multiply_adds(cost.with_zeros(network), (len(classifier.mean), side, side)),
        score=accuracy or 0.0,
    )


def training_of(classifier: Classifier, trained: Trained) -> Training:
    """As the run folder keeps trainings."""
    accuracy, seconds = trained.valid_accuracy, trained.seconds
    return Training(classifier.network, classifier.mean, classifier.scale, accuracy, seconds, trained.complete)


def card_of(task: Task, trained: Trained, classifier: Classifier, *, seed: int) -> Card:
    """What is written beside the weights."""
    return export.card_of(
        training_of(classifier, trained),
        task=task,
        architecture=trained.architecture,
        recipe=PIPELINE.name,
        blueprint=classifier.blueprint,
        resolution=classifier.resolution,
        seed=seed,
    )


def known_percent(value: float | None) -> str:
    """An accuracy in words."""
    return "unknown" if value is None else f"{value:.1f}%"
