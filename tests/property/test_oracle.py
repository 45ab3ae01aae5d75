"""The oracle against examples worked by hand: a reference that is wrong would prove nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from tests.property import oracle

NOON = "2026-01-31T12:00:00.000Z"
NOON_MILLIS = 1_769_860_800_000

WORKED_EXAMPLE: dict[str, Any] = {
    "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
    "groups": {"fit": {"max": 40}, "engagement": {"max": 100}},
    "criteria": [
        {"id": "executive", "group": "fit", "traits": {"title": [{"wildcard": "*VP*"}]}, "points": 10},
        {
            "id": "company-size",
            "group": "fit",
            "traits": {"company": {"employees": [{"numeric": [">=", 100, "<=", 500]}]}},
            "points": 8,
        },
        {
            "id": "pricing-page",
            "group": "engagement",
            "event": {"type": ["page"], "properties": {"path": [{"prefix": "/pricing"}]}},
            "points": 15,
        },
        {"id": "free-trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 20},
        {"id": "webinar", "group": "engagement", "event": {"event": ["Webinar Attended"]}, "points": 5},
    ],
}


def track(identifier: str, timestamp: str, name: str = "Used", **properties: Any) -> dict[str, Any]:
    return {
        "messageId": identifier,
        "timestamp": timestamp,
        "type": "track",
        "userId": "u1",
        "event": name,
        "properties": properties,
    }


def one_criterion(**fields: Any) -> dict[str, Any]:
    criterion = {"id": "used", "group": "engagement", "event": {"event": ["Used"]}, "points": 8, **fields}
    return {"tiers": [{"name": "hot", "from": 3}, {"name": "cold"}], "criteria": [criterion]}


def total(document: dict[str, Any], events: list[dict[str, Any]], at: int = NOON_MILLIS) -> Fraction:
    return oracle.score(document, events, at).total


def test_worked_example_is_53_and_hot() -> None:
    events = [
        {
            "messageId": "1",
            "timestamp": NOON,
            "type": "identify",
            "traits": {"title": "VP Sales", "company": {"employees": 300}},
        },
        {"messageId": "2", "timestamp": NOON, "type": "page", "properties": {"path": "/pricing"}},
        track("3", NOON, "Trial Started"),
    ]
    score = oracle.score(WORKED_EXAMPLE, events, NOON_MILLIS)
    assert score.total == 53
    assert score.tier == "hot"
    assert score.groups == {"fit": 18, "engagement": 35}
    assert [(f.id, int(f.points)) for f in score.factors] == [
        ("executive", 10),
        ("company-size", 8),
        ("pricing-page", 15),
        ("free-trial", 20),
    ]
    assert score.missed == {"webinar": {"not seen"}}
    assert score.coverage == 1


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00.000Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2024-02-29T23:59:59.999Z", datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC)),
        ("2000-02-29T00:00:00.000Z", datetime(2000, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00.000Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("2025-03-30T03:30:00.000+02:00", datetime(2025, 3, 30, 1, 30, tzinfo=UTC)),
        ("1969-12-31T19:00:00.001-05:00", datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1)),
    ],
)
def test_instants(text: str, moment: datetime) -> None:
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert oracle.instant(text) == oracle.instant_of(moment) == expected


EVENT: dict[str, Any] = {
    "state": "running",
    "count": 300,
    "empty": "",
    "none": None,
    "yes": True,
    "list": ["a", "b", 3],
    "no": [],
    "ip": "10.0.0.7",
    "deep": {"c1": 100},
    "people": [{"first": "Anna", "last": "Smith"}, {"first": "Peter", "last": "Jones", "pets": [{"kind": "cat"}]}],
    "crowd": [[{"first": "Ada"}], [{"first": "Bob"}]],
}


@pytest.mark.parametrize(
    "pattern",
    [
        {"state": ["stopped", "running"]},
        {"state": [{"prefix": "run"}]},
        {"state": [{"prefix": {"equals-ignore-case": "RUN"}}]},
        {"state": [{"suffix": {"equals-ignore-case": "NING"}}]},
        {"state": [{"equals-ignore-case": "RUNNING"}]},
        {"state": [{"wildcard": "r*n*g"}]},
        {"state": [{"anything-but": ["stopped"]}]},
        {"state": [{"anything-but": {"prefix": "s"}}]},
        {"count": [3e2]},
        {"count": [{"numeric": [">", 0, "<=", 300]}]},
        {"count": [{"anything-but": "300"}]},
        {"none": [None]},
        {"none": [{"exists": True}]},
        {"none": [{"anything-but": "x"}]},
        {"empty": [""]},
        {"yes": [True]},
        {"list": ["z", "b"]},
        {"list": [{"anything-but": "a"}]},
        {"no": [{"exists": False}]},
        {"deep": [{"exists": False}]},
        {"ip": [{"cidr": "10.0.0.0/24"}]},
        {"people": {"first": ["Anna"]}},
        {"people": {"first": ["Peter"], "pets": {"kind": ["cat"]}}},
        {"people": {"first": ["Anna"], "pets": {"kind": [{"exists": False}]}}},
        {"crowd": {"first": ["Bob"]}},
        {"$or": [{"state": ["x"]}, {"count": [300]}], "yes": [True]},
        {"deep": {"$or": [{"c1": [1]}, {"c1": [100]}]}},
    ],
    ids=str,
)
def test_pattern_holds(pattern: dict[str, Any]) -> None:
    assert oracle.pattern_holds(pattern, EVENT)


@pytest.mark.parametrize(
    "pattern",
    [
        {"state": ["Running"]},
        {"state": [{"wildcard": "r*x"}]},
        {"state": [{"wildcard": "r\\*g"}]},
        {"state": [{"anything-but": {"equals-ignore-case": "RUNNING"}}]},
        {"count": ["300"]},
        {"count": [{"numeric": ["<", 300]}]},
        {"count": [{"prefix": "3"}]},
        {"none": [""]},
        {"yes": [1]},
        {"yes": ["true"]},
        {"no": [{"anything-but": "x"}]},
        {"deep": [{"exists": True}]},
        {"list": [{"exists": False}]},
        {"ip": [{"cidr": "10.1.0.0/16"}]},
        {"people": {"first": ["Anna"], "last": ["Jones"]}},
        {"people": {"first": ["Peter"], "pets": {"kind": [{"exists": False}]}}},
        {"$or": [{"state": ["x"]}, {"count": [300]}], "yes": [False]},
        {"absent": [{"anything-but": "x"}]},
    ],
    ids=str,
)
def test_pattern_does_not_hold(pattern: dict[str, Any]) -> None:
    assert not oracle.pattern_holds(pattern, EVENT)


def test_half_of_the_points_are_left_after_a_half_life_and_the_rest_follows_the_power_of_two() -> None:
    document = one_criterion(half_life="1d")
    assert total(document, [track("1", "2026-01-30T12:00:00.000Z")]) == 4
    third = total(document, [track("1", "2026-01-31T04:00:00.000Z")])
    assert abs(third - Fraction("6.3496042078727978990")) < Fraction(1, 10**15)


def test_the_window_includes_its_edge() -> None:
    document = one_criterion(within="1d")
    assert total(document, [track("1", "2026-01-30T12:00:00.000Z")]) == 8
    assert total(document, [track("1", "2026-01-30T11:59:59.999Z")]) == 0


def test_limit_keeps_the_most_recent_and_breaks_ties_by_id() -> None:
    document = one_criterion(limit=2)
    events = [track("9", NOON), track("10", NOON), track("2", NOON)]
    score = oracle.score(document, events, NOON_MILLIS)
    assert [i for i, _ in score.factors[0].kept] == ["9", "2"]
    assert score.total == 16


@pytest.mark.parametrize(
    ("fields", "points"),
    [
        ({"at_least": 3}, 8),
        ({"at_least": 4}, 0),
        ({"at_least": 2, "measure": "days"}, 8),
        ({"at_least": 3, "measure": "days"}, 0),
        ({"at_least": 2, "measure": {"distinct": "properties.feature"}}, 8),
        ({"at_least": 3, "measure": {"distinct": "properties.feature"}}, 0),
        ({"at_least": 0.3, "measure": {"sum": "properties.minutes"}}, 8),
        ({"at_least": 0.31, "measure": {"sum": "properties.minutes"}}, 0),
        ({"at_least": 0.3, "measure": {"sum": "properties.minutes"}, "limit": 2}, 0),
    ],
)
def test_thresholds(fields: dict[str, Any], points: int) -> None:
    events = [
        track("1", "2026-01-30T23:59:59.999Z", feature="a", minutes=0.1),
        track("2", "2026-01-30T01:00:00.000Z", feature="a", minutes=0.1),
        track("3", NOON, feature="b", minutes=0.1),
    ]
    assert total(one_criterion(**fields), events) == points


def test_cuts_are_taken_from_the_last_positive_factor_first() -> None:
    criteria = [
        {"id": name, "group": "engagement", "event": {"event": ["Used"]}, "points": points}
        for name, points in [("a", 10), ("b", 10), ("c", -4)]
    ]
    document = {"tiers": [{"name": "cold"}], "groups": {"engagement": {"max": 5}}, "criteria": criteria}
    score = oracle.score(document, [track("1", NOON)], NOON_MILLIS)
    assert [(f.id, int(f.group_cut), int(f.points)) for f in score.factors] == [("a", 1, 9), ("b", 10, 0), ("c", 0, -4)]
    assert score.total == 5


def test_each_group_has_cuts_of_its_own() -> None:
    criteria = [
        {"id": name, "group": name, "event": {"event": ["Used"]}, "points": 10} for name in ("engagement", "product")
    ]
    groups = {"engagement": {"max": 4}, "product": {"max": 7}}
    document = {"tiers": [{"name": "cold"}], "groups": groups, "criteria": criteria}
    score = oracle.score(document, [track("1", NOON)], NOON_MILLIS)
    assert [(f.id, int(f.group_cut)) for f in score.factors] == [("engagement", 6), ("product", 3)]


def test_a_total_below_its_floor_is_raised_by_the_last_negative_factor() -> None:
    criteria = [
        {"id": name, "group": "engagement", "event": {"event": ["Used"]}, "points": points}
        for name, points in [("a", -10), ("b", 3), ("c", -4)]
    ]
    score = oracle.score({"tiers": [{"name": "cold"}], "criteria": criteria}, [track("1", NOON)], NOON_MILLIS)
    assert [(f.id, int(f.total_cut), int(f.points)) for f in score.factors] == [
        ("a", -7, -3),
        ("b", 0, 3),
        ("c", -4, 0),
    ]
    assert score.total == 0


def test_traits_of_the_newest_value_count_and_unknown_ones_lower_the_coverage() -> None:
    document = {
        "tiers": [{"name": "cold"}],
        "criteria": [
            {"id": "title", "group": "fit", "traits": {"title": ["ceo"]}, "points": 30},
            {"id": "size", "group": "fit", "traits": {"account": {"employees": [300]}}, "points": 10},
        ],
    }
    events = [
        {"messageId": "2", "timestamp": NOON, "type": "identify", "traits": {"title": "cfo"}},
        {"messageId": "1", "timestamp": NOON, "type": "identify", "traits": {"title": "ceo"}},
        {"messageId": "0", "timestamp": NOON, "type": "group", "groupId": "g1", "traits": {"plan": "pro"}},
    ]
    score = oracle.score(document, events, NOON_MILLIS)
    assert score.missed == {"title": {"trait does not match"}, "size": {"unknown trait"}}
    assert score.coverage == Fraction(3, 4)


def test_a_criterion_that_matches_by_one_of_two_fields_is_covered_without_the_other() -> None:
    either = {"$or": [{"title": ["ceo"]}, {"seats": [5]}]}
    criteria = [{"id": "either", "group": "fit", "traits": either, "points": 10}]
    document = {"tiers": [{"name": "cold"}], "criteria": criteria}
    identify = {"messageId": "1", "timestamp": NOON, "type": "identify"}
    assert oracle.score(document, [{**identify, "traits": {"title": "ceo"}}], NOON_MILLIS).coverage == 1
    assert oracle.score(document, [{**identify, "traits": {"title": "cfo"}}], NOON_MILLIS).coverage == 0


def test_next_change_by_decay_is_the_millisecond_after_the_bound_is_left() -> None:
    # 8 * 2 ** (-age / 1 day) falls below 4 just after one day.
    document = one_criterion(half_life="1d") | {"tiers": [{"name": "hot", "from": 4}, {"name": "cold"}]}
    change = oracle.next_change(document, [track("1", NOON)], NOON_MILLIS)
    assert change.earliest is not None
    assert change.latest is not None
    assert change.earliest <= NOON_MILLIS + oracle.DAY + 1 <= change.latest <= change.earliest + 2


def test_next_change_by_a_window_that_closes() -> None:
    change = oracle.next_change(one_criterion(within="30s"), [track("1", NOON)], NOON_MILLIS)
    assert change == oracle.NextChange(NOON_MILLIS + 30_001, NOON_MILLIS + 30_001)


def test_next_change_never_comes_where_nothing_decays() -> None:
    assert oracle.next_change(one_criterion(), [track("1", NOON)], NOON_MILLIS) == oracle.NextChange(None, None)


def test_next_change_finds_a_rise_as_a_negative_criterion_fades_and_the_fall_after_it() -> None:
    criteria = [
        {"id": "slow", "group": "product", "event": {"event": ["Used"]}, "points": 8, "half_life": "30d"},
        {"id": "fast", "group": "product", "event": {"event": ["Used"]}, "points": -8, "half_life": "1d"},
    ]
    document = {"tiers": [{"name": "hot", "from": 6}, {"name": "cold"}], "criteria": criteria}
    up = oracle.next_change(document, [track("1", NOON)], NOON_MILLIS)
    assert up.earliest is not None
    assert up.latest is not None
    down = oracle.next_change(document, [track("1", NOON)], up.latest)
    assert down.earliest is not None
    assert down.latest is not None
    instants = [up.earliest - 1, up.latest, down.earliest - 1, down.latest]
    tiers = [oracle.score(document, [track("1", NOON)], at).tier for at in instants]
    assert tiers == ["cold", "hot", "hot", "cold"]
