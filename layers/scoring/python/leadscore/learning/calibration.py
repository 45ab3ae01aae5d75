"""From a score to a probability, and how far that probability can be believed.

Two parameters are fitted and no more: the curve stays monotonic in the score, and can be fitted again often, which
matters more than its form because the base rate drifts. Invariant: a probability is above 0 and below 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, inf, log, log1p, pi, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from leadscore.core.instants import DAY, Millis, format_instant, parse_instant
from leadscore.learning.proportions import Estimate, Z, around, wilson
from leadscore.learning.samples import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leadscore.learning.samples import ScoreCount

BINS = 10
_MOST_STEPS = 100
_CONVERGED = 1e-9
_ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class Calibration:
    """P = 1 / (1 + exp(-(intercept + slope * score))), and the sample it is from.

    `variances` are of the intercept, of both together, and of the slope.
    """

    intercept: float
    slope: float
    variances: tuple[float, float, float]
    leads: int
    conversions: int

    def probability(self, score: float) -> float:
        """Return the chance to convert of a lead with `score`."""
        return logistic(self.intercept + self.slope * score)

    def estimate(self, score: float) -> Estimate:
        """Return the chance to convert with its interval, which is symmetric in log-odds."""
        both, joint, slope = self.variances
        error = sqrt(max(0.0, both + 2 * score * joint + score * score * slope))
        odds = self.intercept + self.slope * score
        return Estimate(logistic(odds), logistic(odds - Z * error), logistic(odds + Z * error))

    def score_at(self, probability: float) -> float | None:
        """Return the score from which leads have at least `probability`; None where the score does not rise with it."""
        return (logit(probability) - self.intercept) / self.slope if self.slope > 0 else None

    @property
    def doubling_points(self) -> float | None:
        """The points that double the odds to convert; None where more points do not mean better odds."""
        return log(2) / self.slope if self.slope > 0 else None

    def refitted(self, newest: Sequence[ScoreCount]) -> Calibration:
        """Return this calibration with the intercept that fits `newest` best, the slope as it was.

        `newest` are the newest of those that this one was fitted to. The scores of the newest leads are taken into
        account, so that colder leads are not taken for worse ones: a shift by the difference of the base rates' logits
        (Elkan 2001) would count them twice. On the same targets as `calibrate`; the intercept's error is that of the
        newest leads and what the slope's error makes of it.
        """
        rows = _targets(newest)
        intercept = _newton_within(rows, self.slope)
        _, (information, weighted, _) = _derivatives(rows, intercept, self.slope)
        middle, (_, joint, slope) = weighted / information, self.variances
        # With the slope's error it goes as before: the newest leads had their part in that one, too.
        variance = 1 / information - middle * (middle * slope + 2 * joint)
        return replace(
            self,
            intercept=intercept,
            variances=(variance, joint, slope),
            leads=sum(one.leads for one in newest),
            conversions=sum(one.conversions for one in newest),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the calibration as plain JSON types."""
        return {
            "intercept": self.intercept,
            "slope": self.slope,
            "variances": list(self.variances),
            "leads": self.leads,
            "conversions": self.conversions,
            "doubling_points": self.doubling_points,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Calibration:
        """Return the calibration that `to_dict` wrote."""
        intercept, joint, slope = document["variances"]
        return cls(
            intercept=float(document["intercept"]),
            slope=float(document["slope"]),
            variances=(float(intercept), float(joint), float(slope)),
            leads=int(document["leads"]),
            conversions=int(document["conversions"]),
        )


@dataclass(frozen=True, slots=True)
class DatedCalibration:
    """A calibration with what it holds for: scores under the ruleset of that version, and a label's window.

    `taken_at` is when its sample was taken. What is shown of a probability names that, so that it is never silently
    stale.
    """

    calibration: Calibration
    taken_at: Millis
    window: Millis
    ruleset: str

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON types."""
        return {
            **self.calibration.to_dict(),
            "taken_at": format_instant(self.taken_at),
            "window_days": self.window / DAY,
            "ruleset": self.ruleset,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> DatedCalibration:
        """Return what `to_dict` wrote."""
        return cls(
            Calibration.from_dict(document),
            taken_at=parse_instant(document["taken_at"]),
            window=round(document["window_days"] * DAY),
            ruleset=document["ruleset"],
        )


class Bin(NamedTuple):
    """Leads with scores from `low` to `high`: the probability they have on average, and their rate of conversion."""

    low: float
    high: float
    leads: int
    conversions: int
    expected: float
    rate: Estimate

    def to_dict(self) -> dict[str, object]:
        """Return the bin as plain JSON types."""
        return {**self._asdict(), "rate": self.rate.to_dict()}


class Reliability(NamedTuple):
    """The bins, lowest first, and the mean distance of expectation and rate over all leads.

    `by_chance` is the distance that bins of such sizes would show on average if every probability were right.
    """

    bins: tuple[Bin, ...]
    error: float
    by_chance: float

    def to_dict(self) -> dict[str, object]:
        """Return the table as plain JSON types."""
        return {"bins": [bin_.to_dict() for bin_ in self.bins], "error": self.error, "by_chance": self.by_chance}


class Brier(NamedTuple):
    """The mean square of probability less outcome, and the share by which that is better than the base rate's."""

    score: Estimate
    skill: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the figures as plain JSON types."""
        return {"score": self.score.to_dict(), "skill": None if self.skill is None else self.skill.to_dict()}


def logistic(odds: float) -> float:
    """Return the probability of a logarithm of odds, within (0, 1) as far as floats go."""
    if odds >= 0:
        return 1 / (1 + exp(-min(odds, 36.0)))
    power = exp(max(odds, -700.0))
    return power / (1 + power)


def logit(probability: float) -> float:
    """Return the logarithm of the odds of a probability within (0, 1)."""
    return log(probability) - log1p(-probability)


def calibrate(scores: Sequence[ScoreCount]) -> Calibration | None:
    """Return the curve that fits `scores` best; None of no leads.

    Platt (1999), "Probabilistic outputs for support vector machines", with his targets in place of 1 and 0, so that
    a score that separates perfectly still gives no certainty; by Newton's method with step halving, as Lin, Lin and
    Weng (2007), "A note on Platt's probabilistic outputs", Machine Learning 68. The variances are the inverse of the
    Fisher information.
    """
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    if leads == 0:
        return None
    middle = sum(one.score * one.leads for one in scores) / leads
    spread = sqrt(sum((one.score - middle) ** 2 * one.leads for one in scores) / leads)
    rows = [((x - middle) / spread if spread else 0.0, count, target) for x, count, target in _targets(scores)]
    intercept, slope, information = _newton(rows)
    i, j, s = information
    if spread == 0:
        return Calibration(intercept, 0.0, (1 / i, 0.0, 0.0), leads, conversions)
    determinant = i * s - j * j
    both, joint, single = s / determinant, -j / determinant, i / determinant
    # Back from standardised scores to points.
    return Calibration(
        intercept - slope * middle / spread,
        slope / spread,
        (
            both - 2 * joint * middle / spread + single * (middle / spread) ** 2,
            joint / spread - single * middle / spread**2,
            single / spread**2,
        ),
        leads,
        conversions,
    )


def brier(scores: Sequence[ScoreCount], calibration: Calibration) -> Brier | None:
    """Return how far probabilities are from outcomes; None of no leads, no skill where all or none convert.

    Brier (1950), Monthly Weather Review 78. The skill's reference is the base rate of these very leads; its interval is
    the delta method's for a ratio of two means over the same leads.
    """
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    if leads == 0:
        return None
    base = conversions / leads
    losses = []
    for one in scores:
        p = calibration.probability(one.score)
        losses.append(((1 - p) ** 2, (1 - base) ** 2, one.conversions))
        losses.append((p * p, base * base, one.leads - one.conversions))
    mean = sum(loss * count for loss, _, count in losses) / leads
    error = sqrt(sum((loss - mean) ** 2 * count for loss, _, count in losses)) / leads
    reference = base * (1 - base)
    if reference == 0:
        return Brier(around(mean, error, 0.0, 1.0), None)
    ratio = mean / reference
    ratio_error = sqrt(sum((loss - ratio * other) ** 2 * count for loss, other, count in losses)) / leads / reference
    return Brier(around(mean, error, 0.0, 1.0), around(1 - ratio, ratio_error, -inf, 1.0))


def reliability(scores: Sequence[ScoreCount], calibration: Calibration, bins: int = BINS) -> Reliability | None:
    """Return expectation against rate in bins of about as many leads each; None of no leads.

    Bins of equal mass, not of equal width, and of whole ties: Nixon et al. (2019), "Measuring calibration in deep
    learning"; the error is the expected calibration error of Naeini, Cooper and Hauskrecht (2015), AAAI.
    """
    leads = sum(one.leads for one in scores)
    if leads == 0:
        return None
    table = tuple(_bin(part, calibration) for part in _equal_mass(joined(scores), leads, bins))
    error = sum(bin_.leads * abs(bin_.expected - bin_.rate.value) for bin_ in table) / leads
    # The mean size of a normal deviation is sqrt(2 / pi) of the standard one.
    chance = [bin_.leads * sqrt(2 / pi * bin_.expected * (1 - bin_.expected) / bin_.leads) for bin_ in table]
    return Reliability(table, error, sum(chance) / leads)


def _equal_mass(ascending: Sequence[ScoreCount], leads: int, bins: int) -> list[list[ScoreCount]]:
    """Return the scores in at most `bins` runs, each closed by the score that fills a share of all leads.

    What is left over at the top goes with the last run where it is less than half a share.
    """
    parts: list[list[ScoreCount]] = []
    held = []
    filled = 0
    for one in ascending:
        held.append(one)
        filled += one.leads
        if filled * bins >= leads:
            parts.append(held)
            held, filled = [], 0
    if held and parts and 2 * filled * bins < leads:
        parts[-1].extend(held)
    elif held:
        parts.append(held)
    return parts


def _bin(part: Sequence[ScoreCount], calibration: Calibration) -> Bin:
    leads, conversions = sum(one.leads for one in part), sum(one.conversions for one in part)
    expected = sum(calibration.probability(one.score) * one.leads for one in part) / leads
    rate = wilson(conversions, leads)
    if rate is None:
        raise ValueError("a score that no lead has cannot be in a bin")
    return Bin(part[0].score, part[-1].score, leads, conversions, expected, rate)


_Rows = list[tuple[float, int, float]]


def _targets(scores: Sequence[ScoreCount]) -> _Rows:
    """Return (score, leads, sum of Platt's targets)."""
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    target, off_target = (conversions + 1) / (conversions + 2), 1 / (leads - conversions + 2)
    return [
        (one.score, one.leads, one.conversions * target + (one.leads - one.conversions) * off_target) for one in scores
    ]


def _newton(rows: _Rows) -> tuple[float, float, tuple[float, float, float]]:
    """Return intercept and slope that minimise the loss of (x, leads, sum of targets), and the information there."""
    leads = sum(count for _, count, _ in rows)
    intercept, slope = logit(sum(target for _, _, target in rows) / leads), 0.0
    loss = _loss(rows, intercept, slope)
    for _ in range(_MOST_STEPS):
        (g0, g1), (h00, h01, h11) = _derivatives(rows, intercept, slope)
        # Where all scores are one, the slope stays where it is.
        determinant = h00 * h11 - h01 * h01
        if determinant <= 0:
            return intercept, slope, (h00, h01, h11)
        d0, d1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        if abs(d0) + abs(d1) < _CONVERGED:
            break
        scale = 1.0
        # Near the minimum the loss differs by its rounding alone.
        while (stepped := _loss(rows, intercept - scale * d0, slope - scale * d1)) > loss * (1 + _ROUNDING):
            scale /= 2
        intercept, slope, loss = intercept - scale * d0, slope - scale * d1, stepped
    return intercept, slope, _derivatives(rows, intercept, slope)[1]


def _newton_within(rows: _Rows, slope: float) -> float:
    """Return the intercept that minimises the loss with that slope, between those that are surely too low and too high.

    A step that leaves these is replaced by one to their middle, so that no score is too far out to begin from.
    """
    base = logit(sum(target for _, _, target in rows) / sum(count for _, count, _ in rows))
    low, high = sorted(base - slope * edge(rows)[0] for edge in (min, max))
    intercept = (low + high) / 2
    for _ in range(_MOST_STEPS):
        (gradient, _), (information, _, _) = _derivatives(rows, intercept, slope)
        low, high = (low, intercept) if gradient > 0 else (intercept, high)
        stepped = intercept - gradient / information if information > 0 else inf
        if not low <= stepped <= high:
            stepped = (low + high) / 2
        if abs(stepped - intercept) < _CONVERGED:
            break
        intercept = stepped
    return intercept


def _loss(rows: _Rows, intercept: float, slope: float) -> float:
    total = 0.0
    for x, count, target in rows:
        odds = intercept + slope * x
        total += count * (max(odds, 0.0) + log1p(exp(-abs(odds)))) - target * odds
    return total


def _derivatives(rows: _Rows, intercept: float, slope: float) -> tuple[tuple[float, float], tuple[float, float, float]]:
    g0 = g1 = h00 = h01 = h11 = 0.0
    for x, count, target in rows:
        p = logistic(intercept + slope * x)
        difference, weight = count * p - target, count * p * (1 - p)
        g0 += difference
        g1 += difference * x
        h00 += weight
        h01 += weight * x
        h11 += weight * x * x
    return (g0, g1), (h00, h01, h11)
