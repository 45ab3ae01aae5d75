"""Taking events in at the front door: key, body, each event, then the queue, then the answer.

Invariant: an event that is reported as accepted is in the queue. A bad event never blocks its neighbours, and a
request that is refused has queued nothing, or only what its retry will repeat under the same message ids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from leadscore.core.instants import from_datetime
from leadscore.edge import Edge
from leadscore.ingest.refusals import RequestRefusedError
from leadscore.ingest.requests import Delivery, IngestRequest
from leadscore.ingest.write_keys import WriteKeys
from leadscore.normalising import InvalidEvent, NormalisedEvent, changes_nothing, normalise_event


class EventQueue(Protocol):
    """Where accepted events go."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send every message; raises unless all were accepted."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One event that was not taken: its place in the request, and why."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request. `accepted` are in the queue, but for those that say nothing."""

    source: str
    accepted: int
    rejected: Sequence[Rejected]
    single: bool


def ingest_events(
    request: IngestRequest, *, write_keys: WriteKeys, queue: EventQueue, received_at: datetime
) -> Receipt:
    """Queue every good event of the request, one message each; raises RequestRefusedError, or what the queue raises."""
    source, delivery = _admit(request, write_keys)
    edge = request.edge()
    bodies: list[str] = []
    rejected: list[Rejected] = []
    received_millis = from_datetime(received_at)
    for index, raw in enumerate(delivery.events):
        try:
            event = normalise_event(raw, received_at=received_millis, default_type=delivery.default_type)
        except InvalidEvent as problem:
            rejected.append(Rejected(index, problem.code, problem.message))
            continue
        if changes_nothing(event):
            continue
        bodies.append(message_body(event, source, edge))
    queue.send_all(bodies)
    return Receipt(source, len(delivery.events) - len(rejected), rejected, delivery.single)


def message_body(event: NormalisedEvent, source: str, edge: Edge) -> str:
    """Return an event's message for the events queue, `{"event": ..., "source": ..., "edge": ...}` in plain ASCII.

    ASCII because SQS refuses some characters that JSON allows.
    """
    return json.dumps({"event": event, "source": source, "edge": edge.to_json()}, separators=(",", ":"))


def _admit(request: IngestRequest, write_keys: WriteKeys) -> tuple[str, Delivery]:
    """Return whose request it is and what it carries."""
    presented = request.write_key()
    # A key in front is checked before the body is touched, so that a stranger's body costs nothing.
    source = None if presented is None else _source_of(presented, request, write_keys)
    try:
        delivery = request.delivery()
    except RequestRefusedError as refusal:
        refusal.source = source
        raise
    return source or _source_of(delivery.write_key, request, write_keys), delivery


def _source_of(presented: str | None, request: IngestRequest, write_keys: WriteKeys) -> str:
    if presented is None:
        raise RequestRefusedError(401, "missing_write_key", "the request carries no write key")
    key = write_keys.find(presented)
    if key is None:
        raise RequestRefusedError(401, "invalid_write_key", "the write key is not valid")
    try:
        key.check_origin(request.headers.get("origin"))
    except RequestRefusedError as refusal:
        refusal.source = key.source
        raise
    return key.source
