"""Scores as stories: what happened to a lead, an instant, and the score and factors that are expected.

Each scenario reads: under this one criterion, when this happened, at this instant the lead has this many points.
"""

from __future__ import annotations

import json
import random
from datetime import datetime
from itertools import permutations, product

import pytest

from leadscore import AccountState, Ruleset, State, advance, advance_account, match, score_events, score_state
from leadscore.core.decay import UNITS_PER_POINT, halvings_until_nothing
from leadscore.core.ledger import Ledger, Term, open_ledger, tier_of
from leadscore.core.next_change import find_next_change
from leadscore.core.occurrences import Occurrence
from leadscore.core.ruleset import Criterion, Group, Measure, Tier
from tests.unit.story import (
    MILLISECOND,
    Event,
    days,
    did,
    factor_points,
    instant,
    joined,
    reasons,
    rules,
    said,
    score,
    visited,
)

# --- one criterion at a time ------------------------------------------------------------------------------------------

VISIT = "id: visit, group: engagement, event: {type: [page]}, points: 16"
READ = "id: read, group: product, event: {event: [Read]}, points: 16"
BOSS = "id: boss, group: fit, traits: {title: [CEO]}, points: 16"
SIZE = "id: size, group: fit, traits: {account: {employees: [{numeric: ['>=', 100]}]}}, points: 16"
FIRM = "id: firm, group: fit, traits: {company: {employees: [1]}}, points: 5"
BOSS_VISIT = "id: boss-visit, group: engagement, event: {type: [page]}, traits: {title: [CEO]}, points: 16"

TWO_VISITS = [visited("2026-03-01", "/"), visited("2026-03-11", "/")]
FEATURES = [
    did("2026-03-01", "Read", feature="a"),
    did("2026-03-02", "Read", feature="b"),
    did("2026-03-03", "Read", feature="a"),
]
MINUTES = [
    did("2026-03-01", "Read", minutes=20),
    did("2026-03-02", "Read", minutes=20.5),
    did("2026-03-03", "Read", minutes=19.5),
]
THREE_ON_TWO_DAYS = [did(when, "Read") for when in ("2026-03-01 00:00", "2026-03-01 23:59", "2026-03-02 00:00")]

SCENARIOS: list[tuple[str, str, list[Event], str, float]] = [
    # story, criterion, what happened, at, points
    ("nothing happened", VISIT, [], "2026-03-01", 0),
    ("one visit", VISIT, TWO_VISITS[:1], "2026-03-01", 16),
    ("a second visit adds nothing, the limit is one", VISIT, TWO_VISITS, "2026-03-11", 16),
    ("two visits under a limit of three", VISIT + ", limit: 3", TWO_VISITS, "2026-03-11", 32),
    ("an event that is not a visit", VISIT, [did("2026-03-01", "Read")], "2026-03-01", 0),
    ("a visit that is still to come", VISIT, TWO_VISITS[:1], "2026-02-28", 0),
    ("a visit that is to come is told first", VISIT, TWO_VISITS[::-1], "2026-03-05", 16),
    ("points lost", VISIT.replace("16", "-16"), TWO_VISITS[:1], "2026-03-01", -16),
    # decay
    ("half of it after a half-life", VISIT + ", half_life: 10d", TWO_VISITS[:1], "2026-03-11", 8),
    ("a quarter after two", VISIT + ", half_life: 10d", TWO_VISITS[:1], "2026-03-21", 4),
    ("the newest visit counts", VISIT + ", half_life: 10d", TWO_VISITS, "2026-03-21", 8),
    ("each decays by its own age", VISIT + ", half_life: 10d, limit: 2", TWO_VISITS, "2026-03-21", 12),
    ("nothing is left after ages", VISIT + ", half_life: 1s", TWO_VISITS[:1], "2026-03-02", 0),
    ("a penalty fades too", VISIT.replace("16", "-16") + ", half_life: 10d", TWO_VISITS[:1], "2026-03-11", -8),
    # windows
    ("inside the window", VISIT + ", within: 10d", TWO_VISITS[:1], "2026-03-10 23:59", 16),
    ("on the edge of the window", VISIT + ", within: 10d", TWO_VISITS[:1], "2026-03-11", 16),
    ("a millisecond later", VISIT + ", within: 10d", TWO_VISITS[:1], "2026-03-11 00:00:00.001", 0),
    ("one of two is inside", VISIT + ", within: 10d, limit: 2", TWO_VISITS, "2026-03-12", 16),
    ("across a leap day", VISIT + ", within: 2d", [visited("2028-02-28", "/")], "2028-03-01", 16),
    (
        "across the start of summer time",
        VISIT + ", within: 1d",
        [visited("2026-03-28 12:00", "/")],
        "2026-03-29 12:00",
        16,
    ),
    ("in the far past", VISIT, [visited("0001-01-01", "/")], "2026-03-01", 16),
    ("in the far future", VISIT + ", half_life: 1d", [visited("9999-12-30", "/")], "9999-12-31", 8),
    # thresholds
    ("two of three reads", READ + ", at_least: 3", FEATURES[:2], "2026-03-05", 0),
    ("three of three reads", READ + ", at_least: 3", FEATURES, "2026-03-05", 16),
    ("more than three count once", READ + ", at_least: 2", FEATURES, "2026-03-05", 16),
    ("three reads, one too old", READ + ", at_least: 3, within: 3d", FEATURES, "2026-03-05", 0),
    ("two of them are enough", READ + ", at_least: 2, within: 3d", FEATURES, "2026-03-05", 16),
    ("decay from the newest read", READ + ", at_least: 3, half_life: 10d", FEATURES, "2026-03-13", 8),
    ("two features", READ + ", at_least: 2, measure: {distinct: properties.feature}", FEATURES, "2026-03-05", 16),
    ("no three features", READ + ", at_least: 3, measure: {distinct: properties.feature}", FEATURES, "2026-03-05", 0),
    (
        "a feature used again is as new as its last use",
        READ + ", at_least: 2, within: 3d, measure: {distinct: properties.feature}",
        FEATURES,
        "2026-03-05",
        16,
    ),
    ("sixty minutes", READ + ", at_least: 60, measure: {sum: properties.minutes}", MINUTES, "2026-03-05", 16),
    ("not quite sixty", READ + ", at_least: 60.5, measure: {sum: properties.minutes}", MINUTES, "2026-03-05", 0),
    (
        "the newest two make forty",
        READ + ", at_least: 40, within: 3d, measure: {sum: properties.minutes}",
        MINUTES,
        "2026-03-05",
        16,
    ),
    ("two active days", READ + ", at_least: 2, measure: days", THREE_ON_TWO_DAYS, "2026-03-05", 16),
    ("no three active days", READ + ", at_least: 3, measure: days", THREE_ON_TWO_DAYS, "2026-03-05", 0),
    # traits
    ("a trait that matches", BOSS, [said("2026-03-01", title="CEO")], "2026-03-01", 16),
    ("traits do not decay", BOSS, [said("2020-03-01", title="CEO")], "2026-03-01", 16),
    ("a trait that changed", BOSS, [said("2026-03-01", title="CEO"), said("2026-03-02", title="CTO")], "2026-03-03", 0),
    (
        "the past is scored with the past's traits",
        BOSS,
        [said("2026-03-01", title="CEO"), said("2026-03-02", title="CTO")],
        "2026-03-01",
        16,
    ),
    ("an account's trait", SIZE, [joined("2026-03-01", "corp", employees=300)], "2026-03-01", 16),
    (
        "the traits of an account that the lead has left",
        SIZE,
        [joined("2026-03-01", "corp", employees=300), joined("2026-03-02", "small", employees=3)],
        "2026-03-03",
        0,
    ),
    (
        "the same, where nothing is known of the account it went to",
        SIZE,
        [joined("2026-03-01", "corp", employees=300), joined("2026-03-02", "small")],
        "2026-03-03",
        0,
    ),
    (
        "a lead's own `account` is not the account",
        SIZE,
        [said("2026-03-01", account={"employees": 300})],
        "2026-03-01",
        0,
    ),
    # an event and a trait
    ("a visit of somebody", BOSS_VISIT, TWO_VISITS[:1], "2026-03-05", 0),
    ("a boss who never came", BOSS_VISIT, [said("2026-03-01", title="CEO")], "2026-03-05", 0),
    ("a boss who never came twice", BOSS_VISIT + ", at_least: 2", [said("2026-03-01", title="CEO")], "2026-03-01", 0),
    ("a visit of who is a boss now", BOSS_VISIT, [TWO_VISITS[0], said("2026-03-02", title="CEO")], "2026-03-05", 16),
    # the criterion's own cap
    ("a cap on a criterion", VISIT + ", limit: 3, max: 20", TWO_VISITS, "2026-03-11", 20),
    (
        "a cap on a penalty",
        VISIT.replace("16", "-16") + ", limit: 3, max: 20",
        TWO_VISITS,
        "2026-03-11",
        -20,
    ),
    ("a cap on a trait", BOSS + ", max: 10", [said("2026-03-01", title="CEO")], "2026-03-01", 10),
    ("a cap that decay has gone below", VISIT + ", half_life: 10d, max: 10", TWO_VISITS[:1], "2026-03-11", 8),
]


@pytest.mark.parametrize(
    ("criterion", "events", "at", "points"), [row[1:] for row in SCENARIOS], ids=[r[0] for r in SCENARIOS]
)
def test_one_criterion(criterion: str, events: list[Event], at: str, points: float) -> None:
    fine = "id: spare, group: engagement, event: {event: [Never]}, points: 1"
    ruleset = rules(criterion, fine, total="{min: -100, max: 100}")
    result = score(ruleset, events, at)
    assert result.total == points
    assert [factor.points for factor in result.factors] == ([points] if points else [])
    assert len(result.factors) + len(result.missed) == 2
    stepwise = State.empty(ruleset)
    known = [event for event in events if instant_of(event) <= instant(at)]
    for event in reversed(known):
        stepwise = State.from_json(ruleset, advance(stepwise, [event]).to_json())
    groups = [event for event in known if event.get("groupId") == stepwise.account]
    account = advance_account(AccountState.empty(ruleset), groups)
    assert score_state(stepwise, instant(at), account) == result


def instant_of(event: Event) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


def test_a_criterion_that_does_not_hold_hides_none_after_it() -> None:
    ruleset = rules(BOSS_VISIT, VISIT, BOSS)
    assert factor_points(score(ruleset, TWO_VISITS, "2026-03-11")) == {"visit": 16}


# --- the worked example, caps, tiers ----------------------------------------------------------------------------------

WORKED_EXAMPLE = rules(
    'id: executive, group: fit, traits: {title: [{wildcard: "*VP*"}, {equals-ignore-case: ceo}]}, points: 10',
    'id: company-size, group: fit, traits: {company: {employees: [{numeric: [">=", 100, "<=", 500]}]}}, points: 8',
    "id: pricing-page, group: engagement, event: {type: [page], properties: {path: [{prefix: /pricing}]}}, points: 15",
    "id: free-trial, group: engagement, event: {event: [Trial Started]}, points: 20, half_life: none",
    "id: webinar, group: engagement, event: {event: [Webinar Attended]}, points: 5, limit: 3, within: 90d",
    'id: competitor, disqualify: true, traits: {email: [{suffix: "@rival.example"}]}',
    tiers="[{name: hot, from: 50}, {name: warm, from: 25}, {name: cold}]",
    groups="{fit: {max: 40}, engagement: {max: 100, half_life: 30d}}",
)
EXECUTIVE = [
    said("2026-03-01", title="ceo", company={"employees": 300}),
    visited("2026-03-01", "/pricing"),
    did("2026-03-01", "Trial Started"),
]


def test_the_worked_example_scores_53_and_is_hot() -> None:
    result = score(WORKED_EXAMPLE, EXECUTIVE, "2026-03-01")
    assert (result.total, result.tier) == (53.0, "hot")
    assert result.groups == {"fit": 18.0, "engagement": 35.0}
    assert factor_points(result) == {"executive": 10, "company-size": 8, "pricing-page": 15, "free-trial": 20}
    assert result.coverage == 1.0
    assert result.ceiling == 53.0


def test_the_worked_example_cools_when_the_visit_has_faded() -> None:
    result = score(WORKED_EXAMPLE, EXECUTIVE, "2026-03-01")
    assert result.next_change_at is not None
    before = score_events(WORKED_EXAMPLE, EXECUTIVE, result.next_change_at - MILLISECOND)
    after = score_events(WORKED_EXAMPLE, EXECUTIVE, result.next_change_at)
    assert (before.tier, after.tier) == ("hot", "warm")
    assert before.total >= 50 > after.total
    assert after.next_change_at is None


def test_the_ids_that_one_event_matches_come_in_ruleset_order() -> None:
    ruleset = rules(VISIT, READ, VISIT.replace("id: visit", "id: again"), BOSS, goal="{type: [page]}")
    assert match(ruleset, visited("2026-03-01", "/")) == ("visit", "again")
    assert match(ruleset, did("2026-03-01", "Slept")) == ()


CAPS = rules(
    "id: a, group: engagement, event: {event: [A]}, points: 30",
    "id: b, group: engagement, event: {event: [B]}, points: 30, max: 25",
    "id: c, group: engagement, event: {event: [C]}, points: -10",
    "id: d, group: product, event: {event: [D]}, points: 40",
    "id: e, group: product, event: {event: [E]}, points: -60",
    groups="{engagement: {max: 40}, product: {min: -20}}",
    total="{min: 0, max: 60}",
)


@pytest.mark.parametrize(
    ("happened", "total", "groups", "points"),
    [
        # The group's 40 is taken off the last factor that adds: b keeps 10 of its 25.
        ("AB", 40, {"fit": 0, "engagement": 40, "product": 0}, {"a": 30, "b": 10}),
        # c takes off before the cap: 30 + 25 - 10 is 45, so that b loses 5 only.
        ("ABC", 40, {"fit": 0, "engagement": 40, "product": 0}, {"a": 30, "b": 20, "c": -10}),
        # The total's 60 is taken off the last factor that adds, of any group.
        ("ABD", 60, {"fit": 0, "engagement": 40, "product": 40}, {"a": 30, "b": 10, "d": 20}),
        # The group's floor gives back to the last factor that subtracts.
        ("AE", 10, {"fit": 0, "engagement": 30, "product": -20}, {"a": 30, "e": -20}),
        # The total's floor of 0 gives back the rest.
        ("E", 0, {"fit": 0, "engagement": 0, "product": -20}, {"e": 0}),
        ("CE", 0, {"fit": 0, "engagement": -10, "product": -20}, {"c": 0, "e": 0}),
        ("DE", 0, {"fit": 0, "engagement": 0, "product": -20}, {"d": 40, "e": -40}),
    ],
)
def test_caps_cut_in_the_order_criterion_group_total(
    happened: str, total: float, groups: dict[str, float], points: dict[str, float]
) -> None:
    result = score(CAPS, [did("2026-03-01", name) for name in happened], "2026-03-01")
    assert (result.total, result.groups, factor_points(result)) == (total, groups, points)
    for factor in result.factors:
        cuts = factor.cuts
        assert factor.points == factor.decayed - cuts.criterion - cuts.group - cuts.total


def test_a_factor_says_which_cap_cut_how_much() -> None:
    result = score(CAPS, [did("2026-03-01", name) for name in "ABD"], "2026-03-01")
    cuts = {factor.criterion: factor.cuts.to_dict() for factor in result.factors}
    assert cuts["b"] == {"criterion": 5.0, "group": 15.0, "total": 0.0}
    assert cuts["d"] == {"criterion": 0.0, "group": 0.0, "total": 20.0}


def test_a_cut_of_one_unit_is_taken_from_what_adds() -> None:
    least = 2**-40
    ruleset = rules(
        "id: gain, group: fit, event: {event: [Gained]}, points: 20",
        "id: loss, group: fit, event: {event: [Lost]}, points: -10",
        groups=f"{{fit: {{max: {10 - least!r}}}}}",
    )
    result = score(ruleset, [did("2026-03-01", "Gained"), did("2026-03-01", "Lost")], "2026-03-01")
    assert factor_points(result) == {"gain": 20 - least, "loss": -10}


def test_factors_add_up_to_the_total_to_the_last_bit() -> None:
    chance = random.Random(3)
    criteria = [
        f"id: c{place}, group: {group}, event: {{event: [E{place}]}}, points: {points}, limit: 2, half_life: {fading}"
        for place, (group, points, fading) in enumerate(
            product(("fit", "engagement"), (17, -5, 8), ("7d", "30d", "none"))
        )
    ]
    ruleset = rules(*criteria, groups="{fit: {max: 30, min: -2}, engagement: {max: 20}}", total="{min: 0, max: 41}")
    names = [f"E{place}" for place in range(len(criteria))]
    for _ in range(50):
        chosen = chance.sample(names, chance.randint(1, 12))
        events = [did(f"2026-03-{chance.randint(1, 28):02} 0{chance.randint(0, 9)}:17", name) for name in chosen]
        result = score(ruleset, events, "2026-04-01")
        assert sum(factor.points for factor in result.factors) == result.total


def test_tiers_take_the_unrounded_total() -> None:
    ruleset = rules(
        VISIT + ", half_life: 365d",
        tiers="[{name: hot, from: 16}, {name: warm, from: 8}, {name: cold}]",
    )
    visit = [visited("2026-03-01", "/")]
    assert score(ruleset, visit, "2026-03-01").tier == "hot"
    almost = score(ruleset, visit, "2026-03-01 00:00:00.001")
    assert (f"{almost.total:.1f}", almost.tier) == ("16.0", "warm")


# --- gates, goal, coverage, reasons -----------------------------------------------------------------------------------


def test_a_disqualified_lead_keeps_its_score() -> None:
    result = score(WORKED_EXAMPLE, [*EXECUTIVE, said("2026-02-28", email="x@rival.example")], "2026-03-01")
    assert (result.total, result.tier) == (53.0, "disqualified")
    assert result.disqualified_by == ("competitor",)
    assert result.next_change_at is None


def test_a_gate_on_events_opens_when_its_window_closes() -> None:
    ruleset = rules(
        VISIT,
        "id: bot, disqualify: true, event: {event: [Bot Suspected]}, within: 7d",
        tiers="[{name: some, from: 5}, {name: none}]",
    )
    events = [visited("2026-03-01", "/"), did("2026-03-02", "Bot Suspected"), did("2026-03-04", "Bot Suspected")]
    result = score(ruleset, events, "2026-03-05")
    assert result.tier == "disqualified"
    assert result.next_change_at == instant("2026-03-11") + MILLISECOND
    assert score_events(ruleset, events, result.next_change_at - MILLISECOND).tier == "disqualified"
    assert score_events(ruleset, events, result.next_change_at).tier == "some"
    assert reasons(result) == {}


def test_a_lasting_gate_keeps_a_passing_one_from_changing_anything() -> None:
    ruleset = rules(
        VISIT,
        "id: bot, disqualify: true, event: {event: [Bot Suspected]}, within: 7d",
        "id: rival, disqualify: true, event: {event: [Rival]}",
    )
    events = [did("2026-03-02", "Bot Suspected"), did("2026-03-04", "Rival")]
    result = score(ruleset, events, "2026-03-05")
    assert (result.disqualified_by, result.next_change_at) == (("bot", "rival"), None)


def test_conversion_is_the_first_goal() -> None:
    goals = [did("2026-03-04", "Subscription Started"), did("2026-03-02", "Subscription Started")]
    ruleset = rules(VISIT)
    assert score(ruleset, goals, "2026-03-05").converted_at == instant("2026-03-02")
    assert score(ruleset, goals, "2026-03-01").converted_at is None


@pytest.mark.parametrize(
    ("traits", "coverage"),
    [
        ({}, 0),
        ({"title": "nobody"}, 0.25),
        ({"company": {"employees": 5}}, 0),
        ({"company": {"employees": 5, "country": "NZ"}}, 0.75),
        ({"company": {"employees": 5, "country": []}}, 0),
        ({"company": [{"employees": 5}, {"country": "NZ"}]}, 0.75),
        ({"title": "x", "company": {"employees": 5, "country": ["NZ"]}}, 1),
        ({"title": None, "company": None}, 0),
    ],
)
def test_coverage_is_the_share_of_fit_points_with_data(traits: dict[str, object], coverage: float) -> None:
    ruleset = rules(
        "id: plan, group: product, traits: {plan: [pro]}, points: 100",
        "id: boss, group: fit, traits: {title: [CEO]}, points: 5",
        "id: firm, group: fit, traits: {company: {employees: [{numeric: ['>=', 9]}], country: [NZ]}}, points: -15",
        "id: owner, group: product, traits: {owner: [x]}, points: 100",
        VISIT,
    )
    assert score(ruleset, [said("2026-03-01", **traits)], "2026-03-01").coverage == coverage


@pytest.mark.parametrize(("employees", "coverage"), [(300, 1.0), (3, 0.0)])
def test_a_criterion_that_matches_by_one_of_two_fields_is_covered(employees: int, coverage: float) -> None:
    size = "{employees: [{numeric: ['>=', 100]}]}"
    either = f"id: size, group: fit, traits: {{$or: [{{company: {size}}}, {{account: {size}}}]}}, points: 8"
    ruleset = rules(BOSS.replace("fit", "product"), either)
    told = said("2026-03-01", company={"employees": employees})
    assert score(ruleset, [told], "2026-03-01").coverage == coverage


def test_coverage_is_whole_without_fit_criteria() -> None:
    assert score(rules(VISIT), [], "2026-03-01").coverage == 1.0


@pytest.mark.parametrize(
    ("criterion", "events", "reason"),
    [
        (VISIT, [], "not seen"),
        (VISIT + ", within: 1d", TWO_VISITS, "outside the window"),
        (VISIT + ", within: 1d", [visited("0001-01-01", "/")], "outside the window"),
        (READ + ", at_least: 9, within: 60d", FEATURES, "below at_least"),
        (READ + ", at_least: 2, within: 1d", FEATURES, "outside the window"),
        (BOSS, [], "unknown trait"),
        (BOSS, [said("2026-03-01", title="CTO")], "trait does not match"),
        (SIZE, [joined("2026-03-01", "corp")], "unknown trait"),
        (SIZE, [joined("2026-03-01", "corp", employees=3)], "trait does not match"),
        (FIRM, [said("2026-03-01", company={"country": "NZ"})], "trait does not match"),
        (BOSS_VISIT, [said("2026-03-01", title="CEO")], "not seen"),
        (BOSS_VISIT, TWO_VISITS, "unknown trait"),
        (BOSS_VISIT, [*TWO_VISITS, said("2026-03-01", title="CTO")], "trait does not match"),
        (VISIT + ", half_life: 1s", TWO_VISITS, "decayed to nothing"),
        (BOSS_VISIT + ", half_life: 1s", [*TWO_VISITS, said("2026-03-01", title="CEO")], "decayed to nothing"),
    ],
)
def test_a_criterion_that_does_not_count_says_why(criterion: str, events: list[Event], reason: str) -> None:
    result = score(rules(criterion), events, "2026-04-01")
    assert list(reasons(result).values()) == [reason]
    assert result.factors == ()


@pytest.mark.parametrize(
    ("criterion", "unknown"),
    [
        (FIRM, "company"),
        ("id: firm, group: fit, traits: {account: {company: {employees: [1]}}}, points: 5", "account.company"),
    ],
)
def test_a_missed_criterion_names_the_trait_that_was_never_seen(criterion: str, unknown: str) -> None:
    (missed,) = score(rules(criterion), [], "2026-03-01").missed
    assert missed.to_dict() == {
        "criterion": "firm",
        "group": "fit",
        "points": 5,
        "reason": "unknown trait",
        "unknown": [unknown],
    }


def test_a_missed_criterion_that_was_never_seen_has_no_measure() -> None:
    (missed,) = score(rules(READ + ", at_least: 2"), [], "2026-03-01").missed
    assert missed.to_dict() == {"criterion": "read", "group": "product", "points": 16, "reason": "not seen"}


# --- the set of events ------------------------------------------------------------------------------------------------


def test_any_order_and_repetition_of_events_give_the_same_text() -> None:
    events = [*EXECUTIVE, did("2026-02-01", "Webinar Attended"), joined("2026-02-03", "corp")]
    texts = {
        json.dumps(score(WORKED_EXAMPLE, [*order, order[-1]], "2026-03-09").to_dict()) for order in permutations(events)
    }
    assert len(texts) == 1


def test_of_unequal_copies_the_newest_counts_then_the_last_as_json() -> None:
    ruleset = rules(READ + ", at_least: 5, measure: {sum: properties.minutes}")
    copies = [
        {**did("2026-03-01", "Read", minutes=9), "messageId": "one"},
        {**did("2026-03-02", "Read", minutes=7), "messageId": "one"},
        {**did("2026-03-02", "Read", minutes=3), "messageId": "one"},
    ]
    for order in permutations(copies):
        assert score(ruleset, list(order), "2026-03-05").total == 16
        assert score(ruleset, [copy for copy in order if copy is not copies[1]], "2026-03-05").total == 0


def test_a_state_is_not_scored_before_what_it_has_seen() -> None:
    state = advance(State.empty(WORKED_EXAMPLE), EXECUTIVE)
    with pytest.raises(ValueError, match="replay the log"):
        score_state(state, instant("2026-03-01") - MILLISECOND)
    assert score_state(state, instant("2026-03-01")).total == 53


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        score_events(WORKED_EXAMPLE, [], datetime(2026, 3, 1))  # noqa: DTZ001


def test_a_score_as_a_document() -> None:
    ruleset = rules(VISIT + ", half_life: 10d", BOSS, READ + ", at_least: 2", groups="{fit: {max: 4}}")
    document = score(
        ruleset, [visited("2026-03-01", "/"), said("2026-03-02", title="CEO"), FEATURES[0]], "2026-03-11"
    ).to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document == {
        "version": ruleset.version,
        "at": "2026-03-11T00:00:00.000Z",
        "total": 12.0,
        "tier": "some",
        "groups": {"fit": 4.0, "engagement": 8.0, "product": 0.0},
        "factors": [
            {
                "criterion": "visit",
                "group": "engagement",
                "points": 8.0,
                "raw": 16.0,
                "decayed": 8.0,
                "cuts": {"criterion": 0.0, "group": 0.0, "total": 0.0},
                "occurrences": [{"event": "/ 2026-03-01", "time": "2026-03-01T00:00:00.000Z"}],
            },
            {
                "criterion": "boss",
                "group": "fit",
                "points": 4.0,
                "raw": 16.0,
                "decayed": 16.0,
                "cuts": {"criterion": 0.0, "group": 12.0, "total": 0.0},
                "occurrences": [],
            },
        ],
        "missed": [
            {
                "criterion": "read",
                "group": "product",
                "points": 16,
                "reason": "below at_least",
                "kept": 1,
                "newest": "2026-03-01T00:00:00.000Z",
                "have": 1,
                "at_least": 2,
            }
        ],
        "coverage": 1.0,
        "disqualified_by": [],
        "next_change_at": None,
        "converted_at": None,
        "raised_at": None,
        "raised_by": None,
    }


def test_a_document_writes_its_instants_in_one_form() -> None:
    ruleset = rules(VISIT + ", within: 3d")
    events = [visited("2026-03-01", "/"), did("2026-03-02 08:15", "Subscription Started")]
    document = score(ruleset, events, "2026-03-03").to_dict()
    assert document["next_change_at"] == "2026-03-04T00:00:00.001Z"
    assert document["converted_at"] == "2026-03-02T08:15:00.000Z"


def test_a_document_tells_when_and_by_what_the_lead_last_raised_its_hand() -> None:
    ruleset = rules(VISIT, alerts="{tier: some, always: [Demo Requested, Called]}")
    events = [did("2026-03-01", "Demo Requested"), did("2026-03-02", "Called"), did("2026-03-03", "Looked")]
    found = score(ruleset, events, "2026-03-03")
    assert found.raised_at == instant("2026-03-02")
    assert (found.to_dict()["raised_at"], found.to_dict()["raised_by"]) == ("2026-03-02T00:00:00.000Z", "Called")
    earlier = score(ruleset, events, "2026-03-01").to_dict()
    assert (earlier["raised_at"], earlier["raised_by"]) == ("2026-03-01T00:00:00.000Z", "Demo Requested")


@pytest.mark.parametrize(
    ("pattern", "internal"),
    [
        ("{email: [{suffix: '@ourselves.example'}]}", True),
        ("{email: [{suffix: '@corp.example'}]}", False),
        ("{account: {plan: [own]}}", True),
        ("{department: [sales]}", False),
    ],
)
def test_a_lead_is_internal_by_its_traits_and_those_of_its_account(pattern: str, internal: bool) -> None:
    ruleset = rules(VISIT, alerts=f"{{tier: some, suppress: {{internal: {pattern}}}}}")
    events = [said("2026-03-01", email="ann@ourselves.example"), joined("2026-03-01", "corp", plan="own")]
    assert score(ruleset, events, "2026-03-01").internal is internal
    assert score(rules(VISIT), events, "2026-03-01").internal is False


# --- the next change by time alone ------------------------------------------------------------------------------------

WARM = "[{name: hot, from: 20}, {name: warm, from: 5}, {name: cold}]"
PENALTY = "id: penalty, group: engagement, event: {event: [Complained]}, points: -16"
COMPLAINT = did("2026-03-01", "Complained")


@pytest.mark.parametrize(
    ("criteria", "events", "changes_to"),
    [
        ([VISIT + ", within: 3d"], TWO_VISITS[:1], ("2026-03-04 00:00:00.001", "cold")),
        ([VISIT + ", half_life: 10d, max: 5"], TWO_VISITS[:1], ("2026-03-17 18:44:14.127", "cold")),
        ([VISIT], TWO_VISITS[:1], None),
        # A single point decides.
        (
            [VISIT.replace("16", "1") + ", within: 3d", BOSS.replace("16", "4")],
            [TWO_VISITS[0], said("2026-03-01", title="CEO")],
            ("2026-03-04 00:00:00.001", "cold"),
        ),
        (
            [VISIT + ", half_life: 10d", BOSS],
            [TWO_VISITS[0], said("2026-03-01", title="CEO")],
            ("2026-03-21 00:00:00.001", "warm"),
        ),
        # A threshold is missed as soon as the first of the reads that it needs is too old.
        (
            [READ + ", at_least: 2, within: 3d"],
            [did("2026-02-27", "Read"), did("2026-03-01", "Read")],
            ("2026-03-02 00:00:00.001", "cold"),
        ),
        # A complaint that is forgotten lifts the lead again.
        ([VISIT, PENALTY + ", within: 3d"], [TWO_VISITS[0], COMPLAINT], ("2026-03-04 00:00:00.001", "warm")),
        ([VISIT, PENALTY + ", half_life: 1d"], [TWO_VISITS[0], COMPLAINT], ("2026-03-01 12:58:25.109", "warm")),
        (
            [VISIT, BOSS, PENALTY + ", within: 3d"],
            [TWO_VISITS[0], COMPLAINT, said("2026-03-01", title="CEO")],
            ("2026-03-04 00:00:00.001", "hot"),
        ),
        # Both fade alike and outweigh each other for ever.
        ([VISIT + ", half_life: 1d", PENALTY + ", half_life: 1d"], [TWO_VISITS[0], COMPLAINT], None),
        # The complaint fades first: the lead warms up before it cools down.
        (
            [VISIT + ", half_life: 9d", PENALTY + ", half_life: 1d"],
            [TWO_VISITS[0], COMPLAINT],
            ("2026-03-01 15:30:34.236", "warm"),
        ),
    ],
)
def test_the_next_change(criteria: list[str], events: list[Event], changes_to: tuple[str, str] | None) -> None:
    ruleset = rules(*criteria, "id: spare, group: fit, event: {event: [Never]}, points: 50", tiers=WARM)
    now = score(ruleset, events, "2026-03-01")
    if changes_to is None:
        assert now.next_change_at is None
        return
    when, tier = changes_to
    assert now.next_change_at == instant(when)
    assert score_events(ruleset, events, now.next_change_at - MILLISECOND).tier == now.tier
    assert score_events(ruleset, events, now.next_change_at).tier == tier != now.tier


@pytest.mark.parametrize(
    ("term", "settles"),
    [
        (Term(5), None),
        (Term(5, 100, closes=130), 130),
        (Term(5, 100, half_life=10), 100 + 10 * halvings_until_nothing(5)),
        (Term(5, 100, half_life=10, closes=130), 130),
        (Term(5, 100, half_life=10, closes=10_000), 100 + 10 * halvings_until_nothing(5)),
    ],
)
def test_a_term_is_nothing_from_when_it_settles_on(term: Term, settles: int | None) -> None:
    assert term.settles == settles
    if settles is None:
        assert term.units_at(10**9) == 5 * UNITS_PER_POINT
    else:
        assert term.units_at(settles) == term.units_at(10**9) == 0


def test_a_tier_from_nothing_is_reached_when_a_penalty_is_forgotten() -> None:
    ruleset = rules(
        PENALTY + ", within: 3d", tiers="[{name: fine, from: 0}, {name: poor}]", total="{min: -100, max: 100}"
    )
    result = score(ruleset, [COMPLAINT], "2026-03-01")
    assert (result.tier, result.next_change_at) == ("poor", instant("2026-03-04 00:00:00.001"))


def test_a_change_beyond_the_last_instant_is_none() -> None:
    ruleset = rules(VISIT + ", within: 30d")
    assert score(ruleset, [visited("9999-12-25", "/")], "9999-12-26").next_change_at is None
    last = visited("9999-12-01 23:59:59.998", "/")
    assert score(ruleset, [last], "9999-12-26").next_change_at == instant("9999-12-31 23:59:59.999")


@pytest.mark.parametrize("seed", range(400))
def test_the_next_change_is_what_a_scan_of_every_millisecond_finds(seed: int) -> None:
    at = 1000
    ledger = _random_ledger(random.Random(seed), at, unit=1)
    tiers = [_tier_at(ledger, time) for time in range(at, at + 500)]
    first = next((time for time, tier in enumerate(tiers, at) if tier != tiers[0]), None)
    assert find_next_change(ledger, at) == first


@pytest.mark.parametrize("seed", range(100))
def test_the_next_change_over_days_is_the_first_that_samples_can_find(seed: int) -> None:
    day = 86_400_000
    at = 1000 * day
    ledger = _random_ledger(random.Random(seed), at, unit=day)
    found = find_next_change(ledger, at)
    if found is not None:
        assert _tier_at(ledger, found - 1) == _tier_at(ledger, at) != _tier_at(ledger, found)
    until = found if found is not None else at + 500 * day
    assert {_tier_at(ledger, random.Random(seed).randrange(at, until)) for _ in range(100)} == {_tier_at(ledger, at)}


def test_the_ceiling_is_never_exceeded() -> None:
    ruleset = rules(VISIT + ", half_life: 9d", PENALTY + ", half_life: 1d")
    events = [*TWO_VISITS[:1], COMPLAINT]
    result = score(ruleset, events, "2026-03-01")
    later = [score_events(ruleset, events, instant("2026-03-01") + days(number)).total for number in range(30)]
    assert result.total == 0 < max(later) <= result.ceiling == 16


def _tier_at(ledger: Ledger, time: int) -> int:
    return tier_of(ledger.ruleset, ledger.total(ledger.units_at(time)))


def _random_ledger(chance: random.Random, at: int, unit: int) -> Ledger:
    """Return few criteria of few half-lives and round points, so that ties with tiers and each other are common."""
    pattern = WORKED_EXAMPLE.criteria[2].event
    half_lives = chance.sample([3 * unit, 4 * unit, 5 * unit, 7 * unit, None], chance.randint(1, 2))
    criteria: list[Criterion] = []
    kept: dict[str, tuple[Occurrence, ...]] = {}
    for name in ("a", "b", "c", "d", "e")[: chance.randint(1, 5)]:
        limit, thresholded = chance.randint(1, 3), chance.random() < 0.2
        criteria.append(
            Criterion(
                id=name,
                group=chance.choice(["fit", "engagement"]),
                points=chance.choice([1, 2, 3, 5, 10, 20, -1, -4, -5, -10, -20]),
                event=pattern,
                limit=limit,
                within=chance.choice([None, None, 10 * unit, 40 * unit]),
                half_life=chance.choice(half_lives),
                at_least=limit if thresholded else None,
                measure=Measure("count") if thresholded else None,
                max=chance.choice([None, None, None, 8, 15]),
            )
        )
        ages = [unit * chance.choice([0, 0, 0, 3, 4, 7, 8, 9]) for _ in range(limit)]
        kept[name] = tuple(sorted(Occurrence(at - age, f"{name}{place}") for place, age in enumerate(ages)))
    base = Criterion(id="base", group="fit", points=chance.choice([5, 10, 20, 25]), traits=pattern)
    ruleset = Ruleset(
        version="",
        state_digest="",
        document="",
        tiers=(Tier("hot", 30), Tier("warm", chance.choice([20, 25, 24.5])), Tier("mild", 10), Tier("cold", None)),
        groups={
            "fit": Group("fit", max=chance.choice([None, 20, 25, 30]), min=chance.choice([None, 0, -5])),
            "engagement": Group("engagement", max=chance.choice([None, 10, 25]), min=chance.choice([None, 0, -5])),
        },
        criteria=(*criteria, base),
        goal=None,
        alerts=None,
        total_min=chance.choice([0, -100]),
        total_max=chance.choice([100, None, 30]),
    )
    return open_ledger(ruleset, kept, [base], at)
