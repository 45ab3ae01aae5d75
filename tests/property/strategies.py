"""Ruleset documents and the events of one lead, drawn from alphabets so small that they meet each other often.

Times are drawn as sums of the very durations that the documents use, give or take a millisecond, so that window
edges, equal timestamps and whole half-lives are the common case and not the lucky one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from tests.property import oracle

JsonObject = dict[str, Any]
Path = tuple[str, ...]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)

UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
DURATIONS = ["1s", "30s", "15m", "12h", "1d", "7d", "2w", "30d", "365d"]

# Before a leap day, on the one that 1900 did not have and 2000 did, around a change to summer time in Europe, at the
# epoch, and as early as a timestamp can be.
STARTS = [
    datetime(2024, 2, 28, 23, 59, 59, 999000, tzinfo=UTC),
    datetime(2024, 2, 28, 23, 59, 59, 999000, tzinfo=UTC),
    datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC),
    datetime(2000, 2, 29, tzinfo=UTC),
    datetime(1900, 2, 28, 12, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 1000, tzinfo=UTC),
    datetime(1, 1, 2, tzinfo=UTC),
]


@dataclass(frozen=True)
class Case:
    """A valid ruleset document, the events of one lead in the order of arrival, and an instant."""

    document: JsonObject
    events: list[JsonObject]
    at: datetime


def milliseconds(duration: str) -> int:
    return int(duration[:-1]) * UNITS[duration[-1]]


def to_millis(instant: datetime) -> int:
    return (instant - EPOCH) // MILLISECOND


def to_datetime(instant: int) -> datetime:
    return EPOCH + instant * MILLISECOND


def to_text(instant: int) -> str:
    return to_datetime(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ----------------------------------------------------------------------------------------------------- patterns

TEXTS = [
    "",
    "ceo",
    "CEO",
    "VP Sales",
    "vp sales",
    "/pricing",
    "/pricing/team",
    "/docs",
    "a*b",
    "a\\b",
    "École",
    "école",
]
NUMBERS: list[int | float] = [0, 1, 5, 5.0, 5.5, -1, 99.999, 100, 100.0, 300, 3e2, 500, 500.0001, -0.0]
LARGE_NUMBERS = [2**53, 2**53 + 1, 2**53 + 2, float(2**53)]
ADDRESSES = ["10.0.0.1", "10.0.0.255", "10.0.1.0", "11.0.0.1", "2001:db8::1", "2001:0db8:0:0::1", "nowhere"]
NETWORKS = ["10.0.0.0/24", "10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32", "0.0.0.0/0"]
IDS = ["u1", "g1", "g2"]
EVENT_NAMES = ["Feature Used", "Trial Started", "Unsubscribed", "Subscription Started"]
EVENT_TYPES = ["identify", "track", "page", "screen", "group", "alias"]


@lru_cache(maxsize=None, typed=True)
def pick(*values: Any) -> st.SearchStrategy[Any]:
    """One of the values; building a strategy costs more than drawing from it."""
    return st.sampled_from(values)


mostly = st.sampled_from([False, True, True])
sometimes = st.sampled_from([False, False, True])
rarely = st.sampled_from([False, False, False, True])
hardly_ever = st.sampled_from([*[False] * 15, True])
texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)
scalars = st.one_of(
    texts,
    numbers,
    st.sampled_from([None, True, False]),
    st.sampled_from(LARGE_NUMBERS),
    st.sampled_from(ADDRESSES),
)


@st.composite
def wildcards(draw: st.DrawFn, alphabet: list[str]) -> str:
    """A text of the alphabet with one or two stretches of it replaced by `*`."""
    text = draw(st.sampled_from([t for t in alphabet if t]))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, len(text)))
    head, tail = (part.replace("\\", "\\\\").replace("*", "\\*") for part in (text[:start], text[end:]))
    if tail and draw(st.booleans()):
        return f"{head}*{tail}*"
    return f"{head}*{tail}"


def text_operators(alphabet: list[str]) -> st.SearchStrategy[Any]:
    filled = st.sampled_from([t for t in alphabet if t])
    heads = filled.flatmap(lambda t: st.integers(1, len(t)).map(lambda n: t[:n]))
    tails = filled.flatmap(lambda t: st.integers(1, len(t)).map(lambda n: t[-n:]))
    either = filled.flatmap(lambda t: st.sampled_from([t, t.swapcase(), t.upper()]))
    excluded = st.one_of(
        st.sampled_from(alphabet),
        st.lists(st.sampled_from(alphabet), min_size=1, max_size=2, unique=True),
        st.fixed_dictionaries({"prefix": heads}),
        st.fixed_dictionaries({"suffix": tails}),
        st.fixed_dictionaries({"equals-ignore-case": either}),
        st.fixed_dictionaries({"equals-ignore-case": st.lists(filled, min_size=2, max_size=2, unique_by=str.lower)}),
        st.fixed_dictionaries({"wildcard": wildcards(alphabet)}),
    )
    return st.one_of(
        st.sampled_from(alphabet),
        st.sampled_from(alphabet),
        st.fixed_dictionaries({"prefix": heads}),
        st.fixed_dictionaries({"suffix": tails}),
        st.fixed_dictionaries({"prefix": st.fixed_dictionaries({"equals-ignore-case": heads})}),
        st.fixed_dictionaries({"suffix": st.fixed_dictionaries({"equals-ignore-case": tails})}),
        st.fixed_dictionaries({"equals-ignore-case": either}),
        st.fixed_dictionaries({"wildcard": wildcards(alphabet)}),
        st.fixed_dictionaries({"anything-but": excluded}),
    )


BOUNDS = [-1, 0, 5, 5.5, 100, 300, 500]
RANGES = [
    *({"numeric": [comparison, bound]} for bound in BOUNDS for comparison in ("=", "<", "<=", ">", ">=")),
    *(
        {"numeric": [above, low, below, high]}
        for low, high in combinations(BOUNDS, 2)
        for above in (">", ">=")
        for below in ("<", "<=")
    ),
]
numeric_ranges = st.sampled_from(RANGES)

number_operators = st.one_of(
    numbers,
    numeric_ranges,
    numeric_ranges,
    st.sampled_from(LARGE_NUMBERS),
    st.fixed_dictionaries({"anything-but": st.one_of(numbers, st.lists(numbers, min_size=1, max_size=2, unique=True))}),
)
shared_operators = st.one_of(
    st.sampled_from([{"exists": True}, {"exists": False}]),
    st.sampled_from([None, True, False]),
)
value_operators = st.one_of(
    text_operators(TEXTS), number_operators, shared_operators, st.sampled_from(NETWORKS).map(lambda n: {"cidr": n})
)


@cache
def clauses_of(operators: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(operators, min_size=1, max_size=2, unique_by=repr)


@cache
def distinct(count: int, *values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=count, max_size=count, unique=True)


# What a pattern may read, and with what. No path leads through another, so that no clause contradicts another.
EVENT_FIELDS: dict[Path, st.SearchStrategy[Any]] = {
    ("type",): st.sampled_from(EVENT_TYPES),
    ("event",): text_operators(EVENT_NAMES),
    ("name",): text_operators(TEXTS),
    ("properties", "path"): text_operators(TEXTS),
    ("properties", "value"): value_operators,
    ("properties", "minutes"): number_operators,
    ("properties", "ip"): st.sampled_from(NETWORKS).map(lambda n: {"cidr": n}),
    ("properties", "tags"): value_operators,
    ("properties", "items", "sku"): text_operators(TEXTS),
    ("properties", "items", "count"): value_operators,
    ("properties", "items", "parts", "kind"): value_operators,
    ("properties", "items", "parts", "size"): value_operators,
    ("context", "page", "path"): text_operators(TEXTS),
    ("userId",): st.sampled_from(["u1", {"exists": True}, {"exists": False}]),
    ("groupId",): st.sampled_from(["g1", "g2", {"exists": True}, {"exists": False}]),
}
TRAIT_FIELDS: dict[Path, st.SearchStrategy[Any]] = {
    ("title",): text_operators(TEXTS),
    ("email",): text_operators(TEXTS),
    ("seats",): number_operators,
    ("plan",): value_operators,
    ("company", "employees"): number_operators,
    ("company", "industry"): value_operators,
    ("teams", "role"): text_operators(TEXTS),
    ("teams", "size"): value_operators,
    ("account", "employees"): number_operators,
    ("account", "plan"): value_operators,
}


def nested(path: Path, value: Any) -> JsonObject:
    return {path[0]: value if len(path) == 1 else nested(path[1:], value)}


def joined(one: JsonObject, other: JsonObject) -> JsonObject:
    """Both documents in one; where both have an object the two are joined."""
    result = dict(one)
    for key, value in other.items():
        result[key] = joined(result[key], value) if isinstance(result.get(key), dict) else value
    return result


def kinds_with(paths: list[Path]) -> list[str]:
    """The types of event that can have all of the fields."""
    first = {path[0] for path in paths}
    if "event" in first:
        return ["track"]
    if "name" in first:
        return ["page", "screen"]
    return ["track", "page", "screen"] if "properties" in first else EVENT_TYPES


@st.composite
def patterns(draw: st.DrawFn, fields: dict[Path, st.SearchStrategy[Any]]) -> JsonObject:
    count = draw(pick(1, 1, 1, 1, 2, 2, 3))
    paths = list(draw(distinct(count, *sorted(fields))))
    if ("event",) in paths:
        # Only track events have `event`, and only page and screen events have `name`.
        paths = [path for path in paths if path != ("name",)]
    kinds = clauses_of(pick(*kinds_with(paths)))
    parts = [nested(path, draw(kinds if path == ("type",) else clauses_of(fields[path]))) for path in paths]
    if len(parts) > 1 and draw(sometimes):
        # The branches of an `$or` deeper than the root share the first key of their path.
        first = paths[0][0]
        if all(path[0] == first and len(path) > 1 for path in paths) and draw(st.booleans()):
            return {first: {"$or": [part[first] for part in parts]}}
        return joined({"$or": parts[:2]}, parts[2] if len(parts) > 2 else {})
    whole: JsonObject = {}
    for part in parts:
        whole = joined(whole, part)
    return whole


event_patterns = patterns(EVENT_FIELDS)
trait_patterns = patterns(TRAIT_FIELDS)

# ----------------------------------------------------------------------------------------------------- documents

GROUPS = ["fit", "engagement", "product", "usage"]
durations = st.sampled_from(DURATIONS)
all_points = st.one_of(st.integers(1, 30), st.integers(1, 30), st.integers(-30, -1), st.sampled_from([1000, -1000]))
positive_points = st.integers(1, 40)
caps = st.sampled_from([1, 5, 10, 12.5, 20, 40])


def maybe(draw: st.DrawFn, document: JsonObject, name: str, values: st.SearchStrategy[Any]) -> None:
    if draw(st.booleans()):
        document[name] = draw(values)


def add_threshold(draw: st.DrawFn, criterion: JsonObject) -> None:
    kind = draw(pick("default", "count", "days", "distinct", "sum"))
    criterion["at_least"] = draw(pick(1, 2, 2, 3, 4))
    if kind in {"distinct", "sum"}:
        path = "properties.minutes" if kind == "sum" else draw(pick("properties.feature", "name"))
        criterion["measure"] = {kind: path}
    elif kind != "default":
        criterion["measure"] = kind
    if kind == "days" and "within" in criterion:
        dates_in_window = 2 + (milliseconds(criterion["within"]) - 1) // UNITS["d"]
        criterion["at_least"] = min(criterion["at_least"], dates_in_window)
    if kind == "sum":
        criterion["at_least"] = draw(pick(0.3, 0.3, 1, 5, 5.5, 30, 600))
        maybe(draw, criterion, "limit", pick(1, 2, 3, 4, 5))


@st.composite
def criteria(draw: st.DrawFn, identifier: str, points: st.SearchStrategy[int] = all_points) -> JsonObject:
    kind = draw(pick("event", "event", "event", "threshold", "threshold", "traits", "traits", "both"))
    criterion: JsonObject = {"id": identifier, "group": draw(pick(*GROUPS)), "points": draw(points)}
    if kind != "traits":
        criterion["event"] = draw(event_patterns)
        maybe(draw, criterion, "within", durations)
        if draw(mostly):
            criterion["half_life"] = draw(pick("none", *DURATIONS))
    if kind in {"traits", "both"}:
        criterion["traits"] = draw(trait_patterns)
    if kind == "threshold":
        add_threshold(draw, criterion)
    elif kind != "traits":
        maybe(draw, criterion, "limit", pick(1, 2, 3, 4))
    if draw(sometimes):
        criterion["max"] = draw(caps)
    return criterion


@st.composite
def gates(draw: st.DrawFn, identifier: str) -> JsonObject:
    """A criterion that disqualifies."""
    gate: JsonObject = {"id": identifier, "disqualify": True}
    kind = draw(pick("event", "threshold", "traits", "both"))
    if kind != "traits":
        gate["event"] = draw(event_patterns)
        maybe(draw, gate, "within", durations)
    if kind in {"traits", "both"}:
        gate["traits"] = draw(trait_patterns)
    if kind == "threshold":
        add_threshold(draw, gate)
        gate.pop("limit", None)
    return gate


def span(document: JsonObject) -> tuple[float, float]:
    """The smallest and the largest total that the criteria can reach."""
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    for criterion in document["criteria"]:
        if "points" in criterion:
            copies = criterion.get("limit", 1) if "at_least" not in criterion else 1
            most = min(abs(criterion["points"]) * copies, criterion.get("max", float("inf")))
            side = highs if criterion["points"] > 0 else lows
            side[criterion["group"]] = side.get(criterion["group"], 0.0) + most
    low = -sum(min(v, -document["groups"].get(g, {}).get("min", -float("inf"))) for g, v in lows.items())
    high = sum(min(v, document["groups"].get(g, {}).get("max", float("inf"))) for g, v in highs.items())
    bounds = document.get("total", {})
    return max(low, bounds.get("min", 0)), min(high, bounds.get("max", 100))


@st.composite
def tiers(draw: st.DrawFn, low: float, high: float, points: list[int]) -> list[JsonObject]:
    """One to three bounds that the total can cross, often at the very points of a criterion or two."""
    sums = [float(p) for p in points] + [float(sum(points[:n])) for n in range(2, len(points) + 1)]
    steps = [low + (high - low) * n / 8 for n in range(1, 9)]
    reachable = sorted({bound for bound in [*sums, *steps] if low < bound <= high})
    bounds = sorted(draw(st.lists(st.sampled_from(reachable), min_size=1, max_size=3, unique=True)), reverse=True)
    names = ["hot", "warm", "mild"]
    return [*({"name": name, "from": bound} for name, bound in zip(names, bounds, strict=False)), {"name": "cold"}]


@st.composite
def documents(draw: st.DrawFn, points: st.SearchStrategy[int] = all_points) -> JsonObject:
    count = draw(pick(1, 2, 3, 4))
    first = draw(criteria("c0", positive_points))
    rest = [draw(criteria(f"c{n}", points)) for n in range(1, count)]
    scored = draw(st.permutations([first, *rest]))
    gated = [draw(gates(f"gate{n}")) for n in range(draw(pick(0, 0, 0, 0, 1, 2)))]
    document: JsonObject = {"criteria": [*scored, *gated], "groups": {}}
    for name in GROUPS:
        group: JsonObject = {}
        if draw(sometimes):
            group["max"] = draw(caps)
        if draw(rarely):
            group["min"] = -draw(caps)
        if draw(sometimes):
            group["half_life"] = draw(durations)
        if any(name == criterion["group"] for criterion in scored) and (group or name == "usage"):
            document["groups"][name] = group
    if draw(sometimes):
        document["total"] = {
            "min": draw(pick(0, -10, -50.5)),
            "max": draw(pick(30, 62.5, 2000)),
        }
    low, high = span(document)
    document["tiers"] = draw(tiers(low, high, [c["points"] for c in scored]))
    maybe(draw, document, "goal", event_patterns)
    if draw(sometimes):
        document["alerts"] = {"tier": document["tiers"][0]["name"], "always": draw(distinct(2, *EVENT_NAMES))}
    return document


# -------------------------------------------------------------------------------------------------------- events


def sometimes_listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        values, values, values, st.lists(values, max_size=2), st.lists(st.lists(values, max_size=2), max_size=2)
    )


parts = st.fixed_dictionaries({}, optional={"kind": scalars, "size": scalars})
items = st.fixed_dictionaries(
    {}, optional={"sku": texts, "count": scalars, "parts": st.one_of(parts, st.lists(parts, max_size=2))}
)
minutes = st.sampled_from([0.1, 0.1, 0.2, 1, 5, 5.5, 100, 300, 0, -5, True, "5", None, [5], 2**53 + 1])
features = st.sampled_from(["a", "b", "c", "d", "a" * 70, "a" * 71, 1, 1.0, True, [1], {"deep": 1}, ""])
measurable = st.fixed_dictionaries({}, optional={"minutes": minutes, "feature": features})
properties = st.fixed_dictionaries(
    {},
    optional={
        "path": texts,
        "value": sometimes_listed(scalars),
        "minutes": minutes,
        "feature": features,
        "ip": st.sampled_from(ADDRESSES),
        "tags": st.lists(scalars, max_size=3),
        "items": st.one_of(items, st.lists(items, max_size=3), st.lists(st.lists(items, max_size=2), max_size=2)),
    },
)
company = st.one_of(st.none(), st.fixed_dictionaries({}, optional={"employees": numbers, "industry": scalars}))
teams = st.fixed_dictionaries({}, optional={"role": texts, "size": scalars})
lead_traits = st.fixed_dictionaries(
    {},
    optional={
        "title": sometimes_listed(texts),
        "email": texts,
        "seats": st.one_of(numbers, st.none()),
        "plan": st.one_of(scalars, st.sampled_from(["x" * 2046, "x" * 2047, "é" * 1024])),
        "company": company,
        "teams": st.one_of(teams, st.lists(teams, max_size=2)),
        "account": st.sampled_from([{"plan": "ceo", "employees": 300}, "ceo"]),
        "unread": texts,
    },
)
account_traits = st.fixed_dictionaries(
    {}, optional={"employees": st.one_of(numbers, st.none()), "plan": sometimes_listed(scalars), "unread": texts}
)


@st.composite
def contents(draw: st.DrawFn) -> JsonObject:
    """Everything of an event but its id and its time."""
    kind = draw(pick("track", "track", "track", "page", "identify", "identify", "group", "screen", "alias"))
    event: JsonObject = {"type": kind, draw(pick("userId", "anonymousId")): "u1"}
    if kind == "track":
        event["event"] = draw(pick(*EVENT_NAMES))
    if kind in {"page", "screen"}:
        maybe(draw, event, "name", texts)
    if kind == "identify":
        event["traits"] = draw(lead_traits)
    if kind == "group":
        event |= {"groupId": draw(pick("g1", "g2")), "traits": draw(account_traits)}
    if kind == "alias":
        event["previousId"] = "u0"
    if kind in {"track", "page", "screen"}:
        event["properties"] = draw(properties)
        if draw(rarely):
            event["context"] = {"page": {"path": draw(texts)}}
    return event


def durations_in(document: JsonObject) -> list[int]:
    """Every window and half-life of the document: what makes a distance in time interesting."""
    places = [*document["criteria"], *document["groups"].values()]
    found = {place[key] for place in places for key in ("within", "half_life") if place.get(key, "none") != "none"}
    return sorted(milliseconds(text) for text in found)


def steps(document: JsonObject) -> st.SearchStrategy[int]:
    """From one event to the next."""
    short = st.sampled_from([0, 0, 1, 999, 60_000])
    return st.one_of(short, short, distances(document))


def distances(document: JsonObject) -> st.SearchStrategy[int]:
    """About as long as one of the document's windows or half-lives, to the millisecond, or a part of it."""
    lengths = durations_in(document)
    edges = [length + delta for length in lengths for delta in (-1, 0, 1)]
    shares = [length * n // 7 for length in lengths for n in (1, 2, 3, 10)]
    return st.sampled_from([0, 1, 86_400_000, *edges, *shares, *shares])


ALPHABET: list[Any] = [
    *TEXTS,
    *NUMBERS,
    None,
    True,
    False,
    *LARGE_NUMBERS,
    *ADDRESSES,
    *EVENT_NAMES,
    *EVENT_TYPES,
    "g1",
    "g2",
    "u1",
]


def every_operator() -> list[Any]:
    """Each operator with each argument that the alphabet suggests, the parts of its texts included."""
    filled = [text for text in TEXTS if text]
    heads = sorted({text[:end] for text in filled for end in (1, 2, len(text) - 1, len(text)) if text[:end]})
    tails = sorted({text[-size:] for text in filled for size in (1, 2, len(text) - 1, len(text)) if size})
    stars = ["*", "*/*", "/*", "*g", "/p*g*", "*e*o", "a\\**b", "*\\\\*", "VP *", "*ales", "é*", "*cole"]
    texts_of: list[Any] = [
        *({"prefix": head} for head in heads),
        *({"suffix": tail} for tail in tails),
        *({"equals-ignore-case": text.swapcase()} for text in filled),
        *({"wildcard": star} for star in stars),
    ]
    folded = [{"prefix": {"equals-ignore-case": head.swapcase()}} for head in heads]
    folded += [{"suffix": {"equals-ignore-case": tail.swapcase()}} for tail in tails]
    excluded = [*TEXTS, ["ceo", "CEO"], *texts_of, *NUMBERS, [5, 300], {"prefix": ["/", "c"]}, {"suffix": ["o", "g"]}]
    exact = [*TEXTS, *NUMBERS, *LARGE_NUMBERS, None, True, False, *ADDRESSES]
    others = [{"cidr": network} for network in NETWORKS] + [{"exists": True}, {"exists": False}]
    return [*exact, *texts_of, *folded, *RANGES, *({"anything-but": one} for one in excluded), *others]


@st.composite
def satisfying(draw: st.DrawFn, pattern: JsonObject) -> JsonObject:
    """A document with a value for every clause of one way to satisfy the pattern, or nearly so."""
    found: JsonObject = {}
    for path, alternatives in draw(st.sampled_from(oracle.conjunctions(pattern))):
        values = [v for v in ALPHABET if any(oracle.value_matches(a, v) for a in alternatives)]
        nearly = draw(rarely)
        if values and nearly:
            # As likely as not a near miss: on the wrong side of a bound, or the other case.
            values = [v for v in ALPHABET if type(v) is type(values[0])]
        if values and (oracle.ABSENT not in alternatives or draw(st.booleans())):
            value = draw(pick(*values))
            shape = draw(pick("alone", "alone", "in a list", "among others"))
            listed = [draw(scalars), value] if shape == "among others" else [value]
            found = joined(found, nested(path, value if shape == "alone" else listed))
    return found


@st.composite
def matching_event(draw: st.DrawFn, pattern: JsonObject) -> JsonObject:
    """An event that satisfies an event pattern, with what every event of its type has."""
    found = draw(satisfying(pattern))
    event = {"type": draw(pick(*kinds_with([(key,) for key in found]))), **found}
    for name in ("type", "event", "name", "userId", "groupId"):
        if isinstance(event.get(name), list):
            event[name] = event[name][-1]
    # An id is a text that is not empty.
    event |= {
        name: "u1" if name == "userId" else "g1" for name in ("userId", "groupId") if event.get(name, "g1") not in IDS
    }
    if event["type"] == "group":
        return {"groupId": "g1", "traits": draw(account_traits), **event}
    if event["type"] == "identify":
        return {"traits": draw(lead_traits), **event}
    if event["type"] == "alias":
        return {"previousId": "u0", **event}
    event["properties"] = {**draw(measurable), **event.get("properties", {})}
    return {"event": "Feature Used", **event} if event["type"] == "track" else event


@st.composite
def matching_traits(draw: st.DrawFn, pattern: JsonObject) -> JsonObject:
    """An event with traits that satisfy the part of a trait pattern that one event can."""
    traits = draw(satisfying(pattern))
    of_account = "account" in traits
    account = traits.get("account", traits) if isinstance(traits.get("account", traits), dict) else {}
    if draw(rarely):
        # The traits of the one said of the other: they must not count.
        of_account = not of_account
    if not of_account:
        return {"type": "identify", "userId": "u1", "traits": account if "account" in traits else traits}
    return {"type": "group", "userId": "u1", "groupId": draw(pick("g1", "g1", "g2")), "traits": account}


@st.composite
def contents_for(draw: st.DrawFn, document: JsonObject) -> list[JsonObject]:
    """Something for every pattern of the document, and something that may be for none."""
    found = [draw(contents())]
    for criterion in document["criteria"]:
        if "event" in criterion:
            found.append(draw(matching_event(criterion["event"])))
        if "traits" in criterion:
            found.append(draw(matching_traits(criterion["traits"])))
            if draw(sometimes):
                found.append({**found[-1], "traits": dict.fromkeys(found[-1]["traits"])})
    if "goal" in document:
        found.append(draw(matching_event(document["goal"])))
    return found


def sizes(largest: int) -> list[int]:
    """Sizes with the dull one, none, away from the ends, which Hypothesis draws more often than the rest."""
    return [*range(2, largest + 1), 0, 1, *range(largest // 2, largest + 1)]


@st.composite
def event_sets(draw: st.DrawFn, document: JsonObject, start: int, max_size: int = 10) -> list[JsonObject]:
    """Distinct events; the ids' order has nothing to do with the times'."""
    available = draw(contents_for(document))
    happenings = st.tuples(steps(document), st.sampled_from(available), st.one_of(st.none(), measurable))
    happened = [draw(happenings) for _ in range(draw(pick(*sizes(max_size))))]
    identifiers = draw(st.permutations([f"m{n}" for n in range(len(happened))]))
    events: list[JsonObject] = []
    time = start
    for identifier, (pause, body, measured) in zip(identifiers, happened, strict=True):
        time += pause
        event = {"messageId": identifier, "timestamp": to_text(time), **body}
        if measured is not None and "properties" in event:
            event["properties"] = {**event["properties"], **measured}
        events.append(event)
    return events


@st.composite
def cases(
    draw: st.DrawFn, points: st.SearchStrategy[int] = all_points, *, past: bool = True, max_size: int = 10
) -> Case:
    """A case; with `past` the instant may lie before some of the events."""
    document = draw(documents(points))
    start = to_millis(draw(pick(*STARTS)))
    events = draw(event_sets(document, start, max_size))
    times = sorted(to_millis(datetime.fromisoformat(e["timestamp"])) for e in events) or [start]
    anchor = draw(st.sampled_from(times)) if past and draw(sometimes) else times[-1]
    at = to_datetime(anchor + draw(distances(document)))
    if draw(hardly_ever):
        at = draw(pick(LAST_INSTANT, LAST_INSTANT - timedelta(days=1)))
    return Case(document, events, at)


@st.composite
def fading_cases(draw: st.DrawFn) -> Case:
    """Criteria that all count, of either sign, at different paces: the total may rise and fall more than once."""
    names = EVENT_NAMES[: draw(pick(1, 2, 3, 4))]
    scored: list[JsonObject] = []
    for number, name in enumerate(names):
        points = draw(positive_points if number == 0 else all_points)
        criterion = {"id": f"c{number}", "group": draw(pick("engagement", "product")), "points": points}
        criterion |= {"event": {"event": [name]}, "half_life": draw(pick("none", *DURATIONS))}
        if draw(sometimes):
            criterion["within"] = draw(durations)
        if draw(sometimes):
            criterion["limit"] = draw(pick(2, 3, 4))
        if draw(sometimes):
            criterion["max"] = draw(caps)
        scored.append(criterion)
    document: JsonObject = {"criteria": scored, "groups": {}}
    if draw(rarely):
        document["groups"][scored[0]["group"]] = {"max": draw(caps)}
    low, high = span(document)
    document["tiers"] = draw(tiers(low, high, [c["points"] for c in scored]))
    time = to_millis(draw(pick(*STARTS)))
    events = []
    for number, name in enumerate([*names, *draw(st.lists(st.sampled_from(names), max_size=4))]):
        time += draw(steps(document))
        events.append({"messageId": f"m{number}", "timestamp": to_text(time), "type": "track", "event": name})
    return Case(document, events, to_datetime(time + draw(st.one_of(st.just(0), distances(document)))))


@st.composite
def threshold_cases(draw: st.DrawFn) -> Case:
    """Thresholds, limits and gates over events that are all theirs, around midnight and the edges of windows."""
    scored: list[JsonObject] = []
    for number in range(draw(pick(1, 2, 3))):
        criterion: JsonObject = {"id": f"c{number}", "group": "product", "points": draw(positive_points)}
        criterion["event"] = {"event": ["Feature Used"]}
        if draw(mostly):
            criterion["within"] = draw(durations)
        maybe(draw, criterion, "half_life", durations)
        if draw(mostly):
            add_threshold(draw, criterion)
        else:
            criterion["limit"] = draw(pick(2, 3, 4))
        if number > 0 and draw(st.booleans()):
            criterion = {key: criterion[key] for key in criterion if key not in {"points", "half_life", "limit"}}
            criterion["disqualify"] = True
        scored.append(criterion)
    document: JsonObject = {"criteria": scored, "groups": {}}
    low, high = span(document)
    document["tiers"] = draw(tiers(low, high, [scored[0]["points"]]))
    pauses = st.one_of(pick(0, 1, 999), distances(document), pick(UNITS["d"] - 1, UNITS["d"], UNITS["d"] + 1))
    used = st.fixed_dictionaries(
        {"minutes": st.sampled_from([0.1, 0.2, 1, 5, True]), "feature": pick("a", "b", "c", 1, 1.0)}
    )
    time = to_millis(draw(pick(*STARTS)))
    events: list[JsonObject] = []
    for number in range(draw(pick(2, 3, 4, 5, 6, 8))):
        time += draw(pauses)
        body = {"type": "track", "event": "Feature Used", "properties": draw(st.one_of(used, used, measurable))}
        events.append({"messageId": f"m{number}", "timestamp": to_text(time), **body})
    anchor = oracle.instant(draw(st.sampled_from(events))["timestamp"])
    return Case(document, events, to_datetime(anchor + draw(st.one_of(st.just(0), distances(document)))))


@st.composite
def excursion_cases(draw: st.DrawFn) -> Case:
    """Points of both signs that fade at different paces: the total leaves a tier for a while and comes back to it."""
    count = draw(pick(2, 2, 3, 4))
    halvings = draw(distinct(count, *DURATIONS))
    scored: list[JsonObject] = []
    for number, (name, half_life) in enumerate(zip(EVENT_NAMES, halvings, strict=False)):
        size = draw(positive_points)
        points = size if number == 0 else -size if number == 1 else draw(pick(size, -size))
        criterion = {"id": f"c{number}", "points": points, "half_life": half_life, "event": {"event": [name]}}
        criterion["group"] = draw(pick("engagement", "engagement", "product"))
        if draw(sometimes):
            criterion["within"] = draw(durations)
        if draw(sometimes):
            criterion["max"] = draw(caps)
        scored.append(criterion)
    groups = {scored[0]["group"]: {"max": draw(caps)}} if draw(rarely) else {}
    document: JsonObject = {"criteria": scored, "groups": groups, "total": {"min": -1000, "max": 1000}}
    low, high = span(document)
    bounds = draw(distinct(2, *(n / 32 for n in range(1, 32))))
    places = sorted((round(low + (high - low) * share, 3) for share in bounds), reverse=True)
    names = ["hot", "warm"]
    tiers_of = [{"name": name, "from": bound} for name, bound in zip(names, places, strict=True)]
    document["tiers"] = [*tiers_of, {"name": "cold"}]
    start = to_millis(STARTS[0])
    events = [
        {
            "messageId": f"m{number}",
            "timestamp": to_text(start + draw(pick(0, 0, 999, 60_000))),
            "type": "track",
            "event": name,
        }
        for number, name in enumerate(EVENT_NAMES[:count])
    ]
    return Case(document, events, to_datetime(start + draw(pick(60_000, 60_001, 3_600_000))))
