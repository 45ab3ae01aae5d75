"""Reading one object of the ruleset document field by field, with every mistake reported by path and value.

Protects "nothing is ever ignored": a section knows its fields, so a field that nobody reads is a problem as soon
as the section is opened, and a getter that meets a wrong value reports it and returns None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leadscore.core.documents import join_path
from leadscore.core.instants import DAY, Millis, parse_duration
from leadscore.core.patterns import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# The fields of each object of the document: what RULESET.md and the JSON Schema must list too.
FIELDS: dict[str, tuple[str, ...]] = {
    "ruleset": (
        *("goal", "tiers", "groups", "criteria", "alerts", "total"),
        *("identity", "accounts", "announce", "nurture", "digest"),
    ),
    "tier": ("name", "from"),
    "group": ("max", "min", "half_life"),
    "criterion": (
        "id",
        "label",
        "group",
        "event",
        "traits",
        "points",
        "limit",
        "within",
        "half_life",
        "at_least",
        "measure",
        "max",
        "disqualify",
    ),
    "measure": ("distinct", "sum"),
    "alerts": (
        "tier",
        "rearm_below",
        "cooldown",
        "account_cooldown",
        "delay",
        "min_fit",
        "always",
        "hours",
        "accounts",
        "warn_above",
        "suppress",
    ),
    "hours": ("time_zone", "days", "from", "to"),
    "suppress": ("converted", "internal"),
    "total": ("min", "max"),
    "identity": ("email", "external"),
    "accounts": ("roll_up", "share", "tier", "points"),
    "announce": ("score_change",),
    "nurture": ("tier", "min_fit", "silent_for", "every", "daily"),
    "digest": ("at", "time_zone", "days"),
}
# The mapping document has the same manners.
MAPPING_FIELDS: dict[str, tuple[str, ...]] = {
    "mappings": ("mappings",),
    "mapping": ("name", "match", "event", "ignore"),
}
# And so has the one that says which events must not count.
QUARANTINE_FIELDS: dict[str, tuple[str, ...]] = {
    "quarantine": ("bots", "user_agents", "internal", "bursts"),
    "user_agents": ("block", "allow"),
    "internal": ("domains", "ips"),
    "bursts": ("events", "within"),
}
_KNOWN = FIELDS | MAPPING_FIELDS | QUARANTINE_FIELDS
NONE = "none"
LONGEST_DURATION: Millis = 3650 * DAY
LARGEST_NUMBER = 1_000_000


class Section:
    """One object of the document while it is read."""

    def __init__(self, kind: str, fields: Mapping[str, object], path: str, problems: list[Problem]) -> None:
        self.path = path
        self._fields = dict(fields)
        self._problems = problems
        known = _KNOWN[kind]
        for name in [name for name in self._fields if name not in known]:
            hint = suggest(name, known) or f"; the fields here are {', '.join(known)}"
            self.refuse(name, f"unknown field{hint}")

    def has(self, name: str) -> bool:
        """Say whether the field is given and was not refused."""
        return name in self._fields

    def get(self, name: str) -> object:
        """Return the raw value of a field that is given."""
        return self._fields[name]

    def place(self, name: str) -> str:
        """Return the path of a field."""
        return join_path(self.path, name)

    def reject(self, name: str, message: str) -> None:
        """Report a problem with the value of a field, which is None where the field is missing."""
        self._problems.append(Problem(self.place(name), message, self._fields.get(name)))

    def refuse(self, name: str, message: str) -> None:
        """Report that a field must not be there, and read on as if it were not."""
        self.reject(name, message)
        del self._fields[name]

    def report(self, message: str, value: object = None) -> None:
        """Report a problem with the section as a whole."""
        self._problems.append(Problem(self.path, message, value))

    def require(self, *names: str) -> None:
        """Report each of the fields that is missing."""
        for name in names:
            if name not in self._fields:
                self.reject(name, "is required")

    def text(self, name: str, form: re.Pattern[str], described: str) -> str | None:
        """Return the text of a field if it is given and of the form."""
        if name not in self._fields:
            return None
        value = self._fields[name]
        if isinstance(value, str) and form.fullmatch(value):
            return value
        self.reject(name, f"must be {described}")
        return None

    def number(self, name: str, low: float, high: float, *, open_low: bool = False) -> float | None:
        """Return the number of a field if it is given and between `low` (not part of it if open) and `high`."""
        if name not in self._fields:
            return None
        value = self._fields[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            inside = low <= value <= high and not (open_low and value == low)
            if inside:
                return value
        self.reject(name, f"must be a number {'over' if open_low else 'from'} {low} up to {high}")
        return None

    def whole(self, name: str, low: int, high: int) -> int | None:
        """Return the whole number of a field if it is given and from `low` to `high`; 10.0 is not one."""
        if name not in self._fields:
            return None
        value = self._fields[name]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.reject(name, f"must be a whole number from {low} to {high}, written without a point")
        return None

    def flag(self, name: str, *, default: bool = False) -> bool | None:
        """Return the boolean of a field, `default` where it is missing, None where it is wrong."""
        value = self._fields.get(name, default)
        if isinstance(value, bool):
            return value
        self.reject(name, "must be true or false")
        return None

    def items(self, name: str, at_least: int, described: str) -> list[object]:
        """Return the list of a field, empty where it is missing or wrong."""
        if name not in self._fields:
            return []
        value = self._fields[name]
        if not isinstance(value, list):
            self.reject(name, f"must be {described}")
            return []
        if len(value) < at_least:
            self.reject(name, f"must be {described}")
        return value

    def duration(self, name: str) -> Millis | None:
        """Return the length of time that a field gives."""
        if name not in self._fields:
            return None
        value = self._fields[name]
        try:
            length = parse_duration(value if isinstance(value, str) else "")
        except ValueError as error:
            self.reject(name, str(error))
            return None
        if length > LONGEST_DURATION:
            self.reject(name, "must be at most ten years (3650d)")
            return None
        return length

    def is_none(self, name: str) -> bool:
        """Say whether the field is given as the word `none`."""
        return self._fields.get(name) == NONE


def open_section(kind: str, value: object, path: str, problems: list[Problem]) -> Section | None:
    """Return the section that `value` is, its unknown fields reported, or None after reporting that it is none."""
    if isinstance(value, dict):
        return Section(kind, value, path, problems)
    problems.append(Problem(path, f"must be an object with fields of {', '.join(_KNOWN[kind])}", value))
    return None


def suggest(name: str, known: Collection[str]) -> str:
    """Return `; did you mean ...?` with the known name closest to `name`, or nothing when none is close."""
    from difflib import get_close_matches

    folded = {k.casefold(): k for k in known}
    close = get_close_matches(name.casefold(), folded, n=1)
    return f"; did you mean `{folded[close[0]]}`?" if close else ""
