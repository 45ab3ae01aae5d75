"""What must be remembered of a lead to score it at any later instant, and how events enter it.

    events --advance--> State --to_json--> the lead's item --from_json--> State --advance--> ...

Invariant: a state is a function of the set of its events. `advance` and `merge` are idempotent, commutative and
associative, so that redelivery, reordering, any batching and any merge of identities leave equal bytes. A state
grows with the criteria that it touched and their limits, never with the number of events.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from leadscore.core.instants import Millis, parse_instant
from leadscore.core.matcher import chosen
from leadscore.core.occurrences import Kept, Occurrence, keep, read_occurrence, unite
from leadscore.core.ruleset import Criterion, Ruleset
from leadscore.core.traits import (
    PROFILE_TRAITS,
    Claim,
    Claims,
    canonical_json,
    claim,
    is_newer,
    present_values,
    unite_claims,
)

Event = Mapping[str, object]

# Traits that no criterion reads yet: this many by name, so that a later ruleset finds most of them.
MOST_OTHER_TRAITS = 32
LONGEST_OTHER_NAME = 128


class StaleState(ValueError):
    """The text was made under other patterns or limits: only a replay of the log gives the state."""


class Moment(NamedTuple):
    """When something happened and by which event."""

    time: Millis
    event: str


class HandRaise(NamedTuple):
    """When a lead raised its hand, by which event, and what that is called."""

    time: Millis
    event: str
    name: str


@dataclass(frozen=True, slots=True)
class State:
    """One lead, bound to the ruleset that reads it. May contain personal data: do not log.

    `kept` holds occurrences per criterion id, oldest first, never empty; `goal` is the first conversion, `raised` the
    last hand-raise; `membership` claims the account; `claims` are the traits with the events that set them.
    """

    ruleset: Ruleset = field(repr=False)
    kept: dict[str, Kept]
    claims: Claims
    membership: Claim | None
    goal: Moment | None
    raised: HandRaise | None = None

    @classmethod
    def empty(cls, ruleset: Ruleset) -> State:
        """Return the state of a lead without events."""
        return cls(ruleset, {}, {}, None, None)

    @property
    def traits(self) -> dict[str, object]:
        """The lead's current traits, of those that the ruleset reads or that are shown to people."""
        return present_values(self.claims)

    @property
    def account(self) -> str | None:
        """The id of the account that the lead belongs to now."""
        return None if self.membership is None else str(self.membership.value)

    @property
    def newest(self) -> Millis | None:
        """The newest event time among all that is kept, None where nothing is."""
        times = [occurrences[-1].time for occurrences in self.kept.values()]
        times += [known.time for known in self.claims.values()]
        times += [moment.time for moment in (self.membership, self.goal, self.raised) if moment is not None]
        return max(times, default=None)

    def to_json(self) -> str:
        """Return the state as canonical JSON: equal states give equal texts."""
        document: dict[str, object] = {"v": self.ruleset.state_digest}
        if self.kept:
            document["o"] = {
                name: [_compact(occurrence) for occurrence in occurrences] for name, occurrences in self.kept.items()
            }
        if self.claims:
            document["t"] = self.claims
        if self.membership is not None:
            document["a"] = self.membership
        if self.goal is not None:
            document["g"] = self.goal
        if self.raised is not None:
            document["h"] = self.raised
        return canonical_json(document)

    @classmethod
    def from_json(cls, ruleset: Ruleset, text: str) -> State:
        """Return the state that `to_json` wrote; raises StaleState where its patterns or limits were others."""
        document = json.loads(text)
        if document["v"] != ruleset.state_digest:
            raise StaleState(f"the state is of {document['v']}, the ruleset keeps {ruleset.state_digest}")
        return cls(
            ruleset,
            {name: tuple(Occurrence(*item) for item in items) for name, items in document.get("o", {}).items()},
            {name: Claim(*item) for name, item in document.get("t", {}).items()},
            Claim(*document["a"]) if "a" in document else None,
            Moment(*document["g"]) if "g" in document else None,
            HandRaise(*document["h"]) if "h" in document else None,
        )

    @classmethod
    def lasting(cls, ruleset: Ruleset, text: str, *, until: Millis, without: Container[str] = ()) -> State:
        """Return what a stored state knows from before `until`, but not from the events `without`.

        A log that holds no older events can be replayed on top of it. Under other patterns or limits than those the
        text was made with, occurrences are left out, as nobody can tell what they would have been.
        """
        document = json.loads(text)
        if document["v"] != ruleset.state_digest:
            document["o"] = {}

        def lasts(item: Sequence[object]) -> bool:
            return cast(int, item[0]) < until and item[1] not in without

        kept = {
            name: tuple(Occurrence(*item) for item in items if lasts(item))
            for name, items in document.get("o", {}).items()
        }
        read = ruleset.lead_traits | PROFILE_TRAITS
        always = () if ruleset.alerts is None else ruleset.alerts.always
        raised = HandRaise(*document["h"]) if "h" in document and lasts(document["h"]) else None
        claims = document.get("t", {}).items()
        return cls(
            ruleset,
            {name: occurrences for name, occurrences in kept.items() if occurrences},
            {name: Claim(*item) for name, item in claims if name in read and lasts(item)},
            Claim(*document["a"]) if "a" in document and lasts(document["a"]) else None,
            Moment(*document["g"]) if "g" in document and lasts(document["g"]) else None,
            raised if raised is not None and raised.name in always else None,
        )


@dataclass(frozen=True, slots=True)
class AccountState:
    """The traits of one account with the events that set them.

    Unlike a lead's state it outlives any ruleset: the log is kept by lead, so no account could be replayed from it.
    """

    ruleset: Ruleset = field(repr=False)
    claims: Claims

    @classmethod
    def empty(cls, ruleset: Ruleset) -> AccountState:
        """Return the state of an account without events."""
        return cls(ruleset, {})

    @property
    def traits(self) -> dict[str, object]:
        """The account's current traits."""
        return present_values(self.claims)

    def to_json(self) -> str:
        """Return the state as canonical JSON: equal states give equal texts."""
        return canonical_json({"t": self.claims})

    @classmethod
    def from_json(cls, ruleset: Ruleset, text: str) -> AccountState:
        """Return the state that `to_json` wrote, under whichever ruleset."""
        return cls(ruleset, read_account_claims(text))


def read_account_claims(text: str) -> Claims:
    """Return what an account's state that `to_json` wrote says, with the events that said it."""
    return {name: Claim(*item) for name, item in json.loads(text)["t"].items()}


def touches(ruleset: Ruleset, event: Event) -> bool:
    """Return whether `event` can change a state: it matches, or it names an account or a trait that is kept."""
    if ruleset.event_matcher.match_bits(event) or event.get("groupId"):
        return True
    return any(name in ruleset.lead_traits or name in PROFILE_TRAITS for name in _identified(event))


def advance(state: State, events: Iterable[Event]) -> State:
    """Return the state with `events` taken in, in any order, known ones included.

    The same object comes back where the events change nothing.
    """
    draft = _Draft(state)
    for event in events:
        draft.take(event)
    return draft.finish()


def advance_account(account: AccountState, events: Iterable[Event]) -> AccountState:
    """Return the account with its `group` events taken in, in any order, known ones included.

    The caller passes events of this account; those of other types say nothing of it. The same object comes back
    where the events change nothing.
    """
    claims = dict(account.claims)
    for event in events:
        traits = event.get("traits")
        if event["type"] == "group" and isinstance(traits, Mapping):
            claim(claims, traits, parse_instant(str(event["timestamp"])), str(event["messageId"]), traits.keys())
    claims = _bound(claims, account.ruleset.account_traits)
    return account if claims == account.claims else AccountState(account.ruleset, claims)


def merge(one: State, other: State) -> State:
    """Return the state of the union of both sets of events; raises ValueError where their rulesets keep differently."""
    if one.ruleset.state_digest != other.ruleset.state_digest:
        raise ValueError(
            f"states of {one.ruleset.state_digest} and {other.ruleset.state_digest} do not merge: replay the log"
        )
    criteria, places = one.ruleset.criteria, one.ruleset.places
    kept = {
        name: unite(criteria[places[name]], one.kept.get(name, ()), other.kept.get(name, ()))
        for name in one.kept.keys() | other.kept.keys()
    }
    membership = max(filter(None, (one.membership, other.membership)), key=lambda known: known[:2], default=None)
    goal = min(filter(None, (one.goal, other.goal)), default=None)
    raised = max(filter(None, (one.raised, other.raised)), default=None)
    return State(one.ruleset, kept, unite_claims(one.claims, other.claims), membership, goal, raised)


def says_the_same(one: State, other: State) -> bool:
    """Return whether two states differ at most in which of several events said a thing that they agree on."""
    return (
        one.kept == other.kept
        and one.goal == other.goal
        and one.raised == other.raised
        and one.account == other.account
        and _values(one.claims) == _values(other.claims)
    )


def is_ahead_of(one: State, other: State) -> bool:
    """Return whether `one` has a trait or the account by a newer event than `other` has, or `other` has it by none."""
    if one.membership is not None and is_newer(one.membership.time, one.membership.event, other.membership):
        return True
    return any(is_newer(said.time, said.event, other.claims.get(name)) for name, said in one.claims.items())


def replaces_traits(before: State, after: State) -> bool:
    """Return whether some trait that was known before has another value after."""
    known, values = _values(before.claims), _values(after.claims)
    return any(values[name] != value for name, value in known.items())


def replaces_account(before: State, after: State) -> bool:
    """Return whether the lead belonged to an account before and belongs to another after."""
    return before.account is not None and before.account != after.account


class _Draft:
    """A state while events enter it: copies that may be changed, and whether anything was."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._ruleset = state.ruleset
        self._kept = dict(state.kept)
        self._claims = dict(state.claims)
        self._membership = state.membership
        self._goal = state.goal
        self._raised = state.raised
        self._changed = False

    def take(self, event: Event) -> None:
        bits = self._ruleset.event_matcher.match_bits(event)
        account = event.get("groupId")
        identified = _identified(event)
        if not (bits or account or identified):
            return
        time, name = parse_instant(str(event["timestamp"])), str(event["messageId"])
        if bits:
            self._take_matches(bits, event, time, name)
        if identified:
            lead_traits = self._ruleset.lead_traits | PROFILE_TRAITS
            self._changed |= claim(self._claims, identified, time, name, lead_traits)
        if account and is_newer(time, name, self._membership):
            self._membership = Claim(time, name, account)
            self._changed = True

    def _take_matches(self, bits: int, event: Event, time: Millis, name: str) -> None:
        ruleset = self._ruleset
        goal_bit, raise_bit = ruleset.goal_bit, ruleset.raise_bit
        if bits & goal_bit:
            self._take_goal(Moment(time, name))
        if bits & raise_bit:
            self._take_raise(HandRaise(time, name, str(event["event"])))
        for criterion in chosen(ruleset.behaviour, bits & ~(goal_bit | raise_bit)):
            self._take_occurrence(criterion, read_occurrence(criterion, event, time, name))

    def _take_goal(self, reached: Moment) -> None:
        if self._goal is None or reached < self._goal:
            self._goal = reached
            self._changed = True

    def _take_raise(self, raised: HandRaise) -> None:
        if self._raised is None or raised > self._raised:
            self._raised = raised
            self._changed = True

    def _take_occurrence(self, criterion: Criterion, occurrence: Occurrence | None) -> None:
        if occurrence is None:
            return
        before = self._kept.get(criterion.id, ())
        after = keep(criterion, before, occurrence)
        if after is not before:
            self._kept[criterion.id] = after
            self._changed = True

    def finish(self) -> State:
        if not self._changed:
            return self._state
        return State(self._ruleset, self._kept, self._claims, self._membership, self._goal, self._raised)


def _identified(event: Event) -> Mapping[str, object]:
    """Return the traits that the event says of its lead."""
    traits = event.get("traits")
    return traits if event.get("type") == "identify" and isinstance(traits, Mapping) else {}


def _values(claims: Claims) -> dict[str, object]:
    return {name: known.value for name, known in claims.items()}


def _compact(occurrence: Occurrence) -> tuple[object, ...]:
    return occurrence if occurrence.mark is not None else occurrence[:2]


def _bound(claims: Claims, read: frozenset[str]) -> Claims:
    """Return the claims that criteria read and the first others by name."""
    others = sorted(name for name in claims.keys() - read if len(name) <= LONGEST_OTHER_NAME)
    kept = read.union(others[:MOST_OTHER_TRAITS])
    return {name: known for name, known in claims.items() if name in kept}
