"""Multinomial logistic regression on features, its L2 penalty chosen on the validation part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

Floats: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[np.int64]

PENALTIES = (1.0, 0.25, 0.06, 0.015, 0.004, 0.001)  # half of it times the squared weights, a training image
USUAL_PENALTY = 0.06  # where no validation image chooses
STEPS = 40  # of L-BFGS for each penalty, which begins where the last one ended
SPREAD = 1e-3  # added to the spread of a feature: a constant one tells nothing


@dataclass(frozen=True)
class Linear:
    """A classifier of raw features: logits = features @ weight.T + bias.

    Attributes:
        weight: (classes, d) float32. bias: (classes,) float32.
        penalty: the one that was chosen.
    """

    weight: Floats
    bias: Floats
    penalty: float

    def logits(self, features: Floats) -> Floats:
        """(n, d) -> (n, classes)."""
        found: Floats = features @ self.weight.T + self.bias
        return found


def fit(
    features: Floats,
    labels: Labels,
    classes: int,
    *,
    valid: tuple[Floats, Labels] | None = None,
    penalty: float | None = None,
    begin: Linear | None = None,
) -> Linear:
    """The regression of ``labels`` (n,) on ``features`` (n, d) with the penalty that ``valid`` likes best.

    Penalties are tried from strong to weak, each beginning at the weights of the one before, until the validation
    log-loss has risen twice. Without validation images, ``penalty`` or a usual one is taken, at once where it is known
    where to ``begin``: with the weights that were found for other images. Features are standardised inside, and the
    standardisation is folded into the weights.
    """
    center, spread = features.mean(0), features.std(0) + SPREAD
    x = torch.from_numpy((features - center) / spread)
    y = torch.from_numpy(labels)
    asked = None if valid is None or not len(valid[1]) else ((valid[0] - center) / spread, valid[1])
    weights = np.zeros((classes, features.shape[1] + 1))
    if begin is not None:
        weights = np.column_stack([begin.weight * spread, begin.bias + begin.weight @ center]).astype(np.float64)
    best, least, rises = (weights, USUAL_PENALTY), np.inf, 0
    usual = USUAL_PENALTY if penalty is None else penalty
    for each in PENALTIES if asked else _path(usual) if begin is None else [usual]:
        weights = _minimum(x, y, weights, each)
        loss = _log_loss(*asked, weights) if asked else -1 / each
        rises = 0 if loss < least else rises + 1
        if loss < least:
            best, least = (weights, each), loss
        if rises == 2:
            break
    scaled = best[0][:, :-1] / spread
    bias = best[0][:, -1] - scaled @ center
    return Linear(scaled.astype(np.float32), bias.astype(np.float32), best[1])


def of_layer(layer: object, penalty: float) -> Linear:
    """The classifier that a linear layer of torch is."""
    if not isinstance(layer, torch.nn.Linear):
        raise TypeError(f"given {type(layer).__name__}; allowed is a linear layer")
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return Linear(weight, bias, penalty)


def _path(penalty: float) -> list[float]:
    """Stronger penalties on the way to this one."""
    return [each for each in PENALTIES if each > penalty] + [penalty]


def log_loss(logits: npt.NDArray[np.floating], labels: Labels) -> float:
    """Mean negative log probability of the right classes; (n, classes), (n,)."""
    return float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)))


def _log_loss(features: Floats, labels: Labels, weights: npt.NDArray[np.float64]) -> float:
    return log_loss(features @ weights[:, :-1].T + weights[:, -1], labels)


def _minimum(x: Tensor, y: Tensor, begin: npt.NDArray[np.float64], penalty: float) -> npt.NDArray[np.float64]:
    """The weights (classes, d + 1), bias last, at which penalised mean log-loss is least.

    Classes come first everywhere: for few of them products with (n, d) features are several times as fast so.
    """
    shape, columns = begin.shape, torch.arange(len(y))

    def loss_and_slope(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = torch.from_numpy(flat.reshape(shape)).float()
        inner = weights[:, :-1].contiguous()
        found = torch.log_softmax(torch.addmm(weights[:, -1:], inner, x.T), 0)  # (classes, n)
        loss = -found[y, columns].mean() + 0.5 * penalty * inner.square().sum()
        residual = found.exp_()
        residual[y, columns] -= 1
        residual /= len(y)
        slope = torch.cat([residual @ x + penalty * inner, residual.sum(1, keepdim=True)], 1)
        return float(loss), slope.double().numpy().ravel()

    found = minimize(loss_and_slope, begin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    ended: npt.NDArray[np.float64] = found.x.reshape(shape)
    return ended
