"""Scores as people read them."""

from __future__ import annotations

import pytest

from leadscore.core.explaining import explain_factor, explain_missed, explain_score, tell_age
from leadscore.core.instants import from_datetime, parse_duration
from tests.unit.story import did, instant, joined, rules, said, score, visited

RULES = rules(
    "id: executive, group: fit, traits: {title: [CEO]}, points: 10",
    "id: company-size, group: fit, traits: {account: {employees: [{numeric: ['>=', 100]}]}, title: [CEO]}, points: 8",
    "id: pricing-page, group: engagement, event: {type: [page]}, points: 15",
    "id: webinar, group: engagement, event: {event: [Webinar Attended]}, points: 5, limit: 3, within: 90d, max: 8",
    "id: power-user, group: product, at_least: 2, measure: {distinct: properties.feature}, points: 20,"
    " event: {event: [Feature Used]}",
    "id: reader, group: product, event: {event: [Read]}, at_least: 60, measure: {sum: properties.minutes}, points: 6",
    "id: regular, group: product, event: {event: [Read]}, at_least: 2, measure: days, within: 12h, points: 4",
    "id: caller, group: product, event: {event: [Called]}, at_least: 2, points: 4, half_life: 1s",
    "id: reply, group: product, event: {event: [Replied]}, traits: {title: [CEO]}, points: 4",
    "id: unsubscribed, group: engagement, event: {event: [Unsubscribed]}, points: -20",
    "id: rival, disqualify: true, event: {event: [Rival]}",
    groups="{fit: {max: 40}, engagement: {max: 20, half_life: 30d}}",
    total="{min: 0, max: 60}",
)
HISTORY = [
    said("2026-03-01", title="CEO"),
    joined("2026-03-01", "corp", employees=300),
    visited("2026-02-27", "/pricing"),
    did("2026-03-01 00:00", "Webinar Attended"),
    did("2026-02-28 23:00", "Webinar Attended"),
    did("2026-03-01 11:00", "Feature Used", feature="a"),
    did("2026-03-01 11:55", "Feature Used", feature="b"),
    did("2026-03-01 11:50", "Read", minutes=60),
    did("2026-02-20", "Called"),
    did("2026-02-21", "Called"),
    did("2026-03-01 12:00", "Replied"),
    did("2026-03-01 12:00", "Rival"),
]
NOON = "2026-03-01 12:00"


def test_a_score_reads_as_one_line_per_criterion() -> None:
    assert explain_score(score(RULES, HISTORY, NOON)) == [
        "+10.0  executive     (fit)         traits match",
        " +8.0  company-size  (fit)         traits match",
        "+14.2  pricing-page  (engagement)  seen 2 days ago; decayed from +15.0",
        (
            " +5.8  webinar       (engagement)  2 of up to 3, last 12 hours ago; decayed from +10.0; "
            "1.9 cut by its own cap; 2.2 cut by the cap of engagement"
        ),
        "+20.0  power-user    (product)     at least 2 different properties.feature, last 5 minutes ago",
        (
            " +2.0  reader        (product)     at least 60 in properties.minutes, last 10 minutes ago; "
            "4.0 cut by the cap of the total"
        ),
        " +0.0  reply         (product)     seen just now, traits match; 4.0 cut by the cap of the total",
        " gate  rival                       disqualifies the lead",
        "    -  regular       (product)     1 of at least 2 days, last 10 minutes ago, worth +4",
        "    -  caller        (product)     decayed to nothing, last 8 days ago, worth +4",
        "    -  unsubscribed  (engagement)  not seen, worth -20",
    ]


def test_what_is_missing_says_what_would_lift_the_lead() -> None:
    events = [
        did("2025-11-01", "Webinar Attended"),
        did("2026-02-28", "Read", minutes=20.5),
        did("2026-02-28", "Replied"),
    ]
    assert explain_score(score(RULES, events, NOON)) == [
        "-  executive     (fit)         unknown trait title, worth +10",
        "-  company-size  (fit)         unknown trait account.employees and title, worth +8",
        "-  pricing-page  (engagement)  not seen, worth +15",
        "-  webinar       (engagement)  outside the window of 90 days, last 4 months ago, worth +5",
        "-  power-user    (product)     not seen, worth +20",
        "-  reader        (product)     20.5 of at least 60 in properties.minutes, last 36 hours ago, worth +6",
        "-  regular       (product)     outside the window of 12 hours, last 36 hours ago, worth +4",
        "-  caller        (product)     not seen, worth +4",
        "-  reply         (product)     unknown trait title, worth +4",
        "-  unsubscribed  (engagement)  not seen, worth -20",
    ]


def test_one_factor_and_one_missed_criterion_read_alone() -> None:
    result = score(RULES, HISTORY, NOON)
    at = from_datetime(instant(NOON))
    assert explain_factor(result.factors[2], at) == (
        "+14.2  pricing-page  (engagement)  seen 2 days ago; decayed from +15.0"
    )
    assert explain_missed(result.missed[-1], at) == "-  unsubscribed  (engagement)  not seen, worth -20"


def test_a_penalty_that_the_floor_gives_back() -> None:
    result = score(RULES, [did("2026-03-01 12:00", "Unsubscribed")], NOON)
    assert explain_score(result)[0].split("  ", 1)[1].endswith("seen just now; 20.0 cut by the cap of the total")
    assert (result.factors[0].points, result.total) == (0.0, 0.0)


def test_a_tiny_cut_is_not_told_as_nothing() -> None:
    ruleset = rules("id: visit, group: engagement, event: {type: [page]}, points: 5, max: 4.99")
    line = explain_score(score(ruleset, [visited("2026-03-01", "/")], NOON))[0]
    assert line.endswith("less than 0.1 cut by its own cap")


def test_a_score_without_criteria_that_say_anything_has_no_lines() -> None:
    ruleset = rules(
        "id: rival, disqualify: true, event: {event: [Rival]}",
        "id: visit, group: engagement, event: {type: [page]}, points: 5",
    )
    assert explain_score(score(ruleset, [], NOON)) == ["-  visit  (engagement)  not seen, worth +5"]


@pytest.mark.parametrize(
    ("age", "told"),
    [
        ("1s", "just now"),
        ("59s", "just now"),
        ("1m", "1 minute ago"),
        ("59m", "59 minutes ago"),
        ("1h", "1 hour ago"),
        ("47h", "47 hours ago"),
        ("2d", "2 days ago"),
        ("59d", "59 days ago"),
        ("60d", "2 months ago"),
        ("729d", "24 months ago"),
        ("730d", "2 years ago"),
    ],
)
def test_ages_are_told_in_human_words(age: str, told: str) -> None:
    assert tell_age(parse_duration(age)) == told
