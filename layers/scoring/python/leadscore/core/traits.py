"""What is known of a lead or an account: per trait the value with the newest event time.

Invariant: equal sets of events leave equal claims, whatever the order, the repetitions and the batches.
Values may contain personal data: do not log them.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import NamedTuple

from leadscore.core.instants import Millis

LONGEST_VALUE_BYTES = 2048
# Kept for display even where no criterion reads them.
PROFILE_TRAITS = frozenset(("email", "name", "firstName", "lastName", "title", "company", "phone", "owner", "source"))
# However a text is escaped, this many characters and two quotes take no more bytes than that.
SURELY_SHORT_CHARACTERS = (LONGEST_VALUE_BYTES - 2) // 6
_ALWAYS_SHORT = frozenset((bool, float, type(None)))
_LONG = 10**100
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class Claim(NamedTuple):
    """What one event says; of two the larger by (event time, message id) holds. A null says that there is no value."""

    time: Millis
    event: str
    value: object


Claims = dict[str, Claim]


def claim(claims: Claims, values: Mapping[str, object], time: Millis, event: str, only: Container[str]) -> bool:
    """Enter the `values` whose names are in `only` where they are newer; return whether any was.

    A value whose JSON is over 2048 bytes counts as never seen: it is entered as a null.
    """
    entered = False
    for name, value in values.items():
        if name in only and is_newer(time, event, claims.get(name)):
            claims[name] = Claim(time, event, value if is_short(value) else None)
            entered = True
    return entered


def is_newer(time: Millis, event: str, known: Claim | None) -> bool:
    """Return whether what the event says replaces `known`."""
    return known is None or (time, event) > (known.time, known.event)


def unite_claims(one: Claims, other: Claims) -> Claims:
    """Return per name the newer claim of the two."""
    united = dict(one)
    for name, known in other.items():
        if is_newer(known.time, known.event, united.get(name)):
            united[name] = known
    return united


def present_values(claims: Claims) -> dict[str, object]:
    """Return the values that are there: without the traits that were set to null."""
    return {name: known.value for name, known in claims.items() if known.value is not None}


def canonical_json(value: object) -> str:
    """Return `value` as the one JSON text that Leadscore writes: sorted keys, no spaces."""
    return _ENCODER.encode(value)


def is_short(value: object) -> bool:
    """Return whether a trait's value is kept."""
    form = value.__class__
    if form is str and len(value) <= SURELY_SHORT_CHARACTERS:  # type: ignore[arg-type]
        return True
    if form in _ALWAYS_SHORT or (form is int and abs(value) < _LONG):  # type: ignore[arg-type]
        return True
    return len(canonical_json(value).encode("utf-8", "surrogatepass")) <= LONGEST_VALUE_BYTES
