"""One SQS batch: messages are grouped by the lead they are about, and each lead succeeds or fails on its own.

A message brings an event, or says that a lead is due: that time may have changed its tier.

Invariant: a message id is missing from `retry` only if its event is in the log, applied, and announced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from leadscore.core.ruleset import Ruleset
from leadscore.normalising import InvalidEvent, changes_nothing, normalise_bus_event
from leadscore.usecases.records import Event, LeadStore
from leadscore.usecases.scoring import apply_events, lead_of, refresh_lead


class ChangesQueue(Protocol):
    """Where leads with pending changes are handed on."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Return once the queue has every body; raise otherwise."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Messages to try again and why; `reason` carries no personal data."""

    messages: tuple[str, ...]
    code: str
    reason: str
    error: Exception


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    scored: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def retry(self) -> list[str]:
        """Every message id to try again."""
        return [message for failure in self.failures for message in failure.messages]


def score_batch(
    store: LeadStore,
    changes: ChangesQueue,
    ruleset: Ruleset,
    records: Sequence[Mapping[str, str]],
    clock: Callable[[], datetime],
) -> Outcome:
    """Apply a batch of SQS records; whatever fails is in the outcome with its reason, and nothing beside it is lost."""
    outcome = Outcome()
    waiting: dict[str, tuple[str, ...]] = {}
    for lead, members in _by_lead(records, outcome).items():
        messages = tuple(members)
        try:
            if _score_lead(store, ruleset, lead, list(members.values()), clock):
                waiting[lead] = messages
        except Exception as error:  # noqa: BLE001  one lead's failure must not fail its neighbours
            outcome.failures.append(Failure(messages, type(error).__name__, "a lead was not scored", error))
        else:
            outcome.scored += len(messages)
    _hand_on(changes, waiting, outcome)
    return outcome


@dataclass(frozen=True, slots=True)
class Due:
    """The message that a lead's tier may have changed by time alone."""

    lead: str

    def body(self) -> str:
        """Return the text of the message."""
        return json.dumps({"due": self.lead})


def read_message(body: str) -> Event | Due | None:
    """Return what one message brings: an event of `ingest` or of the bus, a lead that is due, or None for nothing.

    Raises InvalidEvent.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("invalid_json", "a message is no JSON", "") from error
    if isinstance(content, dict) and "detail-type" in content:
        event = normalise_bus_event(content)
        return None if changes_nothing(event) else event
    if isinstance(content, dict) and _is_normalised(content.get("event")):
        return dict(content["event"])
    if isinstance(content, dict) and isinstance(content.get("due"), str):
        return Due(content["due"])
    raise InvalidEvent("unknown_message", "a message is neither from ingest nor from the bus", "")


def _is_normalised(event: object) -> bool:
    if not isinstance(event, dict):
        return False
    has_id = event.get("userId") or event.get("anonymousId")
    return bool(has_id) and all(isinstance(event.get(key), str) for key in ("messageId", "type", "timestamp"))


def _score_lead(
    store: LeadStore, ruleset: Ruleset, lead: str, brought: Sequence[Event | Due], clock: Callable[[], datetime]
) -> bool:
    events = [one for one in brought if not isinstance(one, Due)]
    pending = apply_events(store, ruleset, lead, events, clock)
    return (len(events) < len(brought) and refresh_lead(store, ruleset, lead, clock)) or pending


def _by_lead(records: Sequence[Mapping[str, str]], outcome: Outcome) -> dict[str, dict[str, Event | Due]]:
    leads: dict[str, dict[str, Event | Due]] = {}
    for record in records:
        message = record["messageId"]
        try:
            brought = read_message(record["body"])
            if brought is not None:
                lead = brought.lead if isinstance(brought, Due) else lead_of(brought)
                leads.setdefault(lead, {})[message] = brought
        except InvalidEvent as invalid:
            outcome.failures.append(Failure((message,), invalid.code, invalid.message, invalid))
    return leads


def _hand_on(changes: ChangesQueue, waiting: Mapping[str, tuple[str, ...]], outcome: Outcome) -> None:
    if not waiting:
        return
    try:
        changes.send_all([json.dumps({"lead": lead}) for lead in waiting])
    except Exception as error:  # noqa: BLE001  pending changes stay with their leads; the redelivery hands them on
        messages = tuple(message for members in waiting.values() for message in members)
        outcome.failures.append(Failure(messages, type(error).__name__, "changes were not handed on", error))
        outcome.scored -= len(messages)
