"""Matching of raw event texts for bulk work (import, backtest, re-scoring), without decoding what no pattern reads.

Needs msgspec, which the Lambda functions do without: they need the whole event anyway. Invariant: the answer for a
JSON text is the matcher's answer for `json.loads` of it. A text that the generated structs cannot hold (an array or
a value where patterns have an object, a number beyond all doubles) is decoded and matched in full.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Never

import msgspec

from leadscore.core.matcher import Matcher
from leadscore.core.matching.arrays import PathNode
from leadscore.core.matching.fields import ABSENT
from leadscore.core.matching.walker import Reading
from leadscore.core.patterns import Pattern


class _UnusualShapeError(Exception):
    """A struct holds an array or object where a pattern expects a value, or the other way round."""


class BulkMatcher:
    """Patterns compiled for matching raw JSON texts, with the answers of `Matcher`."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        """Compile `patterns`; bit i of every answer is `patterns[i]`."""
        self._matcher = Matcher(patterns)
        tree = self._matcher.compiled.tree
        attributes = {name: f"field{i}" for i, name in enumerate(dict.fromkeys(_names_in(tree)))}
        self._decode = msgspec.json.Decoder(_build_struct(tree, attributes)).decode

        def read(opened: str, name: str) -> str:
            return f"{opened}.{attributes[name]}"

        reading = Reading(open=lambda value: value, leaf=read, child=read)
        self._match_struct = self._matcher.compiled.build_matcher(reading, _refuse)

    def match_bits(self, text: bytes | str) -> int:
        """Return the patterns that the event in `text` matches: bit i is the i-th pattern.

        Raises ValueError when `text` is not JSON; where only parts that no pattern reads are not, it may not.
        """
        try:
            return self._match_struct(self._decode(text))
        except (msgspec.DecodeError, _UnusualShapeError, RecursionError):
            return self._matcher.match_bits(json.loads(text))


def _refuse(_event: Mapping[str, object]) -> Never:
    raise _UnusualShapeError


def _names_in(node: PathNode) -> Iterator[str]:
    for name, child in node.children.items():
        yield name
        yield from _names_in(child)


def _build_struct(node: PathNode, attributes: Mapping[str, str]) -> Any:
    """Return a struct type with just the fields of `node`; `attributes` are what field names are called in it.

    Where patterns read a field both as a value and as an object, it is left undecided, and such events are unusual.
    """
    fields: list[tuple[str, Any, Any]] = []
    for name, child in node.children.items():
        if child.fields:
            fields.append((attributes[name], Any, ABSENT))
        else:
            fields.append((attributes[name], _build_struct(child, attributes) | None, None))
    names = {attributes[name]: name for name in node.children}
    return msgspec.defstruct("Event", fields, rename=names, gc=False)
