"""What works: each function's environment, rights and triggers, word for word as the flow says."""

from __future__ import annotations

import platform
from dataclasses import fields
from typing import Any

import pytest

from infra.stages import Stage
from leadscore.adapters import settings
from leadscore.adapters.topics import BUS_SOURCE, NURTURING_CONTINUES
from leadscore.security_headers import SECURITY_HEADERS
from tests.infra.synthesized import STACKS, Assembly, as_list, assemblies, assembly_of

POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
SETTINGS: dict[str, type[settings.Settings]] = {
    "Ingest": settings.IngestSettings,
    "Score": settings.ScoreSettings,
    "Notify": settings.NotifySettings,
    "Api": settings.ApiSettings,
    "Erase": settings.EraseSettings,
    "Feedback": settings.FeedbackSettings,
    "Cool": settings.CoolSettings,
    "Digest": settings.DigestSettings,
    "Nurture": settings.NurtureSettings,
    "Rebuild": settings.RebuildSettings,
    "Publish": settings.PublishSettings,
    "Diff": settings.DiffSettings,
    "Insights": settings.InsightsSettings,
}
PARAMETER = "arn:AWS::Partition:ssm:AWS::Region:AWS::AccountId:parameter"
# What is below the ruleset's own parameter; the stage's name is left out.
RULESET_PARTS = f"{PARAMETER}/leadscore/STAGE/ruleset/*"
# Actions each role has on each resource; its own log group comes on top.
RIGHTS = {
    "Ingest": {
        "EventsQueue.Arn": {"sqs:SendMessage"},
        f"{PARAMETER}WriteKeys": {"ssm:GetParameter"},
    },
    "Score": {
        "EventsQueue.Arn": {
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:SendMessage",
        },
        "Table.Arn": {
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:BatchWriteItem",
        },
        "Table.Arn/index/people": {"dynamodb:Query"},
        f"{PARAMETER}Ruleset": {"ssm:GetParameter"},
        RULESET_PARTS: {"ssm:GetParameter"},
        f"{PARAMETER}Mappings": {"ssm:GetParameter"},
        f"{PARAMETER}Quarantine": {"ssm:GetParameter"},
        "ChangesQueue.Arn": {"sqs:SendMessage"},
    },
    "Notify": {
        "ChangesQueue.Arn": {
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:SendMessage",
        },
        "Table.Arn": {
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        },
        "Table.Arn/index/people": {"dynamodb:Query"},
        f"{PARAMETER}Ruleset": {"ssm:GetParameter"},
        RULESET_PARTS: {"ssm:GetParameter"},
        "Alerts": {"sns:Publish"},
        "Bus.Arn": {"events:PutEvents"},
    },
    "Api": {
        "Table.Arn": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"},
        "Table.Arn/index/ranking": {"dynamodb:Query"},
        "Table.Arn/index/people": {"dynamodb:Query"},
        f"{PARAMETER}Ruleset": {"ssm:GetParameter", "ssm:GetParameterHistory"},
        RULESET_PARTS: {"ssm:GetParameter"},
        "EventsQueue.Arn": {"sqs:SendMessage"},
    },
    "Erase": {
        "Table.Arn": {
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:BatchWriteItem",
        },
        "EventsQueue.Arn": {"sqs:SendMessage"},
    },
    "Feedback": {
        "Table.Arn": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
    },
    "Cool": {
        "Table.Arn/index/due": {"dynamodb:Query"},
        "EventsQueue.Arn": {"sqs:SendMessage"},
        "ChangesQueue.Arn": {"sqs:SendMessage"},
        "Bus.Arn": {"events:PutEvents"},
    },
    "Nurture": {
        "Table.Arn": {
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:ConditionCheckItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        },
        "Table.Arn/index/ranking": {"dynamodb:Query"},
        f"{PARAMETER}Ruleset": {"ssm:GetParameter"},
        RULESET_PARTS: {"ssm:GetParameter"},
        "EventsQueue.Arn": {"sqs:SendMessage"},
        "Bus.Arn": {"events:PutEvents"},
    },
    "Digest": {
        "Table.Arn": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem"},
        "Table.Arn/index/journal": {"dynamodb:Query"},
        f"{PARAMETER}Ruleset": {"ssm:GetParameter"},
        RULESET_PARTS: {"ssm:GetParameter"},
        "Digests": {"sns:Publish"},
    },
    "Rebuild": {
        "Table.Arn": {
            "dynamodb:Scan",
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
        },
        f"{PARAMETER}Ruleset": {"ssm:GetParameter"},
        RULESET_PARTS: {"ssm:GetParameter"},
        "EventsQueue.Arn": {"sqs:SendMessage"},
        "ChangesQueue.Arn": {"sqs:SendMessage"},
    },
    "Insights": {
        "Table.Arn": {
            "dynamodb:Scan",
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:DeleteItem",
        },
        f"{PARAMETER}Ruleset": {"ssm:GetParameter"},
        RULESET_PARTS: {"ssm:GetParameter"},
        "Bus.Arn": {"events:PutEvents"},
    },
    "Diff": {
        "Table.Arn": {"dynamodb:Scan", "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"},
        "Table.Arn/index/journal": {"dynamodb:Query"},
        f"{PARAMETER}Ruleset": {"ssm:GetParameter"},
        RULESET_PARTS: {"ssm:GetParameter"},
    },
    "Publish": {
        "Table.Arn": {"dynamodb:Query", "dynamodb:PutItem"},
        f"{PARAMETER}Ruleset": {"ssm:GetParameter", "ssm:PutParameter", "ssm:GetParameterHistory"},
        RULESET_PARTS: {"ssm:GetParameter", "ssm:PutParameter", "ssm:DeleteParameter"},
        "RebuildMachineStateMachine": {"states:StartExecution"},
    },
}
SENDING_ROUTES = {
    *("/batch", "/b", "/import", "/v1/batch", "/m"),
    *("/track", "/identify", "/page", "/screen", "/group", "/alias"),
    *("/t", "/i", "/p", "/s", "/g", "/a"),
}
SETTINGS_ROUTES = {"/projects/{key}/settings", "/sourceConfig"}
READING_ROUTES = {
    *("/leads", "/leads/{id}", "/leads/{id}/export", "/accounts", "/accounts/{id}", "/tiers", "/ruleset"),
    "/insights",
}
OPEN_ROUTES = {"/health", "/openapi.json"}
FEEDBACK_ROUTE = "/alerts/{id}/verdict"
PUBLISHING_ROUTES = {("PUT", "/ruleset"), ("GET", "/ruleset/history"), ("POST", "/ruleset/rollback")}
DIFF_ROUTE = ("POST", "/ruleset/diff")
PEOPLES_ROUTES = {f"/people{path}" for path in READING_ROUTES}
# What catches what no other route takes.
CATCH_ALL = {"", "/{proxy+}"}


@pytest.mark.parametrize("name", SETTINGS)
def test_environment_is_exactly_what_the_settings_class_reads(assembly: Assembly, name: str) -> None:
    function = assembly.properties("AWS::Lambda::Function")[f"{name}Function"]
    # What a setting may be without is there where the context asks for it.
    read = {field.name.upper() for field in fields(SETTINGS[name]) if field.type != "str | None"}

    assert set(function["Environment"]["Variables"]) == read | POWERTOOLS


def test_environment_refers_to_the_right_resources(assembly: Assembly, stage: Stage) -> None:
    shown = {
        f"{name}.{key}": assembly.show(value)
        for name, function in assembly.properties("AWS::Lambda::Function").items()
        for key, value in function["Environment"]["Variables"].items()
        if not key.startswith("POWERTOOLS_")
    }

    assert shown == {
        "IngestFunction.EVENTS_QUEUE_URL": "EventsQueue",
        "IngestFunction.WRITE_KEYS_PARAMETER": "WriteKeys",
        "ScoreFunction.TABLE_NAME": "Table",
        "ScoreFunction.EVENTS_QUEUE_URL": "EventsQueue",
        "ScoreFunction.CHANGES_QUEUE_URL": "ChangesQueue",
        "ScoreFunction.RULESET_PARAMETER": "Ruleset",
        "ScoreFunction.MAPPINGS_PARAMETER": "Mappings",
        "ScoreFunction.QUARANTINE_PARAMETER": "Quarantine",
        "ScoreFunction.RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
        "ScoreFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "ScoreFunction.RANK_SHARDS": str(stage.rank_shards),
        "NotifyFunction.TABLE_NAME": "Table",
        "NotifyFunction.ALERTS_TOPIC_ARN": "Alerts",
        "NotifyFunction.BUS_NAME": "Bus",
        "NotifyFunction.CHANGES_QUEUE_URL": "ChangesQueue",
        "NotifyFunction.RULESET_PARAMETER": "Ruleset",
        "NotifyFunction.RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
        "NotifyFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "NotifyFunction.RANK_SHARDS": str(stage.rank_shards),
        "NotifyFunction.STAGE": stage.name,
        "NotifyFunction.FEEDBACK_URL": "https://PublicApiRestApi.execute-api.AWS::Region.AWS::URLSuffix/v1",
        "ApiFunction.TABLE_NAME": "Table",
        "ApiFunction.EVENTS_QUEUE_URL": "EventsQueue",
        "ApiFunction.RULESET_PARAMETER": "Ruleset",
        "ApiFunction.RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
        "ApiFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "ApiFunction.RANK_SHARDS": str(stage.rank_shards),
        "EraseFunction.TABLE_NAME": "Table",
        "EraseFunction.EVENTS_QUEUE_URL": "EventsQueue",
        "EraseFunction.SWEEP_DELAY_SECONDS": str(30 + stage.score_timeout),
        "EraseFunction.TOMBSTONE_RETENTION_DAYS": str(stage.tombstone_retention_days),
        "EraseFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "EraseFunction.RANK_SHARDS": str(stage.rank_shards),
        "FeedbackFunction.TABLE_NAME": "Table",
        "FeedbackFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "FeedbackFunction.RANK_SHARDS": str(stage.rank_shards),
        "CoolFunction.TABLE_NAME": "Table",
        "CoolFunction.CHANGES_QUEUE_URL": "ChangesQueue",
        "CoolFunction.EVENTS_QUEUE_URL": "EventsQueue",
        "CoolFunction.BUS_NAME": "Bus",
        "CoolFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "CoolFunction.RANK_SHARDS": str(stage.rank_shards),
        "NurtureFunction.TABLE_NAME": "Table",
        "NurtureFunction.EVENTS_QUEUE_URL": "EventsQueue",
        "NurtureFunction.BUS_NAME": "Bus",
        "NurtureFunction.RULESET_PARAMETER": "Ruleset",
        "NurtureFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "NurtureFunction.RANK_SHARDS": str(stage.rank_shards),
        "DigestFunction.TABLE_NAME": "Table",
        "DigestFunction.DIGESTS_TOPIC_ARN": "Digests",
        "DigestFunction.RULESET_PARAMETER": "Ruleset",
        "DigestFunction.RULESET_TTL_SECONDS": str(stage.ruleset_ttl),
        "DigestFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "DigestFunction.RANK_SHARDS": str(stage.rank_shards),
        "DigestFunction.SETTLING_SECONDS": str(stage.digest_settling_seconds),
        "DigestFunction.STAGE": stage.name,
        "DiffFunction.TABLE_NAME": "Table",
        "DiffFunction.RULESET_PARAMETER": "Ruleset",
        "DiffFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "PublishFunction.TABLE_NAME": "Table",
        "PublishFunction.RULESET_PARAMETER": "Ruleset",
        "PublishFunction.SETTLING_SECONDS": str(stage.ruleset_ttl + stage.score_timeout + 1),
        "PublishFunction.REBUILD_MACHINE_ARN": "RebuildMachineStateMachine",
        "RebuildFunction.TABLE_NAME": "Table",
        "RebuildFunction.EVENTS_QUEUE_URL": "EventsQueue",
        "RebuildFunction.CHANGES_QUEUE_URL": "ChangesQueue",
        "RebuildFunction.RULESET_PARAMETER": "Ruleset",
        "RebuildFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "RebuildFunction.RANK_SHARDS": str(stage.rank_shards),
        "RebuildFunction.WORK_SECONDS": str(stage.rebuild_work_seconds),
        "InsightsFunction.TABLE_NAME": "Table",
        "InsightsFunction.BUS_NAME": "Bus",
        "InsightsFunction.RULESET_PARAMETER": "Ruleset",
        "InsightsFunction.EVENT_RETENTION_DAYS": str(stage.event_retention_days),
        "InsightsFunction.WORK_SECONDS": str(stage.insights_work_seconds),
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_powertools_knows_the_function_by_its_folder(assembly: Assembly, name: str) -> None:
    variables = assembly.properties("AWS::Lambda::Function")[f"{name}Function"]["Environment"]["Variables"]

    assert {key: variables[key] for key in POWERTOOLS} == {
        "POWERTOOLS_SERVICE_NAME": name.lower(),
        "POWERTOOLS_METRICS_NAMESPACE": "Leadscore",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def test_functions_run_on_the_runtime_they_are_built_for(assembly: Assembly, stage: Stage) -> None:
    host = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    wanted = host if stage.name == "local" else "arm64"
    functions = assembly.properties("AWS::Lambda::Function")

    assert set(functions) == {f"{name}Function" for name in SETTINGS}
    for function in functions.values():
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", [wanted])
        assert function["Handler"] == "handler.handler"
        assert [assembly.show(layer) for layer in function["Layers"]] == ["LayerVersion"]


def test_every_function_logs_json_to_its_own_group_which_forgets(assembly: Assembly, stage: Stage) -> None:
    groups = assembly.properties("AWS::Logs::LogGroup")
    functions = assembly.properties("AWS::Lambda::Function")
    used = {name: function["LoggingConfig"] for name, function in functions.items()}

    assert {assembly.show(each["LogGroup"]) for each in used.values()} == {f"{name}Log" for name in SETTINGS}
    assert {each["LogFormat"] for each in used.values()} == {"JSON"}
    assert {each["RetentionInDays"] for each in groups.values()} == {stage.log_retention_days}
    assert set(groups) == {f"{name}Log" for name in SETTINGS} | {
        "PublicApiAccessLog",
        "PublicApiExecutionLog",
        "PublicApiBeaconExecutionLog",
    }


@pytest.mark.parametrize("name", RIGHTS)
def test_role_may_do_what_the_flow_needs_and_nothing_else(assembly: Assembly, stage: Stage, name: str) -> None:
    role = assembly.properties("AWS::IAM::Role")[f"{name}Role"]
    policy = assembly.properties("AWS::IAM::Policy")[f"{name}RoleDefaultPolicy"]
    rights: dict[str, set[str]] = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        assert statement["Effect"] == "Allow"
        for resource in as_list(statement["Resource"]):
            named = assembly.show(resource).replace(f"/leadscore/{stage.name}/", "/leadscore/STAGE/")
            rights.setdefault(named, set()).update(as_list(statement["Action"]))

    assert "ManagedPolicyArns" not in role
    assert "Policies" not in role
    assert [assembly.show(each) for each in policy["Roles"]] == [f"{name}Role"]
    assert rights == RIGHTS[name] | {f"{name}Log.Arn": {"logs:CreateLogStream", "logs:PutLogEvents"}}


def test_what_links_reach_writes_alerts_and_desks_and_reads_no_log(assembly: Assembly) -> None:
    policy = assembly.properties("AWS::IAM::Policy")["FeedbackRoleDefaultPolicy"]
    partitions: dict[str, list[str]] = {
        action: statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
        if action.startswith("dynamodb:")
    }

    assert partitions == {
        "dynamodb:GetItem": ["ALERT#*", "DESK#*", "ID#*"],
        "dynamodb:BatchGetItem": ["ID#*"],
        "dynamodb:UpdateItem": ["ALERT#*"],
        "dynamodb:PutItem": ["DESK#*"],
    }


def test_functions_share_no_role(assembly: Assembly) -> None:
    functions = assembly.properties("AWS::Lambda::Function")

    assert {name: assembly.show(each["Role"]) for name, each in functions.items()} == {
        f"{name}Function": f"{name}Role.Arn" for name in SETTINGS
    }


def test_no_identity_policy_has_a_wildcard(assembly: Assembly, stage: Stage) -> None:
    statements = [
        statement
        for policy in assembly.properties("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    words = [
        assembly.show(word) for each in statements for key in ("Action", "Resource") for word in as_list(each[key])
    ]

    assert len(words) > 20
    # But for the parts of a large ruleset, which are named after what is in them.
    assert {word for word in words if "*" in word} == {f"{PARAMETER}/leadscore/{stage.name}/ruleset/*"}


def test_who_publishes_rulesets_reads_and_writes_no_lead(assembly: Assembly) -> None:
    policy = assembly.properties("AWS::IAM::Policy")["PublishRoleDefaultPolicy"]
    statements = policy["PolicyDocument"]["Statement"]
    of_the_table = [each for each in statements if any("dynamodb:" in action for action in as_list(each["Action"]))]

    assert [each["Condition"] for each in of_the_table] == [
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["RULESETS"]}}
    ]


def test_one_managed_policy_for_the_accounts_api_logs(assembly: Assembly) -> None:
    managed = [
        assembly.show(arn)
        for role in assembly.properties("AWS::IAM::Role").values()
        for arn in role.get("ManagedPolicyArns", [])
    ]

    assert managed == ["arn:AWS::Partition:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"]


def test_queues_call_their_functions_and_learn_which_messages_failed(assembly: Assembly, stage: Stage) -> None:
    mappings = {
        assembly.show(each["EventSourceArn"]): each
        for each in assembly.properties("AWS::Lambda::EventSourceMapping").values()
    }

    assert {source: assembly.show(each["FunctionName"]) for source, each in mappings.items()} == {
        "EventsQueue.Arn": "ScoreFunction",
        "ChangesQueue.Arn": "NotifyFunction",
    }
    for mapping in mappings.values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        is_fifo = assembly.show(mapping["EventSourceArn"]) == "ChangesQueue.Arn"
        # Lambda takes ten messages of a FIFO queue at most, and refuses to wait for more.
        assert mapping["BatchSize"] == (10 if is_fifo else stage.batch_size)
        assert mapping.get("MaximumBatchingWindowInSeconds", 0) == (0 if is_fifo else stage.batch_window)
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": stage.max_concurrency}


@pytest.mark.parametrize(("queue", "consumer"), [("EventsQueue", "ScoreFunction"), ("ChangesQueue", "NotifyFunction")])
def test_a_message_stays_hidden_for_as_long_as_its_function_may_work(
    assembly: Assembly, stage: Stage, queue: str, consumer: str
) -> None:
    hidden = assembly.properties("AWS::SQS::Queue")[queue]["VisibilityTimeout"]
    timeout = assembly.properties("AWS::Lambda::Function")[consumer]["Timeout"]

    assert hidden >= timeout * (1 if stage.name == "local" else 6)


def test_poison_reaches_the_local_dead_letter_queue_while_somebody_waits(local: Assembly) -> None:
    queue = local.properties("AWS::SQS::Queue")["EventsQueue"]

    assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] <= 20


def test_every_function_rings_when_it_raises(assembly: Assembly) -> None:
    alarms = [
        each
        for each in assembly.properties("AWS::CloudWatch::Alarm").values()
        if (each["Namespace"], each["MetricName"]) == ("AWS/Lambda", "Errors")
    ]

    assert {assembly.show(each["Dimensions"][0]["Value"]) for each in alarms} == {
        f"{name}Function" for name in SETTINGS
    }


def _routes(assembly: Assembly) -> dict[tuple[str, str], dict[str, Any]]:
    resources = assembly.properties("AWS::ApiGateway::Resource")

    def path(reference: Any) -> str:
        shown = assembly.show(reference)
        if shown not in resources:
            return ""
        return f"{path(resources[shown]['ParentId'])}/{resources[shown]['PathPart']}"

    methods = assembly.properties("AWS::ApiGateway::Method").values()
    return {(each["HttpMethod"], path(each["ResourceId"])): each for each in methods}


def test_routes_are_the_sdks_paths_and_those_of_readers(assembly: Assembly, stage: Stage) -> None:
    routes = _routes(assembly)

    assert set(routes) == (
        {("POST", path) for path in SENDING_ROUTES}
        | {(verb, path) for path in SETTINGS_ROUTES for verb in ("GET", "HEAD")}
        | {("OPTIONS", path) for path in SENDING_ROUTES | SETTINGS_ROUTES}
        | {
            ("GET", path)
            for path in READING_ROUTES | OPEN_ROUTES | (PEOPLES_ROUTES if stage.signs_people_in else set())
        }
        | {("DELETE", "/leads/{id}")}
        | {(verb, FEEDBACK_ROUTE) for verb in ("GET", "POST", "PUT")}
        | PUBLISHING_ROUTES
        | {DIFF_ROUTE}
        | {("ANY", path) for path in CATCH_ALL}
    )


def test_sending_needs_a_write_key_and_reading_and_erasing_a_signature(assembly: Assembly) -> None:
    def wanted(verb: str, path: str) -> tuple[str, str]:
        if path in SENDING_ROUTES | SETTINGS_ROUTES | CATCH_ALL:
            return "NONE", "IngestFunction.Arn"
        if path in OPEN_ROUTES:
            return "NONE", "ApiFunction.Arn"
        if (verb, path) == DIFF_ROUTE:
            return "AWS_IAM", "DiffFunction.Arn"
        if (verb, path) in PUBLISHING_ROUTES:
            return "AWS_IAM", "PublishFunction.Arn"
        if path == FEEDBACK_ROUTE:
            return "AWS_IAM" if verb == "PUT" else "NONE", "FeedbackFunction.Arn"
        if verb == "DELETE":
            return "AWS_IAM", "EraseFunction.Arn"
        return "COGNITO_USER_POOLS" if path in PEOPLES_ROUTES else "AWS_IAM", "ApiFunction.Arn"

    for (verb, path), method in _routes(assembly).items():
        if verb != "OPTIONS":
            authorization, function = wanted(verb, path)
            assert method["AuthorizationType"] == authorization
            assert method["Integration"]["Type"] == "AWS_PROXY"
            assert function in assembly.show(method["Integration"]["Uri"])


def test_what_no_route_is_for_reaches_no_function_that_can_read(assembly: Assembly) -> None:
    reached = {assembly.show(_routes(assembly)["ANY", path]["Integration"]["Uri"]) for path in CATCH_ALL}
    statements = assembly.properties("AWS::IAM::Policy")["IngestRoleDefaultPolicy"]["PolicyDocument"]["Statement"]

    assert all("IngestFunction.Arn" in uri for uri in reached)
    assert not any("dynamodb" in action for each in statements for action in as_list(each["Action"]))


def test_one_permission_a_function_lets_its_own_trigger_and_no_other_call_it(assembly: Assembly) -> None:
    permissions = {
        assembly.show(each["FunctionName"]): (each["Principal"], assembly.show(each["SourceArn"]))
        for each in assembly.properties("AWS::Lambda::Permission").values()
    }

    assert set(permissions) == {
        f"{name}Function.Arn"
        for name in ("Api", "Cool", "Diff", "Digest", "Erase", "Feedback", "Ingest", "Nurture", "Publish")
    }
    for scheduled in ("Cool", "Digest", "Nurture"):
        assert permissions.pop(f"{scheduled}Function.Arn")[0] == "events.amazonaws.com"
    for principal, source in permissions.values():
        assert principal == "apigateway.amazonaws.com"
        assert source.endswith(":PublicApiRestApi/*/*/*")


def test_a_sweep_comes_back_when_nobody_can_be_at_work_who_was_when_it_was_sent(assembly: Assembly) -> None:
    functions = assembly.properties("AWS::Lambda::Function")
    delay = int(functions["EraseFunction"]["Environment"]["Variables"]["SWEEP_DELAY_SECONDS"])

    # The lead is erased at the latest when `erase` ends, and who had read it before ends at the latest a timeout later.
    assert functions["EraseFunction"]["Timeout"] + functions["ScoreFunction"]["Timeout"] < delay <= 900


def test_whoever_asks_for_an_erasure_waits_no_longer_than_the_gateway(assembly: Assembly) -> None:
    assert assembly.properties("AWS::Lambda::Function")["EraseFunction"]["Timeout"] <= 29


def test_erased_ids_are_kept_out_for_longer_than_anything_waits_to_be_delivered(
    assembly: Assembly, stage: Stage
) -> None:
    waits = [queue["MessageRetentionPeriod"] for queue in assembly.properties("AWS::SQS::Queue").values()]

    assert stage.tombstone_retention_days > max(stage.event_retention_days, max(waits) / 86400)


def test_cool_runs_every_minute_and_its_next_run_is_its_retry(assembly: Assembly) -> None:
    schedule, target = _schedule(assembly, "CoolFunction.Arn")

    assert (schedule["ScheduleExpression"], schedule["State"]) == ("rate(1 minute)", "ENABLED")
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0}


def test_nurture_runs_once_a_day_and_where_it_has_told_itself_to_go_on(assembly: Assembly) -> None:
    schedule, _ = _schedule(assembly, "NurtureFunction.Arn")
    continuing = [
        each["EventPattern"]
        for each in assembly.properties("AWS::Events::Rule").values()
        if "EventPattern" in each and assembly.show(each["Targets"][0]["Arn"]) == "NurtureFunction.Arn"
    ]

    assert (schedule["ScheduleExpression"], schedule["State"]) == ("cron(0 6 * * ? *)", "ENABLED")
    assert continuing == [{"source": [BUS_SOURCE], "detail-type": [NURTURING_CONTINUES]}]


def test_nurture_writes_marks_of_people_and_counts_of_days_and_nothing_else(assembly: Assembly) -> None:
    policy = assembly.properties("AWS::IAM::Policy")["NurtureRoleDefaultPolicy"]
    writing = [
        each
        for each in policy["PolicyDocument"]["Statement"]
        if {"dynamodb:PutItem", "dynamodb:UpdateItem"} & set(as_list(each["Action"]))
    ]

    assert [each["Condition"] for each in writing] == [
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["ID#*", "NURTURE#*"]}}
    ]


def test_digest_runs_at_the_quarters_of_the_hour_and_its_next_run_is_its_retry(assembly: Assembly) -> None:
    schedule, target = _schedule(assembly, "DigestFunction.Arn")

    assert (schedule["ScheduleExpression"], schedule["State"]) == ("cron(0/15 * * * ? *)", "ENABLED")
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    retries = {
        assembly.show(each["FunctionName"]): each["MaximumRetryAttempts"]
        for each in assembly.properties("AWS::Lambda::EventInvokeConfig").values()
    }
    assert retries["DigestFunction"] == 0


def test_digest_writes_nothing_but_its_own_notes(assembly: Assembly) -> None:
    statements = assembly.properties("AWS::IAM::Policy")["DigestRoleDefaultPolicy"]["PolicyDocument"]["Statement"]
    [writing] = [each for each in statements if "dynamodb:PutItem" in as_list(each["Action"])]

    assert as_list(writing["Action"]) == ["dynamodb:PutItem"]
    assert writing["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["DIGEST"]}}


def test_insights_write_what_was_learned_and_nothing_of_a_lead(assembly: Assembly) -> None:
    statements = assembly.properties("AWS::IAM::Policy")["InsightsRoleDefaultPolicy"]["PolicyDocument"]["Statement"]
    [writing] = [each for each in statements if "dynamodb:PutItem" in as_list(each["Action"])]

    assert set(as_list(writing["Action"])) == {"dynamodb:PutItem", "dynamodb:DeleteItem"}
    assert writing["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["LEARNING"]}}


def test_digests_are_mailed_where_the_context_has_a_sender_and_to_its_own_domain_alone() -> None:
    mailing, dev = Assembly(assemblies() / "teams", "dev"), assembly_of("dev")
    policy = mailing.properties("AWS::IAM::Policy")["DigestRoleDefaultPolicy"]["PolicyDocument"]["Statement"]
    [sending] = [each for each in policy if each["Action"] == "ses:SendEmail"]
    variables = mailing.properties("AWS::Lambda::Function")["DigestFunction"]["Environment"]["Variables"]
    plain = dev.properties("AWS::Lambda::Function")["DigestFunction"]["Environment"]["Variables"]

    assert [mailing.show(each) for each in sending["Resource"]] == [
        f"arn:AWS::Partition:ses:AWS::Region:AWS::AccountId:identity/{name}"
        for name in ("alerts@company.example", "company.example")
    ]
    assert sending["Condition"] == {
        "StringEquals": {"ses:FromAddress": "alerts@company.example"},
        "ForAllValues:StringLike": {"ses:Recipients": "*@company.example"},
    }
    assert variables["DIGEST_FROM"] == "alerts@company.example"
    assert "DIGEST_FROM" not in plain


def _schedule(assembly: Assembly, function: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schedule that calls a function, and its one target."""
    rules = [each for each in assembly.properties("AWS::Events::Rule").values() if "ScheduleExpression" in each]
    [schedule] = [each for each in rules if assembly.show(each["Targets"][0]["Arn"]) == function]
    [target] = schedule["Targets"]
    return schedule, target


def test_preflight_is_answered_by_the_gateway_with_what_the_sdks_send(assembly: Assembly) -> None:
    preflights = {path: method for (verb, path), method in _routes(assembly).items() if verb == "OPTIONS"}

    for path, method in preflights.items():
        integration = method["Integration"]
        [response] = integration["IntegrationResponses"]
        headers = {
            name.removeprefix("method.response.header."): value.strip("'")
            for name, value in response["ResponseParameters"].items()
        }
        # Without the conversion a stage on which every type is binary answers preflights with 500.
        assert (integration["Type"], integration["ContentHandling"]) == ("MOCK", "CONVERT_TO_TEXT")
        assert headers == SECURITY_HEADERS | {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET,HEAD,OPTIONS" if path in SETTINGS_ROUTES else "POST,OPTIONS",
            "Access-Control-Allow-Headers": "authorization,content-type,anonymousid,sentat,x-retry-count,x-write-key,"
            "rsa-recovered,rsa-retry-attempt,rsa-retry-reason,rsa-since-first-attempt,rsa-since-last-attempt",
            "Access-Control-Expose-Headers": "Retry-After",
            "Access-Control-Max-Age": "7200",
        }


def test_bodies_arrive_as_the_bytes_that_were_sent(assembly: Assembly) -> None:
    api = assembly.properties("AWS::ApiGateway::RestApi")["PublicApiRestApi"]

    assert api["BinaryMediaTypes"] == ["*/*"]
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_api_keeps_its_address(assembly: Assembly) -> None:
    """SDKs in other people's products hold this API's host name: a changed logical id would make a new one."""
    resources = assembly.template("stateless")["Resources"]

    assert [name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::RestApi"] == [
        "PublicApiRestApi65D0C252"
    ]


def test_stages_are_v1_and_the_beacons_throttled_and_log_neither_address_nor_query(
    assembly: Assembly, stage: Stage
) -> None:
    deployed = list(assembly.properties("AWS::ApiGateway::Stage").values())

    assert sorted(each["StageName"] for each in deployed) == ["beacon", "v1"]
    assert len({assembly.show(each["DeploymentId"]) for each in deployed}) == 1
    for each in deployed:
        log_format = each["AccessLogSetting"]["Format"]
        [settings_of_all] = each["MethodSettings"]
        assert settings_of_all["ThrottlingRateLimit"] == stage.api_requests_per_second
        assert settings_of_all["ThrottlingBurstLimit"] == stage.api_burst
        assert settings_of_all["DataTraceEnabled"] is False
        assert "$context.requestId" in log_format
        assert "sourceIp" not in log_format
        assert "$context.path" not in log_format
        assert assembly.show(each["AccessLogSetting"]["DestinationArn"]).endswith(":PublicApiAccessLog")


def test_outputs_name_everything_that_a_user_needs(assembly: Assembly) -> None:
    names = {name for stack in STACKS for name in assembly.template(stack)["Outputs"]}

    assert names >= {
        *("ApiId", "ApiUrl", "TableName", "RulesetParameter", "WriteKeysParameter", "BusName"),
        *("EventsQueueUrl", "EventsDlqUrl", "ChangesQueueUrl", "ChangesDlqUrl", "AlertsTopicArn", "OpsTopicArn"),
        *(f"{name}{suffix}" for name in SETTINGS for suffix in ("Function", "LogGroup")),
    }
