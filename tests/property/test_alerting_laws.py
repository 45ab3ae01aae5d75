"""The laws of alerting over generated weeks: many policies, leads that do anything, workers that die on any step.

Everything is run through the office of the scenario tests, which stores and reads back every value at every step.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from leadscore import parse_ruleset
from leadscore.core.alert_desk import HANDLED_FOR, Desk, Request, RequestCause, Sealed, Waiting, due, file, seal, sent
from leadscore.core.alerting import Standing, account_silence
from leadscore.core.instants import Millis, from_datetime, parse_instant
from leadscore.core.ruleset import DISQUALIFIED, AlertPolicy
from leadscore.core.working_hours import is_working
from tests.property.strategies import MILLISECOND, JsonObject, rarely
from tests.unit.alert_office import CrashError, Office, Suppression, belong, identify, track
from tests.unit.alert_story import RULES

START = datetime(2026, 3, 27, 12, tzinfo=UTC)
LEADS = ("user:ann", "user:bob", "user:cid")
ACCOUNTS = {"user:ann": "acme", "user:bob": "acme"}
ACME = "account:acme"
OUR_OWN = {"email": [{"suffix": "@ourselves.example"}]}

# How long after the one before it happens, to whom, and what.
Move = tuple[timedelta, str, tuple[str, Any]]


def pick(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


HOURS = [
    {"time_zone": "Europe/Berlin", "from": "09:00", "to": "17:00"},
    {"time_zone": "Europe/Berlin", "days": ["sat", "sun"], "from": "02:30", "to": "03:30"},
    {"time_zone": "America/New_York", "days": ["mon", "wed", "fri"], "from": "00:00", "to": "24:00"},
]
policies = st.fixed_dictionaries(
    {
        "tier": pick("hot", "hot", "warm"),
        "cooldown": pick("7d", "7d", "1d", "none"),
        "account_cooldown": pick("3d", "1d", "6h", "none"),
    },
    optional={
        "rearm_below": pick(20, 10),
        "delay": pick("2m", "12h"),
        "min_fit": pick(5),
        "always": pick(["Demo Requested"], ["Demo Requested", "Call Requested"]),
        "hours": pick(*HOURS),
        "suppress": pick({"converted": False}, {"internal": OUR_OWN}),
        "accounts": st.booleans(),
    },
)
leads = pick(*LEADS)
# Around the lengths of the windows, the delays and the cooldowns.
passing = pick(*(timedelta(minutes=m) for m in (0, 1, 2, 60, 360, 719, 720, 1440, 1441, 4321, 4321, 5760, 10080)))
USUAL = [
    *[("do", "Team Invited")] * 8,
    *[("do", "Demo Requested")] * 3,
    *(("do", name) for name in ("Trial Started", "Pricing Viewed", "Pricing Viewed", "Paused", "Call Requested")),
    *[("be", {"title": "VP"})] * 3,
    *(("be", traits) for traits in ({"title": "Intern"}, {"email": "a@rival.example"}, {"email": "a@acme.example"})),
]
RARE = [
    ("do", "Subscription Started"),
    *(("import", name) for name in ("Team Invited", "Demo Requested")),
    ("be", {"email": "a@ourselves.example"}),
    ("snooze", timedelta(days=2)),
    *(("redeliver", number) for number in range(8)),
]


def histories(*happenings: tuple[str, Any]) -> st.SearchStrategy[list[Move]]:
    return st.lists(st.tuples(passing, leads, pick(*happenings)), min_size=8, max_size=24)


usual = histories(*USUAL)
mixed = histories(*USUAL, *USUAL, *RARE)
joining = histories(
    *USUAL, *(("join", lead) for lead in LEADS), *(("move", account) for account in ("acme", "acme", "beta", "beta"))
)
# How the steps go that could crash: mostly well, in the end always.
crashes = st.lists(rarely, max_size=40)
# How late things are done, a few times over.
lags = st.lists(pick(*(timedelta(seconds=s) for s in (0, 0, 1, 59, 3600, 30_000))), min_size=1, max_size=6)


def make_office(policy: JsonObject) -> Office:
    return Office(parse_ruleset(RULES.replace("POLICY", json.dumps(policy))), START, ratings={})


def fail_as(office: Office, falls: list[bool], waits: list[timedelta]) -> None:
    """Let steps crash and be late as drawn."""
    # Who is late for ever never meets the hour that is one of a week.
    falling, waiting = iter(falls), iter(waits * 8)

    def crash(_step: str) -> None:
        if next(falling, False):
            raise CrashError

    office.crash = crash
    office.lag = lambda: next(waiting, timedelta(0))


def run(office: Office, history: list[Move], *, accounts: bool = True) -> None:
    """Let a history happen, and then time until nothing waits."""
    numbers = iter(range(10_000))
    for lead, account in ACCOUNTS.items():
        if accounts:
            office.hear(lead, belong(account, office.now, next(numbers)))
    for pause, lead, (kind, what) in history:
        office.advance(office.now + pause)
        act(office, kind, lead, what, next(numbers))
        office.settle()
    for _ in range(200):
        office.settle()
        instants = [instant for name in office.desks if (instant := office.due_at(name)) is not None]
        if not instants and not office.pending:
            return
        office.advance(office.now + timedelta(days=1))
    raise AssertionError("something waits for ever")


def act(office: Office, kind: str, lead: str, what: Any, number: int) -> None:
    lead = office.root(lead)
    if kind == "do":
        office.hear(lead, track(what, office.now, number))
    elif kind == "import":
        office.hear(lead, track(what, office.now, number), "import")
    elif kind == "be":
        office.hear(lead, identify(what, office.now, number))
    elif kind == "join":
        if lead != office.root(what) and lead in office.leads:
            office.join(lead, office.root(what))
    elif kind == "move":
        office.hear(lead, belong(what, office.now, number))
    elif kind == "snooze":
        office.snooze(lead, office.now + what)
    else:
        # No queue repeats what is older.
        since = office.millis - HANDLED_FOR
        again = [(name, change) for name, change in office.delivered if parse_instant(change.at) > since]
        if again:
            office.deliver(*again[what % len(again)])


def policy_of(office: Office) -> AlertPolicy:
    assert office.ruleset.alerts is not None
    return office.ruleset.alerts


@dataclass(frozen=True)
class Sent:
    """One alert with when it first and last went out."""

    alert: Sealed
    first: Millis
    last: Millis


def alerts_of(office: Office) -> list[Sent]:
    found: dict[str, Sent] = {}
    for one in office.published:
        known = found.get(one.alert.id)
        assert known is None or known.alert == one.alert, "a repeat with other content"
        found[one.alert.id] = Sent(one.alert, one.at if known is None else known.first, one.at)
    return list(found.values())


def entries_of(office: Office, lead: str) -> Iterator[tuple[Sent, Waiting]]:
    for one in alerts_of(office):
        for entry in one.alert.leads:
            if entry.lead == lead:
                yield one, entry


# ------------------------------------------------------------------------------------------------------------- the laws


@given(policies, mixed, crashes, lags)
def test_every_wanted_alert_is_sent_or_suppressed_with_a_reason_and_that_once(
    policy: JsonObject, history: list[Move], falls: list[bool], waits: list[timedelta]
) -> None:
    office = make_office(policy)
    fail_as(office, falls, waits)
    run(office, history)
    assert set(office.outcomes) == set(office.wanted)
    told: dict[str, str] = {}
    for one in alerts_of(office):
        for entry in one.alert.leads:
            for request in entry.ids:
                assert request not in told
                told[request] = one.alert.id
    assert told == {id_: outcome for id_, outcome in office.outcomes.items() if isinstance(outcome, str)}
    assert all(one.reason for one in office.outcomes.values() if isinstance(one, Suppression))
    event("with repeats" if len(office.published) > len(alerts_of(office)) else "without repeats")
    event(f"{min(len(alerts_of(office)), 5)} alerts")


@given(policies, mixed, crashes, lags)
def test_nothing_goes_out_outside_working_hours(
    policy: JsonObject, history: list[Move], falls: list[bool], waits: list[timedelta]
) -> None:
    office = make_office(policy)
    fail_as(office, falls, waits)
    run(office, history)
    hours = policy_of(office).hours
    assert all(is_working(hours, one.at) for one in office.published)
    assert all(is_working(hours, one.alert.due) and one.alert.due <= one.at for one in office.published)


@given(policies, mixed, crashes, lags)
def test_of_two_alerts_on_a_lead_within_its_cooldown_the_later_is_its_first_hand_raise_there(
    policy: JsonObject, history: list[Move], falls: list[bool], waits: list[timedelta]
) -> None:
    office = make_office(policy)
    fail_as(office, falls, waits)
    run(office, history)
    cooldown = policy_of(office).cooldown
    for lead in LEADS:
        told = list(entries_of(office, lead))
        raised = [(one, entry) for one, entry in told if entry.raised is not None]
        for (before, _), (after, entry) in pairwise(told):
            assert entry.raised is not None or after.first - before.last >= cooldown
        for (before, _), (after, _) in pairwise(raised):
            assert after.first - before.last >= cooldown


@given(policies, mixed, crashes, lags)
def test_an_account_is_told_of_once_per_cooldown_but_for_hand_raises(
    policy: JsonObject, history: list[Move], falls: list[bool], waits: list[timedelta]
) -> None:
    office = make_office(policy)
    fail_as(office, falls, waits)
    run(office, history)
    of_acme = [one for one in alerts_of(office) if one.alert.leads[0].lead in {ACME, *ACCOUNTS}]
    for before, after in pairwise(of_acme):
        raised = any(entry.raised is not None for entry in after.alert.leads)
        assert raised or after.first - before.last >= policy_of(office).account_cooldown
    assert all(len(one.alert.leads) == 1 for one in alerts_of(office) if one not in of_acme)


@given(policies, mixed, crashes, lags)
def test_an_account_itself_is_told_of_only_after_a_silence_about_it_and_its_people(
    policy: JsonObject, history: list[Move], falls: list[bool], waits: list[timedelta]
) -> None:
    office = make_office(policy)
    fail_as(office, falls, waits)
    run(office, history)
    of_acme = [one for one in alerts_of(office) if one.alert.leads[0].lead in {ACME, *ACCOUNTS}]
    for place, after in enumerate(of_acme):
        about_account = [entry.is_account for entry in after.alert.leads]
        assert about_account.count(True) <= 1
        assert (after.alert.kind == "account") == all(about_account)
        if any(about_account):
            event("told of alone" if all(about_account) else "told of with its people")
            assert policy.get("accounts", True)
            silence = account_silence(policy_of(office))
            assert all(after.first - before.last >= silence for before in of_acme[:place])


@given(policies, mixed)
def test_accounts_delay_no_lead_but_by_what_is_told_of_them_themselves(policy: JsonObject, history: list[Move]) -> None:
    """Where no alert is about an account, leads are told of as if there were no alerts on accounts."""
    with_accounts, without = make_office({**policy, "accounts": True}), make_office({**policy, "accounts": False})
    run(with_accounts, history)
    run(without, history)
    told = [(one.first, one.alert.kind, one.alert.leads) for one in alerts_of(with_accounts)]
    if not any(entry.is_account for _, _, leads in told for entry in leads):
        event("no alert about an account")
        assert told == [(one.first, one.alert.kind, one.alert.leads) for one in alerts_of(without)]


@given(policies, mixed, crashes, lags)
def test_nobody_is_told_of_a_lead_that_does_not_stand_for_it_at_that_instant(
    policy: JsonObject, history: list[Move], falls: list[bool], waits: list[timedelta]
) -> None:
    office = make_office(policy)
    fail_as(office, falls, [])
    run(office, history)
    rules = policy_of(office)
    tiers = {"hot": {"burning", "hot"}, "warm": {"burning", "hot", "warm"}}[rules.tier]
    for one in alerts_of(office):
        standings = office.judged[one.alert.id]
        for entry in one.alert.leads:
            standing = standings[entry.lead]
            assert standing.tier != DISQUALIFIED
            assert not standing.internal
            assert not (standing.converted and rules.suppress_converted)
            assert entry.raised is not None or standing.tier in tiers
            assert entry.raised is not None or standing.fit >= (rules.min_fit or 0)
            assert not standing.nobody
        totals = [standings[entry.lead].total for entry in one.alert.leads if not entry.is_account]
        assert totals == sorted(totals, reverse=True)


@given(policies, usual)
def test_nobody_is_silenced_by_an_alert_that_never_went_out(policy: JsonObject, history: list[Move]) -> None:
    """Where each lead is alone and everything is done in time, a cooldown is always that of an alert."""
    office = make_office(policy)
    run(office, history, accounts=False)
    cooldown = policy_of(office).cooldown
    for one in office.decided:
        asked = [(alert.first, entry) for alert, entry in entries_of(office, one.lead) if entry.first.at <= one.at]
        if one.reason.startswith("within the cooldown"):
            event("silenced by a cooldown")
            assert any(one.at - told < cooldown for told, _ in asked), (one, asked)
        elif one.reason.startswith("has not been below"):
            event("silenced until below")
            assert asked, one


@given(
    policies,
    st.lists(st.tuples(passing, pick(*LEADS, ACME), rarely, passing, rarely), min_size=5, max_size=30),
)
def test_a_desk_keeps_its_laws_whatever_is_filed_and_however_late(
    policy: JsonObject, asked: list[tuple[timedelta, str, bool, timedelta, bool]]
) -> None:
    """Here nothing before the desk has judged the requests, and everybody is hot at all times."""
    office = make_office({**policy, "min_fit": 0})
    rules, tiers = policy_of(office), office.ruleset.tiers
    desk, now = Desk("account:acme"), from_datetime(START)
    standings = dict.fromkeys([*LEADS, ACME], Standing("hot", 60))
    told: list[tuple[Millis, Sealed]] = []
    settled: list[str] = []
    filed = 0
    while filed < len(asked) or desk.waiting or desk.sealed is not None:
        if filed < len(asked):
            pause, lead, raised, late, slow = asked[filed]
            now += pause // MILLISECOND
            cause: RequestCause = "hand_raise" if raised and lead != ACME else "tier"
            request = Request(f"r{filed}", lead, now - late // MILLISECOND, cause, None, None, 0.0, "")
            desk = file(rules, desk, request, now)
            filed += 1
        else:
            now, slow = max(now, due(rules, desk, now) or now), False
        desk, sealed, suppressed = seal(rules, tiers, desk, standings, now)
        settled += [id_ for one in suppressed for id_ in one.requests]
        if sealed is not None and not slow:
            told.append((now, sealed))
            settled += [id_ for entry in sealed.leads for id_ in entry.ids]
            desk = sent(rules, desk, sealed.id, now)
        assert Desk.from_json(desk.to_json()) == desk
    assert sorted(settled) == sorted(f"r{n}" for n in range(len(asked)))
    assert all(is_working(rules.hours, at) for at, _ in told)
    for lead in LEADS:
        alerts = [(at, entry) for at, sealed in told for entry in sealed.leads if entry.lead == lead]
        hands = [(at, entry) for at, entry in alerts if entry.raised is not None]
        assert all(entry.raised or at - before >= rules.cooldown for (before, _), (at, entry) in pairwise(alerts))
        assert all(at - before >= rules.cooldown for (before, _), (at, _) in pairwise(hands))
    for (before, _), (at, sealed) in pairwise(told):
        assert any(entry.raised for entry in sealed.leads) or at - before >= rules.account_cooldown


@given(policies, joining, crashes)
def test_leads_that_are_joined_or_change_their_account_lose_nothing(
    policy: JsonObject, history: list[Move], falls: list[bool]
) -> None:
    office = make_office(policy)
    fail_as(office, falls, [])
    run(office, history)
    assert set(office.outcomes) == set(office.wanted)
    for one in alerts_of(office):
        people = [office.root(entry.lead) for entry in one.alert.leads]
        assert len(set(people)) == len(people) or office.joined


requests = st.builds(
    Request,
    id=pick("a", "b", "c", "d", "e", "f"),
    lead=leads,
    at=st.integers(0, 5),
    cause=st.just("tier"),
    event=st.none(),
    previous_tier=pick("cold", None),
    previous_score=pick(0.0, 12.5),
    reason=pick("entered hot", "ü"),
) | st.builds(
    Request,
    id=pick("g", "h", "i"),
    lead=leads,
    at=st.integers(0, 5),
    cause=st.just("hand_raise"),
    event=pick("Demo Requested"),
    previous_tier=st.none(),
    previous_score=st.just(0.0),
    reason=st.just("raised its hand"),
)


@given(policies, st.lists(requests, unique_by=lambda request: request.id), st.data())
def test_what_waits_does_not_depend_on_the_order_of_filing(
    policy: JsonObject, asked: list[Request], data: st.DataObject
) -> None:
    rules = policy_of(make_office(policy))
    again = data.draw(st.lists(st.sampled_from(asked), max_size=4)) if asked else []
    desks = []
    for order in (asked, data.draw(st.permutations([*asked, *again]))):
        desk = Desk("account:acme")
        for request in order:
            desk = file(rules, desk, request, from_datetime(START))
        desks.append(desk)
    assert desks[0] == desks[1]
    assert desks[0].to_json() == desks[1].to_json()
