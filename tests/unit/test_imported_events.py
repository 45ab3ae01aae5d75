"""Imported history against the in-memory store: it counts in full, nobody is told, what comes live is still news."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from leadscore.core.alerting import AlertMemory
from leadscore.usecases.arrivals import Arrival
from leadscore.usecases.batches import Refresh, Spread, read_message
from leadscore.usecases.importing import imported_body
from leadscore.usecases.rate_message import Rate
from tests.contract.memory_store import MemoryStore
from tests.unit.test_score_batch import NOW, RULES, TITLE, TRIAL, Queue, body_of, from_ingest, make_event, run

SIGNED = make_event("m9", "track", event="Subscription Started")


def imported(event: dict[str, object]) -> str:
    return imported_body(event)


def told(store: MemoryStore, identity: str = "user:ada") -> list[tuple[str, str, bool, str]]:
    return [(each.cause, each.tier, each.alert == "wanted", each.alert_reason) for each in store.pending(identity)]


def test_a_lead_that_history_makes_hot_alerts_nobody_and_says_why() -> None:
    store = MemoryStore()
    run(store, Queue(), imported(TITLE), imported(TRIAL))
    assert body_of(store).tier == "hot"
    assert told(store) == [("import", "hot", False, "imported history")]


def test_what_was_hot_already_is_no_news_later() -> None:
    store = MemoryStore()
    run(store, Queue(), imported(TITLE), imported(TRIAL))
    assert body_of(store).memory == AlertMemory(armed=False, last_alert=None)
    run(store, Queue(), from_ingest(make_event("m3", "track", event="Trial Started")))
    assert [cause for cause, *_ in told(store)] == ["import"]
    # 25 days later it is warm, not below 40, and comes back: as after an alert.
    later = NOW.replace(day=26)
    run(store, Queue(), json.dumps({"refresh": "user:ada"}), now=later)
    back = {**make_event("m4", "track", event="Trial Started"), "timestamp": "2026-03-26T11:00:00.000Z"}
    run(store, Queue(), from_ingest(back), now=later)
    assert [(cause, tier, alert) for cause, tier, alert, _ in told(store)][1:] == [
        ("time", "warm", False),
        ("events", "hot", False),
    ]


def test_nobody_was_told_so_no_cooldown_runs() -> None:
    store = MemoryStore()
    run(store, Queue(), imported(TITLE), imported(make_event("m2", "track", age_days=1, event="Trial Started")))
    cold = make_event("m5", "identify", age_days=-1, traits={"title": "Engineer"})
    later = NOW.replace(day=2)
    run(store, Queue(), from_ingest(cold), now=later)
    assert body_of(store).memory.armed
    again = [
        make_event("m6", "identify", age_days=-2, traits={"title": "VP"}),
        make_event("m7", "track", age_days=-2, event="Trial Started"),
    ]
    run(store, Queue(), *map(from_ingest, again), now=NOW.replace(day=3))
    assert told(store)[-1] == ("events", "hot", True, "entered hot")


def test_a_live_event_that_makes_an_imported_lead_hot_alerts() -> None:
    store = MemoryStore()
    run(store, Queue(), imported(TRIAL))
    run(store, Queue(), from_ingest(TITLE))
    assert [(cause, alert) for cause, _, alert, _ in told(store)] == [("import", False), ("events", True)]


@pytest.mark.parametrize("first", [True, False])
def test_in_one_batch_history_is_applied_first(first: bool) -> None:
    store = MemoryStore()
    bodies = [imported(TRIAL), from_ingest(TITLE)]
    run(store, Queue(), *(bodies if first else reversed(bodies)))
    assert [(cause, alert) for cause, _, alert, _ in told(store)] == [("import", False), ("events", True)]
    store = MemoryStore()
    bodies = [imported(TRIAL), imported(TITLE), from_ingest(make_event("m3", "track", event="Trial Started"))]
    run(store, Queue(), *(bodies if first else reversed(bodies)))
    assert [(cause, alert) for cause, _, alert, _ in told(store)] == [("import", False)]


def test_imported_twice_or_after_it_came_live_changes_nothing() -> None:
    store = MemoryStore()
    run(store, Queue(), from_ingest(TITLE), imported(TRIAL))
    before, changes = body_of(store), told(store)
    outcome = run(store, Queue(), imported(TITLE), imported(TRIAL))
    assert (body_of(store), told(store)) == (before, changes)
    assert outcome.repeated == ["sqs-0", "sqs-1"]


def test_an_imported_conversion_is_of_the_import() -> None:
    store = MemoryStore()
    run(store, Queue(), imported(SIGNED))
    [change] = store.pending("user:ada")
    assert (change.kind, change.cause, change.alert) == ("conversion", "import", "none")


def test_an_accounts_imported_traits_alert_nobody_at_its_other_leads() -> None:
    store = MemoryStore()
    rules = _rules_by_which_size_makes_hot()
    for lead in ("ada", "bob"):
        run(store, Queue(), from_ingest(make_event(f"{lead}-1", "group", lead, groupId="acme")), rules=rules)
        run(store, Queue(), from_ingest(make_event(f"{lead}-2", "track", lead, event="Trial Started")), rules=rules)
    history = make_event("g1", "group", "ada", age_days=30, groupId="acme", traits={"employees": 300})
    run(store, Queue(), imported(history), rules=rules)
    for lead in ("user:ada", "user:bob"):
        assert body_of(store, lead).tier == "hot"
        assert told(store, lead)[-1] == ("import", "hot", False, "imported history")


def test_an_accounts_live_traits_still_alert() -> None:
    store = MemoryStore()
    rules = _rules_by_which_size_makes_hot()
    for lead in ("ada", "bob"):
        run(store, Queue(), from_ingest(make_event(f"{lead}-1", "group", lead, groupId="acme")), rules=rules)
        run(store, Queue(), from_ingest(make_event(f"{lead}-2", "track", lead, event="Trial Started")), rules=rules)
    live = make_event("g1", "group", "ada", groupId="acme", traits={"employees": 300})
    run(store, Queue(), from_ingest(live), rules=rules)
    assert [told(store, lead)[-1][:3] for lead in ("user:ada", "user:bob")] == [("account", "hot", True)] * 2


def _rules_by_which_size_makes_hot() -> Any:
    from leadscore import parse_ruleset

    document = json.loads(RULES.document)
    next(one for one in document["criteria"] if one["id"] == "large")["points"] = 20
    return parse_ruleset(document)


def test_a_visitors_history_that_is_joined_live_is_news() -> None:
    store = MemoryStore()
    visit = {**make_event("v1", "track", event="Trial Started"), "anonymousId": "device"}
    del visit["userId"]
    run(store, Queue(), imported(visit))
    live = make_event("m1", "identify", anonymousId="device", traits={"title": "VP Sales"})
    run(store, Queue(), from_ingest(live))
    assert told(store)[-1] == ("events", "hot", True, "entered hot")


def test_an_imported_join_is_none() -> None:
    store = MemoryStore()
    visit = {**make_event("v1", "track", event="Trial Started"), "anonymousId": "device"}
    del visit["userId"]
    run(store, Queue(), from_ingest(visit))
    run(store, Queue(), from_ingest(TITLE))
    run(store, Queue(), imported(make_event("j1", "page", age_days=3, anonymousId="device")))
    assert told(store)[-1] == ("import", "hot", False, "imported history")


def test_messages_say_that_they_are_imported_and_others_say_nothing_of_it() -> None:
    assert read_message(imported(TITLE)) == Arrival(TITLE, imported=True, source="import")
    assert read_message(from_ingest(TITLE)) == Arrival(TITLE, source="web")
    for message in (Refresh("user:ada"), Spread("acme", "mark"), Rate("acme")):
        assert "imported" not in message.body()
        assert read_message(message.body()) == message
        marked = replace(message, imported=True)
        assert read_message(marked.body()) == marked


def test_a_bus_event_may_not_call_itself_imported() -> None:
    envelope = {
        "id": "1",
        "source": "app.web",
        "detail-type": "event",
        "time": "2026-03-01T11:00:00Z",
        "detail": {"type": "track", "event": "Trial Started", "userId": "ada", "messageId": "b1"},
        "imported": True,
    }
    message = read_message(json.dumps(envelope))
    assert isinstance(message, Arrival)
    assert not message.imported


def test_an_imported_message_is_plain_ascii_and_names_its_source() -> None:
    body = imported({**TITLE, "traits": {"name": "Zoë"}})
    assert body.isascii()
    assert json.loads(body)["source"] == "import"
