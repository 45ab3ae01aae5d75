"""A lead as of another instant: what is told beside the score, and where the log no longer reaches."""

from __future__ import annotations

import json
from datetime import timedelta

from leadscore import parse_ruleset
from leadscore.core.instants import format_instant, from_datetime
from leadscore.usecases.recalling import MOST_MEMBERS, recall_lead
from leadscore.usecases.records import StoredIdentity
from leadscore.usecases.standing import LeadView
from tests.unit.test_score_batch import NOW, RULES, make_event
from tests.unit.test_verifying import ADA, TRIAL, VISIT, World


def recall(world: World, days_ago: float, name: str = "ada") -> LeadView:
    view = recall_lead(world.store, world.rules, name, NOW - timedelta(days=days_ago), world.now)
    assert view is not None
    return view


def account_traits(view: LeadView) -> str:
    assert view.as_of is not None
    return view.as_of.account_traits


def test_the_past_has_the_events_the_traits_and_the_tier_of_then() -> None:
    world = World()
    view = recall(world, 2.5, "device")
    assert (view.lead, set(view.identities)) == ("ada", {"user:ada", "anonymous:device", "anonymous:other"})
    assert [event["messageId"] for event in view.timeline.events] == ["s1", "i1", "g1"]
    assert view.state.traits == {"title": "VP Sales", "email": "ada@acme.example"}
    assert (view.score.total, view.score.tier) == (28.0, "warm")
    assert view.to_dict()["as_of"] == {
        "at": format_instant(from_datetime(NOW - timedelta(days=2.5))),
        "log_begins": None,
        "account_traits": "exact",
    }
    assert recall(world, 4).score.tier == "cold"


def test_the_future_assumes_that_nothing_happens() -> None:
    world = World()
    view = recall(world, -360)
    assert (view.score.tier, view.score.at) == ("warm", NOW + timedelta(days=360))
    assert view.score.groups["engagement"] < 0.1
    assert account_traits(view) == "exact"


def test_another_ruleset_sees_the_same_past() -> None:
    world = World()
    document = json.loads(RULES.document)
    document["criteria"].append(
        {"id": "goal", "group": "product", "event": {"event": ["Subscription Started"]}, "points": 7}
    )
    world.rules = parse_ruleset(document)
    assert recall(world, 1).score.groups["product"] == 7
    assert recall(world, 1.1).score.groups["product"] == 0


def test_an_instant_before_the_log_says_where_that_begins() -> None:
    world = World()
    view = recall(world, 401)
    assert view.as_of is not None
    assert view.as_of.log_begins == format_instant(from_datetime(NOW - timedelta(days=400)))
    assert (view.score.total, view.timeline.events) == (0, [])


def test_what_left_the_log_is_what_the_stored_state_still_knows() -> None:
    world = World(events=[TRIAL, make_event("i0", "identify", age_days=300, traits={"title": "VP Sales"})])
    world.now = NOW + timedelta(days=150)
    del world.store.log[ADA]["i0"]
    assert recall(world, 10).state.traits == {"title": "VP Sales"}
    assert recall(world, 301).state.traits == {}


def test_where_the_log_reaches_it_alone_is_believed() -> None:
    world = World()
    world.spoil_state(lambda state: state["t"].update(phone=[from_datetime(NOW - timedelta(days=3)), "m9", "1"]))
    assert "phone" not in recall(world, 1).state.traits


def grouped(message: str, lead: str, age_days: float, employees: int) -> dict[str, object]:
    return make_event(message, "group", lead, age_days, groupId="acme", traits={"employees": employees})


def test_an_account_that_changed_since_is_replayed_from_its_leads() -> None:
    world = World(events=[grouped("g1", "ada", 9, 300), grouped("g2", "bob", 5, 20), grouped("g3", "cyd", 1, 200)])
    assert [(recall(world, ago).score.total, account_traits(recall(world, ago))) for ago in (9, 5, 1)] == [
        (8.0, "replayed"),
        (0.0, "replayed"),
        (8.0, "exact"),
    ]


def test_an_account_of_too_many_leads_has_what_has_not_changed_since() -> None:
    world = World(events=[grouped("g1", "ada", 9, 300), grouped("g3", "cyd", 1, 200)])
    world.store.members["acme"] |= {f"user:u{number}" for number in range(MOST_MEMBERS - 2)}
    assert account_traits(recall(world, 5)) == "replayed"
    world.store.members["acme"].add("user:another")
    assert (recall(world, 5).score.total, account_traits(recall(world, 5))) == (0.0, "newest known")
    assert account_traits(recall(world, 1)) == "exact"


def test_nobody_and_the_erased_are_not_recalled() -> None:
    world = World(events=[VISIT])
    assert recall_lead(world.store, RULES, "nobody", NOW, NOW) is None
    world.store.identities["anonymous:device"] = StoredIdentity("anonymous:device", 2, erased=True)
    assert recall_lead(world.store, RULES, "device", NOW, NOW) is None
