"""An account that becomes hot on its way to people: judged as it is rated, filed, told of once or left untold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from leadscore import parse_ruleset
from leadscore.core.alerts import Alert
from leadscore.core.changes import AccountChange
from leadscore.core.identity import pseudonym
from leadscore.core.instants import from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.alerting import take_account_changes
from leadscore.usecases.announcing import announce_pending_of_account
from leadscore.usecases.rating import rate_account
from leadscore.usecases.scoring import Tools
from tests.unit.test_alert_delivery import MONDAY, CrashError, Office, desk_of

ACME = "account:acme"
RULES = {
    "goal": {"event": ["Subscription Started"]},
    "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 20}, {"name": "cold"}],
    "criteria": [
        {"id": "fits", "group": "fit", "traits": {"title": ["CTO"]}, "points": 5},
        {"id": "trial", "label": "Trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 40},
        {"id": "webinar", "group": "engagement", "event": {"event": ["Webinar"]}, "points": 20, "within": "2d"},
    ],
}
TOO_SOON = "within the cooldown of the last alert on it or its people"


def rules(**alerts: Any) -> Ruleset:
    return parse_ruleset({**RULES, "alerts": {"tier": "hot", **alerts}})


class Bus:
    """Machines that hear nothing."""

    def announce(self, change: AccountChange) -> None:
        assert change.account == "acme"


class Firm(Office):
    """The office with one account, acme."""

    def join(self, *leads: str) -> None:
        for lead in leads:
            self.send(lead, f"join-{lead}", "group", groupId="acme", traits={"name": "Acme Inc"})

    def rate(self, *, imported: bool = False) -> list[AccountChange]:
        """Rate the account, and take what there is to announce to its desk."""
        rating = Tools(store=self.store, ruleset=self.ruleset, clock=lambda: self.now, pause=lambda _: None)
        rate_account(rating, "acme", imported=imported)
        return announce_pending_of_account(self.store, self.take, Bus(), "acme")

    def take(self, changes: Sequence[AccountChange]) -> Callable[[], object]:
        return take_account_changes(self.tools, changes)

    def of_account(self) -> list[tuple[str, str]]:
        """What became of the account's changes, the oldest first."""
        records = sorted(self.desks.account_changes.values(), key=lambda record: record.change.revision)
        return [(record.outcome, record.reason) for record in records]

    def publish(self) -> Alert | None:
        return self.release(ACME)


def make_hot(firm: Firm) -> None:
    """Have two warm people make the account hot: 40 and half of 40."""
    firm.join("ada", "bob")
    firm.start_trial("ada")
    firm.start_trial("bob")
    firm.rate()


def test_an_account_is_told_of_with_those_who_make_it_hot() -> None:
    firm = Firm(rules())
    firm.send("ada", "who", "identify", traits={"name": "Ada", "owner": "kim"})
    make_hot(firm)
    firm.join("cid", "dan")
    assert firm.fake.releases == [f'{{"desk": "{ACME}"}}']
    alert = firm.publish()
    assert firm.fake.alerts == [alert]
    assert alert is not None
    assert (alert.kind, [lead.person["id"] for lead in alert.leads]) == ("account", ["ada", "bob"])
    first = alert.leads[0]
    assert (first.tier, first.previous_tier, first.score, first.previous_score) == ("warm", "warm", 40, 40)
    assert (first.owner, first.reason) == ("kim", "adds 40.0 to what its account scores")
    assert first.links["good"].endswith("lead=account%3Aacme&t=token-1")
    account = alert.account
    assert account is not None
    assert account.move is not None
    move = account.move
    assert (account.id, account.name, move.tier, move.previous_tier) == ("acme", "Acme Inc", "hot", "cold")
    assert (move.score, move.previous_score, move.people) == (60, 0, 4)
    assert firm.of_account() == [("sent", "entered hot")]
    record = firm.desks.find_alert(alert.id)
    assert record is not None
    (entry,) = record.entries
    assert (entry.lead, entry.tier, entry.score, entry.criteria, entry.owner) == (ACME, "hot", 60, {"trial": 80}, "kim")
    assert record.sent_at == from_datetime(MONDAY)
    assert firm.publish() is None
    assert len(firm.fake.alerts) == 1


@pytest.mark.parametrize("policy", [{}, {"account_cooldown": "1d"}, {"cooldown": "none"}], ids=str)
def test_a_lead_that_makes_its_account_hot_is_told_of_once_though_the_account_is_rated_later(
    policy: dict[str, Any],
) -> None:
    firm = Firm(rules(**policy))
    firm.join("ada")
    firm.start_trial("ada")
    firm.send("ada", "webinar", event="Webinar")
    alert = firm.publish()
    assert alert is not None
    assert (alert.kind, alert.account and alert.account.move) == ("alert", None)
    firm.now += timedelta(seconds=6)
    firm.rate()
    assert firm.publish() is None
    assert firm.of_account() == [("suppressed", TOO_SOON)]
    assert len(firm.fake.alerts) == 1


def test_a_lead_that_made_its_account_hot_and_asks_late_is_not_told_of_a_second_time() -> None:
    firm = Firm(rules())
    firm.join("ada")
    firm.start_trial("ada")
    firm.send("ada", "webinar", event="Webinar")
    late = firm.desks.desks.pop(ACME)
    firm.rate()
    alert = firm.publish()
    assert alert is not None
    assert (alert.kind, alert.leads[0].person["id"]) == ("account", "ada")
    stored = firm.desks.load(ACME)
    firm.desks.desks[ACME] = replace(stored, desk=replace(stored.desk, waiting=late.desk.waiting))
    firm.now += timedelta(seconds=30)
    assert firm.publish() is None
    assert [(who, reason) for who, outcome, reason in firm.outcomes() if outcome == "suppressed"] == [
        ("ada", "within the cooldown of the last alert")
    ]


def test_a_lead_and_its_account_that_wait_together_go_out_together() -> None:
    firm = Firm(rules(delay="1m"))
    firm.join("ada", "bob")
    firm.start_trial("ada")
    firm.send("ada", "webinar", event="Webinar")
    firm.now += timedelta(seconds=6)
    firm.rate()
    firm.now += timedelta(seconds=54)
    alert = firm.publish()
    assert alert is not None
    assert (alert.kind, [lead.person["id"] for lead in alert.leads]) == ("alert", ["ada"])
    assert (alert.leads[0].previous_tier, alert.leads[0].reason) == ("warm", "entered hot")
    assert alert.account is not None
    assert alert.account.move is not None
    assert (alert.account.move.tier, alert.account.move.people) == ("hot", 2)
    assert firm.of_account() == [("sent", "entered hot")]
    assert firm.publish() is None


def test_people_who_were_told_of_before_they_had_an_account_keep_it_quiet() -> None:
    firm = Firm(rules())
    firm.start_trial("ada")
    firm.send("ada", "webinar", event="Webinar")
    assert firm.release(desk_of("ada")) is not None
    firm.join("ada")
    firm.rate()
    assert firm.publish() is None
    assert firm.of_account() == [("suppressed", TOO_SOON)]


def test_a_crash_after_publishing_tells_once_more_under_the_same_id() -> None:
    firm = Firm(rules())
    make_hot(firm)
    firm.fake.crashes = 1
    with pytest.raises(CrashError):
        firm.publish()
    assert firm.of_account() == [("waiting", "entered hot")]
    assert list(firm.desks.walk_due(from_datetime(MONDAY))) == [ACME]
    firm.publish()
    assert firm.publish() is None
    first, second = firm.fake.alerts
    assert first == second
    assert firm.of_account() == [("sent", "entered hot")]


def test_taking_a_change_again_files_nothing() -> None:
    firm = Firm(rules())
    firm.join("ada", "bob")
    firm.start_trial("ada")
    firm.start_trial("bob")
    (change,) = firm.rate()
    firm.take([change])()
    assert firm.publish() is not None
    firm.take([change])()
    assert firm.publish() is None
    assert firm.of_account() == [("sent", "entered hot")]


def test_two_quick_changes_are_one_alert() -> None:
    firm = Firm(rules(delay="5m", rearm_below=45))
    make_hot(firm)
    firm.send("bob", "left", "group", groupId="beta")
    firm.rate()
    firm.send("bob", "back", "group", groupId="acme", timestamp="2026-03-02T10:00:01.000Z")
    firm.rate()
    assert firm.of_account() == [("waiting", "entered hot"), ("none", "did not enter hot"), ("waiting", "entered hot")]
    firm.now += timedelta(minutes=5)
    assert firm.publish() is not None
    assert firm.publish() is None
    assert [outcome for outcome, _ in firm.of_account()] == ["sent", "none", "sent"]


def test_an_account_that_nobody_is_left_of_is_not_told_of() -> None:
    firm = Firm(rules())
    make_hot(firm)
    firm.fake.crashes = 1
    with pytest.raises(CrashError):
        firm.publish()
    del firm.store.identities["user:ada"], firm.store.identities["user:bob"]
    assert firm.publish() is None
    assert firm.of_account() == [("suppressed", "is gone")]
    assert not firm.desks.load(ACME).desk.told


def test_an_alert_whose_leads_are_gone_is_one_about_their_account() -> None:
    firm = Firm(rules(delay="1m"))
    firm.join("ada", "bob", "cid")
    for lead in ("ada", "bob", "cid"):
        firm.start_trial(lead)
    firm.send("cid", "webinar", event="Webinar")
    firm.rate()
    firm.now += timedelta(minutes=1)
    firm.fake.crashes = 1
    with pytest.raises(CrashError):
        firm.publish()
    del firm.store.identities["user:cid"]
    alert = firm.publish()
    assert alert is not None
    assert (firm.fake.alerts[0].kind, alert.kind, alert.id) == ("alert", "account", firm.fake.alerts[0].id)
    assert [lead.person["id"] for lead in alert.leads] == ["ada", "bob"]
    assert [(outcome, reason) for _, outcome, reason in firm.outcomes() if outcome == "suppressed"] == [
        ("suppressed", "is gone")
    ]
    assert firm.of_account() == [("sent", "entered hot")]


def test_an_account_whose_people_all_converted_before_it_was_told_of_is_not() -> None:
    firm = Firm(rules())
    make_hot(firm)
    firm.fake.crashes = 1
    with pytest.raises(CrashError):
        firm.publish()
    for lead in ("ada", "bob"):
        firm.send(lead, f"paid-{lead}", event="Subscription Started")
    assert firm.publish() is None
    assert firm.of_account() == [("suppressed", "is gone")]


def test_who_may_not_be_told_of_is_not_named() -> None:
    firm = Firm(rules())
    firm.join("eve")
    firm.start_trial("eve")
    firm.send("eve", "paid", event="Subscription Started")
    make_hot(firm)
    alert = firm.publish()
    assert alert is not None
    assert [lead.person["id"] for lead in alert.leads] == ["ada", "bob"]
    assert pseudonym("user:eve") not in str(firm.desks.find_alert(alert.id))


def test_an_account_of_customers_alone_is_on_record_and_not_told_of() -> None:
    firm = Firm(rules())
    firm.join("ada", "bob")
    for lead in ("ada", "bob"):
        firm.send(lead, f"paid-{lead}", event="Subscription Started")
        firm.start_trial(lead)
    firm.rate()
    assert firm.publish() is None
    assert firm.of_account() == [("suppressed", "has nobody who may be told of")]


def test_an_account_needs_somebody_who_fits() -> None:
    firm = Firm(rules(min_fit=5))
    make_hot(firm)
    assert firm.publish() is None
    assert firm.of_account() == [("suppressed", "has a fit of 0, below 5")]


@pytest.mark.parametrize(
    ("alerts", "reason"), [({"accounts": False}, "no alerts on accounts"), (None, "no alert policy")], ids=str
)
def test_where_accounts_do_not_alert_their_changes_are_on_record_all_the_same(
    alerts: dict[str, Any] | None, reason: str
) -> None:
    firm = Firm(rules(**alerts) if alerts is not None else parse_ruleset(RULES))
    make_hot(firm)
    assert firm.publish() is None
    assert firm.of_account() == [("none", reason)]


def test_turning_alerts_on_accounts_off_lets_none_go_that_waits() -> None:
    firm = Firm(rules(delay="1m"))
    make_hot(firm)
    firm.ruleset = rules(delay="1m", accounts=False)
    firm.now += timedelta(minutes=1)
    assert firm.publish() is None
    assert firm.of_account() == [("suppressed", "no alerts on accounts")]


def test_history_makes_no_account_news_and_none_later() -> None:
    firm = Firm(rules())
    firm.join("ada", "bob")
    firm.start_trial("ada")
    firm.start_trial("bob")
    assert firm.rate(imported=True) == []
    memory = firm.store.load_ratings(["acme"])["acme"].memory
    assert (memory.armed, memory.last_alert) == (False, None)
    firm.send("bob", "left", "group", groupId="beta")
    firm.rate()
    assert firm.of_account() == [("none", "did not enter hot")]


def test_other_criteria_make_no_account_news() -> None:
    firm = Firm(rules())
    firm.join("ada", "bob")
    firm.start_trial("ada")
    firm.start_trial("bob")
    firm.ruleset = parse_ruleset({**RULES, "accounts": {"roll_up": "max"}, "alerts": {"tier": "hot"}})
    firm.rate()
    firm.ruleset = rules()
    firm.rate()
    assert firm.of_account() == [
        ("none", "did not enter hot"),
        ("suppressed", "the ruleset changed, not the account"),
    ]


def test_an_account_is_news_again_once_it_was_seen_below_the_line_though_its_tier_stayed() -> None:
    firm = Firm(rules(rearm_below=42, cooldown="1d"))
    firm.join("ada", "bob")
    firm.start_trial("ada")
    firm.send("bob", "title-1", "identify", traits={"title": "CTO"})
    firm.send("bob", "webinar", event="Webinar")
    firm.rate()
    assert firm.publish() is not None
    firm.now += timedelta(days=3)
    # 42.5, then 40, then 42.5 again: all of it warm.
    for number, title in enumerate(["CTO", "Intern", "CTO"]):
        firm.now += timedelta(seconds=1)
        firm.send("bob", f"title-{number + 2}", "identify", traits={"title": title})
        firm.rate()
        assert firm.store.load_ratings(["acme"])["acme"].memory.armed == (number > 0)
    firm.send("bob", "again", event="Webinar")
    firm.rate()
    assert firm.publish() is not None
    assert [outcome for outcome, _ in firm.of_account()] == ["sent", "none", "sent"]


def test_an_account_goes_out_with_the_first_of_its_many_people() -> None:
    policy = {"tier": "hot", "delay": "1m"}
    firm = Firm(parse_ruleset({**RULES, "accounts": {"roll_up": "max"}, "alerts": policy}))
    for number in range(90):
        lead = f"lead-{number:02}"
        firm.join(lead)
        firm.start_trial(lead)
        firm.send(lead, f"webinar-{lead}", event="Webinar")
    firm.rate()
    firm.now += timedelta(minutes=1)
    first = firm.publish()
    assert first is not None
    assert (len(first.leads), firm.of_account()) == (49, [("sent", "entered hot")])
    assert first.account is not None
    assert first.account.move is not None
    assert first.account.move.people == 90
    second = firm.publish()
    assert second is not None
    assert len(second.leads) == 41
