"""The sample company: its events are what it says of its leads, and its leads convert as its truth says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import exp
from typing import Any

import pytest

from leadscore import parse_ruleset, score_events
from leadscore.core.instants import DAY, from_datetime, parse_instant, to_datetime
from leadscore.normalising import normalise_event
from leadscore_cli.sample_company import CHARACTERISTICS, GOAL, TRUTH, WEEKS, WEIGHTS, SampleCompany, sample_ruleset

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
COMPANY = SampleCompany(400, UNTIL, seed=3)


def histories(company: SampleCompany) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for event in company.events():
        found[str(event["userId"])].append(event)
    return found


def test_the_core_finds_in_the_events_the_strengths_that_the_truth_is_written_in() -> None:
    ruleset = parse_ruleset(sample_ruleset())
    of = histories(replace(COMPANY, until=UNTIL))
    checked = 0
    for lead in COMPANY.people():
        if lead.scored > from_datetime(UNTIL):
            continue
        score = score_events(ruleset, of[f"sample-3-{lead.number}"], to_datetime(lead.scored))
        found = {factor.criterion: factor.decayed / WEIGHTS[factor.criterion].points for factor in score.factors}
        assert found == pytest.approx(lead.strengths, abs=1e-9)
        checked += 1
    assert checked > 370


def test_events_come_in_time_order_once_each_and_none_is_from_the_future() -> None:
    events = list(COMPANY.events())
    times = [parse_instant(str(event["timestamp"])) for event in events]
    assert times == sorted(times)
    assert times[0] >= from_datetime(UNTIL - timedelta(weeks=WEEKS))
    assert times[-1] <= from_datetime(UNTIL)
    assert len({event["messageId"] for event in events}) == len(events) > 2_000
    assert {event["type"] for event in events} == {"identify", "group", "track", "page"}


def test_events_are_as_the_way_in_would_have_made_them() -> None:
    for event, _ in zip(COMPANY.events(), range(300), strict=False):
        made = normalise_event(event, received_at=parse_instant(str(event["receivedAt"])))
        assert made == event


def test_the_goal_is_reached_by_those_who_convert_when_they_convert() -> None:
    reached = {str(e["userId"]): e["timestamp"] for e in COMPANY.events() if e.get("event") == GOAL}
    end = from_datetime(UNTIL)
    expected = {f"sample-3-{p.number}": p.converted for p in COMPANY.people() if p.converted and p.converted <= end}
    assert {who: parse_instant(str(when)) for who, when in reached.items()} == expected
    assert expected


def test_a_company_always_tells_the_same_and_another_seed_something_else() -> None:
    assert list(COMPANY.events()) == list(SampleCompany(400, UNTIL, seed=3).events())
    assert list(COMPANY.people()) != list(SampleCompany(400, UNTIL, seed=4).people())


@pytest.mark.parametrize("base_rate", [0.02, 0.05, 0.3])
def test_the_wanted_share_of_leads_is_expected_to_convert(base_rate: float) -> None:
    company = SampleCompany(2_000, UNTIL, seed=5, base_rate=base_rate)
    expected = [1 / (1 + exp(-lead.log_odds)) for lead in company.people()]
    assert sum(expected) / 2_000 == pytest.approx(base_rate, rel=1e-6)
    converted = sum(lead.converted is not None for lead in company.people())
    assert abs(converted - 2_000 * base_rate) < 4 * (2_000 * base_rate) ** 0.5


def test_log_odds_are_the_truth_times_the_strengths_and_move_with_the_year() -> None:
    company = replace(COMPANY, base_drift=-1.0, drift={"free-trial": 2.0})
    start = from_datetime(UNTIL - timedelta(weeks=WEEKS))
    for lead in company.people():
        year = (lead.scored - start) / (WEEKS * 7 * DAY)
        expected = company.intercept - year + sum(TRUTH[name] * x for name, x in lead.strengths.items())
        expected += 2.0 * year * lead.strengths.get("free-trial", 0.0)
        assert lead.log_odds == pytest.approx(expected)


def test_no_lead_is_two_things_that_exclude_each_other() -> None:
    pairs = [{"executive", "student"}, {"company-size", "enterprise"}, {"software", "agency"}]
    held = [set(lead.holds) for lead in COMPANY.people()]
    for pair in pairs:
        assert all(len(pair & one) < 2 for one in held)
        assert all(any(name in one for one in held) for name in pair)


def test_the_ruleset_has_the_points_that_are_asked_for_and_leaves_out_what_has_none() -> None:
    parsed = parse_ruleset(sample_ruleset({"executive": 33, "blog-page": 0}))
    points = {criterion.id: criterion.points for criterion in parsed.criteria}
    hand_made = {name: weight.points for name, weight in WEIGHTS.items()}
    assert points == {**{k: v for k, v in hand_made.items() if k != "blog-page"}, "executive": 33}


def test_each_characteristic_has_its_share_of_leads() -> None:
    held = [set(lead.holds) for lead in SampleCompany(4_000, UNTIL, seed=8).people()]
    for option in (option for characteristic in CHARACTERISTICS for option in characteristic.options):
        share = sum(option.criterion in one for one in held) / len(held)
        assert share == pytest.approx(option.share, abs=4 * (option.share * (1 - option.share) / len(held)) ** 0.5)
