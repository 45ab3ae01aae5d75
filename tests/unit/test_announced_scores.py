"""LeadScoreChanged: machines know a score to within the step that the ruleset names, and off it costs nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore import Ruleset, parse_ruleset
from tests.contract.memory_store import MemoryStore
from tests.unit.test_score_batch import NOW, Queue, body_of, from_ingest, make_event, run


def rules(step: float | None, points: int = 3) -> Ruleset:
    criteria = [
        {"id": "docs", "group": "engagement", "event": {"type": ["page"]}, "points": points, "limit": 100},
        {"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 60},
        {"id": "left", "group": "engagement", "event": {"event": ["Unsubscribed"]}, "points": -40},
    ]
    announce = {} if step is None else {"announce": {"score_change": step}}
    tiers = [{"name": "hot", "from": 60}, {"name": "cold"}]
    groups = {"engagement": {"half_life": "30d"}}
    goal = {"event": ["Subscription Started"]}
    return parse_ruleset({"goal": goal, "tiers": tiers, "groups": groups, "criteria": criteria, **announce})


FIVE, OFF = rules(5), rules(None)


class Told:
    """One lead and all that machines were told of it."""

    def __init__(self, ruleset: Ruleset = FIVE) -> None:
        self.store, self.changes, self.ruleset = MemoryStore(), Queue(), ruleset
        self.count = 0

    def see(self, *events: str, now: datetime = NOW) -> list[tuple[str, str, float, float]]:
        """Let the events happen now; return (kind, cause, score before, score) of what is new."""
        self.count += 1
        age = (NOW - now) / timedelta(days=1)
        bodies = [
            from_ingest(
                make_event(f"m{self.count}-{i}", "page", age_days=age)
                if name == "page"
                else make_event(f"m{self.count}-{i}", "track", age_days=age, event=name)
            )
            for i, name in enumerate(events)
        ]
        assert run(self.store, self.changes, *bodies, rules=self.ruleset, now=now).retry == []
        return self.take()

    def take(self) -> list[tuple[str, str, float, float]]:
        pending = self.store.pending("user:ada")
        self.store.clear_pending("user:ada", [change.id for change in pending])
        return [(c.kind, c.cause, c.previous_score, c.score) for c in pending]


def test_small_steps_are_announced_once_they_come_to_the_step() -> None:
    ada = Told()
    assert ada.see("page") == []
    assert body_of(ada.store).announced is None
    assert ada.see("page") == [("score", "events", 0.0, 6.0)]
    assert ada.see("page") == []
    assert ada.see("page") == [("score", "events", 6.0, 12.0)]


def test_a_change_of_tier_tells_the_score_as_well() -> None:
    ada = Told()
    assert ada.see("Trial Started") == [("tier", "events", 0.0, 60.0)]
    assert ada.see("page") == []
    assert ada.see("page") == [("score", "events", 60.0, 66.0)]


def test_a_conversion_tells_the_score_as_well() -> None:
    ada = Told()
    told = ada.see("page", "page", "Subscription Started")
    assert [kind for kind, *_ in told] == ["conversion"]
    assert body_of(ada.store).announced == 6.0


def test_what_only_people_are_told_of_tells_machines_no_score() -> None:
    ada = Told(parse_ruleset({**json.loads(FIVE.document), "alerts": {"tier": "hot", "always": ["Demo Requested"]}}))
    told = ada.see("page", "page", "Demo Requested")
    assert sorted(told) == [("hand_raise", "events", 0.0, 6.0), ("score", "events", 0.0, 6.0)]


def test_a_score_that_falls_is_announced_too() -> None:
    ada = Told()
    ada.see("page", "page", "page", "page")
    assert ada.see("Unsubscribed") == [("score", "events", 12.0, 0.0)]


def test_decay_is_announced_with_the_next_write() -> None:
    ada = Told()
    ada.see(*["page"] * 10)
    [(kind, cause, before, score)] = ada.see("page", now=NOW + timedelta(days=30))
    assert (kind, cause, before, score) == ("score", "events", 30.0, 18.0)


def test_another_ruleset_is_named_as_the_cause() -> None:
    ada = Told()
    ada.see("page", "page")
    ada.ruleset = rules(5, points=9)
    assert run(ada.store, ada.changes, '{"refresh": "user:ada"}', rules=ada.ruleset).retry == []
    assert ada.take() == [("score", "ruleset", 6.0, 18.0)]


def test_time_is_named_as_the_cause_where_nothing_else_happened() -> None:
    ada = Told()
    ada.see(*["page"] * 10)
    later = NOW + timedelta(days=30)
    assert run(ada.store, ada.changes, '{"refresh": "user:ada"}', rules=FIVE, now=later).retry == []
    assert ada.take() == [("score", "time", 30.0, 15.0)]


def test_a_lead_that_was_scored_before_it_was_turned_on_is_announced_with_its_next_write() -> None:
    ada = Told(OFF)
    assert ada.see("page", "page") == []
    ada.ruleset = FIVE
    assert ada.see("page") == [("score", "ruleset", 0.0, 9.0)]


def test_off_nothing_is_told_kept_or_written_for_it() -> None:
    ada = Told(OFF)
    for number in range(1, 6):
        assert ada.see(*["page"] * 3) == []
        assert ada.store.identities["user:ada"].version == number
    assert body_of(ada.store).announced is None
    assert ada.changes.bodies == []


@pytest.mark.parametrize("step", [5, 12.5])
def test_on_it_costs_no_further_write_of_the_lead(step: float) -> None:
    silent, loud = Told(OFF), Told(rules(step))
    for events in (["page"], ["page"] * 4, ["Trial Started"], ["Unsubscribed"]):
        silent.see(*events)
        loud.see(*events)
    versions = [told.store.identities["user:ada"].version for told in (silent, loud)]
    assert versions == [4, 4]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["page", "Trial Started", "Unsubscribed", "Subscription Started"]), st.integers(0, 20)
        ),
        max_size=15,
    )
)
def test_after_every_write_machines_know_the_score_to_within_the_step(happenings: list[tuple[str, int]]) -> None:
    ada, now, known = Told(), NOW, 0.0
    for name, days in happenings:
        now += timedelta(days=days)
        version = ada.store.identities["user:ada"].version if "user:ada" in ada.store.identities else 0
        told = ada.see(name, now=now)
        known = told[-1][3] if told else known
        lead = ada.store.identities.get("user:ada")
        if lead is not None and lead.version > version:
            [total] = [score_of(ada, now)]
            assert abs(total - known) < 5
    assert "score" not in {kind for kind, *_ in ada.take()}


def score_of(told: Told, now: datetime) -> float:
    from leadscore.usecases.standing import read_lead

    view = read_lead(told.store, told.ruleset, "ada", now)
    assert view is not None
    return view.score.total


def test_of_the_changes_of_one_write_the_later_has_the_higher_revision() -> None:
    """What time has done since is told first, whatever the ids of the two are."""
    ada = Told()
    ada.see("Trial Started", "page")
    pages = [from_ingest(make_event(name, "page", age_days=-90)) for name in ("late", "later")]
    run(ada.store, ada.changes, *pages, rules=FIVE, now=NOW + timedelta(days=90))
    first, second = ada.store.pending("user:ada")
    by_revision = sorted((first, second), key=lambda change: change.revision)
    assert [(change.kind, change.cause) for change in by_revision] == [("tier", "time"), ("score", "events")]
    assert (first.at, first.revision != second.revision) == (second.at, True)
