"""Working hours by the clock on the wall, told by hand for the days that clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from leadscore.core.instants import Millis, format_instant, parse_instant
from leadscore.core.ruleset import WorkingHours
from leadscore.core.working_hours import is_time_zone, is_working, next_working, time_zones

WORKDAYS = frozenset(range(5))
EVERY_DAY = frozenset(range(7))


def hours(zone: str, start: str = "09:00", end: str = "17:00", days: frozenset[int] = WORKDAYS) -> WorkingHours:
    return WorkingHours(zone, days, *(int(time[:2]) * 60 + int(time[3:]) for time in (start, end)))


BERLIN = hours("Europe/Berlin")
SATURDAY, SUNDAY = frozenset({5}), frozenset({6})
ST_JOHNS = "America/St_Johns"


@pytest.mark.parametrize(
    ("given", "at", "expected"),
    [
        # 2026-03-02 is a Monday, and Berlin is an hour ahead of UTC.
        (BERLIN, "2026-03-02T07:59:59.999Z", "2026-03-02T08:00:00.000Z"),
        (BERLIN, "2026-03-02T08:00:00.000Z", "2026-03-02T08:00:00.000Z"),
        (BERLIN, "2026-03-02T15:59:59.999Z", "2026-03-02T15:59:59.999Z"),
        (BERLIN, "2026-03-02T16:00:00.000Z", "2026-03-03T08:00:00.000Z"),
        # Friday evening, Saturday, Sunday.
        (BERLIN, "2026-03-06T16:00:00.000Z", "2026-03-09T08:00:00.000Z"),
        (BERLIN, "2026-03-07T11:00:00.000Z", "2026-03-09T08:00:00.000Z"),
        (BERLIN, "2026-03-08T22:59:59.000Z", "2026-03-09T08:00:00.000Z"),
        # The weekend of the change to summer time, and of the change back.
        (BERLIN, "2026-03-27T16:00:00.000Z", "2026-03-30T07:00:00.000Z"),
        (BERLIN, "2026-10-23T15:00:00.000Z", "2026-10-26T08:00:00.000Z"),
        # A start that the clocks jump over: 02:00 becomes 03:00 at 01:00 UTC.
        (hours("Europe/Berlin", "02:30", "04:00", SUNDAY), "2026-03-28T12:00:00.000Z", "2026-03-29T01:00:00.000Z"),
        # Hours that the clocks jump over altogether: there are none on that day.
        (hours("Europe/Berlin", "02:00", "03:00", SUNDAY), "2026-03-28T12:00:00.000Z", "2026-04-05T00:00:00.000Z"),
        # The hour that comes twice: 03:00 becomes 02:00 at 01:00 UTC.
        (hours("Europe/Berlin", "02:30", "04:00", SUNDAY), "2026-10-24T12:00:00.000Z", "2026-10-25T00:30:00.000Z"),
        (hours("Europe/Berlin", "02:30", "04:00", SUNDAY), "2026-10-25T01:00:00.000Z", "2026-10-25T01:30:00.000Z"),
        (hours("Europe/Berlin", "00:00", "02:30", SUNDAY), "2026-10-25T00:30:00.000Z", "2026-10-25T01:00:00.000Z"),
        # Clocks that go back over midnight: 00:01 becomes 23:01 of the day before.
        (hours(ST_JOHNS, "00:00", "00:30", SUNDAY), "2010-11-06T12:00:00.000Z", "2010-11-07T02:30:00.000Z"),
        (hours(ST_JOHNS, "00:00", "00:30", SUNDAY), "2010-11-07T02:31:00.000Z", "2010-11-07T03:30:00.000Z"),
        (hours(ST_JOHNS, "23:30", "24:00", SATURDAY), "2010-11-07T02:30:30.000Z", "2010-11-07T03:00:00.000Z"),
        (
            hours("America/St_Johns", "00:00", "23:30", EVERY_DAY),
            "2010-11-07T02:10:00.000Z",
            "2010-11-07T02:30:00.000Z",
        ),
        # A date that a zone has left out.
        (hours("Pacific/Apia", days=frozenset({4})), "2011-12-29T12:00:00.000Z", "2012-01-05T19:00:00.000Z"),
        # A zone of half hours, and one behind UTC.
        (hours("Asia/Kolkata"), "2026-03-02T00:00:00.000Z", "2026-03-02T03:30:00.000Z"),
        (hours("America/Los_Angeles"), "2026-03-03T01:00:00.000Z", "2026-03-03T17:00:00.000Z"),
        # Whole days.
        (hours("UTC", "00:00", "24:00"), "2026-03-06T23:59:59.999Z", "2026-03-06T23:59:59.999Z"),
        (hours("UTC", "00:00", "24:00"), "2026-03-07T00:00:00.000Z", "2026-03-09T00:00:00.000Z"),
        (None, "2026-03-07T03:00:00.000Z", "2026-03-07T03:00:00.000Z"),
    ],
)
def test_next_working_instant(given: WorkingHours | None, at: str, expected: str) -> None:
    assert format_instant(next_working(given, parse_instant(at))) == expected


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_names_of_the_time_zone_database_are_time_zones(name: str) -> None:
    assert is_time_zone(name)
    assert name in time_zones()


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "Europe", "Atlantis", "Europe/Berlin ", "../UTC", "/etc/passwd", "a\0b", "é"),
        *("x" * 5000, "tzdata.zi", "posix/UTC", "right/UTC", "localtime", "posixrules", "Factory"),
    ],
)
def test_what_is_no_name_of_the_database_is_no_time_zone(name: str) -> None:
    assert not is_time_zone(name)


def naively_next(given: WorkingHours, at: Millis) -> Millis:
    """The first instant from `at` on that shows a working time, found by looking at every quarter of an hour."""
    zone = ZoneInfo(given.time_zone)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    while True:
        shown = moment.astimezone(zone)
        if shown.weekday() in given.days and given.start <= shown.hour * 60 + shown.minute < given.end:
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        quarter = moment.minute // 15 * 15
        moment = moment.replace(minute=quarter, second=0, microsecond=0) + timedelta(minutes=15)


# Around changes of clocks, by half an hour and at midnight too; here and there nothing changes at odd minutes.
CHANGES = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "America/Havana": ["2026-03-08", "2026-11-01"],
    "Pacific/Apia": ["2011-12-30"],
    "Asia/Kathmandu": ["2026-03-01"],
}


@pytest.mark.parametrize(("zone", "date"), [(zone, date) for zone, dates in CHANGES.items() for date in dates])
def test_the_next_working_instant_is_the_first_whose_clock_shows_work(zone: str, date: str) -> None:
    midnight = parse_instant(f"{date}T00:00:00Z")
    spans = [("00:00", "00:30"), ("00:15", "02:30"), ("02:15", "02:45"), ("02:30", "24:00"), ("23:00", "24:00")]
    for start, end in spans:
        for days in (EVERY_DAY, SUNDAY):
            given = hours(zone, start, end, days)
            for minutes in range(-1500, 2900, 85):
                at = midnight + minutes * 60_000 + 1
                found = next_working(given, at)
                assert format_instant(found) == format_instant(naively_next(given, at))
                assert is_working(given, found)
