"""The ranked list of accounts, exact at the instant it is read although their people's scores decay.

It is made as the list of leads is: the index holds for each account a bound that its score cannot pass until one of its
people changes. A read walks it from the highest bound down, scores the accounts that it meets by their people, and ends
where nobody still to come can beat the last place of the page.

Until an account was rated after a lead of it was written, which takes moments, it can be met too low; its score is
never a stale one.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple, Protocol

from leadscore.core.decay import to_points
from leadscore.core.instants import Millis, format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.account_people import PEOPLE_SHOWN, Standing, read_standing
from leadscore.usecases.account_queries import AccountsQuery
from leadscore.usecases.account_views import Contribution, largest
from leadscore.usecases.accounts import account_name, load_account_states
from leadscore.usecases.deciding import bounds_loosely, highest_score, rank_key
from leadscore.usecases.queries import Cursor
from leadscore.usecases.rate_message import Rate
from leadscore.usecases.records import Reader

# What one request has time for, in people that are read and scored; to find an account's people takes as long as five.
PATIENCE = 10_000
_ACCOUNT_EFFORT = 5
# What one read hands on at most, which is 100 requests to the queue.
MOST_RATED = 1000
# People who were refreshed since the cursor's instant have keys as of then; they may have sunk by so many points.
_SUNK_MEANWHILE = 1.0


@dataclass(frozen=True, slots=True)
class RankedAccount:
    """One line of the list, with those of its people who add most. Personal data: do not log."""

    account: str
    name: str
    score: float
    tier: str
    people_total: int
    people: list[Contribution]

    def to_dict(self) -> dict[str, object]:
        """Return the line as plain JSON types."""
        return {
            "id": self.account,
            "name": self.name,
            "score": self.score,
            "tier": self.tier,
            "people_total": self.people_total,
            "people": [person.to_dict() for person in self.people],
        }


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Part of the ranked list as of `at`; `next_cursor` is None on the last page.

    `loose` are accounts whose place in the index should be moved.
    """

    accounts: list[RankedAccount]
    next_cursor: str | None
    at: str
    loose: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the page as plain JSON types."""
        return {
            "accounts": [account.to_dict() for account in self.accounts],
            "next_cursor": self.next_cursor,
            "at": self.at,
        }


class TooManyAccountsError(Exception):
    """A page that takes more reading than one request has time for; `loose` should be moved all the same."""

    def __init__(self, loose: tuple[str, ...]) -> None:
        super().__init__(
            "more people must be read than one request has time for; narrow the list by tier or min_score, or read it "
            "again in a minute, when accounts that are out of place have been moved"
        )
        self.loose = loose


class EventQueue(Protocol):
    """Where accounts are handed on to be rated anew."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send every message; raises unless all were accepted."""


def rank_accounts(
    reader: Reader, ruleset: Ruleset, query: AccountsQuery, now: datetime, *, patience: int = PATIENCE
) -> AccountPage:
    """Return the page that `query` asks for, ranked as of its cursor's instant, else of `now`.

    Raises TooManyAccountsError where that takes more reading than `patience` allows.
    """
    at = query.cursor.at if query.cursor is not None else from_datetime(now)
    page = _Making(reader, ruleset, query, at, patience)
    for key, account in page.walk():
        page.place(key, account)
    return page.finish()


def rate_in_passing(queue: EventQueue, loose: Sequence[str]) -> None:
    """Hand on accounts that a read met out of place, at most 1,000, to be rated anew. Raises what the queue raises."""
    queue.send_all([Rate(account).body() for account in loose[:MOST_RATED]])


class _Place(NamedTuple):
    """An account that belongs on the page as far as is known; `order` is smallest at the top of the list."""

    order: tuple[float, str]
    standing: Standing


class _Making:
    """A page in the making: its best places so far, and what can still come on to it."""

    def __init__(self, reader: Reader, ruleset: Ruleset, query: AccountsQuery, at: Millis, patience: int) -> None:
        self._reader = reader
        self._ruleset = ruleset
        self._query = query
        self._at = at
        self._patience = patience
        cursor = query.cursor
        self._after = (-cursor.score, cursor.lead) if cursor is not None else None
        self._margin = _SUNK_MEANWHILE if cursor is not None else 0.0
        self._least = _least_score(ruleset, query)
        # One more than the page shows tells whether there is another page.
        self._wanted = query.limit + 1
        self._best: list[_Place] = []
        self._loose: list[str] = []

    def walk(self) -> Iterator[tuple[int, str]]:
        """Yield the accounts whose scores the page depends on, as far as is known at each."""
        # An account whose key sinks during the walk is met twice.
        met: set[str] = set()
        for key, account in self._reader.walk_account_ranking():
            bound = highest_score(key) + self._margin
            if self._least is not None and bound < self._least:
                return
            if len(self._best) == self._wanted and self._best[-1].order <= (-bound, account):
                return
            if account not in met:
                met.add(account)
                yield key, account

    def place(self, key: int, account: str) -> None:
        """Score an account, and enter it where it belongs on the page."""
        standing = read_standing(self._reader, self._ruleset, account, self._at, "total", margin=self._margin)
        self._patience -= _ACCOUNT_EFFORT + len(standing.people)
        if self._patience < 0:
            raise TooManyAccountsError(tuple(self._loose))
        ceiling = to_points(standing.ceiling)
        if bounds_loosely(key, ceiling) or key < rank_key(ceiling):
            self._loose.append(account)
        order = (-standing.score, account)
        if self._passes(standing) and (self._after is None or order > self._after):
            insort(self._best, _Place(order, standing), key=attrgetter("order"))
            del self._best[self._wanted :]

    def finish(self) -> AccountPage:
        """Return the page."""
        shown = self._best[: self._query.limit]
        goes_on = len(self._best) == self._wanted
        cursor = Cursor(self._at, shown[-1].standing.score, shown[-1].order[1]).encode() if goes_on else None
        names = [place.order[1] for place in shown]
        states = load_account_states(self._reader, self._ruleset, names)
        ratings = self._reader.load_ratings(names) if names else {}
        accounts = [
            RankedAccount(
                account=account,
                name=account_name(states.get(account)),
                score=standing.score,
                tier=standing.tier,
                # A rating made before the newest of them was written may know fewer.
                people_total=max(ratings[account].people, standing.people_total),
                people=largest(standing, PEOPLE_SHOWN),
            )
            for (_, account), standing in shown
        ]
        return AccountPage(accounts, cursor, format_instant(self._at), tuple(self._loose))

    def _passes(self, standing: Standing) -> bool:
        query = self._query
        return query.tier in {None, standing.tier} and (query.min_score is None or standing.score >= query.min_score)


def _least_score(ruleset: Ruleset, query: AccountsQuery) -> float | None:
    """Return a score below which nobody passes the query, None where there is none."""
    tiers = {tier.name: tier.from_ for tier in ruleset.tiers}
    bounds = (tiers[query.tier] if query.tier is not None else None, query.min_score)
    return max((bound for bound in bounds if bound is not None), default=None)
