"""When people may be told: instants within the working hours of a time zone.

Invariant: an instant is a working one exactly if a clock on the wall there shows a working day, and a time from the
hours' start up to but not in their end. So on the day that clocks go forward over the start, work begins with the
minute they jump to; on the day that they go back, the hour that comes twice counts as its clock says, both times.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from leadscore.core.instants import Millis, from_datetime, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from leadscore.core.ruleset import WorkingHours

_DAY = timedelta(days=1)
# Directories and files beside the names of the database, on some systems; `right` counts leap seconds.
_NO_ZONES = frozenset(("posix", "right", "localtime", "posixrules", "Factory"))


def is_time_zone(name: str) -> bool:
    """Return whether the time zone database knows the name."""
    if name.partition("/")[0] in _NO_ZONES:
        return False
    try:
        _zone(name)
    except (ValueError, OSError, LookupError):
        # A name that is no file: none of that name, a directory, or no name of a file at all.
        return False
    return True


def time_zones() -> frozenset[str]:
    """Return all names that the time zone database knows; reads it whole."""
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def is_working(hours: WorkingHours | None, at: Millis) -> bool:
    """Return whether `at` is within the hours; every instant is where there are none."""
    return hours is None or _shows_work(hours, to_datetime(at).astimezone(_zone(hours.time_zone)))


def date_shown(time_zone: str, at: Millis) -> str:
    """Return the date that a calendar on the wall there shows: `2026-01-31`."""
    return to_datetime(at).astimezone(_zone(time_zone)).date().isoformat()


def next_working(hours: WorkingHours | None, at: Millis) -> Millis:
    """Return the first instant from `at` on that is within the hours: `at` itself where it is."""
    if hours is None or is_working(hours, at):
        return at
    zone = _zone(hours.time_zone)
    first = to_datetime(at).astimezone(zone).date()
    for days in count():
        # Where clocks go back over midnight, a date begins before the one before it has ended.
        around = [first + (days + beside) * _DAY for beside in (-1, 0, 1)]
        begins = [from_datetime(begin) for day in around for begin in _begins(hours, zone, day)]
        found = [begin for begin in begins if begin >= at]
        if found:
            return min(found)
    raise AssertionError("the days do not end")


def _begins(hours: WorkingHours, zone: ZoneInfo, day: date) -> Iterator[datetime]:
    """Yield the instants at which working time begins on a date: at the start, and where clocks jump into it."""
    start = datetime.combine(day, datetime.min.time(), zone) + timedelta(minutes=hours.start)
    for begin in (start, start.replace(fold=1)):
        utc = begin.astimezone(UTC)
        shown = utc.astimezone(zone)
        if shown.replace(tzinfo=None) == begin.replace(tzinfo=None) and _shows_work(hours, shown):
            yield utc
    jump = _jump(zone, day)
    if jump is not None:
        shown = jump.astimezone(zone)
        if shown.date() == day and _shows_work(hours, shown):
            yield jump


def _jump(zone: ZoneInfo, day: date) -> datetime | None:
    """Return the instant around a date at which the clocks of the zone are changed, None where they are not."""
    low = datetime.combine(day, datetime.min.time(), UTC) - _DAY
    high = low + 3 * _DAY
    before = low.astimezone(zone).utcoffset()
    if high.astimezone(zone).utcoffset() == before:
        return None
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def _shows_work(hours: WorkingHours, shown: datetime) -> bool:
    return shown.weekday() in hours.days and hours.start <= shown.hour * 60 + shown.minute < hours.end


def _zone(name: str) -> ZoneInfo:
    # Loads the database's reader: most rulesets have no working hours.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)
