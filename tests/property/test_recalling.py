"""A lead as of any instant is the pure function of what had happened by then."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from leadscore import Ruleset, State, advance, parse_ruleset, score_events, score_state
from leadscore.core.instants import from_datetime, parse_instant, to_datetime
from leadscore.core.state import AccountState, advance_account
from leadscore.usecases.recalling import recall_lead
from leadscore.usecases.scoring import Tools, apply_events
from leadscore.usecases.standing import read_lead
from tests.contract.memory_store import MemoryStore
from tests.property.strategies import Case, cases, distances
from tests.simulation.checking import find_truth
from tests.simulation.traffic import RULES, make_traffic
from tests.simulation.world import START, World

FOR_EVER = 10_000_000
Event = Mapping[str, object]


def no_pause(_attempt: int) -> None:
    pass


def store_of(ruleset: Ruleset, events: list[Event], now: datetime) -> MemoryStore:
    store = MemoryStore(retention_days=FOR_EVER)
    for event in events:
        apply_events(Tools(store, ruleset, lambda: now, no_pause), {"user:u1": [event]})
    return store


@given(case=cases(), data=st.data())
def test_a_lead_as_of_an_instant_is_the_score_of_its_events_until_then(case: Case, data: st.DataObject) -> None:
    ruleset = parse_ruleset(case.document)
    events: list[Event] = [event | {"userId": "u1"} for event in case.events]
    times = [parse_instant(str(event["timestamp"])) for event in events] or [from_datetime(case.at)]
    store = store_of(ruleset, events, to_datetime(max(times)))
    near = st.sampled_from(times).flatmap(
        lambda time: st.one_of(st.just(time), st.just(time - 1), distances(case.document).map(lambda by: time + by))
    )
    instant = data.draw(near)
    now = to_datetime(max(*times, instant))
    view = recall_lead(store, ruleset, "u1", to_datetime(instant), now)
    if view is None:
        assert not events
        return
    expected = score_events(ruleset, events, to_datetime(instant))
    assert json.dumps(view.score.to_dict()) == json.dumps(expected.to_dict())
    assert view.as_of is not None
    assert view.as_of.log_begins is None


@given(case=cases())
def test_as_of_now_is_what_is_read_now(case: Case) -> None:
    ruleset = parse_ruleset(case.document)
    events: list[Event] = [event | {"userId": "u1"} for event in case.events]
    times = [parse_instant(str(event["timestamp"])) for event in events]
    now = to_datetime(max([from_datetime(case.at), *times]))
    store = store_of(ruleset, events, now)
    present, recalled = read_lead(store, ruleset, "u1", now), recall_lead(store, ruleset, "u1", now, now)
    if present is None or recalled is None:
        assert present is recalled
        return
    assert json.dumps(recalled.score.to_dict()) == json.dumps(present.score.to_dict())
    assert recalled.timeline == present.timeline
    of_now = {"as_of": None, "p_convert": None, "calibration": None}
    assert {**recalled.to_dict(), **of_now} == {**present.to_dict(), **of_now}


def test_joined_people_and_shared_accounts_are_recalled_as_well() -> None:
    """All identities that a lead has now, and for its account what all of the account's leads had said by then."""
    compared = Counter[str]()
    for seed in range(30):
        events, arriving = make_traffic(seed, 40)
        world = World(seed, RULES, arriving)
        world.run()
        leads = find_truth(RULES, events).leads()
        for (lead, log), hours in product(leads.items(), (1, 3, 6, 9, 12, 24)):
            at = START - timedelta(hours=10 - hours)
            view = recall_lead(world.store.held, RULES, lead, at, world.now)
            assert view is not None
            assert view.as_of is not None
            state = advance(State.empty(RULES), until(log, at))
            said = of_account(events, state.account)
            if said == of_account(
                [event for owned in leads.values() if is_of(owned, state) for event in owned], state.account
            ):
                account = advance_account(AccountState.empty(RULES), until(said, at))
                assert view.score.to_dict() == score_state(state, at, account).to_dict()
                compared[view.as_of.account_traits] += 1
    assert compared["exact"] > 100
    assert compared["replayed"] > 20


def until(events: Iterable[Event], at: datetime) -> list[Event]:
    return [event for event in events if parse_instant(str(event["timestamp"])) <= from_datetime(at)]


def of_account(events: Iterable[Event], account: str | None) -> list[Event]:
    """Return what events say of an account, in one order."""
    said = [event for event in events if event["type"] == "group" and event["groupId"] == account]
    return sorted(said, key=lambda event: str(event["messageId"]))


def is_of(log: Iterable[Event], state: State) -> bool:
    """Return whether whose log it is belongs to the account now: only those that ever did are asked."""
    return advance(State.empty(RULES), log).account == state.account
