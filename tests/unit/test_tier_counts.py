"""How many leads stand in each tier: exact while that costs little, and honest where it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from leadscore import parse_ruleset
from leadscore.core.instants import from_datetime
from leadscore.usecases.deciding import rank_key
from leadscore.usecases.records import Ranked
from leadscore.usecases.tier_counts import TierCounts, count_tiers
from tests.contract.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = parse_ruleset(
    {
        "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
        "criteria": [{"id": "trial", "group": "engagement", "event": {"event": ["Trial"]}, "points": 60}],
    }
)


class Index(MemoryStore):
    """A store whose ranking index has these entries, and which tells how many of them were read."""

    def __init__(self, entries: Iterable[Ranked]) -> None:
        super().__init__()
        self.entries, self.read = list(entries), 0

    def walk_ranking(self) -> Iterator[Ranked]:
        for entry in self.entries:
            self.read += 1
            yield entry


def entry(tier: str, bound: float, *, due: timedelta | None = None, ruleset: str = RULES.version) -> Ranked:
    changes_at = None if due is None else from_datetime(NOW + due)
    return Ranked(rank_key(bound), f"user:{bound}", tier, changes_at, ruleset)


def counted(counts: TierCounts) -> dict[str, tuple[int, bool]]:
    return {tier.name: (tier.leads, tier.exact) for tier in counts.tiers}


SOME = [entry("hot", 70), entry("disqualified", 60), entry("warm", 51), entry("warm", 30), entry("cold", 5)]


def test_every_lead_is_counted_in_its_tier() -> None:
    counts = count_tiers(Index(SOME), RULES, NOW)
    assert counted(counts) == {"hot": (1, True), "warm": (2, True), "cold": (1, True), "disqualified": (1, True)}
    assert counts.to_dict() == {
        "tiers": [
            {"name": "hot", "from": 50.0, "leads": 1, "exact": True},
            {"name": "warm", "from": 25.0, "leads": 2, "exact": True},
            {"name": "cold", "from": None, "leads": 1, "exact": True},
            {"name": "disqualified", "from": None, "leads": 1, "exact": True},
        ],
        "unsettled": 0,
        "at": "2026-03-01T12:00:00.000Z",
        "version": RULES.version,
    }


def test_no_leads_are_none() -> None:
    assert counted(count_tiers(Index([]), RULES, NOW))["hot"] == (0, True)


def test_what_was_not_counted_to_the_end_says_so_and_costs_no_more() -> None:
    index = Index(SOME)
    # The entry after the third is bounded by 30: nobody behind it is hot, anybody may be warm.
    assert counted(count_tiers(index, RULES, NOW, most=3)) == {
        "hot": (1, True),
        "warm": (1, False),
        "cold": (0, False),
        "disqualified": (1, False),
    }
    assert index.read == 4


def test_a_tier_whose_bound_is_reached_but_not_passed_is_not_exact() -> None:
    on_the_bound = [entry("hot", 70), entry("hot", 50), entry("hot", 50)]
    assert counted(count_tiers(Index(on_the_bound), RULES, NOW, most=2))["hot"] == (2, False)


def test_leads_that_time_or_another_ruleset_may_have_moved_are_told() -> None:
    entries = [
        entry("hot", 70, due=timedelta(seconds=-1)),
        entry("hot", 69, due=timedelta(0)),
        entry("hot", 68, due=timedelta(seconds=1)),
        entry("lukewarm", 40, ruleset="000000000000"),
    ]
    counts = count_tiers(Index(entries), RULES, NOW)
    assert (counted(counts)["hot"], counts.unsettled) == ((3, True), 3)
