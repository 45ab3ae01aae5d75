"""What time alone changes is noticed on time: announced, without an alert, and without touching any other lead."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from leadscore.usecases import cooling
from leadscore.usecases.cooling import hand_on_due_leads
from tests.contract.memory_store import MemoryStore
from tests.unit.test_score_batch import NOW, TITLE, TRIAL, Queue, body_of, from_ingest, make_event, run

# 20 for the title stay; the trial's 40 halve every 30 days: 20 + 40 x 2^(-d/30) is 50 after 12.45 days, 25 after 90.
HOT_UNTIL, WARM_UNTIL = NOW + timedelta(days=12.4), NOW + timedelta(days=89.9)
COOLED, COLD = NOW + timedelta(days=12.5), NOW + timedelta(days=90.1)


def cool(store: MemoryStore, events: Queue, changes: Queue, now: datetime) -> int:
    """Run the schedule once, and then `score` over what it handed on."""
    handed_on = hand_on_due_leads(store, events, now).leads
    bodies, events.bodies = events.bodies, []
    assert run(store, changes, *bodies, now=now).retry == []
    return handed_on


def make_hot() -> tuple[MemoryStore, Queue, Queue]:
    store, events, changes = MemoryStore(), Queue(), Queue()
    run(store, changes, from_ingest(TITLE), from_ingest(TRIAL))
    store.clear_pending("user:ada", [change.id for change in store.pending("user:ada")])
    return store, events, Queue()


def test_a_lead_cools_at_its_instants_and_at_no_other() -> None:
    store, events, changes = make_hot()
    assert cool(store, events, changes, HOT_UNTIL) == 0
    assert cool(store, events, changes, COOLED) == 1
    assert cool(store, events, changes, WARM_UNTIL) == 0
    assert cool(store, events, changes, COLD) == 1
    assert cool(store, events, changes, COLD + timedelta(days=1000)) == 0
    told = [(change.cause, change.previous_tier, change.tier, change.alert) for change in store.pending("user:ada")]
    assert told == [("time", "hot", "warm", "none"), ("time", "warm", "cold", "none")]
    assert changes.bodies == ['{"lead": "user:ada"}'] * 2


def test_the_change_is_told_at_its_due_instant_to_the_millisecond() -> None:
    store, events, _ = make_hot()
    due = body_of(store).due
    assert due is not None
    instant = datetime.fromtimestamp(due / 1000, tz=NOW.tzinfo)
    assert hand_on_due_leads(store, events, instant - timedelta(milliseconds=1)).leads == 0
    assert hand_on_due_leads(store, events, instant).leads == 1


def test_being_told_twice_or_too_late_changes_nothing_more() -> None:
    store, events, changes = make_hot()
    for _ in range(2):
        hand_on_due_leads(store, events, COOLED)
    run(store, changes, *events.bodies, now=COOLED)
    first = store.identities["user:ada"]
    run(store, changes, *events.bodies, now=COOLED)
    assert store.identities["user:ada"] == first
    assert len(store.pending("user:ada")) == 1


def test_a_crash_after_the_write_is_made_good_by_the_redelivery() -> None:
    store, events, changes = make_hot()
    hand_on_due_leads(store, events, COOLED)
    changes.down = True
    assert run(store, changes, *events.bodies, now=COOLED).retry == ["sqs-0"]
    changes.down = False
    assert run(store, changes, *events.bodies, now=COOLED).retry == []
    assert changes.bodies == ['{"lead": "user:ada"}']


def test_an_event_that_comes_first_leaves_nothing_to_do() -> None:
    store, events, changes = make_hot()
    again = make_event("m7", "track", age_days=-12, event="Trial Started")
    run(store, changes, from_ingest(again), now=NOW + timedelta(days=12))
    assert cool(store, events, changes, COOLED) == 0


def test_an_unknown_lead_is_nothing() -> None:
    store, changes = MemoryStore(), Queue()
    assert run(store, changes, '{"refresh": "user:nobody"}').retry == []
    assert (store.identities, changes.bodies) == ({}, [])


def test_work_is_the_number_of_due_leads() -> None:
    store, events, changes = make_hot()
    for number in range(200):
        run(store, changes, from_ingest(make_event(f"n{number}", "identify", f"lead-{number}", traits={"title": "VP"})))
    assert hand_on_due_leads(store, events, COOLED) == (1, None)


def test_more_than_one_run_takes_goes_on_behind_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooling, "LEADS_PER_RUN", 3)
    store, changes = MemoryStore(), Queue()
    for number in range(7):
        for event in (TITLE, TRIAL):
            lead = event | {"userId": f"lead-{number}", "messageId": f"{event['messageId']}-{number}"}
            run(store, changes, from_ingest(lead))
    told: list[list[str]] = []
    mark: str | None = ""
    while mark is not None:
        events = Queue()
        done = hand_on_due_leads(store, events, COOLED, mark)
        mark = done.mark
        told.append(events.bodies)
        assert len(events.bodies) == done.leads
    assert [len(bodies) for bodies in told] == [3, 3, 1]
    assert len({body for bodies in told for body in bodies}) == 7
