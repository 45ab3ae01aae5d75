"""EventBridge event patterns as frozen, typed values: what the parser makes of a document, what the matcher compiles.

Invariant: a `Pattern` is well formed and can match some event. Everything that is not understood is a problem with
its path and value; nothing is ever read as "does not match". PATTERNS.md gives the source of each decision.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from math import inf, isfinite
from typing import Literal, NamedTuple

Path = tuple[str, ...]

MAX_DEPTH = 32
MAX_COMBINATIONS = 1000
MAX_STARS = 10

# Tests are named tuples, which a cold start makes in a fifth of a data class's time; `kind` keeps tests of different
# kinds with the same content apart, which as bare tuples would be equal.


class Problem(NamedTuple):
    """One mistake in a document: where it is, what is wrong, and the value that is there."""

    path: str
    message: str
    value: object


class Text(NamedTuple):
    """The value is exactly this text."""

    value: str
    kind: Literal["text"] = "text"


class Number(NamedTuple):
    """The value is a number equal to this one as a double."""

    value: float
    kind: Literal["number"] = "number"


class Flag(NamedTuple):
    """The value is this boolean."""

    value: bool
    kind: Literal["flag"] = "flag"


class Null(NamedTuple):
    """The value is null."""

    kind: Literal["null"] = "null"


class Prefix(NamedTuple):
    """The value is a text that starts with `text`; `text` is case-folded when `folded`."""

    text: str
    folded: bool = False
    kind: Literal["prefix"] = "prefix"


class Suffix(NamedTuple):
    """The value is a text that ends with `text`; `text` is case-folded when `folded`."""

    text: str
    folded: bool = False
    kind: Literal["suffix"] = "suffix"


class Folded(NamedTuple):
    """The value is a text whose case-folded form is `text`."""

    text: str
    kind: Literal["folded"] = "folded"


class Wildcard(NamedTuple):
    """The value is a text made of these parts in order, with anything between them; there are at least two."""

    parts: tuple[str, ...]
    kind: Literal["wildcard"] = "wildcard"


class Cidr(NamedTuple):
    """The value is an IP address of this version from `first` to `last`, both as whole numbers."""

    version: int
    first: int
    last: int
    kind: Literal["cidr"] = "cidr"


class Range(NamedTuple):
    """The value is a number between the bounds, as doubles; an open bound is not part of it."""

    low: float = -inf
    high: float = inf
    low_open: bool = False
    high_open: bool = False
    kind: Literal["range"] = "range"


class Present(NamedTuple):
    """There is a value, whichever it is."""

    kind: Literal["present"] = "present"


Atom = Text | Number | Prefix | Suffix | Folded | Wildcard


class AnythingBut(NamedTuple):
    """There is a value and it passes none of these tests."""

    excluded: tuple[Atom, ...]
    kind: Literal["anything-but"] = "anything-but"


Test = Text | Number | Flag | Null | Prefix | Suffix | Folded | Wildcard | Cidr | Range | Present | AnythingBut


class Clause(NamedTuple):
    """What one field must be: a value that passes one of `tests`, or nothing at all where `absent` allows that."""

    path: Path
    tests: tuple[Test, ...]
    absent: bool = False


Conjunction = tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One event pattern; two are equal when their documents are.

    It matches where one of `conjunctions` (the `$or` branches multiplied out) holds; `paths` are the leaf fields that
    it reads.
    """

    text: str
    conjunctions: tuple[Conjunction, ...] = field(compare=False, repr=False)
    paths: tuple[Path, ...] = field(compare=False, repr=False)

    @property
    def document(self) -> object:
        """The document that the pattern was made from, with sorted keys."""
        return json.loads(self.text)


def parse_pattern(document: object, path: str, problems: list[Problem]) -> Pattern | None:
    """Return the pattern that `document` describes, or None after adding every problem found to `problems`."""
    parser = _Parser(problems)
    conjunctions = parser.parse_root(document, path)
    if parser.failed:
        return None
    paths = tuple(dict.fromkeys(clause.path for conjunction in conjunctions for clause in conjunction))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Pattern(text, tuple(conjunctions), paths)


class _Parser:
    """Collects the problems of one pattern while building it; what it returns counts only when nothing failed."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self.failed = False

    def _refuse(self, path: str, message: str, value: object) -> None:
        self._problems.append(Problem(path, message, value))
        self.failed = True

    def parse_root(self, document: object, path: str) -> list[Conjunction]:
        conjunctions = self._parse_object(document, path, (), in_or=False)
        if self.failed:
            return []
        possible = [c for c in conjunctions if not _contradicts_itself(c)]
        if not possible:
            self._refuse(path, "can never match: a field would have to be both absent and present", document)
        return possible

    def _parse_object(self, document: object, path: str, at: Path, *, in_or: bool) -> list[Conjunction]:
        if not isinstance(document, dict):
            self._refuse(path, "a pattern is an object of fields", document)
            return []
        if not document:
            self._refuse(path, "an empty object matches nothing in particular; name a field", document)
            return []
        if len(at) >= MAX_DEPTH:
            self._refuse(path, f"fields are nested more than {MAX_DEPTH} deep", document)
            return []
        parts = [self._parse_field(name, value, path, at, in_or=in_or) for name, value in document.items()]
        return self._multiply(parts, path, document)

    def _multiply(self, parts: list[list[Conjunction]], path: str, document: object) -> list[Conjunction]:
        combinations = 1
        for part in parts:
            combinations *= len(part)
        if combinations > MAX_COMBINATIONS:
            message = f"$or makes {combinations} combinations; at most {MAX_COMBINATIONS} are allowed"
            self._refuse(path, message, document)
            return []
        return [tuple(clause for conjunction in chosen for clause in conjunction) for chosen in product(*parts)]

    def _parse_field(self, name: object, value: object, path: str, at: Path, *, in_or: bool) -> list[Conjunction]:
        if not isinstance(name, str):
            self._refuse(f"{path}.{name}", "a field name is a text", name)
            return []
        where = f"{path}.{name}"
        if name == "$or":
            return self._parse_or(value, where, at)
        if in_or and name in _OPERATORS:
            self._refuse(where, f"{name!r} is an operator and cannot be a field inside $or", value)
            return []
        if isinstance(value, dict):
            return self._parse_object(value, where, (*at, name), in_or=in_or)
        if isinstance(value, list):
            return [(self._parse_clause(value, where, (*at, name)),)]
        self._refuse(where, "a field needs a list of values (or an object of further fields)", value)
        return []

    def _parse_or(self, value: object, path: str, at: Path) -> list[Conjunction]:
        if not isinstance(value, list) or len(value) < 2:
            self._refuse(path, "$or needs a list of at least two objects", value)
            return []
        branches = [self._parse_object(one, f"{path}[{i}]", at, in_or=True) for i, one in enumerate(value)]
        return [conjunction for branch in branches for conjunction in branch]

    def _parse_clause(self, values: list[object], path: str, at: Path) -> Clause:
        if not values:
            self._refuse(path, "an empty list can never match", values)
        if len(at) > MAX_DEPTH:
            self._refuse(path, f"fields are nested more than {MAX_DEPTH} deep", values)
        tests: dict[Test, None] = {}
        absent = False
        for i, value in enumerate(values):
            if isinstance(value, dict) and list(value) == ["exists"] and value["exists"] is False:
                absent = True
                continue
            test = self._parse_test(value, f"{path}[{i}]")
            if test is not None:
                tests[test] = None
        return Clause(at, tuple(tests), absent)

    def _parse_test(self, value: object, path: str) -> Test | None:
        if isinstance(value, dict):
            return self._parse_operator(value, path)
        if isinstance(value, bool):
            return Flag(value)
        if value is None:
            return Null()
        if isinstance(value, str | int | float):
            return self._parse_scalar(value, path)
        self._refuse(path, "a value is a text, number, boolean, null or an operator", value)
        return None

    def _parse_scalar(self, value: str | float, path: str) -> Text | Number | None:
        if isinstance(value, str):
            return Text(value)
        number = self._parse_number(value, path)
        return None if number is None else Number(number)

    def _parse_number(self, value: object, path: str) -> float | None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = inf
            if isfinite(number):
                return number
        self._refuse(path, "must be a number that a double can hold", value)
        return None

    def _parse_operator(self, value: dict[object, object], path: str) -> Test | None:
        if len(value) != 1:
            self._refuse(path, "an operator is an object with exactly one key", value)
            return None
        [(name, operand)] = value.items()
        parse = _OPERATORS.get(name) if isinstance(name, str) else None
        if parse is None:
            known = ", ".join(_OPERATORS)
            self._refuse(f"{path}.{name}", f"unknown operator; known are {known}", operand)
            return None
        return parse(self, operand, f"{path}.{name}")

    def _parse_text(self, value: object, path: str) -> str | None:
        if isinstance(value, str):
            return value
        self._refuse(path, "must be a text", value)
        return None

    def _parse_edge[T: (Prefix, Suffix)](self, kind: type[T], value: object, path: str) -> T | None:
        if isinstance(value, dict):
            if list(value) != ["equals-ignore-case"]:
                self._refuse(path, "must be a text or an object with only equals-ignore-case", value)
                return None
            text = self._parse_text(value["equals-ignore-case"], f"{path}.equals-ignore-case")
            return None if text is None else kind(text.casefold(), folded=True)
        text = self._parse_text(value, path)
        return None if text is None else kind(text)

    def parse_prefix(self, value: object, path: str) -> Prefix | None:
        return self._parse_edge(Prefix, value, path)

    def parse_suffix(self, value: object, path: str) -> Suffix | None:
        return self._parse_edge(Suffix, value, path)

    def parse_folded(self, value: object, path: str) -> Folded | None:
        text = self._parse_text(value, path)
        return None if text is None else Folded(text.casefold())

    def parse_wildcard(self, value: object, path: str) -> Wildcard | Text | None:
        text = self._parse_text(value, path)
        if text is None:
            return None
        try:
            parts = _split_wildcard(text)
        except ValueError as error:
            self._refuse(path, str(error), value)
            return None
        return Text(parts[0]) if len(parts) == 1 else Wildcard(parts)

    def parse_cidr(self, value: object, path: str) -> Cidr | None:
        text = self._parse_text(value, path)
        if text is None:
            return None
        # Few rulesets look at addresses, and this import costs a cold start several milliseconds.
        from ipaddress import ip_network

        try:
            network = ip_network(text, strict=False)
        except ValueError:
            network = None
        if network is None or "/" not in text:
            self._refuse(path, "must be a network like 10.0.0.0/24 or 2001:db8::/32", value)
            return None
        first = int(network.network_address)
        return Cidr(network.version, first, first + network.num_addresses - 1)

    def parse_exists(self, value: object, path: str) -> Present | None:
        if value is True:
            return Present()
        self._refuse(path, "must be true or false", value)
        return None

    def parse_numeric(self, value: object, path: str) -> Range | Number | None:
        if not isinstance(value, list) or len(value) not in {2, 4}:
            self._refuse(path, 'must be a list like ["=", 5], [">", 0] or [">", 0, "<=", 5]', value)
            return None
        operators = value[0::2]
        numbers = [self._parse_number(n, f"{path}[{2 * i + 1}]") for i, n in enumerate(value[1::2])]
        if operators not in _RANGES:
            message = 'the operators are one of "=", "<", "<=", ">", ">=", or a lower bound and then an upper one'
            self._refuse(path, message, value)
            return None
        if None in numbers:
            return None
        return self._build_range(operators, [n for n in numbers if n is not None], path, value)

    def _build_range(
        self, operators: list[str], numbers: list[float], path: str, value: object
    ) -> Range | Number | None:
        if operators == ["="]:
            return Number(numbers[0])
        bounds = dict(zip(operators, numbers, strict=True))
        low, high = bounds.get(">", bounds.get(">=", -inf)), bounds.get("<", bounds.get("<=", inf))
        found = Range(low, high, low_open=">" in bounds, high_open="<" in bounds)
        if low > high or (low == high and (found.low_open or found.high_open)):
            self._refuse(path, "can never match: no number is in this range", value)
            return None
        return found

    def parse_anything_but(self, value: object, path: str) -> AnythingBut | None:
        if isinstance(value, dict):
            return self._parse_nested_but(value, path)
        values = value if isinstance(value, list) else [value]
        if not values:
            self._refuse(path, "must not be an empty list", value)
            return None
        places = [f"{path}[{i}]" for i in range(len(values))] if isinstance(value, list) else [path]
        if all(isinstance(one, str) for one in values):
            return AnythingBut(tuple(Text(one) for one in dict.fromkeys(values)))
        if any(isinstance(one, str) for one in values):
            self._refuse(path, "must hold only texts or only numbers", value)
            return None
        numbers = [self._parse_number(one, place) for one, place in zip(values, places, strict=True)]
        return AnythingBut(tuple(Number(one) for one in dict.fromkeys(numbers) if one is not None))

    def _parse_nested_but(self, value: dict[object, object], path: str) -> AnythingBut | None:
        name = next(iter(value), None)
        if len(value) != 1 or not isinstance(name, str) or name not in _EXCLUDABLE:
            known = ", ".join(_EXCLUDABLE)
            self._refuse(path, f"must be a text, a number, a list of them, or an object with one of {known}", value)
            return None
        operand = value[name]
        where = f"{path}.{name}"
        listed = isinstance(operand, list)
        operands: list[object] = operand if isinstance(operand, list) else [operand]
        if not operands:
            self._refuse(where, "must not be an empty list", operand)
        excluded: dict[Atom, None] = {}
        for i, one in enumerate(operands):
            place = f"{where}[{i}]" if listed else where
            if one == "" and name in {"prefix", "suffix"}:
                self._refuse(place, "must not be empty", one)
                continue
            if not isinstance(one, str):
                self._refuse(place, "must be a text", one)
                continue
            test = _EXCLUDABLE[name](self, one, place)
            if test is not None:
                excluded[test] = None
        return AnythingBut(tuple(excluded))


_OPERATORS: dict[str, Callable[[_Parser, object, str], Test | None]] = {
    "prefix": _Parser.parse_prefix,
    "suffix": _Parser.parse_suffix,
    "equals-ignore-case": _Parser.parse_folded,
    "wildcard": _Parser.parse_wildcard,
    "anything-but": _Parser.parse_anything_but,
    "numeric": _Parser.parse_numeric,
    "exists": _Parser.parse_exists,
    "cidr": _Parser.parse_cidr,
}
_EXCLUDABLE: dict[str, Callable[[_Parser, object, str], Atom | None]] = {
    "prefix": _Parser.parse_prefix,
    "suffix": _Parser.parse_suffix,
    "equals-ignore-case": _Parser.parse_folded,
    "wildcard": _Parser.parse_wildcard,
}
_RANGES = [
    ["="],
    *([o] for o in ("<", "<=", ">", ">=")),
    *([low, high] for low in (">", ">=") for high in ("<", "<=")),
]


def _contradicts_itself(conjunction: Conjunction) -> bool:
    """Say whether some field must be both absent and present; with arrays in events nothing else excludes itself."""
    absent = {clause.path for clause in conjunction if not clause.tests}
    return any(clause.path in absent and not clause.absent for clause in conjunction)


def _split_wildcard(text: str) -> tuple[str, ...]:
    """Return the literal parts between the stars of a wildcard; raises ValueError saying what is wrong with it."""
    parts = [""]
    previous_star = False
    for character, escaped in _unescape(text):
        star = character == "*" and not escaped
        if star and previous_star:
            raise ValueError("must not have two stars in a row")
        if star:
            parts.append("")
        else:
            parts[-1] += character
        previous_star = star
    if len(parts) - 1 > MAX_STARS:
        raise ValueError(f"must not have more than {MAX_STARS} stars")
    return tuple(parts)


def _unescape(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each character that a wildcard stands for, and whether a backslash made it literal."""
    characters = iter(text)
    for character in characters:
        if character != "\\":
            yield character, False
            continue
        escaped = next(characters, "")
        if escaped not in {"*", "\\"}:
            raise ValueError("a backslash must be followed by a star or a backslash")
        yield escaped, True
