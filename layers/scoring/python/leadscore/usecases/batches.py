"""One SQS batch: messages are grouped by the lead they are about, and each lead succeeds or fails on its own.

A message brings an event, or asks to refresh a lead, or says that an account's leads must be told of its traits, or
that what has come of erased identities must go.

Invariant: a message id is missing from `retry` only if its event is in the log, applied, and handed on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from leadscore.core.identity import Identity, identities
from leadscore.normalising import (
    InvalidEvent,
    NormalisedEvent,
    changes_nothing,
    normalise_bus_event,
    normalise_mapped_event,
)
from leadscore.usecases.erasing import Sweep, sweep_up
from leadscore.usecases.records import Event, Graves, Reader
from leadscore.usecases.scoring import Outcome, Tools, apply_events, group_by_lead, refresh

if TYPE_CHECKING:
    from leadscore.mappings import Mappings

# What one message tells of its account; the next message goes on behind it.
MEMBERS_PER_MESSAGE = 1000


class Queue(Protocol):
    """Where work is handed on."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Return once the queue has every body; raise otherwise."""


@dataclass(frozen=True, slots=True)
class Queues:
    """`events` is the one the batch came from, `changes` takes what is to be announced."""

    events: Queue
    changes: Queue


@dataclass(frozen=True, slots=True)
class Failure:
    """Messages to try again and why; `reason` carries no personal data."""

    messages: tuple[str, ...]
    code: str
    reason: str
    error: Exception


@dataclass(slots=True)
class BatchOutcome:
    """What became of a batch."""

    scored: int = 0
    repeated: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def retry(self) -> list[str]:
        """Every message id to try again."""
        return [message for failure in self.failures for message in failure.messages]

    @contextmanager
    def attempting(self, messages: tuple[str, ...], reason: str) -> Iterator[None]:
        """Record whatever fails inside as the failure of `messages`: it must not fail its neighbours."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.failures.append(Failure(messages, type(error).__name__, reason, error))


@dataclass(frozen=True, slots=True)
class Refresh:
    """The message that something else than its events may have changed how a lead stands."""

    identity: Identity

    def body(self) -> str:
        """Return the text of the message."""
        return json.dumps({"refresh": self.identity})


@dataclass(frozen=True, slots=True)
class Spread:
    """The message that an account's leads, those behind the mark `after`, must be told of its traits."""

    account: str
    after: str = ""

    def body(self) -> str:
        """Return the text of the message."""
        return json.dumps({"account": self.account, "after": self.after})


Message = Event | Refresh | Spread | Sweep
# By message id: whom a message is about, and what it brings.
About = dict[str, tuple[Identity, Event | Refresh]]


def score_batch(
    tools: Tools,
    queues: Queues,
    records: Iterable[Mapping[str, str]],
    graves: Graves,
    mappings: Mappings | None = None,
) -> BatchOutcome:
    """Apply a batch of SQS records; whatever fails is in the outcome with its reason, and nothing beside it is lost."""
    outcome = BatchOutcome()
    brought = _read_records(records, mappings, outcome)
    for lead in _by_lead(tools, brought, outcome):
        with outcome.attempting(tuple(lead), "a lead was not scored"):
            done = _score_lead(tools, lead)
            hand_on(queues, done)
            outcome.repeated += [m for m, (_, one) in lead.items() if _message_id(one) in done.repeated]
    for message, one in brought.items():
        if isinstance(one, Spread):
            with outcome.attempting((message,), "an account's leads were not told"):
                _spread(tools.store, queues.events, one)
        elif isinstance(one, Sweep):
            with outcome.attempting((message,), "erased identities were not swept up"):
                _sweep(tools.store, graves, queues.events, one)
    outcome.scored = len(brought.keys() - outcome.retry)
    return outcome


def count_repeats(records: Iterable[Mapping[str, Any]], outcome: BatchOutcome) -> Counter[str]:
    """Return by source how many of the records brought an event that the log held before.

    What SQS delivers again is not counted: nobody sent it twice.
    """
    repeats = [record for record in records if record["messageId"] in outcome.repeated]
    fresh = [record for record in repeats if record["attributes"]["ApproximateReceiveCount"] == "1"]
    return Counter(str(json.loads(record["body"])["source"]) for record in fresh)


def read_message(body: str, mappings: Mappings | None = None) -> Message | None:
    """Return what one message brings, None for nothing; raises InvalidEvent."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("invalid_json", "a message is no JSON", "") from error
    match content:
        case {"detail-type": _}:
            event = _read_bus_event(content, mappings)
            return None if event is None or changes_nothing(event) else event
        case {"event": dict(event)} if _is_normalised(event):
            return event
        case {"refresh": str(identity)}:
            return Refresh(identity)
        case {"account": str(account), "after": str(after)}:
            return Spread(account, after)
        case {"erased": list(pseudonyms)}:
            return Sweep(tuple(map(str, pseudonyms)))
    raise InvalidEvent("unknown_message", "a message is neither from ingest nor from the bus", "")


def _read_bus_event(envelope: dict[str, object], mappings: Mappings | None) -> NormalisedEvent | None:
    """Return the event of an envelope, None where a mapping ignores it."""
    mapping = mappings.find(envelope) if mappings is not None else None
    if mapping is None:
        return normalise_bus_event(envelope)
    event = mapping.translate(envelope)
    return None if event is None else normalise_mapped_event(envelope, event)


def _is_normalised(event: Event) -> bool:
    has_id = event.get("userId") or event.get("anonymousId")
    return bool(has_id) and all(isinstance(event.get(key), str) for key in ("messageId", "type", "timestamp"))


def _read_records(
    records: Iterable[Mapping[str, str]], mappings: Mappings | None, outcome: BatchOutcome
) -> dict[str, Message]:
    """Return what each message brings; those that bring nothing are done."""
    brought: dict[str, Message] = {}
    for record in records:
        try:
            message = read_message(record["body"], mappings)
        except InvalidEvent as invalid:
            outcome.failures.append(Failure((record["messageId"],), invalid.code, invalid.message, invalid))
            continue
        if message is not None:
            brought[record["messageId"]] = message
    return brought


def _by_lead(tools: Tools, brought: Mapping[str, Message], outcome: BatchOutcome) -> list[About]:
    """Return per lead its messages, each with the identity it is about; those about erased people are done."""
    about: dict[Identity, About] = {}
    for message, one in brought.items():
        if not isinstance(one, Spread | Sweep):
            identity = one.identity if isinstance(one, Refresh) else identities(one, tools.ruleset.identity)[0]
            about.setdefault(identity, {})[message] = (identity, one)
    return [
        {message: one for identity in lead for message, one in about[identity].items()}
        for lead in _group(tools, about, outcome)
    ]


def _group(tools: Tools, about: Mapping[Identity, About], outcome: BatchOutcome) -> list[list[Identity]]:
    try:
        return group_by_lead(tools.store, about) if about else []
    except Exception:  # noqa: BLE001  an identity that cannot be read must not stop those beside it
        leads: list[list[Identity]] = []
        for identity, messages in about.items():
            with outcome.attempting(tuple(messages), "an identity was not read"):
                leads += group_by_lead(tools.store, [identity])
        return leads


def _score_lead(tools: Tools, lead: About) -> Outcome:
    events: dict[Identity, list[Event]] = {}
    outdated: list[Identity] = []
    for identity, one in lead.values():
        if isinstance(one, Refresh):
            outdated = [identity]
        else:
            events.setdefault(identity, []).append(one)
    done = apply_events(tools, events) if events else Outcome()
    for identity in outdated:
        done = replace(done, pending=done.pending | refresh(tools, identity).pending)
    return done


def _message_id(one: Event | Refresh) -> object:
    return None if isinstance(one, Refresh) else one["messageId"]


def hand_on(queues: Queues, done: Outcome) -> None:
    """Return once the queues have what an outcome leaves to do."""
    if done.pending:
        queues.changes.send_all([json.dumps({"lead": identity}) for identity in sorted(done.pending)])
    if done.accounts:
        queues.events.send_all([Spread(account).body() for account in sorted(done.accounts)])


def _spread(reader: Reader, events: Queue, spread: Spread) -> None:
    members = list(islice(reader.walk_members(spread.account, spread.after), MEMBERS_PER_MESSAGE))
    bodies = [Refresh(identity).body() for _, identity in members]
    if len(members) == MEMBERS_PER_MESSAGE:
        bodies.append(Spread(spread.account, members[-1][0]).body())
    if bodies:
        events.send_all(bodies)


def _sweep(reader: Reader, graves: Graves, events: Queue, sweep: Sweep) -> None:
    left = sweep_up(reader, graves, sweep)
    if left is not None:
        events.send_all([left.body()])
