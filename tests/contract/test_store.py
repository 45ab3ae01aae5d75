"""One contract, two stores: what the use cases rely on holds for DynamoDB (moto) and for the in-memory fake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.dynamodb import DynamoStore, PendingTable
from leadscore.core.alerting import AlertMemory
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Ownership
from leadscore.core.instants import DAY
from leadscore.core.state import Moment
from leadscore.usecases.announcing import PendingAccountChanges, PendingChanges
from leadscore.usecases.cooling import DueAccounts
from leadscore.usecases.deciding import rank_key
from leadscore.usecases.nurturing import Ranking
from leadscore.usecases.records import (
    ConflictError,
    Event,
    LeadBody,
    Ranked,
    StoredAccount,
    StoredIdentity,
    StoredRating,
)
from leadscore.usecases.records import Store as UseCaseStore
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_store import MemoryStore

ADA, VISITOR = "user:ada", "anonymous:v1"


class Store(UseCaseStore, PendingChanges, PendingAccountChanges, DueAccounts, Ranking, Protocol):
    """All faces of the store."""


class DynamoBoth(DynamoStore):
    """The two adapters on one table, as one store for these tests."""

    def __init__(self, table: str) -> None:
        client = boto3.client("dynamodb")
        super().__init__(client, table, shards=3, retention_days=400)
        self._pending = PendingTable(client, table)
        self.clear_pending = self._pending.clear_pending
        self.pending_of_account = self._pending.pending_of_account
        self.clear_pending_of_account = self._pending.clear_pending_of_account


@pytest.fixture(params=["dynamodb", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with mock_aws():
        create_leads_table()
        yield DynamoBoth(TABLE)


def make_event(message: str, kind: str = "track", **more: object) -> Event:
    return {"messageId": message, "type": kind, "timestamp": "2026-01-01T00:00:00.000Z", "userId": "ada", **more}


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
        alert="wanted",
        alert_reason="entered hot",
        ruleset="abc",
    )


def make_body(points: float = 10, due: int | None = None, account: str | None = None) -> LeadBody:
    return LeadBody('{"v":"é"}', "abc", "cold", rank_key(points), due, account, AlertMemory())


def make_lead(
    name: str = ADA, version: int = 1, body: LeadBody | None = None, pending: tuple[Change, ...] = ()
) -> StoredIdentity:
    return StoredIdentity(name, version, body=body or make_body(), pending=pending)


def make_rating(account: str = "acme", version: int = 1, points: float | None = 60, **more: Any) -> StoredRating:
    key = None if points is None else rank_key(points)
    return StoredRating(account, version, "abc", "hot", 60.25, 3, key, **more)


def make_account_change(name: str, revision: int = 1) -> AccountChange:
    return AccountChange(
        id=name,
        account="acme",
        name="Acmé",
        cause="people",
        at="2026-01-01T00:00:00.000Z",
        people=3,
        tier="hot",
        previous_tier="cold",
        score=60.25,
        previous_score=0.0,
        ruleset="abc",
        revision=revision,
        alert="wanted",
        alert_reason="entered hot",
    )


def load(store: Store, identity: str = ADA) -> StoredIdentity:
    return store.load_identities([identity])[identity]


def test_what_was_never_written_is_at_version_zero(store: Store) -> None:
    assert store.load_identities([ADA, VISITOR]) == {ADA: StoredIdentity(ADA), VISITOR: StoredIdentity(VISITOR)}
    assert store.load_accounts(["acme"]) == {"acme": StoredAccount("acme")}
    assert store.load_events(ADA) == []
    assert load(store).pending == ()
    assert list(store.walk_members("acme")) == []


def test_a_commit_is_read_back_whole(store: Store) -> None:
    body = replace(make_body(53.2, DAY, "acme"), memory=AlertMemory(armed=False, last_alert=5))
    lead = replace(make_lead(body=body, pending=(make_change("c1"),)), claimed={VISITOR: Moment(3, "m1")})
    owned = StoredIdentity(VISITOR, 1, owner=Ownership(3, "m1", ADA), former=("user:bob",))
    store.commit([lead, owned])
    assert store.load_identities([ADA, VISITOR]) == {ADA: lead, VISITOR: owned}


def test_the_score_that_machines_know_is_kept_to_the_bit_and_forgotten(store: Store) -> None:
    for version, announced in enumerate((0.1 + 0.2, 2.0**-40, -12.5, None), 1):
        lead = make_lead(version=version, body=replace(make_body(), announced=announced))
        store.commit([lead])
        assert load(store) == lead


def test_a_commit_needs_the_versions_that_were_read(store: Store) -> None:
    store.commit([make_lead()])
    for version in (1, 3):
        with pytest.raises(ConflictError):
            store.commit([make_lead(version=version, body=make_body(99))])
    store.commit([make_lead(version=2, body=make_body(20))])
    assert load(store) == make_lead(version=2, body=make_body(20))


def test_of_several_identities_all_are_written_or_none(store: Store) -> None:
    store.commit([make_lead(VISITOR)])
    with pytest.raises(ConflictError):
        store.commit([make_lead(ADA), make_lead(VISITOR)])
    assert load(store, ADA).version == 0
    store.commit([make_lead(ADA), make_lead(VISITOR, 2)])
    assert (load(store, ADA).version, load(store, VISITOR).version) == (1, 2)


def test_a_root_that_is_swallowed_leaves_both_indexes(store: Store) -> None:
    store.commit([make_lead(VISITOR, body=make_body(80, DAY, "acme"))])
    swallowed = StoredIdentity(VISITOR, 2, owner=Ownership(3, "m1", ADA))
    store.commit([make_lead(ADA), swallowed])
    assert load(store, VISITOR) == swallowed
    assert [entry.identity for entry in store.walk_ranking()] == [ADA]
    assert list(store.walk_due(2 * DAY)) == []


def test_pending_changes_add_up_and_are_cleared_one_by_one(store: Store) -> None:
    store.commit([make_lead(version=1, pending=(make_change("c1"),))])
    store.commit([make_lead(version=2, pending=(make_change("c2"),))])
    assert [change.id for change in load(store).pending] == ["c1", "c2"]
    store.clear_pending(ADA, ["c1"])
    store.clear_pending(ADA, ["c1"])
    assert load(store).pending == (make_change("c2"),)


def test_pending_changes_of_one_instant_come_in_the_order_of_their_revisions(store: Store) -> None:
    changes = [replace(make_change(name), revision=revision) for revision, name in enumerate("zam")]
    store.commit([make_lead(pending=tuple(changes))])
    assert list(load(store).pending) == changes


def test_a_commit_decided_before_a_clearing_does_not_bring_the_cleared_back(store: Store) -> None:
    store.commit([make_lead(version=1, pending=(make_change("c1"),))])
    store.clear_pending(ADA, ["c1"])
    store.commit([make_lead(version=2)])
    assert load(store).pending == ()


def test_clearing_what_was_never_written_writes_nothing(store: Store) -> None:
    store.clear_pending(ADA, ["c1"])
    assert load(store).version == 0


def test_the_log_keeps_the_first_copy_and_says_that_it_knew(store: Store) -> None:
    first, other = make_event("m1", properties={"path": "/prïcing"}), make_event("m2", "identify")
    assert store.put_events(ADA, [first]) == ([first], frozenset())
    logged = store.put_events(ADA, [make_event("m1", event="another copy"), other])
    assert (sorted(map(str, logged.events)), logged.known) == (sorted(map(str, [first, other])), frozenset({"m1"}))
    assert sorted(map(str, store.load_events(ADA))) == sorted(map(str, [first, other]))
    assert store.load_events(VISITOR) == []


def test_of_two_copies_put_at_once_the_first_is_kept(store: Store) -> None:
    store.put_events(ADA, [make_event("m1", copy=1), make_event("m2"), make_event("m1", copy=2)])
    assert [event["copy"] for event in store.load_events(ADA) if event["messageId"] == "m1"] == [1]


def test_identify_events_are_found_alone(store: Store) -> None:
    store.put_events(ADA, [make_event("m1"), make_event("m2", "identify"), make_event("identify#m3", "group")])
    assert [event["messageId"] for event in store.load_events(ADA, identify_only=True)] == ["m2"]
    assert len(store.load_events(ADA)) == 3


def test_a_log_longer_than_a_page_is_read_whole(store: Store) -> None:
    filler = "x" * 30_000
    for i in range(40):
        store.put_events(ADA, [make_event(f"m{i}", properties={"filler": filler})])
    assert {event["messageId"] for event in store.load_events(ADA)} == {f"m{i}" for i in range(40)}


def test_more_identities_than_one_request_takes_are_all_loaded(store: Store) -> None:
    names = [f"user:{i}" for i in range(230)]
    for name in names[::2]:
        store.commit([make_lead(name)])
    found = store.load_identities(names)
    assert [found[name].version for name in names] == [1, 0] * 115


def test_an_account_needs_the_version_that_was_read(store: Store) -> None:
    store.save_account(StoredAccount("acme", 1, '{"t":{}}'))
    with pytest.raises(ConflictError):
        store.save_account(StoredAccount("acme", 1, "other"))
    store.save_account(StoredAccount("acme", 2, "newer"))
    assert store.load_accounts(["acme", "beta"]) == {
        "acme": StoredAccount("acme", 2, "newer"),
        "beta": StoredAccount("beta"),
    }


def test_members_are_walked_from_behind_a_mark(store: Store) -> None:
    names = {f"user:{i}" for i in range(25)}
    for name in [*names, "user:3"]:
        store.add_member("acme", name)
    store.add_member("beta", "user:other")
    walked = list(store.walk_members("acme"))
    assert {name for _, name in walked} == names
    assert [mark for mark, _ in walked] == sorted(mark for mark, _ in walked)
    assert list(store.walk_members("acme", walked[9][0])) == walked[10:]


def test_ranking_walks_all_shards_from_the_top_and_ties_by_identity(store: Store) -> None:
    keys = {f"user:{i:03d}": (i * 37) % 11 - 5 for i in range(60)}
    for name, points in keys.items():
        store.commit([make_lead(name, body=make_body(points, DAY if points > 3 else None))])
    walked = list(store.walk_ranking())
    wanted = sorted(keys, key=lambda name: (-keys[name], name))
    assert [entry.identity for entry in walked] == wanted
    assert walked[0] == Ranked(rank_key(5), wanted[0], "cold", DAY, "abc")
    assert walked[-1] == Ranked(rank_key(-5), wanted[-1], "cold", None, "abc")


def test_ranking_is_walked_from_any_place_down(store: Store) -> None:
    for i in range(60):
        store.commit([make_lead(f"user:{i:03d}", body=make_body((i * 37) % 11 - 5))])
    walked = list(store.walk_ranking())
    assert list(store.walk_ranking_below(None)) == walked
    for place in (0, 17, 59):
        key, identity = walked[place][:2]
        assert list(store.walk_ranking_below(key, identity)) == walked[place + 1 :]
        assert list(store.walk_ranking_below(key)) == [entry for entry in walked if entry.rank_key <= key]
    assert list(store.walk_ranking_below(rank_key(-6))) == []


def test_a_rank_key_that_moves_leaves_no_second_entry(store: Store) -> None:
    store.commit([make_lead(version=1, body=make_body(5))])
    store.commit([make_lead(version=2, body=make_body(9))])
    assert [entry.rank_key for entry in store.walk_ranking()] == [rank_key(9)]


def test_due_leads_are_found_by_their_instant_and_in_its_order(store: Store) -> None:
    dues = {f"user:{i}": None if i % 4 == 3 else (i * 37 % 20) * DAY for i in range(16)}
    for name, due in dues.items():
        store.commit([make_lead(name, body=make_body(due=due))])
    wanted = sorted((due, name) for name, due in dues.items() if due is not None and due <= 10 * DAY)
    assert any(due == 10 * DAY for due, _ in wanted)
    walked = list(store.walk_due(10 * DAY))
    assert [name for _, name in walked] == [name for _, name in wanted]
    assert [name for _, name in store.walk_due(10 * DAY - 1)] == [name for due, name in wanted if due < 10 * DAY]
    assert list(store.walk_due(10 * DAY, walked[2][0])) == walked[3:]


def test_a_lead_that_is_due_no_more_leaves_the_index(store: Store) -> None:
    store.commit([make_lead(version=1, body=make_body(due=DAY))])
    store.commit([make_lead(version=2, body=make_body(due=2 * DAY))])
    assert [name for _, name in store.walk_due(3 * DAY)] == [ADA]
    store.commit([make_lead(version=3)])
    assert list(store.walk_due(3 * DAY)) == []


def test_a_rating_is_read_back_whole(store: Store) -> None:
    assert store.load_ratings(["acme", "beta"]) == {"acme": StoredRating("acme"), "beta": StoredRating("beta")}
    memory = AlertMemory(armed=False, last_alert=DAY)
    rating = make_rating(due=DAY, pending=(make_account_change("c1"),), memory=memory)
    store.save_rating(rating)
    nobody = replace(make_rating("beta#1", points=None), score=0.1 + 0.2, people=0)
    store.save_rating(nobody)
    assert store.load_ratings(["acme", "beta#1"]) == {"acme": rating, "beta#1": nobody}


def test_a_rating_needs_the_version_that_was_read(store: Store) -> None:
    store.save_rating(make_rating())
    for version in (1, 3):
        with pytest.raises(ConflictError):
            store.save_rating(make_rating(version=version, points=99))
    store.save_rating(make_rating(version=2, points=70))
    assert store.load_ratings(["acme"])["acme"] == make_rating(version=2, points=70)


def test_a_rating_and_the_traits_of_its_account_are_written_apart(store: Store) -> None:
    store.save_account(StoredAccount("acme", 1, "traits"))
    store.save_rating(make_rating())
    store.save_account(StoredAccount("acme", 2, "newer"))
    store.add_member("acme", ADA)
    assert store.load_accounts(["acme"])["acme"] == StoredAccount("acme", 2, "newer")
    assert store.load_ratings(["acme"])["acme"] == make_rating()
    assert [name for _, name in store.walk_members("acme")] == [ADA]


def test_changes_of_an_account_add_up_in_order_and_are_cleared_one_by_one(store: Store) -> None:
    changes = [make_account_change(name, revision) for revision, name in enumerate(("z", "a"), 1)]
    for version, change in enumerate(changes, 1):
        store.save_rating(make_rating(version=version, pending=(change,)))
    assert store.pending_of_account("acme") == store.load_ratings(["acme"])["acme"].pending == tuple(changes)
    for _ in range(2):
        store.clear_pending_of_account("acme", ["z"])
    store.save_rating(make_rating(version=3))
    assert store.pending_of_account("acme") == (changes[1],)
    store.clear_pending_of_account("beta", ["z"])
    assert store.pending_of_account("beta") == ()
    assert store.load_ratings(["beta"])["beta"].version == 0


def test_the_people_of_an_account_are_walked_from_the_highest_bound_down(store: Store) -> None:
    keys = {f"user:{i:03d}": (i * 37) % 11 - 5 for i in range(40)}
    for name, points in keys.items():
        store.commit([make_lead(name, body=make_body(points, account="acme"))])
    store.commit([make_lead("user:other", body=make_body(99, account="beta"))])
    store.commit([make_lead("user:alone", body=make_body(99))])
    store.save_rating(make_rating())
    wanted = [(rank_key(keys[name]), name) for name in sorted(keys, key=lambda name: (-keys[name], name))]
    assert list(store.walk_people("acme")) == wanted
    assert list(store.walk_people("nobody")) == []


def test_who_leaves_an_account_leaves_its_people(store: Store) -> None:
    store.commit([make_lead(version=1, body=make_body(5, account="acme"))])
    store.commit([make_lead(version=2, body=make_body(9, account="beta"))])
    assert list(store.walk_people("acme")) == []
    assert list(store.walk_people("beta")) == [(rank_key(9), ADA)]
    store.commit([make_lead(version=3, body=make_body(9))])
    assert list(store.walk_people("beta")) == []


def test_accounts_and_leads_are_ranked_apart(store: Store) -> None:
    keys = {f"a{i:02d}": (i * 37) % 11 for i in range(30)}
    for name, points in keys.items():
        store.save_rating(make_rating(name, points=points))
    store.save_rating(make_rating("nobody", points=None))
    store.commit([make_lead(body=make_body(5, DAY))])
    wanted = [(rank_key(keys[name]), name) for name in sorted(keys, key=lambda name: (-keys[name], name))]
    assert list(store.walk_account_ranking()) == wanted
    assert [entry.identity for entry in store.walk_ranking()] == [ADA]
    store.save_rating(make_rating("a00", version=2, points=None))
    assert "a00" not in {name for _, name in store.walk_account_ranking()}


def test_due_accounts_are_found_by_their_instant_and_apart_from_leads(store: Store) -> None:
    for number in range(12):
        store.save_rating(make_rating(f"a{number:02d}", due=(number * 5 % 12) * DAY))
    store.save_rating(make_rating("never"))
    store.commit([make_lead(body=make_body(due=DAY))])
    wanted = [f"a{number:02d}" for number in sorted(range(12), key=lambda number: number * 5 % 12)]
    assert list(store.walk_due_accounts(12 * DAY)) == wanted
    assert list(store.walk_due_accounts(7 * DAY)) == wanted[:8]
    assert list(store.walk_due_accounts(7 * DAY - 1)) == wanted[:7]
    assert [name for _, name in store.walk_due(12 * DAY)] == [ADA]
    store.save_rating(make_rating(wanted[0], version=2))
    assert list(store.walk_due_accounts(12 * DAY)) == wanted[1:]
