"""slack as it is wired: queue records in, posts out; and what becomes of an alert that Slack does not take."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.sqs.models import sqs_backends

from leadscore.core.alerts import Alert
from tests.contract.leads_table import TABLE, create_leads_table
from tests.fake_slack import TOKEN, Answer, FakeSlack, running_slack
from tests.functions.deployed import Context, import_function
from tests.unit.alerts import ALERT, about_many

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
PREFIX = "/leadscore/test/slack/"


@dataclass
class Running(Context):
    """A context that says how much of the function's time is left."""

    seconds: float = 30.0

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@dataclass
class Route:
    """The route `sales`, its queues, and the function behind them."""

    function: ModuleType
    slack: FakeSlack
    url: str
    arn: str
    dead_letters: str
    waited: list[float] = field(default_factory=list)

    def store(self, secret: str, route: str = "sales") -> None:
        boto3.client("ssm").put_parameter(Name=PREFIX + route, Value=secret, Type="SecureString", Overwrite=True)

    def send(self, *texts: str) -> None:
        for place, text in enumerate(texts):
            boto3.client("sqs").send_message(
                QueueUrl=self.url,
                MessageBody=text,
                MessageGroupId="alerts",
                MessageDeduplicationId=f"{place}-{text[:64]}",
            )

    def call(self, *, seconds: float = 30.0, received: int = 1) -> list[str]:
        """Hand over what is in sight, one message a call, as Lambda does; return the ids of those to try again."""
        # The fixture made the logger, when pytest was capturing something else.
        self.function.logger.registered_handler.stream = sys.stdout
        retry: list[str] = []
        sqs = boto3.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=1).get("Messages"):
            [message] = messages
            record = {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": str(received)},
                "eventSourceARN": self.arn,
            }
            answer = self.function.handler({"Records": [record]}, Running(seconds=seconds))
            failed = [one["itemIdentifier"] for one in answer["batchItemFailures"]]
            if not failed:
                sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            retry += failed
        return retry

    def given_up(self) -> list[tuple[str, str]]:
        """Return reason and body of what lies in the dead-letter queue."""
        answer = boto3.client("sqs").receive_message(
            QueueUrl=self.dead_letters, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [(one["MessageAttributes"]["reason"]["StringValue"], one["Body"]) for one in answer.get("Messages", [])]


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    with mock_aws(), running_slack() as slack:
        create_leads_table()
        sqs = boto3.client("sqs")
        urls = [
            sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
            for name in ("sales.fifo", "sales-dlq.fifo")
        ]
        arn = sqs.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        environment = {
            "TABLE_NAME": TABLE,
            "SLACK_QUEUES": json.dumps({"sales": urls}),
            "SLACK_PARAMETERS": PREFIX,
            "SLACK_TTL_SECONDS": "0",
            "RETRY_SECONDS": "15",
            "MAX_RECEIVES": "5",
            "PLAIN_LOOPBACK": "1",
        }
        function = import_function("slack", environment, monkeypatch)
        built = Route(function, slack, urls[0], arn, urls[1])
        function.wait = built.waited.append  # type: ignore[attr-defined]
        built.store(slack.webhook("s3cret"))
        yield built


def text_of(alert: Alert = ALERT) -> str:
    return json.dumps(alert.to_dict())


def metrics(printed: str) -> dict[str, float]:
    [line] = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
    return {name: line[name][0] for name in ("AlertsPosted", "AlertPostsRefused", "AlertPostsRetried")}


def test_an_alert_reaches_its_webhook_once_though_the_queue_brings_it_twice(
    route: Route, capsys: pytest.CaptureFixture[str]
) -> None:
    route.send(text_of())
    assert route.call() == []
    assert metrics(capsys.readouterr().out) == {"AlertsPosted": 1, "AlertPostsRefused": 0, "AlertPostsRetried": 0}
    route.send(text_of(), text_of())
    assert route.call() == []

    [post] = route.slack.tried("s3cret")
    assert post.said == "Hot lead: Grace Hopper (Acme), score 53.0 (was 33.0)"
    assert "s3cret" not in capsys.readouterr().out


def test_a_wait_that_fits_is_waited_for(route: Route) -> None:
    route.slack.answers = [Answer(429, "rate_limited", {"Retry-After": "3"})]
    route.send(text_of())

    assert route.call() == []
    assert route.waited == [3]
    assert [post.status for post in route.slack.tried("s3cret")] == [429, 200]


def test_a_longer_wait_hides_the_message_for_as_long(route: Route) -> None:
    route.slack.answers = [Answer(429, "", {"Retry-After": "600"})]
    route.send(text_of())

    assert len(route.call()) == 1
    assert (route.waited, route.slack.taken("s3cret")) == ([], [])
    assert hidden_for(route) == 600
    assert route.given_up() == []


@pytest.mark.parametrize(
    "answer",
    [Answer(500, "rollup_error"), Answer(503), Answer(408), Answer(0, closes=True)],
    ids=lambda one: one.status,
)
@pytest.mark.parametrize(("received", "seconds"), [(1, 15), (3, 240)])
def test_a_failure_of_slack_is_retried_later_each_time(
    route: Route, answer: Answer, received: int, seconds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    route.slack.answers = [answer]
    route.send(text_of())

    assert len(route.call(received=received)) == 1
    assert hidden_for(route) == seconds
    printed = capsys.readouterr().out
    assert "Slack did not take an alert" in printed
    assert metrics(printed)["AlertPostsRetried"] == 1
    assert "s3cret" not in printed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Answer(503), "HTTP 503, 5 times"), (Answer(429, "", {"Retry-After": "600"}), "asked to wait for 600 s, 5 times")],
    ids=["503", "429"],
)
def test_what_has_failed_often_enough_makes_way_for_those_behind_it(route: Route, answer: Answer, reason: str) -> None:
    route.slack.answers = [answer]
    route.send(text_of(), text_of(replace(ALERT, id="behind")))

    assert route.call(received=5) == []
    assert route.given_up() == [(reason, text_of())]
    assert len(route.slack.taken("s3cret")) == 1


def test_nobody_listening_is_retried_and_tells_no_address(route: Route, capsys: pytest.CaptureFixture[str]) -> None:
    route.store("http://127.0.0.1:1/services/s3cret")
    route.send(text_of())

    assert len(route.call()) == 1
    printed = capsys.readouterr().out
    assert '"reason":"not connected: NewConnectionError"' in printed
    assert "s3cret" not in printed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(400, "invalid_payload"), "invalid_payload"),
        (Answer(403, "action_prohibited"), "action_prohibited"),
        (Answer(404, "no_service"), "no_service"),
        (Answer(410, "channel_is_archived"), "channel_is_archived"),
        (Answer(404, "<html>not found: s3cret</html>"), "HTTP 404"),
        (Answer(302, "", {"Location": "https://evil.example/s3cret"}), "HTTP 302"),
    ],
)
def test_what_can_never_work_is_given_up_at_once_with_its_reason(
    route: Route, answer: Answer, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    route.slack.answers = [answer]
    route.send(text_of())

    assert route.call() == []
    assert route.given_up() == [(reason, text_of())]
    printed = capsys.readouterr().out
    assert f'"reason":"{reason}"' in printed
    assert metrics(printed)["AlertPostsRefused"] == 1
    assert not [secret for secret in ("s3cret", "grace@acme.example") if secret in printed]


def test_what_was_given_up_is_posted_when_it_comes_again(route: Route) -> None:
    route.slack.answers = [Answer(404, "no_service")]
    route.send(text_of())
    route.call()
    [(_, body)] = route.given_up()
    route.send(body + " ")

    assert route.call() == []
    assert len(route.slack.taken("s3cret")) == 1


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("http://hooks.example/s3cret", "no destination"),
        ("s3cret", "no destination"),
        ("", "leadscore slack set"),
    ],
)
def test_a_route_that_is_not_set_up_gives_up_and_says_so(
    route: Route, secret: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if secret:
        route.store(secret)
    else:
        boto3.client("ssm").delete_parameter(Name=PREFIX + "sales")
    route.send(text_of())

    assert route.call() == []
    [(given, _)] = route.given_up()
    assert reason in given
    assert "s3cret" not in given + capsys.readouterr().out


@pytest.mark.parametrize("text", ["not JSON", '{"schema": "leadscore.alert/2"}', text_of().replace('"hot"', "7")])
def test_a_message_that_is_no_alert_is_given_up_by_its_field(
    route: Route, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    route.send(text)

    assert route.call() == []
    [(reason, body)] = route.given_up()
    assert reason.startswith("unreadable: ")
    assert body == text
    assert "grace@acme.example" not in capsys.readouterr().out


def test_our_own_failure_is_retried_with_its_traceback(route: Route, capsys: pytest.CaptureFixture[str]) -> None:
    boto3.client("dynamodb").delete_table(TableName=TABLE)
    route.send(text_of())

    assert len(route.call()) == 1
    assert "ResourceNotFoundException" in capsys.readouterr().out
    assert route.slack.posts == []


def test_a_bot_answers_in_the_thread_of_the_account(route: Route) -> None:
    route.store(route.slack.bot("C0123456"))
    route.send(text_of(), text_of(about_many(3, id="follow-up", kind="follow_up")))

    assert route.call() == []
    first, second = route.slack.taken("C0123456")
    assert "thread_ts" not in first.message
    assert second.message["thread_ts"] == "0.000"


def test_a_thread_that_is_gone_is_no_obstacle(route: Route) -> None:
    route.store(route.slack.bot("C0123456"))
    route.send(text_of())
    route.call()
    route.slack.answers = [Answer(200, json.dumps({"ok": False, "error": "thread_not_found"}))]
    route.send(text_of(replace(ALERT, id="follow-up", kind="follow_up")))

    assert route.call() == []
    assert [post.message.get("thread_ts") for post in route.slack.posts] == [None, "0.000", None]


@pytest.mark.parametrize(
    ("answer", "given_up", "seconds"),
    [
        ('{"ok": false, "error": "channel_not_found"}', ["channel_not_found"], None),
        ('{"ok": false, "error": "invalid_auth"}', ["invalid_auth"], None),
        ('{"ok": false}', ["no reason given"], None),
        ('{"ok": false, "error": "internal_error"}', [], 15),
        ('{"ok": false, "error": "service_unavailable"}', [], 15),
        ("<html>", [], 15),
        ('{"ok": false, "error": "ratelimited"}', [], 30),
    ],
)
def test_what_a_bot_is_told_is_heard(
    route: Route, answer: str, given_up: list[str], seconds: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    route.store(route.slack.bot("C0123456"))
    route.slack.answers = [Answer(200, answer)]
    route.send(text_of())

    assert len(route.call(seconds=20)) == (0 if given_up else 1)
    assert [reason for reason, _ in route.given_up()] == given_up
    if seconds is not None:
        assert hidden_for(route) == seconds
    assert TOKEN not in capsys.readouterr().out


def test_a_trial_posts_without_a_queue_and_says_how_it_went(route: Route) -> None:
    asked: dict[str, Any] = {"try": "sales", "alert": ALERT.to_dict()}

    assert route.function.handler(asked, Running()) == {"outcome": "posted", "reason": ""}
    assert route.function.handler(asked, Running())["outcome"] == "posted"
    assert len(route.slack.taken("s3cret")) == 2
    route.slack.answers = [Answer(410, "channel_is_archived")]
    assert route.function.handler(asked, Running()) == {"outcome": "failed", "reason": "channel_is_archived"}


def hidden_for(route: Route) -> int:
    """Return the seconds for which the function has hidden the one message of the queue."""
    queue = sqs_backends["123456789012"]["us-east-1"].queues["sales.fifo"]
    [message] = queue._messages
    return round((message.visible_at - time.time() * 1000) / 1000)  # noqa: TID251
