"""What the quarantine relies on, held to DynamoDB (moto) and to the in-memory fake alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.quarantine import DynamoWard
from leadscore.adapters.quarantine_items import held_key, quarantined_key, tally_key
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, HOUR, parse_instant
from leadscore.quarantine import Reason
from leadscore.usecases.records import Event, Graves, Quarantined, Store, Ward
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_store import MemoryStore

ADA, VISITOR = "user:ada", "anonymous:v1"
AT = parse_instant("2026-03-01T12:00:00Z")
RETENTION_DAYS = 400


@dataclass
class Stored:
    ward: Ward
    store: Store
    graves: Graves


def pause(_: int) -> None:
    return None


def make_ward() -> DynamoWard:
    return DynamoWard(boto3.client("dynamodb"), TABLE, pause, retention_days=RETENTION_DAYS)


@pytest.fixture
def table() -> Iterator[DynamoWard]:
    with mock_aws():
        create_leads_table()
        yield make_ward()


@pytest.fixture(params=["dynamodb", "memory"])
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    if request.param == "memory":
        memory = MemoryStore()
        yield Stored(memory, memory, memory)
        return
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        store = DynamoStore(client, TABLE, shards=2, retention_days=RETENTION_DAYS)
        yield Stored(make_ward(), store, DynamoGraves(client, TABLE, pause))


def make_event(message: str, kind: str = "track", **more: object) -> Event:
    at = "2026-02-01T00:00:00.000Z"
    return {"messageId": message, "type": kind, "timestamp": at, "receivedAt": at, "userId": "ada", **more}


def make_kept(message: str, identity: str = ADA, reason: Reason = Reason.BOT, **more: Any) -> Quarantined:
    return Quarantined(identity, make_event(message, **more), reason, "wëb", AT)


def test_what_is_kept_is_read_back_whole_and_is_in_no_log(stored: Stored) -> None:
    one = make_kept("m1", properties={"path": "/prïcing"})
    history = make_kept("m2")._replace(imported=True, reason=Reason.INTERNAL_DOMAIN)
    assert stored.ward.keep([one, history]) == {"m1", "m2"}
    assert sorted(stored.store.load_quarantined(ADA), key=str) == sorted([one, history], key=str)
    assert stored.store.load_quarantined(VISITOR) == []
    assert stored.store.load_events(ADA) == []
    assert stored.store.load_events(ADA, identify_only=True) == []
    assert stored.store.load_identities([ADA])[ADA].version == 0


def test_an_event_is_kept_once_as_it_came_first(stored: Stored) -> None:
    first, second = make_kept("m1"), make_kept("m1", reason=Reason.BURST)
    assert stored.ward.keep([first]) == {"m1"}
    assert stored.ward.keep([second, make_kept("m2")]) == {"m2"}
    assert {each.event["messageId"]: each.reason for each in stored.store.load_quarantined(ADA)} == {
        "m1": Reason.BOT,
        "m2": Reason.BOT,
    }
    assert stored.ward.keep([]) == frozenset()


def test_what_the_log_has_is_found_under_its_own_identity(stored: Stored) -> None:
    events = [make_event(f"m{place}", "identify" if place % 2 else "track") for place in range(130)]
    stored.store.put_events(ADA, events[:120])
    asked = [(ADA, event) for event in events]
    assert stored.ward.find_logged(asked) == {f"m{place}" for place in range(120)}
    assert stored.ward.find_logged([(VISITOR, events[0])]) == frozenset()
    assert stored.ward.find_logged([(ADA, events[0]), (ADA, events[0])]) == {"m0"}
    stored.ward.keep([make_kept("m125")])
    assert stored.ward.find_logged([(ADA, events[125])]) == frozenset()


def test_marks_are_found_until_they_are_released(stored: Stored) -> None:
    names = [f"user:{place}" for place in range(130)]
    assert stored.ward.find_held(names) == {}
    assert stored.ward.find_held([]) == {}
    stored.ward.hold(names[::2], Reason.INTERNAL_DOMAIN, AT)
    stored.ward.hold(names[:1], Reason.INTERNAL_DOMAIN, AT)
    assert stored.ward.find_held(names) == dict.fromkeys(names[::2], Reason.INTERNAL_DOMAIN)
    for _ in range(2):
        stored.ward.release([], names[:4])
    assert stored.ward.find_held(names[:8]) == dict.fromkeys(names[4:8:2], Reason.INTERNAL_DOMAIN)


def test_what_is_released_is_gone_and_releasing_twice_is_harmless(stored: Stored) -> None:
    kept = [make_kept(f"m{place}") for place in range(60)]
    stored.ward.keep(kept)
    stored.store.put_events(ADA, [make_event("logged")])
    for _ in range(2):
        stored.ward.release(kept[1:], [])
    assert stored.store.load_quarantined(ADA) == kept[:1]
    assert len(stored.store.load_events(ADA)) == 1


def test_messages_of_a_window_are_counted_once_each(stored: Stored) -> None:
    def tally(*messages: str, window: str = "w", identity: str = ADA) -> int:
        return stored.ward.tally(identity, window, messages, 100, AT)

    assert tally("a", "b") == 2
    assert tally("b", "c") == 3
    assert tally("c") == 3
    assert tally("a", window="other") == 1
    assert tally("a", identity=VISITOR) == 1
    assert stored.ward.find_held([ADA]) == {}


def test_no_more_is_counted_than_shows_a_burst(stored: Stored) -> None:
    assert stored.ward.tally(ADA, "w", [f"m{place}" for place in range(9)], 10, AT) == 9
    assert stored.ward.tally(ADA, "w", [f"n{place}" for place in range(9)], 10, AT) >= 10
    assert stored.ward.tally(ADA, "w", ["one more"], 10, AT) >= 10


def test_erasing_finds_events_and_marks(stored: Stored) -> None:
    stored.ward.keep([make_kept("m1"), make_kept("m2"), make_kept("m3", VISITOR)])
    stored.ward.hold([ADA, VISITOR], Reason.INTERNAL_DOMAIN, AT)
    stored.ward.tally(ADA, "w", ["m1"], 10, AT)
    stored.store.put_events(ADA, [make_event("logged")])
    name = pseudonym(ADA)
    keys = list(stored.graves.walk_quarantined(name))
    assert len(keys) == 2
    assert len(list(stored.graves.walk_log(name))) == 1
    stored.graves.remove_events(name, keys)
    for _ in range(2):
        stored.graves.remove_marks(name)
    assert stored.store.load_quarantined(ADA) == []
    assert stored.ward.find_held([ADA, VISITOR]) == {VISITOR: Reason.INTERNAL_DOMAIN}
    assert stored.ward.tally(ADA, "w", ["m2"], 10, AT) == 1
    assert len(stored.store.load_quarantined(VISITOR)) == len(stored.store.load_events(ADA)) == 1


def received(place: int) -> str:
    return f"2026-02-01T00:{place:02d}:00.000Z"


def test_the_journal_has_all_of_a_reason_from_the_newest_back(table: DynamoWard) -> None:
    kept = [make_kept(f"m{place}", f"user:{place % 5}", receivedAt=received(place)) for place in range(40)]
    table.keep(kept)
    table.keep([make_kept("other", reason=Reason.BURST, receivedAt=received(20))])
    assert [each.event["messageId"] for each in table.load(list(table.walk([Reason.BOT])))] == [
        f"m{place}" for place in reversed(range(40))
    ]
    assert (table.count(Reason.BOT), table.count(Reason.BURST), table.count(Reason.PREFETCH)) == (40, 1, 0)
    assert len(list(table.walk([Reason.BOT, Reason.BURST]))) == 41
    assert table.count(Reason.BOT, received(30)) == len(list(table.walk([Reason.BOT], received(30)))) == 10
    assert len(list(table.walk(list(Reason), received(20)))) == 21


def test_the_journal_is_walked_beyond_a_page(table: DynamoWard) -> None:
    message = "long" * 20
    table.keep([make_kept(f"{message}{place}", properties={"filler": "x" * 30_000}) for place in range(60)])
    assert len(table.load(list(table.walk([Reason.BOT])))) == 60


def test_what_is_gone_by_now_is_left_out(table: DynamoWard) -> None:
    kept = [make_kept("m1"), make_kept("m2")]
    table.keep(kept)
    keys = list(table.walk([Reason.BOT]))
    table.release(kept[:1], [])
    assert table.load(keys) == kept[1:]
    assert table.count(Reason.BOT) == 1


def test_everything_has_its_time_to_live(table: DynamoWard) -> None:
    table.keep([make_kept("m1")])
    table.hold([ADA], Reason.INTERNAL_DOMAIN, AT)
    table.tally(ADA, "w", ["m1"], 10, AT)

    def expires(key: Any) -> int:
        return int(boto3.client("dynamodb").get_item(TableName=TABLE, Key=key)["Item"]["expires_at"]["N"])

    event_received = parse_instant(str(make_event("m1")["receivedAt"]))
    assert expires(quarantined_key(ADA, "m1")) * 1000 == event_received + RETENTION_DAYS * DAY
    assert expires(held_key(ADA)) * 1000 == AT + RETENTION_DAYS * DAY
    assert expires(tally_key(ADA, "w")) * 1000 == AT + 6 * HOUR
