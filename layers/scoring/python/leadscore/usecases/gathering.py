"""Everything that an outcome depends on, read and brought together.

That is the lead before and after its events, and the leads and identities that change with it.

A claim is won by the smallest (event time, message id). Winning a free identity brings its whole lead along; winning
one that belongs to another lead takes that one's share away from there. Both are then what the log says of the
identities they have.

An event that only repeats what is known is not written to its lead: the log alone has it. So whatever replaces a
known value asks the log first, whether something newer was left out; how much of it, says `Depth`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from leadscore.core.identity import Identity, Ownership, claimed_by, strength
from leadscore.core.instants import Millis
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import Moment, State, advance, merge, replaces_account, replaces_traits
from leadscore.usecases.forest import load_log, load_path, load_state, load_tree, replay
from leadscore.usecases.records import ConflictError, Event, Reader, StoredIdentity

# A transaction takes 100 writes: of each identity that is claimed, and of the lead that loses it.
MOST_CLAIMS = 40

Members = Mapping[Identity, Sequence[Event]]


class Depth(IntEnum):
    """How much of a lead's log an outcome asks: nothing, what sets traits, or all."""

    NOTHING = 0
    TRAITS = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Lead:
    """A root with its state before and after."""

    root: StoredIdentity
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the events of `members` make of their lead.

    `robbed` are leads that lose identities to it, `swallowed` former roots that now belong to it; `linked` are the
    identities whose owner or claims change, as they become. `depth` is what had to be asked of the log. With
    `claims_left` there is more to claim than one commit takes.
    """

    members: tuple[Identity, ...]
    lead: Lead
    robbed: tuple[Lead, ...] = ()
    swallowed: tuple[StoredIdentity, ...] = ()
    linked: Mapping[Identity, StoredIdentity] = field(default_factory=dict)
    depth: Depth = Depth.NOTHING
    claims_left: bool = False


def gather(
    reader: Reader,
    ruleset: Ruleset,
    waiting: Members,
    at: Millis,
    depth: Depth,
    seen: StoredIdentity | None = None,
) -> Gathered:
    """Return what the events of the strongest identity of `waiting`, and of all others of its lead, come to.

    The events must be in the log. A root that was `seen` before they were is not read again: what then comes out holds
    only if it is written at the version that was seen. Raises ConflictError where the items that were read do not
    belong together.
    """
    known = {} if seen is None else {seen.identity: [seen]}
    paths = {identity: known.get(identity) or load_path(reader, identity) for identity in waiting}
    root = paths[max(waiting, key=strength)][-1]
    members = tuple(identity for identity, path in paths.items() if path[-1].identity == root.identity)
    if any(paths[member][-1].version != root.version for member in members):
        raise ConflictError("the lead was written while it was read")
    claims = _claims(ruleset, {member: paths[member][0] for member in members}, waiting)
    joins = _Joins(reader, ruleset, root, at)
    linked = joins.link(claims) if claims else {}
    events = [event for member in members for event in waiting[member]]
    unapplied = {str(event["messageId"]) for event in events} if depth is Depth.NOTHING else set()
    before, brought = load_state(reader, ruleset, root, at, unapplied), joins.brought()
    after = advance(merge(before, brought), events)
    robbed = joins.robbed()
    # What said nothing new of the lead that lost an identity may well say something new of the one that won it.
    depth = Depth.ALL if robbed else max(depth, _contest(before, after), _contest(brought, after))
    if depth is Depth.TRAITS:
        after = advance(after, load_log(reader, joins.tree(), identify_only=True))
    elif depth is Depth.ALL:
        after = joins.replayed()
    return Gathered(
        members=members,
        lead=Lead(root, before, after),
        robbed=robbed,
        swallowed=tuple(joins.swallowed.values()),
        linked=linked,
        depth=depth,
        claims_left=claims.left,
    )


def former_owners(reader: Reader, ruleset: Ruleset, waiting: Members) -> set[Identity]:
    """Return who has ever lost an identity that these events claim."""
    claimed = {name for events in waiting.values() for event in events for name in claimed_by(event, ruleset.identity)}
    found = reader.load_identities(claimed) if claimed else {}
    return {former for one in found.values() for former in one.former}


@dataclass(slots=True)
class _Claims:
    """New claims: the claimers with what they have claimed by now, and the smallest claim on each identity.

    `left` says that there are more than one transaction takes.
    """

    claimers: dict[Identity, StoredIdentity] = field(default_factory=dict)
    smallest: dict[Identity, Ownership] = field(default_factory=dict)
    left: bool = False

    def __bool__(self) -> bool:
        return bool(self.smallest)


def _claims(ruleset: Ruleset, claimers: Mapping[Identity, StoredIdentity], waiting: Members) -> _Claims:
    claims = _Claims()
    for name, claimer in claimers.items():
        known = dict(claimer.claimed)
        for event in waiting[name]:
            for target, claim in claimed_by(event, ruleset.identity).items():
                if target in known and known[target] <= claim[:2]:
                    continue
                if target not in claims.smallest and len(claims.smallest) == MOST_CLAIMS:
                    claims.left = True
                    continue
                known[target] = Moment(claim.time, claim.event)
                claims.smallest[target] = min(claim, claims.smallest.get(target, claim))
                claims.claimers[name] = replace(claimer, claimed=known)
    return claims


class _Joins:
    """Collects what won identities bring along, and what it costs those who lose them."""

    def __init__(self, reader: Reader, ruleset: Ruleset, root: StoredIdentity, at: Millis) -> None:
        self._reader = reader
        self._ruleset = ruleset
        self._root = root
        self._at = at
        self._moved: dict[Identity, StoredIdentity] = {}
        self._losses: dict[Identity, tuple[StoredIdentity, set[Identity]]] = {}
        self.swallowed: dict[Identity, StoredIdentity] = {}

    def link(self, claims: _Claims) -> dict[Identity, StoredIdentity]:
        """Take over every identity that is won; return the identities that the claims change."""
        linked = dict(claims.claimers)
        for target, found in self._reader.load_identities(claims.smallest).items():
            claim = claims.smallest[target]
            if not found.erased and (found.owner is None or claim < found.owner):
                self._take(found)
                linked[target] = _owned(linked.get(target, found), claim)
        for name in self.swallowed:
            self._losses.pop(name, None)
        return linked

    def brought(self) -> State:
        """Return the state of what was taken over."""
        bodies = [one.body for one in self.swallowed.values() if one.body is not None]
        return replay(self._reader, self._ruleset, load_log(self._reader, self._moved.values()), bodies, self._at)

    def tree(self) -> list[StoredIdentity]:
        """Return all identities that are the lead's own by now."""
        own = {one.identity: one for one in load_tree(self._reader, self._root)}
        return list((own | self._moved).values())

    def replayed(self) -> State:
        """Return the lead's state from the log of all that is its own by now."""
        roots = (self._root, *self.swallowed.values())
        bodies = [one.body for one in roots if one.body is not None]
        return replay(self._reader, self._ruleset, load_log(self._reader, self.tree()), bodies, self._at)

    def robbed(self) -> tuple[Lead, ...]:
        """Return the leads that lost identities, with what the log leaves them."""
        return tuple(self._without(loser, lost) for loser, lost in self._losses.values())

    def _take(self, found: StoredIdentity) -> None:
        tree = load_tree(self._reader, found)
        if found.owner is None:
            self.swallowed[found.identity] = found
        else:
            loser = load_path(self._reader, found.owner.owner)[-1]
            if loser.erased:
                raise ConflictError("the identity's lead is being erased")
            if loser.identity == self._root.identity:
                return
            self._losses.setdefault(loser.identity, (loser, set()))[1].update(one.identity for one in tree)
        self._moved |= {one.identity: one for one in tree}

    def _without(self, loser: StoredIdentity, lost: Collection[Identity]) -> Lead:
        tree = load_tree(self._reader, loser)
        gone = load_log(self._reader, [one for one in tree if one.identity in lost])
        left = load_log(self._reader, [one for one in tree if one.identity not in lost])
        bodies = [loser.body] if loser.body is not None else []
        without = frozenset(str(event["messageId"]) for event in gone)
        after = replay(self._reader, self._ruleset, left, bodies, self._at, without)
        return Lead(loser, load_state(self._reader, self._ruleset, loser, self._at), after)


def _owned(found: StoredIdentity, claim: Ownership) -> StoredIdentity:
    """Return the identity under its new owner, with whoever lost it on record."""
    lost_by = () if found.owner is None or found.owner.owner in found.former else (found.owner.owner,)
    return replace(found, owner=claim, body=None, former=(*found.former, *lost_by))


def _contest(before: State, after: State) -> Depth:
    if replaces_account(before, after):
        return Depth.ALL
    return Depth.TRAITS if replaces_traits(before, after) else Depth.NOTHING
