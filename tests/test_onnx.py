"""ONNX export: the same probabilities as torch, from one file that knows its classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporting import export
from onnx_network import OnnxNetwork
from pipeline_world import stripes
from test_average import HEATS, SIDE, kept, members
from test_spaces import IMAGES
from torch import nn
from typer.testing import CliRunner

from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, image_space
from databases.datasets.task import TEST, Task, split
from databases.errors import UserError
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.cli.app import app
from metad2a.export.card import Card
from metad2a.export.export import load_exported, save
from metad2a.export.onnx import export_onnx
from metad2a.export.program import load_program
from metad2a.search import runs
from metad2a.search.pipelines.average import averaged
from metad2a.train.train import train
from metad2a.train.training import Training

QUICK = Recipe("quick", 4, 1, 8, epochs=1, batch=16, learning_rate=0.05)
SKELETON = Skeleton(4, 1, 3, 3)
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def exported(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 3
    images = (rng.integers(0, 90, (40, 12, 12, 3)) + 50 * labels[:, None, None, None]).astype(np.uint8)
    task = Task("toy", images, labels, split(labels), ("ash", "beech", "oak"))
    architecture = image_space("nasbench201").parse(CELL)
    training = train(task, architecture, recipe=QUICK, on="cpu")
    export(training, task=task, architecture=architecture, recipe=QUICK, folder=folder)
    return folder


def pictures(count: int, side: int) -> np.ndarray:
    """Patches of colours: of mere noise deep networks would say the same each time."""
    patches = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return patches.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


@lent(seed=0)
def untrained(folder: Path, architecture: Architecture, blueprint: Blueprint) -> None:
    """Exports a network with random weights, whose answers differ from picture to picture all the same."""
    network, mean, scale = blueprint.build(), (100.0, 120.0, 90.0), (50.0, 60.0, 70.0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics are those of the pictures below
    with torch.no_grad():
        x = (torch.from_numpy(pictures(32, 16)).permute(0, 3, 1, 2) - torch.tensor(mean).view(1, 3, 1, 1)) / 60
        network(x)
        logits, (*_, bias) = network.eval()(x), network.parameters()
        bias.sub_(logits.mean(0))  # no class is always the likeliest
        spread = logits.std(0).mean().item()
    card = Card(
        space=architecture.space,
        architecture=str(architecture),
        recipe="none",
        seed=0,
        task="toy",
        fingerprint="toy",
        class_names=("ash", "<beech>", "槲"),
        sizes=(20, 16),
        mean=mean,
        scale=scale,
        blueprint=blueprint,
        valid_accuracy=None,
        test_accuracy=None,
        complete=True,
        train_seconds=0.0,
        temperature=spread,
    )
    save(Training(network, mean, scale, None, 0.0, True), card, folder)


def check_onnx(folder: Path) -> None:
    """The graph of a folder gives its program's probabilities, which are not always the same, and knows its classes.

    For batches of any size; and making it leaves torch's threads and random numbers as they were.
    """
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    made = export_onnx(folder)
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)
    network, program = OnnxNetwork(made), load_program(folder).load(folder)
    assert (network.classes, network.size, network.channels) == (("ash", "<beech>", "槲"), 20, 3)
    for count in (1, 7):
        images = pictures(count, 20)
        wanted = program.probabilities(images).numpy()
        assert count == 1 or wanted.std(0).max() > 0.05
        assert np.abs(network.probabilities(images) - wanted).max() < 1e-4


SMALL = {  # exporting takes as long as a graph is large: every operation, and little twice
    "nasnet": "sep3x3(0)+identity(1) conv1x1(1)+avg3x3(2) max3x3(2)+identity(0) dilated3x3(0)+identity(3) "
    "conv3x3(1)+1x3-3x1(0) / max3x3(0)+identity(1) identity(1)+avg3x3(2) max3x3(2)+identity(0) identity(0)+identity(3) "
    "max5x5(1)+identity(0)",
    "shufflenasnet": "sep3x3(0)+identity(0) max3x3(1)+identity(0) avg3x3(1)+identity(2) identity(0)+identity(2) / "
    "sep5x5(0)+max3x3(0) identity(1)+identity(1) avg3x3(0)+identity(1) identity(3)+identity(2)",
    "mobilenetv3": "width 1: 3x3e4 3x3e3, 5x5e3 5x5e3, 3x3e6 3x3e3, 3x3e6 3x3e6, 5x5e6 7x7e6",
    "instanas": "3x3e6 - - - - - - - 3x3e6+5x5e3 - - - - - - - -",
}
PLANS: dict[str, tuple[Any, ...]] = {  # the same of spaces whose networks have a number of layers
    "macro:MacroNetwork": (
        (("conv3x3", ()), ("sep3x3", (0,)), ("sep5x5", (0, 1)), ("max3x3", ()), ("avg3x3", (1, 3)), ("conv5x5", ())),
    ),
    "mobile:MobileNetwork": (1.0, (((3, 4),), ((5, 3), (5, 3)), ((3, 6),), ((3, 6),), ((5, 6), (7, 6)))),
}


def kinds() -> dict[str, Architecture]:
    """One architecture for each network that image spaces build, by the network's name."""
    found: dict[str, Architecture] = {}
    for each in IMAGES.values():
        architecture = each.parse(SMALL.get(each.name, each.example))
        found.setdefault(each.blueprint(architecture, SKELETON).network, architecture)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("architecture", kinds().values(), ids=kinds())
def test_every_image_spaces_networks_are_the_same_as_a_graph(architecture: Architecture, tmp_path: Path) -> None:
    blueprint = image_space(architecture.space).blueprint(architecture, SKELETON)
    if blueprint.network in PLANS:
        blueprint = replace(blueprint, arguments=(*PLANS[blueprint.network], SKELETON))
    untrained(tmp_path, architecture, blueprint)
    check_onnx(tmp_path)


@pytest.mark.slow
def test_a_network_with_a_path_for_each_image_is_the_same_as_a_graph(tmp_path: Path) -> None:
    stages = ((1.0, 2, 1), (2.0, 1, 2))
    plan = (("3x3e3", "plain"), stages, SKELETON, (4,))
    whole = image_space("instanas")
    untrained(tmp_path, whole.parse(whole.example), Blueprint("supernets.instanas:InstanceNetwork", plan))
    program, images = load_program(tmp_path), torch.from_numpy(pictures(7, 20))
    with torch.no_grad():
        paths = program.load(tmp_path).network.paths(program.prepare(images))
    assert len(paths.unique(dim=0)) > 1
    check_onnx(tmp_path)


@pytest.mark.slow
def test_networks_that_answer_together_are_the_same_as_a_graph(tmp_path: Path) -> None:
    task = stripes(60, side=SIDE)
    kept(averaged(members(task), HEATS, resolution=SIDE), task, tmp_path)
    network, images = OnnxNetwork(export_onnx(tmp_path)), task.part(TEST)[0][:7]
    wanted = load_program(tmp_path).load(tmp_path).probabilities(images).numpy()
    assert np.abs(network.probabilities(images) - wanted).max() < 1e-4


def test_a_folder_without_a_network_is_told(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(UserError, match=r"model\.py"):
        export_onnx(tmp_path)


def test_an_export_names_every_file_that_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(runs, "export_run", lambda name, folder: load_exported(exported(folder)))
    told = CliRunner().invoke(app, ["export", "any", "--output", str(tmp_path / "out"), "--format", "onnx"])
    written = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert told.exit_code == 0 and written == {"model.safetensors", "model.py", "model.onnx"}
    assert all(name in told.stdout for name in written)
