"""The convolution chain: the paper's repairs, its cap, and layers in canonical order."""

from __future__ import annotations

import torch

from databases.architectures import decisions
from databases.architectures.networks.chain import ChainNetwork
from databases.architectures.networks.plans import Layer, shapes, unread
from databases.architectures.skeleton import Skeleton
from databases.architectures.spaces.nas_rl import LEAST, MOST, NASRL

SPACE = NASRL()
PLAIN = "3x3 stride 1x1 filters 24"


def network(text: str) -> ChainNetwork:
    found = SPACE.network(SPACE.parse(text), Skeleton(24, 1, 3, 10))
    assert isinstance(found, ChainNetwork)
    return found.eval()


def test_a_layer_without_inputs_takes_the_image_and_what_is_not_read_goes_to_the_classifier() -> None:
    built = network(f"{PLAIN}, 1x1 stride 1x1 filters 36, {PLAIN} of 0, 5x5 stride 1x1 filters 64 of 0")
    channels = [layer[0].in_channels for layer in built.layers]  # type: ignore[index]
    assert channels == [3, 3, 24, 24]
    assert built.unread == [1, 2, 3]
    assert built.classifier.in_features == 36 + 24 + 64


def test_inputs_are_joined_in_depth_and_smaller_ones_padded_with_zeros() -> None:
    built = network(f"{PLAIN}, 3x3 stride 2x3 filters 36 of 0, 1x1 stride 1x1 filters 24 of 0+1, {PLAIN} of 2")
    met: list[torch.Tensor] = []
    built.layers[2].register_forward_hook(lambda layer, inputs, output: met.append(inputs[0]))
    with torch.no_grad():
        built(torch.randn(2, 3, 8, 7))
    assert met[0].shape == (2, 24 + 36, 8, 7)
    small = met[0][:, 24:]
    assert small[:, :, :4, :3].abs().sum() > 0
    assert not small[:, :, 4:].any() and not small[:, :, :, 3:].any()


def test_shapes_follow_strides_and_the_largest_input() -> None:
    layers = [Layer((3, 3), (1, 1), 4, ()), Layer((5, 1), (2, 3), 6, (0,)), Layer((1, 1), (2, 1), 8, (0, 1))]
    found = [(each.inputs, each.height, each.width) for each in shapes(layers, channels=3, resolution=9)]
    assert found == [(3, 9, 9), (4, 5, 3), (10, 5, 9)]
    assert unread(layers) == [2]


def test_the_depth_grows_in_a_loop_up_to_the_cap() -> None:
    state, layers = SPACE.start(), 0
    while state.decision is not None:
        layers += state.decision.name == "reads"
        state = state.take(state.choices - 1)  # always go on
    assert layers == MOST
    shortest = SPACE.architecture((0, 0, 0, 0, 0, 0) * LEAST + (0,))
    assert len(SPACE.layers(shortest)) == LEAST
    walk = next(iter(decisions.walks(SPACE.program)))
    assert walk == shortest.walk


def test_the_key_is_blind_to_the_order_of_layers_and_to_nothing_else() -> None:
    texts = [
        f"{PLAIN}, 1x1 stride 1x1 filters 36, {PLAIN} of 0, {PLAIN} of 1+2",
        f"1x1 stride 1x1 filters 36, {PLAIN}, {PLAIN} of 1, {PLAIN} of 0+2",
        f"{PLAIN}, {PLAIN} of 0, 1x1 stride 1x1 filters 36, {PLAIN} of 1+2",
        f"{PLAIN}, 1x1 stride 1x1 filters 36, {PLAIN} of 1, {PLAIN} of 0+2",  # reads the other one
        f"{PLAIN}, 1x1 stride 1x1 filters 36, {PLAIN} of 0, {PLAIN} of 2",
        f"1x1 stride 1x1 filters 36, {PLAIN}, {PLAIN}, {PLAIN} of 0+2",
    ]
    keys = [SPACE.key(SPACE.parse(text)) for text in texts]
    assert len(set(keys[:3])) == 1
    assert len(set(keys)) == 4
    assert all(SPACE.key(SPACE.parse(key)) == key for key in keys)  # a key is a text of the space
