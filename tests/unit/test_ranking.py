"""What a read of the ranked list reads and hands on: no more than it needs, and whatever the index says."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest

from benchmarks.population import NOW, RULES, Population, lead_identity, lead_number
from leadscore import State, advance, score_state
from leadscore.core.alerting import AlertMemory
from leadscore.core.identity import Identity
from leadscore.core.instants import from_datetime
from leadscore.usecases.deciding import rank_key
from leadscore.usecases.queries import Cursor, LeadsQuery
from leadscore.usecases.ranking import MOST_REKEYED, PATIENCE, Page, TooManyLeadsError, move_in_passing, rank_leads
from leadscore.usecases.records import LeadBody, Ranked, StoredIdentity
from tests.contract.memory_store import MemoryStore
from tests.unit.story import did, instant, rules

LADDER = rules(
    *(
        f"id: step-{points}, group: engagement, event: {{event: [step {points}]}}, points: {points}"
        for points in range(1, 60)
    ),
    "id: fast, group: engagement, event: {event: [fast]}, points: 50, half_life: 1d",
    tiers="[{name: hot, from: 50}, {name: warm, from: 25}, {name: cold}]",
)
DAY_1 = "2026-03-01"


class CountingStore(MemoryStore):
    """Counts what is read; `walk` is what the index says, where that is not what the leads say."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[int] = []
        self.walk: list[Ranked] | None = None

    @property
    def read(self) -> int:
        return sum(self.chunks)

    def load_identities(self, wanted: Collection[Identity]) -> dict[Identity, StoredIdentity]:
        self.chunks.append(len(wanted))
        return super().load_identities(wanted)

    def walk_ranking(self) -> Iterator[Ranked]:
        yield from super().walk_ranking() if self.walk is None else self.walk

    def add(self, name: str, *what: str, account: str | None = None) -> StoredIdentity:
        """Add a lead as its last event leaves it."""
        state = advance(State.empty(LADDER), [did(DAY_1, one) for one in what])
        if account is not None:
            joined = {**did(DAY_1, "join"), "type": "group", "groupId": account}
            state = advance(state, [joined])
            self.add_member(account, f"user:{name}")
        score = score_state(state, instant(DAY_1))
        due = None if score.next_change_at is None else from_datetime(score.next_change_at)
        key = rank_key(score.ceiling)
        body = LeadBody(state.to_json(), LADDER.version, score.tier, key, due, account, AlertMemory())
        stored = StoredIdentity(f"user:{name}", version=1, body=body)
        self.identities[stored.identity] = stored
        return stored

    def rekey(self, stored: StoredIdentity, points: float) -> None:
        """Let the lead's place be another than its score says."""
        assert stored.body is not None
        body = replace(stored.body, rank_key=rank_key(points))
        self.identities[stored.identity] = replace(stored, body=body)


def ladder(*points: int) -> CountingStore:
    store = CountingStore()
    for number, amount in enumerate(points):
        store.add(f"{number:04d}", f"step {amount}")
    return store


def read(store: CountingStore, query: LeadsQuery, at: str = DAY_1, patience: int = PATIENCE) -> Page:
    return rank_leads(store, LADDER, query, instant(at), patience=patience)


def ids(page: Page) -> list[str]:
    return [lead.person["id"] for lead in page.leads]


def test_a_read_stops_where_nothing_later_can_beat_the_page() -> None:
    store = ladder(*([30] * 5), *([10] * 500))
    assert ids(read(store, LeadsQuery(limit=3))) == ["0000", "0001", "0002"]
    assert store.chunks == [10]


def test_ties_at_the_highest_score_end_a_read() -> None:
    store = CountingStore()
    for number in range(300):
        store.add(f"{number:03d}", "step 59", "step 58")
    page = read(store, LeadsQuery(limit=60))
    assert page.leads[0].score.total == 100
    assert ids(page) == [f"{number:03d}" for number in range(60)]
    assert store.chunks == [61]


def test_chunks_are_what_the_page_lacks_then_small_and_growing() -> None:
    store = CountingStore()
    for number in range(1000):
        store.rekey(store.add(f"{number:04d}", "step 1"), points=90)
    read(store, LeadsQuery(limit=250))
    assert store.chunks[:3] == [100, 100, 51]
    assert max(store.chunks) == 100
    store.chunks.clear()
    read(store, LeadsQuery(limit=1))
    assert store.chunks[:6] == [10, 20, 40, 80, 100, 100]


def test_a_tier_is_told_from_the_index_alone_while_it_holds() -> None:
    store = ladder(*([55] * 200), *([30] * 3))
    assert ids(read(store, LeadsQuery(limit=2, tier="warm"))) == ["0200", "0201"]
    assert store.chunks == [3]


def test_a_tier_that_time_has_changed_is_not_believed() -> None:
    store = CountingStore()
    store.add("cooled", "fast")
    assert ids(read(store, LeadsQuery(tier="hot"))) == ["cooled"]
    assert ids(read(store, LeadsQuery(tier="warm"), "2026-03-02")) == ["cooled"]


def test_a_tier_under_other_criteria_is_not_believed() -> None:
    store = CountingStore()
    stored = store.add("ada", "step 55")
    assert stored.body is not None
    body = replace(stored.body, tier="cold", ruleset="older")
    store.identities[stored.identity] = replace(stored, body=body)
    assert ids(read(store, LeadsQuery(tier="hot"))) == ["ada"]


@pytest.mark.parametrize(
    "query", [LeadsQuery(tier="hot"), LeadsQuery(min_score=50), LeadsQuery(tier="warm", min_score=50)]
)
def test_no_lead_below_the_least_score_is_read(query: LeadsQuery) -> None:
    store = ladder(50, *([49] * 300))
    assert ids(read(store, query)) == (["0000"] if query.tier != "warm" else [])
    assert store.read <= 1


def test_an_account_is_read_from_its_members_and_not_from_the_index() -> None:
    store = ladder(*([40] * 300))
    store.add("ada", "step 10", account="acme")
    store.add("bob", "step 20", account="acme")
    moved = store.add("eve", "step 30", account="acme")
    assert moved.body is not None
    store.add("eve", "step 30", account="bolt")
    store.chunks.clear()
    store.walk = []
    assert ids(read(store, LeadsQuery(account="acme"))) == ["bob", "ada"]
    assert store.read == 3


def test_a_lead_that_the_walk_meets_twice_is_listed_once() -> None:
    store = ladder(*([40] * 120), 5)
    entries = list(store.walk_ranking())
    store.walk = [entries[-1]._replace(rank_key=rank_key(90)), *entries]
    assert ids(read(store, LeadsQuery(limit=200))) == [f"{number:04d}" for number in range(121)]


def test_a_lead_that_is_gone_by_the_time_it_is_read_is_left_out() -> None:
    store = ladder(40, 30)
    store.walk = list(store.walk_ranking())
    store.identities["user:0000"] = StoredIdentity("user:0000", version=2)
    assert ids(read(store, LeadsQuery())) == ["0001"]


def test_leads_that_their_keys_bound_loosely_or_not_at_all_are_named() -> None:
    store = CountingStore()
    for name, points in {"loose": 32.01, "kept": 32.0, "exact": 30, "low": 29.99}.items():
        store.rekey(store.add(name, "step 30"), points)
    assert read(store, LeadsQuery()).loose == ("user:loose", "user:low")


def test_a_key_that_only_the_index_still_has_is_not_called_loose() -> None:
    store = ladder(30)
    store.walk = [entry._replace(rank_key=rank_key(90)) for entry in store.walk_ranking()]
    assert read(store, LeadsQuery()).loose == ()


def test_a_lead_that_sank_a_little_since_the_first_page_is_still_on_the_second() -> None:
    store = ladder(50, *([49] * 20))
    faded = store.add("faded", "fast")
    cursor = Cursor(from_datetime(instant(DAY_1)), 50.0, "user:0000")
    later = "2026-03-01 00:55"
    assert faded.body is not None
    sunk = score_state(State.from_json(LADDER, faded.body.state), instant(later)).ceiling
    assert 48 < sunk < 49
    store.rekey(faded, sunk)
    assert ids(read(store, LeadsQuery(limit=1, cursor=cursor), later)) == ["faded"]


@pytest.mark.parametrize("patience", [200 * 6 - 1, 100])
def test_a_read_that_takes_too_long_is_refused_and_names_what_is_out_of_place(patience: int) -> None:
    store = CountingStore()
    for number in range(200):
        store.rekey(store.add(f"{number:03d}", "step 1"), points=90)
    with pytest.raises(TooManyLeadsError, match="narrow the list") as refused:
        read(store, LeadsQuery(limit=1), patience=patience)
    assert len(refused.value.loose) == store.read >= 10
    assert len(ids(read(store, LeadsQuery(limit=1), patience=200 * 6))) == 1


def test_what_the_index_alone_tells_takes_patience_too() -> None:
    store = ladder(*([55] * 200))
    with pytest.raises(TooManyLeadsError):
        read(store, LeadsQuery(tier="warm"), patience=199)
    assert ids(read(store, LeadsQuery(tier="warm"), patience=200)) == []


def test_what_is_out_of_place_is_handed_on_as_messages_a_thousand_at_most() -> None:
    sent: list[str] = []

    class Queue:
        def send_all(self, bodies: Sequence[str]) -> None:
            sent.extend(bodies)

    move_in_passing(Queue(), [f"user:{number}" for number in range(MOST_REKEYED + 1)])
    assert len(sent) == MOST_REKEYED == 1000
    assert json.loads(sent[0]) == {"refresh": "user:0"}


@pytest.mark.parametrize("leads", [1_000, 10_000, 100_000])
def test_the_first_hundred_take_few_reads_however_many_leads_there_are(leads: int) -> None:
    table = Population(leads)
    page = rank_leads(table.reader(), RULES, LeadsQuery(limit=100), NOW)
    first = table.take_counts()
    assert (first.pages <= 10, first.items <= 600) == (True, True), first
    for identity in page.loose:
        table.refresh(identity)
    again = rank_leads(table.reader(), RULES, LeadsQuery(limit=100), NOW)
    second = table.take_counts()
    assert (second.pages <= 10, second.items <= 300) == (True, True), second
    assert second.items < first.items
    assert [lead.person for lead in again.leads] == [lead.person for lead in page.leads]
    # What the last chunk read beyond the page's need.
    assert len(again.loose) <= 100


@pytest.mark.parametrize("cooled", [True, False])
def test_the_first_hundred_are_the_true_ones(*, cooled: bool) -> None:
    table = Population(3_000, cooled=cooled)
    page = rank_leads(table.reader(), RULES, LeadsQuery(limit=100), NOW)
    best = sorted((-table.score(lead).total, lead_identity(lead)) for lead in range(3_000))[:100]
    assert [lead.score.total for lead in page.leads] == [-total for total, _ in best]
    assert [lead_number(lead.person["id"]) for lead in page.leads] == [lead_number(name) for _, name in best]


def test_stale_keys_clog_the_top_no_longer_than_it_takes_to_move_them() -> None:
    table = Population(20_000, cooled=False)
    reads = []
    for _ in range(6):
        page = rank_leads(table.reader(), RULES, LeadsQuery(limit=100), NOW)
        reads.append(table.take_counts().items)
        for identity in page.loose[:MOST_REKEYED]:
            table.refresh(identity)
    assert reads[0] > 1_000
    assert reads[-1] < 300


@pytest.mark.parametrize("ceiling", [0.0, 0.1, 53.2, 100.0, 469.46000000000004, -20.05, 1e6 + 0.1])
def test_a_key_never_lies_below_what_it_bounds(ceiling: float) -> None:
    assert Fraction(rank_key(ceiling) - rank_key(0.0), 100) >= Fraction(ceiling)
    assert Fraction(rank_key(ceiling) - rank_key(0.0), 100) < Fraction(ceiling) + Fraction(1, 100)
