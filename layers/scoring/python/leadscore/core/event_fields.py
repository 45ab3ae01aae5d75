"""What an event pattern can meet: the fields of a normalised event, and which types of event have them.

Protects "a pattern that can never match is an error": a field that no event has, a type that is none of the six,
a required field that must be absent, or a field together with a type that never carries it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadscore.core.matcher import Matcher
from leadscore.core.patterns import Pattern, Problem, parse_pattern
from leadscore.core.sections import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = frozenset(("identify", "track", "page", "screen", "group", "alias"))
OBJECTS = frozenset(("properties", "traits", "context"))
# The types of event that have the field; only `type`, `messageId` and `timestamp` are in every event.
_CARRIERS = {
    "type": TYPES,
    "messageId": TYPES,
    "timestamp": TYPES,
    "receivedAt": TYPES,
    "userId": TYPES,
    "anonymousId": TYPES,
    "groupId": TYPES,
    "previousId": frozenset(("alias",)),
    "event": frozenset(("track",)),
    "name": frozenset(("page", "screen")),
    "properties": TYPES,
    "traits": TYPES,
    "context": TYPES,
}
FIELDS = tuple(_CARRIERS)
_REQUIRED = frozenset(("type", "messageId", "timestamp"))
_ABSENT = {"exists": False}


def parse_event_pattern(document: object, path: str, problems: list[Problem]) -> Pattern | None:
    """Return the pattern on events that `document` describes, or None after reporting every problem found."""
    before = len(problems)
    pattern = parse_pattern(document, path, problems)
    if isinstance(document, dict):
        _check_event(document, path, TYPES, problems)
    return pattern if len(problems) == before else None


def parse_trait_pattern(document: object, path: str, problems: list[Problem]) -> Pattern | None:
    """Return the pattern on a lead's traits, with its account's traits under `account`; None after any problem."""
    before = len(problems)
    pattern = parse_pattern(document, path, problems)
    if isinstance(document, dict):
        _check_traits(document, path, problems)
    return pattern if len(problems) == before else None


def _check_event(document: dict[str, object], path: str, types: frozenset[str], problems: list[Problem]) -> None:
    """Report what no event of `types` can have, in one object of the pattern and in its alternatives."""
    if "type" in document:
        allowed = _allowed_types(document["type"], types)
        if not allowed:
            message = f"can never match: the type of an event here is {', '.join(sorted(types))}"
            problems.append(Problem(f"{path}.type", message, document["type"]))
        types = allowed or types
    for name, rules in document.items():
        if name == "$or":
            for branch, branch_path in _branches(rules, f"{path}.$or"):
                _check_event(branch, branch_path, types, problems)
            continue
        problem = _field_problem(name, rules, types)
        if problem:
            problems.append(Problem(f"{path}.{name}", problem, rules))
        elif name in _REQUIRED and isinstance(rules, list):
            problems.extend(
                Problem(f"{path}.{name}[{i}].exists", f"can never match: every event has `{name}`", rule["exists"])
                for i, rule in enumerate(rules)
                if isinstance(rule, dict) and rule == _ABSENT
            )


def _field_problem(name: str, rules: object, types: frozenset[str]) -> str:
    """Say why a field with these rules is in no event of `types`; empty when some event can have it."""
    if name not in _CARRIERS:
        hint = suggest(name, _CARRIERS) or f"; the fields of an event are {', '.join(_CARRIERS)}"
        return f"can never match: events have no such field{hint}"
    if name in OBJECTS and isinstance(rules, list):
        return f"can never match: `{name}` is an object; name a field in it"
    if name not in OBJECTS and isinstance(rules, dict):
        return f"can never match: `{name}` is a single value, not an object"
    optional = isinstance(rules, list) and _ABSENT in rules
    if not types & _CARRIERS[name] and not optional:
        return f"can never match: only {' and '.join(sorted(_CARRIERS[name]))} events have `{name}`"
    return ""


def _allowed_types(rules: object, types: frozenset[str]) -> frozenset[str]:
    """Return those of `types` that the rules on `type` let through: all of them when the rules are malformed."""
    pattern = parse_pattern({"type": rules}, "", [])
    if pattern is None or not isinstance(rules, list):
        return types
    if all(isinstance(rule, str) for rule in rules):
        return types.intersection(rules)
    matcher = Matcher([pattern])
    return frozenset(kind for kind in types if matcher.match_bits({"type": kind}))


def _check_traits(document: dict[str, object], path: str, problems: list[Problem]) -> None:
    """Report `account` where it is read as one value."""
    for name, rules in document.items():
        if name == "$or":
            for branch, branch_path in _branches(rules, f"{path}.$or"):
                _check_traits(branch, branch_path, problems)
        elif name == "account" and isinstance(rules, list):
            message = "can never match: `account` is an object with the account's traits; name one of them"
            problems.append(Problem(f"{path}.account", message, rules))


def _branches(alternatives: object, path: str) -> Iterator[tuple[dict[str, object], str]]:
    if isinstance(alternatives, list):
        for i, branch in enumerate(alternatives):
            if isinstance(branch, dict):
                yield branch, f"{path}[{i}]"
