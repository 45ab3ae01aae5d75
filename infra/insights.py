"""The state machine that learns from history: a segment of the table each, all at once, then one conclusion of all.

    every Sunday, or `leadscore insights --refresh`
      --> segments --> each: Sample --next--> done? --no--> Sample ...
                                              +---yes--> how far it came
      --> Conclude --> what readers get

All segments of a run see the log as of the instant at which the execution began, which Step Functions itself tells.
"""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra.functions import LeadscoreFunction
from infra.stages import Stage
from infra.state_machines import WorkerMachine

# As long as a function may run: the conclusion fits all criteria together.
INSIGHTS_TIMEOUT = 900
_RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 6}]
# Lambda tells an error by its class; this one stays however often a run is concluded again.
_NEVER_AGAIN = {"ErrorEquals": ["IncompleteRunError"], "MaxAttempts": 0}


class InsightsMachine(WorkerMachine):
    """A standard workflow; it may invoke the worker and nothing else, and runs weekly where the stage asks for it."""

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
            failure="insights were not refreshed, those before still stand: `leadscore insights --refresh` tries again",
        )
        weekly = events.Schedule.cron(week_day="SUN", hour="3", minute="0")
        rule = events.Rule(self, "Schedule", schedule=weekly, enabled=stage.learns_weekly)
        rule.add_target(targets.SfnStateMachine(self.machine))


def _definition(stage: Stage, partition: str, worker: str) -> dict[str, object]:
    task = {"Type": "Task", "Resource": f"arn:{partition}:states:::lambda:invoke", "Retry": _RETRY}
    sample = {
        **task,
        "Parameters": {"FunctionName": worker, "Payload.$": "$"},
        "ResultSelector": {"next.$": "$.Payload.next"},
        "OutputPath": "$.next",
        "TimeoutSeconds": INSIGHTS_TIMEOUT + 60,
        "Next": "IsDone",
    }
    is_done = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": "Done"}],
        "Default": "Sample",
    }
    conclude = {
        **task,
        "Retry": [_NEVER_AGAIN, *_RETRY],
        "Parameters": {"FunctionName": worker, "Payload": {"conclude.$": "$"}},
        "ResultSelector": {"concluded.$": "$.Payload"},
        "OutputPath": "$.concluded",
        "TimeoutSeconds": INSIGHTS_TIMEOUT + 60,
        "End": True,
    }
    return {
        "Comment": "Learns from history what each criterion is worth",
        "StartAt": "Begin",
        "States": {
            "Begin": {
                "Type": "Pass",
                "Result": {"segments": list(range(stage.insights_segments))},
                "Next": "Segments",
            },
            "Segments": {
                "Type": "Map",
                "ItemsPath": "$.segments",
                "ItemSelector": {
                    "run.$": "$$.Execution.Name",
                    "at.$": "$$.Execution.StartTime",
                    "segment.$": "$$.Map.Item.Value",
                    "segments": stage.insights_segments,
                },
                "MaxConcurrency": stage.insights_segments,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "Sample",
                    "States": {"Sample": sample, "IsDone": is_done, "Done": {"Type": "Succeed"}},
                },
                "Next": "Conclude",
            },
            "Conclude": conclude,
        },
    }
