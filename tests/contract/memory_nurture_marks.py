"""The use cases' marks of nurtured leads in memory, held to the same contract tests as the DynamoDB adapter."""

from __future__ import annotations

from collections.abc import Collection

from leadscore.core.identity import Identity
from leadscore.core.instants import Millis
from leadscore.usecases.nurturing import Budget, NurtureMark, Taken
from leadscore.usecases.records import StoredIdentity
from tests.contract.memory_store import MemoryStore


class MemoryNurtureMarks:
    """Marks and counts as dictionaries, beside the leads that they are of."""

    def __init__(self, store: MemoryStore) -> None:
        self.marks: dict[Identity, NurtureMark] = {}
        self.counts: dict[str, int] = {}
        self._store = store

    def find(self, identities: Collection[Identity]) -> dict[Identity, NurtureMark]:
        return {identity: self.marks[identity] for identity in identities if identity in self.marks}

    def spent(self, day: str) -> int:
        return self.counts.get(day, 0)

    def take(
        self, lead: StoredIdentity, before: NurtureMark | None, mark: NurtureMark, kept_until: Millis, budget: Budget
    ) -> Taken:
        assert kept_until > mark.at
        if self.spent(budget.day) >= budget.most:
            return "spent"
        stored = self._store.load_identities([lead.identity])[lead.identity]
        held = self.marks.get(lead.identity)
        if stored.version != lead.version or held not in {None, before}:
            return "changed"
        self.counts[budget.day] = self.spent(budget.day) + 1
        self.marks[lead.identity] = mark
        return "taken"

    def settle(self, identity: Identity, mark: NurtureMark) -> None:
        held = self.marks.get(identity)
        if held is not None and held[:2] == mark[:2]:
            self.marks[identity] = held._replace(told=True)
