"""Laws of the front door, for any input: typed errors alone, ids that survive a retry, a form that is final."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.identity import identities
from leadscore.core.instants import from_datetime, parse_instant
from leadscore.core.ruleset import IdentityPolicy
from leadscore.ingest.decoding import decode_body
from leadscore.ingest.refusals import RequestRefusedError
from leadscore.ingest.requests import IngestRequest
from leadscore.ingest.write_keys import WriteKeys
from leadscore.normalising import (
    EVENT_TYPES,
    InvalidEvent,
    changes_nothing,
    normalise_bus_event,
    normalise_event,
)
from leadscore.usecases.ingesting import ingest_events
from tests.functions.envelopes import basic, proxy_event

RECEIVED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECEIVED = from_datetime(RECEIVED_AT)
EVERYTHING = IdentityPolicy(email=True, external=frozenset({"crm"}))
KEYS = WriteKeys.parse(json.dumps([{"source": "default", "sha256": sha256(b"k").hexdigest()}]))

texts = st.one_of(st.text(max_size=8), st.sampled_from(["\ud800", "null", "0", "-1", "anonymous", "x" * 300]))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from([2**1024, -(10**400), 1e308])
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
instants = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat())
times = st.one_of(st.none(), instants, instants, st.just("0001-01-01T00:00:00+14:00"))
ids = st.sampled_from(["u1", "u2", " u1 ", 7, 7.0, 0, "", "null", None])
objects = st.one_of(st.none(), st.dictionaries(texts, json_values, max_size=3))
external_ids = st.one_of(
    json_values,
    st.lists(st.fixed_dictionaries({"type": st.just("crm"), "id": st.one_of(ids, json_values)}) | json_values),
)
contexts = st.one_of(
    objects,
    st.fixed_dictionaries(
        {},
        optional={
            "traits": objects,
            "groupId": ids,
            "ip": texts,
            "externalIds": external_ids,
            "externalId": external_ids,
        },
    ),
)


def fields(*, wild: bool) -> dict[str, st.SearchStrategy[Any]]:
    """Return a strategy for each field that means something; `wild` lets every one of them be any JSON."""
    known: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(sorted(EVENT_TYPES)),
        "event": st.sampled_from(["Trial Started", "Trial Started", ""]),
        "name": st.sampled_from(["Pricing", "", None]),
        "category": st.sampled_from(["docs", None]),
        "messageId": st.one_of(ids, st.just("m" * 101)),
        "properties": objects,
        "traits": objects,
        "context": contexts,
        **dict.fromkeys(("userId", "anonymousId", "groupId", "previousId"), ids),
        **dict.fromkeys(("timestamp", "originalTimestamp", "sentAt", "receivedAt"), times),
    }
    return {name: strategy | json_values for name, strategy in known.items()} if wild else known


def events_of(*, wild: bool, always: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    known = fields(wild=wild)
    return st.fixed_dictionaries(
        {name: known[name] for name in always},
        optional={name: strategy for name, strategy in known.items() if name not in always},
    )


# Most of the first are taken, some of the second, hardly any of the rest.
tame_events = events_of(wild=False, always=("type", "event", "userId", "anonymousId", "groupId", "previousId"))
events = st.one_of(tame_events, events_of(wild=True, always=("type", "event", "userId")), json_values)
envelopes = st.fixed_dictionaries(
    {
        "id": st.just("e1"),
        "source": st.sampled_from(["app.x", "app.x", "aws.partner/segment.com/x", "aws.s3"]),
        "detail-type": st.sampled_from([*sorted(EVENT_TYPES), "Trial Started"]),
        "time": instants,
        "detail": events,
    }
)
wild_envelopes = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["app.x", "track", "9999-12-31T23:59:59-14:00"]) | json_values
        for name in ("id", "source", "detail-type", "time", "detail")
    },
)


def attempt(raw: object, *, received_at: int = RECEIVED) -> dict[str, Any] | None:
    try:
        return normalise_event(raw, received_at=received_at)
    except InvalidEvent:
        return None


def is_somebody(text: str) -> bool:
    """Say whether an id can be one person's: of an external id the part behind its type, `crm`."""
    text = text.removeprefix("crm:")
    return text == text.strip() and bool(text.strip("0-")) and text.lower() not in {"null", "-1", "anonymous"}


def assert_normal(event: dict[str, Any]) -> None:
    json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
    assert event["type"] in EVENT_TYPES
    assert event["timestamp"] <= event["receivedAt"]
    assert 1 <= len(event["messageId"]) <= 100
    assert event.get("userId") or event.get("anonymousId")
    assert all(isinstance(event[name], str) and event[name] for name in event if name.endswith("Id"))
    assert all(value not in ({}, None) for value in event.values())
    assert "traits" not in event.get("context", {})
    assert all(is_somebody(identity.partition(":")[2]) for identity in identities(event, EVERYTHING))
    assert normalise_event(event, received_at=parse_instant(event["receivedAt"])) == event


@given(events)
def test_any_event_is_normal_or_refused_and_normal_is_final(raw: object) -> None:
    event = attempt(raw)
    if event is not None:
        assert_normal(event)


@given(envelopes | wild_envelopes | json_values)
def test_any_bus_event_is_normal_or_refused(envelope: object) -> None:
    try:
        event = normalise_bus_event(envelope)
    except InvalidEvent:
        return
    assert_normal(event)
    assert normalise_bus_event(envelope) == event


@given(tame_events, instants, st.integers(min_value=0, max_value=86_400_000))
def test_a_retry_has_the_id_of_the_first_attempt(raw: dict[str, object], sent_at: str, later: int) -> None:
    first = attempt(raw)
    retry = attempt({**raw, "sentAt": sent_at}, received_at=RECEIVED + later)
    if first is not None and retry is not None:
        assert retry["messageId"] == first["messageId"]


@given(tame_events, st.randoms(use_true_random=False))
def test_the_order_of_keys_says_nothing(raw: dict[str, object], order: Any) -> None:
    names = list(raw)
    order.shuffle(names)
    assert attempt({name: raw[name] for name in names}) == attempt(raw)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_json_or_refused(body: bytes) -> None:
    results = []
    for octets in (body, gzip.compress(body)):
        try:
            results.append(json.dumps(decode_body(b64encode(octets).decode(), is_base64=True)))
        except RequestRefusedError as refusal:
            results.append(refusal.code)
    assert body[:2] == b"\x1f\x8b" or results[0] == results[1]


class CountingQueue:
    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_all(self, bodies: Sequence[str]) -> None:
        self.bodies.extend(bodies)


@given(
    st.sampled_from(["/batch", "/track", "/i"]),
    st.one_of(
        st.fixed_dictionaries(
            {"batch": st.lists(events, max_size=4)}, optional={"context": contexts | json_values, "sentAt": times}
        ),
        events,
    ),
)
def test_every_event_of_a_request_is_queued_or_named(path: str, content: object) -> None:
    queue = CountingQueue()
    request = IngestRequest.from_proxy(proxy_event(path, json.dumps(content), headers=basic("k")))
    try:
        receipt = ingest_events(request, write_keys=KEYS, queue=queue, received_at=RECEIVED_AT)
    except RequestRefusedError:
        assert queue.bodies == []
        return
    sent = content["batch"] if path == "/batch" and isinstance(content, dict) else [content]
    queued = [json.loads(body)["event"] for body in queue.bodies]
    assert receipt.accepted + len(receipt.rejected) == len(sent)
    assert len({rejected.index for rejected in receipt.rejected}) == len(receipt.rejected)
    assert len(queued) <= receipt.accepted
    for event in queued:
        assert_normal(event)
        assert not changes_nothing(event)
