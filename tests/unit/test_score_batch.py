"""A batch of messages against the in-memory store: what is scored, what is announced, what is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from leadscore import Ruleset, parse_ruleset
from leadscore.core.scoring import score_events
from leadscore.core.state import State
from leadscore.usecases import batches
from leadscore.usecases.batches import BatchOutcome, Queues, read_message, score_batch
from leadscore.usecases.records import ConflictError, Event, LeadBody, Logged, StoredIdentity
from leadscore.usecases.scoring import Tools
from leadscore.usecases.standing import read_lead
from tests.contract.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = parse_ruleset(
    {
        "goal": {"event": ["Subscription Started"]},
        "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
        "groups": {"engagement": {"max": 100, "half_life": "30d"}},
        "criteria": [
            {"id": "executive", "group": "fit", "traits": {"title": [{"prefix": "VP"}]}, "points": 20},
            {
                "id": "large",
                "group": "fit",
                "traits": {"account": {"employees": [{"numeric": [">", 99]}]}},
                "points": 8,
            },
            {"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 40},
        ],
        "alerts": {"tier": "hot", "rearm_below": 40, "cooldown": "7d"},
    }
)


class Queue:
    """Where changes are handed on; refuses while `down`."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.down = False

    def send_all(self, bodies: Sequence[str]) -> None:
        if self.down:
            raise ConnectionError("the queue is down")
        self.bodies += bodies


class Contended(MemoryStore):
    """Loses the first `losses` commits to another writer."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses

    def commit(self, written: Sequence[StoredIdentity]) -> None:
        if self.losses:
            self.losses -= 1
            raise ConflictError("lost")
        super().commit(written)


def make_event(message: str, kind: str, lead: str = "ada", age_days: float = 0, **more: object) -> dict[str, object]:
    at = (NOW - timedelta(days=age_days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"messageId": message, "type": kind, "timestamp": at, "receivedAt": at, "userId": lead, **more}


def from_ingest(event: dict[str, object]) -> str:
    return json.dumps({"event": event, "source": "web"})


def run(
    store: MemoryStore,
    queue: Queue,
    *bodies: str,
    rules: Ruleset = RULES,
    now: datetime = NOW,
    pauses: list[int] | None = None,
) -> BatchOutcome:
    """Score the bodies as one batch, and what it sends to the events queue after it."""
    events = Queue()
    tools = Tools(store, rules, lambda: now, (pauses if pauses is not None else []).append)
    records = [{"messageId": f"sqs-{i}", "body": body} for i, body in enumerate(bodies)]
    outcome = score_batch(tools, Queues(events, queue), records, store)
    if events.bodies:
        run(store, queue, *events.bodies, rules=rules, now=now)
    return outcome


def body_of(store: MemoryStore, identity: str = "user:ada") -> LeadBody:
    body = store.identities[identity].body
    assert body is not None
    return body


TITLE = make_event("m1", "identify", traits={"title": "VP Sales"})
TRIAL = make_event("m2", "track", event="Trial Started")


def test_events_of_one_batch_are_one_write_of_the_lead() -> None:
    store, queue = MemoryStore(), Queue()
    outcome = run(store, queue, from_ingest(TITLE), from_ingest(TRIAL))
    assert (outcome.scored, outcome.retry) == (2, [])
    assert (store.identities["user:ada"].version, body_of(store).tier) == (1, "hot")
    assert queue.bodies == ['{"lead": "user:ada"}']
    [change] = store.pending("user:ada")
    assert (change.alert, change.tier, change.previous_tier, change.score) == ("wanted", "hot", "cold", 60.0)
    assert [reason["criterion"] for reason in change.reasons] == ["trial", "executive"]


def test_stored_score_is_the_pure_function_of_the_events() -> None:
    store, queue = MemoryStore(), Queue()
    events = [TITLE, TRIAL, make_event("m3", "track", age_days=30, event="Trial Started")]
    for event in reversed(events):
        run(store, queue, from_ingest(event), from_ingest(TITLE))
    view = read_lead(store, RULES, "ada", NOW)
    assert view is not None
    assert view.score.to_dict() == score_events(RULES, events, NOW).to_dict()


def test_a_redelivery_writes_nothing_but_hands_on_what_is_pending() -> None:
    store, queue = MemoryStore(), Queue()
    run(store, queue, from_ingest(TITLE), from_ingest(TRIAL))
    before = store.identities["user:ada"]
    outcome = run(store, queue, from_ingest(TRIAL))
    assert (outcome.retry, store.identities["user:ada"]) == ([], before)
    assert queue.bodies == ['{"lead": "user:ada"}'] * 2
    store.clear_pending("user:ada", [change.id for change in before.pending])
    run(store, queue, from_ingest(TRIAL))
    assert len(queue.bodies) == 2


def test_of_two_copies_in_one_batch_the_log_keeps_the_first() -> None:
    store, queue = MemoryStore(), Queue()
    copies = [
        make_event(name, kind, properties={"copy": copy}, event="Trial Started")
        for name, kind in (("m1", "track"), ("m2", "page"))
        for copy in (1, 2)
    ]
    assert run(store, queue, *map(from_ingest, copies)).scored == 4
    assert {str(event["properties"]) for event in store.load_events("user:ada")} == {"{'copy': 1}"}


def test_what_another_worker_is_about_to_announce_is_left_to_it() -> None:
    store, queue = MemoryStore(), Queue()
    run(store, queue, from_ingest(TITLE), from_ingest(TRIAL))
    run(store, queue, from_ingest(make_event("m3", "identify", traits={"name": "Ada"})))
    assert queue.bodies == ['{"lead": "user:ada"}']


def test_an_event_that_touches_nothing_leaves_the_lead_alone() -> None:
    store, queue = MemoryStore(), Queue()
    run(store, queue, from_ingest(make_event("m9", "page", properties={"path": "/"})))
    assert store.identities == {}
    assert len(store.load_events("user:ada")) == 1


def test_poison_is_retried_alone_with_its_reason() -> None:
    store, queue = MemoryStore(), Queue()
    no_id = json.dumps(
        {"detail-type": "x", "source": "app.web", "id": "1", "time": "2026-03-01T00:00:00Z", "detail": {}}
    )
    outcome = run(store, queue, "{", '{"event": {}}', '"text"', no_id, from_ingest(TRIAL))
    assert outcome.retry == ["sqs-0", "sqs-1", "sqs-2", "sqs-3"]
    assert [failure.code for failure in outcome.failures][:3] == ["invalid_json", "unknown_message", "unknown_message"]
    assert body_of(store).tier == "warm"


def test_a_message_that_nobody_foresaw_is_retried_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(body: str, *_: object) -> object:
        if body == "odd":
            raise ZeroDivisionError
        return read_message(body)

    monkeypatch.setattr(batches, "read_message", stumble)
    store, queue = MemoryStore(), Queue()
    outcome = run(store, queue, "odd", from_ingest(TRIAL))
    assert [(failure.messages, failure.code) for failure in outcome.failures] == [(("sqs-0",), "ZeroDivisionError")]
    assert body_of(store).tier == "warm"


def test_changes_that_cannot_be_handed_on_are_tried_again() -> None:
    store, queue = MemoryStore(), Queue()
    queue.down = True
    outcome = run(store, queue, from_ingest(TITLE), from_ingest(TRIAL))
    assert (outcome.retry, outcome.scored) == (["sqs-0", "sqs-1"], 0)
    queue.down = False
    assert run(store, queue, from_ingest(TITLE), from_ingest(TRIAL)).retry == []
    assert queue.bodies == ['{"lead": "user:ada"}']


@pytest.mark.parametrize(("losses", "retry"), [(3, []), (100, ["sqs-0"])])
def test_a_lost_race_is_run_again_and_then_left_to_the_queue(losses: int, retry: list[str]) -> None:
    store, queue = Contended(losses), Queue()
    assert run(store, queue, from_ingest(TRIAL)).retry == retry
    assert ("user:ada" in store.identities) == (not retry)


def test_leads_of_a_batch_stand_alone() -> None:
    store, queue = MemoryStore(), Queue()
    store.identities["user:bob"] = "not a lead"  # type: ignore[assignment]
    outcome = run(
        store, queue, from_ingest(make_event("b1", "track", "bob", event="Trial Started")), from_ingest(TRIAL)
    )
    assert outcome.retry == ["sqs-0"]
    assert outcome.failures[0].reason == "an identity was not read"
    assert body_of(store).tier == "warm"


def test_a_drop_by_time_is_told_before_the_rise_and_rearms() -> None:
    store, queue = MemoryStore(), Queue()
    run(store, queue, from_ingest(TITLE), from_ingest(TRIAL))
    later = NOW + timedelta(days=60)
    again = make_event("m5", "track", age_days=-60, event="Trial Started")
    run(store, queue, from_ingest(again), now=later)
    told = [(change.cause, change.previous_tier, change.tier, change.alert) for change in store.pending("user:ada")]
    assert told[0] == ("events", "cold", "hot", "wanted")
    assert set(told[1:]) == {("time", "hot", "warm", "none"), ("events", "warm", "hot", "wanted")}


def test_a_changed_ruleset_replays_the_log_and_alerts_nobody() -> None:
    store, queue = MemoryStore(), Queue()
    page = make_event("m3", "page", properties={"path": "/pricing"})
    run(store, queue, from_ingest(page), from_ingest(TITLE))
    assert body_of(store).tier == "cold"
    document = json.loads(RULES.document)
    document["criteria"].append(
        {"id": "pricing", "group": "engagement", "event": {"properties": {"path": ["/pricing"]}}, "points": 45}
    )
    newer = parse_ruleset(document)
    run(store, queue, from_ingest(make_event("m4", "identify", traits={"name": "Ada"})), rules=newer)
    assert body_of(store).tier == "hot"
    assert [(change.cause, change.alert) for change in store.pending("user:ada")] == [("ruleset", "suppressed")]


def test_a_conversion_is_announced_once() -> None:
    store, queue = MemoryStore(), Queue()
    for message in ("g1", "g2"):
        run(store, queue, from_ingest(make_event(message, "track", event="Subscription Started")))
    assert [change.kind for change in store.pending("user:ada")] == ["conversion"]


def test_account_traits_count_for_its_leads() -> None:
    store, queue = MemoryStore(), Queue()
    run(store, queue, from_ingest(make_event("g1", "group", "bob", groupId="acme", traits={"employees": 300})))
    run(store, queue, from_ingest(make_event("g2", "group", groupId="acme", traits={})))
    view = read_lead(store, RULES, "ada", NOW)
    assert view is not None
    assert view.score.groups["fit"] == 8.0


def test_more_events_than_a_transaction_takes_are_all_applied() -> None:
    store, queue = MemoryStore(), Queue()
    events = [make_event(f"m{i}", "track", age_days=i / 100, event="Trial Started") for i in range(120)]
    outcome = run(store, queue, *map(from_ingest, events))
    assert (outcome.scored, len(store.load_events("user:ada"))) == (120, 120)


class Counted(MemoryStore):
    """Knows how often each identity was read, and lets others work while an event is put into the log."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def load_identities(self, wanted: Collection[str]) -> dict[str, StoredIdentity]:
        self.read += wanted
        return super().load_identities(wanted)

    def put_events(self, identity: str, events: Sequence[Event]) -> Logged:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().put_events(identity, events)

    def commit(self, written: Sequence[StoredIdentity]) -> None:
        # It reads as well, which is no request.
        read = list(self.read)
        super().commit(written)
        self.read = read


def test_a_lead_that_is_alone_in_its_batch_is_read_once() -> None:
    store, queue = Counted(), Queue()
    run(store, queue, from_ingest(TITLE))
    store.read.clear()
    run(store, queue, from_ingest(TRIAL))
    assert (store.read, body_of(store).tier) == (["user:ada"], "hot")


def test_what_says_nothing_new_is_compared_with_the_lead_as_it_is_once_the_event_is_logged() -> None:
    store, queue = Counted(), Queue()
    first, other, again = (
        make_event(f"t{age}", "identify", age_days=age, traits={"title": title})
        for age, title in ((3, "VP Sales"), (2, "Intern"), (1, "VP Sales"))
    )
    run(store, queue, from_ingest(first))
    store.meanwhile = lambda: run(store, queue, from_ingest(other))
    run(store, queue, from_ingest(again))
    state = State.from_json(RULES, body_of(store).state)
    assert state.traits["title"] == "VP Sales"


def test_what_was_seen_before_another_wrote_is_not_written_over_it() -> None:
    store, queue, pauses = Counted(), Queue(), list[int]()
    run(store, queue, from_ingest(TITLE))
    visit = make_event("m3", "track", event="Trial Started")
    store.meanwhile = lambda: run(store, queue, from_ingest(make_event("m4", "identify", traits={"name": "Ada"})))
    run(store, queue, from_ingest(visit), pauses=pauses)
    state = State.from_json(RULES, body_of(store).state)
    assert (state.traits["name"], body_of(store).tier, pauses) == ("Ada", "hot", [1])
