"""Identities: who belongs to whom whatever comes first, and what a lead does not write because it knows it already."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import permutations

from leadscore import parse_ruleset
from leadscore.core.scoring import score_events
from leadscore.usecases.records import StoredIdentity
from leadscore.usecases.retrying import ATTEMPTS
from leadscore.usecases.standing import read_lead
from tests.contract.memory_store import MemoryStore
from tests.unit.test_score_batch import (
    NOW,
    RULES,
    TITLE,
    TRIAL,
    Contended,
    Queue,
    body_of,
    from_ingest,
    make_event,
    run,
)

VISIT = make_event("v1", "track", age_days=1, event="Trial Started", userId=None, anonymousId="device")
SIGN_UP = make_event("s1", "identify", anonymousId="device", traits={"title": "VP Sales"})


class Interrupted(MemoryStore):
    """Lets another worker act right before the first commit."""

    def __init__(self, act: Callable[[MemoryStore], None]) -> None:
        super().__init__()
        self._act: Callable[[MemoryStore], None] | None = act

    def commit(self, written: Sequence[StoredIdentity]) -> None:
        act, self._act = self._act, None
        if act is not None:
            act(self)
        super().commit(written)


def score(store: MemoryStore, *events: dict[str, object]) -> None:
    for event in events:
        assert run(store, Queue(), from_ingest(event)).retry == []


def test_a_visitor_becomes_the_user_in_either_order() -> None:
    for order in permutations((VISIT, SIGN_UP, TITLE)):
        store = MemoryStore()
        score(store, *order)
        for name in ("ada", "anonymous:device", "device"):
            view = read_lead(store, RULES, name, NOW)
            assert view is not None
            assert (view.lead, view.identities) == ("ada", ["user:ada", "anonymous:device"])
            assert view.score.to_dict() == score_events(RULES, order, NOW).to_dict()
            assert {event["messageId"] for event in view.timeline.events} == {"v1", "s1", "m1"}
        assert [entry.identity for entry in store.walk_ranking()] == ["user:ada"]


def test_a_device_that_two_share_stays_with_who_claimed_it_first() -> None:
    earlier = make_event("s0", "identify", "bob", age_days=2, anonymousId="device", traits={"title": "VP Ops"})
    for order in permutations((VISIT, SIGN_UP, earlier)):
        store = MemoryStore()
        score(store, *order)
        ada, bob = (read_lead(store, RULES, name, NOW) for name in ("ada", "bob"))
        assert ada is not None
        assert bob is not None
        assert ada.score.to_dict() == score_events(RULES, [SIGN_UP], NOW).to_dict()
        assert bob.score.to_dict() == score_events(RULES, [VISIT, earlier], NOW).to_dict()


def test_a_lead_that_lost_its_device_is_told_of_it_with_that_cause() -> None:
    store = MemoryStore()
    earlier = make_event("s0", "identify", "bob", age_days=2, anonymousId="device", traits={})
    score(store, VISIT, SIGN_UP, earlier)
    told = [(change.cause, change.previous_tier, change.tier) for change in store.pending("user:ada")]
    assert told[-1] == ("identity", "hot", "cold")


def test_who_was_alerted_about_the_visitor_is_not_alerted_about_the_user() -> None:
    store = MemoryStore()
    named = make_event("v2", "identify", userId=None, anonymousId="device", traits={"title": "VP"})
    score(store, VISIT, named, SIGN_UP)
    assert [change.alert for change in store.pending("anonymous:device") if change.tier == "hot"] == ["wanted"]
    assert "wanted" not in {change.alert for change in store.pending("user:ada")}


def test_identify_that_says_nothing_new_writes_no_lead() -> None:
    store = MemoryStore()
    score(store, SIGN_UP, TRIAL)
    before = dict(store.identities)
    again = make_event("s2", "identify", age_days=-1, anonymousId="device", traits={"title": "VP Sales"})
    score(store, again)
    assert store.identities == before
    assert len(store.load_events("user:ada")) == 3


def test_what_was_not_written_still_holds_against_an_older_value() -> None:
    store = MemoryStore()
    older = make_event("m0", "identify", age_days=1, traits={"title": "Intern"})
    score(store, make_event("s0", "identify", age_days=2, traits={"title": "VP Sales"}), TITLE, older)
    view = read_lead(store, RULES, "ada", NOW)
    assert view is not None
    assert view.state.traits == {"title": "VP Sales"}


def test_what_is_left_out_while_a_value_is_replaced_is_found_after_it() -> None:
    """The first says VP at day 2; one worker writes Intern of day 1 while another leaves out VP of today."""

    def repeat_what_is_known(store: MemoryStore) -> None:
        score(store, TITLE)

    store = Interrupted(lambda _: None)
    score(store, make_event("s0", "identify", age_days=2, traits={"title": "VP Sales"}))
    store._act = repeat_what_is_known
    score(store, make_event("m0", "identify", age_days=1, traits={"title": "Intern"}))
    view = read_lead(store, RULES, "ada", NOW)
    assert view is not None
    assert view.state.traits == {"title": "VP Sales"}


def test_a_chain_is_joined_in_any_order() -> None:
    document = json.loads(RULES.document) | {"identity": {"email": True}}
    rules = parse_ruleset(document)
    letter = {"title": "VP", "email": "Ada@Acme.example"}
    chain = (
        VISIT,
        make_event("n1", "identify", userId=None, anonymousId="device", traits=letter),
        make_event("n2", "identify", traits=letter),
    )
    for order in permutations(chain):
        store = MemoryStore()
        for event in order:
            assert run(store, Queue(), from_ingest(event), rules=rules).retry == []
        view = read_lead(store, rules, "ada@acme.example", NOW)
        assert view is not None
        assert sorted(view.identities) == ["anonymous:device", "email:ada@acme.example", "user:ada"]
        assert view.score.to_dict() == score_events(rules, chain, NOW).to_dict()


def test_a_claim_of_many_ids_is_made_in_several_commits() -> None:
    store = MemoryStore()
    events = [make_event(f"d{i}", "page", anonymousId=f"device-{i}") for i in range(60)]
    assert run(store, Queue(), *map(from_ingest, events)).retry == []
    assert len(store.identities["user:ada"].claimed) == 60
    assert {store.identities[f"anonymous:device-{i}"].owner.owner for i in range(60)} == {"user:ada"}  # type: ignore[union-attr]
    assert store.identities["user:ada"].version == 2


def test_events_of_one_person_under_two_ids_are_one_write() -> None:
    store = MemoryStore()
    score(store, SIGN_UP)
    version = store.identities["user:ada"].version
    second = make_event("v3", "track", age_days=2, event="Subscription Started", userId=None, anonymousId="device")
    assert run(store, Queue(), from_ingest(TRIAL), from_ingest(second), from_ingest(VISIT)).scored == 3
    assert store.identities["user:ada"].version == version + 1
    assert body_of(store).tier == "hot"


def test_account_traits_that_come_last_reach_every_lead_of_the_account() -> None:
    store = MemoryStore()
    score(store, TITLE, make_event("g1", "group", groupId="acme", traits={"employees": 5}))
    score(store, make_event("t1", "track", age_days=25, event="Trial Started"))
    assert body_of(store).tier == "warm"
    score(store, make_event("g2", "group", "bob", groupId="acme", traits={"employees": 300}))
    assert body_of(store).tier == "hot"
    assert [(change.cause, change.tier) for change in store.pending("user:ada")][-1] == ("account", "hot")


def test_account_traits_that_change_while_a_lead_joins_the_account_reach_it() -> None:
    larger = make_event("g9", "group", "bob", age_days=-1, groupId="acme", traits={"employees": 300})
    store = Interrupted(lambda held: score(held, larger))
    act, store._act = store._act, None
    score(store, make_event("g0", "group", "bob", age_days=9, groupId="acme", traits={"employees": 5}))
    store._act = act
    joins = make_event("g1", "track", age_days=25, event="Trial Started", groupId="acme")
    assert run(store, Queue(), from_ingest(TITLE), from_ingest(joins)).retry == []
    assert body_of(store).tier == "hot"


def test_attempts_pause_longer_and_longer_and_then_give_up() -> None:
    pauses: list[int] = []
    store = Contended(100)
    assert run(store, Queue(), from_ingest(TRIAL), pauses=pauses).retry == ["sqs-0"]
    assert pauses == list(range(1, ATTEMPTS))
