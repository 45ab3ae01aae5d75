"""One contract, two tables: a scan in segments and pages finds every identity once, the unwritten ones by their log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.clock import pause
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.items import CHANGE_PREFIX, identity_key
from leadscore.adapters.quarantine import DynamoWard
from leadscore.adapters.scanning import DynamoTable
from leadscore.quarantine import Reason
from leadscore.usecases.rebuilding import Page, Table
from leadscore.usecases.records import (
    Event,
    Grave,
    Graves,
    Quarantined,
    Store,
    StoredAccount,
    StoredIdentity,
    StoredRating,
    Ward,
)
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_store import MemoryStore
from tests.contract.memory_table import MemoryTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

GONE = "user:gone"
GRAVE = Grave(erased_at=0, expires_at=10**13)


@dataclass
class Stored:
    store: Store
    graves: Graves
    ward: Ward
    table: Table
    client: DynamoDBClient | None = None

    def note_changes(self, identities: Iterable[str]) -> None:
        """Put what no scan tells of before all that it does: a page may end there."""
        if self.client is None:
            return
        for identity in identities:
            item = {**identity_key(identity), "sk": {"S": f"{CHANGE_PREFIX}1"}}
            self.client.put_item(TableName=TABLE, Item=item)

    def pages(self, segments: int, most: int) -> list[Page]:
        return [page for segment in range(segments) for page in self.pages_of(segment, segments, most)]

    def pages_of(self, segment: int, segments: int, most: int) -> Iterator[Page]:
        page = self.table.scan(segment, segments, None, most)
        yield page
        while page.after is not None:
            page = self.table.scan(segment, segments, page.after, most)
            yield page


@pytest.fixture(params=["dynamodb", "memory"])
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    if request.param == "memory":
        store = MemoryStore()
        yield Stored(store, store, store, MemoryTable(store))
        return
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        yield Stored(
            DynamoStore(client, TABLE, shards=2, retention_days=400),
            DynamoGraves(client, TABLE, pause),
            DynamoWard(client, TABLE, pause, retention_days=400),
            DynamoTable(client, TABLE),
            client,
        )


def make_event(message: str, kind: str = "track", **more: object) -> Event:
    return {"messageId": message, "type": kind, "timestamp": "2026-01-01T00:00:00.000Z", **more}


def fill(stored: Stored) -> set[str]:
    """Write people with and without items and events, and what is not to be found."""
    for number in range(12):
        name = f"user:u{number}"
        if number % 3:
            stored.store.commit([StoredIdentity(name, 1)])
        if number % 2 or not number % 3:
            stored.store.put_events(
                name, [make_event(f"{number}-{each}", userId=f"u{number}") for each in range(number % 4 + 1)]
            )
    ids = {"externalIds": [{"type": "crm", "id": "7"}]}
    stored.store.put_events("external:crm:7", [make_event("x", anonymousId="v", context=ids)])
    stored.store.put_events("email:a@b.c", [make_event("e", "identify", anonymousId="v", traits={"email": "A@b.c"})])
    stored.note_changes(f"user:u{number}" for number in range(12))
    stored.store.save_account(StoredAccount("acme", 1, "{}"))
    stored.store.add_member("acme", "user:u1")
    stored.store.commit([StoredIdentity(GONE, 1)])
    stored.graves.bury([StoredIdentity(GONE, 2, erased=True)], GRAVE)
    stored.store.put_events(GONE, [make_event("late", userId="gone")])
    return {*(f"user:u{number}" for number in range(12)), "external:crm:7", "email:a@b.c"}


@pytest.mark.parametrize(("segments", "most"), [(1, 1000), (1, 1), (3, 2), (5, 7)])
def test_every_identity_is_found_once_whatever_the_segments_and_pages(stored: Stored, segments: int, most: int) -> None:
    everybody = fill(stored)
    pages = stored.pages(segments, most)
    found = [identity for page in pages for identity in page.identities]
    assert sorted(name for name in found if name != GONE) == sorted(everybody)
    assert all(page.items <= most for page in pages)
    assert sum(page.strays for page in pages) == 0


@pytest.mark.parametrize(("segments", "most"), [(1, 1000), (1, 1), (3, 2)])
def test_every_account_is_found_by_whatever_there_is_of_it(stored: Stored, segments: int, most: int) -> None:
    fill(stored)
    for number in range(5):
        stored.store.add_member("beta", f"user:b{number}")
    stored.store.save_rating(StoredRating("gone#1", 1, "abc", "cold"))
    found = [account for page in stored.pages(segments, most) for account in page.accounts]
    assert sorted(found) == ["acme", "beta", "gone#1"]


def test_segments_share_nothing(stored: Stored) -> None:
    fill(stored)
    parts = [{name for page in stored.pages_of(part, 4, 100) for name in page.identities} for part in range(4)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert len([part for part in parts if part]) > 1


def test_an_empty_table_is_one_page_a_segment(stored: Stored) -> None:
    assert stored.pages(2, 10) == [Page([], 0, 0, None)] * 2


def test_a_log_that_is_of_nobody_is_counted(stored: Stored) -> None:
    stored.store.put_events("user:ada", [make_event("m1", userId="bob"), make_event("m2", userId="bob")])
    [page] = stored.pages(1, 10)
    assert (page.identities, page.strays) == ([], 1)


def test_forgotten_events_are_gone_and_forgetting_twice_is_harmless(stored: Stored) -> None:
    events = [make_event("m1", userId="ada"), make_event("m2", "identify", userId="ada", traits={})]
    stored.store.put_events("user:ada", [*events, make_event("m3", userId="ada")])
    stored.table.forget_events("user:ada", events)
    stored.table.forget_events("user:ada", events)
    assert [event["messageId"] for event in stored.store.load_events("user:ada")] == ["m3"]


def test_what_is_quarantined_is_in_nobodys_log(stored: Stored) -> None:
    bot = Quarantined("user:bot", make_event("q1", userId="bot"), Reason.BOT, "web", 0)
    stored.ward.keep([bot, bot._replace(identity="user:u1", event=make_event("q2", userId="u1"))])
    stored.ward.hold(["user:bot", "user:u1", "anonymous:nobody"], Reason.INTERNAL_DOMAIN, 0)
    stored.ward.tally("user:bot", "w", ["q1"], 10, 0)
    stored.store.put_events("user:u1", [make_event("m1", userId="u1")])
    for most in (1, 1000):
        pages = stored.pages(2, most)
        assert [name for page in pages for name in page.identities] == ["user:u1"]
        assert sum(page.strays for page in pages) == 0
