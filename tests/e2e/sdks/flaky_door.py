"""A proxy before the front door that fails as it is told to, passes on the rest, and keeps what it saw.

It answers failures as the gateway does on AWS: JSON with `code` and `message`, readable from any origin.
"""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Literal

Fault = Literal["throttled", "unavailable", "answer lost"]
# Status, headers, body.
type Answer = tuple[int, list[tuple[str, str]], bytes]
RETRY_AFTER_SECONDS = 1
_STATUS_OF: Mapping[Fault, int] = {"throttled": 429, "unavailable": 503, "answer lost": 504}
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with what the client was answered; `at` is when it came, in seconds of the monotonic clock."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    def content(self) -> dict[str, Any]:
        """Return the JSON object that the body is, whatever its headers call it."""
        raw = gzip.decompress(self.body) if self.is_gzip() else self.body
        content: dict[str, Any] = json.loads(raw)
        return content

    def is_gzip(self) -> bool:
        """Return whether the body is compressed."""
        return self.body.startswith(b"\x1f\x8b")

    def events(self) -> list[dict[str, Any]]:
        """Return the events that the body carries, each with the `sentAt` of its request where it has none."""
        content = self.content()
        events = content.get("batch", [content])
        sent = {"sentAt": content.get("sentAt") or self.headers.get("sentat")}
        return [{**sent, **event} for event in events]

    def ids(self) -> set[str]:
        """Return the message ids of the events that the body carries."""
        return {event["messageId"] for event in self.events()}


class FlakyDoor:
    """The first POSTs meet one fault each, all later ones pass to the front door at `upstream` (host:port)."""

    def __init__(self, upstream: str, faults: Sequence[Fault]) -> None:
        self.upstream = upstream
        self.exchanges: list[Exchange] = []
        self._faults = list(faults)
        self._lock = Lock()

    def next_fault(self) -> Fault | None:
        """Return what the next POST meets."""
        with self._lock:
            return self._faults.pop(0) if self._faults else None

    def pending(self) -> set[str]:
        """Return the ids of the events that were refused and not taken since."""
        sent = [seen for seen in [*self.exchanges] if seen.method == "POST"]
        taken = set[str]().union(*(seen.ids() for seen in sent if seen.status == HTTPStatus.OK))
        return set[str]().union(*(seen.ids() for seen in sent)) - taken


@contextmanager
def open_door(upstream: str, faults: Sequence[Fault] = ()) -> Iterator[tuple[FlakyDoor, str]]:
    """Yield a proxy and its URL; it is gone with all its connections afterwards."""
    door = FlakyDoor(upstream, faults)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (_Handler,), {"door": door}))
    server.daemon_threads = True
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        yield door, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    door: FlakyDoor

    def do_POST(self) -> None:
        at, body = time.monotonic(), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.door.next_fault()
        if fault == "answer lost":
            self._ask_upstream(body)
        self._answer(at, body, self._ask_upstream(body) if fault is None else _failure(fault))

    def do_GET(self) -> None:
        at = time.monotonic()
        self._answer(at, b"", self._ask_upstream(b""))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_OPTIONS(self) -> None:
        self.do_GET()

    def log_request(self, *_: object) -> None:
        """Stay silent: what was seen is in the exchanges."""

    def _ask_upstream(self, body: bytes) -> Answer:
        upstream = http.client.HTTPConnection(self.door.upstream, timeout=_TIMEOUT_SECONDS)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    upstream.putheader(name, value)
            upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            answer = upstream.getresponse()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            return answer.status, headers, answer.read()
        finally:
            upstream.close()

    def _answer(self, at: float, body: bytes, answer: Answer) -> None:
        status, headers, content = answer
        sent = {name.lower(): value for name, value in self.headers.items()}
        # Kept before the client has its answer: it may be looked at as soon as the client has ended.
        self.door.exchanges.append(Exchange(at, self.command, self.path, sent, body, status))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        # A page that is left does not wait for its answers.
        with suppress(ConnectionError):
            self.wfile.write(content)


def _failure(fault: Fault) -> Answer:
    headers = [
        ("Content-Type", "application/json"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", "Retry-After"),
    ]
    if fault == "throttled":
        headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
    return _STATUS_OF[fault], headers, json.dumps({"code": fault.replace(" ", "_"), "message": fault}).encode()
