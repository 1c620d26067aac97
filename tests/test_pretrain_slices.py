"""Pretraining slices of a base, growing and cutting them, and teaching random subnets; bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_world import answer
from pretrain_world import QUICK, blobs
from torch import nn

from databases.architectures.supernets.pretrained import Stages
from metad2a.cli.pretrain import _slice
from metad2a.supernets import make
from metad2a.supernets.sampled import Sampled
from metad2a.supernets.weights import write_weights

pytestmark = pytest.mark.usefixtures("home")


def test_least_slice_is_trained_and_grown(home: Path, tmp_path: Path) -> None:
    data, small, whole = str(blobs(tmp_path / "noise.npz")), tmp_path / "small.safetensors", tmp_path / "w.safetensors"
    common = ("pretrain", data, "--hours", "0.0001", "--sides", "12", "--batch", "8", "--no-tracking")
    answer(*common, "--slice", "least", "--output", str(small))
    assert answer("pretrain", data, "--sides", "12", "--evaluate", str(small))["images"] == 6
    told = answer(*common, "--begin", str(small), "--output", str(whole))
    assert told["accuracy"] is not None and whole.is_file()
    found = answer("pretrain", data, "--sides", "8,12", "--evaluate", str(whole))
    assert set(found["accuracy"]) == {"8", "12"} and found["images"] == 6


def test_random_subnets_learn_from_a_trained_base(home: Path, tmp_path: Path) -> None:
    data, first, taught = str(blobs(tmp_path / "noise.npz")), tmp_path / "w.safetensors", tmp_path / "t.safetensors"
    common = ("pretrain", data, "--hours", "0.0005", "--sides", "12", "--batch", "8", "--no-tracking")
    answer(*common, "--output", str(first))
    assert answer(*common, "--begin", str(first), "--subnets", "--output", str(taught))["accuracy"] is not None
    before, after = (make.read_base(str(each)) for each in (first, taught))
    assert "by random subnets" in after.card["how"]
    assert any(not torch.equal(before.weights[name], after.weights[name]) for name in before.weights)


WHOLE = ((7, 6),) * 4


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("4,3,6", (((3, 6),) * 4,) * 5),
        ("3,5,4", (((5, 4),) * 3,) * 5),
        ("9,9,9", (WHOLE,) * 5),
        ("least", (((3, 3),) * 2,) * 5),
        (", ".join([*[" ".join(["7x7e6"] * 4)] * 4, "3x3e4 5x5e3"]), ((WHOLE,) * 4 + (((3, 4), (5, 3)),))),
    ],
)
def test_a_slice_is_the_least_within_limits_or_a_subnet(text: str, stages: Stages) -> None:
    assert _slice(text, make.KNOWN["mobilenetv3"]) == stages


@pytest.mark.parametrize("begun", ["least", "2,3,0.75", "2,3,1"])
@pytest.mark.parametrize("asked", ["least", "2,3,0.75", None])
def test_what_is_trained_begins_with_a_smaller_or_a_larger_slice(begun: str, asked: str | None, tmp_path: Path) -> None:
    family, path = make.KNOWN["residual"], tmp_path / "w.safetensors"
    part = _slice(begun, family)
    first = make.Job(family, QUICK, part).network(3).eval()
    write_weights(path, first, {"family": "residual", "classes": "abc", "stages": part, "mean": [0], "scale": [1]})
    job = make.Job(family, QUICK, None if asked is None else _slice(asked, family), path)
    network, x = job.network(3).eval(), torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert all(each.requires_grad for each in network.parameters())
    grown = all(len(few) <= len(many) and few <= many for few, many in zip(part, job.stages, strict=True))
    with torch.inference_mode():
        assert network(x).shape == (2, 3)
        if grown:
            torch.testing.assert_close(network(x), first(x), atol=2e-3, rtol=2e-2)  # kept in half precision


def test_random_subnets_keep_within_the_slice_that_is_trained() -> None:
    family = make.KNOWN["mobilenetv3"]
    most = family.slice(depth=3, kernel=5, expansion=4)
    sampled = Sampled(family, most, nn.Identity(), 2)
    drawn = [sampled.stages(seed) for seed in range(60)]
    assert most in drawn and len(set(drawn)) > 30
    for stages in drawn:
        assert family.check(stages) == stages and all(len(blocks) <= 3 for blocks in stages)
        assert all(kernel <= 5 and wide <= 4 for blocks in stages for kernel, wide in blocks)
