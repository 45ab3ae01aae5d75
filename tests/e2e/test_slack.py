"""Alerts on their way out of the deployed stack: to a Slack on this machine and to a queue, each by its filter."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import segment.analytics as segment  # type: ignore[import-untyped]
from typer.testing import CliRunner

from leadscore.adapters.alert_topics import AlertTopics
from leadscore.core.alerts import Alert, AlertAccount
from leadscore_cli import redrive, slack
from leadscore_cli.main import app
from leadscore_cli.sample_alert import sample_alert
from leadscore_cli.slack import parameter_name
from leadscore_cli.target import Target
from tests.e2e.deployed import Stack, eventually, logged
from tests.fake_slack import Answer, FakeSlack, Post, running_slack

EXECUTIVE = {"title": "VP Engineering", "name": "Ada Lovelace", "company": {"name": "Acme", "employees": 300}}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeSlack]:
    with running_slack() as running:
        yield running


@pytest.fixture(autouse=True)
def command_line(stack: Stack, fake: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands talk to the shared stack, and point both routes at webhooks of this test's own."""
    target = Target(stack.names, stack.session, stack.outputs.endpoint_url, stack.outputs.write_key)
    for module in (slack, redrive):
        monkeypatch.setattr(module, "target_of_project", lambda _stage: target)
    fake.always.clear()
    assert eventually(lambda: is_quiet(stack))
    for _, dead_letters in stack.names.slack_queues.values():
        stack.clients.sqs.purge_queue(QueueUrl=dead_letters)
    for route in ("first", "second"):
        set_destination(route, fake.webhook(route))


@pytest.fixture
def partner(stack: Stack) -> str:
    """The queue of others that one route leads to, empty: its owner lets the topic send."""
    queue = stack.clients.sqs.create_queue(QueueName="e2e-partner")["QueueUrl"]
    arn = stack.clients.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": stack.names.alerts_topic_arn}},
    }
    stack.clients.sqs.set_queue_attributes(
        QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})}
    )
    stack.clients.sqs.purge_queue(QueueUrl=queue)
    return queue


def set_destination(route: str, secret: str, *options: str) -> None:
    done = CliRunner().invoke(app, ["slack", "set", route, *options], input=f"{secret}\n")
    assert done.exit_code == 0, done.output
    assert secret not in done.output


def topics(stack: Stack) -> AlertTopics:
    names = stack.clients.lambdas.get_function_configuration(FunctionName=stack.names.functions["notify"])
    variables = names["Environment"]["Variables"]
    return AlertTopics(stack.clients.sns, variables["ALERTS_TOPIC_ARN"], in_order=variables["ORDERED_ALERTS_TOPIC_ARN"])


def send_with_sdk(stack: Stack, lead: str, name: str, owner: str) -> None:
    errors: list[Exception] = []
    client = segment.Client(
        stack.outputs.write_key,
        host=stack.names.api.removesuffix("/v1"),
        on_error=lambda error, _items: errors.append(error),
    )
    client.identify(lead, traits={**EXECUTIVE, "name": name, "owner": owner})
    client.page(lead, properties={"path": "/pricing"})
    client.track(lead, "Trial Started", {"plan": "team"})
    client.shutdown()
    assert errors == []


def alert_for(owner: str, name: str = "Grace Hopper", **changes: object) -> Alert:
    sample = sample_alert(datetime.now(UTC), next_step="Write to her today.")  # noqa: TID251
    [lead] = sample.leads
    lead = replace(lead, owner=owner, person={**lead.person, "name": name})
    return replace(sample, id=uuid.uuid4().hex[:24], leads=(lead,), **changes)  # type: ignore[arg-type]


def names_of(fake: FakeSlack, route: str) -> list[str]:
    return [post.said.removeprefix("Hot lead: ").partition(" (")[0] for post in fake.taken(route)]


def depth(stack: Stack, url: str) -> int:
    attributes = stack.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def is_quiet(stack: Stack) -> bool:
    return not any(depth(stack, queue) for queue, _ in stack.names.slack_queues.values())


def test_an_event_of_an_sdk_becomes_one_post_and_one_message_where_the_filters_say(
    stack: Stack, fake: FakeSlack, partner: str
) -> None:
    send_with_sdk(stack, "slack-ada", "Ada Lovelace", "e2e-first")
    send_with_sdk(stack, "slack-mary", "Mary Somerville", "e2e-second")

    def about(route: str, name: str) -> list[Post]:
        return [one for one in fake.tried(route) if name in one.said]

    assert eventually(lambda: bool(about("first", "Ada Lovelace") and about("second", "Mary Somerville")))
    assert eventually(lambda: depth(stack, stack.names.changes_queue_url) == 0 and is_quiet(stack))
    [ada], [_] = about("first", "Ada Lovelace"), about("second", "Mary Somerville")
    assert (about("first", "Mary Somerville"), about("second", "Ada Lovelace")) == ([], [])
    assert ada.said.startswith("Hot lead: Ada Lovelace (Acme), score 53.0")
    said = json.dumps(ada.message)
    assert [text in said for text in ("VP Engineering", "e2e-first", "Started a free trial")] == [True, True, True]
    [message] = stack.clients.sqs.receive_message(
        QueueUrl=partner, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )["Messages"]
    [lead] = Alert.from_dict(json.loads(message["Body"])).leads
    assert (lead.person["name"], lead.score, lead.reasons[0].label) == ("Mary Somerville", 53.0, "Started a free trial")
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes.items() >= {"tier": "hot", "owner": "e2e-second", "reason": "tier", "score": "53.0000"}.items()


def test_a_published_alert_reaches_each_route_by_its_filter_once_and_in_order(
    stack: Stack, fake: FakeSlack, partner: str
) -> None:
    out = topics(stack)
    for alert in (
        *(alert_for("e2e-first", f"Person {number}") for number in range(5)),
        alert_for("e2e-second", "Deal"),
        replace(low := alert_for("e2e-second", "Small"), leads=(replace(low.leads[0], score=40.0),)),
        alert_for("e2e-both", "Everybody's"),
        alert_for("nobody", "Lost"),
    ):
        out.publish(alert)

    wanted = [*(f"Person {number}" for number in range(5)), "Everybody's"]
    assert eventually(lambda: names_of(fake, "first")[-6:] == wanted)
    assert eventually(lambda: names_of(fake, "second")[-2:] == ["Deal", "Everybody's"])
    assert eventually(lambda: is_quiet(stack))
    assert names_of(fake, "first").count("Person 0") == 1
    assert "Lost" not in names_of(fake, "first") + names_of(fake, "second")
    messages = stack.clients.sqs.receive_message(QueueUrl=partner, MaxNumberOfMessages=10)["Messages"]
    heard = sorted(Alert.from_dict(json.loads(message["Body"])).leads[0].person["name"] for message in messages)
    assert heard == ["Deal", "Small"]


def test_a_repeated_alert_is_posted_once(stack: Stack, fake: FakeSlack) -> None:
    alert = alert_for("e2e-first", "Repeated")
    queue, _ = stack.names.slack_queues["first"]
    for number in range(3):
        stack.clients.sqs.send_message(
            QueueUrl=queue,
            MessageBody=json.dumps(alert.to_dict()),
            MessageGroupId="alerts",
            MessageDeduplicationId=f"{alert.id}-{number}",
        )

    assert eventually(lambda: "Repeated" in names_of(fake, "first") and is_quiet(stack))
    assert names_of(fake, "first").count("Repeated") == 1
    assert eventually(lambda: logged(stack, "slack", "repeated"))


def test_slack_is_given_the_time_it_asks_for_and_those_behind_wait(stack: Stack, fake: FakeSlack) -> None:
    fake.answers = [Answer(429, "rate_limited", {"Retry-After": "1"}), Answer(429, "", {"Retry-After": "3"})]
    out = topics(stack)
    for name in ("Patient", "Behind"):
        out.publish(alert_for("e2e-first", name))

    assert eventually(lambda: names_of(fake, "first")[-2:] == ["Patient", "Behind"])
    tried = fake.tried("first")[-4:]
    assert [post.status for post in tried] == [429, 429, 200, 200]
    assert [
        later.at - earlier.at >= least for (earlier, later), least in zip(pairwise(tried), (1, 3, 0), strict=True)
    ] == [
        True,
        True,
        True,
    ]


def test_what_slack_fails_on_ends_in_the_dlq_and_is_posted_by_redrive(stack: Stack, fake: FakeSlack) -> None:
    fake.always["/services/second"] = Answer(500, "rollup_error")
    _, dead_letters = stack.names.slack_queues["second"]
    out = topics(stack)
    out.publish(alert_for("e2e-second", "Unlucky"))
    out.publish(alert_for("e2e-first", "Unharmed"))

    assert eventually(lambda: depth(stack, dead_letters) == 1, timeout_seconds=90)
    assert "Unharmed" in names_of(fake, "first")
    assert "Unlucky" not in names_of(fake, "second")
    assert [post.status for post in fake.tried("second") if "Unlucky" in post.said] == [500, 500, 500]
    shown = CliRunner().invoke(app, ["redrive", "slack", "--show", "--json"])
    assert "Unlucky" in shown.output
    fake.always.clear()
    done = CliRunner().invoke(app, ["redrive", "slack"])

    assert "1 messages sent again" in done.output
    assert eventually(lambda: names_of(fake, "second").count("Unlucky") == 1)
    assert depth(stack, dead_letters) == 0


def test_a_webhook_that_is_gone_gives_up_at_once_and_says_why(stack: Stack, fake: FakeSlack) -> None:
    fake.always["/services/second"] = Answer(410, "channel_is_archived")
    _, dead_letters = stack.names.slack_queues["second"]
    topics(stack).publish(alert_for("e2e-second", "Archived"))

    assert eventually(lambda: depth(stack, dead_letters) == 1)
    assert len([post for post in fake.tried("second") if "Archived" in post.said]) == 1
    assert eventually(lambda: logged(stack, "slack", "channel_is_archived"))
    assert "channel_is_archived" in CliRunner().invoke(app, ["redrive", "slack", "--show"]).output
    failed = CliRunner().invoke(app, ["slack", "test", "second"])
    assert (failed.exit_code, "channel_is_archived" in failed.output) == (1, True)
    fake.always.clear()
    assert "1 messages sent again" in CliRunner().invoke(app, ["redrive", "slack"]).output
    assert eventually(lambda: "Archived" in names_of(fake, "second"))


def test_a_bot_answers_in_the_thread_of_the_account(stack: Stack, fake: FakeSlack) -> None:
    out, account = topics(stack), AlertAccount("threaded", "Threaded")
    bot = json.loads(fake.bot("C0123456"))
    store = stack.clients.ssm.put_parameter
    store(Name=parameter_name("local", "first"), Value=json.dumps(bot), Type="SecureString", Overwrite=True)
    try:
        example_arrives(fake, "C0123456")
        out.publish(alert_for("e2e-first", "Starter", account=account))
        out.publish(alert_for("e2e-first", "Follower", account=account, kind="follow_up"))
        first, second = eventually(
            lambda: (
                posts
                if len(posts := [one for one in fake.taken("C0123456") if "Hopper" not in one.said]) == 2
                else None
            )
        )
    finally:
        set_destination("first", fake.webhook("first"))
        example_arrives(fake, "first")

    assert (is_about(first, "Starter"), is_about(second, "Follower")) == (True, True)
    assert "thread_ts" not in first.message
    assert second.message["thread_ts"].endswith(".000")


def example_arrives(fake: FakeSlack, name: str) -> None:
    """Return once the function posts to where the route now leads: it looks at that once a second."""
    before = len(fake.taken(name))

    def arrived() -> bool:
        assert CliRunner().invoke(app, ["slack", "test", "first"]).exit_code == 0
        return len(fake.taken(name)) > before

    assert eventually(arrived)


def about_others(fake: FakeSlack, name: str) -> list[Post]:
    """Return the posts that are no examples."""
    return [post for post in fake.taken(name) if "Hopper" not in post.said]


def is_about(post: Post, name: str) -> bool:
    return f"{name} (Acme)" in post.said


def test_an_example_can_be_posted(stack: Stack, fake: FakeSlack) -> None:
    done = CliRunner().invoke(app, ["slack", "test", "first"])

    assert done.exit_code == 0, done.output
    assert "this is a test of the route first" in json.dumps(fake.taken("first")[-1].message)


def test_no_secret_is_in_the_log(stack: Stack, fake: FakeSlack) -> None:
    topics(stack).publish(alert_for("e2e-first", "Discreet"))
    assert eventually(lambda: "Discreet" in names_of(fake, "first") and logged(stack, "slack", "an alert is in Slack"))
    assert not logged(stack, "slack", str(fake.port))
    assert not logged(stack, "slack", "acme.example")
