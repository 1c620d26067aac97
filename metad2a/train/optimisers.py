"""Optimisers of torch's that leave its compiler alone: importing it costs a process a second and 70 MB.

Torch's own tell the compiler what it must not compile, whether or not anything is compiled; nothing of ours is. Their
methods run here without that. Where a torch says so in another way one day, they are as it made them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer


class _Plain(Optimizer):
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _bare(super().add_param_group)(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        _bare(super().zero_grad)(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = _bare(super().state_dict)()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        _bare(super().load_state_dict)(state_dict)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            loss: float | None = _bare(super().step)(closure)
        return loss


def _bare(method: Any) -> Callable[..., Any]:
    """A bound method without what torch put around it."""
    return partial(inspect.unwrap(method.__func__), method.__self__)


class SGD(_Plain, torch.optim.SGD):
    """`torch.optim.SGD`."""


class Adam(_Plain, torch.optim.Adam):
    """`torch.optim.Adam`."""


class AdamW(_Plain, torch.optim.AdamW):
    """`torch.optim.AdamW`."""
