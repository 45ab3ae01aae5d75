"""Accounts against an oracle that reads everyone: each once, in order, with the right people, however they decay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore import AccountState, Score, State, advance, advance_account, score_state
from leadscore.core.decay import to_points
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.rolling import account_tier, counted_units
from leadscore.core.ruleset import RollUp
from leadscore.usecases.account_queries import parse_accounts_query
from leadscore.usecases.account_ranking import AccountPage, rank_accounts
from leadscore.usecases.account_views import read_account
from leadscore.usecases.deciding import highest_score
from leadscore.usecases.rating import rate_account
from leadscore.usecases.records import Event
from leadscore.usecases.scoring import Tools, accounts_of, apply_events, refresh
from tests.contract.memory_store import MemoryStore
from tests.property.test_ranking import HOURS, RULES, START, WRITTEN
from tests.property.test_rolling import roll_up_naively

DEEDS: dict[str, dict[str, object]] = {
    **{name: {"type": "track", "event": name} for name in ("slow", "fast", "gone", "bad", "sure", "rival")},
    "CEO": {"type": "identify", "traits": {"title": "CEO"}},
}
POLICIES = (RollUp(), RollUp(share=0.2), RollUp("sum"), RollUp("max"), RollUp("breadth", points=4, from_=10))
FILTERS: tuple[dict[str, str], ...] = ({}, {}, {"tier": "hot"}, {"tier": "warm"}, {"tier": "cold"}, {"min_score": "20"})


class Scene:
    """Some dozens of leads in a few accounts, drawn from a seed; of the histories there are few, so that scores tie."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        high = random.choice((40, 90, None))
        self.rules = replace(RULES, accounts=random.choice(POLICIES), total_max=high)
        days = range(random.choice((1, 5)))
        histories = [
            [(random.choice(list(DEEDS)), random.choice(days)) for _ in range(random.randint(1, 3))] for _ in range(8)
        ]
        self.leads = [
            (f"{number:03d}", f"a{random.randrange(random.choice((1, 3, 9)))}", random.choice(histories))
            for number in range(random.choice((4, 40, 60)))
        ]
        self.age = random.randint(4, 16)
        self.cooled = sorted(random.randint(4, self.age) for _ in range(random.choice((0, 3))))
        self.filters: dict[str, str] = random.choice(FILTERS)
        self.limits = [random.randint(1, 4) for _ in range(3)]


# An example reads whole accounts several times over.
FEW = settings(max_examples=settings().max_examples // 4)
SCENES = st.integers(0, 10**9).map(Scene)


class World:
    """Leads and their accounts in a store, and what the core says of them without one."""

    def __init__(self, scene: Scene) -> None:
        self.store = MemoryStore()
        self.now = WRITTEN
        self.rules = scene.rules
        self.tools = Tools(self.store, scene.rules, lambda: self.now, lambda _: None)
        self.logs: dict[str, list[Event]] = {}
        self.of: dict[str, str] = {}
        for lead, account, history in scene.leads:
            self.of[lead] = account
            self.logs[lead] = []
            self._do(lead, {"type": "group", "groupId": account, "traits": {"size": 300}}, 0)
            for what, day in history:
                self._do(lead, DEEDS[what], day)
        for day in scene.cooled:
            self.now = START + timedelta(days=day)
            # The list is exact although none but those who are due are brought up to date.
            for _, identity in list(self.store.walk_due(from_datetime(self.now))):
                refresh(self.tools, identity)
                self._rate(accounts_of(self.store, [identity]))
            self._rate(self.store.walk_due_accounts(from_datetime(self.now)))
        self.now = START + timedelta(days=scene.age) + HOURS

    def people(self, account: str) -> list[tuple[str, Score]]:
        """Return an account's people in the order in which they count."""
        scores = {lead: self._score(lead) for lead, of in self.of.items() if of == account}
        return sorted(scores.items(), key=lambda one: (-counted_units(one[1]), f"user:{one[0]}"))

    def ranked(self, filters: dict[str, str]) -> list[tuple[str, float, str]]:
        """Return the accounts as the list should have them."""
        found: list[tuple[float, str, str]] = []
        for account in set(self.of.values()):
            units = roll_up_naively(self.rules, [counted_units(score) for _, score in self.people(account)])
            tier, score = account_tier(self.rules, units), to_points(units)
            if filters.get("tier") in {None, tier} and score >= float(filters.get("min_score", 0)):
                found.append((-score, account, tier))
        return [(account, -score, tier) for score, account, tier in sorted(found)]

    def _do(self, lead: str, deed: dict[str, object], day: int) -> None:
        log = self.logs[lead]
        at = format_instant(from_datetime(START + timedelta(days=day)))
        event = {"userId": lead, "messageId": f"{lead} {len(log)}", "timestamp": at, "receivedAt": at, **deed}
        log.append(event)
        done = apply_events(self.tools, {f"user:{lead}": [event]})
        for account in done.accounts:
            for _, member in self.store.walk_members(account):
                refresh(self.tools, member)
        self._rate(done.unrated)

    def _rate(self, accounts: object) -> None:
        for account in list(accounts):  # type: ignore[call-overload]
            rate_account(self.tools, account)

    def _score(self, lead: str) -> Score:
        state = advance(State.empty(self.rules), self.logs[lead])
        of = [event for log in self.logs.values() for event in log if event.get("groupId") == state.account]
        return score_state(state, self.now, advance_account(AccountState.empty(self.rules), of))


def read_pages(world: World, filters: dict[str, str], limits: Sequence[int]) -> Iterator[AccountPage]:
    cursor: dict[str, str] = {}
    for limit in cycle(limits):
        query = parse_accounts_query({**filters, **cursor, "limit": str(limit)}, world.rules)
        page = rank_accounts(world.store, world.rules, query, world.now)
        yield page
        if page.next_cursor is None:
            return
        assert len(page.accounts) == limit
        cursor = {"cursor": page.next_cursor}


@FEW
@given(SCENES)
def test_pages_together_are_the_sorted_list(scene: Scene) -> None:
    world = World(scene)
    at = world.now
    expected = world.ranked(scene.filters)
    pages = []
    for page in read_pages(world, scene.filters, scene.limits):
        pages.append(page)
        # The clock goes on between two pages, and the list stays that of the first.
        world.now += timedelta(seconds=10)
    world.now = at
    listed = [line for page in pages for line in page.accounts]
    assert [(line.account, line.score, line.tier) for line in listed] == expected
    for line in listed:
        people = world.people(line.account)
        assert line.people_total == len(people)
        assert [shown.score for shown in line.people] == [score.total for _, score in people[:3]]


@FEW
@given(SCENES)
def test_a_view_shows_everybody_who_counts_and_what_they_add(scene: Scene) -> None:
    world = World(scene)
    for account, score, tier in world.ranked({}):
        view = read_account(world.store, world.rules, account, world.now)
        assert view is not None
        people = world.people(account)
        assert (view.score, view.tier, view.people_total) == (score, tier, len(people))
        shown = [(one.person["id"], one.score, one.tier) for one in view.people]
        assert shown == [(lead, scored.total, scored.tier) for lead, scored in people]
        assert sum(one.contribution for one in view.people) == view.score


@FEW
@given(SCENES)
def test_a_rating_bounds_the_score_from_then_on_and_knows_the_tier(scene: Scene) -> None:
    world = World(scene)
    for account in set(world.of.values()):
        rate_account(world.tools, account)
    keys = {account: highest_score(key) for key, account in world.store.walk_account_ranking()}
    for account, _, tier in world.ranked({}):
        assert world.store.ratings[account].tier == tier
    for later in (timedelta(0), timedelta(hours=7), timedelta(days=30)):
        world.now += later
        assert all(score <= keys[account] for account, score, _ in world.ranked({}))


@FEW
@given(SCENES)
def test_whoever_is_in_another_tier_was_due_within_a_day(scene: Scene) -> None:
    world = World(scene)
    for account in set(world.of.values()):
        rate_account(world.tools, account)
    before = {account: tier for account, _, tier in world.ranked({})}
    world.now += timedelta(days=1)
    due = set(world.store.walk_due_accounts(from_datetime(world.now)))
    assert {account for account, _, tier in world.ranked({}) if tier != before[account]} <= due
