"""Reading the alert policy of a ruleset: when people are told of a lead, how often, in which hours, of whom never.

Protects "nothing is ever ignored" where a policy could silently tell nobody: a fit that no lead can have, hours that
hold no minute, a time zone that nobody knows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leadscore.core.criteria import LABEL
from leadscore.core.event_fields import parse_trait_pattern
from leadscore.core.instants import DAY, Millis
from leadscore.core.patterns import Problem
from leadscore.core.ruleset import AlertPolicy, WorkingHours
from leadscore.core.sections import LARGEST_NUMBER, Section, open_section, suggest
from leadscore.core.working_hours import is_time_zone, time_zones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadscore.core.patterns import Pattern
    from leadscore.core.ruleset import Tier

DEFAULT_COOLDOWN = 7 * DAY
MOST_HAND_RAISES = 20
MOST_A_WEEK = 1_000_000
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKDAYS = frozenset(range(5))
# The end of a day is a time only for `to`.
TIME_OF_DAY = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
END_OF_DAY = "24:00"


def parse_alerts(
    section: Section, tiers: Sequence[Tier], most_fit: float, problems: list[Problem]
) -> AlertPolicy | None:
    """Return the alert policy of the ruleset that `section` is, None where it has none.

    `most_fit` is what the group `fit` can give at most. Whatever is wrong is in `problems`.
    """
    if not section.has("alerts"):
        return None
    inner = open_section("alerts", section.get("alerts"), "alerts", problems)
    if inner is None:
        return None
    inner.require("tier")
    from_ = _parse_tier(inner, tiers) if inner.has("tier") else None
    rearm_below = inner.number("rearm_below", -LARGEST_NUMBER, LARGEST_NUMBER)
    if rearm_below is not None and from_ is not None and rearm_below > from_:
        inner.reject("rearm_below", f"must not be above {from_:g}, where the tier begins")
    converted, internal = _parse_suppress(inner, problems, has_goal=section.has("goal"))
    return AlertPolicy(
        str(inner.get("tier")) if inner.has("tier") else "",
        rearm_below=(from_ or 0) if rearm_below is None else rearm_below,
        cooldown=_parse_duration(inner, "cooldown", DEFAULT_COOLDOWN),
        account_cooldown=_parse_duration(inner, "account_cooldown", 0),
        delay=_parse_duration(inner, "delay", 0),
        min_fit=_parse_min_fit(inner, most_fit),
        always=_parse_always(inner, problems),
        hours=_parse_hours(inner, problems),
        suppress_converted=converted,
        internal=internal,
        accounts=inner.flag("accounts", default=True) is not False,
        warn_above=inner.whole("warn_above", 1, MOST_A_WEEK),
    )


def _parse_tier(section: Section, tiers: Sequence[Tier]) -> float | None:
    """Return where the tier that alerts begins; None after reporting that there is no such place."""
    name = section.get("tier")
    alertable = {tier.name: tier.from_ for tier in tiers if tier.from_ is not None}
    if isinstance(name, str) and name in alertable:
        return alertable[name]
    hint = suggest(name, alertable) if isinstance(name, str) else ""
    section.reject("tier", f"must be a tier that has a `from`{hint or f': {", ".join(alertable)}'}")
    return None


def _parse_duration(section: Section, name: str, default: Millis) -> Millis:
    length = 0 if section.is_none(name) else section.duration(name)
    return default if length is None else length


def _parse_min_fit(section: Section, most: float) -> float | None:
    least = section.number("min_fit", -LARGEST_NUMBER, LARGEST_NUMBER)
    if least is not None and least > most:
        section.reject("min_fit", f"can never be reached: the group `fit` gives {most:g} points at most")
    return least


def _parse_always(section: Section, problems: list[Problem]) -> tuple[str, ...]:
    """Return the names of the events that raise a hand; each may be listed once."""
    values = section.items("always", 1, "a list of at least one name of a track event")
    if len(values) > MOST_HAND_RAISES:
        section.reject("always", f"must be a list of at most {MOST_HAND_RAISES} names")
    names: list[str] = []
    for i, value in enumerate(values):
        path = f"{section.place('always')}[{i}]"
        if not isinstance(value, str) or not LABEL.fullmatch(value):
            problems.append(Problem(path, "must be the name of a track event, one line of 1 to 200 characters", value))
        elif value in names:
            problems.append(Problem(path, "is already in the list", value))
        else:
            names.append(value)
    return tuple(names)


def _parse_hours(section: Section, problems: list[Problem]) -> WorkingHours | None:
    if not section.has("hours"):
        return None
    inner = open_section("hours", section.get("hours"), section.place("hours"), problems)
    if inner is None:
        return None
    inner.require("time_zone", "from", "to")
    start, end = _parse_time(inner, "from"), _parse_time(inner, "to")
    if start is not None and end is not None and start >= end:
        inner.reject("to", "must be later than `from`: the hours are within one day, up to 24:00")
    return WorkingHours(parse_time_zone(inner), parse_days(inner, problems), start or 0, end or 0)


def _parse_time(section: Section, name: str) -> int | None:
    """Return the minute of the day that a field names."""
    if not section.has(name):
        return None
    value = section.get(name)
    if name == "to" and value == END_OF_DAY:
        return 24 * 60
    if isinstance(value, str) and TIME_OF_DAY.fullmatch(value):
        return int(value[:2]) * 60 + int(value[3:])
    latest = END_OF_DAY if name == "to" else "23:59"
    section.reject(name, f'must be a time of the day as text, from "00:00" to "{latest}"')
    return None


def parse_time_zone(section: Section) -> str:
    """Return the time zone that a field names, empty where there is none."""
    if not section.has("time_zone"):
        return ""
    name = section.get("time_zone")
    if isinstance(name, str) and is_time_zone(name):
        return name
    hint = (suggest(name, time_zones()) if isinstance(name, str) else "") or ", such as Europe/Berlin"
    section.reject("time_zone", f"must be a name of the time zone database{hint}")
    return ""


def parse_days(section: Section, problems: list[Problem]) -> frozenset[int]:
    """Return the days of the week that a field lists, Monday as 0; the working days where it is missing."""
    if not section.has("days"):
        return WORKDAYS
    days: set[int] = set()
    for i, value in enumerate(section.items("days", 1, f"a list of at least one of {', '.join(WEEKDAYS)}")):
        path = f"{section.place('days')}[{i}]"
        day = WEEKDAYS.index(value) if isinstance(value, str) and value in WEEKDAYS else None
        if day is None:
            problems.append(Problem(path, f"must be one of {', '.join(WEEKDAYS)}", value))
        elif day in days:
            problems.append(Problem(path, "is already in the list", value))
        else:
            days.add(day)
    return frozenset(days)


def _parse_suppress(section: Section, problems: list[Problem], *, has_goal: bool) -> tuple[bool, Pattern | None]:
    """Return whether leads that have converted are left out, and the traits of those that are."""
    if not section.has("suppress"):
        return True, None
    inner = open_section("suppress", section.get("suppress"), section.place("suppress"), problems)
    if inner is None:
        return True, None
    if inner.has("converted") and not has_goal:
        inner.refuse("converted", "has no meaning without a `goal`: no lead ever converts")
    converted = inner.flag("converted", default=True)
    if not inner.has("internal"):
        return converted is not False, None
    return converted is not False, parse_trait_pattern(inner.get("internal"), inner.place("internal"), problems)
