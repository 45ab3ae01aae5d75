"""What people read of accounts: one of them with its people, and the list of them, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from leadscore import parse_ruleset
from leadscore.core.ruleset import RollUp
from leadscore.usecases.account_queries import AccountsQuery, parse_accounts_query
from leadscore.usecases.account_ranking import MOST_RATED, TooManyAccountsError, rank_accounts, rate_in_passing
from leadscore.usecases.account_views import read_account
from leadscore.usecases.queries import Cursor, InvalidQueryError
from leadscore.usecases.rate_message import Rate
from leadscore.usecases.records import StoredIdentity
from tests.contract.memory_store import MemoryStore
from tests.unit.test_rating import Scene, joins, leads, tries
from tests.unit.test_score_batch import NOW, RULES, Queue, make_event

# As RULES, but that nothing decays and a total may be as high as it will.
STEADY = replace(
    parse_ruleset(
        {
            "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
            "total": {"max": "none"},
            "criteria": [
                {"id": "trial", "group": "product", "event": {"event": ["Trial Started"]}, "points": 40},
                {"id": "boss", "group": "fit", "traits": {"title": [{"prefix": "VP"}]}, "points": 20},
                {"id": "rival", "disqualify": True, "traits": {"title": ["Rival"]}},
            ],
        }
    )
)


class Counting(MemoryStore):
    """Counts the leads that are read."""

    read = 0

    def load_identities(self, wanted):  # type: ignore[no-untyped-def]
        self.read += len(wanted)
        return super().load_identities(wanted)


def make_company(people: int, ruleset=STEADY) -> tuple[Scene, Counting]:  # type: ignore[no-untyped-def]
    store = Counting()
    scene = Scene(store, ruleset)
    names = [f"p{number:04d}" for number in range(people)]
    scene.happen(*map(joins, names), *map(tries, names))
    return scene, store


def test_an_account_is_shown_with_what_each_of_its_people_adds() -> None:
    scene = Scene()
    boss = make_event("boss", "identify", "ada", traits={"title": "VP Sales", "name": "Ada", "email": "a@acme.example"})
    scene.happen(joins("ada", name="Acme", employees=300), joins("bob"), tries("ada"), boss)
    scene.now = NOW + timedelta(days=30)
    view = read_account(scene.store, RULES, "acme", scene.now)
    assert view is not None
    assert view.to_dict() == {
        "id": "acme",
        "name": "Acme",
        "traits": {"employees": 300, "name": "Acme"},
        "at": "2026-03-31T12:00:00.000Z",
        "version": RULES.version,
        "roll_up": "decreasing",
        # 20 for the title, 8 for the employees, and half of the 40; and half of Bob's 8.
        "score": 52.0,
        "tier": "hot",
        "people": [
            {
                "id": "ada",
                "name": "Ada",
                "email": "a@acme.example",
                "title": "VP Sales",
                "company": "",
                "score": 48.0,
                "tier": "warm",
                "contribution": 48.0,
            },
            {
                "id": "bob",
                "name": "",
                "email": "",
                "title": "",
                "company": "",
                "score": 8.0,
                "tier": "cold",
                "contribution": 4.0,
            },
        ],
        "people_total": 2,
        "truncated": False,
    }


def test_nothing_is_shown_of_an_account_that_nobody_ever_heard_of() -> None:
    assert read_account(MemoryStore(), RULES, "nobody", NOW) is None


def test_an_account_of_traits_alone_is_shown() -> None:
    scene = Scene()
    scene.happen(joins("ada", employees=3), joins("ada", "beta", age_days=0))
    view = read_account(scene.store, RULES, "acme", NOW)
    assert view is not None
    assert (view.score, view.tier, view.people, view.traits) == (0.0, "cold", [], {"employees": 3})


def test_who_is_disqualified_counts_nothing_and_is_shown() -> None:
    scene = Scene(ruleset=STEADY)
    scene.happen(joins("ada"), tries("ada"), make_event("r", "identify", "ada", traits={"title": "Rival"}))
    scene.happen(joins("bob"), tries("bob"))
    view = read_account(scene.store, STEADY, "acme", NOW)
    assert view is not None
    shown = [(one.person["id"], one.score, one.tier, one.contribution) for one in view.people]
    assert shown == [("bob", 40.0, "warm", 40.0), ("ada", 40.0, "disqualified", 0.0)]
    assert view.score == 40


def test_a_hundred_people_count_and_a_view_says_that_there_are_more() -> None:
    rules = replace(STEADY, accounts=RollUp("sum"))
    scene, _ = make_company(130, rules)
    view = read_account(scene.store, rules, "acme", NOW)
    assert view is not None
    assert (view.score, len(view.people), view.people_total) == (4000.0, 100, 130)
    assert view.to_dict()["truncated"] is True
    assert scene.rating().people == 130


def test_people_are_counted_up_to_a_thousand() -> None:
    scene = Scene(ruleset=STEADY)
    scene.happen(joins("p"), tries("p"))
    (one,) = scene.store.identities.values()
    for number in range(1200):
        scene.store.identities[f"user:q{number}"] = StoredIdentity(f"user:q{number}", 1, body=one.body)
    view = read_account(scene.store, STEADY, "acme", NOW)
    assert view is not None
    assert (len(view.people), view.people_total) == (100, 1000)


@pytest.mark.parametrize(
    ("policy", "most"), [(RollUp("max"), 20), (RollUp(share=0.1), 30), (RollUp("breadth", points=1, from_=41), 20)]
)
def test_a_large_account_is_ranked_by_the_first_of_its_people(policy: RollUp, most: int) -> None:
    rules = replace(STEADY, accounts=policy)
    scene, store = make_company(300, rules)
    scene.happen(leads("p0000"), leads("p0001"), leads("p0002"))
    store.read = 0
    page = rank_accounts(store, rules, AccountsQuery(), NOW)
    assert page.accounts[0].people_total == 300
    assert store.read <= most


def test_an_entry_of_the_index_that_is_behind_is_passed_over() -> None:
    class Lagging(MemoryStore):
        def walk_people(self, account: str) -> Iterator[tuple[int, str]]:
            yield from [(10**10, "user:gone"), (10**10, "user:bob"), *super().walk_people(account)]

    scene = Scene(Lagging())
    scene.happen(joins("ada"), tries("ada"), joins("bob", "beta"), tries("bob"))
    view = read_account(scene.store, RULES, "acme", NOW)
    assert view is not None
    assert [one.person["id"] for one in view.people] == ["ada"]
    assert view.people_total == 1


def company(scene: Scene, account: str, *people: str) -> None:
    scene.happen(*(joins(f"{account}-{lead}", account) for lead in people))
    scene.happen(*(tries(f"{account}-{lead}") for lead in people if lead.startswith("t")))


def test_the_list_is_in_the_order_of_scores_and_ties_by_id() -> None:
    scene = Scene()
    company(scene, "b-one", "t1")
    company(scene, "c-two", "t1", "t2", "idle")
    company(scene, "a-one", "t1")
    company(scene, "d-none", "idle")
    first = rank_accounts(scene.store, RULES, AccountsQuery(limit=2), NOW)
    assert [(line.account, line.score, line.people_total) for line in first.accounts] == [
        ("c-two", 60.0, 3),
        ("a-one", 40.0, 1),
    ]
    assert first.next_cursor is not None
    rest = rank_accounts(scene.store, RULES, AccountsQuery(cursor=Cursor.decode(first.next_cursor)), NOW)
    assert [line.account for line in rest.accounts] == ["b-one", "d-none"]
    assert rest.to_dict()["next_cursor"] is None
    hot = rank_accounts(scene.store, RULES, AccountsQuery(tier="hot"), NOW)
    assert [line.account for line in hot.accounts] == ["c-two"]
    later = rank_accounts(scene.store, RULES, AccountsQuery(tier="hot"), NOW + timedelta(days=9))
    assert later.accounts == []


def test_accounts_that_have_sunk_far_below_their_bound_are_handed_on() -> None:
    scene = Scene()
    company(scene, "a-one", "t1")
    page = rank_accounts(scene.store, RULES, AccountsQuery(), NOW)
    assert page.loose == ()
    page = rank_accounts(scene.store, RULES, AccountsQuery(), NOW + timedelta(days=9))
    assert page.loose == ("a-one",)
    queue = Queue()
    rate_in_passing(queue, page.loose * (MOST_RATED + 1))
    assert queue.bodies == [Rate("a-one").body()] * MOST_RATED


def test_a_read_that_would_take_too_long_is_given_up() -> None:
    scene = Scene()
    for number in range(5):
        company(scene, f"c{number}", "t1")
    assert len(rank_accounts(scene.store, RULES, AccountsQuery(), NOW, patience=30).accounts) == 5
    with pytest.raises(TooManyAccountsError):
        rank_accounts(scene.store, RULES, AccountsQuery(), NOW, patience=29)


def test_every_parameter_is_taken() -> None:
    cursor = Cursor(5, 12.5, "acme")
    asked = {"tier": "hot", "min_score": "-12.5", "limit": "100", "cursor": cursor.encode()}
    assert parse_accounts_query(asked, RULES) == AccountsQuery(100, "hot", -12.5, cursor)
    assert parse_accounts_query({}, RULES) == AccountsQuery(limit=20)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("tier", "disqualified"),
        ("tier", ""),
        ("min_score", "nan"),
        ("cursor", "bm90IGpzb24="),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidQueryError, match=f"^{name}: "):
        parse_accounts_query({name: value}, RULES)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(InvalidQueryError, match="unknown parameter"):
        parse_accounts_query({"owner": "Eve"}, RULES)
