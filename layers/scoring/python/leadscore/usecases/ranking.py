"""The ranked list, exact at the instant it is read although scores decay.

The index holds for each lead a bound that its score cannot pass without a new event. A read walks it from the highest
bound down and scores what it meets, until the page is full and nobody still to come can beat its last place.

    bound    98   97   96   91   90 ...       a page of two, and one more to know whether the list goes on
    score    97   60   96   91                97, 96 and 91 are found: a bound of 90 can put nobody before 91
                  ^ bounded loosely: its key is to be moved, so that the next read does not meet it here

Invariant: leads that are not written between two pages are each on exactly one of them, in order, as of the cursor's
instant. A lead that is written meanwhile (an event, a tier that time has changed) is ranked by what it has become,
and may be missed or come twice.

What an entry says is what its lead's last write said. Until the traits of an account have been spread to its leads,
and until leads have been brought under a changed ruleset, a lead can be met too low; its score is never a stale one.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import NamedTuple, Protocol

from leadscore.core.changes import Person, Reason
from leadscore.core.identity import Identity, display_id
from leadscore.core.instants import Millis, format_instant, from_datetime, to_datetime
from leadscore.core.p_convert import CalibrationNote, PConvert
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.core.state import State
from leadscore.usecases.chances import NO_CHANCES, Chances
from leadscore.usecases.deciding import bounds_loosely, highest_score, is_surely_elsewhere, rank_key
from leadscore.usecases.queries import Cursor, LeadsQuery
from leadscore.usecases.records import Ranked, Reader, StoredIdentity
from leadscore.usecases.standing import describe_person, score_leads, top_reasons

# Leads are read in chunks that grow: a page rarely needs many more than it shows.
_FIRST_CHUNK, _LARGEST_CHUNK = 10, 100
# What one request has time for, in entries of the index; to read and score a lead takes as long as so many entries.
PATIENCE = 75_000
_LEAD_EFFORT = 5
# What one read moves at most, which is 100 requests to the queue.
MOST_REKEYED = 1000
# A lead that was refreshed since the cursor's instant has a key as of then; it may have sunk by so many points.
_SUNK_MEANWHILE = 1.0


@dataclass(frozen=True, slots=True)
class RankedLead:
    """One line of the ranked list. May contain personal data: do not log."""

    person: Person
    score: Score
    reasons: list[Reason]
    p_convert: PConvert | None

    def to_dict(self) -> dict[str, object]:
        """Return the line as plain JSON types."""
        return {
            **self.person,
            "score": self.score.total,
            "fit": self.score.groups["fit"],
            "engagement": self.score.groups["engagement"],
            "tier": self.score.tier,
            "p_convert": None if self.p_convert is None else self.p_convert.to_dict(),
            "reasons": self.reasons,
        }


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the ranked list as of `at`; `next_cursor` is None on the last page.

    `calibration` is what the chances to convert are from. `loose` are leads whose place in the index should be moved.
    """

    leads: list[RankedLead]
    next_cursor: str | None
    at: str
    calibration: CalibrationNote
    loose: tuple[Identity, ...] = ()

    def to_rows(self) -> list[dict[str, object]]:
        """Return the lines as plain JSON types."""
        return [lead.to_dict() for lead in self.leads]

    def to_dict(self) -> dict[str, object]:
        """Return the page as plain JSON types."""
        return {
            "leads": self.to_rows(),
            "next_cursor": self.next_cursor,
            "at": self.at,
            "calibration": self.calibration.to_dict(),
        }


class TooManyLeadsError(Exception):
    """A page that takes more reading than one request has time for; `loose` should be moved all the same."""

    def __init__(self, loose: tuple[Identity, ...]) -> None:
        super().__init__(
            "more leads must be read than one request has time for; narrow the list by account, tier or min_score, "
            "or read it again in a minute, when leads that are out of place have been moved"
        )
        self.loose = loose


class EventQueue(Protocol):
    """Where leads are handed on to be refreshed."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send every message; raises unless all were accepted."""


def rank_leads(
    reader: Reader,
    ruleset: Ruleset,
    query: LeadsQuery,
    now: datetime,
    chances: Chances = NO_CHANCES,
    *,
    patience: int = PATIENCE,
) -> Page:
    """Return the page that `query` asks for, ranked as of its cursor's instant, else of `now`.

    Every page walks the index from the top, so that a later page costs more than the first; raises TooManyLeadsError
    where that is more than `patience` allows.
    """
    at = query.cursor.at if query.cursor is not None else from_datetime(now)
    page = _Making(ruleset, query, at, chances, patience)
    members = None if query.account is None else (lead for _, lead in reader.walk_members(query.account))
    for leads in page.chunks(page.walk_ranking(reader) if members is None else members):
        for root, state, score in score_leads(reader, ruleset, leads, to_datetime(at)):
            page.place(root, state, score)
    return page.finish()


def move_in_passing(queue: EventQueue, loose: Sequence[Identity]) -> None:
    """Hand on leads that a read met out of place, at most 1,000, to be given their true keys.

    Those that are left are met again by the next read. Raises what the queue raises.
    """
    # Imported where it is needed: few reads meet anything out of place, and a cold start pays for the scoring path.
    from leadscore.usecases.batches import Refresh

    queue.send_all([Refresh(identity).body() for identity in loose[:MOST_REKEYED]])


class _Place(NamedTuple):
    """A lead that belongs on the page as far as is known; `order` is smallest at the top of the list."""

    order: tuple[float, Identity]
    state: State
    score: Score


class _Making:
    """A page in the making: its best places so far, and what can still come on to it."""

    def __init__(self, ruleset: Ruleset, query: LeadsQuery, at: Millis, chances: Chances, patience: int) -> None:
        self._ruleset = ruleset
        self._query = query
        self._at = at
        self._chances = chances
        self._patience = patience
        cursor = query.cursor
        self._after = (-cursor.score, cursor.lead) if cursor is not None else None
        self._margin = _SUNK_MEANWHILE if cursor is not None else 0.0
        self._least = _least_score(ruleset, query)
        # One more than the page shows tells whether there is another page.
        self._wanted = query.limit + 1
        self._best: list[_Place] = []
        self._loose: list[Identity] = []

    def walk_ranking(self, reader: Reader) -> Iterator[Identity]:
        """Yield the leads whose scores the page depends on, as far as is known at each."""
        # A lead whose key sinks during the walk is met twice.
        met: set[Identity] = set()
        for entry in reader.walk_ranking():
            bound = highest_score(entry.rank_key) + self._margin
            if self._least is not None and bound < self._least:
                return
            if len(self._best) == self._wanted and self._best[-1].order <= (-bound, entry.identity):
                return
            self._take_effort(1)
            if not (self._is_elsewhere(entry) or entry.identity in met):
                met.add(entry.identity)
                yield entry.identity

    def chunks(self, leads: Iterator[Identity]) -> Iterator[list[Identity]]:
        """Yield the leads in chunks as large as is surely needed, else small at first."""
        size = _FIRST_CHUNK
        while chunk := list(islice(leads, min(max(size, self._wanted - len(self._best)), _LARGEST_CHUNK))):
            self._take_effort(_LEAD_EFFORT * len(chunk))
            yield chunk
            size *= 2

    def place(self, root: StoredIdentity, state: State, score: Score) -> None:
        """Enter a lead that was scored, where it belongs on the page."""
        if root.body is not None and _is_misplaced(root.body.rank_key, score.ceiling):
            self._loose.append(root.identity)
        order = (-score.total, root.identity)
        if self._passes(state, score) and (self._after is None or order > self._after):
            insort(self._best, _Place(order, state, score), key=attrgetter("order"))
            del self._best[self._wanted :]

    def finish(self) -> Page:
        """Return the page."""
        shown = self._best[: self._query.limit]
        goes_on = len(self._best) == self._wanted
        cursor = Cursor(self._at, shown[-1].score.total, shown[-1].order[1]).encode() if goes_on else None
        leads = [
            RankedLead(
                describe_person(display_id(identity), state),
                score,
                top_reasons(self._ruleset, score),
                self._chances.of(score),
            )
            for (_, identity), state, score in shown
        ]
        return Page(leads, cursor, format_instant(self._at), self._chances.note, tuple(self._loose))

    def _is_elsewhere(self, entry: Ranked) -> bool:
        wanted = self._query.tier
        return wanted is not None and is_surely_elsewhere(entry, wanted, self._ruleset, self._at)

    def _passes(self, state: State, score: Score) -> bool:
        query = self._query
        return (
            query.tier in {None, score.tier}
            and query.account in {None, state.account}
            and (query.owner is None or state.traits.get("owner") == query.owner)
            and (query.min_score is None or score.total >= query.min_score)
        )

    def _take_effort(self, effort: int) -> None:
        self._patience -= effort
        if self._patience < 0:
            raise TooManyLeadsError(tuple(self._loose))


def _least_score(ruleset: Ruleset, query: LeadsQuery) -> float | None:
    """Return a score below which nobody passes the query, None where there is none."""
    tiers = {tier.name: tier.from_ for tier in ruleset.tiers}
    bounds: Iterable[float | None] = (tiers.get(query.tier) if query.tier is not None else None, query.min_score)
    return max((bound for bound in bounds if bound is not None), default=None)


def _is_misplaced(key: int, ceiling: float) -> bool:
    """Return whether a key bounds a ceiling loosely, or, made under other criteria or traits, not at all."""
    return bounds_loosely(key, ceiling) or key < rank_key(ceiling)
