"""What a ruleset would have done for the leads of the past, alone or beside another one on the very same leads.

    week -> (score, score under the other ruleset) -> leads, conversions
        all weeks        --> ranking, gain, tiers, what a team would have got
        the earlier ones --> calibration, tier cuts --judged on--> the later ones, a label's window behind

Invariant: what is fitted is judged on later leads alone, and what history is too thin to say is None and named by a
warning. Points that were learned from these very leads look better here than they are: only those who know can say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Protocol

from leadscore.core.instants import DAY, Millis, to_datetime
from leadscore.learning.calibration import brier, calibrate, reliability
from leadscore.learning.over_time import Period, find_scored_periods, score_bands
from leadscore.learning.proportions import Estimate, Table, g_test, wilson
from leadscore.learning.ranking_quality import auc, auc_difference, gain_curve, top_leads
from leadscore.learning.samples import PairCount, ScoreCount, joined
from leadscore.learning.sampling import WEEK
from leadscore.learning.tiers import capacity_view, tier_cuts, tier_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadscore.core.ruleset import Tier
    from leadscore.learning.calibration import Brier, Calibration, Reliability
    from leadscore.learning.ranking_quality import TopLeads
    from leadscore.learning.tiers import Capacity, TierCuts, TierRow

# Below that many conversions two sensible rulesets can hardly be told apart.
FEW_CONVERSIONS = 25
# Of fewer conversions a calibration is mostly chance.
FEW_LATER_CONVERSIONS = 20
# The later weeks, which judge what the earlier ones gave, have at least this share of the leads.
_LATER_SHARE = 0.4
# How likely a move of the base rate that is warned of may be by chance.
_SURELY_MOVED = 0.01
_MOST_PERIODS = 13
_FEWEST_AT_TOP = 10


class Subject(NamedTuple):
    """A ruleset that is tested: what people call it, its version and its tiers, the highest first."""

    name: str
    version: str
    tiers: tuple[Tier, ...]


class GainPoint(NamedTuple):
    """The best `share` of all leads, and the share of all conversions that is among them."""

    share: float
    reached: Estimate

    def to_dict(self) -> dict[str, object]:
        """Return the point as plain JSON types."""
        return {"share": self.share, "reached": self.reached.to_dict()}


class Part(NamedTuple):
    """The leads of some weeks: the first day of the first one and of the one after the last, as ISO dates."""

    since: str
    until: str
    leads: int
    conversions: int
    base_rate: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the part as plain JSON types."""
        return {**self._asdict(), "base_rate": _written(self.base_rate)}


@dataclass(frozen=True, slots=True)
class RulesetFigures:
    """What one ruleset came to. `calibration` is of the earlier part; `brier`, `reliability` and `cuts` of the later.

    Those four are None where one of the parts has too little. `bands` are of equal width, the highest first.
    """

    subject: Subject
    auc: Estimate | None
    tops: tuple[TopLeads, ...]
    gain: tuple[GainPoint, ...]
    capacity: Capacity | None
    tiers: tuple[TierRow, ...]
    bands: tuple[TierRow, ...]
    periods: tuple[Period, ...]
    calibration: Calibration | None
    brier: Brier | None
    reliability: Reliability | None
    cuts: TierCuts | None

    def to_dict(self) -> dict[str, object]:
        """Return the figures as plain JSON types."""
        return {
            "ruleset": self.subject.name,
            "version": self.subject.version,
            "auc": _written(self.auc),
            "capacity": _written(self.capacity),
            "calibration": _written(self.calibration),
            "brier": _written(self.brier),
            "reliability": _written(self.reliability),
            "cuts": _written(self.cuts),
            "tops": [top.to_dict() for top in self.tops],
            "gain": [point.to_dict() for point in self.gain],
            "tiers": [row.to_dict() for row in self.tiers],
            "bands": [row.to_dict() for row in self.bands],
            "periods": [period.to_dict() for period in self.periods],
        }


@dataclass(frozen=True, slots=True)
class Backtest:
    """One ruleset, or two on the same leads. `difference` is the AUC of the tested one less that of the other.

    `weeks` is how many weeks the leads are of, `per_week` how many leads a team works in one; `window` is the label's,
    in milliseconds. `earlier` and `later` are None where history cannot be parted.
    """

    window: Millis
    per_week: float
    weeks: int
    whole: Part | None
    earlier: Part | None
    later: Part | None
    tested: RulesetFigures
    against: RulesetFigures | None
    difference: Estimate | None
    warnings: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """What came of it, as one sentence for people."""
        if self.tested.auc is None:
            return "nothing can be said: it takes leads that converted and leads that did not"
        ranked = f"AUC {_in_words(self.tested.auc)}"
        if self.against is None or self.difference is None:
            surely = "the score puts those who convert first"
            return f"{ranked}: {surely if self.tested.auc.low > 0.5 else 'the score may be no better than chance'}"
        change, other = self.difference, self.against.subject.name
        if change.low > 0:
            told = f"{self.tested.subject.name} ranks better than {other}"
        elif change.high < 0:
            told = f"{self.tested.subject.name} ranks worse than {other}"
        else:
            told = f"{self.tested.subject.name} and {other} cannot be told apart"
        return f"{ranked}, {change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}) on the same leads: {told}"

    def to_dict(self) -> dict[str, object]:
        """Return the backtest as plain JSON types."""
        return {
            "verdict": self.verdict,
            "warnings": list(self.warnings),
            "window_days": self.window / DAY,
            "per_week": self.per_week,
            "weeks": self.weeks,
            "leads": _written(self.whole),
            "earlier": _written(self.earlier),
            "later": _written(self.later),
            "tested": self.tested.to_dict(),
            "against": _written(self.against),
            "auc_difference": _written(self.difference),
        }


def run_backtest(
    weeks: Mapping[int, Sequence[PairCount]],
    tested: Subject,
    against: Subject | None = None,
    *,
    window: Millis,
    per_week: float,
    late: Iterable[str] = (),
) -> Backtest:
    """Return what `tested`, whose are the first scores of the pairs, came to, and `against`, whose are the others.

    `weeks` are whole weeks since 1970, of the moments at which leads were scored; `window` is the label's. `late` are
    criteria that read what was written after those moments. Without `against`, only the first scores are read.
    """
    span = max(weeks) - min(weeks) + 1 if weeks else 0
    earlier, later = part_weeks({week: sum(one.leads for one in pairs) for week, pairs in weeks.items()}, window)
    figures = _figures(_first_scores(weeks), tested, earlier, later, per_week)
    other = None if against is None else _figures(_second_scores(weeks), against, earlier, later, per_week)
    every = [pair for pairs in weeks.values() for pair in pairs]
    whole, before, after = (_part(weeks, chosen) for chosen in (sorted(weeks), earlier, later))
    warnings = [
        *_warn_of_leads(whole, before, after),
        *(warning for one in (figures, other) if one is not None for warning in _warn_of(one)),
        *(f"{name} reads what was written after leads were scored: its part looks too good" for name in sorted(late)),
    ]
    return Backtest(
        window=window,
        per_week=per_week,
        weeks=span,
        whole=whole,
        earlier=before,
        later=after,
        tested=figures,
        against=other,
        difference=None if against is None else auc_difference(every),
        warnings=tuple(warnings),
    )


def part_weeks(leads: Mapping[int, int], window: Millis) -> tuple[list[int], list[int]]:
    """Return the earlier and the later weeks of `leads` by week; the labels of the earlier end before the later begin.

    Both are empty where history is too short for that.
    """
    least = sum(leads.values()) * _LATER_SHARE
    later: list[int] = []
    taken = 0
    for week in sorted(leads, reverse=True):
        later.append(week)
        taken += leads[week]
        if taken >= least:
            break
    if not later:
        return [], []
    begins = later[-1] * WEEK
    earlier = sorted(week for week in leads if (week + 1) * WEEK + window <= begins)
    return (earlier, later[::-1]) if earlier else ([], [])


_Scored = dict[int, list[ScoreCount]]


def _first_scores(weeks: Mapping[int, Sequence[PairCount]]) -> _Scored:
    return {week: joined(ScoreCount(one.score, *one[2:]) for one in pairs) for week, pairs in sorted(weeks.items())}


def _second_scores(weeks: Mapping[int, Sequence[PairCount]]) -> _Scored:
    return {week: joined(ScoreCount(one.other, *one[2:]) for one in pairs) for week, pairs in sorted(weeks.items())}


def _figures(
    scored: _Scored, subject: Subject, earlier: Sequence[int], later: Sequence[int], per_week: float
) -> RulesetFigures:
    scores = _over(scored, list(scored))
    past, judged = _over(scored, earlier), _over(scored, later)
    calibration = calibrate(past) if _has_enough(past) and _has_enough(judged) else None
    weeks = _span(list(scored))
    return RulesetFigures(
        subject=subject,
        auc=auc(scores),
        tops=_tops(scores),
        gain=_gain(scores),
        capacity=capacity_view(scores, weeks, per_week) if scores else None,
        tiers=tuple(tier_table(scores, subject.tiers)),
        bands=tuple(tier_table(scores, score_bands(scores))),
        periods=tuple(find_scored_periods(_by_period(scored), subject.tiers)),
        calibration=calibration,
        brier=None if calibration is None else brier(judged, calibration),
        reliability=None if calibration is None else reliability(judged, calibration),
        cuts=None if calibration is None else tier_cuts(judged, calibration, weeks=_span(later), per_week=per_week),
    )


def _over(scored: _Scored, weeks: Sequence[int]) -> list[ScoreCount]:
    return joined(one for week in weeks for one in scored[week])


def _span(weeks: Sequence[int]) -> int:
    return max(weeks) - min(weeks) + 1 if weeks else 0


def _has_enough(scores: Sequence[ScoreCount]) -> bool:
    conversions = sum(one.conversions for one in scores)
    return FEW_LATER_CONVERSIONS <= conversions < sum(one.leads for one in scores)


def _tops(scores: Sequence[ScoreCount]) -> tuple[TopLeads, ...]:
    """Return the best 10, 20, 50, 100, ... leads, up to half of all."""
    leads = sum(one.leads for one in scores)
    rounds = [_FEWEST_AT_TOP * 10**power * first for power in range(len(str(leads))) for first in (1, 2, 5)]
    found = (top_leads(scores, k) for k in rounds if 2 * k <= leads)
    return tuple(top for top in found if top is not None)


def _gain(scores: Sequence[ScoreCount]) -> tuple[GainPoint, ...]:
    conversions = sum(one.conversions for one in scores)
    reached = ((share, wilson(part * conversions, conversions)) for share, part in gain_curve(scores))
    return tuple(GainPoint(share, estimate) for share, estimate in reached if estimate is not None)


def _by_period(scored: _Scored) -> dict[str, list[ScoreCount]]:
    """Return the scores by spans of equally many weeks, at most thirteen, each named by its first day."""
    first = min(scored, default=0)
    width = max(1, ceil(_span(list(scored)) / _MOST_PERIODS))
    within: dict[int, list[int]] = {}
    for week in scored:
        within.setdefault((week - first) // width, []).append(week)
    return {_day(first + number * width): _over(scored, weeks) for number, weeks in within.items()}


def _part(weeks: Mapping[int, Sequence[PairCount]], chosen: Sequence[int]) -> Part | None:
    if not chosen:
        return None
    leads = sum(one.leads for week in chosen for one in weeks[week])
    conversions = sum(one.conversions for week in chosen for one in weeks[week])
    return Part(_day(chosen[0]), _day(chosen[-1] + 1), leads, conversions, wilson(conversions, leads))


def _day(week: int) -> str:
    return to_datetime(week * WEEK).date().isoformat()


def _warn_of_leads(whole: Part | None, earlier: Part | None, later: Part | None) -> list[str]:
    if whole is None or whole.conversions == 0 or whole.conversions == whole.leads:
        return ["without leads that converted and leads that did not there is nothing to test"]
    warnings = []
    if whole.conversions < FEW_CONVERSIONS:
        warnings.append(f"only {whole.conversions} conversions: it takes {FEW_CONVERSIONS} to tell rulesets apart")
    if earlier is None or later is None:
        warnings.append("history is too short for probabilities and tier cuts: they are judged on later leads")
        return warnings
    if earlier.conversions < FEW_LATER_CONVERSIONS or later.conversions < FEW_LATER_CONVERSIONS:
        warnings.append(
            f"no probabilities and no tier cuts: {earlier.conversions} conversions to fit them by and "
            f"{later.conversions} to judge them by, it takes {FEW_LATER_CONVERSIONS} each"
        )
    if g_test(_of_two(earlier, later)) < _SURELY_MOVED:
        before, after = earlier.conversions / earlier.leads, later.conversions / later.leads
        warnings.append(f"the base rate moved from {before:.1%} to {after:.1%}: probabilities from before are off")
    return warnings


def _warn_of(figures: RulesetFigures) -> list[str]:
    name = figures.subject.name
    if figures.auc is None:
        return []
    warnings = []
    for above, below in zip(figures.tiers, figures.tiers[1:], strict=False):
        if above.rate is None or below.rate is None or above.rate.low > below.rate.high:
            continue
        warnings.append(f"{name}: {above.name} and {below.name} leads cannot be told apart by how many converted")
    warnings += [f"{name}: no lead is {row.name}" for row in figures.tiers if row.leads == 0]
    if figures.cuts is not None and not figures.cuts.apart:
        warnings.append(f"{name}: no cut tells hot leads from the others")
    if figures.capacity is not None and figures.capacity.cut is None:
        warnings.append(
            f"{name}: more leads share the highest score than {figures.capacity.per_week:g} a week: it cannot choose"
        )
    return warnings


def _of_two(earlier: Part, later: Part) -> Table:
    leads, conversions = earlier.leads + later.leads, earlier.conversions + later.conversions
    return Table(leads, conversions, later.leads, later.conversions)


def _in_words(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


class _Figure(Protocol):
    def to_dict(self) -> Mapping[str, object]: ...


def _written(figure: _Figure | None) -> Mapping[str, object] | None:
    return None if figure is None else figure.to_dict()
