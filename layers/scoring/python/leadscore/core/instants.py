"""Instants and durations as whole milliseconds, the one resolution of time in the core.

With discrete time "the first instant at which the tier differs" exists even where a window closes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

Millis = int

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])", re.ASCII)
_UNIT_MILLIS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
HOUR: Millis = _UNIT_MILLIS["h"]
DAY: Millis = _UNIT_MILLIS["d"]


def from_datetime(instant: datetime) -> Millis:
    """Return `instant`, which must carry a zone, as milliseconds since 1970 UTC, rounded down."""
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a time zone: {instant.isoformat()}")
    since = instant - _EPOCH
    return since.days * DAY + since.seconds * 1_000 + since.microseconds // 1_000


def to_datetime(instant: Millis) -> datetime:
    """Return the UTC datetime of `instant`; raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + instant * _MILLISECOND


def parse_instant(text: str) -> Millis:
    """Return the instant that an ISO 8601 text names, rounded down to a millisecond; without a zone it is UTC.

    Raises ValueError for any other text.
    """
    parsed = datetime.fromisoformat(text)
    return from_datetime(parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC))


def format_instant(instant: Millis) -> str:
    """Return `instant` in the one form that Leadscore writes: `2026-01-31T23:59:59.000Z`."""
    return to_datetime(instant).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_duration(text: str) -> Millis:
    """Return the length of `30s`, `15m`, `12h`, `30d` or `2w`; raises ValueError for any other text."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("a duration is a whole number and a unit: 30s, 15m, 12h, 30d, 2w")
    return int(found[1]) * _UNIT_MILLIS[found[2]]
