"""Setting apart the events that must not count, before the log is written; and letting them count after all.

    arrivals --judge--> by themselves, by a mark on whom they name, as a burst --> mark, keep --> acknowledged
                                                                                      |
    clear: send again as cleared --> remove the marks, then the events <--------------+

Invariant: the log has nothing of it, so that all that is computed from the log is what it would be if such an event had
never come. What the log has already is past judging: it counts, and its redelivery must be able to finish what was
begun. Whatever is interrupted is done again by the same request.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from leadscore.core.identity import Identity, identities, possible_identities
from leadscore.core.instants import Millis, parse_instant
from leadscore.quarantine import Burst, Quarantine, Reason
from leadscore.usecases.arrivals import Arrival
from leadscore.usecases.records import Event, Quarantined, Reader, Ward
from leadscore.usecases.scoring import group_by_lead

if TYPE_CHECKING:
    from leadscore.core.ruleset import IdentityPolicy

# A batch brings a tenth of a burst at least, and no fewer than this, before anything is counted: an ordinary batch
# costs nothing.
_PARTS_OF_A_BURST = 10
_LEAST_PART = 10


class EventQueue(Protocol):
    """Where events go to be scored."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Return once the queue has every body; raise otherwise."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What is judged by, and where what must not count is kept."""

    rules: Quarantine
    ward: Ward


class Apart(NamedTuple):
    """The messages whose events do not count, and those of the events that were not kept before."""

    messages: frozenset[str] = frozenset()
    kept: tuple[Quarantined, ...] = ()


def set_apart(
    gate: Gate,
    reader: Reader,
    policy: IdentityPolicy,
    arrived: Mapping[str, Arrival],
    at: Millis,
    again: Collection[str] = frozenset(),
) -> Apart:
    """Keep the events that must not count, by message id; the others are as they were.

    Messages that come `again` may have been found part of a burst before, in the company of others.

    Nothing is read or written where nothing is suspicious, but for the marks of those who are named, where there are
    internal domains. Events of the erased are left alone: whoever scores drops them.
    """
    judged = {message: one for message, one in arrived.items() if not one.cleared}
    named = {message: identities(one.event, policy) for message, one in judged.items()}
    verdicts = _by_themselves(gate.rules, judged)
    showing = [message for message, reason in verdicts.items() if _tells_who(reason)]
    held: Mapping[Identity, Reason] = {}
    if gate.rules.domains:
        held = gate.ward.find_held(_names_in(named, named)) if named else {}
        shown = dict.fromkeys(_names_in(showing, named), Reason.INTERNAL_DOMAIN)
        verdicts |= _by_marks(shown | held, named, verdicts)
    if gate.rules.burst is not None:
        left = {message: one for message, one in judged.items() if message not in verdicts and not one.imported}
        verdicts |= _as_bursts(gate.ward, gate.rules.burst, left, named, at, frozenset(again))
    if not verdicts:
        return Apart()
    apart = _not_yet_known(gate.ward, reader, arrived, named, verdicts, at)
    if gate.rules.domains:
        shown_by_now = _names_in([message for message in showing if message in apart], named)
        gate.ward.hold(shown_by_now - held.keys(), Reason.INTERNAL_DOMAIN, at)
    new = gate.ward.keep(list(apart.values())) if apart else frozenset()
    kept = {str(each.event["messageId"]): each for each in apart.values()}
    return Apart(frozenset(apart), tuple(each for message, each in kept.items() if message in new))


def clear(
    ward: Ward, events: EventQueue, quarantined: Sequence[Quarantined], identities: Collection[Identity] = ()
) -> None:
    """Let events count after all: send them again, unmark whom they have shown and the `identities`, remove them.

    Interrupted, it may be done again: what is sent twice is applied once.
    """
    events.send_all([_cleared_body(each) for each in quarantined])
    shown = {name for each in quarantined if _tells_who(each.reason) for name in possible_identities(each.event)}
    ward.release(quarantined, shown | set(identities))


def _names_in(messages: Iterable[str], named: Mapping[str, Sequence[Identity]]) -> set[Identity]:
    return {name for message in messages for name in named[message]}


def _by_themselves(rules: Quarantine, judged: Mapping[str, Arrival]) -> dict[str, Reason]:
    verdicts = {message: rules.judge(one.event, one.edge) for message, one in judged.items()}
    return {message: reason for message, reason in verdicts.items() if reason is not None}


def _by_marks(
    held: Mapping[Identity, Reason], named: Mapping[str, Sequence[Identity]], verdicts: Mapping[str, Reason]
) -> dict[str, Reason]:
    """Return the verdicts on the messages without one that name somebody who is held."""
    marked = {
        message: next((held[name] for name in names if name in held), None)
        for message, names in named.items()
        if message not in verdicts
    }
    return {message: reason for message, reason in marked.items() if reason is not None}


def _as_bursts(
    ward: Ward,
    burst: Burst,
    left: Mapping[str, Arrival],
    named: Mapping[str, Sequence[Identity]],
    at: Millis,
    again: frozenset[str],
) -> dict[str, Reason]:
    """Return the verdicts on what one identity cannot have done in one window of time.

    Both are windows: in which it happened, and in which it was received. What was offline for long comes in a lump,
    with times of its own.
    """
    together: defaultdict[tuple[Identity, str], dict[str, str]] = defaultdict(dict)
    for message, one in left.items():
        window = _window(one.event, burst.within)
        if window is not None:
            together[named[message][0], window][message] = str(one.event["messageId"])
    part = max(_LEAST_PART, burst.events // _PARTS_OF_A_BURST)
    verdicts: dict[str, Reason] = {}
    for (identity, window), messages in together.items():
        distinct = set(messages.values())
        is_asked = len(distinct) >= part or not again.isdisjoint(messages)
        if is_asked and ward.tally(identity, window, distinct, burst.events, at) >= burst.events:
            verdicts |= dict.fromkeys(messages, Reason.BURST)
    return verdicts


def _window(event: Event, within: Millis) -> str | None:
    """Return the name of the windows that an event happened and was received in, None where it tells no instant."""
    try:
        happened = parse_instant(str(event["timestamp"]))
        received = parse_instant(str(event.get("receivedAt") or event["timestamp"]))
    except ValueError:
        return None
    return f"{happened // within}#{received // within}"


def _not_yet_known(
    ward: Ward,
    reader: Reader,
    arrived: Mapping[str, Arrival],
    named: Mapping[str, Sequence[Identity]],
    verdicts: Mapping[str, Reason],
    at: Millis,
) -> dict[str, Quarantined]:
    """Return what is to be kept, by message: not what is of erased people, and not what the log has."""
    about = {message: named[message][0] for message in verdicts}
    alive = {identity for lead in group_by_lead(reader, set(about.values())) for identity in lead}
    found = [(about[message], arrived[message].event) for message in verdicts if about[message] in alive]
    logged = ward.find_logged(found) if found else frozenset()
    return {
        message: Quarantined(
            about[message], arrived[message].event, reason, arrived[message].source, at, arrived[message].imported
        )
        for message, reason in verdicts.items()
        if about[message] in alive and str(arrived[message].event["messageId"]) not in logged
    }


def _tells_who(reason: Reason) -> bool:
    """Return whether it is a reason that holds for the person, not for what was done alone."""
    return reason is Reason.INTERNAL_DOMAIN


def _cleared_body(quarantined: Quarantined) -> str:
    content: dict[str, object] = {"event": quarantined.event, "source": quarantined.source, "cleared": True}
    return json.dumps({**content, "imported": True} if quarantined.imported else content, separators=(",", ":"))
