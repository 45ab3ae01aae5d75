"""The compiled matcher: from one event to the set of patterns that it matches, as the bits of one whole number.

Every `$or` is multiplied out into conjunctions, each with a bit. Per field an index answers with the conjunctions that
the value leaves standing; the answers are combined with `&`. Invariant: the answer is that of EventBridge as written
down in PATTERNS.md, whatever the event holds, in time bounded by the sizes of the event and the patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from leadscore.core.matching.compiling import CompiledPatterns
from leadscore.core.matching.walker import DICTS
from leadscore.core.patterns import Pattern


class Matcher:
    """Patterns compiled for matching; immutable to its users."""

    __slots__ = ("compiled", "match_bits")

    match_bits: Callable[[Mapping[str, object]], int]
    """Return the patterns that an event, as `json.loads` gives it, matches: bit i is the i-th pattern."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        """Compile `patterns`; bit i of every answer is `patterns[i]`."""
        self.compiled = CompiledPatterns(patterns)
        self.match_bits = self.compiled.build_matcher(DICTS, self.compiled.read_exactly)


def chosen[T](items: Sequence[T], bits: int) -> tuple[T, ...]:
    """Return those of `items` whose bit is set, in order."""
    if not bits:
        return ()
    found: list[T] = []
    while bits:
        last = bits.bit_length() - 1
        found.append(items[last])
        bits ^= 1 << last
    found.reverse()
    return tuple(found)
