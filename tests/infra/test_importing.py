"""The import from S3 as it is deployed where the context names a bucket: its steps, its rights, and none unasked."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from infra.application import ContextError, build_app
from infra.importing import OBJECTS_PER_LOT
from infra.stages import Stage, stage_named
from leadscore.adapters.settings import ImporterSettings
from leadscore.usecases.importing import ObjectsToImport
from tests.infra.synthesize_stages import ARCHIVE_BUCKET
from tests.infra.synthesized import Assembly, as_list, assemblies

ROOT = Path(__file__).parents[2]
STAGE = stage_named("dev")
BUCKET = f"arn:AWS::Partition:s3:::{ARCHIVE_BUCKET}"
EXECUTIONS = "arn:AWS::Partition:states:AWS::Region:AWS::AccountId:execution:ImportMachineStateMachine.Name"
# What Step Functions hands from one state to the next, and takes as the output of a map.
MOST_BYTES = 256 * 1024


@pytest.fixture
def importing() -> Assembly:
    return Assembly(assemblies() / "importing", "dev")


def objects_of(assembly: Assembly) -> dict[str, Any]:
    machine = assembly.properties("AWS::StepFunctions::StateMachine")["ImportMachineStateMachine"]
    definition = json.loads(assembly.show(machine["DefinitionString"]))
    assert definition["StartAt"] == "Objects"
    objects: dict[str, Any] = definition["States"]["Objects"]
    return objects


def rights(assembly: Assembly, *policies: str) -> dict[str, set[str]]:
    """Return the actions that policies allow on each resource."""
    found: dict[str, set[str]] = {}
    for name in policies:
        for statement in assembly.properties("AWS::IAM::Policy")[name]["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            for resource in as_list(statement["Resource"]):
                found.setdefault(assembly.show(resource), set()).update(as_list(statement["Action"]))
    return found


def test_the_map_lists_the_prefix_and_hands_out_lots_of_keys(importing: Assembly) -> None:
    objects = objects_of(importing)
    assert objects["ItemReader"] == {
        "Resource": "arn:AWS::Partition:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": ARCHIVE_BUCKET, "Prefix.$": "$.prefix"},
    }
    assert objects["ItemSelector"] == {"Key.$": "$$.Map.Item.Value.Key"}
    assert objects["ItemBatcher"] == {"MaxItemsPerBatch": OBJECTS_PER_LOT}
    assert objects["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert objects["MaxConcurrency"] == STAGE.import_concurrency


def test_a_lot_is_worked_on_until_it_is_done_and_waits_for_a_full_queue(importing: Assembly) -> None:
    steps = objects_of(importing)["ItemProcessor"]["States"]
    assert objects_of(importing)["ItemProcessor"]["StartAt"] == "Import"
    task = steps["Import"]
    assert task["Parameters"] == {"FunctionName": "ImporterFunction.Arn", "Payload.$": "$"}
    # The worker's answer is its next question.
    assert (task["ResultSelector"], task["OutputPath"], task["Next"]) == ({"next.$": "$.Payload"}, "$.next", "IsDone")
    assert {choice["Variable"]: choice["Next"] for choice in steps["IsDone"]["Choices"]} == {
        "$.done": "Done",
        "$.waiting": "WaitForTheQueue",
    }
    assert steps["IsDone"]["Choices"][0]["Variable"] == "$.done"
    assert (steps["IsDone"]["Default"], steps["WaitForTheQueue"]["Next"]) == ("Import", "Import")
    assert (steps["WaitForTheQueue"]["Type"], steps["WaitForTheQueue"]["Seconds"] > 0) == ("Wait", True)
    assert (steps["Done"]["Type"], steps["Done"]["End"]) == ("Pass", True)


def test_the_paths_of_the_steps_are_in_what_the_worker_answers(importing: Assembly) -> None:
    steps = objects_of(importing)["ItemProcessor"]["States"]
    read = [choice["Variable"] for choice in steps["IsDone"]["Choices"]] + list(steps["Done"]["Parameters"].values())
    assert {path.removeprefix("$.") for path in read} <= ObjectsToImport(()).to_dict().keys()


def test_a_lot_and_all_answers_fit_what_step_functions_hands_on() -> None:
    longest = ObjectsToImport(tuple("k" * 1024 for _ in range(OBJECTS_PER_LOT)))
    assert len(json.dumps(longest.to_dict())) < MOST_BYTES
    answer = {"objects": 100, "counts": {"accepted": 10**7, "expired": 10**7, "rejected": {"invalid_timestamp": 10**6}}}
    assert MOST_BYTES / len(json.dumps(answer)) * OBJECTS_PER_LOT > 100_000


def test_a_call_that_fails_is_made_again_for_more_than_a_minute(importing: Assembly) -> None:
    [retry] = objects_of(importing)["ItemProcessor"]["States"]["Import"]["Retry"]
    waits = [retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt for attempt in range(retry["MaxAttempts"])]
    assert retry["ErrorEquals"] == ["States.ALL"]
    assert sum(waits) > 60


def test_a_call_is_waited_for_until_the_function_would_have_ended(importing: Assembly) -> None:
    timeout = importing.properties("AWS::Lambda::Function")["ImporterFunction"]["Timeout"]
    assert STAGE.import_work_seconds + 30 < timeout <= 900
    assert timeout < objects_of(importing)["ItemProcessor"]["States"]["Import"]["TimeoutSeconds"]


def test_the_worker_may_read_the_bucket_and_send_and_nothing_else(importing: Assembly) -> None:
    assert rights(importing, "ImporterRoleDefaultPolicy") == {
        f"{BUCKET}/*": {"s3:GetObject"},
        "EventsQueue.Arn": {"sqs:SendMessage", "sqs:GetQueueAttributes"},
        "ImporterLog.Arn": {"logs:CreateLogStream", "logs:PutLogEvents"},
    }


def test_the_machine_may_list_the_bucket_invoke_the_worker_and_run_its_own_lots(importing: Assembly) -> None:
    own = {"states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"}
    assert rights(importing, "ImportMachineRoleDefaultPolicy", "ImportMachineLotsPolicy") == {
        "ImporterFunction.Arn": {"lambda:InvokeFunction"},
        BUCKET: {"s3:ListBucket"},
        "ImportMachineStateMachine": {"states:StartExecution"},
        f"{EXECUTIONS}:*": own,
        f"{EXECUTIONS}/Lots:*": own,
    }
    [trust] = importing.properties("AWS::IAM::Role")["ImportMachineRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "states.amazonaws.com"}


def test_environment_is_exactly_what_the_settings_class_reads(importing: Assembly) -> None:
    variables = importing.properties("AWS::Lambda::Function")["ImporterFunction"]["Environment"]["Variables"]
    own = {key: importing.show(value) for key, value in variables.items() if not key.startswith("POWERTOOLS_")}
    assert set(own) == {field.name.upper() for field in fields(ImporterSettings)}
    assert own == {
        "IMPORT_BUCKET": ARCHIVE_BUCKET,
        "EVENTS_QUEUE_URL": "EventsQueue",
        "EVENT_RETENTION_DAYS": str(STAGE.event_retention_days),
        "EVENTS_PER_SECOND": str(STAGE.import_events_per_second // STAGE.import_concurrency),
        "MOST_QUEUED": str(STAGE.import_most_queued),
        "WORK_SECONDS": str(STAGE.import_work_seconds),
    }


def test_live_events_never_wait_long_behind_imported_ones(stage: Stage) -> None:
    """What a batch of `score` takes is assumed of the costs: 20 ms an event on AWS."""
    a_second = 50 if stage.name == "local" else 50 * stage.max_concurrency
    assert stage.import_events_per_second // stage.import_concurrency >= 1
    assert stage.import_most_queued / a_second <= 20
    assert stage.name == "local" or stage.import_events_per_second <= a_second


def test_a_run_that_fails_rings(importing: Assembly) -> None:
    alarm = importing.properties("AWS::CloudWatch::Alarm")["ImportMachineFailed"]
    [dimension] = alarm["Dimensions"]
    assert (alarm["MetricName"], importing.show(dimension["Value"])) == (
        "ExecutionsFailed",
        "ImportMachineStateMachine",
    )


def test_outputs_name_what_the_command_needs(importing: Assembly) -> None:
    outputs = importing.template("stateless")["Outputs"]
    assert importing.show(outputs["ImportMachineArn"]["Value"]) == "ImportMachineStateMachine"
    assert outputs["ImportBucket"]["Value"] == ARCHIVE_BUCKET
    assert {"ImporterFunction", "ImporterLogGroup"} <= outputs.keys()


def test_nag_and_cfn_lint_have_nothing_to_say_of_it(importing: Assembly, tmp_path: Path) -> None:
    report = json.loads((importing.folder / "validation-report.json").read_text(encoding="utf-8"))
    assert [each["violations"] for each in report["pluginReports"] if each["pluginName"] == "AwsSolutions"] == [[]]
    options = ["--format", "json", "--regions", "eu-central-1", "--ignore-checks", "W3005", "--"]
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), *options, str(importing.file("stateless"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (json.loads(done.stdout), done.stderr) == ([], "")


def test_unasked_there_is_none_of_it(assembly: Assembly) -> None:
    assert "ImporterFunction" not in assembly.properties("AWS::Lambda::Function")
    assert "ImportMachineStateMachine" not in assembly.properties("AWS::StepFunctions::StateMachine")
    assert "ImportBucket" not in assembly.template("stateless")["Outputs"]


@pytest.mark.parametrize("value", ["*", "a", "Acme", "acme/*", "arn:aws:s3:::acme", "-acme", True])
def test_what_is_no_name_of_a_bucket_is_an_error(value: object) -> None:
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    with pytest.raises(ContextError, match="import_bucket"):
        build_app(App(context={**context, "stage": "dev", "import_bucket": value}), ROOT)
