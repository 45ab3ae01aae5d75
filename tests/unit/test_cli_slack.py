"""`leadscore slack` on the terminal: the secret goes in and nowhere else, and a test says what Slack answered."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from typer.testing import CliRunner

from leadscore.core.alerts import Alert
from leadscore.core.slack_destination import Bot, Webhook, parse_destination
from leadscore_cli import slack
from leadscore_cli.main import app

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

WEBHOOK = "https://hooks.slack.com/services/T0/B0/s3cret"
TOKEN = "xoxb-1234567890-s3cret"


@dataclass
class FakeTarget:
    """A stage with the route `sales`, of which Parameter Store and the function are there."""

    deployment: SimpleNamespace
    answer: dict[str, Any] = field(default_factory=dict)
    called: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def ssm(self) -> Iterator[SSMClient]:
        yield boto3.client("ssm")

    @contextmanager
    def lambdas(self, wait_seconds: int) -> Iterator[FakeTarget]:
        assert wait_seconds > 30
        yield self

    def invoke(self, **call: Any) -> dict[str, Any]:
        if not self.answer:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "Invoke")
        self.called.append(call)
        payload = io.BytesIO(json.dumps(self.answer).encode())
        return {"StatusCode": 200, "Payload": payload, **({"FunctionError": "x"} if "errorType" in self.answer else {})}


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTarget]:
    with mock_aws():
        built = FakeTarget(SimpleNamespace(slack_queues={"sales": ["q", "d"]}, functions={"slack": "slack-1"}))
        monkeypatch.setattr(slack, "target_of_project", lambda _stage: built)
        yield built


def run(*arguments: str, typed: str = "", stage: str = "dev") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["slack", *arguments, "--stage", stage], input=typed)
    return result.exit_code, " ".join(result.output.split())


def stored(stage: str = "dev") -> tuple[str, str]:
    found = boto3.client("ssm").get_parameter(Name=f"/leadscore/{stage}/slack/sales", WithDecryption=True)["Parameter"]
    return found["Type"], found["Value"]


def test_a_webhook_is_stored_as_a_secret_and_shown_nowhere(target: FakeTarget) -> None:
    status, said = run("set", "sales", typed=f"  {WEBHOOK}\n")

    assert (status, stored()) == (0, ("SecureString", WEBHOOK))
    assert parse_destination(stored()[1]) == Webhook(WEBHOOK)
    assert "s3cret" not in said
    assert "without threads" in said


def test_a_token_is_stored_with_its_channel(target: FakeTarget) -> None:
    assert run("set", "sales", "--channel", "C0123456", typed=TOKEN)[0] == 0
    assert parse_destination(stored()[1]) == Bot(TOKEN, "C0123456")


def test_it_can_be_replaced(target: FakeTarget) -> None:
    run("set", "sales", typed=WEBHOOK)
    run("set", "sales", typed=f"{WEBHOOK}2")
    assert stored()[1] == f"{WEBHOOK}2"


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ([], "s3cret"),
        ([], ""),
        ([], "http://127.0.0.1:9/s3cret"),
        (["--channel", "C0123456"], "s3cret"),
        (["--channel", "#s3cret"], TOKEN),
    ],
)
def test_what_is_no_destination_is_refused_before_it_is_stored(
    target: FakeTarget, options: list[str], typed: str
) -> None:
    status, said = run("set", "sales", *options, typed=typed)

    assert (status, "this is no " in said, "s3cret" in said) == (1, True, False)
    with pytest.raises(ClientError):
        stored()


def test_only_the_local_stage_takes_an_address_of_this_machine(target: FakeTarget) -> None:
    assert run("set", "sales", typed="http://127.0.0.1:9/x", stage="local")[0] == 0
    assert stored("local")[1] == "http://127.0.0.1:9/x"


@pytest.mark.parametrize("command", ["set", "test"])
def test_an_unknown_route_is_answered_with_those_there_are(target: FakeTarget, command: str) -> None:
    assert run(command, "support", typed=WEBHOOK) == (
        1,
        "leadscore: no Slack route 'support' is deployed; there is sales",
    )
    target.deployment.slack_queues = {}
    assert "alert_routes=FILE" in run(command, "sales", typed=WEBHOOK)[1]


def test_the_example_goes_through_the_deployed_function(target: FakeTarget) -> None:
    target.answer = {"outcome": "posted", "reason": ""}
    status, said = run("test", "sales")

    assert (status, "has taken an example" in said) == (0, True)
    [call] = target.called
    asked = json.loads(call["Payload"])
    assert (call["FunctionName"], asked["try"]) == ("slack-1", "sales")
    assert "this is a test of the route sales" in Alert.from_dict(asked["alert"]).leads[0].next_step


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"outcome": "failed", "reason": "channel_is_archived"}, "nothing was posted: channel_is_archived"),
        ({"errorType": "Timeout"}, "leadscore logs slack"),
        ({}, "cannot be called"),
    ],
)
def test_an_example_that_does_not_arrive_says_why(target: FakeTarget, answer: dict[str, str], told: str) -> None:
    target.answer = answer
    status, said = run("test", "sales")

    assert status == 1
    assert told in said
