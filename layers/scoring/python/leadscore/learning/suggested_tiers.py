"""Where the tiers should begin under given points: found on the earlier leads, and judged on the last ones.

    fit + gate --calibration, capacity--> cuts --report slice--> shown where the tiers can be told apart

Invariant: the leads that the rates of the tiers are of have had no part in finding the cuts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from leadscore.core.ruleset import Tier
from leadscore.learning.calibration import calibrate
from leadscore.learning.gating import LEAST_CONVERSIONS
from leadscore.learning.tiers import TierRow, judge_cuts, tier_cuts, tier_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadscore.learning.gating import Slices
    from leadscore.learning.samples import ScoreRule
    from leadscore.learning.tiers import TierCuts

Reason = Literal["shown", "too few conversions", "not apart", "as they are", "other tiers"]


@dataclass(frozen=True, slots=True)
class SuggestedTiers:
    """Where tiers should begin, and what the last leads came to with them: `present` by the cuts of now.

    `cuts` are the new beginnings by tier, of those tiers that get another one; empty where nothing is shown.
    `by_capacity` says that the highest tier was raised to what the team can work, `weeks` over how many the last leads
    came in. Both tables are under the points that the cuts are for.
    """

    reason: Reason
    cuts: dict[str, int]
    present: tuple[TierRow, ...]
    suggested: tuple[TierRow, ...]
    by_capacity: bool
    weeks: float

    @property
    def shown(self) -> bool:
        """Whether the cuts may be shown to people."""
        return self.reason == "shown"

    @property
    def verdict(self) -> str:
        """What came of it, as one sentence for people."""
        rates = ", ".join(f"{row.name} {_percent(row)}" for row in self.suggested if row.rate is not None)
        match self.reason:
            case "too few conversions":
                return f"tiers not shown: it takes {LEAST_CONVERSIONS} conversions to find where they should begin"
            case "other tiers":
                return "tiers not shown: they are looked for where there are two or three"
            case "not apart":
                return f"tiers not shown: the tiers cannot be told apart on the last leads ({rates or 'no cut'})"
            case "as they are":
                return f"the tiers begin where they should ({rates})"
            case "shown":
                return f"tiers: {rates} on the last leads"

    def to_dict(self) -> dict[str, object]:
        """Return the suggestion as plain JSON types."""
        return {
            "shown": self.shown,
            "reason": self.reason,
            "verdict": self.verdict,
            "cuts": dict(self.cuts),
            "by_capacity": self.by_capacity,
            "weeks": self.weeks,
            "present": [row.to_dict() for row in self.present],
            "suggested": [row.to_dict() for row in self.suggested],
        }


def suggest_tiers(
    slices: Slices,
    rule: ScoreRule,
    tiers: Sequence[Tier],
    *,
    gate_weeks: float,
    report_weeks: float,
    per_week: float | None = None,
) -> SuggestedTiers:
    """Return where tiers should begin under the points of `rule`, and what the last leads say of that.

    `gate_weeks` and `report_weeks` are over how many weeks the leads of those slices came in; the capacity, `per_week`
    leads of the highest tier, is held against as many leads a week as the gate slice had.
    """
    earlier = slices.fit.merge(slices.gate)
    scores, last = earlier.scores(rule), slices.report.scores(rule)
    present = tuple(tier_table(last, tiers))

    def unchanged(reason: Reason, suggested: Sequence[TierRow] = (), *, by_capacity: bool = False) -> SuggestedTiers:
        return SuggestedTiers(reason, {}, present, tuple(suggested), by_capacity, report_weeks)

    if len(tiers) not in (2, 3):
        return unchanged("other tiers")
    calibration = calibrate(scores)
    if calibration is None or earlier.conversions < LEAST_CONVERSIONS:
        return unchanged("too few conversions")
    weeks = None if not slices.gate.leads else earlier.leads / slices.gate.leads * gate_weeks
    found = tier_cuts(scores, calibration, weeks=weeks, per_week=per_week)
    judged = judge_cuts(last, found if len(tiers) > len(("hot", "cold")) else replace(found, warm=None))
    begins = _begins(judged, tiers)
    suggested = tier_table(last, [Tier(tier.name, begins.get(tier.name, tier.from_)) for tier in tiers])
    if not judged.apart:
        return unchanged("not apart", suggested if begins else (), by_capacity=judged.by_capacity)
    cuts = {tier.name: begins[tier.name] for tier in tiers if begins.get(tier.name, tier.from_) != tier.from_}
    if not cuts:
        return unchanged("as they are", suggested, by_capacity=judged.by_capacity)
    return SuggestedTiers("shown", cuts, present, tuple(suggested), judged.by_capacity, report_weeks)


def _begins(cuts: TierCuts, tiers: Sequence[Tier]) -> dict[str, int]:
    """Return the cuts by the tiers' names, highest first; a cut that is missing leaves the tier where it is."""
    hot, *between, _ = tiers
    begins = {} if cuts.hot is None else {hot.name: cuts.hot}
    for tier in between:
        if cuts.warm is not None:
            begins[tier.name] = cuts.warm
        elif cuts.hot is not None and tier.from_ is not None and tier.from_ >= cuts.hot:
            # No cut divides the rest: the tier keeps its place below the highest one.
            begins[tier.name] = cuts.hot - 1
    return begins


def _percent(row: TierRow) -> str:
    rate = row.rate
    return "" if rate is None else f"{rate.value:.1%} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
