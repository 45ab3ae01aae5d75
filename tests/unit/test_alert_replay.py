"""Alerts lived through once more: the stories of the policy from the log alone, and what a log alone can tell."""

from __future__ import annotations

from collections import defaultdict

import pytest

from leadscore.core.alert_replay import Told, replay_alerts
from leadscore.core.instants import DAY, HOUR, from_datetime
from leadscore.core.state import State, advance
from tests.unit.alert_office import Office, belong, identify, track
from tests.unit.alert_story import Story, act, read_story
from tests.unit.story import Event, did, instant, joined, rules
from tests.unit.test_alert_scenarios import STORIES

# What the log of one lead does not tell.
UNTOLD = (" did ", " becomes ", "snoozed", "accounts:", "account acme", "follow-up", "bob joins")
PLAIN = {name: text for name, text in STORIES.items() if not any(word in text for word in UNTOLD)}
POLICY = "{tier: hot, rearm_below: 40, cooldown: 7d}"
TIERS = "[{name: hot, from: 50}, {name: warm, from: 25}, {name: cold}]"
ASKED = "id: asked, group: engagement, event: {event: [Asked]}, points: 50, within: 3d"


def millis(text: str) -> int:
    return from_datetime(instant(text))


def live(story: Story) -> tuple[Office, dict[str, list[Event]]]:
    """Let a story happen in the office, and return that with the events of each lead."""
    office = Office(story.ruleset, story.happens[0][0])
    logs: dict[str, list[Event]] = defaultdict(list)
    for number, (at, what) in enumerate(story.happens):
        office.advance(at)
        act(office, story, what, number)
        office.settle()
        if what != "end":
            lead, verb, rest = what.split(" ", 2)
            logs[f"user:{lead}"].append(event_of(verb, rest, office, number))
    return office, logs


def event_of(verb: str, rest: str, office: Office, number: int) -> Event:
    if verb == "joins":
        return belong(rest, office.now, number)
    if verb == "does":
        return track(rest, office.now, number)
    pairs = ((name, value) for name, _, value in (pair.partition(": ") for pair in rest.strip("{}").split(", ")))
    return identify(dict(pairs), office.now, number)


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN)
def test_the_stories_of_one_lead_come_out_as_they_did(text: str) -> None:
    story = read_story(text)
    office, logs = live(story)
    assert logs
    for lead, events in logs.items():
        expected = [
            Told(one.at, entry.main.cause)
            for one in office.published
            for entry in one.alert.leads
            if entry.lead == lead
        ]
        assert replay_alerts(story.ruleset, events, [], 0, office.millis) == expected


def test_most_stories_are_of_leads_that_a_log_can_tell_of() -> None:
    assert len(PLAIN) >= 25
    assert sum("> alert" in text for text in PLAIN.values()) >= 20


def test_a_ruleset_without_a_policy_tells_nobody() -> None:
    ruleset = rules(ASKED, tiers=TIERS)
    assert replay_alerts(ruleset, [did("2026-03-02", "Asked")], [], 0, millis("2026-03-03")) == []


def test_only_what_went_out_in_the_span_is_told_and_what_was_before_counts_for_the_cooldown() -> None:
    ruleset = rules(ASKED, tiers=TIERS, alerts=POLICY)
    events = [did("2026-03-02", "Asked"), did("2026-03-07", "Asked"), did("2026-03-20", "Asked")]
    first, last = Told(millis("2026-03-02"), "tier"), Told(millis("2026-03-20"), "tier")
    assert replay_alerts(ruleset, events, [], 0, millis("2026-03-30")) == [first, last]
    # Entering on the 7th was within the cooldown of an alert that is itself outside the span.
    assert replay_alerts(ruleset, events, [], millis("2026-03-05"), millis("2026-03-30")) == [last]
    assert replay_alerts(ruleset, events, [], millis("2026-03-02"), millis("2026-03-19")) == []
    assert replay_alerts(ruleset, events, [], millis("2026-03-02") - 1, millis("2026-03-02")) == [first]


def test_what_happens_after_the_span_is_not_lived_through() -> None:
    ruleset = rules(ASKED, tiers=TIERS, alerts="{tier: hot, delay: 12h}")
    asked = [did("2026-03-02", "Asked")]
    due = millis("2026-03-02") + 12 * HOUR
    assert replay_alerts(ruleset, asked, [], 0, due - 1) == []
    assert replay_alerts(ruleset, asked, [], 0, due) == [Told(due, "tier")]
    assert replay_alerts(ruleset, [did("2026-03-02 12:00", "Asked")], [], 0, due - 1) == []


def test_time_alone_tells_where_points_that_were_taken_come_back_long_after_the_last_event() -> None:
    complained = "id: complained, group: engagement, event: {event: [Complained]}, points: -20, within: 90d"
    signed = "id: signed, group: engagement, event: {event: [Signed]}, points: 50"
    ruleset = rules(signed, complained, tiers=TIERS, alerts=POLICY)
    events = [did("2026-01-01", "Complained"), did("2026-01-02", "Signed")]
    back = millis("2026-01-01") + 90 * DAY + 1
    assert replay_alerts(ruleset, events, [], back - DAY, back + DAY) == [Told(back, "tier")]


def test_who_was_below_the_line_for_a_moment_without_entering_anything_may_be_told_of_again() -> None:
    signed = "id: signed, group: engagement, event: {event: [Signed]}, points: 45"
    asked = "id: asked, group: engagement, event: {event: [Asked]}, points: 15, within: 1d"
    paused = "id: paused, group: engagement, event: {event: [Paused]}, points: -10, within: 1d"
    policy = "{tier: hot, rearm_below: 40, cooldown: none}"
    ruleset = rules(signed, asked, paused, tiers=TIERS, alerts=policy)
    events = [did("2026-03-01", "Signed"), did("2026-03-02", "Asked"), did("2026-03-06", "Asked")]
    told = [Told(millis("2026-03-02"), "tier")]
    assert replay_alerts(ruleset, events, [], 0, millis("2026-03-30")) == told
    # On the 4th it fell from 45 to 35 and came back by itself, and was warm all the while.
    below = [*events, did("2026-03-04", "Paused")]
    again = Told(millis("2026-03-06"), "tier")
    assert replay_alerts(ruleset, below, [], 0, millis("2026-03-30")) == [*told, again]


def test_a_disqualifying_event_that_goes_out_of_its_window_lets_time_alone_tell() -> None:
    barred = "id: barred, disqualify: true, event: {event: [Barred]}, within: 90d"
    signed = "id: signed, group: engagement, event: {event: [Signed]}, points: 50"
    ruleset = rules(signed, barred, tiers=TIERS, alerts=POLICY)
    events = [did("2026-01-01", "Barred"), did("2026-01-02", "Signed")]
    back = millis("2026-01-01") + 90 * DAY + 1
    assert replay_alerts(ruleset, events, [], back - DAY, back + DAY) == [Told(back, "tier")]


def test_an_alert_that_waits_since_before_the_span_is_told_in_it() -> None:
    policy = '{tier: hot, cooldown: 7d, delay: 2d, hours: {time_zone: UTC, days: [mon], from: "09:00", to: "10:00"}}'
    ruleset = rules(ASKED.replace("3d", "30d"), tiers=TIERS, alerts=policy)
    # Monday 09:59 and two days are Wednesday: it goes out on the Monday after.
    monday = millis("2026-03-09 09:00")
    assert replay_alerts(ruleset, [did("2026-03-02 09:59", "Asked")], [], monday - 1, monday + DAY) == [
        Told(monday, "tier")
    ]


def test_the_cooldown_of_the_account_holds_its_next_alert_on_the_same_lead() -> None:
    ruleset = rules(ASKED, tiers=TIERS, alerts="{tier: hot, rearm_below: 40, cooldown: none, account_cooldown: 9d}")
    events = [did("2026-03-02", "Asked"), did("2026-03-10", "Asked")]
    second = millis("2026-03-10")
    assert [told.at for told in replay_alerts(ruleset, events, [], 0, second + 5 * DAY)][1:] == [second]
    held = [
        told.at for told in replay_alerts(ruleset, [joined("2026-03-01", "acme"), *events], [], 0, second + 5 * DAY)
    ]
    assert held[1:] == [millis("2026-03-02") + 9 * DAY]


def test_what_others_tell_of_the_account_counts_from_when_they_told_it() -> None:
    ruleset = rules(
        "id: paying, group: fit, traits: {account: {plan: [team]}}, points: 50", tiers=TIERS, alerts="{tier: hot}"
    )
    own = [joined("2026-03-02", "acme")]
    theirs = {**joined("2026-03-05", "acme", plan="team"), "messageId": "theirs"}
    other = {**joined("2026-03-04", "beta", plan="team"), "messageId": "other"}
    until = millis("2026-03-30")
    assert replay_alerts(ruleset, own, [theirs, other], 0, until) == [Told(millis("2026-03-05"), "tier")]
    # Said long after the last event of the lead's own.
    late = millis("2026-03-05") + 60 * DAY
    told_late = {**joined("2026-05-04", "acme", plan="team"), "messageId": "late"}
    assert replay_alerts(ruleset, own, [told_late], late - 1, late) == [Told(late, "tier")]
    assert replay_alerts(ruleset, own, [other], 0, until) == []


def test_who_bought_before_the_log_begins_is_no_news() -> None:
    ruleset = rules(ASKED, tiers=TIERS, alerts=POLICY)
    events = [did("2026-03-02", "Asked")]
    until = millis("2026-03-30")
    bought = advance(State.empty(ruleset), [did("2025-01-01", "Subscription Started")])
    assert replay_alerts(ruleset, events, [], 0, until) == [Told(millis("2026-03-02"), "tier")]
    assert replay_alerts(ruleset, events, [], 0, until, bought) == []
    assert replay_alerts(ruleset, events, [], 0, until, State.empty(ruleset)) == [Told(millis("2026-03-02"), "tier")]


def test_what_the_log_and_what_is_known_both_tell_of_counts_once_and_is_told_of_once() -> None:
    ruleset = rules(ASKED.replace("3d", "90d"), tiers=TIERS, alerts=POLICY)
    # Imported: older than any log is kept, and logged of late.
    old, late = did("2026-01-02", "Asked"), did("2026-03-02", "Asked")
    until = millis("2026-03-30")
    known = advance(State.empty(ruleset), [old, did("2026-01-03", "Subscription Cancelled")])
    assert replay_alerts(ruleset, [late, old], [], 0, until) == [Told(millis("2026-01-02"), "tier")]
    assert replay_alerts(ruleset, [late, old], [], 0, until, known) == []
    assert replay_alerts(ruleset, [old], [], 0, until, known) == []
    # Time can raise this one's score, and the last event is long ago: what it would come to is looked at.
    less = rules(
        ASKED, "id: left, group: fit, event: {event: [Left]}, points: -9, within: 1d", tiers=TIERS, alerts=POLICY
    )
    assert (
        replay_alerts(less, [old], [], until - DAY, until, advance(State.empty(less), [did("2026-01-03", "Left")]))
        == []
    )
    theirs = {**joined("2026-01-01", "acme", plan="team"), "messageId": "theirs"}
    paying = rules(
        "id: paying, group: fit, traits: {account: {plan: [team]}}, points: 25",
        ASKED.replace("50", "25"),
        tiers=TIERS,
        alerts="{tier: hot}",
    )
    member = advance(State.empty(paying), [joined("2026-01-02", "acme")])
    told = [Told(millis("2026-03-02"), "tier")]
    assert replay_alerts(paying, [late], [theirs], 0, until, member) == told


def test_what_is_known_from_before_the_log_may_come_back_by_time_alone() -> None:
    complained = "id: complained, group: engagement, event: {event: [Complained]}, points: -20, within: 90d"
    signed = "id: signed, group: engagement, event: {event: [Signed]}, points: 50"
    ruleset = rules(signed, complained, tiers=TIERS, alerts=POLICY)
    known = advance(State.empty(ruleset), [did("2026-01-01", "Signed")])
    back = millis("2026-01-02") + 90 * DAY + 1
    told = replay_alerts(ruleset, [did("2026-01-02", "Complained")], [], back - DAY, back + DAY, known)
    assert told == [Told(back, "tier")]
