"""Announcing: what was accepted is forgotten, what was not stays, and a crash in between repeats under the same id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from leadscore.core.changes import Change
from leadscore.usecases.announcing import announce_pending
from tests.unit.test_messages import CHANGE

QUIET = replace(CHANGE, id="c2", tier="warm", alert="none")


class Pending:
    """The store's pending changes; `crashes` is how often clearing dies before it is done."""

    def __init__(self, *changes: Change, crashes: int = 0) -> None:
        self.changes = {change.id: change for change in changes}
        self.crashes = crashes

    def clear_pending(self, lead: str, ids: Sequence[str]) -> None:
        assert lead == "user-1"
        if self.crashes:
            self.crashes -= 1
            raise TimeoutError
        for one in ids:
            self.changes.pop(one, None)


class Way:
    """A way out that refuses the first `refusals` announcements."""

    def __init__(self, refusals: int = 0) -> None:
        self.heard: list[str] = []
        self.refusals = refusals
        self.broken = False

    def take(self, lead: str, changes: Sequence[Change]) -> Callable[[], None]:
        assert lead == "user-1"
        for change in changes:
            self.announce(change)
        return self.publish

    def publish(self) -> None:
        if self.broken:
            raise BrokenPipeError

    def announce(self, change: Change) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError
        self.heard.append(change.id)


def announce(store: Pending, desk: Way, machines: Way) -> None:
    announce_pending(store, desk.take, machines, "user-1", list(store.changes.values()))


def test_the_desk_and_machines_hear_all() -> None:
    store, desk, machines = Pending(CHANGE, QUIET), Way(), Way()
    announce(store, desk, machines)
    assert (desk.heard, machines.heard, store.changes) == (["c1", "c2"], ["c1", "c2"], {})


def test_what_a_way_refuses_stays_pending_and_is_sent_by_the_next_try() -> None:
    store, desk, machines = Pending(CHANGE, QUIET), Way(), Way(refusals=1)
    with pytest.raises(ConnectionError):
        announce(store, desk, machines)
    assert set(store.changes) == {"c1", "c2"}
    announce(store, desk, machines)
    assert (set(machines.heard), store.changes) == ({"c1", "c2"}, {})


def test_a_crash_before_forgetting_repeats_the_same_id_once() -> None:
    store, desk, machines = Pending(CHANGE, crashes=1), Way(), Way()
    with pytest.raises(TimeoutError):
        announce(store, desk, machines)
    announce(store, desk, machines)
    assert desk.heard == machines.heard == ["c1", "c1"]
    announce(store, desk, machines)
    assert desk.heard == machines.heard == ["c1", "c1"]


def test_what_is_not_on_record_is_neither_told_to_machines_nor_forgotten() -> None:
    store, desk, machines = Pending(CHANGE, QUIET), Way(), Way()
    desk.broken = True
    with pytest.raises(BrokenPipeError):
        announce(store, desk, machines)
    assert (machines.heard, set(store.changes)) == ([], {"c1", "c2"})
