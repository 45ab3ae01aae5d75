"""What is sent to try or to publish a ruleset, or to go back to one, parsed once at the edge.

Invariant: nothing of a ruleset that was sent is ignored: a field that comes twice is an error, as it is in a file.
A complaint names the field and never repeats what was in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from leadscore.core.parsing import parse_ruleset
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.publishing import Intent

WHY_CHARACTERS = 500
# A ruleset of 1 MB, with each character of it escaped at worst.
_BODY_BYTES = 3_000_000
DEFAULT_SAMPLE, LARGEST_SAMPLE = 500, 5000
_VERSION = re.compile(r"[0-9a-f]{4,12}", re.ASCII)
# Neither control characters and ends of lines, nor halves of characters, which no table keeps.
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]*")
_DIGITS = 12


class InvalidRequestError(ValueError):
    """The body is not what publishing takes; the message names the field and never repeats its value."""


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A ruleset to publish in place of the version `replaces`, and why."""

    ruleset: Ruleset
    why: str
    replaces: str

    def intent(self, by: str) -> Intent:
        """Return why and by whom it is to be published."""
        return Intent(by, self.why, self.replaces)


@dataclass(frozen=True, slots=True)
class DryRunRequest:
    """A ruleset to try on a sample of so many leads."""

    ruleset: Ruleset
    sample: int


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """A published version to go back to, in place of `replaces` or of whichever is active, and why."""

    version: str
    why: str
    replaces: str | None

    def intent(self, by: str) -> Intent:
        """Return why and by whom it is to be published again."""
        return Intent(by, self.why, self.replaces)


def read_body(text: Callable[[int], str]) -> str:
    """Return a body from `text`, which takes the most bytes and raises ValueError; raises InvalidRequestError."""
    try:
        return text(_BODY_BYTES)
    except ValueError as error:
        raise InvalidRequestError(f"the body must be UTF-8 of at most {_BODY_BYTES:,} bytes") from error


def parse_publication(text: str) -> PublishRequest:
    """Return the request that a body is; raises InvalidRequestError, and InvalidRuleset for its document."""
    said = _read_object(text, ("document", "why", "replaces"))
    document = said.get("document")
    if not isinstance(document, dict):
        raise InvalidRequestError("document: must be the ruleset, an object")
    # Empty where what is active is no ruleset.
    replaces = "" if said.get("replaces") == "" else _parse_replaces(said)
    return PublishRequest(parse_ruleset(document), _parse_why(said), replaces)


def parse_dry_run(text: str) -> DryRunRequest:
    """Return the request that a body is; raises InvalidRequestError, and InvalidRuleset for its document."""
    said = _read_object(text, ("document", "sample"))
    document, sample = said.get("document"), said.get("sample", DEFAULT_SAMPLE)
    if not isinstance(document, dict):
        raise InvalidRequestError("document: must be the ruleset, an object")
    # To JSON Schema, and to JavaScript, 500.0 is the integer 500.
    if isinstance(sample, float) and sample.is_integer():
        sample = int(sample)
    if not isinstance(sample, int) or isinstance(sample, bool) or not 1 <= sample <= LARGEST_SAMPLE:
        raise InvalidRequestError(f"sample: must be a whole number of leads, 1 to {LARGEST_SAMPLE}")
    return DryRunRequest(parse_ruleset(document), sample)


def parse_rollback(text: str) -> RollbackRequest:
    """Return the request that a body is; raises InvalidRequestError."""
    said = _read_object(text, ("version", "why", "replaces"))
    version, replaces = said.get("version"), None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InvalidRequestError("version: must be a version of 12 hex digits, or at least its first 4")
    if "replaces" in said:
        replaces = _parse_replaces(said)
    return RollbackRequest(version, _parse_why(said), replaces)


def _parse_replaces(said: dict[str, object]) -> str:
    replaces = said.get("replaces")
    if not isinstance(replaces, str) or len(replaces) != _DIGITS or not _VERSION.fullmatch(replaces):
        raise InvalidRequestError("replaces: must be the version that is active now, 12 hex digits")
    return replaces


def _parse_why(said: dict[str, object]) -> str:
    why = said.get("why", "")
    if not isinstance(why, str) or len(why) > WHY_CHARACTERS or not _ONE_LINE.fullmatch(why):
        raise InvalidRequestError(f"why: must be one line of at most {WHY_CHARACTERS} characters")
    return why.strip()


def _read_object(text: str, fields: Collection[str]) -> dict[str, object]:
    try:
        said = json.loads(text, object_pairs_hook=_read_pairs, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("the body must be a JSON object in which no field comes twice") from error
    if not isinstance(said, dict):
        raise InvalidRequestError("the body must be a JSON object in which no field comes twice")
    if set(said) - set(fields):
        raise InvalidRequestError(f"unknown field; there are {', '.join(fields)}")
    return said


def _read_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a field comes twice")
    return read


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
