"""Past events become what they would have become live: the three shapes, their instants, and what has none."""

from __future__ import annotations

from typing import Any

import pytest

from leadscore.archives import normalise_past_event
from leadscore.core.instants import format_instant, parse_instant
from leadscore.normalising import InvalidEvent
from tests.property.archived import in_rudderstacks_archive, in_segments_archive, live

NOW = parse_instant("2026-03-01T12:00:00.000Z")
RECEIVED = parse_instant("2025-12-24T18:00:05.250Z")
# The sender's clock is an hour slow.
SENT = {"messageId": "m1", "type": "track", "event": "Trial Started", "userId": "ada", "sentAt": "2025-12-24T17:00:05Z"}


def at(event: dict[str, Any]) -> tuple[object, object]:
    found = normalise_past_event(event, now=NOW)
    return found["timestamp"], found["receivedAt"]


def test_segments_archive_is_read_as_what_came_in() -> None:
    sent = {**SENT, "timestamp": "2025-12-24T17:00:00.500Z"}
    archived = in_segments_archive(sent, RECEIVED)
    assert archived["timestamp"] == "2025-12-24T18:00:00.750Z"
    assert at(archived) == ("2025-12-24T18:00:00.750Z", "2025-12-24T18:00:05.250Z")
    assert normalise_past_event(archived, now=NOW) == live(sent, RECEIVED)


def test_rudderstacks_archive_is_read_as_what_came_in() -> None:
    sent = {**SENT, "originalTimestamp": "2025-12-24T17:00:00.500Z", "context": {"traits": {"title": "CEO"}}}
    archived = in_rudderstacks_archive(sent, RECEIVED)
    assert at(archived) == ("2025-12-24T18:00:00.750Z", "2025-12-24T18:00:05.250Z")
    assert normalise_past_event(archived, now=NOW) == live(sent, RECEIVED)


def test_what_the_caller_said_when_it_was_holds_in_rudderstacks_archive() -> None:
    sent = {**SENT, "originalTimestamp": "2025-12-24T17:00:00.500Z", "timestamp": "2025-11-01T00:00:00.000Z"}
    archived = in_rudderstacks_archive(sent, RECEIVED)
    assert at(archived)[0] == "2025-11-01T01:00:00.250Z"
    assert normalise_past_event(archived, now=NOW) == live(sent, RECEIVED)


@pytest.mark.parametrize("off", [-3, 0, 3])
def test_rudderstacks_own_timestamp_is_known_in_spite_of_its_rounding(off: int) -> None:
    archived = in_rudderstacks_archive({**SENT, "originalTimestamp": "2025-12-24T17:00:00.500Z"}, RECEIVED)
    own = parse_instant(archived["timestamp"])
    assert at({**archived, "timestamp": format_instant(own + off)})[0] == archived["timestamp"]


def test_event_time_is_never_after_its_receipt() -> None:
    sent = {**SENT, "timestamp": "2025-12-24T17:30:00.000Z"}
    assert at(in_segments_archive(sent, RECEIVED)) == ("2025-12-24T18:00:05.250Z",) * 2


def test_receipt_is_never_after_now() -> None:
    soon = NOW + 5_000
    assert at({**SENT, "sentAt": None, "receivedAt": format_instant(soon)}) == (format_instant(NOW),) * 2


def test_an_sdks_event_was_received_when_it_was_sent() -> None:
    assert at({**SENT, "timestamp": "2025-12-24T16:59:00Z"}) == ("2025-12-24T16:59:00.000Z", "2025-12-24T17:00:05.000Z")
    undelivered = {name: value for name, value in SENT.items() if name != "sentAt"}
    assert at({**undelivered, "timestamp": "2025-12-24T16:59:00Z"}) == ("2025-12-24T16:59:00.000Z",) * 2
    assert at({**undelivered, "originalTimestamp": "2025-12-24T16:59:00Z"}) == ("2025-12-24T16:59:00.000Z",) * 2


def test_an_archive_without_sent_at_says_when_it_was_called() -> None:
    archived = {
        **SENT,
        "sentAt": None,
        "originalTimestamp": "2025-12-24T17:00:00Z",
        "timestamp": "2025-12-24T18:00:00Z",
    }
    archived["receivedAt"] = format_instant(RECEIVED)
    assert at(archived)[0] == "2025-12-24T17:00:00.000Z"


@pytest.mark.parametrize(
    ("raw", "code", "path"),
    [
        ({**SENT, "sentAt": None}, "missing_timestamp", "timestamp"),
        ({**SENT, "receivedAt": "yesterday"}, "invalid_timestamp", "receivedAt"),
        ({**SENT, "type": "scream"}, "unknown_type", "type"),
        ({**SENT, "userId": "null"}, "missing_id", "userId"),
        ([SENT], "invalid_event", ""),
        (None, "invalid_event", ""),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(raw: object, code: str, path: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        normalise_past_event(raw, now=NOW)
    assert (refused.value.code, refused.value.path) == (code, path)


def test_the_event_is_left_as_it_was() -> None:
    archived = in_segments_archive({**SENT, "timestamp": "2025-12-24T17:00:00.500Z"}, RECEIVED)
    before = dict(archived)
    normalise_past_event(archived, now=NOW)
    assert archived == before
