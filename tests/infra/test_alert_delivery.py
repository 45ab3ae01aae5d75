"""What the context adds to the alerts topic: routes with their filters, Slack in order, chats; and nothing unasked."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from infra.alert_routes import load_alert_routes
from infra.chat import ChatError, parse_channel
from infra.stages import stage_named
from leadscore.adapters.settings import NotifySettings, SlackSettings
from leadscore.core.alert_messages import ATTRIBUTES, filter_attributes
from tests.infra.synthesize_stages import ALERTS, TEAMS_CHANNEL
from tests.infra.synthesized import ROOT, Assembly, as_list, assemblies
from tests.unit.alerts import ALERT

POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
PARAMETER = "arn:AWS::Partition:ssm:AWS::Region:AWS::AccountId:parameter/leadscore/dev/slack"
ROUTES = load_alert_routes(ROOT / ALERTS["alert_routes"])


@pytest.fixture
def guarded() -> Assembly:
    return Assembly(assemblies() / "guarded", "dev")


@pytest.fixture
def function(guarded: Assembly) -> dict[str, Any]:
    return guarded.properties("AWS::Lambda::Function")["SlackFunction"]


def subscription(guarded: Assembly, name: str) -> dict[str, Any]:
    return guarded.properties("AWS::SNS::Subscription")[f"Delivery{name}Subscription"]


def test_unasked_there_is_nothing(assembly: Assembly) -> None:
    assert "SlackFunction" not in assembly.properties("AWS::Lambda::Function")
    assert set(assembly.resources("AWS::SNS::Topic")) == {"Alerts", "Digests", "Ops"}
    assert not assembly.file("chat").exists()


def test_each_route_is_a_subscription_with_its_own_filter(guarded: Assembly) -> None:
    told = {
        name: (
            each["Protocol"],
            guarded.show(each["Endpoint"]),
            guarded.show(each["TopicArn"]),
            each.get("FilterPolicy"),
        )
        for name, each in guarded.properties("AWS::SNS::Subscription").items()
        if name.startswith("Delivery")
    }
    arn = "arn:aws:sqs:eu-central-1:111122223333"

    assert told == {
        "DeliverySalesSubscription": ("sqs", "DeliverySalesQueue.Arn", "DeliveryInOrder", None),
        "DeliveryBigDealsSubscription": (
            "sqs",
            "DeliveryBigDealsQueue.Arn",
            "DeliveryInOrder",
            {"tier": ["hot"], "fit": [{"numeric": [">=", 20]}]},
        ),
        "DeliveryEmeaSubscription": (
            "email",
            "emea@company.example",
            "Alerts",
            {"owner": ["Eve Hill", {"prefix": "Bo "}], "score": [{"numeric": [">", 60]}]},
        ),
        "DeliveryCrmSubscription": ("sqs", f"{arn}:crm", "Alerts", None),
        "DeliveryLedgerSubscription": ("sqs", f"{arn}:ledger.fifo", "DeliveryInOrder", {"reason": ["hand_raise"]}),
        "DeliveryRouterSubscription": (
            "lambda",
            "arn:aws:lambda:eu-central-1:111122223333:function:router",
            "Alerts",
            None,
        ),
    }


def test_queues_get_the_alert_itself_and_not_an_envelope(guarded: Assembly) -> None:
    raw = {
        name
        for name, each in guarded.properties("AWS::SNS::Subscription").items()
        if each.get("RawMessageDelivery") is True
    }
    assert raw == {f"Delivery{name}Subscription" for name in ("Sales", "BigDeals", "Crm", "Ledger")}


def test_what_sns_cannot_hand_to_a_slack_queue_is_kept_in_its_dead_letter_queue(guarded: Assembly) -> None:
    for name in ("Sales", "BigDeals"):
        redrive = subscription(guarded, name)["RedrivePolicy"]
        assert guarded.show(redrive["deadLetterTargetArn"]) == f"Delivery{name}DeadLetters.Arn"


def test_sns_may_send_to_the_slack_queues_from_their_topic_alone(guarded: Assembly) -> None:
    allowed = {
        (guarded.show(statement["Resource"]), guarded.show(statement["Condition"]["ArnEquals"]["aws:SourceArn"]))
        for policy in guarded.properties("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "sns.amazonaws.com"}
    }
    assert allowed == {
        (f"Delivery{name}{queue}.Arn", "DeliveryInOrder")
        for name in ("Sales", "BigDeals")
        for queue in ("Queue", "DeadLetters")
    }


def test_order_takes_a_fifo_topic_and_fifo_queues_whose_names_hold_the_stage(guarded: Assembly) -> None:
    topic = guarded.properties("AWS::SNS::Topic")["DeliveryInOrder"]
    queues = [each for name, each in guarded.properties("AWS::SQS::Queue").items() if name.startswith("Delivery")]

    assert topic["FifoTopic"] is True
    assert topic["TopicName"].startswith("leadscoredevstateful-")
    assert topic["TopicName"].endswith(".fifo")
    assert topic["KmsMasterKeyId"] == "alias/aws/sns"
    # The publisher's id of the alert tells a repeat; equal contents of two alerts must both arrive.
    assert not topic.get("ContentBasedDeduplication")
    assert [(each["FifoQueue"], each["SqsManagedSseEnabled"]) for each in queues] == [(True, True)] * 4


def test_slack_queues_have_dead_letters_alarms_and_time_for_their_function(
    guarded: Assembly, function: dict[str, Any]
) -> None:
    stage = stage_named("dev")
    watched = {
        guarded.show(each["Dimensions"][0]["Value"])
        for each in guarded.properties("AWS::CloudWatch::Alarm").values()
        if each["Namespace"] == "AWS/SQS"
    }
    for name in ("Sales", "BigDeals"):
        queue = guarded.properties("AWS::SQS::Queue")[f"Delivery{name}Queue"]
        assert guarded.show(queue["RedrivePolicy"]["deadLetterTargetArn"]) == f"Delivery{name}DeadLetters.Arn"
        assert queue["RedrivePolicy"]["maxReceiveCount"] == stage.max_receive_count
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert {f"Delivery{name}Queue.QueueName", f"Delivery{name}DeadLetters.QueueName"} <= watched


def test_slack_takes_one_alert_at_a_time(guarded: Assembly) -> None:
    mappings = [
        each
        for each in guarded.properties("AWS::Lambda::EventSourceMapping").values()
        if guarded.show(each["FunctionName"]) == "SlackFunction"
    ]
    sources = {guarded.show(each["EventSourceArn"]) for each in mappings}

    assert sources == {"DeliverySalesQueue.Arn", "DeliveryBigDealsQueue.Arn"}
    for mapping in mappings:
        assert mapping["BatchSize"] == 1
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert "MaximumBatchingWindowInSeconds" not in mapping


def test_slack_is_told_where_and_no_secret(guarded: Assembly, function: dict[str, Any]) -> None:
    variables = {key: guarded.show(value) for key, value in function["Environment"]["Variables"].items()}

    assert set(variables) == {field.name.upper() for field in fields(SlackSettings)} | POWERTOOLS
    assert json.loads(variables["SLACK_QUEUES"]) == {
        "sales": ["DeliverySalesQueue", "DeliverySalesDeadLetters"],
        "big-deals": ["DeliveryBigDealsQueue", "DeliveryBigDealsDeadLetters"],
    }
    assert (variables["SLACK_PARAMETERS"], variables["PLAIN_LOOPBACK"]) == ("/leadscore/dev/slack/", "0")
    queue = guarded.properties("AWS::SQS::Queue")["DeliverySalesQueue"]
    assert int(variables["MAX_RECEIVES"]) == queue["RedrivePolicy"]["maxReceiveCount"]
    assert not [each for each in guarded.properties("AWS::SSM::Parameter").values() if "slack" in each["Name"]]
    assert guarded.show(guarded.template("stateful")["Outputs"]["SlackQueues"]["Value"]) == variables["SLACK_QUEUES"]


def test_only_the_local_stage_posts_in_plain_http() -> None:
    local = Assembly(assemblies() / "guarded-local", "local")
    variables = local.properties("AWS::Lambda::Function")["SlackFunction"]["Environment"]["Variables"]

    assert variables["PLAIN_LOOPBACK"] == "1"


def test_slack_may_touch_its_own_partitions_queues_and_secrets_and_nothing_else(guarded: Assembly) -> None:
    policy = guarded.properties("AWS::IAM::Policy")["SlackRoleDefaultPolicy"]
    rights: dict[str, set[str]] = {}
    conditions = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        for resource in as_list(statement["Resource"]):
            rights.setdefault(guarded.show(resource), set()).update(as_list(statement["Action"]))
            conditions[guarded.show(resource)] = statement.get("Condition")
    queue = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"}

    assert rights == {
        "SlackLog.Arn": {"logs:CreateLogStream", "logs:PutLogEvents"},
        "Table.Arn": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        f"{PARAMETER}/sales": {"ssm:GetParameter"},
        f"{PARAMETER}/big-deals": {"ssm:GetParameter"},
        "DeliverySalesQueue.Arn": queue,
        "DeliveryBigDealsQueue.Arn": queue,
        "DeliverySalesDeadLetters.Arn": {"sqs:SendMessage"},
        "DeliveryBigDealsDeadLetters.Arn": {"sqs:SendMessage"},
    }
    assert conditions["Table.Arn"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["SLACK#sales", "SLACK#big-deals"]}
    }


def test_notify_publishes_on_every_topic_there_is(guarded: Assembly) -> None:
    variables = guarded.properties("AWS::Lambda::Function")["NotifyFunction"]["Environment"]["Variables"]
    policy = guarded.properties("AWS::IAM::Policy")["NotifyRoleDefaultPolicy"]["PolicyDocument"]
    publishing = [each for each in policy["Statement"] if "sns:Publish" in as_list(each["Action"])]

    assert set(variables) <= {field.name.upper() for field in fields(NotifySettings)} | POWERTOOLS
    assert guarded.show(variables["ORDERED_ALERTS_TOPIC_ARN"]) == "DeliveryInOrder"
    assert guarded.show(variables["CHAT_TOPIC_ARN"]) == "DeliveryChat"
    assert {guarded.show(topic) for each in publishing for topic in as_list(each["Resource"])} == {
        "Alerts",
        "DeliveryInOrder",
        "DeliveryChat",
    }


def test_sns_may_call_the_function_of_a_route(guarded: Assembly) -> None:
    permission = guarded.properties("AWS::Lambda::Permission")["DeliveryRouterPermission"]

    assert permission["FunctionName"] == "arn:aws:lambda:eu-central-1:111122223333:function:router"
    assert (permission["Principal"], guarded.show(permission["SourceArn"])) == ("sns.amazonaws.com", "Alerts")


def test_every_topic_refuses_plain_connections(guarded: Assembly) -> None:
    protected = {
        guarded.show(topic)
        for policy in guarded.properties("AWS::SNS::TopicPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        for topic in policy["Topics"]
    }
    topics = {"Alerts", "Digests", "Ops", "DeliveryInOrder", "DeliveryChat"}
    assert protected == set(guarded.resources("AWS::SNS::Topic")) == topics


@pytest.mark.parametrize("folder", ["guarded", "teams"])
def test_a_chat_shows_its_topic_and_may_do_nothing(folder: str) -> None:
    built = Assembly(assemblies() / folder, "dev")
    resources = built.template("chat")["Resources"].values()
    [role] = [each["Properties"] for each in resources if each["Type"] == "AWS::IAM::Role"]
    [channel] = [each for each in resources if each["Type"].startswith("AWS::Chatbot::")]
    settings = channel["Properties"]

    assert [built.show(topic) for topic in settings["SnsTopicArns"]] == ["DeliveryChat"]
    assert [built.show(policy) for policy in settings["GuardrailPolicies"]] == [
        "arn:AWS::Partition:iam::aws:policy/AWSDenyAll"
    ]
    assert not {"Policies", "ManagedPolicyArns"} & set(role)
    assert [each["Type"] for each in resources if each["Type"] == "AWS::IAM::Policy"] == []
    if folder == "guarded":
        assert (settings["SlackWorkspaceId"], settings["SlackChannelId"]) == ("T0123", "C0456")
    else:
        assert f"teams:{settings['TeamsTenantId']}/{settings['TeamId']}/{settings['TeamsChannelId']}" == TEAMS_CHANNEL


def test_the_local_stage_leaves_the_chat_out() -> None:
    asked = Assembly(assemblies() / "guarded-local", "local")

    assert not asked.file("chat").exists()
    assert set(asked.resources("AWS::SNS::Topic")) == {"Alerts", "Digests", "Ops", "DeliveryInOrder"}


@pytest.mark.parametrize("text", ["T0123/C0456", "slack:T0123", "slack:https://x/y", "teams:a/b/c", "irc:#sales", ""])
def test_a_channel_that_is_none_is_answered_with_the_forms(text: str) -> None:
    with pytest.raises(ChatError, match=r"slack:WORKSPACE/CHANNEL or teams:TENANT/TEAM/CHANNEL"):
        parse_channel(text)


def test_what_a_route_filters_by_is_what_an_alert_has() -> None:
    used = {attribute for route in ROUTES for attribute in route.when or ()}

    assert used <= set(filter_attributes(ALERT)) == set(ATTRIBUTES)
