"""A whole Leadscore in memory under a seeded scheduler that interleaves its workers call by call and breaks them.

Workers are greenlets: each hands control back before every call that would leave the process, and after it. The
scheduler, driven by one seeded generator, picks who goes on and what befalls the call: it may fail before it is
done or after, be throttled, conflict, or be the last thing that its worker ever does.

Invariant: a run is a function of its seed alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from greenlet import GreenletExit, getcurrent, greenlet

from leadscore.core.changes import AccountChange, Change
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.announcing import announce_pending, announce_pending_of_account
from leadscore.usecases.batches import Queues, score_batch
from leadscore.usecases.cooling import hand_on_due_accounts, hand_on_due_leads
from leadscore.usecases.records import (
    ConflictError,
    Event,
    LeadBody,
    Logged,
    StoredAccount,
    StoredIdentity,
    StoredRating,
)
from leadscore.usecases.scoring import Tools
from tests.contract.memory_store import MemoryStore

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOST_RECEIVES = 3
LONGEST_RUN = 60_000

Fault = Literal["none", "crash before", "crash after", "fail before", "fail after", "conflict before", "conflict after"]
FAULTS: tuple[Fault, ...] = ("crash before", "crash after", "fail before", "fail after")
# A client that repeats a write whose answer got lost meets its own write: a conflict although it was done.
CONFLICTS: tuple[Fault, ...] = ("conflict before", "conflict after")


class ThrottledError(Exception):
    """A call that did not succeed, as its caller sees it."""


@dataclass(frozen=True)
class Chaos:
    """How often calls go wrong and messages come twice, how large batches are, how long a worker goes on undisturbed.

    Every redelivery mends something, so that some runs must have few of them to show what is broken without.
    """

    fault: float
    twice: float
    batch: int
    stay: float

    @classmethod
    def of(cls, seed: int) -> Chaos:
        """Return the chaos of one run: from none at all to a call in eight."""
        chance = random.Random(f"chaos {seed}")
        return cls(
            fault=chance.choice((0, 0.005, 0.03, 0.12)),
            twice=chance.choice((0, 0, 0.15)),
            batch=chance.choice((1, 3, 8)),
            stay=chance.choice((0, 0.6, 0.95)),
        )


class SimulatedQueue:
    """A standard SQS queue: at least once, in any order; what was received too often lies in the DLQ."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.visible: dict[str, tuple[str, int]] = {}
        self.dead: list[str] = []
        self._sent = 0

    def put(self, bodies: Sequence[str]) -> None:
        for body in bodies:
            self._sent += 1
            self.visible[f"{self._name}-{self._sent}"] = (body, 0)

    def send_all(self, bodies: Sequence[str]) -> None:
        self._world.call(lambda: self.put(bodies))

    def receive(self, most: int) -> dict[str, tuple[str, int]]:
        """Take messages out of sight; now and then one stays in sight as well and is delivered twice."""
        chance = self._world.chance
        names = chance.sample(sorted(self.visible), min(most, len(self.visible)))
        taken = {name: self.visible[name] for name in names}
        for name in names:
            if chance.random() >= self._world.chaos.twice:
                del self.visible[name]
        return taken

    def put_back(self, taken: Mapping[str, tuple[str, int]]) -> None:
        for name, (body, receives) in taken.items():
            if receives + 1 >= MOST_RECEIVES:
                self.visible.pop(name, None)
                self.dead.append(body)
            else:
                self.visible[name] = (body, receives + 1)

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            self.visible.pop(name, None)

    def redrive(self) -> None:
        dead, self.dead = self.dead, []
        self.put(dead)


class SimulatedStore:
    """The memory store behind calls that may go wrong; keeps a record of every change that was committed."""

    def __init__(self, world: World, held: MemoryStore) -> None:
        self._world = world
        self.held = held
        self.retention = held.retention
        self.committed: dict[str, tuple[str, int, Change]] = {}
        self.rated: dict[str, tuple[int, AccountChange]] = {}
        # When the people of an account were last looked up, and at which step; and at which step one of them moved.
        self.looked: dict[str, tuple[datetime, int]] = {}
        self.moved: dict[str, int] = {}

    def commit(self, written: Sequence[StoredIdentity]) -> None:
        def commit() -> None:
            before = self.held.load_identities([one.identity for one in written])
            self.held.commit(written)
            for one in written:
                self._note_move(before[one.identity].body, one.body)
            for one in written:
                self.committed |= {change.id: (one.identity, one.version, change) for change in one.pending}

        self._world.call(commit, may_conflict=True)

    def _note_move(self, before: LeadBody | None, after: LeadBody | None) -> None:
        bodies = [body for body in (before, after) if body is not None]
        if len({(body.account, body.tier, body.rank_key) for body in bodies}) + (len(bodies) < 2) > 1:
            self.moved |= {body.account: self._world.steps for body in bodies if body.account is not None}

    def save_account(self, account: StoredAccount) -> None:
        self._world.call(lambda: self.held.save_account(account), may_conflict=True)

    def save_rating(self, rating: StoredRating) -> None:
        def save() -> None:
            self.held.save_rating(rating)
            self.rated |= {change.id: (rating.version, change) for change in rating.pending}

        self._world.call(save, may_conflict=True)

    def walk_people(self, account: str) -> Any:
        def walk() -> Any:
            self.looked[account] = (self._world.now, self._world.steps)
            return iter(list(self.held.walk_people(account)))

        return self._world.call(walk)

    def walk_due_accounts(self, until: int) -> Any:
        return self._world.call(lambda: list(self.held.walk_due_accounts(until)))

    def walk_members(self, account: str, after: str = "") -> Any:
        return self._world.call(lambda: list(self.held.walk_members(account, after)))

    def walk_due(self, until: int, after: str = "") -> Any:
        return self._world.call(lambda: list(self.held.walk_due(until, after)))

    def put_events(self, identity: str, events: Sequence[Event]) -> Logged:
        """Each event is a call of its own: some may be in the log when another fails."""
        puts = [self._world.call(partial(self.held.put_events, identity, [event])) for event in events]
        return Logged([event for put in puts for event in put.events], frozenset().union(*(put.known for put in puts)))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.held, name)
        return lambda *args, **more: self._world.call(lambda: method(*args, **more))


@dataclass
class Announced:
    """A way out that remembers the ids of what it took, repeats included."""

    world: World
    ids: list[str] = field(default_factory=list)

    def announce(self, change: Change | AccountChange) -> None:
        self.world.call(lambda: self.ids.append(change.id))


class World:
    """Queues, store and workers of one run."""

    def __init__(self, seed: int, ruleset: Ruleset, events: Sequence[Mapping[str, object]]) -> None:
        self.chance = random.Random(seed)
        self.ruleset = ruleset
        self.chaos = Chaos.of(seed)
        self.now = START
        self.calm = False
        self.events = SimulatedQueue(self, "event")
        self.changes = SimulatedQueue(self, "change")
        self.store = SimulatedStore(self, MemoryStore())
        self.people, self.machines = Announced(self), Announced(self)
        self.crashes = self.faults = self.steps = 0
        self._scheduler = getcurrent()
        self._arrivals = [json.dumps({"event": event}) for event in events]

    def run(self) -> None:
        """Let everything arrive amid faults, then let everything settle without any."""
        self._drain(lambda: not self._arrivals and not self.events.visible and not self.changes.visible, workers=4)
        self.calm = True
        self.settle()

    def settle(self) -> None:
        """Let everything be done that is left to do, or due by now."""
        for _ in range(20):
            self.events.redrive()
            self.changes.redrive()
            self._drain(lambda: not self.events.visible and not self.changes.visible, workers=2)
            self._finish(greenlet(self._cool))
            if not self.events.visible and not self.events.dead and not self.changes.dead:
                return
        raise AssertionError("the queues do not run dry")

    def call[T](self, call: Callable[[], T], *, may_conflict: bool = False) -> T:
        """Make one call that leaves the process, as the scheduler wills."""
        self._scheduler.switch()
        fault = self._fault(may_conflict=may_conflict)
        if fault == "crash before":
            raise GreenletExit
        if fault == "fail before":
            raise ThrottledError("throttled")
        if fault == "conflict before":
            raise ConflictError("another transaction was under way")
        answer = call()
        if fault == "conflict after":
            raise ConflictError("written, and then met by its own repetition")
        if fault == "crash after":
            raise GreenletExit
        if fault == "fail after":
            raise ThrottledError("done, but the answer got lost")
        self._scheduler.switch()
        return answer

    def _fault(self, *, may_conflict: bool) -> Fault:
        if self.calm or self.chance.random() >= self.chaos.fault:
            return "none"
        self.faults += 1
        return self.chance.choice(FAULTS + CONFLICTS if may_conflict else FAULTS)

    def _drain(self, is_done: Callable[[], bool], workers: int) -> None:
        running: list[greenlet] = []
        worker: greenlet | None = None
        while running or not is_done():
            self.steps += 1
            assert self.steps < LONGEST_RUN, "the run does not end"
            self._arrive()
            if len(running) < workers and self.chance.random() < 0.5:
                running.append(greenlet(self._pick_work()))
            if running:
                stays = worker in running and self.chance.random() < self.chaos.stay
                worker = worker if worker is not None and stays else self.chance.choice(running)
                worker.switch()
                running = [one for one in running if not one.dead]

    def _arrive(self) -> None:
        while self._arrivals and self.chance.random() < 0.2:
            self.events.put([self._arrivals.pop(0)])
            self.now += timedelta(minutes=self.chance.randrange(30))

    def _pick_work(self) -> Callable[[], None]:
        roll = self.chance.random()
        if roll < 0.05:
            return self._cool
        return self._notify if roll < 0.3 else self._score

    def _finish(self, worker: greenlet) -> None:
        while not worker.dead:
            worker.switch()

    def _score(self) -> None:
        taken = self.events.receive(self.chance.randint(1, self.chaos.batch))
        tools = Tools(self.store, self.ruleset, lambda: self.now, lambda _: self._scheduler.switch())
        records = [{"messageId": name, "body": body} for name, (body, _) in taken.items()]

        def work() -> set[str]:
            return set(score_batch(tools, Queues(self.events, self.changes), records, self.store).retry)

        self._consume(self.events, taken, work)

    def _tell_people(self, _: str, changes: Sequence[Change]) -> Callable[[], None]:
        return self._tell_of_account(changes)

    def _tell_of_account(self, changes: Sequence[Change | AccountChange]) -> Callable[[], None]:
        for change in changes:
            if change.alert == "wanted":
                self.people.announce(change)
        return lambda: None

    def _notify(self) -> None:
        taken = self.changes.receive(1)

        def work() -> set[str]:
            for body, _ in taken.values():
                message = json.loads(body)
                if "account" in message:
                    announce_pending_of_account(self.store, self._tell_of_account, self.machines, message["account"])
                else:
                    lead = message["lead"]
                    announce_pending(self.store, self._tell_people, self.machines, lead, self.store.pending(lead))
            return set()

        self._consume(self.changes, taken, work)

    def _consume(
        self, queue: SimulatedQueue, taken: Mapping[str, tuple[str, int]], work: Callable[[], set[str]]
    ) -> None:
        try:
            retry = work()
        except ThrottledError:
            retry = set(taken)
        except GreenletExit:
            self.crashes += 1
            queue.put_back(taken)
            raise
        queue.delete([name for name in taken if name not in retry])
        queue.put_back({name: one for name, one in taken.items() if name in retry})

    def _cool(self) -> None:
        try:
            hand_on_due_leads(self.store, self.events, self.now)
            hand_on_due_accounts(self.store, self.events, self.now)
        except ThrottledError:
            return
