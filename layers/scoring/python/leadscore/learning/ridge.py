"""What several criteria are worth together: a logistic regression, held back a little where the data is thin.

Sparse rows and dense algebra over the criteria alone: the work goes by distinct patterns and by the cube of the number
of criteria, which is fine up to a hundred. Invariant: the penalty makes the minimum exist and be the only one, so that
a criterion that separates perfectly, or two that always hold together, have finite coefficients.
"""

from __future__ import annotations

from math import exp, log1p, sqrt
from typing import TYPE_CHECKING, NamedTuple

from leadscore.learning.calibration import logistic, logit

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_STEPS = 50
_CONVERGED = 1e-8
_ROUNDING = 1e-13


class Row(NamedTuple):
    """Leads that share their features: (place, amount), places ascending and each once; what is absent is 0.

    `offset` is the part of their log-odds that is taken as known.
    """

    features: tuple[tuple[int, float], ...]
    leads: int
    conversions: int
    offset: float = 0.0


class JointFit(NamedTuple):
    """Log-odds = offset + intercept + sum of coefficient * feature; `errors` are the coefficients' standard errors."""

    intercept: float
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]


_Matrix = list[list[float]]


def fit_jointly(rows: Sequence[Row], width: int, ridge: float = 1.0) -> JointFit | None:
    """Return the coefficients of `width` features; None where all leads convert or none.

    Ridge logistic regression (le Cessie and van Houwelingen 1992, Applied Statistics 41) by iteratively re-weighted
    least squares; the errors are of the inverse of the penalised information. `ridge` is the penalty on half the square
    of a coefficient per standard deviation of its feature: 1 is as much as four leads at even odds would say.
    """
    leads, conversions = sum(row.leads for row in rows), sum(row.conversions for row in rows)
    if not 0 < conversions < leads:
        return None
    scales = _deviations(rows, width, leads)
    # The intercept is the last of the parameters, as a feature that is 1 for all leads.
    scaled = [
        row._replace(features=(*[(place, x / scales[place]) for place, x in row.features], (width, 1.0)))
        for row in rows
    ]
    penalties = [ridge] * width + [0.0]
    weights = [0.0] * width + [logit(conversions / leads)]
    weights = _minimise(scaled, weights, penalties)
    _, factor = _derivatives(scaled, weights, penalties)
    errors = [sqrt(variance) for variance in _inverse_diagonal(factor)]
    return JointFit(
        weights[width],
        tuple(weight / scale for weight, scale in zip(weights, scales, strict=False)),
        tuple(error / scale for error, scale in zip(errors, scales, strict=False)),
    )


def _deviations(rows: Sequence[Row], width: int, leads: int) -> list[float]:
    """Return the standard deviation of each feature; 1 for one that is the same for all leads."""
    sums, squares = [0.0] * width, [0.0] * width
    for row in rows:
        for place, x in row.features:
            sums[place] += x * row.leads
            squares[place] += x * x * row.leads
    variances = [square / leads - (total / leads) ** 2 for total, square in zip(sums, squares, strict=True)]
    return [sqrt(variance) if variance > _CONVERGED else 1.0 for variance in variances]


def _minimise(rows: Sequence[Row], weights: list[float], penalties: Sequence[float]) -> list[float]:
    loss = _loss(rows, weights, penalties)
    for _ in range(_MOST_STEPS):
        gradient, factor = _derivatives(rows, weights, penalties)
        step = _solve(factor, gradient)
        if max(abs(by) for by in step) < _CONVERGED:
            break
        moved = [weight - by for weight, by in zip(weights, step, strict=True)]
        # Near the minimum the loss differs by its rounding alone.
        while (stepped := _loss(rows, moved, penalties)) > loss * (1 + _ROUNDING):
            step = [by / 2 for by in step]
            moved = [weight - by for weight, by in zip(weights, step, strict=True)]
        weights, loss = moved, stepped
    return weights


def _loss(rows: Sequence[Row], weights: Sequence[float], penalties: Sequence[float]) -> float:
    total = sum([penalty * weight * weight for penalty, weight in zip(penalties, weights, strict=True)]) / 2
    for features, leads, conversions, offset in rows:
        odds = offset + sum([weights[place] * x for place, x in features])
        total += leads * (max(odds, 0.0) + log1p(exp(-abs(odds)))) - conversions * odds
    return total


def _derivatives(
    rows: Sequence[Row], weights: Sequence[float], penalties: Sequence[float]
) -> tuple[list[float], _Matrix]:
    """Return the gradient, and the Cholesky factor of the matrix of second derivatives."""
    gradient = [penalty * weight for penalty, weight in zip(penalties, weights, strict=True)]
    second = [[0.0] * (place + 1) for place in range(len(weights))]
    for place, penalty in enumerate(penalties):
        second[place][place] = penalty
    for features, leads, conversions, offset in rows:
        p = logistic(offset + sum([weights[place] * x for place, x in features]))
        difference, weight = leads * p - conversions, leads * p * (1 - p)
        for nth, (place, x) in enumerate(features):
            gradient[place] += difference * x
            line, weighted = second[place], weight * x
            for other, y in features[: nth + 1]:
                line[other] += weighted * y
    return gradient, _cholesky(second)


def _cholesky(matrix: _Matrix) -> _Matrix:
    """Return the lower triangle L with L L' = `matrix`, itself a lower triangle of a positive definite one."""
    factor: _Matrix = []
    for line in matrix:
        built: list[float] = []
        for place, entry in enumerate(line):
            above = factor[place] if place < len(factor) else built
            rest = entry - sum([x * y for x, y in zip(built, above, strict=False)])
            built.append(sqrt(rest) if place == len(factor) else rest / above[place])
        factor.append(built)
    return factor


def _solve(factor: _Matrix, right: Sequence[float]) -> list[float]:
    solved: list[float] = []
    for line, entry in zip(factor, right, strict=True):
        solved.append((entry - sum([x * y for x, y in zip(line, solved, strict=False)])) / line[-1])
    for place in reversed(range(len(solved))):
        solved[place] /= factor[place][place]
        for above in range(place):
            solved[above] -= factor[place][above] * solved[place]
    return solved


def _inverse_diagonal(factor: _Matrix) -> list[float]:
    """Return the diagonal of the inverse of the matrix with this Cholesky factor."""
    size = len(factor)
    # Column by column of the inverse of the factor; a variance is the square of its column's length.
    diagonal = []
    for column in range(size):
        inverse = [0.0] * size
        for place in range(column, size):
            known = sum([factor[place][k] * inverse[k] for k in range(column, place)])
            inverse[place] = ((place == column) - known) / factor[place][place]
        diagonal.append(sum([x * x for x in inverse]))
    return diagonal
