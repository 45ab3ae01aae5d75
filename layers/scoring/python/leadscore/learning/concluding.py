"""What one sample comes to: the figures that people get, the calibration in force, and which tiers' rates have moved.

    Sample, Ruleset, the conclusion before -> Conclusion

Invariant: a conclusion follows from the sample, the ruleset and what was concluded before, so that it can be drawn
again; and a tier is told of as moved once, as the new rate is the usual one from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from leadscore.core.instants import DAY, format_instant
from leadscore.learning.calibration import Calibration, DatedCalibration, calibrate
from leadscore.learning.insights import ENOUGH_LEADS, FEW_CONVERSIONS, find_candidates, find_insights
from leadscore.learning.over_time import find_scored_periods, has_moved, score_bands
from leadscore.learning.proportions import Estimate
from leadscore.learning.ranking_quality import auc
from leadscore.learning.samples import Counts, Grouped, ScoreCount, ScoreRule, joined
from leadscore.learning.sampling import WEEK
from leadscore.learning.tiers import tier_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from leadscore.core.instants import Millis
    from leadscore.core.ruleset import Ruleset
    from leadscore.learning.sampling import Sample
    from leadscore.learning.tiers import TierRow

WEEKS_PER_PERIOD = 4
# The newest leads, of whom it is asked whether a tier's rate is still what it was.
NEWEST_WEEKS = 12
MOST_CANDIDATES = 100
NO_GOAL = "the ruleset names no goal: there is nothing to learn from"
# The slope is from the newest leads that hold so many conversions; the base rate, which drifts, from fewer and newer.
SLOPE_CONVERSIONS = 500
BASE_CONVERSIONS = 100


class TierWatch(NamedTuple):
    """One tier: all its leads, its newest ones, and the rate that is `usual` for it.

    `before` is the usual rate that the newest leads have left, None where they have not: theirs is the usual one now.
    """

    row: TierRow
    newest: Counts
    rate: Estimate | None
    usual: Estimate | None
    before: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the tier as plain JSON types."""
        return {
            **self.row.to_dict(),
            "newest": {**self.newest._asdict(), "rate": _plain(self.rate)},
            "usual_rate": _plain(self.usual),
            "moved_from": _plain(self.before),
        }


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a run came to: `insights` as plain JSON types; no calibration where the score predicts nothing."""

    insights: dict[str, Any]
    calibration: DatedCalibration | None


def conclude(sample: Sample, ruleset: Ruleset, *, run: str, before: Mapping[str, Any] | None) -> Conclusion:
    """Return what a sample under a ruleset comes to, `before` being the insights of the run before it.

    Criteria are judged on their patterns; tiers, bands and the calibration on true scores. Leads of whom the log does
    not tell what became of them are left out, but of candidates, for which all leads are compared with each other.
    """
    key, whole, end = sample.key, sample.grouped(), sample.log_end
    sample = sample.labelled()
    weeks = sorted(sample.totals)
    found = find_insights(_in_order(sample.grouped()), ScoreRule.of(ruleset), sample.late)
    calibration = calibrate_newest(sample.totals)
    dated = None if calibration is None else DatedCalibration(calibration, key.now, key.window, ruleset.version)
    candidates = find_candidates(whole.leads, whole.conversions, sample.facts)[:MOST_CANDIDATES]
    scores = _scores(sample.totals, weeks)
    insights = {
        "run": run,
        "at": format_instant(key.now),
        "ruleset": ruleset.version,
        "moment": key.moment,
        "window_days": key.window / DAY,
        "events": sample.events,
        "leads_read": sample.leads,
        "omitted": dict(sorted(sample.omitted.items())),
        "since": _day(weeks[0]) if weeks else None,
        "until": _day(weeks[-1] + 1) if weeks else None,
        **found.to_dict(),
        "warnings": [*([NO_GOAL] if ruleset.goal is None else found.warnings), *_warn_of_end(end)],
        "auc": _plain(auc(scores)),
        "candidates": [one.to_dict() for one in candidates],
        "not_looked_at": sorted(sample.unread.cut),
        "tiers": [one.to_dict() for one in _watch(sample, ruleset, before)],
        "bands": [row.to_dict() for row in tier_table(scores, score_bands(scores))],
        "periods": [period.to_dict() for period in find_scored_periods(_periods(sample), ruleset.tiers)],
        "calibration": None if dated is None else dated.to_dict(),
    }
    return Conclusion(insights, dated)


def calibrate_newest(totals: Mapping[int, Mapping[float, Counts]]) -> Calibration | None:
    """Return the calibration of the newest leads, by the week in which they were scored; None where there is none.

    There is none of few conversions, and none where more points do not mean better odds.
    """
    calibration = calibrate(_newest(totals, SLOPE_CONVERSIONS))
    if calibration is None or calibration.slope <= 0:
        return None
    if min(calibration.conversions, calibration.leads - calibration.conversions) < FEW_CONVERSIONS:
        return None
    return calibration.refitted(_newest(totals, BASE_CONVERSIONS))


def _newest(totals: Mapping[int, Mapping[float, Counts]], conversions: int) -> list[ScoreCount]:
    """Return the scores of the newest whole weeks that hold so many conversions, or of all weeks."""
    taken, found = [], 0
    for week in sorted(totals, reverse=True):
        taken.append(week)
        found += sum(counts.conversions for counts in totals[week].values())
        if found >= conversions:
            break
    return _scores(totals, taken)


def _watch(sample: Sample, ruleset: Ruleset, before: Mapping[str, Any] | None) -> Iterator[TierWatch]:
    """Yield the tiers; what was usual before counts where it was of the same ruleset, whose tiers are these."""
    newest_from = max(sample.totals, default=0) - NEWEST_WEEKS + 1
    newest = _scores(sample.totals, [week for week in sample.totals if week >= newest_from])
    same = before is not None and before["ruleset"] == ruleset.version
    known = {one["tier"]: _estimate(one["usual_rate"]) for one in before["tiers"]} if same and before else {}
    rows = tier_table(_scores(sample.totals, sample.totals), ruleset.tiers)
    for row, new in zip(rows, tier_table(newest, ruleset.tiers), strict=True):
        counts, usual = Counts(new.leads, new.conversions), known.get(row.name)
        if usual is None:
            yield TierWatch(row, counts, new.rate, row.rate, None)
        elif new.leads >= ENOUGH_LEADS and has_moved(usual, new.rate):
            yield TierWatch(row, counts, new.rate, new.rate, usual)
        else:
            yield TierWatch(row, counts, new.rate, usual, None)


def _periods(sample: Sample) -> dict[str, list[ScoreCount]]:
    """Return the scores of each four weeks in which any lead was scored, by the day on which these begin."""
    periods: dict[int, list[int]] = {}
    for week in sorted(sample.totals):
        periods.setdefault(week - week % WEEKS_PER_PERIOD, []).append(week)
    return {_day(first): _scores(sample.totals, weeks) for first, weeks in periods.items()}


def _scores(totals: Mapping[int, Mapping[float, Counts]], weeks: Iterable[int]) -> list[ScoreCount]:
    return joined(ScoreCount(score, *counts) for week in weeks for score, counts in totals[week].items())


def _in_order(grouped: Grouped) -> Grouped:
    """Return equal samples as one: floats are added up in the order of the rows."""
    return Grouped(grouped.criteria, dict(sorted(grouped.rows.items())))


def _warn_of_end(end: Millis | None) -> list[str]:
    if end is None:
        return []
    day = format_instant(end)[:10]
    return [f"the log ends on {day}: leads whose window was not over by then are left out"]


def _day(week: int) -> str:
    return format_instant(week * WEEK)[:10]


def _plain(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_dict()


def _estimate(document: Mapping[str, float] | None) -> Estimate | None:
    return None if document is None else Estimate(document["value"], document["low"], document["high"])
