"""The linear probe: logistic regression on frozen features, solved to the end, not stepped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SMALLEST_DEVIATION = 1e-6
MOST_ITERATIONS = 2000


@dataclass(frozen=True)
class Probe:
    """A linear classifier on standardised features: logit = ((x - mean) / deviation) @ w + bias.

    Attributes:
        mean: (d,) of the training rows, weighted.
        deviation: (d,) of the training rows, weighted; at least 1e-6.
        coefficients: w, (d,).
        bias: The logit at the mean.
    """

    mean: Floats
    deviation: Floats
    coefficients: Floats
    bias: float

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """Return the log-odds of normal, (n,), of feature rows (n, d)."""
        direction = self.coefficients / self.deviation
        return np.asarray(features @ direction + (self.bias - self.mean @ direction), np.float64)


def fit_probe(
    features: NDArray[np.floating],
    normal: NDArray[np.bool_],
    weights: NDArray[np.floating],
    l2: float,
) -> Probe:
    """Return the one probe of `fit_probes` for one strength."""
    return next(fit_probes(features, normal, weights, [l2]))


def fit_probes(
    features: NDArray[np.floating],
    normal: NDArray[np.bool_],
    weights: NDArray[np.floating],
    strengths: Sequence[float],
) -> Iterator[Probe]:
    """Minimise the weighted mean log loss plus l2 / 2 times the squared length of w.

    The problem is convex, so that neither a learning rate nor an order nor a seed decides, and the
    number of rows does not change what ``l2`` means. Solved by L-BFGS (scikit-learn), each strength
    from where the one before it ended.

    Args:
        features: Rows (n, d).
        normal: The class of each row, (n,); both are there.
        weights: Weight of each row in loss, mean and deviation, (n,), not all zero.
        strengths: l2, each above 0; fastest from the strongest to the weakest.

    Yields:
        The probe of each strength, in their order.
    """
    from sklearn.linear_model import LogisticRegression

    share = np.asarray(weights, np.float64) / float(np.sum(weights))
    rows = np.array(features, np.float64)
    mean = share @ rows
    rows -= mean
    deviation = np.sqrt(share @ np.square(rows))
    deviation = np.maximum(deviation, SMALLEST_DEVIATION)
    rows /= deviation
    # standardised values have no need of the other 29 bits, and take twice the time with them
    standard = rows.astype(np.float32)
    solver = LogisticRegression(tol=1e-4, max_iter=MOST_ITERATIONS, warm_start=True)
    for l2 in strengths:
        solver.set_params(C=1.0 / l2)
        solver.fit(standard, normal, sample_weight=share)
        coefficients = np.array(solver.coef_[0], np.float64)
        yield Probe(mean, deviation, coefficients, float(solver.intercept_[0]))
