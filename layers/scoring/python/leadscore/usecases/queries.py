"""What a reader may ask of the ranked list, parsed once at the edge."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from leadscore.core.instants import Millis
from leadscore.core.ruleset import DISQUALIFIED, Ruleset

MAX_LIMIT = 100
DEFAULT_LIMIT = 50


class InvalidQueryError(ValueError):
    """A query that cannot be answered; the message names the parameter and never repeats its value."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the page before ended: at which instant it was ranked, and its last lead's score and id."""

    at: Millis
    score: float
    lead: str

    def encode(self) -> str:
        """Return the cursor as an opaque, URL-safe text."""
        return base64.urlsafe_b64encode(json.dumps([self.at, self.score, self.lead]).encode()).decode()

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Return the cursor that `encode` made; raises InvalidQueryError for any other text."""
        try:
            at, score, lead = json.loads(base64.urlsafe_b64decode(text.encode()))
        except (ValueError, TypeError) as error:
            raise InvalidQueryError("cursor: not one that `next_cursor` handed out") from error
        if type(at) is not int or type(score) not in {int, float} or type(lead) is not str:
            raise InvalidQueryError("cursor: not one that `next_cursor` handed out")
        return cls(at, score, lead)


@dataclass(frozen=True, slots=True)
class LeadsQuery:
    """A page of the ranked list: at most `limit` leads of `tier` (None: of all) after `cursor`."""

    limit: int = DEFAULT_LIMIT
    tier: str | None = None
    cursor: Cursor | None = None


def parse_leads_query(parameters: Mapping[str, str], ruleset: Ruleset) -> LeadsQuery:
    """Return the query that URL parameters spell; raises InvalidQueryError, also for unknown parameters."""
    if set(parameters) - {"limit", "tier", "cursor"}:
        raise InvalidQueryError("unknown parameter; there are limit, tier and cursor")
    limit = parameters.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= MAX_LIMIT):
        raise InvalidQueryError(f"limit: a whole number from 1 to {MAX_LIMIT}")
    tiers = [tier.name for tier in ruleset.tiers] + [DISQUALIFIED]
    tier = parameters.get("tier")
    if tier is not None and tier not in tiers:
        raise InvalidQueryError(f"tier: one of {', '.join(tiers)}")
    cursor = parameters.get("cursor")
    return LeadsQuery(int(limit), tier, Cursor.decode(cursor) if cursor is not None else None)
