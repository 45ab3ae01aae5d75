"""When a digest is due and of which time it is, by the clocks of its own time zone."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore import parse_ruleset
from leadscore.core.digest_policy import LONGEST, Round, hot_tiers, next_round
from leadscore.core.instants import DAY, HOUR, Millis, format_instant, parse_instant
from leadscore.core.ruleset import DigestPolicy, Ruleset

MINUTE: Millis = 60_000
SETTLING: Millis = 5 * MINUTE
BERLIN = "Europe/Berlin"
BASE = {
    "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
    "criteria": [{"id": "a", "group": "engagement", "event": {"type": ["page"]}, "points": 60}],
}


def rules(**sections: object) -> Ruleset:
    return parse_ruleset(BASE | sections)


def policy(at: str = "08:00", time_zone: str = BERLIN, **more: object) -> DigestPolicy:
    found = rules(digest={"at": at, "time_zone": time_zone, **more}).digest
    assert found is not None
    return found


def begun(now: str, last: Round | None = None, when: DigestPolicy | None = None) -> Round | None:
    return next_round(when or policy(), last, parse_instant(now), SETTLING)


def test_a_section_with_a_time_zone_alone_means_eight_on_working_days() -> None:
    assert rules(digest={"time_zone": BERLIN}).digest == DigestPolicy(BERLIN, frozenset(range(5)), 8 * 60)


def test_without_the_section_no_digest_is_ever_due() -> None:
    assert rules().digest is None
    assert next_round(None, None, parse_instant("2026-03-02T07:00:00Z"), 0) is None


@pytest.mark.parametrize(
    ("now", "date"),
    [
        ("2026-03-02T06:59:59Z", None),  # a Monday, at 07:59 in Berlin
        ("2026-03-02T07:00:00Z", "2026-03-02"),
        ("2026-03-02T09:59:59Z", "2026-03-02"),
        ("2026-03-02T10:00:00Z", None),  # three hours later it is too late
        ("2026-03-01T07:30:00Z", None),  # a Sunday
        ("2026-03-27T07:00:00Z", "2026-03-27"),  # the last working day of winter time
        ("2026-03-30T06:00:00Z", "2026-03-30"),  # the first of summer time
        ("2026-03-30T05:59:59Z", None),
        ("2026-10-26T06:59:59Z", None),
        ("2026-10-26T07:00:00Z", "2026-10-26"),  # the first of winter time
    ],
)
def test_a_digest_is_due_for_three_hours_by_the_clock_on_the_wall(now: str, date: str | None) -> None:
    current = begun(now)
    assert (None if current is None else current.date) == date


def test_the_date_is_that_of_the_wall_and_not_of_utc() -> None:
    current = begun("2026-03-01T20:00:00Z", when=policy("09:00", "Pacific/Auckland"))
    assert current is not None
    assert current.date == "2026-03-02"


def test_a_time_that_clocks_jump_over_is_due_when_they_have() -> None:
    early = policy("02:30", days=["sun"])
    assert begun("2026-03-29T00:59:00Z", when=early) is None
    assert begun("2026-03-29T01:00:00Z", when=early) is not None


def test_the_hour_that_comes_twice_brings_one_digest() -> None:
    early = policy("02:30", days=["sun"])
    first = begun("2026-10-25T00:30:00Z", when=early)
    assert first is not None
    assert begun("2026-10-25T01:30:00Z", first._replace(done=True), early) is None


def test_the_last_quarter_of_the_day_is_looked_at() -> None:
    assert begun("2026-03-02T23:45:00Z", when=policy("23:45", "UTC")) is not None
    assert begun("2026-03-03T00:00:00Z", when=policy("23:45", "UTC")) is None


def test_the_first_round_is_of_a_day_that_has_settled() -> None:
    assert begun("2026-03-02T07:00:00Z") == Round(
        "2026-03-02", parse_instant("2026-03-01T06:55:00Z"), parse_instant("2026-03-02T06:55:00Z")
    )


def test_monday_is_of_the_weekend_too() -> None:
    friday = Round("2026-03-06", 0, parse_instant("2026-03-06T06:55:00Z"), done=True)
    monday = begun("2026-03-09T07:00:00Z", friday)
    assert monday is not None
    assert format_instant(monday.since) == "2026-03-06T06:55:00.000Z"


def test_a_round_that_was_not_done_is_gone_on_with_and_one_that_was_is_not() -> None:
    first = begun("2026-03-02T07:00:00Z")
    assert first is not None
    assert begun("2026-03-02T07:15:00Z", first) == first
    assert begun("2026-03-02T07:15:00Z", first._replace(done=True)) is None


def test_a_date_that_comes_again_further_west_brings_no_second_digest_and_loses_no_time() -> None:
    auckland = Round("2026-03-04", 0, parse_instant("2026-03-03T19:00:00Z"), done=True)
    honolulu = policy("08:00", "Pacific/Honolulu")
    assert begun("2026-03-03T18:00:00Z", auckland, honolulu) is None
    after = begun("2026-03-05T18:00:00Z", auckland, honolulu)
    assert after is not None
    assert after.since == auckland.until


def test_what_a_day_did_not_get_out_is_in_the_next_days_digest() -> None:
    first = begun("2026-03-02T07:00:00Z")
    assert first is not None
    second = begun("2026-03-03T07:00:00Z", first)
    assert second is not None
    assert second.since == first.since


def test_after_a_long_silence_no_digest_is_of_more_than_a_week() -> None:
    current = begun("2026-03-02T07:00:00Z", Round("2026-01-02", 0, 0, done=True))
    assert current is not None
    assert current.until - current.since == LONGEST


@given(
    zone=st.sampled_from([BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]),
    quarter=st.integers(0, 95),
    days=st.sets(st.integers(0, 6), min_size=1),
    start=st.integers(parse_instant("2026-01-01T00:00:00Z") // HOUR, parse_instant("2026-12-01T00:00:00Z") // HOUR),
    works=st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_rounds_follow_each_other_without_a_gap_and_come_once_a_date(
    zone: str, quarter: int, days: set[int], start: int, works: list[bool]
) -> None:
    """A schedule that runs at every quarter of an hour, over some weeks, where not every run comes to its end."""
    when = DigestPolicy(zone, frozenset(days), quarter * 15)
    last: Round | None = None
    done: list[Round] = []
    for step in range(15 * 24 * 4):
        now = start * HOUR + step * 15 * MINUTE
        current = next_round(when, last, now, SETTLING)
        if current is not None:
            ends = works[step % len(works)]
            last = current._replace(done=ends)
            done += [current] if ends else []
    assert len({one.date for one in done}) == len(done)
    for before, after in itertools.pairwise(done):
        assert after.since <= before.until or after.until - after.since == LONGEST
        assert before.until < after.until
    if all(works):
        dates_due = 2 * len(days)
        assert dates_due <= len(done) <= dates_due + len(days)
        assert all(one.until - one.since <= LONGEST + DAY for one in done)


def test_hot_are_the_tiers_from_that_of_the_alerts_up() -> None:
    assert hot_tiers(rules()) == {"hot"}
    assert hot_tiers(rules(alerts={"tier": "warm"})) == {"hot", "warm"}
