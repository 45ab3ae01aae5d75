"""With a usage plan before the API, reading sends the readers' key, signed with the rest; sending events does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from leadscore_cli.api_client import ApiClient
from leadscore_cli.outputs import Deployment
from leadscore_cli.target import Target
from tests.unit.test_cli_outputs import CDK_OUTPUTS

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest


@dataclass
class Answer:
    """What the API sends back."""

    status_code: int = 200
    content: bytes = b'{"leads": [], "next_cursor": null, "at": "now"}'


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[AWSPreparedRequest]:
    sent: list[AWSPreparedRequest] = []

    def send(_session: URLLib3Session, request: AWSPreparedRequest) -> Answer:
        sent.append(request)
        return Answer()

    monkeypatch.setattr(URLLib3Session, "send", send)
    return sent


def target(region: str) -> Target:
    session = boto3.Session("AKIDEXAMPLE", "secret", region_name=region)
    return Target(Deployment.from_cdk("dev", region, CDK_OUTPUTS), session, endpoint_url=None, write_key=None)


def test_the_readers_key_of_the_environment_goes_with_every_read(
    requests: list[AWSPreparedRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_API_KEY", "readers-key")
    with target("eu-west-1").api() as api:
        api.leads()
        api.send("write-key", [])
    reading, sending = requests
    assert reading.headers["x-api-key"] == "readers-key"
    assert "x-api-key" in str(reading.headers["Authorization"])
    assert "x-api-key" not in sending.headers


def test_without_one_none_is_sent(requests: list[AWSPreparedRequest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADSCORE_API_KEY", raising=False)
    with target("eu-west-1").api() as api:
        api.leads()
    with ApiClient("https://api.example/v1", "eu-west-1", Credentials("AKIDEXAMPLE", "secret")) as api:
        api.leads()
    assert not any("x-api-key" in request.headers for request in requests)
