"""Whether the score still predicts: what each period's leads came to, and when a rate has left where it was.

Invariant: a rate is said to have moved only where the intervals before and after have nothing in common, so that a
quiet year raises hardly any alarm.
"""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING, NamedTuple

from leadscore.core.ruleset import Tier
from leadscore.learning.proportions import Estimate, wilson
from leadscore.learning.ranking_quality import auc
from leadscore.learning.tiers import TierRow, tier_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leadscore.learning.samples import ScoreCount

_MOST_BANDS = 30
_BAND_WIDTHS = (5, 10, 20, 50, 100, 200, 500)


class Period(NamedTuple):
    """The leads scored in one period: their base rate, how well the score ranked them, and their tiers and bands."""

    name: str
    leads: int
    conversions: int
    base_rate: Estimate | None
    auc: Estimate | None
    tiers: tuple[TierRow, ...]
    bands: tuple[TierRow, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the period as plain JSON types."""
        return {
            "period": self.name,
            "leads": self.leads,
            "conversions": self.conversions,
            "base_rate": None if self.base_rate is None else self.base_rate.to_dict(),
            "auc": None if self.auc is None else self.auc.to_dict(),
            "tiers": [row.to_dict() for row in self.tiers],
            "bands": [row.to_dict() for row in self.bands],
        }


def find_scored_periods(scored: Mapping[str, Sequence[ScoreCount]], tiers: Sequence[Tier]) -> list[Period]:
    """Return what each period came to, by the scores of its leads, in the order of `scored`.

    The bands are the same in all periods, so that they can be compared.
    """
    bands = score_bands([one for scores in scored.values() for one in scores])
    periods = []
    for name, scores in scored.items():
        leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
        rows, banded = tuple(tier_table(scores, tiers)), tuple(tier_table(scores, bands))
        periods.append(Period(name, leads, conversions, wilson(conversions, leads), auc(scores), rows, banded))
    return periods


def score_bands(scores: Sequence[ScoreCount]) -> list[Tier]:
    """Return about thirty bands at most that cover all scores, the highest first, each named by its lowest score."""
    if not scores:
        return []
    width = band_width(scores)
    lowest, highest = (floor(edge(scores).score / width) * width for edge in (min, max))
    return [Tier(f"{from_:g}", from_) for from_ in range(highest, lowest - 1, -width)]


def band_width(scores: Sequence[ScoreCount]) -> int:
    """Return how many points a band takes so that about thirty cover the scores, however far from the rest one is."""
    spread = max(scores).score - min(scores).score
    return next((width for width in _BAND_WIDTHS if spread / width < _MOST_BANDS), ceil(spread / _MOST_BANDS))


def has_moved(usual: Estimate | None, now: Estimate | None) -> bool:
    """Return whether a rate has left its interval: the intervals of the two have nothing in common.

    Rates are looked at again and again: where each only had to be outside of the other's interval, a weekly look would
    find a move in nothing more than once a year.
    """
    if usual is None or now is None:
        return False
    return now.low > usual.high or now.high < usual.low
