"""Learning from history as it is deployed: its steps, its schedule, its rights, and that it fits what AWS allows."""

from __future__ import annotations

import json
from typing import Any

from infra.stages import Stage
from leadscore.usecases.learning import IncompleteRunError, SampledSegment
from tests.infra.synthesized import Assembly, as_list

# What an execution's history holds, and the events of one round of a segment: five of the task, two of the choice.
MOST_EVENTS = 25_000
EVENTS_PER_ROUND = 7


def machine_of(assembly: Assembly) -> dict[str, Any]:
    return assembly.properties("AWS::StepFunctions::StateMachine")["InsightsMachineStateMachine"]


def states_of(assembly: Assembly) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(assembly.show(machine_of(assembly)["DefinitionString"]))
    assert definition["StartAt"] == "Begin"
    states: dict[str, Any] = definition["States"]
    return states


def test_every_segment_is_sampled_until_it_is_done_and_all_are_concluded(assembly: Assembly, stage: Stage) -> None:
    states = states_of(assembly)
    begin, segments, conclude = states["Begin"], states["Segments"], states["Conclude"]
    steps = segments["ItemProcessor"]["States"]
    assert (begin["Next"], segments["Next"], conclude["End"]) == ("Segments", "Conclude", True)
    assert begin["Result"][segments["ItemsPath"].removeprefix("$.")] == list(range(stage.insights_segments))
    assert segments["MaxConcurrency"] == stage.insights_segments
    sample, choice = steps[segments["ItemProcessor"]["StartAt"]], steps["IsDone"]
    # The worker's answer is its next question.
    assert sample["Parameters"] == {"FunctionName": "InsightsFunction.Arn", "Payload.$": "$"}
    assert (sample["ResultSelector"], sample["OutputPath"]) == ({"next.$": "$.Payload.next"}, "$.next")
    assert sample["Next"] == "IsDone"
    assert choice["Choices"] == [{"Variable": "$.done", "BooleanEquals": True, "Next": "Done"}]
    assert (choice["Default"], steps["Done"]["Type"]) == ("Sample", "Succeed")
    assert conclude["Parameters"] == {"FunctionName": "InsightsFunction.Arn", "Payload": {"conclude.$": "$"}}


def test_a_segment_begins_with_what_the_worker_reads(assembly: Assembly, stage: Stage) -> None:
    selector = states_of(assembly)["Segments"]["ItemSelector"]
    context = {
        "$$.Execution.Name": "run",
        "$$.Execution.StartTime": "2026-01-31T12:00:00.123Z",
        "$$.Map.Item.Value": stage.insights_segments - 1,
    }
    given = {key.removesuffix(".$"): context.get(value, value) for key, value in selector.items()}
    begun = SampledSegment.from_dict(given)
    assert (begun.run, begun.segment, begun.segments) == ("run", stage.insights_segments - 1, stage.insights_segments)
    assert (begun.after, begun.call, begun.done) == (None, 0, False)


def test_calls_that_fail_are_made_again_for_more_than_a_minute(assembly: Assembly) -> None:
    states = states_of(assembly)
    for task in (states["Segments"]["ItemProcessor"]["States"]["Sample"], states["Conclude"]):
        *_, retry = task["Retry"]
        waits = [retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt for attempt in range(retry["MaxAttempts"])]
        assert retry["ErrorEquals"] == ["States.ALL"]
        assert sum(waits) > 60


def test_a_run_that_only_a_new_one_can_make_good_is_not_concluded_again(assembly: Assembly) -> None:
    first, _ = states_of(assembly)["Conclude"]["Retry"]
    # The name by which Lambda tells of a Python error is its class's.
    assert first == {"ErrorEquals": [IncompleteRunError.__name__], "MaxAttempts": 0}


def test_a_call_is_waited_for_until_the_function_would_have_ended(assembly: Assembly, stage: Stage) -> None:
    timeout = assembly.properties("AWS::Lambda::Function")["InsightsFunction"]["Timeout"]
    states = states_of(assembly)
    assert stage.insights_work_seconds + 60 < timeout <= 900
    assert timeout < states["Segments"]["ItemProcessor"]["States"]["Sample"]["TimeoutSeconds"]
    assert timeout < states["Conclude"]["TimeoutSeconds"]


def test_the_machine_may_invoke_the_worker_and_nothing_else(assembly: Assembly) -> None:
    policy = assembly.properties("AWS::IAM::Policy")["InsightsMachineRoleDefaultPolicy"]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], as_list(statement["Action"])) == ("Allow", ["lambda:InvokeFunction"])
    assert [assembly.show(resource) for resource in as_list(statement["Resource"])] == ["InsightsFunction.Arn"]
    assert assembly.show(machine_of(assembly)["RoleArn"]) == "InsightsMachineRole.Arn"


def test_the_schedule_starts_the_machine_and_may_do_nothing_else(assembly: Assembly, stage: Stage) -> None:
    [rule] = [
        rule
        for rule in assembly.properties("AWS::Events::Rule").values()
        if assembly.show(rule["Targets"][0]["Arn"]) == "InsightsMachineStateMachine"
    ]
    assert rule["ScheduleExpression"] == "cron(0 3 ? * SUN *)"
    assert rule["State"] == ("DISABLED" if stage.name == "local" else "ENABLED")
    role = assembly.show(rule["Targets"][0]["RoleArn"]).removesuffix(".Arn")
    [policy] = [
        each
        for each in assembly.properties("AWS::IAM::Policy").values()
        if [assembly.show(one) for one in each["Roles"]] == [role]
    ]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert as_list(statement["Action"]) == ["states:StartExecution"]
    assert assembly.show(statement["Resource"]) == "InsightsMachineStateMachine"


def test_as_many_segments_at_once_as_an_inline_map_may_have(stage: Stage) -> None:
    assert 1 < stage.insights_segments <= 40


def test_the_history_holds_a_hundred_million_events_at_a_thousand_a_second(stage: Stage) -> None:
    """A slow guess for one call: the benchmark says what it really reads."""
    rounds = MOST_EVENTS // EVENTS_PER_ROUND
    assert stage.name == "local" or rounds * stage.insights_work_seconds * 1000 > 100_000_000


def test_a_run_that_fails_rings(assembly: Assembly) -> None:
    alarm = assembly.properties("AWS::CloudWatch::Alarm")["InsightsMachineFailed"]
    assert alarm["MetricName"] == "ExecutionsFailed"
    assert assembly.show(alarm["Dimensions"][0]["Value"]) == "InsightsMachineStateMachine"
    assert "--refresh" in alarm["AlarmDescription"]


def test_the_machine_is_named_for_the_command(assembly: Assembly) -> None:
    outputs = assembly.template("stateless")["Outputs"]
    assert assembly.show(outputs["InsightsMachineArn"]["Value"]) == "InsightsMachineStateMachine"
