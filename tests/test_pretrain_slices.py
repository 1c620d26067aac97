"""Pretraining slices of a base, growing and cutting them, and teaching random subnets; bad input."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_world import answer
from pretrain_world import QUICK, blobs
from torch import nn
from torch.nn.functional import cross_entropy

from databases.architectures.supernets.inherit import Sharing, enlarge, inherit
from databases.architectures.supernets.pretrained import Stages
from metad2a.cli.pretrain import _slice
from metad2a.supernets import make
from metad2a.supernets.sampled import Sampled
from metad2a.supernets.weights import write_weights
from metad2a.train.precision import half

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
    whole = make.Job(family, QUICK).network(3)
    enlarge(first, whole)
    cut = make.Job(family, QUICK, job.stages).network(3).eval()
    inherit(whole, cut)  # grown to the whole, then cut to what is asked
    grown = family.slice(depth=2, expansion=1.0) == job.stages or begun == (asked or "2,3,1") or begun == "least"
    with torch.inference_mode():
        torch.testing.assert_close(network(x), cut(x), atol=2e-3, rtol=2e-2)  # kept in half precision
        if grown:
            torch.testing.assert_close(network(x), first(x), atol=2e-3, rtol=2e-2)


def test_a_random_subnet_learns_by_the_base_s_weights_half_from_labels_half_from_a_frozen_teacher() -> None:
    family, generator = make.KNOWN["residual"], torch.Generator().manual_seed(0)
    base = make.Job(family, QUICK).network(3).train()
    began = copy.deepcopy(base).eval()
    sampled = Sampled(family, family.stages, base, 3)
    with torch.no_grad():
        for each in base.parameters():
            each.add_(0.05 * torch.randn(each.shape, generator=generator))  # the base learns on, its teacher stays
    x, labels = torch.randn(8, 3, 16, 16, generator=generator), torch.arange(8) % 3
    seed = next(each for each in range(200) if all(len(blocks) == 1 for blocks in sampled.stages(each)))
    loss = sampled.loss(Sharing(base), x, labels, seed, 0.1)
    subnet = make.Job(family, QUICK, sampled.stages(seed)).network(3).train()
    inherit(base, subnet)
    with half(base):
        logits, told = subnet(x).float(), began(x).detach().float().softmax(1)
    by_labels, by_teacher = cross_entropy(logits, labels, label_smoothing=0.1), cross_entropy(logits, told)
    torch.testing.assert_close(loss, (by_labels + by_teacher) / 2)
    loss.backward()
    learns = {name for name, each in base.named_parameters() if each.grad is not None and each.grad.any()}
    assert any(".0." in name for name in learns) and not any(name.startswith("stages.0.1.") for name in learns)
    assert all(each.grad is None for each in sampled.teacher.parameters())


def test_the_whole_learns_a_quarter_of_the_batches() -> None:
    family = make.KNOWN["residual"]
    sampled = Sampled(family, family.stages, nn.Identity(), 2)
    share = np.mean([sampled.stages(seed) == family.stages for seed in range(800)])
    assert 0.2 < share < 0.32


def test_random_subnets_keep_within_the_slice_that_is_trained() -> None:
    family = make.KNOWN["mobilenetv3"]
    most = family.slice(depth=3, kernel=5, expansion=4)
    sampled = Sampled(family, most, nn.Identity(), 2)
    drawn = [sampled.stages(seed) for seed in range(60)]
    assert most in drawn and len(set(drawn)) > 30
    for stages in drawn:
        assert family.check(stages) == stages and all(len(blocks) <= 3 for blocks in stages)
        assert all(kernel <= 5 and wide <= 4 for blocks in stages for kernel, wide in blocks)
