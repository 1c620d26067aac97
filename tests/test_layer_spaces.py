"""Spaces of layers: ENAS macro's skip connections and MobileNetV3's stages."""

from __future__ import annotations

import pytest
import torch

from databases.architectures.decisions import states
from databases.architectures.networks.macro import MacroNetwork
from databases.architectures.networks.mobile import InvertedResidual, MobileNetwork
from databases.architectures.skeleton import Skeleton
from databases.architectures.spaces.enas_macro import ENASMacro
from databases.architectures.spaces.mobilenetv3 import MobileNetV3
from databases.errors import UserError

MACRO, MOBILE = ENASMacro(), MobileNetV3()


def macro(*layers: tuple[str, tuple[int, ...]]) -> MacroNetwork:
    torch.manual_seed(0)
    return MacroNetwork(layers, Skeleton(4, 1)).eval()


def test_there_are_as_many_macro_networks_as_the_paper_says() -> None:
    assert MACRO.size == 6**12 * 2**66
    assert ENASMacro(layers=3).size == 6**3 * 2**3


def test_a_layer_may_skip_to_every_earlier_one_and_to_no_other() -> None:
    before = states(MACRO.program, MACRO.parse(MACRO.example).walk)
    offered = [state.choices for state in before if state.decision and state.decision.kind == "subset"]
    assert offered == [2**place for place in range(1, 12)]
    for wrong in ("conv3x3+0", "conv3x3 sep3x3+1", "conv3x3 sep3x3+0+0", "conv3x3 sep3x3 conv3x3+1+0", "conv3x3 x"):
        with pytest.raises(UserError, match="write it like"):
            ENASMacro(layers=len(wrong.split())).parse(wrong)


def test_a_skip_connection_adds_the_output_of_the_layer_that_it_names() -> None:
    layers = [("max3x3", ()), ("avg3x3", ()), ("max3x3", ()), ("conv3x3", ())]
    plain, skipping = macro(*layers), macro(*layers[:2], ("max3x3", (0,)), layers[3])
    assert list(plain.reductions) == ["1-0", "2-1"] and list(skipping.reductions) == ["1-0", "2-0", "2-1"]
    images, seen = torch.randn(2, 3, 8, 8), {}
    for name, network in {"plain": plain, "skipping": skipping}.items():
        network.load_state_dict(plain.state_dict(), strict=False)
        network.norms[2].register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
        network(images)
    hidden = plain.norms[0](plain.operations[0](plain.stem(images)))
    added = skipping.reductions["2-0"](skipping.reductions["1-0"](hidden))
    torch.testing.assert_close(seen["skipping"], seen["plain"] + added)


def test_macro_networks_halve_the_resolution_after_each_third() -> None:
    network = macro(*[("conv3x3", ())] * 12)
    sides = []
    for norm in network.norms:
        norm.register_forward_hook(lambda _, inputs, output: sides.append((output.shape[1], output.shape[2])))
    network(torch.randn(1, 3, 16, 16))
    assert sides == [(4, 16)] * 4 + [(8, 8)] * 4 + [(16, 4)] * 4


def test_there_are_as_many_mobile_networks_as_depths_kernels_and_expansions_allow() -> None:
    assert MOBILE.size == 4 * sum(9**depth for depth in (2, 3, 4)) ** 5


def test_a_mobile_network_at_full_width_is_as_large_as_mobilenetv3() -> None:
    """MobileNetV3-Large has 5.4 million, 2.4 of them in the two last layers for 1,000 classes that we leave out."""
    architecture = MOBILE.parse(MOBILE.example)
    assert 2.5e6 < MOBILE.parameters(architecture, Skeleton(16, 1)) < 4e6
    network = MOBILE.network(architecture, Skeleton(16, 1))
    assert isinstance(network, MobileNetwork)
    blocks = [each for each in network.modules() if isinstance(each, InvertedResidual)]
    assert len(blocks) == 1 + 13
    widths = [each.body[3][0].out_channels for each in blocks]  # type: ignore[index]
    assert widths == [16] + [24] * 2 + [40] * 3 + [80] * 3 + [112] * 2 + [160] * 3
    assert network.stages(network.stem(torch.randn(1, 3, 32, 32))).shape[2:] == (4, 4)


def test_depth_is_a_loop_whose_layers_share_their_decisions() -> None:
    architecture = MOBILE.parse(MOBILE.example)
    names = [state.decision.name for state in states(MOBILE.program, architecture.walk) if state.decision]
    assert names[:6] == ["width", *("stage 1 kernel", "stage 1 expansion") * 2, "stage 1 depth"]
    assert len(set(names)) == 1 + 3 * 5
    for wrong in (
        MOBILE.example.replace("7x7e6", "7x7e6 3x3e3 3x3e3"),
        MOBILE.example.replace("3x3e4 ", ""),
        "width 1: ",
        "width 2: 3x3e4",
    ):
        with pytest.raises(UserError, match="write it like"):
            MOBILE.parse(wrong)
