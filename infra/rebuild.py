"""The state machine that rebuilds all leads: a segment of the table each, several at once, until all are done.

    (delay) --> segments --> each: Rebuild --next--> done? --no--> Rebuild ...
                                                       +---yes--> what the segment came to

A delay is for a new ruleset, until every function has read it.

What is left of a run that stopped is in its history: the last `next` of each segment is where a new run goes on.
"""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.functions import LeadscoreFunction
from infra.stages import Stage
from infra.state_machines import WorkerMachine

# What a call may take beyond its working time: the lead that it is at, and all that waits on other services.
REBUILD_MARGIN = 180


class RebuildMachine(WorkerMachine):
    """A standard workflow; it may invoke the worker and nothing else."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        worker: LeadscoreFunction,
        alarm_action: cloudwatch.IAlarmAction,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            definition=_definition(stage, Aws.PARTITION, worker.function.function_arn),
            worker=worker,
            alarm_action=alarm_action,
            failure="a rebuild of all leads stopped: `leadscore rebuild --all` goes on with it",
        )


def _definition(stage: Stage, partition: str, worker: str) -> dict[str, object]:
    rebuild = {
        "Type": "Task",
        "Resource": f"arn:{partition}:states:::lambda:invoke",
        "Parameters": {"FunctionName": worker, "Payload.$": "$"},
        # What was found stays in the history of the call: only how far it came is handed on.
        "ResultSelector": {"next.$": "$.Payload.next"},
        "OutputPath": "$.next",
        "TimeoutSeconds": stage.rebuild_work_seconds + REBUILD_MARGIN + 60,
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 6}],
        "Next": "IsDone",
    }
    is_done = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": "Done"}],
        "Default": "Rebuild",
    }
    is_delayed = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.wait_seconds", "IsPresent": True, "Next": "Delay"}],
        "Default": "Segments",
    }
    return {
        "Comment": "Rebuilds all leads from their logs",
        "StartAt": "IsDelayed",
        "States": {
            "IsDelayed": is_delayed,
            "Delay": {"Type": "Wait", "SecondsPath": "$.wait_seconds", "Next": "Segments"},
            "Segments": {
                "Type": "Map",
                "ItemsPath": "$.segments",
                "MaxConcurrency": stage.rebuild_concurrency,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "Rebuild",
                    "States": {"Rebuild": rebuild, "IsDone": is_done, "Done": {"Type": "Succeed"}},
                },
                "End": True,
            },
        },
    }
