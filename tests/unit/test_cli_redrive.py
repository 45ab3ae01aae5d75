"""`leadscore redrive`: dead letters are shown and stay, or are sent again and leave; none is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from leadscore.adapters.queues import SqsQueue
from leadscore_cli import main, redrive
from leadscore_cli.redrive import send_again

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass
class Deployment:
    events_queue_url: str
    events_dlq_url: str
    changes_queue_url: str
    changes_dlq_url: str
    slack_queues: dict[str, list[str]] = field(default_factory=dict, kw_only=True)


@dataclass
class FakeTarget:
    deployment: Deployment

    @contextmanager
    def sqs(self) -> Iterator[SQSClient]:
        yield boto3.client("sqs")


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    with mock_aws():
        sqs = boto3.client("sqs")
        urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("events", "events-dlq")]
        urls += [
            sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
            for name in ("changes.fifo", "changes-dlq.fifo")
        ]
        deployment = Deployment(*urls)
        monkeypatch.setattr(redrive, "target_of_project", lambda _stage: FakeTarget(deployment))
        yield deployment


def bodies(url: str) -> list[str]:
    found = []
    while messages := boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    return sorted(found)


def run(*arguments: str) -> str:
    answer = CliRunner().invoke(main.app, ["redrive", *arguments], env={"COLUMNS": "300", "TERM": "dumb"})
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_dead_events_are_sent_again_and_leave(queues: Deployment) -> None:
    SqsQueue(boto3.client("sqs"), queues.events_dlq_url).send_all([f"event {number}" for number in range(23)])
    assert "23 messages sent again" in run()
    assert bodies(queues.events_queue_url) == sorted(f"event {number}" for number in range(23))
    assert bodies(queues.events_dlq_url) == []
    assert "nothing lies there" in run()


def test_dead_changes_go_back_to_their_fifo_queue(queues: Deployment) -> None:
    boto3.client("sqs").send_message(
        QueueUrl=queues.changes_dlq_url, MessageBody="ada", MessageGroupId="g", MessageDeduplicationId="d"
    )
    assert "1 messages sent again" in run("changes")
    assert bodies(queues.changes_queue_url) == ["ada"]


def test_what_is_shown_stays(queues: Deployment) -> None:
    SqsQueue(boto3.client("sqs"), queues.events_dlq_url).send_all(["one", "two"])
    shown = json.loads(run("--show", "--json"))
    assert sorted(message["body"] for message in shown) == ["one", "two"]
    assert "2 messages" in run("events", "--show")
    assert bodies(queues.events_dlq_url) == ["one", "two"]


def test_what_cannot_be_sent_stays(queues: Deployment) -> None:
    class Down(SqsQueue):
        def send_all(self, bodies: Sequence[str]) -> None:
            raise ConnectionError(len(bodies))

    sqs: SQSClient = boto3.client("sqs")
    SqsQueue(sqs, queues.events_dlq_url).send_all(["one"])
    with pytest.raises(ConnectionError):
        send_again(sqs, queues.events_dlq_url, Down(sqs, queues.events_queue_url))
    attributes = sqs.get_queue_attributes(QueueUrl=queues.events_dlq_url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_dead_alerts_go_back_to_their_own_route_in_one_group(queues: Deployment) -> None:
    sqs: SQSClient = boto3.client("sqs")
    for route in ("sales", "deals"):
        urls = [
            sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
            for name in (f"{route}.fifo", f"{route}-dlq.fifo")
        ]
        queues.slack_queues[route] = urls
        sqs.send_message(
            QueueUrl=urls[1],
            MessageBody=f"for {route}",
            MessageGroupId="g",
            MessageDeduplicationId="d",
            MessageAttributes={"reason": {"DataType": "String", "StringValue": f"no {route}"}},
        )
    shown = json.loads(run("slack", "--show", "--json"))
    assert sorted((message["reason"], message["body"]) for message in shown) == [
        ("no deals", "for deals"),
        ("no sales", "for sales"),
    ]
    assert "no sales  for sales" in run("slack", "--show")
    assert "2 messages sent again" in run("slack")
    for route, (url, dead) in queues.slack_queues.items():
        [message] = sqs.receive_message(QueueUrl=url, AttributeNames=["MessageGroupId"])["Messages"]
        assert (message["Body"], message["Attributes"]["MessageGroupId"]) == (f"for {route}", "alerts")
        assert bodies(dead) == []
