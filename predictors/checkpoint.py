"""Checkpoints of the predictors: which forms there are and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databases import checkpoint
from databases.checkpoint import VERSION, digest

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

META_MODEL, LATENCY_MODEL = "metad2a-meta-model", "metad2a-latency-model"
_ORIGIN = {
    META_MODEL: "give a .safetensors file that `metad2a retrain` wrote",
    LATENCY_MODEL: "it comes with metad2a, install it again",
}
__all__ = ["LATENCY_MODEL", "META_MODEL", "VERSION", "digest", "load", "load_arrays", "part", "save"]


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, form: str = META_MODEL) -> str:
    """Writes tensors and header at once (or not at all); returns the first 16 hex digits of the file's sha256."""
    return checkpoint.save(path, tensors, header, form=form)


def load(path: Path, *, form: str = META_MODEL) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header; raises `UserError` for a missing, corrupt, foreign or newer file."""
    return checkpoint.load(path, form=form, origin=_ORIGIN[form])


def load_arrays(path: Path, *, form: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """As `load`, without torch."""
    return checkpoint.load_arrays(path, form=form, origin=_ORIGIN[form])


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
