"""What a request of ours says of itself."""

from __future__ import annotations

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import EndpointConnectionError

from leadscore.adapters.clients import dynamodb_client


def test_requests_are_told_apart_by_their_user_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    sent: list[AWSPreparedRequest] = []

    def refuse(request: AWSPreparedRequest, **_: object) -> None:
        sent.append(request)
        raise EndpointConnectionError(endpoint_url=request.url)

    client = dynamodb_client()
    client.meta.events.register("before-send.dynamodb", refuse)
    with pytest.raises(EndpointConnectionError):
        client.get_item(TableName="leads", Key={"pk": {"S": "ID#1"}, "sk": {"S": "LEAD"}})
    agents = [request.headers["User-Agent"].split() for request in sent]
    # Powertools adds itself once it is imported.
    assert {agent[0] for agent in agents} == {b"leadscore"}
    assert not [part for agent in agents for part in agent if b"botocore" in part.lower()]
