"""From a change that asks for an alert to what people read: filed at a desk, held there, released, published.

    change --note--> on record --file--> desk --due--> seal, judged by how its leads stand now --> publish --> sent
                                          ^  |              '--> suppressed, with its reason
                        others join it ---+  '-- `cool` finds the desks whose time has come

Invariants: a request is on record before it is filed, and filed before its change is forgotten; what is sealed is
written before it is published, so that a crash in between tells the same people again under the same id, once. Desks
are released by messages of one group each: no two at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Protocol
from urllib.parse import quote

from leadscore.core.alert_desk import (
    HANDLED_FOR,
    Desk,
    Sealed,
    Waiting,
    desk_name,
    due,
    file,
    forget_lead,
    rename_lead,
    request_of,
    seal,
    sent,
)
from leadscore.core.alerting import Standing, standing_of
from leadscore.core.alerts import Alert, AlertAccount, AlertedLead, AlertReason, suggest_next_step
from leadscore.core.changes import Change
from leadscore.core.identity import Identity, display_id, pseudonym
from leadscore.core.instants import Millis, format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.core.state import AccountState, State
from leadscore.usecases.accounts import load_account_states
from leadscore.usecases.alert_records import (
    AlertRecord,
    ChangeKey,
    ChangeRecord,
    Desks,
    Entry,
    Outcome,
    People,
    Release,
    Settled,
    StoredDesk,
)
from leadscore.usecases.forest import load_state, walk_up
from leadscore.usecases.records import ConflictError, Reader, StoredIdentity
from leadscore.usecases.retrying import Pause, attempts
from leadscore.usecases.standing import describe_person, score_now, top_reasons

# The kinds of change that an alert can be about, or that end what one was about; each leaves a record.
RECORDED = frozenset({"tier", "hand_raise", "fit", "conversion"})
# What stands for the lead's id in the address of its page.
PLACE_OF_ID = "{id}"
# Why nobody was told of a lead that was erased while its alert was on its way.
GONE = "is gone"


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
    lead_page: str | None
    clock: Callable[[], datetime]
    pause: Pause
    stage: str | None = None

    def now(self) -> Millis:
        """Return the present instant."""
        return from_datetime(self.clock())


@dataclass(frozen=True, slots=True)
class _Present:
    """How a lead stands now, with what an alert says of it."""

    root: StoredIdentity
    state: State
    account: AccountState | None
    score: Score


def take_change(tools: AlertTools, lead: Identity, change: Change) -> None:
    """Record a change and, where its alert is wanted, file it; taking one twice is harmless.

    Raises ContentionError when other writers won every attempt.
    """
    if change.kind not in RECORDED:
        return
    key = ChangeKey(pseudonym(lead), change.id)
    outcome = "waiting" if change.alert == "wanted" else change.alert
    tools.desks.note(ChangeRecord(key, change, outcome, change.alert_reason))
    if change.alert == "wanted":
        _file(tools, key, change)


def release_desk(tools: AlertTools, name: str) -> Alert | None:
    """Publish what waits at a desk if its time has come, and return it; raises what the publisher raises.

    Raises ContentionError when other writers won every attempt.
    """
    sealed = _seal(tools, name)
    if sealed is None:
        return None
    record = tools.desks.find_alert(sealed.id)
    if record is None:
        raise LookupError(f"the alert {sealed.id} was sealed and is not on record")
    present = _look_at(tools, [entry.lead for entry in sealed.leads], tools.clock())
    alert = _compose(tools, sealed, record, present)
    if alert is not None:
        tools.publisher.publish(alert)
    _settle_sealed(tools, name, sealed, present)
    return alert


def _file(tools: AlertTools, key: ChangeKey, change: Change) -> None:
    policy, name = tools.ruleset.alerts, desk_name(key.lead, change.account)
    request = request_of(change, key.lead)._replace(id=str(key))
    for _ in attempts(tools.pause, "a desk"):
        stored, now = tools.desks.load(name), tools.now()
        desk = file(policy, stored.desk, request, now)
        when = due(policy, desk, now)
        if desk is not stored.desk:
            try:
                tools.desks.save(_next(tools, stored, desk, now))
            except ConflictError:
                continue
        if when is not None and when <= now:
            tools.releases.send_all([Release(name).body()])
        return


def _seal(tools: AlertTools, name: str) -> Sealed | None:
    """Return what is to be published now, written down as such."""
    policy, tiers = tools.ruleset.alerts, tools.ruleset.tiers
    for _ in attempts(tools.pause, "a desk"):
        now = tools.clock()
        stored, at = tools.desks.load(name), from_datetime(now)
        present = _look_at(tools, stored.desk.leads, now)
        joined = _join(tools, stored.desk, present)
        standings = {pseudonym(one.root.identity): _standing(one) for one in present.values()}
        after, sealed, suppressed = seal(policy, tiers, joined, standings, at)
        when = due(policy, after, at)
        if after == stored.desk and when == stored.due:
            return sealed
        for one in suppressed:
            tools.desks.settle(Settled(_keys(one.requests), "suppressed", one.reason))
        if sealed is not None and stored.desk.sealed is None:
            tools.desks.put_alert(_new_record(after, sealed, present))
        try:
            tools.desks.save(_next(tools, stored, after, at))
        except ConflictError:
            continue
        return sealed
    raise AssertionError("the attempts end by themselves")


def _settle_sealed(tools: AlertTools, name: str, sealed: Sealed, present: Mapping[str, _Present]) -> None:
    """Write that an alert was sent, or that there is nobody left to tell of."""
    for one in sealed.leads:
        known = one.lead in present
        outcome: Outcome = "sent" if known else "suppressed"
        tools.desks.settle(Settled(_keys(one.ids), outcome, one.main.reason if known else GONE, sealed.id))
    if present:
        tools.desks.mark_sent(sealed.id, tools.now())
    for _ in attempts(tools.pause, "a desk"):
        stored, now = tools.desks.load(name), tools.now()
        if present:
            after = sent(tools.ruleset.alerts, stored.desk, sealed.id, now)
        else:
            after = reduce(forget_lead, (one.lead for one in sealed.leads), stored.desk)
        if after == stored.desk:
            return
        try:
            tools.desks.save(_next(tools, stored, after, now))
        except ConflictError:
            continue
        return


def _next(tools: AlertTools, stored: StoredDesk, desk: Desk, at: Millis) -> StoredDesk:
    """Return what is to be stored of a desk; one where nothing waits is kept while what it remembers can matter."""
    policy = tools.ruleset.alerts
    when = due(policy, desk, at)
    cooldowns = () if policy is None else (policy.cooldown, policy.account_cooldown)
    last = max([at + max(HANDLED_FOR, *cooldowns), *desk.snoozed.values()])
    return StoredDesk(desk, stored.version + 1, when, last if when is None else None)


def _look_at(tools: AlertTools, leads: Sequence[str] | frozenset[str], now: datetime) -> dict[str, _Present]:
    """Return by pseudonym how each of the leads stands; those that are erased or were never written are left out."""
    found: dict[str, _Present] = {}
    accounts: dict[str | None, AccountState | None] = {None: None}
    for name in sorted(leads):
        stored = tools.people.look_up(name)
        if not isinstance(stored, StoredIdentity):
            continue
        root = stored if stored.owner is None else walk_up(tools.reader, stored.owner.owner)[-1]
        if root.erased or root.body is None:
            continue
        state = load_state(tools.reader, tools.ruleset, root, from_datetime(now))
        if state.account not in accounts:
            loaded = load_account_states(tools.reader, tools.ruleset, [state.account])
            accounts[state.account] = loaded.get(state.account)
        account = accounts[state.account]
        found[name] = _Present(root, state, account, score_now(state, account, now))
    return found


def _join(tools: AlertTools, desk: Desk, present: Mapping[str, _Present]) -> Desk:
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


def _with_memory(desk: Desk, other: Desk, lead: str) -> Desk:
    """Return the desk with what another one remembers of a lead, where that is the newer."""
    told, raised, snoozed = dict(desk.told), dict(desk.told_raised), dict(desk.snoozed)
    for mine, theirs in ((told, other.told), (raised, other.told_raised)):
        if lead in theirs:
            mine[lead] = max(mine.get(lead, theirs[lead]), theirs[lead])
    if lead in other.snoozed:
        snoozed[lead] = max(snoozed.get(lead, 0), other.snoozed[lead])
    return replace(desk, told=told, told_raised=raised, snoozed=snoozed)


def _standing(one: _Present) -> Standing:
    return standing_of(one.score)


def _keys(requests: Sequence[str]) -> list[ChangeKey]:
    return [ChangeKey.parse(request) for request in requests]


def _new_record(desk: Desk, sealed: Sealed, present: Mapping[str, _Present]) -> AlertRecord:
    by_root = {pseudonym(one.root.identity): one for one in present.values()}
    return AlertRecord(
        id=sealed.id,
        kind=sealed.kind,
        account=desk.account,
        desk=desk.name,
        sealed_at=sealed.at,
        entries=[_entry(one, by_root[one.lead]) for one in sealed.leads],
    )


def _entry(waiting: Waiting, one: _Present) -> Entry:
    return Entry(
        lead=waiting.lead,
        cause=waiting.main.cause,
        tier=one.score.tier,
        score=one.score.total,
        criteria={factor.criterion: factor.points for factor in one.score.factors if factor.points > 0},
        owner=_text(one.state, "owner"),
    )


def _compose(tools: AlertTools, sealed: Sealed, record: AlertRecord, present: Mapping[str, _Present]) -> Alert | None:
    """Return the alert about those of its leads that there still are, None where there are none."""
    told = [(waiting, present[waiting.lead]) for waiting in sealed.leads if waiting.lead in present]
    if not told:
        return None
    leads = tuple(_compose_lead(tools, waiting, one) for waiting, one in told)
    account = None if record.account is None else AlertAccount(record.account, _account_name(told[0][1], leads[0]))
    return Alert(
        id=sealed.id,
        kind=sealed.kind,
        at=format_instant(sealed.at),
        account=account,
        leads=leads,
        ruleset=tools.ruleset.version,
        stage=tools.stage,
    )


def _compose_lead(tools: AlertTools, waiting: Waiting, one: _Present) -> AlertedLead:
    lead, main = display_id(one.root.identity), waiting.main
    person, reasons = describe_person(lead, one.state), _reasons(tools.ruleset, one.score)
    return AlertedLead(
        person=person,
        owner=_text(one.state, "owner"),
        source=_text(one.state, "source"),
        cause=main.cause,
        event=main.event,
        tier=one.score.tier,
        previous_tier=main.previous_tier,
        score=one.score.total,
        previous_score=main.previous_score,
        groups=one.score.groups,
        reasons=reasons,
        reason=main.reason,
        at=format_instant(main.at),
        next_step=suggest_next_step(person, main.event, reasons),
        links=_links(tools.lead_page, lead),
    )


def _reasons(ruleset: Ruleset, score: Score) -> tuple[AlertReason, ...]:
    last = {factor.criterion: factor.occurrences[-1] for factor in score.factors if factor.occurrences}
    return tuple(
        AlertReason(
            reason["criterion"],
            reason["label"],
            reason["points"],
            format_instant(last[reason["criterion"]].time) if reason["criterion"] in last else None,
        )
        for reason in top_reasons(ruleset, score)
    )


def _account_name(one: _Present, lead: AlertedLead) -> str:
    name = None if one.account is None else one.account.traits.get("name")
    return name if isinstance(name, str) else lead.person["company"]


def _links(page: str | None, lead: str) -> Mapping[str, str]:
    return {} if page is None else {"lead": page.replace(PLACE_OF_ID, quote(lead, safe=""))}


def _text(state: State, trait: str) -> str | None:
    value = state.traits.get(trait)
    return value if isinstance(value, str) and value else None
