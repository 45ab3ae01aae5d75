"""On the deployed stack, a bot and one of our own people are worth nothing, are listed, and count once cleared."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest
from typer.testing import CliRunner

from leadscore.adapters.items import partition_of
from leadscore_cli import main, quarantine
from leadscore_cli.api_client import ApiError
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually
from tests.e2e.test_main_road import lead_with_score, queue_is_empty
from tests.unit.test_user_agents import CRAWLERS, PEOPLE, SCANNERS

BOT, OUR_OWN = "quarantine-bot", "quarantine-eve"
DOMAIN = "inside.example"
PROBES = count()
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
type Kept = dict[str, str]


@pytest.fixture
def internal_domain(stack: Stack) -> Iterator[None]:
    """Publish that people of a domain are our own, and what was there before afterwards."""
    name = f"/leadscore/{stack.names.stage}/quarantine"
    before = stack.clients.ssm.get_parameter(Name=name)["Parameter"]["Value"]
    ours = {**json.loads(before), "internal": {"domains": [DOMAIN], "ips": []}}
    stack.clients.ssm.put_parameter(Name=name, Value=json.dumps(ours), Overwrite=True)
    yield
    stack.clients.ssm.put_parameter(Name=name, Value=before, Overwrite=True)


@pytest.fixture
def commands(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Have the commands work on this stack."""
    monkeypatch.setattr(quarantine, "target_of_project", lambda stage: choose_target(stage, stack.stage.directory))
    return stack


def leadscore(*arguments: str) -> str:
    answer = CliRunner().invoke(main.app, ["quarantine", *arguments, "--stage", "local"])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def kept(lead: str) -> Kept:
    """Return what is quarantined of a lead, by message: the reason."""
    told = json.loads(leadscore("list", "--lead", lead, "--json"))
    return {event["event"]["messageId"]: event["reason"] for event in told["events"]}


def send_as(stack: Stack, agent: str, **event: object) -> None:
    """Send one event as a page does that such an agent has opened."""
    body = json.dumps({**event, "writeKey": stack.outputs.write_key}).encode()
    headers = {"User-Agent": agent, "Origin": "https://product.example", "Content-Type": "text/plain"}
    url = f"{stack.names.api}/{str(event['type'])[0]}"
    with DIRECT.open(urllib.request.Request(url, body, headers)) as answer:
        assert answer.status == 200


def is_unknown(stack: Stack, lead: str) -> bool:
    try:
        stack.api.lead(lead)
    except ApiError as error:
        return error.status == 404
    return False


def test_a_bots_events_are_worth_nothing_until_they_are_cleared(commands: Stack) -> None:
    stack = commands
    trial = {"type": "track", "event": "Trial Started", "userId": BOT}
    send_as(stack, CRAWLERS[0], **trial, messageId="bot-1")
    send_as(stack, SCANNERS[0], type="page", userId=BOT, messageId="bot-2", properties={"path": "/pricing"})
    wanted = {"bot-1": "bot", "bot-2": "link_scanner"}
    eventually(lambda: kept(BOT) == wanted)
    assert is_unknown(stack, BOT)
    send_as(stack, PEOPLE[0], **trial, messageId="person-1")
    assert eventually(lambda: lead_with_score(stack, BOT, 20.0))

    listed = json.loads(leadscore("list", "--limit", "100", "--json"))
    assert listed["counts"]["bot"] >= 1
    assert {"bot-1", "bot-2"} <= {event["event"]["messageId"] for event in listed["events"]}

    leadscore("clear", "--lead", BOT, "--yes")
    assert kept(BOT) == {}
    # The one trial that counts is the newest.
    detail = eventually(lambda: lead_with_score(stack, BOT, 35.0))
    assert {event["messageId"] for event in detail["events"]} == {"bot-1", "bot-2", "person-1"}
    leadscore("clear", "--lead", BOT, "--yes")
    eventually(lambda: queue_is_empty(stack))
    assert lead_with_score(stack, BOT, 35.0)


def test_a_burst_is_seen_and_kept(commands: Stack) -> None:
    stack, lead = commands, "quarantine-burst"
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")  # noqa: TID251
    event = {"type": "page", "userId": lead, "timestamp": at, "receivedAt": at, "properties": {"path": "/pricing"}}

    def deliver(first: int, count: int) -> None:
        names = [f"burst-{first + place}" for place in range(count)]
        bodies = {name: json.dumps({"event": {**event, "messageId": name}, "source": "web"}) for name in names}
        records = [{"messageId": name, "body": body} for name, body in bodies.items()]
        payload = json.dumps({"Records": [{**one, "attributes": {"ApproximateReceiveCount": "1"}} for one in records]})
        answer = stack.clients.lambdas.invoke(FunctionName=stack.names.functions["score"], Payload=payload.encode())
        assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}

    deliver(0, 60)
    assert kept(lead) == {}
    deliver(60, 60)
    counted = json.loads(leadscore("list", "--lead", lead, "--limit", "100", "--json"))
    assert {each["event"]["messageId"] for each in counted["events"]} == {f"burst-{n}" for n in range(60, 120)}
    deliver(120, 30)
    assert json.loads(leadscore("list", "--lead", lead, "--json"))["counts"] == {"burst": 90}
    assert lead_with_score(stack, lead, 15.0)


def identify(stack: Stack, lead: str, message: str) -> None:
    event = {"type": "identify", "userId": lead, "anonymousId": f"{lead}-device", "messageId": message}
    stack.api.send(stack.outputs.write_key, [{**event, "traits": {"email": f"eve@{DOMAIN}", "title": "VP Sales"}}])


@pytest.mark.usefixtures("internal_domain")
def test_our_own_people_count_for_nothing_by_any_id_until_they_are_cleared(commands: Stack) -> None:
    stack = commands

    def is_published() -> bool:
        probe = f"quarantine-probe-{next(PROBES)}"
        identify(stack, probe, probe)
        eventually(lambda: queue_is_empty(stack))
        return bool(kept(probe))

    assert eventually(is_published)
    identify(stack, OUR_OWN, "eve-1")
    eventually(lambda: "eve-1" in kept(OUR_OWN))
    at = datetime.now(UTC).isoformat()  # noqa: TID251
    page = {"type": "page", "properties": {"path": "/pricing"}, "timestamp": at}
    trial = {"type": "track", "event": "Trial Started", "userId": OUR_OWN, "messageId": "eve-3"}
    stack.api.send(stack.outputs.write_key, [{**page, "anonymousId": f"{OUR_OWN}-device", "messageId": "eve-2"}, trial])
    eventually(lambda: {"eve-1", "eve-2", "eve-3"} <= kept(OUR_OWN).keys())
    assert set(kept(OUR_OWN).values()) == {"internal_domain"}
    assert is_unknown(stack, OUR_OWN)
    assert (
        stack.clients.dynamodb.query(
            TableName=stack.names.table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :event)",
            ExpressionAttributeValues={":pk": {"S": partition_of(f"user:{OUR_OWN}")}, ":event": {"S": "EVENT"}},
            ConsistentRead=True,
        )["Items"]
        == []
    )

    leadscore("clear", "--lead", OUR_OWN, "--yes")
    # Title 10, pricing page 15 by the device that is joined, trial 20.
    assert eventually(lambda: lead_with_score(stack, OUR_OWN, 45.0))
    stack.api.send(stack.outputs.write_key, [{"type": "track", "userId": OUR_OWN, "event": "Clicked"}])
    eventually(lambda: queue_is_empty(stack))
    assert kept(OUR_OWN) == {}


def test_what_is_only_quarantined_is_erased_all_the_same(commands: Stack) -> None:
    stack = commands
    send_as(stack, CRAWLERS[0], type="page", userId="quarantine-gone", anonymousId="gone-device", messageId="gone-1")
    eventually(lambda: kept("quarantine-gone"))
    lines = [json.loads(line) for line in stack.api.export("quarantine-gone")]
    assert [line["kind"] for line in lines][:2] == ["lead", "quarantined"]
    assert stack.api.erase("quarantine-gone")["events"] == 1
    assert kept("quarantine-gone") == {}
