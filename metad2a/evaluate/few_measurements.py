"""What a few measured cells of a published table add to the order of all: ours, and other families of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from databases.architectures.space import Architecture, FiniteSpace, finite_space
from databases.records.benchmark_table import BenchmarkTable
from predictors.adaptation import adapt_order, displacement, normal_scores
from predictors.metrics import kendall_tau
from predictors.rivals import TREES, cell_features
from predictors.scale import to_logit

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
MEASURED = (5, 20, 78)
TARGETS = {0: 0.84, 5: 0.85, 20: 0.855, 78: 0.865}
SEED_AGAINST_SEED = 0.887  # Kendall tau of two training seeds of NAS-Bench-201's table, CIFAR-100, validation
DRAWS = 20
ONE_HOT = 30  # the first columns of the graph features tell the operations of the six edges
OURS = "ours: process on the embedding"
OPERATIONS, GRAPH, ORDERS = (
    "process on the operations",
    "process on graph features",
    "linear in the orders of all recipes",
)
FOREST, TOLD = "forest", "forest, told our prediction"
METHODS = (OURS, OPERATIONS, GRAPH, ORDERS, FOREST, TOLD)


def few_measurements(
    table: BenchmarkTable,
    prior: Values,
    embeddings: Values,
    zero_cost: Mapping[str, Mapping[str, float]],
    orders: Values,
    *,
    draws: int = DRAWS,
    measured: Sequence[int] = MEASURED,
) -> dict[str, Any]:
    """Kendall tau with the test accuracy of every cell after random ones were measured: mean over draws and range.

    What is measured is the validation accuracy. The forests learn from graph features and the zero-cost scores; the
    processes and the linear model correct the prediction, the processes with the constants that were chosen for ours.

    Args:
        table: of one task.
        prior: (classes,) predicted.
        embeddings: (classes, d).
        zero_cost: score -> architecture -> published value.
        orders: (classes, recipes) predicted for every recipe.
        draws: how often the cells are drawn anew.
        measured: how many of them.
    """
    chosen = finite_space("nasbench201")
    numbers = np.array([chosen.class_number(each) for each in table.architectures])
    inputs, graph = _inputs(chosen, table.architectures, zero_cost), cell_features(chosen.classes)
    places = {OURS: embeddings, OPERATIONS: _units(graph[:, :ONE_HOT]), GRAPH: _units(graph)}

    def ranked(method: str, rows: Rows) -> Values:
        """One score for each cell, from those of the measured ones."""
        if method in (FOREST, TOLD):
            return _forest(inputs if method == FOREST else np.column_stack([inputs, prior[numbers]]), table.valid, rows)
        measured, values = numbers[rows], table.valid[rows]
        of_classes = (
            _linear(prior, orders, measured, values)
            if method == ORDERS
            else adapt_order(prior, places[method], measured, values)
        )
        return np.asarray(of_classes[numbers])

    drawn = {n: [_draw(len(numbers), n, seed) for seed in range(draws)] for n in measured}
    found: dict[str, Any] = {"0": {OURS: _summary([kendall_tau(prior[numbers], table.test)])}}
    for n, cells in drawn.items():
        taus = {method: [kendall_tau(ranked(method, rows), table.test) for rows in cells] for method in METHODS}
        found[str(n)] = {method: _summary(values) for method, values in taus.items()}
    return found


def _draw(cells: int, count: int, seed: int) -> Rows:
    return np.random.default_rng([seed, count]).choice(cells, count, replace=False)


def _inputs(chosen: FiniteSpace, cells: Sequence[Architecture], zero_cost: Mapping[str, Mapping[str, float]]) -> Values:
    """(n, d): graph features of the cells, and their ranks by each zero-cost score, missing ones lowest."""
    columns = [np.array([values.get(str(each), -np.inf) for each in cells]) for values in zero_cost.values()]
    ranks = [rankdata(np.where(np.isfinite(each), each, -np.inf)) for each in columns]  # synflow exceeds float32
    return np.column_stack([cell_features(cells), *ranks])


def _units(columns: Values) -> Values:
    """Columns less their mean, in units of their spread."""
    found: Values = (columns - columns.mean(0)) / (columns.std(0) + 1e-9)
    return found


def _linear(prior: Values, orders: Values, rows: Rows, values: Values) -> Values:
    """The prediction and what Bayesian ridge regression (MacKay, 1992) on the orders of all recipes adds, (n,)."""
    from sklearn.linear_model import BayesianRidge

    scores = normal_scores(prior)
    inputs = np.stack([normal_scores(each) for each in orders.T], axis=1)
    found: Values = BayesianRidge().fit(inputs[rows], displacement(scores[rows], values)).predict(inputs)
    return scores + found


def _forest(inputs: Values, valid: Values, rows: Rows) -> Values:
    """What a random forest (Breiman, 2001) fitted on these rows says of all, (n,)."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(TREES, random_state=0).fit(inputs[rows], to_logit(valid[rows]))
    found: Values = forest.predict(inputs)
    return found


def _summary(taus: Sequence[float]) -> dict[str, Any]:
    return {"tau": float(np.mean(taus)), "range": [min(taus), max(taus)], "draws": len(taus)}
