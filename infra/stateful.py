"""The stack of everything that remembers: what it loses, nothing brings back.

Besides the table and the parameters these are the queues (an accepted event may be nowhere else), and what others
have configured on their side: the bus that products put events on and the topics that people confirmed a
subscription to. The stateless stack can be destroyed and deployed again; events wait here meanwhile.
"""

from __future__ import annotations

from typing import cast

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.alarms import alarm_above
from infra.alert_delivery import AWS_SNS_KEY, AlertDelivery
from infra.alert_routes import AlertRoute
from infra.lifetimes import removal_policy
from infra.people import People
from infra.queues import WorkQueue
from infra.stages import Stage

RANKING_INDEX, DUE_INDEX, PEOPLE_INDEX, JOURNAL_INDEX = "ranking", "due", "people", "journal"
# The owner with whom the digest for everybody is published.
DIGEST_FOR_ALL = "*"
# What notify puts on the bus itself must not come back as an event.
OWN_SOURCE_PREFIX = "leadscore"


def ruleset_name(stage: Stage) -> str:
    """The ruleset's parameter; below it are the parts of one that a single parameter does not hold."""
    return f"/leadscore/{stage.name}/ruleset"


class StatefulStack(Stack):
    """Table, parameters, queues, bus and topics.

    `ruleset`, `mappings` and `quarantine` are the canonical JSON that Parameter Store starts with. CloudFormation
    writes a parameter only when the template's value changes, so what is published later stays until the file itself is
    deployed anew.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        ruleset: str,
        mappings: str,
        quarantine: str,
        partner_buses: tuple[str, ...],
        alert_email: str | None,
        ops_email: str | None,
        digest_email: str | None = None,
        alert_routes: tuple[AlertRoute, ...] = (),
        with_chat: bool = False,
        with_people: bool = False,
    ) -> None:
        super().__init__(
            scope,
            # The bus is named after its path, so the stage belongs into it: stages may share an account.
            f"leadscore-{stage.name}-stateful",
            description="Leadscore: table, parameters, queues, bus and topics",
            termination_protection=stage.keeps_state,
        )
        self.ops_topic = self._topic("Ops", ops_email)
        # An alarm's message names a resource and no person, and CloudWatch cannot use the key of AWS.
        self.ops_topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.ops_topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        self.alarm_action = actions.SnsAction(self.ops_topic)
        self.alerts_topic = self._topic("Alerts", alert_email)
        cast(sns.CfnTopic, self.alerts_topic.node.default_child).kms_master_key_id = AWS_SNS_KEY
        self._alarm_on_undelivered("Alerts", self.alerts_topic, "an alert")
        self.delivery = AlertDelivery(
            self,
            "Delivery",
            stage=stage,
            alerts_topic=self.alerts_topic,
            routes=alert_routes,
            with_chat=with_chat,
            alarm_action=self.alarm_action,
        )

        self.digests_topic = self._topic("Digests", None)
        # A digest names leads, as an alert does.
        cast(sns.CfnTopic, self.digests_topic.node.default_child).kms_master_key_id = AWS_SNS_KEY
        self._alarm_on_undelivered("Digests", self.digests_topic, "a digest")
        if digest_email:
            self.digests_topic.add_subscription(
                subscriptions.EmailSubscription(
                    digest_email,
                    filter_policy={"owner": sns.SubscriptionFilter.string_filter(allowlist=[DIGEST_FOR_ALL])},
                )
            )

        self.table = _table(self, stage)
        # The two things here that people look for by name in the console; nothing else is named by hand.
        self.ruleset = ssm.StringParameter(
            self,
            "Ruleset",
            parameter_name=ruleset_name(stage),
            # Never to be changed: CloudFormation would write the file's value along with it, over what was pushed.
            description="The published ruleset, as JSON",
            string_value=ruleset,
            # Standard while it fits 4 KB; and a parameter that once grew beyond that cannot become standard again.
            tier=ssm.ParameterTier.INTELLIGENT_TIERING,
        )
        self.mappings = ssm.StringParameter(
            self,
            "Mappings",
            parameter_name=f"/leadscore/{stage.name}/mappings",
            description="How events of other services on the bus become events of a lead, as JSON",
            string_value=mappings,
            tier=ssm.ParameterTier.INTELLIGENT_TIERING,
        )
        self.quarantine = ssm.StringParameter(
            self,
            "Quarantine",
            parameter_name=f"/leadscore/{stage.name}/quarantine",
            description="Which events must not count, as JSON",
            string_value=quarantine,
            tier=ssm.ParameterTier.INTELLIGENT_TIERING,
        )
        self.write_keys = ssm.StringParameter(
            self,
            "WriteKeys",
            parameter_name=f"/leadscore/{stage.name}/write-keys",
            description="The write keys' names and SHA-256 hashes, as a JSON list",
            string_value="[]",
        )
        self.events = WorkQueue(
            self,
            "Events",
            stage=stage,
            consumer_timeout=stage.score_timeout,
            holds="events",
            alarm_action=self.alarm_action,
        )
        self.changes = WorkQueue(
            self,
            "Changes",
            stage=stage,
            consumer_timeout=stage.notify_timeout,
            holds="announcements",
            # So that no two deliveries about one lead are worked on at once, and people are told twice.
            fifo=True,
            alarm_action=self.alarm_action,
        )
        self.bus = events.EventBus(self, "Bus", description="The second way in, and what Leadscore announces")
        self.people = People(self, "People", stage=stage) if with_people else None
        self._feed_events_from_bus()
        self._feed_events_from_partners(partner_buses)
        parameters = (self.ruleset, self.mappings, self.quarantine, self.write_keys)
        for kept in (self.ops_topic, self.alerts_topic, self.digests_topic, *parameters, self.bus):
            kept.apply_removal_policy(removal_policy(stage))
        self._add_outputs()

    def _topic(self, construct_id: str, email: str | None) -> sns.Topic:
        topic = sns.Topic(self, construct_id, enforce_ssl=True, display_name=f"Leadscore {construct_id.lower()}")
        if email:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic

    def _alarm_on_undelivered(self, name: str, topic: sns.Topic, message: str) -> None:
        alarm_above(
            self,
            f"{name}Undelivered",
            metric=topic.metric_number_of_notifications_failed(),
            threshold=0,
            meaning=f"a subscription of the {name.lower()} topic refused {message}",
            action=self.alarm_action,
        )

    def _feed_events_from_bus(self) -> None:
        """Everything but our own announcements: an event from a source nobody knows must fail where it is seen."""
        events.Rule(
            self,
            "BusToEvents",
            description="Product events on the bus go the way of those that came by HTTPS",
            event_bus=self.bus,
            event_pattern=events.EventPattern(source=events.Match.anything_but_prefix(OWN_SOURCE_PREFIX)),
            targets=[targets.SqsQueue(self.events.queue, dead_letter_queue=self.events.dead_letters)],
        )

    def _feed_events_from_partners(self, buses: tuple[str, ...]) -> None:
        """A partner's events come on a bus of its own, which the account has accepted in the console."""
        for number, name in enumerate(buses):
            events.Rule(
                self,
                f"PartnerToEvents{number}",
                description=f"Events of {name} go the way of those on our own bus",
                event_bus=events.EventBus.from_event_bus_name(self, f"PartnerBus{number}", name),
                event_pattern=events.EventPattern(source=events.Match.prefix("aws.partner/")),
                targets=[targets.SqsQueue(self.events.queue, dead_letter_queue=self.events.dead_letters)],
            )

    def slack_queue_urls(self) -> dict[str, list[str]]:
        """The addresses of each Slack route's queue and of its dead-letter queue."""
        built = self.delivery.slack_queues.items()
        return {route: [queue.queue.queue_url, queue.dead_letters.queue_url] for route, queue in built}

    def _add_outputs(self) -> None:
        outputs = {
            "TableName": self.table.table_name,
            "RulesetParameter": self.ruleset.parameter_name,
            "WriteKeysParameter": self.write_keys.parameter_name,
            "EventsQueueUrl": self.events.queue.queue_url,
            "EventsDlqUrl": self.events.dead_letters.queue_url,
            "ChangesQueueUrl": self.changes.queue.queue_url,
            "ChangesDlqUrl": self.changes.dead_letters.queue_url,
            "BusName": self.bus.event_bus_name,
            "AlertsTopicArn": self.alerts_topic.topic_arn,
            "DigestsTopicArn": self.digests_topic.topic_arn,
            "OpsTopicArn": self.ops_topic.topic_arn,
        }
        if self.delivery.slack_queues:
            outputs["SlackQueues"] = self.to_json_string(self.slack_queue_urls())
        if self.delivery.ordered_topic is not None:
            outputs["OrderedAlertsTopicArn"] = self.delivery.ordered_topic.topic_arn
        if self.people is not None:
            outputs["PeoplePoolId"] = self.people.pool.user_pool_id
            outputs["PeopleClientId"] = self.people.client.user_pool_client_id
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)


def _table(scope: Construct, stage: Stage) -> dynamodb.Table:
    table = dynamodb.Table(
        scope,
        "Table",
        partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        time_to_live_attribute="expires_at",
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        deletion_protection=stage.keeps_state,
        removal_policy=removal_policy(stage),
    )
    # What tells from the index alone whether a lead's stored tier still holds.
    for index, prefix, projected in ((RANKING_INDEX, "rank", ["tier", "due_key", "ruleset"]), (DUE_INDEX, "due", None)):
        table.add_global_secondary_index(
            index_name=index,
            partition_key=dynamodb.Attribute(name=f"{prefix}_pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name=f"{prefix}_key", type=dynamodb.AttributeType.STRING),
            projection_type=dynamodb.ProjectionType.INCLUDE if projected else dynamodb.ProjectionType.KEYS_ONLY,
            non_key_attributes=projected,
        )
    # Sparse: of all items only a lead that belongs to an account has both of these attributes.
    table.add_global_secondary_index(
        index_name=PEOPLE_INDEX,
        partition_key=dynamodb.Attribute(name="account", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="rank_key", type=dynamodb.AttributeType.STRING),
        projection_type=dynamodb.ProjectionType.KEYS_ONLY,
    )
    # Sparse: what is found by when it came, which no other item is.
    table.add_global_secondary_index(
        index_name=JOURNAL_INDEX,
        partition_key=dynamodb.Attribute(name="journal_pk", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="journal_key", type=dynamodb.AttributeType.STRING),
        projection_type=dynamodb.ProjectionType.KEYS_ONLY,
    )
    return table
