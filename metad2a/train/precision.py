"""Where half precision is faster: on CUDA, and for convolutions over all channels on processors with bfloat16."""

from __future__ import annotations

import torch
from torch import nn

BFLOAT16 = ("amx_bf16", "avx512_bf16")
CPU = torch.device("cpu")


def half(network: nn.Module, place: torch.device = CPU) -> torch.autocast:
    """The context in which a network is fastest there: bfloat16, or none.

    Measured with AVX-512: a plain residual network trains 1.7 times as fast and infers 2.3 times as fast, one of
    depthwise convolutions is slower.
    """
    plain = all(each.groups == 1 for each in network.modules() if isinstance(each, nn.Conv2d))
    able = torch.cpu.get_capabilities()
    here = plain and any(able.get(name, False) for name in BFLOAT16)
    return torch.autocast(place.type, torch.bfloat16, enabled=here if place.type == "cpu" else place.type == "cuda")
