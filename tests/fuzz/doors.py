"""The doors at which strangers' bytes come in, behind one function that any input may be thrown at.

An input that begins like an HTTP request is one, as a client would write it: request line, headers, blank line, body.
Any other is the body of a message on the events queue, and a line of an archive that is imported. So a file of the
corpus can be read, and sent by hand.

Whatever comes in, `check` holds it to this: nothing but the typed refusals is raised; what is taken is in normal form,
is JSON that every parser reads, and says nothing that the sender could not have said; the answer repeats nothing that
was sent; compressing a request changes nothing; and the work is bounded by the size of the input.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from leadscore.archives import normalise_past_event
from leadscore.core.identity import identities
from leadscore.core.instants import from_datetime, parse_instant
from leadscore.core.ruleset import IdentityPolicy
from leadscore.ingest.decoding import MAX_BODY_BYTES, NotJsonError, parse_json
from leadscore.ingest.refusals import RequestRefusedError
from leadscore.ingest.requests import MAX_REPEATED_CONTEXT, IngestRequest
from leadscore.ingest.responses import ProxyResponse, answer_document, answer_receipt, answer_refusal
from leadscore.ingest.sdk_documents import find_document
from leadscore.ingest.write_keys import WriteKeys
from leadscore.mappings import parse_mappings
from leadscore.normalising import (
    EVENT_TYPES,
    MAX_EVENT_BYTES,
    MAX_ID_BYTES,
    InvalidEvent,
    NormalisedEvent,
    changes_nothing,
    normalise_event,
)
from leadscore.usecases.arrivals import Arrival
from leadscore.usecases.batches import read_message
from leadscore.usecases.ingesting import ingest_events
from tests.functions.envelopes import proxy_event

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
# Of the seeds every text that somebody could care about has this in it; it must not come back in an answer.
CANARY = "canary"

# Several times what is taken, and far below what a loop over pairs would take.
_STEPS, _STEPS_PER_BYTE = 2_000, 12
_RECEIVED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
_KEYS = WriteKeys.parse(json.dumps([{"source": "default", "sha256": sha256(b"k").hexdigest()}]))
_EVERY_IDENTITY = IdentityPolicy(email=True, external=frozenset({"crm", "stripe"}))
_REQUEST = re.compile(rb"(?:POST|GET|HEAD) /")
_GZIP_MAGIC = b"\x1f\x8b"
_REFUSALS = frozenset({400, 401, 403, 404, 405, 413})
# The mappings that are shipped, and one with all that JMESPath could stumble over.
_MAPPINGS = parse_mappings(
    (ROOT / "infra" / "mappings.yaml").read_text()
    + """
  - match: {source: [app.fuzz]}
    event:
      type: "'track'"
      event: "join('-', detail.texts)"
      messageId: "to_string(detail.id)"
      timestamp: "sum(detail.numbers)"
      userId: "sort_by(detail.things, &key)[0].id || detail.user.id"
      groupId: "max_by(detail.things, &number).id"
      anonymousId: "to_number(detail.visitor)"
      properties: >-
        {longest: max(detail.numbers), average: avg(detail.numbers), some: detail.things[?number > `1`].id,
        reversed: reverse(detail.texts), keys: keys(detail.user), merged: merge(detail.user, detail.more),
        part: detail.texts[::-1], length: length(detail.things), has: contains(detail.texts, 'a'), ceil: ceil(detail.n)}
"""
)


class Broken(AssertionError):
    """The promise that an input broke."""


@dataclass(slots=True)
class Steps:
    """Calls and turns of loops in Python, which a busy machine does not change."""

    taken: int = 0


def check(raw: bytes) -> str:
    """Throw one input at its door and return what became of it; raises Broken, or what nobody foresaw."""
    with _counting() as steps:
        outcome, size = pass_through(raw)
    bound = _STEPS + _STEPS_PER_BYTE * size
    _promise(steps.taken <= bound, f"{steps.taken} steps for {size} bytes")
    return outcome


def pass_through(raw: bytes) -> tuple[str, int]:
    """Return what became of an input and how much it holds, whatever the work; raises as `check` does."""
    if _REQUEST.match(raw):
        return _check_request(raw)
    text = raw.decode(errors="replace")
    return f"{_check_message(text)}\n{_check_line(text)}", len(raw)


def memory_bound(raw: bytes) -> int:
    """Return how many bytes an input may take at once: the objects of JSON are that much larger than their text."""
    _, _, body = raw.partition(b"\n\n")
    inflated = _inflate(body) if body[:2] == _GZIP_MAGIC else b""
    return 2 * 1024 * 1024 + 64 * (len(raw) + len(inflated))


def _inflate(member: bytes) -> bytes:
    """Return the beginning of what a gzip holds, as much as is taken of it."""
    try:
        return zlib.decompressobj(31).decompress(member, MAX_BODY_BYTES + 1)
    except zlib.error:
        return b""


class _Queue:
    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_all(self, bodies: Sequence[str]) -> None:
        self.bodies.extend(bodies)


def _check_request(raw: bytes) -> tuple[str, int]:
    head, _, body = raw.partition(b"\n\n")
    outcome, size = _send(head, body)
    if body[:2] != _GZIP_MAGIC and len(body) <= MAX_BODY_BYTES:
        compressed, _ = _send(head, gzip.compress(body, 1))
        _promise(compressed == outcome, "compressed it comes to something else")
    return outcome, max(len(raw), size)


def _send(head: bytes, body: bytes) -> tuple[str, int]:
    """Return what the function would answer, and the queue's messages behind it; and the size of the body."""
    request = IngestRequest.from_proxy(_envelope(head, body))
    queue = _Queue()
    document = find_document(request)
    answer: ProxyResponse
    if document is not None:
        return json.dumps(answer_document(document, head=request.method == "HEAD")["body"]), len(body)
    try:
        receipt = ingest_events(request, write_keys=_KEYS, queue=queue, received_at=_RECEIVED_AT)
    except RequestRefusedError as refusal:
        _promise(refusal.status in _REFUSALS and not queue.bodies, f"refused with {refusal.status}")
        answer = answer_refusal(refusal)
    else:
        answer = answer_receipt(receipt)
        _promise(len(queue.bodies) <= receipt.accepted, "more is queued than was accepted")
    for message in queue.bodies:
        _promise(message.isascii() and len(message) <= 3 * MAX_EVENT_BYTES + 1024, "a message is not of the queue")
        _check_event(json.loads(message)["event"])
    _promise(CANARY not in answer["body"].lower(), "the answer repeats what was sent")
    return "\n".join([answer["body"], *queue.bodies]), _weigh(body)


def _weigh(body: bytes) -> int:
    """Return how many bytes a body holds: inflated, and with the context of a batch in each of its events."""
    if body[:2] == _GZIP_MAGIC:
        body = _inflate(body)
    try:
        document = json.loads(body)
        context, events = document["context"], document["batch"]
        return len(body) + min(len(json.dumps(context)) * len(events), MAX_REPEATED_CONTEXT)
    except (ValueError, LookupError, TypeError, RecursionError):
        return len(body)


def _envelope(head: bytes, body: bytes) -> dict[str, Any]:
    """Return the request as API Gateway hands it over: names and values of headers are text, the body is base64."""
    line, *lines = head.decode("latin-1").split("\n")
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    pairs = (text.partition(":") for text in lines)
    headers = {name.strip(): value.strip() for name, _, value in pairs}
    return proxy_event(path, body, method=method, headers=headers, query=dict(parse_qsl(query)))


def _check_message(body: str) -> str:
    try:
        message = read_message(body, _MAPPINGS)
    except InvalidEvent as refused:
        _promise(CANARY not in "".join(_logged(refused)).lower(), "the log of the reason repeats what was sent")
        return refused.code
    if isinstance(message, Arrival):
        event = dict(message.event)
        # What `ingest` and `import` have put there is normal already, and only they may.
        if "detail-type" in json.loads(body):
            _check_event(event)
            _promise(not changes_nothing(event), "it says nothing and is not left out")
        _promise(len(identities(event, _EVERY_IDENTITY)) > 0, "it is about nobody")
    return repr(message)


def _check_line(line: str) -> str:
    try:
        event = normalise_past_event(parse_json(line), now=from_datetime(_RECEIVED_AT))
    except (InvalidEvent, NotJsonError) as refused:
        _promise(CANARY not in "".join(_logged(refused)).lower(), "the reason repeats what the archive holds")
        return type(refused).__name__
    _check_event(event)
    return repr(event)


def _logged(error: BaseException | None) -> Iterator[str]:
    """Yield the texts that stand in a log with an error: its own, and those of what it came from."""
    while error is not None:
        yield str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _check_event(event: NormalisedEvent) -> None:
    """Hold an event against all that the rest of the product takes for granted."""
    text = json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
    _promise(event["type"] in EVENT_TYPES, "no type")
    _promise(len(text) <= 2 * MAX_EVENT_BYTES, "too large")
    received = str(event["receivedAt"])
    _promise(str(event["timestamp"]) <= received, "not in the past")
    _promise(1 <= len(str(event["messageId"])) <= 100, "no message id")
    _promise(bool(event.get("userId") or event.get("anonymousId")), "nobody's")
    for name in ("userId", "anonymousId", "groupId", "previousId"):
        found = event.get(name, "x")
        _promise(isinstance(found, str) and 0 < len(found.encode()) <= MAX_ID_BYTES, f"{name} is no id")
    _promise(normalise_event(event, received_at=parse_instant(received)) == event, "its form is not final")


def _promise(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Broken(otherwise)


@contextmanager
def _counting() -> Iterator[Steps]:
    steps = Steps()
    monitoring, events = sys.monitoring, sys.monitoring.events

    def count(*_: object) -> None:
        steps.taken += 1

    counted = (events.PY_START, events.PY_RESUME, events.JUMP)
    tool = monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "fuzz")
    try:
        for event in counted:
            monitoring.register_callback(tool, event, count)
        monitoring.set_events(tool, counted[0] | counted[1] | counted[2])
        yield steps
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
