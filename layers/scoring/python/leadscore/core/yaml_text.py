"""YAML text as the plain tree of values that JSON has: the half of reading a ruleset that knows YAML.

YAML is read by its 1.2 core rules alone, so that a ruleset means what it looks like: `no` and `2024-01-01` are
texts, never a boolean or a date. Everything that JSON cannot say (tags, merge keys, keys that are no text)
comes out marked, so that the reader of the tree can refuse it with its path. The work is bounded by the length
of the text: an alias is the very object that it names, never a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadscore.core.documents import MAX_DEPTH, Pairs, UnreadableTextError, Unusable

if TYPE_CHECKING:
    from ruamel.yaml.events import CollectionStartEvent, Event, ScalarEvent

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(?i:inf)|\.(?i:nan)", re.ASCII)
_MERGE = "<<"


def read_yaml(text: str) -> object:
    """Return the one document of `text`: None, booleans, numbers, texts, lists, Pairs and Unusable values.

    Raises UnreadableTextError when the text is not YAML, is empty or holds several documents.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    composer = _Composer()
    try:
        for event in YAML(typ="base", pure=True).parse(text):
            composer.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise UnreadableTextError(f"not YAML: {error.problem or error.context}{place}") from error
    except YAMLError as error:
        raise UnreadableTextError(f"not YAML: {str(error).splitlines()[0]}") from error
    if len(composer.documents) != 1:
        raise UnreadableTextError("the text holds several documents" if composer.documents else "the text is empty")
    return composer.documents[0]


@dataclass(slots=True)
class _Open:
    """A list or an object whose end has not come yet; an object's keys and values alternate in `values`."""

    start: CollectionStartEvent
    values: list[object]


class _Composer:
    """Builds the tree from the parser's events without recursion, however deep the text nests."""

    def __init__(self) -> None:
        self.documents: list[object] = []
        self._anchors: dict[str, object] = {}
        self._open: list[_Open] = []

    def take(self, event: Event) -> None:
        from ruamel.yaml import events

        if isinstance(event, events.CollectionStartEvent):
            # The parser's work grows with the square of the depth: brackets must not come far.
            if len(self._open) == MAX_DEPTH:
                raise UnreadableTextError(f"nested more than {MAX_DEPTH} deep (line {event.start_mark.line + 1})")
            self._open.append(_Open(event, []))
        elif isinstance(event, events.CollectionEndEvent):
            closed = self._open.pop()
            pairwise = isinstance(closed.start, events.MappingStartEvent)
            self._finish(closed.start, _pair(closed.values) if pairwise else closed.values)
        elif isinstance(event, events.ScalarEvent):
            self._finish(event, _scalar(event.value) if event.style is None else event.value)
        elif isinstance(event, events.AliasEvent):
            unknown = Unusable("no value before this alias has its anchor", f"*{event.anchor}")
            self._place(self._anchors.get(event.anchor, unknown))

    def _finish(self, start: CollectionStartEvent | ScalarEvent, value: object) -> None:
        if start.tag is not None:
            value = Unusable("a YAML tag has no place in a ruleset; a quoted value is a text", str(start.tag))
        if start.anchor is not None:
            self._anchors[start.anchor] = value
        self._place(value)

    def _place(self, value: object) -> None:
        (self._open[-1].values if self._open else self.documents).append(value)


def _pair(values: list[object]) -> Pairs:
    return Pairs(list(zip(values[::2], values[1::2], strict=True)))


def _scalar(text: str) -> object:
    """Return what an unquoted text means by YAML's core schema."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text == _MERGE:
        return Unusable("a YAML merge key has no place in a ruleset", text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _REAL.fullmatch(text) is None:
        return text
    try:
        return int(text) if _WHOLE.fullmatch(text) else _real(text)
    except ValueError:
        return Unusable("the number has too many digits", text[:40])


def _real(text: str) -> float:
    """Return the number, infinity or NaN that a text of the core schema's form names."""
    return float(re.sub(r"\.(?=[ina])", "", text.lower()))
