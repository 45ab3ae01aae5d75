"""The way from an identity to its lead, when it changes underfoot."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from leadscore.core.identity import Identity, Ownership
from leadscore.usecases.forest import load_path
from leadscore.usecases.records import ConflictError, StoredIdentity
from tests.contract.memory_store import MemoryStore

DEVICE, ADA, BOB = "anonymous:device", "user:ada", "user:bob"


class Moving(MemoryStore):
    """Gives the device to bob right before ada is read."""

    def load_identities(self, wanted: Collection[Identity]) -> dict[Identity, StoredIdentity]:
        if ADA in wanted and self.identities[DEVICE].version == 1:
            self.identities[DEVICE] = StoredIdentity(DEVICE, 2, owner=Ownership(1, "m0", BOB))
        return super().load_identities(wanted)


def test_a_way_that_is_no_longer_there_leads_nowhere() -> None:
    store = Moving()
    store.identities[DEVICE] = StoredIdentity(DEVICE, 1, owner=Ownership(2, "m1", ADA))
    with pytest.raises(ConflictError):
        load_path(store, DEVICE)
    assert [one.identity for one in load_path(store, DEVICE)] == [DEVICE, BOB]
