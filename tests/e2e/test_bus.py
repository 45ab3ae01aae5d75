"""The second way in, on the deployed stack: own events and a partner's score; what is broken waits, and is repaired."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from leadscore_cli import redrive
from leadscore_cli.redrive import Work
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually, logged
from tests.e2e.test_main_road import lead_with_score, put_on_queue, queue_is_empty, stored_items

# Nobody's source, so no rule of the product is for it: what a service sends that was never told of a mapping.
FOREIGN = "shop.checkout"
MAPPING = {
    "match": {"source": [FOREIGN]},
    "event": {"type": "'track'", "event": "'Trial Started'", "userId": "detail.buyer"},
}


def put(stack: Stack, source: str, kind: str, detail: Mapping[str, object]) -> dict[str, Any]:
    entry = {"EventBusName": stack.names.bus, "Source": source, "DetailType": kind, "Detail": json.dumps(detail)}
    return dict(stack.clients.events.put_events(Entries=[entry]))  # type: ignore[list-item]


def from_partner(source: str, kind: str, detail: Mapping[str, object]) -> str:
    """Return an event of a partner as the bus would put it on the queue."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")  # noqa: TID251
    envelope = {"version": "0", "id": f"{source}-{kind}", "source": source, "detail-type": kind, "time": now}
    return json.dumps({**envelope, "account": "1", "region": "us-east-1", "resources": [], "detail": detail})


def stripe(kind: str, customer: str, user: str, status: str) -> str:
    created = int(datetime.now(UTC).timestamp()) - 60  # noqa: TID251
    thing = {"id": f"sub-{user}", "customer": customer, "status": status, "metadata": {"user_id": user}}
    detail = {"id": f"evt-{user}-{status}", "type": kind, "created": created, "data": {"object": thing}}
    return from_partner("aws.partner/stripe.com/ed_1", kind, detail)


def test_own_events_score_in_both_forms(stack: Stack) -> None:
    lead = "bus-both-forms"
    page = {"type": "page", "userId": lead, "messageId": f"{lead}-1", "properties": {"path": "/pricing"}}

    assert put(stack, "app.web", "anything", page)["FailedEntryCount"] == 0
    assert put(stack, "app.billing", "Trial Started", {"userId": lead, "plan": "team"})["FailedEntryCount"] == 0

    found = eventually(lambda: lead_with_score(stack, lead, 35.0))
    assert {event["type"] for event in found["events"]} == {"page", "track"}
    assert [event["event"] for event in found["events"] if event["type"] == "track"] == ["Trial Started"]


def test_nobody_but_a_partner_may_speak_as_one(stack: Stack) -> None:
    answer = put(stack, "aws.partner/stripe.com/ed_1", "customer.subscription.created", {})
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_events_of_partners_score_by_their_mappings(stack: Stack) -> None:
    lead = "bus-customer"
    put_on_queue(
        stack,
        stripe("customer.subscription.created", "cus-bus-1", lead, "trialing"),
        stripe("charge.succeeded", "cus-bus-1", lead, "succeeded"),
        from_partner(
            "aws.partner/auth0.com/acme-1/auth0.logs",
            "Auth0 log",
            {"log_id": f"{lead}-log", "data": {"type": "ss", "user_id": lead, "connection": "google"}},
        ),
    )
    assert eventually(lambda: lead_with_score(stack, lead, 20.0))
    put_on_queue(stack, stripe("customer.subscription.updated", "cus-bus-1", lead, "active"))
    eventually(lambda: queue_is_empty(stack))

    events = eventually(lambda: events_of(stack, lead, 3))
    assert sorted(str(event["event"]) for event in events) == ["Signed Up", "Subscription Updated", "Trial Started"]
    assert stack.api.lead("stripe-cus-bus-1")["id"] == lead


@pytest.fixture
def redriving(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command find this stack, as it finds the one of a checkout."""
    target = choose_target("local", stack.stage.directory)
    monkeypatch.setattr(redrive, "target_of_project", lambda _stage: target)


@pytest.fixture
def mapped(stack: Stack) -> Iterator[Any]:
    """Give what publishes a mapping for the foreign source, and take it back at the end."""
    function = stack.names.functions["score"]
    environment = stack.clients.lambdas.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    ssm, name = stack.clients.ssm, environment["MAPPINGS_PARAMETER"]
    before = ssm.get_parameter(Name=name)["Parameter"]["Value"]

    def publish() -> None:
        document = json.loads(before)
        changed = {**document, "mappings": [MAPPING, *document["mappings"]]}
        ssm.put_parameter(Name=name, Value=json.dumps(changed), Type="String", Overwrite=True)

    yield publish
    ssm.put_parameter(Name=name, Value=before, Type="String", Overwrite=True)


def test_what_is_broken_waits_with_its_reason_and_is_applied_once_when_repaired(
    stack: Stack, redriving: None, mapped: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lead = "bus-broken"
    sale = {"buyer": lead, "basket": 3}
    assert put(stack, FOREIGN, "Sale", sale)["FailedEntryCount"] == 0
    put_on_queue(stack, stripe("customer.subscription.created", "cus-bus-2", "bus-neighbour", "trialing"))

    assert eventually(lambda: lead_with_score(stack, "bus-neighbour", 20.0))
    [dead] = eventually(lambda: shown(capsys, lead), timeout_seconds=90)
    assert (dead["source"], dead["detail"]) == (FOREIGN, sale)
    assert eventually(lambda: logged(stack, "score", "unknown_source"))
    assert stored_items(stack, lead) == []

    mapped()
    redrive.redrive(Work.EVENTS, show=False, stage="local", as_json=False)
    assert eventually(lambda: lead_with_score(stack, lead, 20.0))
    put_on_queue(stack, json.dumps(dead))
    eventually(lambda: queue_is_empty(stack), timeout_seconds=90)

    [event] = events_of(stack, lead, 1) or []
    assert (event["messageId"], event["event"]) == (dead["id"], "Trial Started")
    assert lead_with_score(stack, lead, 20.0)
    assert not shown(capsys, lead)


def shown(capsys: pytest.CaptureFixture[str], text: str) -> list[dict[str, Any]]:
    """Return those of the dead letters, as the command shows them, that hold a text."""
    capsys.readouterr()
    redrive.redrive(Work.EVENTS, show=True, stage="local", as_json=True)
    letters = json.loads(capsys.readouterr().out)
    return [json.loads(letter["body"]) for letter in letters if text in letter["body"]]


def events_of(stack: Stack, lead: str, number: int) -> list[dict[str, object]] | None:
    """Return a lead's events once there are so many."""
    found = stack.api.lead(lead)["events"]
    return found if len(found) == number else None
