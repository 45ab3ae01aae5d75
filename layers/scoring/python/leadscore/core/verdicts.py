"""What people say of an alert: it was good, it was junk, or they do not want to hear of the lead for a while.

Invariant: a verdict that was read is one that can be kept: bounded, on one line, and a snooze has an end. A complaint
names the field and never repeats what was in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from leadscore.core.instants import DAY, Millis, parse_duration

VerdictKind = Literal["good", "junk", "snooze"]
VERDICTS: tuple[VerdictKind, ...] = ("good", "junk", "snooze")
DEFAULT_SNOOZE: Millis = 7 * DAY
LONGEST_SNOOZE: Millis = 365 * DAY
REASON_CHARACTERS = 200
_FIELDS = ("verdict", "for", "reason")
_LENGTH = re.compile(r"[1-9][0-9]{0,2}[smhdw]", re.ASCII)
# Neither control characters and ends of lines, nor halves of characters, which no table keeps.
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]*")


class InvalidVerdictError(ValueError):
    """What was said is no verdict; the message names the field and never repeats its value."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verdict: when it came and from whom, an empty `reason` where none was given, `until` for a snooze alone."""

    kind: VerdictKind
    at: Millis
    by: str
    reason: str = ""
    until: Millis | None = None


def parse_verdict(document: Mapping[str, object], at: Millis, by: str) -> Verdict:
    """Return the verdict of the fields `verdict`, `for` and `reason`; raises InvalidVerdictError.

    `for` is a duration and goes with `snooze` alone; a week where it is not given.
    """
    if set(document) - set(_FIELDS):
        raise InvalidVerdictError(f"unknown field; there are {', '.join(_FIELDS)}")
    kind = parse_kind(document.get("verdict"))
    until = None
    if kind == "snooze":
        until = at + (_parse_length(document["for"]) if "for" in document else DEFAULT_SNOOZE)
    elif "for" in document:
        raise InvalidVerdictError("for: goes with the verdict snooze alone")
    return Verdict(kind, at, by, _parse_reason(document.get("reason", "")), until)


def parse_kind(value: object) -> VerdictKind:
    """Return the kind of verdict that a value names; raises InvalidVerdictError."""
    if value not in VERDICTS:
        raise InvalidVerdictError(f"verdict: must be one of {', '.join(VERDICTS)}")
    return value


def _parse_length(value: object) -> Millis:
    length = parse_duration(value) if isinstance(value, str) and _LENGTH.fullmatch(value) else None
    if length is None or length > LONGEST_SNOOZE:
        raise InvalidVerdictError("for: must be a duration such as 12h, 7d or 2w, of a year at most")
    return length


def _parse_reason(value: object) -> str:
    if not isinstance(value, str) or len(value) > REASON_CHARACTERS or not _ONE_LINE.fullmatch(value):
        raise InvalidVerdictError(f"reason: must be one line of at most {REASON_CHARACTERS} characters")
    return value.strip()
