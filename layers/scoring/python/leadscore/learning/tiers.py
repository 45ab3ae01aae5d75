"""What the tiers came to, where their cuts should be, and what a team of a given size would get.

Invariant: a cut is a whole number of points, as people write it, and leads are told apart by it as the score tells
them: from the cut on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf
from typing import TYPE_CHECKING, NamedTuple

from leadscore.learning.proportions import Estimate, wilson
from leadscore.learning.samples import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadscore.core.ruleset import Tier
    from leadscore.learning.calibration import Calibration
    from leadscore.learning.samples import ScoreCount

# Hot leads convert at twice the base rate, or nearly surely; warm ones at no less than half of it.
HOT_TIMES_BASE = 2.0
NEARLY_SURE = 0.95
WARM_TIMES_BASE = 0.5


class TierRow(NamedTuple):
    """The leads of one tier: their share of all leads, and the rate at which they converted."""

    name: str
    from_: float | None
    leads: int
    conversions: int
    share: Estimate
    rate: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the row as plain JSON types."""
        return {
            "tier": self.name,
            "from": self.from_,
            "leads": self.leads,
            "conversions": self.conversions,
            "share": self.share.to_dict(),
            "rate": None if self.rate is None else self.rate.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class TierCuts:
    """Whole scores from which a lead is hot and warm, and the rates of hot, warm and cold leads; None where none are.

    `apart` is whether hot leads are surely better than all leads together, and than warm ones; where it is False, the
    cuts are not worth showing. `by_capacity` is whether hot was raised to what the team can work.
    """

    hot: int | None
    warm: int | None
    apart: bool
    by_capacity: bool
    hot_rate: Estimate | None
    warm_rate: Estimate | None
    cold_rate: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the cuts as plain JSON types."""
        rates = {"hot_rate": self.hot_rate, "warm_rate": self.warm_rate, "cold_rate": self.cold_rate}
        return {
            "hot": self.hot,
            "warm": self.warm,
            "apart": self.apart,
            "by_capacity": self.by_capacity,
            **{name: None if rate is None else rate.to_dict() for name, rate in rates.items()},
        }


class Capacity(NamedTuple):
    """At `per_week` leads a week the cut is `cut`, which lets `leads` a week through and expects `conversions` of them.

    `cut` is None where even the highest score has more leads than that.
    """

    per_week: float
    cut: int | None
    leads: float
    conversions: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the view as plain JSON types."""
        return {**self._asdict(), "conversions": None if self.conversions is None else self.conversions.to_dict()}


def tier_table(scores: Sequence[ScoreCount], tiers: Sequence[Tier]) -> list[TierRow]:
    """Return each tier's leads and rate, highest tier first; empty of no leads."""
    total = sum(one.leads for one in scores)
    rows = []
    below = inf
    for tier in tiers:
        from_ = -inf if tier.from_ is None else tier.from_
        leads, conversions = _between(scores, from_, below)
        share = wilson(leads, total)
        if share is not None:
            rows.append(TierRow(tier.name, tier.from_, leads, conversions, share, wilson(conversions, leads)))
        below = from_
    return rows


def tier_cuts(
    scores: Sequence[ScoreCount],
    calibration: Calibration,
    *,
    weeks: float | None = None,
    per_week: float | None = None,
) -> TierCuts:
    """Return where hot and warm begin, by the probability of the score.

    `per_week` is how many hot leads the team can work in a week; the leads of `scores` came in `weeks`. A cut that all
    leads reach, or none, is None.
    """
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    base = conversions / leads if leads else 0.0
    hot = _whole(calibration, min(NEARLY_SURE, HOT_TIMES_BASE * base))
    warm = _whole(calibration, WARM_TIMES_BASE * base)
    by_capacity = False
    if hot is not None and weeks is not None and per_week is not None:
        least = cut_for(scores, per_week * weeks)
        by_capacity = least is None or least > hot
        hot = least if by_capacity else hot
    hot = _dividing(scores, hot)
    warm = _dividing(scores, warm)
    if hot is not None and warm is not None and warm >= hot:
        warm = None
    return _judged(scores, hot, warm, by_capacity=by_capacity)


def judge_cuts(scores: Sequence[ScoreCount], cuts: TierCuts) -> TierCuts:
    """Return the same cuts with what other leads, who had no part in finding them, say of them."""
    return _judged(scores, cuts.hot, cuts.warm, by_capacity=cuts.by_capacity)


def _judged(scores: Sequence[ScoreCount], hot: int | None, warm: int | None, *, by_capacity: bool) -> TierCuts:
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    base = conversions / leads if leads else 0.0
    hot_rate = None if hot is None else _rate(scores, hot, inf)
    warm_rate = None if warm is None else _rate(scores, warm, inf if hot is None else hot)
    cold_rate = _rate(scores, -inf, warm if warm is not None else inf if hot is None else hot)
    apart = hot_rate is not None and hot_rate.low > base and (warm_rate is None or hot_rate.low > warm_rate.high)
    return TierCuts(hot, warm, apart, by_capacity, hot_rate, warm_rate, cold_rate)


def capacity_view(scores: Sequence[ScoreCount], weeks: float, per_week: float) -> Capacity:
    """Return the cut for a team that works `per_week` leads a week, and the conversions to expect of them a week."""
    cut = cut_for(scores, per_week * weeks)
    if cut is None:
        return Capacity(per_week, None, 0.0, None)
    leads, conversions = _between(scores, cut, inf)
    rate = wilson(conversions, leads)
    return Capacity(per_week, cut, leads / weeks, None if rate is None else rate.times(leads / weeks))


def cut_for(scores: Sequence[ScoreCount], most: float) -> int | None:
    """Return the smallest whole score that at most `most` leads reach, but some; None where there is none."""
    above = 0
    cut = None
    for one in reversed(joined(scores)):
        if above + one.leads > most:
            break
        above += one.leads
        cut = one.score
    if cut is None:
        return None
    lower = max((one.score for one in scores if one.score < cut), default=cut - 1)
    # The smallest whole number above the next score; between two scores there may be none.
    whole = floor(lower) + 1
    return whole if any(one.score >= whole for one in scores) else None


def _whole(calibration: Calibration, probability: float) -> int | None:
    score = calibration.score_at(probability) if probability > 0 else None
    return None if score is None else ceil(score)


def _dividing(scores: Sequence[ScoreCount], cut: int | None) -> int | None:
    """Return `cut` where some leads are below it and some are not."""
    if cut is None or not scores:
        return None
    return cut if min(scores).score < cut <= max(scores).score else None


def _between(scores: Sequence[ScoreCount], low: float, below: float) -> tuple[int, int]:
    inside = [one for one in scores if low <= one.score < below]
    return sum(one.leads for one in inside), sum(one.conversions for one in inside)


def _rate(scores: Sequence[ScoreCount], low: float, below: float) -> Estimate | None:
    leads, conversions = _between(scores, low, below)
    return wilson(conversions, leads)
