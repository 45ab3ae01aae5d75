"""The compiled matchers against two others: the naive oracle everywhere, and moto where moto is right.

Patterns and events are drawn from few names and values, so that most tests are close to matching, objects stand where
values are expected and the other way round, and arrays nest. Where moto's answer differs from EventBridge's
documentation the case is recorded here, with the page that decides in PATTERNS.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from moto.events.models import EventPattern

from leadscore.bulk import BulkMatcher
from leadscore.core.matcher import Matcher, chosen
from leadscore.core.patterns import Pattern, Problem, parse_pattern
from tests.property.oracle import pattern_holds

Json = dict[str, Any]

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.sampled_from(["", "x", "y", "xy", "XY", "yx", "xyx", "x*y", "xzy", "10.0.0.7", "10.0.1.7", "::7"])
NUMBERS = st.sampled_from([-1, 0, 0.0, 1, 1.0, 1.5, 2, 300, 3e2, 2**53, 2**53 + 1, -(2**63) - 1, 1e308])
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
EDGES = st.sampled_from(["x", "y", "xy", "10.", ".7"])


def one_or_more[T](values: st.SearchStrategy[T]) -> st.SearchStrategy[T | list[T]]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


WILDCARDS = st.sampled_from(["*", "x*", "*y", "x*y", "*x*", "*y*x", "x\\*y", "*x*y*", "xy", "10.*.7"])
RANGES = st.one_of(
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS).map(list),
    st.tuples(st.sampled_from([">", ">="]), NUMBERS, st.sampled_from(["<", "<="]), NUMBERS)
    .filter(lambda r: r[1] < r[3])
    .map(list),
)
BUTS = st.one_of(
    one_or_more(TEXTS),
    one_or_more(NUMBERS),
    st.fixed_dictionaries({"prefix": one_or_more(EDGES)}),
    st.fixed_dictionaries({"suffix": one_or_more(EDGES)}),
    st.fixed_dictionaries({"equals-ignore-case": one_or_more(EDGES)}),
    st.fixed_dictionaries({"wildcard": one_or_more(WILDCARDS)}),
)
EDGE_TESTS = st.one_of(TEXTS, st.fixed_dictionaries({"equals-ignore-case": TEXTS}))
PLAIN_OPERATORS = st.one_of(
    st.fixed_dictionaries({"prefix": EDGE_TESTS}),
    st.fixed_dictionaries({"suffix": EDGE_TESTS}),
    st.fixed_dictionaries({"equals-ignore-case": TEXTS}),
    st.fixed_dictionaries({"wildcard": WILDCARDS}),
    st.fixed_dictionaries({"anything-but": BUTS}),
    st.fixed_dictionaries({"numeric": RANGES}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
NETWORKS = st.fixed_dictionaries({"cidr": st.sampled_from(["10.0.0.0/24", "10.0.0.0/8", "::/120", "0.0.0.0/0"])})
PLAIN_TESTS = st.one_of(TEXTS, NUMBERS, st.none(), PLAIN_OPERATORS, PLAIN_OPERATORS)
TESTS = st.one_of(PLAIN_TESTS, st.booleans(), NETWORKS)


def patterns(*, depth: int, tests: st.SearchStrategy[Any] = TESTS) -> st.SearchStrategy[Json]:
    alternatives = st.lists(tests, min_size=1, max_size=3)
    below = st.one_of(alternatives, patterns(depth=depth - 1, tests=tests)) if depth else alternatives
    fields = st.dictionaries(NAMES, below, min_size=1, max_size=3)
    if not depth:
        return fields
    branches = st.lists(patterns(depth=depth - 1, tests=tests), min_size=2, max_size=3)
    with_or = st.builds(lambda or_, more: {"$or": or_, **more}, branches, st.dictionaries(NAMES, below, max_size=2))
    return st.one_of(fields, fields, with_or)


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=9,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=3)


def moto_matches(document: Json, event: Json) -> bool:
    return EventPattern(None, document).matches_event(event)  # type: ignore[arg-type]


def parse(document: object) -> Pattern | None:
    problems: list[Problem] = []
    pattern = parse_pattern(document, "event", problems)
    assert (pattern is None) == bool(problems)
    return pattern


@given(st.lists(patterns(depth=2), min_size=1, max_size=6), st.lists(EVENTS, min_size=1, max_size=5))
@example([{"a": [{"exists": False}], "b": [1]}], [{"a": [], "b": True}, {"a": {}, "b": 1}])
@example([{"a": {"b": ["x"], "c": [{"exists": False}]}}], [{"a": [{"b": "x", "c": 1}, {"b": "x"}]}])
@example([{"a": {"b": ["x"], "c": ["y"]}}], [{"a": [{"b": "x"}, {"c": "y"}]}, {"a": [[{"b": "x", "c": "y"}]]}])
@example([{"$or": [{"a": ["x"]}, {"a": {"b": ["y"]}}], "a": {"c": [1]}}], [{"a": ["x", {"b": "y"}, {"c": 1}]}])
@example([{"a": [{"anything-but": "x"}, {"anything-but": {"prefix": "x"}}]}], [{"a": "x"}, {"a": "xy"}, {"a": 1}])
def test_the_compiled_matchers_agree_with_the_oracle(documents: list[Json], events: list[Json]) -> None:
    pairs = [(document, pattern) for document in documents if (pattern := parse(document)) is not None]
    parsed = [pattern for _, pattern in pairs]
    matcher, bulk = Matcher(parsed), BulkMatcher(parsed)
    for event in events * 2:
        expected = [document for document, _ in pairs if pattern_holds(document, event)]
        answer = matcher.match_bits(event)
        assert list(chosen([document for document, _ in pairs], answer)) == expected
        assert bulk.match_bits(json.dumps(event)) == answer


@given(patterns(depth=2), EVENTS)
def test_a_pattern_that_is_refused_as_impossible_matches_nothing(document: Json, event: Json) -> None:
    """Of several branches or values one that is impossible is refused too, although the others could match."""
    if parse(document) is None and not offers_a_choice(document):
        assert not pattern_holds(document, event)


def test_an_or_whose_every_branch_contradicts_its_sibling_is_refused_and_matches_nothing() -> None:
    document: Json = {"a": [{"exists": False}], "$or": [{"a": ["x"]}, {"a": ["y"]}]}
    assert parse(document) is None
    assert not pattern_holds(document, {"a": ["x", "y"]})


def offers_a_choice(document: object) -> bool:
    if isinstance(document, list):
        return len(document) > 1 or any(offers_a_choice(one) for one in document)
    return isinstance(document, dict) and ("$or" in document or any(offers_a_choice(one) for one in document.values()))


@given(patterns(depth=2), EVENTS)
def test_the_answer_survives_a_round_trip_of_pattern_and_event_through_json(document: Json, event: Json) -> None:
    pattern = parse(document)
    if pattern is not None:
        again = parse(json.loads(json.dumps(document)))
        assert again == pattern
        copied = json.loads(json.dumps(event))
        assert Matcher([pattern]).match_bits(event) == Matcher([pattern]).match_bits(copied)


# Where moto is right: no booleans (to it, true is 1), no networks, no objects in arrays, nothing empty.
PLAIN = st.one_of(TEXTS, st.integers(-3, 3), st.none())
PLAIN_EVENTS = st.dictionaries(
    NAMES, st.one_of(PLAIN, st.lists(PLAIN, min_size=1, max_size=3), st.fixed_dictionaries({"b": PLAIN})), max_size=3
)


@given(patterns(depth=1, tests=PLAIN_TESTS), PLAIN_EVENTS)
def test_the_compiled_matcher_agrees_with_moto_where_moto_is_right(document: Json, event: Json) -> None:
    pattern = parse(document)
    if pattern is not None:
        assert bool(Matcher([pattern]).match_bits(event)) == moto_matches(document, event)


@pytest.mark.parametrize(
    ("document", "event", "ours"),
    [
        pytest.param({"a": {"b": ["x"]}}, {"a": [{"b": "x"}]}, True, id="objects-in-arrays-are-looked-into"),
        pytest.param({"a": ["x"]}, {"a": [["x"]]}, True, id="nested-arrays-are-looked-into"),
        pytest.param({"a": [1]}, {"a": True}, False, id="true-is-not-one"),
        pytest.param({"a": [False]}, {"a": 0}, False, id="zero-is-not-false"),
        pytest.param({"a": [{"numeric": [">=", 0]}]}, {"a": True}, False, id="a-boolean-is-no-number"),
        pytest.param({"a": [{"anything-but": 1}]}, {"a": True}, True, id="true-is-something-but-one"),
        pytest.param({"a": [{"exists": True}]}, {"a": {}}, False, id="an-empty-object-is-no-leaf"),
        pytest.param({"a": [{"exists": True}]}, {"a": []}, False, id="an-empty-array-is-absent"),
        pytest.param({"a": [{"exists": False}]}, {"a": []}, True, id="an-empty-array-is-absent-again"),
        pytest.param({"a.b": ["x"]}, {"a": {"b": "x"}}, False, id="a-dot-in-a-name-is-no-step"),
        pytest.param({"a": [{"wildcard": "x*y"}]}, {"a": "x\ny"}, True, id="a-star-spans-lines"),
        pytest.param(
            {"a": [{"anything-but": {"wildcard": "x*y"}}]}, {"a": "x\ny"}, False, id="a-star-spans-lines-again"
        ),
        pytest.param({"a": [{"cidr": "0.0.0.0/8"}]}, {"a": 7}, False, id="a-number-is-no-address"),
        pytest.param({"a": [{"cidr": "10.0.0.9/24"}]}, {"a": "10.0.0.7"}, True, id="a-network-may-have-host-bits"),
        pytest.param({"a": [{"equals-ignore-case": "STRASSE"}]}, {"a": "straße"}, True, id="case-folding-is-unicode"),
        pytest.param({"a": [2.0**53]}, {"a": 2**53 + 1}, True, id="numbers-compare-as-doubles"),
    ],
)
def test_each_recorded_difference_from_moto(document: Json, event: Json, ours: bool) -> None:
    pattern = parse(document)
    assert pattern is not None
    assert bool(Matcher([pattern]).match_bits(event)) is ours
    assert moto_matches(document, event) is not ours
