"""The rebuild of all leads as it is deployed: its steps, its rights, and that it fits what Step Functions allows."""

from __future__ import annotations

import json
from typing import Any

from infra.stages import Stage
from tests.infra.synthesized import Assembly, as_list

# What an execution's history holds, and the events of one round of a segment: five of the task, two of the choice.
MOST_EVENTS = 25_000
EVENTS_PER_ROUND = 7


def machine_of(assembly: Assembly) -> dict[str, Any]:
    return assembly.properties("AWS::StepFunctions::StateMachine")["RebuildMachineStateMachine"]


def definition_of(assembly: Assembly) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(assembly.show(machine_of(assembly)["DefinitionString"]))
    return definition


def test_each_segment_is_rebuilt_until_it_is_done(assembly: Assembly, stage: Stage) -> None:
    definition = definition_of(assembly)
    segments = definition["States"]["Segments"]
    steps = segments["ItemProcessor"]["States"]
    assert (segments["Type"], segments["ItemsPath"], segments["MaxConcurrency"]) == (
        "Map",
        "$.segments",
        stage.rebuild_concurrency,
    )
    assert segments["ItemProcessor"]["ProcessorConfig"] == {"Mode": "INLINE"}
    rebuild, choice = steps[segments["ItemProcessor"]["StartAt"]], steps["IsDone"]
    assert rebuild["Parameters"] == {"FunctionName": "RebuildFunction.Arn", "Payload.$": "$"}
    # The worker's answer is its next question.
    assert (rebuild["ResultSelector"], rebuild["OutputPath"]) == ({"next.$": "$.Payload.next"}, "$.next")
    assert rebuild["Next"] == "IsDone"
    assert choice["Choices"] == [{"Variable": "$.done", "BooleanEquals": True, "Next": "Done"}]
    assert (choice["Default"], steps["Done"]["Type"]) == ("Rebuild", "Succeed")


def test_a_new_ruleset_is_waited_for_until_every_function_has_read_it(assembly: Assembly) -> None:
    definition = definition_of(assembly)
    steps = definition["States"]
    choice = steps[definition["StartAt"]]
    assert choice["Choices"] == [{"Variable": "$.wait_seconds", "IsPresent": True, "Next": "Delay"}]
    assert (choice["Default"], steps["Delay"]["Next"]) == ("Segments", "Segments")
    assert (steps["Delay"]["Type"], steps["Delay"]["SecondsPath"]) == ("Wait", "$.wait_seconds")


def test_a_call_that_fails_is_made_again_for_more_than_a_minute(assembly: Assembly) -> None:
    [retry] = definition_of(assembly)["States"]["Segments"]["ItemProcessor"]["States"]["Rebuild"]["Retry"]
    waits = [retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt for attempt in range(retry["MaxAttempts"])]
    assert retry["ErrorEquals"] == ["States.ALL"]
    assert sum(waits) > 60


def test_a_call_is_waited_for_until_the_function_would_have_ended(assembly: Assembly, stage: Stage) -> None:
    timeout = assembly.properties("AWS::Lambda::Function")["RebuildFunction"]["Timeout"]
    steps = definition_of(assembly)["States"]["Segments"]["ItemProcessor"]["States"]
    assert stage.rebuild_work_seconds + 60 < timeout <= 900
    assert timeout < steps["Rebuild"]["TimeoutSeconds"]


def test_the_machine_may_invoke_the_worker_and_nothing_else(assembly: Assembly) -> None:
    policy = assembly.properties("AWS::IAM::Policy")["RebuildMachineRoleDefaultPolicy"]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], as_list(statement["Action"])) == ("Allow", ["lambda:InvokeFunction"])
    assert [assembly.show(resource) for resource in as_list(statement["Resource"])] == ["RebuildFunction.Arn"]
    [trust] = assembly.properties("AWS::IAM::Role")["RebuildMachineRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "states.amazonaws.com"}
    assert assembly.show(machine_of(assembly)["RoleArn"]) == "RebuildMachineRole.Arn"
    assert machine_of(assembly).get("StateMachineType", "STANDARD") == "STANDARD"


def test_several_segments_at_once_as_an_inline_map_may_have(stage: Stage) -> None:
    assert 1 < stage.rebuild_concurrency <= 40


def test_the_history_holds_ten_million_leads_at_forty_a_second(stage: Stage) -> None:
    """A run that comes to the end of its history fails, and is gone on with."""
    rounds = MOST_EVENTS // EVENTS_PER_ROUND
    assert stage.name == "local" or rounds * stage.rebuild_work_seconds * 40 > 10_000_000


def test_a_run_that_fails_rings(assembly: Assembly) -> None:
    alarms = assembly.properties("AWS::CloudWatch::Alarm")
    assert alarms["RebuildMachineFailed"]["MetricName"] == "ExecutionsFailed"
    [dimension] = alarms["RebuildMachineFailed"]["Dimensions"]
    assert assembly.show(dimension["Value"]) == "RebuildMachineStateMachine"


def test_outputs_name_what_the_command_needs(assembly: Assembly, stage: Stage) -> None:
    outputs = assembly.template("stateless")["Outputs"]
    assert assembly.show(outputs["RebuildMachineArn"]["Value"]) == "RebuildMachineStateMachine"
    assert outputs["EventRetentionDays"]["Value"] == str(stage.event_retention_days)
