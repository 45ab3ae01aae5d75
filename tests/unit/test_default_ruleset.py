"""The ruleset of a fresh deployment against the worked example and the leads it is meant for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from leadscore.core.instants import from_datetime
from leadscore.core.parsing import parse_ruleset
from leadscore.core.scoring import Score, score_events

RULESET = parse_ruleset((Path(__file__).parents[2] / "infra" / "ruleset.yaml").read_text())
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def event(days_ago: float, kind: str, **fields: Any) -> dict[str, Any]:
    timestamp = (NOW - timedelta(days=days_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"messageId": f"{kind}-{days_ago}", "type": kind, "timestamp": timestamp, "userId": "ada", **fields}


def visit(days_ago: float, path: str = "/pricing") -> dict[str, Any]:
    return event(days_ago, "page", properties={"path": path})


def track(days_ago: float, name: str) -> dict[str, Any]:
    return event(days_ago, "track", event=name)


def score(*events: dict[str, Any]) -> Score:
    return score_events(RULESET, events, NOW)


def points(found: Score) -> dict[str, float]:
    return {factor.criterion: factor.points for factor in found.factors}


@pytest.mark.parametrize("days_ago", [0, 3, 30])
def test_worked_example_is_53_and_hot_for_as_long_as_the_window_lasts(days_ago: float) -> None:
    found = score(
        event(200, "identify", traits={"title": "VP Marketing", "company": {"employees": 300}}),
        visit(days_ago),
        track(days_ago, "Trial Started"),
    )
    assert (found.total, found.tier) == (53, "hot")
    assert points(found) == {"executive": 10, "company-size": 8, "pricing-page": 15, "free-trial": 20}


def test_after_the_window_visits_and_trial_count_no_more() -> None:
    found = score(visit(31), track(31, "Trial Started"))
    assert (found.total, found.tier) == (0, "cold")


def test_size_may_come_from_the_account() -> None:
    found = score(event(5, "group", groupId="acme", traits={"employees": 100}))
    assert points(found) == {"company-size": 8}


@pytest.mark.parametrize("employees", [99, 501, "300"])
def test_other_sizes_give_nothing(employees: object) -> None:
    assert points(score(event(1, "identify", traits={"company": {"employees": employees}}))) == {}


@pytest.mark.parametrize(
    "title",
    ["CEO", "ceo & founder", "Chief Financial Officer", "SVP Sales", "Vice President, Product", "Regional VP", "CTO"],
)
def test_executive_titles(title: str) -> None:
    assert points(score(event(1, "identify", traits={"title": title}))) == {"executive": 10}


@pytest.mark.parametrize("title", ["MVP Designer", "Account Executive", "Director", "Cooperation Lead", "Mischief"])
def test_other_titles(title: str) -> None:
    assert points(score(event(1, "identify", traits={"title": title}))) == {}


def test_repeated_visits_count_once_and_three_webinars_at_most() -> None:
    visits = [visit(day, f"/pricing/{day}") for day in range(5)]
    webinars = [track(day, "Webinar Attended") for day in range(5)]
    assert points(score(*visits, *webinars)) == {"pricing-page": 15, "webinar": 15}


def test_goal_is_the_subscription() -> None:
    found = score(track(2, "Subscription Started"), track(1, "Subscription Started"))
    assert found.converted_at is not None
    assert from_datetime(found.converted_at) == from_datetime(NOW - timedelta(days=2))


def test_policy_alerts_on_hot() -> None:
    assert RULESET.alerts is not None
    assert (RULESET.alerts.tier, RULESET.alerts.rearm_below) == ("hot", 40)
