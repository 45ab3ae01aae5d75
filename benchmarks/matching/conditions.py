"""The rules of the workload in a neutral form, from which each engine's own language is written.

It is read from the documents without Leadscore's parser, and knows only the operators that the workload uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["equal", "prefix", "suffix", "wildcard", "folded", "range", "but", "exists"]
Path = tuple[str, ...]


@dataclass(frozen=True)
class Test:
    """One alternative for a field; `operand` is a scalar, a list (but) or comparisons (range)."""

    kind: Kind
    operand: Any


@dataclass(frozen=True)
class Condition:
    """A field that must pass one of `tests`."""

    path: Path
    tests: tuple[Test, ...]


@dataclass(frozen=True)
class Either:
    """Lists of conditions of which one list must hold as a whole."""

    branches: tuple[tuple[Condition, ...], ...]


Rule = tuple[Condition | Either, ...]

_KINDS: dict[str, Kind] = {
    "prefix": "prefix",
    "suffix": "suffix",
    "wildcard": "wildcard",
    "equals-ignore-case": "folded",
    "anything-but": "but",
    "exists": "exists",
}


def read_rule(document: dict[str, Any], path: Path = ()) -> Rule:
    """Return the conditions of one pattern, fields first and `$or` last."""
    conditions: list[Condition | Either] = []
    either: list[Condition | Either] = []
    for name, value in document.items():
        if name == "$or":
            either.append(Either(tuple(_flat(read_rule(branch, path)) for branch in value)))
        elif isinstance(value, dict):
            conditions.extend(read_rule(value, (*path, name)))
        else:
            conditions.append(Condition((*path, name), tuple(_read_test(one) for one in value)))
    return (*conditions, *either)


def _flat(rule: Rule) -> tuple[Condition, ...]:
    return tuple(condition for condition in rule if isinstance(condition, Condition))


def _read_test(value: Any) -> Test:
    if not isinstance(value, dict):
        return Test("equal", value)
    [(name, operand)] = value.items()
    if name == "numeric":
        return Test("range", list(zip(operand[::2], operand[1::2], strict=True)))
    if name == "anything-but" and not isinstance(operand, list):
        operand = [operand]
    return Test(_KINDS[name], operand)


def paths_of(rules: list[Rule]) -> dict[Path, list[Test]]:
    """Return each field that the rules read, with all its tests."""
    found: dict[Path, list[Test]] = {}
    for rule in rules:
        for part in rule:
            branches = [(part,)] if isinstance(part, Condition) else part.branches
            for condition in (condition for branch in branches for condition in branch):
                found.setdefault(condition.path, []).extend(condition.tests)
    return found
