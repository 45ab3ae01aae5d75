"""Which events a criterion remembers, and which of those count at an instant.

Invariant: what is kept of a set of events is kept of what is kept. Taking events one by one, twice, in any order or
from two halves that are united gives the same kept occurrences, and whatever was dropped can never count again.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from math import fsum, inf, isfinite
from operator import attrgetter
from typing import NamedTuple

from leadscore.core.instants import DAY, Millis
from leadscore.core.ruleset import Criterion, Measure

_LONGEST_MARK_BYTES = 64
_ENCODER = json.JSONEncoder(ensure_ascii=False)


class Occurrence(NamedTuple):
    """One event that matched a criterion, ordered by (event time, message id); of copies of one event the newest.

    `mark` is what the criterion's measure reads of it: a value's key for `distinct`, a number for `sum`, else None.
    """

    time: Millis
    event: str
    mark: str | float | None = None


Kept = tuple[Occurrence, ...]
_time_of = attrgetter("time")


def read_occurrence(
    criterion: Criterion, event: Mapping[str, object], time: Millis, event_id: str
) -> Occurrence | None:
    """Return the occurrence that a matching event is, or None where it lacks what the criterion measures."""
    measure = criterion.measure
    if measure is None or not measure.path:
        return Occurrence(time, event_id)
    value = _read_field(event, measure.path)
    mark = _number(value) if measure.kind == "sum" else _value_key(value)
    return None if mark is None else Occurrence(time, event_id, mark)


def keep(criterion: Criterion, kept: Kept, occurrence: Occurrence) -> Kept:
    """Return what is kept once `occurrence` is taken too: the same object when that changes nothing."""
    place = bisect_left(kept, occurrence)
    if place < len(kept) and kept[place] == occurrence:
        return kept
    trimmed = _trim(criterion, (*kept[:place], occurrence, *kept[place:]))
    return kept if trimmed == kept else trimmed


def unite(criterion: Criterion, one: Kept, other: Kept) -> Kept:
    """Return what is kept of both."""
    return _trim(criterion, tuple(sorted({*one, *other})))


def counting(criterion: Criterion, kept: Kept, at: Millis) -> Kept:
    """Return the kept occurrences that count at `at`: those inside the window, none of them below `at_least`."""
    inside = inside_window(criterion, kept, at)
    if criterion.at_least is None or measured(criterion, inside) >= criterion.at_least:
        return inside
    return ()


def inside_window(criterion: Criterion, kept: Kept, at: Millis) -> Kept:
    """Return the kept occurrences that are not older than the criterion's window at `at`."""
    if criterion.within is None or not kept or at - kept[0].time <= criterion.within:
        return kept
    return kept[bisect_left(kept, at - criterion.within, key=_time_of) :]


def measured(criterion: Criterion, occurrences: Kept) -> float:
    """Return how much `occurrences`, which must be kept ones, make of what the criterion measures."""
    if criterion.measure is not None and criterion.measure.kind == "sum":
        return _total(occurrences)
    return len(occurrences)


def _trim(criterion: Criterion, occurrences: Kept) -> Kept:
    """Return those of `occurrences`, which are in ascending order, that can still matter."""
    occurrences = _newest_copies(occurrences)
    measure = criterion.measure
    if measure is None or criterion.at_least is None:
        return occurrences[-criterion.limit :]
    if measure.kind == "sum":
        return _newest_that_reach(criterion.at_least, occurrences[-criterion.limit :])
    most = int(criterion.at_least)
    if measure.kind == "count":
        return occurrences[-most:]
    return _newest_of_each(measure, occurrences, most)


def _newest_copies(occurrences: Kept) -> Kept:
    """Return each event once, as its newest copy: a device's event may come again as its user's, of another time.

    The newest and not the first: which of two copies is dropped must not depend on what was dropped before.
    """
    newest = {occurrence.event: occurrence for occurrence in occurrences}
    return occurrences if len(newest) == len(occurrences) else tuple(sorted(newest.values()))


def _newest_that_reach(goal: float, occurrences: Kept) -> Kept:
    """Return the shortest run of newest occurrences whose marks add up to `goal`, else all."""
    if _total(occurrences) < goal:
        return occurrences
    # Marks are positive and fsum rounds correctly, so that a longer run never adds up to less.
    shortest = bisect_left(range(len(occurrences)), goal, key=lambda run: _total(occurrences[-run - 1 :]))
    return occurrences[-shortest - 1 :]


def _newest_of_each(measure: Measure, occurrences: Kept, most: int) -> Kept:
    """Return the newest occurrence of each value or day, of the `most` whose newest is most recent."""
    newest: dict[object, Occurrence] = {}
    for occurrence in reversed(occurrences):
        newest.setdefault(occurrence.time // DAY if measure.kind == "days" else occurrence.mark, occurrence)
        if len(newest) == most:
            break
    return tuple(reversed(newest.values()))


def _total(occurrences: Iterable[Occurrence]) -> float:
    try:
        return fsum(occurrence.mark for occurrence in occurrences if isinstance(occurrence.mark, float))
    except OverflowError:
        return inf


def _read_field(event: Mapping[str, object], path: tuple[str, ...]) -> object:
    """Return the value at `path`, or an empty list, which no measure takes, where there is none."""
    value: object = event
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return []
        value = value[name]
    return value


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) and number > 0 else None


def _value_key(value: object) -> str | None:
    """Return a text that is the same for equal scalars and for no others, of bounded length."""
    if isinstance(value, list | Mapping):
        return None
    text = _ENCODER.encode(value)
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= _LONGEST_MARK_BYTES:
        return text
    import hashlib  # OpenSSL is slow to load, and long values are rare

    return hashlib.sha256(encoded).hexdigest()
