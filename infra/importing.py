"""The state machine that imports an archive from S3: its objects, some at a time, several such lots at once.

    objects under the prefix --> each lot: Import --next--> done? --no--> Import ...
                                             ^                +-- the queue is full --> Wait
                                             |                +-- yes --> what the lot came to

The map is a distributed one: it lists the bucket itself, and each lot is an execution of its own, whose history is as
long as it needs. What has failed is in the newest execution, which Step Functions can go on with (a redrive).
"""

from __future__ import annotations

from aws_cdk import Aws, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.functions import LeadscoreFunction
from infra.stages import Stage
from infra.state_machines import WorkerMachine

# What a call may take beyond its working time: the step that it is at, with its pace and its retries.
IMPORT_MARGIN = 60
# The answers of all lots together may have 256 KB: this many objects in each leaves room for 100,000.
OBJECTS_PER_LOT = 100
_WAIT_SECONDS = 60
# Part of the names of the lots' executions.
_LABEL = "Lots"


class ImportMachine(WorkerMachine):
    """A standard workflow over one bucket; it may list that and invoke the worker."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        bucket: str,
        worker: LeadscoreFunction,
        alarm_action: cloudwatch.IAlarmAction,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            definition=_definition(stage, Aws.PARTITION, worker.function.function_arn, bucket),
            worker=worker,
            alarm_action=alarm_action,
            failure="an import from S3 stopped: the same `leadscore import` goes on with it",
            rights=[iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket_arn(bucket)])],
        )
        self._let_it_run_lots()

    def _let_it_run_lots(self) -> None:
        """Let the machine start, follow and end the executions of its own map.

        A policy of its own: the machine waits for the role's other policy, and this one for the machine.
        """
        name = self.machine.state_machine_name
        executions = f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:execution"
        endings = (":*", f"/{_LABEL}:*")
        policy = iam.Policy(
            self,
            "LotsPolicy",
            roles=[self.role],
            statements=[
                iam.PolicyStatement(actions=["states:StartExecution"], resources=[self.machine.state_machine_arn]),
                iam.PolicyStatement(
                    actions=["states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"],
                    resources=[f"{executions}:{name}{ending}" for ending in endings],
                ),
            ],
        )
        logical_id = Stack.of(self).resolve(name)["Fn::GetAtt"][0]
        for ending in endings:
            acknowledge(
                policy,
                f"IAM5[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:<{logical_id}.Name>{ending}]",
                "Step Functions itself makes up the name of each execution of a distributed map; the wildcard stands "
                "behind the name of this one machine.",
            )


def bucket_arn(bucket: str, objects: str = "") -> str:
    """The ARN of a bucket that is another one's, or of objects in it."""
    return f"arn:{Aws.PARTITION}:s3:::{bucket}{objects}"


def _definition(stage: Stage, partition: str, worker: str, bucket: str) -> dict[str, object]:
    steps = {
        "Import": {
            "Type": "Task",
            "Resource": f"arn:{partition}:states:::lambda:invoke",
            "Parameters": {"FunctionName": worker, "Payload.$": "$"},
            "ResultSelector": {"next.$": "$.Payload"},
            "OutputPath": "$.next",
            "TimeoutSeconds": stage.import_work_seconds + IMPORT_MARGIN + 60,
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 6}],
            "Next": "IsDone",
        },
        "IsDone": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.done", "BooleanEquals": True, "Next": "Done"},
                {"Variable": "$.waiting", "BooleanEquals": True, "Next": "WaitForTheQueue"},
            ],
            "Default": "Import",
        },
        "WaitForTheQueue": {"Type": "Wait", "Seconds": _WAIT_SECONDS, "Next": "Import"},
        "Done": {
            "Type": "Pass",
            "Parameters": {"objects.$": "$.objects", "counts.$": "$.counts"},
            "End": True,
        },
    }
    return {
        "Comment": "Imports the objects under a prefix",
        "StartAt": "Objects",
        "States": {
            "Objects": {
                "Type": "Map",
                "Label": _LABEL,
                "ItemReader": {
                    "Resource": f"arn:{partition}:states:::s3:listObjectsV2",
                    "Parameters": {"Bucket": bucket, "Prefix.$": "$.prefix"},
                },
                "ItemSelector": {"Key.$": "$$.Map.Item.Value.Key"},
                "ItemBatcher": {"MaxItemsPerBatch": OBJECTS_PER_LOT},
                "MaxConcurrency": stage.import_concurrency,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Import",
                    "States": steps,
                },
                "End": True,
            }
        },
    }
