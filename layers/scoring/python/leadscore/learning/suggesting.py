"""Which points the history would have wanted, found on the leads of the fit slice alone.

    Grouped + ScoreRule --fewest changes, or start over--> Proposal --the gate, on later leads--> shown or not

Two engines. *Fewest changes* keeps the points that people have and changes, one criterion after the other, what
pays most; it ends when nothing pays for itself. *Start over* fits all points together and scales them so that one
point means what it means now. Invariant: a criterion that is locked, or has too few leads, keeps its points; the
fewest changes never turn a sign; and every candidate is judged by the whole score, with its caps.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log1p, sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from leadscore.learning.calibration import calibrate, logit
from leadscore.learning.proportions import LogOdds, Z
from leadscore.learning.ridge import Row, fit_jointly
from leadscore.learning.samples import STEPS, ScoreCount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leadscore.learning.samples import Counts, Grouped, Pattern, ScoreRule

Engine = Literal["changes", "start over"]
Prior = Literal["none", "points"]

# What can change its points: leads that have it and that have not, and conversions expected where it says nothing.
LEAST_LEADS = 30
LEAST_EXPECTED = 5.0
# The log-odds of a point where the present points say nothing of conversion: ten points double the odds.
FALLBACK_PER_POINT = log(2) / 10
# While candidates are compared, the rest of a score is kept to half a point.
_GRAIN = 2
_COARSE_STEPS = 8
# How hard coefficients are drawn, per standard deviation of what they multiply. To nothing only as far as keeps them
# finite; to the present points as if some forty leads spoke for those.
_RIDGES: dict[Prior, float] = {"none": 1.0, "points": 10.0}
# A gain in log-likelihood that is not worth looking at.
_NOTHING = 0.05


@dataclass(frozen=True, slots=True)
class Freedom:
    """What may be changed: all but the `locked` criteria, in multiples of `step`, within `most` points either way.

    Without `most` it is twice the largest points there are, and no less than ten steps.
    """

    locked: frozenset[str] = frozenset()
    step: int = 1
    most: int | None = None

    def __post_init__(self) -> None:
        if self.step < 1:
            raise ValueError(f"the step must be 1 or more, not {self.step}")
        if self.most is not None and self.most < self.step:
            raise ValueError(f"the most points ({self.most}) must not be below the step ({self.step})")

    def bound(self, rule: ScoreRule) -> int:
        """Return the most points that a criterion may come to, a multiple of the step."""
        wanted = (
            self.most if self.most is not None else max([10 * self.step, *(2 * abs(points) for points in rule.points)])
        )
        return min(wanted, 1000) // self.step * self.step


class Change(NamedTuple):
    """Other points for one criterion; `after` 0 means that it is to be taken out."""

    criterion: str
    before: int
    after: int

    def to_dict(self) -> dict[str, object]:
        """Return the change as plain JSON types."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Proposal:
    """The rule with the changed points, the changes in ruleset order, and the criteria that could not change.

    `gain` is by how much the log-likelihood of the leads it was found on rose: flattering, as any fit is.
    """

    rule: ScoreRule
    changes: tuple[Change, ...]
    kept: tuple[str, ...]
    gain: float


class JointWorth(NamedTuple):
    """What "start over" is made of: each free criterion's log-odds at a strength of 1, and those of one point."""

    log_odds: dict[str, LogOdds]
    per_point: float


def propose(
    grouped: Grouped, rule: ScoreRule, engine: Engine, freedom: Freedom | None = None, prior: Prior = "none"
) -> Proposal:
    """Return what an engine makes of the leads of the fit slice; `prior` is read by "start over" alone.

    Raises ValueError where the leads are of other criteria than the rule, or all or none of them converted.
    """
    allowed = freedom if freedom is not None else Freedom()
    if grouped.criteria != rule.criteria:
        raise ValueError("the leads were reduced under other criteria than those whose points are to change")
    free = eligible(grouped, rule, allowed)
    if engine == "changes":
        points = _fewest_changes(grouped, rule, free, allowed)
    else:
        points = _start_over(grouped, rule, free, allowed, prior)
    changed = rule.with_points(points)
    pairs = zip(rule.criteria, rule.points, changed.points, strict=True)
    return Proposal(
        rule=changed,
        changes=tuple(Change(name, before, after) for name, before, after in pairs if before != after),
        kept=tuple(name for place, name in enumerate(rule.criteria) if place not in free),
        gain=score_loss(grouped.scores(rule)) - score_loss(grouped.scores(changed)),
    )


def eligible(grouped: Grouped, rule: ScoreRule, freedom: Freedom) -> tuple[int, ...]:
    """Return the places of the criteria that are free and have leads enough on both sides."""
    leads, conversions = grouped.leads, grouped.conversions
    return tuple(
        place
        for place, (name, (n, _)) in enumerate(zip(rule.criteria, grouped.holding(), strict=True))
        if name not in freedom.locked
        and LEAST_LEADS <= n <= leads - LEAST_LEADS
        and n * conversions / leads >= LEAST_EXPECTED
    )


def score_loss(scores: Sequence[ScoreCount]) -> float:
    """Return minus the log-likelihood of leads whose chance follows from their score by the best two parameters.

    A score that falls where conversion rises is taken for one that says nothing.
    """
    curve = calibrate(scores)
    if curve is None:
        return 0.0
    if curve.slope <= 0:
        leads, conversions = sum([one.leads for one in scores]), sum([one.conversions for one in scores])
        return _log_loss(logit(conversions / leads), leads, conversions) if 0 < conversions < leads else 0.0
    return sum([_log_loss(curve.intercept + curve.slope * s, n, k) for s, n, k in scores])


def weigh_jointly(grouped: Grouped, rule: ScoreRule, free: Sequence[int], prior: Prior = "none") -> JointWorth:
    """Return what the criteria at the places `free` are worth together; all others are taken at their points.

    The features are what each adds to the score per point of it, after its own cap. They are drawn to nothing, or
    with the prior "points" to what their points say now. Raises ValueError where all leads convert or none.
    """
    curve = calibrate(grouped.scores(rule))
    told = curve is not None and curve.slope > Z * sqrt(curve.variances[2])
    per_point = curve.slope if curve is not None and told else FALLBACK_PER_POINT
    numbers = {place: number for number, place in enumerate(free)}
    drawn = [per_point * rule.points[place] if prior == "points" else 0.0 for place in free]
    rows = [_design(rule, pattern, counts, numbers, drawn, per_point) for pattern, counts in grouped.rows.items()]
    fit = fit_jointly(rows, len(free), _RIDGES[prior])
    if fit is None:
        raise _nothing_to_tell(grouped)
    found = zip(free, drawn, fit.coefficients, fit.errors, strict=True)
    return JointWorth(
        {rule.criteria[place]: LogOdds(to + value, error) for place, to, value, error in found}, per_point
    )


def _start_over(
    grouped: Grouped, rule: ScoreRule, free: tuple[int, ...], freedom: Freedom, prior: Prior
) -> dict[str, int]:
    worth = weigh_jointly(grouped, rule, free, prior)
    step, most = freedom.step, freedom.bound(rule)
    per_point = worth.per_point
    if len(free) == len(rule.criteria):
        # With no other points to agree with, all give way together, so that what they are to each other stays.
        per_point = max([per_point, *(abs(one.value) / most for one in worth.log_odds.values())])
    wanted = {name: round(one.value / per_point / step) * step for name, one in worth.log_odds.items()}
    return {name: max(-most, min(most, points)) for name, points in wanted.items()}


def _design(
    rule: ScoreRule,
    pattern: Pattern,
    counts: Counts,
    numbers: Mapping[int, int],
    drawn: Sequence[float],
    per_point: float,
) -> Row:
    """Return leads with what their free criteria add per point, and with the log-odds that are taken as known."""
    features, offset = [], 0.0
    for (place, strength), (_, added) in zip(pattern, rule.contributions(pattern), strict=True):
        number = numbers.get(place)
        if number is None:
            offset += per_point * added
        else:
            points = rule.points[place]
            amount = added / points if points else strength / STEPS
            features.append((number, amount))
            offset += drawn[number] * amount
    return Row(tuple(features), counts.leads, counts.conversions, offset)


def _nothing_to_tell(grouped: Grouped) -> ValueError:
    return ValueError(f"{grouped.conversions} of {grouped.leads} leads converted: nothing can be told from that")


def _fewest_changes(grouped: Grouped, rule: ScoreRule, free: tuple[int, ...], freedom: Freedom) -> dict[str, int]:
    """Return the points of the criteria that changed."""
    leads, conversions = grouped.leads, grouped.conversions
    rarer = min(conversions, leads - conversions)
    if not rarer:
        raise _nothing_to_tell(grouped)
    # What a further parameter has to gain in log-likelihood: Schwarz's criterion, of the rarer kind of leads.
    price = log(rarer) / 2
    search = _Search(grouped, rule, freedom)
    changed: list[int] = []
    while (best := _best_change(search, [place for place in free if place not in changed], price)) is not None:
        place, points = best
        search.move(place, points)
        for other in changed:
            _retune(search, other)
        changed.append(place)
    return {rule.criteria[place]: search.rule.points[place] for place in changed}


def _best_change(search: _Search, places: Sequence[int], price: float) -> tuple[int, int] | None:
    """Return the place and the points that gain most; None where nothing gains its price."""
    promises = {place: search.promise(place) for place in places}
    # A promise is the gain where the loss is a parabola. Far away it is more than that, though hardly twice.
    worth_a_try = max(price, max(promises.values(), default=0.0)) / 2
    found = [(*search.best_points(place), place) for place, promise in promises.items() if promise >= worth_a_try]
    gain, points, place = max(found, default=(0.0, 0, 0))
    return (place, points) if gain >= max(price, _NOTHING) else None


def _retune(search: _Search, place: int) -> None:
    if search.promise(place) >= _NOTHING:
        gain, points = search.best_points(place)
        if gain > _NOTHING:
            search.move(place, points)


def _log_loss(log_odds: float, leads: int, conversions: int) -> float:
    return leads * (max(log_odds, 0.0) + log1p(exp(-abs(log_odds)))) - conversions * log_odds


class _Histogram:
    """How many leads have each score, and how many of them converted."""

    def __init__(self) -> None:
        self.counts: dict[float, tuple[int, int]] = {}

    def add(self, score: float, leads: int, conversions: int) -> None:
        n, k = self.counts.get(score, (0, 0))
        self.counts[score] = (n + leads, k + conversions)

    def scores(self) -> list[ScoreCount]:
        return [ScoreCount(score, n, k) for score, (n, k) in self.counts.items() if n]


class _Cell(NamedTuple):
    """What one criterion's leads are sorted by: the score of all other groups, that of the rest of its own, strength.

    A group without bounds is no group here: all of the rest is in `outside`.
    """

    outside: float
    inside: float
    strength: int


class _Search:
    """The rule as changed so far, and what other points for one of its criteria would gain.

    All leads are sorted once after each change. A candidate then costs the cells of its criterion, not the leads.
    """

    def __init__(self, grouped: Grouped, rule: ScoreRule, freedom: Freedom) -> None:
        self.rule = rule
        self._signs = [1 if points > 0 else -1 for points in rule.points]
        self._grouped = grouped
        self._step = freedom.step
        self._most = freedom.bound(rule) // freedom.step
        self._group_of = {place: number for number, group in enumerate(rule.groups) for place in group.places}
        self._arrange()

    def move(self, place: int, points: int) -> None:
        """Go on from other points for one criterion."""
        self.rule = self.rule.with_points({self.rule.criteria[place]: points})
        self._arrange()

    def promise(self, place: int) -> float:
        """Return about what the best points for a criterion would gain, by Rao's score test, without trying any.

        Half of U^2 / I, with U the derivative of the log-likelihood by the criterion's points, and I its information
        less what the two parameters of the score's curve already explain of it.
        """
        slope, information = 0.0, [0.0, 0.0, 0.0]
        for (outside, inside, strength), (leads, conversions) in self._cells[place].items():
            x = strength / STEPS
            score = self._score(place, outside, inside + self._added(self.rule, place, strength))
            p = self._curve.probability(score)
            weight = leads * p * (1 - p)
            slope += x * (conversions - leads * p)
            information = [i + weight * x * y for i, y in zip(information, (1.0, score, x), strict=True)]
        level, tilt, own = information
        both, joint, single = self._curve.variances
        own -= level * level * both + 2 * level * tilt * joint + tilt * tilt * single
        return slope * slope / own / 2 if own > 0 else 0.0

    def best_points(self, place: int) -> tuple[float, int]:
        """Return the best points of the criterion's own sign and what they gain: coarsely, then by halving."""
        unit = self._signs[place] * self._step
        losses: dict[int, float] = {}

        def loss_at(steps: int) -> float:
            if steps not in losses:
                losses[steps] = self._loss_with(place, unit * steps)
            return losses[steps]

        width = max(1, self._most // _COARSE_STEPS)
        best = min(range(0, self._most + 1, width), key=loss_at)
        while width > 1:
            width = (width + 1) // 2
            best = min((best, max(0, best - width), min(self._most, best + width)), key=loss_at)
        return self._loss_with(place, self.rule.points[place]) - loss_at(best), unit * best

    def _loss_with(self, place: int, points: int) -> float:
        rule = self.rule.with_points({self.rule.criteria[place]: points})
        scores = _Histogram()
        scores.counts = dict(self._all.counts)
        for score, (leads, conversions) in self._holding[place].counts.items():
            scores.add(score, -leads, -conversions)
        added = {strength: self._added(rule, place, strength) for _, _, strength in self._cells[place]}
        for (outside, inside, strength), (leads, conversions) in self._cells[place].items():
            scores.add(self._score(place, outside, inside + added[strength]), leads, conversions)
        return score_loss(scores.scores())

    def _arrange(self) -> None:
        """Sort the leads, for each criterion, by the rest of their score and by how strongly it holds."""
        self._all = _Histogram()
        self._holding = [_Histogram() for _ in self.rule.criteria]
        self._cells: list[dict[_Cell, tuple[int, int]]] = [{} for _ in self.rule.criteria]
        for pattern, (leads, conversions) in self._grouped.rows.items():
            added = self.rule.contributions(pattern)
            sums = [0.0] * len(self.rule.groups)
            loose = 0.0
            for place, points in added:
                number = self._group_of.get(place)
                if number is None:
                    loose += points
                else:
                    sums[number] += points
            capped = [self._within(number, one) for number, one in enumerate(sums)]
            whole = loose + sum(capped)
            score = _grain(self._bounded(whole))
            self._all.add(score, leads, conversions)
            for (place, strength), (_, points) in zip(pattern, added, strict=True):
                self._holding[place].add(score, leads, conversions)
                number = self._group_of.get(place)
                if number is None:
                    cell = _Cell(_grain(whole - points), 0.0, strength)
                else:
                    cell = _Cell(_grain(whole - capped[number]), _grain(sums[number] - points), strength)
                n, k = self._cells[place].get(cell, (0, 0))
                self._cells[place][cell] = (n + leads, k + conversions)
        curve = calibrate(self._all.scores())
        if curve is None:
            raise ValueError("there are no leads to learn from")
        self._curve = curve

    @staticmethod
    def _added(rule: ScoreRule, place: int, strength: int) -> float:
        return rule.contributions(((place, strength),))[0][1]

    def _score(self, place: int, outside: float, inside: float) -> float:
        number = self._group_of.get(place)
        return _grain(self._bounded(outside + (inside if number is None else self._within(number, inside))))

    def _within(self, number: int, points: float) -> float:
        group = self.rule.groups[number]
        return _clamp(points, group.low, group.high)

    def _bounded(self, points: float) -> float:
        return _clamp(points, self.rule.total.low, self.rule.total.high)


def _grain(points: float) -> float:
    return round(points * _GRAIN) / _GRAIN


def _clamp(points: float, low: int | None, high: int | None) -> float:
    """Return the points within bounds that are in steps."""
    if high is not None:
        points = min(points, high / STEPS)
    return points if low is None else max(points, low / STEPS)
