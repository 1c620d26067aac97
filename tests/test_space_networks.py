"""Every space's architectures as networks: they train, cost what is told, and equal keys compute the same."""

from __future__ import annotations

import pytest
import torch
from test_spaces import (
    EQUAL,
    IMAGES,
    SHAPES,
    every_image_space,
    every_recurrent_space,
    samples,
)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import (
    ImageSpace,
    RecurrentSpace,
    image_space,
    recurrent_space,
)


@every_image_space
@pytest.mark.parametrize("shape", SHAPES)
def test_a_network_trains_one_step(chosen: ImageSpace, shape: str) -> None:
    torch.manual_seed(0)
    skeleton, side = SHAPES[shape]
    network = chosen.network(samples(chosen, 1, seed=1)[0], skeleton)
    before = [parameter.clone() for parameter in network.parameters()]
    logits = network(torch.randn(8, skeleton.input_channels, side, side))
    assert logits.shape == (8, skeleton.classes)
    nn.functional.cross_entropy(logits, torch.arange(8) % skeleton.classes).backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    after = list(network.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after)
    assert not torch.equal(before[0], after[0]) and not torch.equal(before[-1], after[-1])


@every_image_space
@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_and_flops_are_those_of_the_network(chosen: ImageSpace, shape: str) -> None:
    skeleton, side = SHAPES[shape]
    each = samples(chosen, 1, seed=2)[0]
    network = chosen.network(each, skeleton)
    assert sum(one.numel() for one in network.parameters()) == chosen.parameters(each, skeleton)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        network.eval()(torch.zeros(1, skeleton.input_channels, side, side))
    done = counted.get_total_flops() // 2 + skeleton.classes
    assert done == chosen.flops(each, skeleton, resolution=side) > 0


@every_image_space
def test_more_channels_and_no_randomness_in_eval_mode(chosen: ImageSpace) -> None:
    each = samples(chosen, 1)[0]
    assert chosen.parameters(each, Skeleton(8, 1)) > chosen.parameters(each, Skeleton(4, 1))
    network, images = chosen.network(each, Skeleton(4, 1)).eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(images), network(images), rtol=0, atol=0)


@every_recurrent_space
@pytest.mark.parametrize(("inputs", "width"), [(3, 5), (8, 4)])
def test_a_cell_trains_one_step_and_carries_its_states(chosen: RecurrentSpace, inputs: int, width: int) -> None:
    for each in samples(chosen, 2, seed=1):
        torch.manual_seed(0)
        cell, x = chosen.cell(each, inputs, width), torch.randn(6, 2, inputs)  # (steps, batch, inputs)
        outputs, state = cell(x, None)
        assert outputs.shape == (6, 2, width)
        first, middle = cell(x[:2], None)
        second, last = cell(x[2:], middle)
        torch.testing.assert_close(torch.cat([first, second]), outputs)
        torch.testing.assert_close(last, state)
        loss = (outputs - 1).square().mean()
        loss.backward()
        torch.optim.SGD(cell.parameters(), lr=1e-3).step()
        assert (cell(x, None)[0] - 1).square().mean() < loss


def test_equal_keys_compute_the_same() -> None:
    for name, pairs in EQUAL.items():
        compute = logits_of_plain_weights if name in IMAGES else outputs_of_plain_weights
        for texts in pairs:
            first, second = (compute(name, text) for text in texts)
            torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-5)
            assert first.std() > 0


def logits_of_plain_weights(name: str, text: str) -> torch.Tensor:
    """Outputs of the network where a weight depends on its layer's shape and on nothing else."""
    chosen = image_space(name)
    network = chosen.network(chosen.parse(text), Skeleton(4, 1, 3, 10)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            generator = torch.Generator().manual_seed(sum(layer.weight.shape[2:]))
            kernel = torch.rand(1, 1, *layer.weight.shape[2:], generator=generator)
            layer.weight.data[:] = kernel / layer.weight[0].numel() ** 0.5
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    with torch.no_grad():
        logits: torch.Tensor = network(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    return logits


def outputs_of_plain_weights(name: str, text: str, *, width: int = 4) -> torch.Tensor:
    """Outputs of the cell where every map of the inputs, and every map of the states, has the same weights."""
    chosen = recurrent_space(name)
    cell = chosen.cell(chosen.parse(text), width, width)
    for layer in cell.modules():
        if isinstance(layer, nn.Linear):
            one = torch.randn(width, width, generator=torch.Generator().manual_seed(0)) / 2
            layer.weight.data[:] = one.repeat(len(layer.weight) // width, 1)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, 0.5)
    with torch.no_grad():
        outputs: torch.Tensor = cell(torch.randn(5, 2, width, generator=torch.Generator().manual_seed(1)), None)[0]
    return outputs
