"""How long things are kept: what a stage's words mean to CloudFormation."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.stages import RetentionDays, Stage

_RETENTION: Mapping[RetentionDays, logs.RetentionDays] = {
    3: logs.RetentionDays.THREE_DAYS,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
}


def removal_policy(stage: Stage) -> RemovalPolicy:
    """What happens to something that remembers when its stack goes."""
    return RemovalPolicy.RETAIN if stage.keeps_state else RemovalPolicy.DESTROY


def log_group(scope: Construct, construct_id: str, stage: Stage, *, required_name: str | None = None) -> logs.LogGroup:
    """A log group that forgets as the stage says; only a service that insists on a name gives one."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=required_name,
        retention=_RETENTION[stage.log_retention_days],
        removal_policy=removal_policy(stage),
    )
