"""The calls that every SDK makes, and what of each must be in the log afterwards.

A call is written in the terms of the Segment spec. What an SDK adds of its own is told apart by what it put on the
wire: the log must hold what the caller said, and everything that was on the wire, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from leadscore.core.instants import Millis, parse_instant

type Call = dict[str, Any]
type StoredEvent = Mapping[str, Any]

IDENTITIES = ("userId", "anonymousId", "groupId", "previousId")
# One of each JSON type, and text that is not ASCII.
CONTENT = {
    "text": "Zoë, 東京 ✓ <&\"'\\>",
    "whole": 9_007_199_254_740_991,
    "fraction": 0.1,
    "negative": -3,
    "true": True,
    "false": False,
    "nothing": None,
    "list": ["a", 1, {"deep": {"er": True}}],
    "empty": "",
}
TRAITS = {
    "email": "zoe@acme.example",
    "name": "Zoë Müller",
    "title": "VP Engineering",
    "company": {"name": "Acme", "employees": 300},
    **CONTENT,
}
ACCOUNT = {"name": "Acme", "plan": "team", "employees": 300, **CONTENT}
CONTEXT = {"ip": "203.0.113.7", "campaign": {"source": "newsletter", "name": "spring"}, "experiment": {"arm": "b"}}
WEBINAR = {"event": "Webinar Attended", "properties": CONTENT}
PAGE = {"category": "Marketing", "name": "Pricing", "properties": {**CONTENT, "path": "/pricing"}}
SCREEN = {"name": "Settings", "properties": {**CONTENT, "tab": "billing"}}
# By the ruleset of a fresh deployment: an executive 10, a company of 300 8, the pricing page 15, each webinar 5.
SCORE = 38.0


def server_calls(lead: str, now: datetime) -> list[Call]:
    """Return one call of each type about one person, of two days ago and a minute apart."""
    began = now - timedelta(days=2)
    user, device = {"userId": lead}, {"anonymousId": f"{lead}-device"}
    calls: list[Call] = [
        {"type": "track", **device, **WEBINAR},
        {"type": "identify", **user, **device, "traits": TRAITS},
        {"type": "page", **user, **PAGE},
        {"type": "screen", **user, **SCREEN},
        {"type": "group", **user, "groupId": f"{lead}-account", "traits": ACCOUNT},
        {"type": "alias", **user, "previousId": f"{lead}-before"},
    ]
    dates = [_text(began + timedelta(minutes=place)) for place in range(len(calls))]
    return [{**call, "context": CONTEXT, "timestamp": date} for call, date in zip(calls, dates, strict=True)]


def browser_calls(lead: str) -> list[Call]:
    """Return one call of each type, as events of one visitor who says who it is in the second."""
    user, device = {"userId": lead}, {"anonymousId": f"{lead}-device"}
    calls: list[Call] = [
        {"type": "track", **device, **WEBINAR},
        {"type": "identify", **user, **device, "traits": TRAITS},
        {"type": "page", **user, **device, **PAGE},
        {"type": "screen", **user, **device, **SCREEN},
        {"type": "group", **user, **device, "groupId": f"{lead}-account", "traits": ACCOUNT},
        {"type": "alias", **user, **device, "previousId": f"{lead}-before"},
    ]
    return [{**call, "context": CONTEXT} for call in calls]


def without_nulls(call: Call) -> Call:
    """Return the call as an SDK takes it that leaves out what is null."""
    return {
        name: without_nulls(value) if isinstance(value, dict) else value
        for name, value in call.items()
        if value is not None
    }


def assert_holds_the_call(stored: StoredEvent, call: Call) -> None:
    """What the caller said is in the log, to the field; an SDK may have added to properties and context alone."""
    assert stored["type"] == call["type"]
    assert identities_in(stored) == identities_in(call)
    for name in ("event", "name", "traits"):
        assert stored.get(name) == call.get(name), name
    said = {**({"category": call["category"]} if "category" in call else {}), **call.get("properties", {})}
    assert _shared(stored.get("properties", {}), said) == said
    assert _shared(stored["context"], call.get("context", {})) == call.get("context", {})


def identities_in(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids that an event or a call has."""
    return {name: event[name] for name in IDENTITIES if event.get(name)}


def assert_holds_the_wire(stored: StoredEvent, sent: Mapping[str, Any]) -> None:
    """All of what an SDK put on the wire is in the log, under the id that it gave, and nothing else is."""
    assert stored["messageId"] == sent["messageId"]
    context = {name: value for name, value in sent["context"].items() if name != "traits"}
    assert stored["context"] == context
    category = {"category": sent["category"]} if sent.get("category") else {}
    assert stored.get("properties", {}) == {**category, **(sent.get("properties") or {})}
    assert stored["timestamp"] <= stored["receivedAt"]


def assert_dated_by_our_clock(stored: StoredEvent, sent: Mapping[str, Any], earliest: Millis, latest: Millis) -> None:
    """The event's time is the sender's, less what the sender's clock was off by when it sent."""
    happened = sent.get("timestamp") or sent["originalTimestamp"]
    age = parse_instant(sent["sentAt"]) - parse_instant(happened)
    assert parse_instant(stored["timestamp"]) == parse_instant(stored["receivedAt"]) - age
    assert earliest <= parse_instant(stored["timestamp"]) <= latest


def types_of(calls: Sequence[Call]) -> list[str]:
    """Return the types of calls, in their order."""
    return [str(call["type"]) for call in calls]


def _shared(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: whole[name] for name in part if name in whole}


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
