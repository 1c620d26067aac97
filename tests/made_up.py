"""Small made-up tasks, episodes and models that several test modules build their worlds from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from databases.architectures.decisions import Chain, Decision
from databases.architectures.space import Architecture, finite_space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.datasets.features import STATISTICS, TaskFeatures
from databases.datasets.task import Task, split
from databases.records.episodes import Episode
from metad2a.generate.generator import Generator, GeneratorConfig
from metad2a.recommend.model import MetaD2A
from predictors.meta import MetaConfig, MetaPredictor
from predictors.task_distance import KnownTasks

WIDTH = 6  # features of an image
CONFIG = MetaConfig(features=WIDTH, width=16, layers=2, rank=4)
GENERATOR = GeneratorConfig(features=WIDTH, width=16, latent=4, state=24)
CLASSES = finite_space("nasbench201").classes


def task(seed: int = 0, *, classes: int = 3, per_class: int = 5, at: float = 0.0, width: int = WIDTH) -> TaskFeatures:
    """A task whose features lie around ``at``."""
    rng = np.random.default_rng(seed)
    return TaskFeatures(
        rng.normal(at, 1, (classes * per_class, width)).astype(np.float32),
        np.repeat(np.arange(classes), per_class),
        np.full(len(STATISTICS), at, dtype=np.float32),
        name=f"task{seed}",
        source=f"source{seed}",
        fingerprint=f"print{seed}-{at}",
    )


def noisy_images() -> Task:
    """Eight pictures of noise a class."""
    labels = np.repeat(np.arange(3), 8)
    pictures = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1)).astype(np.uint8)
    return Task("made up", pictures, labels, split(labels), ("a", "b", "c"), notes=("one picture was skipped",))


def episode(
    features: TaskFeatures,
    cells: Sequence[int],
    accuracy: Sequence[float],
    *,
    recipe: str = "tiny",
    family: str = "",
) -> Episode:
    """What was measured on a task."""
    values = np.array(accuracy, dtype=np.float64)
    return Episode(features, recipe, np.array(cells), values, values[:, None], family or features.source)


def convolutions(cells: Sequence[int]) -> np.ndarray:
    """How many 3x3 convolutions each class has."""
    return np.array([sum(op == 3 for op in CLASSES[cell].walk) for cell in cells])


def predictor(config: MetaConfig = CONFIG, *, seed: int = 0) -> MetaPredictor:
    """An untrained predictor."""
    torch.manual_seed(seed)
    return MetaPredictor(config).eval()


def meta_model(width: int, *, level_known: bool = True) -> MetaD2A:
    """An untrained model for tasks of ``width`` features, as `load` would give it."""
    model = predictor(MetaConfig(features=width, width=16, layers=2, rank=4))
    model.know_recipe("tiny", center=1.0, between=0.5, within=0.5, reads_dataset=level_known)
    generator = Generator(GeneratorConfig(features=width, width=16, latent=4, state=24))
    known = KnownTasks.learn([task(i, at=i, width=width) for i in range(4)], list("abcd"))
    header = {
        "predictor": model.config.to_json(),
        "generator": generator.config.to_json(),
        "conformal": {"tiny": {"80": 1.5}},
        "known": known.header(),
    }
    return MetaD2A(model, generator, known, header, "0" * 16)


class Tiny(NASBench201):
    """Twelve walks; for what needs a space and none of its networks."""

    name = "tiny"
    nodes = 0
    program = Chain(Decision("first", ("a", "b", "c")), Decision("second", ("a", "b")), Decision("third", ("a", "b")))

    def text(self, architecture: Architecture) -> str:
        return "-".join(map(str, architecture.walk))

    def parse(self, text: str) -> Architecture:
        return self.architecture(tuple(map(int, text.split("-"))))
