"""Finding the leads whose tier time alone has changed, without looking at any other.

    schedule --> cool --walks the sparse `due` index--> events queue --> score: refresh, announce

Invariant: a lead stays in the index until it was refreshed, so that a run that dies is made good by the next one;
telling `score` of a lead twice is harmless. The work is the number of real changes, not the number of leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import batched, islice
from typing import Protocol

from leadscore.core.instants import Millis, from_datetime
from leadscore.usecases.batches import Due

# What one run hands on at most; the next run finds the rest at the top of the index.
LEADS_PER_RUN = 10_000
_LEADS_PER_SEND = 100


class DueLeads(Protocol):
    """Where the leads that are due are found."""

    def walk_due(self, until: Millis) -> Iterator[str]:
        """Yield the leads that are due by `until`, the longest due first."""


class EventQueue(Protocol):
    """Where they are handed on."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send every message; raises unless all were accepted."""


def hand_on_due_leads(leads: DueLeads, queue: EventQueue, now: datetime) -> int:
    """Hand on every lead that is due by `now`, at most 10,000, and return how many; raises what the queue raises."""
    handed_on = 0
    due = islice(leads.walk_due(from_datetime(now)), LEADS_PER_RUN)
    for some in batched(due, _LEADS_PER_SEND, strict=False):
        queue.send_all([Due(lead).body() for lead in some])
        handed_on += len(some)
    return handed_on
