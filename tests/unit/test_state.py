"""What a lead's state keeps: bounded, and the same whatever order, repetition, batching or merging the events had."""

from __future__ import annotations

import hashlib
import json
from itertools import permutations

import pytest

from leadscore import AccountState, Ruleset, StaleState, State, advance, advance_account, merge, touches
from leadscore.core.instants import from_datetime
from leadscore.core.state import says_the_same
from tests.unit.story import Event, did, instant, joined, rules, said, visited

VISITS = "id: visits, group: engagement, event: {type: [page]}, points: 5, limit: 2"
CALLS = "id: calls, group: engagement, event: {event: [Called]}, points: 5, at_least: 3"
FEATURES = (
    "id: features, group: product, event: {event: [Used]}, points: 5, at_least: 2,"
    " measure: {distinct: properties.feature}"
)
MINUTES = (
    "id: minutes, group: product, event: {event: [Read]}, points: 5, at_least: 60, measure: {sum: properties.minutes}"
)
DAYS = "id: active, group: product, event: {event: [Used]}, points: 5, at_least: 2, measure: days"
TITLE = "id: boss, group: fit, traits: {title: [CEO]}, points: 10"
SIZE = "id: size, group: fit, traits: {account: {employees: [{numeric: ['>=', 100]}]}}, points: 10"

ALL = rules(VISITS, CALLS, FEATURES, MINUTES, DAYS, TITLE, SIZE)
HISTORY = [
    visited("2026-03-01 08:00", "/pricing"),
    visited("2026-03-02 08:00", "/docs"),
    visited("2026-03-03 08:00", "/pricing"),
    did("2026-03-01 09:00", "Used", feature="export"),
    did("2026-03-02 09:00", "Used", feature="import"),
    did("2026-03-02 10:00", "Used", feature="export"),
    did("2026-03-04 09:00", "Read", minutes=50),
    did("2026-03-05 09:00", "Read", minutes=30.5),
    said("2026-03-01", title="CEO", email="ann@corp.example"),
    said("2026-03-06", title="CTO"),
    joined("2026-03-01", "corp", employees=300),
    did("2026-03-07", "Subscription Started"),
    did("2026-03-08", "Subscription Started"),
]


def state_of(events: list[Event], ruleset: Ruleset = ALL) -> State:
    return advance(State.empty(ruleset), events)


def kept(criterion: str, *events: Event) -> list[str]:
    occurrences = state_of(list(events)).kept.get(criterion, ())
    return [occurrence.event for occurrence in occurrences]


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_plain_criterion_keeps_its_most_recent_occurrences() -> None:
    visits = [visited(f"2026-03-0{day}", "/") for day in (3, 1, 5, 2)]
    assert kept("visits", *visits) == ["/ 2026-03-03", "/ 2026-03-05"]


def test_equal_times_are_ordered_by_message_id() -> None:
    visits = [visited("2026-03-01", path) for path in ("/b", "/c", "/a")]
    assert kept("visits", *visits) == ["/b 2026-03-01", "/c 2026-03-01"]


def test_a_count_keeps_as_many_as_it_needs() -> None:
    calls = [did(f"2026-03-0{day}", "Called") for day in range(1, 8)]
    assert kept("calls", *calls) == ["Called 2026-03-05", "Called 2026-03-06", "Called 2026-03-07"]


def test_distinct_keeps_the_newest_occurrence_of_the_most_recent_values() -> None:
    uses = [
        did("2026-03-01", "Used", feature="export"),
        did("2026-03-02", "Used", feature="import"),
        did("2026-03-03", "Used", feature="share"),
        did("2026-03-04", "Used", feature="export"),
    ]
    assert kept("features", *uses) == ["Used 2026-03-03", "Used 2026-03-04"]


@pytest.mark.parametrize("value", [["a"], {"a": 1}])
def test_distinct_takes_no_lists_or_objects(value: object) -> None:
    assert kept("features", did("2026-03-01", "Used", feature=value)) == []


def test_distinct_tells_texts_from_numbers_and_booleans() -> None:
    features = rules(FEATURES.replace("at_least: 2", "at_least: 9"))
    values = ["1", 1, True, "true", "x" * 100, "x" * 101, "y" * 100]
    uses = [did(f"2026-03-01 0{place}:00", "Used", feature=value) for place, value in enumerate(values)]
    assert len(state_of(uses, features).kept["features"]) == len(values)


def test_a_long_distinct_value_takes_bounded_space_and_equals_itself() -> None:
    features = rules(FEATURES)
    long = "\u00e9" * 5000
    state = state_of([did("2026-03-01", "Used", feature=long), did("2026-03-02", "Used", feature=long)], features)
    assert [occurrence.event for occurrence in state.kept["features"]] == ["Used 2026-03-02"]
    assert len(state.to_json()) < 200


@pytest.mark.parametrize(
    ("value", "mark"),
    [
        ("\u00e9" * 20, f'"{"\u00e9" * 20}"'),
        ("x" * 62, f'"{"x" * 62}"'),
        ("x" * 63, hashlib.sha256(f'"{"x" * 63}"'.encode()).hexdigest()),
        ("\ud800", '"\ud800"'),
        (1.5, "1.5"),
    ],
)
def test_a_distinct_value_is_remembered_as_its_json_or_beyond_64_bytes_as_a_digest(value: object, mark: str) -> None:
    state = state_of([did("2026-03-01", "Used", feature=value)])
    assert [occurrence.mark for occurrence in state.kept["features"]] == [mark]


def test_sum_keeps_the_newest_that_reach_the_goal() -> None:
    reads = [did(f"2026-03-0{day}", "Read", minutes=25) for day in range(1, 8)]
    assert kept("minutes", *reads) == ["Read 2026-03-05", "Read 2026-03-06", "Read 2026-03-07"]


def test_sum_keeps_none_that_are_lost_in_the_rounding_of_the_newer_ones() -> None:
    reads = [did("2026-03-01", "Read", minutes=1e-30), did("2026-03-02", "Read", minutes=60)]
    assert kept("minutes", *reads) == ["Read 2026-03-02"]


def test_sum_keeps_no_more_than_its_limit() -> None:
    minutes = rules(MINUTES + ", limit: 2")
    reads = [did(f"2026-03-0{day}", "Read", minutes=1) for day in range(1, 8)]
    assert [seen.event for seen in state_of(reads, minutes).kept["minutes"]] == ["Read 2026-03-06", "Read 2026-03-07"]


@pytest.mark.parametrize("minutes", [0, -5, "30", True, None, [30], float("inf"), 10**400])
def test_sum_takes_only_positive_finite_numbers(minutes: object) -> None:
    assert kept("minutes", did("2026-03-01", "Read", minutes=minutes)) == []


def test_sum_takes_numbers_whose_total_is_beyond_a_double() -> None:
    reads = [did(f"2026-03-0{day}", "Read", minutes=1.7e308) for day in (1, 2, 3)]
    assert kept("minutes", *reads) == ["Read 2026-03-03"]


def test_days_keep_the_newest_occurrence_of_the_most_recent_dates() -> None:
    uses = [did(when, "Used") for when in ("2026-03-01 23:59", "2026-03-02 00:00", "2026-03-02 12:00", "2026-02-27")]
    assert kept("active", *uses) == ["Used 2026-03-01 23:59", "Used 2026-03-02 12:00"]


def test_a_criterion_on_a_field_does_not_see_events_without_it() -> None:
    assert kept("features", did("2026-03-01", "Used")) == []


def test_the_first_goal_is_kept() -> None:
    goal = state_of(HISTORY).goal
    assert goal is not None
    assert goal.event == "Subscription Started 2026-03-07"


RAISING = rules(VISITS, alerts="{tier: some, always: [Demo Requested, Called]}")


def raised_by(*events: Event, ruleset: Ruleset = RAISING) -> str | None:
    raised = state_of(list(events), ruleset).raised
    return None if raised is None else f"{raised.name}: {raised.event}"


def test_the_last_hand_raise_is_kept_with_its_name() -> None:
    events = [did("2026-03-02", "Called"), did("2026-03-03", "Demo Requested"), did("2026-03-01", "Called")]
    for order in permutations(events):
        assert raised_by(*order) == "Demo Requested: Demo Requested 2026-03-03"
    assert raised_by(*events[:1]) == "Called: Called 2026-03-02"


def test_only_track_events_that_are_asked_for_raise_a_hand() -> None:
    assert raised_by(did("2026-03-01", "Demo requested"), visited("2026-03-01", "Called")) is None
    assert raised_by(did("2026-03-01", "Called"), ruleset=ALL) is None
    assert touches(RAISING, did("2026-03-01", "Called"))
    assert not touches(ALL, did("2026-03-01", "Rang"))


@pytest.mark.parametrize("goal", ["{event: [Subscription Started]}", "{event: [Called]}"])
def test_a_hand_raise_is_neither_a_goal_nor_an_occurrence_unless_it_is_one(goal: str) -> None:
    ruleset = rules(CALLS, goal=goal, alerts="{tier: some, always: [Called, Demo Requested]}")
    state = state_of([did("2026-03-01", "Called"), did("2026-03-02", "Demo Requested")], ruleset)
    assert [occurrence.event for occurrence in state.kept["calls"]] == ["Called 2026-03-01"]
    assert (state.goal is not None) == ("Called" in goal)
    assert state.raised is not None
    assert state.raised.name == "Demo Requested"


def test_a_hand_raise_is_stored_and_merged_and_counts_as_seen() -> None:
    one, other = (state_of([did(f"2026-03-0{day}", "Called")], RAISING) for day in (1, 2))
    assert merge(one, other) == merge(other, one) == other
    assert State.from_json(RAISING, other.to_json()) == other
    assert other.newest == from_datetime(instant("2026-03-02"))
    assert not says_the_same(one, other)
    assert '"h"' not in state_of([visited("2026-03-01", "/")], RAISING).to_json()


def test_a_hand_raise_outlives_the_log_as_long_as_it_is_asked_for() -> None:
    state = state_of([did("2026-03-01", "Called"), did("2026-03-02", "Demo Requested")], RAISING)
    until = from_datetime(instant("2026-03-02"))
    other = rules(VISITS, alerts="{tier: some, always: [Demo Requested]}")
    lasting = [
        State.lasting(ruleset, state.to_json(), until=until + later, without=without).raised
        for ruleset, later, without in [
            (RAISING, 1, ()),
            (other, 1, ()),
            (ALL, 1, ()),
            (RAISING, 0, ()),
            (RAISING, 1, ("Demo Requested 2026-03-02",)),
        ]
    ]
    assert lasting == [state.raised, state.raised, None, None, None]


# --- traits and account -----------------------------------------------------------------------------------------------


def test_the_newest_value_of_a_trait_holds() -> None:
    state = state_of([said("2026-03-02", title="CTO"), said("2026-03-01", title="CEO", email="a@b.example")])
    assert state.traits == {"title": "CTO", "email": "a@b.example"}


def test_an_older_value_after_a_newer_one_changes_nothing() -> None:
    newer, older = said("2026-03-02", title="CTO"), said("2026-03-01", title="CEO")
    assert state_of([newer, older]) == state_of([newer])


def test_of_two_values_of_the_same_time_that_of_the_larger_message_id_holds() -> None:
    values = [{**said("2026-03-01", title=title), "messageId": name} for name, title in (("a", "CTO"), ("b", "CEO"))]
    for order in permutations(values):
        assert state_of(list(order)).traits == {"title": "CEO"}


def test_a_null_removes_a_trait_and_an_older_value_does_not_bring_it_back() -> None:
    state = state_of([said("2026-03-02", title=None), said("2026-03-01", title="CEO")])
    assert state.traits == {}


def test_a_trait_over_2048_bytes_counts_as_never_seen() -> None:
    assert state_of([said("2026-03-01", title="x" * 2046)]).traits == {"title": "x" * 2046}
    assert state_of([said("2026-03-01", title="x" * 2047)]).traits == {}
    assert state_of([said("2026-03-01", title="\u00e9" * 1024)]).traits == {}
    assert state_of([said("2026-03-01", title=["x"] * 600)]).traits == {}


def test_traits_that_nobody_reads_are_not_kept() -> None:
    assert state_of([said("2026-03-01", shoe_size=44, phone="1")]).traits == {"phone": "1"}


def test_traits_count_only_from_identify_events() -> None:
    assert state_of([{**did("2026-03-01", "Called"), "traits": {"title": "CEO"}}]).traits == {}


def test_the_newest_event_with_an_account_decides_it() -> None:
    events = [
        joined("2026-03-01", "corp"),
        {**visited("2026-03-03", "/"), "groupId": "other"},
        joined("2026-03-02", "x"),
    ]
    assert state_of(events).account == "other"


def test_an_account_keeps_the_newest_value_of_each_trait() -> None:
    events = [joined("2026-03-02", "corp", employees=300), joined("2026-03-01", "corp", employees=5, plan="pro")]
    account = advance_account(AccountState.empty(ALL), events)
    assert account.traits == {"employees": 300, "plan": "pro"}
    assert AccountState.from_json(ALL, account.to_json()) == account
    assert advance_account(account, events) is account


def test_of_what_is_said_of_an_account_the_later_event_holds_then_the_larger_id() -> None:
    def told(when: str, name: str, plan: str) -> Event:
        return {**joined(when, "corp", plan=plan), "messageId": name}

    earlier, later, larger = (
        told("2026-03-01", "z", "old"),
        told("2026-03-02", "a", "new"),
        told("2026-03-02", "b", "x"),
    )
    empty = AccountState.empty(ALL)
    for order in permutations([earlier, later]):
        assert advance_account(empty, order).traits == {"plan": "new"}
    for order in permutations([earlier, later, larger]):
        assert advance_account(empty, order).traits == {"plan": "x"}


def test_an_account_is_told_of_by_group_events_alone() -> None:
    account = AccountState.empty(ALL)
    assert advance_account(account, [{**said("2026-03-01", employees=300), "groupId": "corp"}]) is account


def test_an_account_keeps_what_criteria_read_and_a_bounded_rest() -> None:
    many = {f"a{number:03}": number for number in range(100)}
    events = [joined("2026-03-01", "corp", employees=300, **many), joined("2026-03-02", "corp", **{"z" * 200: 1})]
    account = advance_account(AccountState.empty(ALL), events)
    assert set(account.traits) == {"employees", *(f"a{number:03}" for number in range(32))}
    assert advance_account(AccountState.empty(ALL), reversed(events)) == account


def test_the_rest_that_an_account_keeps_has_names_of_at_most_128_characters() -> None:
    events = [joined("2026-03-01", "corp", **{"x" * 128: 1, "y" * 129: 2})]
    assert advance_account(AccountState.empty(ALL), events).traits == {"x" * 128: 1}


# --- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["visits", "features", "minutes", "active"])
def test_any_order_and_any_repetition_give_the_same_bytes(criterion: str) -> None:
    events = [event for event in HISTORY if kept(criterion, event)] + [HISTORY[-1]]
    texts = {state_of([*order, order[0]]).to_json() for order in permutations(events)}
    assert len(texts) == 1


def test_any_split_into_two_leads_that_are_merged_gives_the_same_bytes() -> None:
    whole = state_of(HISTORY).to_json()
    for mask in range(0, 1 << len(HISTORY), 7):
        one = state_of([event for place, event in enumerate(HISTORY) if mask >> place & 1])
        other = state_of([event for place, event in enumerate(HISTORY) if not mask >> place & 1])
        assert merge(one, other).to_json() == whole
        assert merge(other, one).to_json() == whole


def test_merging_is_idempotent_and_knows_the_empty_lead() -> None:
    state = state_of(HISTORY)
    assert merge(state, state) == state
    assert merge(State.empty(ALL), state) == state
    assert merge(State.empty(ALL), State.empty(ALL)) == State.empty(ALL)


def test_states_of_rulesets_that_keep_differently_do_not_merge() -> None:
    with pytest.raises(ValueError, match="do not merge"):
        merge(state_of(HISTORY), State.empty(rules(VISITS)))


def test_events_that_are_known_or_say_nothing_return_the_same_object() -> None:
    state = state_of(HISTORY)
    assert advance(state, HISTORY) is state
    assert advance(state, [did("2026-03-09", "Slept"), said("2026-03-09", shoe_size=44)]) is state
    assert advance(state, []) is state


def test_the_events_given_are_not_changed_and_neither_is_the_state() -> None:
    state = state_of(HISTORY[:5])
    before = state.to_json()
    advance(state, HISTORY)
    assert state.to_json() == before


def test_a_state_comes_back_from_its_text() -> None:
    state = state_of(HISTORY)
    text = state.to_json()
    assert State.from_json(ALL, text) == state
    assert State.from_json(ALL, text).to_json() == text
    assert State.from_json(ALL, State.empty(ALL).to_json()) == State.empty(ALL)


def test_a_text_made_under_other_patterns_is_stale() -> None:
    text = state_of(HISTORY).to_json()
    with pytest.raises(StaleState, match=f"the state is of {ALL.state_digest}, the ruleset keeps "):
        State.from_json(rules(VISITS.replace("limit: 2", "limit: 3"), CALLS), text)


def test_new_points_and_windows_do_not_make_a_state_stale() -> None:
    state = state_of([visited("2026-03-01", "/")], rules(VISITS))
    repriced = rules(VISITS.replace("points: 5", "points: 9, within: 30d"))
    assert State.from_json(repriced, state.to_json()).kept == state.kept


def test_the_newest_time_is_that_of_what_is_kept() -> None:
    assert State.empty(ALL).newest is None
    assert state_of(HISTORY).newest == from_datetime(instant("2026-03-07"))
    ignored = did("2026-03-09", "Slept")
    assert state_of([*HISTORY, ignored]).newest == from_datetime(instant("2026-03-07"))


@pytest.mark.parametrize(
    "last",
    [
        visited("2026-03-09", "/"),
        said("2026-03-09", title="CTO"),
        {**said("2026-03-09"), "groupId": "corp"},
    ],
)
def test_the_newest_time_may_be_of_an_occurrence_a_trait_or_the_account(last: Event) -> None:
    assert state_of([*HISTORY, last]).newest == from_datetime(instant("2026-03-09"))


def test_the_size_does_not_grow_with_the_number_of_events() -> None:
    def size(number: int) -> int:
        whens = [f"2026-03-{1 + place // 24:02} {place % 24:02}:00" for place in range(number)]
        return len(state_of([visited(when, "/") for when in whens] + [did(when, "Used") for when in whens]).to_json())

    assert size(600) == size(100)


# --- touching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "touching"),
    [
        (visited("2026-03-01", "/"), True),
        (did("2026-03-01", "Subscription Started"), True),
        (did("2026-03-01", "Slept"), False),
        (said("2026-03-01", title="CEO"), True),
        (said("2026-03-01", email="ann@corp.example"), True),
        (said("2026-03-01", shoe_size=44), False),
        (said("2026-03-01"), False),
        ({**did("2026-03-01", "Slept"), "traits": {"title": "CEO"}}, False),
        ({**did("2026-03-01", "Slept"), "groupId": "corp"}, True),
        (joined("2026-03-01", "corp"), True),
    ],
)
def test_an_event_touches_exactly_when_it_can_change_a_state(event: Event, touching: bool) -> None:
    assert touches(ALL, event) is touching
    empty = State.empty(ALL)
    assert (advance(empty, [event]) is not empty) is touching


def test_a_state_is_compact_json() -> None:
    text = state_of([visited("2026-03-01", "/"), said("2026-03-01", title="CEO")], rules(VISITS, TITLE)).to_json()
    assert json.loads(text).keys() == {"o", "t", "v"}
    assert text.startswith('{"o":{"visits":[[1772323200000,"/ 2026-03-01"]]},"t":{"title":[1772323200000,')


@pytest.mark.parametrize("criterion", ["visits", "calls", "features", "minutes"])
def test_a_copy_of_another_time_counts_once_whatever_the_order_and_the_batches(criterion: str) -> None:
    """As when a device's event comes again as its user's: the same message id, another moment."""
    events = {
        "visits": [visited(f"2026-03-0{day}", "/") for day in (1, 3, 5, 6)],
        "calls": [did(f"2026-03-0{day}", "Called") for day in (1, 3, 5, 6)],
        "features": [did(f"2026-03-0{day}", "Used", feature=str(day)) for day in (1, 3, 5, 6)],
        "minutes": [did(f"2026-03-0{day}", "Read", minutes=31) for day in (1, 3, 5, 6)],
    }[criterion]
    again = [
        events[0] | {"timestamp": "2026-03-04T00:00:00.000Z"},
        events[2] | {"timestamp": "2026-03-02T00:00:00.000Z"},
    ]
    wanted = state_of([events[1], again[0], events[2], events[3]]).to_json()
    for order in permutations([*events, *again]):
        assert state_of(list(order)).to_json() == wanted
        assert merge(state_of(list(order[:3])), state_of(list(order[3:]))).to_json() == wanted
