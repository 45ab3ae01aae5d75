"""What each kind of event costs in write units, as DynamoDB itself counts them on the deployed table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from traceback import print_exc
from typing import Any, cast

import pytest
from botocore.config import Config

from leadscore import parse_ruleset
from leadscore.adapters.calibrations import CachedCalibration
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoStore, PendingTable
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.items import identity_key
from leadscore.adapters.nurture_marks import DynamoNurtureMarks
from leadscore.adapters.quarantine import DynamoWard
from leadscore.core.alerts import Alert
from leadscore.core.changes import Change
from leadscore.core.identity import identities, pseudonym
from leadscore.core.instants import DAY, from_datetime
from leadscore.core.verdicts import Verdict
from leadscore.quarantine import parse_quarantine
from leadscore.usecases.alerting import AlertTools, release_desk, take_changes
from leadscore.usecases.batches import Queues, score_batch
from leadscore.usecases.feedback import FeedbackTools, apply_verdict, open_by_token
from leadscore.usecases.nurturing import Budget, NurtureMark
from leadscore.usecases.quarantining import Gate
from leadscore.usecases.rating import rate_account
from leadscore.usecases.records import Event, Graves
from leadscore.usecases.scoring import Tools, apply_events
from leadscore_cli.costs import READ_UNITS, WRITE_UNITS
from tests.e2e.deployed import Stack
from tests.unit.test_user_agents import CRAWLERS, PEOPLE, UNUSUAL_PEOPLE

QUARANTINE = Path(__file__).parents[2] / "infra" / "quarantine.yaml"
NOW = datetime.now(UTC)  # noqa: TID251
WRITES = ("PutItem", "UpdateItem", "TransactWriteItems", "DeleteItem")
FIT = {"title": "CEO", "company": {"employees": 300}}
NUMBERS = count()


class Nowhere:
    """Takes what is handed on, and forgets it."""

    def send_all(self, bodies: Sequence[str]) -> None:
        pass

    def publish(self, alert: Alert) -> None:
        pass


class Meter:
    """Scores events against the deployed table and adds up the write units that it reports."""

    def __init__(self, stack: Stack, client: Any) -> None:
        self.units = 0.0
        self.reads = 0
        self.read_units = 0.0
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
            client.meta.events.register(f"provide-client-params.dynamodb.{call}", _ask_for_units)
            client.meta.events.register(f"after-call.dynamodb.{call}", self._count_read)

    def score(self, *events: Event) -> float:
        """Return the write units of one batch."""
        self.units = self.reads = 0
        members: dict[str, list[Event]] = {}
        for event in events:
            members.setdefault(identities(event, self._tools.ruleset.identity)[0], []).append(event)
        apply_events(self._tools, members)
        return self.units

    def rate(self, account: str) -> float:
        """Return the write units of rating an account."""
        self.units = self.reads = self.read_units = 0
        rate_account(self._tools, account)
        return self.units

    def score_messages(self, *events: Event, judged: bool) -> tuple[float, int]:
        """Return the write units and the reads of one batch as it comes off the queue, judged or not."""
        self.units = self.reads = 0
        ward = DynamoWard(self._client, self._table, lambda _: None, retention_days=400)
        gate = Gate(parse_quarantine(QUARANTINE.read_text(encoding="utf-8")), ward) if judged else None
        records = [{"messageId": str(n), "body": json.dumps({"event": event})} for n, event in enumerate(events)]
        store = self._tools.store
        outcome = score_batch(self._tools, Queues(Nowhere(), Nowhere()), records, cast(Graves, store), None, gate)
        assert outcome.failures == []
        return self.units, self.reads

    def take(self, lead: str, lease: int = 0) -> float:
        """Return the write units of recording what is pending on a lead, of filing it, and of forgetting it.

        With a lease people are told in the same call.
        """
        self.units = 0.0
        tools, identity = replace(self._alert_tools(), lease=lease), f"user:{lead}"
        take_changes(tools, identity, self._pending(lead))()
        self.announce(lead)
        return self.units

    def nurture(self, lead: str) -> float:
        """Return the write units of taking a lead to be announced, and of noting that it was."""
        identity = f"user:{lead}"
        [stored] = self._tools.store.load_identities([identity]).values()
        marks = DynamoNurtureMarks(self._client, self._table, lambda _: None)
        mark = NurtureMark("0" * 24, from_datetime(NOW))
        self.units = 0.0
        # A day of its own: what others have told of on this one must not spend it.
        assert marks.take(stored, None, mark, mark.at + DAY, Budget("2026-01-31", 1000)) == "taken"
        marks.settle(identity, mark)
        return self.units

    def release(self, lead: str) -> tuple[float, float]:
        """Return the write and read units of telling people what waits at the desk of a lead."""
        self.units = self.read_units = 0.0
        assert release_desk(self._alert_tools(), f"lead:{pseudonym(f'user:{lead}')}") is not None
        return self.units, self.read_units

    def snooze(self, lead: str) -> tuple[float, float]:
        """Return the write and read units of a snooze by a link, its page included, after the lead was told of."""
        desks = DynamoDesks(self._client, self._table, shards=2, retention_days=400)
        people = DynamoGraves(self._client, self._table, lambda _: None)
        tools = FeedbackTools(desks, self._tools.store, people, lambda _: None)
        name, at = pseudonym(f"user:{lead}"), from_datetime(NOW)
        [told] = {one.alert for one in desks.changes_of(name) if one.alert is not None}
        token = _token_of(desks, told)
        self.units = self.read_units = 0.0
        open_by_token(desks, told, name, token)
        apply_verdict(
            tools, *open_by_token(desks, told, name, token), Verdict("snooze", at, "link", "on leave", at + DAY)
        )
        return self.units, self.read_units

    def _alert_tools(self) -> AlertTools:
        return AlertTools(
            desks=DynamoDesks(self._client, self._table, shards=2, retention_days=400),
            reader=self._tools.store,
            people=DynamoGraves(self._client, self._table, lambda _: None),
            ruleset=self._tools.ruleset,
            publisher=Nowhere(),
            releases=Nowhere(),
            calibration=CachedCalibration(
                self._client, self._table, ttl_seconds=60, clock=lambda: NOW, report=print
            ).value,
            lead_page=None,
            feedback_url="https://api.example/v1",
            make_token=lambda: "token",
            clock=lambda: NOW,
            pause=lambda _: None,
            report=print_exc,
        )

    def announce(self, lead: str) -> None:
        """Forget what is pending, as `notify` does soon after the write."""
        waiting = [change.id for change in self._pending(lead)]
        PendingTable(self._client, self._table).clear_pending(f"user:{lead}", waiting)

    def _pending(self, lead: str) -> Sequence[Change]:
        identity = f"user:{lead}"
        return self._tools.store.load_identities([identity])[identity].pending

    def keys(self, lead: str) -> dict[str, str]:
        """Return the index keys of a lead."""
        item = self._client.get_item(TableName=self._table, Key=identity_key(f"user:{lead}"))["Item"]
        return {name: item[name]["S"] for name in ("rank_key", "due_key")}

    def _count(self, parsed: dict[str, Any], **_: object) -> None:
        consumed = parsed["ConsumedCapacity"]
        for one in consumed if isinstance(consumed, list) else [consumed]:
            self.units += one["CapacityUnits"]

    def _count_read(self, parsed: dict[str, Any], **_: object) -> None:
        self.reads += 1
        consumed = parsed.get("ConsumedCapacity", [])
        for one in consumed if isinstance(consumed, list) else [consumed]:
            self.read_units += one["CapacityUnits"]


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


def joining(lead: str, account: str) -> Event:
    return make_event(lead, "group", timedelta(hours=2), groupId=account, traits={"plan": "free"})


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


def _token_of(desks: DynamoDesks, alert: str) -> str:
    found = desks.find_alert(alert)
    assert found is not None
    return found.token


def test_a_change_on_record_and_an_alert(meter: Meter) -> None:
    meter.score(make_event("cost-l", "identify", traits=FIT), pricing("cost-l", timedelta(days=9)))
    assert meter.take("cost-l") == WRITE_UNITS["announcement"]
    meter.score(make_event("cost-l", "track", event="Trial Started"))
    filed = meter.take("cost-l") - WRITE_UNITS["announcement"]
    told, read = meter.release("cost-l")
    assert filed + told == WRITE_UNITS["alert"]
    assert read <= READ_UNITS["alert"]
    assert meter.snooze("cost-l") == (WRITE_UNITS["verdict"], READ_UNITS["verdict"])


def test_an_alert_that_goes_out_at_once_costs_a_write_less_than_one_that_waits(meter: Meter) -> None:
    meter.score(make_event("cost-now", "identify", traits=FIT), pricing("cost-now", timedelta(days=9)))
    meter.announce("cost-now")
    meter.score(make_event("cost-now", "track", event="Trial Started"))
    told = meter.take("cost-now", lease=30_000) - WRITE_UNITS["announcement"]
    assert told < WRITE_UNITS["alert"]


def test_a_lead_that_is_announced_to_be_nurtured(meter: Meter) -> None:
    meter.score(make_event("cost-n", "identify", traits=FIT), pricing("cost-n", timedelta(days=29)))
    # A transaction counts twice what it writes and what it checks.
    assert meter.nurture("cost-n") == WRITE_UNITS["nurtured lead"]


def test_a_join(meter: Meter) -> None:
    visit = pricing("", userId=None, anonymousId="cost-f-device")
    meter.score({key: value for key, value in visit.items() if value is not None})
    meter.score(make_event("cost-f", "identify", traits={"title": "CEO"}))
    assert meter.score(make_event("cost-f", "identify", anonymousId="cost-f-device", traits={})) == WRITE_UNITS["join"]


def test_who_joins_an_account_is_noted_and_indexed_there(meter: Meter) -> None:
    meter.score(pricing("cost-h"))
    units = meter.score(joining("cost-h", "cost-account-1"))
    assert units == WRITE_UNITS["matches nothing"] + WRITE_UNITS["joins an account"]


def test_a_matching_event_of_a_lead_in_an_account_moves_one_more_key(meter: Meter) -> None:
    meter.score(make_event("cost-i", "identify", traits=FIT), joining("cost-i", "cost-account-2"))
    meter.score(pricing("cost-i", timedelta(days=9)))
    meter.announce("cost-i")
    before = meter.keys("cost-i")
    assert meter.score(pricing("cost-i")) == WRITE_UNITS["matches"] + WRITE_UNITS["matches, of an account"]
    assert all(meter.keys("cost-i")[name] != key for name, key in before.items())
    assert meter.score(make_event("cost-i", "page", properties={"path": "/"})) == 1


def test_rating_an_account_writes_where_something_is_new(meter: Meter) -> None:
    meter.score(joining("cost-j", "cost-account-3"), joining("cost-k", "cost-account-3"))
    first = meter.rate("cost-account-3")
    meter.score(make_event("cost-j", "identify", traits=FIT), pricing("cost-j", timedelta(days=9)))
    warm = meter.rate("cost-account-3")
    meter.score(pricing("cost-k", timedelta(minutes=1)))
    hotter = meter.rate("cost-account-3")
    assert hotter == WRITE_UNITS["account rated"], (first, warm, hotter)
    # A tier that is new is due within a day.
    assert first < hotter <= warm <= hotter + 2
    reads = meter.read_units
    assert meter.rate("cost-account-3") == 0
    # Where something was written the people are read once more: here two of them.
    assert meter.read_units < reads <= READ_UNITS["account rated"]


@pytest.mark.parametrize("agent", [PEOPLE[0], UNUSUAL_PEOPLE[0]])
def test_judging_costs_what_counts_nothing(meter: Meter, agent: str) -> None:
    """The document that is shipped, and a batch as full as one is."""

    def crowd() -> list[Event]:
        people = [f"cost-crowd-{next(NUMBERS)}" for _ in range(10)]
        return [pricing(person, context={"userAgent": agent}) for person in people for _ in range(9)]

    assert meter.score_messages(*crowd(), judged=True) == meter.score_messages(*crowd(), judged=False)


def test_a_quarantined_event_costs_an_item_and_its_place_in_the_journal(meter: Meter) -> None:
    bot = pricing("cost-bot", context={"userAgent": CRAWLERS[0]})
    assert meter.score_messages(bot, judged=True)[0] == 2


def test_reads_are_few(meter: Meter) -> None:
    meter.score(pricing("cost-g"))
    meter.score(pricing("cost-g"))
    assert meter.reads <= READS_OF_A_MATCHING_EVENT


READS_OF_A_MATCHING_EVENT = 2
