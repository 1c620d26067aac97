"""A found network as MLflow runs it: MLflow keeps a copy of this file with the model, and needs no metad2a for it.

Pictures come as uint8 (n, h, w, 1 or 3); what goes out is a table with a row for each picture and a column for each
class, which holds its probability.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class FoundNetwork(PythonModel):
    """The exported `model.py`, asked by MLflow."""

    def load_context(self, context: Any) -> None:
        """Runs the program and reads the weights that lie beside it."""
        path = Path(context.artifacts["program"])
        spec = spec_from_file_location("metad2a_found_network", path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path} is no Python file")
        self._program = module_from_spec(spec)
        spec.loader.exec_module(self._program)
        self._network = self._program.load(path.parent)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints as rules
        """The probability of each class, a row for each picture."""
        images = np.asarray(model_input, dtype=np.uint8)
        return pd.DataFrame(self._network.probabilities(images).numpy(), columns=list(self._program.CLASS_NAMES))


mlflow.models.set_model(FoundNetwork())
