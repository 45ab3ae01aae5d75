"""From the alerts topic outwards: who is subscribed by which filter, and the queues before Slack.

    alerts (standard) ──> e-mail, queues and functions of others, each by its filter policy
    alerts in order (FIFO) ──> one FIFO queue a Slack route (DLQ) ──> slack;  others' FIFO queues
    chat (standard) ──> Amazon Q Developer in chat applications

Slack takes one message a second from a webhook. One at a time is what a FIFO queue of one message group gives: an event
source's own maximum concurrency begins at two, and a reserved concurrency of one makes Lambda's pollers fail on what
they have taken already, which then counts as a failed delivery. A FIFO queue hears only of a FIFO topic, and e-mail
only of a standard one: hence two topics. Invariant: an alert that a subscription matched is delivered or in a
dead-letter queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.alert_routes import AlertRoute
from infra.lifetimes import removal_policy
from infra.queues import WorkQueue
from infra.stages import Stage

# An alert names a lead. This key's own policy lets every publisher of the account use it.
AWS_SNS_KEY = "alias/aws/sns"


class AlertDelivery(Construct):
    """The subscriptions of `routes` to the alerts topic, and what they need beside it.

    `ordered_topic` is there where a route needs order, `chat_topic` where `with_chat`; `slack_queues` are by route.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        alerts_topic: sns.Topic,
        routes: Sequence[AlertRoute],
        with_chat: bool,
        alarm_action: cloudwatch.IAlarmAction,
    ) -> None:
        super().__init__(scope, construct_id)
        self._stage = stage
        self._alerts_topic = alerts_topic
        self._alarm_action = alarm_action
        in_order = any(route.is_in_order for route in routes)
        self.ordered_topic = self._topic("InOrder", "alerts in order", fifo=True) if in_order else None
        self.chat_topic = self._topic("Chat", "alerts for chats", fifo=False) if with_chat else None
        self.slack_queues = {route.name: self._slack_queue(route) for route in routes if route.kind == "slack"}
        for route in routes:
            self._subscribe(route)

    @property
    def topics(self) -> tuple[sns.Topic, ...]:
        """The topics that this adds."""
        return tuple(topic for topic in (self.ordered_topic, self.chat_topic) if topic is not None)

    def _topic(self, construct_id: str, purpose: str, *, fifo: bool) -> sns.Topic:
        topic = sns.Topic(
            self,
            construct_id,
            enforce_ssl=True,
            display_name=f"Leadscore {purpose}",
            # CloudFormation wants to be told of what is true alone.
            fifo=True if fifo else None,
        )
        cast(sns.CfnTopic, topic.node.default_child).kms_master_key_id = AWS_SNS_KEY
        topic.apply_removal_policy(removal_policy(self._stage))
        return topic

    def _slack_queue(self, route: AlertRoute) -> WorkQueue:
        return WorkQueue(
            self,
            construct_name(route.name),
            stage=self._stage,
            consumer_timeout=self._stage.slack_timeout,
            holds=f"alerts for the Slack route {route.name}",
            fifo=True,
            alarm_action=self._alarm_action,
        )

    def _subscribe(self, route: AlertRoute) -> None:
        topic = self.ordered_topic if route.is_in_order and self.ordered_topic is not None else self._alerts_topic
        queue = self.slack_queues.get(route.name)
        if queue is not None:
            for receiver in (queue.queue, queue.dead_letters):
                _let_send(receiver, topic)
        if route.kind == "lambda":
            lambda_.CfnPermission(
                self,
                f"{construct_name(route.name)}Permission",
                action="lambda:InvokeFunction",
                function_name=route.endpoint,
                principal="sns.amazonaws.com",
                source_arn=topic.topic_arn,
            )
        sns.CfnSubscription(
            self,
            f"{construct_name(route.name)}Subscription",
            topic_arn=topic.topic_arn,
            protocol="sqs" if queue is not None else route.kind,
            endpoint=route.endpoint if queue is None else queue.queue.queue_arn,
            filter_policy=None if route.when is None else _plain(route.when),
            # The body is then the alert itself, and not SNS's envelope around it.
            raw_message_delivery=True if route.kind in {"sqs", "slack"} else None,
            redrive_policy=None if queue is None else {"deadLetterTargetArn": queue.dead_letters.queue_arn},
        )


def construct_name(route: str) -> str:
    """Return a route's name as part of a construct's id: `big-deals` is `BigDeals`."""
    return "".join(part.capitalize() for part in route.split("-"))


def _let_send(queue: sqs.Queue, topic: sns.Topic) -> None:
    queue.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("sns.amazonaws.com")],
            actions=["sqs:SendMessage"],
            resources=[queue.queue_arn],
            conditions={"ArnEquals": {"aws:SourceArn": topic.topic_arn}},
        )
    )


def _plain(policy: Mapping[str, object]) -> dict[str, object]:
    return dict(policy)
