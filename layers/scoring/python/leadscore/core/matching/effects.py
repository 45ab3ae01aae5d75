"""What the distinct tests of one field do, sorted by kind: the common input of all indexes of the field."""

from __future__ import annotations

from collections.abc import Iterable

from leadscore.core.patterns import (
    AnythingBut,
    Cidr,
    Clause,
    Flag,
    Folded,
    Null,
    Number,
    Prefix,
    Present,
    Range,
    Suffix,
    Text,
    Wildcard,
)

Bits = int
"""A set of conjunctions: bit i is the i-th one."""


def union(masks: Iterable[Bits]) -> Bits:
    """Return the conjunctions that are in any of `masks`."""
    bits = 0
    for mask in masks:
        bits |= mask
    return bits


class Effect:
    """What passing a test does: it proves some conjunctions, and takes from others their `anything-but`."""

    __slots__ = ("blocked", "proved")

    def __init__(self) -> None:
        self.proved: Bits = 0
        self.blocked: Bits = 0

    def add(self, other: Effect) -> None:
        """Do what `other` does as well."""
        self.proved |= other.proved
        self.blocked |= other.blocked


class FieldTests:
    """The distinct tests of one field with their effects; suffixes are kept as prefixes of the text read backwards.

    `answer` turns what the tests that a value passes do together into the conjunctions that the value leaves standing.
    """

    def __init__(self, clauses: Iterable[tuple[Bits, Clause]], fixed: Bits, every: Bits) -> None:
        """Take the clauses of one field with their bits, and the conjunctions that stand whatever the value."""
        self._fixed = fixed
        self._every = every
        self._buts: Bits = 0
        self._alternatives: list[tuple[Bits, Bits]] = []
        self.texts: dict[str, Effect] = {}
        self.numbers: dict[float, Effect] = {}
        self.flags = {True: Effect(), False: Effect()}
        self.null = Effect()
        self.folded: dict[str, Effect] = {}
        self.prefixes: dict[str, Effect] = {}
        self.suffixes: dict[str, Effect] = {}
        self.folded_prefixes: dict[str, Effect] = {}
        self.folded_suffixes: dict[str, Effect] = {}
        self.wildcards: dict[tuple[str, ...], Effect] = {}
        self.networks: dict[Cidr, Effect] = {}
        self.ranges: dict[Range, Bits] = {}
        for bit, clause in clauses:
            self._add(bit, clause)

    def answer(self, proved: Bits = 0, blocked: Bits = 0) -> Bits:
        """Return the conjunctions that a value leaves standing which proves and blocks these."""
        standing = self._fixed | (self._buts & ~blocked) | proved
        if not self._alternatives:
            return standing
        for either, bit in self._alternatives:
            if standing & either:
                standing |= bit
        return standing & self._every

    def _add(self, bit: Bits, clause: Clause) -> None:
        buts: list[AnythingBut] = []
        for test in clause.tests:
            match test:
                case AnythingBut():
                    buts.append(test)
                case Present():
                    self._fixed |= bit
                case Range():
                    self.ranges[test] = self.ranges.get(test, 0) | bit
                case _:
                    self._effect_of(test).proved |= bit
        own = [bit]
        if len(buts) > 1:
            # One bit could not tell which of several `anything-but` was blocked: each gets a bit above all others.
            above = max(self._buts.bit_length(), self._every.bit_length())
            own = [1 << (above + i) for i in range(len(buts))]
            self._alternatives.append((union(own), bit))
        for held, but in zip(own, buts, strict=False):
            self._buts |= held
            for atom in but.excluded:
                self._effect_of(atom).blocked |= held

    def _effect_of(self, test: Text | Number | Flag | Null | Prefix | Suffix | Folded | Wildcard | Cidr) -> Effect:
        match test:
            case Text(text):
                return self.texts.setdefault(text, Effect())
            case Number(number):
                return self.numbers.setdefault(number, Effect())
            case Flag(flag):
                return self.flags[flag]
            case Null():
                return self.null
            case Prefix(text, folded):
                return (self.folded_prefixes if folded else self.prefixes).setdefault(text, Effect())
            case Suffix(text, folded):
                return (self.folded_suffixes if folded else self.suffixes).setdefault(text[::-1], Effect())
            case Folded(text):
                return self.folded.setdefault(text, Effect())
            case Wildcard(parts):
                return self.wildcards.setdefault(parts, Effect())
            case Cidr():
                return self.networks.setdefault(test, Effect())
