"""People are erased amid traffic, faults and crashes: whoever is gone is gone whole, and nobody else is harmed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from greenlet import GreenletExit

from leadscore.core.identity import identities, pseudonym
from leadscore.core.instants import from_datetime
from leadscore.usecases import batches, erasing, gathering
from leadscore.usecases.batches import Queues, score_batch
from leadscore.usecases.erasing import erase_lead
from leadscore.usecases.records import Grave, Reader, StoredIdentity
from leadscore.usecases.retrying import ContentionError
from leadscore.usecases.scoring import Tools
from leadscore.usecases.verifying import verify_lead
from tests.contract.memory_store import MemoryStore
from tests.simulation.checking import find_account_faults
from tests.simulation.traffic import RULES, make_traffic
from tests.simulation.world import ThrottledError, World

SEEDS = 150
# How many seeds may go by before a planted bug is found.
PATIENCE = 600
PEOPLE = ("ada", "bob", "cyd", "v1", "v2", "v3", "v4", "a@x", "b@x", "crm:c1")


class Sweeps:
    """Holds messages back until all are done who were at work when they were sent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.bodies: list[str] = []

    def send_all(self, bodies: Sequence[str]) -> None:
        self._world.call(lambda: self.bodies.extend(bodies))


class ErasingWorld(World):
    """A world in which people are erased now and then."""

    def __init__(self, seed: int, events: Sequence[Mapping[str, object]]) -> None:
        super().__init__(seed, RULES, events)
        self.sweeps = Sweeps(self)
        self.asked = 0

    def run(self) -> None:
        self._drain(lambda: not self._arrivals and not self.events.visible and not self.changes.visible, workers=4)
        self.calm = True
        self.events.put(self.sweeps.bodies)
        super().run()

    def _pick_work(self) -> Callable[[], None]:
        return self._erase if not self.calm and self.chance.random() < 0.06 else super()._pick_work()

    def _erase(self) -> None:
        self.asked += 1
        grave = Grave(from_datetime(self.now), from_datetime(self.now) + 1)
        try:
            erase_lead(self.store, self.store, self.sweeps, self.chance.choice(PEOPLE), grave, self._wait)
        except (ThrottledError, ContentionError):
            return
        except GreenletExit:
            self.crashes += 1
            raise

    def _wait(self, _: int) -> None:
        self._scheduler.switch()

    def _score(self) -> None:
        taken = self.events.receive(self.chance.randint(1, self.chaos.batch))
        tools = Tools(self.store, self.ruleset, lambda: self.now, self._wait)
        records = [{"messageId": name, "body": body} for name, (body, _) in taken.items()]

        def work() -> set[str]:
            return set(score_batch(tools, Queues(self.events, self.changes), records, self.store).retry)

        self._consume(self.events, taken, work)


def find_faults(world: ErasingWorld, events: Sequence[Mapping[str, object]]) -> list[str]:
    """Return everything that is wrong with a settled world."""
    held = world.store.held
    erased = {name for name, one in held.identities.items() if one.erased}
    faults = [f"{name} is erased and has a log" for name in erased if held.log.get(name)]
    for name in erased:
        if held.identities[name] != StoredIdentity(name, held.identities[name].version, erased=True):
            faults.append(f"{name} is erased and has more than that")
        if pseudonym(name) not in held.graves:
            faults.append(f"{name} is erased and has no grave")
    faults += [f"{name} is noted in {of}" for of, names in held.members.items() for name in names & erased]
    for name, one in held.identities.items():
        if one.owner is not None and one.owner.owner in erased:
            faults.append(f"{name} belongs to the erased {one.owner.owner}")
        faults += [f"{name} names the erased {former}" for former in {*one.former} & erased]
    return faults + _survivors_faults(world, events, erased) + find_account_faults(world)


def _survivors_faults(world: ErasingWorld, events: Sequence[Mapping[str, object]], erased: set[str]) -> list[str]:
    held = world.store.held
    faults = []
    for event in events:
        name = identities(event, RULES.identity)[0]
        if name not in erased and str(event["messageId"]) not in held.log.get(name, {}):
            faults.append(f"{event['messageId']} of {name} is lost")
    for name in {*held.identities, *held.log} - erased:
        verified = verify_lead(held, RULES, name, lambda: world.now, lambda _: None)
        if verified is None:
            faults.append(f"{name} is half erased")
            continue
        faults += [f"{name}: {each}" for each in verified.differences if each.is_error]
    return faults


def run_seed(seed: int) -> tuple[list[str], ErasingWorld]:
    events, arriving = make_traffic(seed, 10 + seed % 25)
    world = ErasingWorld(seed, arriving)
    try:
        world.run()
    except AssertionError as endless:
        return [str(endless)], world
    return find_faults(world, events), world


def test_whoever_is_erased_is_gone_whole_and_nobody_else_is_harmed() -> None:
    erased = crashes = 0
    for seed in range(SEEDS):
        faults, world = run_seed(seed)
        assert faults == [], f"seed {seed}"
        erased += sum(one.erased for one in world.store.held.identities.values())
        crashes += world.crashes
    assert erased > SEEDS
    assert crashes > SEEDS / 2


def bury_whatever_the_version(store: MemoryStore, written: Sequence[StoredIdentity], grave: Grave) -> None:
    held = store.load_identities([one.identity for one in written])
    BURY(store, [replace(one, version=held[one.identity].version + 1) for one in written], grave)


def bury_the_root_alone(reader: Reader, root: StoredIdentity) -> list[StoredIdentity]:
    return [root]


def send_at_once(sweeps: Sweeps, bodies: Sequence[str]) -> None:
    sweeps._world.events.send_all(bodies)


def win_the_erased_too(joins: gathering._Joins, claims: gathering._Claims) -> dict[str, StoredIdentity]:
    linked = LINK(joins, claims)
    lost = {name: one for name, one in joins._reader.load_identities(claims.smallest).items() if one.erased}
    return linked | {name: replace(one, owner=claims.smallest[name], erased=False) for name, one in lost.items()}


def group_all(reader: Reader, brought: Iterable[str]) -> list[dict[str, StoredIdentity]]:
    return [{identity: found} for identity, found in reader.load_identities(list(brought)).items()]


BURY, LINK = MemoryStore.bury, gathering._Joins.link
PLANTED: dict[str, tuple[object, str, Callable[..., object]]] = {
    "the version condition is dropped": (MemoryStore, "bury", bury_whatever_the_version),
    "only the root is erased": (erasing, "load_tree", bury_the_root_alone),
    "nothing is swept up": (batches, "sweep_up", lambda *_: None),
    "it is swept up too early": (Sweeps, "send_all", send_at_once),
    "what is erased can be won": (gathering._Joins, "link", win_the_erased_too),
    "events of the erased are logged": (batches, "group_by_lead", group_all),
    "others still name whom they have robbed": (erasing, "_load_lost", lambda *_: []),
    "memberships are left": (MemoryStore, "remove_memberships", lambda *_: None),
    "accounts are not rated without them": (erasing._Doomed, "rates", lambda *_: []),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, bug = PLANTED[name]
    monkeypatch.setattr(owner, attribute, bug)
    assert any(run_seed(seed)[0] for seed in range(PATIENCE))
