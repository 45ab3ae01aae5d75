"""Mappings: events of Stripe and Auth0 in their recorded shapes become events of ours, and mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest

from leadscore.mappings import InvalidMappings, parse_mappings
from leadscore.normalising import InvalidEvent
from leadscore.usecases.arrivals import Arrival
from leadscore.usecases.batches import read_message

SHIPPED = parse_mappings((Path(__file__).parents[2] / "infra" / "mappings.yaml").read_text())
SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_9",
    "status": "trialing",
    "currency": "usd",
    "metadata": {"user_id": "ada"},
    "items": {"data": [{"quantity": 3, "price": {"id": "price_1", "nickname": "Team", "unit_amount": 900}}]},
}
INVOICE: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "customer": "cus_9",
    "amount_due": 2700,
    "amount_paid": 2700,
    "currency": "usd",
    "attempt_count": 1,
    "metadata": {},
    "subscription_details": {"metadata": {"user_id": "ada"}},
}


def stripe(kind: str, thing: dict[str, Any], **more: object) -> dict[str, Any]:
    data = {"object": thing, **more}
    return {
        "id": "11111111-2222-3333-4444-555555555555",
        "source": "aws.partner/stripe.com/ed_123",
        "detail-type": kind,
        "time": "2026-03-01T12:00:05Z",
        "detail": {"id": "evt_1", "type": kind, "created": 1772366400, "data": data},
    }


def auth0(kind: str) -> dict[str, Any]:
    data = {"date": "2026-03-01T12:00:00.000Z", "type": kind, "user_id": "auth0|ada", "connection": "google"}
    return {
        "id": "11111111-2222-3333-4444-555555555555",
        "source": "aws.partner/auth0.com/acme-1/auth0.logs",
        "detail-type": "Auth0 log",
        "time": "2026-03-01T12:00:05Z",
        "detail": {"log_id": "900", "data": data},
    }


def read(envelope: dict[str, Any]) -> Any:
    brought = read_message(json.dumps(envelope), SHIPPED)
    return brought.event if isinstance(brought, Arrival) else brought


@pytest.mark.parametrize(
    ("envelope", "name"),
    [
        (stripe("customer.subscription.created", SUBSCRIPTION), "Trial Started"),
        (stripe("customer.subscription.created", SUBSCRIPTION | {"status": "active"}), "Subscription Started"),
        (
            stripe(
                "customer.subscription.updated",
                SUBSCRIPTION | {"status": "active"},
                previous_attributes={"status": "trialing"},
            ),
            "Subscription Started",
        ),
        (stripe("customer.subscription.updated", SUBSCRIPTION, previous_attributes={}), "Subscription Updated"),
        (stripe("customer.subscription.deleted", SUBSCRIPTION), "Subscription Cancelled"),
        (stripe("invoice.paid", INVOICE), "Invoice Paid"),
        (stripe("invoice.payment_failed", INVOICE), "Invoice Payment Failed"),
    ],
)
def test_what_stripe_sends_becomes_an_event_of_the_user(envelope: dict[str, Any], name: str) -> None:
    event = read(envelope)
    assert (event["type"], event["event"], event["userId"]) == ("track", name, "ada")
    assert (event["messageId"], event["timestamp"]) == ("evt_1", "2026-03-01T12:00:00.000Z")
    assert event["anonymousId"] == "stripe-cus_9"
    assert event["context"]["externalIds"][0] == {
        "type": "stripe",
        "id": "cus_9",
        "collection": "users",
        "encoding": "none",
    }


def test_a_plan_and_a_payment_are_properties() -> None:
    assert read(stripe("customer.subscription.created", SUBSCRIPTION))["properties"] == {
        "subscription": "sub_1",
        "status": "trialing",
        "plan": "Team",
        "amount": 900,
        "quantity": 3,
        "currency": "usd",
    }
    assert read(stripe("invoice.paid", INVOICE))["properties"]["paid"] == 2700


def test_without_a_user_it_counts_for_the_customer() -> None:
    event = read(stripe("customer.subscription.created", SUBSCRIPTION | {"metadata": {}}))
    assert "userId" not in event
    assert event["anonymousId"] == "stripe-cus_9"


@pytest.mark.parametrize(("kind", "name"), [("ss", "Signed Up"), ("s", "Signed In")])
def test_what_auth0_sends_becomes_an_event_of_the_user(kind: str, name: str) -> None:
    event = read(auth0(kind))
    assert (event["event"], event["userId"], event["messageId"]) == (name, "auth0|ada", "900")
    assert event["timestamp"] == "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize("envelope", [stripe("charge.succeeded", {"id": "ch_1"}), auth0("fp")])
def test_what_a_mapping_ignores_is_nothing(envelope: dict[str, Any]) -> None:
    assert read(envelope) is None


def test_what_no_mapping_is_for_is_refused_with_its_reason() -> None:
    with pytest.raises(InvalidEvent) as refused:
        read(stripe("x", {}) | {"source": "aws.partner/other.example/1"})
    assert refused.value.code == "unknown_source"


@pytest.mark.parametrize(
    "envelope",
    [
        stripe("customer.subscription.created", SUBSCRIPTION | {"customer": 7}),
        stripe("customer.subscription.created", SUBSCRIPTION) | {"detail": {"data": {"object": {"status": "active"}}}},
    ],
)
def test_what_a_mapping_does_not_apply_to_is_refused_and_not_repeated(envelope: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read(envelope)
    assert refused.value.code == "unmappable_event"
    assert "sub_1" not in str(refused.value)


def test_what_the_library_stumbles_over_is_refused_like_any_other() -> None:
    own = parse_mappings(
        '{"mappings": [{"match": {"source": ["app.x"]}, "event": {"type": "\'track\'", "properties":'
        ' "merge(detail.a, detail.b)"}}]}'
    )
    envelope = stripe("x", {}) | {"source": "app.x", "detail": {"a": {"mail": "ada@acme.example"}}}
    with pytest.raises(InvalidEvent) as refused:
        read_message(json.dumps(envelope), own)
    assert refused.value.code == "unmappable_event"


def test_a_refusal_brings_no_value_into_the_log() -> None:
    mail = "ada@acme.example"
    with pytest.raises(InvalidEvent) as refused:
        read(stripe("customer.subscription.created", SUBSCRIPTION | {"customer": [mail]}))
    assert mail not in "".join(format_exception(refused.value))


def test_a_timestamp_out_of_range_is_refused() -> None:
    envelope = stripe("customer.subscription.created", SUBSCRIPTION)
    envelope["detail"]["created"] = 1e300
    with pytest.raises(InvalidEvent, match="out of range"):
        read(envelope)


def test_a_mapping_comes_before_what_is_normalised_anyway() -> None:
    own = parse_mappings('{"mappings": [{"match": {"source": ["app.billing"]}, "ignore": true}]}')
    envelope = stripe("x", {}) | {"source": "app.billing", "detail": {"userId": "ada"}}
    assert read_message(json.dumps(envelope), own) is None
    assert read_message(json.dumps(envelope)) is not None


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, "mappings"),
        ({"mappings": [], "colour": 1}, "colour"),
        ({"mappings": ["text"]}, "mappings[0]"),
        ({"mappings": [{"event": {"type": "x"}}]}, "mappings[0].match"),
        ({"mappings": [{"match": {"source": "text"}, "ignore": True}]}, "mappings[0].match.source"),
        ({"mappings": [{"match": {"source": ["a"]}}]}, "mappings[0]"),
        ({"mappings": [{"match": {"source": ["a"]}, "ignore": True, "event": {"type": "x"}}]}, "mappings[0]"),
        ({"mappings": [{"match": {"source": ["a"]}, "event": {"userId": "x"}}]}, "mappings[0].event"),
        ({"mappings": [{"match": {"source": ["a"]}, "event": {"type": "a b"}}]}, "mappings[0].event.type"),
        ({"mappings": [{"match": {"source": ["a"]}, "event": {"type": 3}}]}, "mappings[0].event.type"),
        (
            {"mappings": [{"match": {"source": ["a"]}, "event": {"type": "a", "colour": "a"}}]},
            "mappings[0].event.colour",
        ),
    ],
)
def test_a_mistake_is_named_by_its_path(document: object, path: str) -> None:
    with pytest.raises(InvalidMappings) as refused:
        parse_mappings(json.dumps(document))
    assert [error.path for error in refused.value.errors] == [path]
