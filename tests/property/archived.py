"""What Segment and RudderStack write into an archive of the event that an SDK sent, by their documentation.

An SDK's event has `timestamp` or `originalTimestamp`, or both, and `sentAt`; instants are milliseconds here. What the
SDK's clock says and what the server's clock says need have nothing to do with each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from leadscore.core.instants import Millis, format_instant, parse_instant
from leadscore.normalising import NormalisedEvent, normalise_event

SdkEvent = dict[str, Any]


def live(event: SdkEvent, received_at: Millis) -> NormalisedEvent:
    """Return what our own front door makes of it."""
    return normalise_event(event, received_at=received_at)


def in_segments_archive(event: SdkEvent, received_at: Millis) -> dict[str, Any]:
    """Segment takes the SDK's `timestamp` for the original one, and puts its own in its place."""
    called, sent = parse_instant(event["timestamp"]), parse_instant(event["sentAt"])
    added = {
        "originalTimestamp": event["timestamp"],
        "timestamp": format_instant(received_at - (sent - called)),
        "receivedAt": format_instant(received_at),
        "projectId": "p1",
        "version": 2,
        "channel": "server",
        "integrations": {},
        "_metadata": {"bundled": ["Segment.io"]},
    }
    return {**event, **added}


def in_rudderstacks_archive(event: SdkEvent, received_at: Millis) -> dict[str, Any]:
    """RudderStack keeps the caller's `timestamp`, and makes one where the caller gave none."""
    called, sent = parse_instant(event["originalTimestamp"]), parse_instant(event["sentAt"])
    added = {
        "timestamp": event.get("timestamp") or format_instant(received_at - (sent - called)),
        "receivedAt": format_instant(received_at),
        "request_ip": "192.0.2.1",
        "rudderId": "8f2e",
        "channel": "web",
        "integrations": {"All": True},
    }
    return {**event, **added}


def as_lines(events: Iterable[object]) -> bytes:
    """Return events as an archive's text."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)
