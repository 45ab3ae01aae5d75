"""Announcing what a commit recorded as pending: people through the topic, machines through the bus, then forgetting it.

Each step may be repeated after a crash; the change's id tells a repeat from a second change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from leadscore.core.changes import Change


class PendingChanges(Protocol):
    """What the store still has to announce."""

    def pending(self, lead: str) -> tuple[Change, ...]:
        """Return the changes of the lead that wait to be announced, oldest first."""

    def clear_pending(self, lead: str, ids: Sequence[str]) -> None:
        """Forget changes that were announced."""


class Announcer(Protocol):
    """A way out; returns once the change was accepted, raises otherwise."""

    def announce(self, change: Change) -> None:
        """Send the change."""


def announce_pending(store: PendingChanges, people: Announcer, machines: Announcer, lead: str) -> list[Change]:
    """Deliver and forget every pending change of `lead`, and return them; what fails stays pending and raises."""
    changes = store.pending(lead)
    for change in changes:
        if change.alert:
            people.announce(change)
        machines.announce(change)
        store.clear_pending(lead, [change.id])
    return list(changes)
