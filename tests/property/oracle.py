"""A naive reference implementation of scoring, written from the words of the semantics and from nothing else.

It shares no code with the core: it reads the raw ruleset document, flattens every event for every pattern, parses
time by hand, computes in fractions, and starts again from the full list of events for every answer. Where the core
is fast, bounded and incremental, this is slow and obvious; the laws demand that the two agree.

Sources of the pattern semantics: the pages "Comparison operators", "Event pattern syntax", "Arrays" and "Null
values and empty strings" of the Amazon EventBridge user guide, and the array consistency rule of event-ruler.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

Document = Mapping[str, Any]
Event = Mapping[str, Any]

SECOND = 1000
DAY = 24 * 60 * 60 * SECOND
TOLERANCE = Fraction(1, 10**9)
# Points are counted in units of 2**-40; half of one, or less, rounds to nothing.
NOTHING = Fraction(1, 2**41)

# --------------------------------------------------------------------------------------------------------- time


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_before(year: int, month: int, day: int) -> int:
    """Days from 0001-01-01 to the given date of the proleptic Gregorian calendar."""
    earlier_years = year - 1
    days = 365 * earlier_years + earlier_years // 4 - earlier_years // 100 + earlier_years // 400
    lengths = [31, 29 if is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return days + sum(lengths[: month - 1]) + day - 1


def instant(text: str) -> int:
    """Milliseconds since 1970 UTC of `YYYY-MM-DDTHH:MM:SS.mmm` followed by `Z` or `+HH:MM` or `-HH:MM`."""
    days = days_before(int(text[0:4]), int(text[5:7]), int(text[8:10])) - days_before(1970, 1, 1)
    hour, minute, second, milli = int(text[11:13]), int(text[14:16]), int(text[17:19]), int(text[20:23])
    local = days * DAY + ((hour * 60 + minute) * 60 + second) * SECOND + milli
    zone = text[23:]
    if zone == "Z":
        return local
    offset = (int(zone[1:3]) * 60 + int(zone[4:6])) * 60 * SECOND
    return local - offset if zone[0] == "+" else local + offset


def instant_of(moment: datetime) -> int:
    utc = moment.astimezone(UTC)
    days = days_before(utc.year, utc.month, utc.day) - days_before(1970, 1, 1)
    seconds = (utc.hour * 60 + utc.minute) * 60 + utc.second
    return days * DAY + seconds * SECOND + utc.microsecond // 1000


def duration(text: str) -> int:
    units = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY, "w": 7 * DAY}
    return int(text[:-1]) * units[text[-1]]


# ----------------------------------------------------------------------------------------------------- patterns

ABSENT = {"exists": False}
Place = tuple[str | int, ...]
Clause = tuple[tuple[str, ...], list[Any]]


@dataclass(frozen=True)
class Leaf:
    """One scalar of an event; `elements` says in which element of each array around its objects it lies."""

    path: tuple[str, ...]
    value: Any
    elements: Mapping[Place, int]


def leaves_of(value: Any) -> list[Leaf]:
    found: list[Leaf] = []

    def walk(node: Any, path: tuple[str, ...], place: Place, elements: dict[Place, int]) -> None:
        if isinstance(node, Mapping):
            for key, child in node.items():
                walk(child, (*path, key), (*place, key), elements)
        elif isinstance(node, list):
            for index, child in enumerate(node):
                is_scalar = not isinstance(child, (Mapping, list))
                walk(child, path, (*place, index), elements if is_scalar else {**elements, place: index})
        else:
            found.append(Leaf(path, node, elements))

    walk(value, (), (), {})
    return found


def conjunctions(pattern: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[list[Clause]]:
    """Every way to choose one branch of each `$or`, as the list of clauses that must then hold together."""
    ways: list[list[Clause]] = [[]]
    for key, value in pattern.items():
        if key == "$or":
            choices = [way for branch in value for way in conjunctions(branch, path)]
        elif isinstance(value, list):
            choices = [[((*path, key), value)]]
        else:
            choices = conjunctions(value, (*path, key))
        ways = [way + choice for way in ways for choice in choices]
    return ways


def paths_read(pattern: Mapping[str, Any]) -> set[tuple[str, ...]]:
    return {path for way in conjunctions(pattern) for path, _ in way}


def pattern_holds(pattern: Mapping[str, Any], subject: Mapping[str, Any]) -> bool:
    leaves = leaves_of(subject)
    return any(clauses_hold(way, leaves, {}, []) for way in conjunctions(pattern))


def clauses_hold(
    clauses: Sequence[Clause], leaves: Sequence[Leaf], chosen: Mapping[Place, int], absent: Sequence[tuple[str, ...]]
) -> bool:
    """Try every leaf for every clause; no two of them may lie in different elements of one array.

    A field is absent when no leaf at its path is left in the elements that the other clauses chose.
    """
    if not clauses:
        return not any(leaf.path in absent and consistent(chosen, leaf.elements) for leaf in leaves)
    (path, alternatives), *rest = clauses
    if ABSENT in alternatives and clauses_hold(rest, leaves, chosen, [*absent, path]):
        return True
    return any(
        leaf.path == path
        and consistent(chosen, leaf.elements)
        and any(value_matches(alternative, leaf.value) for alternative in alternatives)
        and clauses_hold(rest, leaves, {**chosen, **leaf.elements}, absent)
        for leaf in leaves
    )


def consistent(chosen: Mapping[Place, int], elements: Mapping[Place, int]) -> bool:
    return all(chosen.get(array, index) == index for array, index in elements.items())


def value_matches(alternative: Any, value: Any) -> bool:
    if not isinstance(alternative, Mapping):
        return same_scalar(alternative, value)
    ((operator, argument),) = alternative.items()
    return OPERATORS[operator](argument, value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same_scalar(one: Any, other: Any) -> bool:
    if is_number(one) and is_number(other):
        return float(one) == float(other)
    return type(one) is type(other) and bool(one == other)


def text_matches(test: Callable[[str, str], bool], argument: Any, value: Any) -> bool:
    """Apply a test on text; an argument `{"equals-ignore-case": x}` asks for the same test without case."""
    if not isinstance(value, str):
        return False
    if isinstance(argument, Mapping):
        return test(value.lower(), argument["equals-ignore-case"].lower())
    return test(value, argument)


def wildcard_matches(pattern: str, text: str) -> bool:
    """`*` stands for any text, also none; a backslash takes the next character literally."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(wildcard_matches(pattern[1:], text[skipped:]) for skipped in range(len(text) + 1))
    literal, rest = (pattern[1], pattern[2:]) if pattern[0] == "\\" else (pattern[0], pattern[1:])
    return text[:1] == literal and wildcard_matches(rest, text[1:])


def anything_but(argument: Any, value: Any) -> bool:
    """True for every value, of any type, that is none of those named."""
    if isinstance(argument, Mapping):
        ((operator, excluded),) = argument.items()
        each = excluded if isinstance(excluded, list) else [excluded]
        return not any(OPERATORS[operator](one, value) for one in each)
    each = argument if isinstance(argument, list) else [argument]
    return not any(same_scalar(one, value) for one in each)


def in_range(argument: Sequence[Any], value: Any) -> bool:
    if not is_number(value):
        return False
    tests: dict[str, Callable[[float, float], bool]] = {
        "=": lambda a, b: a == b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    pairs = zip(argument[::2], argument[1::2], strict=True)
    return all(tests[comparison](float(value), float(bound)) for comparison, bound in pairs)


def in_network(argument: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument, strict=False)
    except ValueError:
        return False


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": lambda argument, value: text_matches(str.startswith, argument, value),
    "suffix": lambda argument, value: text_matches(str.endswith, argument, value),
    "equals-ignore-case": lambda argument, value: text_matches(str.__eq__, {"equals-ignore-case": argument}, value),
    "wildcard": lambda argument, value: isinstance(value, str) and wildcard_matches(argument, value),
    "anything-but": anything_but,
    "numeric": in_range,
    "cidr": in_network,
    # A leaf exists; `exists: false` is no property of a leaf and is treated where the clauses are combined.
    "exists": lambda argument, _: bool(argument),
}

# ------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True)
class Occurrence:
    time: int
    id: str
    event: Event


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def newest_first(events: Iterable[Event], at: int) -> list[Occurrence]:
    """The distinct events not after `at`; of copies that differ, the largest by (time, canonical JSON)."""
    copies: dict[str, list[Event]] = {}
    for event in events:
        if instant(event["timestamp"]) <= at:
            copies.setdefault(event["messageId"], []).append(event)
    chosen = [max(some, key=lambda e: (instant(e["timestamp"]), canonical(e))) for some in copies.values()]
    found = [Occurrence(instant(event["timestamp"]), event["messageId"], event) for event in chosen]
    return sorted(found, key=lambda o: (o.time, o.id), reverse=True)


def latest_traits(events: Sequence[Occurrence]) -> dict[str, Any]:
    """Per top-level key the newest value; null, and a value too large to keep, is no value."""
    traits: dict[str, Any] = {}
    for event in reversed(events):
        for key, value in event.event.get("traits", {}).items():
            traits.pop(key, None)
            if value is not None and len(canonical(value).encode()) <= 2048:
                traits[key] = value
    return traits


def account_id(events: Sequence[Occurrence]) -> str | None:
    return next((str(o.event["groupId"]) for o in events if "groupId" in o.event), None)


def traits_seen(events: Sequence[Occurrence]) -> dict[str, Any]:
    """What a trait pattern sees: the lead's traits, and the account's under `account`."""
    account = account_id(events)
    own = [o for o in events if o.event["type"] == "identify"]
    shared = [o for o in events if o.event["type"] == "group" and o.event.get("groupId") == account]
    return {**latest_traits(own), "account": latest_traits(shared)}


# ----------------------------------------------------------------------------------------------------- criteria

MISSING = object()


def field(event: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(event, Mapping) or key not in event:
            return MISSING
        event = event[key]
    return event


def measured(criterion: Document) -> tuple[str, str]:
    """The kind of measure, `plain` without `at_least`, and the field that it reads."""
    if "at_least" not in criterion:
        return "plain", ""
    measure = criterion.get("measure", "count")
    if isinstance(measure, str):
        return measure, ""
    ((kind, path),) = measure.items()
    return kind, path


def occurrences(criterion: Document, events: Sequence[Occurrence]) -> list[Occurrence]:
    """The events, newest first, that are occurrences of the criterion, in whatever window."""
    kind, path = measured(criterion)
    found = [o for o in events if pattern_holds(criterion["event"], o.event)]
    if kind == "distinct":
        return [o for o in found if is_scalar(field(o.event, path))]
    if kind == "sum":
        return [o for o in found if is_positive_finite(field(o.event, path))]
    return found


def is_scalar(value: Any) -> bool:
    return value is not MISSING and not isinstance(value, (Mapping, list))


def is_positive_finite(value: Any) -> bool:
    return is_number(value) and 0 < value < float("inf")


def inside(criterion: Document, found: Sequence[Occurrence], at: int) -> list[Occurrence]:
    if "within" not in criterion:
        return list(found)
    return [o for o in found if at - o.time <= duration(criterion["within"])]


def kept(criterion: Document, found: Sequence[Occurrence], at: int) -> list[Occurrence]:
    """The occurrences that the criterion counts at `at`; none when it does not count."""
    kind, path = measured(criterion)
    current = inside(criterion, found, at)
    if kind == "plain":
        return current[: criterion.get("limit", 1)]
    if kind == "sum":
        return enough(current[: criterion.get("limit", 256)], path, criterion["at_least"])
    if kind == "distinct":
        current = first_of_each(current, lambda o: canonical(field(o.event, path)))
    if kind == "days":
        current = first_of_each(current, lambda o: o.time // DAY)
    needed = int(criterion["at_least"])
    return current[:needed] if len(current) >= needed else []


def first_of_each(found: Sequence[Occurrence], key: Callable[[Occurrence], object]) -> list[Occurrence]:
    first: dict[object, Occurrence] = {}
    for occurrence in found:
        first.setdefault(key(occurrence), occurrence)
    return list(first.values())


def enough(found: Sequence[Occurrence], path: str, needed: float) -> list[Occurrence]:
    """The fewest newest occurrences whose numbers add up to `needed`, exactly and then rounded to a double."""
    total = Fraction(0)
    for count, occurrence in enumerate(found, start=1):
        total += Fraction(field(occurrence.event, path))
        if total >= Fraction(needed) or float(total) >= needed:
            return list(found[:count])
    return []


def half_life(document: Document, criterion: Document) -> int | None:
    group = document.get("groups", {}).get(group_of(criterion), {})
    text = criterion.get("half_life", group.get("half_life", "none"))
    return None if text == "none" or "event" not in criterion else duration(text)


def group_of(criterion: Document) -> str:
    default = "engagement" if "event" in criterion else "fit"
    return str(criterion.get("group", default))


Power = Callable[[int, int], Fraction]


def exact_power(age: int, half: int) -> Fraction:
    """2 ** (-age / half) to 60 significant digits, exact where the exponent is whole."""
    if age % half == 0 and age // half <= 10_000:
        return Fraction(1, 2 ** (age // half))
    digits = Context(prec=60)
    return Fraction(digits.power(Decimal(2), digits.divide(Decimal(-age), Decimal(half))))


def quick_power(age: int, half: int) -> Fraction:
    return Fraction(2.0 ** (-age / half))


def worth(
    document: Document, criterion: Document, counted: Sequence[Occurrence], at: int, power: Power
) -> list[Fraction]:
    """What each kept occurrence is worth at `at`; a thresholded criterion is worth its points once."""
    half = half_life(document, criterion)
    decaying = counted[:1] if "at_least" in criterion else counted
    return [criterion["points"] * (power(at - o.time, half) if half else Fraction(1)) for o in decaying]


# -------------------------------------------------------------------------------------------------------- score


@dataclass(frozen=True)
class Factor:
    """One line of the explanation; cuts are what the caps took off, negative where a floor added."""

    id: str
    group: str
    kept: tuple[tuple[str, int], ...]
    raw: Fraction
    decayed: Fraction
    criterion_cut: Fraction
    group_cut: Fraction
    total_cut: Fraction

    @property
    def points(self) -> Fraction:
        return self.decayed - self.criterion_cut - self.group_cut - self.total_cut


@dataclass(frozen=True)
class OracleScore:
    """`exact` says that no rounding was needed, so that the core must give the very same number.

    `missed` maps each criterion with points that did not count to the reasons that are true of it.
    """

    total: Fraction
    exact: bool
    tier: str
    groups: dict[str, Fraction]
    factors: tuple[Factor, ...]
    missed: dict[str, set[str]]
    coverage: Fraction
    converted_at: int | None
    raised: tuple[int, str, str] | None
    disqualified_by: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A criterion with the occurrences of the lead, and whether its trait part holds."""

    criterion: Document
    found: list[Occurrence]
    traits_hold: bool

    def kept(self, at: int) -> list[Occurrence]:
        return kept(self.criterion, self.found, at)

    def counts(self, at: int) -> bool:
        return self.traits_hold and ("event" not in self.criterion or bool(self.kept(at)))


def judge(document: Document, events: Sequence[Occurrence]) -> list[Judged]:
    traits = traits_seen(events)
    return [
        Judged(
            criterion,
            occurrences(criterion, events) if "event" in criterion else [],
            "traits" not in criterion or pattern_holds(criterion["traits"], traits),
        )
        for criterion in document["criteria"]
    ]


def clamp(value: Fraction, low: float | None, high: float | None) -> Fraction:
    if high is not None:
        value = min(value, Fraction(high))
    if low is not None:
        value = max(value, Fraction(low))
    return value


def total_bounds(document: Document) -> tuple[float, float]:
    total = document.get("total", {})
    return total.get("min", 0), total.get("max", 100)


def score(document: Document, events: Iterable[Event], at: int) -> OracleScore:
    seen = newest_first(events, at)
    judged = judge(document, seen)
    scored = [one for one in judged if not one.criterion.get("disqualify")]
    stopped = [one for one in judged if one.criterion.get("disqualify") and one.counts(at)]
    worn_out = [one for one in scored if one.counts(at) and is_worn_out(document, one, at)]
    factors = [factor_of(document, one, at) for one in scored if one.counts(at) and one not in worn_out]
    groups: dict[str, Fraction] = {"fit": Fraction(0), "engagement": Fraction(0)}
    for name in sorted({factor.group for factor in factors}):
        bounds = document.get("groups", {}).get(name, {})
        members = [factor for factor in factors if factor.group == name]
        uncut = sum((factor.points for factor in members), Fraction(0))
        groups[name] = clamp(uncut, bounds.get("min"), bounds.get("max"))
        factors = spread(factors, uncut - groups[name], "group_cut", name)
    low, high = total_bounds(document)
    uncut = sum(groups.values(), Fraction(0))
    total = clamp(uncut, low, high)
    factors = spread(factors, uncut - total, "total_cut", None)
    return OracleScore(
        total=total,
        exact=all(is_whole(factor, document, at, scored) for factor in factors),
        tier="disqualified" if stopped else tier_of(document, total),
        groups=groups,
        factors=tuple(factors),
        missed={
            one.criterion["id"]: {"decayed to nothing"} if one in worn_out else reasons(one, at, traits_seen(seen))
            for one in scored
            if one in worn_out or not one.counts(at)
        },
        coverage=coverage(document, traits_seen(seen)),
        converted_at=conversion(document, seen),
        raised=last_hand_raise(document, seen),
        disqualified_by=tuple(one.criterion["id"] for one in stopped),
    )


def is_worn_out(document: Document, one: Judged, at: int) -> bool:
    """Every occurrence of the criterion has decayed to nothing."""
    if "event" not in one.criterion:
        return False
    return all(abs(value) <= NOTHING for value in worth(document, one.criterion, one.kept(at), at, exact_power))


def factor_of(document: Document, one: Judged, at: int) -> Factor:
    criterion = one.criterion
    if "event" not in criterion:
        counted: list[Occurrence] = []
        values = [Fraction(criterion["points"])]
    else:
        counted = one.kept(at)
        values = worth(document, criterion, counted, at, exact_power)
    decayed = sum(values, Fraction(0))
    bound = criterion.get("max")
    bounded = clamp(decayed, None if bound is None else -bound, bound)
    return Factor(
        id=criterion["id"],
        group=group_of(criterion),
        kept=tuple((o.id, o.time) for o in counted),
        raw=Fraction(criterion["points"] * len(values)),
        decayed=decayed,
        criterion_cut=decayed - bounded,
        group_cut=Fraction(0),
        total_cut=Fraction(0),
    )


def spread(factors: list[Factor], cut: Fraction, name: str, group: str | None) -> list[Factor]:
    """Take a cut from positive factors, or a rise (a negative cut) from negative ones, the last first."""
    spread_out: list[Factor] = []
    for factor in reversed(factors):
        changed = factor
        if group is None or factor.group == group:
            share = min(cut, max(factor.points, Fraction(0))) if cut > 0 else max(cut, min(factor.points, Fraction(0)))
            cut -= share
            changed = replaced(factor, name, share)
        spread_out.insert(0, changed)
    return spread_out


def replaced(factor: Factor, name: str, share: Fraction) -> Factor:
    values = {slot: getattr(factor, slot) for slot in Factor.__dataclass_fields__}
    return Factor(**{**values, name: share})


def is_whole(factor: Factor, document: Document, at: int, scored: Sequence[Judged]) -> bool:
    """Every occurrence of the factor is worth a whole number of the core's smallest units."""
    (one,) = [one for one in scored if one.criterion["id"] == factor.id]
    if "event" not in one.criterion:
        return True
    values = worth(document, one.criterion, one.kept(at), at, exact_power)
    return all((value * 2**40).denominator == 1 for value in values)


def tier_of(document: Document, total: Fraction) -> str:
    for tier in document["tiers"]:
        if "from" not in tier or total >= Fraction(tier["from"]):
            return str(tier["name"])
    raise AssertionError("the lowest tier has no bound")


def coverage(document: Document, traits: Mapping[str, Any]) -> Fraction:
    """The share of the points of the fit criteria on traits that can be judged: all fields known, or they match."""
    model = [c for c in document["criteria"] if "traits" in c and "points" in c and group_of(c) == "fit"]
    weight = sum(abs(c["points"]) for c in model)
    present = {leaf.path for leaf in leaves_of(traits)}
    judged = [c for c in model if paths_read(c["traits"]) <= present or pattern_holds(c["traits"], traits)]
    return Fraction(sum(abs(c["points"]) for c in judged), weight) if weight else Fraction(1)


def conversion(document: Document, events: Sequence[Occurrence]) -> int | None:
    if "goal" not in document:
        return None
    return min((o.time for o in events if pattern_holds(document["goal"], o.event)), default=None)


def last_hand_raise(document: Document, events: Sequence[Occurrence]) -> tuple[int, str, str] | None:
    """The newest of the track events that the alert policy names: its time, its id and its name."""
    names = document.get("alerts", {}).get("always", [])
    found = [o for o in events if o.event["type"] == "track" and o.event.get("event") in names]
    return (found[0].time, found[0].id, str(found[0].event["event"])) if found else None


def reasons(one: Judged, at: int, traits: Mapping[str, Any]) -> set[str]:
    """Every reason that is true of a criterion that does not count."""
    true: set[str] = set()
    if not one.traits_hold:
        true.add("unknown trait" if lacks_trait(one.criterion, traits) else "trait does not match")
    if "event" in one.criterion and not one.kept(at):
        current = inside(one.criterion, one.found, at)
        if not one.found:
            true.add("not seen")
        elif not current:
            true.add("outside the window")
        else:
            true.add("below at_least")
    return true


def lacks_trait(criterion: Document, traits: Mapping[str, Any]) -> bool:
    for path in paths_read(criterion["traits"]):
        owner, name = (traits["account"], path[1]) if path[0] == "account" and len(path) > 1 else (traits, path[0])
        if name not in owner:
            return True
    return False


# ------------------------------------------------------------------------------------------ the next change of tier


@dataclass(frozen=True)
class NextChange:
    """The tier cannot differ before `earliest`, and does by `latest`; None is never.

    The two differ only where the total runs along a bound closer than the tolerance.
    """

    earliest: int | None
    latest: int | None


class Undecided(Exception):
    """The search ran out of its budget: the total follows a bound too closely for too long."""


class TotalOverTime:
    """The total of a fixed set of events as a function of time, between two bounds over any stretch of time."""

    def __init__(self, document: Document, events: Iterable[Event], at: int) -> None:
        self.document = document
        self.judged = judge(document, newest_first(events, at))
        self.evaluations = 0

    def is_disqualified(self, at: int) -> bool:
        return any(one.criterion.get("disqualify") and one.counts(at) for one in self.judged)

    def window_ends(self, at: int) -> list[int]:
        ends = {
            occurrence.time + duration(one.criterion["within"]) + 1
            for one in self.judged
            if "within" in one.criterion
            for occurrence in one.found
        }
        return sorted(end for end in ends if end > at)

    def values(self, one: Judged, at: int, later: int | None) -> tuple[list[Fraction], list[Fraction]]:
        """What the occurrences that count at `at` are worth then, and `later` (None is for ever after)."""
        criterion = one.criterion
        if criterion.get("disqualify") or not one.counts(at):
            return [], []
        if "event" not in criterion:
            return [Fraction(criterion["points"])], [Fraction(criterion["points"])]
        counted = one.kept(at)
        now = worth(self.document, criterion, counted, at, quick_power)
        if later is None and half_life(self.document, criterion) is not None:
            return now, [Fraction(0)] * len(now)
        return now, worth(self.document, criterion, counted, at if later is None else later, quick_power)

    def between(self, start: int, end: int | None) -> tuple[Fraction, Fraction]:
        """Bounds of the total from `start` to `end` when no window ends in between.

        Every occurrence moves in one direction, towards zero, and every cap preserves order; so the largest total is
        at most that of the larger ends, and the smallest at least that of the smaller ones.
        """
        self.evaluations += 1
        if self.evaluations > 3_000:
            raise Undecided
        low: dict[str, Fraction] = {}
        high: dict[str, Fraction] = {}
        for one in self.judged:
            first, last = self.values(one, start, end)
            pairs = list(zip(first, last, strict=True))
            bound = one.criterion.get("max")
            floor = None if bound is None else -bound
            group = group_of(one.criterion)
            low[group] = low.get(group, Fraction(0)) + clamp(sum(map(min, pairs), Fraction(0)), floor, bound)
            high[group] = high.get(group, Fraction(0)) + clamp(sum(map(max, pairs), Fraction(0)), floor, bound)
        return self.whole(low), self.whole(high)

    def whole(self, groups: Mapping[str, Fraction]) -> Fraction:
        declared = self.document.get("groups", {})
        capped = [
            clamp(value, declared.get(name, {}).get("min"), declared.get(name, {}).get("max"))
            for name, value in groups.items()
        ]
        return clamp(sum(capped, Fraction(0)), *total_bounds(self.document))

    def is_still(self, at: int) -> bool:
        """Nothing that counts at `at` decays."""
        return all(first == last for first, last in (self.values(one, at, None) for one in self.judged))

    def first_outside(self, start: int, end: int, low: Fraction | None, high: Fraction | None) -> int | None:
        """The first instant from `start` to `end` with a total below `low` or not below `high`."""
        least, most = self.between(start, end)
        if (low is None or least >= low) and (high is None or most < high):
            return None
        if start == end:
            return start
        middle = (start + end) // 2
        found = self.first_outside(start, middle, low, high)
        return self.first_outside(middle + 1, end, low, high) if found is None else found


def next_change(document: Document, events: Iterable[Event], at: int) -> NextChange:
    """The first instant after `at` with another tier, if no further event comes; raises Undecided."""
    course = TotalOverTime(document, list(events), at)
    if course.is_disqualified(at):
        end = next((t for t in course.window_ends(at) if not course.is_disqualified(t)), None)
        return NextChange(end, end)
    low, high = tier_bounds(document, course.between(at, at)[0])
    return NextChange(
        search(course, at, low, high, TOLERANCE),
        search(course, at, low, high, -TOLERANCE),
    )


def tier_bounds(document: Document, total: Fraction) -> tuple[Fraction | None, Fraction | None]:
    """The bounds of the tier of `total`: from the first, to below the second."""
    high: Fraction | None = None
    for tier in document["tiers"]:
        low = Fraction(tier["from"]) if "from" in tier else None
        if low is None or total >= low:
            return low, high
        high = low
    raise AssertionError("the lowest tier has no bound")


def search(course: TotalOverTime, at: int, low: Fraction | None, high: Fraction | None, margin: Fraction) -> int | None:
    """The first instant after `at` at which the total is outside the bounds, drawn in by `margin` on both sides."""
    course.evaluations = 0
    starts = [at + 1, *course.window_ends(at)]
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        last = None if following is None else following - 1
        slack = Fraction(0) if course.is_still(start) else margin
        inner_low = None if low is None else low + slack
        inner_high = None if high is None else high - slack
        found = search_stretch(course, start, last, inner_low, inner_high)
        if found is not None:
            return found
    return None


def search_stretch(
    course: TotalOverTime, start: int, last: int | None, low: Fraction | None, high: Fraction | None
) -> int | None:
    """Search from `start` to `last`, in steps that double; without an end, until what is left cannot matter."""
    step = SECOND
    while last is None or start <= last:
        least, most = course.between(start, last)
        if (low is None or least >= low) and (high is None or most < high):
            return None
        end = start + step if last is None else min(start + step, last)
        found = course.first_outside(start, end, low, high)
        if found is not None:
            return found
        if last is None and most - least < TOLERANCE / 10:
            return None
        start, step = end + 1, step * 2
    return None
