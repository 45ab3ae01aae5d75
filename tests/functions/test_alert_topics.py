"""Publishing an alert: text for mail, JSON for queues, each by its filter, in order where that is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from moto.sns.models import sns_backends

from leadscore.adapters.alert_topics import AlertTopics
from leadscore.core.alerts import Alert
from tests.unit.alerts import ALERT, about, about_many

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType


@dataclass
class Topics:
    """Three topics, two queues on the first of which one hears only a part, and one on each of the others."""

    alerts: str
    in_order: str
    chat: str
    queues: dict[str, str]

    def publish(self, *alerts: Alert, in_order: bool = True, chat: bool = True) -> None:
        topics = AlertTopics(
            boto3.client("sns"),
            self.alerts,
            in_order=self.in_order if in_order else None,
            chat=self.chat if chat else None,
        )
        for alert in alerts:
            topics.publish(alert)

    def heard(self, name: str) -> list[dict[str, Any]]:
        messages = boto3.client("sqs").receive_message(
            QueueUrl=self.queues[name], MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        return [dict(message) for message in messages.get("Messages", [])]


@pytest.fixture
def topics() -> Iterator[Topics]:
    with mock_aws():
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        fifo = {"FifoTopic": "true"}
        arns = {
            "alerts": sns.create_topic(Name="alerts")["TopicArn"],
            "in_order": sns.create_topic(Name="in-order.fifo", Attributes=fifo)["TopicArn"],
            "chat": sns.create_topic(Name="chat")["TopicArn"],
        }
        queues = {}
        for name, topic, policy in (
            ("all", "alerts", {}),
            ("deals", "alerts", {"owner": ["Eve Hill"], "score": [{"numeric": [">=", 60]}]}),
            ("slack", "in_order", {"tier": ["hot"]}),
            ("chat", "chat", {}),
        ):
            is_fifo: dict[QueueAttributeNameType, str] = {"FifoQueue": "true"} if topic == "in_order" else {}
            queues[name] = sqs.create_queue(QueueName=f"{name}{'.fifo' if is_fifo else ''}", Attributes=is_fifo)[
                "QueueUrl"
            ]
            attributes = sqs.get_queue_attributes(QueueUrl=queues[name], AttributeNames=["QueueArn"])["Attributes"]
            options = {"RawMessageDelivery": "true", **({"FilterPolicy": json.dumps(policy)} if policy else {})}
            sns.subscribe(TopicArn=arns[topic], Protocol="sqs", Endpoint=attributes["QueueArn"], Attributes=options)
        yield Topics(**arns, queues=queues)


def test_a_queue_gets_the_alert_itself_with_its_attributes(topics: Topics) -> None:
    topics.publish(ALERT)

    [message] = topics.heard("all")
    attributes = {name: (each["DataType"], each["StringValue"]) for name, each in message["MessageAttributes"].items()}
    assert Alert.from_dict(json.loads(message["Body"])) == ALERT
    assert attributes["owner"] == ("String", "Eve Hill")
    assert attributes["score"] == ("Number", "53.0400")
    assert set(attributes) == {
        *("tier", "previous_tier", "fit", "engagement", "account", "reason", "source"),
        "owner",
        "score",
    }


def test_mail_gets_text_and_a_subject(topics: Topics) -> None:
    topics.publish(ALERT)

    [sent] = sns_backends["123456789012"]["us-east-1"].topics[topics.alerts].sent_notifications
    _, message, subject, *_ = sent
    assert subject == "Hot lead: Grace Hopper (Acme), score 53.0"
    assert json.loads(message)["email"].startswith("Grace Hopper (Acme) is hot, was warm.\n")


def test_a_filter_policy_gets_its_own_alone(topics: Topics) -> None:
    topics.publish(ALERT, about(score=80.0), about(score=80.0, owner="Bo Lind"))

    [message] = topics.heard("deals")
    assert json.loads(message["Body"])["leads"][0]["score"] == 80.0


def test_in_order_means_one_group_and_a_repeat_known_by_its_id(topics: Topics) -> None:
    topics.publish(ALERT, replace(ALERT, id="second"))

    attributes = [message["Attributes"] for message in topics.heard("slack")]
    assert {one["MessageGroupId"] for one in attributes} == {"alerts"}
    assert [one["MessageDeduplicationId"] for one in attributes] == [ALERT.id, "second"][: len(attributes)]


def test_a_chat_gets_its_own_shape(topics: Topics) -> None:
    topics.publish(ALERT)

    [message] = topics.heard("chat")
    assert json.loads(message["Body"])["content"]["title"] == "Hot lead: Grace Hopper (Acme)"


def test_a_topic_that_is_not_there_is_not_told(topics: Topics) -> None:
    topics.publish(ALERT, in_order=False, chat=False)

    assert len(topics.heard("all")) == 1
    assert topics.heard("slack") == topics.heard("chat") == []


def test_an_alert_about_thousands_is_taken_by_sns(topics: Topics) -> None:
    topics.publish(about_many(3000))

    [message] = topics.heard("all")
    assert Alert.from_dict(json.loads(message["Body"])).people == 3000
