"""The ranked list against a sorted oracle: every lead once, in order, whatever the pages, the decay and the ties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from leadscore import parse_ruleset, score_events
from leadscore.core.instants import format_instant, from_datetime
from leadscore.usecases.queries import LeadsQuery, parse_leads_query
from leadscore.usecases.ranking import rank_leads
from leadscore.usecases.records import Event
from leadscore.usecases.scoring import apply_events
from tests.contract.memory_store import MemoryStore

START = datetime(2026, 3, 1, tzinfo=UTC)
RULES = parse_ruleset(
    {
        "tiers": [{"name": "hot", "from": 30}, {"name": "warm", "from": 10}, {"name": "cold"}],
        "groups": {"fit": {"max": 20}},
        "criteria": [
            {"id": "slow", "group": "engagement", "event": {"event": ["slow"]}, "points": 20, "half_life": "60d"},
            {"id": "fast", "group": "engagement", "event": {"event": ["fast"]}, "points": 30, "half_life": "1d"},
            {"id": "gone", "group": "engagement", "event": {"event": ["gone"]}, "points": 15, "within": "3d"},
            {"id": "bad", "group": "engagement", "event": {"event": ["bad"]}, "points": -10, "half_life": "2d"},
            {"id": "boss", "group": "fit", "traits": {"title": ["CEO"]}, "points": 12},
        ],
    }
)
HAPPENED = st.tuples(st.sampled_from(["slow", "fast", "gone", "bad", "CEO"]), st.integers(0, 4))
LEADS = st.lists(st.lists(HAPPENED, min_size=1, max_size=4), min_size=1, max_size=14)


def make_events(lead: str, happened: list[tuple[str, int]]) -> list[Event]:
    events: list[Event] = []
    for number, (what, day) in enumerate(happened):
        at = format_instant(from_datetime(START + timedelta(days=day)))
        event: dict[str, object] = {"messageId": f"{lead}-{number}", "timestamp": at, "receivedAt": at, "userId": lead}
        said = {"type": "identify", "traits": {"title": what}} if what == "CEO" else {"type": "track", "event": what}
        events.append(event | said)
    return events


@given(
    leads=LEADS, limit=st.integers(1, 5), age=st.integers(4, 40), tier=st.sampled_from([None, "hot", "warm", "cold"])
)
def test_pages_together_are_the_sorted_list(
    leads: list[list[tuple[str, int]]], limit: int, age: int, tier: str | None
) -> None:
    store, now = MemoryStore(), START + timedelta(days=age)
    logs = {f"lead-{number}": make_events(f"lead-{number}", happened) for number, happened in enumerate(leads)}
    for lead, events in logs.items():
        for event in events:
            apply_events(store, RULES, lead, [event], lambda: START + timedelta(days=4))

    listed: list[tuple[str, float]] = []
    query = LeadsQuery(limit=limit, tier=tier)
    while True:
        page = rank_leads(store, RULES, query, now + timedelta(hours=len(listed)))
        listed += [(ranked.person["id"], ranked.score.total) for ranked in page.leads]
        if page.next_cursor is None:
            break
        assert len(page.leads) == limit
        wanted = {"limit": str(limit), "cursor": page.next_cursor} | ({"tier": tier} if tier else {})
        query = parse_leads_query(wanted, RULES)

    scores = {lead: score_events(RULES, events, now) for lead, events in logs.items()}
    expected = [(lead, score.total) for lead, score in scores.items() if tier in {None, score.tier}]
    assert listed == sorted(expected, key=lambda place: (-place[1], place[0]))


def test_a_read_stops_where_nothing_later_can_beat_the_page() -> None:
    store, read = MemoryStore(), 0
    for number in range(500):
        lead = f"lead-{number:03d}"
        events = make_events(lead, [("slow", 4)] if number < 5 else [("bad", 4)])
        apply_events(store, RULES, lead, events, lambda: START + timedelta(days=4))
    load_leads = store.load_leads

    def count(leads: list[str]) -> object:
        nonlocal read
        read += len(leads)
        return load_leads(leads)

    store.load_leads = count  # type: ignore[method-assign, assignment]
    page = rank_leads(store, RULES, LeadsQuery(limit=3), START + timedelta(days=4))
    assert [ranked.person["id"] for ranked in page.leads] == ["lead-000", "lead-001", "lead-002"]
    assert read == 100
