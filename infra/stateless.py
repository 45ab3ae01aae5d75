"""The stack of everything that only works: functions, the REST API and their wiring.

It can be destroyed and deployed again without losing an accepted event. What each role may do is written out here,
next to the environment that it is done with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.alert_delivery import construct_name
from infra.functions import LeadscoreFunction, SharedLayer
from infra.importing import IMPORT_MARGIN, ImportMachine, bucket_arn
from infra.insights import INSIGHTS_TIMEOUT, InsightsMachine
from infra.public_api import API_STAGE, PublicApi
from infra.rebuild import REBUILD_MARGIN, RebuildMachine
from infra.stages import Stage
from infra.stateful import (
    DUE_INDEX,
    JOURNAL_INDEX,
    OWN_SOURCE_PREFIX,
    PEOPLE_INDEX,
    RANKING_INDEX,
    StatefulStack,
    ruleset_name,
)

# SDKs give up after 10 to 15 seconds, so an answer after that helps nobody.
_INGEST_TIMEOUT = 10
_API_TIMEOUT = 15
# The longest that a REST API waits.
_ERASE_TIMEOUT = _PUBLISH_TIMEOUT = _DIFF_TIMEOUT = 29
_COOL_TIMEOUT = 60
# Room for 20,000 changes and 5,000 leads, which are read one by one.
_DIGEST_TIMEOUT = 840
# Room for 2,000 leads to be looked at, and for 1,000 of them to be announced by some ten requests each.
_NURTURE_TIMEOUT = 840
# What `cool` and `nurture` put on the bus where there is more than one run takes.
COOLING_CONTINUES, NURTURING_CONTINUES = "CoolingContinues", "NurturingContinues"


class StatelessStack(Stack):
    """The functions around what the stateful stack keeps."""

    def __init__(
        self,
        scope: Construct,
        *,
        root: Path,
        stage: Stage,
        state: StatefulStack,
        metered: bool = False,
        import_bucket: str | None = None,
        lead_page: str | None = None,
        feedback_url: str | None = None,
        digest_from: str | None = None,
    ) -> None:
        super().__init__(scope, f"leadscore-{stage.name}-stateless", description="Leadscore: functions and REST API")
        self._root = root
        self._stage = stage
        self._state = state
        self._lead_page = lead_page
        self._layer = SharedLayer(self, "Layer", root=root)
        self.ingest = self._ingest()
        self.score = self._score()
        self.api = self._api()
        self.erase = self._erase()
        self.feedback = self._feedback()
        self.cool = self._cool()
        self.digest = self._digest(digest_from)
        self.nurture = self._nurture()
        self.rebuild = self._rebuild()
        self.rebuild_machine = RebuildMachine(
            self, "RebuildMachine", stage=stage, worker=self.rebuild, alarm_action=state.alarm_action
        )
        self.publish = self._publish()
        self.diff = self._diff()
        self.insights = self._insights()
        self.insights_machine = InsightsMachine(
            self, "InsightsMachine", stage=stage, worker=self.insights, alarm_action=state.alarm_action
        )
        self.slack = self._slack() if state.delivery.slack_queues else None
        self.score.consume(state.events.queue.queue_arn, stage)
        self.public_api = PublicApi(
            self,
            "PublicApi",
            stage=stage,
            ingest=self.ingest.function,
            reader=self.api.function,
            eraser=self.erase.function,
            feedback=self.feedback.function,
            publisher=self.publish.function,
            differ=self.diff.function,
            alarm_action=state.alarm_action,
            people=state.people.pool if state.people is not None else None,
            metered=metered,
        )
        self.notify = self._notify(feedback_url or self._api_url())
        self.notify.consume(state.changes.queue.queue_arn, stage, fifo=True)
        self._add_outputs()
        if import_bucket is not None:
            self._import_from(import_bucket)

    def _ingest(self) -> LeadscoreFunction:
        state = self._state
        return self._function(
            "Ingest",
            memory_mb=512,
            timeout=_INGEST_TIMEOUT,
            environment={
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "WRITE_KEYS_PARAMETER": state.write_keys.parameter_name,
            },
            statements=[
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
                _allow("ssm:GetParameter", on=state.write_keys.parameter_arn),
            ],
        )

    def _score(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Score",
            memory_mb=1024,
            timeout=stage.score_timeout,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "CHANGES_QUEUE_URL": state.changes.queue.queue_url,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "MAPPINGS_PARAMETER": state.mappings.parameter_name,
                "QUARANTINE_PARAMETER": state.quarantine.parameter_name,
                "RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
            },
            reads_ruleset=True,
            statements=[
                _allow(
                    "dynamodb:GetItem",
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query",
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                    # Sweeping up after erased people.
                    "dynamodb:BatchWriteItem",
                    on=state.table.table_arn,
                ),
                _allow("dynamodb:Query", on=f"{state.table.table_arn}/index/{PEOPLE_INDEX}"),
                _allow("ssm:GetParameter", on=state.mappings.parameter_arn),
                _allow("ssm:GetParameter", on=state.quarantine.parameter_arn),
                _allow("sqs:SendMessage", on=state.changes.queue.queue_arn),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
            ],
        )

    def _api_url(self) -> str:
        """Where the API is, told without its stage: that one waits for every function behind it."""
        api_id = self.public_api.rest_api.rest_api_id
        return f"https://{api_id}.execute-api.{self.region}.{self.url_suffix}/{API_STAGE}"

    def _notify(self, feedback_url: str) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Notify",
            memory_mb=512,
            timeout=stage.notify_timeout,
            environment={
                "TABLE_NAME": state.table.table_name,
                "ALERTS_TOPIC_ARN": state.alerts_topic.topic_arn,
                **self._other_topics(),
                "BUS_NAME": state.bus.event_bus_name,
                "CHANGES_QUEUE_URL": state.changes.queue.queue_url,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
                "STAGE": stage.name,
                "FEEDBACK_URL": feedback_url,
                **({"LEAD_PAGE": self._lead_page} if self._lead_page else {}),
            },
            reads_ruleset=True,
            statements=[
                _allow(
                    "dynamodb:GetItem",
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query",
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                    on=state.table.table_arn,
                ),
                # Who makes an account hot, when people are told of it.
                _allow("dynamodb:Query", on=f"{state.table.table_arn}/index/{PEOPLE_INDEX}"),
                # Releases of desks come back to the queue that it works for, one after another.
                _allow("sqs:SendMessage", on=state.changes.queue.queue_arn),
                *(_allow("sns:Publish", on=topic.topic_arn) for topic in (state.alerts_topic, *state.delivery.topics)),
                _allow("events:PutEvents", on=state.bus.event_bus_arn),
            ],
        )

    def _other_topics(self) -> dict[str, str]:
        """The environment of whoever publishes alerts, as far as there are topics beside the one for all."""
        delivery = self._state.delivery
        named = {"ORDERED_ALERTS_TOPIC_ARN": delivery.ordered_topic, "CHAT_TOPIC_ARN": delivery.chat_topic}
        return {name: topic.topic_arn for name, topic in named.items() if topic is not None}

    def _slack(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        queues = state.delivery.slack_queues
        folder = f"/leadscore/{stage.name}/slack/"
        slack = self._function(
            "Slack",
            memory_mb=256,
            timeout=stage.slack_timeout,
            environment={
                "TABLE_NAME": state.table.table_name,
                "SLACK_QUEUES": self.to_json_string(state.slack_queue_urls()),
                "SLACK_PARAMETERS": folder,
                "SLACK_TTL_SECONDS": str(stage.ruleset_ttl),
                "RETRY_SECONDS": str(stage.slack_retry_seconds),
                # After which the queue itself would give a message up, without a reason.
                "MAX_RECEIVES": str(stage.max_receive_count),
                "PLAIN_LOOPBACK": str(int(stage.posts_to_itself)),
            },
            statements=[
                # It talks to the world, so of the table it gets its own partitions and no lead's.
                iam.PolicyStatement(
                    actions=["dynamodb:GetItem", "dynamodb:UpdateItem"],
                    resources=[state.table.table_arn],
                    conditions={
                        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [f"SLACK#{route}" for route in queues]}
                    },
                ),
                # Secrets that CloudFormation cannot make: `leadscore slack set` does, under the key of AWS.
                *(
                    _allow(
                        "ssm:GetParameter",
                        on=self.format_arn(service="ssm", resource="parameter", resource_name=f"{folder[1:]}{route}"),
                    )
                    for route in queues
                ),
                *(_allow("sqs:ChangeMessageVisibility", on=queue.queue.queue_arn) for queue in queues.values()),
                *(_allow("sqs:SendMessage", on=queue.dead_letters.queue_arn) for queue in queues.values()),
            ],
        )
        for route, queue in queues.items():
            slack.consume_one_by_one(f"{construct_name(route)}Queue", queue.queue.queue_arn)
        self._name("Slack", slack)
        return slack

    def _api(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Api",
            memory_mb=512,
            timeout=_API_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
            },
            reads_ruleset=True,
            statements=[
                _allow("dynamodb:GetItem", "dynamodb:BatchGetItem", on=state.table.table_arn),
                iam.PolicyStatement(
                    actions=["dynamodb:Query"],
                    resources=[
                        state.table.table_arn,
                        *(f"{state.table.table_arn}/index/{index}" for index in (RANKING_INDEX, PEOPLE_INDEX)),
                    ],
                ),
                # The rulesets of before.
                _allow("ssm:GetParameterHistory", on=state.ruleset.parameter_arn),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
            ],
        )

    def _erase(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Erase",
            memory_mb=512,
            timeout=_ERASE_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                # When it comes back, whoever was scoring or telling while the person was erased has ended.
                "SWEEP_DELAY_SECONDS": str(_ERASE_TIMEOUT + max(stage.score_timeout, stage.notify_timeout) + 1),
                "TOMBSTONE_RETENTION_DAYS": str(stage.tombstone_retention_days),
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
            },
            statements=[
                _allow(
                    "dynamodb:GetItem",
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query",
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                    "dynamodb:BatchWriteItem",
                    on=state.table.table_arn,
                ),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
            ],
        )

    def _feedback(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Feedback",
            memory_mb=512,
            timeout=_API_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
            },
            statements=[
                # It answers links, which anybody may call: it writes alerts and desks, and reads one item at a time.
                _allow_in(("ALERT#*", "DESK#*", "ID#*"), "dynamodb:GetItem", on=state.table.table_arn),
                _allow_in(("ID#*",), "dynamodb:BatchGetItem", on=state.table.table_arn),
                _allow_in(("ALERT#*",), "dynamodb:UpdateItem", on=state.table.table_arn),
                _allow_in(("DESK#*",), "dynamodb:PutItem", on=state.table.table_arn),
            ],
        )

    def _cool(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        cool = self._function(
            "Cool",
            memory_mb=256,
            timeout=_COOL_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "CHANGES_QUEUE_URL": state.changes.queue.queue_url,
                "BUS_NAME": state.bus.event_bus_name,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
            },
            statements=[
                _allow("dynamodb:Query", on=f"{state.table.table_arn}/index/{DUE_INDEX}"),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
                _allow("sqs:SendMessage", on=state.changes.queue.queue_arn),
                _allow("events:PutEvents", on=state.bus.event_bus_arn),
            ],
        )
        rules = (
            events.Rule(self, "CoolSchedule", schedule=events.Schedule.rate(Duration.minutes(1))),
            events.Rule(
                self,
                "CoolContinues",
                event_bus=state.bus,
                event_pattern=events.EventPattern(source=[OWN_SOURCE_PREFIX], detail_type=[COOLING_CONTINUES]),
            ),
        )
        for rule in rules:
            # A run that fails is made good by the next one: retrying it would only do the same twice.
            rule.add_target(targets.LambdaFunction(cool.function, retry_attempts=0))
        return cool

    def _nurture(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        nurture = self._function(
            "Nurture",
            memory_mb=512,
            timeout=_NURTURE_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "BUS_NAME": state.bus.event_bus_name,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
            },
            reads_ruleset=True,
            statements=[
                _allow("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", on=state.table.table_arn),
                _allow("dynamodb:Query", on=f"{state.table.table_arn}/index/{RANKING_INDEX}"),
                # In one transaction a mark of the lead, made while it is as it was judged, and the count of the day.
                _allow_in(
                    ("ID#*", "NURTURE#*"),
                    "dynamodb:ConditionCheckItem",
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                    on=state.table.table_arn,
                ),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
                _allow("events:PutEvents", on=state.bus.event_bus_arn),
            ],
        )
        rules = (
            # Before work begins in Europe, by UTC: the day of the budget is one of UTC, too.
            events.Rule(self, "NurtureSchedule", schedule=events.Schedule.cron(hour="6", minute="0")),
            events.Rule(
                self,
                "NurtureContinues",
                event_bus=state.bus,
                event_pattern=events.EventPattern(source=[OWN_SOURCE_PREFIX], detail_type=[NURTURING_CONTINUES]),
            ),
        )
        for rule in rules:
            # Lambda itself tries a run that fails twice more, and what is left then is for the next day's.
            rule.add_target(targets.LambdaFunction(nurture.function, retry_attempts=0))
        return nurture

    def _digest(self, sender: str | None) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        digest = self._function(
            "Digest",
            memory_mb=512,
            timeout=_DIGEST_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "DIGESTS_TOPIC_ARN": state.digests_topic.topic_arn,
                **({"DIGEST_FROM": sender} if sender else {}),
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
                "SETTLING_SECONDS": str(stage.digest_settling_seconds),
                "STAGE": stage.name,
                **({"LEAD_PAGE": self._lead_page} if self._lead_page else {}),
            },
            reads_ruleset=True,
            statements=[
                _allow("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", on=state.table.table_arn),
                _allow("dynamodb:Query", on=f"{state.table.table_arn}/index/{JOURNAL_INDEX}"),
                _allow_in(("DIGEST",), "dynamodb:PutItem", on=state.table.table_arn),
                _allow("sns:Publish", on=state.digests_topic.topic_arn),
                *([self._allow_mail(sender)] if sender else []),
            ],
        )
        # At the quarters of the hour, on which digests of all time zones fall.
        schedule = events.Rule(self, "DigestSchedule", schedule=events.Schedule.cron(minute="0/15"))
        # A run that fails is made good by the next one, for as long as the digest is due. Lambda's own two retries
        # could run beside that one, and mail twice.
        schedule.add_target(targets.LambdaFunction(digest.function, retry_attempts=0))
        digest.function.configure_async_invoke(retry_attempts=0)
        return digest

    def _allow_mail(self, sender: str) -> iam.PolicyStatement:
        """Allow mail from that sender to its own domain; SES asks for the address or the domain, whichever is known."""
        domain = sender.rpartition("@")[2]
        return iam.PolicyStatement(
            actions=["ses:SendEmail"],
            resources=[
                self.format_arn(service="ses", resource="identity", resource_name=name) for name in (sender, domain)
            ],
            conditions={
                "StringEquals": {"ses:FromAddress": sender},
                "ForAllValues:StringLike": {"ses:Recipients": f"*@{domain}"},
            },
        )

    def _rebuild(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Rebuild",
            memory_mb=1024,
            timeout=stage.rebuild_work_seconds + REBUILD_MARGIN,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "CHANGES_QUEUE_URL": state.changes.queue.queue_url,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
                "WORK_SECONDS": str(stage.rebuild_work_seconds),
            },
            reads_ruleset=True,
            statements=[
                _allow(
                    "dynamodb:Scan",
                    "dynamodb:GetItem",
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query",
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                    "dynamodb:DeleteItem",
                    on=state.table.table_arn,
                ),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
                _allow("sqs:SendMessage", on=state.changes.queue.queue_arn),
            ],
        )

    def _publish(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Publish",
            memory_mb=1024,
            timeout=_PUBLISH_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                # Until then a batch may end that was begun under the old ruleset.
                "SETTLING_SECONDS": str(stage.ruleset_ttl + stage.score_timeout + 1),
                "REBUILD_MACHINE_ARN": self.rebuild_machine.machine.state_machine_arn,
            },
            reads_ruleset=True,
            statements=[
                # What a rollback goes back to may be older than its own history.
                _allow("ssm:PutParameter", "ssm:GetParameterHistory", on=state.ruleset.parameter_arn),
                _allow("ssm:PutParameter", "ssm:DeleteParameter", on=self._ruleset_parts()),
                _allow_in(("RULESETS",), "dynamodb:Query", "dynamodb:PutItem", on=state.table.table_arn),
                _allow("states:StartExecution", on=self.rebuild_machine.machine.state_machine_arn),
            ],
        )

    def _diff(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Diff",
            # One whole processor comes with 1,769 MB, and somebody is waiting.
            memory_mb=1769,
            timeout=_DIFF_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
            },
            reads_ruleset=True,
            statements=[
                _allow(
                    "dynamodb:Scan",
                    "dynamodb:GetItem",
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query",
                    on=state.table.table_arn,
                ),
                _allow("dynamodb:Query", on=f"{state.table.table_arn}/index/{JOURNAL_INDEX}"),
            ],
        )

    def _insights(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        return self._function(
            "Insights",
            # One whole processor comes with 1,769 MB.
            memory_mb=1769,
            timeout=INSIGHTS_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "BUS_NAME": state.bus.event_bus_name,
                "RULESET_PARAMETER": state.ruleset.parameter_name,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "WORK_SECONDS": str(stage.insights_work_seconds),
            },
            reads_ruleset=True,
            statements=[
                _allow(
                    "dynamodb:Scan",
                    "dynamodb:GetItem",
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query",
                    on=state.table.table_arn,
                ),
                _allow_in(("LEARNING",), "dynamodb:PutItem", "dynamodb:DeleteItem", on=state.table.table_arn),
                _allow("events:PutEvents", on=state.bus.event_bus_arn),
            ],
        )

    def _import_from(self, bucket: str) -> None:
        """Let an archive in a bucket be imported, and name what does it."""
        state, stage = self._state, self._stage
        objects = bucket_arn(bucket, "/*")
        importer = self._function(
            "Importer",
            memory_mb=512,
            timeout=stage.import_work_seconds + IMPORT_MARGIN,
            environment={
                "IMPORT_BUCKET": bucket,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "EVENTS_PER_SECOND": str(stage.import_events_per_second // stage.import_concurrency),
                "MOST_QUEUED": str(stage.import_most_queued),
                "WORK_SECONDS": str(stage.import_work_seconds),
            },
            statements=[
                _allow("s3:GetObject", on=objects),
                _allow("sqs:SendMessage", "sqs:GetQueueAttributes", on=state.events.queue.queue_arn),
            ],
        )
        acknowledge(
            importer,
            f"IAM5[Resource::arn:<AWS::Partition>:s3:::{bucket}/*]",
            "An archive is all objects under whatever prefix its owner names; the bucket is the one that the context "
            "names, and the right is to read.",
        )
        machine = ImportMachine(
            self, "ImportMachine", stage=stage, bucket=bucket, worker=importer, alarm_action=state.alarm_action
        )
        CfnOutput(self, "ImportMachineArn", value=machine.machine.state_machine_arn)
        CfnOutput(self, "ImportBucket", value=bucket)
        self._name("Importer", importer)

    def _name(self, name: str, built: LeadscoreFunction) -> None:
        CfnOutput(self, f"{name}Function", value=built.function.function_name)
        CfnOutput(self, f"{name}LogGroup", value=built.log_group.log_group_name)

    def _function(
        self,
        construct_id: str,
        *,
        memory_mb: int,
        timeout: int,
        environment: Mapping[str, str],
        statements: Sequence[iam.PolicyStatement],
        reads_ruleset: bool = False,
    ) -> LeadscoreFunction:
        read = [
            _allow("ssm:GetParameter", on=self._state.ruleset.parameter_arn),
            _allow("ssm:GetParameter", on=self._ruleset_parts()),
        ]
        built = LeadscoreFunction(
            self,
            construct_id,
            root=self._root,
            name=construct_id.lower(),
            stage=self._stage,
            layer=self._layer,
            memory_mb=memory_mb,
            timeout=timeout,
            environment=environment,
            statements=[*statements, *(read if reads_ruleset else ())],
            alarm_action=self._state.alarm_action,
        )
        if reads_ruleset:
            acknowledge(
                built,
                "IAM5[Resource::arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:"
                f"parameter{ruleset_name(self._stage)}/*]",
                "The parts of a large ruleset are named after what is in them; there is nothing else below that name.",
            )
        return built

    def _ruleset_parts(self) -> str:
        """The parameters below the ruleset's own."""
        name = ruleset_name(self._stage)
        return self.format_arn(service="ssm", resource="parameter", resource_name=f"{name[1:]}/*")

    def _add_outputs(self) -> None:
        outputs = {
            "ApiId": self.public_api.rest_api.rest_api_id,
            "ApiUrl": self.public_api.rest_api.url,
            "RebuildMachineArn": self.rebuild_machine.machine.state_machine_arn,
            "InsightsMachineArn": self.insights_machine.machine.state_machine_arn,
            # Who reads the table without a function must know how long the log is.
            "EventRetentionDays": str(self._stage.event_retention_days),
        }
        for name, built in {
            "Ingest": self.ingest,
            "Score": self.score,
            "Notify": self.notify,
            "Api": self.api,
            "Erase": self.erase,
            "Feedback": self.feedback,
            "Cool": self.cool,
            "Digest": self.digest,
            "Nurture": self.nurture,
            "Rebuild": self.rebuild,
            "Publish": self.publish,
            "Diff": self.diff,
            "Insights": self.insights,
        }.items():
            self._name(name, built)
        if self.public_api.readers_key is not None:
            outputs["ReadersKeyId"] = self.public_api.readers_key.key_id
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)


def _allow(*actions: str, on: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=[on])


def _allow_in(partitions: Sequence[str], *actions: str, on: str) -> iam.PolicyStatement:
    """Allow what touches items of partitions that are named so, and of no others."""
    return iam.PolicyStatement(
        actions=list(actions),
        resources=[on],
        conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(partitions)}},
    )
