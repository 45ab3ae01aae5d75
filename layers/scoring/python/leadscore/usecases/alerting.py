"""From a change that asks for an alert to what people read: filed at a desk, held there, released, published.

    change --note--> on record --file--> desk --due--> seal, judged by how its leads stand now --> publish --> sent
                                          ^  |              '--> suppressed, with its reason
                        others join it ---+  '-- `cool` finds the desks whose time has come

Invariants: a request is filed and on record before its change is forgotten; what is sealed is written before it is
published, so that a crash in between tells the same people again under the same id, once.

No two publish one alert at the same moment. Desks are released by messages of one group each; but where nothing else
is on a desk, the call that files also seals, in the same write, and publishes. It does so under a lease that outlives
it, until which nobody else finds the desk due; and it publishes nothing that it has not sealed itself. People wait for
that call: what it seals it puts on record afterwards, and where it dies before, whoever repeats it does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Concatenate, Protocol

from leadscore.core.alert_desk import (
    HANDLED_FOR,
    Desk,
    Request,
    Sealed,
    desk_name,
    due,
    file,
    forget_lead,
    rename_lead,
    request_of,
    request_of_account,
    seal,
    sent,
)
from leadscore.core.alerting import Standing, find_lack, standing_of
from leadscore.core.alerts import Alert
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity, pseudonym
from leadscore.core.instants import Millis, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.alert_composing import Composer, make_record
from leadscore.usecases.alert_records import (
    AccountChangeRecord,
    AlertRecord,
    ChangeKey,
    ChangeRecord,
    Desks,
    Outcome,
    People,
    Release,
    Seen,
    Settled,
    StoredDesk,
)
from leadscore.usecases.chances import judge_calibration
from leadscore.usecases.present import Present, look_at
from leadscore.usecases.present_account import PresentAccount, look_at_account
from leadscore.usecases.records import ConflictError, Reader
from leadscore.usecases.retrying import Pause, attempts

if TYPE_CHECKING:
    from leadscore.learning.calibration import DatedCalibration

# The kinds of change that an alert can be about, or that end what one was about; each leaves a record.
RECORDED = frozenset({"tier", "hand_raise", "fit", "conversion"})
# Why nobody was told of a lead that was erased while its alert was on its way.
GONE = "is gone"
# For how long what was read of a lead may be told: who is erased meanwhile must not be told of.
MOMENT: Millis = 1_000


class Publisher(Protocol):
    """The way out to people; returns once the alert was accepted, raises otherwise."""

    def publish(self, alert: Alert) -> None:
        """Send the alert."""


class Releases(Protocol):
    """Where the release of a desk is asked for."""

    def send_all(self, bodies: Sequence[str]) -> None:
        """Return once the queue has every body; raise otherwise."""


@dataclass(frozen=True, slots=True)
class AlertTools:
    """What alerting works with; `lead_page` is the address of a lead's page in another tool, with `{id}` in it."""

    desks: Desks
    reader: Reader
    people: People
    ruleset: Ruleset
    publisher: Publisher
    releases: Releases
    # The calibration that was stored last, None where there is none.
    calibration: Callable[[], DatedCalibration | None]
    lead_page: str | None
    # What the links of alerts begin with, and what makes the token that they carry.
    feedback_url: str
    make_token: Callable[[], str]
    clock: Callable[[], datetime]
    pause: Pause
    # Called while an error is handled that holds up nothing: its desk has what was not published.
    report: Callable[[], object]
    stage: str | None = None
    # When the call is certainly over, from now on; 0 where it is to publish nothing that it files.
    lease: Millis = 0

    def now(self) -> Millis:
        """Return the present instant."""
        return from_datetime(self.clock())


@dataclass(frozen=True, slots=True)
class _Sealing:
    """What is to be published now of a desk as it is `stored`, and what of it is not on record yet.

    With how its leads and its account stand, where it was sealed a moment ago.
    """

    sealed: Sealed
    stored: StoredDesk
    unrecorded: Sequence[ChangeRecord]
    present: Mapping[str, Present] | None = None
    account: PresentAccount | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """Of whom people were told: the names of what was sealed, and of those who were named with their account."""

    alert: Alert | None
    present: Collection[str]
    named: Collection[str]


def take_changes(
    tools: AlertTools, lead: Identity, changes: Sequence[Change], seen: Seen | None = None
) -> Callable[[], Sequence[Alert]]:
    """Record changes and, where their alerts are wanted, file them; taking one twice is harmless.

    What was `seen` of the lead at this moment is not read again, unless others have written the desk since. Returns
    what publishes those that may go out at once, puts them on record, and returns them. It raises where that fails
    alone; where it does, or is not called, they go out when the lease is over. Raises ContentionError when other
    writers won every attempt.
    """
    asked: dict[str, list[Request]] = {}
    unrecorded: dict[str, ChangeRecord] = {}
    begun = tools.now()
    for change in changes:
        if change.kind not in RECORDED:
            continue
        key = ChangeKey(pseudonym(lead), change.id)
        if change.alert != "wanted":
            tools.desks.note(ChangeRecord(key, change, change.alert, change.alert_reason))
            continue
        request = request_of(change, key.lead)._replace(id=str(key))
        unrecorded[request.id] = _waiting(key, change)
        asked.setdefault(desk_name(key.lead, change.account), []).append(request)
    return _file_all(tools, asked, unrecorded, seen if tools.now() - begun <= MOMENT else None)


def take_account_changes(tools: AlertTools, changes: Sequence[AccountChange]) -> Callable[[], Sequence[Alert]]:
    """Record changes of an account and, where their alerts are wanted, file them, as those of a lead."""
    asked: dict[str, list[Request]] = {}
    for change in changes:
        request = request_of_account(change)
        key = ChangeKey(request.lead, change.id)
        outcome = "waiting" if change.alert == "wanted" else change.alert
        tools.desks.note(AccountChangeRecord(key, change, outcome, change.alert_reason))
        if change.alert == "wanted":
            asked.setdefault(request.lead, []).append(request._replace(id=str(key)))
    return _file_all(tools, asked, {})


def release_desk(tools: AlertTools, name: str) -> Alert | None:
    """Publish what waits at a desk if its time has come, and return it; raises what the publisher raises.

    Raises ContentionError when other writers won every attempt.
    """
    sealing = _seal(tools, name)
    if sealing is None:
        return None
    told = _tell(tools, sealing)
    _settle_sealed(tools, sealing, told)
    return told.alert


def _file_all(
    tools: AlertTools,
    asked: Mapping[str, Sequence[Request]],
    unrecorded: Mapping[str, ChangeRecord],
    seen: Seen | None = None,
) -> Callable[[], Sequence[Alert]]:
    filed = [_file(tools, name, requests, unrecorded, seen) for name, requests in asked.items()]

    def publish() -> list[Alert]:
        sealings = [sealing for sealing in filed if sealing is not None]
        told = [(sealing, _attempt(tools, _tell, sealing)) for sealing in sealings]
        for sealing in sealings:
            # The change is forgotten next: this must not fail unheard, as the rest may, which its desk repeats.
            _note(tools, sealing.unrecorded)
        for sealing, one in told:
            if one is not None:
                _attempt(tools, _settle_sealed, sealing, one)
        return [one.alert for _, one in told if one is not None and one.alert is not None]

    return publish


def _attempt[**P, T](
    tools: AlertTools, act: Callable[Concatenate[AlertTools, P], T], *args: P.args, **named: P.kwargs
) -> T | None:
    """Return what `act` does; None where it fails, as one desk's trouble must not hold up another's alert."""
    try:
        return act(tools, *args, **named)
    except Exception:  # noqa: BLE001
        tools.report()
        return None


def _waiting(key: ChangeKey, change: Change) -> ChangeRecord:
    return ChangeRecord(key, change, "waiting", change.alert_reason)


def _note(tools: AlertTools, records: Iterable[ChangeRecord]) -> None:
    for record in records:
        tools.desks.note(record)


def _file(
    tools: AlertTools,
    name: str,
    requests: Sequence[Request],
    unrecorded: Mapping[str, ChangeRecord],
    seen: Seen | None,
) -> _Sealing | None:
    """Put requests on a desk, and return what this call is to publish of them; all others are on record."""
    records = [unrecorded[request.id] for request in requests if request.id in unrecorded]
    policy, token = tools.ruleset.alerts, tools.make_token() if tools.lease else None
    for _ in attempts(tools.pause, "a desk"):
        now = tools.clock()
        is_seen = seen is not None and seen.desk.desk.name == name
        stored, at = seen.desk if seen is not None and is_seen else tools.desks.load(name), from_datetime(now)
        if token is not None and stored.desk.sealed is not None and stored.desk.token == token:
            # A client that repeats a write whose answer got lost meets its own write.
            return _Sealing(stored.desk.sealed, stored, records)
        desk = reduce(lambda before, request: file(policy, before, request, at), requests, stored.desk)
        when = due(policy, desk, at)
        is_due = when is not None and when <= at
        # Where others wait, who judges them beside us would write of them at the same moment.
        alone = not stored.desk.waiting and stored.desk.sealed is None
        try:
            if is_due and alone and tools.lease:
                return _seal_once(tools, stored, desk, now, records, tools.lease, token, seen)
            _note(tools, records)
            if desk is not stored.desk:
                tools.desks.save(_next(tools, stored, desk, at))
        except ConflictError:
            seen = None
            continue
        if is_due:
            tools.releases.send_all([Release(name).body()])
        return None
    raise AssertionError("the attempts end by themselves")


def _seal(tools: AlertTools, name: str) -> _Sealing | None:
    """Return what is to be published now, written down as such."""
    for _ in attempts(tools.pause, "a desk"):
        now = tools.clock()
        stored = tools.desks.load(name)
        try:
            return _seal_once(tools, stored, stored.desk, now)
        except ConflictError:
            continue
    raise AssertionError("the attempts end by themselves")


def _seal_once(
    tools: AlertTools,
    stored: StoredDesk,
    desk: Desk,
    now: datetime,
    unrecorded: Sequence[ChangeRecord] = (),
    lease: Millis = 0,
    token: str | None = None,
    seen: Seen | None = None,
) -> _Sealing | None:
    """Judge what waits at a desk and write it; raises ConflictError where others have written it meanwhile."""
    policy, tiers, at = tools.ruleset.alerts, tools.ruleset.tiers, from_datetime(now)
    present = _look_at(tools, desk.leads, now, seen)
    account = _look_at_account(tools, desk.account, now) if desk.asks_for_account else None
    joined = _join(tools, desk, present)
    by_root = {pseudonym(one.root.identity): one for one in present.values()}
    standings = {lead: _standing(one) for lead, one in by_root.items()}
    if account is not None:
        joined = _with_people(tools, joined, account)
        standings[desk.name] = account.standing
    after, sealed, suppressed = seal(policy, tiers, joined, standings, at, lease)
    is_new = sealed is not None and desk.sealed is None
    if is_new:
        after = replace(after, token=token or tools.make_token())
    if sealed is None or suppressed:
        _note(tools, unrecorded)
        unrecorded = ()
    if after != stored.desk or due(policy, after, at) != stored.due:
        for one in suppressed:
            tools.desks.settle(Settled(_keys(one.requests), "suppressed", one.reason))
        stored = _next(tools, stored, after, at)
        tools.desks.save(stored)
    if sealed is None:
        return None
    return _Sealing(sealed, stored, unrecorded, *((by_root, account) if is_new else ()))


def _tell(tools: AlertTools, sealing: _Sealing) -> _Told:
    """Publish what is sealed at a desk, and put the alert on record."""
    sealed, found, account = sealing.sealed, sealing.present, sealing.account
    name, token = sealing.stored.desk.name, sealing.stored.desk.token
    asks, now = any(entry.is_account for entry in sealed.leads), tools.clock()
    known = None
    if found is None or from_datetime(now) - sealed.at > MOMENT:
        # Whoever sealed it is gone, and may have gone before or after it was on record, and published.
        known = tools.desks.find_alert(sealed.id)
        found = _look_at(tools, [entry.lead for entry in sealed.leads if not entry.is_account], now)
        account = _look_at_account(tools, Desk(name).account, now) if asks else None
        _note_pending(tools, sealed, found)
    present = {entry.lead: found[entry.lead] for entry in sealed.leads if entry.lead in found}
    if account is not None and (account.standing.nobody or not asks):
        account = None
    record = known or make_record(name, sealed, present, account, token or tools.make_token())
    alert = _composer(tools).compose(sealed, record, present, account)
    if alert is not None:
        _publish(tools, alert, record, is_known=known is not None)
    named = _named(tools, account) if alert is not None and alert.kind == "account" else ()
    return _Told(alert, {*present, *([] if account is None else [name])}, named)


def _composer(tools: AlertTools) -> Composer:
    chances = judge_calibration(tools.calibration(), tools.ruleset.version, tools.clock())
    return Composer(tools.ruleset, chances, tools.lead_page, tools.feedback_url, tools.stage)


def _publish(tools: AlertTools, alert: Alert, record: AlertRecord, *, is_known: bool) -> None:
    """Publish, and put on record that it was.

    Not before: people wait. And where one of the ways out fails, others may have been told: their links work, and are
    the same in the repeat, as what they carry is on the desk.
    """
    try:
        tools.publisher.publish(alert)
        record = replace(record, sent_at=tools.now())
    finally:
        if not is_known:
            tools.desks.put_alert(record)
    if is_known:
        tools.desks.mark_sent(alert.id, tools.now())


def _note_pending(tools: AlertTools, sealed: Sealed, found: Mapping[str, Present]) -> None:
    """Put on record what a call that died has sealed and had not: that is still pending on its lead."""
    pending = {change.id: change for one in found.values() for change in one.root.pending}
    keys = [key for one in sealed.leads for key in _keys(one.ids)]
    _note(tools, [_waiting(key, pending[key.change]) for key in keys if key.change in pending])


def _named(tools: AlertTools, account: PresentAccount | None) -> Collection[str]:
    """Return those by whose names people were told of the account, and who would be an alert of their own."""
    policy, tiers = tools.ruleset.alerts, tools.ruleset.tiers
    if policy is None or account is None:
        return ()
    shown = [person for person, _ in account.shown]
    return [pseudonym(one.identity) for one in shown if find_lack(policy, tiers, standing_of(one.score)) is None]


def _settle_sealed(tools: AlertTools, sealing: _Sealing, told: _Told) -> None:
    """Write that an alert was sent, or that there is nobody left to tell of."""
    sealed, stored = sealing.sealed, sealing.stored
    for one in sealed.leads:
        known = one.lead in told.present
        outcome: Outcome = "sent" if known else "suppressed"
        tools.desks.settle(Settled(_keys(one.ids), outcome, one.main.reason if known else GONE, sealed.id))
    for _ in attempts(tools.pause, "a desk"):
        now = tools.now()
        if told.present:
            after = sent(tools.ruleset.alerts, stored.desk, sealed.id, now, told.named)
        else:
            after = reduce(forget_lead, (one.lead for one in sealed.leads), stored.desk)
        # The same: noted before, be it by a write of our own whose answer got lost.
        following = stored if after == stored.desk else _next(tools, stored, after, now)
        try:
            if following is not stored:
                tools.desks.save(following)
        except ConflictError:
            stored = tools.desks.load(stored.desk.name)
            continue
        if following.due is not None and following.due <= now:
            # What came while this was on its way, and found the desk leased.
            tools.releases.send_all([Release(stored.desk.name).body()])
        return


def _next(tools: AlertTools, stored: StoredDesk, desk: Desk, at: Millis) -> StoredDesk:
    """Return what is to be stored of a desk; one where nothing waits is kept while what it remembers can matter."""
    policy = tools.ruleset.alerts
    when = due(policy, desk, at)
    cooldowns = () if policy is None else (policy.cooldown, policy.account_cooldown)
    last = max([at + max([HANDLED_FOR, *cooldowns]), *desk.snoozed.values()])
    return StoredDesk(desk, stored.version + 1, when, last if when is None else None)


def _look_at(tools: AlertTools, leads: Collection[str], now: datetime, seen: Seen | None = None) -> dict[str, Present]:
    read = None if seen is None else {pseudonym(seen.lead.identity): seen.lead}
    return look_at(tools.people, tools.reader, tools.ruleset, leads, now, read)


def _look_at_account(tools: AlertTools, account: str | None, now: datetime) -> PresentAccount | None:
    return None if account is None else look_at_account(tools.reader, tools.ruleset, account, now)


def _join(tools: AlertTools, desk: Desk, present: Mapping[str, Present]) -> Desk:
    """Return the desk with leads that were joined to others under their names, and with what their own desks know.

    A lead that was joined, or that has come into an account since, has a desk of its own elsewhere, where people may
    have been told of it, or have asked not to be.
    """
    for name, one in present.items():
        root = pseudonym(one.root.identity)
        if root != name:
            desk = rename_lead(desk, name, root)
        own = desk_name(root, one.state.account)
        if own != desk.name:
            desk = _with_memory(desk, tools.desks.load(own).desk, root)
    return desk


def _with_people(tools: AlertTools, desk: Desk, account: PresentAccount) -> Desk:
    """Return the desk with what is known of those who make the account hot and were told of before they were in it."""
    for person, _ in account.shown:
        name = pseudonym(person.identity)
        desk = _with_memory(desk, tools.desks.load(desk_name(name, None)).desk, name)
    return desk


def _with_memory(desk: Desk, other: Desk, lead: str) -> Desk:
    """Return the desk with what another one remembers of a lead, where that is the newer."""
    told, raised, snoozed = dict(desk.told), dict(desk.told_raised), dict(desk.snoozed)
    for mine, theirs in ((told, other.told), (raised, other.told_raised)):
        if lead in theirs:
            mine[lead] = max(mine.get(lead, theirs[lead]), theirs[lead])
    if lead in other.snoozed:
        snoozed[lead] = max(snoozed.get(lead, 0), other.snoozed[lead])
    return replace(desk, told=told, told_raised=raised, snoozed=snoozed)


def _standing(one: Present) -> Standing:
    return standing_of(one.score)


def _keys(requests: Sequence[str]) -> list[ChangeKey]:
    return [ChangeKey.parse(request) for request in requests]
