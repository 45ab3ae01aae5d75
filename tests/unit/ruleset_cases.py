"""The good and the bad list of rulesets: one source for the tests of the parser and of the JSON Schema.

good/*.yaml holds one document each. bad/*.yaml holds cases between `---` lines; the comments that a case begins with
say what must be reported:

    # error: PATH | part of the message | JSON of the value
    # schema: silent, why only the parser can know
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

_LISTS = Path(__file__).parent / "rulesets"
_ERROR = re.compile(r"# error: (?P<path>[^|]*?) *\| (?P<message>[^|]*?)( \| (?P<value>.*))?")


@dataclass(frozen=True)
class Expected:
    """One problem that must be reported; `value` is its JSON, or None where the case does not say."""

    path: str
    message: str
    value: str | None


@dataclass(frozen=True)
class BadCase:
    name: str
    text: str
    errors: tuple[Expected, ...]
    schema_is_silent: bool


def good_texts() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted((_LISTS / "good").glob("*.yaml"))}


def bad_cases() -> list[BadCase]:
    return [
        _read_case(f"{path.stem}-{i}", text)
        for path in sorted((_LISTS / "bad").glob("*.yaml"))
        for i, text in enumerate(path.read_text().split("\n---\n"))
    ]


def _read_case(name: str, text: str) -> BadCase:
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("# ")]
    found = [_ERROR.fullmatch(line) for line in comments if line.startswith("# error:")]
    errors = [_read_expected(match) for match in found if match is not None]
    assert errors, f"{name} expects no error"
    assert len(errors) == len(found), f"{name} has an unreadable `# error:` line"
    return BadCase(
        name,
        "\n".join(line for line in lines if line not in comments),
        tuple(errors),
        schema_is_silent=any(line.startswith("# schema: silent, ") for line in comments),
    )


def _read_expected(match: re.Match[str]) -> Expected:
    value = match["value"]
    return Expected(match["path"], match["message"], None if value is None else as_json(json.loads(value)))


def as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)
