"""The reduced history that all of learning works on: how many leads had which factors, and how many of them converted.

    snapshots of leads -> split by time -> Tally -> Grouped, one row per distinct pattern -> scores, tables, figures

A row's pattern says how strongly each criterion held, free of its points, so that a score under any points, and any
caps, can be had without going back to the events. Invariant: whole numbers are added, so that reducing the segments of
a log apart and merging them, in any order, gives what reducing all at once gives. A disqualified lead is no part of a
sample: people do not work on it, whatever its score.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadscore.core.instants import Millis
    from leadscore.core.ruleset import Ruleset

# A strength is kept in steps of a sixteenth: a criterion's contribution is off by a 32nd of its points at most.
STEPS = 16

Slice = Literal["fit", "gate", "report"]

# (place of the criterion, its strength in steps) for each criterion that holds, places ascending, strengths positive.
# A strength of `STEPS` is the criterion's points once; of 2 * STEPS twice; decay makes it less. No cap is in it.
Pattern = tuple[tuple[int, int], ...]


class Counts(NamedTuple):
    """How many leads, and how many of them converted."""

    leads: int
    conversions: int


class ScoreCount(NamedTuple):
    """The leads that have one score, and how many of them converted."""

    score: float
    leads: int
    conversions: int


class PairCount(NamedTuple):
    """The leads that have one score under one rule and another under the other."""

    score: float
    other: float
    leads: int
    conversions: int


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Three spans of time, each a whole `gap` behind the one before, so that no label of one is known in the next.

    A lead scored at T has its label from (T, T + gap]; `gap` is the label's window.
    """

    gate_from: Millis
    report_from: Millis
    gap: Millis

    def slice_of(self, at: Millis) -> Slice | None:
        """Return the slice of a lead scored at `at`; None where its label would reach into the next slice."""
        if at >= self.report_from:
            return "report"
        if at >= self.gate_from:
            return "gate" if at + self.gap <= self.report_from else None
        return "fit" if at + self.gap <= self.gate_from else None


class _Bounded(NamedTuple):
    """The criteria of one group, with the group's bounds in steps of a point."""

    places: frozenset[int]
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """What makes a score of a pattern: points, then the caps of criterion, group and total, as the score has them.

    Sums are of whole steps of a point; caps are rounded to a step. `maxima` bound the size of a criterion's
    contribution whatever its sign, and stay in points where the points change.
    """

    criteria: tuple[str, ...]
    points: tuple[int, ...]
    maxima: tuple[int | None, ...]
    groups: tuple[_Bounded, ...]
    total: _Bounded

    @classmethod
    def of(cls, ruleset: Ruleset) -> ScoreRule:
        """Return the rule of a ruleset's criteria that have points, in ruleset order."""
        scored = [criterion for criterion in ruleset.criteria if not criterion.disqualify]
        groups = {name: [p for p, c in enumerate(scored) if c.group == name] for name in ruleset.groups}
        bounded = [
            _Bounded(frozenset(places), _in_steps(ruleset.groups[name].min), _in_steps(ruleset.groups[name].max))
            for name, places in groups.items()
            if ruleset.groups[name].min is not None or ruleset.groups[name].max is not None
        ]
        return cls(
            criteria=tuple(criterion.id for criterion in scored),
            points=tuple(criterion.points for criterion in scored),
            maxima=tuple(_in_steps(criterion.max) for criterion in scored),
            groups=tuple(bounded),
            total=_Bounded(frozenset(), _in_steps(ruleset.total_min), _in_steps(ruleset.total_max)),
        )

    @classmethod
    def uncapped(cls, points: Mapping[str, int]) -> ScoreRule:
        """Return the rule that adds up `points` by criterion, with no cap and no bound."""
        none = (None,) * len(points)
        return cls(tuple(points), tuple(points.values()), none, (), _Bounded(frozenset(), None, None))

    def with_points(self, points: Mapping[str, int]) -> ScoreRule:
        """Return this rule with other points for the criteria named; 0 takes a criterion out of the score."""
        pairs = zip(self.criteria, self.points, strict=True)
        return replace(self, points=tuple(points.get(name, present) for name, present in pairs))

    def contributions(self, pattern: Pattern) -> list[tuple[int, float]]:
        """Return what each criterion that holds adds, in points after its own cap and before all others."""
        return [(place, self._steps(place, strength) / STEPS) for place, strength in pattern]

    def total_of(self, pattern: Pattern) -> float:
        """Return the score of a pattern, in points."""
        steps = [self._steps(place, strength) for place, strength in pattern]
        total = sum(steps)
        for group in self.groups:
            within = sum([s for (place, _), s in zip(pattern, steps, strict=True) if place in group.places])
            total += _clamp(within, group) - within
        return _clamp(total, self.total) / STEPS

    def _steps(self, place: int, strength: int) -> int:
        amount = self.points[place] * strength
        most = self.maxima[place]
        return amount if most is None or abs(amount) <= most else most if amount > 0 else -most


@dataclass(frozen=True, slots=True)
class Grouped:
    """How many leads had each pattern of `criteria`, and how many of them converted; memory goes by patterns."""

    criteria: tuple[str, ...]
    rows: Mapping[Pattern, Counts]

    @property
    def leads(self) -> int:
        """How many leads there are in all."""
        return sum([counts.leads for counts in self.rows.values()])

    @property
    def conversions(self) -> int:
        """How many of all leads converted."""
        return sum([counts.conversions for counts in self.rows.values()])

    def merge(self, *others: Grouped) -> Grouped:
        """Return the sample of all leads of this and of `others`, which must have no lead in common.

        Raises ValueError where one of them is of other criteria.
        """
        leads, conversions = Counter[Pattern](), Counter[Pattern]()
        for part in (self, *others):
            if part.criteria != self.criteria:
                raise ValueError("only samples of the same criteria, in the same order, can be merged")
            for pattern, counts in part.rows.items():
                leads[pattern] += counts.leads
                conversions[pattern] += counts.conversions
        return Grouped(self.criteria, {pattern: Counts(n, conversions[pattern]) for pattern, n in leads.items()})

    def holding(self) -> list[Counts]:
        """Return for each criterion, in order, the leads for which it holds."""
        leads, conversions = [0] * len(self.criteria), [0] * len(self.criteria)
        for pattern, counts in self.rows.items():
            for place, _ in pattern:
                leads[place] += counts.leads
                conversions[place] += counts.conversions
        return [Counts(n, a) for n, a in zip(leads, conversions, strict=True)]

    def scores(self, rule: ScoreRule) -> list[ScoreCount]:
        """Return the histogram of the scores under `rule`, lowest first; equal scores are one entry.

        Raises ValueError where the rule is of other criteria, as `pairs` does.
        """
        self._must_be_of(rule)
        return joined(ScoreCount(rule.total_of(pattern), *counts) for pattern, counts in self.rows.items())

    def pairs(self, rule: ScoreRule, other: ScoreRule) -> list[PairCount]:
        """Return the histogram of the pairs of scores that the same leads have under two rules, lowest first."""
        self._must_be_of(rule)
        self._must_be_of(other)
        leads, conversions = Counter[tuple[float, float]](), Counter[tuple[float, float]]()
        for pattern, counts in self.rows.items():
            both = rule.total_of(pattern), other.total_of(pattern)
            leads[both] += counts.leads
            conversions[both] += counts.conversions
        return [PairCount(*both, leads[both], conversions[both]) for both in sorted(leads)]

    def _must_be_of(self, rule: ScoreRule) -> None:
        # Patterns know criteria by their places alone.
        if rule.criteria != self.criteria:
            raise ValueError("a sample can only be scored under a rule of the same criteria, in the same order")

    def to_dict(self) -> dict[str, object]:
        """Return the sample as plain JSON types; equal samples give equal texts."""
        rows = [[[*pattern], *counts] for pattern, counts in sorted(self.rows.items())]
        return {"criteria": list(self.criteria), "steps": STEPS, "rows": rows}

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> Grouped:
        """Return the sample that `to_dict` wrote. Raises ValueError where it was written in other steps."""
        criteria, steps, rows = document["criteria"], document["steps"], document["rows"]
        if steps != STEPS or not isinstance(criteria, list) or not isinstance(rows, list):
            raise ValueError(f"a sample in steps of 1/{STEPS} is needed")
        shared: dict[tuple[int, int], tuple[int, int]] = {}
        read = {}
        for holds, leads, conversions in rows:
            pairs = [(int(place), int(strength)) for place, strength in holds]
            read[tuple([shared.setdefault(pair, pair) for pair in pairs])] = Counts(int(leads), int(conversions))
        return cls(tuple(criteria), read)


class Tally:
    """Counts leads one by one into a `Grouped`."""

    def __init__(self, criteria: Sequence[str]) -> None:
        self._criteria = tuple(criteria)
        self._leads = Counter[Pattern]()
        self._conversions = Counter[Pattern]()
        # Pairs are few and patterns many: sharing the pairs halves the memory.
        self._shared: dict[tuple[int, int], tuple[int, int]] = {}

    def add(self, strengths: Iterable[tuple[int, float]], *, converted: bool) -> None:
        """Count one lead; `strengths` are its (place, decayed points over points), in any order, each place once.

        A criterion whose strength is less than half a step counts as not holding.
        """
        pairs = [(place, _in_whole_steps(strength)) for place, strength in strengths]
        pattern = tuple(sorted([self._shared.setdefault(pair, pair) for pair in pairs if pair[1] > 0]))
        self._leads[pattern] += 1
        if converted:
            self._conversions[pattern] += 1

    def grouped(self) -> Grouped:
        """Return all that was counted so far."""
        rows = {pattern: Counts(leads, self._conversions[pattern]) for pattern, leads in self._leads.items()}
        return Grouped(self._criteria, rows)


def joined(scores: Iterable[ScoreCount]) -> list[ScoreCount]:
    """Return one entry for all leads of a score, the lowest score first."""
    leads, conversions = Counter[float](), Counter[float]()
    for one in scores:
        leads[one.score] += one.leads
        conversions[one.score] += one.conversions
    return [ScoreCount(score, leads[score], conversions[score]) for score in sorted(leads)]


def _in_whole_steps(strength: float) -> int:
    return round(strength * STEPS)


def _in_steps(points: float | None) -> int | None:
    return None if points is None else round(points * STEPS)


def _clamp(amount: int, bounds: _Bounded) -> int:
    if bounds.high is not None:
        amount = min(amount, bounds.high)
    return amount if bounds.low is None else max(amount, bounds.low)
