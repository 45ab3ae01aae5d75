"""Finding the leads whose tier time alone has changed, without looking at any other.

    schedule --> cool --walks the sparse `due` index--> events queue --> score: refresh, announce
                  ^  |
                  +--+ where more are due than one run takes: from behind the last one

Accounts whose time it is are handed on the same way, to be rated anew.

Invariant: a lead stays in the index until it was refreshed, so that a run that dies is made good by the next one;
telling `score` of a lead twice is harmless. The work is the number of real changes, not the number of leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import batched, islice
from typing import NamedTuple, Protocol

from leadscore.core.identity import Identity
from leadscore.core.instants import Millis, from_datetime
from leadscore.usecases.alert_records import Release
from leadscore.usecases.batches import Refresh
from leadscore.usecases.rate_message import Rate

# What one run hands on at most.
LEADS_PER_RUN = 10_000
DESKS_PER_RUN = 10_000
ACCOUNTS_PER_RUN = 10_000
_LEADS_PER_SEND = 100


class DueLeads(Protocol):
    """Where the leads that are due are found."""

    def walk_due(self, until: Millis, after: str = "") -> Iterator[tuple[str, Identity]]:
        """Yield (mark, identity) of the leads due by `until`, the longest due first, behind the mark `after`."""


class DueAccounts(Protocol):
    """Where the accounts that are due are found."""

    def walk_due_accounts(self, until: Millis) -> Iterator[str]:
        """Yield the accounts due by `until`, the longest due first."""


class Queue(Protocol):
    """Where they are handed on."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send every message; raises unless all were accepted."""


class DueDesks(Protocol):
    """Where the desks at which alerts wait are found."""

    def walk_due(self, until: Millis) -> Iterator[str]:
        """Yield the names of the desks that are due by `until`."""


class HandedOn(NamedTuple):
    """How many leads one run has handed on; `mark` is where the next goes on, None where nothing is left."""

    leads: int
    mark: str | None


def hand_on_due_leads(leads: DueLeads, queue: Queue, now: datetime, after: str = "") -> HandedOn:
    """Hand on every lead that is due by `now`, at most 10,000 behind the mark `after`; raises what the queue raises."""
    handed_on, mark = 0, ""
    due = islice(leads.walk_due(from_datetime(now), after), LEADS_PER_RUN)
    for some in batched(due, _LEADS_PER_SEND, strict=False):
        queue.send_all([Refresh(identity).body() for _, identity in some])
        handed_on += len(some)
        mark = some[-1][0]
    return HandedOn(handed_on, mark if handed_on == LEADS_PER_RUN else None)


def hand_on_due_desks(desks: DueDesks, queue: Queue, now: datetime) -> int:
    """Hand on the desks whose time has come, at most 10,000, and return how many; raises what the queue raises.

    What is over that number waits for the next run.
    """
    names = list(islice(desks.walk_due(from_datetime(now)), DESKS_PER_RUN))
    if names:
        queue.send_all([Release(name).body() for name in names])
    return len(names)


def hand_on_due_accounts(accounts: DueAccounts, queue: Queue, now: datetime) -> int:
    """Hand on the accounts that are due by `now`, at most 10,000, and return how many; raises what the queue raises.

    An account is due once a day at most: what is over that number waits for the next run.
    """
    handed_on = 0
    due = islice(accounts.walk_due_accounts(from_datetime(now)), ACCOUNTS_PER_RUN)
    for some in batched(due, _LEADS_PER_SEND, strict=False):
        queue.send_all([Rate(account).body() for account in some])
        handed_on += len(some)
    return handed_on
