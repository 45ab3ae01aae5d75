"""Whatever goes wrong on the way, the state ends as the pure function of the events; and planted bugs are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from leadscore.core.identity import Ownership
from leadscore.usecases import batches, deciding, gathering, scoring
from leadscore.usecases.gathering import Depth
from leadscore.usecases.records import Logged, StoredIdentity
from tests.contract.memory_store import MemoryStore
from tests.simulation import world
from tests.simulation.running import Totals, run_seed
from tests.simulation.world import ThrottledError

SEEDS = 300
# How many seeds may go by before a planted bug is found.
PATIENCE = 3000


def test_every_seed_ends_in_the_pure_function_of_its_events() -> None:
    totals = Totals()
    for seed in range(SEEDS):
        assert run_seed(seed, totals) == [], f"seed {seed}"
    assert totals.faults > SEEDS
    assert totals.crashes > SEEDS / 2
    assert totals.changes > SEEDS
    assert totals.account_changes > SEEDS / 2


def test_a_run_is_a_function_of_its_seed() -> None:
    one, other = Totals(), Totals()
    for seed in range(20):
        run_seed(seed, one)
        run_seed(seed, other)
    assert one == other


def commit_whatever_the_version(store: MemoryStore, written: Sequence[StoredIdentity]) -> None:
    for one in written:
        before = store.load_identities([one.identity])[one.identity]
        pending = (*before.pending, *one.pending)
        store.identities[one.identity] = replace(one, version=before.version + 1, pending=pending)


def put_and_skip_what_is_known(store: MemoryStore, identity: str, events: Sequence[Any]) -> Logged:
    logged = PUT_EVENTS(store, identity, events)
    return Logged([] if logged.known else logged.events, known=frozenset())


def put_and_tell_nobody(store: MemoryStore, identity: str, events: Sequence[Any]) -> Logged:
    return PUT_EVENTS(store, identity, events)._replace(known=frozenset())


def hand_on_or_forget(queues: batches.Queues, done: scoring.Outcome) -> None:
    try:
        HAND_ON(queues, done)
    except ThrottledError:
        return


def move_nobody_who_stays(situation: deciding.Situation, now: datetime) -> deciding.Decision:
    decision, stored = DECIDE(situation, now), situation.root.body
    return decision._replace(moved=stored is None or stored.account != decision.body.account)


def own_by_arrival(found: StoredIdentity, claim: Ownership) -> StoredIdentity:
    return found if found.owner is not None else OWNED(found, claim)


DECIDE = deciding.decide
PUT_EVENTS, HAND_ON, OWNED = MemoryStore.put_events, batches.hand_on, gathering._owned
PLANTED: dict[str, tuple[object, str, Callable[..., object]]] = {
    "the version condition is dropped": (MemoryStore, "commit", commit_whatever_the_version),
    "known events are taken for applied": (MemoryStore, "put_events", put_and_skip_what_is_known),
    "a redelivery is taken for a first delivery": (MemoryStore, "put_events", put_and_tell_nobody),
    "events are acknowledged although changes were not handed on": (batches, "hand_on", hand_on_or_forget),
    "a redelivery hands on nothing": (scoring, "_still_pending", lambda *_: set()),
    "what met a conflict is taken for not written": (scoring, "_written_after_all", lambda *_: set()),
    "who lost an identity is not settled": (scoring, "_settle_robbed", lambda *_: set()),
    "a replaced trait does not ask the log": (gathering, "_contest", lambda *_: Depth.NOTHING),
    "an identity stays with whoever came first": (gathering, "_owned", own_by_arrival),
    "leads are not told of their account": (batches, "_spread", lambda *_: None),
    "an account is rated but when a lead joins it": (scoring, "decide", move_nobody_who_stays),
    "a redelivery has no account rated": (scoring, "accounts_of", lambda *_: frozenset()),
    "accounts are passed by as time passes": (world, "hand_on_due_accounts", lambda *_: 0),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, name, broken = PLANTED[bug]
    monkeypatch.setattr(target, name, broken)
    assert any(run_seed(seed) for seed in range(PATIENCE))
