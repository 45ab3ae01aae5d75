"""What would lift a lead into the next tier: which criteria, what each would add now, and the fewest that suffice.

Everything is in exact units and after all caps, as in the score itself: criterion, group, total.

Only what can be brought about is told. That is a criterion with positive points that adds nothing now: on events, if
its traits, where it has any, match; and on traits that were never seen, which somebody can ask for. Who a lead is known
to be is left out: no campaign makes anybody a vice president.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from leadscore.core.decay import UNIT_BITS, to_points, to_units
from leadscore.core.instants import from_datetime
from leadscore.core.ledger import Bounds, Ledger, bounds_of, cap_of, tier_of
from leadscore.core.matcher import chosen
from leadscore.core.missing import Missed
from leadscore.core.ruleset import Criterion, Ruleset
from leadscore.core.scoring import Score

# A way of more steps than this is one that nobody goes.
LONGEST_WAY = 10


class Step(NamedTuple):
    """A criterion that adds nothing now, and the points that it would add if it alone held.

    `unknown` names the traits that were never seen, where it is by asking for them that it could hold.
    """

    criterion: Criterion
    points: float
    unknown: tuple[str, ...] = ()


class Outlook(NamedTuple):
    """What is between a lead and the tier above its own, `missing` points away.

    `actions` are what the lead could do, `questions` what could be asked of it; each the most points first, then in
    ruleset order. `way` are the actions that reach the tier with the fewest steps, in the same order; None where ten
    of them do not reach it.
    """

    next_tier: str
    missing: float
    actions: tuple[Step, ...]
    questions: tuple[Step, ...]
    way: tuple[Step, ...] | None


def can_rise(ruleset: Ruleset) -> bool:
    """Return whether a score can rise without a new event: where points that were taken away come back with time."""
    return any(c.points < 0 and (c.half_life is not None or c.within is not None) for c in ruleset.criteria)


def least_total(ruleset: Ruleset, fit: float) -> float:
    """Return a total that nobody with so much fit, or more, is below."""
    taken = dict.fromkeys(ruleset.groups, 0)
    for criterion in ruleset.criteria:
        if criterion.points < 0 and criterion.group != "fit":
            most, cap = _most_units(criterion), cap_of(criterion)
            taken[criterion.group] -= most if cap is None else min(most, cap)
    others = sum([bounds_of(ruleset.groups[group]).clamp(units) for group, units in taken.items()])
    low, high = to_units(ruleset.total_min), None if ruleset.total_max is None else to_units(ruleset.total_max)
    return to_points(Bounds(low, high).clamp(to_units(fit) + others))


class _Offer(NamedTuple):
    """A criterion that could hold, what it would come to by itself in units, and what must be asked for it."""

    criterion: Criterion
    units: int
    unknown: tuple[str, ...]


def look_ahead(score: Score) -> Outlook:
    """Return what would lift the lead of a score; raises ValueError where it is in the highest tier or in none."""
    ledger = score.ledger
    ruleset = ledger.ruleset
    place = next((i for i, tier in enumerate(ruleset.tiers) if tier.name == score.tier), 0)
    if place == 0:
        raise ValueError(f"there is no tier above {score.tier}")
    scales = _Scales(ledger, score)
    offers = _find_offers(ruleset, score)
    done = [offer for offer in offers if not offer.unknown]
    way = _find_way(scales, done, place)
    steps = [Step(offer.criterion, to_points(scales.gain([offer])), offer.unknown) for offer in offers]
    # What adds nothing by itself, because its group is full or deep under its least, is no advice unless beside others.
    useful = [step for step in steps if step.points > 0 or (way is not None and step.criterion.id in way)]
    useful.sort(key=lambda step: -step.points)
    above = ruleset.tiers[place - 1]
    return Outlook(
        next_tier=above.name,
        missing=to_points(to_units(above.from_ or 0) - scales.total),
        actions=tuple([step for step in useful if not step.unknown]),
        questions=tuple([step for step in useful if step.unknown]),
        way=None if way is None else tuple([step for step in useful if step.criterion.id in way and not step.unknown]),
    )


class _Scales:
    """The sums of a lead before the caps of its groups, to which something may be added."""

    def __init__(self, ledger: Ledger, score: Score) -> None:
        self.ruleset = ledger.ruleset
        self._bounds = ledger.total_bounds
        self._raw = dict.fromkeys(self.ruleset.groups, 0)
        for worth, units in zip(ledger.worths, ledger.units_at(from_datetime(score.at)), strict=True):
            self._raw[worth.criterion.group] += units
        self.total = self.clamp(sum([self.weigh(group, 0) for group in self._raw]))

    def weigh(self, group: str, added: int) -> int:
        """Return what a group comes to with so much more in it."""
        return bounds_of(self.ruleset.groups[group]).clamp(self._raw[group] + added)

    def clamp(self, units: int) -> int:
        """Return what a sum of groups comes to within the bounds of the total."""
        return self._bounds.clamp(units)

    def gain(self, offers: Sequence[_Offer]) -> int:
        """Return by how much the total rises when all of the offers hold."""
        added = dict.fromkeys(self._raw, 0)
        for offer in offers:
            added[offer.criterion.group] += offer.units
        return self.clamp(sum([self.weigh(group, more) for group, more in added.items()])) - self.total


def _find_offers(ruleset: Ruleset, score: Score) -> list[_Offer]:
    """Return what could hold, in ruleset order."""
    matching = {c.id for c in chosen(ruleset.characteristics, ruleset.trait_matcher.match_bits(score.view))}
    return [
        _Offer(missed.definition, _worth(missed.definition), missed.unknown)
        for missed in score.missed
        if missed.points > 0 and (missed.unknown or _can_be_done(missed, matching))
    ]


def _can_be_done(missed: Missed, matching: set[str]) -> bool:
    criterion = missed.definition
    return criterion.event is not None and (criterion.traits is None or criterion.id in matching)


def _most_units(criterion: Criterion) -> int:
    """Return what a criterion comes to at most, its own cap aside, in units and without a sign."""
    times = 1 if criterion.event is None or criterion.at_least is not None else criterion.limit
    return times * abs(criterion.points) << UNIT_BITS


def _worth(criterion: Criterion) -> int:
    """Return what a criterion comes to, in units, when it has just begun to hold."""
    units, cap = criterion.points << UNIT_BITS, cap_of(criterion)
    return units if cap is None else min(units, cap)


def _find_way(scales: _Scales, offers: Sequence[_Offer], place: int) -> set[str] | None:
    """Return the fewest offers that reach a tier above `place`, of those the ones that reach furthest.

    Taking what adds most, step by step, can fail where a group is under its least: the first that are added to it add
    nothing yet. But so many of one group are best its largest, and what k steps reach at most over all groups follows
    from what each group makes of its own k: that is exact, and quadratic in the ten steps that are looked at.
    """
    ruleset = scales.ruleset
    of_group = {
        name: sorted([one for one in offers if one.criterion.group == name], key=lambda one: -one.units)[:LONGEST_WAY]
        for name in ruleset.groups
    }
    # What k steps come to at most, and how many of each group they are.
    best: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    for name, own in of_group.items():
        weights = [scales.weigh(name, added) for added in accumulate([one.units for one in own], initial=0)]
        best = [_best_of(best, weights, steps) for steps in range(min(len(best) + len(own), LONGEST_WAY + 1))]
    for total, taken in best:
        if tier_of(ruleset, scales.clamp(total)) < place:
            return {
                one.criterion.id for own, count in zip(of_group.values(), taken, strict=True) for one in own[:count]
            }
    return None


def _best_of(
    before: Sequence[tuple[int, tuple[int, ...]]], weights: Sequence[int], steps: int
) -> tuple[int, tuple[int, ...]]:
    """Return the heaviest of all ways to divide `steps` between the groups before and one more."""
    own = range(max(0, steps - len(before) + 1), min(steps, len(weights) - 1) + 1)
    count = max(own, key=lambda count: before[steps - count][0] + weights[count])
    total, taken = before[steps - count]
    return total + weights[count], (*taken, count)
