"""An account that several warm people make hot, on the deployed stack: one alert about the account, and that once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import segment.analytics as segment  # type: ignore[import-untyped]

from leadscore.adapters.desks import DynamoDesks
from leadscore.core.alerts import Alert
from tests.e2e.deployed import Stack, eventually

ACCOUNT = "e2e-hot-account"
PEOPLE = ("account-ada", "account-bob", "account-cyd")
EXECUTIVE = {"title": "VP Engineering", "company": {"name": "Hot Inc", "employees": 300}}


@pytest.fixture
def inbox(stack: Stack) -> Iterator[str]:
    """A queue that hears of this account alone."""
    sqs, sns = stack.clients.sqs, stack.clients.sns
    queue = sqs.create_queue(QueueName="e2e-account-alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": stack.names.alerts_topic_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    subscription = sns.subscribe(
        TopicArn=stack.names.alerts_topic_arn,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"account": [ACCOUNT]})},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    yield queue
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=queue)


def open_client(stack: Stack, errors: list[Exception]) -> segment.Client:
    return segment.Client(
        stack.outputs.write_key,
        host=stack.names.api.removesuffix("/v1"),
        on_error=lambda error, _items: errors.append(error),
    )


def take(stack: Stack, queue: str, taken: list[Alert]) -> list[Alert]:
    """Return all that has arrived so far."""
    for message in stack.clients.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        stack.clients.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        taken.append(Alert.from_dict(json.loads(message["Body"])))
    return taken


def recorded(stack: Stack) -> list[tuple[str, str, str | None]]:
    desks = DynamoDesks(stack.clients.dynamodb, stack.names.table, shards=2, retention_days=400)
    of_account = [one for one in desks.walk_account_changes() if one.change.account == ACCOUNT]
    return [(one.change.tier, one.outcome, one.alert) for one in of_account]


def test_warm_people_make_their_account_hot_and_that_is_told_once(stack: Stack, inbox: str) -> None:
    errors: list[Exception] = []
    client = open_client(stack, errors)
    for lead in PEOPLE:
        client.group(lead, ACCOUNT, traits={"name": "Hot Inc"})
        client.identify(lead, traits={**EXECUTIVE, "name": lead})
        client.page(lead, properties={"path": "/pricing"})
    client.shutdown()
    taken: list[Alert] = []
    [alert] = eventually(lambda: take(stack, inbox, taken), 60)
    assert alert.kind == "account"
    assert alert.account is not None
    assert alert.account.move is not None
    # 33, half of 33 and a quarter of it.
    move = alert.account.move
    assert (alert.account.name, move.tier, move.score, move.people) == ("Hot Inc", "hot", 57.75, 3)
    assert sorted(lead.person["id"] for lead in alert.leads) == sorted(PEOPLE)
    assert {lead.tier for lead in alert.leads} == {"warm"}
    assert eventually(lambda: ("hot", "sent", alert.id) in recorded(stack))
    # One of them becomes hot: that is told next, and so nothing was told in between.
    client = open_client(stack, errors)
    client.track(PEOPLE[0], "Trial Started")
    client.shutdown()
    assert errors == []
    assert eventually(lambda: len(take(stack, inbox, taken)) > 1, 60)
    assert [(one.kind, len(one.leads)) for one in taken] == [("account", 3), ("alert", 1)]
    assert taken[1].leads[0].person["id"] == PEOPLE[0]
