"""What each criterion is worth as time passes without new events, and what they come to together.

Invariant: the score and the search for its next change evaluate the same terms by the same code. Every term's
amount never rises with time, so that the positive ones can only lower a total and the negative ones only raise it.

The values here are named tuples, not dataclasses: they are made on every event, and each dataclass costs a cold start
half a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from leadscore.core.decay import UNIT_BITS, decayed_units, halvings_until_nothing, to_units
from leadscore.core.instants import Millis
from leadscore.core.occurrences import Kept, counting
from leadscore.core.ruleset import Criterion, Group, Ruleset


class Term(NamedTuple):
    """An amount of points since `time`: it halves every `half_life` and is gone from `closes` on."""

    points: int
    time: Millis = 0
    half_life: Millis | None = None
    closes: Millis | None = None

    def units_at(self, instant: Millis) -> int:
        """Return the amount in units at `instant`, which must not be before `time`."""
        if self.closes is not None and instant >= self.closes:
            return 0
        if self.half_life is None:
            return self.points << UNIT_BITS
        return decayed_units(self.points, instant - self.time, self.half_life)

    @property
    def settles(self) -> Millis | None:
        """The instant from which the amount is nothing, None where it never changes."""
        if self.half_life is None:
            return self.closes
        faded = self.time + self.half_life * halvings_until_nothing(self.points)
        return faded if self.closes is None else min(faded, self.closes)


class Worth(NamedTuple):
    """What one criterion that counts is worth: its terms, all of one sign, together at most `cap` units."""

    criterion: Criterion
    occurrences: Kept
    terms: tuple[Term, ...]
    cap: int | None

    @property
    def varies(self) -> bool:
        """Whether time alone changes what the criterion is worth."""
        return self.terms[0].settles is not None

    def decayed_at(self, instant: Millis) -> int:
        """Return the units at `instant` before the criterion's cap, with their sign."""
        units = sum([term.units_at(instant) for term in self.terms])
        return units if self.criterion.points > 0 else -units

    def capped(self, units: int) -> int:
        """Return `units` within the criterion's cap."""
        if self.cap is None or -self.cap <= units <= self.cap:
            return units
        return self.cap if units > 0 else -self.cap

    def units_at(self, instant: Millis) -> int:
        """Return the units at `instant`, with their sign."""
        return self.capped(self.decayed_at(instant))


class Bounds(NamedTuple):
    """The least and the most that a sum may come to, in units; None is no bound."""

    low: int | None
    high: int | None

    def clamp(self, units: int) -> int:
        """Return the nearest value within the bounds."""
        if self.high is not None and units > self.high:
            return self.high
        if self.low is not None and units < self.low:
            return self.low
        return units


def assess(criterion: Criterion, kept: Kept, at: Millis) -> Worth | None:
    """Return what a criterion on events is worth from `at` on, None where none of the kept occurrences count."""
    occurrences = counting(criterion, kept, at)
    if not occurrences:
        return None
    points, half_life, within = abs(criterion.points), criterion.half_life, criterion.within
    if criterion.at_least is None:
        terms = tuple([Term(points, seen.time, half_life, _closing(seen.time, within)) for seen in occurrences])
    else:
        # No more occurrences are kept than the threshold needs: the first to leave the window ends it.
        terms = (Term(points, occurrences[-1].time, half_life, _closing(occurrences[0].time, within)),)
    return Worth(criterion, occurrences, terms, cap_of(criterion))


def assess_traits(criterion: Criterion) -> Worth:
    """Return what a criterion on traits alone, which match, is worth."""
    return Worth(criterion, (), (Term(abs(criterion.points)),), cap_of(criterion))


class Ledger:
    """All that counts for one lead from an instant on, until a new event.

    `worths` are in ruleset order; `gates` are the disqualifying criteria that hold.
    """

    def __init__(self, ruleset: Ruleset, worths: tuple[Worth, ...], gates: tuple[Worth, ...]) -> None:
        self.ruleset = ruleset
        self.worths = worths
        self.gates = gates

    @cached_property
    def groups(self) -> dict[str, tuple[Bounds, tuple[int, ...]]]:
        """Per group that counts its bounds and the places of its worths."""
        places: dict[str, list[int]] = {}
        for place, worth in enumerate(self.worths):
            places.setdefault(worth.criterion.group, []).append(place)
        return {name: (bounds_of(self.ruleset.groups[name]), tuple(where)) for name, where in places.items()}

    @cached_property
    def total_bounds(self) -> Bounds:
        """The bounds of the total."""
        return total_bounds_of(self.ruleset)

    @cached_property
    def settles(self) -> Millis:
        """The instant from which nothing varies any more; only where something does."""
        instants = [term.settles for worth in self.worths for term in worth.terms]
        return max([instant for instant in instants if instant is not None])

    def units_at(self, instant: Millis) -> list[int]:
        """Return what each worth comes to at `instant`, after its own cap."""
        return [worth.units_at(instant) for worth in self.worths]

    def group_sums(self, units: Sequence[int]) -> dict[str, int]:
        """Return per group what `units`, one per worth, come to within the group's bounds."""
        return {
            name: bounds.clamp(sum([units[place] for place in places]))
            for name, (bounds, places) in self.groups.items()
        }

    def total(self, units: Sequence[int]) -> int:
        """Return what `units`, one per worth, come to within all bounds."""
        return self.total_bounds.clamp(sum(self.group_sums(units).values()))


def open_ledger(ruleset: Ruleset, kept: Mapping[str, Kept], matching: Iterable[Criterion], at: Millis) -> Ledger:
    """Return what counts at `at` of the kept occurrences and of the criteria whose traits match.

    Its cost grows with what the lead has touched, not with the number of criteria.
    """
    places, criteria = ruleset.places, ruleset.criteria
    holding = {places[criterion.id] for criterion in matching}
    on_events = {places[name] for name in kept}
    worths: list[Worth] = []
    gates: list[Worth] = []
    for place in sorted(holding | on_events):
        criterion = criteria[place]
        if criterion.traits is not None and place not in holding:
            continue
        worth = (
            assess_traits(criterion) if criterion.event is None else assess(criterion, kept.get(criterion.id, ()), at)
        )
        if worth is not None:
            (gates if criterion.disqualify else worths).append(worth)
    return Ledger(ruleset, tuple(worths), tuple(gates))


def tier_of(ruleset: Ruleset, total: int) -> int:
    """Return the place of the tier that a total in units falls into, 0 being the highest."""
    for place, tier in enumerate(ruleset.tiers):
        # An integer and a float compare exactly, and 2^40 times a float is exact.
        if tier.from_ is None or total >= tier.from_ * (1 << UNIT_BITS):
            return place
    raise AssertionError("the lowest tier has no bound")


def _closing(time: Millis, within: Millis | None) -> Millis | None:
    """Return the first instant at which an occurrence is outside the window."""
    return None if within is None else time + within + 1


def cap_of(criterion: Criterion) -> int | None:
    """Return the most that a criterion may come to, in units, None where it has no cap."""
    return None if criterion.max is None else to_units(criterion.max)


def bounds_of(group: Group) -> Bounds:
    """Return the bounds of a group."""
    return _unit_bounds(group.min, group.max)


def total_bounds_of(ruleset: Ruleset) -> Bounds:
    """Return the bounds of the total."""
    return _unit_bounds(ruleset.total_min, ruleset.total_max)


def _unit_bounds(low: float | None, high: float | None) -> Bounds:
    return Bounds(None if low is None else to_units(low), None if high is None else to_units(high))
