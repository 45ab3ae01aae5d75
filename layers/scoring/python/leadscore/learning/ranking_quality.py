"""How well a score puts those who convert above those who do not.

Everything is read off histograms of scores, so that the work goes by the number of distinct scores. Invariant: leads
with equal scores are in no order among themselves, and every figure is what a random order of them gives on average.
"""

from __future__ import annotations

from itertools import accumulate
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from leadscore.learning.proportions import Estimate, around, lift, wilson
from leadscore.learning.samples import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadscore.learning.samples import PairCount, ScoreCount


class TopLeads(NamedTuple):
    """What the `leads` with the highest scores came to; where a tie is cut through, its share of conversions counts.

    `precision` is their rate of conversion, `lift` that over the base rate, `reached` their share of all conversions.
    """

    leads: int
    conversions: float
    precision: Estimate
    lift: Estimate | None
    reached: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the figures as plain JSON types."""
        return {
            "leads": self.leads,
            "conversions": self.conversions,
            "precision": self.precision.to_dict(),
            "lift": None if self.lift is None else self.lift.to_dict(),
            "reached": None if self.reached is None else self.reached.to_dict(),
        }


def auc(scores: Sequence[ScoreCount]) -> Estimate | None:
    """Return the chance that a lead that converts scores above one that does not; None without both kinds.

    Ties count half (midranks). The interval is by DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44, from ranks
    as by Sun and Xu (2014), IEEE Signal Processing Letters 21. Where the two kinds do not overlap at all, and its error
    would be 0, it is Wilson's of as many trials as there are leads of the rarer kind.
    """
    converted = sum(one.conversions for one in scores)
    others = sum(one.leads for one in scores) - converted
    if converted == 0 or others == 0:
        return None
    beaten, beating = _placements(scores)
    value = sum(beaten[one.score] * one.conversions for one in scores) / converted
    error = _error(
        [(beaten[one.score], one.conversions) for one in scores],
        [(beating[one.score], one.leads - one.conversions) for one in scores],
    )
    if value in (0.0, 1.0):
        rarer = min(converted, others)
        return wilson(value * rarer, rarer)
    return around(value, error, 0.0, 1.0)


def auc_difference(pairs: Sequence[PairCount]) -> Estimate | None:
    """Return the AUC of `score` less that of `other` on the same leads; None without both kinds of leads.

    The interval is DeLong's for correlated curves: the variance of the differences of each lead's two placements.
    """
    converted = sum(pair.conversions for pair in pairs)
    others = sum(pair.leads for pair in pairs) - converted
    if converted == 0 or others == 0:
        return None
    beaten, beating = _placements((pair.score, pair.leads, pair.conversions) for pair in pairs)
    beaten_by_other, beating_other = _placements((pair.other, pair.leads, pair.conversions) for pair in pairs)
    positive = [(beaten[pair.score] - beaten_by_other[pair.other], pair.conversions) for pair in pairs]
    negative = [(beating[pair.score] - beating_other[pair.other], pair.leads - pair.conversions) for pair in pairs]
    value = sum(difference * count for difference, count in positive) / converted
    return around(value, _error(positive, negative), -1.0, 1.0)


def top_leads(scores: Sequence[ScoreCount], k: int) -> TopLeads | None:
    """Return what the `k` highest leads came to, all of them where there are fewer; None of no leads."""
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    k = min(k, leads)
    hits = _hits(scores, [k])[0]
    precision = wilson(hits, k)
    if precision is None:
        return None
    return TopLeads(k, hits, precision, lift(leads, conversions, k, hits), wilson(hits, conversions))


def gain_curve(scores: Sequence[ScoreCount], parts: int = 100) -> list[tuple[float, float]]:
    """Return (share of leads taken from the top, share of conversions among them) in `parts` equal steps from (0, 0).

    Empty without conversions.
    """
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    if conversions == 0:
        return []
    hits = _hits(scores, [leads * part / parts for part in range(parts + 1)])
    return [(part / parts, hit / conversions) for part, hit in enumerate(hits)]


def _hits(scores: Sequence[ScoreCount], ks: Sequence[float]) -> list[float]:
    """Return the conversions among the highest k leads for each of `ks`, which rise and are not above all leads."""
    descending = joined(scores)[::-1]
    above = above_converted = place = 0
    hits = []
    for k in ks:
        while place < len(descending) and above + descending[place].leads <= k:
            above += descending[place].leads
            above_converted += descending[place].conversions
            place += 1
        tie = descending[place] if place < len(descending) else None
        shared = 0.0 if tie is None else (k - above) * tie.conversions / tie.leads
        hits.append(above_converted + shared)
    return hits


def _placements(
    counts: Iterable[tuple[float, int, int]],
) -> tuple[Mapping[float, float], Mapping[float, float]]:
    """Return by score the share of those not converting that it beats, and of those converting that beat it."""
    positive: dict[float, int] = {}
    negative: dict[float, int] = {}
    for score, leads, conversions in counts:
        positive[score] = positive.get(score, 0) + conversions
        negative[score] = negative.get(score, 0) + leads - conversions
    ascending = sorted(positive)
    all_positive, all_negative = sum(positive.values()), sum(negative.values())
    positives = accumulate((positive[score] for score in ascending), initial=0)
    negatives = accumulate((negative[score] for score in ascending), initial=0)
    beaten, beating = {}, {}
    for score, lower_positive, lower_negative in zip(ascending, positives, negatives, strict=False):
        beaten[score] = (lower_negative + negative[score] / 2) / all_negative
        beating[score] = (all_positive - lower_positive - positive[score] / 2) / all_positive
    return beaten, beating


def _error(positive: Sequence[tuple[float, int]], negative: Sequence[tuple[float, int]]) -> float:
    return sqrt(_variance_of_mean(positive) + _variance_of_mean(negative))


def _variance_of_mean(values: Sequence[tuple[float, int]]) -> float:
    """Return the variance of the mean of values that occur so many times; of a single one the most it can be."""
    count = sum(times for _, times in values)
    if count == 1:
        return 0.25
    mean = sum(value * times for value, times in values) / count
    return sum((value - mean) ** 2 * times for value, times in values) / (count - 1) / count
