"""The digest of the deployed stack: leads go hot, and a queue that listens for one owner gets one message, once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from leadscore.adapters.desks import DynamoDesks
from leadscore.core.identity import pseudonym
from tests.e2e.deployed import Stack, eventually
from tests.unit.digests import SCHEMA

OWNER = "digest-kim@company.example"
EXECUTIVE = {"title": "VP Engineering", "company": {"name": "Acme", "employees": 300}}


@pytest.fixture
def inbox(stack: Stack) -> str:
    """The address of a queue that is subscribed to the digests of one owner."""
    sqs, sns = stack.clients.sqs, stack.clients.sns
    queue = sqs.create_queue(QueueName="e2e-digests")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = stack.clients.lambdas.get_function_configuration(FunctionName=stack.names.functions["digest"])
    topic = function["Environment"]["Variables"]["DIGESTS_TOPIC_ARN"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    options = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"owner": [OWNER]})}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=options)
    return queue


@pytest.fixture
def digest_due(stack: Stack) -> Iterator[Any]:
    """Give what publishes a ruleset by which a digest is due now, until the test ends."""
    ssm, name = stack.clients.ssm, stack.names.ruleset_parameter
    before = ssm.get_parameter(Name=name)["Parameter"]["Value"]

    def publish() -> None:
        hour = max(0, datetime.now(UTC).hour - 1)  # noqa: TID251
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        digest = {"at": f"{hour:02}:00", "time_zone": "UTC", "days": days}
        changed = json.dumps({**json.loads(before), "digest": digest})
        ssm.put_parameter(Name=name, Value=changed, Type="String", Overwrite=True)

    yield publish
    ssm.put_parameter(Name=name, Value=before, Type="String", Overwrite=True)


def send_hot(stack: Stack, lead: str, owner: str) -> None:
    who = {**EXECUTIVE, "name": lead.capitalize(), "owner": owner}
    events: list[dict[str, object]] = [
        {"type": "identify", "userId": lead, "messageId": f"{lead}-1", "traits": who},
        {"type": "page", "userId": lead, "messageId": f"{lead}-2", "properties": {"path": "/pricing"}},
        {"type": "track", "userId": lead, "messageId": f"{lead}-3", "event": "Trial Started", "properties": {}},
    ]
    stack.api.send(stack.outputs.write_key, events)


def invoke(stack: Stack) -> None:
    answer = stack.clients.lambdas.invoke(FunctionName=stack.names.functions["digest"], Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()


def take(stack: Stack, queue: str) -> list[dict[str, Any]]:
    found = []
    while messages := stack.clients.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            stack.clients.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    return found


def depth(stack: Stack, queue: str) -> int:
    attributes = stack.clients.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def test_an_owner_gets_one_digest_of_the_leads_that_became_hot(stack: Stack, inbox: str, digest_due: Any) -> None:
    mine, other = (f"digest-{uuid.uuid4().hex[:8]}" for _ in range(2))
    desks = DynamoDesks(stack.clients.dynamodb, stack.names.table, shards=2, retention_days=400)
    send_hot(stack, mine, OWNER)
    send_hot(stack, other, "digest-lee@company.example")
    assert eventually(lambda: all(desks.changes_of(pseudonym(f"user:{lead}")) for lead in (mine, other)))

    digest_due()

    def sent() -> bool:
        invoke(stack)
        return depth(stack, inbox) > 0

    # The function may know the ruleset of a second ago still.
    assert eventually(sent)
    [message] = take(stack, inbox)
    Draft202012Validator(SCHEMA).validate(message)
    [section] = message["sections"]
    assert (message["owner"], section["name"], section["count"]) == (OWNER, "new_hot", 1)
    [lead] = section["leads"]
    assert (lead["person"]["id"], lead["tier"], lead["score"]) == (mine, "hot", 53.0)

    invoke(stack)
    assert take(stack, inbox) == []
