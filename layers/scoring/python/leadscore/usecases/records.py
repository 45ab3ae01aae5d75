"""What the store holds, as values, and the protocols through which the use cases reach it.

    identity   one id of a person; the root of its tree is the lead and carries the lead's body, the others point to
               whoever owns them
    event      one fact in the log, under the strongest identity that it names; the log is the truth
    account    the traits of one company, and who has ever belonged to it
    quarantine events that must not count, kept beside the log, and marks on identities that such events are of
    rating     how an account stands by its people

A lead's body can be rebuilt from the log at any time, and a rating from the leads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from leadscore.core.alerting import AlertMemory
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity, Ownership
from leadscore.core.instants import Millis
from leadscore.core.state import Moment

if TYPE_CHECKING:
    from leadscore.quarantine import Reason

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LeadBody:
    """A lead's materialised state: what its events made of it under one ruleset.

    `rank_key` is an upper bound of its score until its next event, `due` when time alone next changes its tier.
    `announced` is the score that machines were last told, kept only where the ruleset tells them of scores.
    """

    state: str
    ruleset: str
    tier: str
    rank_key: int
    due: Millis | None
    account: str | None
    memory: AlertMemory
    announced: float | None = None


@dataclass(frozen=True, slots=True)
class StoredIdentity:
    """One identity as stored. `version` counts its writes; 0 was never written.

    `owner` is the claim by which it belongs to another; an identity with an owner has no body. `claimed` is what it
    has itself claimed, each with its first claim, whether or not that claim holds. `former` are those that have lost
    it to an earlier claim. `memberships` are the accounts in which it was ever noted as a member. `pending` are changes
    that wait to be announced. An `erased` identity takes no events, and nothing else is known of it.
    """

    identity: Identity
    version: int = 0
    owner: Ownership | None = None
    claimed: Mapping[Identity, Moment] = field(default_factory=dict)
    former: tuple[Identity, ...] = ()
    memberships: tuple[str, ...] = ()
    body: LeadBody | None = None
    pending: tuple[Change, ...] = ()
    erased: bool = False


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account's traits as stored; `version` 0 was never written."""

    account: str
    version: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class StoredRating:
    """How an account stood when its rating was last written; `version` 0 was never written.

    `people` is how many leads it has. `rank_key` is an upper bound of its score until one of them changes, None where
    there are none; `due` is when to look at it again because of time alone. `pending` are changes that wait to be
    announced, `memory` is what the alert policy remembers.
    """

    account: str
    version: int = 0
    ruleset: str = ""
    tier: str = ""
    score: float = 0.0
    people: int = 0
    rank_key: int | None = None
    due: Millis | None = None
    pending: tuple[AccountChange, ...] = ()
    memory: AlertMemory = field(default_factory=AlertMemory)


class Ranked(NamedTuple):
    """One entry of the ranking index: what it bounds, and what makes the lead's stored tier hold (`due`, `ruleset`)."""

    rank_key: int
    identity: Identity
    tier: str
    due: Millis | None
    ruleset: str


class Logged(NamedTuple):
    """Events as the log holds them, and the message ids of those that were there before."""

    events: list[Event]
    known: frozenset[str]


class Grave(NamedTuple):
    """What is known of an erased identity: when it was erased, and until when it is kept out."""

    erased_at: Millis
    expires_at: Millis


class Quarantined(NamedTuple):
    """An event that must not count, kept under the identity that it is about.

    `source` is by whose key or from which sender it came, `at` when it was set apart; `imported` says that it was
    history.
    """

    identity: Identity
    event: Event
    reason: Reason
    source: str
    at: Millis
    imported: bool = False


class ConflictError(Exception):
    """Something was written since it was read: read again and decide again. Nothing was written."""


class Reader(Protocol):
    """Reads of identities, accounts and the log, each seeing every write that was acknowledged before.

    The walks over rankings, people and due may lag behind the newest writes by moments. `retention` is how long the
    log holds an event, in milliseconds.
    """

    @property
    def retention(self) -> Millis:
        """How long the log holds an event."""

    def load_identities(self, wanted: Collection[Identity]) -> dict[Identity, StoredIdentity]:
        """Return all of the wanted identities, those that were never written at version 0."""

    def load_accounts(self, accounts: Collection[str]) -> dict[str, StoredAccount]:
        """Return all of the named accounts, those that were never written at version 0."""

    def load_events(self, identity: Identity, *, identify_only: bool = False) -> list[Event]:
        """Return the events logged under one identity, all or `identify` alone, in no particular order."""

    def load_quarantined(self, identity: Identity) -> list[Quarantined]:
        """Return the events about one identity that must not count, in no particular order."""

    def walk_ranking(self) -> Iterator[Ranked]:
        """Yield the entries of all leads from the highest key down, of equal keys the smaller identity first."""

    def walk_due(self, until: Millis, after: str = "") -> Iterator[tuple[str, Identity]]:
        """Yield (mark, identity) of the leads due by `until`, the longest due first, behind the mark `after`."""

    def load_ratings(self, accounts: Collection[str]) -> dict[str, StoredRating]:
        """Return the ratings of all of the named accounts, those that were never written at version 0."""

    def walk_people(self, account: str) -> Iterator[tuple[int, Identity]]:
        """Yield (rank key, identity) of the leads of an account, the highest key first."""

    def walk_account_ranking(self) -> Iterator[tuple[int, str]]:
        """Yield (rank key, account) of all accounts with people, the highest key first, of equal keys the smaller."""

    def walk_members(self, account: str, after: str = "") -> Iterator[tuple[str, Identity]]:
        """Yield (mark, identity) of all that were ever roots in the account, those behind the mark `after`."""


class Store(Reader, Protocol):
    """Reads and the writes of the scoring path."""

    def put_events(self, identity: Identity, events: Sequence[Event]) -> Logged:
        """Put events into the log; of two copies with one message id it keeps the one that came first."""

    def commit(self, written: Sequence[StoredIdentity]) -> None:
        """Write identities, all or none; raises ConflictError and then has written nothing.

        Each carries the version being written, one above the one that was read, and as `pending` only the changes
        that this commit adds.
        """

    def save_account(self, account: StoredAccount) -> None:
        """Write an account at the version one above the one that was read; raises ConflictError."""

    def save_rating(self, rating: StoredRating) -> None:
        """Write a rating at the version one above the one that was read; raises ConflictError.

        As `pending` it carries only the changes that this write adds.
        """

    def add_member(self, account: str, identity: Identity) -> None:
        """Note that a lead belongs to an account; noting it twice is harmless."""


class Graves(Protocol):
    """Reads and writes of erasing. What belongs to an identity is named by its pseudonym: the erased have no other."""

    def look_up(self, pseudonym: str) -> StoredIdentity | Grave | None:
        """Return the identity, or what is left of it once it is erased, or None where it was never written."""

    def bury(self, written: Sequence[StoredIdentity], grave: Grave) -> None:
        """Write identities, all or none and at most 100; raises ConflictError and then has written nothing.

        Each carries the version being written. Of those that are `erased` nothing else is left; of the others the
        `former` owners alone are written.
        """

    def walk_log(self, pseudonym: str) -> Iterator[str]:
        """Yield the key of every event that is logged under the identity, in no particular order."""

    def walk_quarantined(self, pseudonym: str) -> Iterator[str]:
        """Yield the key of every event that is quarantined under the identity, in no particular order."""

    def remove_events(self, pseudonym: str, keys: Sequence[str]) -> None:
        """Remove events from the log or the quarantine; removing one twice is harmless."""

    def remove_records(self, pseudonym: str, names: Collection[str]) -> None:
        """Remove the records of the identity's changes, and why their alerts were judged as they were.

        The reasons that go are those of the lead, which goes by any of `names`. Doing so twice is harmless.
        """

    def remove_marks(self, pseudonym: str) -> None:
        """Remove what was marked of the identity; doing so twice is harmless."""

    def walk_memberships(self, pseudonym: str) -> Iterator[str]:
        """Yield every account in which the identity is noted as a member, or was about to be."""

    def remove_memberships(self, pseudonym: str, accounts: Sequence[str]) -> None:
        """Remove the notes that the identity belongs to the accounts; removing one twice is harmless."""


class Ward(Protocol):
    """Reads and writes of the quarantine."""

    def find_logged(self, events: Sequence[tuple[Identity, Event]]) -> frozenset[str]:
        """Return the message ids of those events that the log has under their identity."""

    def find_held(self, identities: Collection[Identity]) -> dict[Identity, Reason]:
        """Return which of the identities are marked as such whose events must not count, and why."""

    def hold(self, identities: Collection[Identity], reason: Reason, at: Millis) -> None:
        """Mark identities as such whose events must not count from now on."""

    def tally(self, identity: Identity, window: str, messages: Collection[str], most: int, at: Millis) -> int:
        """Return how many messages of the identity were told of for the window, these included, each counted once.

        From `most` on it need not be exact.
        """

    def keep(self, quarantined: Sequence[Quarantined]) -> frozenset[str]:
        """Keep events; return the message ids of those that were not kept before."""

    def release(self, quarantined: Sequence[Quarantined], identities: Collection[Identity]) -> None:
        """Remove the marks that hold the identities, and then the events; doing so twice is harmless."""
