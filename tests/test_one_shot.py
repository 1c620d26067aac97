"""Shared weights are trained by the one loop, can be killed, and score architectures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import shared_space
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN, VALIDATION
from metad2a.search import loop
from metad2a.search.controllers import controller
from metad2a.supernets.training import Labelled, SharedRecipe, labelled, new_supernet, train_supernet
from predictors.one_shot import OneShot

CELLS = shared_space("nasbench201")
SKELETON = Skeleton(4, 1, 1, 2)
RECIPE = SharedRecipe(channels=4, resolution=8, steps=60, batch=16, learning_rate=0.1)
KILLED = """
import sys
from test_one_shot import *
supernet = new_supernet(CELLS, SKELETON, seed=0)
recipe = replace(RECIPE, steps=100_000)
train_supernet(supernet, CELLS, stripes(), recipe=recipe, checkpoint=Path(sys.argv[1]), every=0.2)
"""


def stripes(count: int = 64, seed: int = 0) -> Labelled:
    """Lying or standing stripes."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    x = torch.randn(count, 1, 8, 8, generator=rng) * 0.3
    wave = torch.tensor([1.0, -1.0] * 4)
    return Labelled(
        x + torch.where(labels.view(-1, 1, 1, 1) == 1, wave.view(1, 1, 8, 1), wave.view(1, 1, 1, 8)), labels
    )


def trained(**options: object) -> torch.nn.Module:
    supernet = new_supernet(CELLS, SKELETON, seed=0)
    assert train_supernet(supernet, CELLS, stripes(), recipe=RECIPE, **options)  # type: ignore[arg-type]
    return supernet


def weights(supernet: torch.nn.Module) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in supernet.parameters()])


def test_training_learns_repeats_itself_and_leaves_the_hosts_randomness() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    supernet = trained()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(supernet), weights(trained()))
    valid = stripes(seed=1)
    good, dead = CELLS.architecture((0, 0, 0, 3, 0, 0)), CELLS.architecture((0, 0, 0, 0, 0, 0))
    found = OneShot(CELLS, supernet, valid.images, valid.labels).predict([good, dead])
    assert found[0] > 90 and found[1] == pytest.approx(50, abs=10)


def test_scores_are_the_same_where_images_come_class_by_class() -> None:
    valid, supernet = stripes(seed=1), trained()
    order = valid.labels.argsort(stable=True)
    for draw in (None, 64):
        measure = OneShot(CELLS, supernet, valid.images[order], valid.labels[order], draw=draw, batch=32)
        assert measure([CELLS.architecture((0, 0, 0, 3, 0, 0))])[0] > 90


def test_a_search_runs_on_shared_weights() -> None:
    valid = stripes(seed=1)
    for draw in (None, 16):
        measure = OneShot(CELLS, trained(), valid.images, valid.labels, draw=draw, batch=40)
        measure.supernet.train()
        found = loop.run(controller("random", CELLS), measure, trials=4)
        assert len(found.scores) == 4 and all(0 <= score <= 100 for score in found.scores)
        assert measure.supernet.training


def test_a_stopped_training_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    supernet = new_supernet(CELLS, SKELETON, seed=0)
    stopped = train_supernet(
        *(supernet, CELLS, stripes()),
        recipe=RECIPE,
        checkpoint=tmp_path / "a",
        on_epoch=lambda epoch: epoch.number < 4,
    )
    assert not stopped
    again = new_supernet(CELLS, SKELETON, seed=5)
    assert train_supernet(again, CELLS, stripes(), recipe=RECIPE, checkpoint=tmp_path / "a")
    assert torch.equal(weights(again), weights(trained()))


@pytest.mark.slow
def test_a_killed_training_loses_at_most_what_came_after_its_last_checkpoint(tmp_path: Path) -> None:
    place = tmp_path / "killed"
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(place)], env={**os.environ, "PYTHONPATH": path})
    end, written = time.monotonic() + 120, set[int]()
    while len(written) < 3 and time.monotonic() < end:  # again and again, not once
        time.sleep(0.05)
        if place.exists():
            written.add(torch.load(place, weights_only=True)["step"])
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = torch.load(place, weights_only=True)["step"]
    assert len(written) == 3 and done >= max(written)
    supernet = new_supernet(CELLS, SKELETON, seed=0)
    epochs: list[int] = []
    train_supernet(
        *(supernet, CELLS, stripes()),
        recipe=replace(RECIPE, steps=100_000),
        checkpoint=place,
        on_epoch=lambda epoch: bool(epochs.append(epoch.steps)),  # type: ignore[func-returns-value]
    )
    assert done <= epochs[0] <= done + 4


def test_a_part_of_a_task_is_normalised_as_its_training_images_are() -> None:
    task = load_task("sklearn:digits")
    train, valid = labelled(task, TRAIN, 8), labelled(task, VALIDATION, 8)
    assert train.images.mean().abs() < 1e-3 and train.images.std().item() == pytest.approx(1, abs=1e-2)
    assert train.images.stride()[1] == 64
    assert np.array_equal(np.sort(valid.labels.numpy()), np.sort(task.part(VALIDATION)[1]))


def test_a_slice_of_a_part_holds_all_classes_where_images_come_class_by_class() -> None:
    labels = np.repeat(np.arange(4), 40)
    images = np.repeat(labels[:, None, None] * 60, 64, axis=1).reshape(-1, 8, 8).astype(np.uint8)
    valid = labelled(load_task((images, labels)), TRAIN, 8)
    assert set(valid.labels[:20].tolist()) == {0, 1, 2, 3}
    assert [len(valid.images[valid.labels == each].unique()) for each in range(4)] == [1] * 4
