"""Pretrained families: what a slice is, that it computes what the masked base computes, and bad input."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from databases.architectures.networks.mobile import InvertedResidual, SqueezeExcitation
from databases.architectures.supernets import families
from databases.architectures.supernets.families import FAMILIES, LITE0, MOBILE, RESIDUAL, open_family
from databases.architectures.supernets.inherit import Sharing, enlarge, recalibrate
from databases.architectures.supernets.pretrained import Family, Pretrained, Stages
from databases.errors import UserError
from metad2a.export.program import network_source

KNOWN = [RESIDUAL, MOBILE, LITE0]
SLICES: dict[str, Stages] = {
    "residual": (((3, 0.5),), ((3, 1.0), (3, 0.75)), ((3, 0.75),), ((3, 0.5), (3, 0.5))),
    "mobilenetv3": (
        *(((3, 4), (7, 3)), ((5, 6), (3, 3), (7, 4)), ((3, 3), (3, 6), (5, 4), (7, 3))),
        *(((7, 6), (5, 3)), ((5, 4), (3, 3))),
    ),
    "lite0": (
        *(((3, 1),), ((3, 4),), ((3, 3), (5, 6)), ((3, 6), (3, 3))),
        *(((3, 4), (5, 3)), ((5, 6), (3, 4)), ((3, 3),)),
    ),
}


def of(family: Family) -> Pretrained:
    """The family with random weights, statistics and all."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = family.blueprint(family.stages, 3, 5).build()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                    assert tensor is not None
                    nn.init.uniform_(tensor, low, low + 1)
    return Pretrained(family, network.state_dict(), (100.0, 110.0, 120.0), (50.0, 60.0, 70.0), 5, {})


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def masked(whole: Pretrained, stages: Stages) -> nn.Module:
    """The base with all that the slice leaves out set to nothing."""
    base = copy.deepcopy(whole.network())
    for blocks, kept in zip(base.stages, stages, strict=True):  # type: ignore[arg-type]
        for place, block in enumerate(blocks):
            if place >= len(kept):
                blocks[place] = nn.Identity()
                continue
            with torch.no_grad():
                _mask(block, kept[place], block.importance())
    return base


def _mask(block: Any, kept: tuple[int, float], ranks: list[Tensor]) -> None:
    kernel, expansion = kept
    mobile = isinstance(block, InvertedResidual)
    down = block.body[3][0].weight if mobile else block.down[0].weight
    width = block.body[0][0].in_channels if mobile and expansion > 1 else len(down)
    hidden = round(width * expansion)
    down[:, ranks[0].argsort(descending=True)[hidden:]] = 0
    if mobile:
        depthwise = block.body[1][0].weight
        ring = (depthwise.shape[-1] - kernel) // 2
        centre = torch.zeros_like(depthwise)
        centre[..., ring : ring + kernel, ring : ring + kernel] = 1
        depthwise *= centre
        if isinstance(block.body[2], SqueezeExcitation):
            first, second = (each for each in block.body[2].scale if isinstance(each, nn.Conv2d))
            first.weight[:, ranks[0].argsort(descending=True)[hidden:]] = 0
            second.weight[:, ranks[1].argsort(descending=True)[max(2, hidden // 4) :]] = 0


@pytest.mark.parametrize("family", KNOWN, ids=lambda family: family.name)
def test_slice_computes_what_the_masked_base_computes(family: Family) -> None:
    whole, stages = of(family), SLICES[family.name]
    x = images(3, 3, 33, 33)
    network = whole.network(stages)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), masked(whole, stages)(x), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(network(x), whole.network()(x), atol=1e-3)


@pytest.mark.parametrize("family", KNOWN, ids=lambda family: family.name)
def test_slice_copied_out_is_the_network_of_its_blueprint(family: Family) -> None:
    whole, stages = of(family), SLICES[family.name]
    network, plain = whole.network(stages), whole.blueprint(stages).build().eval()
    plain.load_state_dict(network.state_dict())
    with torch.inference_mode():
        x = images(2, 3, 32, 32)
        assert torch.equal(plain(x), network(x))
        assert torch.equal(network.classifier(network.features(x)), network(x))  # type: ignore[operator]


@pytest.mark.parametrize("family", KNOWN, ids=lambda family: family.name)
def test_exported_source_computes_the_same(family: Family) -> None:
    blueprint = of(family).blueprint(SLICES[family.name], classes=3)
    imports, source = network_source(blueprint)
    names: dict[str, Any] = {}
    exec("\n".join(["from __future__ import annotations", *imports, source]), names)
    network = names[blueprint.network.partition(":")[2]](*blueprint.arguments).eval()
    ours = of(family).network(SLICES[family.name], classes=3)
    network.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        assert torch.equal(network.features(images(2, 3, 32, 32)), ours.features(images(2, 3, 32, 32)))  # type: ignore[operator]


@pytest.mark.parametrize("family", KNOWN, ids=lambda family: family.name)
def test_slice_called_by_the_bases_weights_learns_into_them_alone(family: Family) -> None:
    base, stages = of(family), family.check(SLICES[family.name])
    whole, slice_ = base.network().requires_grad_(True), base.network(stages)
    with torch.device("meta"):
        shape = base.blueprint(stages).build().eval()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    logits = Sharing(whole)(x, shape)
    assert torch.allclose(logits, slice_(x), atol=1e-5)
    logits.square().sum().backward()
    for name, value in slice_.named_parameters():  # as many places learn as the slice has
        grad = whole.get_parameter(name).grad
        assert grad is not None and 0 < int((grad != 0).sum()) <= value.numel()


def test_statistics_are_kept_of_the_base_alone() -> None:
    base = of(RESIDUAL)
    whole = base.network().train()
    before = {name: value.clone() for name, value in whole.named_buffers()}

    def moved() -> set[str]:
        return {name for name, value in whole.named_buffers() if not torch.equal(before[name], value)}

    with torch.device("meta"):
        half = base.blueprint(RESIDUAL.slice(expansion=0.5)).build().train()
        same = base.blueprint().build().train()
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    Sharing(whole)(x, half)
    assert not moved()
    Sharing(whole)(x, same)
    assert moved() == set(before)


def test_subnets_share_no_memory_with_the_base_nor_draw_random_numbers() -> None:
    whole, before = of(RESIDUAL), torch.get_rng_state()
    network, again = whole.network(classes=7), whole.network()
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert all(torch.equal(value, whole.weights[name]) for name, value in again.state_dict().items())
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_grey_images_give_what_three_equal_channels_give() -> None:
    whole, grey = of(MOBILE), images(2, 1, 32, 32)
    with torch.inference_mode():
        ours, theirs = whole.network(input_channels=1)(grey), whole.network()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert whole.normalisation(1) == ((110.0,), (60.0,))


def test_another_number_of_classes_gets_a_classifier_of_zeros() -> None:
    assert not of(LITE0).network(classes=2)(images(2, 3, 32, 32)).any()


@pytest.mark.parametrize("family", KNOWN, ids=lambda family: family.name)
def test_enlarged_network_computes_the_same_and_its_slice_is_the_old_one(family: Family) -> None:
    stages = family.slice(depth=1, kernel=3, expansion=0)
    small = of(family).network(stages)
    base = family.blueprint(family.stages, 3, 5).build().eval()
    enlarge(small, base)
    x = images(2, 3, 32, 32)
    again = Pretrained(family, base.state_dict(), (0.0,) * 3, (1.0,) * 3, 5, {}).network(stages)
    with torch.inference_mode():
        torch.testing.assert_close(base(x), small(x), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, small.state_dict()[name]) for name, value in again.state_dict().items())


def test_recalibration_finds_the_statistics_of_the_images() -> None:
    network = of(RESIDUAL).network(RESIDUAL.slice(depth=1, expansion=0.5))
    weights = {name: value.clone() for name, value in network.named_parameters()}
    x = images(12, 3, 32, 32) * 2 + 1
    recalibrate(network, x.split(6))
    convolution, norm = (network.get_submodule(f"stem.0.{place}") for place in range(2))
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    maps = convolution(x)
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), atol=1e-5, rtol=1e-5)
    assert norm.momentum == 0.1 and not network.training
    assert all(torch.equal(value, weights[name]) for name, value in network.named_parameters())


def test_refused_recalibration_leaves_the_statistics() -> None:
    network = of(RESIDUAL).network()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def short() -> Iterator[Tensor]:
        yield images(4, 3, 32, 32)
        yield images(1, 3, 32, 32)

    for batches in (short(), iter(())):
        with pytest.raises(UserError, match="recalibrate"):
            recalibrate(network, batches)
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items() if "running" in n)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (RESIDUAL.stages[:3], "3 stages; residual has 4"),
        ((*RESIDUAL.stages[:3], ()), "stage 4 of residual keeps 1 to 2"),
        ((*RESIDUAL.stages[:3], ((5, 1.0),)), "kernels of stage 4 of residual are 3"),
        ((*RESIDUAL.stages[:3], ((3, 0.6),)), "expansions of stage 4 of residual are 0.5, 0.75, 1"),
    ],
)
def test_what_is_no_slice_is_refused(stages: Stages, message: str) -> None:
    with pytest.raises(UserError, match=message):
        of(RESIDUAL).network(stages)


def test_images_are_grey_or_coloured() -> None:
    with pytest.raises(UserError, match="input channels of a pretrained network are 1, 3"):
        of(RESIDUAL).network(input_channels=4)


def test_slice_by_limits_takes_the_largest_below_or_the_least() -> None:
    assert MOBILE.slice(depth=1, kernel=5, expansion=2) == (((5, 3),) * 2,) * 5
    assert LITE0.slice(kernel=3)[3:5] == (((3, 6),) * 3, ((3, 6),) * 3)
    assert RESIDUAL.slice() == RESIDUAL.stages


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_opens(name: str) -> None:
    try:
        whole = open_family(name)
    except UserError as missing:
        pytest.skip(str(missing))
    with torch.inference_mode():
        logits = whole.network()(images(2, 3, 48, 48))
    assert logits.shape == (2, whole.classes) and logits.isfinite().all()


def test_shipped_weights_stay_small_and_tell_what_they_are() -> None:
    files = sorted(families.WEIGHTS.glob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    card = (families.WEIGHTS / "CARD.md").read_text(encoding="utf-8")
    assert "non-commercial" in card
    for path in files:
        told = open_family(path.stem).card
        assert f"## {path.stem}" in card and f"{told['steps']:,} steps" in card


def test_unknown_family_and_missing_extra_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="'vgg'; pretrained families are residual, mobilenetv3, lite0"):
        open_family("vgg")
    monkeypatch.setattr(families, "LITE0_PACKAGE", "no_such_package_here")
    with pytest.raises(UserError, match=r"extra 'photos'.*pip install 'metad2a\[photos\]'"):
        FAMILIES["lite0"]()


def test_other_file_in_the_place_of_lite0_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "LITE0_PACKAGE", "databases")
    monkeypatch.setattr(families, "LITE0_FILE", "errors.py")
    with pytest.raises(UserError, match="not the file of weights"):
        FAMILIES["lite0"]()
