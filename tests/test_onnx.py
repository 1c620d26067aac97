"""ONNX export: the same probabilities as torch, from one file that knows its classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from databases.architectures.space import image_space
from databases.datasets.task import Task, split
from databases.errors import UserError
from databases.records.recipe import Recipe
from metad2a.export.export import export
from metad2a.export.onnx import OnnxNetwork, export_onnx, load_program
from metad2a.train.train import train

QUICK = Recipe("quick", 4, 1, 8, epochs=1, batch=16, learning_rate=0.05)
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def exported(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 3
    images = (rng.integers(0, 90, (40, 12, 12, 3)) + 50 * labels[:, None, None, None]).astype(np.uint8)
    task = Task("toy", images, labels, split(labels), ("ash", "beech", "oak"))
    architecture = image_space("nasbench201").parse(CELL)
    training = train(task, architecture, recipe=QUICK, device="cpu")
    export(training, task=task, architecture=architecture, recipe=QUICK, folder=folder)
    return folder


@pytest.mark.slow
def test_the_graph_gives_torchs_probabilities_for_any_batch(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    network = OnnxNetwork(export_onnx(folder))
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)
    assert (network.classes, network.size, network.channels) == (("ash", "beech", "oak"), 12, 3)
    for count in (1, 7):
        images = np.random.default_rng(count).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)
        wanted = load_program(folder).load(folder).probabilities(images).numpy()
        assert np.abs(network.probabilities(images) - wanted).max() < 1e-4


def test_a_folder_without_a_network_is_told(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(UserError, match=r"model\.py"):
        export_onnx(tmp_path)
