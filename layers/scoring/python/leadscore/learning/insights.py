"""What each criterion is worth by the leads of the past, and what about the criteria should make people look twice.

    Grouped, ScoreRule -> Insights: per criterion its figures and findings, the pairs that go together, warnings

Invariant: a finding that says "change this" is made of figures that survive the number of criteria looked at (q values)
and of enough leads; what is too thin says that it is thin, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import erfc, pi, sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from leadscore.learning.calibration import calibrate
from leadscore.learning.proportions import (
    Estimate,
    LogOdds,
    Table,
    around,
    g_test,
    lift,
    log_odds_ratio,
    phi,
    q_values,
    wilson,
)
from leadscore.learning.ranking_quality import auc
from leadscore.learning.ridge import Row, fit_jointly
from leadscore.learning.samples import STEPS, ScoreCount, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from leadscore.learning.ridge import JointFit
    from leadscore.learning.samples import Counts, Grouped, Pattern, ScoreRule

# Below 25 conversions learned points are worse than sensible ones; from 100 on they are better.
FEW_CONVERSIONS = 25
ENOUGH_CONVERSIONS = 100
# Fewer holding leads, or others, or conversions to expect among them, than these say nothing of a criterion.
ENOUGH_LEADS = 30
ENOUGH_EXPECTED = 5
FALSE_FINDINGS = 0.05
# What only a fact that is known after the conversion reaches.
LEAKING_SUPPORT = 0.02
LEAKING_RATE = 0.95
LEAKING_LOW_RATE = 0.03
LEAKING_LOW_OF_BASE = 0.1
LEAKING_LIFT = 0.1
# Two criteria whose correlation is surely above this say the same of a lead.
REDUNDANT = 0.8
# A joint fit of more criteria takes minutes; the ones least likely to be chance are in it.
MOST_JOINT = 100
MOST_PAIRS = 100

FindingKind = Literal["dead", "thin", "leak", "redundant", "over-pointed", "under-pointed", "wrong-sign"]


class Finding(NamedTuple):
    """What about a criterion should make people look twice, and why, in words."""

    kind: FindingKind
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Return the finding as plain JSON types."""
        return dict(self._asdict())


class Association(NamedTuple):
    """How a fact goes with conversion, on its own.

    `support` is the share of leads for which it holds, `rate` theirs of conversion, `p` the probability of as much by
    chance, and `q` the share of false findings among all facts looked at that are at least as sure.
    """

    table: Table
    support: Estimate | None
    rate: Estimate | None
    lift: Estimate | None
    alone: LogOdds
    correlation: Estimate | None
    p: float
    q: float

    @property
    def thin(self) -> bool:
        """Whether there are too few leads, on one side or the other, to say anything."""
        leads, conversions, holding, _ = self.table
        few = holding < ENOUGH_LEADS or leads - holding < ENOUGH_LEADS
        return few or holding * conversions < ENOUGH_EXPECTED * leads

    def to_dict(self) -> dict[str, object]:
        """Return the figures as plain JSON types."""
        return {
            "leads": self.table.holding,
            "conversions": self.table.converted,
            "support": _plain(self.support),
            "rate": _plain(self.rate),
            "lift": _plain(self.lift),
            "log_odds_alone": self.alone.to_dict(),
            "correlation": _plain(self.correlation),
            "p": self.p,
            "q": self.q,
        }


@dataclass(frozen=True, slots=True)
class CriterionInsight:
    """One criterion: how it goes with conversion alone and together with the others, and what it would be worth.

    `together` are the log-odds that it adds on average where it holds, the others being what they are. `fair_points`
    are the points that would say the same at the odds that a point stands for in most criteria.
    """

    criterion: str
    points: int
    association: Association
    together: LogOdds | None
    fair_points: Estimate | None
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the insight as plain JSON types."""
        return {
            "criterion": self.criterion,
            "points": self.points,
            **self.association.to_dict(),
            "log_odds_together": None if self.together is None else self.together.to_dict(),
            "fair_points": _plain(self.fair_points),
            "findings": [finding.to_dict() for finding in self.findings],
        }


class Candidate(NamedTuple):
    """A fact that no criterion uses: an event's name, or a trait's value; `notable` where it surely goes with it."""

    name: str
    association: Association
    notable: bool

    def to_dict(self) -> dict[str, object]:
        """Return the candidate as plain JSON types."""
        return {"name": self.name, **self.association.to_dict(), "notable": self.notable}


class Pair(NamedTuple):
    """Two criteria, and how far they hold for the same leads; `redundant` where they surely say the same."""

    one: str
    other: str
    correlation: Estimate
    redundant: bool

    def to_dict(self) -> dict[str, object]:
        """Return the pair as plain JSON types."""
        return {**self._asdict(), "correlation": self.correlation.to_dict()}


@dataclass(frozen=True, slots=True)
class Insights:
    """What the leads of one sample say of all criteria, in their order; the strongest `pairs` first."""

    leads: int
    conversions: int
    base_rate: Estimate | None
    criteria: tuple[CriterionInsight, ...]
    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the insights as plain JSON types."""
        return {
            "leads": self.leads,
            "conversions": self.conversions,
            "base_rate": _plain(self.base_rate),
            "criteria": [one.to_dict() for one in self.criteria],
            "pairs": [pair.to_dict() for pair in self.pairs],
            "warnings": list(self.warnings),
        }


def find_insights(grouped: Grouped, rule: ScoreRule, late: Collection[str] = ()) -> Insights:
    """Return what the leads of `grouped` say of its criteria, whose points are those of `rule`.

    `late` are the criteria that read a trait which was written after the lead was scored. Raises ValueError where the
    rule is of other criteria than the sample.
    """
    leads, conversions = grouped.leads, grouped.conversions
    associations = associate(leads, conversions, grouped.holding())
    worths = _judge_points(grouped, rule, associations)
    pairs = _pairs(grouped)
    twins: dict[str, list[str]] = {name: [] for name in grouped.criteria}
    for pair in pairs:
        if pair.redundant:
            twins[pair.one].append(pair.other)
            twins[pair.other].append(pair.one)
    lifts = _auc_lifts(grouped, rule, associations)
    criteria = []
    for place, (name, association) in enumerate(zip(grouped.criteria, associations, strict=True)):
        findings = _findings(association, lifts[place], late=name in late)
        findings += [Finding("redundant", f"holds for nearly the same leads as {twin}") for twin in twins[name]]
        worth = worths[place]
        if not any(finding.kind in {"dead", "thin", "leak"} for finding in findings):
            findings += worth.findings
        points = rule.points[place]
        criteria.append(CriterionInsight(name, points, association, worth.together, worth.fair, tuple(findings)))
    strongest = tuple(pairs[:MOST_PAIRS])
    warnings = _warnings(leads, conversions)
    return Insights(leads, conversions, wilson(conversions, leads), tuple(criteria), strongest, warnings)


def find_leaks(grouped: Grouped, rule: ScoreRule, late: Collection[str] = ()) -> dict[str, str]:
    """Return the criteria that seem to hold because of what they are to predict, each with the reason.

    `late` and what is raised are those of `find_insights`.
    """
    associations = associate(grouped.leads, grouped.conversions, grouped.holding())
    lifts = _auc_lifts(grouped, rule, associations)
    found = {}
    for name, association, lifted in zip(grouped.criteria, associations, lifts, strict=True):
        reasons = [one.reason for one in _findings(association, lifted, late=name in late) if one.kind == "leak"]
        if reasons:
            found[name] = "; ".join(reasons)
    return found


def find_candidates(leads: int, conversions: int, facts: Mapping[str, Counts]) -> list[Candidate]:
    """Return how each of `facts`, by name the leads for which it holds, goes with conversion; the surest first."""
    associations = associate(leads, conversions, facts.values())
    found = [
        Candidate(name, one, not one.thin and one.q <= FALSE_FINDINGS)
        for name, one in zip(facts, associations, strict=True)
    ]
    return sorted(found, key=lambda one: (not one.notable, one.association.q, one.name))


def associate(leads: int, conversions: int, holding: Iterable[Counts]) -> list[Association]:
    """Return how each of several facts, given by the leads for which it holds, goes with conversion."""
    tables = [Table(leads, conversions, n, a) for n, a in holding]
    chances = [g_test(table) for table in tables]
    return [
        Association(
            table=table,
            support=wilson(table.holding, leads),
            rate=wilson(table.converted, table.holding),
            lift=lift(*table),
            alone=log_odds_ratio(table),
            correlation=phi(table),
            p=p,
            q=q,
        )
        for table, p, q in zip(tables, chances, q_values(chances), strict=True)
    ]


class _Worth(NamedTuple):
    """What the joint fit says of one criterion."""

    together: LogOdds | None = None
    fair: Estimate | None = None
    findings: tuple[Finding, ...] = ()


def _judge_points(grouped: Grouped, rule: ScoreRule, associations: Sequence[Association]) -> list[_Worth]:
    """Return for each criterion what it is worth together with the others.

    A feature is how often the criterion's points count, decayed and within its own cap, so that a coefficient is the
    log-odds of the points once. The caps of groups and total, which fall on no single criterion, are left out.
    """
    worths = [_Worth() for _ in grouped.criteria]
    chosen = [place for place, one in enumerate(associations) if 0 < one.table.holding < one.table.leads]
    chosen = sorted(sorted(chosen, key=lambda place: associations[place].p)[:MOST_JOINT])
    rows = _rows(grouped, rule, chosen)
    fit = fit_jointly(rows, len(chosen))
    if fit is None:
        return worths
    means = _means_where_holding(rows, len(chosen))
    points = [rule.points[place] for place in chosen]
    slope = _odds_of_most(fit, points) or _odds_of_sum(rows, points)
    enough = grouped.conversions >= ENOUGH_CONVERSIONS
    chances = []
    for nth, place in enumerate(chosen):
        worth, error = fit.coefficients[nth], fit.errors[nth]
        together = LogOdds(worth * means[nth], error * means[nth])
        fair = None
        chance = 1.0
        if slope is not None:
            present = rule.points[place]
            share = worth / slope.value
            # The two are taken as independent, which makes the interval a little wide.
            fair = around(share, sqrt(error * error + (share * slope.error) ** 2) / slope.value)
            spread = sqrt(error * error + (present * slope.error) ** 2)
            chance = erfc(abs(worth - present * slope.value) / spread / sqrt(2))
        chances.append(chance if enough and not associations[place].thin else 1.0)
        worths[place] = _Worth(together, fair)
    for place, q in zip(chosen, q_values(chances), strict=True):
        fair = worths[place].fair
        if q <= FALSE_FINDINGS and fair is not None:
            worths[place] = worths[place]._replace(findings=_pointed(rule.points[place], fair))
    return worths


def _pointed(points: int, fair: Estimate) -> tuple[Finding, ...]:
    """Return what is wrong with `points` that are surely not `fair`; nothing where it is less than a point."""
    if abs(fair.value - points) < 1:
        return ()
    said = f"{points:+d} now, {fair.value:+.1f} by past conversions ({fair.low:+.1f} to {fair.high:+.1f})"
    if (points > 0 and fair.high < 0) or (points < 0 and fair.low > 0):
        return (Finding("wrong-sign", said),)
    over = points != 0 and (fair.value < points) == (points > 0)
    return (Finding("over-pointed" if over else "under-pointed", said),)


def _rows(grouped: Grouped, rule: ScoreRule, chosen: Sequence[int]) -> list[Row]:
    """Return the leads by how often the points of each of the `chosen` criteria count."""
    nth = {place: index for index, place in enumerate(chosen)}
    leads, conversions = Counter[tuple[tuple[int, float], ...]](), Counter[tuple[tuple[int, float], ...]]()
    for pattern, counts in grouped.rows.items():
        features = tuple([(nth[place], times) for place, times in _times(rule, pattern) if place in nth])
        leads[features] += counts.leads
        conversions[features] += counts.conversions
    return [Row(features, n, conversions[features]) for features, n in leads.items()]


def _times(rule: ScoreRule, pattern: Pattern) -> list[tuple[int, float]]:
    return [
        (place, points / rule.points[place] if rule.points[place] else strength / STEPS)
        for (place, points), (_, strength) in zip(rule.contributions(pattern), pattern, strict=True)
    ]


def _means_where_holding(rows: Iterable[Row], width: int) -> list[float]:
    sums, leads = [0.0] * width, [0] * width
    for row in rows:
        for place, times in row.features:
            sums[place] += times * row.leads
            leads[place] += row.leads
    return [total / n for total, n in zip(sums, leads, strict=True)]


def _odds_of_most(fit: JointFit, points: Sequence[int]) -> LogOdds | None:
    """Return the log-odds that a point stands for in most criteria; None where that is not surely above 0.

    It is the weighted median of worth over points, which makes the sum of |worth - odds * points| / error least: few
    points that are far off then leave all others right, where a mean would make every criterion look wrong. The error
    is that of the mean, times sqrt(pi / 2) for a median.
    """
    ratios = sorted(
        (worth / given, abs(given) / error)
        for worth, error, given in zip(fit.coefficients, fit.errors, points, strict=True)
        if given
    )
    half = sum(weight for _, weight in ratios) / 2
    below = 0.0
    for ratio, weight in ratios:
        below += weight
        if below >= half:
            error = sqrt(pi / 2 / sum(weight * weight for _, weight in ratios))
            return LogOdds(ratio, error) if around(ratio, error).low > 0 else None
    return None


def _odds_of_sum(rows: Iterable[Row], points: Sequence[int]) -> LogOdds | None:
    """Return the log-odds of a point of the sum of all criteria; None where that is not surely above 0."""
    fitted = calibrate(
        joined(
            ScoreCount(sum([points[place] * times for place, times in row.features]), row.leads, row.conversions)
            for row in rows
        )
    )
    slope = None if fitted is None else LogOdds(fitted.slope, sqrt(fitted.variances[2]))
    return slope if slope is not None and around(slope.value, slope.error).low > 0 else None


def _findings(association: Association, auc_lift: float, *, late: bool) -> list[Finding]:
    leads, _, holding, _ = association.table
    found = [Finding("leak", "reads a trait that was written after the lead was scored")] if late else []
    if holding in (0, leads):
        whom = "no lead" if holding == 0 else "every lead"
        return [*found, Finding("dead", f"holds for {whom}, so that it tells nobody apart")]
    found += _leaks(association.table)
    if auc_lift > LEAKING_LIFT:
        found.append(Finding("leak", f"lifts the ranking (AUC) by {auc_lift:.2f} alone: is it known in time?"))
    if association.thin:
        found.append(Finding("thin", f"holds for {holding} of {leads} leads: too few, on one side, to judge it"))
    return found


def _leaks(table: Table) -> list[Finding]:
    """Return the signs that a criterion holds because of a conversion, or of a refusal, and not before it."""
    leads, conversions, holding, converted = table
    rate, base = converted / holding, conversions / leads
    if converted == holding and holding * (1 - base) >= ENOUGH_EXPECTED:
        return [Finding("leak", f"all {holding} leads for which it holds converted: is it known in time?")]
    if converted == 0 and holding * base >= ENOUGH_EXPECTED:
        return [Finding("leak", f"none of the {holding} leads for which it holds converted: is it known in time?")]
    if holding < LEAKING_SUPPORT * leads:
        return []
    # Where few convert at all, a rate that is low in itself is no sign of anything.
    low = rate <= min(LEAKING_LOW_RATE, LEAKING_LOW_OF_BASE * base) and holding * base >= ENOUGH_EXPECTED
    if low or rate >= LEAKING_RATE > base:
        return [Finding("leak", f"{rate:.1%} of {holding} leads converted, {base:.1%} of all: is it known in time?")]
    return []


def _auc_lifts(grouped: Grouped, rule: ScoreRule, associations: Sequence[Association]) -> list[float]:
    """Return by how much each criterion's points lift the AUC; 0 where they cannot lift it by as much as matters."""
    lifts = [0.0] * len(grouped.criteria)
    whole = auc(grouped.scores(rule))
    if whole is None:
        return lifts
    totals = [(rule.total_of(pattern), pattern, counts) for pattern, counts in grouped.rows.items()]
    for place, association in enumerate(associations):
        a, b, c, d = association.table.cells
        # Only pairs of leads for one of which it holds can change their order, and each by one at most.
        if rule.points[place] == 0 or 1 - (c / (a + c)) * (d / (b + d)) <= LEAKING_LIFT:
            continue
        without = rule.with_points({rule.criteria[place]: 0})
        changed = [
            ScoreCount(without.total_of(pattern) if any(one == place for one, _ in pattern) else total, *counts)
            for total, pattern, counts in totals
        ]
        rest = auc(changed)
        lifts[place] = whole.value - rest.value if rest is not None else 0.0
    return lifts


def _pairs(grouped: Grouped) -> list[Pair]:
    """Return all pairs of criteria that have a correlation, the strongest first."""
    both = Counter[tuple[int, int]]()
    for pattern, counts in grouped.rows.items():
        places = [place for place, _ in pattern]
        for nth, place in enumerate(places):
            for later in places[nth + 1 :]:
                both[place, later] += counts.leads
    leads, holding = grouped.leads, grouped.holding()
    # Of more criteria than that, pairs that never hold together are too many to list.
    listed = len(holding) <= MOST_JOINT
    every = ((i, j) for i in range(len(holding)) for j in range(i + 1, len(holding)))
    found = []
    for i, j in every if listed else both:
        correlation = phi(Table(leads, holding[i].leads, holding[j].leads, both[i, j]))
        if correlation is not None:
            redundant = correlation.low > REDUNDANT
            found.append(Pair(grouped.criteria[i], grouped.criteria[j], correlation, redundant))
    return sorted(found, key=lambda pair: -abs(pair.correlation.value))


def _warnings(leads: int, conversions: int) -> tuple[str, ...]:
    if leads == 0:
        return ("there are no leads to learn from",)
    if conversions in (0, leads):
        return (f"{'none' if conversions == 0 else 'all'} of {leads} leads converted: nothing can be told apart",)
    if conversions < FEW_CONVERSIONS:
        return (f"only {conversions} conversions: sensible points are better than learned ones",)
    if conversions < ENOUGH_CONVERSIONS:
        return (f"{conversions} conversions: no points are judged below {ENOUGH_CONVERSIONS}",)
    return ()


def _plain(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_dict()
