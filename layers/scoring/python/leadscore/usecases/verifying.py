"""Comparing what is stored of a lead with what the log gives.

    identity --> snapshot --replay, compare--> differences --read again--> reported
                    ^                                           |
                    +---- somebody was writing: look again -----+

Invariant: an error that is reported was there in two readings of the same versions. A difference names identities,
message ids and instants, and no trait's value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from leadscore.core.identity import EMAIL, EXTERNAL, Identity, Ownership, identities, possible_identities, strength
from leadscore.core.instants import Millis, format_instant, from_datetime, parse_instant
from leadscore.core.occurrences import Kept
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import AccountState, HandRaise, Moment, State, advance_account
from leadscore.core.traits import Claim, Claims, is_newer
from leadscore.usecases.deciding import rank_key
from leadscore.usecases.records import Event, Reader, StoredIdentity
from leadscore.usecases.retrying import Pause
from leadscore.usecases.snapshots import Snapshot, logged_claims, misplaced, owned, read_snapshot, unmet_claims
from leadscore.usecases.standing import score_now

# `outdated` and `unjoined` are what a change of the ruleset leaves until a lead is next written, and no errors.
Kind = Literal[
    "content", "standing", "overdue", "claim", "owner", "log", "account", "pending", "failed", "outdated", "unjoined"
]
NO_ERRORS: frozenset[Kind] = frozenset(("outdated", "unjoined"))

# What is later than this is no longer on its way through the queues.
LATE: Millis = 15 * 60_000
# A lead that is written between all of these readings is left for another time.
READINGS = 4
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """What one item says and what it ought to say, both told without any trait's value; `path` is where in the item."""

    kind: Kind
    identity: Identity
    path: str
    stored: str
    expected: str

    @property
    def is_error(self) -> bool:
        """Whether something went wrong, rather than being left for later by a change of the ruleset."""
        return self.kind not in NO_ERRORS


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found out about one lead, which `lead` is the root of.

    `busy` says that it was written during every reading. `pending` are its identities with changes to announce.
    """

    lead: Identity
    differences: tuple[Difference, ...] = ()
    busy: bool = False
    pending: frozenset[Identity] = frozenset()


def verify_lead(
    reader: Reader, ruleset: Ruleset, identity: Identity, clock: Callable[[], datetime], pause: Pause
) -> Verified | None:
    """Return how the lead that an identity belongs to differs from its log, None where it was erased.

    Takes as long as two readings and a pause where there is an error, one reading otherwise.
    """
    seen: object = None
    for reading in range(1, READINGS + 1):
        now = clock()
        snapshot = read_snapshot(reader, ruleset, identity, from_datetime(now))
        if snapshot is None:
            return None
        differences = tuple(compare(ruleset, snapshot, now))
        settled = not any(difference.is_error for difference in differences)
        if settled or seen == (snapshot.versions, differences):
            pending = frozenset(one.identity for one in snapshot.tree if one.pending)
            return Verified(snapshot.root.identity, differences, pending=pending)
        seen = snapshot.versions, differences
        pause(reading)
    return Verified(identity, busy=True)


def belongs_elsewhere(reader: Reader, identity: Identity) -> bool:
    """Return whether an identity is verified with the lead that it belongs to, being known to its owner."""
    stored = reader.load_identities([identity])[identity]
    if stored.owner is None or strength(stored.owner.owner) <= strength(identity):
        return False
    owner = reader.load_identities([stored.owner.owner])[stored.owner.owner]
    return owner.claimed.get(identity) == stored.owner[:2]


def compare(ruleset: Ruleset, snapshot: Snapshot, now: datetime) -> Iterator[Difference]:
    """Yield every difference, pure: the root's own first, then the forest's."""
    yield from _compare_contents(snapshot)
    yield from _compare_standing(ruleset, snapshot, now)
    yield from _compare_accounts(snapshot)
    for one in snapshot.tree:
        yield from _compare_claims(ruleset, snapshot, one)
        yield from _compare_log(ruleset, snapshot, one)
        yield from _compare_pending(one, from_datetime(now) - LATE)
    yield from _compare_owners(snapshot)


def _compare_contents(snapshot: Snapshot) -> Iterator[Difference]:
    root, stored, replayed = snapshot.root, snapshot.stored, snapshot.replayed
    if not snapshot.readable:
        yield Difference("content", root.identity, "state", "unreadable", "a state")
    elif root.body is None and replayed != State.empty(replayed.ruleset):
        yield Difference("content", root.identity, "state", NOTHING, "a state")
    elif stored is not None:
        yield from _compare_states(root.identity, stored, replayed)


def _compare_states(lead: Identity, stored: State, replayed: State) -> Iterator[Difference]:
    differ = partial(Difference, "content", lead)
    for name in sorted(stored.kept.keys() | replayed.kept.keys()):
        ours, theirs = stored.kept.get(name, ()), replayed.kept.get(name, ())
        if ours != theirs:
            yield differ(f"state.kept.{name}", *_apart(_told_kept(ours), _told_kept(theirs)))
    for name, said, logged in _paired(stored.claims, replayed.claims):
        if _differ(said, logged):
            yield differ(f"state.traits.{name}", *_apart(_told_claim(said), _told_claim(logged)))
    if _differ(stored.membership, replayed.membership):
        yield differ("state.account", *_apart(_told_claim(stored.membership), _told_claim(replayed.membership)))
    if stored.goal != replayed.goal:
        yield differ("state.goal", _told(stored.goal), _told(replayed.goal))
    if stored.raised != replayed.raised:
        yield differ("state.raised", *_apart(_told_raise(stored.raised), _told_raise(replayed.raised)))


def _paired(ours: Claims, theirs: Claims) -> Iterator[tuple[str, Claim | None, Claim | None]]:
    for name in sorted(ours.keys() | theirs.keys()):
        yield name, ours.get(name), theirs.get(name)


def _differ(stored: Claim | None, replayed: Claim | None) -> bool:
    """Return whether a stored claim says something else, or by an event that the log does not have.

    Which of several events said what they agree on may be an older one: repeating it is not written.
    """
    if stored is None or replayed is None:
        return stored is not replayed
    return stored.value != replayed.value or is_newer(stored.time, stored.event, replayed)


def _compare_standing(ruleset: Ruleset, snapshot: Snapshot, now: datetime) -> Iterator[Difference]:
    root, body, state = snapshot.root, snapshot.root.body, snapshot.replayed
    if body is None:
        return
    if body.ruleset != ruleset.version:
        yield Difference("outdated", root.identity, "ruleset", body.ruleset, ruleset.version)
        return
    differ = partial(Difference, "standing", root.identity)
    score = score_now(state, snapshot.accounts.get(state.account), now)
    instant, due = from_datetime(now), None if score.next_change_at is None else from_datetime(score.next_change_at)
    if body.due is None or body.due > instant:
        if body.tier != score.tier:
            yield differ("tier", body.tier, score.tier)
        if body.due != due:
            yield differ("due", _told_instant(body.due), _told_instant(due))
    elif body.due < instant - LATE:
        yield Difference("overdue", root.identity, "due", _told_instant(body.due), _told_instant(due))
    if body.rank_key < rank_key(score.ceiling):
        yield differ("rank_key", str(body.rank_key), f"at least {rank_key(score.ceiling)}")
    if body.account != state.account:
        yield differ("account", str(body.account), str(state.account))
    if state.account is not None and state.account not in root.memberships:
        yield differ("memberships", "without the lead's account", "with it")


def _compare_accounts(snapshot: Snapshot) -> Iterator[Difference]:
    """An account knows at least what this lead's events say of it."""
    said: dict[str, list[Event]] = {}
    for one in snapshot.tree:
        for event in snapshot.logs[one.identity]:
            if event["type"] == "group" and event.get("traits"):
                said.setdefault(str(event["groupId"]), []).append(event)
    for name, events in sorted(said.items()):
        stored = snapshot.accounts.get(name, AccountState.empty(snapshot.replayed.ruleset))
        for trait, ours, theirs in _paired(stored.claims, advance_account(stored, events).claims):
            if ours != theirs:
                told = _apart(_told_claim(ours), _told_claim(theirs))
                yield Difference("account", snapshot.root.identity, f"account.{name}.{trait}", *told)


def _compare_claims(ruleset: Ruleset, snapshot: Snapshot, one: StoredIdentity) -> Iterator[Difference]:
    logged = logged_claims(ruleset, one.identity, snapshot.logs[one.identity])
    for target in sorted(one.claimed.keys() | logged.keys()):
        ours, theirs = one.claimed.get(target), logged.get(target)
        if ours == theirs:
            continue
        if ours is not None and (theirs is None or ours < theirs) and snapshot.is_claim(one, target, ours):
            continue
        # An identity of a kind that the ruleset may have turned on since is claimed by the next rebuild.
        late = ours is None and {EMAIL, EXTERNAL} & {name.partition(":")[0] for name in (one.identity, target)}
        kind: Kind = "unjoined" if late else "claim"
        yield Difference(kind, one.identity, f"claimed.{target}", _told(ours), _told(theirs))


def _compare_log(ruleset: Ruleset, snapshot: Snapshot, one: StoredIdentity) -> Iterator[Difference]:
    for event in misplaced(ruleset, one.identity, snapshot.logs[one.identity]):
        kind: Kind = "unjoined" if one.identity in possible_identities(event) else "log"
        about = identities(event, ruleset.identity)[0]
        yield Difference(kind, one.identity, f"log.{event['messageId']}", f"about {one.identity}", f"about {about}")


def _compare_pending(one: StoredIdentity, since: Millis) -> Iterator[Difference]:
    for change in one.pending:
        if parse_instant(change.at) < since:
            yield Difference("pending", one.identity, f"pending.{change.id}", change.at, "announced")


def _compare_owners(snapshot: Snapshot) -> Iterator[Difference]:
    unbacked = set()
    for target, ownership in owned(snapshot):
        if not snapshot.is_backed(target):
            unbacked.add(target.identity)
            yield Difference("owner", target.identity, "owner", _told_owner(ownership), "a claim of its owner")
        elif target.body is not None:
            yield Difference("owner", target.identity, "state", "a state", NOTHING)
    for one, target, claim in unmet_claims(snapshot):
        if target.identity not in unbacked:
            told = _told_owner(target.owner), f"{_told_owner(Ownership(*claim, one.identity))} or before"
            yield Difference("owner", target.identity, "owner", *told)


def _told(moment: Moment | None) -> str:
    return NOTHING if moment is None else f"{_told_instant(moment.time)} by {moment.event}"


def _told_raise(raised: HandRaise | None) -> str:
    return NOTHING if raised is None else _told(Moment(raised.time, raised.event))


def _told_owner(owner: Ownership | None) -> str:
    return NOTHING if owner is None else f"{owner.owner} at {_told_instant(owner.time)} by {owner.event}"


def _told_claim(claim: Claim | None) -> str:
    return NOTHING if claim is None else _told(Moment(claim.time, claim.event))


def _told_kept(kept: Kept) -> str:
    if not kept:
        return NOTHING
    return f"{len(kept)} kept, the newest {_told(Moment(kept[-1].time, kept[-1].event))}"


def _told_instant(instant: Millis | None) -> str:
    return NOTHING if instant is None else format_instant(instant)


def _apart(stored: str, expected: str) -> tuple[str, str]:
    """Return both texts, told apart where it is a value that differs: values are not told."""
    return stored, expected if expected != stored else f"{expected}, but not the same"
