"""What a few measured cells of a published table add to the order of all, beside forests fitted on the same cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from databases.architectures.architecture import Architecture, FiniteSpace
from databases.architectures.spaces import finite_space
from metad2a.benchmark_table import BenchmarkTable
from metad2a.rivals import TREES, cell_features
from predictors.adaptation import adapt_order
from predictors.metrics import kendall_tau
from predictors.scale import to_logit

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
MEASURED = (5, 20, 78)
TARGETS = {0: 0.84, 5: 0.85, 20: 0.855, 78: 0.865}
SEED_AGAINST_SEED = 0.887  # Kendall tau of two training seeds of NAS-Bench-201's table, CIFAR-100, validation
DRAWS = 20
OURS, FOREST, TOLD = "ours", "forest", "forest, told our prediction"


def few_measurements(
    table: BenchmarkTable,
    prior: Values,
    embeddings: Values,
    zero_cost: Mapping[str, Mapping[str, float]],
    *,
    draws: int = DRAWS,
    measured: Sequence[int] = MEASURED,
) -> dict[str, Any]:
    """Kendall tau with the test accuracy of every cell after random ones were measured: mean over draws and range.

    What is measured is the validation accuracy. The forests learn from graph features and the zero-cost scores.

    Args:
        table: of one task.
        prior: (classes,) predicted.
        embeddings: (classes, d).
        zero_cost: score -> architecture -> published value.
        draws: how often the cells are drawn anew.
        measured: how many of them.
    """
    chosen = finite_space("nasbench201")
    numbers = np.array([chosen.class_number(each) for each in table.architectures])
    inputs = _inputs(chosen, table.architectures, zero_cost)

    def ours(rows: Rows) -> Values:
        found: Values = adapt_order(prior, embeddings, numbers[rows], table.valid[rows])[numbers]
        return found

    ways: dict[str, Callable[[Rows], Values]] = {
        OURS: ours,
        FOREST: lambda rows: _forest(inputs, table.valid, rows),
        TOLD: lambda rows: _forest(np.column_stack([inputs, prior[numbers]]), table.valid, rows),
    }
    drawn = {n: [_draw(len(numbers), n, seed) for seed in range(draws)] for n in measured}
    found: dict[str, Any] = {"0": {OURS: _summary([kendall_tau(prior[numbers], table.test)])}}
    for n, cells in drawn.items():
        taus = {name: [kendall_tau(way(rows), table.test) for rows in cells] for name, way in ways.items()}
        found[str(n)] = {name: _summary(values) for name, values in taus.items()}
    return found


def _draw(cells: int, count: int, seed: int) -> Rows:
    return np.random.default_rng([seed, count]).choice(cells, count, replace=False)


def _inputs(chosen: FiniteSpace, cells: Sequence[Architecture], zero_cost: Mapping[str, Mapping[str, float]]) -> Values:
    """(n, d): graph features of the cells, and their ranks by each zero-cost score, missing ones lowest."""
    columns = [np.array([values.get(str(each), -np.inf) for each in cells]) for values in zero_cost.values()]
    ranks = [rankdata(np.where(np.isfinite(each), each, -np.inf)) for each in columns]  # synflow exceeds float32
    return np.column_stack([cell_features(cells), *ranks])


def _forest(inputs: Values, valid: Values, rows: Rows) -> Values:
    """What a random forest (Breiman, 2001) fitted on these rows says of all, (n,)."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(TREES, random_state=0).fit(inputs[rows], to_logit(valid[rows]))
    found: Values = forest.predict(inputs)
    return found


def _summary(taus: Sequence[float]) -> dict[str, Any]:
    return {"tau": float(np.mean(taus)), "range": [min(taus), max(taus)], "draws": len(taus)}
