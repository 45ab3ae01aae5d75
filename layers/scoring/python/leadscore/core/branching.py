"""Between which bounds a lead's total keeps over a span of time in which some amounts fade and some penalties do.

Invariant: the bounds hold for the integers that the evaluator gives, roundings included. Over a span a positive
amount lies between its two ends and never rises, a negative one likewise never sinks. What shares a half-life is first
summed, because the sum of such amounts is monotone too; and an amount that is larger and fades no faster than a
penalty outweighs it for good, which bounds even those sums that stay within a rounding of a tier's bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from leadscore.core.instants import Millis
from leadscore.core.ledger import Ledger, Term, tier_of

# How far a rounded term may be from its real value, in units, over both ends of a span.
_ROUNDING_UNITS = 2
# A total that varies this little, in units, over this long is no crossing but amounts that cancel: only there, and
# while few terms are to be compared, does it pay to look at what outweighs what.
_NARROW_UNITS = 1 << 16
_LONG: Millis = 1 << 12
_FEW_PAIRS = 1 << 10
# By this many units one term must exceed another for their doubles to keep that order while both halve.
_CLEARLY_MORE_UNITS = 8

Range = tuple[int, int]


class Span(NamedTuple):
    """The instants after `start` up to `end`, with what each worth comes to at both."""

    start: Millis
    start_units: Sequence[int]
    end: Millis
    end_units: Sequence[int]

    def divide(self, instant: Millis, ledger: Ledger) -> tuple[Span, Span]:
        """Return the parts up to `instant` and after it."""
        units = ledger.units_at(instant)
        return Span(self.start, self.start_units, instant, units), Span(instant, units, self.end, self.end_units)

    def until(self, instant: Millis, ledger: Ledger) -> Span:
        """Return the part up to `instant`."""
        return Span(self.start, self.start_units, instant, ledger.units_at(instant))


class _Alike(NamedTuple):
    """Sums over amounts that do nothing but decay by one half-life over a span: their real sum is monotone."""

    start: int
    end: int
    low: int
    high: int
    slack: int

    def range(self) -> Range:
        """Return bounds on the sum: between its ends, but for roundings, and never beyond each amount's own."""
        least, most = min(self.start, self.end), max(self.start, self.end)
        return max(least - self.slack, self.low), min(most + self.slack, self.high)


class TotalRange:
    """Bounds on the total of one ledger from `at` on."""

    def __init__(self, ledger: Ledger, at: Millis) -> None:
        self._ledger = ledger
        self._at = at
        worths = ledger.worths
        self._half_lives = [worth.criterion.half_life for worth in worths]
        self._closings = [[term.closes for term in worth.terms if term.closes is not None] for worth in worths]
        self._all_closings = sorted(closes for closings in self._closings for closes in closings)
        self._slacks = [_ROUNDING_UNITS * len(worth.terms) for worth in worths]

    def stays(self, span: Span, tier: int) -> bool:
        """Return whether the total surely keeps to `tier` over the whole span; False may be a lack of sharpness."""
        low, high = self._total(span, weigh=False)
        if self._is_tier(low, tier) and self._is_tier(high, tier):
            return True
        whole = span.start == self._at and span.end == self._ledger.settles
        if not whole and (high - low > _NARROW_UNITS or span.end - span.start <= _LONG):
            return False
        low, high = self._total(span, weigh=True)
        return self._is_tier(low, tier) and self._is_tier(high, tier)

    def dividing_instant(self, span: Span) -> Millis:
        """Return where to divide a span of several instants: beside a window that closes in it, else in the middle."""
        inside = [closes for closes in self._all_closings if span.start < closes <= span.end]
        if not inside:
            return (span.start + span.end) // 2
        return max(inside[len(inside) // 2] - 1, span.start + 1)

    def _is_tier(self, total: int, tier: int) -> bool:
        return tier_of(self._ledger.ruleset, total) == tier

    def _total(self, span: Span, *, weigh: bool) -> Range:
        """Return bounds on the total; groups that surely keep within their own bounds are summed up as one."""
        low = high = 0
        free: list[int] = []
        for bounds, places in self._ledger.groups.values():
            group_low, group_high = self._sum(span, places, weigh=weigh)
            if bounds.clamp(group_low) == group_low and bounds.clamp(group_high) == group_high:
                free.extend(places)
            else:
                low += bounds.clamp(group_low)
                high += bounds.clamp(group_high)
        free_low, free_high = self._sum(span, free, weigh=weigh)
        total = self._ledger.total_bounds
        return total.clamp(low + free_low), total.clamp(high + free_high)

    def _sum(self, span: Span, places: Sequence[int], *, weigh: bool) -> Range:
        """Return bounds on the sum of some worths before any group's bounds."""
        low = high = 0
        by_half_life: dict[Millis, _Alike] = {}
        for place in places:
            start, end = span.start_units[place], span.end_units[place]
            least, most = (start, end) if start < end else (end, start)
            half_life = self._half_lives[place]
            if half_life is None or not self._is_smooth(place, span):
                low += least
                high += most
            else:
                known = by_half_life.get(half_life, _NONE_ALIKE)
                by_half_life[half_life] = _Alike(
                    known.start + start,
                    known.end + end,
                    known.low + least,
                    known.high + most,
                    known.slack + self._slacks[place],
                )
        for alike in by_half_life.values():
            alike_low, alike_high = alike.range()
            low += alike_low
            high += alike_high
        return self._weigh(span, places, low, high) if weigh else (low, high)

    def _is_smooth(self, place: int, span: Span) -> bool:
        """Return whether a worth does nothing but decay over the span: no cap holds it, no window closes."""
        closings = self._closings[place]
        return self._is_uncapped(place, span) and not (
            closings and any(span.start < closes <= span.end for closes in closings)
        )

    def _is_uncapped(self, place: int, span: Span) -> bool:
        """Return whether a worth is the plain sum of its terms over the span: once below its cap it stays there."""
        cap = self._ledger.worths[place].cap
        return cap is None or abs(span.start_units[place]) < cap

    def _weigh(self, span: Span, places: Sequence[int], low: int, high: int) -> Range:
        """Return the bounds made sharper by setting each subtracting term against an adding one, and the reverse."""
        adding: list[Term] = []
        subtracting: list[Term] = []
        rest_low = rest_high = 0
        for place in places:
            worth = self._ledger.worths[place]
            if self._is_uncapped(place, span):
                (adding if worth.criterion.points > 0 else subtracting).extend(worth.terms)
            else:
                rest_low += min(span.start_units[place], span.end_units[place])
                rest_high += max(span.start_units[place], span.end_units[place])
        if len(adding) * len(subtracting) > _FEW_PAIRS:
            return low, high
        return (
            max(low, rest_low + _least_difference(adding, subtracting, span)),
            min(high, rest_high - _least_difference(subtracting, adding, span)),
        )


_NONE_ALIKE = _Alike(0, 0, 0, 0, 0)


def _least_difference(gains: Iterable[Term], losses: Iterable[Term], span: Span) -> int:
    """Return a lower bound on gains less losses over the span, in which a gain that outweighs a loss covers it."""
    left = sorted(gains, key=lambda term: term.units_at(span.start))
    least = 0
    for loss in sorted(losses, key=lambda term: -term.units_at(span.start)):
        lost = loss.units_at(span.start)
        cover = next((gain for gain in left if _outweighs(gain, loss, span.start)), None)
        if cover is None:
            least -= lost
        else:
            left.remove(cover)
            least += max(0, cover.units_at(span.end) - lost)
    return least + sum([gain.units_at(span.end) for gain in left])


def _outweighs(gain: Term, loss: Term, since: Millis) -> bool:
    """Return whether `gain` is at least `loss` at every instant from `since` on."""
    if gain.closes is not None and (loss.closes is None or loss.closes > gain.closes):
        return False
    if _decay_alike(gain, loss):
        return True
    if gain.half_life is not None and (loss.half_life is None or loss.half_life > gain.half_life):
        return False
    lost = loss.units_at(since)
    return lost == 0 or gain.units_at(since) - lost >= _CLEARLY_MORE_UNITS


def _decay_alike(one: Term, other: Term) -> bool:
    """Return whether both terms give the same bits for ever: equal times modulo a half-life, points scaled by 2^n."""
    if one.half_life is None or one.half_life != other.half_life:
        return one.half_life == other.half_life and one.points == other.points
    halvings, rest = divmod(one.time - other.time, one.half_life)
    if rest != 0 or abs(halvings) > one.points.bit_length() + other.points.bit_length():
        return False
    return one.points << max(halvings, 0) == other.points << max(-halvings, 0)
