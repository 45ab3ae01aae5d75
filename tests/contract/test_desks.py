"""One contract for desks and the records of alerts: DynamoDB (moto) and the in-memory fake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.erasing import DynamoGraves
from leadscore.core.alert_desk import AlertKind, Desk, Request, file
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, parse_instant
from leadscore.core.verdicts import Verdict
from leadscore.usecases.alert_records import (
    AccountChangeRecord,
    AlertRecord,
    ChangeKey,
    ChangeRecord,
    Desks,
    Entry,
    Settled,
    StoredDesk,
)
from leadscore.usecases.records import ConflictError, StoredIdentity
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_desks import MemoryDesks

NOON = parse_instant("2026-03-02T12:00:00Z")
ADA = pseudonym("user:ada")
KEY = ChangeKey(ADA, "c1")
CHANGE = Change(
    id="c1",
    kind="tier",
    cause="events",
    at="2026-03-02T12:00:00.000Z",
    person={"id": "ada", "name": "Ada", "email": "", "title": "", "company": ""},
    tier="hot",
    previous_tier="warm",
    score=53.5,
    previous_score=30.0,
    groups={"fit": 18.0, "engagement": 35.5},
    reasons=[],
    alert="wanted",
    alert_reason="entered hot",
    ruleset="r1",
)
ACCOUNT_CHANGE = AccountChange(
    id="c9",
    account="acme",
    name="Acme Inc",
    cause="people",
    at="2026-03-02T12:00:00.000Z",
    people=4,
    tier="hot",
    previous_tier="warm",
    score=71.0,
    previous_score=48.5,
    ruleset="r1",
    alert="wanted",
    alert_reason="entered hot",
)
ALERT = AlertRecord(
    id="a1",
    kind="follow_up",
    account="acme",
    desk="account:acme",
    sealed_at=NOON,
    entries=[Entry(ADA, "tier", "hot", 53.5, {"webinar": 5.0}, None)],
)


class Both(Desks, Protocol):
    """What the use cases need, and a look at what was recorded."""

    def changes_of(self, pseudonym: str) -> list[ChangeRecord]: ...
    def walk_changes(self, since: str = "0") -> Iterator[ChangeRecord]: ...
    def walk_account_changes(self, since: str = "0") -> Iterator[AccountChangeRecord]: ...
    def walk_alerts(self, since: str = "0") -> Iterator[AlertRecord]: ...


@pytest.fixture(params=["dynamodb", "memory"])
def desks(request: pytest.FixtureRequest) -> Iterator[Both]:
    if request.param == "memory":
        yield MemoryDesks()
        return
    with mock_aws():
        create_leads_table()
        yield DynamoDesks(boto3.client("dynamodb"), TABLE, shards=3, retention_days=400)


def waiting_desk(name: str = f"lead:{ADA}") -> Desk:
    request = Request(str(KEY), ADA, NOON, "tier", None, "warm", 30.0, "entered hot")
    return file(None, Desk(name), request, NOON)


def test_a_desk_comes_back_as_it_was_written(desks: Both) -> None:
    assert desks.load("account:acme") == StoredDesk(Desk("account:acme"))
    written = StoredDesk(waiting_desk(), 1, NOON + 5)
    desks.save(written)
    assert desks.load(written.desk.name) == written
    later = replace(written, version=2, due=None)
    desks.save(later)
    assert desks.load(written.desk.name) == later


@pytest.mark.parametrize("version", [1, 3])
def test_a_desk_is_written_over_what_was_read_alone(desks: Both, version: int) -> None:
    desks.save(StoredDesk(waiting_desk(), 1, NOON))
    with pytest.raises(ConflictError):
        desks.save(StoredDesk(waiting_desk(), version))
    assert desks.load(f"lead:{ADA}").due == NOON


def test_desks_that_are_due_are_found_by_their_time(desks: Both) -> None:
    for number, due in enumerate([NOON, NOON - 2, NOON + 1, None]):
        desks.save(StoredDesk(waiting_desk(f"account:{number}#x"), 1, due))
    assert list(desks.walk_due(NOON)) == ["account:1#x", "account:0#x"]


def test_a_change_record_is_written_once_and_settled(desks: Both) -> None:
    desks.note(ChangeRecord(KEY, CHANGE, "waiting", "entered hot"))
    desks.settle(Settled([KEY], "sent", "entered hot", "a1"))
    desks.note(ChangeRecord(KEY, CHANGE, "waiting", "entered hot"))
    assert desks.changes_of(KEY.lead) == [ChangeRecord(KEY, CHANGE, "sent", "entered hot", "a1")]


def test_what_was_erased_is_not_settled(desks: Both) -> None:
    desks.settle(Settled([KEY], "suppressed", "is gone"))
    assert desks.changes_of(KEY.lead) == []


def test_an_alert_is_marked_as_sent(desks: Both) -> None:
    assert desks.find_alert("a1") is None
    desks.put_alert(ALERT)
    assert desks.find_alert("a1") == ALERT
    desks.mark_sent("a1", NOON + 7)
    assert desks.find_alert("a1") == replace(ALERT, sent_at=NOON + 7)


def test_the_last_verdict_on_each_lead_is_kept_in_whichever_order_they_come(desks: Both) -> None:
    alert = replace(ALERT, token="secret")
    desks.put_alert(alert)
    snooze = Verdict("snooze", NOON + 5, "arn:kim", "on leave", NOON + 5 + DAY)
    for lead, verdict in (
        (ADA, Verdict("good", NOON + 3, "link")),
        (ADA, snooze),
        (ADA, Verdict("junk", NOON + 4, "link")),
        ("bob", Verdict("junk", NOON, "link")),
        ("bob", Verdict("junk", NOON, "link")),
    ):
        desks.put_verdict("a1", lead, verdict)
    assert desks.find_alert("a1") == replace(alert, verdicts={ADA: snooze, "bob": Verdict("junk", NOON, "link")})


def test_a_verdict_makes_no_record_of_an_alert_that_is_gone(desks: Both) -> None:
    desks.put_verdict("a1", ADA, Verdict("good", NOON, "link"))
    assert desks.find_alert("a1") is None


def test_alerts_are_walked_from_the_newest(desks: Both) -> None:
    for day in range(8):
        desks.put_alert(replace(ALERT, id=f"a{day}", sealed_at=NOON + day * DAY))
    assert [alert.id for alert in desks.walk_alerts()] == [f"a{day}" for day in range(7, -1, -1)]
    assert [alert.id for alert in desks.walk_alerts("2026-03-08T12:00:00.000Z")] == ["a7", "a6"]


def test_changes_are_walked_from_the_newest_and_found_by_their_lead(desks: Both) -> None:
    days = [f"2026-03-{day:02}T12:00:00.000Z" for day in range(1, 9)]
    for at in days:
        key = ChangeKey(pseudonym(f"user:{at}"), at)
        desks.note(ChangeRecord(key, replace(CHANGE, id=at, at=at), "none", ""))
    assert [record.change.at for record in desks.walk_changes()] == days[::-1]
    assert [record.change.at for record in desks.walk_changes(days[6])] == [days[7], days[6]]
    assert [record.key.change for record in desks.changes_of(pseudonym(f"user:{days[2]}"))] == [days[2]]


def test_a_desk_where_nothing_waits_is_kept_for_a_while_alone() -> None:
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        desks = DynamoDesks(client, TABLE, shards=3, retention_days=400)
        desks.save(StoredDesk(waiting_desk(), 1, None, NOON))
        [item] = client.scan(TableName=TABLE)["Items"]
        assert item["expires_at"]["N"] == str(NOON // 1000)


def test_erasing_a_person_removes_the_records_of_its_changes() -> None:
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        desks = DynamoDesks(client, TABLE, shards=3, retention_days=400)
        desks.note(ChangeRecord(KEY, CHANGE, "none", "did not enter hot"))
        other = ChangeKey(pseudonym("user:bob"), "c1")
        desks.note(ChangeRecord(other, CHANGE, "none", "did not enter hot"))
        DynamoGraves(client, TABLE, lambda _: None).remove_records(ADA, [ADA])
        assert (desks.changes_of(KEY.lead), len(desks.changes_of(other.lead))) == ([], 1)


def test_erasing_a_person_removes_why_its_alerts_were_judged_as_they_were() -> None:
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        desks = DynamoDesks(client, TABLE, shards=3, retention_days=400)
        bob, joined = pseudonym("user:bob"), pseudonym("anonymous:ada")
        desks.put_alert(ALERT)
        for alert in (ALERT.id, "long-gone"):
            desks.note(ChangeRecord(ChangeKey(ADA, alert), replace(CHANGE, id=alert), "waiting", "entered hot"))
            desks.settle(Settled([ChangeKey(ADA, alert)], "sent", "entered hot", alert))
        for lead in (ADA, joined, bob):
            desks.put_verdict(ALERT.id, lead, Verdict("junk", NOON, "link", "a student"))
        desks.put_verdict(ALERT.id, "terse", Verdict("good", NOON, "link"))
        for _ in range(2):
            DynamoGraves(client, TABLE, lambda _: None).remove_records(ADA, [ADA, joined, "terse", "unheard of"])
        found = desks.find_alert(ALERT.id)
        assert found is not None
        said = {lead: (verdict.kind, verdict.reason) for lead, verdict in found.verdicts.items()}
        assert said == {ADA: ("junk", ""), joined: ("junk", ""), bob: ("junk", "a student"), "terse": ("good", "")}
        assert desks.find_alert("long-gone") is None


def test_records_go_when_the_log_lets_go_of_their_events() -> None:
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        desks = DynamoDesks(client, TABLE, shards=3, retention_days=400)
        desks.note(ChangeRecord(KEY, CHANGE, "none", ""))
        desks.put_alert(ALERT)
        ends = {item["expires_at"]["N"] for item in client.scan(TableName=TABLE)["Items"]}
        assert ends == {str((NOON + 400 * DAY) // 1000)}


def test_a_change_of_an_account_is_on_record_beside_those_of_leads(desks: Both) -> None:
    key = ChangeKey("account:acme/1#x", "c9")
    record = AccountChangeRecord(key, replace(ACCOUNT_CHANGE, account="acme/1#x"), "waiting", "entered hot")
    desks.note(record)
    desks.settle(Settled([ChangeKey.parse(str(key))], "sent", "entered hot", "a1"))
    desks.note(record)
    assert list(desks.walk_account_changes()) == [replace(record, outcome="sent", alert="a1")]
    desks.note(ChangeRecord(KEY, CHANGE, "none", ""))
    assert [one.key for one in desks.walk_changes()] == [KEY]
    assert len(list(desks.walk_account_changes())) == 1


def test_changes_of_accounts_are_walked_from_the_newest(desks: Both) -> None:
    days = [f"2026-03-{day:02}T12:00:00.000Z" for day in range(1, 9)]
    for at in days:
        key = ChangeKey("account:acme", at)
        desks.note(AccountChangeRecord(key, replace(ACCOUNT_CHANGE, id=at, at=at), "none", ""))
    assert [record.change.at for record in desks.walk_account_changes()] == days[::-1]
    assert [record.change.at for record in desks.walk_account_changes(days[6])] == [days[7], days[6]]


def test_an_alert_is_found_as_it_was_put(desks: Both) -> None:
    verdicts = {ADA: Verdict("snooze", NOON, "link", "on leave", NOON + DAY)}
    whole = replace(ALERT, sent_at=NOON + 7, token="t0ken", verdicts=verdicts)
    desks.put_alert(whole)
    assert desks.find_alert(ALERT.id) == whole


@pytest.mark.parametrize("kind", ["alert", "follow_up", "account"])
def test_an_alert_is_of_the_kind_that_it_was_put_as(desks: Both, kind: AlertKind) -> None:
    desks.put_alert(replace(ALERT, kind=kind))
    assert desks.find_alert(ALERT.id) == replace(ALERT, kind=kind)


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("has_desk", [False, True])
def test_a_lead_and_its_desk_are_seen_as_each_is_read_alone(is_known: bool, has_desk: bool) -> None:
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        desks = DynamoDesks(client, TABLE, shards=3, retention_days=400)
        store = DynamoStore(client, TABLE, shards=3, retention_days=400)
        name = f"lead:{ADA}"
        if is_known:
            store.commit([StoredIdentity("user:ada", 1, pending=(CHANGE,))])
        if has_desk:
            desks.save(StoredDesk(replace(waiting_desk(), name=name), 1, NOON))
        seen = desks.look_ahead("user:ada")
        assert (seen.lead, seen.desk) == (store.load_identities(["user:ada"])["user:ada"], desks.load(name))
        assert ([change.id for change in seen.lead.pending], seen.desk.version) == (["c1"] * is_known, int(has_desk))
