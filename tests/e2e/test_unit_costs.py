"""What each kind of event costs in write units, as DynamoDB itself counts them on the deployed table."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.config import Config

from leadscore import parse_ruleset
from leadscore.adapters.dynamodb import DynamoStore, PendingTable
from leadscore.adapters.items import identity_key
from leadscore.core.identity import identities
from leadscore.usecases.records import Event
from leadscore.usecases.scoring import Tools, apply_events
from leadscore_cli.costs import WRITE_UNITS
from tests.e2e.deployed import Stack

NOW = datetime.now(UTC)  # noqa: TID251
WRITES = ("PutItem", "UpdateItem", "TransactWriteItems", "DeleteItem")
FIT = {"title": "CEO", "company": {"employees": 300}}
NUMBERS = count()


class Meter:
    """Scores events against the deployed table and adds up the write units that it reports."""

    def __init__(self, stack: Stack, client: Any) -> None:
        self.units = 0.0
        self.reads = 0
        document = json.loads(stack.clients.ssm.get_parameter(Name=stack.names.ruleset_parameter)["Parameter"]["Value"])
        # With decay both index keys move with every matching event.
        document["groups"]["engagement"]["half_life"] = "30d"
        self._client, self._table = client, stack.names.table
        store = DynamoStore(client, stack.names.table, shards=2, retention_days=400)
        self._tools = Tools(store, parse_ruleset(document), lambda: NOW, lambda _: None)
        for call in WRITES:
            client.meta.events.register(f"provide-client-params.dynamodb.{call}", _ask_for_units)
            client.meta.events.register(f"after-call.dynamodb.{call}", self._count)
        for call in ("GetItem", "BatchGetItem", "Query"):
            client.meta.events.register(f"after-call.dynamodb.{call}", self._count_read)

    def score(self, *events: Event) -> float:
        """Return the write units of one batch."""
        self.units = self.reads = 0
        members: dict[str, list[Event]] = {}
        for event in events:
            members.setdefault(identities(event, self._tools.ruleset.identity)[0], []).append(event)
        apply_events(self._tools, members)
        return self.units

    def announce(self, lead: str) -> None:
        """Forget what is pending, as `notify` does soon after the write."""
        pending = PendingTable(self._client, self._table)
        pending.clear_pending(f"user:{lead}", [change.id for change in pending.pending(f"user:{lead}")])

    def keys(self, lead: str) -> dict[str, str]:
        """Return the index keys of a lead."""
        item = self._client.get_item(TableName=self._table, Key=identity_key(f"user:{lead}"))["Item"]
        return {name: item[name]["S"] for name in ("rank_key", "due_key")}

    def _count(self, parsed: dict[str, Any], **_: object) -> None:
        consumed = parsed["ConsumedCapacity"]
        for one in consumed if isinstance(consumed, list) else [consumed]:
            self.units += one["CapacityUnits"]

    def _count_read(self, **_: object) -> None:
        self.reads += 1


def _ask_for_units(params: dict[str, Any], **_: object) -> dict[str, Any]:
    return {**params, "ReturnConsumedCapacity": "INDEXES"}


@pytest.fixture
def meter(stack: Stack) -> Any:
    url = stack.outputs.endpoint_url
    with closing(stack.session.client("dynamodb", endpoint_url=url, config=Config(proxies={}))) as client:
        yield Meter(stack, client)


def make_event(lead: str, kind: str, age: timedelta = timedelta(hours=1), **more: object) -> Event:
    at = (NOW - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = f"cost-{next(NUMBERS)}"
    return {"messageId": message, "type": kind, "timestamp": at, "receivedAt": at, "userId": lead, **more}


def pricing(lead: str, age: timedelta = timedelta(hours=1), **more: object) -> Event:
    return make_event(lead, "page", age, properties={"path": "/pricing"}, **more)


def test_an_event_that_matches_nothing_costs_one_unit(meter: Meter) -> None:
    assert meter.score(make_event("cost-a", "page", properties={"path": "/"})) == WRITE_UNITS["matches nothing"] == 1
    meter.score(pricing("cost-a"))
    assert meter.score(make_event("cost-a", "page", properties={"path": "/"})) == 1


def test_first_event_of_a_lead(meter: Meter) -> None:
    assert meter.score(pricing("cost-b")) == WRITE_UNITS["first event of a new lead"]


def test_a_matching_event_that_moves_every_index_key(meter: Meter) -> None:
    meter.score(make_event("cost-c", "identify", traits=FIT), pricing("cost-c", timedelta(days=9)))
    meter.announce("cost-c")
    before = meter.keys("cost-c")
    units = meter.score(pricing("cost-c"))
    assert units == WRITE_UNITS["matches"]
    assert units <= 8
    assert all(meter.keys("cost-c")[name] != key for name, key in before.items())


def test_fifty_matching_events_of_one_lead_in_one_batch(meter: Meter) -> None:
    meter.score(make_event("cost-d", "identify", traits=FIT), pricing("cost-d", timedelta(days=9)))
    meter.announce("cost-d")
    batch = [pricing("cost-d", timedelta(minutes=minutes)) for minutes in range(50)]
    assert meter.score(*batch) / 50 == WRITE_UNITS["matches, beside others of its lead"]
    assert WRITE_UNITS["matches, beside others of its lead"] <= 2


def test_identify_without_a_change_writes_no_lead(meter: Meter) -> None:
    meter.score(make_event("cost-e", "identify", timedelta(hours=2), anonymousId="cost-e-device", traits=FIT))
    again = make_event("cost-e", "identify", anonymousId="cost-e-device", traits=FIT)
    assert meter.score(again) == WRITE_UNITS["identify without a change"] == 1


def test_a_join(meter: Meter) -> None:
    visit = pricing("", userId=None, anonymousId="cost-f-device")
    meter.score({key: value for key, value in visit.items() if value is not None})
    meter.score(make_event("cost-f", "identify", traits={"title": "CEO"}))
    assert meter.score(make_event("cost-f", "identify", anonymousId="cost-f-device", traits={})) == WRITE_UNITS["join"]


def test_reads_are_few(meter: Meter) -> None:
    meter.score(pricing("cost-g"))
    meter.score(pricing("cost-g"))
    assert meter.reads <= READS_OF_A_MATCHING_EVENT


READS_OF_A_MATCHING_EVENT = 2
