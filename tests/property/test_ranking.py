"""The ranked list against a sorted oracle: every lead once, in order, whatever the pages, the filters and the decay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore import AccountState, Score, State, advance, advance_account, parse_ruleset, score_state
from leadscore.core.identity import ANONYMOUS, USER, display_id, identity_of
from leadscore.core.instants import format_instant, from_datetime
from leadscore.usecases.queries import parse_leads_query
from leadscore.usecases.ranking import Page, rank_leads
from leadscore.usecases.records import Event
from leadscore.usecases.scoring import Tools, apply_events, refresh
from tests.contract.memory_store import MemoryStore

START = datetime(2026, 3, 1, tzinfo=UTC)
WRITTEN = START + timedelta(days=4)
# No window closes within seconds of a reading that is so many days and hours later.
HOURS = timedelta(hours=5)
RULES = parse_ruleset(
    {
        "tiers": [{"name": "hot", "from": 30}, {"name": "warm", "from": 10}, {"name": "cold"}],
        "groups": {"fit": {"max": 20}},
        "total": {"min": -5, "max": 40},
        "criteria": [
            {"id": "slow", "group": "engagement", "event": {"event": ["slow"]}, "points": 20, "half_life": "60d"},
            {"id": "fast", "group": "engagement", "event": {"event": ["fast"]}, "points": 30, "half_life": "1d"},
            {"id": "gone", "group": "engagement", "event": {"event": ["gone"]}, "points": 15, "within": "3d"},
            {"id": "bad", "group": "engagement", "event": {"event": ["bad"]}, "points": -10, "half_life": "2d"},
            {"id": "sure", "group": "engagement", "event": {"event": ["sure"]}, "points": 35, "limit": 2},
            {"id": "boss", "group": "fit", "traits": {"title": ["CEO"]}, "points": 12},
            {"id": "size", "group": "fit", "traits": {"account": {"size": [300]}}, "points": 9},
            {"id": "rival", "disqualify": True, "event": {"event": ["rival"]}},
        ],
    }
)
# What a lead can do, with what its event says.
DEEDS: dict[str, dict[str, object]] = {
    **{name: {"type": "track", "event": name} for name in ("slow", "fast", "gone", "bad", "sure", "rival")},
    "CEO": {"type": "identify", "traits": {"title": "CEO"}},
    "Eve's": {"type": "identify", "traits": {"owner": "Eve"}},
    "Acme": {"type": "group", "groupId": "acme"},
    "Acme, large": {"type": "group", "groupId": "acme", "traits": {"size": 300}},
    "Bolt": {"type": "group", "groupId": "bolt", "traits": {"size": 5}},
}
Deed = tuple[str, int]
Filters = dict[str, str]

FILTERS: dict[str, tuple[str, ...]] = {
    "tier": ("hot", "warm", "cold", "disqualified"),
    "account": ("acme", "bolt"),
    "owner": ("Eve",),
    "min_score": ("0", "9.5", "30", "40"),
}


class Scene:
    """What some dozens of leads did, and how they are read, drawn from a seed.

    Drawn by the seed and not by strategies, whose small examples fit into one read. Few histories are distinct, so
    that many scores are equal.
    """

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        days = range(random.choice((1, 5)))
        histories = [
            [(random.choice(list(DEEDS)), random.choice(days)) for _ in range(random.randint(1, 4))] for _ in range(10)
        ]
        self.histories: list[list[Deed]] = [random.choice(histories) for _ in range(random.choice((3, 35, 35, 35)))]
        self.age = random.randint(4, 16)
        self.limits = [random.randint(1, 7) for _ in range(3)]
        chosen = random.sample(list(FILTERS), random.choice((0, 1, 1, 2)))
        self.filters: Filters = {name: random.choice(FILTERS[name]) for name in chosen}
        self.cooled = sorted((random.randint(4, self.age), random.randrange(35)) for _ in range(random.choice((0, 8))))
        self.meanwhile = [(random.randrange(35), random.choice(list(DEEDS)[:5])) for _ in range(random.randint(0, 5))]


SCENES = st.integers(0, 10**9).map(Scene)


class World:
    """Leads in a store, and what the core says of them without one."""

    def __init__(self, histories: Sequence[Sequence[Deed]]) -> None:
        self.store = MemoryStore()
        self.now = WRITTEN
        self.tools = Tools(self.store, RULES, lambda: self.now, lambda _attempt: None)
        self.logs: dict[str, list[Event]] = {}
        for number, history in enumerate(histories):
            # Every third lead is an anonymous visitor, so that identities sort otherwise than the ids that are shown.
            lead = identity_of(ANONYMOUS if number % 3 == 2 else USER, f"{number:03d}")
            self.logs[lead] = []
            for deed in history:
                self.do(lead, deed)

    def lead(self, number: int) -> str:
        return list(self.logs)[number % len(self.logs)]

    def do(self, lead: str, deed: Deed) -> None:
        (what, day), (kind, _, value), log = deed, lead.partition(":"), self.logs[lead]
        at = format_instant(from_datetime(START + timedelta(days=day)))
        named = {"userId" if kind == USER else "anonymousId": value, "messageId": f"{lead} {len(log)}"}
        event = {**named, "timestamp": at, "receivedAt": at, **DEEDS[what]}
        log.append(event)
        done = apply_events(self.tools, {lead: [event]})
        for account in done.accounts:
            for _, member in self.store.walk_members(account):
                refresh(self.tools, member)

    def scores(self, at: datetime, filters: Filters) -> list[tuple[str, float]]:
        """Return the leads that pass, as the list should have them."""
        passing: list[tuple[float, str]] = []
        for lead, events in self.logs.items():
            state = advance(State.empty(RULES), events)
            score = score_state(state, at, self._account(state.account))
            if passes(state, score, filters):
                passing.append((-score.total, lead))
        return [(display_id(lead), -total) for total, lead in sorted(passing)]

    def _account(self, name: str | None) -> AccountState:
        events = [event for log in self.logs.values() for event in log if event.get("groupId") == name]
        return advance_account(AccountState.empty(RULES), [event for event in events if "traits" in event])


def passes(state: State, score: Score, filters: Filters) -> bool:
    found = {"tier": score.tier, "account": state.account, "owner": state.traits.get("owner")}
    least = filters.get("min_score")
    return all(found[name] == wanted for name, wanted in filters.items() if name in found) and (
        least is None or score.total >= float(least)
    )


def read_pages(world: World, filters: Filters, limits: Sequence[int]) -> Iterator[Page]:
    """Yield the pages of the list, each with the next limit; the clock goes on between them."""
    cursor: dict[str, str] = {}
    for limit in cycle(limits):
        query = parse_leads_query({**filters, **cursor, "limit": str(limit)}, RULES)
        page = rank_leads(world.store, RULES, query, world.now)
        yield page
        if page.next_cursor is None:
            return
        assert len(page.leads) == limit
        cursor = {"cursor": page.next_cursor}
        world.now += timedelta(seconds=10)


def shown(page: Page) -> list[tuple[str, float]]:
    return [(lead.person["id"], lead.score.total) for lead in page.leads]


@given(scene=SCENES)
def test_pages_together_are_the_sorted_list(scene: Scene) -> None:
    world = World(scene.histories)
    for day, number in scene.cooled:
        world.now = START + timedelta(days=day)
        refresh(world.tools, world.lead(number))
    world.now = START + timedelta(days=scene.age) + HOURS
    expected = world.scores(world.now, scene.filters)

    pages = list(read_pages(world, scene.filters, scene.limits))
    assert [line for page in pages for line in shown(page)] == expected
    assert all(page.leads for page in pages[1:])


@given(scene=SCENES)
def test_who_does_nothing_between_two_pages_is_listed_once_whatever_others_do(scene: Scene) -> None:
    world = World(scene.histories)
    world.now = START + timedelta(days=scene.age) + HOURS
    expected = world.scores(world.now, scene.filters)
    busy: set[str] = set()
    listed: list[tuple[str, float]] = []
    for page in read_pages(world, scene.filters, scene.limits):
        listed += shown(page)
        for identity in page.loose:
            refresh(world.tools, identity)
        if scene.meanwhile:
            number, what = scene.meanwhile.pop()
            world.do(world.lead(number), (what, scene.age))
            busy.add(display_id(world.lead(number)))

    assert [line for line in listed if line[0] not in busy] == [line for line in expected if line[0] not in busy]


@pytest.mark.parametrize(
    ("histories", "limit"),
    [
        # All at the clamp.
        ([[("sure", 4), ("slow", 4)]] * 30, 1),
        # The smallest identity behind many whose keys are higher and whose scores are equal.
        ([[("CEO", 1)], *[[("CEO", 1), ("gone", 1)]] * 15], 7),
    ],
)
def test_ties_are_listed_by_identity(histories: list[list[Deed]], limit: int) -> None:
    world = World(histories)
    world.now = START + timedelta(days=10)
    expected = world.scores(world.now, {})

    assert len({score for _, score in expected}) == 1
    assert [line for page in read_pages(world, {}, [limit]) for line in shown(page)] == expected
