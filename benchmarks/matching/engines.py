"""Ours and the plain loop, in the one shape in which every engine is measured."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.matching.conditions import Condition, Either, Rule, Test
from benchmarks.matching.workload import Document
from leadscore.core.matcher import Matcher, chosen
from leadscore.core.patterns import Pattern, Problem, parse_pattern

Event = dict[str, Any]
Match = Callable[[Event], Sequence[str]]
Engine = Callable[[list[Document], list[Rule], list[str]], Match]
"""Builds, from the same rules, a function from a decoded event to the ids of the rules that match."""


def parse_patterns(documents: list[Document]) -> list[Pattern]:
    problems: list[Problem] = []
    patterns = [pattern for d in documents if (pattern := parse_pattern(d, "event", problems)) is not None]
    if problems:
        raise ValueError(problems[0])
    return patterns


def build_ours(documents: list[Document], _rules: list[Rule], ids: list[str]) -> Match:
    match_bits = Matcher(parse_patterns(documents)).match_bits
    return lambda event: chosen(ids, match_bits(event))


# ------------------------------------------------------------------------------------- the plain loop over criteria

_MISSING = object()
_Predicate = Callable[[Any], bool]
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def build_plain_loop(_documents: list[Document], rules: list[Rule], ids: list[str]) -> Match:
    """Each criterion is a closure over its compiled conditions, tried one after another until one fails."""
    compiled = list(zip(ids, [_compile_rule(rule) for rule in rules], strict=True))
    return lambda event: [name for name, holds in compiled if holds(event)]


def _compile_rule(rule: Rule) -> _Predicate:
    return _all_of(
        [_compile_condition(part) if isinstance(part, Condition) else _compile_either(part) for part in rule]
    )


def _compile_either(either: Either) -> _Predicate:
    branches = [_all_of([_compile_condition(condition) for condition in branch]) for branch in either.branches]
    return lambda event: any(branch(event) for branch in branches)


def _all_of(parts: list[_Predicate]) -> _Predicate:
    def holds(event: Event) -> bool:
        for part in parts:  # noqa: SIM110 - `all` over a generator is slower
            if not part(event):
                return False
        return True

    return holds


def _compile_condition(condition: Condition) -> _Predicate:
    path = condition.path
    tests = [_compile_test(test) for test in condition.tests]

    def holds(event: Event) -> bool:
        value: Any = event
        for name in path:
            if not isinstance(value, dict):
                value = _MISSING
                break
            value = value.get(name, _MISSING)
        for one in value if isinstance(value, list) else (value,):
            for test in tests:
                if test(one):
                    return True
        return False

    return holds


def _compile_test(test: Test) -> _Predicate:
    operand = test.operand
    match test.kind:
        case "equal":
            kind = type(operand)
            return lambda value: value == operand and type(value) is kind
        case "prefix":
            return lambda value: isinstance(value, str) and value.startswith(operand)
        case "suffix":
            return lambda value: isinstance(value, str) and value.endswith(operand)
        case "folded":
            folded = operand.casefold()
            return lambda value: isinstance(value, str) and value.casefold() == folded
        case "wildcard":
            fits = re.compile(wildcard_regex(operand), re.DOTALL).fullmatch
            return lambda value: isinstance(value, str) and fits(value) is not None
        case "but":
            excluded = frozenset(operand)
            return lambda value: value is not _MISSING and value not in excluded
        case "exists":
            return lambda value: (value is not _MISSING) is operand
        case "range":
            return _compile_range([(_COMPARISONS[name], number) for name, number in operand])


def _compile_range(comparisons: list[tuple[Callable[[Any, Any], bool], float]]) -> _Predicate:
    def holds(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return all(compare(value, number) for compare, number in comparisons)

    return holds


def wildcard_regex(wildcard: str) -> str:
    """Return the regular expression, without anchors, for a wildcard without escapes."""
    return ".*".join(re.escape(part) for part in wildcard.split("*"))
