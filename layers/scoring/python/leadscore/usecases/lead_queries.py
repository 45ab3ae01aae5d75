"""What a reader may ask of one lead, parsed once at the edge: as of which instant, and under which ruleset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from leadscore.core.instants import format_instant, from_datetime, parse_instant, to_datetime
from leadscore.core.parsing import InvalidRuleset, parse_ruleset
from leadscore.core.ruleset import Ruleset
from leadscore.usecases import timeline
from leadscore.usecases.queries import InvalidQueryError
from leadscore.usecases.timeline import TimelineQuery, parse_timeline_query

PARAMETERS = ("at", "ruleset", *timeline.PARAMETERS)
# Nothing is heard of before the first, and no window or half-life of a criterion is longer than the second.
_EARLIEST = 0
_FARTHEST = timedelta(days=3650)
_VERSION_DIGITS = 12
_NEWEST = TimelineQuery()
_VERSION = re.compile(rf"[0-9a-f]{{4,{_VERSION_DIGITS}}}", re.ASCII)


class UnknownRulesetError(LookupError):
    """No published ruleset has that version."""


@dataclass(frozen=True, slots=True)
class LeadQuery:
    """A lead as of `at`, None being now, under the ruleset whose version begins so, None being the active one."""

    at: datetime | None = None
    ruleset: str | None = None
    timeline: TimelineQuery = _NEWEST


def parse_lead_query(parameters: Mapping[str, str], now: datetime) -> LeadQuery:
    """Return the query that URL parameters spell; raises InvalidQueryError, also for unknown parameters."""
    if set(parameters) - set(PARAMETERS):
        raise InvalidQueryError(f"unknown parameter; there are {', '.join(PARAMETERS)}")
    version = parameters.get("ruleset")
    if version is not None and not _VERSION.fullmatch(version):
        raise InvalidQueryError(f"ruleset: a version of {_VERSION_DIGITS} hex digits, or at least its first 4")
    at = parameters.get("at")
    return LeadQuery(None if at is None else _instant(at, now), version, parse_timeline_query(parameters))


def find_ruleset(active: Ruleset, version: str, published: Callable[[], Iterable[str]]) -> Ruleset:
    """Return the ruleset whose version begins with `version`, among the active one and all those `published` before.

    Raises UnknownRulesetError where there is none, InvalidQueryError where there are several. Asks for what was
    published only where the active one is not named in full.
    """
    if version == active.version:
        return active
    found = {active.version: active} if active.version.startswith(version) else {}
    for document in published():
        ruleset = _parse(document)
        if ruleset is not None and ruleset.version.startswith(version):
            found[ruleset.version] = ruleset
    if len(found) > 1:
        raise InvalidQueryError("ruleset: several versions begin so; give more digits")
    if not found:
        raise UnknownRulesetError("no published ruleset has that version")
    return next(iter(found.values()))


def _parse(document: str) -> Ruleset | None:
    """Return None for what an older version of this code took and this one does not."""
    try:
        return parse_ruleset(document)
    except InvalidRuleset:
        return None


def _instant(text: str, now: datetime) -> datetime:
    try:
        at = to_datetime(parse_instant(text))
    except (ValueError, OverflowError) as error:
        raise InvalidQueryError("at: an ISO 8601 instant such as 2026-01-31T12:00:00Z, a + written as %2B") from error
    latest = now + _FARTHEST
    if not _EARLIEST <= from_datetime(at) <= from_datetime(latest):
        bounds = f"{format_instant(_EARLIEST)} to {format_instant(from_datetime(latest))}"
        raise InvalidQueryError(f"at: an instant from {bounds}")
    return at
