"""A ruleset's text or mapping as one clean JSON tree, with everything that cannot be in it reported by path.

What comes out holds only None, booleans, finite numbers, texts, lists and dicts with text keys, is of bounded
size and depth, and has one canonical text. Nothing is repaired: whatever is left out was reported.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leadscore.core.patterns import Problem
from leadscore.core.traits import canonical_json

# A tool writes the long ones as JSON; YAML takes a hundred times longer to read.
MAX_JSON_CHARACTERS = 4_000_000
MAX_YAML_CHARACTERS = 500_000
MAX_DEPTH = 64
MAX_VALUES = 500_000
_TEMPLATE = "{{"
_EXACT_WHOLE = 2**53


class UnreadableTextError(ValueError):
    """The text is no document at all; says what is wrong, with line and column where those are known."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object as written: its pairs in order, equal keys and keys that are no text included."""

    items: list[tuple[object, object]]


@dataclass(frozen=True, slots=True)
class Unusable:
    """A value that the text can hold and a ruleset cannot, with the reason."""

    reason: str
    value: object


def read_document(
    document: str | Mapping[str, object], problems: list[Problem], *, braces: bool = False
) -> dict[str, object] | None:
    """Return `document` as a clean JSON object; None when there is no object to speak of.

    A text whose first character (blanks apart) is `{` is JSON, any other is YAML. Appends every problem found. Two
    opening braces next to each other are one, unless whoever stores the document sees to `braces`.
    """
    tree: object = document
    if isinstance(document, str):
        try:
            tree = _read_text(document)
        except UnreadableTextError as error:
            problems.append(Problem("", str(error), document[:200]))
            return None
    cleaner = _Cleaner(problems, braces=braces)
    try:
        clean = cleaner.clean(tree, "", MAX_DEPTH)
    except _TooManyValuesError:
        problems.append(Problem("", f"a ruleset has at most {MAX_VALUES} values, aliases counted", MAX_VALUES))
        return None
    if isinstance(clean, dict):
        return clean
    if not problems:
        problems.append(Problem("", "a ruleset is an object with `tiers` and `criteria`", clean))
    return None


def canonical_text(value: object) -> str:
    """Return the one JSON text that equal values share: sorted keys, no blanks, 50.0 written as 50."""
    return canonical_json(_plain_numbers(value))


def join_path(path: str, key: str) -> str:
    """Return the path of the field `key` of the object at `path`."""
    return f"{path}.{key}" if path else key


def _read_text(text: str) -> object:
    text = text.removeprefix("\ufeff")
    is_json = text.lstrip().startswith("{")
    most = MAX_JSON_CHARACTERS if is_json else MAX_YAML_CHARACTERS
    if len(text) > most:
        raise UnreadableTextError(f"the text is {len(text)} characters long; at most {most} are read")
    if not is_json:
        # What is stored is JSON: no function's start pays for this import.
        from leadscore.core.yaml_text import read_yaml

        return read_yaml(text)
    try:
        return json.loads(text, object_pairs_hook=Pairs)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableTextError(f"not JSON: {error.msg} ({place})") from error
    except (RecursionError, ValueError) as error:
        raise UnreadableTextError(f"not JSON: {error}") from error


class _TooManyValuesError(Exception):
    """The tree, with its aliases written out, is too large to read."""


class _Cleaner:
    """Walks a tree once, copying what may be in a ruleset and reporting what may not."""

    def __init__(self, problems: list[Problem], *, braces: bool) -> None:
        self._problems = problems
        self._braces = braces
        self._values_left = MAX_VALUES

    def clean(self, value: object, path: str, depth: int) -> object:
        self._values_left -= 1
        if self._values_left < 0:
            raise _TooManyValuesError
        if isinstance(value, Pairs | Mapping | list | tuple):
            if depth == 0:
                self._report(path, f"nested more than {MAX_DEPTH} deep", None)
                return None
            if isinstance(value, list | tuple):
                return [self.clean(item, f"{path}[{i}]", depth - 1) for i, item in enumerate(value)]
            return self._clean_object(value.items if isinstance(value, Pairs) else value.items(), path, depth - 1)
        return self._clean_scalar(value, path)

    def _clean_object(self, pairs: Iterable[tuple[object, object]], path: str, depth: int) -> dict[str, object]:
        clean: dict[str, object] = {}
        for key, value in pairs:
            if isinstance(key, Unusable):
                self._report(path, key.reason, key.value)
                continue
            if not isinstance(key, str):
                self._report(path, "the name of a field is a text; quote it", _plain(key))
                continue
            here = join_path(path, key)
            cleaned = self.clean(value, here, depth)
            if key in clean:
                self._report(here, "the field is given twice", cleaned)
            else:
                self._check_text(key, here)
                clean[key] = cleaned
        return clean

    def _clean_scalar(self, value: object, path: str) -> object:
        if isinstance(value, Unusable):
            self._report(path, value.reason, value.value)
            return None
        if isinstance(value, str):
            self._check_text(value, path)
            return value
        if value is None or isinstance(value, bool):
            return value
        if not isinstance(value, int | float):
            self._report(path, f"a {type(value).__name__} is no JSON value", str(value))
            return None
        if not _is_double(value):
            self._report(path, "a number is finite and fits a double", repr(value)[:40])
            return None
        return value

    def _check_text(self, text: str, path: str) -> None:
        if _TEMPLATE in text and not self._braces:
            self._report(path, "`{{` cannot be stored: Parameter Store reads it as a template", text)
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            self._report(path, "the text has half of a surrogate pair", ascii(text))

    def _report(self, path: str, message: str, value: object) -> None:
        self._problems.append(Problem(path, message, value))


def _is_double(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | None) else type(value).__name__


def _plain_numbers(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_WHOLE:
        return int(value)
    return value
