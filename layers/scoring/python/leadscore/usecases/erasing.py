"""Erasing a person for good: every identity of the lead, its events, its pending changes and its memberships.

    find the tree -> read its log -> announce a sweep -> bury all identities -> delete events, marks, memberships
                                           |
                                           +-- later than anybody can still be at work --> sweep: delete what came since

What is left is a tombstone for each identity, under its pseudonym: it keeps out whatever comes of that identity later.

Invariant: the lead is gone at once, in the transaction that buries its root, and nobody who has read it before can
write it again. Whatever happens after that, a crash included, the sweep finishes; it was announced before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import batched, chain, islice
from typing import Protocol

from leadscore.core.identity import Identity, possible_identities, pseudonym
from leadscore.core.instants import format_instant
from leadscore.usecases.forest import find_path, load_kept, load_tree, walk_up
from leadscore.usecases.rate_message import Rate
from leadscore.usecases.records import ConflictError, Grave, Graves, Reader, StoredIdentity
from leadscore.usecases.retrying import Pause, attempts

# What DynamoDB writes in one transaction.
_IDENTITIES_AT_ONCE = 100
# A partition takes about a thousand deletes a second, and whoever asked for the erasure waits.
EVENTS_AT_ONCE = 5_000
# What one message deletes; the next goes on behind it.
EVENTS_PER_SWEEP = 1_000
_IDENTITIES_PER_SWEEP = 25


class SweepQueue(Protocol):
    """Where sweeps are announced: they come back when nobody can be at work any more who was when they were sent."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Return once the queue has every body; raise otherwise."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure removed; no personal data. `events_left` of the `events` are left to the sweep."""

    erased_at: str
    identities: int = 0
    events: int = 0
    events_left: int = 0
    pending_changes: int = 0
    memberships: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the receipt as plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The message to delete what has come of erased identities since; it holds no personal data."""

    pseudonyms: tuple[str, ...]

    def body(self) -> str:
        """Return the text of the message."""
        return json.dumps({"erased": self.pseudonyms})


@dataclass(frozen=True, slots=True)
class _Doomed:
    """All that there is of a lead: its identities, the root first, and those that others have taken from it.

    By pseudonym, `log` are the keys of its events, logged or quarantined, and `memberships` the accounts in which it is
    noted.
    """

    tree: list[StoredIdentity]
    lost: list[StoredIdentity]
    log: dict[str, list[str]]
    memberships: dict[str, list[str]]

    @property
    def names(self) -> frozenset[Identity]:
        return frozenset(one.identity for one in self.tree)

    def sweeps(self) -> Iterator[Sweep]:
        """Yield the messages that sweep up."""
        yield from map(Sweep, batched(self.log, _IDENTITIES_PER_SWEEP, strict=False))

    def rates(self) -> Iterator[Rate]:
        """Yield the messages that have the accounts rated without the lead."""
        yield from map(Rate, sorted({account for accounts in self.memberships.values() for account in accounts}))


def erase_lead(
    reader: Reader, graves: Graves, sweeps: SweepQueue, text: str, grave: Grave, pause: Pause
) -> Receipt | None:
    """Erase the lead that `text` names by any of its identities; None where nothing was ever heard of it.

    Erasing it again removes nothing and says when it was erased. Raises ContentionError when other writers won every
    attempt; the lead is then either as it was or left to the sweep.
    """
    for _ in attempts(pause, "a lead"):
        path = find_path(reader, text, quarantined=True)
        if not path:
            return None
        if path[-1].erased:
            return _erased_before(graves, path[-1].identity)
        try:
            doomed = _load_doomed(reader, graves, path)
            sweeps.send_all([*(sweep.body() for sweep in doomed.sweeps()), *(rate.body() for rate in doomed.rates())])
            _forget_beside(reader, graves, doomed)
            _bury(reader, graves, doomed, grave, pause)
        except ConflictError:
            continue
        return _delete(graves, doomed, grave)
    raise AssertionError("the attempts end by themselves")


def sweep_up(reader: Reader, graves: Graves, sweep: Sweep) -> Sweep | None:
    """Delete what has come of erased identities, and bury those that a crash has left; return the rest of the work.

    Identities whose erasure never came about, or that belong to another lead by now, are left alone.
    """
    erased = [name for name in sweep.pseudonyms if _is_erased(reader, graves, name)]
    left = EVENTS_PER_SWEEP
    for place, name in enumerate(erased):
        graves.remove_memberships(name, list(graves.walk_memberships(name)))
        graves.remove_marks(name)
        graves.remove_records(name, erased)
        keys = list(islice(_walk_events(graves, name), left))
        graves.remove_events(name, keys)
        left -= len(keys)
        if not left:
            return Sweep(tuple(erased[place:]))
    return None


def _load_doomed(reader: Reader, graves: Graves, path: Sequence[StoredIdentity]) -> _Doomed:
    asked, root = path[0], path[-1]
    tree = load_tree(reader, root)
    names = frozenset(one.identity for one in tree)
    if asked.identity not in names:
        raise ConflictError("the identity moved to another lead while this one was looked up")
    pseudonyms = [pseudonym(one.identity) for one in tree]
    return _Doomed(
        tree,
        _load_lost(reader, tree),
        {name: list(_walk_events(graves, name)) for name in pseudonyms},
        {name: list(graves.walk_memberships(name)) for name in pseudonyms},
    )


def _load_lost(reader: Reader, tree: Sequence[StoredIdentity]) -> list[StoredIdentity]:
    """Return the identities that belong to others and name an identity of the tree as whom they were taken from."""
    names = {one.identity for one in tree}
    claimed = {target for one in tree for target in one.claimed} - names
    lost = reader.load_identities(claimed).values() if claimed else ()
    return [one for one in lost if not names.isdisjoint(one.former)]


def _walk_events(graves: Graves, name: str) -> Iterator[str]:
    """Yield the keys of all events of an identity, those that do not count included."""
    return chain(graves.walk_log(name), graves.walk_quarantined(name))


def _forget_beside(reader: Reader, graves: Graves, doomed: _Doomed) -> None:
    """Delete the marks on ids that the lead's quarantined events alone tell, and what is quarantined of such ids.

    Before anything is buried: nobody could find them afterwards, and none of it counts.
    """
    kept = load_kept(reader, doomed.tree)
    beside = {each.identity for each in kept} - doomed.names
    for identity in beside:
        graves.remove_events(pseudonym(identity), list(graves.walk_quarantined(pseudonym(identity))))
    told = {name for each in kept for name in possible_identities(each.event)} - doomed.names
    for identity, found in (reader.load_identities(told) if told else {}).items():
        # One that was ever written is a lead of its own, or another's.
        if not found.version:
            graves.remove_marks(pseudonym(identity))


def _bury(reader: Reader, graves: Graves, doomed: _Doomed, grave: Grave, pause: Pause) -> None:
    """Bury root, lost identities and all others in this order: in one transaction where they fit.

    Whatever is left after the first one is out of everybody's reach, as its root is erased.
    """
    root, *others = doomed.tree
    first, *rest = batched([root, *doomed.lost, *others], _IDENTITIES_AT_ONCE, strict=False)
    graves.bury(list(_as_buried(first, doomed.names)), grave)
    for some in rest:
        for _ in attempts(pause, "an erased lead"):
            found = reader.load_identities([one.identity for one in some]).values()
            try:
                graves.bury(list(_as_buried(found, doomed.names)), grave)
            except ConflictError:
                continue
            break


def _as_buried(found: Iterable[StoredIdentity], names: Collection[Identity]) -> Iterator[StoredIdentity]:
    """Yield tombstones of the identities among `names`, and of the others as they forget these."""
    for one in found:
        if one.identity in names:
            yield _tombstone(one)
        elif not one.erased:
            yield replace(one, version=one.version + 1, former=tuple(name for name in one.former if name not in names))


def _tombstone(stored: StoredIdentity) -> StoredIdentity:
    return StoredIdentity(stored.identity, version=stored.version + 1, erased=True)


def _delete(graves: Graves, doomed: _Doomed, grave: Grave) -> Receipt:
    left = EVENTS_AT_ONCE
    for name, keys in doomed.log.items():
        graves.remove_memberships(name, doomed.memberships[name])
        graves.remove_marks(name)
        graves.remove_records(name, doomed.log)
        graves.remove_events(name, keys[:left])
        left -= len(keys[:left])
    events = sum(map(len, doomed.log.values()))
    return Receipt(
        erased_at=format_instant(grave.erased_at),
        identities=len(doomed.tree),
        events=events,
        events_left=max(0, events - EVENTS_AT_ONCE),
        pending_changes=sum(len(one.pending) for one in doomed.tree),
        memberships=sum(map(len, doomed.memberships.values())),
    )


def _erased_before(graves: Graves, identity: Identity) -> Receipt | None:
    found = graves.look_up(pseudonym(identity))
    return Receipt(format_instant(found.erased_at)) if isinstance(found, Grave) else None


def _is_erased(reader: Reader, graves: Graves, name: str) -> bool:
    """Return whether the identity is erased; one whose lead is, and that is not itself, is buried on the way."""
    found = graves.look_up(name)
    if not isinstance(found, StoredIdentity) or found.owner is None:
        return isinstance(found, Grave)
    root = walk_up(reader, found.owner.owner)[-1]
    grave = graves.look_up(pseudonym(root.identity))
    if not isinstance(grave, Grave):
        return False
    graves.bury([_tombstone(found)], grave)
    return True
