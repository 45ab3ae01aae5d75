"""The desk, one rule at a time; whole weeks of it are in test_alert_scenarios.py."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from leadscore.core.alert_desk import (
    HANDLED_FOR,
    Desk,
    Request,
    Sealed,
    Suppressed,
    Told,
    Waiting,
    desk_name,
    due,
    file,
    forget_lead,
    rename_lead,
    request_of,
    seal,
    sent,
    snooze,
)
from leadscore.core.alerting import Standing
from leadscore.core.instants import DAY, Millis, parse_instant
from leadscore.core.ruleset import DISQUALIFIED, AlertPolicy, Tier, WorkingHours
from tests.unit.test_messages import CHANGE

HOUR, MINUTE = DAY // 24, 60_000
ADA, BOB, EVE = "user:ada", "user:bob", "user:eve"
TIERS = (Tier("hot", 50), Tier("cold", None))
POLICY = AlertPolicy("hot", rearm_below=40, cooldown=7 * DAY, account_cooldown=DAY, delay=10 * MINUTE)
# The epoch was a Thursday.
NINE_TO_FIVE = WorkingHours("UTC", frozenset(range(5)), 9 * 60, 17 * 60)
OFFICE = POLICY._replace(hours=NINE_TO_FIVE)
HOT, COLD = Standing("hot", 60, fit=20), Standing("cold", 0)
ALL_HOT = {ADA: HOT, BOB: HOT, EVE: HOT}
ACME = Desk("account:acme")


def ask(id_: str, lead: str = ADA, at: Millis = 0, event: str | None = None) -> Request:
    if event is not None:
        return Request(id_, lead, at, "hand_raise", event, "cold", 0.0, "raised its hand")
    return Request(id_, lead, at, "tier", None, "cold", 0.0, "entered hot")


def filed(*requests: Request, desk: Desk = ACME, policy: AlertPolicy | None = POLICY) -> Desk:
    for request in requests:
        desk = file(policy, desk, request, request.at)
    return desk


def sealed_at(desk: Desk, at: Millis, policy: AlertPolicy = POLICY) -> tuple[Desk, Sealed]:
    desk, sealed, suppressed = seal(policy, TIERS, desk, ALL_HOT, at)
    assert sealed is not None
    assert suppressed == ()
    return desk, sealed


def told_at(desk: Desk, at: Millis, policy: AlertPolicy = POLICY) -> Desk:
    """The desk after a release that was sealed and sent at one instant."""
    desk, sealed = sealed_at(desk, at, policy)
    return sent(policy, desk, sealed.id, at)


# --- Filing.


def test_a_desk_is_of_the_account_or_else_of_the_lead() -> None:
    assert (desk_name(ADA, "acme"), desk_name(ADA, None)) == ("account:acme", "lead:user:ada")
    assert (Desk(desk_name(ADA, "a:b")).account, Desk(desk_name(ADA, None)).account) == ("a:b", None)


def test_a_wanted_change_asks_with_all_that_the_alert_will_say() -> None:
    request = request_of(CHANGE, ADA)
    at = parse_instant(CHANGE.at)
    assert request == Request("c1", ADA, at, "tier", None, "warm", 33.0, "entered hot")
    raised = replace(CHANGE, kind="hand_raise", event="Demo Requested", alert_reason="raised its hand")
    expected = Request("c1", ADA, at, "hand_raise", "Demo Requested", "warm", 33.0, "raised its hand")
    assert request_of(raised, ADA) == expected


def test_requests_of_one_lead_are_one_entry_whatever_their_order() -> None:
    requests = [ask("b", at=5), ask("c", at=9, event="Demo"), ask("a", at=7, event="Call"), ask("d", at=5)]
    forwards, backwards = filed(*requests), filed(*reversed(requests))
    assert forwards == backwards
    assert forwards.waiting == {ADA: Waiting(requests[0], requests[2], ("a", "b", "c", "d"))}
    assert forwards.waiting[ADA].main == requests[2]


def test_a_request_that_is_known_is_not_filed_again() -> None:
    waiting = filed(ask("a"))
    sealed, alert = sealed_at(waiting, HOUR)
    done = sent(POLICY, sealed, alert.id, HOUR)
    _, _, (suppressed,) = seal(POLICY, TIERS, waiting, {ADA: COLD}, HOUR)
    dropped, _, _ = seal(POLICY, TIERS, waiting, {ADA: COLD}, HOUR)
    for desk in (waiting, sealed, done, dropped):
        assert file(POLICY, desk, ask("a"), 2 * HOUR) is desk
    assert suppressed.requests == ("a",)


def test_ids_are_known_for_as_long_as_a_queue_may_repeat_them() -> None:
    done = told_at(filed(ask("a")), HOUR)
    before, after = (file(POLICY, done, ask("b", BOB, at), at) for at in (HOUR + HANDLED_FOR - 1, HOUR + HANDLED_FOR))
    assert ("a" in before.handled, "a" in after.handled) == (True, False)


# --- When.


@pytest.mark.parametrize(
    ("requests", "at", "expected"),
    [
        ([], 0, None),
        ([ask("a", at=HOUR)], 0, HOUR + 10 * MINUTE),
        ([ask("a", at=HOUR)], 2 * HOUR, 2 * HOUR),
        ([ask("a", at=HOUR), ask("b", BOB, at=HOUR - MINUTE)], 0, HOUR + 9 * MINUTE),
        ([ask("a", at=HOUR), ask("b", BOB, at=HOUR + MINUTE, event="Demo")], 0, HOUR + MINUTE),
        ([ask("a", at=HOUR), ask("b", at=HOUR + MINUTE, event="Demo")], 0, HOUR + MINUTE),
    ],
)
def test_due_is_when_the_first_has_settled(requests: list[Request], at: Millis, expected: Millis | None) -> None:
    assert due(POLICY, filed(*requests), at) == expected


def test_due_is_never_outside_working_hours() -> None:
    desk = filed(ask("a", at=10 * HOUR))
    assert due(OFFICE, desk, 0) == 10 * HOUR + 10 * MINUTE
    assert due(OFFICE, desk, 17 * HOUR) == DAY + 9 * HOUR
    assert due(OFFICE, filed(ask("a", at=17 * HOUR - MINUTE)), 0) == DAY + 9 * HOUR
    assert due(OFFICE, filed(ask("a", at=DAY + 18 * HOUR, event="Demo")), 0) == 4 * DAY + 9 * HOUR


def test_a_desk_whose_account_was_told_waits_but_not_for_a_hand_raise() -> None:
    told = told_at(filed(ask("a")), HOUR)
    assert due(POLICY, filed(ask("b", BOB, at=2 * HOUR), desk=told), 0) == HOUR + DAY
    assert due(POLICY, filed(ask("b", BOB, at=2 * HOUR, event="Demo"), desk=told), 0) == 2 * HOUR
    assert due(POLICY, filed(ask("b", BOB, at=2 * DAY), desk=told), 0) == 2 * DAY + 10 * MINUTE


def test_a_lead_without_an_account_has_no_cooldown_of_one() -> None:
    told = told_at(filed(ask("a"), desk=Desk("lead:user:ada")), HOUR)
    assert (told.account_told, told.last_id) == (None, None)
    policy = POLICY._replace(cooldown=HOUR)
    assert due(policy, filed(ask("b", at=3 * HOUR), desk=told), 0) == 3 * HOUR + 10 * MINUTE


def test_before_it_is_due_nothing_is_sealed() -> None:
    desk = filed(ask("a", at=HOUR))
    assert seal(POLICY, TIERS, desk, ALL_HOT, HOUR + 10 * MINUTE - 1) == (desk, None, ())
    assert seal(POLICY, TIERS, ACME, {}, HOUR) == (ACME, None, ())


def test_after_hours_nothing_is_sealed_even_if_it_was_due_before() -> None:
    desk = filed(ask("a", at=16 * HOUR))
    assert seal(OFFICE, TIERS, desk, ALL_HOT, 17 * HOUR) == (desk, None, ())
    _, sealed = sealed_at(desk, DAY + 9 * HOUR, OFFICE)
    assert (sealed.at, sealed.due) == (DAY + 9 * HOUR, 16 * HOUR + 10 * MINUTE)


# --- With whom.


def test_what_goes_out_goes_together_the_highest_score_first() -> None:
    desk = filed(ask("a", ADA), ask("b", BOB, 9 * MINUTE), ask("e", EVE))
    totals = {ADA: replace(HOT, total=60), BOB: replace(HOT, total=80), EVE: replace(HOT, total=60)}
    after, sealed, _ = seal(POLICY, TIERS, desk, totals, 10 * MINUTE)
    assert sealed is not None
    assert [entry.lead for entry in sealed.leads] == [BOB, ADA, EVE]
    assert (sealed.kind, sealed.follows, after.waiting, after.sealed) == ("alert", None, {}, sealed)


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (None, "is gone"),
        (COLD, "is no longer hot"),
        (Standing(DISQUALIFIED, 90, fit=20), "is disqualified"),
        (replace(HOT, converted=True), "has converted"),
        (replace(HOT, internal=True), "is internal"),
        (replace(HOT, fit=9), "has a fit of 9, below 10"),
    ],
)
def test_who_is_not_to_be_told_of_by_now_is_suppressed_and_the_others_go(
    standing: Standing | None, reason: str
) -> None:
    policy = POLICY._replace(min_fit=10)
    desk = filed(ask("a"), ask("a2"), ask("b", BOB))
    standings = {BOB: HOT} if standing is None else {ADA: standing, BOB: HOT}
    after, sealed, suppressed = seal(policy, TIERS, desk, standings, HOUR)
    assert suppressed == (Suppressed(("a", "a2"), ADA, reason),)
    assert sealed is not None
    assert [entry.lead for entry in sealed.leads] == [BOB]
    assert after.waiting == {}


@pytest.mark.parametrize("standing", [COLD, replace(HOT, fit=0), replace(COLD, fit=-5)])
def test_a_hand_raise_goes_out_whatever_the_score(standing: Standing) -> None:
    desk = filed(ask("a"), ask("b", event="Demo"))
    _, sealed, suppressed = seal(POLICY._replace(min_fit=10), TIERS, desk, {ADA: standing}, HOUR)
    assert sealed is not None
    assert suppressed == ()


def test_where_all_are_suppressed_there_is_no_alert_and_no_cooldown_begins() -> None:
    after, sealed, suppressed = seal(POLICY, TIERS, filed(ask("a")), {ADA: COLD}, HOUR)
    assert (sealed, len(suppressed)) == (None, 1)
    assert (after.told, after.account_told, after.release) == ({}, None, 0)
    assert due(POLICY, filed(ask("b", BOB, 2 * HOUR), desk=after), 0) == 2 * HOUR + 10 * MINUTE


def test_under_a_ruleset_without_alerts_all_that_waits_is_suppressed() -> None:
    desk = filed(ask("a"), ask("b", BOB, event="Demo"), policy=None)
    assert due(None, desk, 5) == 5
    after, sealed, suppressed = seal(None, (), desk, ALL_HOT, 5)
    assert (after.waiting, sealed, {one.reason for one in suppressed}) == ({}, None, {"no alert policy"})


def test_nobody_is_told_of_a_lead_that_is_snoozed() -> None:
    desk = snooze(filed(ask("a"), ask("b", BOB, event="Demo")), BOB, 5 * DAY)
    _, sealed, (suppressed,) = seal(POLICY, TIERS, desk, ALL_HOT, DAY)
    assert sealed is not None
    assert (suppressed.lead, suppressed.reason) == (BOB, "is snoozed until 1970-01-06T00:00:00.000Z")
    awake, _ = sealed_at(desk, 5 * DAY)
    assert awake.snoozed == {}


def test_nobody_is_told_of_the_people_of_an_account_that_is_snoozed() -> None:
    desk = snooze(filed(ask("a"), ask("b", BOB, event="Demo")), ACME.name, 5 * DAY)
    after, sealed, suppressed = seal(POLICY, TIERS, desk, {ADA: HOT, BOB: HOT}, HOUR)
    assert (sealed, after.waiting, {one.lead for one in suppressed}) == (None, {}, {ADA, BOB})


def test_snoozing_again_replaces_what_was_said_before() -> None:
    desk = snooze(snooze(ACME, ADA, 5 * DAY), ADA, 2 * DAY)
    assert desk.snoozed == {ADA: 2 * DAY}


# --- Follow-ups and ids.


def test_further_leads_of_an_account_follow_up_on_the_first_alert() -> None:
    desk, first = sealed_at(filed(ask("a")), HOUR)
    desk = filed(ask("b", BOB, 2 * HOUR), desk=sent(POLICY, desk, first.id, HOUR))
    desk, second = sealed_at(desk, HOUR + DAY)
    assert (second.kind, second.follows) == ("follow_up", first.id)
    desk = filed(ask("e", EVE, 2 * DAY + 2 * HOUR), desk=sent(POLICY, desk, second.id, HOUR + DAY))
    _, third = sealed_at(desk, 2 * DAY + 3 * HOUR)
    assert (third.kind, third.follows) == ("alert", None)
    assert len({first.id, second.id, third.id}) == 3


def test_ids_differ_by_desk_release_and_request() -> None:
    alike = [
        sealed_at(filed(ask(name), desk=desk), HOUR)[1].id
        for desk in (ACME, Desk("account:beta"), Desk("account:acme", release=1))
        for name in "ab"
    ]
    assert len(set(alike)) == 6
    assert all(len(id_) == 24 for id_ in alike)


def test_sealing_that_is_tried_again_has_the_same_id() -> None:
    once, again = (sealed_at(filed(ask("a"), ask("b", BOB, 5)), at)[1] for at in (HOUR, 2 * HOUR))
    assert once.id == again.id


# --- Sealed, until it is sent.


def test_what_is_sealed_comes_back_as_it_is_until_it_is_sent() -> None:
    desk, sealed = sealed_at(filed(ask("a")), HOUR)
    assert due(POLICY, desk, 2 * HOUR) == 2 * HOUR
    desk = filed(ask("b", BOB, 2 * HOUR), desk=desk)
    assert seal(POLICY, TIERS, desk, {ADA: COLD}, 3 * HOUR) == (desk, sealed, ())
    done = sent(POLICY, desk, sealed.id, 3 * HOUR)
    assert (done.sealed, done.release, done.told, done.last_id) == (
        None,
        1,
        {ADA: Told(10 * MINUTE, 3 * HOUR)},
        sealed.id,
    )
    assert set(done.waiting) == {BOB}
    assert sent(POLICY, done, sealed.id, 4 * HOUR) is done
    assert sent(POLICY, desk, "another", 4 * HOUR) is desk


def test_what_is_sealed_is_not_tried_again_outside_working_hours() -> None:
    desk, sealed = sealed_at(filed(ask("a", at=16 * HOUR)), 16 * HOUR + 10 * MINUTE, OFFICE)
    assert seal(OFFICE, TIERS, desk, ALL_HOT, 17 * HOUR) == (desk, None, ())
    assert due(OFFICE, desk, 17 * HOUR) == DAY + 9 * HOUR
    assert seal(OFFICE, TIERS, desk, ALL_HOT, DAY + 9 * HOUR) == (desk, sealed, ())


# --- The cooldown of a lead.


def test_a_request_that_is_late_for_the_alert_before_is_within_its_cooldown() -> None:
    told = told_at(filed(ask("b", at=2 * HOUR, event="Demo")), 2 * HOUR)
    desk = filed(ask("a", at=HOUR), desk=told)
    _, sealed, (suppressed,) = seal(POLICY, TIERS, desk, ALL_HOT, 3 * DAY)
    assert (sealed, suppressed.reason) == (None, "within the cooldown of the last alert")


def test_a_cooldown_is_remembered_until_all_that_it_silences_was_judged() -> None:
    policy = OFFICE._replace(cooldown=DAY, account_cooldown=0)
    friday = DAY + 16 * HOUR
    told = told_at(filed(ask("b", at=friday, event="Demo")), friday, policy)
    desk = file(policy, told, ask("a", at=friday - HOUR), friday + 2 * HOUR)
    desk = file(policy, desk, ask("e", EVE, 3 * DAY), 3 * DAY)
    _, sealed, (suppressed,) = seal(policy, TIERS, desk, ALL_HOT, 4 * DAY + 9 * HOUR)
    assert sealed is not None
    assert [entry.lead for entry in sealed.leads] == [EVE]
    assert suppressed.lead == ADA


def test_a_second_hand_raise_is_within_the_cooldown_of_the_first_and_a_first_is_not() -> None:
    told = told_at(filed(ask("a")), HOUR)
    told = told_at(filed(ask("b", at=DAY, event="Demo"), desk=told), DAY)
    desk = filed(ask("c", at=2 * DAY, event="Call"), desk=told)
    _, sealed, (suppressed,) = seal(POLICY, TIERS, desk, ALL_HOT, 2 * DAY)
    assert (sealed, suppressed.reason) == (None, "within the cooldown of the last hand-raise")


def test_an_alert_that_is_due_just_a_cooldown_later_waits_for_the_moments_that_the_last_was_late() -> None:
    monday = 4 * DAY + 9 * HOUR
    policy = OFFICE._replace(delay=0)
    told = told_at(filed(ask("a", at=2 * DAY)), monday + 37_000, policy)
    desk = filed(ask("b", at=9 * DAY), ask("c", BOB, 9 * DAY), desk=told)
    assert due(policy, desk, 9 * DAY) == monday + 7 * DAY
    desk, first = sealed_at(desk, monday + 7 * DAY + 12_000, policy._replace(account_cooldown=0))
    assert [entry.lead for entry in first.leads] == [BOB]
    desk = sent(policy, desk, first.id, monday + 7 * DAY + 12_000)
    unbundled = policy._replace(account_cooldown=0)
    assert due(unbundled, desk, 0) == monday + 7 * DAY + 37_000
    _, second = sealed_at(desk, monday + 7 * DAY + 37_000, unbundled)
    assert [entry.lead for entry in second.leads] == [ADA]


# --- Other names, and none.


def test_a_lead_that_became_another_is_one_entry_with_it() -> None:
    told = told_at(filed(ask("a"), ask("b", BOB, event="Demo")), HOUR)
    desk = filed(ask("c", at=6 * DAY), ask("d", BOB, 6 * DAY - 1, "Call"), desk=snooze(told, ADA, 9 * DAY))
    renamed = rename_lead(desk, ADA, BOB)
    assert renamed.leads == {BOB}
    entry = renamed.waiting[BOB]
    assert (entry.first.id, entry.main.id, entry.ids) == ("d", "d", ("c", "d"))
    assert {request.lead for request in (entry.first, entry.main)} == {BOB}
    assert (set(renamed.told), set(renamed.told_raised), renamed.snoozed) == ({BOB}, {BOB}, {BOB: 9 * DAY})
    assert rename_lead(ACME, ADA, BOB) == ACME


def test_of_two_leads_that_became_one_the_later_alert_is_remembered() -> None:
    first = told_at(filed(ask("a")), HOUR)
    later = told_at(filed(ask("b", BOB, at=2 * DAY), desk=first), 3 * DAY)
    for names in ((ADA, BOB), (BOB, ADA)):
        assert list(rename_lead(later, *names).told.values()) == [Told(2 * DAY + 10 * MINUTE, 3 * DAY)]


def test_of_a_lead_that_is_forgotten_nothing_is_left() -> None:
    desk, _ = sealed_at(filed(ask("a"), ask("b", BOB)), HOUR)
    desk = snooze(filed(ask("c", at=2 * HOUR, event="Demo"), desk=desk), ADA, DAY)
    assert ADA not in forget_lead(desk, ADA).to_json()
    assert forget_lead(desk, ADA).sealed is not None
    assert forget_lead(forget_lead(desk, ADA), BOB).sealed is None
    told = told_at(filed(ask("d", at=5, event="Demo")), HOUR)
    assert ADA not in forget_lead(told, ADA).to_json()


def test_with_the_last_of_its_leads_the_lease_and_the_token_of_what_was_sealed_are_gone() -> None:
    desk, _, _ = seal(POLICY, TIERS, filed(ask("a"), ask("b", BOB)), ALL_HOT, HOUR, lease=9)
    one = forget_lead(replace(desk, token="t"), ADA)
    assert (one.leased_until, one.token) == (HOUR + 9, "t")
    none = forget_lead(one, BOB)
    assert (none.leased_until, none.token) == (None, None)


# --- As it is stored.


def test_a_desk_that_has_nothing_left_is_blank() -> None:
    desk = filed(ask("a"))
    told = told_at(desk, HOUR)
    gone = HOUR + HANDLED_FOR
    dropped, _, _ = seal(POLICY, TIERS, filed(ask("b", BOB, gone), desk=told), {BOB: COLD}, gone + HOUR)
    assert (dropped.told, dropped.account_told, dropped.last_id) == ({}, None, None)
    assert replace(dropped, handled={}) == replace(ACME, release=dropped.release)


def test_what_is_stored_says_its_form_and_comes_back() -> None:
    desk, _ = sealed_at(filed(ask("a"), ask("b", BOB, event="Demo")), HOUR)
    desk = filed(ask("c", at=2 * HOUR), desk=snooze(desk, EVE, DAY))
    text = desk.to_json()
    assert Desk.from_json(text) == desk
    assert json.loads(text)["form"] == 1
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    with pytest.raises(ValueError, match="form 2"):
        Desk.from_json(text.replace('"form":1', '"form":2'))


def test_an_empty_desk_is_a_few_bytes() -> None:
    assert ACME.to_json() == '{"form":1,"name":"account:acme","release":0}'
