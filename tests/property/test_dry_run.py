"""A dry run says what a re-score then does, however the leads are parted, and of the same ruleset that nothing moves.

The leads are what the simulation's traffic leaves: merged identities, accounts, leads that a new ruleset has yet to
reach. The re-score is the rebuild's, of outdated leads alone.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import pytest

from leadscore import Ruleset, parse_ruleset
from leadscore.core.instants import DAY, from_datetime
from leadscore.learning.dry_runs import MOST_MOVERS, CriterionMoves, DryRun
from leadscore.usecases.batches import Queues
from leadscore.usecases.dry_run import Comparing, run_sample, run_segment
from leadscore.usecases.histories import HistoryPage
from leadscore.usecases.rebuilding import Segment, rebuild_segment
from leadscore.usecases.scoring import Tools
from tests.contract.memory_histories import MemoryHistories
from tests.contract.memory_store import MemoryStore
from tests.contract.memory_table import MemoryTable
from tests.simulation.traffic import RULES, make_traffic
from tests.simulation.world import World
from tests.unit.test_score_batch import Queue

SEEDS = range(25)


def changed(**fields: Any) -> Ruleset:
    return parse_ruleset({**json.loads(RULES.document), **fields})


def with_criterion(name: str, **fields: Any) -> Ruleset:
    criteria = json.loads(RULES.document)["criteria"]
    return changed(criteria=[{**one, **fields} if one["id"] == name else one for one in criteria])


NEW = {
    "same": RULES,
    "points": with_criterion("executive", points=45),
    "patterns": with_criterion("active", event={"event": ["Nothing"]}, at_least=1),
    "traits": with_criterion("executive", traits={"title": ["VP"]}),
    "accounts": with_criterion("large", points=30, traits={"account": {"size": [{"numeric": ["<", 99]}]}}),
    "half-life": changed(groups={"engagement": {"max": 30}}),
    "tiers": changed(
        tiers=[{"name": "burning", "from": 60}, {"name": "hot", "from": 20}, {"name": "cold"}],
        alerts={"tier": "burning"},
    ),
    "gates": with_criterion("rival", traits={"title": ["CEO"]}),
}


@cache
def settled(seed: int) -> World:
    _, arriving = make_traffic(seed, 40)
    world = World(seed, RULES, arriving)
    world.run()
    return world


def ignore(_page: HistoryPage) -> None:
    pass


def comparing(world: World, new: Ruleset) -> Comparing:
    return Comparing(RULES, new, from_datetime(world.now), world.store.held.retention)


def run_all(world: World, new: Ruleset, segments: int = 1, most: int = 7) -> DryRun:
    reader, compared = MemoryHistories(world.store.held), comparing(world, new)
    parts = [run_segment(reader, compared, number, segments, most, ignore) for number in range(segments)]
    return DryRun.empty(RULES, new).merge(*parts)


def tiers_of(held: MemoryStore) -> dict[str, str]:
    return {name: one.body.tier for name, one in held.identities.items() if one.body is not None and one.owner is None}


def rescore(world: World, new: Ruleset) -> dict[str, str]:
    """Return the tier of each lead after the re-score under another ruleset, which is then undone."""
    held, segment, queues = world.store.held, Segment(0, 1, outdated_only=True), Queues(Queue(), Queue())
    before = dict(held.identities), dict(held.accounts), dict(held.ratings)
    tools = Tools(held, new, lambda: world.now, lambda _attempt: None)
    try:
        while not segment.done:
            work = rebuild_segment(tools, MemoryTable(held), queues, segment, 10)
            assert work.failures == []
            segment = work.segment
        return tiers_of(held)
    finally:
        held.identities, held.accounts, held.ratings = before


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
def test_the_matrix_is_what_the_re_score_then_gives(new: Ruleset) -> None:
    moved = 0
    for seed in SEEDS:
        world = settled(seed)
        stored = tiers_of(world.store.held)
        done = run_all(world, new)
        rescored = rescore(world, new)
        assert Counter(done.matrix) == Counter((stored[lead], rescored[lead]) for lead in stored)
        assert done.failed == 0
        moved += done.moved
    assert (moved > 0) == (new is not RULES)


@pytest.mark.parametrize("seed", SEEDS)
def test_under_the_same_ruleset_nobody_moves(seed: int) -> None:
    done = run_all(settled(seed), RULES)
    assert (done.moved, done.changed, done.movers, dict(done.criteria)) == (0, 0, (), {})
    assert done.told_before == done.told_after
    assert done.told_both == done.told_before.leads


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
def test_each_row_of_the_matrix_adds_up_to_the_leads_of_its_tier(new: Ruleset) -> None:
    for seed in SEEDS:
        done = run_all(settled(seed), new)
        rows = {row: sum(n for (before, _), n in done.matrix.items() if before == row) for row in done.tiers_before}
        assert +Counter(rows) == Counter(tiers_of(settled(seed).store.held).values())
        assert {after for _, after in done.matrix} <= set(done.tiers_after)


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
def test_segments_in_any_number_and_order_give_the_same(new: Ruleset) -> None:
    for seed in SEEDS[:8]:
        world = settled(seed)
        reader, compared = MemoryHistories(world.store.held), comparing(world, new)
        whole = run_all(world, new)
        parts = [run_segment(reader, compared, number, 5, 3, ignore) for number in range(5)]
        assert parts[0].merge(*parts[1:]) == whole
        assert parts[4].merge(parts[2]).merge(parts[0].merge(parts[1], parts[3])) == whole


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
def test_what_moves_a_lead_is_the_difference_of_its_scores(new: Ruleset) -> None:
    for seed in SEEDS:
        for mover in run_all(settled(seed), new).movers:
            assert sum(move.points for move in mover.moves) + mover.rest == pytest.approx(mover.points, abs=1e-9)
            assert mover.points or mover.changes_tier


def test_a_sample_of_more_leads_than_there_are_is_all_of_them() -> None:
    world = settled(3)
    reader, compared = MemoryHistories(world.store.held), comparing(world, NEW["points"])
    sampled = run_sample(reader, compared, 10_000, 7, lambda: False, ignore)
    assert sampled.is_all
    assert sampled.dry_run == run_all(world, NEW["points"])


@cache
def crowd() -> World:
    """Return a world of more leads than movers are kept: three warm ones to each that never counted."""
    events: list[dict[str, object]] = [
        {"type": "identify", "traits": {"title": "VP" if number % 4 == 3 else "CEO"}} for number in range(160)
    ]
    stamp = {"timestamp": "2026-02-01T00:00:00.000Z", "receivedAt": "2026-02-01T00:00:00.000Z"}
    world = World(
        1, RULES, [{**one, **stamp, "userId": f"u{n:03}", "messageId": f"m{n}"} for n, one in enumerate(events)]
    )
    world.run()
    return world


def test_each_draft_is_tried_on_the_same_sample_of_as_many_leads_as_asked_for() -> None:
    reader, drafts = MemoryHistories(crowd().store.held), (NEW["points"], with_criterion("executive", points=30))
    samples = [run_sample(reader, comparing(crowd(), new), 30, 2, lambda: False, ignore) for new in drafts]
    assert [(one.dry_run.leads, one.is_all) for one in samples] == [(30, False)] * 2
    first, second = ({mover.lead for mover in one.dry_run.movers} for one in samples)
    assert first == second
    assert len(first) > 10


def test_a_sample_ends_when_the_time_is_up_and_says_how_many_leads_it_has() -> None:
    reader, left = MemoryHistories(crowd().store.held), iter([False] * 11)
    sampled = run_sample(reader, comparing(crowd(), NEW["points"]), 100, 2, lambda: next(left, True), ignore)
    assert (sampled.dry_run.leads, sampled.is_all) == (12, False)


def test_the_movers_that_are_kept_are_the_first_of_all() -> None:
    done = run_all(crowd(), NEW["points"], segments=3)
    executives = [f"u{number:03}" for number in range(160) if number % 4 != 3]
    assert done.changed == len(executives) == 120
    assert [mover.lead for mover in done.movers] == executives[:MOST_MOVERS]
    assert done == run_all(crowd(), NEW["points"])
    assert done.criteria == {"executive": CriterionMoves(120, 0, 120 * 25 << 40)}


def test_alerts_of_late_are_counted_under_both() -> None:
    told = Counter[str]()
    for seed in SEEDS:
        done = run_all(settled(seed), NEW["points"])
        told.update(old=done.told_before.alerts, new=done.told_after.alerts)
        assert done.told_both <= min(done.told_before.leads, done.told_after.leads)
        later = Comparing(RULES, RULES, from_datetime(settled(seed).now) + 40 * DAY, settled(seed).store.held.retention)
        nothing = run_segment(MemoryHistories(settled(seed).store.held), later, 0, 1, 50, ignore)
        assert nothing.told_before.alerts == 0
    assert told["new"] > told["old"] > 0
