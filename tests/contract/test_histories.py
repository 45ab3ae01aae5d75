"""One contract, two walks: in whatever segments and pages, each lead is told of once, with all that is logged of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.clock import pause
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.histories import DynamoHistories
from leadscore.adapters.quarantine import DynamoWard
from leadscore.core.alerting import AlertMemory
from leadscore.core.identity import Ownership
from leadscore.core.state import Moment
from leadscore.quarantine import Reason
from leadscore.usecases.histories import History, HistoryReader
from leadscore.usecases.records import (
    Event,
    Grave,
    Graves,
    LeadBody,
    Quarantined,
    Store,
    StoredAccount,
    StoredIdentity,
    Ward,
)
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_histories import MemoryHistories
from tests.contract.memory_store import MemoryStore

PAGES = [(1, 1000), (1, 1), (1, 3), (3, 2), (5, 7)]
BODY = LeadBody("{}", "abc", "hot", 5, None, "acme", AlertMemory())


@dataclass
class Stored:
    store: Store
    graves: Graves
    ward: Ward
    walk: HistoryReader

    def histories(self, segments: int = 1, most: int = 1000) -> list[History]:
        return [one for part in range(segments) for one in self._segment(part, segments, most)]

    def history(self, lead: str) -> History:
        [found] = [one for one in self.histories() if one.lead == lead]
        return found

    def _segment(self, segment: int, segments: int, most: int) -> Iterator[History]:
        after = None
        while True:
            page = self.walk.read(segment, segments, after, most)
            yield from page.histories
            after = page.after
            if after is None:
                return


@pytest.fixture(params=["dynamodb", "memory"])
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    if request.param == "memory":
        store = MemoryStore()
        yield Stored(store, store, store, MemoryHistories(store))
        return
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        yield Stored(
            DynamoStore(client, TABLE, shards=2, retention_days=400),
            DynamoGraves(client, TABLE, pause),
            DynamoWard(client, TABLE, pause, retention_days=400),
            DynamoHistories(client, TABLE),
        )


def happened(message: str, kind: str = "track", **more: object) -> Event:
    return {"messageId": message, "type": kind, "timestamp": "2026-01-01T00:00:00.000Z", **more}


def messages(history: History) -> list[str]:
    return sorted(str(event["messageId"]) for event in history.events)


def fill(stored: Stored) -> dict[str, list[str]]:
    """Write leads of one identity and of several; return the messages of each lead."""
    expected: dict[str, list[str]] = {}
    for number in range(9):
        name = f"user:u{number}"
        if number % 3:
            stored.store.commit([StoredIdentity(name, 1)])
        logged = [f"{number}-{each}" for each in range(number % 4 + 1)] if number % 2 or not number % 3 else []
        stored.store.put_events(name, [happened(message, userId=f"u{number}") for message in logged])
        expected[name] = logged
    grow_tree(stored)
    expected["user:ada"] = ["a", "b", "c", "d", "e"]
    return expected


def grow_tree(stored: Stored) -> None:
    """Write a lead of five identities, three deep, that has also claimed what is another's."""
    tree = {
        "user:ada": ("email:a@b.c", "anonymous:x", "anonymous:others"),
        "email:a@b.c": ("anonymous:y", "anonymous:z"),
    }
    claims = {name: {target: Moment(0, "claim") for target in targets} for name, targets in tree.items()}
    owner_of = {"email:a@b.c": "user:ada", "anonymous:x": "user:ada", "anonymous:y": "email:a@b.c"}
    owners = {name: Ownership(0, "claim", owner) for name, owner in owner_of.items()}
    stored.store.commit([StoredIdentity("user:ada", 1, claimed=claims["user:ada"], body=BODY)])
    stored.store.commit([StoredIdentity("email:a@b.c", 1, owner=owners["email:a@b.c"], claimed=claims["email:a@b.c"])])
    stored.store.commit([StoredIdentity(name, 1, owner=owners[name]) for name in ("anonymous:x", "anonymous:y")])
    stored.store.commit([StoredIdentity("anonymous:others", 1, owner=Ownership(0, "claim", "user:u1"))])
    stored.store.put_events("user:ada", [happened("a", userId="ada"), happened("b", "identify", userId="ada")])
    stored.store.put_events("email:a@b.c", [happened("c", "identify", traits={"email": "a@b.c"})])
    stored.store.put_events("anonymous:x", [happened("d", anonymousId="x")])
    stored.store.put_events("anonymous:y", [happened("e", anonymousId="y")])
    stored.store.put_events("anonymous:others", [happened("not hers", anonymousId="others")])


@pytest.mark.parametrize(("segments", "most"), PAGES)
def test_each_lead_is_told_of_once_with_the_events_of_all_its_identities(
    stored: Stored, segments: int, most: int
) -> None:
    expected = fill(stored)
    found = stored.histories(segments, most)
    assert sorted(one.lead for one in found) == sorted(expected)
    assert {one.lead: messages(one) for one in found} == expected


@pytest.mark.parametrize(("segments", "most"), PAGES)
def test_erased_leads_and_identities_are_never_told_of(stored: Stored, segments: int, most: int) -> None:
    fill(stored)
    for name in ("user:u1", "anonymous:x"):
        [present] = stored.store.load_identities([name]).values()
        gone = StoredIdentity(name, present.version + 1, erased=True)
        stored.graves.bury([gone], Grave(erased_at=0, expires_at=10**13))
        stored.store.put_events(name, [happened("late", userId="u1", anonymousId="x")])
    found = {one.lead: messages(one) for one in stored.histories(segments, most)}
    assert "user:u1" not in found
    assert "anonymous:x" not in found
    assert found["user:ada"] == ["a", "b", "c", "e"]


@pytest.mark.parametrize(("segments", "most"), [(1, 1000), (2, 1)])
def test_what_is_quarantined_or_of_nobody_is_in_no_history(stored: Stored, segments: int, most: int) -> None:
    stored.store.put_events("user:u1", [happened("m", userId="u1")])
    stored.store.put_events("user:nobody", [happened("stray", userId="somebody else")])
    bot = Quarantined("user:bot", happened("q1", userId="bot"), Reason.BOT, "web", 0)
    stored.ward.keep([bot, bot._replace(identity="user:u1", event=happened("q2", userId="u1"))])
    stored.ward.hold(["user:bot", "user:u1"], Reason.BOT, 0)
    stored.store.save_account(StoredAccount("acme", 1, '{"t":{}}'))
    assert [(one.lead, messages(one)) for one in stored.histories(segments, most)] == [("user:u1", ["m"])]


def test_a_lead_comes_with_what_is_stored_of_it_and_with_its_events_whole(stored: Stored) -> None:
    grow_tree(stored)
    event = happened("full", userId="ada", properties={"plan": "team", "seats": [1, 2.5, None]})
    stored.store.put_events("user:ada", [event])
    history = stored.history("user:ada")
    assert history.body == BODY
    assert event in history.events
    owners = {
        "email:a@b.c": Ownership(0, "claim", "user:ada"),
        "anonymous:x": Ownership(0, "claim", "user:ada"),
        "anonymous:y": Ownership(0, "claim", "email:a@b.c"),
    }
    assert replace(history, events=()) == History("user:ada", (), [], BODY, owners)


def test_accounts_tell_each_trait_at_the_time_it_was_written(stored: Stored) -> None:
    claims = '{"t":{"plan":[1000,"m2","team"],"size":[5,"m1",300],"was":[1000,"m2",null]}}'
    stored.store.save_account(StoredAccount("acme", 1, claims))
    stored.store.put_events(
        "user:ada",
        [happened("g", "group", userId="ada", groupId="acme"), happened("h", userId="ada", groupId="unheard of")],
    )
    stored.store.put_events("user:bob", [happened("i", userId="bob")])
    told = sorted(stored.history("user:ada").account_events, key=lambda event: str(event["messageId"]))
    common = {"type": "group", "groupId": "acme"}
    assert told == [
        {**common, "messageId": "m1", "timestamp": "1970-01-01T00:00:00.005Z", "traits": {"size": 300}},
        {**common, "messageId": "m2", "timestamp": "1970-01-01T00:00:01.000Z", "traits": {"plan": "team", "was": None}},
    ]
    assert stored.history("user:bob").account_events == []


def test_the_account_of_a_lead_tells_although_no_event_of_the_log_names_it(stored: Stored) -> None:
    grow_tree(stored)
    stored.store.save_account(StoredAccount("acme", 1, '{"t":{"size":[5,"m1",300]}}'))
    [told] = stored.history("user:ada").account_events
    assert (told["groupId"], told["traits"]) == ("acme", {"size": 300})


def test_a_page_reads_no_more_than_its_items_and_the_rest_of_a_partition() -> None:
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        store = DynamoStore(client, TABLE, shards=2, retention_days=400)
        for lead in ("ada", "bob"):
            store.put_events(f"user:{lead}", [happened(f"{lead}-{n}", userId=lead) for n in range(10)])
            store.commit([StoredIdentity(f"user:{lead}", 1)])
        walk = DynamoHistories(client, TABLE)
        first = walk.read(0, 1, None, 4)
        second = walk.read(0, 1, first.after, 4)
        assert [len(page.histories) for page in (first, second)] == [1, 1]
        assert [len(page.histories[0].events) for page in (first, second)] == [10, 10]
        assert [page.items for page in (first, second)] == [11, 11]
        assert walk.read(0, 1, second.after, 4).histories == []


def test_a_lead_that_an_event_reaches_between_two_pages_is_not_told_of_again(stored: Stored) -> None:
    stored.store.put_events("user:ada", [happened("a", userId="ada"), happened("b", userId="ada")])
    first = stored.walk.read(0, 1, None, 1)
    stored.store.put_events("user:ada", [happened("c", userId="ada")])
    after = [] if first.after is None else stored.walk.read(0, 1, first.after, 10).histories
    assert [one.lead for one in (*first.histories, *after)] == ["user:ada"]


def test_an_empty_table_has_no_histories(stored: Stored) -> None:
    assert stored.histories(2, 10) == []
