"""The main job on the deployed stack: real SDK and bus traffic in; scores, tier changes and alerts out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import segment.analytics as segment  # type: ignore[import-untyped]

from leadscore.adapters.items import IDENTITY_KEY, partition_of
from leadscore.adapters.queues import SqsFifoQueue
from leadscore_cli.api_client import ApiError, LeadDetail
from leadscore_cli.demo import Alert, Inbox
from tests.e2e.deployed import Stack, eventually, logged

EXECUTIVE = {"title": "VP Engineering", "name": "Grace Hopper", "company": {"name": "Acme", "employees": 300}}


@pytest.fixture
def inbox(stack: Stack) -> Iterator[Inbox]:
    clients = stack.clients
    with closing(Inbox(clients.sqs, clients.sns, stack.names.alerts_topic_arn)) as opened:
        yield opened


def alerts_of(inbox: Inbox, lead: str, seen: list[Alert]) -> list[Alert]:
    seen += inbox.receive()
    return [alert for alert in seen if alert.lead == lead]


def lead_with_score(stack: Stack, lead: str, score: float) -> LeadDetail | None:
    """Return the lead once it has that score."""
    try:
        found = stack.api.lead(lead)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return found if found["score"]["total"] == score else None


def hot_events(lead: str) -> list[dict[str, object]]:
    return [
        {"type": "identify", "userId": lead, "messageId": f"{lead}-1", "traits": EXECUTIVE},
        {"type": "page", "userId": lead, "messageId": f"{lead}-2", "properties": {"path": "/pricing"}},
        {"type": "track", "userId": lead, "messageId": f"{lead}-3", "event": "Trial Started", "properties": {}},
    ]


def put_on_queue(stack: Stack, *bodies: str) -> None:
    for body in bodies:
        stack.clients.sqs.send_message(QueueUrl=stack.names.events_queue_url, MessageBody=body)


def normalised(lead: str, message: str, **more: object) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"  # noqa: TID251
    event = {"messageId": message, "type": "page", "userId": lead, "timestamp": now, "receivedAt": now}
    return json.dumps({"event": {**event, "properties": {"path": "/pricing"}, **more}, "source": "default"})


def messages_in(stack: Stack, queue_url: str) -> list[str]:
    """Return the bodies of all messages, which are out of sight for a moment, so that each is received once."""
    bodies: list[str] = []
    while True:
        answer = stack.clients.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=2)
        received = [message["Body"] for message in answer.get("Messages", [])]
        if not received:
            return bodies
        bodies += received


def test_worked_example_by_sdk_is_53_hot_and_told_once(stack: Stack, inbox: Inbox) -> None:
    lead = "sdk-grace"
    errors: list[Exception] = []
    visited = datetime.now(UTC) - timedelta(days=2)  # noqa: TID251
    client = segment.Client(
        stack.outputs.write_key,
        host=stack.names.api.removesuffix("/v1"),
        on_error=lambda error, _items: errors.append(error),
    )
    client.identify(lead, traits=EXECUTIVE, timestamp=visited)
    client.page(lead, properties={"path": "/pricing"}, timestamp=visited)
    client.track(lead, "Trial Started", {"plan": "team"}, timestamp=visited + timedelta(hours=1))
    client.shutdown()

    assert errors == []
    found = eventually(lambda: lead_with_score(stack, lead, 53.0))
    assert found["score"]["tier"] == "hot"
    assert found["score"]["groups"]["fit"] == 18.0
    assert {event["type"] for event in found["events"]} == {"identify", "page", "track"}
    seen: list[Alert] = []
    [alert] = eventually(lambda: alerts_of(inbox, lead, seen))
    assert (alert.score, alert.who) == (53.0, "Grace Hopper (Acme)")
    assert [row["id"] for row in stack.api.leads(tier="hot", limit=1000)["leads"]].count(lead) == 1


def test_worked_example_by_bus(stack: Stack, inbox: Inbox) -> None:
    lead = "bus-grace"
    seen: list[Alert] = []
    entries = [
        {"EventBusName": stack.names.bus, "Source": "app.web", "DetailType": "event", "Detail": json.dumps(event)}
        for event in hot_events(lead)
    ]
    assert stack.clients.events.put_events(Entries=entries)["FailedEntryCount"] == 0  # type: ignore[arg-type]

    assert eventually(lambda: lead_with_score(stack, lead, 53.0))["score"]["tier"] == "hot"
    assert len(eventually(lambda: alerts_of(inbox, lead, seen))) == 1


def test_a_bad_event_is_named_and_its_neighbours_are_scored(stack: Stack) -> None:
    lead = "neighbour"
    page = {"type": "page", "userId": lead, "properties": {"path": "/pricing"}}
    answer = stack.api.send(stack.outputs.write_key, [{"type": "frobnicate", "userId": lead}, page, {"type": "page"}])

    assert answer["success"] is True
    assert [rejected["index"] for rejected in answer["rejected"]] == [0, 2]
    assert all(rejected["code"] and rejected["message"] for rejected in answer["rejected"])
    assert eventually(lambda: lead_with_score(stack, lead, 15.0))["score"]["tier"] == "cold"


def test_a_wrong_key_is_401_with_code_and_message(stack: Stack) -> None:
    with pytest.raises(ApiError) as refused:
        stack.api.send("not-a-key", hot_events("nobody"))
    assert refused.value.status == 401
    assert refused.value.code not in {"", "unknown"}


def test_an_unknown_lead_is_404_and_a_bad_query_is_400(stack: Stack) -> None:
    with pytest.raises(ApiError) as missing:
        stack.api.lead("never-seen")
    assert (missing.value.status, missing.value.code) == (404, "unknown_lead")
    with pytest.raises(ApiError) as refused:
        stack.api.leads(tier="lukewarm")
    assert (refused.value.status, refused.value.code) == (400, "invalid_query")


def test_a_redelivered_message_changes_nothing(stack: Stack) -> None:
    lead = "redelivered"
    body = normalised(lead, "redelivered-1")
    put_on_queue(stack, body)
    eventually(lambda: lead_with_score(stack, lead, 15.0))
    before = stored_items(stack, lead)

    put_on_queue(stack, body, body, normalised(lead, "redelivered-2", properties={"path": "/nothing"}))

    eventually(lambda: len(stored_items(stack, lead)) == 3)
    eventually(lambda: queue_is_empty(stack))
    after = stored_items(stack, lead)
    assert [item for item in after if item in before] == before


def test_poison_ends_in_the_dlq_with_its_reason_and_its_neighbours_are_scored(stack: Stack) -> None:
    lead = "beside-poison"
    put_on_queue(stack, "not json at all", normalised(lead, "beside-poison-1"))
    stack.clients.events.put_events(
        Entries=[
            {
                "EventBusName": stack.names.bus,
                "Source": "app.web",
                "DetailType": "event",
                "Detail": json.dumps({"type": "track", "event": "no id at all"}),
            }
        ]
    )

    assert eventually(lambda: lead_with_score(stack, lead, 15.0))
    dead: set[str] = set()
    assert eventually(lambda: are_dead(stack, dead, "not json at all", "no id at all"), timeout_seconds=90)
    assert eventually(lambda: logged(stack, "score", "invalid_json") and logged(stack, "score", "missing_id"))


def test_a_changed_ruleset_is_used_by_the_next_event(stack: Stack) -> None:
    ssm, name = stack.clients.ssm, stack.names.ruleset_parameter
    original = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    changed = json.loads(original)
    next(criterion for criterion in changed["criteria"] if criterion["id"] == "pricing-page")["points"] = 16
    ssm.put_parameter(Name=name, Value=json.dumps(changed), Type="String", Overwrite=True)
    try:

        def scored_anew() -> LeadDetail | None:
            put_on_queue(stack, normalised("ruleset", f"ruleset-{datetime.now(UTC).isoformat()}"))  # noqa: TID251
            return lead_with_score(stack, "ruleset", 16.0)

        assert eventually(scored_anew)
    finally:
        ssm.put_parameter(Name=name, Value=original, Type="String", Overwrite=True)
    assert eventually(lambda: lead_with_score(stack, "ruleset", 15.0))


def test_a_tier_that_time_changes_is_noticed_without_an_event(stack: Stack) -> None:
    lead = "cooling"
    nearly_gone = datetime.now(UTC) - timedelta(days=30) + timedelta(seconds=10)  # noqa: TID251
    visit = {"type": "page", "userId": lead, "properties": {"path": "/pricing"}, "timestamp": nearly_gone.isoformat()}
    stack.api.send(stack.outputs.write_key, [{"type": "identify", "userId": lead, "traits": EXECUTIVE}, visit])
    eventually(lambda: stored_tier(stack, lead) == "warm")

    def cooled() -> bool:
        stack.clients.lambdas.invoke(FunctionName=stack.names.functions["cool"])["Payload"].close()
        return stored_tier(stack, lead) == "cold"

    assert eventually(cooled, timeout_seconds=60)
    assert eventually(lambda: logged(stack, "cool", '"LeadsDue":[1.0]'))


def test_a_missing_permission_is_noticed_and_nothing_is_lost(stack: Stack, inbox: Inbox) -> None:
    lead = "permission"
    seen: list[Alert] = []
    role = stack.clients.lambdas.get_function_configuration(FunctionName=stack.names.functions["notify"])["Role"]
    role_name = role.rpartition("/")[2]
    policies = stack.clients.iam.list_role_policies(RoleName=role_name)["PolicyNames"]
    saved = {name: stack.clients.iam.get_role_policy(RoleName=role_name, PolicyName=name) for name in policies}
    for name, policy in saved.items():
        document = policy["PolicyDocument"]
        text = document if isinstance(document, str) else json.dumps(document)
        without = text.replace("sns:Publish", "sns:GetTopicAttributes")
        stack.clients.iam.put_role_policy(RoleName=role_name, PolicyName=name, PolicyDocument=without)
    try:
        stack.api.send(stack.outputs.write_key, hot_events(lead))
        assert eventually(lambda: lead_with_score(stack, lead, 53.0))
        assert eventually(
            lambda: logged(stack, "notify", "AuthorizationError") or logged(stack, "notify", "AccessDenied")
        )
        assert alerts_of(inbox, lead, seen) == []
    finally:
        for name, policy in saved.items():
            document = policy["PolicyDocument"]
            text = document if isinstance(document, str) else json.dumps(document)
            stack.clients.iam.put_role_policy(RoleName=role_name, PolicyName=name, PolicyDocument=text)
    SqsFifoQueue(stack.clients.sqs, stack.names.changes_queue_url).send_all([json.dumps({"lead": f"user:{lead}"})])
    assert len(eventually(lambda: alerts_of(inbox, lead, seen), timeout_seconds=60)) == 1


def stored_items(stack: Stack, lead: str) -> list[dict[str, object]]:
    answer = stack.clients.dynamodb.query(
        TableName=stack.names.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": partition_of(f"user:{lead}")}},
        ConsistentRead=True,
    )
    return [dict(item) for item in answer["Items"]]


def stored_tier(stack: Stack, lead: str) -> str | None:
    items = [item for item in stored_items(stack, lead) if item["sk"] == {"S": IDENTITY_KEY}]
    return str(dict(items[0]["tier"])["S"]) if items else None  # type: ignore[call-overload]


def queue_is_empty(stack: Stack) -> bool:
    attributes = stack.clients.sqs.get_queue_attributes(QueueUrl=stack.names.events_queue_url, AttributeNames=["All"])
    counts = attributes["Attributes"]
    return counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def are_dead(stack: Stack, seen: set[str], *contents: str) -> bool:
    """Return whether messages with all these contents have been seen among the dead by now; `seen` is added to."""
    seen.update(messages_in(stack, stack.names.events_dlq_url))
    return all(any(content in body for body in seen) for content in contents)
