"""A meta-model by its file or by what it is in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from databases.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from metad2a.recommend.model import MetaD2A

ALIASES = ("champion", "challenger")  # in MLflow's registry


def open_model(path: Path | None) -> MetaD2A:
    """The meta-model in a file, or MLflow's champion or challenger, by default the shipped one."""
    import gc

    if path is not None and (alias := str(path)) in ALIASES and not path.exists():
        from metad2a.retrain.champion import fetch

        path = fetch("champion" if alias == "champion" else "challenger")
    elif path is not None and not path.exists() and (meant := did_you_mean(alias, ALIASES)):
        raise UserError(f"no meta-model at {path}: {meant}give that, or a .safetensors file")
    gc.disable()  # torch and torch-geometric make a million lasting objects: looking through them costs seconds
    try:
        from metad2a.recommend.model import load

        return load(path)
    finally:
        gc.freeze()
        gc.enable()
