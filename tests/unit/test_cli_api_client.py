"""Requests carry what AWS checks, and answers that are no success become errors with code and message."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.credentials import Credentials
from botocore.exceptions import EndpointConnectionError
from botocore.httpsession import URLLib3Session

from leadscore_cli.api_client import ApiClient, ApiError
from leadscore_cli.failures import CommandError

BASE = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"


@dataclass
class Answer:
    """What the API sends back, and the requests that it got."""

    status_code: int = 200
    content: bytes = b"{}"
    requests: list[AWSPreparedRequest] = field(default_factory=list)

    @property
    def request(self) -> AWSPreparedRequest:
        (request,) = self.requests
        return request


type Answering = Callable[[Answer], Answer]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    def install(answer: Answer) -> Answer:
        def send(_session: URLLib3Session, request: AWSPreparedRequest) -> Answer:
            answer.requests.append(request)
            return answer

        monkeypatch.setattr(URLLib3Session, "send", send)
        return answer

    return install


def client(credentials: Credentials | None = None) -> ApiClient:
    return ApiClient(BASE, "eu-west-1", credentials or Credentials("AKIDEXAMPLE", "secret", "token"))


def header(request: AWSPreparedRequest, name: str) -> str:
    value = request.headers[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def test_accounts_are_read_under_their_own_paths(answering: Answering) -> None:
    answer = answering(Answer())

    with client() as api:
        api.accounts(tier="hot", min_score=12.5, limit=5, cursor="a+b=")
        api.account("Acme & Söhne/1")

    assert [request.url for request in answer.requests] == [
        f"{BASE}/accounts?tier=hot&min_score=12.500000&limit=5&cursor=a%2Bb%3D",
        f"{BASE}/accounts/Acme%20%26%20S%C3%B6hne%2F1",
    ]


def test_reading_is_signed_for_execute_api_in_its_region(answering: Answering) -> None:
    answer = answering(Answer(content=b'{"leads": [], "next_cursor": null, "at": "now"}'))

    with client() as api:
        page = api.leads(tier="hot", owner="Eve B/C", min_score=12.5, limit=5, cursor="a+b=")

    assert page["leads"] == []
    assert answer.request.url == f"{BASE}/leads?tier=hot&owner=Eve%20B%2FC&min_score=12.500000&limit=5&cursor=a%2Bb%3D"
    authorization = header(answer.request, "Authorization")
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/execute-api/aws4_request" in authorization
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in authorization


@pytest.mark.parametrize(("lead", "path"), [("ada@acme.example", "ada%40acme.example"), ("a/b c", "a%2Fb%20c")])
def test_an_id_is_one_segment_of_the_path(answering: Answering, lead: str, path: str) -> None:
    answer = answering(Answer())

    with client() as api:
        api.lead(lead)

    assert answer.request.url == f"{BASE}/leads/{path}"


def test_a_verdict_is_put_with_its_body_signed(answering: Answering) -> None:
    answer = answering(Answer(content=b'{"verdict": "junk"}'))
    with client() as api:
        assert api.judge("a/1", {"verdict": "junk", "lead": "ada"})["verdict"] == "junk"

    request = answer.request
    assert (request.method, request.url) == ("PUT", f"{BASE}/alerts/a%2F1/verdict")
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {"verdict": "junk", "lead": "ada"}
    assert header(request, "Content-Type") == "application/json"
    assert "/eu-west-1/execute-api/aws4_request" in header(request, "Authorization")


def test_events_go_with_the_write_key_and_no_signature(answering: Answering) -> None:
    answer = answering(Answer(content=b'{"success": true}'))

    with client() as api:
        api.send("write-key", [{"type": "page", "name": "Preisübersicht"}])

    assert base64.b64decode(header(answer.request, "Authorization").removeprefix("Basic ")) == b"write-key:"
    assert isinstance(answer.request.body, bytes)
    assert json.loads(answer.request.body) == {"batch": [{"type": "page", "name": "Preisübersicht"}]}


def test_a_refusal_tells_code_and_message(answering: Answering) -> None:
    answering(Answer(status_code=401, content=b'{"code": "bad_key", "message": "unknown write key"}'))

    with client() as api, pytest.raises(ApiError, match="401 bad_key: unknown write key") as refused:
        api.send("nonsense", [])

    assert (refused.value.status, refused.value.code) == (401, "bad_key")


@pytest.mark.parametrize("content", [b"<html>Bad gateway</html>", b"[]", b"\xff"])
def test_an_answer_that_is_no_json_object_is_still_an_error_in_words(answering: Answering, content: bytes) -> None:
    answering(Answer(status_code=502, content=content))

    with client() as api, pytest.raises(ApiError, match="502"):
        api.leads()


def test_no_answer_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_session: URLLib3Session, _request: AWSPreparedRequest) -> Answer:
        raise EndpointConnectionError(endpoint_url=BASE)

    monkeypatch.setattr(URLLib3Session, "send", send)

    with client() as api, pytest.raises(CommandError, match="got no answer"):
        api.leads()


def test_reading_without_credentials_says_so() -> None:
    with ApiClient(BASE, "eu-west-1", None) as api, pytest.raises(CommandError, match="needs AWS credentials"):
        api.leads()
