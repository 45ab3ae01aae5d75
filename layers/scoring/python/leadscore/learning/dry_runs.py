"""What another ruleset would make of the leads there are: who changes tier, because of what, and who would be told of.

    each lead's score now, under both rulesets ---> LeadComparison --DryRunTally--> DryRun --merge--> of all segments
    each lead's alerts of late, lived through ---'

Invariant: whole numbers are added, and movers are kept by an order that no two share, so that comparing the segments
apart and merging them, in any order, gives what comparing all at once gives. Memory is bounded by tiers, criteria and
the number of movers that are kept, never by the number of leads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from leadscore.core.decay import UNITS_PER_POINT
from leadscore.core.ruleset import DISQUALIFIED

if TYPE_CHECKING:
    from leadscore.core.alert_replay import Told
    from leadscore.core.ruleset import Ruleset
    from leadscore.core.scoring import Score

MOST_MOVERS = 50
# What is told of one mover; what its other criteria moved is told as one sum.
MOST_MOVES = 5


class Move(NamedTuple):
    """What one criterion adds to a lead's score under the old and under the new ruleset, in points after all cuts."""

    criterion: str
    before: float
    after: float

    @property
    def points(self) -> float:
        """By how many points it moves the score."""
        return self.after - self.before

    def to_dict(self) -> dict[str, object]:
        """Return the move as plain JSON types."""
        return {**self._asdict(), "points": self.points}


class Placing(NamedTuple):
    """Where a lead stands: its tier and its score."""

    tier: str
    score: float


@dataclass(frozen=True, slots=True)
class Mover:
    """A lead that stands otherwise under the new ruleset. May contain personal data: do not log.

    `moves` are the criteria that move it, the largest first, and `rest` is what all others move: together they are
    the difference of the scores. `gates` are the criteria that disqualify it under one of the two alone.
    """

    lead: str
    before: Placing
    after: Placing
    moves: tuple[Move, ...]
    rest: float
    gates: tuple[str, ...] = ()

    @property
    def changes_tier(self) -> bool:
        """Whether it is in another tier."""
        return self.before.tier != self.after.tier

    @property
    def points(self) -> float:
        """By how many points its score moves."""
        return self.after.score - self.before.score

    @property
    def rank(self) -> tuple[bool, float, str]:
        """The order of movers: those that change tier first, then those that move far."""
        return not self.changes_tier, -abs(self.points), self.lead

    def to_dict(self) -> dict[str, object]:
        """Return the mover as plain JSON types."""
        return {
            "lead": self.lead,
            "before": self.before._asdict(),
            "after": self.after._asdict(),
            "points": self.points,
            "moves": [move.to_dict() for move in self.moves],
            "rest": self.rest,
            "gates": list(self.gates),
        }


class CriterionMoves(NamedTuple):
    """How many of the leads that move get more, and how many less, by one criterion, and by how much in all.

    `units` are 2^-40 points, so that sums are exact.
    """

    more: int = 0
    less: int = 0
    units: int = 0

    def plus(self, other: CriterionMoves) -> CriterionMoves:
        """Return both together."""
        return CriterionMoves(self.more + other.more, self.less + other.less, self.units + other.units)


class AlertTally(NamedTuple):
    """How often people would have been told of leads, how often of that for a raised hand, and of how many leads."""

    alerts: int = 0
    hand_raises: int = 0
    leads: int = 0

    def plus(self, other: AlertTally) -> AlertTally:
        """Return both together."""
        return AlertTally(self.alerts + other.alerts, self.hand_raises + other.hand_raises, self.leads + other.leads)


class LeadComparison(NamedTuple):
    """One lead under both rulesets: its scores now, the alerts of late, and how often people really were told of it.

    One that is not stored, since nothing of it ever counted, is in no tier: a re-score does not reach it.
    """

    lead: str
    before: Score
    after: Score
    told_before: Sequence[Told] = ()
    told_after: Sequence[Told] = ()
    sent: int = 0
    is_stored: bool = True


@dataclass(frozen=True, slots=True)
class DryRun:
    """What another ruleset would make of some leads.

    `matrix` counts the stored leads by (tier under the old, tier under the new ruleset), and `changed` those among
    them whose score or tier is another. `told_before` and `told_after` are the alerts that each ruleset would have
    asked for, lead by lead, `told_both` how many leads are told of under both, and `sent` how often people really were
    told of the leads that were compared. `unstored` are leads of which there are events and nothing else, since none
    of them ever counted; `unstored_counting` those that would now, and that only a full rebuild finds.
    """

    old: str
    new: str
    tiers_before: tuple[str, ...]
    tiers_after: tuple[str, ...]
    matrix: Mapping[tuple[str, str], int] = field(default_factory=dict)
    changed: int = 0
    criteria: Mapping[str, CriterionMoves] = field(default_factory=dict)
    movers: tuple[Mover, ...] = ()
    told_before: AlertTally = field(default_factory=AlertTally)
    told_after: AlertTally = field(default_factory=AlertTally)
    told_both: int = 0
    sent: int = 0
    unstored: int = 0
    unstored_counting: int = 0
    failed: int = 0

    @classmethod
    def empty(cls, old: Ruleset, new: Ruleset) -> DryRun:
        """Return the dry run of no lead at all."""
        return cls(old.version, new.version, _tiers(old), _tiers(new))

    @property
    def leads(self) -> int:
        """How many stored leads were compared."""
        return sum(self.matrix.values())

    @property
    def moved(self) -> int:
        """How many of them are in another tier."""
        return sum(count for (before, after), count in self.matrix.items() if before != after)

    def merge(self, *others: DryRun) -> DryRun:
        """Return the dry run of all leads of this and of `others`, which must have no lead in common.

        Raises ValueError where one is of other rulesets.
        """
        done = DryRunTally(self)
        for other in others:
            done.add_all(other)
        return done.dry_run()

    def to_dict(self) -> dict[str, object]:
        """Return the dry run as plain JSON types; the matrix has a row per old tier and a column per new one."""
        return {
            "old": self.old,
            "new": self.new,
            "leads": self.leads,
            "moved": self.moved,
            "changed": self.changed,
            "matrix": {
                before: {after: self.matrix.get((before, after), 0) for after in self.tiers_after}
                for before in self.tiers_before
            },
            "criteria": [
                {"criterion": name, "more": one.more, "less": one.less, "points": one.units / UNITS_PER_POINT}
                for name, one in self.criteria.items()
            ],
            "movers": [mover.to_dict() for mover in self.movers],
            "alerts": {
                "old": self.told_before._asdict(),
                "new": self.told_after._asdict(),
                "leads_under_both": self.told_both,
                "sent": self.sent,
            },
            "unstored": {"leads": self.unstored, "would_count": self.unstored_counting},
            "failed": self.failed,
        }


class DryRunTally:
    """Counts leads one by one, or whole segments, into a `DryRun`."""

    def __init__(self, start: DryRun) -> None:
        self._start = start
        self._matrix = Counter(start.matrix)
        self._criteria = dict(start.criteria)
        self._movers = list(start.movers)
        self._told = start.told_before, start.told_after
        self._counts = Counter({name: getattr(start, name) for name in _COUNTS})

    def add(self, lead: LeadComparison) -> None:
        """Count one lead."""
        self._count_alerts(lead)
        if not lead.is_stored:
            self._counts["unstored"] += 1
            self._counts["unstored_counting"] += lead.after.tier != self._start.tiers_after[-2]
            return
        self._matrix[lead.before.tier, lead.after.tier] += 1
        if lead.before.total != lead.after.total or lead.before.tier != lead.after.tier:
            self._counts["changed"] += 1
            self._move(lead)

    def fail(self) -> None:
        """Count one lead that cannot be compared."""
        self._counts["failed"] += 1

    def add_all(self, other: DryRun) -> None:
        """Count all leads of another dry run of the same rulesets; raises ValueError for one of others."""
        start = self._start
        if (other.old, other.new) != (start.old, start.new):
            raise ValueError("only dry runs of the same two rulesets can be merged")
        self._matrix.update(other.matrix)
        for name, moves in other.criteria.items():
            self._criteria[name] = self._criteria.get(name, CriterionMoves()).plus(moves)
        self._movers += other.movers
        before, after = self._told
        self._told = before.plus(other.told_before), after.plus(other.told_after)
        self._counts.update({name: getattr(other, name) for name in _COUNTS})
        self._prune()

    def dry_run(self) -> DryRun:
        """Return all that was counted so far."""
        start = self._start
        self._prune()
        return DryRun(
            old=start.old,
            new=start.new,
            tiers_before=start.tiers_before,
            tiers_after=start.tiers_after,
            matrix=dict(sorted(self._matrix.items())),
            criteria=dict(sorted(self._criteria.items(), key=lambda one: (-abs(one[1].units), one[0]))),
            movers=tuple(self._movers),
            told_before=self._told[0],
            told_after=self._told[1],
            **{name: self._counts[name] for name in _COUNTS},
        )

    def _count_alerts(self, lead: LeadComparison) -> None:
        before, after = self._told
        self._told = before.plus(_alerts(lead.told_before)), after.plus(_alerts(lead.told_after))
        self._counts["told_both"] += bool(lead.told_before and lead.told_after)
        self._counts["sent"] += lead.sent

    def _move(self, lead: LeadComparison) -> None:
        moves = _moves(lead.before, lead.after)
        for move in moves:
            one = CriterionMoves(move.points > 0, move.points < 0, round(move.points * UNITS_PER_POINT))
            self._criteria[move.criterion] = self._criteria.get(move.criterion, CriterionMoves()).plus(one)
        mover = Mover(
            lead=lead.lead,
            before=Placing(lead.before.tier, lead.before.total),
            after=Placing(lead.after.tier, lead.after.total),
            moves=tuple(moves[:MOST_MOVES]),
            rest=sum([move.points for move in moves[MOST_MOVES:]]),
            gates=tuple(sorted({*lead.before.disqualified_by} ^ {*lead.after.disqualified_by})),
        )
        self._movers.append(mover)
        if len(self._movers) >= 2 * MOST_MOVERS:
            self._prune()

    def _prune(self) -> None:
        self._movers = sorted(self._movers, key=lambda mover: mover.rank)[:MOST_MOVERS]


_COUNTS = ("changed", "told_both", "sent", "unstored", "unstored_counting", "failed")


def _tiers(ruleset: Ruleset) -> tuple[str, ...]:
    return (*(tier.name for tier in ruleset.tiers), DISQUALIFIED)


def _alerts(told: Sequence[Told]) -> AlertTally:
    return AlertTally(len(told), sum(one.cause == "hand_raise" for one in told), bool(told))


def _moves(before: Score, after: Score) -> list[Move]:
    """Return the criteria that add another number of points, the furthest first."""
    old, new = ({factor.criterion: factor.points for factor in score.factors} for score in (before, after))
    moves = [Move(name, old.get(name, 0.0), new.get(name, 0.0)) for name in old.keys() | new.keys()]
    return sorted((move for move in moves if move.points), key=lambda move: (-abs(move.points), move.criterion))
