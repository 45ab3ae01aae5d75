"""The walk over all leads in memory, held to the same contract tests as the DynamoDB adapter."""

from __future__ import annotations

from leadscore.core.identity import Identity, possible_identities, pseudonym
from leadscore.usecases.forest import load_log, load_tree
from leadscore.usecases.histories import History, HistoryPage, account_events
from leadscore.usecases.records import StoredIdentity
from tests.contract.memory_store import MemoryStore


class MemoryHistories:
    """What `MemoryStore` holds, identity by identity; the cursor counts the identities of a segment."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def read(self, segment: int, segments: int, after: str | None, most: int) -> HistoryPage:
        start = 0 if after is None else int(after)
        every = sorted({*self._store.identities, *self._store.log}, key=pseudonym)
        names = [name for name in every if int(pseudonym(name), 16) % segments == segment]
        page = names[start : start + most]
        roots = [self._store.load_identities([name])[name] for name in page if self._is_lead(name)]
        end = str(start + most) if start + most < len(names) else None
        return HistoryPage([self._history(root) for root in roots], len(page), end)

    def _is_lead(self, name: Identity) -> bool:
        stored = self._store.load_identities([name])[name]
        known = any(name in possible_identities(event) for event in self._store.load_events(name))
        return not stored.erased and stored.owner is None and (known or bool(stored.version))

    def _history(self, root: StoredIdentity) -> History:
        tree = load_tree(self._store, root)
        events = load_log(self._store, tree)
        owners = {one.identity: one.owner for one in tree if one.owner is not None}
        named = {str(event["groupId"]) for event in events if event.get("groupId")}
        if root.body is not None and root.body.account is not None:
            named.add(root.body.account)
        accounts = self._store.load_accounts(named)
        told = [event for name in sorted(accounts) for event in account_events(accounts[name])]
        return History(root.identity, events, told, root.body, owners)
