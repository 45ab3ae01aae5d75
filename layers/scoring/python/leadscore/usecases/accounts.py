"""Accounts: the traits of a company, kept once and seen by every lead of it, whenever they arrive.

Invariant: a lead is noted as a member before its account is read, and the account is read once more after the lead was
first written with it; an account is written before its members are looked up. So of a lead that joins and a trait
that changes at the same moment, one surely sees the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from leadscore.core.ruleset import Ruleset
from leadscore.core.state import AccountState, advance_account
from leadscore.usecases.records import ConflictError, Event, Reader, Store, StoredAccount
from leadscore.usecases.retrying import Pause, attempts


def apply_to_accounts(store: Store, ruleset: Ruleset, events: Iterable[Event], pause: Pause) -> dict[str, bool]:
    """Apply the `group` events among `events`; return the accounts they are of, and whether traits changed."""
    grouped: dict[str, list[Event]] = {}
    for event in events:
        if event["type"] == "group" and event.get("traits"):
            grouped.setdefault(str(event["groupId"]), []).append(event)
    return {name: _apply(store, ruleset, name, members, pause) for name, members in grouped.items()}


def load_account_states(
    reader: Reader, ruleset: Ruleset, names: Iterable[str | None]
) -> dict[str | None, AccountState]:
    """Return what is known of each of the named accounts; of None and of those never written nothing is."""
    wanted = {name for name in names if name is not None}
    found = reader.load_accounts(wanted) if wanted else {}
    return {name: _state(ruleset, stored) for name, stored in found.items() if stored.version}


def account_name(state: AccountState | None) -> str:
    """Return what an account's traits call it, nothing where they do not."""
    name = None if state is None else state.traits.get("name")
    return name if isinstance(name, str) else ""


def _state(ruleset: Ruleset, stored: StoredAccount) -> AccountState:
    return AccountState.from_json(ruleset, stored.state) if stored.version else AccountState.empty(ruleset)


def _apply(store: Store, ruleset: Ruleset, name: str, events: Sequence[Event], pause: Pause) -> bool:
    told = False
    for _ in attempts(pause, "an account"):
        stored = store.load_accounts([name])[name]
        before = _state(ruleset, stored)
        after = advance_account(before, events)
        if after is before:
            return told
        changes = after.traits != before.traits
        try:
            store.save_account(replace(stored, version=stored.version + 1, state=after.to_json()))
        except ConflictError:
            # It may have been our own write, repeated because its answer got lost: then it is told of, if twice.
            told |= changes
            continue
        return told or changes
    raise AssertionError("the attempts end by themselves")
