"""What every state machine has: a role that may invoke its worker alone, and an alarm on a failed execution."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.alarms import alarm_above
from infra.functions import LeadscoreFunction


class WorkerMachine(Construct):
    """A standard workflow around one function; `failure` is what its alarm says, `rights` what it may do besides."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        definition: Mapping[str, object],
        worker: LeadscoreFunction,
        alarm_action: cloudwatch.IAlarmAction,
        failure: str,
        rights: Sequence[iam.PolicyStatement] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        arn = worker.function.function_arn
        self.role.add_to_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[arn]))
        for right in rights:
            self.role.add_to_policy(right)
        body = sfn.DefinitionBody.from_string(json.dumps(definition))
        self.machine = sfn.StateMachine(self, "StateMachine", definition_body=body, role=self.role)
        acknowledge(
            self.machine,
            "SF1",
            "Step Functions keeps the history of an execution for 90 days, and every call is in the worker's own log; "
            "delivery of logs would need rights that have no resource-level form.",
        )
        acknowledge(
            self.machine,
            "SF2",
            "One task that is repeated has no path to trace; sending traces would need rights that have no "
            "resource-level form.",
        )
        alarm_above(
            self,
            "Failed",
            metric=self.machine.metric_failed(period=Duration.minutes(5)),
            threshold=0,
            meaning=failure,
            action=alarm_action,
        )
