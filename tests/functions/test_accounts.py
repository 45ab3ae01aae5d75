"""Accounts as they are wired: events in, a rating that waits a moment, a change on the bus, and what reads answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from jsonschema import Draft202012Validator

from leadscore.adapters.desks import DynamoDesks
from leadscore.usecases.rate_message import Rate
from tests.contract.leads_table import TABLE
from tests.functions.deployed import Context
from tests.functions.test_scoring_functions import EXECUTIVE, Account, get, record
from tests.functions.test_scoring_functions import account as account
from tests.unit.test_alerts import SCHEMA as ALERT_SCHEMA
from tests.unit.test_signals import check

RATE = {"messageId": "sqs-rate", "body": Rate("acme").body()}


def colleagues() -> list[dict[str, str]]:
    return [
        record(1, "group", groupId="acme", traits={"name": "Acme Inc."}),
        record(2, "identify", traits=EXECUTIVE),
        record(3, "page", properties={"path": "/pricing"}),
        record(4, "track", event="Trial Started"),
        record(5, "group", userId="ada", groupId="acme"),
        record(6, "track", userId="ada", event="Trial Started"),
    ]


def test_an_account_goes_all_the_way(account: Account) -> None:
    score = account.function("score")
    assert score.handler({"Records": colleagues()}, Context()) == {"batchItemFailures": []}
    # Its rating waits until the index has the people.
    assert [json.loads(message["body"]) for message in account.take(account.events)] == [
        {"account": "acme", "after": ""}
    ]
    waiting = boto3.client("sqs").get_queue_attributes(
        QueueUrl=account.events, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )
    assert waiting["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"
    account.take(account.changes)
    assert score.handler({"Records": [RATE]}, Context()) == {"batchItemFailures": []}
    changes = account.take(account.changes)
    assert [json.loads(change["body"]) for change in changes] == [{"account": "acme"}]
    notify = account.function("notify")
    assert notify.handler({"Records": changes}, Context()) == {"batchItemFailures": []}
    [heard] = account.take(account.bus_queue)
    envelope = json.loads(heard["body"])
    detail = envelope["detail"]
    assert envelope["detail-type"] == "AccountTierChanged"
    check("AccountTierChanged", json.dumps(detail))
    assert (detail["tier"], detail["previous_tier"], detail["people"]) == ("hot", "cold", 2)
    assert detail["account"] == {"id": "acme", "name": "Acme Inc."}
    assert len(account.take(account.inbox)) == 1
    assert notify.handler({"Records": changes}, Context()) == {"batchItemFailures": []}
    assert account.take(account.bus_queue) == account.take(account.inbox) == []


def test_reads_answer_the_accounts_and_one_of_them(account: Account) -> None:
    account.function("score").handler({"Records": [*colleagues(), RATE]}, Context())
    api = account.function("api")
    status, page = get(api, "/accounts", tier="hot")
    assert (status, page["next_cursor"]) == (200, None)
    [line] = page["accounts"]
    assert (line["id"], line["name"], line["score"], line["people_total"]) == ("acme", "Acme Inc.", 63.0, 2)
    assert [(person["id"], person["contribution"]) for person in line["people"]] == [("grace", 53.0), ("ada", 10.0)]
    assert get(api, "/accounts", tier="cold")[1]["accounts"] == []
    status, view = get(api, "/accounts/acme")
    assert (status, view["score"], view["tier"], view["truncated"]) == (200, 63.0, "hot", False)
    assert view["people"] == line["people"]
    assert get(api, "/accounts/nobody")[0] == 404
    assert get(api, "/accounts", tier="disqualified")[0] == 400


def test_an_account_is_looked_at_again_after_a_day(account: Account) -> None:
    account.function("score").handler({"Records": [*colleagues(), RATE]}, Context())
    account.take(account.events)
    cool = account.function("cool")
    cool.utc_now = lambda: datetime.now(UTC) + timedelta(days=1, seconds=5)  # type: ignore[attr-defined]  # noqa: TID251
    cool.handler({}, Context())
    assert RATE["body"] in [message["body"] for message in account.take(account.events)]


@pytest.mark.parametrize("again", [1, 2])
def test_a_change_that_the_bus_refuses_stays_pending(account: Account, again: int) -> None:
    account.function("score").handler({"Records": [*colleagues(), RATE]}, Context())
    message = [{"messageId": "sqs-c", "body": '{"account": "acme"}'}]
    for _ in range(again):
        failed = account.function("notify", BUS_NAME="no-such-bus").handler({"Records": message}, Context())
        assert failed == {"batchItemFailures": [{"itemIdentifier": "sqs-c"}]}
    account.function("notify").handler({"Records": message}, Context())
    assert len(account.take(account.bus_queue)) == 1


def warm_colleagues() -> list[dict[str, str]]:
    """Three people of 33 points each: warm, and hot together."""
    happened = [
        (
            record(f"{lead}-group", "group", userId=lead, groupId="acme", traits={"name": "Acme Inc."}),
            record(f"{lead}-who", "identify", userId=lead, traits=EXECUTIVE),
            record(f"{lead}-visit", "page", userId=lead, properties={"path": "/pricing"}),
        )
        for lead in ("ada", "bob", "cyd")
    ]
    return [one for of_lead in happened for one in of_lead]


def test_warm_people_who_make_their_account_hot_are_one_alert_about_it(account: Account) -> None:
    score, notify = account.function("score"), account.function("notify")
    score.handler({"Records": warm_colleagues()}, Context())
    while leads := account.take(account.changes):
        notify.handler({"Records": leads}, Context())
    score.handler({"Records": [RATE]}, Context())
    changes = account.take(account.changes)
    assert notify.handler({"Records": changes}, Context()) == {"batchItemFailures": []}
    [message] = account.take(account.inbox)
    envelope = json.loads(message["body"])
    alert = json.loads(envelope["Message"])
    Draft202012Validator(ALERT_SCHEMA).validate(alert)
    assert envelope["Subject"] == "Hot account: Acme Inc., score 57.8, 3 people"
    assert envelope["MessageAttributes"]["reason"] == {"Type": "String", "Value": "account"}
    assert (alert["kind"], alert["account"]["score"], alert["account"]["people"]) == ("account", 57.75, 3)
    assert [lead["person"]["id"] for lead in alert["leads"]] == ["ada", "bob", "cyd"]
    assert notify.handler({"Records": changes}, Context()) == {"batchItemFailures": []}
    assert account.take(account.inbox) == account.take(account.changes) == []


def test_a_hot_lead_and_its_account_are_one_alert(account: Account) -> None:
    score, notify = account.function("score"), account.function("notify")
    score.handler({"Records": colleagues()}, Context())
    while changes := account.take(account.changes):
        notify.handler({"Records": changes}, Context())
    assert len(account.take(account.inbox)) == 1
    score.handler({"Records": [RATE]}, Context())
    while changes := account.take(account.changes):
        notify.handler({"Records": changes}, Context())
    assert account.take(account.inbox) == []
    desks = DynamoDesks(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
    [told] = desks.walk_account_changes()
    assert (told.change.tier, told.outcome) == ("hot", "suppressed")
    assert told.reason == "within the cooldown of the last alert on it or its people"
