"""Slack on a loopback port: takes posts to webhooks and to chat.postMessage, remembers them, and answers as it is told.

Invariant: it takes no message that Slack would refuse; see `slack_rules`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

from tests.slack_rules import check_message

TOKEN = "xoxb-0123456789-s3cret"


@dataclass(frozen=True, slots=True)
class Post:
    """One request: where to, what, whether Slack took it, and when, by a clock that only goes forward."""

    path: str
    message: dict[str, Any]
    status: int
    at: float

    @property
    def said(self) -> str:
        """The fallback text."""
        return str(self.message["text"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered instead of taking a post; `closes` hangs up without a word."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False


@dataclass
class FakeSlack:
    """A running fake; `answers` are given to the next posts, `always` to all others to that path."""

    port: int
    posts: list[Post] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    always: dict[str, Answer] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def webhook(self, name: str) -> str:
        """Return the address of a webhook."""
        return f"http://127.0.0.1:{self.port}/services/{name}"

    def bot(self, channel: str) -> str:
        """Return what a route's parameter holds for a bot."""
        return json.dumps({"token": TOKEN, "channel": channel, "api": f"http://127.0.0.1:{self.port}/api"})

    def taken(self, name: str) -> list[Post]:
        """Return the posts that a webhook or a channel took, in order."""
        with self.lock:
            posts = [post for post in self.posts if post.status == 200]
        return [post for post in posts if post.path == f"/services/{name}" or post.message.get("channel") == name]

    def tried(self, name: str) -> list[Post]:
        """Return every request to a webhook, in order."""
        with self.lock:
            return [post for post in self.posts if post.path == f"/services/{name}"]

    def receive(self, path: str, authorization: str | None, message: dict[str, Any]) -> Answer:
        """Take one post."""
        at = monotonic()
        with self.lock:
            told = self.answers.pop(0) if self.answers else self.always.get(path)
            answer = told or self._take(path, authorization, message)
            self.posts.append(Post(path, message, answer.status, at))
            return answer

    def _take(self, path: str, authorization: str | None, message: dict[str, Any]) -> Answer:
        own = {name: value for name, value in message.items() if name not in {"channel", "thread_ts"}}
        try:
            check_message(own)
        except (AssertionError, KeyError):
            return Answer(400, "invalid_payload")
        if path.startswith("/services/"):
            return Answer(200, "ok") if own == message else Answer(400, "invalid_payload")
        if authorization != f"Bearer {TOKEN}":
            return Answer(200, json.dumps({"ok": False, "error": "invalid_auth"}))
        return Answer(200, json.dumps({"ok": True, "ts": f"{len(self.posts)}.000"}))


@contextmanager
def running_slack() -> Iterator[FakeSlack]:
    """Serve a fake on a port of the kernel's choosing."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = fake.receive(self.path, self.headers.get("Authorization"), json.loads(body))
            if answer.closes:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body.encode())))
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = FakeSlack(server.server_address[1])
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
