"""Scores of leads as of moments in the past, each lead's events matched once.

    events up to T --match--> kept occurrences --+--> strengths, total
    traits at T ----match----> what they come to-+

Invariant: it is the score that the core gives for the same events, of the core's own parts. What is saved is taking
the events one by one, working out again what the same traits come to, and all that a score says beside its amounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leadscore.core.decay import UNITS_PER_POINT, decayed_units
from leadscore.core.instants import parse_instant
from leadscore.core.ledger import Bounds, assess_traits, bounds_of, cap_of, total_bounds_of
from leadscore.core.matcher import chosen
from leadscore.core.occurrences import Occurrence, counting, read_occurrence, unite
from leadscore.core.ruleset import ACCOUNT
from leadscore.core.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadscore.core.instants import Millis
    from leadscore.core.occurrences import Kept
    from leadscore.core.ruleset import Criterion, Ruleset
    from leadscore.core.state import Event


class Reading(NamedTuple):
    """What events come to: the occurrences kept, the events that no criterion reads, and whether one is the goal."""

    kept: dict[str, Kept]
    unread: list[Event]
    converted: bool


class PastScore(NamedTuple):
    """How strongly each criterion that counts did so (its place among those with points), and the total in units."""

    strengths: list[tuple[int, float]]
    total: int


class _Rule(NamedTuple):
    """A criterion as it is scored: its place among those with points, which sum it goes into, and its cap.

    One that is `plain` counts whatever is kept of it; of one that is `single` that is the newest occurrence alone.
    """

    criterion: Criterion
    place: int
    sum: int
    cap: int | None
    plain: bool
    single: bool


class _Matching(NamedTuple):
    """What traits alone come to: strengths, sums of units, whether they disqualify; and the criteria they match."""

    strengths: tuple[tuple[int, float], ...]
    sums: tuple[int, ...]
    disqualifies: bool
    ids: frozenset[str]


class PastScorer:
    """Scores leads under one ruleset."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        bounded = [name for name, group in ruleset.groups.items() if (group.min, group.max) != (None, None)]
        # A sum for each group with bounds, and a last one for all others.
        self._bounds = [*(bounds_of(ruleset.groups[name]) for name in bounded), Bounds(None, None)]
        self._total = total_bounds_of(ruleset)
        sums = {name: number for number, name in enumerate(bounded)}
        places = {one.id: place for place, one in enumerate(one for one in ruleset.criteria if not one.disqualify)}
        self._rules = {
            one.id: _Rule(
                criterion=one,
                place=places.get(one.id, -1),
                sum=sums.get(one.group, len(bounded)),
                cap=cap_of(one),
                plain=one.traits is None and one.within is None and one.at_least is None and not one.disqualify,
                single=one.limit == 1 and one.at_least is None,
            )
            for one in ruleset.criteria
        }
        self._chosen: dict[int, tuple[Criterion, ...]] = {}
        self._matching: dict[int, _Matching] = {}

    def read(self, events: Iterable[Event], before: State | None = None) -> Reading:
        """Return what events come to, on top of what was kept `before` them."""
        match, goal, known = self._ruleset.event_matcher.match_bits, self._ruleset.goal_bit, self._chosen
        told = ~self._ruleset.raise_bit
        seen: dict[str, list[Occurrence]] = {}
        unread: list[Event] = []
        converted = before is not None and before.goal is not None
        for event in events:
            bits = match(event) & told
            if not bits:
                unread.append(event)
                continue
            if bits & goal:
                converted = True
            time, name = parse_instant(str(event["timestamp"])), str(event["messageId"])
            plain = Occurrence(time, name)
            for criterion in known.get(bits) or self._choose(bits):
                occurrence = plain if criterion.measure is None else read_occurrence(criterion, event, time, name)
                if occurrence is None:
                    continue
                if criterion.id in seen:
                    seen[criterion.id].append(occurrence)
                else:
                    seen[criterion.id] = [occurrence]
        return Reading(self._keep(seen, {} if before is None else before.kept), unread, converted)

    def _choose(self, bits: int) -> tuple[Criterion, ...]:
        self._chosen[bits] = chosen(self._ruleset.behaviour, bits & ~self._ruleset.goal_bit)
        return self._chosen[bits]

    def _keep(self, seen: Mapping[str, list[Occurrence]], before: Mapping[str, Kept]) -> dict[str, Kept]:
        """Return what is kept of all occurrences; of several of which one is kept that is the newest."""
        kept = dict(before)
        for name, occurrences in seen.items():
            if len(occurrences) == 1 and name not in kept:
                kept[name] = (occurrences[0],)
                continue
            rule = self._rules[name]
            if rule.single and name not in kept:
                kept[name] = (max(occurrences),)
            else:
                kept[name] = unite(rule.criterion, kept.get(name, ()), tuple(occurrences))
        return kept

    def score(
        self, reading: Reading, traits: Mapping[str, object], account: Mapping[str, object], at: Millis
    ) -> PastScore | None:
        """Return the score as of `at`, of events up to then; None where the lead is disqualified."""
        bits = self._ruleset.trait_matcher.match_bits({**traits, ACCOUNT: account})
        matching = self._matching.get(bits)
        if matching is None:
            matching = self._matching[bits] = self._match(bits)
        if matching.disqualifies:
            return None
        strengths, sums = list(matching.strengths), list(matching.sums)
        for name, kept in reading.kept.items():
            criterion, place, number, cap, plain, _ = self._rules[name]
            if not plain:
                kept = self._counting(criterion, kept, matching, at)  # noqa: PLW2901
                if not kept:
                    continue
                if criterion.disqualify:
                    return None
            units = _worth(criterion, kept, at)
            if units:
                strengths.append((place, units / UNITS_PER_POINT / criterion.points))
                sums[number] += units if cap is None else max(-cap, min(cap, units))
        total = sum([bounds.clamp(units) for bounds, units in zip(self._bounds, sums, strict=True)])
        return PastScore(strengths, self._total.clamp(total))

    @staticmethod
    def _counting(criterion: Criterion, kept: Kept, matching: _Matching, at: Millis) -> Kept:
        """Return the occurrences that count: of a criterion on traits, too, only where those match."""
        if criterion.traits is not None and criterion.id not in matching.ids:
            return ()
        return counting(criterion, kept, at)

    def _match(self, bits: int) -> _Matching:
        ids = [criterion.id for criterion in chosen(self._ruleset.characteristics, bits)]
        rules = [rule for rule in (self._rules[name] for name in ids) if rule.criterion.event is None]
        scored = [rule for rule in rules if not rule.criterion.disqualify]
        sums = [0] * len(self._bounds)
        for rule in scored:
            sums[rule.sum] += assess_traits(rule.criterion).units_at(0)
        strengths = tuple((rule.place, 1.0) for rule in scored)
        return _Matching(strengths, tuple(sums), len(scored) < len(rules), frozenset(ids))


def _worth(criterion: Criterion, counted: Kept, at: Millis) -> int:
    """Return the units of the occurrences that count, with their sign and without a cap."""
    points, half_life = abs(criterion.points), criterion.half_life
    if len(counted) == 1 or criterion.at_least is not None:
        units = decayed_units(points, at - counted[-1].time, half_life)
    else:
        units = sum([decayed_units(points, at - one.time, half_life) for one in counted])
    return units if criterion.points > 0 else -units
