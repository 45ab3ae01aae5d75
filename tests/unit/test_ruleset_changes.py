"""What differs between two rulesets, told in the words that people write rulesets in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leadscore import Ruleset, parse_ruleset
from leadscore.core.ruleset_changes import find_changes, tell_length

BASE: dict[str, Any] = {
    "goal": {"event": ["Subscription Started"]},
    "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
    "groups": {"engagement": {"max": 100, "half_life": "30d"}},
    "criteria": [
        {"id": "executive", "group": "fit", "traits": {"title": ["CEO"]}, "points": 20},
        {"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 40, "within": "30d"},
        {"id": "pricing", "group": "engagement", "event": {"type": ["page"]}, "points": 15, "limit": 2},
        {"id": "used", "group": "product", "event": {"event": ["Used"]}, "points": 9, "at_least": 3, "within": "14d"},
    ],
    "alerts": {"tier": "hot", "rearm_below": 40, "cooldown": "7d"},
}


def ruleset(**fields: Any) -> Ruleset:
    return parse_ruleset({**BASE, **fields})


def with_criterion(name: str, **fields: Any) -> Ruleset:
    return ruleset(criteria=[{**one, **fields} if one["id"] == name else one for one in BASE["criteria"]])


def told(new: Ruleset, old: Ruleset | None = None) -> list[str]:
    return [change.tell() for change in find_changes(old or ruleset(), new)]


def alerts(**fields: Any) -> Ruleset:
    return ruleset(alerts={**BASE["alerts"], **fields})


HOURS = {"time_zone": "Europe/Berlin", "days": ["mon", "fri"], "from": "09:00", "to": "17:30"}
CHANGES = {
    "points": (with_criterion("trial", points=25), ["criterion trial: points 40 -> 25"]),
    "window": (with_criterion("trial", within="36h"), ["criterion trial: within 30d -> 36h"]),
    "no window": (with_criterion("used", within="2w"), []),
    "half-life": (with_criterion("trial", half_life="none"), ["criterion trial: half_life 30d -> none"]),
    "limit": (with_criterion("pricing", limit=3), ["criterion pricing: limit 2 -> 3"]),
    "cap": (with_criterion("pricing", max=20.5), ["criterion pricing: max none -> 20.5"]),
    "threshold": (
        with_criterion("used", at_least=5),
        ["criterion used: limit 3 -> 5", "criterion used: at_least 3 -> 5"],
    ),
    "measure": (
        with_criterion("used", measure={"distinct": "properties.feature"}),
        ["criterion used: measure count -> distinct properties.feature"],
    ),
    "group": (
        with_criterion("executive", group="product"),
        ["criterion executive: group fit -> product"],
    ),
    "label": (with_criterion("executive", label="A boss"), ["criterion executive: label none -> A boss"]),
    "pattern": (
        with_criterion("executive", traits={"title": ["CEO", "CTO"]}),
        ['criterion executive: traits {"title":["CEO"]} -> {"title":["CEO","CTO"]}'],
    ),
    "added and removed": (
        ruleset(
            criteria=[
                *BASE["criteria"][:3],
                {"id": "left", "group": "engagement", "event": {"event": ["Left"]}, "points": -20},
                {"id": "rival", "disqualify": True, "traits": {"title": ["Rival"]}},
            ]
        ),
        [
            "criterion left: added, -20 points in engagement, half-life 30d",
            "criterion rival: added, disqualifies",
            "criterion used: removed, was +9 points in product",
        ],
    ),
    "order": (
        ruleset(criteria=[*BASE["criteria"][1:], BASE["criteria"][0]]),
        ["criteria: order as before -> another, from trial on"],
    ),
    # Of the criteria that follow their group's half-life nothing is told again.
    "half-life of a group": (
        ruleset(groups={"engagement": {"max": 90, "half_life": "7d"}}),
        ["group engagement: max 100 -> 90", "group engagement: half_life 30d -> 7d"],
    ),
    "tiers": (
        ruleset(tiers=[{"name": "hot", "from": 60}, {"name": "tepid", "from": 25}, {"name": "cold"}]),
        ["tier hot: from 50 -> 60", "tier tepid: added, from 25", "tier warm: removed, was from 25"],
    ),
    "total": (ruleset(total={"min": -10, "max": "none"}), ["total: min 0 -> -10", "total: max 100 -> none"]),
    "goal": (
        ruleset(goal={"event": ["Paid"]}),
        ['goal: {"event":["Subscription Started"]} -> {"event":["Paid"]}'],
    ),
    "cooldown": (alerts(cooldown="none"), ["alerts: cooldown 7d -> 0d"]),
    "hours": (
        alerts(hours=HOURS),
        [
            "alerts: hours.time_zone none -> Europe/Berlin",
            "alerts: hours.days none -> mon, fri",
            "alerts: hours.from none -> 09:00",
            "alerts: hours.to none -> 17:30",
        ],
    ),
    "hand-raises and fit": (
        alerts(always=["Demo Requested", "Call Requested"], min_fit=5, accounts=False),
        [
            "alerts: min_fit none -> 5",
            "alerts: always none -> Demo Requested, Call Requested",
            "alerts: accounts yes -> no",
        ],
    ),
    "identity": (
        ruleset(identity={"email": True, "external": ["crm"]}),
        ["identity: email no -> yes", "identity: external none -> crm"],
    ),
    "accounts": (ruleset(accounts={"roll_up": "max"}), ["accounts: roll_up decreasing -> max"]),
    "announced scores": (ruleset(announce={"score_change": 10}), ["announce: score_change none -> 10"]),
    "nurture": (
        ruleset(nurture={"tier": "warm", "min_fit": 5, "silent_for": "14d"}),
        ["nurture: added, tier warm, min_fit 5, silent_for 14d, every 30d, daily 100"],
    ),
}


@pytest.mark.parametrize(("new", "expected"), CHANGES.values(), ids=CHANGES)
def test_each_difference_is_told_in_a_line(new: Ruleset, expected: list[str]) -> None:
    assert told(new) == expected


def test_what_is_taken_back_is_told_the_other_way_round() -> None:
    assert told(ruleset(), CHANGES["nurture"][0]) == [
        "nurture: removed, was tier warm, min_fit 5, silent_for 14d, every 30d, daily 100"
    ]
    assert told(ruleset(), with_criterion("trial", points=25)) == ["criterion trial: points 25 -> 40"]
    without = {name: value for name, value in BASE.items() if name != "alerts"}
    (line,) = told(parse_ruleset(without))
    assert line.startswith("alerts: removed, was tier hot, rearm_below 40, cooldown 7d, account_cooldown 0d, delay 0d")
    assert line.endswith("always none, suppress_converted yes, accounts yes")
    aimless = {name: value for name, value in BASE.items() if name != "goal"}
    assert told(parse_ruleset(aimless)) == ['goal: {"event":["Subscription Started"]} -> none']


def test_what_is_only_written_otherwise_is_no_difference() -> None:
    spelt = ruleset(total={"min": 0, "max": 100}, alerts={**BASE["alerts"], "delay": "none"})
    assert spelt.version != ruleset().version
    assert told(spelt) == []


def test_of_a_long_pattern_that_part_is_shown_in_which_it_differs() -> None:
    titles = [f"Title {number}" for number in range(60)]
    old, new = (with_criterion("executive", traits={"title": [*titles, last]}) for last in ("CEO", "CTO"))
    (line,) = told(new, old)
    assert "CEO" in line
    assert "CTO" in line
    assert len(line) < 300
    assert "\N{HORIZONTAL ELLIPSIS}" in line


def test_a_difference_as_json_has_its_parts_and_its_line() -> None:
    (change,) = find_changes(ruleset(), with_criterion("trial", points=25))
    assert json.loads(json.dumps(change.to_dict())) == {
        "kind": "changed",
        "part": "criterion trial",
        "field": "points",
        "before": "40",
        "after": "25",
        "text": "criterion trial: points 40 -> 25",
    }


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0d"), (1_000, "1s"), (90_000, "90s"), (5_400_000, "90m"), (172_800_000, "2d"), (500, "0.5s")],
)
def test_a_length_of_time_is_told_in_its_largest_whole_unit(length: int, text: str) -> None:
    assert tell_length(length) == text
