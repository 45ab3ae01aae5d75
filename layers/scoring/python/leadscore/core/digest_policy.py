"""When the digest goes out: reading that from a ruleset, and judging whether its time has come.

    at 08:00 --> a round for today, of the time since the one before --> all sent: done
                     '-- something was not: the same round again, a quarter of an hour later, for three hours

Invariant: rounds leave no time out. Each begins where the last one that was done ended, unless that is over a week
ago; on each date there is one at most. A round of which anything went out counts as done on the next date. An instant
is judged by what a clock and a calendar on the wall show.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from leadscore.core.alert_policy import parse_days, parse_time_zone
from leadscore.core.instants import DAY, Millis
from leadscore.core.ruleset import DigestPolicy, Ruleset, WorkingHours
from leadscore.core.sections import open_section
from leadscore.core.working_hours import date_shown, is_working

if TYPE_CHECKING:
    from leadscore.core.patterns import Problem
    from leadscore.core.sections import Section

DEFAULT_AT = 8 * 60
# The last quarter of an hour at which it is looked whether a digest is due.
_TIME_OF_DAY = re.compile(r"(?:[01][0-9]|2[0-2]):[0-5][0-9]|23:(?:[0-3][0-9]|4[0-5])", re.ASCII)
_TIME_DESCRIBED = 'a time of the day as text, from "00:00" to "23:45"'
# For how long after its time a digest is worth sending.
_MINUTES_TO_TRY = 3 * 60
_END_OF_DAY = 24 * 60
FIRST_LENGTH, LONGEST = DAY, 7 * DAY


class Round(NamedTuple):
    """The digests of one date, which are of the time from `since` up to but not in `until`."""

    date: str
    since: Millis
    until: Millis
    done: bool = False


def parse_digest(section: Section, problems: list[Problem]) -> DigestPolicy | None:
    """Return when the ruleset that `section` is wants digests, None where it wants none."""
    if not section.has("digest"):
        return None
    inner = open_section("digest", section.get("digest"), "digest", problems)
    if inner is None:
        return None
    inner.require("time_zone")
    at = inner.text("at", _TIME_OF_DAY, _TIME_DESCRIBED)
    minute = DEFAULT_AT if at is None else int(at[:2]) * 60 + int(at[3:])
    return DigestPolicy(parse_time_zone(inner), parse_days(inner, problems), minute)


def next_round(policy: DigestPolicy | None, last: Round | None, now: Millis, settling: Millis) -> Round | None:
    """Return the round to do now, None where none is due or today's is done.

    `last` is the newest there is, done or not. What happened in the `settling` before `now` is left to the next
    one, as it may not be found yet.
    """
    if policy is None:
        return None
    end = min(policy.at + _MINUTES_TO_TRY, _END_OF_DAY)
    if not is_working(WorkingHours(policy.time_zone, policy.days, policy.at, end), now):
        return None
    date, until = date_shown(policy.time_zone, now), now - settling
    if last is None:
        return Round(date, until - FIRST_LENGTH, until)
    if last.date >= date:
        return None if last.done else last
    begin = last.until if last.done else last.since
    # A clock may have been set back.
    return Round(date, min(max(begin, until - LONGEST), until), until)


def hot_tiers(ruleset: Ruleset) -> frozenset[str]:
    """Return the names of the tiers that are hot: the alert policy's and those above it, else the highest."""
    names = [tier.name for tier in ruleset.tiers]
    lowest = names[0] if ruleset.alerts is None else ruleset.alerts.tier
    return frozenset(names[: names.index(lowest) + 1])
