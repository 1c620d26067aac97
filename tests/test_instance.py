"""InstaNAS: rewards, shaped chances, legal paths, and a controller that learns which images need more."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exporting import export
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.spaces.instanas import INSTANAS
from databases.architectures.supernets.instanas import InstanceNetwork
from databases.datasets.loading import load_task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.export.export import load_exported
from metad2a.runtime.clock import seconds_in_turn
from metad2a.supernets.instance import InstanceRecipe, InstanceTraining, latency_reward, reward, shaped
from metad2a.supernets.module_costs import Costs, profile
from metad2a.supernets.training import Labelled
from metad2a.train.training import Training

STAGES = ((1.0, 2, 1), (2.0, 1, 2))
MODULES = ("3x3e3", "plain")
RECIPE = InstanceRecipe(pretraining=6, search=4, tuning=2, batch=8)
COSTS = Costs(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 0.5)


def network() -> InstanceNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return InstanceNetwork(MODULES, STAGES, Skeleton(4, 1, 1, 2), widths=(4,))


def images(count: int = 24) -> Labelled:
    x = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return Labelled(x, torch.arange(count) % 2)


def training(recipe: InstanceRecipe = RECIPE) -> InstanceTraining:
    return InstanceTraining(network(), images(), COSTS, recipe)


@given(st.floats(0, 10), st.floats(0.1, 10), st.floats(-1, 2))
def test_the_time_earns_most_in_the_middle_of_the_window_and_nothing_outside(
    low: float, wide: float, at: float
) -> None:
    def earned(share: float) -> float:
        return float(latency_reward(torch.tensor([low + share * wide], dtype=torch.float64), low, low + wide))

    assert earned(0.5) == pytest.approx(1) and earned(0) == pytest.approx(0, abs=1e-9) == earned(1)
    assert 0 <= earned(at) <= 1 + 1e-9 and (0 <= at <= 1 or earned(at) == pytest.approx(0, abs=1e-9))


@given(st.floats(0, 10), st.floats(0, 10))
def test_a_wrong_answer_never_beats_a_right_one(right: float, wrong: float) -> None:
    times = torch.tensor([right, wrong])
    found = reward(torch.tensor([True, False]), times, 2.0, 8.0)
    assert found[0] >= found[1] == 0


@given(st.floats(0, 1), st.floats(0.5, 1))
def test_shaped_chances_stay_within_their_bounds(p: float, bound: float) -> None:
    found = float(shaped(torch.tensor(p, dtype=torch.float64), bound))
    assert 1 - bound - 1e-9 <= found <= bound + 1e-9 and shaped(torch.tensor(0.5), bound) == pytest.approx(0.5)


def test_the_time_of_a_path_is_the_sum_of_its_modules() -> None:
    masks = torch.tensor([[[1, 0], [1, 1], [0, 1]], [[0, 0], [0, 0], [0, 1]]]).bool()
    assert COSTS.of(masks).tolist() == [0.5 + 1 + 3 + 4 + 6, 0.5 + 6]


def test_the_window_falls_from_the_whole_graph_to_mobilenetv2_or_stays() -> None:
    made = training()
    assert (made.low, made.most, made.mobile) == (6.5, 21.5, 9.5)
    assert made.up(0) == pytest.approx(0.7 * 21.5) and made.up(1) == pytest.approx(max(0.5 * 9.5, 1.01 * 6.5))
    assert InstanceTraining(network(), images(), COSTS, InstanceRecipe(falling=False)).up(1) == 21.5


def test_modules_are_profiled_and_the_graph_is_left_as_it_was() -> None:
    graph = network().graph.train()
    before = copy.deepcopy(graph.state_dict())
    costs = profile(graph, (1, 8, 8), repeats=2)
    assert costs.modules.shape == (3, 2) and (costs.modules > 0).all() and costs.around > 0
    assert graph.training and all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())
    assert seconds_in_turn([lambda: math.factorial(20_000)], repeats=2)[0] > 0


@pytest.mark.parametrize("recipe", [RECIPE, InstanceRecipe(6, 4, 2, 8, shuffled=False, falling=False, bounded=False)])
def test_three_stages_train_and_the_last_leaves_the_controller(recipe: InstanceRecipe) -> None:
    made = training(recipe)
    controller = copy.deepcopy(made.controller.state_dict())
    made.pretrain()
    assert all(torch.equal(value, controller[name]) for name, value in made.controller.state_dict().items())
    made.search()
    searched = copy.deepcopy(made.controller.state_dict())
    assert any(not torch.equal(value, controller[name]) for name, value in searched.items())
    made.tune()
    assert all(torch.equal(value, searched[name]) for name, value in made.controller.state_dict().items())
    with torch.no_grad():
        assert torch.isfinite(made.network.eval()(images().images)).all()


def test_the_controller_learns_to_spend_where_it_is_worth_it() -> None:
    """Bright images are right only on dear paths, dark ones on any."""
    made = training(InstanceRecipe(search=150, batch=64, bound=0.9, entropy=0.1, controller_rate=0.01))
    bright = torch.arange(64) % 2 == 0
    x = torch.where(bright.view(-1, 1, 1, 1), 1.0, -1.0).expand(64, 1, 8, 8) + 0.01 * torch.randn(64, 1, 8, 8)

    def earned(images: Tensor, labels: Tensor, masks: Tensor, progress: float) -> Tensor:
        seconds = COSTS.of(masks)
        right = (seconds > 13) | (images.mean(dim=(1, 2, 3)) < 0)
        return reward(right, seconds, 6.0, 20.0 - 4)

    made._reward = earned  # type: ignore[method-assign]
    for _ in range(made.recipe.search):
        made.teach(x, torch.zeros(64, dtype=torch.int64), 0.0)
    with torch.no_grad():
        seconds = COSTS.of(made.network.eval().paths(x))
    assert seconds[bright].mean() > seconds[~bright].mean() + 1


def test_a_static_child_holds_its_modules_alone_and_computes_the_same() -> None:
    graph = network().graph.eval()
    mask = graph.legal(torch.tensor([[[1, 0], [0, 0], [0, 0]]]).bool())[0]
    child = graph.child(mask)
    assert [len(layer.edge.options) for layer in child.layers] == [1, 0, 1]  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        x = images().images
        torch.testing.assert_close(child(x), graph(x, mask.expand(len(x), -1, -1)), atol=1e-5, rtol=1e-4)


def test_an_exported_network_chooses_a_path_for_each_image_with_torch_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    task = load_task((rng.integers(0, 256, (40, 16, 16), dtype=np.uint8), np.arange(40) % 2))
    recipe = Recipe("mine", 4, 1, 16, epochs=1, batch=8, learning_rate=0.1)
    skeleton = recipe.skeleton(input_channels=1, classes=2)
    blueprint = Blueprint("supernets.instanas:InstanceNetwork", (MODULES, INSTANAS.stages, skeleton, (4,)))
    with lent(seed=0):
        made = blueprint.build().eval()
    assert isinstance(made, InstanceNetwork)
    images = torch.from_numpy(rng.integers(0, 256, (6, 16, 16, 1), dtype=np.uint8))
    x = images.permute(0, 3, 1, 2).float()
    with torch.no_grad():  # each module is on for about half of the images
        made.controller.last.bias.sub_(made.controller(x).mean(0).flatten())
    training = Training(made, (0.0,), (1.0,), None, 0.0, True)
    whole = INSTANAS.parse(INSTANAS.example)
    export(training, task=task, architecture=whole, recipe=recipe, folder=tmp_path, blueprint=blueprint)
    with torch.no_grad():
        expected = made(x)
        assert len(made.paths(x).unique(dim=0)) > 1
        torch.testing.assert_close(load_exported(tmp_path).training.network(x), expected)
    program = (
        "import sys, torch; sys.path.insert(0, '.'); import model; images = torch.load('images.pt'); "
        "torch.save(model.load()(model.prepare(images)).detach(), 'logits.pt'); "
        "assert not {'metad2a', 'databases', 'predictors'} & sys.modules.keys()"
    )
    torch.save(images, tmp_path / "images.pt")
    subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, check=True)
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), expected)


def test_paths_are_drawn_and_paid_where_the_images_are() -> None:
    place = torch.device("meta")  # refuses tensors of another device, as CUDA does, on every machine
    on = InstanceTraining(network().to(place), images().to(place), COSTS, RECIPE)
    drawn = on._drawn(on._p(on.train.images))
    assert drawn.device == place == on.costs.of(drawn).device
    with pytest.raises(RuntimeError):
        on._p(images().images)
