"""One SQS batch: messages are grouped by the lead they are about, and each lead succeeds or fails on its own.

A message brings an event, or asks to refresh a lead, or says that an account's leads must be told of its traits, or
that what has come of erased identities must go, or that an account is to be rated anew. One with `"imported": true`
brings history, or what follows from it: that is no news. A lead's history is applied first, in a write of its own; so
people are told of a lead that became hot where that took what comes live, and only there.

Invariant: a message id is missing from `retry` only if its event is in the log, applied, and handed on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from leadscore.core.identity import Identity, identities
from leadscore.core.instants import from_datetime
from leadscore.edge import Edge
from leadscore.normalising import (
    InvalidEvent,
    NormalisedEvent,
    changes_nothing,
    normalise_bus_event,
    normalise_mapped_event,
)
from leadscore.usecases.arrivals import Arrival
from leadscore.usecases.erasing import Sweep, sweep_up
from leadscore.usecases.quarantining import Gate, set_apart
from leadscore.usecases.rate_message import Rate
from leadscore.usecases.rating import rate_account
from leadscore.usecases.records import Event, Graves, Quarantined, Reader, StoredIdentity
from leadscore.usecases.scoring import Outcome, Tools, accounts_of, apply_events, group_by_lead, refresh

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
    """`events` is the one the batch came from, `changes` takes what is to be announced.

    `ratings` leads into `events` too, but takes its time; without it accounts are rated as soon as can be.
    """

    events: Queue
    changes: Queue
    ratings: Queue | None = None


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
    quarantined: list[Quarantined] = field(default_factory=list)
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
    imported: bool = False

    def body(self) -> str:
        """Return the text of the message."""
        return _body({"refresh": self.identity}, imported=self.imported)


@dataclass(frozen=True, slots=True)
class Spread:
    """The message that an account's leads, those behind the mark `after`, must be told of its traits."""

    account: str
    after: str = ""
    imported: bool = False

    def body(self) -> str:
        """Return the text of the message."""
        return _body({"account": self.account, "after": self.after}, imported=self.imported)


Message = Arrival | Refresh | Spread | Sweep | Rate
# By message id: whom a message is about, and what it brings.
About = dict[str, tuple[Identity, Arrival | Refresh]]


def score_batch(
    tools: Tools,
    queues: Queues,
    records: Iterable[Mapping[str, str]],
    graves: Graves,
    mappings: Mappings | None = None,
    gate: Gate | None = None,
) -> BatchOutcome:
    """Apply a batch of SQS records; whatever fails is in the outcome with its reason, and nothing beside it is lost.

    Without a `gate` every event counts.
    """
    outcome = BatchOutcome()
    records = list(records)
    brought = _read_records(records, mappings, outcome)
    if gate is not None:
        brought = _set_apart(tools, gate, brought, outcome, _came_before(records))
    owed: dict[Rate, list[str]] = {}
    leads = _by_lead(tools, brought, outcome)
    for lead, identities_of_it in leads:
        # Behind others, what was read before their turn may be long gone.
        seen = _only_root(identities_of_it) if len(leads) == 1 else None
        with outcome.attempting(tuple(lead), "a lead was not scored"):
            done, unrated = _score_lead(tools, queues, lead, seen)
            outcome.repeated += [m for m, (_, one) in lead.items() if _message_id(one) in done]
            for rate in unrated:
                owed.setdefault(rate, []).extend(lead)
    if owed:
        # What is news must not be rated as history by the message beside it.
        for rate in [rate for rate in owed if rate.imported and Rate(rate.account) in owed]:
            owed[Rate(rate.account)] += owed.pop(rate)
        with outcome.attempting(tuple({m for messages in owed.values() for m in messages}), "accounts were not told"):
            _hand_on_ratings(queues, owed)
    _rate_accounts(tools, queues, brought, outcome)
    for message, one in brought.items():
        if isinstance(one, Spread):
            with outcome.attempting((message,), "an account's leads were not told"):
                _spread(tools.store, queues.events, one)
        elif isinstance(one, Sweep):
            with outcome.attempting((message,), "erased identities were not swept up"):
                _sweep(tools.store, graves, queues.events, one)
    outcome.scored = len(brought.keys() - outcome.retry)
    return outcome


def count_repeats(records: Sequence[Mapping[str, Any]], outcome: BatchOutcome) -> Counter[str]:
    """Return by source how many of the records brought an event that the log held before.

    What SQS delivers again is not counted: nobody sent it twice. A message that names no source is not counted either.
    """
    repeated = set(outcome.repeated) - _came_before(records)
    sources = (json.loads(one["body"]).get("source") for one in records if one["messageId"] in repeated)
    return Counter(str(source) for source in sources if source)


def read_message(body: str, mappings: Mappings | None = None) -> Message | None:
    """Return what one message brings, None for nothing; raises InvalidEvent."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("invalid_json", "a message is no JSON", "") from error
    imported = isinstance(content, dict) and content.get("imported") is True
    match content:
        case {"detail-type": _}:
            event = _read_bus_event(content, mappings)
            return None if event is None or changes_nothing(event) else Arrival(event, source=str(content["source"]))
        case {"event": dict(event)} if _is_normalised(event):
            return Arrival(
                event,
                imported,
                cleared=content.get("cleared") is True,
                source=str(content.get("source", "")),
                edge=Edge.from_json(content.get("edge")),
            )
        case {"refresh": str(identity)}:
            return Refresh(identity, imported)
        case {"account": str(account), "after": str(after)}:
            return Spread(account, after, imported)
        case {"rate": str(account)}:
            return Rate(account, imported)
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
        with outcome.attempting((record["messageId"],), "a message was not read"):
            try:
                message = read_message(record["body"], mappings)
            except InvalidEvent as invalid:
                outcome.failures.append(Failure((record["messageId"],), invalid.code, invalid.message, invalid))
                continue
            if message is not None:
                brought[record["messageId"]] = message
    return brought


def _came_before(records: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the ids of the messages that SQS delivers again."""
    counts = {one["messageId"]: one.get("attributes", {}).get("ApproximateReceiveCount", "1") for one in records}
    return frozenset(message for message, count in counts.items() if count != "1")


def _set_apart(
    tools: Tools, gate: Gate, brought: Mapping[str, Message], outcome: BatchOutcome, again: frozenset[str]
) -> dict[str, Message]:
    """Return what is left of a batch once the events that must not count are kept elsewhere."""
    arrived = {message: one for message, one in brought.items() if isinstance(one, Arrival)}
    gone: set[str] = set()

    def take(some: Mapping[str, Arrival], again: Collection[str]) -> None:
        apart = set_apart(gate, tools.store, tools.ruleset.identity, some, from_datetime(tools.clock()), again)
        outcome.quarantined += apart.kept
        gone.update(apart.messages)

    try:
        take(arrived, again)
    except Exception:  # noqa: BLE001  one that cannot be judged must not stop those beside it
        for message, one in arrived.items():
            with outcome.attempting((message,), "an event was not judged"):
                take({message: one}, {message})
    gone.update(outcome.retry)
    return {message: one for message, one in brought.items() if message not in gone}


def _by_lead(
    tools: Tools, brought: Mapping[str, Message], outcome: BatchOutcome
) -> list[tuple[About, Mapping[Identity, StoredIdentity]]]:
    """Return per lead its messages, each with the identity it is about, and those identities as they were read.

    Messages about erased people are done.
    """
    about: dict[Identity, About] = {}
    for message, one in brought.items():
        if not isinstance(one, Spread | Sweep | Rate):
            identity = one.identity if isinstance(one, Refresh) else identities(one.event, tools.ruleset.identity)[0]
            about.setdefault(identity, {})[message] = (identity, one)
    return [
        ({message: one for identity in lead for message, one in about[identity].items()}, lead)
        for lead in _group(tools, about, outcome)
    ]


def _only_root(lead: Mapping[Identity, StoredIdentity]) -> StoredIdentity | None:
    """Return the root of a lead where nothing else was brought of it."""
    [first, *others] = lead.values()
    return first if first.owner is None and not others else None


def _group(
    tools: Tools, about: Mapping[Identity, About], outcome: BatchOutcome
) -> list[dict[Identity, StoredIdentity]]:
    try:
        return group_by_lead(tools.store, about) if about else []
    except Exception:  # noqa: BLE001  an identity that cannot be read must not stop those beside it
        leads: list[dict[Identity, StoredIdentity]] = []
        for identity, messages in about.items():
            with outcome.attempting(tuple(messages), "an identity was not read"):
                leads += group_by_lead(tools.store, [identity])
        return leads


def _score_lead(
    tools: Tools, queues: Queues, lead: About, seen: StoredIdentity | None
) -> tuple[frozenset[str], frozenset[Rate]]:
    """Apply what is about one lead and hand on what is left to do, but for the accounts to rate, which are returned.

    Beside them are the message ids that the log held before.
    """
    repeated: frozenset[str] = frozenset()
    unrated: frozenset[Rate] = frozenset()
    for imported in (True, False):
        brought = [(identity, one) for identity, one in lead.values() if one.imported is imported]
        if brought:
            done = _apply(replace(tools, cause="import") if imported else tools, brought, seen)
            seen = None
            hand_on(queues, replace(done, unrated=frozenset()), imported=imported)
            repeated |= done.repeated
            unrated |= {Rate(account, imported) for account in done.unrated}
    return repeated, unrated


def _rate_accounts(tools: Tools, queues: Queues, brought: Mapping[str, Message], outcome: BatchOutcome) -> None:
    """Rate each account once that messages ask for."""
    asked: dict[Rate, list[str]] = {}
    for message, one in brought.items():
        if isinstance(one, Rate):
            asked.setdefault(one, []).append(message)
    for rate, messages in asked.items():
        with outcome.attempting(tuple(messages), "an account was not rated"):
            if rate_account(tools, rate.account, imported=rate.imported):
                queues.changes.send_all([json.dumps({"account": rate.account})])


def _apply(tools: Tools, brought: Iterable[tuple[Identity, Arrival | Refresh]], seen: StoredIdentity | None) -> Outcome:
    events: dict[Identity, list[Event]] = {}
    outdated: list[Identity] = []
    for identity, one in brought:
        if isinstance(one, Refresh):
            outdated = [identity]
        else:
            events.setdefault(identity, []).append(one.event)
    done = apply_events(tools, events, seen) if events else Outcome()
    for identity in outdated:
        more = refresh(tools, identity)
        # Whether it was this that changed the lead, or a delivery before that died, nobody knows.
        unrated = done.unrated | more.unrated | accounts_of(tools.store, [identity])
        done = replace(done, pending=done.pending | more.pending, unrated=unrated)
    return done


def _message_id(one: Arrival | Refresh) -> object:
    return None if isinstance(one, Refresh) else one.event["messageId"]


def _body(content: Mapping[str, object], *, imported: bool) -> str:
    return json.dumps({**content, "imported": True} if imported else content)


def hand_on(queues: Queues, done: Outcome, *, imported: bool = False) -> None:
    """Return once the queues have what an outcome leaves to do; `imported` says that history has come to it."""
    if done.pending:
        queues.changes.send_all([json.dumps({"lead": identity}) for identity in sorted(done.pending)])
    if done.accounts:
        queues.events.send_all([Spread(account, imported=imported).body() for account in sorted(done.accounts)])
    if done.unrated:
        _hand_on_ratings(queues, [Rate(account, imported) for account in done.unrated])


def _hand_on_ratings(queues: Queues, rates: Iterable[Rate]) -> None:
    (queues.ratings or queues.events).send_all(sorted(rate.body() for rate in rates))


def _spread(reader: Reader, events: Queue, spread: Spread) -> None:
    members = list(islice(reader.walk_members(spread.account, spread.after), MEMBERS_PER_MESSAGE))
    bodies = [Refresh(identity, spread.imported).body() for _, identity in members]
    if len(members) == MEMBERS_PER_MESSAGE:
        bodies.append(replace(spread, after=members[-1][0]).body())
    if bodies:
        events.send_all(bodies)


def _sweep(reader: Reader, graves: Graves, events: Queue, sweep: Sweep) -> None:
    left = sweep_up(reader, graves, sweep)
    if left is not None:
        events.send_all([left.body()])
