"""Events that must not count are kept beside the log, and count once they are cleared; nothing is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadscore import parse_ruleset
from leadscore.core.identity import Identity
from leadscore.core.instants import DAY, Millis, from_datetime
from leadscore.quarantine import Reason, parse_quarantine
from leadscore.usecases.batches import BatchOutcome, Queues, score_batch
from leadscore.usecases.erasing import erase_lead
from leadscore.usecases.exporting import export_lead
from leadscore.usecases.forest import find_path, load_kept
from leadscore.usecases.quarantining import Gate, clear
from leadscore.usecases.records import Event, Grave, Quarantined, StoredIdentity
from leadscore.usecases.scoring import Tools
from leadscore.usecases.standing import read_lead
from tests.contract.memory_desks import MemoryDesks
from tests.contract.memory_store import MemoryStore
from tests.unit.test_user_agents import CRAWLERS, PEOPLE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRAVE = Grave(from_datetime(NOW), from_datetime(NOW) + 1_000 * DAY)
PERSON, BOT = PEOPLE[0], CRAWLERS[0]
RULES = parse_ruleset(
    {
        "identity": {"email": True},
        "tiers": [{"name": "hot", "from": 50}, {"name": "cold"}],
        "criteria": [
            {"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 60},
            {"id": "visit", "group": "engagement", "event": {"type": ["page"]}, "points": 10},
        ],
    }
)
OURS = {"bots": True, "internal": {"domains": ["acme.example"]}, "bursts": {"events": 40, "within": "10s"}}


class Queue:
    """Keeps what is sent; refuses while `down`."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.down = False

    def send_all(self, bodies: Sequence[str]) -> None:
        if self.down:
            raise ConnectionError("the queue is down")
        self.bodies += bodies


class Counting(MemoryStore):
    """Counts the calls that a gate makes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def find_logged(self, events: Sequence[tuple[Identity, Event]]) -> frozenset[str]:
        self.calls.append("find_logged")
        return super().find_logged(events)

    def find_held(self, identities: Collection[Identity]) -> dict[Identity, Reason]:
        self.calls.append("find_held")
        return super().find_held(identities)

    def hold(self, identities: Collection[Identity], reason: Reason, at: Millis) -> None:
        self.calls += [f"hold {name}" for name in identities]
        super().hold(identities, reason, at)

    def tally(self, identity: Identity, window: str, messages: Collection[str], most: int, at: Millis) -> int:
        self.calls.append("tally")
        return super().tally(identity, window, messages, most, at)

    def keep(self, quarantined: Sequence[Quarantined]) -> frozenset[str]:
        self.calls.append("keep")
        return super().keep(quarantined)


class Choosy(MemoryStore):
    """Keeps no event with the id `poison`."""

    def keep(self, quarantined: Sequence[Quarantined]) -> frozenset[str]:
        if any(each.event["messageId"] == "poison" for each in quarantined):
            raise ConnectionError("the table is down")
        return super().keep(quarantined)


def make_event(message: str, kind: str = "page", age: timedelta = timedelta(), **more: object) -> dict[str, Any]:
    at = (NOW - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    named = {"userId": "ada"} if not {"userId", "anonymousId"} & more.keys() else {}
    return {"messageId": message, "type": kind, "timestamp": at, "receivedAt": at, **named, **more}


def from_ingest(event: Event, agent: str | None = PERSON, **marks: object) -> str:
    edge = {"ip": "192.0.2.1", **({"userAgent": agent} if agent else {})}
    return json.dumps({"event": event, "source": "web", "edge": edge, **marks})


def run(store: MemoryStore, *bodies: str, rules: object = OURS, received: int = 1) -> BatchOutcome:
    """Score the bodies as one batch behind a gate, and what it sends to the events queue after it."""
    events = Queue()
    gate = None if rules is None else Gate(parse_quarantine(json.dumps(rules)), store)
    attributes = {"ApproximateReceiveCount": str(received)}
    records: list[Any] = [
        {"messageId": f"sqs-{place}", "body": body, "attributes": attributes} for place, body in enumerate(bodies)
    ]
    tools = Tools(store, RULES, lambda: NOW, lambda _: None)
    outcome = score_batch(tools, Queues(events, Queue()), records, store, None, gate)
    if events.bodies:
        run(store, *events.bodies, rules=rules)
    return outcome


def kept_in(store: MemoryStore) -> dict[str, tuple[Identity, Reason]]:
    return {
        message: (name, each.reason) for name, events in store.quarantined.items() for message, each in events.items()
    }


def points(store: MemoryStore, who: str) -> float | None:
    view = read_lead(store, RULES, who, NOW)
    return None if view is None else view.score.total


def clear_all(store: MemoryStore) -> list[str]:
    """Clear everything; return what is on the events queue then."""
    queue = Queue()
    clear(store, queue, [each for name in list(store.quarantined) for each in store.load_quarantined(name)])
    return queue.bodies


TRIAL = make_event("t1", "track", event="Trial Started")
INTERNAL = make_event("i1", "identify", anonymousId="laptop", userId="eve", traits={"email": "eve@acme.example"})


def test_a_bots_event_is_kept_beside_the_log_and_is_worth_nothing() -> None:
    store = MemoryStore()
    outcome = run(store, from_ingest(TRIAL, BOT), from_ingest(make_event("p1"), PERSON))
    assert (outcome.scored, outcome.retry) == (1, [])
    assert kept_in(store) == {"t1": ("user:ada", Reason.BOT)}
    assert [event["messageId"] for event in store.load_events("user:ada")] == ["p1"]
    assert points(store, "ada") == 10.0
    [kept] = outcome.quarantined
    assert (kept.event, kept.source, kept.at, kept.imported) == (TRIAL, "web", from_datetime(NOW), False)


def test_no_address_is_kept_with_it() -> None:
    store = MemoryStore()
    run(store, from_ingest(TRIAL, BOT))
    assert "192.0.2.1" not in str(store.quarantined)


def test_what_is_of_the_bus_is_judged_and_known_by_its_sender() -> None:
    store = MemoryStore()
    detail = {"type": "track", "event": "Trial Started", "userId": "bo", "context": {"userAgent": BOT}}
    envelope = {"id": "e1", "source": "app.crm", "detail-type": "track", "time": "2026-03-01T12:00:00Z"}
    outcome = run(store, json.dumps({**envelope, "detail": detail}))
    assert [(each.source, each.reason) for each in outcome.quarantined] == [("app.crm", Reason.BOT)]
    assert points(store, "bo") is None


def test_without_a_gate_everything_counts() -> None:
    store = MemoryStore()
    run(store, from_ingest(TRIAL, BOT), rules=None)
    assert points(store, "ada") == 60.0


def test_a_redelivery_keeps_it_once_and_counts_it_once() -> None:
    store = MemoryStore()
    run(store, from_ingest(TRIAL, BOT))
    again = run(store, from_ingest(TRIAL, BOT), from_ingest(TRIAL, BOT))
    assert (again.quarantined, again.retry, len(kept_in(store))) == ([], [], 1)


def test_of_two_copies_in_one_batch_one_is_counted() -> None:
    store = MemoryStore()
    assert len(run(store, from_ingest(TRIAL, BOT), from_ingest(TRIAL, BOT)).quarantined) == 1


def test_what_is_logged_already_counts_whatever_is_judged_now() -> None:
    """A crash may have come between the log and the lead: its redelivery must finish that."""
    store = MemoryStore()
    store.put_events("user:ada", [TRIAL])
    run(store, from_ingest(TRIAL, BOT))
    assert kept_in(store) == {}
    assert points(store, "ada") == 60.0
    assert store.identities["user:ada"].body is not None


def test_whoever_gives_an_internal_address_counts_no_more_by_any_id() -> None:
    store = MemoryStore()
    run(store, from_ingest(INTERNAL))
    assert set(store.marks) == {"user:eve", "anonymous:laptop", "email:eve@acme.example"}
    later = [
        make_event("p1", userId="eve"),
        make_event("p2", anonymousId="laptop"),
        make_event("p3", userId="customer", anonymousId="laptop"),
    ]
    run(store, *map(from_ingest, later), from_ingest(make_event("p4", userId="other")))
    assert kept_in(store) == {
        "i1": ("user:eve", Reason.INTERNAL_DOMAIN),
        "p1": ("user:eve", Reason.INTERNAL_DOMAIN),
        "p2": ("anonymous:laptop", Reason.INTERNAL_DOMAIN),
        "p3": ("user:customer", Reason.INTERNAL_DOMAIN),
    }
    assert set(store.marks) == {"user:eve", "anonymous:laptop", "email:eve@acme.example"}
    assert [points(store, who) for who in ("eve", "laptop", "customer", "other")] == [None, None, None, 10.0]


@pytest.mark.parametrize("order", [1, -1])
def test_within_a_batch_the_order_does_not_matter(order: int) -> None:
    store = MemoryStore()
    run(store, *[from_ingest(event) for event in (INTERNAL, make_event("p1", anonymousId="laptop"))[::order]])
    assert set(kept_in(store)) == {"i1", "p1"}


def test_who_is_marked_is_not_marked_again() -> None:
    store = Counting()
    run(store, from_ingest(INTERNAL))
    again = make_event("i2", "identify", userId="eve", traits={"email": "eve@acme.example"})
    run(store, from_ingest(again))
    assert sorted(call for call in store.calls if call.startswith("hold")) == [
        "hold anonymous:laptop",
        "hold email:eve@acme.example",
        "hold user:eve",
    ]


def burst(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Return events a tenth of a second apart, within one window of ten seconds."""
    return [make_event(f"b{first + place}", age=-timedelta(milliseconds=100 * place)) for place in range(count)]


def test_a_burst_is_kept_from_the_batch_on_that_shows_it() -> None:
    store = MemoryStore()
    assert run(store, *map(from_ingest, burst(30))).quarantined == []
    kept = run(store, *map(from_ingest, burst(30, first=30))).quarantined
    assert {each.reason for each in kept} == {Reason.BURST}
    assert {str(each.event["messageId"]) for each in kept} == {f"b{place}" for place in range(30, 60)}
    assert len(store.load_events("user:ada")) == 30
    # What goes on is seen even though the log has no more of it.
    assert len(run(store, *map(from_ingest, burst(10, first=60))).quarantined) == 10


def test_what_was_found_a_burst_is_one_when_it_comes_again_alone() -> None:
    store = MemoryStore()
    found = [from_ingest(event) for event in burst(60)]
    assert len(run(store, *found).quarantined) == 60
    # As after a crash before it was acknowledged, and before it was kept.
    store.quarantined.clear()
    assert len(run(store, found[0], received=2).quarantined) == 1
    assert run(store, from_ingest(burst(1, first=90)[0])).quarantined == []


def test_many_people_at_once_are_no_burst() -> None:
    store = MemoryStore()
    crowd = [make_event(f"c{place}", userId=f"u{place % 10}") for place in range(90)]
    assert run(store, *map(from_ingest, crowd)).quarantined == []


def test_a_message_that_comes_again_is_no_burst() -> None:
    store = MemoryStore()
    for _ in range(5):
        assert run(store, *map(from_ingest, burst(12))).quarantined == []


def test_what_was_offline_comes_in_a_lump_and_counts() -> None:
    store = MemoryStore()
    received = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    lump = [{**make_event(f"o{m}", age=timedelta(minutes=m)), "receivedAt": received} for m in range(90)]
    assert run(store, *map(from_ingest, lump)).quarantined == []


def test_history_is_no_burst_and_is_judged_otherwise() -> None:
    store = MemoryStore()
    bodies = [from_ingest(event, None, imported=True) for event in burst(90)]
    bot = make_event("bot", context={"userAgent": BOT})
    outcome = run(store, *bodies, from_ingest(bot, None, imported=True))
    assert [(each.event["messageId"], each.imported) for each in outcome.quarantined] == [("bot", True)]
    assert len(store.load_events("user:ada")) == 90


def test_a_batch_with_nothing_suspicious_costs_nothing() -> None:
    store = Counting()
    quiet = {"bots": True, "bursts": {"events": 100, "within": "10s"}, "internal": {"ips": ["10.0.0.0/8"]}}
    run(store, *map(from_ingest, burst(9)), *[from_ingest(make_event(f"x{i}", userId=f"u{i}")) for i in range(90)])
    assert store.calls == ["find_held"]
    store.calls.clear()
    run(store, *map(from_ingest, burst(9, first=20)), rules=quiet)
    run(store, json.dumps({"refresh": "user:ada"}))
    assert store.calls == []


def test_an_instant_that_cannot_be_read_is_no_part_of_a_burst() -> None:
    store = MemoryStore()
    bodies = [from_ingest({**make_event(f"n{place}", userId="odd"), "timestamp": "soon"}) for place in range(50)]
    outcome = run(store, *bodies, from_ingest(TRIAL))
    assert outcome.quarantined == []
    assert points(store, "ada") == 60.0


def test_one_that_cannot_be_kept_does_not_stop_its_neighbours() -> None:
    store = Choosy()
    poison = make_event("poison", context={"userAgent": BOT})
    outcome = run(store, from_ingest(poison), from_ingest(make_event("other"), BOT), from_ingest(TRIAL))
    assert outcome.retry == ["sqs-0"]
    assert outcome.failures[0].reason == "an event was not judged"
    assert kept_in(store) == {"other": ("user:ada", Reason.BOT)}
    assert points(store, "ada") == 60.0


def test_what_is_cleared_is_not_judged_and_counts() -> None:
    store = MemoryStore()
    run(store, from_ingest(TRIAL, BOT))
    [body] = clear_all(store)
    assert json.loads(body) == {"event": TRIAL, "source": "web", "cleared": True}
    assert kept_in(store) == {}
    assert run(store, body).quarantined == []
    assert points(store, "ada") == 60.0


def test_clearing_unmarks_and_the_next_events_count() -> None:
    store = MemoryStore()
    run(store, from_ingest(INTERNAL), from_ingest(make_event("p1", anonymousId="laptop")))
    run(store, *clear_all(store))
    assert store.marks == {}
    run(store, from_ingest(make_event("t2", "track", userId="eve", event="Trial Started")))
    assert points(store, "eve") == 70.0
    assert points(store, "laptop") == 70.0


def test_clearing_bots_leaves_our_own_people_marked() -> None:
    store = MemoryStore()
    run(store, from_ingest(INTERNAL), from_ingest(make_event("p1", userId="eve"), BOT))
    held = dict(store.marks)
    clear(store, Queue(), [each for each in store.load_quarantined("user:eve") if each.reason is Reason.BOT])
    assert store.marks == held
    assert len(held) == 3


def test_history_is_still_history_once_it_is_cleared() -> None:
    store = MemoryStore()
    run(store, from_ingest(make_event("h1"), BOT, imported=True))
    [body] = clear_all(store)
    assert json.loads(body)["imported"] is True


def test_a_crash_between_sending_and_removing_is_harmless() -> None:
    store, queue = MemoryStore(), Queue()
    run(store, from_ingest(TRIAL, BOT), from_ingest(INTERNAL))
    before, marks = kept_in(store), dict(store.marks)
    queue.down = True
    kept = [*store.load_quarantined("user:ada"), *store.load_quarantined("user:eve")]
    with pytest.raises(ConnectionError):
        clear(store, queue, kept)
    assert (kept_in(store), store.marks) == (before, marks)
    first = [json.dumps({"event": TRIAL, "source": "web", "cleared": True})]
    run(store, *first)
    run(store, *clear_all(store))
    assert clear_all(store) == []
    assert points(store, "ada") == 60.0


def erase(store: MemoryStore, who: str) -> object:
    return erase_lead(store, store, Queue(), who, GRAVE, lambda _: None)


def personal(store: MemoryStore) -> str:
    quarantined = {name: kept for name, kept in store.quarantined.items() if kept}
    return str((quarantined, store.marks, store.tallies, {name: log for name, log in store.log.items() if log}))


def test_who_is_only_known_by_what_does_not_count_is_erased_whole() -> None:
    store = MemoryStore()
    run(store, from_ingest(INTERNAL), from_ingest(make_event("p1", anonymousId="laptop")))
    assert find_path(store, "eve") == []
    assert erase(store, "eve") is not None
    assert personal(store) == str(({}, {}, {}, {}))
    run(store, from_ingest(make_event("p2", userId="eve"), BOT))
    assert personal(store) == str(({}, {}, {}, {}))


def test_erasing_removes_what_does_not_count_with_what_does() -> None:
    store = MemoryStore()
    run(store, from_ingest(TRIAL), from_ingest(make_event("p1"), BOT), *map(from_ingest, burst(30)))
    run(store, from_ingest(make_event("x1", userId="other"), BOT))
    receipt = erase(store, "ada")
    assert getattr(receipt, "events", None) == 32
    assert set(kept_in(store)) == {"x1"}
    assert store.tallies == {}


def test_what_belongs_to_another_is_neither_erased_nor_exported_with_it() -> None:
    store = MemoryStore()
    run(store, from_ingest(make_event("j1", userId="bob", anonymousId="shared")))
    run(store, from_ingest(make_event("q1", anonymousId="shared"), BOT))
    run(store, from_ingest(make_event("q2", userId="ada", anonymousId="shared"), BOT))
    ada = [StoredIdentity("user:ada")]
    assert [each.event["messageId"] for each in load_kept(store, ada)] == ["q2"]
    erase(store, "ada")
    assert set(kept_in(store)) == {"q1"}


def test_what_comes_of_the_erased_meanwhile_is_swept_up() -> None:
    store, sweeps = MemoryStore(), Queue()
    run(store, from_ingest(TRIAL))
    erase_lead(store, store, sweeps, "ada", GRAVE, lambda _: None)
    store.keep([Quarantined("user:ada", make_event("late"), Reason.BOT, "web", 0)])
    store.hold(["user:ada"], Reason.INTERNAL_DOMAIN, 0)
    for body in sweeps.bodies:
        run(store, body)
    assert personal(store) == str(({}, {}, {}, {}))


def test_an_export_has_what_does_not_count_and_why() -> None:
    store = MemoryStore()
    run(store, from_ingest(TRIAL), from_ingest(make_event("p1"), BOT), from_ingest(INTERNAL))
    lines = [json.loads(line) for line in (export_lead(store, MemoryDesks(), RULES, "ada", NOW) or "").splitlines()]
    assert [line["kind"] for line in lines][-2:] == ["quarantined", "page"]
    assert (lines[-2]["reason"], lines[-2]["identity"], lines[-2]["event"]["messageId"]) == ("bot", "user:ada", "p1")
    hidden = [json.loads(line) for line in (export_lead(store, MemoryDesks(), RULES, "eve", NOW) or "").splitlines()]
    assert [line["kind"] for line in hidden] == ["lead", "quarantined", "page"]
    assert hidden[0]["score"]["total"] == 0
