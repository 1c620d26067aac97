"""The meta-model as MLflow runs it: archives of labelled images in, ranked networks out. Needs metad2a installed.

Each row names a file and holds its bytes: a zip of class folders, or an .npz file. What goes out is one table, whose
column ``row`` tells which archive a network is for.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class ServedMetaModel(PythonModel):
    """`metad2a recommend` in the space of cells, asked by MLflow."""

    def load_context(self, context: Any) -> None:
        """Reads the weights."""
        from metad2a.recommend.model import load

        self._model = load(context.artifacts["weights"])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints as rules
        """The best networks for each archive, the best first."""
        given = model_input.to_dict("records")
        rows = [
            {"row": number, "rank": rank, **network}
            for number, each in enumerate(given)
            for rank, network in enumerate(self._ranked(each, params or {}), start=1)
        ]
        return pd.DataFrame(rows)

    def _ranked(self, asked: dict[str, Any], params: dict[str, Any]) -> list[dict[str, Any]]:
        from databases.datasets.loading import load_task

        with TemporaryDirectory() as folder:
            path = Path(folder) / Path(asked["name"]).name
            path.write_bytes(asked["archive"])
            groups = str(params.get("groups", "auto"))
            task = load_task(path, seed=int(params.get("seed", 0)), looking=True, groups=groups)
        named = {name: params[name] for name in ("top", "recipe", "seed") if name in params}
        told = self._model.recommend(task, **named).to_json()["candidates"]
        return [_plain(each) for each in told]


def _plain(candidate: dict[str, Any]) -> dict[str, Any]:
    """What stands in one row of a table."""
    low, high = candidate["interval"] or (None, None)
    names = ("architecture", "expected_accuracy", "parameters", "flops", "expected_seconds")
    return {**{name: candidate[name] for name in names}, "low": low, "high": high}


mlflow.models.set_model(ServedMetaModel())
