"""Everything that one lead is verified by, as it was read: its identities, their logs, and whom they claim.

Who owns whom follows from the claims that events make. An item's word for a claim holds where its log backs it, or
where the log no longer can, being too short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from leadscore.core.identity import Identity, Ownership, claimed_by, identities, possible_identities, strength
from leadscore.core.instants import Millis, parse_instant
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import AccountState, Moment, StaleState, State
from leadscore.usecases.accounts import load_account_states
from leadscore.usecases.forest import load_tree, replay
from leadscore.usecases.records import Event, Reader, StoredIdentity

Logs = Mapping[Identity, Sequence[Event]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one lead is compared by. May contain personal data: do not log.

    `path` leads from the identity that was asked for to the root, and `tree` are all identities of that, the root
    first. `beside` are those that the tree claims and has not got, and owners that are not in the tree. `logs` are
    whole logs, of the tree always. `stored` is None where no state can be read under the ruleset, `readable` whether
    there could be a reason for that. Events from before `begins` may have left the log.
    """

    path: tuple[StoredIdentity, ...]
    tree: tuple[StoredIdentity, ...]
    beside: Mapping[Identity, StoredIdentity]
    logs: Logs
    accounts: Mapping[str | None, AccountState]
    stored: State | None
    readable: bool
    replayed: State
    begins: Millis

    @property
    def root(self) -> StoredIdentity:
        """The lead itself."""
        return self.tree[0]

    @property
    def items(self) -> dict[Identity, StoredIdentity]:
        """Every item that was read, by its identity."""
        return {**self.beside, **{one.identity: one for one in (*self.path, *self.tree)}}

    @property
    def versions(self) -> dict[Identity, tuple[int, int]]:
        """What changes when the lead, its claims or its log do."""
        return {name: (one.version, len(self.logs.get(name, ()))) for name, one in self.items.items()}

    def is_backed(self, target: StoredIdentity) -> bool:
        """Return whether the owner that an identity has did claim it so."""
        if target.owner is None or strength(target.owner.owner) <= strength(target.identity):
            return False
        owner, claim = self.items[target.owner.owner], Moment(target.owner.time, target.owner.event)
        if owner.identity in self.logs:
            return self.is_claim(owner, target.identity, claim)
        return owner.claimed.get(target.identity) == claim

    def is_claim(self, claimer: StoredIdentity, target: Identity, claim: Moment) -> bool:
        """Return whether the claimer's log has that claim, under one ruleset or another, or cannot have it any more."""
        if claim.time < self.begins:
            return claimer.claimed.get(target) == claim
        return strength(target) < strength(claimer.identity) and any(
            event["messageId"] == claim.event
            and parse_instant(str(event["timestamp"])) == claim.time
            and {claimer.identity, target} <= possible_identities(event)
            for event in self.logs[claimer.identity]
        )


def read_snapshot(reader: Reader, ruleset: Ruleset, identity: Identity, at: Millis) -> Snapshot | None:
    """Return what the lead of an identity is compared by, None where it was erased."""
    path = _climb(reader, identity)
    if any(one.erased for one in path):
        return None
    root = path[-1]
    tree = load_tree(reader, root)
    logs: dict[Identity, Sequence[Event]] = {one.identity: reader.load_events(one.identity) for one in tree}
    events = [event for log in logs.values() for event in log]
    stored, readable = _read_state(ruleset, root)
    replayed = replay(reader, ruleset, events, [root.body] if root.body is not None and readable else [], at)
    named = {str(event["groupId"]) for event in events if event.get("groupId")}
    snapshot = Snapshot(
        path=tuple(path),
        tree=tuple(tree),
        beside=_load_beside(reader, ruleset, {one.identity: one for one in (*path, *tree)}, logs),
        logs=logs,
        accounts=load_account_states(reader, ruleset, {replayed.account, *named}),
        stored=stored,
        readable=readable,
        replayed=replayed,
        begins=at - reader.retention,
    )
    for target, ownership in owned(snapshot):
        if ownership.owner not in logs and not snapshot.is_backed(target):
            logs[ownership.owner] = reader.load_events(ownership.owner)
    return snapshot


def owned(snapshot: Snapshot) -> Iterator[tuple[StoredIdentity, Ownership]]:
    """Yield the identities with an owner that concern the lead: those of it, and those that it claimed in vain."""
    own = {one.identity for one in (*snapshot.path, *snapshot.tree)}
    claimed = {target for one in snapshot.tree for target in one.claimed}
    for name, one in snapshot.items.items():
        if one.owner is not None and (name in own or name in claimed):
            yield one, one.owner


def unmet_claims(snapshot: Snapshot) -> Iterator[tuple[StoredIdentity, StoredIdentity, Moment]]:
    """Yield (claimer, target, claim) for the claims of the lead that should have won their targets and have not."""
    items = snapshot.items
    for one in snapshot.tree:
        for name, claim in sorted(one.claimed.items()):
            target = items[name]
            late = target.owner is None or Ownership(*claim, one.identity) < target.owner
            if late and not target.erased and snapshot.is_claim(one, name, claim):
                yield one, target, claim


def logged_claims(ruleset: Ruleset, identity: Identity, log: Iterable[Event]) -> dict[Identity, Moment]:
    """Return the smallest claims that an identity's log makes for it under the ruleset."""
    claims: dict[Identity, Moment] = {}
    for event in log:
        for target, (time, message, owner) in claimed_by(event, ruleset.identity).items():
            if owner == identity:
                claim = Moment(time, message)
                claims[target] = min(claim, claims.get(target, claim))
    return claims


def misplaced(ruleset: Ruleset, identity: Identity, log: Iterable[Event]) -> list[Event]:
    """Return the events that lie in an identity's log and are about another.

    Where the ruleset has turned off the kind of id that an event was about, the event stays where it is.
    """
    found = []
    for event in log:
        about = identities(event, ruleset.identity)[0]
        if strength(about) > strength(identity) or identity not in possible_identities(event):
            found.append(event)
    return found


def _climb(reader: Reader, identity: Identity) -> list[StoredIdentity]:
    """Return the way up to the root, as far as it leads up: an owner that is no stronger is none."""
    path = [reader.load_identities([identity])[identity]]
    while (owner := path[-1].owner) is not None and strength(owner.owner) > strength(path[-1].identity):
        path.append(reader.load_identities([owner.owner])[owner.owner])
    return path


def _load_beside(
    reader: Reader, ruleset: Ruleset, known: Mapping[Identity, StoredIdentity], logs: Logs
) -> dict[Identity, StoredIdentity]:
    claimed = {target for name in logs for target in (*known[name].claimed, *logged_claims(ruleset, name, logs[name]))}
    beside = _load(reader, claimed - known.keys())
    owners = {one.owner.owner for one in (*known.values(), *beside.values()) if one.owner is not None}
    return beside | _load(reader, owners - known.keys() - beside.keys())


def _load(reader: Reader, wanted: set[Identity]) -> dict[Identity, StoredIdentity]:
    return reader.load_identities(wanted) if wanted else {}


def _read_state(ruleset: Ruleset, root: StoredIdentity) -> tuple[State | None, bool]:
    if root.body is None:
        return None, True
    try:
        return State.from_json(ruleset, root.body.state), True
    except StaleState:
        return None, root.body.ruleset != ruleset.version
    except (ValueError, KeyError, TypeError):
        return None, False
