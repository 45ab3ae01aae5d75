"""One contract, two stores: what the use cases rely on holds for DynamoDB (moto) and for the in-memory fake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.dynamodb import DynamoStore, PendingTable
from leadscore.core.alerting import AlertMemory
from leadscore.core.changes import Change
from leadscore.core.instants import DAY
from leadscore.usecases.announcing import PendingChanges
from leadscore.usecases.records import (
    Event,
    KnownEventsError,
    LeadCommit,
    LeadStore,
    StoredAccount,
    StoredLead,
    VersionConflictError,
)
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_store import MemoryStore


class Store(LeadStore, PendingChanges, Protocol):
    """Both faces of the store."""


class DynamoBoth(DynamoStore):
    """The two adapters on one table, as one store for these tests."""

    def __init__(self, table: str) -> None:
        client = boto3.client("dynamodb")
        super().__init__(client, table, rank_shards=3, retention_days=400)
        self._pending = PendingTable(client, table)
        self.pending = self._pending.pending
        self.clear_pending = self._pending.clear_pending


@pytest.fixture(params=["dynamodb", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with mock_aws():
        create_leads_table()
        yield DynamoBoth(TABLE)


def make_event(message: str, **more: object) -> Event:
    return {"messageId": message, "type": "track", "timestamp": "2026-01-01T00:00:00.000Z", "userId": "ada", **more}


def make_change(name: str) -> Change:
    return Change(
        id=name,
        kind="tier",
        cause="events",
        at="2026-01-01T00:00:00.000Z",
        person={"id": "ada", "name": "Ada Lövelace", "email": "", "title": "", "company": ""},
        tier="hot",
        previous_tier="cold",
        score=53.0,
        previous_score=0.0,
        groups={"fit": 18.0, "engagement": 35.0},
        reasons=[{"criterion": "executive", "label": "Executive", "points": 10.0}],
        alert=True,
        alert_reason="entered hot",
        ruleset="abc",
    )


def make_lead(lead: str = "ada", version: int = 1, rank_key: int = 10, *pending: Change) -> StoredLead:
    return StoredLead(lead, version, f'{{"v":{version}}}', "abc", "cold", rank_key, AlertMemory(), None, pending)


def test_unknown_lead_is_none_and_has_no_events(store: Store) -> None:
    assert store.load_lead("nobody") is None
    assert store.load_events("nobody") == []
    assert store.pending("nobody") == ()


def test_commit_is_read_back_whole(store: Store) -> None:
    lead = replace(make_lead("ada", 1, 7, make_change("c1")), memory=AlertMemory(armed=False, last_alert=5), due=DAY)
    account = StoredAccount("acme", 1, '{"employees":300}')
    event = make_event("m1", properties={"path": "/prïcing"})
    store.commit(LeadCommit(lead, [event], [account]))
    assert store.load_lead("ada") == lead
    assert store.load_leads(["ada", "nobody"]) == {"ada": lead}
    assert store.load_accounts(["acme", "nowhere"]) == {"acme": account}
    assert store.load_events("ada") == [event]


def test_second_commit_needs_the_version_that_was_read(store: Store) -> None:
    store.commit(LeadCommit(make_lead(version=1), [make_event("m1")], []))
    with pytest.raises(VersionConflictError):
        store.commit(LeadCommit(make_lead(version=1), [make_event("m2")], []))
    with pytest.raises(VersionConflictError):
        store.commit(LeadCommit(make_lead(version=3), [make_event("m2")], []))
    assert [event["messageId"] for event in store.load_events("ada")] == ["m1"]
    store.commit(LeadCommit(make_lead(version=2), [make_event("m2")], []))
    assert store.load_lead("ada") == make_lead(version=2)


def test_account_conflict_writes_nothing(store: Store) -> None:
    account = StoredAccount("acme", 1, "{}")
    store.commit(LeadCommit(make_lead("ada"), [], [account]))
    with pytest.raises(VersionConflictError):
        store.commit(LeadCommit(make_lead("bob"), [make_event("m1")], [account]))
    assert store.load_lead("bob") is None
    assert store.load_events("bob") == []


def test_known_events_are_named_and_nothing_is_written(store: Store) -> None:
    store.append_event("ada", make_event("m1"))
    store.append_event("ada", make_event("m1", event="another copy"))
    with pytest.raises(KnownEventsError) as known:
        store.commit(LeadCommit(make_lead(), [make_event("m0"), make_event("m1")], []))
    assert known.value.ids == {"m1"}
    assert store.load_lead("ada") is None
    assert store.load_events("ada") == [make_event("m1")]


def test_known_events_win_over_a_version_conflict(store: Store) -> None:
    store.commit(LeadCommit(make_lead(), [make_event("m1")], []))
    with pytest.raises(KnownEventsError):
        store.commit(LeadCommit(make_lead(), [make_event("m1")], []))


def test_pending_changes_add_up_and_are_cleared_one_by_one(store: Store) -> None:
    store.commit(LeadCommit(make_lead("ada", 1, 1, make_change("c1")), [], []))
    store.commit(LeadCommit(make_lead("ada", 2, 1, make_change("c2")), [], []))
    assert [change.id for change in store.pending("ada")] == ["c1", "c2"]
    store.clear_pending("ada", ["c1"])
    store.clear_pending("ada", ["c1"])
    assert store.pending("ada") == (make_change("c2"),)


def test_a_commit_decided_before_a_clearing_does_not_bring_the_cleared_back(store: Store) -> None:
    store.commit(LeadCommit(make_lead("ada", 1, 1, make_change("c1")), [], []))
    read_before = store.load_lead("ada")
    assert read_before is not None
    store.clear_pending("ada", ["c1"])
    store.commit(LeadCommit(make_lead("ada", read_before.version + 1, 1), [make_event("m2")], []))
    assert store.pending("ada") == ()


def test_ranking_walks_all_shards_from_the_top(store: Store) -> None:
    keys = {f"lead-{i:03d}": (i * 37) % 101 for i in range(120)}
    for lead, key in keys.items():
        store.commit(LeadCommit(make_lead(lead, 1, key), [], []))
    walked = list(store.walk_ranking())
    assert walked == sorted(((key, lead) for lead, key in keys.items()), reverse=True)


def test_a_rank_key_that_moves_leaves_no_second_entry(store: Store) -> None:
    store.commit(LeadCommit(make_lead("ada", 1, 5), [], []))
    store.commit(LeadCommit(make_lead("ada", 2, 9), [], []))
    assert list(store.walk_ranking()) == [(9, "ada")]


def test_a_log_longer_than_a_page_is_read_whole(store: Store) -> None:
    filler = "x" * 30_000
    for i in range(40):
        store.append_event("ada", make_event(f"m{i}", properties={"filler": filler}))
    assert {event["messageId"] for event in store.load_events("ada")} == {f"m{i}" for i in range(40)}


def test_due_leads_are_found_by_their_instant_and_in_its_order(store: Store) -> None:
    dues = {f"lead-{i}": None if i % 4 == 3 else (i * 37 % 20) * DAY for i in range(16)}
    for lead, due in dues.items():
        store.commit(LeadCommit(replace(make_lead(lead), due=due), [], []))
    wanted = sorted((due, lead) for lead, due in dues.items() if due is not None and due <= 10 * DAY)
    assert any(due == 10 * DAY for due, _ in wanted)
    assert list(store.walk_due(10 * DAY)) == [lead for _, lead in wanted]
    assert list(store.walk_due(10 * DAY - 1)) == [lead for due, lead in wanted if due < 10 * DAY]


def test_a_lead_that_is_due_no_more_leaves_the_index(store: Store) -> None:
    store.commit(LeadCommit(replace(make_lead("ada", 1), due=DAY), [], []))
    store.commit(LeadCommit(replace(make_lead("ada", 2), due=2 * DAY), [], []))
    assert list(store.walk_due(3 * DAY)) == ["ada"]
    store.commit(LeadCommit(make_lead("ada", 3), [], []))
    assert list(store.walk_due(3 * DAY)) == []
