"""What people say of alerts, on the deployed stack: by the link that they got, by a signed call, and in the report."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
import requests
from typer.testing import CliRunner

from leadscore.adapters.desks import DynamoDesks
from leadscore.core.alerts import Alert
from leadscore.core.identity import pseudonym
from leadscore.core.instants import parse_instant
from leadscore.core.verdicts import Verdict
from leadscore.usecases.alert_records import AlertRecord, Entry
from leadscore.usecases.feedback import verdict_links
from leadscore_cli import alert_feedback
from leadscore_cli.main import app
from leadscore_cli.target import Target
from tests.e2e.contract.signing import Signed
from tests.e2e.deployed import Stack, eventually

EXECUTIVE = {"title": "VP Engineering", "name": "Grace Hopper", "company": {"name": "Acme", "employees": 300}}
TIMEOUT_SECONDS = 30
LEAD = "feedback-grace"


@pytest.fixture(autouse=True)
def command_line(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(stack.names, stack.session, stack.outputs.endpoint_url, stack.outputs.write_key)
    monkeypatch.setattr(alert_feedback, "target_of_project", lambda _stage: target)


@pytest.fixture
def inbox(stack: Stack) -> Iterator[str]:
    """The address of a queue that gets every alert, as a team's own subscription does."""
    clients = stack.clients
    url = clients.sqs.create_queue(QueueName=f"e2e-feedback-{uuid.uuid4().hex}")["QueueUrl"]
    arn = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": stack.names.alerts_topic_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    clients.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    subscription = clients.sns.subscribe(
        TopicArn=stack.names.alerts_topic_arn,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    yield url
    clients.sns.unsubscribe(SubscriptionArn=subscription)
    clients.sqs.delete_queue(QueueUrl=url)


def make_hot(stack: Stack, lead: str) -> None:
    events: list[dict[str, object]] = [
        {"type": "identify", "userId": lead, "messageId": f"{lead}-1", "traits": EXECUTIVE},
        {"type": "page", "userId": lead, "messageId": f"{lead}-2", "properties": {"path": "/pricing"}},
        {"type": "track", "userId": lead, "messageId": f"{lead}-3", "event": "Trial Started", "properties": {}},
    ]
    stack.api.send(stack.outputs.write_key, events)


def alert_on(stack: Stack, inbox: str, lead: str) -> Alert | None:
    """Return the alert on a lead once it is among those that came."""
    messages = stack.clients.sqs.receive_message(QueueUrl=inbox, MaxNumberOfMessages=10, VisibilityTimeout=0)
    came = [Alert.from_dict(json.loads(message["Body"])) for message in messages.get("Messages", [])]
    return next((alert for alert in came if alert.leads[0].person["id"] == lead), None)


def desks_of(stack: Stack) -> DynamoDesks:
    return DynamoDesks(stack.clients.dynamodb, stack.names.table, shards=1, retention_days=400)


def verdicts(stack: Stack, alert: str) -> dict[str, Verdict]:
    record = desks_of(stack).find_alert(alert)
    assert record is not None
    return dict(record.verdicts)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["alerts", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_a_link_that_is_followed_changes_nothing_and_its_button_says_it(stack: Stack, inbox: str) -> None:
    make_hot(stack, LEAD)
    arrived = eventually(lambda: alert_on(stack, inbox, LEAD))
    alert, links, name = arrived.id, arrived.leads[0].links, pseudonym(f"user:{LEAD}")
    page = requests.get(links["good"], timeout=TIMEOUT_SECONDS)
    assert (page.status_code, '<form method="post">' in page.text) == (200, True)
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert verdicts(stack, alert) == {}
    thanks = requests.post(links["good"], data={"reason": "called at once"}, timeout=TIMEOUT_SECONDS)
    assert (thanks.status_code, "on record" in thanks.text) == (200, True)
    said = verdicts(stack, alert)
    assert (said[name].kind, said[name].by, said[name].reason) == ("good", "link", "called at once")

    wrong = requests.post(links["junk"][:-1] + "x", timeout=TIMEOUT_SECONDS)
    assert (wrong.status_code, verdicts(stack, alert)) == (404, said)

    # Machines and the command say it signed; nobody else does.
    url = links["good"].partition("?")[0]
    unsigned = requests.put(url, json={"verdict": "junk"}, timeout=TIMEOUT_SECONDS)
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "missing_authentication")
    answer = json.loads(run("verdict", alert, "junk", "--lead", LEAD, "--reason", "a student", "--json"))
    assert (answer["verdict"], answer["leads"], answer["reason"]) == ("junk", [name], "a student")
    assert verdicts(stack, alert)[name].by == answer["by"]
    assert answer["by"].startswith("arn:")
    report = json.loads(run("report", "--weeks", "1", "--json"))
    assert (report["total"]["alerts"] >= 1, report["total"]["junk"] >= 1) == (True, True)
    assert {"free-trial", "executive"} <= {one["criterion"] for one in report["criteria"] if one["junk"]}


def test_a_snooze_by_link_holds_at_the_desk_and_keeps_the_lead_from_being_told_of(stack: Stack, inbox: str) -> None:
    lead, told, token = "feedback-snoozed", uuid.uuid4().hex[:24], uuid.uuid4().hex
    name = pseudonym(f"user:{lead}")
    # Of an alert that went out long ago, so that nothing but the snooze holds the next one back.
    entry = Entry(name, "tier", "hot", 53.0, {"free-trial": 20.0}, None)
    alert = AlertRecord(
        told, "alert", None, f"lead:{name}", parse_instant("2026-01-31T12:00:00Z"), [entry], token=token
    )
    desks = desks_of(stack)
    desks.put_alert(alert)
    link = verdict_links(stack.names.api, alert, name)["snooze"]
    assert requests.post(link, timeout=TIMEOUT_SECONDS).status_code == 200
    assert verdicts(stack, told)[name].kind == "snooze"
    make_hot(stack, lead)

    def suppressed() -> bool:
        found = desks.changes_of(name)
        return any(one.outcome == "suppressed" and one.reason.startswith("is snoozed until") for one in found)

    assert eventually(suppressed)
    assert alert_on(stack, inbox, lead) is None


def test_who_may_read_may_not_judge(stack: Stack) -> None:
    iam, name, names = stack.clients.iam, "feedback-reader", stack.names
    iam.create_user(UserName=name)
    resource = f"arn:aws:execute-api:{names.region}:000000000000:{names.api_id}/v1/GET/*"
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}],
    }
    iam.put_user_policy(UserName=name, PolicyName="invoke", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    reader = Signed(key["AccessKeyId"], key["SecretAccessKey"], names.region)
    try:
        url = f"{names.api}/alerts/{'a' * 24}/verdict"
        answer = requests.put(url, json={"verdict": "good"}, auth=reader, timeout=TIMEOUT_SECONDS)
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="invoke")
        iam.delete_user(UserName=name)
    assert answer.status_code == 403
