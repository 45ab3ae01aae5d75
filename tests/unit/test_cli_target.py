"""A command talks to the local stage while that lives, or to the stage of an account that its name says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from leadscore_cli.aws import local_session
from leadscore_cli.emulator_process import PLACE_FILE
from leadscore_cli.failures import CommandError
from leadscore_cli.locks import take_lock
from leadscore_cli.outputs import Deployment, LocalOutputs
from leadscore_cli.target import choose_target
from tests.unit.test_cli_outputs import CDK_OUTPUTS


class CloudFormation:
    """The one call that is used, over the outputs of each stack."""

    def __init__(self, stacks: dict[str, dict[str, str]]) -> None:
        self._stacks = stacks

    def describe_stacks(self, *, StackName: str) -> dict[str, object]:  # noqa: N803
        if StackName not in self._stacks:
            error = {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}
            raise ClientError({"Error": error}, "DescribeStacks")  # type: ignore[typeddict-item]
        outputs = self._stacks[StackName].items()
        return {"Stacks": [{"Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs]}]}

    def close(self) -> None:
        pass


def deploy(monkeypatch: pytest.MonkeyPatch, **stacks: dict[str, str]) -> None:
    client = CloudFormation({f"leadscore-dev-{part}": outputs for part, outputs in stacks.items()})
    monkeypatch.setattr(boto3.Session, "client", lambda _session, _service: client)


def test_a_deployed_stage_is_the_outputs_of_its_two_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(CDK_OUTPUTS)
    halves = [{name: CDK_OUTPUTS[name] for name in half} for half in (names[:8], names[8:])]
    deploy(monkeypatch, stateful=halves[0], stateless=halves[1])

    target = choose_target("dev", tmp_path)

    assert target.deployment == Deployment.from_cdk("dev", "us-east-1", CDK_OUTPUTS)
    assert (target.endpoint_url, target.write_key) == (None, None)


@pytest.mark.parametrize(
    ("stage", "missing"), [("prod", "leadscore-prod-stateful"), ("dev", "leadscore-dev-stateless")]
)
def test_a_stack_that_is_not_deployed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, missing: str
) -> None:
    deploy(monkeypatch, stateful=CDK_OUTPUTS)

    with pytest.raises(CommandError, match=missing):
        choose_target(stage, tmp_path)


def test_without_a_region_the_account_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)

    with pytest.raises(CommandError, match="AWS_REGION"):
        choose_target("dev", tmp_path)


@pytest.fixture
def outputs(tmp_path: Path) -> LocalOutputs:
    saved = LocalOutputs(Deployment.from_cdk("local", "us-east-1", CDK_OUTPUTS), "http://127.0.0.1:2", 42, "key")
    saved.save(tmp_path)
    return saved


def test_the_local_stage_is_what_its_outputs_say_while_it_lives(tmp_path: Path, outputs: LocalOutputs) -> None:
    (tmp_path / PLACE_FILE).write_text('{"pid": 42, "aws_port": 2, "front_door_port": 1}')
    descriptor = take_lock(tmp_path / PLACE_FILE)

    target = choose_target("local", tmp_path)

    os.close(descriptor)
    assert target.deployment == outputs.deployment
    assert (target.endpoint_url, target.write_key) == (outputs.endpoint_url, outputs.write_key)


def test_outputs_of_an_emulator_that_is_gone_are_not_believed(tmp_path: Path, outputs: LocalOutputs) -> None:
    (tmp_path / PLACE_FILE).write_text(json.dumps({"pid": outputs.pid, "aws_port": 2, "front_door_port": 1}))

    with pytest.raises(CommandError, match="make up"):
        choose_target("local", tmp_path)


def test_the_local_session_ignores_the_callers_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = tmp_path / "config"
    profiles.write_text("[profile work]\nregion = eu-west-1\nendpoint_url = https://example.com\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
    monkeypatch.setenv("AWS_PROFILE", "work")

    session = local_session()

    assert session.region_name == "us-east-1"
    credentials = session.get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.token) == ("test", None)
