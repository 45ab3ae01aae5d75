"""Announcing what a commit recorded as pending: people through the topic, machines through the bus, then forgetting it.

Each step may be repeated after a crash; the change's id tells a repeat from a second change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from leadscore.core.changes import Change
from leadscore.core.identity import Identity


class PendingChanges(Protocol):
    """What the store still has to announce."""

    def pending(self, identity: Identity) -> tuple[Change, ...]:
        """Return the changes of the identity that wait to be announced, oldest first."""

    def clear_pending(self, identity: Identity, ids: Sequence[str]) -> None:
        """Forget changes that were announced."""


class Announcer(Protocol):
    """A way out; returns once the change was accepted, raises otherwise."""

    def announce(self, change: Change) -> None:
        """Send the change."""


def announce_pending(store: PendingChanges, people: Announcer, machines: Announcer, identity: Identity) -> list[Change]:
    """Deliver and forget every pending change of `identity`, and return them; what fails stays pending and raises."""
    changes = store.pending(identity)
    for change in changes:
        if change.alert:
            people.announce(change)
        machines.announce(change)
        store.clear_pending(identity, [change.id])
    return list(changes)
