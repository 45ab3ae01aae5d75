"""Leads that have gone quiet on the deployed stack: imported history, one run, and what hears of it on the bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.deployed import Stack, eventually
from tests.e2e.test_main_road import EXECUTIVE, lead_with_score, put_on_queue, stored_items
from tests.unit.test_signals import check

RULE = "hears-of-quiet-leads"
QUIET, AWAKE = "nurture-quiet", "nurture-awake"


@pytest.fixture
def asked_for(stack: Stack) -> Iterator[None]:
    """Have the ruleset ask for it, and take it back at the end."""
    ssm, name = stack.clients.ssm, stack.names.ruleset_parameter
    before = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    # Beside the leads of all other tests, so many of a day that none of these is left for the next.
    document = {**json.loads(before), "nurture": {"min_fit": 18, "silent_for": "14d", "daily": 1000}}
    ssm.put_parameter(Name=name, Value=json.dumps(document), Type="String", Overwrite=True)
    yield
    ssm.put_parameter(Name=name, Value=before, Type="String", Overwrite=True)


@pytest.fixture
def heard(stack: Stack) -> Iterator[str]:
    """A queue behind a rule of somebody's own."""
    sqs, events = stack.clients.sqs, stack.clients.events
    url = sqs.create_queue(QueueName=RULE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["leadscore"],
        "detail-type": ["LeadNeedsNurturing"],
        "detail": {"person": {"id": [{"prefix": "nurture-"}]}},
    }
    events.put_rule(Name=RULE, EventBusName=stack.names.bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=RULE, EventBusName=stack.names.bus, Targets=[{"Id": "queue", "Arn": arn}])
    yield url
    events.remove_targets(Rule=RULE, EventBusName=stack.names.bus, Ids=["queue"])
    events.delete_rule(Name=RULE, EventBusName=stack.names.bus)
    sqs.delete_queue(QueueUrl=url)


def normalised(lead: str, number: int, days_ago: float, **said: object) -> str:
    at = datetime.now(UTC) - timedelta(days=days_ago)  # noqa: TID251
    text = at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    event = {"messageId": f"{lead}-{number}", "userId": lead, "timestamp": text, "receivedAt": text, **said}
    return json.dumps({"event": event, "source": "default", "imported": True})


def run_nurture(stack: Stack) -> None:
    answer = stack.clients.lambdas.invoke(FunctionName=stack.names.functions["nurture"], Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()


def take(stack: Stack, url: str) -> list[dict[str, Any]]:
    """Take what is on the queue away."""
    messages = stack.clients.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    for message in messages.get("Messages", []):
        stack.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages.get("Messages", [])]


def test_an_old_lead_is_announced_once_to_whoever_listens_and_erasing_forgets_it(
    stack: Stack, asked_for: None, heard: str
) -> None:
    for lead, days_ago in ((QUIET, 40), (AWAKE, 2)):
        put_on_queue(
            stack,
            normalised(lead, 1, 40, type="identify", traits=EXECUTIVE),
            normalised(lead, 2, days_ago, type="track", event="Something Unheard Of"),
        )
    for lead in (QUIET, AWAKE):
        eventually(lambda lead=lead: lead_with_score(stack, lead, 18.0))  # type: ignore[misc]
        eventually(lambda lead=lead: len(stack.api.lead(lead)["events"]) == 2)  # type: ignore[misc]

    run_nurture(stack)

    [envelope] = eventually(lambda: take(stack, heard))
    detail = check(envelope["detail-type"], json.dumps(envelope["detail"]))
    assert (detail["person"]["id"], detail["person"]["name"], detail["score"]) == (QUIET, "Grace Hopper", 18.0)
    assert (detail["next_tier"], detail["points_missing"], detail["shortest_way"]) == ("warm", 7.0, ["free-trial"])
    assert [(one["criterion"], one["points"]) for one in detail["next_best_actions"]] == [
        ("free-trial", 20.0),
        ("pricing-page", 15.0),
        ("webinar", 5.0),
    ]

    run_nurture(stack)
    assert take(stack, heard) == []
    assert [item["told"] for item in stored_items(stack, QUIET) if "announced_as" in item] == [{"BOOL": True}]

    stack.api.erase(QUIET)
    assert not [item for item in stored_items(stack, QUIET) if "announced_as" in item]
