"""What remembers: pinned in place, kept where it must be, and never a queue without its safety net."""

from __future__ import annotations

import json

import pytest

from infra.stages import Stage
from tests.contract.leads_table import ATTRIBUTES, INDEXES, KEY_SCHEMA
from tests.infra.synthesize_stages import PARTNER_BUS
from tests.infra.synthesized import ROOT, STACKS, Assembly, as_list, assemblies

# A changed logical id makes CloudFormation replace the resource, and with it everything that it remembers.
PINNED = {
    "AWS::DynamoDB::Table": {"TableCD117FA1"},
    "AWS::SSM::Parameter": {"Mappings02DEF699", "Quarantine23FF09FE", "Ruleset6227EC3D", "WriteKeys3188BAF3"},
    "AWS::SQS::Queue": {
        "EventsQueue7396B467",
        "EventsDeadLetters8A90034E",
        "ChangesQueueD86756A9",
        "ChangesDeadLetters18B289EF",
    },
    "AWS::Events::EventBus": {"BusEA82B648"},
    "AWS::SNS::Topic": {"Alerts91F83244", "DigestsBE0C6DEB", "OpsA097D252"},
}


PHYSICAL_NAMES = {
    ("AWS::CloudWatch::Alarm", "AlarmName"),
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::Events::EventBus", "Name"),
    ("AWS::Events::Rule", "Name"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::Lambda::Function", "FunctionName"),
    ("AWS::Lambda::LayerVersion", "LayerName"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
    ("AWS::SNS::Topic", "TopicName"),
    ("AWS::SQS::Queue", "QueueName"),
}


@pytest.mark.parametrize("kind", PINNED)
def test_logical_ids_of_what_remembers_are_pinned(assembly: Assembly, kind: str) -> None:
    resources = assembly.template("stateful")["Resources"]

    assert {name for name, each in resources.items() if each["Type"] == kind} == PINNED[kind]


@pytest.mark.parametrize("kind", PINNED)
def test_prod_keeps_what_remembers_when_its_stack_goes(assembly: Assembly, stage: Stage, kind: str) -> None:
    wanted = "Retain" if stage.name == "prod" else "Delete"

    for resource in assembly.resources(kind).values():
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (wanted, wanted)


def test_nothing_that_remembers_is_in_the_stateless_stack(assembly: Assembly) -> None:
    kinds = {each["Type"] for each in assembly.template("stateless")["Resources"].values()}

    assert kinds.isdisjoint(PINNED)


def test_table_has_keys_ttl_recovery_and_protection(assembly: Assembly, stage: Stage) -> None:
    table = assembly.properties("AWS::DynamoDB::Table")["Table"]

    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == KEY_SCHEMA
    assert table["GlobalSecondaryIndexes"] == INDEXES
    assert sorted(table["AttributeDefinitions"], key=lambda each: each["AttributeName"]) == ATTRIBUTES
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["DeletionProtectionEnabled"] is (stage.name == "prod")


def test_only_prod_cannot_be_deleted_by_mistake(assembly: Assembly, stage: Stage) -> None:
    manifest = json.loads((assembly.folder / "manifest.json").read_text(encoding="utf-8"))

    stateful = manifest["artifacts"][f"leadscore-{stage.name}-stateful"]["properties"]
    assert stateful.get("terminationProtection", False) is (stage.name == "prod")


def test_ruleset_parameter_holds_the_ruleset_file_as_canonical_json(assembly: Assembly) -> None:
    from leadscore.core.parsing import parse_ruleset

    value = assembly.properties("AWS::SSM::Parameter")["Ruleset"]["Value"]

    assert value == parse_ruleset((ROOT / "infra" / "ruleset.yaml").read_text(encoding="utf-8")).document
    assert value == json.dumps(json.loads(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_parameters_have_names_that_people_can_type(assembly: Assembly, stage: Stage) -> None:
    names = {name: each["Name"] for name, each in assembly.properties("AWS::SSM::Parameter").items()}

    assert names == {
        "Ruleset": f"/leadscore/{stage.name}/ruleset",
        "Mappings": f"/leadscore/{stage.name}/mappings",
        "Quarantine": f"/leadscore/{stage.name}/quarantine",
        "WriteKeys": f"/leadscore/{stage.name}/write-keys",
    }


def test_nothing_else_has_a_name_that_stands_in_the_way_of_its_replacement(assembly: Assembly, stage: Stage) -> None:
    """The bus must have one, so it gets one that holds the stage; the execution logs' are API Gateway's own."""
    named = {
        f"{name} {key}": assembly.show(value)
        for stack in STACKS
        for name, resource in assembly.template(stack)["Resources"].items()
        for key, value in resource["Properties"].items()
        if (resource["Type"], key) in PHYSICAL_NAMES
    }
    bus = named.pop("BusEA82B648 Name")

    assert bus.startswith(f"leadscore{stage.name}statefulBus")
    assert named == {
        "PublicApiExecutionLog52E32ECE LogGroupName": "API-Gateway-Execution-Logs_PublicApiRestApi/v1",
        "PublicApiBeaconExecutionLog82E0D150 LogGroupName": "API-Gateway-Execution-Logs_PublicApiRestApi/beacon",
    }


def test_ruleset_parameter_grows_beyond_4_kb_by_itself(assembly: Assembly) -> None:
    assert assembly.properties("AWS::SSM::Parameter")["Ruleset"]["Tier"] == "Intelligent-Tiering"


def test_what_was_pushed_survives_a_deployment_that_does_not_change_the_ruleset_file(assembly: Assembly) -> None:
    """CloudFormation writes the file's value over it along with any change of the parameter: nothing else may change.

    Where one of these has to, people lose what they pushed since, until they push it again.
    """
    ruleset = assembly.properties("AWS::SSM::Parameter")["Ruleset"]

    assert {name: value for name, value in ruleset.items() if name not in {"Name", "Value", "Tags"}} == {
        "Description": "The published ruleset, as JSON",
        "Tier": "Intelligent-Tiering",
        "Type": "String",
    }


def test_write_keys_survive_a_deployment(assembly: Assembly) -> None:
    """CloudFormation writes a parameter when its template value changes; a literal that never changes never is."""
    assert assembly.properties("AWS::SSM::Parameter")["WriteKeys"]["Value"] == "[]"


def test_every_queue_has_a_dead_letter_queue_that_rings_at_the_first_message(assembly: Assembly, stage: Stage) -> None:
    queues = assembly.properties("AWS::SQS::Queue")
    redrives = {name: each["RedrivePolicy"] for name, each in queues.items() if "RedrivePolicy" in each}
    dead_letters = {assembly.show(each["deadLetterTargetArn"]).removesuffix(".Arn") for each in redrives.values()}

    assert set(redrives) == {"EventsQueue", "ChangesQueue"}
    assert set(redrives) | dead_letters == set(queues)
    assert {each["maxReceiveCount"] for each in redrives.values()} == {stage.max_receive_count}
    alarms = [
        each
        for each in assembly.properties("AWS::CloudWatch::Alarm").values()
        if each["MetricName"] == "ApproximateNumberOfMessagesVisible"
    ]
    assert {assembly.show(each["Dimensions"][0]["Value"]) for each in alarms} == {
        f"{q}.QueueName" for q in dead_letters
    }
    assert {(each["Threshold"], each["ComparisonOperator"]) for each in alarms} == {(0, "GreaterThanThreshold")}


def test_dead_letters_outlive_the_queue_they_come_from(assembly: Assembly) -> None:
    """A message keeps its age when it moves, so equal retentions could delete it on arrival."""
    queues = assembly.properties("AWS::SQS::Queue")

    for name in ("Events", "Changes"):
        kept = queues[f"{name}Queue"]["MessageRetentionPeriod"]
        assert queues[f"{name}DeadLetters"]["MessageRetentionPeriod"] >= kept + 7 * 86400


def test_queues_are_encrypted(assembly: Assembly) -> None:
    for queue in assembly.properties("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize(
    ("kind", "policies", "of"),
    [
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics"),
    ],
)
def test_queues_and_topics_refuse_plain_connections(assembly: Assembly, kind: str, policies: str, of: str) -> None:
    protected = set()
    for policy in assembly.properties(policies).values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny":
                assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                assert statement["Principal"] in ("*", {"AWS": "*"})
                protected |= {assembly.show(each) for each in policy[of]}

    assert protected == set(assembly.resources(kind))


def test_resource_policies_let_only_named_services_in(assembly: Assembly) -> None:
    allowed = {
        (statement["Principal"]["Service"], assembly.show(statement["Resource"]))
        for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
        for policy in assembly.properties(kind).values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and statement["Condition"]
    }

    assert allowed == {
        ("events.amazonaws.com", "EventsQueue.Arn"),
        ("events.amazonaws.com", "EventsDeadLetters.Arn"),
        ("cloudwatch.amazonaws.com", "Ops"),
    }


def test_bus_feeds_the_events_queue_and_not_with_our_own_announcements(assembly: Assembly) -> None:
    rules = assembly.properties("AWS::Events::Rule").values()
    [rule] = [
        each for each in rules if "source" in each.get("EventPattern", {}) and "detail-type" not in each["EventPattern"]
    ]
    [target] = rule["Targets"]

    assert assembly.show(rule["EventBusName"]) == "Bus"
    assert rule["State"] == "ENABLED"
    assert rule["EventPattern"] == {"source": [{"anything-but": {"prefix": "leadscore"}}]}
    assert assembly.show(target["Arn"]) == "EventsQueue.Arn"
    assert assembly.show(target["DeadLetterConfig"]["Arn"]) == "EventsDeadLetters.Arn"
    # The whole envelope: the normaliser reads `source` and `detail-type` too.
    assert not {"Input", "InputPath", "InputTransformer"} & set(target)


def test_alerts_are_encrypted_and_go_to_the_address_of_the_context(assembly: Assembly) -> None:
    subscriptions = assembly.properties("AWS::SNS::Subscription").values()

    assert assembly.properties("AWS::SNS::Topic")["Alerts"]["KmsMasterKeyId"] == "alias/aws/sns"
    assert {(assembly.show(s["TopicArn"]), s["Protocol"], s["Endpoint"]) for s in subscriptions} == {
        ("Alerts", "email", "sales@company.example"),
        ("Ops", "email", "ops@company.example"),
    }


def test_digests_are_encrypted_and_that_for_all_goes_to_the_address_of_the_context(assembly: Assembly) -> None:
    mailing = Assembly(assemblies() / "teams", "dev")
    to_all = [
        each
        for each in mailing.properties("AWS::SNS::Subscription").values()
        if mailing.show(each["TopicArn"]) == "Digests"
    ]

    assert assembly.properties("AWS::SNS::Topic")["Digests"]["KmsMasterKeyId"] == "alias/aws/sns"
    assert [(each["Protocol"], each["Endpoint"], each["FilterPolicy"]) for each in to_all] == [
        ("email", "team@company.example", {"owner": ["*"]})
    ]


def test_every_alarm_tells_the_ops_topic_what_it_means(assembly: Assembly) -> None:
    for alarm in assembly.properties("AWS::CloudWatch::Alarm").values():
        assert [assembly.show(action) for action in as_list(alarm["AlarmActions"])] == ["Ops"]
        assert alarm["TreatMissingData"] == "notBreaching"
        assert len(alarm["AlarmDescription"].split()) > 5


def test_a_partner_bus_of_the_context_feeds_the_events_queue() -> None:
    guarded = Assembly(assemblies() / "guarded", "dev")
    rules = guarded.properties("AWS::Events::Rule").values()
    [rule] = [each for each in rules if each.get("EventBusName") == PARTNER_BUS]
    [target] = rule["Targets"]

    assert rule["EventPattern"] == {"source": [{"prefix": "aws.partner/"}]}
    assert guarded.show(target["Arn"]) == "EventsQueue.Arn"
    assert guarded.show(target["DeadLetterConfig"]["Arn"]) == "EventsDeadLetters.Arn"
