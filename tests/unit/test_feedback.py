"""Verdicts on leads that have moved since their alert went out: joined, of another account, erased."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, from_datetime
from leadscore.core.verdicts import Verdict
from leadscore.usecases.alert_records import AlertRecord, Entry, StoredDesk
from leadscore.usecases.alerting import take_changes
from leadscore.usecases.feedback import FeedbackTools, UnknownAlertError, apply_verdict, open_by_name, open_by_token
from leadscore.usecases.records import ConflictError, Grave, StoredIdentity
from leadscore.usecases.retrying import ContentionError
from leadscore.usecases.scoring import Tools, apply_events
from tests.unit.test_alert_delivery import MONDAY, CrashError, Office, desk_of, rules

AT = from_datetime(MONDAY)
SNOOZE = Verdict("snooze", AT, "link", until=AT + 7 * DAY)


def tools_of(office: Office) -> FeedbackTools:
    return FeedbackTools(office.desks, office.store, office.store, lambda _: None)


def alert_of(office: Office, lead: str) -> AlertRecord:
    """Have a lead told of, and return the record."""
    office.start_trial(lead)
    alert = office.release(desk_of(lead))
    assert alert is not None
    record = office.desks.find_alert(alert.id)
    assert record is not None
    return record


def snooze(office: Office, record: AlertRecord, lead: str | None = None) -> None:
    tools = tools_of(office)
    apply_verdict(tools, *open_by_name(tools, record.id, lead), SNOOZE)


@pytest.mark.parametrize(("days", "outcome"), [(3, "suppressed"), (8, "sent")])
def test_a_snoozed_lead_is_not_told_of_until_the_snooze_ends(days: int, outcome: str) -> None:
    office = Office(rules(rearm_below=40, cooldown="1d"))
    record = alert_of(office, "ada")
    snooze(office, record, "ada")
    office.now = MONDAY + timedelta(days=days)
    office.send("ada", "down", event="Unsubscribed")
    office.send("ada", "up", event="Webinar Attended")
    assert (office.release(desk_of("ada")) is not None) == (outcome == "sent")
    [again] = [one for one in office.desks.changes.values() if one.change.at > "2026-03-03" and one.outcome != "none"]
    assert again.outcome == outcome
    assert ("is snoozed until 2026-03-09T10:00:00.000Z" in again.reason) == (outcome == "suppressed")


def test_a_snooze_of_a_lead_that_was_joined_holds_for_who_it_is_now() -> None:
    office, visitor = Office(rules()), pseudonym("anonymous:d")
    scoring = Tools(store=office.store, ruleset=office.ruleset, clock=lambda: office.now, pause=lambda _: None)
    event = {"type": "track", "event": "Trial Started", "timestamp": "2026-03-02T10:00:00.000Z"}
    apply_events(scoring, {"anonymous:d": [{"messageId": "v", "anonymousId": "d", **event}]})
    for change in office.store.pending("anonymous:d"):
        take_changes(office.tools, "anonymous:d", [change])()
    assert office.release(f"lead:{visitor}") is not None
    [record] = office.desks.alerts.values()
    office.send("ada", "m1", "identify", anonymousId="d")
    for name in ("ada", "anonymous:d", visitor):
        assert open_by_name(tools_of(office), record.id, name)[1] == [visitor]
    snooze(office, record, "ada")
    assert office.desks.load(desk_of("ada")).desk.snoozed == {pseudonym("user:ada"): AT + 7 * DAY}


def test_a_snooze_of_a_lead_that_has_come_into_an_account_holds_at_its_desk() -> None:
    office = Office(rules())
    record = alert_of(office, "ada")
    office.send("ada", "m1", "group", groupId="acme")
    snooze(office, record)
    assert office.desks.load("account:acme").desk.snoozed == {pseudonym("user:ada"): AT + 7 * DAY}
    assert office.desks.load(desk_of("ada")).desk.snoozed == {}


def test_a_snooze_of_an_erased_lead_is_on_no_desk() -> None:
    office = Office(rules())
    record = alert_of(office, "ada")
    [stored] = office.store.load_identities(["user:ada"]).values()
    office.store.bury([StoredIdentity("user:ada", stored.version + 1, erased=True)], Grave(AT, AT + DAY))
    before = dict(office.desks.desks)
    snooze(office, record)
    assert office.desks.desks == before


def test_an_account_that_was_told_of_is_snoozed_at_its_own_desk() -> None:
    office = Office(rules())
    record = AlertRecord(
        "a1", "alert", "acme", "account:acme", AT, [Entry("account:acme", "tier", "hot", 90, {}, None)]
    )
    office.desks.put_alert(record)
    snooze(office, record)
    assert office.desks.load("account:acme").desk.snoozed == {"account:acme": AT + 7 * DAY}


def test_a_desk_where_nothing_waits_outlives_the_snooze_and_what_it_knew() -> None:
    office = Office(rules())
    record = alert_of(office, "ada")
    kept = office.desks.load(desk_of("ada")).kept_until
    assert kept is not None
    snooze(office, record)
    assert office.desks.load(desk_of("ada")).kept_until == max(kept, AT + 7 * DAY)
    tools = tools_of(office)
    apply_verdict(tools, *open_by_name(tools, record.id, None), Verdict("snooze", AT, "link", until=AT + 300 * DAY))
    assert office.desks.load(desk_of("ada")).kept_until == AT + 300 * DAY


def test_a_desk_that_was_written_meanwhile_is_snoozed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(rules())
    record, save, refusals = alert_of(office, "ada"), office.desks.save, [ConflictError(), ConflictError()]

    def refuse_at_first(stored: StoredDesk) -> None:
        if refusals:
            raise refusals.pop()
        save(stored)

    monkeypatch.setattr(office.desks, "save", refuse_at_first)
    snooze(office, record)
    assert office.desks.load(desk_of("ada")).desk.snoozed == {pseudonym("user:ada"): AT + 7 * DAY}


def test_a_snooze_that_cannot_be_written_is_not_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(rules())
    record = alert_of(office, "ada")

    def refuse(_: StoredDesk) -> None:
        raise ConflictError

    monkeypatch.setattr(office.desks, "save", refuse)
    with pytest.raises(ContentionError):
        snooze(office, record)
    assert office.desks.alerts[record.id].verdicts == {}


def test_a_repeat_of_an_alert_has_the_links_of_the_first() -> None:
    office = Office(rules())
    office.start_trial("ada")
    office.fake.crashes = 1
    with pytest.raises(CrashError):
        office.release(desk_of("ada"))
    office.release(desk_of("ada"))
    first, second = (alert.leads[0].links for alert in office.fake.alerts)
    assert first == second
    assert "t=token-1" in first["good"]


def test_tokens_open_their_own_alert_alone() -> None:
    office = Office(rules())
    ada, bob = alert_of(office, "ada"), alert_of(office, "bob")
    assert (ada.token, bob.token) == ("token-1", "token-2")
    assert open_by_token(office.desks, ada.id, None, "token-1")[1] == [pseudonym("user:ada")]
    with pytest.raises(UnknownAlertError):
        open_by_token(office.desks, ada.id, None, "token-2")
    with pytest.raises(UnknownAlertError):
        open_by_token(office.desks, ada.id, pseudonym("user:bob"), "token-1")


def test_an_id_that_is_longer_than_a_key_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    office, asked = Office(rules()), list[str]()
    monkeypatch.setattr(office.desks, "find_alert", asked.append)
    for name in ("a" * 64, "a" * 65):
        with pytest.raises(UnknownAlertError):
            open_by_name(tools_of(office), name, None)
    assert asked == ["a" * 64]
