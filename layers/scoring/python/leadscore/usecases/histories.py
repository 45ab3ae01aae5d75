"""All that is logged, lead by lead: what everything that looks back over all leads walks.

    segment, cursor --read--> a page of histories, and the cursor behind it --> ... --> the end of the segment

Invariant: of a table at rest, the segments together tell of each lead once, whatever their number and the length of
the pages: with the partition of its root. Erased ones and quarantined events are never told of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from leadscore.core.identity import Identity, Ownership
from leadscore.core.instants import format_instant
from leadscore.core.state import read_account_claims
from leadscore.usecases.records import Event, LeadBody, StoredAccount


@dataclass(frozen=True, slots=True)
class History:
    """All that is logged of one lead: the events of all its identities, in no order. Personal data: do not log.

    `lead` is the root. `account_events` are `group` events that say what is known of the accounts which the lead's
    events name, each trait at the time at which it was written: those up to an instant tell nothing from after it.
    `body` is what is stored of the lead, None where nothing is. `owners` are the claims by which its other identities
    belong to it: before such a claim they were leads of their own.
    """

    lead: Identity
    events: Sequence[Event]
    account_events: Sequence[Event]
    body: LeadBody | None
    owners: Mapping[Identity, Ownership] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """The histories of a part of a segment, how many items were read, and the cursor behind it, None at the end."""

    histories: Sequence[History]
    items: int
    after: str | None


class HistoryReader(Protocol):
    """Reads the histories of all leads in parallel segments."""

    def read(self, segment: int, segments: int, after: str | None, most: int) -> HistoryPage:
        """Return the leads whose roots are among the next `most` items of a segment, those behind the cursor `after`.

        Little more than `most` items are read where few leads have more than one identity.
        """


def account_events(stored: StoredAccount) -> list[Event]:
    """Return `group` events that say what is known of an account, each trait at the time at which it was written.

    What a trait was before it was last written is not known of an account.
    """
    if not stored.version:
        return []
    told: dict[tuple[int, str], dict[str, object]] = {}
    for name, (time, event, value) in sorted(read_account_claims(stored.state).items()):
        told.setdefault((time, event), {})[name] = value
    return [
        {
            "type": "group",
            "messageId": event,
            "timestamp": format_instant(time),
            "groupId": stored.account,
            "traits": traits,
        }
        for (time, event), traits in told.items()
    ]
