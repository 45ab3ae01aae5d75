"""What a reader may ask of the ranked list, parsed once at the edge."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from leadscore.core.identity import Identity
from leadscore.core.instants import Millis, to_datetime
from leadscore.core.ruleset import DISQUALIFIED, Ruleset

MAX_LIMIT = 1000
DEFAULT_LIMIT = 50
PARAMETERS = ("tier", "account", "owner", "min_score", "limit", "cursor", "format")
# The longest that ingestion lets through, and that a state keeps.
_LONGEST_ACCOUNT, _LONGEST_OWNER = 256, 2048
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?", re.ASCII)
_LARGEST_NUMBER = 1e9
_NO_CURSOR = "cursor: not one that `next_cursor` handed out"

Format = Literal["json", "csv"]
_MEDIA_TYPES: dict[str, Format] = {"application/json": "json", "text/csv": "csv"}


class InvalidQueryError(ValueError):
    """A query that cannot be answered; the message names the parameter and never repeats its value."""


def write_cursor(place: object) -> str:
    """Return plain JSON types as an opaque text that a URL takes as it is."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_cursor(text: str) -> object:
    """Return what `write_cursor` made the text of, or what else it is; None where it is nothing."""
    try:
        place: object = json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return None
    return place


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the page before ended: at which instant it was ranked, and its last lead's score and identity.

    May contain personal data: do not log.
    """

    at: Millis
    score: float
    lead: Identity

    def encode(self) -> str:
        """Return the cursor as an opaque text that a URL takes as it is."""
        return write_cursor([self.at, self.score, self.lead])

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Return the cursor that `encode` made; raises InvalidQueryError for any other text."""
        try:
            match read_cursor(text):
                case [int(at), int() | float() as score, str(lead)] if _are_numbers(at, score):
                    to_datetime(at)
                    return cls(at, score, lead)
        except OverflowError as error:
            raise InvalidQueryError(_NO_CURSOR) from error
        raise InvalidQueryError(_NO_CURSOR)


@dataclass(frozen=True, slots=True)
class LeadsQuery:
    """A page of the ranked list: at most `limit` leads after `cursor`, of those that pass every filter that is set.

    `owner` is the lead's trait of that name, to the letter.
    """

    limit: int = DEFAULT_LIMIT
    tier: str | None = None
    account: str | None = None
    owner: str | None = None
    min_score: float | None = None
    cursor: Cursor | None = None


def parse_leads_query(parameters: Mapping[str, str], ruleset: Ruleset) -> LeadsQuery:
    """Return the query that URL parameters spell; raises InvalidQueryError, also for unknown parameters."""
    if set(parameters) - set(PARAMETERS):
        raise InvalidQueryError(f"unknown parameter; there are {', '.join(PARAMETERS)}")
    tiers = [tier.name for tier in ruleset.tiers] + [DISQUALIFIED]
    tier = parameters.get("tier")
    if tier is not None and tier not in tiers:
        raise InvalidQueryError(f"tier: one of {', '.join(tiers)}")
    return LeadsQuery(
        limit=parse_limit(parameters, DEFAULT_LIMIT, MAX_LIMIT),
        tier=tier,
        account=_text(parameters, "account", _LONGEST_ACCOUNT),
        owner=_text(parameters, "owner", _LONGEST_OWNER),
        min_score=parse_score(parameters),
        cursor=parse_cursor(parameters),
    )


def parse_limit(parameters: Mapping[str, str], default: int, most: int) -> int:
    """Return how long a page may be; raises InvalidQueryError."""
    limit = parameters.get("limit", str(default))
    if not (_WHOLE.fullmatch(limit) and 1 <= int(limit) <= most):
        raise InvalidQueryError(f"limit: a whole number from 1 to {most}")
    return int(limit)


def parse_score(parameters: Mapping[str, str]) -> float | None:
    """Return the least score that is asked for; raises InvalidQueryError."""
    return _number(parameters, "min_score")


def parse_cursor(parameters: Mapping[str, str]) -> Cursor | None:
    """Return where the page before ended; raises InvalidQueryError."""
    cursor = parameters.get("cursor")
    return Cursor.decode(cursor) if cursor is not None else None


def parse_format(parameters: Mapping[str, str], accept: str) -> Format:
    """Return the format that `format` asks for, else the first one that an Accept header names, else JSON.

    Raises InvalidQueryError for an unknown `format`; a header that names neither takes what there is.
    """
    match parameters.get("format"):
        case "json" | "csv" as format_:
            return format_
        case None:
            named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
            return next((_MEDIA_TYPES[name] for name in named if name in _MEDIA_TYPES), "json")
    raise InvalidQueryError("format: json or csv")


def _are_numbers(*values: float) -> bool:
    return all(type(value) is not bool and isfinite(value) for value in values)


def _text(parameters: Mapping[str, str], name: str, longest: int) -> str | None:
    text = parameters.get(name)
    if text is not None and not 1 <= len(text) <= longest:
        raise InvalidQueryError(f"{name}: a text of 1 to {longest} characters")
    return text


def _number(parameters: Mapping[str, str], name: str) -> float | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not (_NUMBER.fullmatch(text) and abs(float(text)) <= _LARGEST_NUMBER):
        raise InvalidQueryError(f"{name}: a number such as 50 or 12.5")
    return float(text)
