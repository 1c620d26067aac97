"""The surrogates among which NSGANetV2 switches: whichever ranks left-out subnets best is used until more are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture
from databases.architectures.spaces.subnets import Subnets
from databases.hosting import importing
from predictors.metrics import kendall_tau

Values = npt.NDArray[np.float64]
FOLDS = 5
PLACES = 2  # numbers for each block: kernel and expansion


class Surrogate(Protocol):
    """A regression."""

    def predict(self, x: Values) -> Values:
        """(n, d) -> (n,)."""


def encoded(space: Subnets, subnets: Sequence[Architecture]) -> Values:
    """(n, d): kernel and expansion of each place for a block, as shares of the base's; zero where there is none."""
    whole = space.family.stages
    rows = np.zeros((len(subnets), sum(map(len, whole)), PLACES))
    for row, subnet in zip(rows, subnets, strict=True):
        begin = 0
        for blocks, most in zip(space.stages(subnet), whole, strict=True):
            for place, (block, largest) in enumerate(zip(blocks, most, strict=False)):
                row[begin + place] = np.array(block) / np.array(largest)
            begin += len(most)
    return rows.reshape(len(subnets), -1)


def surrogates() -> Mapping[str, Callable[[Values, Values], Surrogate]]:
    """Name -> what fits it to (n, d) and (n,)."""
    with importing():
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, WhiteKernel
        from sklearn.neural_network import MLPRegressor
        from sklearn.tree import DecisionTreeRegressor

    return {
        "CART": lambda x, y: DecisionTreeRegressor(min_samples_leaf=2, random_state=0).fit(x, y),
        "GP": lambda x, y: GaussianProcessRegressor(
            2.0 * RBF(2.0, "fixed") + WhiteKernel(0.1, "fixed"), normalize_y=True
        ).fit(x, y),
        "MLP": lambda x, y: MLPRegressor(
            hidden_layer_sizes=(32,), solver="lbfgs", alpha=0.1, max_iter=50, random_state=0
        ).fit(x, y),
        "RBF": _RBF,
    }


class _RBF:
    """Radial basis functions through the points, nearly."""

    def __init__(self, x: Values, y: Values) -> None:
        from scipy.interpolate import RBFInterpolator

        self._predict = RBFInterpolator(x, y, kernel="linear", smoothing=0.1, degree=0)

    def predict(self, x: Values) -> Values:
        """(n, d) -> (n,)."""
        found: Values = self._predict(x)
        return found


def switched(x: Values, y: Values) -> tuple[str, Surrogate, dict[str, float]]:
    """The surrogate that ranks left-out rows of x (n, d) and y (n,) best, fitted to all; and Kendall's tau of each."""
    folds = np.random.default_rng(0).permutation(len(y)) % min(FOLDS, len(y))
    taus = {}
    for name, fit in surrogates().items():
        told = np.zeros(len(y))
        for fold in range(int(folds.max()) + 1):
            out = folds == fold
            told[out] = _fitted(fit, x[~out], y[~out]).predict(x[out])
        taus[name] = kendall_tau(told, y)
    best = max(taus, key=lambda name: taus[name])
    return best, _fitted(surrogates()[best], x, y), taus


def _fitted(fit: Callable[[Values, Values], Surrogate], x: Values, y: Values) -> Surrogate:
    """Fitted without a word of warning: a network that did not converge is judged by its ranking like the others."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(x, y)
