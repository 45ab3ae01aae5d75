"""What a replay says people would have been told of is what the office, which stores everything, did tell them."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import event, given
from hypothesis import strategies as st

from leadscore.core.alert_replay import replay_alerts
from leadscore.core.instants import DAY, Millis, from_datetime
from tests.property.strategies import JsonObject
from tests.property.test_alerting_laws import START, USUAL, make_office, passing, pick, policies
from tests.unit.alert_office import Office, belong, identify, track

ANN = "user:ann"
MOVES = [
    *USUAL,
    *USUAL,
    ("do", "Subscription Started"),
    ("move", "acme"),
    ("move", "beta"),
    ("be", {"email": "a@ourselves.example"}),
]
histories = st.lists(st.tuples(passing, pick(*MOVES)), min_size=4, max_size=24)


def happen(office: Office, history: list[tuple[timedelta, tuple[str, object]]]) -> list[JsonObject]:
    """Let a history of one lead happen, and return its events."""
    events = []
    for number, (pause, (kind, what)) in enumerate(history):
        office.advance(office.now + pause)
        if kind == "do":
            happened = track(str(what), office.now, number)
        elif kind == "move":
            happened = belong(str(what), office.now, number)
        else:
            assert isinstance(what, dict)
            happened = identify(what, office.now, number)
        events.append(happened)
        office.hear(ANN, happened)
        office.settle()
    return events


def told_of(office: Office) -> list[tuple[Millis, str]]:
    return [(one.at, lead.main.cause) for one in office.published for lead in one.alert.leads]


@given(policies, histories, st.integers(0, 40), st.integers(0, 20))
def test_a_replay_tells_what_was_told(
    policy: JsonObject,
    history: list[tuple[timedelta, tuple[str, object]]],
    since_days: int,
    rest_days: int,
) -> None:
    office = make_office(policy)
    # Accounts are alerts of their own, which no log of one lead tells.
    office.ratings = None
    events = happen(office, history)
    office.advance(office.now + timedelta(days=rest_days))
    since, until = from_datetime(START) + since_days * DAY, office.millis
    expected = [told for told in told_of(office) if told[0] > since]
    event(f"told {min(len(expected), 3)} times")

    replayed = replay_alerts(office.ruleset, list(reversed(events)), [], since, until)

    assert [(told.at, told.cause) for told in replayed] == expected
