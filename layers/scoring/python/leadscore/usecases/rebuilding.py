"""Making leads what the log says, one by one or all of a table, a segment at a time.

    segment, cursor --scan--> identities --> verify --differs--> forget what the log does not back, then apply the log
                       |                                             |
                       +-- the next call goes on behind the cursor   +--> changes to announce, accounts to tell of

Invariant: every step only forgets what the log does not back, or applies what it has. So a rebuild that dies is made
good by the next one, and may run beside the scoring of new events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from itertools import batched
from typing import NamedTuple, Protocol, Self

from leadscore.core.identity import Identity, display_id, identities, pseudonym
from leadscore.core.instants import from_datetime
from leadscore.usecases.batches import Queues, hand_on
from leadscore.usecases.forest import find_path
from leadscore.usecases.mending import forget_unbacked
from leadscore.usecases.records import ConflictError, Event
from leadscore.usecases.retrying import attempts
from leadscore.usecases.scoring import Outcome, Tools, apply_events, group_by_lead, rebuild, refresh
from leadscore.usecases.snapshots import Snapshot, misplaced, read_snapshot
from leadscore.usecases.verifying import Difference, Verified, belongs_elsewhere, verify_lead

# How many a rebuild of all cuts the table into.
SEGMENTS = 32
_MENDS_AT_ONCE = 50
_ITEMS_PER_PAGE = 50
# What is told after one call fits what Step Functions hands on, 256 KB, unless a page alone is beyond all measure.
_MUCH_FOUND = 100
# What a repair brings into a lead may need one of its own.
_REPAIRS = 4


class Page(NamedTuple):
    """Identities found in a part of the table, each at most once, and the cursor behind it, None at the end.

    Erased ones may be among them. `items` were read for it; `strays` are logs of no identity that their events name.
    `accounts` are those of which anything is in that part, each at most once too.
    """

    identities: list[Identity]
    items: int
    strays: int
    after: str | None
    accounts: tuple[str, ...] = ()


class Table(Protocol):
    """What a rebuild of all needs beside the store."""

    def scan(self, segment: int, segments: int, after: str | None, most: int) -> Page:
        """Return what the next `most` items of a segment are of, those behind the cursor `after`."""

    def forget_events(self, identity: Identity, events: Sequence[Event]) -> None:
        """Remove events from an identity's log; removing one twice is harmless."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was different about a lead, what of it still is, and what is left to do."""

    lead: Identity
    found: tuple[Difference, ...] = ()
    left: tuple[Difference, ...] = ()
    outcome: Outcome = field(default_factory=Outcome)

    def to_dict(self) -> dict[str, object]:
        """Return the lead and its differences as plain JSON types. May contain personal data: do not log."""
        return {
            "lead": display_id(self.lead),
            "found": [{**asdict(each), "left": each in self.left} for each in self.found],
            "left": [asdict(each) for each in self.left if each not in self.found],
        }


@dataclass(frozen=True, slots=True)
class Segment:
    """How far the rebuild of one segment has come, and under which ruleset: what one call hands to the next.

    With `outdated_only` nothing is verified: the leads that were written under another ruleset are brought under the
    present one.
    """

    segment: int
    segments: int
    after: str | None = None
    done: bool = False
    ruleset: str = ""
    outdated_only: bool = False
    items: int = 0
    leads: int = 0
    written: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return the segment that `to_dict` gave; raises TypeError for other fields."""
        return cls(**values)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        """Return the segment as plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Found:
    """A difference that a rebuild of all came upon, or what it failed on, without the id of a person.

    `lead` and `identity` are pseudonyms, and so are ids in the path; `left` says that it could not be mended.
    """

    lead: str
    kind: str
    identity: str
    path: str
    stored: str
    expected: str
    left: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON types."""
        return asdict(self)


@dataclass(slots=True)
class Work:
    """What was done: how far the segment has come by it, what was different, and which leads failed with what."""

    segment: Segment
    found: list[Found] = field(default_factory=list)
    failures: list[tuple[str, Exception]] = field(default_factory=list)


def rebuild_named(tools: Tools, table: Table, queues: Queues, text: str) -> Rebuilt | None:
    """Rebuild the lead that `text` names by any of its identities; None where there is none."""
    path = find_path(tools.store, text)
    rebuilt = rebuild_lead(tools, table, path[0].identity) if path else None
    if rebuilt is not None:
        hand_on(queues, rebuilt.outcome)
    return rebuilt


def rebuild_lead(tools: Tools, table: Table, identity: Identity) -> Rebuilt | None:
    """Make the lead that an identity belongs to what the log says; None where it was erased."""
    found = _verify(tools, identity)
    if found is None:
        return None
    if not found.differences:
        return Rebuilt(found.lead, outcome=Outcome(found.pending))
    if all(difference.kind == "outdated" for difference in found.differences):
        return Rebuilt(found.lead, found.differences, outcome=refresh(tools, found.lead))
    left, outcome = found.differences, Outcome()
    for _ in range(_REPAIRS):
        outcome = _both(outcome, _repair(tools, table, identity))
        after = _verify(tools, identity)
        left = () if after is None else tuple(each for each in after.differences if each.kind != "pending")
        if not left:
            break
    return Rebuilt(found.lead, found.differences, left, outcome)


def work_on_segment(
    tools: Tools, table: Table, queues: Queues, segment: Segment, is_time_up: Callable[[], bool]
) -> Work:
    """Rebuild a segment, page by page, until it is done, or the time is up, or there is a lot to tell."""
    work = rebuild_segment(tools, table, queues, segment, _ITEMS_PER_PAGE)
    found, failures = list(work.found), list(work.failures)
    while not (work.segment.done or is_time_up() or len(found) >= _MUCH_FOUND):
        work = rebuild_segment(tools, table, queues, work.segment, _ITEMS_PER_PAGE)
        found += work.found
        failures += work.failures
    return Work(work.segment, found, failures)


def rebuild_segment(tools: Tools, table: Table, queues: Queues, segment: Segment, most: int) -> Work:
    """Rebuild the leads of the next `most` items of a segment.

    A lead that fails is told of and does not stop the others. Under another ruleset than before the segment begins
    anew. Raises what the queues and the scan raise: then the same items are to be done again.
    """
    if segment.ruleset != tools.ruleset.version:
        segment = Segment(
            segment.segment, segment.segments, ruleset=tools.ruleset.version, outdated_only=segment.outdated_only
        )
    page = table.scan(segment.segment, segment.segments, segment.after, most)
    counts, leads, written = Counter(segment.counts), 0, 0
    work = Work(segment)
    hand_on(queues, Outcome(unrated=frozenset(page.accounts)))
    for identity in page.identities:
        rebuilt = _attempt(tools, table, identity, work)
        if rebuilt is not None:
            hand_on(queues, rebuilt.outcome)
            leads += 1
            written += bool(rebuilt.found)
            counts.update(difference.kind for difference in rebuilt.found)
            work.found.extend(_told(rebuilt))
    counts.update({"failed": len(work.failures), "stray": page.strays})
    work.segment = replace(
        segment,
        after=page.after,
        done=page.after is None,
        items=segment.items + page.items,
        leads=segment.leads + leads,
        written=segment.written + written,
        counts=dict(+counts),
    )
    return work


def _attempt(tools: Tools, table: Table, identity: Identity, work: Work) -> Rebuilt | None:
    """Return what became of an identity's lead, None for one that is rebuilt with another identity, or that failed."""
    try:
        if work.segment.outdated_only:
            return _bring_under_ruleset(tools, identity)
        return None if belongs_elsewhere(tools.store, identity) else rebuild_lead(tools, table, identity)
    except Exception as error:  # noqa: BLE001  one lead must not stop a million others
        name = pseudonym(identity)
        work.failures.append((name, error))
        work.found.append(Found(name, "failed", name, "", type(error).__name__, "a rebuilt lead", left=True))
        return None


def _bring_under_ruleset(tools: Tools, identity: Identity) -> Rebuilt | None:
    stored = tools.store.load_identities([identity])[identity]
    if stored.body is None:
        return None
    pending = frozenset([identity] if stored.pending else [])
    if stored.body.ruleset == tools.ruleset.version:
        return Rebuilt(identity, outcome=Outcome(pending))
    outdated = Difference("outdated", identity, "ruleset", stored.body.ruleset, tools.ruleset.version)
    return Rebuilt(identity, (outdated,), outcome=refresh(tools, identity))


def _verify(tools: Tools, identity: Identity) -> Verified | None:
    return verify_lead(tools.store, tools.ruleset, identity, tools.clock, tools.pause)


def _repair(tools: Tools, table: Table, identity: Identity) -> Outcome:
    """Forget what the log does not back, put events where they belong, and apply the log again."""
    tree, freed = _forget(tools, identity)
    done = [_move_events(tools, table, one) for one in tree]
    done += [_apply_log(tools, root) for root in (tree[0], *freed)]
    return reduce(_both, done)


def _both(one: Outcome, other: Outcome) -> Outcome:
    return Outcome(one.pending | other.pending, one.accounts | other.accounts, unrated=one.unrated | other.unrated)


def _forget(tools: Tools, identity: Identity) -> tuple[Sequence[Identity], list[Identity]]:
    """Return the lead's identities, the root first, and those that have lost an owner who never claimed them."""
    for _ in attempts(tools.pause, "a lead"):
        at = from_datetime(tools.clock())
        snapshot = read_snapshot(tools.store, tools.ruleset, identity, at)
        if snapshot is None:
            return [identity], []
        mended = forget_unbacked(tools.ruleset, snapshot)
        try:
            for some in batched(mended, _MENDS_AT_ONCE, strict=False):
                tools.store.commit([replace(one, version=one.version + 1, pending=()) for one in some])
        except ConflictError:
            continue
        freed = [one.identity for one in mended if one.owner is None and snapshot.items[one.identity].owner is not None]
        return [one.identity for one in snapshot.tree], freed
    raise AssertionError("the attempts end by themselves")


def _move_events(tools: Tools, table: Table, identity: Identity) -> Outcome:
    """Log an identity's events that are about another one there, apply them, and remove them here."""
    events = misplaced(tools.ruleset, identity, tools.store.load_events(identity))
    about: dict[Identity, list[Event]] = {}
    for event in events:
        about.setdefault(identities(event, tools.ruleset.identity)[0], []).append(event)
    alive = [name for lead in group_by_lead(tools.store, about) for name in lead]
    done = apply_events(tools, {name: about[name] for name in alive}) if alive else Outcome()
    table.forget_events(identity, [event for name in alive for event in about[name]])
    return done


def _apply_log(tools: Tools, identity: Identity) -> Outcome:
    snapshot = read_snapshot(tools.store, tools.ruleset, identity, from_datetime(tools.clock()))
    if snapshot is None:
        return Outcome()
    return rebuild(tools, {one.identity: _own_events(tools, one.identity, snapshot) for one in snapshot.tree})


def _own_events(tools: Tools, identity: Identity, snapshot: Snapshot) -> list[Event]:
    """Return the events that may claim for the identity: those of a kind that is turned off claim for another."""
    return [event for event in snapshot.logs[identity] if identities(event, tools.ruleset.identity)[0] == identity]


def _told(rebuilt: Rebuilt) -> list[Found]:
    """Return the errors of a lead, and what was left of all differences."""
    told = [(each, False) for each in rebuilt.found if each.is_error and each not in rebuilt.left]
    told += [(each, True) for each in rebuilt.left]
    return [_found(rebuilt.lead, each, left=left) for each, left in told]


def _found(lead: Identity, difference: Difference, *, left: bool) -> Found:
    field_, _, target = difference.path.partition(".")
    claimed = field_ == "claimed"
    told = difference.kind in {"owner", "log", "unjoined"} or claimed
    return Found(
        lead=pseudonym(lead),
        kind=difference.kind,
        identity=pseudonym(difference.identity),
        path=f"claimed.{pseudonym(target)}" if claimed else difference.path,
        stored="" if told else difference.stored,
        expected="" if told else difference.expected,
        left=left,
    )
