"""The ingest function as it is wired: recorded requests in, SQS messages, metrics and answers out, nothing leaked."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from tests.functions.envelopes import basic, proxy_event

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

# Recorded from segment-analytics-python 2.4.0, pointed at a local server: one event of each type, plain and gzip.
RECORDED = json.loads((Path(__file__).parent / "recorded" / "segment_python.json").read_text())
KEY = "wk_recorded_key"
PARAMETER = "/leadscore/test/write-keys"
EVENT = {"type": "track", "event": "Trial Started", "userId": "person-7", "messageId": "m1"}


@dataclass
class Context:
    """What Powertools reads of a Lambda context."""

    function_name: str = "ingest"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:111122223333:function:ingest"
    aws_request_id: str = "11111111-2222-3333-4444-555555555555"


@dataclass
class Deployed:
    """The function's module in an account of its own."""

    module: ModuleType
    sqs: SQSClient
    ssm: SSMClient
    queue_url: str

    def call(self, envelope: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        # A logger keeps the output of the moment it was made in, which pytest has replaced since.
        self.module.logger.registered_handler.stream = sys.stdout
        response = self.module.handler(envelope, Context())
        return response["statusCode"], json.loads(response["body"])

    def messages(self) -> list[dict[str, Any]]:
        bodies: list[str] = []
        while found := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in found]
        return sorted((json.loads(body) for body in bodies), key=lambda message: str(message["event"]["type"]))


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with mock_aws():
        sqs, ssm = boto3.client("sqs"), boto3.client("ssm")
        url = sqs.create_queue(QueueName="events")["QueueUrl"]
        publish_key(ssm, KEY)
        monkeypatch.setenv("EVENTS_QUEUE_URL", url)
        monkeypatch.setenv("WRITE_KEYS_PARAMETER", PARAMETER)
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "ingest")
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Leadscore")
        sys.modules.pop("functions.ingest.handler", None)
        yield Deployed(importlib.import_module("functions.ingest.handler"), sqs, ssm, url)


def publish_key(ssm: SSMClient, key: str, **rest: object) -> None:
    entries = [{"source": "default", "sha256": sha256(key.encode()).hexdigest(), **rest}]
    ssm.put_parameter(Name=PARAMETER, Value=json.dumps(entries), Type="String", Overwrite=True)


def metrics_in(output: str) -> dict[str, Any]:
    return {name: value for name, value in blob_in(output).items() if name != "_aws"}


def blob_in(output: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    blobs: list[dict[str, Any]] = [line for line in lines if "_aws" in line]
    (found,) = blobs
    return found


def counted_by(output: str) -> list[set[str]]:
    """The sets of dimensions that the one metrics blob in the output is counted by."""
    [directive] = blob_in(output)["_aws"]["CloudWatchMetrics"]
    return [set(dimensions) for dimensions in directive["Dimensions"]]


@pytest.mark.parametrize("recording", ["plain", "gzip"])
def test_what_the_segment_sdk_sends_is_queued(ingest: Deployed, recording: str) -> None:
    sent = RECORDED[recording]
    envelope = proxy_event(sent["path"], b64decode(sent["body_base64"]), headers=sent["headers"])
    assert ingest.call(envelope) == (200, {"success": True, "accepted": 6, "rejected": []})
    messages = ingest.messages()
    assert {message["source"] for message in messages} == {"default"}
    events = {message["event"]["type"]: message["event"] for message in messages}
    assert events.keys() == {"alias", "group", "identify", "page", "screen", "track"}
    assert events["identify"]["traits"] == {"email": "ada@acme.example", "title": "CEO"}
    assert (events["identify"]["userId"], events["identify"]["anonymousId"]) == ("u-1", "a-1")
    assert (events["track"]["event"], events["track"]["properties"]) == ("Trial Started", {"plan": "pro"})
    assert (events["page"]["name"], events["page"]["properties"]) == (
        "Pricing",
        {"path": "/pricing", "category": "docs"},
    )
    assert events["screen"]["name"] == "Home"
    assert (events["group"]["groupId"], events["group"]["traits"]) == ("acme", {"name": "Acme", "employees": 300})
    assert (events["alias"]["previousId"], events["alias"]["userId"]) == ("a-1", "u-1")
    raw = json.loads(plain_body(sent))["batch"]
    assert {event["messageId"] for event in events.values()} == {event["messageId"] for event in raw}
    assert all("anonymousId" not in event for kind, event in events.items() if kind != "identify")


def plain_body(sent: dict[str, Any]) -> bytes:
    body = b64decode(sent["body_base64"])
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


def test_a_browser_sends_plain_text_with_its_key_in_the_body(ingest: Deployed) -> None:
    body = json.dumps({**EVENT, "writeKey": KEY, "sentAt": "2026-03-01T12:00:00.000Z"})
    headers = {"Content-Type": "text/plain", "Origin": "https://product.example"}
    assert ingest.call(proxy_event("/t", body, headers=headers)) == (
        200,
        {"success": True, "accepted": 1, "rejected": []},
    )
    assert ingest.messages()[0]["event"]["userId"] == "person-7"


def test_good_neighbours_of_a_bad_event_are_queued_and_counted(
    ingest: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = {"batch": [EVENT, {"type": "track", "userId": "person-7"}, {**EVENT, "messageId": "m2"}]}
    status, answer = ingest.call(proxy_event("/batch", json.dumps(batch), headers=basic(KEY)))
    assert (status, answer["accepted"]) == (200, 2)
    assert [(bad["index"], bad["code"]) for bad in answer["rejected"]] == [(1, "missing_field")]
    assert sorted(message["event"]["messageId"] for message in ingest.messages()) == ["m1", "m2"]
    emitted = metrics_in(capsys.readouterr().out)
    assert (emitted["EventsAccepted"], emitted["EventsRejected"], emitted["source"]) == ([2.0], [1.0], "default")


def test_a_bad_event_on_its_own_path_is_a_400(ingest: Deployed) -> None:
    status, answer = ingest.call(proxy_event("/track", json.dumps({"event": "E"}), headers=basic(KEY)))
    assert (status, answer["code"], sorted(answer)) == (400, "missing_id", ["code", "message"])


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (basic("wrong"), json.dumps(EVENT), 401, "invalid_write_key"),
        ({}, json.dumps(EVENT), 401, "missing_write_key"),
        (basic(KEY), "{", 400, "unreadable_body"),
        (basic(KEY), '"' + "x" * (5 * 1024 * 1024) + '"', 413, "body_too_large"),
    ],
)
def test_a_refused_request_has_a_code_and_a_message_and_queues_nothing(
    ingest: Deployed,
    capsys: pytest.CaptureFixture[str],
    headers: dict[str, str],
    body: str,
    status: int,
    code: str,
) -> None:
    answered, answer = ingest.call(proxy_event("/track", body, headers=headers))
    assert (answered, answer["code"], sorted(answer)) == (status, code, ["code", "message"])
    assert ingest.messages() == []
    assert metrics_in(capsys.readouterr().out)["code"] == code


def test_a_refused_request_is_counted_by_its_source_where_a_key_told_it(
    ingest: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.call(proxy_event("/track", "{", headers=basic(KEY)))
    output = capsys.readouterr().out
    assert counted_by(output) == [{"service", "code"}, {"service", "source"}]
    assert {name: metrics_in(output)[name] for name in ("service", "code", "source", "RequestsRefused")} == {
        "service": "ingest",
        "code": "unreadable_body",
        "source": "default",
        "RequestsRefused": [1.0],
    }
    ingest.call(proxy_event("/track", "{", headers=basic("wrong")))
    output = capsys.readouterr().out
    assert counted_by(output) == [{"service", "code"}]


def test_a_bound_key_is_refused_in_other_peoples_pages_which_may_read_why(ingest: Deployed) -> None:
    publish_key(ingest.ssm, KEY, origins=["https://app.example"])
    body = json.dumps({**EVENT, "writeKey": KEY})
    own, other = (
        ingest.module.handler(
            proxy_event("/t", body, headers={"Content-Type": "text/plain", "Origin": origin}), Context()
        )
        for origin in ("https://app.example", "https://evil.example")
    )
    assert (own["statusCode"], other["statusCode"]) == (200, 403)
    assert json.loads(other["body"]).keys() == {"code", "message"}
    assert json.loads(other["body"])["code"] == "origin_not_allowed"
    assert {answer["headers"]["Access-Control-Allow-Origin"] for answer in (own, other)} == {"*"}
    assert [message["event"]["messageId"] for message in ingest.messages()] == ["m1"]


def test_five_hundred_events_are_queued_each_once(ingest: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    batch = [{**EVENT, "messageId": f"m{number}", "userId": f"u{number % 7}"} for number in range(500)]
    status, answer = ingest.call(proxy_event("/batch", json.dumps({"batch": batch}).encode(), headers=basic(KEY)))
    assert (status, answer) == (200, {"success": True, "accepted": 500, "rejected": []})
    attributes = ingest.sqs.get_queue_attributes(
        QueueUrl=ingest.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "500"
    assert metrics_in(capsys.readouterr().out)["EventsAccepted"] == [500.0]


@pytest.mark.parametrize("path", ["/projects/wk_any/settings", "/sourceConfig/"])
def test_settings_are_there_for_any_key_and_without_parameter_store(
    ingest: Deployed, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.ssm.delete_parameter(Name=PARAMETER)
    status, document = ingest.call(proxy_event(path, None, method="GET", headers={"Origin": "https://app.example"}))
    assert status == 200
    assert document
    assert metrics_in(capsys.readouterr().out)["DocumentsServed"] == [1.0]
    response = ingest.module.handler(proxy_event(path, None, method="HEAD"), Context())
    assert (response["statusCode"], response["body"]) == (200, "")


def test_every_answer_has_the_headers_of_a_careful_server(ingest: Deployed) -> None:
    envelopes = [
        proxy_event("/track", json.dumps(EVENT), headers=basic(KEY)),
        proxy_event("/track", "{", headers=basic(KEY)),
        proxy_event("/track", "{}", headers=basic("wrong")),
        proxy_event("/nowhere", "{}", headers=basic(KEY)),
        proxy_event("/sourceConfig", None, method="GET"),
        proxy_event("/m", "{}"),
        {},
    ]
    answers = [ingest.module.handler(envelope, Context()) for envelope in envelopes]
    assert [answer["statusCode"] for answer in answers] == [200, 400, 401, 404, 200, 200, 500]
    for answer in answers:
        headers = answer["headers"]
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Strict-Transport-Security"].startswith("max-age=")
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Cache-Control"]


def test_a_revoked_key_is_refused_within_a_minute(ingest: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    envelope = proxy_event("/track", json.dumps(EVENT), headers=basic(KEY))
    assert ingest.call(envelope)[0] == 200
    publish_key(ingest.ssm, "another")
    later = ingest.module.utc_now() + timedelta(seconds=60)
    monkeypatch.setattr(ingest.module.write_keys, "_clock", lambda: later)
    assert ingest.call(envelope)[0] == 401


def test_when_the_queue_fails_the_sdk_is_told_to_come_back(ingest: Deployed) -> None:
    ingest.sqs.delete_queue(QueueUrl=ingest.queue_url)
    response = ingest.module.handler(proxy_event("/track", json.dumps(EVENT), headers=basic(KEY)), Context())
    assert (response["statusCode"], json.loads(response["body"])["code"]) == (503, "unavailable")
    assert response["headers"]["Retry-After"] == "1"


def test_our_own_failure_is_a_500_that_names_the_request_alone(ingest: Deployed) -> None:
    ingest.ssm.put_parameter(Name=PARAMETER, Value="not a key list", Overwrite=True)
    status, answer = ingest.call(proxy_event("/track", json.dumps(EVENT), headers=basic(KEY)))
    assert (status, answer["code"]) == (500, "internal_error")
    assert "11111111-2222-3333-4444-555555555555" in answer["message"]
    assert "not a key list" not in answer["message"]


SECRET = "ada@acme.example"
# By id: an event that holds the secret somewhere, and the status that it is answered with.
LEAKY_EVENTS: dict[str, tuple[dict[str, object], int]] = {
    "taken": ({"userId": SECRET, "event": "E", "properties": {SECRET: SECRET}}, 200),
    "prototype-like keys": ({"userId": SECRET, "event": "E", "properties": {"__proto__": {"x": SECRET}}}, 200),
    "an id that is an object": ({"userId": {SECRET: 1}, "event": "E"}, 400),
    "a timestamp": ({"userId": "u1", "event": "E", "timestamp": SECRET}, 400),
    "a type": ({"userId": "u1", "type": SECRET}, 400),
    "a lone surrogate": ({"userId": "u1", "event": "E", "properties": {SECRET: "\ud800" + SECRET}}, 400),
    "a message id": ({"userId": "u1", "event": "E", "messageId": {SECRET: SECRET}}, 400),
    "a long key": ({"userId": "u1", "event": "E", "properties": {SECRET * 100: 1}}, 400),
    "a long id": ({"userId": SECRET * 100, "event": "E"}, 400),
    "a large number": ({"userId": "u1", "event": "E", "properties": {SECRET: 10**400}}, 400),
    "an event that is no text": ({"userId": "u1", "event": [SECRET]}, 400),
    "properties that are none": ({"userId": "u1", "event": "E", "properties": SECRET}, 400),
    "context that is none": ({"userId": "u1", "event": "E", "context": [SECRET]}, 400),
    "too large": ({"userId": "u1", "event": "E", "properties": {"x": SECRET * 3000}}, 400),
}
LEAKY_REQUESTS: dict[str, tuple[dict[str, Any], int]] = {
    "a body that is none": (proxy_event("/track", SECRET, headers=basic(KEY)), 400),
    "a body cut short": (proxy_event("/track", '{"userId": "' + SECRET, headers=basic(KEY)), 400),
    "damaged gzip": (proxy_event("/track", b"\x1f\x8b" + SECRET.encode(), headers=basic(KEY)), 400),
    "no batch": (proxy_event("/batch", json.dumps({SECRET: SECRET}), headers=basic(KEY)), 400),
    "a key twice": (proxy_event("/batch", f'{{"{SECRET}": 1, "{SECRET}": 2, "batch": []}}', headers=basic(KEY)), 400),
    "a wrong key": (proxy_event("/track", "{}", headers=basic(SECRET), query={"writeKey": SECRET}), 401),
    "an origin": (proxy_event("/track", "{", headers={**basic(KEY), "Origin": f"https://{SECRET}"}), 400),
    "a path": (proxy_event(f"/{SECRET}", "{}", headers=basic(KEY)), 404),
    "a method": (proxy_event("/track", "{}", headers=basic(KEY), method=SECRET), 405),
    "settings of a key that is none": (proxy_event(f"/projects/{SECRET}/settings", None, method="GET"), 200),
    "headers": (proxy_event("/track", "{", headers={**basic(KEY), "SentAt": SECRET, "AnonymousId": SECRET}), 400),
}


@pytest.mark.parametrize(
    ("envelope", "status"),
    [(proxy_event("/track", json.dumps(event), headers=basic(KEY)), status) for event, status in LEAKY_EVENTS.values()]
    + list(LEAKY_REQUESTS.values()),
    ids=[*LEAKY_EVENTS, *LEAKY_REQUESTS],
)
def test_nothing_that_was_sent_is_answered_or_logged(
    ingest: Deployed, capsys: pytest.CaptureFixture[str], envelope: dict[str, Any], status: int
) -> None:
    answered, answer = ingest.call(envelope)
    written = capsys.readouterr()
    assert answered == status
    assert "_aws" in written.out
    everything = written.out + written.err + json.dumps(answer)
    assert SECRET not in everything
    assert KEY not in everything


def test_nothing_that_was_sent_is_logged_when_the_queue_fails(
    ingest: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.sqs.delete_queue(QueueUrl=ingest.queue_url)
    event, _ = LEAKY_EVENTS["taken"]
    status, answer = ingest.call(proxy_event("/track", json.dumps(event), headers=basic(KEY)))
    written = capsys.readouterr()
    assert status == 503
    assert "the queue did not take the events" in written.out
    assert SECRET not in written.out + written.err + json.dumps(answer)


def test_an_error_that_nobody_foresaw_is_logged_by_its_place_and_not_by_its_words(
    ingest: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ValueError(f"invalid literal for int(): {SECRET!r}")

    monkeypatch.setattr(ingest.module, "ingest_events", stumble)
    status, answer = ingest.call(proxy_event("/track", json.dumps(EVENT), headers=basic(KEY)))
    written = capsys.readouterr()
    assert (status, answer["code"]) == (500, "internal_error")
    assert "ValueError" in written.out
    assert "in stumble" in written.out
    assert SECRET not in written.out + written.err + json.dumps(answer)


def test_how_an_event_came_goes_along_with_it_and_not_into_it(
    ingest: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
    headers = {"Origin": "https://product.example", "User-Agent": agent, "Sec-Purpose": "prefetch;prerender"}
    assert ingest.call(proxy_event("/t", json.dumps({**EVENT, "writeKey": KEY}), headers=headers))[0] == 200
    [message] = ingest.messages()
    assert message["edge"] == {"ip": "192.0.2.1", "userAgent": agent, "prefetch": True}
    assert not {"192.0.2.1", agent} & {str(value) for value in message["event"].values()}
    out = capsys.readouterr().out
    assert agent not in out
    assert "192.0.2.1" not in out


@pytest.mark.parametrize("recording", ["plain", "gzip"])
def test_an_sdk_on_a_server_is_not_judged_by_its_own_name(ingest: Deployed, recording: str) -> None:
    sent = RECORDED[recording]
    assert "user-agent" in {name.lower() for name in sent["headers"]}
    ingest.call(proxy_event(sent["path"], b64decode(sent["body_base64"]), headers=sent["headers"]))
    assert [message["edge"] for message in ingest.messages()] == [{"ip": "192.0.2.1"}] * 6
