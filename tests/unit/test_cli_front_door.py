"""The layer around the emulator does to requests what AWS does before an API sees them."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest

from leadscore_cli.front_door import MAX_BODY_BYTES, BodyRefusedError, FrontDoor, Message, Receive, Send, inflate

FRONT_DOOR_PORT, AWS_PORT = 1001, 1002


@dataclass
class Seen:
    """What reached the emulator, and what the client got."""

    scope: Message = field(default_factory=dict)
    body: bytes = b""
    answer: list[Message] = field(default_factory=list)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return sorted(self.scope["headers"])

    @property
    def status(self) -> int:
        status: int = self.answer[0]["status"]
        return status

    @property
    def json(self) -> dict[str, str]:
        content: dict[str, str] = json.loads(self.answer[1]["body"])
        return content


def request(
    path: str,
    *,
    port: int = FRONT_DOOR_PORT,
    headers: list[tuple[bytes, bytes]] | None = None,
    chunks: list[bytes] | None = None,
    api_id: str | None = "abc123",
    kind: str = "http",
) -> Seen:
    seen = Seen()
    parts = chunks or [b""]
    pending = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    pending[-1]["more_body"] = False

    async def receive() -> Message:
        return pending.pop(0) if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        seen.answer.append(message)

    async def emulator(scope: Message, receive: Receive, send: Send) -> None:
        seen.scope = scope
        while True:
            message = await receive()
            seen.body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope: Message = {
        "type": kind,
        "method": "POST",
        "path": unquote(path),
        "raw_path": path.encode(),
        "server": ("127.0.0.1", port),
        "headers": headers or [],
    }
    asyncio.run(FrontDoor(emulator, FRONT_DOOR_PORT, lambda: api_id)(scope, receive, send))
    return seen


def test_v1_at_the_front_door_is_the_deployed_api() -> None:
    seen = request("/v1/leads")

    assert seen.scope["path"] == "/_aws/execute-api/abc123/v1/leads"


def test_the_beacons_stage_is_beside_it() -> None:
    seen = request("/beacon/v1/batch")

    assert seen.scope["path"] == "/_aws/execute-api/abc123/beacon/v1/batch"


def test_the_path_that_was_signed_stays() -> None:
    assert request("/v1/leads").scope["raw_path"] == b"/v1/leads"


def test_the_aws_endpoint_keeps_its_own_v1_paths() -> None:
    assert request("/v1/apis/x/graphql", port=AWS_PORT).scope["path"] == "/v1/apis/x/graphql"


def test_a_path_is_routed_as_it_was_encoded() -> None:
    assert request("/v1/leads/a%2Fb").scope["path"] == "/_aws/execute-api/abc123/v1/leads/a%2Fb"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1leads", "/beacon", "/beacons/v1", "/_ministack/reset", "/v2/leads"])
def test_nothing_else_is_behind_the_front_door(path: str) -> None:
    seen = request(path)

    assert seen.scope == {}
    assert (seen.status, seen.json["code"]) == (404, "not_found")
    assert "leads" not in seen.json["message"]


def test_a_page_may_read_what_the_front_door_itself_answers() -> None:
    headers = dict(request("/v2/leads").answer[0]["headers"])

    assert headers[b"access-control-allow-origin"] == b"*"
    assert headers[b"access-control-expose-headers"] == b"Retry-After"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cache-control"] == b"no-store"


def test_before_the_first_deployment_the_front_door_says_so() -> None:
    seen = request("/v1/leads", api_id=None)

    assert (seen.status, seen.json["code"]) == (503, "not_deployed")


def test_a_websocket_finds_the_front_door_closed() -> None:
    assert request("/v1/leads", kind="websocket").answer == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("port", [FRONT_DOOR_PORT, AWS_PORT])
def test_every_request_arrives_over_tls_whatever_the_client_claims(port: int) -> None:
    seen = request("/v1/leads", port=port, headers=[(b"X-Forwarded-Proto", b"http"), (b"host", b"h")])

    assert seen.headers == [(b"host", b"h"), (b"x-forwarded-proto", b"https")]


def test_a_body_in_pieces_arrives_whole_with_its_length() -> None:
    seen = request("/v1/batch", headers=[(b"transfer-encoding", b"chunked")], chunks=[b"ab", b"", b"cd"])

    assert seen.body == b"abcd"
    assert (b"content-length", b"4") in seen.headers
    assert "transfer-encoding" not in str(seen.headers)


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ([], [b"application/json"]),
        ([(b"Content-Type", b"")], [b"application/json"]),
        ([(b"Content-Type", b"text/plain")], [b"text/plain"]),
    ],
)
def test_a_body_of_no_content_type_is_json_and_arrives_as_its_bytes(
    sent: list[tuple[bytes, bytes]], arrives: list[bytes]
) -> None:
    packed = gzip.compress(b"{}")
    seen = request("/v1/batch", headers=sent, chunks=[packed])

    assert seen.body == packed
    assert sorted(value for name, value in seen.headers if name.lower() == b"content-type") == arrives


def test_a_request_without_a_body_gets_no_content_type() -> None:
    assert request("/v1/sourceConfig").headers == [(b"x-forwarded-proto", b"https")]


@pytest.mark.parametrize(
    ("path", "port"), [("/v1/batch", FRONT_DOOR_PORT), ("/_aws/execute-api/abc123/v1/batch", AWS_PORT)]
)
def test_a_gzip_body_arrives_inflated_with_its_header_left_on(path: str, port: int) -> None:
    packed = gzip.compress(b'{"batch": []}')
    headers = [(b"Content-Encoding", b"GZIP"), (b"Content-Length", str(len(packed)).encode())]

    seen = request(path, port=port, headers=headers, chunks=[packed[:7], packed[7:]])

    assert seen.body == b'{"batch": []}'
    assert (b"Content-Encoding", b"GZIP") in seen.headers
    assert (b"content-length", b"13") in seen.headers


def test_gzip_bytes_without_the_header_are_left_alone() -> None:
    packed = gzip.compress(b"{}")

    assert request("/v1/batch", chunks=[packed]).body == packed


def test_gzip_for_another_service_is_left_alone() -> None:
    packed = gzip.compress(b"{}")

    seen = request("/bucket/key", port=AWS_PORT, headers=[(b"content-encoding", b"gzip")], chunks=[packed])

    assert seen.body == packed


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param([b"x" * MAX_BODY_BYTES, b"x"], [], 413, id="plain"),
        pytest.param([gzip.compress(bytes(MAX_BODY_BYTES + 1))], [(b"content-encoding", b"gzip")], 413, id="inflated"),
        pytest.param([b"no gzip"], [(b"content-encoding", b"gzip")], 400, id="broken"),
    ],
)
def test_a_body_that_aws_refuses_never_reaches_the_api(
    body: list[bytes], headers: list[tuple[bytes, bytes]], status: int
) -> None:
    seen = request("/v1/batch", headers=headers, chunks=body)

    assert seen.scope == {}
    assert seen.status == status
    assert set(seen.json) == {"code", "message"}


def test_a_body_at_the_bound_passes() -> None:
    assert len(request("/v1/batch", chunks=[b"x" * MAX_BODY_BYTES]).body) == MAX_BODY_BYTES


def test_a_client_that_leaves_early_gets_and_causes_nothing() -> None:
    seen = Seen()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        seen.answer.append(message)

    async def emulator(scope: Message, _receive: Receive, _send: Send) -> None:
        seen.scope = scope

    scope = {
        "type": "http",
        "path": "/v1/batch",
        "raw_path": b"/v1/batch",
        "server": ("127.0.0.1", FRONT_DOOR_PORT),
        "headers": [],
    }
    asyncio.run(FrontDoor(emulator, FRONT_DOOR_PORT, lambda: "abc123")(scope, receive, send))

    assert (seen.scope, seen.answer) == ({}, [])


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"whole")[:-1], gzip.compress(b"whole") + b"more", b""],
    ids=["cut off", "with more", "empty"],
)
def test_a_gzip_stream_must_be_whole_and_alone(body: bytes) -> None:
    with pytest.raises(BodyRefusedError) as refused:
        inflate(body)
    assert refused.value.status == 400


def test_inflating_stops_at_its_limit() -> None:
    assert inflate(gzip.compress(b"x" * 100), limit=100) == b"x" * 100
    with pytest.raises(BodyRefusedError) as refused:
        inflate(gzip.compress(b"x" * 101), limit=100)
    assert refused.value.status == 413
