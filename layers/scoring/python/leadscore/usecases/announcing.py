"""Announcing what a commit recorded as pending: to a desk for people, on the bus for machines; then it is forgotten.

Each step may be repeated after a crash; the change's id tells a repeat from a second change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity

# The bus carries the event that made such a change, or a change of tier; this one only says when people are told.
FOR_PEOPLE_ALONE = frozenset(("hand_raise", "fit"))


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


# Puts a change on record and, where people are to be told of it, on the desk; raises otherwise.
Take = Callable[[Identity, Change], None]
TakeOfAccount = Callable[[AccountChange], None]


def announce_pending(store: PendingChanges, take: Take, machines: Announcer, identity: Identity) -> list[Change]:
    """Deliver and forget every pending change of `identity`, and return them; what fails stays pending and raises."""
    changes = store.pending(identity)
    for change in changes:
        take(identity, change)
        if change.kind not in FOR_PEOPLE_ALONE:
            machines.announce(change)
        store.clear_pending(identity, [change.id])
    return list(changes)


class PendingAccountChanges(Protocol):
    """What the store still has to announce of accounts."""

    def pending_of_account(self, account: str) -> tuple[AccountChange, ...]:
        """Return the changes of the account that wait to be announced, oldest first."""

    def clear_pending_of_account(self, account: str, ids: Sequence[str]) -> None:
        """Forget changes that were announced."""


class AccountAnnouncer(Protocol):
    """A way out for changes of accounts; returns once the change was accepted, raises otherwise."""

    def announce(self, change: AccountChange) -> None:
        """Send the change."""


def announce_pending_of_account(
    store: PendingAccountChanges, take: TakeOfAccount, machines: AccountAnnouncer, account: str
) -> list[AccountChange]:
    """Deliver and forget every pending change of an account, and return them; what fails stays pending and raises."""
    changes = store.pending_of_account(account)
    for change in changes:
        take(change)
        machines.announce(change)
        store.clear_pending_of_account(account, [change.id])
    return list(changes)
