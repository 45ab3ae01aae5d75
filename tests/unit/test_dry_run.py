"""A dry run lead by lead: what it counts of whom, and what was really sent beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from leadscore import Ruleset, parse_ruleset
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, HOUR, from_datetime
from leadscore.core.ruleset import DISQUALIFIED
from leadscore.learning.dry_runs import MOST_MOVES, AlertTally, DryRun, DryRunTally, LeadComparison, Move, Placing
from leadscore.usecases.alert_records import AlertRecord, Entry
from leadscore.usecases.dry_run import Comparing, DryRunReport, SentAlerts, compare_lead, count_sent, run_segment
from leadscore.usecases.histories import History, HistoryPage
from tests.contract.memory_histories import MemoryHistories
from tests.unit.test_score_batch import NOW, RULES, make_event
from tests.unit.test_verifying import ADA, BOB, TITLE, TRIAL, World

MILLIS = from_datetime(NOW)
EVE = make_event("e1", "track", "eve", age_days=3, event="Report Exported")


def rules(**fields: Any) -> Ruleset:
    return parse_ruleset({**json.loads(RULES.document), **fields})


def with_points(**points: int) -> Ruleset:
    criteria = json.loads(RULES.document)["criteria"]
    return rules(criteria=[{**one, "points": points.get(one["id"], one.get("points"))} for one in criteria])


def exporting() -> Ruleset:
    criteria = json.loads(RULES.document)["criteria"]
    exported = {"id": "exported", "group": "engagement", "event": {"event": ["Report Exported"]}, "points": 90}
    return rules(criteria=[*criteria, exported], alerts={"tier": RULES.tiers[0].name})


def dry_run(world: World, new: Ruleset, **fields: Any) -> DryRun:
    compared = Comparing(RULES, new, MILLIS, world.store.retention, **fields)
    return run_segment(MemoryHistories(world.store), compared, 0, 1, 3, lambda _page: None)


def alert(name: str, *leads: str, age: int = DAY, sent: bool = True) -> AlertRecord:
    entries = [Entry(lead, "tier", "hot", 60.0, {}, None) for lead in leads]
    at = MILLIS - age
    return AlertRecord(name, "alert", None, "lead:x", at, entries, sent_at=at if sent else None)


def test_what_moves_a_lead_is_told_criterion_by_criterion() -> None:
    world = World()
    new = with_points(trial=60)
    done = dry_run(world, new)
    ada = next(mover for mover in done.movers if mover.lead == "ada")
    assert [move.criterion for move in ada.moves] == ["trial"]
    assert ada.points == pytest.approx(ada.moves[0].points)
    assert ada.points > 0
    assert done.criteria["trial"].more == done.changed
    assert done.criteria["trial"].less == 0


def test_of_many_criteria_that_move_a_lead_the_furthest_are_named_and_the_rest_is_one_sum() -> None:
    names = [f"c{number}" for number in range(9)]
    documents = [
        {
            "tiers": [{"name": "hot", "from": 9}, {"name": "cold"}],
            "criteria": [
                {"id": name, "group": "fit", "traits": {"title": ["VP"]}, "points": one if factor else 1}
                for one, name in enumerate(names, 2)
            ],
        }
        for factor in (0, 1)
    ]
    old, new = (parse_ruleset(document) for document in documents)
    history = History("user:ada", [make_event("i1", "identify", traits={"title": "VP"})], [], None)
    compared = compare_lead(Comparing(old, new, MILLIS, 0), history)
    (mover,) = run_one(DryRun.empty(old, new), compared._replace(is_stored=True)).movers
    assert mover.moves == tuple(Move(f"c{number}", 1.0, number + 2.0) for number in range(8, 8 - MOST_MOVES, -1))
    assert mover.rest == 4 + 3 + 2 + 1
    assert (mover.before, mover.after) == (Placing("hot", 9.0), Placing("hot", 54.0))


def run_one(start: DryRun, lead: LeadComparison) -> DryRun:
    tally = DryRunTally(start)
    tally.add(lead)
    return tally.dry_run()


def test_who_is_disqualified_by_the_new_ruleset_alone_is_told_by_what() -> None:
    criteria = json.loads(RULES.document)["criteria"]
    barred = {"id": "barred", "disqualify": True, "traits": {"title": [{"prefix": "VP"}]}}
    done = dry_run(World(), rules(criteria=[*criteria, barred]))
    assert {mover.lead: (mover.after.tier, mover.gates) for mover in done.movers} == {
        "ada": (DISQUALIFIED, ("barred",)),
        "bob": (DISQUALIFIED, ("barred",)),
    }
    assert done.moved == 2


def test_of_whom_nothing_ever_counted_is_in_no_tier_and_counted_apart() -> None:
    world = World()
    world.apply(EVE)
    assert dry_run(world, with_points(trial=60)).unstored == 1
    done = dry_run(world, exporting())
    assert (done.leads, done.unstored, done.unstored_counting) == (2, 1, 1)
    assert "eve" not in {mover.lead for mover in done.movers}
    # Under that ruleset she would have been told of when it happened.
    assert done.told_after.leads >= 1


def test_what_a_state_knows_from_before_the_log_begins_counts_under_other_patterns_too() -> None:
    world = World()
    world.store.log.clear()
    other = exporting()
    # Who they are is kept with the lead, and what they did in other terms is not.
    long_after = Comparing(RULES, other, MILLIS, DAY // 4)
    done = run_segment(MemoryHistories(world.store), long_after, 0, 1, 3, lambda _page: None)
    assert {mover.lead: mover.after.score for mover in done.movers} == {"ada": 28.0}
    assert done.matrix == {("cold", "cold"): 1, ("hot", "warm"): 1}


def test_one_lead_that_cannot_be_read_is_counted_and_stops_nobody() -> None:
    world = World()
    body = world.store.identities[BOB].body
    assert body is not None
    world.store.identities[BOB] = replace(world.store.identities[BOB], body=replace(body, state="{"))
    done = dry_run(world, with_points(trial=60))
    assert (done.failed, done.leads) == (1, 1)


def test_what_was_sent_is_counted_from_the_records_of_alerts() -> None:
    sent = count_sent(
        [
            alert("a", "one", "two"),
            alert("b", "one", "account:acme"),
            alert("c", "account:acme"),
            alert("d", "three", sent=False),
            alert("e", "four", age=30 * DAY),
            alert("f", "five", age=30 * DAY - 1),
            alert("g", "six", age=-HOUR),
        ],
        MILLIS,
    )
    assert sent == SentAlerts(4, {"one": 2, "two": 1, "five": 1}, accounts=2)
    assert sent.to_dict() == {"alerts": 4, "told_of_leads": 4, "told_of_accounts": 2, "is_all": True}


def test_of_more_alerts_than_there_is_time_for_the_newest_are_counted() -> None:
    late = iter([False, False])
    sent = count_sent([alert("a", "one"), alert("b", "two"), alert("c", "three")], MILLIS, lambda: next(late, True))
    assert sent == SentAlerts(2, {"one": 1, "two": 1}, is_all=False)


def test_what_was_sent_of_the_leads_that_were_compared_is_told_beside() -> None:
    sent = SentAlerts(7, {pseudonym(ADA): 2, pseudonym("user:nobody"): 5})
    assert dry_run(World(), RULES, sent=sent).sent == 2


def test_alerts_are_counted_lead_by_lead_under_both_rulesets() -> None:
    # Ada became hot two days ago; Bob is a VP, which alone makes nobody warm.
    criteria = json.loads(with_points(executive=30).document)["criteria"]
    louder = rules(criteria=criteria, alerts={"tier": "warm", "always": ["Trial Started"], "cooldown": "none"})
    done = dry_run(World(), louder)
    assert done.told_before == AlertTally(1, 0, 1)
    assert done.told_after == AlertTally(4, 2, 2)
    assert done.told_both == 1
    assert dry_run(World(), rules(alerts={"tier": "hot", "min_fit": 28})).told_after == AlertTally(1, 0, 1)
    # Her account's size, which makes it 28, is said by an event of her own.
    fitting = json.loads(with_points(executive=21).document)["criteria"]
    sizeless = [one for one in fitting if one["id"] != "large"] + [
        {**fitting[1], "points": 7, "traits": {"none": ["x"]}}
    ]
    unfit = rules(criteria=sizeless, alerts={"tier": "hot", "min_fit": 28})
    assert dry_run(World(), unfit).told_after == AlertTally()


@pytest.mark.parametrize("new", [RULES, exporting()], ids=["alike", "other patterns"])
def test_who_bought_before_the_log_begins_is_told_of_under_neither(new: Ruleset) -> None:
    bought = make_event("w0", "track", age_days=500, event="Subscription Started")
    customer = World(events=(bought, TRIAL, TITLE))
    del customer.store.log[ADA]["w0"]
    done = dry_run(customer, new)
    assert (done.told_before, done.told_after) == (AlertTally(), AlertTally())
    assert dry_run(World(events=(TRIAL, TITLE)), new).told_before == AlertTally(1, 0, 1)


def test_only_dry_runs_of_the_same_rulesets_are_merged() -> None:
    one, other = DryRun.empty(RULES, RULES), DryRun.empty(RULES, with_points(trial=60))
    with pytest.raises(ValueError, match="same two rulesets"):
        one.merge(other)


def test_a_report_is_plain_json_with_a_row_for_each_tier() -> None:
    new = with_points(trial=60)
    world = World()
    compared = Comparing(RULES, new, MILLIS, world.store.retention, SentAlerts(3, {pseudonym(ADA): 1}))
    done = run_segment(MemoryHistories(world.store), compared, 0, 1, 3, lambda _page: None)
    told = json.loads(json.dumps(DryRunReport(compared, done, is_all=True).to_dict()))
    assert (told["old"], told["new"], told["leads"], told["is_all"]) == (RULES.version, new.version, 2, True)
    names = [*(tier.name for tier in RULES.tiers), DISQUALIFIED]
    assert list(told["matrix"]) == names
    assert all(list(row) == names for row in told["matrix"].values())
    assert sum(sum(row.values()) for row in told["matrix"].values()) == 2
    assert [change["part"] for change in told["changes"]] == ["criterion trial"]
    assert told["sent"] == {"alerts": 3, "told_of_leads": 1, "told_of_accounts": 0, "is_all": True}
    assert told["alerts"]["sent"] == 1
    assert told["alert_days"] == 30


def test_progress_is_told_page_by_page() -> None:
    pages: list[HistoryPage] = []
    world = World()
    note: Callable[[HistoryPage], None] = pages.append
    run_segment(MemoryHistories(world.store), Comparing(RULES, RULES, MILLIS, 0), 0, 1, 2, note)
    assert sum(page.items for page in pages) == len({*world.store.identities, *world.store.log})
