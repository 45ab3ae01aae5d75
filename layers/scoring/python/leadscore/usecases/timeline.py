"""The timeline of one lead: the events of its log, the newest first, page by page.

Invariant: pages put together hold every event that was in the log when the first one was asked for, each once. An
event that was logged twice, as a visitor's and as the user's that the visitor became, is shown by its newest copy,
which is the one that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from leadscore.usecases.queries import InvalidQueryError, parse_limit, read_cursor, write_cursor
from leadscore.usecases.records import Event

# Lambda answers 6 MB at most, as JSON; events have 32 KB, which in the worst case becomes 112 KB on that way.
MOST_EVENTS = 50
PARAMETERS = ("limit", "cursor")


class TimelinePlace(NamedTuple):
    """The place of an event in the timeline, the larger the newer. May contain personal data: do not log."""

    timestamp: str
    message_id: str

    @classmethod
    def of(cls, event: Event) -> Self:
        """Return the place of an event."""
        return cls(str(event["timestamp"]), str(event["messageId"]))


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """At most `limit` events, those older than `before`."""

    limit: int = MOST_EVENTS
    before: TimelinePlace | None = None


class Timeline(NamedTuple):
    """Part of a timeline; `next_cursor` is None where nothing is older."""

    events: list[Event]
    next_cursor: str | None


def parse_timeline_query(parameters: Mapping[str, str]) -> TimelineQuery:
    """Return the query that URL parameters spell; raises InvalidQueryError. Other parameters are let pass."""
    limit = parse_limit(parameters, MOST_EVENTS, MOST_EVENTS)
    if "cursor" not in parameters:
        return TimelineQuery(limit)
    match read_cursor(parameters["cursor"]):
        case [str(timestamp), str(message_id)]:
            return TimelineQuery(limit, TimelinePlace(timestamp, message_id))
    raise InvalidQueryError("cursor: not one that `next_cursor` handed out")


def read_timeline(log: Iterable[Event], query: TimelineQuery) -> Timeline:
    """Return the part of a log's timeline that is asked for, the newest first."""
    newest = {place.message_id: (place, event) for place, event in sorted(_places(log), key=lambda line: line[0])}
    behind = [line for line in newest.values() if query.before is None or line[0] < query.before]
    behind.sort(key=lambda line: line[0], reverse=True)
    shown = behind[: query.limit]
    goes_on = len(behind) > query.limit
    return Timeline([event for _, event in shown], write_cursor(shown[-1][0]) if goes_on else None)


def _places(log: Iterable[Event]) -> Iterable[tuple[TimelinePlace, Event]]:
    return ((TimelinePlace.of(event), event) for event in log)
