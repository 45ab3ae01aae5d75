"""How leads stand now that were written down by their pseudonyms some time ago, by whichever identity they go by now.

Invariant: who is erased is not found, and nothing is said of anybody that was not read at this moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from leadscore.core.instants import from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.core.state import AccountState, State
from leadscore.usecases.accounts import load_account_states
from leadscore.usecases.alert_records import People
from leadscore.usecases.forest import load_state, walk_up
from leadscore.usecases.records import Reader, StoredIdentity
from leadscore.usecases.standing import score_now


@dataclass(frozen=True, slots=True)
class Present:
    """How a lead stands now, with what people are told of it. Personal data: do not log."""

    root: StoredIdentity
    state: State
    account: AccountState | None
    score: Score

    def text(self, trait: str) -> str | None:
        """Return a trait that is a text, None where it is none or empty."""
        return text_of(self.state, trait)


def text_of(state: State, trait: str) -> str | None:
    """Return a lead's trait that is a text, None where it is none or empty."""
    value = state.traits.get(trait)
    return value if isinstance(value, str) and value else None


def look_at(
    people: People,
    reader: Reader,
    ruleset: Ruleset,
    leads: Collection[str],
    now: datetime,
    read: Mapping[str, StoredIdentity] | None = None,
) -> dict[str, Present]:
    """Return by pseudonym how each of the leads stands; those that are erased or were never written are left out.

    Those of them that the caller has `read` at this moment are not read again.
    """
    found: dict[str, Present] = {}
    accounts: dict[str | None, AccountState | None] = {None: None}
    for name in sorted(leads):
        stored = (read or {}).get(name) or people.look_up(name)
        if not isinstance(stored, StoredIdentity):
            continue
        root = stored if stored.owner is None else walk_up(reader, stored.owner.owner)[-1]
        if root.erased or root.body is None:
            continue
        state = load_state(reader, ruleset, root, from_datetime(now))
        if state.account not in accounts:
            loaded = load_account_states(reader, ruleset, [state.account])
            accounts[state.account] = loaded.get(state.account)
        account = accounts[state.account]
        found[name] = Present(root, state, account, score_now(state, account, now))
    return found
