"""The ASGI layer around the emulator: what AWS does before a request reaches the API, done for the local stage.

Every request is marked as arriving over TLS, so that TLS-only policies hold on loopback HTTP. Requests to the deployed
REST API get AWS's 10 MB bound and have their gzip bodies inflated, the `Content-Encoding` header left on as AWS leaves
it; a body of no content type is taken for JSON. One of the two ports is the front door: the API's stages are at its
root, `/v1/...` and `/beacon/...`, as the API's own host name gives them on AWS; the other port is the AWS endpoint.
Signatures stay valid: they cover the path as the client sent it, and only the other one, which routes the request, is
rewritten; it stays percent-encoded, as a REST API routes it and hands it to functions.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 10 * 1024 * 1024  # The payload quota of a REST API.
_EXECUTE_API = "/_aws/execute-api/"
_STAGES = ("/v1/", "/beacon/")
# As the gateway sends them with its own errors: a page must be able to read why.
_ERROR_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After"),
)


class BodyRefusedError(Exception):
    """The gateway itself refuses the request's body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """The emulator's application with AWS's edge around it.

    `deployed_api` returns the id of the API that is behind the front door, or None before the first deployment.
    """

    emulator: Application
    front_door_port: int
    deployed_api: Callable[[], str | None]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self.emulator(scope, receive, send)
            return
        scope = _arriving_over_tls(scope)
        if scope["server"][1] == self.front_door_port:
            if scope["type"] != "http" or not scope["path"].startswith(_STAGES):
                await _refuse(scope, send, 404, "not_found", "the front door serves /v1/ and /beacon/ alone")
                return
            api_id = self.deployed_api()
            if api_id is None:
                await _refuse(scope, send, 503, "not_deployed", "the API is not deployed yet")
                return
            scope["path"] = f"{_EXECUTE_API}{api_id}{scope['raw_path'].decode('ascii', 'replace')}"
        if scope["type"] == "http" and scope["path"].startswith(_EXECUTE_API):
            await self._pass_to_api(scope, receive, send)
        else:
            await self.emulator(scope, receive, send)

    async def _pass_to_api(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await _read_body(receive)
            if body is None:
                return
            if _header(scope, b"content-encoding") == b"gzip":
                body = inflate(body)
        except BodyRefusedError as refusal:
            await _refuse(scope, send, refusal.status, refusal.code, str(refusal))
            return
        await self.emulator(_with_type_and_length(scope, len(body)), _replay(body, receive), send)


def inflate(body: bytes, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the bytes that a gzip body holds; BodyRefusedError when it is broken (400) or holds over `limit` (413)."""
    decoder = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        inflated = decoder.decompress(body, limit + 1)
    except zlib.error as problem:
        raise BodyRefusedError(400, "bad_gzip", "the body is no gzip stream") from problem
    if len(inflated) > limit:
        raise BodyRefusedError(413, "too_large", f"the inflated body is over {limit} bytes")
    if not decoder.eof or decoder.unused_data:
        raise BodyRefusedError(400, "bad_gzip", "the body is not one whole gzip stream")
    return inflated


def _arriving_over_tls(scope: Message) -> Message:
    sent = [pair for pair in scope["headers"] if pair[0].lower() != b"x-forwarded-proto"]
    return {**scope, "headers": [*sent, (b"x-forwarded-proto", b"https")]}


def _header(scope: Message, name: bytes) -> bytes:
    values = [value for key, value in scope["headers"] if key.lower() == name]
    return b", ".join(values).strip().lower()


def _with_type_and_length(scope: Message, length: int) -> Message:
    replaced, added = {b"content-length", b"transfer-encoding"}, [(b"content-length", str(length).encode())]
    if length and not _header(scope, b"content-type"):
        replaced.add(b"content-type")
        added.append((b"content-type", b"application/json"))
    kept = [pair for pair in scope["headers"] if pair[0].lower() not in replaced]
    return {**scope, "headers": [*kept, *added] if length else kept}


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None when the client went away before its end."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyRefusedError(413, "too_large", f"the body is over {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return pending.pop() if pending else await receive()

    return next_message


async def _refuse(scope: Message, send: Send, status: int, code: str, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"code": code, "message": message}).encode()
    headers = [*_ERROR_HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
