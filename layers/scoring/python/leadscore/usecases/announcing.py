"""Announcing what a commit recorded as pending: to a desk for people, on the bus for machines; then it is forgotten.

Each step may be repeated after a crash; the change's id tells a repeat from a second change. People come first, and
whether or not they could be told, the desk has what they are to be told of: machines are told, and it is forgotten,
unless it could not be put on record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity

# The bus carries the event that made such a change, or a change of tier; this one only says when people are told.
FOR_PEOPLE_ALONE = frozenset(("hand_raise", "fit"))


class PendingChanges(Protocol):
    """Where changes wait to be announced."""

    def clear_pending(self, identity: Identity, ids: Sequence[str]) -> None:
        """Forget changes that were announced."""


class Announcer(Protocol):
    """A way out; returns once the change was accepted, raises otherwise."""

    def announce(self, change: Change) -> None:
        """Send the change."""


# Puts changes on record and, where people are to be told of them, on the desk; raises otherwise. Returns what tells
# people of those that may go out at once, and raises where one of them is not on record.
Take = Callable[[Identity, Sequence[Change]], Callable[[], object]]
TakeOfAccount = Callable[[Sequence[AccountChange]], Callable[[], object]]


def announce_pending(
    store: PendingChanges, take: Take, machines: Announcer, identity: Identity, changes: Sequence[Change]
) -> None:
    """Deliver and forget changes that are pending on `identity`; what fails stays pending and raises."""
    take(identity, changes)()
    for change in changes:
        if change.kind not in FOR_PEOPLE_ALONE:
            machines.announce(change)
        store.clear_pending(identity, [change.id])


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
    take(changes)()
    for change in changes:
        machines.announce(change)
        store.clear_pending_of_account(account, [change.id])
    return list(changes)
