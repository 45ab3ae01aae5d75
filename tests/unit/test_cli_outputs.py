"""What the stack is called is read from its outputs, and written where other tools look for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leadscore_cli.failures import CommandError
from leadscore_cli.outputs import OUTPUTS_FILE, Deployment, LocalOutputs, read_cdk_outputs

CDK_OUTPUTS = {
    "ApiId": "abc123",
    "ApiUrl": "https://abc123.execute-api.eu-west-1.amazonaws.com/v1/",
    "TableName": "leads",
    "EventsQueueUrl": "https://sqs/events",
    "EventsDlqUrl": "https://sqs/events-dlq",
    "ChangesQueueUrl": "https://sqs/changes",
    "ChangesDlqUrl": "https://sqs/changes-dlq",
    "AlertsTopicArn": "arn:aws:sns:eu-west-1:000000000000:alerts",
    "RulesetParameter": "/ruleset",
    "WriteKeysParameter": "/write-keys",
    "BusName": "bus",
    "RebuildMachineArn": "arn:aws:states:eu-west-1:000000000000:stateMachine:rebuild",
    "InsightsMachineArn": "arn:aws:states:eu-west-1:000000000000:stateMachine:insights",
    "EventRetentionDays": "400",
    "ScoreFunction": "score-1",
    "IngestFunction": "ingest-1",
    "IngestLogGroup": "/logs/ingest",
    "ExportsOutputRefTable": "leads",
}


def deployment() -> Deployment:
    return Deployment.from_cdk("dev", "eu-west-1", CDK_OUTPUTS)


def test_the_base_url_ends_in_v1() -> None:
    assert deployment().api == "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"


def test_functions_and_log_groups_go_by_their_short_names() -> None:
    assert deployment().functions == {"ingest": "ingest-1", "score": "score-1"}
    assert deployment().log_groups == {"ingest": "/logs/ingest"}


@pytest.mark.parametrize("missing", ["ApiUrl", "TableName", "WriteKeysParameter"])
def test_an_output_that_is_missing_is_named(missing: str) -> None:
    fewer = {name: value for name, value in CDK_OUTPUTS.items() if name != missing}

    with pytest.raises(CommandError, match=missing):
        Deployment.from_cdk("dev", "eu-west-1", fewer)


def test_outputs_of_all_stacks_are_read(tmp_path: Path) -> None:
    file = tmp_path / "cdk.json"
    file.write_text(json.dumps({"one": {"A": "1"}, "two": {"B": "2"}}))

    assert read_cdk_outputs(file) == {"A": "1", "B": "2"}


def test_local_outputs_are_one_flat_object_and_read_back_equal(tmp_path: Path) -> None:
    outputs = LocalOutputs(deployment().at("http://127.0.0.1:1/v1"), "http://127.0.0.1:2", 42, "key")

    outputs.save(tmp_path)

    fields = json.loads((tmp_path / OUTPUTS_FILE).read_text())
    assert {"api", "write_key", "endpoint_url", "region", "pid", "table", "ruleset_parameter"} <= set(fields)
    assert fields["api"] == "http://127.0.0.1:1/v1"
    assert LocalOutputs.load(tmp_path) == outputs


def test_the_file_with_the_write_key_is_its_owners_alone(tmp_path: Path) -> None:
    LocalOutputs(deployment(), "http://127.0.0.1:2", 42, "key").save(tmp_path)

    assert (tmp_path / OUTPUTS_FILE).stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [OUTPUTS_FILE]


@pytest.mark.parametrize("text", [None, "", "{", "{}", '{"write_key": "k", "endpoint_url": "e", "pid": 1}'])
def test_no_outputs_and_those_of_another_version_are_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / OUTPUTS_FILE).write_text(text)

    assert LocalOutputs.load(tmp_path) is None


def test_slack_routes_are_known_by_their_queues() -> None:
    assert deployment().slack_queues == {}
    routes = {"sales": ["https://sqs/sales.fifo", "https://sqs/sales-dlq.fifo"]}
    deployed = Deployment.from_cdk("dev", "eu-west-1", {**CDK_OUTPUTS, "SlackQueues": json.dumps(routes)})
    assert deployed.slack_queues == routes
