"""A person that is erased is gone, stays gone, and takes nobody along; whatever others were doing at the moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leadscore import parse_ruleset
from leadscore.core.identity import pseudonym
from leadscore.core.instants import from_datetime
from leadscore.usecases import erasing
from leadscore.usecases.batches import BatchOutcome, Queues, score_batch
from leadscore.usecases.erasing import Receipt, Sweep, erase_lead, sweep_up
from leadscore.usecases.gathering import Depth
from leadscore.usecases.records import ConflictError, Event, Grave, StoredIdentity
from leadscore.usecases.retrying import ContentionError
from leadscore.usecases.scoring import Tools, apply_events, refresh
from leadscore.usecases.standing import read_lead
from tests.contract.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRAVE = Grave(from_datetime(NOW), from_datetime(NOW + timedelta(days=1095)))
ADA, VISITOR, LAPTOP, MAIL = "user:ada", "anonymous:phone", "anonymous:laptop", "email:ada@acme.example"
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


class Queue:
    """Keeps what is sent; refuses while `down`."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.down = False

    def send_all(self, bodies: Sequence[str]) -> None:
        if self.down:
            raise ConnectionError("the queue is down")
        self.bodies += bodies


class Interrupted(MemoryStore):
    """Lets something else happen just before an erasure's n-th transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, Callable[[], object]] = {}
        self.transactions: list[int] = []

    def bury(self, written: Sequence[StoredIdentity], grave: Grave) -> None:
        happens = self.before.pop(len(self.transactions), None)
        self.transactions.append(len(written))
        if happens is not None:
            happens()
        super().bury(written, grave)


class Crash(Exception):
    """The process ends here."""


def crash() -> None:
    raise Crash


def make_event(message: str, kind: str = "track", minutes: float = 0, **more: object) -> Event:
    at = (NOW - timedelta(days=1) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    time = at.replace("+00:00", "Z")
    named = {"userId": "ada"} if not {"userId", "anonymousId"} & more.keys() else {}
    return {"messageId": message, "type": kind, "timestamp": time, "receivedAt": time, **named, **more}


def score(store: MemoryStore, *messages: Event | str, sent: Queue | None = None) -> BatchOutcome:
    bodies = [one if isinstance(one, str) else json.dumps({"event": one}) for one in messages]
    tools = Tools(store, RULES, lambda: NOW, lambda _: None)
    records = [{"messageId": f"sqs-{i}", "body": body} for i, body in enumerate(bodies)]
    return score_batch(tools, Queues(sent or Queue(), Queue()), records, store)


def erase(store: MemoryStore, who: str = "ada", sweeps: Queue | None = None) -> Receipt | None:
    return erase_lead(store, store, sweeps or Queue(), who, GRAVE, lambda _: None)


TRIAL = make_event("m1", event="Trial Started")
LIFE: tuple[Event, ...] = (
    TRIAL,
    make_event("v1", "page", anonymousId="phone"),
    make_event("v2", "page", anonymousId="laptop"),
    make_event("j1", "identify", userId="ada", anonymousId="phone", traits={"email": "ada@acme.example"}),
    make_event("j2", "identify", minutes=1, anonymousId="laptop", traits={"email": "ada@acme.example"}),
    make_event("g1", "group", groupId="acme", traits={"employees": 300}),
    make_event("g2", "group", minutes=2, groupId="beta"),
)
TREE = {ADA, VISITOR, LAPTOP, MAIL}


def make_ada(store: MemoryStore) -> MemoryStore:
    assert score(store, *LIFE[:-1]).retry == score(store, LIFE[-1]).retry == []
    owners = {name: one.owner.owner for name, one in store.identities.items() if one.owner is not None}
    assert owners == {VISITOR: ADA, LAPTOP: MAIL, MAIL: ADA}
    return store


def personal(store: MemoryStore) -> str:
    """Return all that the store holds but for the tombstones, as text."""
    kept = {name: one for name, one in store.identities.items() if not one.erased}
    members = {account: names for account, names in store.members.items() if names}
    assert {name for name, noted in store.noted.items() if noted} == {
        pseudonym(name) for one in members.values() for name in one
    }
    return str((kept, {name: log for name, log in store.log.items() if log}, members))


@pytest.mark.parametrize("who", ["ada", "phone", "laptop", "anonymous:laptop", "ada@acme.example", "user:ada"])
def test_by_any_of_its_ids_the_whole_person_goes(who: str) -> None:
    store = make_ada(MemoryStore())
    pending = len(store.pending(ADA))
    assert pending == 1
    assert erase(store, who) == Receipt(
        erased_at="2026-03-01T12:00:00.000Z", identities=4, events=7, pending_changes=pending, memberships=2
    )
    assert {name for name, one in store.identities.items() if one.erased} == TREE
    assert personal(store) == str(({}, {}, {}))
    assert read_lead(store, RULES, who, NOW) is None
    assert list(store.walk_ranking()) == []


def test_the_account_keeps_its_own_traits() -> None:
    store = make_ada(MemoryStore())
    erase(store)
    assert '"employees"' in store.accounts["acme"].state


def test_of_an_account_that_the_log_has_forgotten_the_membership_goes_too() -> None:
    store = make_ada(MemoryStore())
    for name in ("g1", "g2"):
        del store.log[ADA][name]
    receipt = erase(store)
    assert receipt is not None
    assert (receipt.memberships, store.members) == (2, {"acme": set(), "beta": set()})


def test_nobody_known_is_nobody_erased() -> None:
    store = make_ada(MemoryStore())
    sweeps = Queue()
    assert erase(store, "eve", sweeps) is None
    assert sweeps.bodies == []
    assert read_lead(store, RULES, "ada", NOW) is not None


def test_whose_events_have_all_matched_nothing_is_erased_as_well() -> None:
    store = MemoryStore()
    score(store, make_event("m1", event="Slept"))
    assert ADA not in store.identities
    sweeps = Queue()
    receipt = erase(store, sweeps=sweeps)
    assert receipt is not None
    assert (receipt.identities, receipt.events, personal(store)) == (1, 1, str(({}, {}, {})))
    assert sweeps.bodies == [Sweep((pseudonym(ADA),)).body()]
    score(store, TRIAL)
    assert store.log[ADA] == {}


def test_erasing_again_removes_nothing_and_tells_the_first_instant() -> None:
    store = make_ada(MemoryStore())
    erase(store)
    later, sweeps = Grave(GRAVE.erased_at + 5, GRAVE.expires_at + 5), Queue()
    for who in ("ada", "phone"):
        again = erase_lead(store, store, sweeps, who, later, lambda _: None)
        assert again == Receipt("2026-03-01T12:00:00.000Z")
    assert sweeps.bodies == []


@pytest.mark.parametrize(
    "late",
    [
        TRIAL,
        make_event("n1", event="Trial Started"),
        make_event("n2", "page", anonymousId="phone"),
        make_event("n3", "page", anonymousId="laptop"),
        make_event("n4", "identify", anonymousId="new-device", traits={"email": "Ada@acme.example "}),
        make_event("n5", "page", userId="ada", anonymousId="new-device"),
        make_event("n6", "group", groupId="gamma", traits={"plan": "pro"}),
        json.dumps({"refresh": ADA}),
        json.dumps({"refresh": LAPTOP}),
        json.dumps({"account": "acme", "after": ""}),
    ],
    ids=str,
)
def test_what_comes_late_resurrects_nobody(late: Event | str) -> None:
    store = make_ada(MemoryStore())
    erase(store)
    before = {name: store.identities[name] for name in TREE}
    assert score(store, late).retry == []
    assert {name: store.identities[name] for name in TREE} == before
    assert personal(store) == str(({}, {}, {}))


def test_another_person_cannot_win_what_was_erased() -> None:
    store = make_ada(MemoryStore())
    erase(store)
    score(
        store,
        make_event("b1", userId="bob", minutes=-60, anonymousId="phone", event="Trial Started"),
        make_event("b2", "identify", userId="bob", minutes=-60, traits={"email": "ada@acme.example"}),
    )
    view = read_lead(store, RULES, "bob", NOW)
    assert view is not None
    assert (view.identities, view.score.total) == (["user:bob"], 60.0)
    assert store.identities[VISITOR] == replace(store.identities[VISITOR], owner=None, erased=True)


def test_who_took_a_device_over_forgets_from_whom_and_keeps_it() -> None:
    store = make_ada(MemoryStore())
    score(store, make_event("b1", "page", userId="bob", minutes=-60, anonymousId="phone"))
    assert store.identities[VISITOR].former == (ADA,)
    before = read_lead(store, RULES, "bob", NOW)
    receipt = erase(store)
    assert receipt is not None
    assert receipt.identities == 3
    assert "ada" not in personal(store)
    after = read_lead(store, RULES, "bob", NOW)
    assert before is not None
    assert after == before
    assert set(after.identities) == {"user:bob", VISITOR}


def test_an_erased_person_leaves_its_neighbours_alone() -> None:
    store = make_ada(MemoryStore())
    score(
        store,
        make_event("b1", userId="bob", event="Trial Started"),
        make_event("b2", "group", userId="bob", groupId="acme"),
    )
    before = store.identities["user:bob"]
    erase(store)
    assert store.identities["user:bob"] == before
    assert store.members["acme"] == {"user:bob"}
    assert len(store.log["user:bob"]) == 2


# Who was at work at the moment.


def test_a_worker_that_had_read_the_lead_cannot_write_it_again() -> None:
    store = make_ada(MemoryStore())
    read = store.identities[ADA]
    erase(store)
    for late in (replace(read, version=read.version + 1), replace(read, version=1)):
        with pytest.raises(ConflictError):
            store.commit([late])


@pytest.mark.parametrize("identity", [ADA, VISITOR])
def test_a_worker_that_was_about_to_read_the_lead_writes_nothing_but_its_log(identity: str) -> None:
    """It had grouped its batch before; the sweep deletes what it logs."""
    store = make_ada(MemoryStore())
    erase(store)
    tools = Tools(store, RULES, lambda: NOW, lambda _: None)
    before = dict(store.identities)
    group = make_event("n1", "group", anonymousId="new-device", userId="ada", groupId="gamma")
    assert apply_events(tools, {identity: [TRIAL, group]}).pending == frozenset()
    assert refresh(tools, identity, Depth.ALL).pending == frozenset()
    assert (store.identities, store.members) == (before, {"acme": set(), "beta": set()})


def test_events_that_come_while_it_is_erased_are_swept_up_later() -> None:
    store, sweeps = make_ada(Interrupted()), Queue()
    assert isinstance(store, Interrupted)

    def work_of_another() -> None:
        store.put_events(ADA, [make_event("late", "group", groupId="gamma")])
        store.add_member("gamma", ADA)

    store.before[0] = work_of_another
    receipt = erase(store, sweeps=sweeps)
    assert receipt is not None
    assert (receipt.events, set(store.log[ADA])) == (7, {"late"})
    sent = Queue()
    assert score(store, *sweeps.bodies, sent=sent).retry == []
    assert personal(store) == str(({}, {}, {}))
    assert sent.bodies == []


def test_a_membership_that_another_identity_would_have_brought_is_swept_up_too() -> None:
    """Whoever was joining it to the lead had noted the lead, and could not write it any more."""
    store, sweeps = make_ada(MemoryStore()), Queue()
    erase(store, sweeps=sweeps)
    store.add_member("gamma", ADA)
    score(store, *sweeps.bodies)
    assert personal(store) == str(({}, {}, {}))


def test_a_lead_that_grows_meanwhile_goes_with_all_that_it_has_grown() -> None:
    store = make_ada(Interrupted())
    assert isinstance(store, Interrupted)
    store.before[0] = lambda: score(store, make_event("n1", "page", userId="ada", anonymousId="tablet"))
    receipt = erase(store)
    assert receipt is not None
    assert (receipt.identities, len(store.transactions)) == (5, 2)
    assert personal(store) == str(({}, {}, {}))


def test_a_lead_that_is_always_being_written_is_left_as_it_is() -> None:
    store = make_ada(Interrupted())
    assert isinstance(store, Interrupted)
    pages = (make_event(f"n{i}", "page", userId="ada", anonymousId=f"device-{i}") for i in range(99))
    for i in range(20):
        store.before[i] = lambda: score(store, next(pages))
    sweeps = Queue()
    with pytest.raises(ContentionError):
        erase(store, sweeps=sweeps)
    before = personal(store)
    score(store, *sweeps.bodies)
    assert personal(store) == before
    assert not any(one.erased for one in store.identities.values())


def test_a_device_that_changes_hands_meanwhile_does_not_take_its_former_owner_along() -> None:
    """The way up led to Ada; when her item was read, the device was Bob's."""
    store = make_ada(MemoryStore())

    class Moving(MemoryStore):
        def load_identities(self, wanted: Collection[str]) -> dict[str, StoredIdentity]:
            found = store.load_identities(wanted)
            if VISITOR in found and not moved:
                moved.append(True)
                score(store, make_event("b1", "page", userId="bob", minutes=-60, anonymousId="phone"))
            return found

    moved: list[bool] = []
    reader = Moving()
    reader.identities, reader.log = store.identities, store.log
    receipt = erase_lead(reader, store, Queue(), "anonymous:phone", GRAVE, lambda _: None)
    assert moved
    assert receipt is not None
    assert store.identities["user:bob"].erased
    assert store.identities[VISITOR].erased
    assert not store.identities[ADA].erased


def test_a_crash_before_the_lead_is_buried_changes_nothing_not_even_by_the_sweep() -> None:
    store, sweeps = make_ada(Interrupted()), Queue()
    assert isinstance(store, Interrupted)
    before = personal(store)
    store.before[0] = crash
    with pytest.raises(Crash):
        erase(store, sweeps=sweeps)
    assert sweeps.bodies
    assert score(store, *sweeps.bodies).retry == []
    assert personal(store) == before


def test_a_queue_that_is_down_leaves_the_lead_as_it_is() -> None:
    store, sweeps = make_ada(MemoryStore()), Queue()
    before = personal(store)
    sweeps.down = True
    with pytest.raises(ConnectionError):
        erase(store, sweeps=sweeps)
    assert personal(store) == before


@pytest.mark.parametrize("step", ["remove_events", "remove_memberships"])
def test_a_crash_after_the_lead_is_buried_is_made_good_by_the_sweep(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, sweeps = make_ada(MemoryStore()), Queue()
    with monkeypatch.context() as patch:
        patch.setattr(store, step, lambda *_: crash())
        with pytest.raises(Crash):
            erase(store, sweeps=sweeps)
    assert read_lead(store, RULES, "ada", NOW) is None
    score(store, *sweeps.bodies)
    assert personal(store) == str(({}, {}, {}))


def with_many_devices(store: MemoryStore, count: int) -> MemoryStore:
    for i in range(count):
        score(store, make_event(f"d{i}", "page", userId="ada", anonymousId=f"device-{i}"))
        store.put_events(f"anonymous:device-{i}", [make_event(f"a{i}", "page", anonymousId=f"device-{i}")])
    return store


def test_more_identities_than_one_transaction_takes_all_go() -> None:
    store = with_many_devices(Interrupted(), 230)
    assert isinstance(store, Interrupted)
    receipt = erase(store)
    assert receipt is not None
    assert (receipt.identities, receipt.events, store.transactions) == (231, 460, [100, 100, 31])
    assert personal(store) == str(({}, {}, {}))


def test_a_conflict_half_way_is_tried_again() -> None:
    store = with_many_devices(Interrupted(), 120)
    assert isinstance(store, Interrupted)

    def touch() -> None:
        name, left = next((name, one) for name, one in store.identities.items() if not one.erased)
        store.identities[name] = replace(left, version=left.version + 1)

    store.before[1] = touch
    receipt = erase(store)
    assert receipt is not None
    assert (receipt.identities, store.transactions) == (121, [100, 21, 21])
    assert personal(store) == str(({}, {}, {}))


def test_a_crash_half_way_through_many_identities_is_made_good_by_the_sweep() -> None:
    store, sweeps = with_many_devices(Interrupted(), 150), Queue()
    assert isinstance(store, Interrupted)
    store.before[1] = crash
    with pytest.raises(Crash):
        erase(store, sweeps=sweeps)
    assert read_lead(store, RULES, "ada", NOW) is None
    left = next(name for name, one in store.identities.items() if not one.erased)
    again = erase(store, left)
    assert again == Receipt("2026-03-01T12:00:00.000Z")

    score(store, make_event("n1", "page", anonymousId=left.partition(":")[2]))
    assert store.log[left].keys().isdisjoint({"n1"})
    stolen = make_event("b1", "page", userId="bob", minutes=-60, anonymousId=left.partition(":")[2])
    assert score(store, stolen).retry == ["sqs-0"]
    assert store.identities[ADA].erased

    assert score(store, *sweeps.bodies).retry == []
    assert "ada" not in personal(store)
    assert "device" not in personal(store).replace(str(stolen), "")
    assert {store.graves[pseudonym(name)] for name in store.identities if name != "user:bob"} == {GRAVE}
    assert score(store, stolen).retry == []
    assert store.identities[left].erased


# The sweep.


def test_sweeps_hold_no_personal_data_and_name_every_identity_between_them() -> None:
    store, sweeps = with_many_devices(make_ada(MemoryStore()), 60), Queue()
    erase(store, sweeps=sweeps)
    erased, rated = sweeps.bodies[:3], sweeps.bodies[3:]
    assert rated == ['{"rate": "acme"}', '{"rate": "beta"}']
    for body in erased:
        assert json.loads(body).keys() == {"erased"}
        assert "ada" not in body
        assert "device" not in body
    named = [name for body in erased for name in json.loads(body)["erased"]]
    assert sorted(named) == sorted(pseudonym(name) for name in store.identities)


def test_a_sweep_deletes_a_bounded_number_of_events_and_goes_on_by_another_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasing, "EVENTS_PER_SWEEP", 10)
    store = make_ada(MemoryStore())
    erase(store)
    store.put_events(ADA, [make_event(f"n{i}", "group", groupId=f"account-{i}") for i in range(25)])
    for i in range(25):
        store.add_member(f"account-{i}", LAPTOP if i % 2 else ADA)
    bodies, rounds = [Sweep((pseudonym(ADA), pseudonym(LAPTOP))).body()], 0
    while bodies:
        rounds += 1
        sent = Queue()
        assert score(store, *bodies, sent=sent).retry == []
        assert 25 - len(store.log[ADA]) <= 10 * rounds
        bodies = sent.bodies
    assert rounds == 3
    assert personal(store) == str(({}, {}, {}))


def test_a_sweep_leaves_whoever_is_not_erased_alone() -> None:
    store = make_ada(MemoryStore())
    before = personal(store)
    names = tuple(pseudonym(name) for name in (ADA, VISITOR, "user:never-seen"))
    assert sweep_up(store, store, Sweep(names)) is None
    assert personal(store) == before


def test_an_erasure_deletes_a_bounded_number_of_events_and_leaves_the_rest_to_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasing, "EVENTS_AT_ONCE", 4)
    store, sweeps = make_ada(MemoryStore()), Queue()
    receipt = erase(store, sweeps=sweeps)
    assert receipt is not None
    assert (receipt.events, receipt.events_left) == (7, 3)
    assert sum(map(len, store.log.values())) == 3
    score(store, *sweeps.bodies)
    assert sum(map(len, store.log.values())) == 0


@pytest.mark.parametrize("body", [{"erased": "x"}, {"erased": None}, {"erase": []}])
def test_a_sweep_that_is_none_is_refused(body: Mapping[str, object]) -> None:
    assert score(MemoryStore(), json.dumps(body)).retry == ["sqs-0"]
