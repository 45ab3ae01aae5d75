"""Reading one criterion: which fields go together, what each may hold, and the most it can be worth.

Protects "nothing is ever ignored" where fields depend on each other: a field that would have no effect in this kind
of criterion (a window on traits, points on a gate) is refused with the reason, never dropped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from leadscore.core.event_fields import FIELDS as EVENT_FIELDS
from leadscore.core.event_fields import OBJECTS, parse_event_pattern, parse_trait_pattern
from leadscore.core.instants import DAY, Millis
from leadscore.core.ruleset import Criterion, Group, Measure
from leadscore.core.sections import LARGEST_NUMBER, Section, open_section, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadscore.core.patterns import Pattern, Problem

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
LABEL = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029]{1,200}")
FIELD_PATH = re.compile(r"(?=.{1,256}\Z)[^.]+(\.[^.]+){0,15}")
MAX_POINTS = 1000
MAX_LIMIT = 1000
SUM_LIMIT = 256
_GATE_REFUSES = ("points", "half_life", "max", "limit")
_TRAITS_REFUSE = ("limit", "within", "half_life", "at_least", "measure")


class Span(NamedTuple):
    """The least and the most points that something can be worth."""

    low: float
    high: float


class Draft(NamedTuple):
    """A criterion as far as it could be read, and what it can be worth; whole only when no problem was found."""

    criterion: Criterion
    span: Span


def parse_criterion(value: object, path: str, groups: Mapping[str, Group], problems: list[Problem]) -> Draft | None:
    """Return the criterion at `path`; whatever is wrong with it is in `problems`."""
    section = open_section("criterion", value, path, problems)
    if section is None:
        return None
    section.require("id")
    gate = section.flag("disqualify")
    event, traits, on_events = _parse_patterns(section, problems)
    _refuse_useless(section, gate=gate, on_events=on_events)
    group = _parse_group(section, groups, gate=gate, on_events=on_events)
    if gate is False:
        section.require("points")
    points = _parse_points(section)
    within = section.duration("within")
    measure, at_least = _parse_threshold(section, within, problems)
    limit = _parse_limit(section, measure, at_least)
    cap = section.number("max", 0, LARGEST_NUMBER, open_low=True)
    criterion = Criterion(
        id=section.text("id", ID, "1 to 64 of a-z, 0-9 and `-`, not beginning with `-`") or "",
        group=group.name,
        points=points or 0,
        event=event,
        traits=traits,
        limit=limit or 1,
        within=within,
        half_life=_parse_half_life(section, group) if on_events and not gate else None,
        at_least=at_least,
        measure=measure,
        max=cap,
        disqualify=bool(gate),
        label=section.text("label", LABEL, "one line of 1 to 200 characters") or "",
    )
    return Draft(criterion, Span(0, 0) if gate else _span(points, 1 if measure else limit, cap))


def _parse_patterns(section: Section, problems: list[Problem]) -> tuple[Pattern | None, Pattern | None, bool]:
    """Return the two patterns, and whether the criterion is about events."""
    event = traits = None
    on_events = section.has("event")
    if on_events:
        event = parse_event_pattern(section.get("event"), section.place("event"), problems)
    if section.has("traits"):
        traits = parse_trait_pattern(section.get("traits"), section.place("traits"), problems)
    elif not on_events:
        section.report("a criterion needs a pattern: `event`, `traits` or both")
    return event, traits, on_events


def _refuse_useless(section: Section, *, gate: bool | None, on_events: bool) -> None:
    if gate:
        for name in filter(section.has, _GATE_REFUSES):
            section.refuse(name, "has no meaning with `disqualify`: a gate is open or shut and has no points")
    if not on_events and section.has("traits"):
        for name in filter(section.has, _TRAITS_REFUSE):
            section.refuse(name, "has no meaning without `event`: traits are judged as they are now")


def _parse_group(section: Section, groups: Mapping[str, Group], *, gate: bool | None, on_events: bool) -> Group:
    if gate and not section.has("group"):
        return groups["engagement" if on_events else "fit"]
    if gate is False:
        section.require("group")
    if section.has("group"):
        name = section.get("group")
        if isinstance(name, str) and name in groups:
            return groups[name]
        hint = (suggest(name, groups) if isinstance(name, str) else "") or f"; known are {', '.join(groups)}"
        section.reject("group", f"must be a group that is declared under `groups`{hint}")
    return Group("")


def _parse_points(section: Section) -> int | None:
    points = section.whole("points", -MAX_POINTS, MAX_POINTS)
    if points == 0:
        section.reject("points", "must not be 0: the criterion would change nothing")
        return None
    return points


def _parse_half_life(section: Section, group: Group) -> Millis | None:
    if not section.has("half_life"):
        return group.half_life
    return None if section.is_none("half_life") else section.duration("half_life")


def _parse_threshold(
    section: Section, within: Millis | None, problems: list[Problem]
) -> tuple[Measure | None, float | None]:
    """Return what is measured and what it must reach; both None for a criterion without a threshold."""
    measure = _parse_measure(section, problems)
    if not section.has("at_least"):
        if section.has("measure"):
            section.reject("measure", "has no meaning without `at_least`")
        return None, None
    if measure is None or measure.kind == "sum":
        return measure, section.number("at_least", 0, LARGEST_NUMBER, open_low=True)
    at_least = section.whole("at_least", 1, MAX_LIMIT)
    if measure.kind == "days" and within is not None and at_least is not None:
        # A window touches one date more than the days it spans.
        most = -(-within // DAY) + 1
        if at_least > most:
            section.reject("at_least", f"can never be reached: `within` touches at most {most} dates")
    return measure, at_least


def _parse_limit(section: Section, measure: Measure | None, at_least: float | None) -> int | None:
    """Return how many occurrences are kept; None where that could not be read."""
    if measure is None or measure.kind == "sum":
        if section.has("limit"):
            return section.whole("limit", 1, MAX_LIMIT)
        return SUM_LIMIT if section.has("at_least") else 1
    if section.has("limit"):
        section.refuse("limit", "has no meaning with `at_least`, which keeps as many as it needs (except for `sum`)")
    return None if at_least is None else int(at_least)


def _parse_measure(section: Section, problems: list[Problem]) -> Measure | None:
    if not section.has("measure"):
        return Measure("count")
    value = section.get("measure")
    if value == "count":
        return Measure("count")
    if value == "days":
        return Measure("days")
    if not isinstance(value, dict):
        section.reject("measure", "must be count, days, {distinct: FIELD} or {sum: FIELD}")
        return None
    inner = open_section("measure", value, section.place("measure"), problems)
    if inner is None:
        return None
    if inner.has("distinct") == inner.has("sum"):
        inner.report("must have exactly one of `distinct` and `sum`", value)
        return None
    if inner.has("distinct"):
        path = _parse_field_path(inner, "distinct")
        return None if path is None else Measure("distinct", path)
    path = _parse_field_path(inner, "sum")
    return None if path is None else Measure("sum", path)


def _parse_field_path(section: Section, name: str) -> tuple[str, ...] | None:
    """Return the path of the event's field that a measure reads, such as `properties.feature`."""
    text = section.text(name, FIELD_PATH, "the dotted path of a field in the event, such as properties.feature")
    if text is None:
        return None
    path = tuple(text.split("."))
    if path[0] not in EVENT_FIELDS:
        hint = suggest(path[0], EVENT_FIELDS) or f"; the fields of an event are {', '.join(EVENT_FIELDS)}"
        section.reject(name, f"events have no field `{path[0]}`{hint}")
    elif (path[0] in OBJECTS) != (len(path) > 1):
        section.reject(name, "must be a field in properties, traits or context, or a single value like `name`")
    elif name == "sum" and len(path) == 1:
        section.reject(name, f"`{text}` is a text; only numbers can be added up")
    else:
        return path
    return None


def _span(points: int | None, times: int | None, cap: float | None) -> Span:
    """Return what `times` occurrences at their full points can be worth; what is unknown may be anything."""
    uncapped = (MAX_POINTS if points is None else abs(points)) * (MAX_LIMIT if times is None else times)
    most = uncapped if cap is None else min(uncapped, cap)
    return Span(-most if points is None or points < 0 else 0, most if points is None or points > 0 else 0)
