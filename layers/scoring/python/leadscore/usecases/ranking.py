"""The ranked list, exact at the instant it is read although scores decay.

The index holds for each lead a ceiling that its score cannot pass without a new event. A read walks it from the top
and scores what it meets; once the last place on the page is taken by a score above every ceiling still to come,
nothing later can change the page.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from leadscore.core.changes import Person, Reason
from leadscore.core.instants import format_instant, from_datetime, to_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.usecases.queries import Cursor, LeadsQuery
from leadscore.usecases.records import LeadReader
from leadscore.usecases.standing import describe_person, score_leads, top_reasons

# Keys are whole hundredths of a point, rounded up so that a key never lies below its score, and shifted so that
# a negative total sorts rightly as text.
_KEYS_PER_POINT = 100
_KEY_SHIFT = 10**9
_WALK = 100


@dataclass(frozen=True, slots=True)
class RankedLead:
    """One line of the ranked list. May contain personal data: do not log."""

    person: Person
    score: Score
    reasons: list[Reason]

    @property
    def order(self) -> tuple[float, str]:
        """The sort key, ascending from the top: by score, highest first, then by id."""
        return (-self.score.total, self.person["id"])

    def to_dict(self) -> dict[str, object]:
        """Return the line as plain JSON types."""
        return {
            **self.person,
            "score": self.score.total,
            "fit": self.score.groups["fit"],
            "engagement": self.score.groups["engagement"],
            "tier": self.score.tier,
            "reasons": self.reasons,
        }


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the ranked list as of `at`; `next_cursor` is None on the last page."""

    leads: list[RankedLead]
    next_cursor: str | None
    at: str

    def to_dict(self) -> dict[str, object]:
        """Return the page as plain JSON types."""
        return {
            "leads": [lead.to_dict() for lead in self.leads],
            "next_cursor": self.next_cursor,
            "at": self.at,
        }


def rank_key(ceiling: float) -> int:
    """Return the index key of a score's ceiling: whole hundredths, rounded up, never negative."""
    return max(0, math.ceil(ceiling * _KEYS_PER_POINT) + _KEY_SHIFT)


def rank_leads(reader: LeadReader, ruleset: Ruleset, query: LeadsQuery, now: datetime) -> Page:
    """Return the page that `query` asks for, ranked as of its cursor's instant, else of `now`.

    Every page walks the index from the top, so that a later page costs more than the first.
    """
    at = query.cursor.at if query.cursor is not None else from_datetime(now)
    after = (-query.cursor.score, query.cursor.lead) if query.cursor is not None else None
    best: list[RankedLead] = []
    for chunk in batched(reader.walk_ranking(), _WALK, strict=False):
        if len(best) > query.limit and rank_key(best[query.limit].score.total) > chunk[0][0]:
            break
        leads = [lead for _, lead in chunk]
        for stored, state, score in score_leads(reader, ruleset, leads, to_datetime(at)):
            ranked = RankedLead(describe_person(stored.lead, state), score, top_reasons(ruleset, score))
            if (after is None or ranked.order > after) and query.tier in {None, score.tier}:
                insort(best, ranked, key=lambda place: place.order)
        del best[query.limit + 1 :]
    leads_shown = best[: query.limit]
    more = len(best) > query.limit
    last = Cursor(at, leads_shown[-1].score.total, leads_shown[-1].person["id"]).encode() if more else None
    return Page(leads_shown, last, format_instant(at))
