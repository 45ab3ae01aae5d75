"""One Lambda function the way all of ours are made: asset, layer, own role, own log group, error alarm.

Invariant: a function may do what its statements say and write to its own log group; it shares no role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import AssetHashType, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.alarms import alarm_above
from infra.bundling import Bundle, bundle_function, bundle_layer
from infra.lifetimes import log_group
from infra.stages import Architecture, Stage

_RUNTIME = lambda_.Runtime.PYTHON_3_13
_ARCHITECTURES: Mapping[Architecture, lambda_.Architecture] = {
    "arm64": lambda_.Architecture.ARM_64,
    "x86_64": lambda_.Architecture.X86_64,
}


def _code(bundle: Bundle) -> lambda_.AssetCode:
    return lambda_.Code.from_asset(str(bundle.path), asset_hash=bundle.digest, asset_hash_type=AssetHashType.CUSTOM)


class SharedLayer(Construct):
    """The scoring layer; pure Python, so it serves both architectures."""

    def __init__(self, scope: Construct, construct_id: str, *, root: Path) -> None:
        super().__init__(scope, construct_id)
        self.version = lambda_.LayerVersion(
            self,
            "Version",
            code=_code(bundle_layer(root)),
            compatible_runtimes=[_RUNTIME],
            compatible_architectures=list(_ARCHITECTURES.values()),
            description="leadscore and its dependencies",
        )


class LeadscoreFunction(Construct):
    """One function of the flow.

    `environment` is what its settings class reads and nothing else; the Powertools variables are added here.
    `statements` is everything that its role may do besides writing its log.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        root: Path,
        name: str,
        stage: Stage,
        layer: SharedLayer,
        memory_mb: int,
        timeout: int,
        environment: Mapping[str, str],
        statements: Sequence[iam.PolicyStatement],
        alarm_action: cloudwatch.IAlarmAction,
    ) -> None:
        super().__init__(scope, construct_id)
        self.log_group = log_group(self, "Log", stage)
        self._role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        for statement in (_write_log(self.log_group), *statements):
            self._role.add_to_policy(statement)
        self.function = lambda_.Function(
            self,
            "Function",
            description=f"Leadscore: {name}",
            code=_code(bundle_function(root, name)),
            handler="handler.handler",
            runtime=_RUNTIME,
            architecture=_ARCHITECTURES[stage.architecture],
            layers=[layer.version],
            role=self._role,
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            memory_size=memory_mb,
            timeout=Duration.seconds(timeout),
            environment={
                "POWERTOOLS_SERVICE_NAME": name,
                "POWERTOOLS_METRICS_NAMESPACE": "Leadscore",
                "POWERTOOLS_LOG_LEVEL": "INFO",
                **environment,
            },
        )
        acknowledge(
            self.function,
            "L1",
            "The bytecode in the assets is built for 3.13, which infra/bundling.py insists on and "
            ".python-version pins; AWS supports that runtime until 2029.",
        )
        alarm_above(
            self,
            "Errors",
            metric=self.function.metric_errors(period=Duration.minutes(5)),
            threshold=0,
            meaning=f"the {name} function raised: its log group has the traceback",
            action=alarm_action,
        )

    def consume(self, queue_arn: str, stage: Stage, *, fifo: bool = False) -> None:
        """Take batches from a queue; a message that fails comes back alone, without its batch neighbours."""
        self._let_consume(queue_arn)
        self.function.add_event_source_mapping(
            "Queue",
            event_source_arn=queue_arn,
            # Of a FIFO queue Lambda takes ten at a time at most, and waits for none.
            batch_size=min(stage.batch_size, 10) if fifo else stage.batch_size,
            max_batching_window=Duration.seconds(stage.batch_window) if stage.batch_window and not fifo else None,
            max_concurrency=stage.max_concurrency,
            report_batch_item_failures=True,
        )

    def consume_one_by_one(self, construct_id: str, queue_arn: str) -> None:
        """Take the messages of a FIFO queue singly, of each group one after the other."""
        self._let_consume(queue_arn)
        self.function.add_event_source_mapping(
            construct_id, event_source_arn=queue_arn, batch_size=1, report_batch_item_failures=True
        )

    def _let_consume(self, queue_arn: str) -> None:
        self._role.add_to_policy(
            iam.PolicyStatement(
                actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                resources=[queue_arn],
            )
        )


def _write_log(group: logs.LogGroup) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[group.log_group_arn])
