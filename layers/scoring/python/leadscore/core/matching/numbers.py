"""The line of doubles cut where the answer of a field changes, so that one bisection finds the answer for a number."""

from __future__ import annotations

from bisect import bisect_right
from math import inf, nextafter

from leadscore.core.matching.effects import Bits, Effect, FieldTests, union
from leadscore.core.patterns import Range


class NumberLine:
    """Answers for all numbers: `answers[bisect_right(cuts, number)]`.

    Each number that a test names makes two cuts, at it and at the next double: a segment of its own.
    """

    __slots__ = ("answers", "cuts")

    def __init__(self, tests: FieldTests) -> None:
        named = {bound for r in tests.ranges for bound in (r.low, r.high)} | set(tests.numbers)
        self.cuts = sorted({cut for number in named for cut in (number, nextafter(number, inf))})
        self.answers = [tests.answer()]
        held: dict[Range, None] = {}
        starts, ends = _sort_ranges(tests.ranges)
        proved: Bits = 0
        for cut in self.cuts:
            for r in starts.get(cut, ()):
                held[r] = None
                proved |= tests.ranges[r]
            if cut in ends:
                for r in ends[cut]:
                    del held[r]
                # A conjunction may be held by a second range, so its bit cannot just be taken away.
                proved = union(tests.ranges[r] for r in held)
            exact = tests.numbers.get(cut, Effect())
            self.answers.append(tests.answer(proved | exact.proved, exact.blocked))

    def find(self, number: float) -> Bits:
        """Return the conjunctions that `number`, which may be an integer beyond all doubles, leaves standing."""
        try:
            number = float(number)
        except OverflowError:
            number = inf if number > 0 else -inf
        return self.answers[bisect_right(self.cuts, number)]


def _sort_ranges(ranges: dict[Range, Bits]) -> tuple[dict[float, list[Range]], dict[float, list[Range]]]:
    """Return the ranges by the cut from which they hold, and by the cut from which they no longer do."""
    starts: dict[float, list[Range]] = {}
    ends: dict[float, list[Range]] = {}
    for r in ranges:
        starts.setdefault(nextafter(r.low, inf) if r.low_open else r.low, []).append(r)
        if r.high < inf:
            ends.setdefault(r.high if r.high_open else nextafter(r.high, inf), []).append(r)
    return starts, ends
