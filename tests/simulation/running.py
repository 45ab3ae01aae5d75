"""One seed from traffic to verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tests.simulation.checking import find_faults
from tests.simulation.traffic import RULES, make_traffic
from tests.simulation.world import World


@dataclass
class Totals:
    """What many runs went through."""

    runs: int = 0
    events: int = 0
    deliveries: int = 0
    faults: int = 0
    crashes: int = 0
    changes: int = 0
    account_changes: int = 0

    def summary(self) -> str:
        """Return the totals as one line."""
        return (
            f"{self.runs} seeds: {self.events} events in {self.deliveries} deliveries, {self.faults} calls went wrong, "
            f"{self.crashes} of them the last of their worker, {self.changes} changes of leads "
            f"and {self.account_changes} of accounts announced"
        )


def run_seed(seed: int, totals: Totals | None = None) -> list[str]:
    """Return everything that is wrong after one run."""
    events, arriving = make_traffic(seed, 10 + seed % 25)
    world = World(seed, RULES, arriving)
    try:
        world.run()
    except AssertionError as endless:
        return [str(endless)]
    if totals is not None:
        totals.runs += 1
        totals.events += len(events)
        totals.deliveries += len(arriving)
        totals.faults += world.faults
        totals.crashes += world.crashes
        totals.changes += len(world.store.committed)
        totals.account_changes += len(world.store.rated)
    faults = find_faults(world, events)
    if not faults:
        world.now += timedelta(days=1, seconds=1)
        world.settle()
        faults = [f"a day later {fault}" for fault in find_faults(world, events)]
    return faults
