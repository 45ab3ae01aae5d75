"""What the compiled matcher answers, operator by operator and for unusual events, and that its work is bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Never

import pytest

from leadscore.bulk import BulkMatcher
from leadscore.core.matcher import Matcher, chosen
from leadscore.core.matching.arrays import MAX_ARRAY_DEPTH
from leadscore.core.matching.compiling import CompiledPatterns
from leadscore.core.matching.effects import FieldTests
from leadscore.core.matching.fields import AnswerTable, FieldIndex
from leadscore.core.matching.texts import build_text_finder
from leadscore.core.matching.walker import DICTS
from leadscore.core.patterns import Pattern, Problem, parse_pattern

Json = dict[str, Any]


def compiled(*documents: object) -> list[Pattern]:
    problems: list[Problem] = []
    patterns = [parse_pattern(document, "event", problems) for document in documents]
    assert problems == []
    return [pattern for pattern in patterns if pattern is not None]


def matches(document: object, event: Json) -> bool:
    """Ask the matcher and the bulk matcher, which must agree."""
    patterns = compiled(document)
    answer = Matcher(patterns).match_bits(event)
    assert BulkMatcher(patterns).match_bits(json.dumps(event)) == answer
    return answer == 1


@pytest.mark.parametrize(
    ("alternatives", "hits", "misses"),
    [
        pytest.param(["a", "b"], ["a", "b"], ["A", "ab", "", 1, None, True], id="text"),
        pytest.param([""], [""], [" ", None, 0, False], id="empty-text"),
        pytest.param([300], [300, 300.0, 3e2], [301, "300", True], id="number"),
        pytest.param([0], [0, 0.0, -0.0], [False, None, "", "0"], id="zero"),
        pytest.param([1], [1, 1.0], [True, "1"], id="one"),
        pytest.param([2**53], [2**53, 2.0**53, 2**53 + 1], [2**53 + 2, 2**53 - 1, 10**400], id="beyond-exact-integers"),
        pytest.param([True], [True], [1, 1.0, "true", False, None], id="true"),
        pytest.param([False], [False], [0, 0.0, "", None, True], id="false"),
        pytest.param([True, 0], [True, 0], [1, False], id="true-or-zero"),
        pytest.param([None], [None], ["", 0, False, "null"], id="null"),
        pytest.param([{"prefix": "/pri"}], ["/pri", "/pricing"], ["/pr", "x/pri", "/PRI", 5, None], id="prefix"),
        pytest.param([{"prefix": ""}], ["", "x"], [0, None, True], id="empty-prefix"),
        pytest.param([{"prefix": {"equals-ignore-case": "Vp"}}], ["VP x", "vp"], ["v", "xvp", 1], id="folded-prefix"),
        pytest.param([{"suffix": ".pdf"}], [".pdf", "a.pdf"], ["pdf", ".pdf ", ".PDF", 5], id="suffix"),
        pytest.param([{"suffix": {"equals-ignore-case": ".Pdf"}}], ["a.PDF"], ["a.pd", 1], id="folded-suffix"),
        pytest.param([{"equals-ignore-case": "CeO"}], ["ceo", "CEO"], ["ce", "ceo ", 1, None], id="folded"),
        pytest.param([{"equals-ignore-case": "STRASSE"}], ["straße", "Strasse"], ["strase"], id="unicode-folding"),
        pytest.param([{"wildcard": "*"}], ["", "x"], [1, None], id="any-text"),
        pytest.param([{"wildcard": "*VP*"}], ["VP", "xVPx"], ["vp", "V P", 1], id="contains"),
        pytest.param([{"wildcard": "a*b"}], ["ab", "axb", "a\nb"], ["a", "b", "abc", "ba", 1], id="first-and-last"),
        pytest.param([{"wildcard": "ab*ba"}], ["abba", "abxba"], ["aba", "ab"], id="parts-do-not-overlap"),
        pytest.param([{"wildcard": "a*b*c"}], ["abc", "axbxc", "abbc"], ["ac", "acb", "bc"], id="one-in-the-middle"),
        pytest.param([{"wildcard": "a*a*a"}], ["aaa", "abaa"], ["aa", "aba"], id="equal-parts"),
        pytest.param([{"wildcard": "*a*b*c*"}], ["abc", "xaxbxcx"], ["acb", "cba", "ab"], id="in-order"),
        pytest.param(
            [{"wildcard": "*ab*ba*"}], ["abba", "xabxbax"], ["aba", "xabax"], id="middle-parts-do-not-overlap"
        ),
        pytest.param([{"wildcard": r"a\**"}], ["a*", "a*x"], ["a", "ax"], id="literal-star"),
        pytest.param([{"anything-but": "a"}], ["b", "", 1, None, True], ["a"], id="but-text"),
        pytest.param([{"anything-but": 1}], [2, "1", True, None], [1, 1.0], id="but-number"),
        pytest.param([{"anything-but": ["a", "b"]}], ["c", 1], ["a", "b"], id="but-list"),
        pytest.param([{"anything-but": {"prefix": "a"}}], ["b", "", 1, None], ["a", "ab"], id="but-prefix"),
        pytest.param([{"anything-but": {"suffix": ["a", "b"]}}], ["c", 1], ["xa", "b"], id="but-suffixes"),
        pytest.param([{"anything-but": {"equals-ignore-case": "A"}}], ["b", 1], ["a", "A"], id="but-folded"),
        pytest.param([{"anything-but": {"wildcard": "a*b"}}], ["a", "ba", 1], ["ab", "axb"], id="but-wildcard"),
        pytest.param([{"anything-but": "a"}, "a"], ["a", "b", None], [], id="but-or-the-same"),
        pytest.param([{"anything-but": ["a", "b"]}, {"anything-but": ["b", "c"]}], ["a", "c", 1], ["b"], id="two-buts"),
        pytest.param([{"numeric": ["=", 5]}], [5, 5.0], [4.999, "5", True, None], id="equals"),
        pytest.param([{"numeric": ["<", 5]}], [4.999, -(10**400), float("-inf")], [5, 6, "4", False], id="below"),
        pytest.param([{"numeric": ["<=", 5]}], [5, 4], [5.000001, 10**400], id="at-most"),
        pytest.param([{"numeric": [">", 5]}], [5.000001, 10**400, float("inf")], [5, 4, "6"], id="above"),
        pytest.param([{"numeric": [">=", 5]}], [5, 6], [4.999999], id="at-least"),
        pytest.param([{"numeric": [">", 0, "<=", 5]}], [0.1, 5], [0, 5.1, -1], id="range"),
        pytest.param([{"numeric": [">", 2**53]}], [2**53 + 2], [2**53, 2**53 + 1], id="range-of-doubles"),
        pytest.param([{"numeric": [">=", 2**53 + 4]}], [2**53 + 3], [2**53 + 2], id="range-of-rounded-doubles"),
        pytest.param([{"numeric": ["<", 1]}, {"numeric": [">", 2]}, 1.5], [0, 3, 1.5], [1, 2, 1.4], id="three-ranges"),
        pytest.param([{"exists": True}], ["", 0, False, None, ["x"]], [[], {}, {"x": 1}, [[], {}]], id="exists"),
        pytest.param([{"exists": False}], [[], {}, {"x": 1}], ["", 0, None, ["x"]], id="exists-not"),
        pytest.param([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "10.0.0", "x", 10], id="ipv4"),
        pytest.param([{"cidr": "2001:db8::/32"}], ["2001:db8::1"], ["2001:db9::1", "32.1.13.184", "::"], id="ipv6"),
        pytest.param([{"cidr": "0.0.0.0/0"}], ["1.2.3.4"], ["::1", "", "1" * 60], id="any-ipv4"),
    ],
)
def test_each_operator(alternatives: list[object], hits: list[object], misses: list[object]) -> None:
    for value, expected in [*((hit, True) for hit in hits), *((miss, False) for miss in misses)]:
        assert matches({"f": alternatives}, {"f": value}) is expected, value
        assert matches({"o": {"f": alternatives}}, {"o": {"f": value}}) is expected, value
        if not isinstance(value, list | dict):
            assert matches({"f": alternatives}, {"f": [value]}) is expected, value


@pytest.mark.parametrize(
    "event", [{}, {"o": {}}, {"o": None}, {"o": []}, {"o": "f"}, {"o": 5}, {"o": [1, "f"]}, {"p": 1}]
)
def test_an_absent_field_matches_exists_false_and_nothing_else(event: Json) -> None:
    assert matches({"o": {"f": [{"exists": False}]}}, event)
    assert matches({"o": {"f": ["x", {"exists": False}]}}, event)
    for alternative in ("x", 1, None, {"anything-but": "x"}, {"exists": True}, {"prefix": ""}, {"numeric": ["<", 9]}):
        assert not matches({"o": {"f": [alternative]}}, event)


def test_several_choices_of_anything_but_are_told_apart_in_every_pattern() -> None:
    one, other = (
        [{"anything-but": "a"}, {"anything-but": ["a", "b"]}],
        [{"anything-but": "c"}, {"anything-but": ["c", "d"]}],
    )
    match_bits = Matcher(compiled({"f": one}, {"f": other}, {"f": ["d"]})).match_bits
    assert [match_bits({"f": text}) for text in "abcde"] == [0b010, 0b011, 0b001, 0b111, 0b011]


PURCHASE = {"items": [{"sku": "a", "price": 5}, {"sku": "b", "price": 9, "gift": True}], "tags": ["x", 1, None, True]}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"tags": ["x"]}, True),
        ({"tags": [1]}, True),
        ({"tags": [True]}, True),
        ({"tags": [0]}, False),
        ({"tags": [{"anything-but": "x"}]}, True),
        ({"tags": [{"exists": True}]}, True),
        ({"items": {"sku": ["b"]}}, True),
        ({"items": {"sku": ["a"], "price": [5]}}, True),
        ({"items": {"sku": ["a"], "price": [9]}}, False),
        ({"items": {"sku": ["a"]}, "tags": ["x"]}, True),
        ({"items": {"sku": ["a"], "gift": [{"exists": False}]}}, True),
        ({"items": {"sku": ["b"], "gift": [{"exists": False}]}}, False),
        ({"items": {"gift": [{"exists": False}]}}, False),
        ({"items": {"nothing": [{"exists": False}]}}, True),
        ({"items": {"$or": [{"sku": ["a"]}, {"sku": ["b"]}], "price": [9]}}, True),
        ({"items": {"$or": [{"sku": ["a"]}, {"sku": ["c"]}], "price": [9]}}, False),
        ({"items": [{"exists": True}]}, False),
    ],
)
def test_arrays_match_by_element_and_objects_in_them_as_wholes(document: object, expected: bool) -> None:
    assert matches(document, PURCHASE) is expected


@pytest.mark.parametrize(
    ("document", "event", "expected"),
    [
        ({"a": {"b": ["x"], "c": ["y"]}}, {"a": [[{"b": "x"}], [{"b": "x", "c": "y"}]]}, True),
        ({"a": {"b": ["x"], "c": ["y"]}}, {"a": [[{"b": "x"}, {"c": "y"}]]}, False),
        ({"a": {"b": {"c": [1], "d": [2]}, "e": [3]}}, {"a": [{"b": [{"c": 1}, {"c": 1, "d": 2}], "e": 3}]}, True),
        ({"a": {"b": {"c": [1], "d": [2]}, "e": [3]}}, {"a": [{"b": [{"c": 1, "d": 2}]}, {"e": 3}]}, False),
        ({"a": {"b": {"c": [1]}, "e": {"c": [2]}}}, {"a": {"b": [{"c": 1}], "e": [{"c": 9}, {"c": 2}]}}, True),
        ({"a": ["x"], "$or": [{"a": {"b": [1]}}, {"z": [1]}]}, {"a": ["x", {"b": 1}]}, True),
        ({"a": ["x"], "$or": [{"a": {"b": [1]}}, {"z": [1]}]}, {"a": ["x", [[{"b": 1}]]]}, True),
        ({"a": ["x"], "$or": [{"a": {"b": [1]}}, {"z": [1]}]}, {"a": [["x"], [[{"b": 1}]]]}, False),
        ({"a": ["x"], "$or": [{"a": ["y"]}, {"z": [1]}]}, {"a": ["y", "x"]}, True),
        ({"a": ["x"], "$or": [{"a": ["y"]}, {"z": [1]}]}, {"a": [["y"], ["x"]]}, False),
    ],
)
def test_nested_arrays_and_mixed_fields(document: object, event: Json, expected: bool) -> None:
    assert matches(document, event) is expected


def test_an_element_without_a_field_does_not_make_the_field_absent() -> None:
    match_bits = Matcher(compiled({"items": {"gift": [{"exists": False}]}}, {"items": {"sku": ["a"]}})).match_bits
    assert match_bits(PURCHASE) == 0b10
    assert match_bits({"items": [{"sku": "a"}, {"sku": "b"}]}) == 0b11


def test_bits_follow_the_order_of_the_patterns_whatever_their_combinations() -> None:
    wide = {"$or": [{"a": [1]}, {"b": [1]}, {"c": [1]}]}
    match_bits = Matcher(compiled({"a": [1]}, wide, {"b": [1]}, wide, {"c": [2]})).match_bits
    assert match_bits({"a": 1}) == 0b01011
    assert match_bits({"b": 1}) == 0b01110
    assert match_bits({"c": 1}) == 0b01010
    assert match_bits({"c": 2}) == 0b10000
    assert match_bits({"a": [1], "c": 2}) == 0b11011
    assert match_bits({}) == 0


def test_no_patterns_match_nothing() -> None:
    assert Matcher([]).match_bits({"a": 1}) == 0
    assert BulkMatcher([]).match_bits(b'{"a": 1}') == 0


def test_chosen_returns_the_items_of_the_set_bits_in_order() -> None:
    items = [str(i) for i in range(5000)]
    assert chosen(items, 0) == ()
    assert chosen(items, 0b101001) == ("0", "3", "5")
    assert chosen(items, 1 << 4999 | 1 << 64 | 1) == ("0", "64", "4999")


KINDS = (
    {"type": ["page"], "p": ["/a"]},
    {"type": ["track"], "e": ["x"]},
    {"type": [{"anything-but": "page"}], "e": ["x"]},
)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "page", "p": "/a", "e": "x"}, 0b001),
        ({"type": "track", "p": "/a", "e": "x"}, 0b110),
        ({"type": "group", "p": "/a", "e": "x"}, 0b100),
        ({"type": None, "e": "x"}, 0b100),
        ({"type": 7, "e": "x"}, 0b100),
        ({"type": ["page", "track"], "p": "/a", "e": "x"}, 0b111),
        ({"type": {"page": 1}, "p": "/a", "e": "x"}, 0b000),
        ({"p": "/a", "e": "x"}, 0b000),
    ],
)
def test_the_branch_of_each_kind_of_event_reads_all_that_matters_to_it(event: Json, expected: int) -> None:
    patterns = compiled(*KINDS)
    assert Matcher(patterns).match_bits(event) == expected
    assert BulkMatcher(patterns).match_bits(json.dumps(event)) == expected


@pytest.mark.parametrize(
    ("kind", "alternative"),
    [
        (None, None),
        (True, True),
        (False, False),
        (7, 7),
        (9.5, {"numeric": [">", 8]}),
        ("other", {"anything-but": ["page", "track"]}),
        ("other", {"prefix": "oth"}),
        ("other", {"equals-ignore-case": "OTHER"}),
        ("page", {"wildcard": "p*"}),
    ],
)
def test_a_kind_of_event_without_a_branch_of_its_own_is_read_too(kind: object, alternative: object) -> None:
    patterns = compiled({"type": ["page"]}, {"type": ["track"]}, {"type": [alternative], "f": ["x"], "o": {"g": ["y"]}})
    for matcher in (Matcher(patterns).match_bits, lambda event: BulkMatcher(patterns).match_bits(json.dumps(event))):
        first = int(kind == "page")
        assert matcher({"type": kind, "f": "x", "o": {"g": "y"}}) == 0b100 | first
        assert matcher({"type": kind, "f": "x", "o": {"g": "z"}}) == first
        assert matcher({"type": kind, "f": "z", "o": {"g": "y"}}) == first
        assert matcher({"f": "x", "o": {"g": "y"}}) == 0


def test_an_event_without_its_kind_is_read_too() -> None:
    absent = {"type": [{"exists": False}], "f": ["x"]}
    match_bits = Matcher(compiled({"type": ["page"]}, {"type": ["track"]}, absent)).match_bits
    assert match_bits({"f": "x"}) == 0b100
    assert match_bits({"f": "y"}) == 0


def refuse(_event: Mapping[str, object]) -> Never:
    raise AssertionError("a plain event was read the slow way")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "page", "o": {"f": "x", "n": 5}, "other": [{"a": 1}]},
        {"type": "page", "o": None},
        {"type": "track", "o": {"f": None, "n": 1.5}},
        {"type": "track", "o": {"f": True, "n": True}},
        {},
    ],
)
def test_a_plain_event_is_never_read_the_slow_way(event: Json) -> None:
    documents = [
        {"type": [t], "o": {"f": [{"prefix": "x"}, True], "n": [{"numeric": [">", 2]}]}} for t in ("page", "track")
    ]
    patterns = CompiledPatterns(compiled(*documents))
    fast = patterns.build_matcher(DICTS, refuse)
    assert fast(event) == patterns.read_exactly(event)


@pytest.mark.parametrize(
    "name", ["", "a.b", "'", '"', "\\", "\n", "a'); raise SystemExit #", "{x}", "\ud800", "ключ", "$"]
)
def test_any_field_name_and_text_is_safe_in_generated_code(name: str) -> None:
    document = {name: {name: [name, {"prefix": name + "!"}, {"wildcard": "*?" + name.replace("\\", "\\\\") + "*"}]}}
    match_bits = Matcher(compiled(document, {name: [name]})).match_bits
    assert match_bits({name: {name: name}}) == 0b01
    assert match_bits({name: {name: name + "!?"}}) == 0b01
    assert match_bits({name: {name: "a?" + name}}) == 0b01
    assert match_bits({name: name}) == 0b10
    assert match_bits({"other": name}) == 0


def test_an_object_of_any_depth_is_read_no_deeper_than_patterns_are() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = {"a": deep}
    event = {"a": deep}
    assert Matcher(compiled({"a": {"a": ["x"]}})).match_bits(event) == 0
    assert Matcher(compiled({"a": {"a": [{"exists": False}]}})).match_bits(event) == 1


def test_arrays_in_arrays_are_read_to_a_fixed_depth() -> None:
    def arrays(depth: int) -> Any:
        value: Any = "x"
        for _ in range(depth):
            value = [value]
        return value

    match_bits = Matcher(compiled({"a": ["x"]})).match_bits
    assert match_bits({"a": arrays(MAX_ARRAY_DEPTH)}) == 1
    assert match_bits({"a": arrays(MAX_ARRAY_DEPTH + 1)}) == 0
    assert match_bits({"a": arrays(100_000)}) == 0


def test_patterns_of_the_greatest_depth_compile() -> None:
    document: Json = {"f": ["x"], "g": [{"numeric": [">", 1]}]}
    event: Json = {"f": "x", "g": 2}
    for _ in range(31):
        document, event = {"a": document, "b": [1]}, {"a": event, "b": 1}
    assert matches(document, event)


def test_a_hostile_text_does_not_make_wildcards_backtrack() -> None:
    document = {"f": [{"wildcard": "*a*a*a*a*a*a*a*a*b"}, {"wildcard": "a*a*a*a*a*a*a*a*a*c"}]}
    match_bits = Matcher(compiled(document)).match_bits
    assert match_bits({"f": "a" * 200_000}) == 0
    assert match_bits({"f": "a" * 200_000 + "b"}) == 1


def test_an_array_of_many_objects_is_read_in_one_pass() -> None:
    document = {"items": {"sku": ["x"], "price": [{"numeric": [">", 5]}], "gift": [{"exists": False}]}}
    items: list[Json] = [{"sku": "x", "price": 1}, {"sku": "y", "price": 9}] * 3000
    match_bits = Matcher(compiled(document)).match_bits
    assert match_bits({"items": items}) == 0
    assert match_bits({"items": [*items, {"sku": "x", "price": 9}]}) == 1


def index_of(*alternatives: list[object]) -> FieldIndex:
    clauses = [(1 << i, p.conjunctions[0][0]) for i, p in enumerate(compiled(*({"f": a} for a in alternatives)))]
    return FieldIndex(clauses, (1 << len(alternatives)) - 1)


def test_a_field_remembers_a_bounded_number_of_short_texts() -> None:
    table = AnswerTable(index_of([{"prefix": "x"}], ["known"]))
    known = len(table)
    sizes = []
    for i in range(5000):
        assert table[f"x{i}"] == 0b01
        sizes.append(len(table))
    assert max(sizes) <= known + 1024
    assert table["known"] == 0b10
    before = len(table)
    assert table["x" * 257] == 0b01
    assert len(table) == before


def test_numbers_and_booleans_are_never_remembered_as_each_other() -> None:
    table = AnswerTable(index_of([{"prefix": "x"}, 1], [True]))
    assert [table[value] for value in (1, True, 1.0, True, 1)] == [0b01, 0b10, 0b01, 0b10, 0b01]


@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "abcd", "b", "xyz", "abcdefgh", "zab"])
def test_few_and_many_prefixes_and_suffixes_are_found_alike(count: int, text: str) -> None:
    edges = ["", "a", "ab", "abcd", "b", "abcdefghi", "zab", "é"][:count] + [f"{i:02}" for i in range(count)]
    alternatives: list[list[object]] = [[{"prefix": edge}] for edge in edges]
    alternatives += [[{"suffix": edge}] for edge in edges]
    alternatives += [[{"anything-but": {"prefix": edge}}] for edge in edges if edge]
    index = index_of(*alternatives)
    expected = [text.startswith(edge) for edge in edges] + [text.endswith(edge) for edge in edges]
    expected += [not text.startswith(edge) for edge in edges if edge]
    assert [bool(index.find(text) >> i & 1) for i in range(len(expected))] == expected


def test_a_field_with_exact_tests_alone_needs_no_finder() -> None:
    clauses = [(1, compiled({"f": ["a", {"anything-but": "b"}]})[0].conjunctions[0][0])]
    assert build_text_finder(FieldTests(clauses, 0, 1)) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"type": "page", "o": [{"f": "x"}]}',
        b'{"type": "page", "o": {"f": "x"}, "o": {"f": "y"}}',
        b'{"type": "page", "o": {"f": 1e400, "g": 1e400}}',
        b'{"type": "page", "o": {"f": "\\ud800"}}',
        b'{"type": "page", "o": {"f": {"deep": ["x"]}}}',
        b'{"type": "page", "o": 5}',
        b'{"type": "page", "o": {"f": NaN}}',
        b'{"type": "page", "o": {"f": "\\u0078"}}',
        b'{"type": ["page"], "o": {"f": "x"}}',
        b'{"type": "page", "o": {"f": ' + str(10**400).encode() + b', "g": ' + str(10**30).encode() + b"}}",
    ],
)
def test_the_bulk_matcher_reads_unusual_texts_as_the_matcher_does(text: bytes) -> None:
    patterns = compiled(
        {"type": ["page"], "o": {"f": ["x"]}},
        {"type": ["page"], "o": {"f": [{"numeric": [">", 1e9]}]}},
        {"o": {"f": [{"exists": False}]}},
        {"o": {"g": [1e30]}},
        {"type": ["track"]},
    )
    assert BulkMatcher(patterns).match_bits(text) == Matcher(patterns).match_bits(json.loads(text))


@pytest.mark.parametrize("text", [b"", b"{", b'{"type": tru}', b"\xff"])
def test_the_bulk_matcher_refuses_what_is_not_json(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        BulkMatcher(compiled({"type": ["page"]})).match_bits(text)
