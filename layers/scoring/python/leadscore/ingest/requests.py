"""A request as the REST API's proxy integration hands it over: by which key it comes, and which events it carries.

Each SDK has a path, a place for the key and a shape of body of its own; they become one here.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from leadscore.edge import Edge
from leadscore.ingest.decoding import MAX_BODY_BYTES, decode_body
from leadscore.ingest.refusals import RequestRefusedError
from leadscore.normalising import EVENT_TYPES, RepeatedKeys

# What a body of the largest size holds of ordinary events; queueing them takes less than the 10 s that clients wait.
MAX_EVENTS = 5_000
# In characters. A batch's context is repeated in each of its events: so a small body grows into no more work than the
# largest makes.
MAX_REPEATED_CONTEXT = MAX_BODY_BYTES
_BATCH_PATHS = frozenset({"batch", "b", "import"})
_TYPE_OF_PATH = {kind: kind for kind in EVENT_TYPES} | {kind[0]: kind for kind in EVENT_TYPES}


@dataclass(frozen=True, slots=True)
class Delivery:
    """The events of one request, as sent but for what its batch says for all of them."""

    events: Sequence[object]
    default_type: str | None
    single: bool
    write_key: str | None


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """One HTTP request. Header names are in lower case. May contain personal data and a key: do not log it.

    `full_path` is the path as the client sent it to `host`, with the stage; `path` may be without.
    """

    method: str
    path: str
    scheme: str
    host: str
    full_path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: str
    is_base64: bool
    ip: str | None = None

    @classmethod
    def from_proxy(cls, envelope: Mapping[str, Any]) -> Self:
        """Return the request in a Lambda proxy event of a REST API."""
        headers = {name.lower(): value for name, value in (envelope["headers"] or {}).items()}
        context = envelope["requestContext"]
        # AWS says by which name of the API it was reached; the emulator does not, and is reached by plain HTTP.
        domain = context.get("domainName")
        return cls(
            method=envelope["httpMethod"],
            path=envelope["path"],
            scheme="https" if domain else "http",
            host=domain or headers.get("host", ""),
            full_path=context["path"],
            headers=headers,
            query=envelope["queryStringParameters"] or {},
            body=envelope["body"] or "",
            is_base64=envelope["isBase64Encoded"],
            ip=context.get("identity", {}).get("sourceIp"),
        )

    @property
    def segments(self) -> list[str]:
        """The parts of the path; slashes at its end or twice in a row are no matter."""
        return _segments(self.path)

    def base_path(self, own_segments: int) -> str:
        """Return what of the full path comes before its last `own_segments` parts: `/v1`, or what a domain maps."""
        return "".join(f"/{segment}" for segment in _segments(self.full_path)[:-own_segments])

    def write_key(self) -> str | None:
        """Return the key that a header or the query carries, in the order Basic user, Bearer, X-Write-Key, query."""
        scheme, _, credentials = self.headers.get("authorization", "").strip().partition(" ")
        return (
            (_basic_user(credentials) if scheme.lower() == "basic" else None)
            or (credentials.strip() if scheme.lower() == "bearer" else None)
            or self.headers.get("x-write-key")
            or self.query.get("writeKey")
            or None
        )

    def edge(self) -> Edge:
        """Return from where and by what it was sent."""
        return Edge.of_request(self.headers, self.ip)

    def delivery(self) -> Delivery:
        """Return what the body carries; raises RequestRefusedError with 400, 404, 405 or 413."""
        name = self.segments[-1] if self.segments else ""
        if name not in _BATCH_PATHS and name not in _TYPE_OF_PATH:
            raise RequestRefusedError(404, "not_found", "no events are taken on this path")
        if self.method != "POST":
            raise RequestRefusedError(405, "method_not_allowed", "events are sent by POST")
        document = decode_body(self.body, is_base64=self.is_base64)
        if not isinstance(document, dict):
            raise RequestRefusedError(400, "unreadable_body", "the body is not a JSON object")
        key = document.get("writeKey")
        sent_at = document.get("sentAt") or self.headers.get("sentat")
        single = name in _TYPE_OF_PATH
        return Delivery(
            events=[_with_shared(document, {}, sent_at)] if single else _batch(document, sent_at),
            default_type=_TYPE_OF_PATH.get(name),
            single=single,
            write_key=key if isinstance(key, str) and key else None,
        )


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _basic_user(credentials: str) -> str | None:
    try:
        return b64decode(credentials.strip(), validate=True).decode().partition(":")[0]
    except ValueError:
        return None


def _batch(document: dict[str, object], sent_at: object) -> list[object]:
    events, context = document.get("batch"), _given(document.get("context"))
    if isinstance(document, RepeatedKeys) or isinstance(context, RepeatedKeys):
        raise RequestRefusedError(400, "duplicate_keys", "the body or its context has a key twice")
    if not isinstance(events, list):
        raise RequestRefusedError(400, "missing_batch", "batch is missing or not a list")
    if not isinstance(context, dict):
        raise RequestRefusedError(400, "invalid_field", "context is not an object")
    if len(events) > MAX_EVENTS:
        raise RequestRefusedError(413, "too_many_events", f"the batch has more than {MAX_EVENTS} events")
    if context and len(json.dumps(context)) * len(events) > MAX_REPEATED_CONTEXT:
        raise RequestRefusedError(413, "batch_too_large", "the batch with its context in each event is too large")
    return [_with_shared(event, context, sent_at) for event in events]


def _given(context: object) -> object:
    return {} if context is None else context


def _with_shared(event: object, context: dict[str, object], sent_at: object) -> object:
    """Return the event with the context and the `sentAt` of its request, where it has none of its own."""
    if not isinstance(event, dict) or isinstance(event, RepeatedKeys):
        return event
    own = _given(event.get("context"))
    if isinstance(own, dict) and not isinstance(own, RepeatedKeys) and context:
        own = {**context, **own}
    return {**event, "context": own, "sentAt": event.get("sentAt") or sent_at}
