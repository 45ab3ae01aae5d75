"""What a reader may ask of the ranked list of accounts, parsed once at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leadscore.core.ruleset import Ruleset
from leadscore.usecases.queries import Cursor, InvalidQueryError, parse_cursor, parse_limit, parse_score

# To score an account its people are read.
MAX_LIMIT = 100
DEFAULT_LIMIT = 20
PARAMETERS = ("tier", "min_score", "limit", "cursor")


@dataclass(frozen=True, slots=True)
class AccountsQuery:
    """A page of the ranked list: at most `limit` accounts after `cursor`, of those that pass every filter."""

    limit: int = DEFAULT_LIMIT
    tier: str | None = None
    min_score: float | None = None
    cursor: Cursor | None = None


def parse_accounts_query(parameters: Mapping[str, str], ruleset: Ruleset) -> AccountsQuery:
    """Return the query that URL parameters spell; raises InvalidQueryError, also for unknown parameters."""
    if set(parameters) - set(PARAMETERS):
        raise InvalidQueryError(f"unknown parameter; there are {', '.join(PARAMETERS)}")
    tiers = [tier.name for tier in ruleset.tiers]
    tier = parameters.get("tier")
    if tier is not None and tier not in tiers:
        raise InvalidQueryError(f"tier: one of {', '.join(tiers)}")
    return AccountsQuery(
        limit=parse_limit(parameters, DEFAULT_LIMIT, MAX_LIMIT),
        tier=tier,
        min_score=parse_score(parameters),
        cursor=parse_cursor(parameters),
    )
