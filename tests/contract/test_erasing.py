"""What erasing relies on, held to DynamoDB (moto) and to the in-memory fake alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.erasing import DynamoGraves
from leadscore.core.alerting import AlertMemory
from leadscore.core.identity import Ownership, pseudonym
from leadscore.core.instants import DAY
from leadscore.core.state import Moment
from leadscore.usecases.records import (
    ConflictError,
    Event,
    Grave,
    Graves,
    LeadBody,
    Store,
    StoredIdentity,
)
from leadscore.usecases.retrying import ATTEMPTS, ContentionError
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_store import MemoryStore

ADA, VISITOR, OTHER = "user:ada", "anonymous:v1", "user:bob"
GRAVE = Grave(20_000 * DAY, 21_095 * DAY)
BODY = LeadBody("{}", "abc", "hot", 10**9, 5 * DAY, "acme", AlertMemory())


class Both(Store, Graves, Protocol):
    """Both faces of the store."""


class DynamoBoth(DynamoStore):
    """The two adapters on one table."""

    def __init__(self) -> None:
        client = boto3.client("dynamodb")
        super().__init__(client, TABLE, shards=3, retention_days=400)
        graves = DynamoGraves(client, TABLE, lambda _: None)
        self.look_up = graves.look_up
        self.bury = graves.bury
        self.walk_log = graves.walk_log
        self.remove_events = graves.remove_events
        self.walk_quarantined = graves.walk_quarantined
        self.remove_marks = graves.remove_marks
        self.remove_records = graves.remove_records
        self.walk_memberships = graves.walk_memberships
        self.remove_memberships = graves.remove_memberships


@pytest.fixture(params=["dynamodb", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[Both]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with mock_aws():
        create_leads_table()
        yield DynamoBoth()


def make_event(message: str, kind: str = "track", **more: object) -> Event:
    return {"messageId": message, "type": kind, "timestamp": "2026-01-01T00:00:00.000Z", "userId": "ada", **more}


def full(identity: str = ADA, version: int = 1) -> StoredIdentity:
    return StoredIdentity(
        identity, version, claimed={VISITOR: Moment(3, "m1")}, former=(OTHER,), memberships=("acme",), body=BODY
    )


def tombstone(identity: str = ADA, version: int = 2) -> StoredIdentity:
    return StoredIdentity(identity, version, erased=True)


def load(store: Both, identity: str = ADA) -> StoredIdentity:
    return store.load_identities([identity])[identity]


def test_memberships_are_read_back(store: Both) -> None:
    store.commit([full()])
    assert load(store).memberships == ("acme",)
    store.commit([replace(full(version=2), memberships=("acme", "beta"))])
    assert load(store).memberships == ("acme", "beta")


def test_of_an_erased_identity_nothing_is_left_but_when_it_was_erased(store: Both) -> None:
    store.commit([full()])
    store.bury([tombstone()], GRAVE)
    assert load(store) == tombstone()
    assert store.look_up(pseudonym(ADA)) == GRAVE
    assert list(store.walk_ranking()) == []
    assert list(store.walk_due(10 * DAY)) == []


def test_who_is_not_erased_is_looked_up_by_pseudonym_too(store: Both) -> None:
    assert store.look_up(pseudonym(ADA)) is None
    store.commit([full()])
    assert store.look_up(pseudonym(ADA)) == full()


def test_an_identity_that_was_never_written_is_erased_as_well(store: Both) -> None:
    store.bury([tombstone(version=1)], GRAVE)
    assert load(store) == tombstone(version=1)


@pytest.mark.parametrize("version", [1, 2, 4])
def test_erasing_needs_the_version_that_was_read(store: Both, version: int) -> None:
    store.commit([full()])
    store.commit([full(version=2)])
    with pytest.raises(ConflictError):
        store.bury([tombstone(version=version)], GRAVE)
    assert load(store) == full(version=2)


def test_who_read_an_identity_before_it_was_erased_cannot_write_it(store: Both) -> None:
    store.commit([full(ADA)])
    store.bury([tombstone(ADA, 2), tombstone(VISITOR, 1)], GRAVE)
    for late in (full(ADA, 2), full(VISITOR, 1)):
        with pytest.raises(ConflictError):
            store.commit([late])
    assert load(store, VISITOR) == tombstone(VISITOR, 1)


def test_of_several_all_are_erased_or_none(store: Both) -> None:
    store.commit([full(ADA)])
    with pytest.raises(ConflictError):
        store.bury([tombstone(ADA, 2), tombstone(VISITOR, 2)], GRAVE)
    assert load(store) == full(ADA)


def test_a_hundred_are_erased_at_once(store: Both) -> None:
    names = [f"anonymous:{i}" for i in range(100)]
    store.bury([tombstone(name, 1) for name in names], GRAVE)
    assert all(one.erased for one in store.load_identities(names).values())


@pytest.mark.parametrize("kept", [(), ("user:eve",)])
def test_others_forget_who_lost_to_them_and_nothing_else(store: Both, kept: tuple[str, ...]) -> None:
    others = StoredIdentity(VISITOR, 1, owner=Ownership(3, "m1", OTHER), former=(ADA, *kept))
    store.commit([full(), others])
    store.bury([tombstone(), replace(others, version=2, former=kept)], GRAVE)
    assert load(store, VISITOR) == replace(others, version=2, former=kept)
    with pytest.raises(ConflictError):
        store.bury([replace(others, version=2, former=(OTHER,))], GRAVE)


def test_the_log_is_walked_and_removed_by_pseudonym(store: Both) -> None:
    group = make_event("g1", "group", groupId="acme")
    store.put_events(ADA, [make_event("m1"), make_event("i1", "identify")])
    store.put_events(OTHER, [make_event("m1")])
    keys = list(store.walk_log(pseudonym(ADA)))
    store.put_events(ADA, [group])
    for _ in range(2):
        store.remove_events(pseudonym(ADA), keys)
        assert store.load_events(ADA) == [group]
    assert len(keys) == 2
    assert len(list(store.walk_log(pseudonym(ADA)))) == len(store.load_events(OTHER)) == 1


def test_more_events_than_a_page_or_a_request_takes_are_removed(store: Both) -> None:
    store.put_events(ADA, [make_event(f"m{i}", filler="x" * 20_000) for i in range(60)])
    store.remove_events(pseudonym(ADA), list(store.walk_log(pseudonym(ADA))))
    assert store.load_events(ADA) == []


def test_a_removal_leaves_the_identity_itself(store: Both) -> None:
    store.commit([full()])
    store.put_events(ADA, [make_event("m1")])
    store.remove_events(pseudonym(ADA), list(store.walk_log(pseudonym(ADA))))
    assert load(store) == full()


def test_memberships_are_found_and_removed_by_pseudonym(store: Both) -> None:
    accounts = sorted(f"account-{i}" for i in range(60))
    for account in accounts:
        store.add_member(account, ADA)
    for name in (VISITOR, OTHER):
        store.add_member("account-7", name)
    assert list(store.walk_memberships(pseudonym(ADA))) == accounts
    for _ in range(2):
        store.remove_memberships(pseudonym(ADA), [*accounts, "never"])
        assert list(store.walk_memberships(pseudonym(ADA))) == []
    assert {name for _, name in store.walk_members("account-7")} == {VISITOR, OTHER}
    assert list(store.walk_members("account-8")) == []
    assert list(store.walk_memberships(pseudonym(OTHER))) == ["account-7"]


@pytest.fixture
def answering() -> Iterator[Callable[..., DynamoGraves]]:
    """Give a way to make graves over a client whose batch answers are changed on the way."""
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")

        def make(operation: str, respond: Callable[..., Any], waits: list[int]) -> DynamoGraves:
            original = getattr(client, operation)
            setattr(client, operation, lambda **request: respond(original, **request))
            return DynamoGraves(client, TABLE, waits.append)

        yield make


def test_what_dynamodb_leaves_unprocessed_is_asked_for_again(answering: Callable[..., DynamoGraves]) -> None:
    held = DynamoBoth()
    held.put_events(ADA, [make_event(f"m{i}") for i in range(30)])

    def take_two(original: Callable[..., Any], RequestItems: dict[str, list[Any]]) -> Any:  # noqa: N803
        wanted = RequestItems[TABLE]
        original(RequestItems={TABLE: wanted[:4]})
        return {"UnprocessedItems": {TABLE: wanted[4:]} if wanted[4:] else {}}

    waits: list[int] = []
    graves = answering("batch_write_item", take_two, waits)
    graves.remove_events(pseudonym(ADA), list(graves.walk_log(pseudonym(ADA))))
    assert held.load_events(ADA) == []
    assert waits == [1, 2, 3, 4, 5, 6, 1]


def test_what_dynamodb_never_processes_is_an_error(answering: Callable[..., DynamoGraves]) -> None:
    waits: list[int] = []
    graves = answering("batch_write_item", lambda _, **asked: {"UnprocessedItems": asked["RequestItems"]}, waits)
    with pytest.raises(ContentionError):
        graves.remove_events(pseudonym(ADA), ["EVENT#m1"])
    assert len(waits) == ATTEMPTS - 1


@pytest.mark.parametrize("operation", ["put_item", "batch_write_item"])
def test_a_membership_is_found_whichever_step_was_the_last(
    answering: Callable[..., DynamoGraves], operation: str
) -> None:
    held = DynamoBoth()
    held.add_member("acme", ADA)

    class Crash(Exception):
        pass

    calls = 0

    def crash_on_the_second(original: Callable[..., Any], **request: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Crash
        return original(**request)

    graves = answering(operation, crash_on_the_second, [])
    store = DynamoStore(graves._client, TABLE, shards=3, retention_days=400)
    steps: dict[str, Callable[[], object]] = {
        "put_item": lambda: store.add_member("beta", ADA),
        "batch_write_item": lambda: graves.remove_memberships(pseudonym(ADA), ["acme"]),
    }
    with pytest.raises(Crash):
        steps[operation]()
    noted = {account for account in ("acme", "beta") if list(held.walk_members(account))}
    assert noted <= set(held.walk_memberships(pseudonym(ADA)))
    assert set(held.walk_memberships(pseudonym(ADA))) == ({"acme", "beta"} if operation == "put_item" else {"acme"})


def test_another_failure_than_a_conflict_stays_what_it_is(answering: Callable[..., DynamoGraves]) -> None:
    client = boto3.client("dynamodb")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        DynamoGraves(client, "no-such-table", lambda _: None).bury([tombstone()], GRAVE)


def test_a_tombstone_forgets_itself_by_the_tables_time_to_live(answering: Callable[..., DynamoGraves]) -> None:
    DynamoBoth().bury([tombstone(version=1)], GRAVE)
    [item] = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    assert item == {
        "pk": {"S": f"ID#{pseudonym(ADA)}"},
        "sk": {"S": "ID"},
        "v": {"N": "1"},
        "erased": {"S": "2024-10-04T00:00:00.000Z"},
        "expires_at": {"N": str(21_095 * 86_400)},
    }
