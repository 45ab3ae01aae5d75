"""What is kept of alerts, as values, and the protocol through which the use cases reach it.

    desk           what waits for one account, or for one lead without an account: core/alert_desk.py
    change record  a change that an alert could be about, and what became of it; it goes where the lead's events are
    alert record   an alert that went out: about whom and because of which criteria

Invariants: desks and alert records name people by pseudonym. What tells who somebody is lies in the partition of that
person alone, so that erasing it leaves nothing. Change records are written before the desk, as whoever finds the desk
as it was judges again, and writes over them; but where people wait for the call that writes, after they were told:
until then the change is pending on its lead. An alert's record is written once it is published; what its links carry is
on the desk before: so there is none of an alert that did not go out, and its links stay the same in all its repeats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from leadscore.core.alert_desk import AlertKind, Desk
from leadscore.core.changes import AccountChange, Change
from leadscore.core.instants import Millis
from leadscore.core.verdicts import Verdict
from leadscore.usecases.records import Grave, StoredIdentity

Outcome = Literal["waiting", "sent", "suppressed", "none"]
# What can become of a change that an alert is about; `none` is one that no alert would be about.
OUTCOMES: tuple[Outcome, ...] = ("sent", "waiting", "suppressed")


class ChangeKey(NamedTuple):
    """Where a change record lies: the pseudonym of the lead that changed, and the change's id.

    Of an account that changed it is the name of its desk.
    """

    lead: str
    change: str

    def __str__(self) -> str:
        """Return the key as desks name it."""
        return f"{self.lead}/{self.change}"

    @classmethod
    def parse(cls, text: str) -> ChangeKey:
        """Return the key that `str` wrote."""
        lead, _, change = text.rpartition("/")
        return cls(lead, change)


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A change and what became of it: `outcome`, with the `reason`, and `alert` once people were told."""

    key: ChangeKey
    change: Change
    outcome: Outcome
    reason: str
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class AccountChangeRecord:
    """A change of an account and what became of it, as of a lead's."""

    key: ChangeKey
    change: AccountChange
    outcome: Outcome
    reason: str
    alert: str | None = None


class Settled(NamedTuple):
    """What has become of changes that were waiting."""

    keys: Sequence[ChangeKey]
    outcome: Outcome
    reason: str
    alert: str | None = None


class Entry(NamedTuple):
    """One lead of an alert: its pseudonym, what it did, how it stood, and the points of each criterion that counted.

    Of an account itself: the name of its desk, and the criteria of those of its people who were named.
    """

    lead: str
    cause: str
    tier: str
    score: float
    criteria: Mapping[str, float]
    owner: str | None


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert. `sent_at` is None while it is on its way.

    Who knows the `token`, which its links carry, may say what they think of it; there is none where it is empty.
    `verdicts` has the last one on each of its leads.
    """

    id: str
    kind: AlertKind
    account: str | None
    desk: str
    sealed_at: Millis
    entries: Sequence[Entry]
    sent_at: Millis | None = None
    token: str = ""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredDesk:
    """A desk as stored; `version` 0 was never written, `due` is the instant by which it is found.

    One where nothing waits is kept until `kept_until`.
    """

    desk: Desk
    version: int = 0
    due: Millis | None = None
    kept_until: Millis | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A lead as stored, and the desk at which its alerts wait while it is in no account, read at one moment."""

    lead: StoredIdentity
    desk: StoredDesk


@dataclass(frozen=True, slots=True)
class Release:
    """The message that a desk's time may have come."""

    desk: str

    def body(self) -> str:
        """Return the text of the message."""
        return json.dumps({"desk": self.desk})


class Desks(Protocol):
    """Reads and writes of desks and records."""

    def load(self, name: str) -> StoredDesk:
        """Return a desk, a blank one where it was never written."""

    def save(self, stored: StoredDesk) -> None:
        """Write a desk at the version one above the one that was read; raises ConflictError, having written nothing."""

    def note(self, record: ChangeRecord | AccountChangeRecord) -> None:
        """Put a change record; one that is there stays as it is."""

    def settle(self, settled: Settled) -> None:
        """Write what became of changes into their records; those of erased people stay erased."""

    def put_alert(self, alert: AlertRecord) -> None:
        """Put the record of an alert in place of what was there."""

    def mark_sent(self, alert: str, at: Millis) -> None:
        """Write when an alert was sent into its record."""

    def find_alert(self, alert: str) -> AlertRecord | None:
        """Return the alert of that id."""

    def put_verdict(self, alert: str, lead: str, verdict: Verdict) -> None:
        """Write a verdict on one lead of an alert into its record, unless there is a later one."""

    def walk_due(self, until: Millis) -> Iterator[str]:
        """Yield the names of the desks that are due by `until`; may lag behind the newest writes by moments."""


class People(Protocol):
    """Who is behind a pseudonym."""

    def look_up(self, pseudonym: str) -> StoredIdentity | Grave | None:
        """Return the identity, or what is left of it once it is erased, or None where it was never written."""
