"""Applying events to leads: log them, gather, decide (the core), act (one conditional write or transaction).

    events by identity -> log them -> gather the lead -> advance, join, score, alert policy -> write --> announce
                                         ^                                                       |
                                         +--------- someone else wrote first, or settle ---------+

Invariant: an event is acknowledged only after it is in the log, its lead's state contains it, and whatever it changed
has been handed on. A state is a semilattice over a set of events, so that any step may be repeated, and an event that
is logged but not applied (a crash in between) is applied by its redelivery.

What only repeats what is known is not written to a lead. So whoever replaced a known value, or took an identity from
another lead, *settles* after the write: asks the log once more for what was left out meanwhile. A redelivery asks
the whole log at once, as whoever came before may have died on any step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from leadscore.core.identity import Identity, claimed_by, strength
from leadscore.core.instants import from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import State, is_ahead_of, says_the_same, touches
from leadscore.usecases.accounts import apply_to_accounts, load_account_states
from leadscore.usecases.deciding import Situation, decide, stands_as
from leadscore.usecases.forest import load_tree, walk_up
from leadscore.usecases.gathering import Depth, Gathered, Lead, Members, former_owners, gather
from leadscore.usecases.records import ConflictError, Event, Reader, Store, StoredIdentity
from leadscore.usecases.retrying import Pause, attempts


@dataclass(frozen=True, slots=True)
class Tools:
    """What the scoring path works with; `pause` waits a jittered moment before the n-th retry."""

    store: Store
    ruleset: Ruleset
    clock: Callable[[], datetime]
    pause: Pause
    # What changes leads where nothing else is known to: events as they happen, or a history that is imported.
    cause: Literal["events", "import"] = "events"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left to do: identities with changes to announce, and accounts whose leads must be told of new traits.

    `repeated` are the message ids that the log held before, `unrated` the accounts that may score otherwise by now.
    """

    pending: frozenset[Identity] = frozenset()
    accounts: frozenset[str] = frozenset()
    repeated: frozenset[str] = frozenset()
    unrated: frozenset[str] = frozenset()


def group_by_lead(reader: Reader, brought: Iterable[Identity]) -> list[dict[Identity, StoredIdentity]]:
    """Return the identities of each lead together, as far as they are joined by now; those of erased people are not in.

    A hint that saves requests: nothing depends on whether it is still true.
    """
    leads: dict[Identity, dict[Identity, StoredIdentity]] = {}
    for identity, found in reader.load_identities(list(brought)).items():
        root = found if found.owner is None else walk_up(reader, found.owner.owner)[-1]
        if not root.erased:
            leads.setdefault(root.identity, {})[identity] = found
    return list(leads.values())


def apply_events(tools: Tools, members: Members, seen: StoredIdentity | None = None) -> Outcome:
    """Apply events by the identity that they are logged under, in any order, known ones included.

    A root that was `seen` a moment ago is not read again before it is written. Raises ContentionError when other
    writers won every attempt.
    """
    logged = {identity: tools.store.put_events(identity, events) for identity, events in members.items()}
    repeated = frozenset(message for log in logged.values() for message in log.known)
    relevant = {identity: _relevant(tools.ruleset, log.events) for identity, log in logged.items()}
    relevant = {identity: events for identity, events in relevant.items() if events}
    if not relevant:
        return Outcome(repeated=repeated)
    known = bool(repeated)
    changed = apply_to_accounts(tools.store, tools.ruleset, _all_events(relevant), tools.pause)
    depth = Depth.ALL if known else Depth.NOTHING
    trail = _write_leads(tools, relevant, depth, refreshing=known, seen=None if known else seen)
    if trail.robbed or known:
        _settle_robbed(tools, relevant, trail)
    if known:
        trail.pending |= _still_pending(tools.store, relevant)
        trail.unrated |= accounts_of(tools.store, relevant)
    return trail.outcome((name for name, new in changed.items() if new or known), repeated)


def refresh(tools: Tools, identity: Identity, depth: Depth = Depth.NOTHING) -> Outcome:
    """Bring a lead's stored standing up to now: what time, its account or the ruleset have changed.

    With `Depth.ALL` its state becomes what the log says.
    """
    trail = _write_leads(tools, {identity: ()}, depth, refreshing=True)
    trail.pending |= _still_pending(tools.store, {identity: ()})
    return trail.outcome()


def rebuild(tools: Tools, log: Members) -> Outcome:
    """Make leads what the log says; `log` has all events of each identity, known to be about it.

    Raises ContentionError when other writers won every attempt.
    """
    changed = apply_to_accounts(tools.store, tools.ruleset, _all_events(log), tools.pause)
    claiming = {name: [e for e in events if claimed_by(e, tools.ruleset.identity)] for name, events in log.items()}
    trail = _write_leads(tools, claiming, Depth.ALL, refreshing=True)
    _settle_robbed(tools, claiming, trail)
    trail.pending |= _still_pending(tools.store, claiming)
    return trail.outcome(name for name, new in changed.items() if new)


def accounts_of(reader: Reader, identities: Iterable[Identity]) -> frozenset[str]:
    """Return the accounts that the leads of the identities ever belonged to, as any of their identities."""
    roots = [walk_up(reader, identity)[-1] for identity in identities]
    return frozenset(account for root in roots for one in load_tree(reader, root) for account in one.memberships)


@dataclass(slots=True)
class _Trail:
    """What the writes of one call leave to do.

    `tried` are those that met a conflict, and may have been written after all. `unrated` names the accounts of all that
    was to be written, whether or not it was. `robbed` says whether some lead may have lost an identity.
    """

    pending: set[Identity] = field(default_factory=set)
    unrated: set[str] = field(default_factory=set)
    tried: list[StoredIdentity] = field(default_factory=list)
    robbed: bool = False

    def outcome(self, told: Iterable[str] = (), repeated: frozenset[str] = frozenset()) -> Outcome:
        return Outcome(frozenset(self.pending), frozenset(told), repeated, frozenset(self.unrated))


def _relevant(ruleset: Ruleset, events: Sequence[Event]) -> list[Event]:
    return [event for event in events if touches(ruleset, event) or claimed_by(event, ruleset.identity)]


def _all_events(members: Members) -> list[Event]:
    return [event for events in members.values() for event in events]


def _write_leads(
    tools: Tools, members: Members, depth: Depth, *, refreshing: bool = False, seen: StoredIdentity | None = None
) -> _Trail:
    """Write every lead of `members`."""
    waiting = dict(members)
    trail = _Trail()
    while waiting:
        written, gathered = _write_lead(tools, waiting, depth, trail, refreshing=refreshing, seen=seen)
        seen = None
        trail.pending |= {one.identity for one in written if one.pending}
        trail.robbed |= bool(gathered.robbed)
        depth = max(depth, gathered.depth)
        if gathered.claims_left or (written and gathered.depth is not Depth.NOTHING):
            continue
        if written and not refreshing and _has_moved(gathered.lead):
            # Whoever changed the new account's traits before this write found no member to refresh.
            refreshing = True
            continue
        for member in gathered.members:
            del waiting[member]
    trail.pending |= _written_after_all(tools.store, trail.tried)
    trail.robbed |= bool(trail.tried)
    return trail


def _write_lead(
    tools: Tools,
    waiting: Members,
    depth: Depth,
    trail: _Trail,
    *,
    refreshing: bool,
    seen: StoredIdentity | None,
) -> tuple[Sequence[StoredIdentity], Gathered]:
    """Write the first lead of `waiting`."""
    for _ in attempts(tools.pause, "a lead"):
        now = tools.clock()
        try:
            written, gathered = _gather_and_compose(tools, waiting, depth, trail, now, refreshing=refreshing, seen=seen)
        except ConflictError:
            seen = None
            continue
        try:
            if written:
                tools.store.commit(written)
        except ConflictError:
            # It may have been written after all, and then it is to be settled as if there had been no conflict.
            trail.tried += written
            depth, seen = max(depth, gathered.depth), None
            continue
        return written, gathered
    raise AssertionError("the attempts end by themselves")


def _gather_and_compose(
    tools: Tools,
    waiting: Members,
    depth: Depth,
    trail: _Trail,
    now: datetime,
    *,
    refreshing: bool,
    seen: StoredIdentity | None,
) -> tuple[Sequence[StoredIdentity], Gathered]:
    """Return what is to be written of the first lead of `waiting`.

    What comes of a root that was seen before its events were in the log is written at the version that was seen, or
    not at all: it was the same all the while. That there is nothing to write proves no such thing, so then it is read.
    """
    gathered = gather(tools.store, tools.ruleset, waiting, from_datetime(now), depth, seen)
    written = _compose(tools, gathered, now, trail, refreshing=refreshing)
    if written or seen is None:
        return written, gathered
    return _gather_and_compose(tools, waiting, depth, trail, now, refreshing=refreshing, seen=None)


def _written_after_all(reader: Reader, tried: Sequence[StoredIdentity]) -> set[Identity]:
    """Return the identities whose changes were written although their write met a conflict.

    A client that repeats a write whose answer got lost meets its own write.
    """
    changes = {change.id for one in tried for change in one.pending}
    found = reader.load_identities({one.identity for one in tried if one.pending}) if changes else {}
    return {name for name, one in found.items() if any(change.id in changes for change in one.pending)}


def _compose(
    tools: Tools, gathered: Gathered, now: datetime, trail: _Trail, *, refreshing: bool
) -> list[StoredIdentity]:
    """Return all that is to be written, nothing where the events have said nothing new."""
    lead = gathered.lead
    linked = {name: replace(one, pending=()) for name, one in gathered.linked.items()}
    if lead.root.erased:
        return []
    if not linked and not refreshing and _is_current(tools.ruleset, lead) and says_the_same(lead.before, lead.after):
        return []
    for one in (lead, *gathered.robbed):
        root = linked.get(one.root.identity, one.root)
        linked[root.identity] = _written_root(tools, gathered, replace(one, root=root), now, trail)
    if refreshing and not gathered.linked and _changes_nothing(lead, linked[lead.root.identity]):
        return []
    return [replace(one, version=one.version + 1) for one in linked.values()]


def _has_moved(lead: Lead) -> bool:
    """Return whether the lead belongs to an account that it was not yet stored with."""
    account = lead.after.account
    return account is not None and (lead.root.body is None or lead.root.body.account != account)


def _is_current(ruleset: Ruleset, lead: Lead) -> bool:
    return lead.root.body is None or lead.root.body.ruleset == ruleset.version


def _written_root(tools: Tools, gathered: Gathered, lead: Lead, now: datetime, trail: _Trail) -> StoredIdentity:
    root, main = lead.root, lead.root.identity == gathered.lead.root.identity
    if root.body is None and says_the_same(lead.after, State.empty(tools.ruleset)):
        return replace(root, pending=())
    account = lead.after.account
    if account is not None and account not in root.memberships:
        tools.store.add_member(account, root.identity)
        root = replace(root, memberships=(*root.memberships, account))
    accounts = load_account_states(tools.store, tools.ruleset, [lead.before.account, account])
    swallowed = gathered.swallowed if main else ()
    situation = Situation(
        ruleset=tools.ruleset,
        root=root,
        before=lead.before,
        after=lead.after,
        account_before=accounts.get(lead.before.account),
        account_after=accounts.get(account),
        swallowed=tuple(one.body for one in swallowed if one.body is not None),
        cause=tools.cause if main or tools.cause == "import" else "identity",
    )
    decision = decide(situation, now)
    if decision.moved or situation.swallowed:
        stood = [one for one in (root.body, decision.body, *situation.swallowed) if one is not None]
        trail.unrated |= {one.account for one in stood if one.account is not None}
    return replace(root, body=decision.body, pending=decision.changes)


def _changes_nothing(lead: Lead, written: StoredIdentity) -> bool:
    """Return whether a refreshed lead stands as it did."""
    stored, body = lead.root.body, written.body
    if stored is None or body is None:
        return stored is body
    if written.pending or written.memberships != lead.root.memberships or not stands_as(stored, body):
        return False
    return says_the_same(lead.before, lead.after) and not is_ahead_of(lead.before, lead.after)


def _settle_robbed(tools: Tools, members: Members, trail: _Trail) -> None:
    """Ask the log of every lead that has lost an identity to these events."""
    for former in sorted(former_owners(tools.store, tools.ruleset, members), key=strength):
        trail.pending |= refresh(tools, former, Depth.ALL).pending
        trail.unrated |= accounts_of(tools.store, [former])


def _still_pending(reader: Reader, members: Mapping[Identity, object]) -> set[Identity]:
    """Return the identities on the way to the leads that have changes to announce, whoever made them."""
    paths = [walk_up(reader, identity) for identity in members]
    return {one.identity for path in paths for one in path if one.pending}
