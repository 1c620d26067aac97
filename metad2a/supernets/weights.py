"""Weights of a pretrained network as a file: half precision, statistics in single, a card in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from databases import checkpoint
from databases.architectures.supernets.families import FORM


def write_weights(path: Path, network: nn.Module, card: Mapping[str, Any]) -> str:
    """Writes the network's weights; the card holds at least mean, scale and the names of the classes.

    Returns:
        The first 16 hex digits of the file's sha256.
    """
    kept: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        plain = value.detach().to("cpu", memory_format=torch.preserve_format)
        kept[name] = plain.float() if "running" in name else plain.half()
    return checkpoint.save(path, kept, card, form=FORM)
