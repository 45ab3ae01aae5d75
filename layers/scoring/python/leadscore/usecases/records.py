"""What the store holds, as values, and the protocol through which the use cases reach it.

One item per lead is its materialised state; one item per event is the log that it can be rebuilt from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadscore.core.alerting import AlertMemory
from leadscore.core.changes import Change
from leadscore.core.instants import Millis

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class StoredLead:
    """A lead as stored. `version` counts its writes; `state` is a serialised State; `pending` waits to be announced.

    `rank_key` bounds its score from above until its next event; `due` is when time alone next changes its tier.
    """

    lead: str
    version: int
    state: str
    ruleset: str
    tier: str
    rank_key: int
    memory: AlertMemory
    due: Millis | None = None
    pending: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account's traits as stored; `version` 0 is an account that was never written."""

    account: str
    version: int
    state: str


@dataclass(frozen=True, slots=True)
class LeadCommit:
    """All that one decision writes, in one transaction or not at all.

    `lead.version` is the version being written, one above the one that was read; `lead.pending` are only the changes
    that this commit adds. The same holds for the versions of `accounts`.
    """

    lead: StoredLead
    events: Sequence[Event]
    accounts: Sequence[StoredAccount]


class VersionConflictError(Exception):
    """Someone else wrote the lead or an account since it was read: read again and decide again."""


class KnownEventsError(Exception):
    """Some events of a commit are in the log already; `ids` are their message ids. Nothing was written."""

    def __init__(self, ids: frozenset[str]) -> None:
        super().__init__(f"{len(ids)} events are in the log already")
        self.ids = ids


class LeadReader(Protocol):
    """Reads of leads, accounts and the log; all of them see every write that was acknowledged before."""

    def load_lead(self, lead: str) -> StoredLead | None:
        """Return the lead, or None."""

    def load_leads(self, leads: Sequence[str]) -> dict[str, StoredLead]:
        """Return those of up to 100 leads that exist."""

    def load_accounts(self, accounts: Iterable[str]) -> dict[str, StoredAccount]:
        """Return those of the accounts that exist."""

    def load_events(self, lead: str) -> list[Event]:
        """Return every event of the lead that the log holds, in no particular order."""

    def walk_ranking(self) -> Iterator[tuple[int, str]]:
        """Yield (rank key, lead) from the highest key down, over all shards; may lag behind the newest writes."""

    def walk_due(self, until: Millis) -> Iterator[str]:
        """Yield the leads that are due by `until`, the longest due first; may lag behind the newest writes."""


class LeadStore(LeadReader, Protocol):
    """Reads and the two writes of the scoring path."""

    def append_event(self, lead: str, event: Event) -> None:
        """Put one event into the log, unless its message id is there already."""

    def commit(self, commit: LeadCommit) -> None:
        """Write the commit; raises KnownEventsError or VersionConflictError and then has written nothing."""
