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

from infra.functions import LeadscoreFunction, SharedLayer
from infra.public_api import PublicApi
from infra.rebuild import REBUILD_MARGIN, RebuildMachine
from infra.stages import Stage
from infra.stateful import DUE_INDEX, OWN_SOURCE_PREFIX, RANKING_INDEX, StatefulStack

# SDKs give up after 10 to 15 seconds, so an answer after that helps nobody.
_INGEST_TIMEOUT = 10
_API_TIMEOUT = 15
# The longest that a REST API waits.
_ERASE_TIMEOUT = 29
_COOL_TIMEOUT = 60
# What `cool` puts on the bus where more is due than one run takes.
COOLING_CONTINUES = "CoolingContinues"


class StatelessStack(Stack):
    """The functions around what the stateful stack keeps."""

    def __init__(
        self, scope: Construct, *, root: Path, stage: Stage, state: StatefulStack, metered: bool = False
    ) -> None:
        super().__init__(scope, f"leadscore-{stage.name}-stateless", description="Leadscore: functions and REST API")
        self._root = root
        self._stage = stage
        self._state = state
        self._layer = SharedLayer(self, "Layer", root=root)
        self.ingest = self._ingest()
        self.score = self._score()
        self.notify = self._notify()
        self.api = self._api()
        self.erase = self._erase()
        self.cool = self._cool()
        self.rebuild = self._rebuild()
        self.rebuild_machine = RebuildMachine(
            self, "RebuildMachine", stage=stage, worker=self.rebuild, alarm_action=state.alarm_action
        )
        self.score.consume(state.events.queue.queue_arn, stage)
        self.notify.consume(state.changes.queue.queue_arn, stage)
        self.public_api = PublicApi(
            self,
            "PublicApi",
            stage=stage,
            ingest=self.ingest.function,
            reader=self.api.function,
            eraser=self.erase.function,
            alarm_action=state.alarm_action,
            metered=metered,
        )
        self._add_outputs()

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
                "RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
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
                    # Sweeping up after erased people.
                    "dynamodb:BatchWriteItem",
                    on=state.table.table_arn,
                ),
                _allow("ssm:GetParameter", on=state.ruleset.parameter_arn),
                _allow("ssm:GetParameter", on=state.mappings.parameter_arn),
                _allow("sqs:SendMessage", on=state.changes.queue.queue_arn),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
            ],
        )

    def _notify(self) -> LeadscoreFunction:
        state = self._state
        return self._function(
            "Notify",
            memory_mb=512,
            timeout=self._stage.notify_timeout,
            environment={
                "TABLE_NAME": state.table.table_name,
                "ALERTS_TOPIC_ARN": state.alerts_topic.topic_arn,
                "BUS_NAME": state.bus.event_bus_name,
            },
            statements=[
                _allow("dynamodb:GetItem", "dynamodb:UpdateItem", on=state.table.table_arn),
                _allow("sns:Publish", on=state.alerts_topic.topic_arn),
                _allow("events:PutEvents", on=state.bus.event_bus_arn),
            ],
        )

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
            statements=[
                _allow("dynamodb:GetItem", "dynamodb:BatchGetItem", on=state.table.table_arn),
                iam.PolicyStatement(
                    actions=["dynamodb:Query"],
                    resources=[state.table.table_arn, f"{state.table.table_arn}/index/{RANKING_INDEX}"],
                ),
                _allow("ssm:GetParameter", "ssm:GetParameterHistory", on=state.ruleset.parameter_arn),
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
                # When it comes back, whoever was scoring while the person was erased has ended.
                "SWEEP_DELAY_SECONDS": str(_ERASE_TIMEOUT + stage.score_timeout + 1),
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

    def _cool(self) -> LeadscoreFunction:
        state, stage = self._state, self._stage
        cool = self._function(
            "Cool",
            memory_mb=256,
            timeout=_COOL_TIMEOUT,
            environment={
                "TABLE_NAME": state.table.table_name,
                "EVENTS_QUEUE_URL": state.events.queue.queue_url,
                "BUS_NAME": state.bus.event_bus_name,
                "EVENT_RETENTION_DAYS": str(stage.event_retention_days),
                "RANK_SHARDS": str(stage.rank_shards),
            },
            statements=[
                _allow("dynamodb:Query", on=f"{state.table.table_arn}/index/{DUE_INDEX}"),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
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
                _allow("ssm:GetParameter", on=state.ruleset.parameter_arn),
                _allow("sqs:SendMessage", on=state.events.queue.queue_arn),
                _allow("sqs:SendMessage", on=state.changes.queue.queue_arn),
            ],
        )

    def _function(
        self,
        construct_id: str,
        *,
        memory_mb: int,
        timeout: int,
        environment: Mapping[str, str],
        statements: Sequence[iam.PolicyStatement],
    ) -> LeadscoreFunction:
        return LeadscoreFunction(
            self,
            construct_id,
            root=self._root,
            name=construct_id.lower(),
            stage=self._stage,
            layer=self._layer,
            memory_mb=memory_mb,
            timeout=timeout,
            environment=environment,
            statements=statements,
            alarm_action=self._state.alarm_action,
        )

    def _add_outputs(self) -> None:
        outputs = {
            "ApiId": self.public_api.rest_api.rest_api_id,
            "ApiUrl": self.public_api.rest_api.url,
            "RebuildMachineArn": self.rebuild_machine.machine.state_machine_arn,
            # Who reads the table without a function must know how long the log is.
            "EventRetentionDays": str(self._stage.event_retention_days),
        }
        for name, built in {
            "Ingest": self.ingest,
            "Score": self.score,
            "Notify": self.notify,
            "Api": self.api,
            "Erase": self.erase,
            "Cool": self.cool,
            "Rebuild": self.rebuild,
        }.items():
            outputs[f"{name}Function"] = built.function.function_name
            outputs[f"{name}LogGroup"] = built.log_group.log_group_name
        if self.public_api.readers_key is not None:
            outputs["ReadersKeyId"] = self.public_api.readers_key.key_id
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)


def _allow(*actions: str, on: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=[on])
