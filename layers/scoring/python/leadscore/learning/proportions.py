"""Rates, lifts and correlations of yes-or-no facts, each with how sure it is.

Invariant: every figure that is shown has an interval that holds it, and a figure that the counts cannot give is None,
never a number that means something else. Intervals are at 95 %.
"""

from __future__ import annotations

from math import erfc, exp, inf, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Z = 1.96


class Estimate(NamedTuple):
    """A figure and the interval that holds the truth 95 times in 100."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the estimate as plain JSON types."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def times(self, factor: float) -> Estimate:
        """Return the estimate of `factor` times as much; `factor` is taken as known."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Estimate(self.value * factor, low, high)


class Table(NamedTuple):
    """Of `leads`, `conversions` converted; `holding` are those for which a fact holds, `converted` of them did.

    The four cells are a = converted, b = holding - a, c = conversions - a, d = the rest.
    """

    leads: int
    conversions: int
    holding: int
    converted: int

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """The cells a, b, c, d."""
        n, a = self.holding, self.converted
        return a, n - a, self.conversions - a, self.leads - n - self.conversions + a


def around(value: float, error: float, low: float = -inf, high: float = inf) -> Estimate:
    """Return `value` with its normal interval, `error` being the standard error, within `low` and `high`."""
    return Estimate(value, max(low, value - Z * error), min(high, value + Z * error))


def wilson(successes: float, trials: float) -> Estimate | None:
    """Return the rate of `successes`, with Wilson's score interval; None of no trials.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22. `successes` may be
    a part of a count, where a tie is shared out.
    """
    if trials <= 0:
        return None
    rate = successes / trials
    spread = Z * sqrt(max(0.0, rate * (1 - rate)) / trials + Z * Z / (4 * trials * trials))
    middle = rate + Z * Z / (2 * trials)
    scale = 1 + Z * Z / trials
    # Rounding must not leave a rate of 0 or 1 outside of its interval.
    return Estimate(
        rate, max(0.0, min(rate, (middle - spread) / scale)), min(1.0, max(rate, (middle + spread) / scale))
    )


def lift(leads: float, conversions: float, holding: float, converted: float) -> Estimate | None:
    """Return how many times the base rate the holding leads convert at; None without holding leads or conversions.

    The variance of its logarithm is by the delta method from the four cells as one multinomial, so that the base rate
    is not taken as known: Katz et al. (1978), "Obtaining confidence intervals for the risk ratio in cohort studies",
    Biometrics 34, with the base in place of the others. No conversion among the holding: 0, up to Wilson's bound.
    """
    base = conversions / leads if leads else 0.0
    rate = wilson(converted, holding)
    if rate is None or base == 0:
        return None
    if converted == 0:
        return Estimate(0.0, 0.0, rate.high / base)
    ratio = rate.value / base
    parts = 1 / converted - 1 / holding - 1 / conversions - 1 / leads + 2 * converted / (holding * conversions)
    spread = exp(Z * sqrt(max(0.0, parts)))
    return Estimate(ratio, ratio / spread, ratio * spread)


class LogOdds(NamedTuple):
    """A logarithm of an odds ratio and its standard error."""

    value: float
    error: float

    def to_dict(self) -> dict[str, float]:
        """Return it as plain JSON types, with its interval."""
        return {**around(self.value, self.error).to_dict(), "error": self.error}


def log_odds_ratio(table: Table) -> LogOdds:
    """Return the log-odds ratio of converting for the holding leads against the others, and its standard error.

    Half a lead is added to each cell, so that it is always finite: Haldane (1956) and Anscombe (1956); the error is
    Gart and Zweifel's (1967), Biometrika 54. It is the criterion's *alone*: what it shares with others counts in full.
    """
    a, b, c, d = [cell + 0.5 for cell in table.cells]
    return LogOdds(log(a * d / (b * c)), sqrt(1 / a + 1 / b + 1 / c + 1 / d))


def phi(table: Table) -> Estimate | None:
    """Return the correlation of two yes-or-no facts; None where one of them holds for all leads or none.

    The interval is the delta method's for a multinomial: Bishop, Fienberg and Holland (1975), "Discrete Multivariate
    Analysis", section 11.3. Fisher's z, made for normal variables, is wrong for yes-or-no facts.
    """
    a, b, c, d = table.cells
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return None
    value = (a * d - b * c) / sqrt(margins)
    n = table.leads
    r1, r2, k1, k2 = (a + b) / n, (c + d) / n, (a + c) / n, (b + d) / n
    skew = (r1 - r2) * (k1 - k2) / sqrt(r1 * r2 * k1 * k2)
    skews = (r1 - r2) ** 2 / (r1 * r2) + (k1 - k2) ** 2 / (k1 * k2)
    square = value * value
    variance = (1 - square + value * (1 + square / 2) * skew - 0.75 * square * skews) / n
    return around(value, sqrt(max(0.0, variance)), -1.0, 1.0)


def g_test(table: Table) -> float:
    """Return the probability of counts at least as far from independence as these; 1 where a margin is empty.

    The likelihood ratio statistic G = 2 sum O ln(O/E) against chi-squared with one degree of freedom: Wilks (1938);
    Sokal and Rohlf, "Biometry", chapter 17.
    """
    a, b, c, d = table.cells
    n = table.leads
    rows, columns = (a + b, c + d), (a + c, b + d)
    if 0 in (*rows, *columns):
        return 1.0
    observed = ((a, rows[0], columns[0]), (b, rows[0], columns[1]), (c, rows[1], columns[0]), (d, rows[1], columns[1]))
    g = 2 * sum(count * log(count * n / (row * column)) for count, row, column in observed if count)
    # Of one degree of freedom, chi-squared is a normal variable squared.
    return erfc(sqrt(max(0.0, g) / 2))


def q_values(probabilities: Sequence[float]) -> list[float]:
    """Return for each p value the share of false findings if it and all smaller ones are taken for findings.

    Benjamini and Hochberg (1995), "Controlling the false discovery rate", JRSS B 57, as adjusted p values.
    """
    tests = len(probabilities)
    adjusted = [0.0] * tests
    least = 1.0
    descending = sorted(range(tests), key=lambda place: -probabilities[place])
    for rank, place in zip(range(tests, 0, -1), descending, strict=True):
        least = min(least, probabilities[place] * tests / rank)
        adjusted[place] = least
    return adjusted
