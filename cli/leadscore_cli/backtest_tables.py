"""The figures of a backtest as tables of words: one and the same for the terminal and for the HTML report.

Invariant: every figure that has an interval is written with it, and one that the history cannot give is a dash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

from leadscore.core.instants import DAY
from leadscore.learning.backtesting import Backtest, RulesetFigures
from leadscore.learning.proportions import Estimate
from leadscore.learning.tiers import TierRow

NONE = "\N{EN DASH}"
_GAIN_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class PastLeads:
    """Where the leads of a backtest are from, at which moment each was scored, and who was left out of it."""

    source: str
    taken_at: str
    moment: str
    events: int
    leads: int
    omitted: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON types."""
        return {
            "source": self.source,
            "taken_at": self.taken_at,
            "moment": self.moment,
            "events_read": self.events,
            "leads_read": self.leads,
            "omitted": dict(self.omitted),
            "rejected_lines": self.rejected,
        }

    def in_words(self, backtest: Backtest) -> list[str]:
        """Return what was tested on, a sentence each."""
        moments = {"random": "1 to 30 days after it was first seen", "qualified": "when it first left the lowest tier"}
        whole = backtest.whole
        days = f"{backtest.window / DAY:g} days"
        told = [
            f"{self.leads:,} leads with {self.events:,} events from {self.source}, as of {self.taken_at}.",
            f"Each lead was scored once, {moments[self.moment]}, from what was known then.",
            f"It counts as converted when its first conversion came in the {days} after.",
        ]
        if whole is not None:
            told.append(
                f"{whole.leads:,} leads, scored from {whole.since} to {_day_before(whole.until)}, are tested on; "
                f"{whole.conversions:,} of them converted: {rate(whole.base_rate)}."
            )
        if any(self.omitted.values()):
            left = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.omitted.items()) if count)
            told.append(f"Left out: {left}.")
        if self.rejected:
            told.append(f"{self.rejected:,} lines are no events.")
        return told


class FigureTable(NamedTuple):
    """A table: `words` are the columns, from the left, that hold words; those behind hold figures."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    note: str = ""


def overview(backtest: Backtest) -> FigureTable:
    """Return the most telling figures of each ruleset."""
    every = rulesets(backtest)
    rows = [
        ("AUC", *(_plain(one.auc) for one in every)),
        (f"cut for {backtest.per_week:g} leads a week", *(_cut(one) for one in every)),
        ("conversions a week at it", *(_conversions(one) for one in every)),
        ("Brier score", *(_plain(one.brier.score if one.brier else None, 4) for one in every)),
        ("Brier skill", *(rate(one.brier.skill if one.brier else None) for one in every)),
        ("calibration error (chance)", *(_error(one) for one in every)),
        ("points to double the odds", *(_doubling(one) for one in every)),
        ("hot should begin at", *(_hot(one) for one in every)),
        ("warm should begin at", *(_warm(one) for one in every)),
    ]
    if backtest.against is not None:
        change = NONE if backtest.difference is None else _plain(backtest.difference, signed=True)
        rows.insert(1, ("AUC, tested less against", change, ""))
    note = ""
    if backtest.earlier is not None and backtest.later is not None:
        note = (
            f"Probabilities and tiers are fitted on leads scored from {backtest.earlier.since} to "
            f"{_day_before(backtest.earlier.until)} and judged on those from {backtest.later.since} on."
        )
    return FigureTable("In short", ("", *(_name(one) for one in every)), tuple(rows), note=note)


def team_in_words(backtest: Backtest) -> list[str]:
    """Return what a team of that size would get of each ruleset, a sentence each."""
    told = []
    for ruleset, figures in _labelled(backtest):
        view = figures.capacity
        if view is not None and view.cut is not None:
            of = f" of {ruleset[0]}" if ruleset else ""
            expected = _plain(view.conversions, 1)
            told.append(
                f"At {view.per_week:g} leads a week the cut{of} is {view.cut} and expects {expected} conversions."
            )
    return told


def best_leads(backtest: Backtest) -> FigureTable:
    """Return what the best so many leads came to: precision, lift and reach at k."""
    rows = [
        (*ruleset, f"{top.leads:,}", rate(top.precision), _plain(top.lift, 2), rate(top.reached))
        for ruleset, figures in _labelled(backtest)
        for top in figures.tops
    ]
    headings = (*_ruleset_heading(backtest), "Best leads", "Converted", "Lift", "Of all conversions")
    return FigureTable("The top of the list", headings, tuple(rows), words=len(headings) - 4)


def gain_table(backtest: Backtest) -> FigureTable:
    """Return some points of the gain curve."""
    rows = [
        (*ruleset, f"{point.share:.0%}", rate(point.reached))
        for ruleset, figures in _labelled(backtest)
        for point in figures.gain
        if any(abs(point.share - step) < 1e-9 for step in _GAIN_STEPS)
    ]
    headings = (*_ruleset_heading(backtest), "Leads from the top", "Conversions among them")
    return FigureTable("Gain curve", headings, tuple(rows), words=len(headings) - 2)


def tier_tables(backtest: Backtest) -> FigureTable:
    """Return what each tier came to."""
    rows = [
        (*ruleset, row.name, _from(row), f"{row.leads:,}", rate(row.share), rate(row.rate))
        for ruleset, figures in _labelled(backtest)
        for row in figures.tiers
    ]
    headings = (*_ruleset_heading(backtest), "Tier", "From", "Leads", "Share", "Converted")
    return FigureTable("Tiers", headings, tuple(rows), words=len(headings) - 4)


def reliability_table(backtest: Backtest) -> FigureTable:
    """Return what was expected of later leads beside what came."""
    rows = [
        (*ruleset, f"{one.low:.1f} to {one.high:.1f}", f"{one.leads:,}", f"{one.expected:.1%}", rate(one.rate))
        for ruleset, figures in _labelled(backtest)
        for one in (figures.reliability.bins if figures.reliability else ())
    ]
    headings = (*_ruleset_heading(backtest), "Scores", "Later leads", "Expected to convert", "Converted")
    return FigureTable("Reliability of the probabilities", headings, tuple(rows), words=len(headings) - 3)


def over_time(backtest: Backtest) -> FigureTable:
    """Return each period's base rate, and how well its leads were ranked."""
    every = rulesets(backtest)
    rows = []
    for place, period in enumerate(backtest.tested.periods):
        ranked = (_plain(one.periods[place].auc) for one in every)
        rows.append((period.name, f"{period.leads:,}", rate(period.base_rate), *ranked))
    headings = ("Leads scored from", "Leads", "Converted", *(f"AUC, {_name(one)}" for one in every))
    return FigureTable("Over time", headings, tuple(rows))


def tier_rates(figures: RulesetFigures) -> FigureTable:
    """Return the rate of each tier, period by period."""
    names = [tier.name for tier in figures.subject.tiers]
    rows = []
    for period in figures.periods:
        by_name = {row.name: rate(row.rate) for row in period.tiers}
        rows.append((period.name, *(by_name[name] for name in names)))
    title = f"How many of each tier converted, {_name(figures)}"
    return FigureTable(title, ("Leads scored from", *names), tuple(rows))


def score_table(backtest: Backtest) -> FigureTable:
    """Return how many leads have which score, and how many of them converted."""
    rows = [
        (*ruleset, row.name, f"{row.leads:,}", rate(row.share), rate(row.rate))
        for ruleset, figures in _labelled(backtest)
        for row in figures.bands
    ]
    headings = (*_ruleset_heading(backtest), "Score from", "Leads", "Share", "Converted")
    return FigureTable("Scores", headings, tuple(rows), words=len(headings) - 4)


def rulesets(backtest: Backtest) -> list[RulesetFigures]:
    """Return the tested ruleset, and the other one where there are two."""
    return [one for one in (backtest.tested, backtest.against) if one is not None]


def rate(estimate: Estimate | None) -> str:
    """Return a share and its interval in percent."""
    if estimate is None:
        return NONE
    return f"{estimate.value:.1%} ({_span(f'{100 * estimate.low:.1f}', f'{100 * estimate.high:.1f}')})"


def _labelled(backtest: Backtest) -> Iterator[tuple[tuple[str, ...], RulesetFigures]]:
    for figures in rulesets(backtest):
        yield ((_name(figures),) if backtest.against else ()), figures


def _ruleset_heading(backtest: Backtest) -> Sequence[str]:
    return ("Ruleset",) if backtest.against else ()


def _name(figures: RulesetFigures) -> str:
    return figures.subject.name


def _from(row: TierRow) -> str:
    return NONE if row.from_ is None else f"{row.from_:g}"


def _plain(estimate: Estimate | None, digits: int = 3, *, signed: bool = False) -> str:
    if estimate is None:
        return NONE
    value, low, high = (f"{number:{'+' if signed else ''}.{digits}f}" for number in estimate)
    return f"{value} ({_span(low, high)})"


def _span(low: str, high: str) -> str:
    """Return from where to where, short where no sign is in the way."""
    return f"{low} to {high}" if low[0] in "+-" else f"{low}{NONE}{high}"


def _cut(figures: RulesetFigures) -> str:
    if figures.capacity is None or figures.capacity.cut is None:
        return NONE
    return f"{figures.capacity.cut} ({figures.capacity.leads:.1f} leads a week)"


def _conversions(figures: RulesetFigures) -> str:
    expected = None if figures.capacity is None else figures.capacity.conversions
    return _plain(expected, 1)


def _error(figures: RulesetFigures) -> str:
    found = figures.reliability
    return NONE if found is None else f"{found.error:.2%} ({found.by_chance:.2%})"


def _doubling(figures: RulesetFigures) -> str:
    points = None if figures.calibration is None else figures.calibration.doubling_points
    return NONE if points is None else f"{points:.1f}"


def _hot(figures: RulesetFigures) -> str:
    cuts = figures.cuts
    return NONE if cuts is None or not cuts.apart else f"{cuts.hot}: {rate(cuts.hot_rate)}"


def _warm(figures: RulesetFigures) -> str:
    cuts = figures.cuts
    return NONE if cuts is None or not cuts.apart or cuts.warm is None else f"{cuts.warm}: {rate(cuts.warm_rate)}"


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
