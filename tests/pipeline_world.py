"""A tiny task that a probe can learn, and a base that needs no shipped weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from databases.architectures.spaces.pipeline import Pipeline
from databases.architectures.supernets.families import RESIDUAL
from databases.architectures.supernets.pretrained import Pretrained
from databases.datasets.task import VALIDATION, Task, split
from metad2a.recommend.chances import Chance
from metad2a.search.pipelines import competing, ending, tuning
from metad2a.search.pipelines.session import PipelineSession
from metad2a.train.bases import Base, of_family
from metad2a.train.finetune import Tuned
from metad2a.train.pipeline import Effort, tune_pipeline

KNOWN = 102.0  # what validation images say that were learnt from
OWN = Pipeline("own", 32, "probe")


def stripes(images: int = 120, *, side: int = 16, channels: int = 3, seed: int = 0) -> Task:
    """Noisy stripes, level and upright, and checks: three classes that mirroring keeps."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    rows, columns = np.mgrid[:side, :side]
    down, right = (np.sign(np.sin(each * 1.3 + rng.uniform(0, 6, (images, 1, 1)))) for each in (rows, columns))
    clean = 127 + 80 * np.where(
        labels[:, None, None] == 0, down, np.where(labels[:, None, None] == 1, right, down * right)
    )
    noisy = clean[..., None] + rng.normal(0, 40, (images, side, side, channels))
    pixels = noisy.clip(0, 255).astype(np.uint8)
    return Task("stripes", pixels, labels.astype(np.int64), split(labels), ("level", "upright", "checks"))


def arrows(images: int = 120, *, side: int = 16, seed: int = 0) -> Task:
    """Ramps that grow lighter to the left or to the right: mirroring changes the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    ramp = np.linspace(30, 220, side)[None, None] * np.ones((images, side, side))
    ramp[labels == 0] = ramp[labels == 0][:, :, ::-1]
    pixels = (ramp[..., None] + rng.normal(0, 20, (images, side, side, 3))).clip(0, 255).astype(np.uint8)
    return Task("arrows", pixels, labels.astype(np.int64), split(labels), ("left", "right"))


def random_base(channels: int = 3, *, name: str = "own") -> Base:
    """The residual family's smallest slice with random weights, a copy of its own for who asks."""
    base = _random_base(channels, name)
    return replace(base, network=copy.deepcopy(base.network))


def opened(name: str, *, channels: int, resolution: int, stages: object = None) -> Base:
    """In place of `open_base`: all weights are random and few."""
    return replace(random_base(channels), name=name, digest=name)


@cache
def _random_base(channels: int, name: str) -> Base:
    stages = RESIDUAL.slice(depth=1, expansion=0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = RESIDUAL.blueprint(RESIDUAL.stages, 3, 5).build()
    family = Pretrained(RESIDUAL, network.state_dict(), (127.0,) * 3, (60.0,) * 3, 5, {})
    return of_family(name, family, channels=channels, stages=stages)


def short_searches(monkeypatch: pytest.MonkeyPatch, home: Path, *, probes: tuple[Pipeline, ...]) -> None:
    """A home of its own, our weights alone with these probes, fine-tunings however short, and none that goes on."""
    monkeypatch.setenv("METAD2A_HOME", str(home))
    monkeypatch.setattr("metad2a.recommend.chances.PROBES", probes)
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"own": True})
    monkeypatch.setattr(competing, "LEAST_TUNING", 0.1)
    monkeypatch.setattr(competing, "LEAST_AGAIN", 1e9)
    monkeypatch.setattr(ending, "LEAST_LAST", 1e9)


def long_searches(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[Effort]:
    """A home of its own, tiny random weights, always 100 s left, and fine-tuning beats the probe; what is trained."""
    trained = list[Effort]()

    def better(pipeline: Pipeline, task: Task, effort: Effort, **given: object) -> Tuned:
        trained.append(effort)
        short = replace(effort, seconds=None, steps=4)
        tuned = tune_pipeline(pipeline, task, short, **given)  # type: ignore[arg-type]
        accuracy = KNOWN if VALIDATION in effort.parts else 101.0  # the probe may know all
        return replace(tuned, valid_accuracy=accuracy, valid_loss=0.1)

    monkeypatch.setenv("METAD2A_HOME", str(home))
    monkeypatch.setattr("metad2a.train.pipeline.open_base", opened)
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"own": True})
    monkeypatch.setattr("metad2a.recommend.chances.PROBES", (OWN,))
    monkeypatch.setattr(tuning, "tune_pipeline", better)
    monkeypatch.setattr(competing, "LEAST_TUNING", 0.1)
    monkeypatch.setattr(competing, "LEAST_AGAIN", 0.1)
    monkeypatch.setattr(ending, "LEAST_LAST", 0.2)
    monkeypatch.setattr(PipelineSession, "left", property(lambda session: 100.0))
    return trained


def begin(monkeypatch: pytest.MonkeyPatch, *pipelines: Pipeline) -> None:
    """These compete first."""
    monkeypatch.setattr(
        competing, "first_round", lambda measured, **given: [Chance(each, 0.3, 50.0) for each in pipelines]
    )
