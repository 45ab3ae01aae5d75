"""Patterns as the matcher holds them: a bit per conjunction, an index per field, the tree of the fields' paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leadscore.core.matching.arrays import build_tree, match_exactly
from leadscore.core.matching.effects import Bits
from leadscore.core.matching.fields import FieldIndex
from leadscore.core.matching.walker import Reading, Walker, build_walker
from leadscore.core.patterns import Clause, Conjunction, Path, Pattern

_Clauses = list[tuple[Bits, Clause]]


class CompiledPatterns:
    """Patterns taken apart; bit i is the first conjunction of pattern i, further ones have bits above all patterns."""

    __slots__ = ("_every", "_indexes", "_owners", "_size", "tree")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._size = len(patterns)
        self._owners: list[Bits] = []
        fields: dict[tuple[Path, int], _Clauses] = {}
        for i, pattern in enumerate(patterns):
            for j, conjunction in enumerate(pattern.conjunctions):
                bit = 1 << i
                if j:
                    bit = 1 << (self._size + len(self._owners))
                    self._owners.append(1 << i)
                _add_clauses(fields, conjunction, bit)
        self._every = (1 << (self._size + len(self._owners))) - 1
        self._indexes = [FieldIndex(clauses, self._every) for clauses in fields.values()]
        self.tree = build_tree(path for path, _ in fields)

    def build_matcher(self, reading: Reading, read_unusual: Walker) -> Walker:
        """Return the function from an event, in the form that `reading` reads, to the patterns it matches.

        `read_unusual` answers, in conjunctions, for an event with another shape than a pattern expects.
        """
        walk = build_walker(self.tree, self._indexes, self._every, reading, read_unusual)
        # The walker itself is the answer where nothing is left to do after it: a call less for each event.
        return self._fold_after(walk) if self._owners else walk

    def read_exactly(self, event: Mapping[str, object]) -> Bits:
        """Return the conjunctions that any event satisfies."""
        return match_exactly(event, self.tree, self._indexes, self._every)

    def _fold_after(self, walk: Walker) -> Walker:
        """Return `walk` with the bits of further conjunctions turned into those of their patterns."""
        size, owners = self._size, self._owners
        first = (1 << size) - 1

        def match_bits(event: Mapping[str, object]) -> Bits:
            bits = walk(event)
            further = bits >> size
            bits &= first
            while further:
                last = further.bit_length() - 1
                bits |= owners[last]
                further ^= 1 << last
            return bits

        return match_bits


def _add_clauses(fields: dict[tuple[Path, int], _Clauses], conjunction: Conjunction, bit: Bits) -> None:
    """Sort the clauses of one conjunction into fields; a path's second clause gets a field of its own."""
    seen: dict[Path, int] = {}
    for clause in conjunction:
        number = seen.get(clause.path, 0)
        seen[clause.path] = number + 1
        fields.setdefault((clause.path, number), []).append((bit, clause))
