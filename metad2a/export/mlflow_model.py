"""A found network as an MLflow model: a folder that `mlflow models serve` and `mlflow.pyfunc.load_model` take."""

from __future__ import annotations

import re
from pathlib import Path

from databases.errors import UserError
from metad2a.export.export import Exported
from metad2a.export.program import load_program
from metad2a.runtime.mlflow_models import takes_pictures, write_model
from metad2a.runtime.tracking import Tracker

FOLDER = "mlflow"
_NAME = re.compile(r"[\w. -]{1,100}")
_CODE = Path(__file__).with_name("served_network.py")


def export_mlflow(exported: Exported) -> Path:
    """Writes the folder ``mlflow`` beside the weights and the program of a network, replacing an earlier one.

    Raises UserError where that cannot be written.
    """
    classes = tuple(load_program(exported.folder).CLASS_NAMES)
    return write_model(
        exported.folder / FOLDER,
        code=_CODE,
        files={"program": exported.program, "weights": exported.weights},
        signature=takes_pictures(classes),
        packages=("torch", "numpy", "pandas"),
    )


def check_model_name(name: str) -> None:
    """Raises UserError for what MLflow's registry takes for no name."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"given --register {name[:80]!r}; allowed are names of letters, digits and _ . - and spaces; give another"
        )


def register_network(folder: Path, name: str, run: str) -> str:
    """Makes the MLflow model in ``folder`` a new version of ``name`` in MLflow's registry; returns its address.

    Raises UserError where the name is none, and where MLflow cannot be used.
    """
    check_model_name(name)
    with Tracker(required=True).run(run, "export") as tracked:
        return f"models:/{name}/{tracked.register(folder, name)}"
