"""Accounts as they are wired: events in, a rating that waits a moment, a change on the bus, and what reads answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from leadscore.usecases.rate_message import Rate
from tests.functions.deployed import Context
from tests.functions.test_scoring_functions import EXECUTIVE, Account, get, record
from tests.functions.test_scoring_functions import account as account
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
