"""Events are set apart and cleared amid traffic, faults and crashes: what is apart is worth nothing, then all counts.

Invariant of a run: a verdict on an event alone is the same on each delivery; a mark or a burst may be found late.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from greenlet import GreenletExit

from leadscore.core.identity import identities
from leadscore.edge import Edge
from leadscore.quarantine import Burst, Quarantine, Reason
from leadscore.usecases import batches, quarantining
from leadscore.usecases.batches import Queues, score_batch
from leadscore.usecases.quarantining import Gate, clear
from leadscore.usecases.records import Quarantined
from leadscore.usecases.scoring import Tools
from tests.contract.memory_store import MemoryStore
from tests.simulation.checking import find_faults
from tests.simulation.traffic import RULES, make_traffic
from tests.simulation.world import ThrottledError, World
from tests.unit.test_user_agents import CRAWLERS, PEOPLE

SEEDS = 100
# How many seeds may go by before a planted bug is found.
PATIENCE = 400
# Traffic has few events: two of one person in a batch are counted, and five within two hours are a burst.
JUDGED = Quarantine("", bots=True, domains=frozenset({"acme.example"}), burst=Burst(events=5, within=7_200_000))


class QuarantiningWorld(World):
    """A world whose messages tell how they came, and in which some of what is set apart is cleared now and then."""

    def __init__(self, seed: int, arriving: Sequence[Mapping[str, object]], bots: Mapping[str, bool]) -> None:
        super().__init__(seed, RULES, arriving)
        self.gate = Gate(JUDGED, self.store)
        self.bots, self.cleared, self.reasons = bots, set[str](), set[Reason]()
        self._arrivals = [
            json.dumps({"event": event, "source": "web", "edge": self._edge(event)}) for event in arriving
        ]

    def clear_all(self) -> None:
        while kept := self.kept():
            clear(self.store, self.events, kept)
            self.run()

    def kept(self) -> list[Quarantined]:
        held = self.store.held
        return [each for name in sorted(held.quarantined) for each in held.load_quarantined(name)]

    def _edge(self, event: Mapping[str, object]) -> dict[str, object]:
        return Edge(user_agent=(CRAWLERS if self.bots[str(event["messageId"])] else PEOPLE)[0]).to_json()

    def _pick_work(self) -> Callable[[], None]:
        return self._clear if not self.calm and self.chance.random() < 0.08 else super()._pick_work()

    def _clear(self) -> None:
        kept = self.kept()
        some = self.chance.sample(kept, self.chance.randint(0, len(kept)))
        self.cleared |= {str(each.event["messageId"]) for each in some}
        try:
            clear(self.store, self.events, some)
        except ThrottledError:
            return
        except GreenletExit:
            self.crashes += 1
            raise

    def _score(self) -> None:
        taken = self.events.receive(self.chance.randint(1, self.chaos.batch))
        tools = Tools(self.store, self.ruleset, lambda: self.now, lambda _: self._scheduler.switch())
        records = [{"messageId": name, "body": body} for name, (body, _) in taken.items()]

        def work() -> set[str]:
            queues = Queues(self.events, self.changes)
            return set(score_batch(tools, queues, records, self.store, None, self.gate).retry)

        self._consume(self.events, taken, work)


def make_world(seed: int) -> tuple[QuarantiningWorld, list[dict[str, Any]]]:
    events, arriving = make_traffic(seed, 10 + seed % 25)
    chance = random.Random(f"quarantine {seed}")
    for event in events:
        traits = event.get("traits")
        if isinstance(traits, dict) and traits.get("email") == "a@x":
            traits["email"] = "a@acme.example"
    bots = {str(event["messageId"]): chance.random() < 0.15 for event in events}
    return QuarantiningWorld(seed, arriving, bots), events


def run_seed(seed: int) -> tuple[list[str], QuarantiningWorld]:
    """Return everything that is wrong after one run, before and after all is cleared."""
    world, events = make_world(seed)
    try:
        world.run()
        world.reasons = {each.reason for each in world.kept()}
        faults = _faults_amid(world, events)
        world.clear_all()
    except AssertionError as endless:
        return [str(endless)], world
    if world.store.held.marks:
        faults.append("somebody is marked though all is cleared")
    return faults + find_faults(world, events), world


def _faults_amid(world: QuarantiningWorld, events: Sequence[Mapping[str, Any]]) -> list[str]:
    log = world.store.held.log
    logged = [event for event in events if event["messageId"] in log.get(identities(event, RULES.identity)[0], {})]
    kept = {str(each.event["messageId"]): each for each in world.kept()}
    names = {str(event["messageId"]) for event in logged}
    faults = [f"{event['messageId']} is lost" for event in events if str(event["messageId"]) not in names | kept.keys()]
    faults += [f"{name} is a bot's and counts" for name in names - world.cleared if world.bots[name]]
    bots = {name for name, each in kept.items() if each.reason is Reason.BOT}
    faults += [f"{name} is no bot's" for name in bots if not world.bots[name]]
    return faults + find_faults(world, logged)


@pytest.fixture(autouse=True)
def small_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantining, "_LEAST_PART", 2)


def test_what_is_apart_is_worth_nothing_and_what_is_cleared_is_worth_what_it_would_have_been() -> None:
    reasons: set[Reason] = set()
    crashes = both = 0
    for seed in range(SEEDS):
        faults, world = run_seed(seed)
        assert faults == [], f"seed {seed}"
        reasons |= world.reasons
        crashes += world.crashes
        both += bool(world.cleared)
    assert reasons == {Reason.BOT, Reason.INTERNAL_DOMAIN, Reason.BURST}
    assert crashes > SEEDS / 2
    assert both > SEEDS / 2


def release_first(ward: MemoryStore, events: Any, kept: Sequence[Quarantined], names: Sequence[str] = ()) -> None:
    ward.release(kept, names)
    CLEAR(ward, events, kept, names)


def keep_none(_store: MemoryStore, quarantined: Sequence[Quarantined]) -> frozenset[str]:
    return frozenset(str(each.event["messageId"]) for each in quarantined)


def judge_again(quarantined: Quarantined) -> str:
    return json.dumps({"event": quarantined.event, "source": quarantined.source})


def acknowledge_what_failed(
    tools: Any, gate: Any, brought: Mapping[str, Any], outcome: Any, again: frozenset[str]
) -> Mapping[str, Any]:
    left = SET_APART(tools, gate, brought, outcome, again)
    outcome.failures.clear()
    return left


CLEAR, SET_APART = quarantining.clear, batches._set_apart
PLANTED: dict[str, tuple[object, str, Callable[..., object]]] = {
    "what must not count is kept nowhere": (MemoryStore, "keep", keep_none),
    "what the log has is judged again": (MemoryStore, "find_logged", lambda *_: frozenset()),
    "what is cleared is judged again": (quarantining, "_cleared_body", judge_again),
    "what could not be judged is acknowledged": (batches, "_set_apart", acknowledge_what_failed),
    "marks stay when all is cleared": (quarantining, "possible_identities", lambda _: frozenset()),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, bug = PLANTED[name]
    monkeypatch.setattr(owner, attribute, bug)
    assert any(run_seed(seed)[0] for seed in range(PATIENCE))


def test_removing_before_sending_loses_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.simulation.test_quarantining.clear", release_first)
    assert any(run_seed(seed)[0] for seed in range(PATIENCE))
