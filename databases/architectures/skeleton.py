"""What surrounds a searched architecture, and how a network is made: plain values, written down by an export."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Skeleton:
    """What surrounds the searched cell: width, depth, input channels and number of classes."""

    channels: int = 16
    cells: int = 5
    input_channels: int = 3
    classes: int = 10


@dataclass(frozen=True)
class Blueprint:
    """How a network is made: ``network`` called with the ``arguments``; an export writes both down as text.

    Args:
        network: module and class within `databases.architectures.networks`, such as ``cells:CellNetwork``, which need
            torch alone.
        arguments: plain values, and dataclasses of them.
    """

    network: str
    arguments: tuple[object, ...]

    def build(self) -> nn.Module:
        """The network, with fresh weights."""
        module, name = self.network.split(":")
        made: nn.Module = getattr(import_module(f"databases.architectures.networks.{module}"), name)(*self.arguments)
        return made
