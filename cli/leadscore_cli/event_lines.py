"""Events as people give them to a command: one from options, or many as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import batched

from leadscore_cli.failures import CommandError

type Event = dict[str, object]

# An API batch may hold about 4 MB; 100 events of at most 32 KB stay below.
BATCH_EVENTS = 100


def read_events(lines: Iterable[str]) -> Iterator[tuple[int, Event]]:
    """Yield each event with its line number, blank lines left out; CommandError naming the line that is no object."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError as problem:
            raise CommandError(f"line {number} is no JSON: {problem}") from problem
        if not isinstance(event, dict):
            raise CommandError(f"line {number} is no JSON object: {line.strip()[:80]}")
        yield number, event


def read_batches(lines: Iterable[str]) -> Iterator[tuple[tuple[int, Event], ...]]:
    """Yield the numbered events in batches that the API takes."""
    return batched(read_events(lines), BATCH_EVENTS, strict=False)


def parse_fields(pairs: Iterable[str]) -> Event:
    """Return `name=value` pairs as fields; a value that is JSON counts as such, any other is text."""
    fields: Event = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise CommandError(f"{pair!r} is no name=value pair")
        try:
            fields[name] = json.loads(text)
        except ValueError:
            fields[name] = text
    return fields
