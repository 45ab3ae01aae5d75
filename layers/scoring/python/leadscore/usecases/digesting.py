"""Once a day what became of leads, to everybody and to each owner: composed from records, sent, and noted as sent.

    next_round --saved--> records of its time --> leads as they stand now --> digests --send, note--> all sent: done
                                                                                '-- a later run sends what is missing

Invariant: a round is written down before anything of it is sent, so that a run after a crash is of the same time under
the same ids. What was sent is noted after it was: a crash in between sends that one digest again, under its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple, Protocol

from leadscore.core.alerting import standing_of
from leadscore.core.changes import Change
from leadscore.core.digest import Digest, Raise, Subject, compose_digests, owner_of, sort_out
from leadscore.core.digest_policy import LONGEST, Round, hot_tiers, next_round
from leadscore.core.identity import display_id, pseudonym
from leadscore.core.instants import Millis, format_instant, from_datetime, parse_instant
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.alert_composing import lead_links
from leadscore.usecases.alert_records import AlertRecord, ChangeRecord, People
from leadscore.usecases.present import Present, look_at
from leadscore.usecases.records import Reader
from leadscore.usecases.standing import describe_person

# What one digest may read, so that it ends: the newest changes, and of their leads those whose score moved most.
MOST_CHANGES, MOST_LEADS = 20_000, 5_000


class UndeliveredError(RuntimeError):
    """A digest was not taken; `final` is whether trying again would change nothing. Names nobody."""

    def __init__(self, reason: str, *, final: bool) -> None:
        self.final = final
        super().__init__(reason)


class Records(Protocol):
    """What is on record of changes and alerts."""

    def walk_changes(self, since: str = "0") -> Iterator[ChangeRecord]:
        """Yield what is on record of changes at the instant `since` or later, newest first, of all leads."""

    def walk_alerts(self, since: str = "0") -> Iterator[AlertRecord]:
        """Yield the alerts that were sealed at the instant `since` or later, newest first."""

    def changes_of(self, pseudonym: str) -> list[ChangeRecord]:
        """Return what is on record of the changes of the lead of that pseudonym, in no particular order."""


class Rounds(Protocol):
    """Which digests were sent."""

    def newest(self) -> Round | None:
        """Return the newest round, None where there was none."""

    def save(self, new: Round, *, instead_of: Round | None) -> None:
        """Write the newest round; raises ConflictError, having written nothing, where another one has been written."""

    def sent(self, date: str) -> set[str]:
        """Return the marks of what was sent on a date."""

    def note_sent(self, date: str, mark: str) -> None:
        """Write down that something was sent."""


class Way(Protocol):
    """One way out to people; `name` tells it from the others."""

    name: str

    def takes(self, digest: Digest) -> bool:
        """Return whether this way is one for the digest."""

    def send(self, digest: Digest) -> None:
        """Send the digest; raises UndeliveredError."""


@dataclass(frozen=True, slots=True)
class DigestTools:
    """What digests are composed with; `lead_page` is the address of a lead's page in another tool, with `{id}`."""

    records: Records
    reader: Reader
    people: People
    ruleset: Ruleset
    lead_page: str | None
    clock: Callable[[], datetime]
    stage: str | None = None


class Done(NamedTuple):
    """How many messages went out, and why others did not."""

    sent: int = 0
    failed: tuple[UndeliveredError, ...] = ()


def send_digests(tools: DigestTools, rounds: Rounds, ways: Sequence[Way], settling: Millis) -> Done:
    """Send what is due and was not sent; nothing where nothing is due or there is nothing to say.

    Raises ConflictError where another run has begun this round at the same moment.
    """
    newest, now = rounds.newest(), from_datetime(tools.clock())
    current = next_round(tools.ruleset.digest, newest, now, settling)
    if current is not None and newest is not None and current.date != newest.date and rounds.sent(newest.date):
        # Nobody is told of that time once more because somebody was not.
        current = next_round(tools.ruleset.digest, newest._replace(done=True), now, settling)
    if current is None:
        return Done()
    if current != newest:
        rounds.save(current, instead_of=newest)
    before, sent, failed = rounds.sent(current.date), 0, list[UndeliveredError]()
    for digest in compose(tools, current):
        for way in ways:
            mark = f"{digest.id}#{way.name}"
            if mark in before or not way.takes(digest):
                continue
            try:
                way.send(digest)
            except UndeliveredError as problem:
                failed.append(problem)
                continue
            rounds.note_sent(current.date, mark)
            sent += 1
    if all(problem.final for problem in failed):
        rounds.save(current._replace(done=True), instead_of=current)
    return Done(sent, tuple(failed))


def compose(tools: DigestTools, current: Round) -> list[Digest]:
    """Return the digests of a round, of leads as they stand now; nothing is written."""
    taken = list(_read_changes(tools, current))
    raised, answered = _read_raises(tools, taken, current.until)
    changes: dict[str, list[Change]] = {}
    for one in taken:
        changes.setdefault(one.key.lead, []).append(one.change)
    wanted = _by_weight(changes, raised)
    present = look_at(tools.people, tools.reader, tools.ruleset, wanted[:MOST_LEADS], tools.clock())
    roots = {name: pseudonym(one.root.identity) for name, one in present.items()}
    by_root: dict[str, list[Change]] = {}
    waiting: dict[str, Raise] = {}
    for name, root in roots.items():
        own = by_root.setdefault(root, [])
        if name == root:
            # What a lead was that is another's by now says nothing of that one: the join is on that one's own record.
            own.extend(changes.get(name, ()))
        if name in raised:
            waiting[root] = max(raised[name], waiting.get(root, raised[name]), key=lambda one: one.at)
    for name, at in answered.items():
        root = roots.get(name, name)
        if root in waiting and waiting[root].at <= at:
            del waiting[root]
    told = sort_out(
        hot_tiers(tools.ruleset),
        by_root,
        waiting,
        {root: _subject(tools, present[name]) for name, root in roots.items()},
    )
    return compose_digests(
        told,
        current,
        ruleset=tools.ruleset.version,
        stage=tools.stage,
        unread=max(0, len(wanted) - MOST_LEADS),
    )


def _read_changes(tools: DigestTools, current: Round) -> Iterator[ChangeRecord]:
    until = format_instant(current.until)
    found = tools.records.walk_changes(format_instant(current.since))
    taken = islice((one for one in found if one.change.at < until), MOST_CHANGES)
    return (one for one in taken if one.change.cause != "import")


def _read_raises(
    tools: DigestTools, taken: Sequence[ChangeRecord], until: Millis
) -> tuple[dict[str, Raise], dict[str, Millis]]:
    """Return by pseudonym the last hand-raise that people were or are to be told of, and the last verdict."""
    first = until - LONGEST
    told: dict[str, Millis] = {}
    answered: dict[str, Millis] = {}
    for alert in tools.records.walk_alerts(format_instant(first)):
        for entry in alert.entries:
            if entry.cause == "hand_raise" and alert.sent_at is not None and alert.sealed_at < until:
                told[entry.lead] = max(alert.sealed_at, told.get(entry.lead, 0))
        for lead, verdict in alert.verdicts.items():
            answered[lead] = max(verdict.at, answered.get(lead, 0))
    held = {one.key.lead for one in taken if _is_told_raise(one)}
    raised: dict[str, Raise] = {}
    for lead in sorted(held | told.keys()):
        own = [
            Raise(parse_instant(one.change.at), one.change.event or "")
            for one in tools.records.changes_of(lead)
            if _is_told_raise(one) and first <= parse_instant(one.change.at) < until
        ]
        if lead in told:
            # Its own record may be that of an identity which has been joined to this one.
            own = own or [Raise(told[lead], "")]
        if own:
            raised[lead] = max(own, key=lambda one: one.at)
    return raised, answered


def _is_told_raise(record: ChangeRecord) -> bool:
    return record.change.kind == "hand_raise" and record.outcome in ("sent", "waiting")


def _by_weight(changes: Mapping[str, Sequence[Change]], raised: Mapping[str, Raise]) -> list[str]:
    """Return the pseudonyms of all that there is something of, those to look at first if there are too many."""
    moved = {name: max(abs(one.score - one.previous_score) for one in own) for name, own in changes.items()}
    return sorted({*changes, *raised}, key=lambda name: (name not in raised, -moved.get(name, 0.0), name))


def _subject(tools: DigestTools, one: Present) -> Subject:
    lead, standing = display_id(one.root.identity), standing_of(one.score)
    policy = tools.ruleset.alerts
    suppresses_converted = policy is None or policy.suppress_converted
    return Subject(
        person=describe_person(lead, one.state),
        owner=owner_of(one.text("owner")),
        tier=standing.tier,
        score=standing.total,
        converted=standing.converted,
        silent=standing.internal or (standing.converted and suppresses_converted),
        link=lead_links(tools.lead_page, lead).get("lead"),
    )
