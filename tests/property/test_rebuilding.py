"""Whatever simulated traffic leaves verifies clean, and whatever is spoiled of it afterwards a rebuild makes good.

The traffic and what must be true of it in the end are the simulation's; here its store is damaged at random.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from greenlet import greenlet

from leadscore.core.identity import Identity, Ownership, identities, strength
from leadscore.core.instants import from_datetime
from leadscore.core.state import Moment
from leadscore.usecases.batches import Queues, hand_on, score_batch
from leadscore.usecases.rebuilding import Segment, rebuild_lead, rebuild_segment
from leadscore.usecases.records import LeadBody, StoredAccount, StoredIdentity
from leadscore.usecases.retrying import ContentionError
from leadscore.usecases.scoring import Tools
from leadscore.usecases.verifying import Difference, verify_lead
from tests.contract.memory_store import MemoryStore
from tests.contract.memory_table import MemoryTable
from tests.simulation.checking import find_faults
from tests.simulation.traffic import RULES, make_traffic
from tests.simulation.world import ThrottledError, World
from tests.unit.test_score_batch import Queue

SEEDS = range(80)


@cache
def settled(seed: int) -> tuple[World, list[dict[str, object]], dict[Identity, StoredIdentity]]:
    """Return a world that has settled, its events, and its identities as they should be."""
    events, arriving = make_traffic(seed, 40)
    world = World(seed, RULES, arriving)
    world.run()
    assert find_faults(world, events) == []
    return world, events, dict(world.store.held.identities)


def no_pause(_attempt: int) -> None:
    pass


def verify_all(world: World) -> list[Difference]:
    held = world.store.held
    found: list[Difference] = []
    for name in {*held.identities, *held.log}:
        verified = verify_lead(held, RULES, name, lambda: world.now, no_pause)
        assert verified is not None
        found += verified.differences
    return found


def rebuild_all(world: World) -> Segment:
    held, segment, events = world.store.held, Segment(0, 1), Queue()
    tools, queues = Tools(held, RULES, lambda: world.now, no_pause), Queues(events=events, changes=Queue())
    while not segment.done:
        work = rebuild_segment(tools, MemoryTable(held), queues, segment, 10)
        assert work.failures == []
        segment = work.segment
    while events.bodies:
        records = [{"messageId": body, "body": body} for body in events.bodies]
        events.bodies = []
        assert score_batch(tools, queues, records, held).retry == []
    for name in held.identities:
        held.clear_pending(name, [change.id for change in held.pending(name)])
    return segment


@pytest.mark.parametrize("seed", SEEDS)
def test_what_traffic_leaves_verifies_clean_and_is_not_rewritten(seed: int) -> None:
    world, _, whole = settled(seed)
    assert verify_all(world) == []
    assert rebuild_all(world).written == 0
    assert world.store.held.identities == whole


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_spoiled_is_found_and_made_good(seed: int) -> None:
    world, events, whole = settled(seed)
    held, chance = world.store.held, random.Random(f"damage {seed}")
    accounts = dict(held.accounts)
    try:
        for _ in range(chance.randint(1, 4)):
            chance.choice(DAMAGES)(held, chance, from_datetime(world.now))
        spoiled = held.identities != whole or held.accounts != accounts
        assert bool(verify_all(world)) == spoiled
        rebuild_all(world)
        assert verify_all(world) == []
        # Who lost what to whom, and what was announced on the way, cannot be told from the log.
        assert [fault for fault in find_faults(world, events) if "the last announced" not in fault] == []
        assert rebuild_all(world).written == 0
    finally:
        held.identities = dict(whole)
        held.accounts = accounts


class RebuildingWorld(World):
    """Traffic amid faults, with somebody who rebuilds leads all the while, and everybody once more in the end."""

    rebuilt = 0

    def run(self) -> None:
        super().run()
        for name in [*self.store.held.identities, *self.store.held.log]:
            self._finish(greenlet(lambda name=name: self._rebuild(name)))
        super().run()

    def _pick_work(self) -> Callable[[], None]:
        known = sorted({*self.store.held.identities, *self.store.held.log})
        if known and self.chance.random() < 0.2:
            chosen = self.chance.choice(known)
            return lambda: self._rebuild(chosen)
        return super()._pick_work()

    def _rebuild(self, identity: Identity) -> None:
        tools = Tools(self.store, self.ruleset, lambda: self.now, lambda _: self._scheduler.switch())
        try:
            rebuilt = rebuild_lead(tools, MemoryTable(self.store.held), identity)
            assert rebuilt is not None
            self.rebuilt += bool(rebuilt.found)
            hand_on(Queues(events=self.events, changes=self.changes), rebuilt.outcome)
        except (ThrottledError, ContentionError):
            return


def test_rebuilding_beside_traffic_amid_faults_changes_nothing() -> None:
    rebuilt = 0
    for seed in range(150):
        events, arriving = make_traffic(seed, 10 + seed % 25)
        world = RebuildingWorld(seed, RULES, arriving)
        world.run()
        assert find_faults(world, events) == [], f"seed {seed}"
        rebuilt += world.rebuilt
    # What was logged and not yet applied was taken for damage at times, which is harmless.
    assert rebuilt > 20


Damage = Callable[[MemoryStore, random.Random, int], None]


def any_lead(held: MemoryStore, chance: random.Random) -> tuple[StoredIdentity, LeadBody] | None:
    leads = [(one, one.body) for one in held.identities.values() if one.body is not None]
    return chance.choice(sorted(leads, key=lambda lead: lead[0].identity)) if leads else None


def any_identity(held: MemoryStore, chance: random.Random) -> StoredIdentity:
    return held.identities[chance.choice(sorted(held.identities))]


def spoil_state(held: MemoryStore, chance: random.Random, now: int) -> None:
    if (chosen := any_lead(held, chance)) is None:
        return
    lead, body = chosen
    document = json.loads(body.state)
    part = chance.choice([name for name in document if name != "v"] or ["v"])
    if isinstance(document[part], dict) and document[part]:
        document[part].pop(chance.choice(sorted(document[part])))
    else:
        document.pop(part)
    held.identities[lead.identity] = replace(lead, body=replace(body, state=json.dumps(document)))


def spoil_standing(held: MemoryStore, chance: random.Random, now: int) -> None:
    if (chosen := any_lead(held, chance)) is None:
        return
    lead, body = chosen
    change: dict[str, object] = chance.choice(
        [
            {"tier": next(tier.name for tier in RULES.tiers if tier.name != body.tier)},
            {"due": now + 1},
            {"due": 0},
            {"rank_key": 0},
            {"account": "nowhere"},
        ]
    )
    held.identities[lead.identity] = replace(lead, body=replace(body, **change))  # type: ignore[arg-type]


def lose_body(held: MemoryStore, chance: random.Random, now: int) -> None:
    if (chosen := any_lead(held, chance)) is None:
        return
    lead, _ = chosen
    held.identities[lead.identity] = replace(lead, body=None)


def lose_item(held: MemoryStore, chance: random.Random, now: int) -> None:
    del held.identities[any_identity(held, chance).identity]


def lose_claim(held: MemoryStore, chance: random.Random, now: int) -> None:
    one = any_identity(held, chance)
    if one.claimed:
        gone = chance.choice(sorted(one.claimed))
        left = {name: claim for name, claim in one.claimed.items() if name != gone}
        held.identities[one.identity] = replace(one, claimed=left)


def invent_claim(held: MemoryStore, chance: random.Random, now: int) -> None:
    one, target = any_identity(held, chance), any_identity(held, chance)
    claimed = {**one.claimed, target.identity: Moment(now, "invented")}
    held.identities[one.identity] = replace(one, claimed=claimed)


def lose_owner(held: MemoryStore, chance: random.Random, now: int) -> None:
    one = any_identity(held, chance)
    held.identities[one.identity] = replace(one, owner=None)


def invent_owner(held: MemoryStore, chance: random.Random, now: int) -> None:
    one, owner = any_identity(held, chance), any_identity(held, chance)
    if strength(owner.identity) > strength(one.identity) and one.body is None:
        held.identities[one.identity] = replace(one, owner=Ownership(now - 1, "invented", owner.identity))


def lose_account(held: MemoryStore, chance: random.Random, now: int) -> None:
    if held.accounts:
        name = chance.choice(sorted(held.accounts))
        held.accounts[name] = StoredAccount(name, held.accounts[name].version, '{"t":{}}')


DAMAGES: tuple[Damage, ...] = (
    spoil_state,
    spoil_standing,
    lose_body,
    lose_item,
    lose_claim,
    invent_claim,
    lose_owner,
    invent_owner,
    lose_account,
)


def test_the_traffic_has_what_can_be_spoiled() -> None:
    worlds = [settled(seed)[0].store.held for seed in SEEDS]
    assert sum(bool(held.accounts) for held in worlds) > len(worlds) / 2
    assert sum(any(one.owner for one in held.identities.values()) for held in worlds) > len(worlds) / 2
    assert any(
        len(identities(event, RULES.identity)) > 2
        for held in worlds
        for log in held.log.values()
        for event in log.values()
    )
