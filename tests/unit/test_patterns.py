"""What the pattern parser takes, what it refuses and how it says so."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from leadscore.core.patterns import (
    MAX_COMBINATIONS,
    MAX_DEPTH,
    MAX_STARS,
    AnythingBut,
    Cidr,
    Clause,
    Flag,
    Folded,
    Null,
    Number,
    Pattern,
    Prefix,
    Present,
    Problem,
    Range,
    Suffix,
    Test,
    Text,
    Wildcard,
    parse_pattern,
)


def parse(document: object) -> Pattern:
    problems: list[Problem] = []
    pattern = parse_pattern(document, "event", problems)
    assert problems == []
    assert pattern is not None
    return pattern


def problems_of(document: object) -> list[Problem]:
    problems: list[Problem] = []
    assert parse_pattern(document, "event", problems) is None
    assert problems
    return problems


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {"leaf": [1]}
    for _ in range(depth - 1):
        document = {"a": document}
    return document


@pytest.mark.parametrize(
    ("alternative", "test"),
    [
        ("page", Text("page")),
        ("", Text("")),
        (300, Number(300.0)),
        (3e2, Number(300.0)),
        (-0.0, Number(0.0)),
        (True, Flag(value=True)),
        (None, Null()),
        ({"prefix": "/pri"}, Prefix("/pri")),
        ({"prefix": {"equals-ignore-case": "PRI"}}, Prefix("pri", folded=True)),
        ({"suffix": ".pdf"}, Suffix(".pdf")),
        ({"suffix": {"equals-ignore-case": ".PDF"}}, Suffix(".pdf", folded=True)),
        ({"equals-ignore-case": "Straße"}, Folded("strasse")),
        ({"wildcard": "*VP*"}, Wildcard(("", "VP", ""))),
        ({"wildcard": r"a\*b*\\"}, Wildcard(("a*b", "\\"))),
        ({"wildcard": r"no \* star"}, Text("no * star")),
        ({"exists": True}, Present()),
        ({"cidr": "10.0.0.9/24"}, Cidr(4, 10 << 24, (10 << 24) + 255)),
        ({"cidr": "::/127"}, Cidr(6, 0, 1)),
        ({"numeric": ["=", 5]}, Number(5.0)),
        ({"numeric": ["<", 5]}, Range(-inf, 5.0, high_open=True)),
        ({"numeric": ["<=", 5]}, Range(-inf, 5.0)),
        ({"numeric": [">", 5]}, Range(5.0, inf, low_open=True)),
        ({"numeric": [">=", 5]}, Range(5.0, inf)),
        ({"numeric": [">", 0, "<=", 5]}, Range(0.0, 5.0, low_open=True)),
        ({"numeric": [">=", 5, "<=", 5]}, Range(5.0, 5.0)),
        ({"anything-but": "a"}, AnythingBut((Text("a"),))),
        ({"anything-but": 5}, AnythingBut((Number(5.0),))),
        ({"anything-but": ["a", "b", "a"]}, AnythingBut((Text("a"), Text("b")))),
        ({"anything-but": [1, 1.0, 2]}, AnythingBut((Number(1.0), Number(2.0)))),
        ({"anything-but": {"prefix": "a"}}, AnythingBut((Prefix("a"),))),
        ({"anything-but": {"suffix": ["a", "b"]}}, AnythingBut((Suffix("a"), Suffix("b")))),
        ({"anything-but": {"equals-ignore-case": ["A", "a"]}}, AnythingBut((Folded("a"),))),
        ({"anything-but": {"equals-ignore-case": ""}}, AnythingBut((Folded(""),))),
        ({"anything-but": {"wildcard": "a*"}}, AnythingBut((Wildcard(("a", "")),))),
    ],
)
def test_each_alternative_becomes_its_test(alternative: object, test: Test) -> None:
    assert parse({"f": [alternative]}).conjunctions == ((Clause(("f",), (test,)),),)


def test_exists_false_lets_the_field_be_absent_beside_other_alternatives() -> None:
    assert parse({"f": [{"exists": False}]}).conjunctions == ((Clause(("f",), (), absent=True),),)
    assert parse({"f": ["x", {"exists": False}]}).conjunctions == ((Clause(("f",), (Text("x"),), absent=True),),)


def test_one_and_true_stay_different_alternatives() -> None:
    [[clause]] = parse({"f": [1, True, 1.0]}).conjunctions
    assert clause.tests == (Number(1.0), Flag(value=True))


def test_or_is_multiplied_out_with_its_neighbours_at_every_level() -> None:
    document = {"a": ["1"], "$or": [{"b": ["2"]}, {"c": ["3"], "d": ["4"]}], "e": {"$or": [{"f": ["5"]}, {"g": ["6"]}]}}
    paths = [["".join(clause.path) for clause in conjunction] for conjunction in parse(document).conjunctions]
    assert paths == [["a", "b", "ef"], ["a", "b", "eg"], ["a", "c", "d", "ef"], ["a", "c", "d", "eg"]]


def test_paths_name_each_leaf_that_is_read_once() -> None:
    document = {"b": {"c": ["x"]}, "$or": [{"a": ["y"]}, {"b": {"c": ["z"]}}]}
    assert parse(document).paths == (("b", "c"), ("a",))


def test_patterns_are_equal_when_their_documents_are() -> None:
    one, other = parse({"a": ["x"], "b": [1]}), parse({"b": [1], "a": ["x"]})
    assert one == other
    assert hash(one) == hash(other)
    assert one.document == {"a": ["x"], "b": [1]}
    assert one != parse({"a": ["x"], "b": [2]})


@pytest.mark.parametrize(
    ("document", "path", "value", "words"),
    [
        ([], "event", [], "object of fields"),
        ("page", "event", "page", "object of fields"),
        (None, "event", None, "object of fields"),
        ({}, "event", {}, "empty object"),
        ({"f": {}}, "event.f", {}, "empty object"),
        ({"f": []}, "event.f", [], "empty list"),
        ({"f": "x"}, "event.f", "x", "needs a list"),
        ({"f": {"prefix": "/x"}}, "event.f.prefix", "/x", "needs a list"),
        ({1: ["x"]}, "event.1", 1, "name is a text"),
        ({"f": [["x"]]}, "event.f[0]", ["x"], "a value is"),
        ({"f": ["x", nan]}, "event.f[1]", nan, "a double can hold"),
        ({"f": [10**400]}, "event.f[0]", 10**400, "a double can hold"),
        ({"f": [{}]}, "event.f[0]", {}, "exactly one key"),
        ({"f": [{"prefix": "a", "suffix": "b"}]}, "event.f[0]", {"prefix": "a", "suffix": "b"}, "exactly one key"),
        ({"f": [{"contains": "a"}]}, "event.f[0].contains", "a", "unknown operator"),
        ({"f": [{1: "a"}]}, "event.f[0].1", "a", "unknown operator"),
        ({"f": [{"prefix": 5}]}, "event.f[0].prefix", 5, "must be a text"),
        ({"f": [{"prefix": ["a"]}]}, "event.f[0].prefix", ["a"], "must be a text"),
        ({"f": [{"suffix": {"wildcard": "a"}}]}, "event.f[0].suffix", {"wildcard": "a"}, "equals-ignore-case"),
        ({"f": [{"suffix": {"equals-ignore-case": 5}}]}, "event.f[0].suffix.equals-ignore-case", 5, "must be a text"),
        ({"f": [{"equals-ignore-case": ["a"]}]}, "event.f[0].equals-ignore-case", ["a"], "must be a text"),
        ({"f": [{"wildcard": 5}]}, "event.f[0].wildcard", 5, "must be a text"),
        ({"f": [{"wildcard": "a**b"}]}, "event.f[0].wildcard", "a**b", "two stars"),
        ({"f": [{"wildcard": "a\\b"}]}, "event.f[0].wildcard", "a\\b", "backslash"),
        ({"f": [{"wildcard": "a\\"}]}, "event.f[0].wildcard", "a\\", "backslash"),
        ({"f": [{"wildcard": "a*" * 11}]}, "event.f[0].wildcard", "a*" * 11, f"more than {MAX_STARS} stars"),
        ({"f": [{"exists": "yes"}]}, "event.f[0].exists", "yes", "true or false"),
        ({"f": [{"exists": 0}]}, "event.f[0].exists", 0, "true or false"),
        ({"f": [{"cidr": "10.0.0.1"}]}, "event.f[0].cidr", "10.0.0.1", "must be a network"),
        ({"f": [{"cidr": "10.0.0.0/33"}]}, "event.f[0].cidr", "10.0.0.0/33", "must be a network"),
        ({"f": [{"cidr": 10}]}, "event.f[0].cidr", 10, "must be a text"),
        ({"f": [{"numeric": 5}]}, "event.f[0].numeric", 5, "must be a list"),
        ({"f": [{"numeric": [">"]}]}, "event.f[0].numeric", [">"], "must be a list"),
        ({"f": [{"numeric": ["~", 5]}]}, "event.f[0].numeric", ["~", 5], "the operators are"),
        ({"f": [{"numeric": ["<", 5, ">", 1]}]}, "event.f[0].numeric", ["<", 5, ">", 1], "the operators are"),
        ({"f": [{"numeric": ["=", 5, "<", 9]}]}, "event.f[0].numeric", ["=", 5, "<", 9], "the operators are"),
        ({"f": [{"numeric": [">", "5"]}]}, "event.f[0].numeric[1]", "5", "must be a number"),
        ({"f": [{"numeric": [">", True]}]}, "event.f[0].numeric[1]", True, "must be a number"),
        ({"f": [{"numeric": [">", 1, "<", inf]}]}, "event.f[0].numeric[3]", inf, "must be a number"),
        ({"f": [{"numeric": [">", 5, "<", 5]}]}, "event.f[0].numeric", [">", 5, "<", 5], "can never match"),
        ({"f": [{"numeric": [">=", 6, "<=", 5]}]}, "event.f[0].numeric", [">=", 6, "<=", 5], "can never match"),
        ({"f": [{"anything-but": []}]}, "event.f[0].anything-but", [], "empty list"),
        ({"f": [{"anything-but": True}]}, "event.f[0].anything-but", True, "must be a number"),
        ({"f": [{"anything-but": [None]}]}, "event.f[0].anything-but[0]", None, "must be a number"),
        ({"f": [{"anything-but": ["a", 1]}]}, "event.f[0].anything-but", ["a", 1], "only texts or only numbers"),
        ({"f": [{"anything-but": {}}]}, "event.f[0].anything-but", {}, "object with one of"),
        ({"f": [{"anything-but": {"numeric": [">", 5]}}]}, "event.f[0].anything-but", {"numeric": [">", 5]}, "one of"),
        ({"f": [{"anything-but": {"prefix": ""}}]}, "event.f[0].anything-but.prefix", "", "must not be empty"),
        ({"f": [{"anything-but": {"prefix": []}}]}, "event.f[0].anything-but.prefix", [], "empty list"),
        ({"f": [{"anything-but": {"suffix": ["a", 5]}}]}, "event.f[0].anything-but.suffix[1]", 5, "must be a text"),
        ({"f": [{"anything-but": {"wildcard": "**"}}]}, "event.f[0].anything-but.wildcard", "**", "two stars"),
        ({"$or": {"a": ["x"]}}, "event.$or", {"a": ["x"]}, "at least two objects"),
        ({"$or": [{"a": ["x"]}]}, "event.$or", [{"a": ["x"]}], "at least two objects"),
        ({"$or": [{"a": ["x"]}, "b"]}, "event.$or[1]", "b", "object of fields"),
        ({"$or": [{"a": ["x"]}, {"prefix": ["b"]}]}, "event.$or[1].prefix", ["b"], "is an operator"),
    ],
)
def test_each_mistake_is_one_problem_with_its_path_and_value(
    document: object, path: str, value: object, words: str
) -> None:
    [problem] = problems_of(document)
    assert problem.path == path
    assert problem.value is value or problem.value == value
    assert words in problem.message


def test_every_mistake_is_found_at_once() -> None:
    document = {
        "a": [],
        "b": [{"contains": 1}, {"prefix": 2}],
        "$or": [{"c": "x"}, {"d": [{"wildcard": "**"}]}],
        "e": ["ok"],
    }
    paths = [problem.path for problem in problems_of(document)]
    assert paths == [
        "event.a",
        "event.b[0].contains",
        "event.b[1].prefix",
        "event.$or[0].c",
        "event.$or[1].d[0].wildcard",
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"a": [{"exists": False}], "$or": [{"a": ["x"]}, {"a": [1]}]},
        {"$or": [{"a": [{"exists": False}], "b": [1]}, {"a": [{"exists": False}]}], "a": [{"exists": True}]},
        {"x": {"$or": [{"a": [{"exists": False}]}, {"a": [{"exists": False}], "b": [2]}], "a": [{"anything-but": 5}]}},
    ],
)
def test_a_field_that_must_be_both_absent_and_present_can_never_match(document: object) -> None:
    [problem] = problems_of(document)
    assert problem.path == "event"
    assert "can never match" in problem.message


def test_a_combination_that_can_never_match_leaves_the_others() -> None:
    pattern = parse({"a": [{"exists": False}], "$or": [{"a": ["x"]}, {"b": ["y"]}]})
    assert [[clause.path for clause in conjunction] for conjunction in pattern.conjunctions] == [[("a",), ("b",)]]


@pytest.mark.parametrize(
    "document",
    [
        {"a": ["x"], "$or": [{"a": ["y"]}, {"b": [1]}]},
        {"a": [{"exists": False}], "$or": [{"a": {"b": ["x"]}}, {"c": [1]}]},
        {"a": [{"exists": False}, "x"], "$or": [{"a": ["x"]}, {"a": ["y"]}]},
    ],
)
def test_what_some_event_could_match_is_no_contradiction(document: object) -> None:
    assert parse(document).conjunctions


def test_the_number_of_combinations_is_bounded() -> None:
    ten: dict[str, Any] = {"$or": [{"a": [i]} for i in range(10)]}
    thousand = {"p": ten, "q": ten, "r": ten}
    assert len(parse(thousand).conjunctions) == MAX_COMBINATIONS
    [problem] = problems_of({**thousand, "$or": [{"s": [1]}, {"t": [2]}]})
    assert problem.path == "event"
    assert "2000 combinations" in problem.message


def test_many_branches_of_many_combinations_are_refused_before_they_are_built() -> None:
    ten: dict[str, Any] = {"$or": [{"a": [i]} for i in range(10)]}
    document: dict[str, Any] = {str(i): ten for i in range(300)}
    [problem] = problems_of(document)
    assert "combinations" in problem.message


def test_the_depth_is_bounded() -> None:
    assert len(parse(nested(MAX_DEPTH)).paths[0]) == MAX_DEPTH
    [problem] = problems_of(nested(MAX_DEPTH + 1))
    assert f"more than {MAX_DEPTH} deep" in problem.message
    assert problem.path == "event" + ".a" * MAX_DEPTH


def test_a_pattern_of_any_depth_is_refused_not_run_into() -> None:
    [problem] = problems_of(nested(100_000))
    assert "deep" in problem.message
