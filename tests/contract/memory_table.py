"""The rebuild's view of the table in memory, held to the same contract tests as the DynamoDB adapter."""

from __future__ import annotations

from collections.abc import Sequence

from leadscore.core.identity import Identity, possible_identities, pseudonym
from leadscore.usecases.rebuilding import Page
from leadscore.usecases.records import Event
from tests.contract.memory_store import MemoryStore

# What no identity begins with.
_ACCOUNT = "ACCOUNT#"


class MemoryTable:
    """What `MemoryStore` holds, item by item; the cursor counts the items of a segment."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def scan(self, segment: int, segments: int, after: str | None, most: int) -> Page:
        start = 0 if after is None else int(after)
        items = [item for item in self._items() if int(pseudonym(item[0]), 16) % segments == segment]
        page = items[start : start + most]
        behind = {name for name, _ in items[start - 1 : start]} if start else set()
        names = dict.fromkeys(name for name, _ in page if name not in behind)
        accounts = tuple(name.removeprefix(_ACCOUNT) for name in names if name.startswith(_ACCOUNT))
        found = [name for name in names if not (name.startswith(_ACCOUNT) or self._is_erased(name))]
        known = [name for name in found if self._is_known(name)]
        end = str(start + len(page)) if start + most < len(items) else None
        return Page(known, len(page), len(found) - len(known), end, accounts)

    def forget_events(self, identity: Identity, events: Sequence[Event]) -> None:
        for event in events:
            self._store.log.get(identity, {}).pop(str(event["messageId"]), None)

    def _items(self) -> list[tuple[Identity, str]]:
        store = self._store
        logged = [(name, f"EVENT {message}") for name, log in store.log.items() for message in log]
        items = [*logged, *((name, "ID") for name in store.identities)]
        of_accounts = [(name, "ACCOUNT") for name in store.accounts] + [(name, "RATING") for name in store.ratings]
        of_accounts += [(name, f"MEMBER {lead}") for name, leads in store.members.items() for lead in leads]
        items += [(f"{_ACCOUNT}{name}", item) for name, item in of_accounts]
        return sorted(items, key=lambda item: (pseudonym(item[0]), item[1]))

    def _is_erased(self, name: Identity) -> bool:
        return name in self._store.identities and self._store.identities[name].erased

    def _is_known(self, name: Identity) -> bool:
        events = self._store.log.get(name, {}).values()
        return name in self._store.identities or any(name in possible_identities(event) for event in events)
