"""What a snapshot of a lead says: the score at its moment, and the label of the window after it, to the millisecond."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from leadscore import Ruleset, parse_ruleset, score_events
from leadscore.core.instants import DAY, Millis, from_datetime
from leadscore.learning.samples import Tally, TimeSplit
from leadscore.learning.snapshots import (
    LeadSnapshot,
    Omission,
    choose_split,
    draw_moment,
    find_qualified,
    take_snapshot,
)
from leadscore_cli.sample_company import SampleCompany, sample_ruleset
from tests.unit.story import Event, did, instant, joined, rules, said, visited

RULES = rules(
    "id: boss, group: fit, points: 10, traits: {title: [CEO]}",
    "id: rival, disqualify: true, traits: {company: [Rival]}",
    "id: price, group: engagement, points: 8, half_life: 1d, limit: 2, max: 9, event: {properties: {path: [/pricing]}}",
    "id: large, group: fit, points: 4, traits: {account: {size: [big]}}",
    "id: left, group: engagement, points: -6, event: {event: [Unsubscribed]}",
    tiers="[{name: hot, from: 20}, {name: warm, from: 10}, {name: cold}]",
    total="{min: -10, max: 100}",
)
WINDOW = 10 * DAY
NOW = from_datetime(instant("2026-06-01"))
BOUGHT = "Subscription Started"


def at(text: str) -> Millis:
    return from_datetime(instant(text))


def snap(
    events: list[Event], when: str, ruleset: Ruleset = RULES, account_events: Sequence[Event] = ()
) -> LeadSnapshot | Omission:
    return take_snapshot(ruleset, events, at(when), window=WINDOW, now=NOW, account_events=account_events)


def taken(events: list[Event], when: str, account_events: Sequence[Event] = ()) -> LeadSnapshot:
    found = snap(events, when, account_events=account_events)
    assert isinstance(found, LeadSnapshot)
    return found


def test_strengths_are_decayed_and_uncapped_by_place_among_the_criteria_with_points() -> None:
    events = [said("2026-03-01", title="CEO"), visited("2026-03-01", "/pricing"), visited("2026-03-02", "/pricing")]
    found = taken([*events, did("2026-03-02", "Unsubscribed")], "2026-03-03")
    assert found.strengths == ((0, 1.0), (1, 0.25 + 0.5), (3, 1.0))
    assert found.total == 10 + 6 - 6


def test_the_total_is_the_score_as_it_was_with_its_caps() -> None:
    events = [visited("2026-03-01", "/pricing"), visited("2026-03-01 00:01", "/pricing")]
    found = taken(events, "2026-03-01 00:01")
    assert found.total == 9
    assert found.strengths[0][1] > 1.9


def test_what_happens_after_the_moment_is_not_seen() -> None:
    before = [said("2026-03-01", title="Intern"), visited("2026-03-01", "/pricing")]
    after = [said("2026-03-03 00:01", title="CEO"), visited("2026-03-03 00:01", "/pricing")]
    assert snap([*after, *before], "2026-03-03") == snap(before, "2026-03-03")


def test_an_account_is_known_by_what_others_said_of_it_up_to_the_moment() -> None:
    events = [joined("2026-03-01", "acme")]
    others = [joined("2026-03-02", "acme", size="big"), joined("2026-03-01 05:00", "initech", size="small")]
    assert taken(events, "2026-03-02", account_events=others).strengths == ((2, 1.0),)
    assert taken(events, "2026-03-01 23:59", account_events=others).strengths == ()


@pytest.mark.parametrize(
    ("bought", "expected"),
    [
        ("2026-03-09 23:59:59.999", "converted before"),
        ("2026-03-10", "converted before"),
        ("2026-03-10 00:00:00.001", True),
        ("2026-03-20", True),
        ("2026-03-20 00:00:00.001", False),
    ],
)
def test_the_label_is_the_first_conversion_after_the_moment_and_within_the_window(
    bought: str, expected: object
) -> None:
    found = snap([visited("2026-03-01", "/pricing"), did(bought, BOUGHT), did("2026-05-01", BOUGHT)], "2026-03-10")
    assert (found.converted if isinstance(found, LeadSnapshot) else found) == expected


def test_a_lead_whose_window_is_not_over_is_left_out_whatever_it_did() -> None:
    for events in ([visited("2026-03-01", "/pricing")], [did("2026-05-30", BOUGHT)]):
        assert snap(events, "2026-05-22 00:00:00.001") == "too recent"
    assert isinstance(snap([visited("2026-03-01", "/pricing")], "2026-05-22"), LeadSnapshot)


def test_a_disqualified_lead_is_left_out() -> None:
    assert snap([said("2026-03-01", company="Rival")], "2026-03-02") == "disqualified"
    assert isinstance(snap([said("2026-03-03", company="Rival")], "2026-03-02"), LeadSnapshot)


def test_without_a_goal_there_is_nothing_to_learn() -> None:
    no_goal = parse_ruleset(
        {
            "tiers": [{"name": "some", "from": 1}, {"name": "none"}],
            "criteria": [{"id": "a", "group": "fit", "points": 5, "traits": {"title": ["CEO"]}}],
        }
    )
    with pytest.raises(ValueError, match="no goal"):
        snap([], "2026-03-01", no_goal)


def test_a_lead_qualifies_with_the_first_event_that_takes_it_out_of_the_lowest_tier() -> None:
    events = [
        visited("2026-03-05", "/pricing"),
        visited("2026-03-01", "/pricing"),
        visited("2026-03-05 01:00", "/blog"),
        joined("2026-03-05 02:00", "acme"),
        said("2026-03-06", title="CEO"),
    ]
    assert find_qualified(RULES, events) == at("2026-03-06")
    assert find_qualified(RULES, events[:-1]) is None
    assert find_qualified(RULES, [said("2026-03-06", title="CEO")]) == at("2026-03-06")
    big = [joined("2026-03-02", "acme", size="big")]
    assert find_qualified(RULES, events[:-1], big) == at("2026-03-05 02:00")
    late = [joined("2026-03-05 03:00", "acme", size="big"), joined("2026-03-05 02:30", "initech", size="big")]
    assert find_qualified(RULES, events[:-1], late) == at("2026-03-05 03:00")


def test_a_drawn_moment_is_1_to_30_days_after_the_first_event_and_follows_from_its_seed() -> None:
    first = at("2026-03-01")
    moments = sorted(draw_moment(first, f"0:user:{lead}") for lead in range(1000))
    assert moments[0] >= first + 1 * DAY
    assert moments[-1] < first + 30 * DAY
    assert all(abs(moments[nth] - first - DAY - nth / 1000 * 29 * DAY) < 2 * DAY for nth in range(1000))
    # Whatever draws it again gets the same: the SHA-256 of "7:ada" begins with b2820fa7945e9.
    assert draw_moment(first, "7:ada") == first + DAY + int(0xB2820FA7945E9 / (1 << 52) * 29 * DAY)


def test_a_split_leaves_a_fifth_each_for_the_gate_and_the_report_of_what_the_gaps_leave() -> None:
    split = choose_split([day * DAY for day in range(100)][::-1], gap=5 * DAY)
    slices = [split.slice_of(day * DAY) for day in range(100)]
    # Of 100 days two gaps leave out 4 each: the day that ends as the next slice begins is in.
    assert [slices.count(name) for name in ("fit", "gate", "report", None)] == [56, 18, 18, 8]
    assert slices[56:60] == slices[78:82] == [None] * 4
    with pytest.raises(ValueError, match="without leads"):
        choose_split([], DAY)


def test_a_history_that_is_too_short_for_its_gaps_is_split_all_the_same() -> None:
    split = choose_split([day * DAY for day in range(10)], gap=5 * DAY)
    assert split == TimeSplit(6 * DAY, 8 * DAY, 5 * DAY)


def test_snapshots_of_the_sample_company_are_its_truth() -> None:
    """At the moment at which the company says a lead is scored, its strengths and its label are those it says."""
    company = SampleCompany(300, datetime(2026, 11, 1, tzinfo=UTC), seed=11)
    ruleset = parse_ruleset(sample_ruleset())
    names = [criterion.id for criterion in ruleset.criteria]
    histories: dict[str, list[Event]] = {}
    for event in company.events():
        histories.setdefault(str(event["userId"]), []).append(event)
    now, window = from_datetime(company.until), 30 * DAY
    tally = Tally(names)
    checked = 0
    for lead in company.people():
        events = histories.get(f"sample-11-{lead.number}", [])
        found = take_snapshot(ruleset, events, lead.scored, window=window, now=now)
        if not isinstance(found, LeadSnapshot):
            assert lead.scored + window > now
            continue
        assert {names[place]: x for place, x in found.strengths} == pytest.approx(lead.strengths)
        assert found.converted == (lead.converted is not None and lead.converted <= lead.scored + window)
        assert found.total == score_events(ruleset, events, datetime.fromtimestamp(found.at / 1000, UTC)).total
        tally.add(found.strengths, converted=found.converted)
        checked += 1
    assert checked > 250
    assert tally.grouped().leads == checked
