r"""The next instant at which time alone changes a lead's tier, found without scanning.

Invariant: the answer agrees with the evaluator to the millisecond, because only evaluations, and bounds on what an
evaluation can give, decide it.

    only what adds fades:        ----\____        one crossing, bracketed and narrowed
    only what subtracts fades:   ____/----        the same
    both:                        --\__/---\__    branch and bound, earlier part first
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import ceil

from leadscore.core.branching import Span, TotalRange
from leadscore.core.decay import UNITS_PER_POINT
from leadscore.core.instants import Millis, from_datetime
from leadscore.core.ledger import Ledger, Worth, tier_of
from leadscore.core.ruleset import Tier

_LAST_INSTANT = from_datetime(datetime.max.replace(tzinfo=UTC))
# Only a total that keeps within a few roundings of a tier's bound for ages without crossing it takes that many spans,
# or that many evaluations of one term.
_MOST_SPANS = 1 << 14
_MOST_EVALUATIONS = 1 << 18


def find_next_change(ledger: Ledger, at: Millis) -> Millis | None:
    """Return the first instant after `at` at which the tier is another, None where time never changes it.

    Where the total keeps within rounding of a tier's bound for longer than the search has patience, the answer is an
    instant before which nothing changes and at which to ask again.
    """
    found = _find_opening(ledger.gates) if ledger.gates else _find_tier_change(ledger, at)
    return None if found is None or found > _LAST_INSTANT else found


def highest_total(ledger: Ledger, at: Millis) -> int:
    """Return a total in units that no instant from `at` on exceeds without a new event."""
    units = [worth.units_at(at) for worth in ledger.worths]
    fading = [0 if worth.varies and amount < 0 else amount for worth, amount in zip(ledger.worths, units, strict=True)]
    return ledger.total(fading)


def _find_opening(gates: Sequence[Worth]) -> Millis | None:
    """Return when the last of the disqualifying criteria stops holding."""
    closings = [gate.terms[-1].closes for gate in gates]
    known = [closing for closing in closings if closing is not None]
    return max(known) if len(known) == len(closings) else None


def _find_tier_change(ledger: Ledger, at: Millis) -> Millis | None:
    directions = {worth.criterion.points > 0 for worth in ledger.worths if worth.varies}
    tiers = ledger.ruleset.tiers
    tier = tier_of(ledger.ruleset, ledger.total(ledger.units_at(at)))
    if len(directions) == 2:
        return _find_earliest(ledger, at, tier)
    if directions == {True} and tier < len(tiers) - 1:
        return _first_negative(_room_above(ledger, tiers[tier]), at, ledger.settles)
    if directions == {False} and tier > 0:
        return _first_negative(_room_below(ledger, tiers[tier - 1]), at, ledger.settles)
    return None


def _room_above(ledger: Ledger, tier: Tier) -> Callable[[Millis], int]:
    """Return how far the total is above the least of `tier`, in units; negative below it."""
    least = _least_units(tier)
    return lambda instant: ledger.total(ledger.units_at(instant)) - least


def _room_below(ledger: Ledger, tier: Tier) -> Callable[[Millis], int]:
    """Return how far the total is below the least of `tier`, in units; negative from it on."""
    least = _least_units(tier)
    return lambda instant: least - 1 - ledger.total(ledger.units_at(instant))


def _least_units(tier: Tier) -> int:
    return ceil((tier.from_ or 0) * UNITS_PER_POINT)


def _first_negative(function: Callable[[Millis], int], start: Millis, end: Millis) -> Millis | None:
    """Return an argument up to `end` at which a function, not negative at `start`, turns negative.

    None if it ends without being negative. Of a function that never rises the answer is the least such argument. The
    Illinois method (Dowell and Jarratt 1971), with every third step a bisection so that jumps cannot stall it.
    """
    low, at_low, high, at_high = start, function(start), end, function(end)
    if at_high >= 0:
        return None
    step, side = 0, 0
    while high - low > 1:
        step += 1
        guess = (low + high) // 2 if step % 3 == 0 else low + (high - low) * at_low // (at_low - at_high)
        guess = min(max(guess, low + 1), high - 1)
        value = function(guess)
        if value >= 0:
            at_high = at_high // 2 if side > 0 else at_high
            low, at_low, side = guess, value, 1
        else:
            at_low = at_low // 2 if side < 0 else at_low
            high, at_high, side = guess, value, -1
    return high


def _find_earliest(ledger: Ledger, at: Millis, tier: int) -> Millis | None:
    """Return the first instant after `at` with another tier than `tier`, by dividing the spans that may hold one."""
    totals = TotalRange(ledger, at)
    spans = [Span(at, ledger.units_at(at), ledger.settles, ledger.units_at(ledger.settles))]
    terms = sum([len(worth.terms) for worth in ledger.worths])
    changed: Millis | None = None
    for _ in range(min(_MOST_SPANS, _MOST_EVALUATIONS // terms)):
        if not spans:
            return changed
        span = spans.pop()
        if tier_of(ledger.ruleset, ledger.total(span.end_units)) != tier:
            # A change is found, so that later spans do not matter; an earlier change may precede it.
            changed = _find_some_change(ledger, span, tier)
            spans = [span.until(changed - 1, ledger)]
        elif span.end - span.start > 1 and not totals.stays(span, tier):
            spans.extend(reversed(span.divide(totals.dividing_instant(span), ledger)))
    return spans[-1].start + 1 if spans else changed


def _find_some_change(ledger: Ledger, span: Span, tier: int) -> Millis:
    """Return an instant of the span with another tier, before which it is `tier`, as its end has another."""
    tiers = ledger.ruleset.tiers
    sinks = ledger.total(span.end_units) < ledger.total(span.start_units)
    room = _room_above(ledger, tiers[tier]) if sinks else _room_below(ledger, tiers[tier - 1])
    return _first_negative(room, span.start, span.end) or span.end
