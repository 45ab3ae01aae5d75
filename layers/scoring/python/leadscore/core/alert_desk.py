"""The desk at which alerts on one account's leads wait: pure, it says when they go out, with whom, and which do not.

    file            due                seal                            sent
    request ------> waiting ---------> sealed, under an id of its own  ------> told, and remembered for the cooldowns
                        |                   |
                        |                   '--> the same again after a crash, until it is sent
                        '--> suppressed, with its reason: judged by how the lead stands at that instant

A lead without an account has a desk of its own. That an account itself became hot waits at its desk, too: it goes out
with what is told of its people, or is left untold where people were told of them lately. Invariants: each request that
was filed is sealed or suppressed once, whatever is repeated; nothing is sealed outside working hours, within the
account's cooldown (but with a hand-raise), or within the lead's (but for a hand-raise that is the first there); what
is left untold brings nobody forward. Names of leads are identities: do not log them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, cast

from leadscore.core.alerting import (
    NO_POLICY,
    NOT_ON_ACCOUNTS,
    Standing,
    account_silence,
    find_lack,
    find_objection,
)
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity
from leadscore.core.instants import DAY, Millis, format_instant, parse_instant
from leadscore.core.ruleset import AlertPolicy, Tier
from leadscore.core.traits import canonical_json
from leadscore.core.working_hours import next_working

AlertKind = Literal["alert", "follow_up", "account"]
RequestCause = Literal["tier", "hand_raise"]
# How long an id is known after it was dealt with: a message and its copy in a dead-letter queue live 14 days each.
HANDLED_FOR: Millis = 29 * DAY
# What one release has time for, and people have; the others go out in the next.
LEADS_PER_ALERT = 50
ACCOUNT_PREFIX = "account:"
_FORM = 1


class Request(NamedTuple):
    """What one change of a lead asks for; `event` is the name of a hand-raise's event, `at` when it was decided.

    For an account itself `lead` is the name of its desk.
    """

    id: str
    lead: Identity
    at: Millis
    cause: RequestCause
    event: str | None
    previous_tier: str | None
    previous_score: float
    reason: str


class Waiting(NamedTuple):
    """All that is asked for one lead: the first request, the first hand-raise if any, and the ids of all, sorted."""

    first: Request
    raised: Request | None
    ids: tuple[str, ...]

    @property
    def lead(self) -> Identity:
        """The lead that it is about, or the name of the account's desk."""
        return self.first.lead

    @property
    def is_account(self) -> bool:
        """Whether it is about the account itself."""
        return self.lead.startswith(ACCOUNT_PREFIX)

    @property
    def main(self) -> Request:
        """The request that people are told of: the hand-raise before all others."""
        return self.raised or self.first


class Sealed(NamedTuple):
    """One alert as it goes out, however often that is tried; the account comes first, then the highest score.

    `at` is when it was sealed, `due` from when on that could be, `follows` the id of the alert that it follows up.
    """

    id: str
    kind: AlertKind
    at: Millis
    due: Millis
    leads: tuple[Waiting, ...]
    follows: str | None = None


class Suppressed(NamedTuple):
    """Requests of one lead that nobody will be told of, and why."""

    requests: tuple[str, ...]
    lead: Identity
    reason: str


class Told(NamedTuple):
    """When people were told of a lead, and from when on they could have been."""

    due: Millis
    at: Millis


@dataclass(frozen=True, slots=True)
class Desk:
    """What waits and what is remembered at one desk. Contains identities: do not log.

    `waiting` has one entry per lead. `told` and `told_raised` are the last alert on each lead and the last one on a
    hand-raise of its, `account_told` and `last_id` when people were last told of the account and under which id,
    `snoozed` until when nobody is told of a lead, `handled` the ids of requests and when they were dealt with.
    `release` counts what was sent. Until `leased_until` what is sealed is published by the call that sealed it alone.
    `token` is what the links of what is sealed carry.
    """

    name: str
    release: int = 0
    waiting: Mapping[Identity, Waiting] = field(default_factory=dict)
    sealed: Sealed | None = None
    told: Mapping[Identity, Told] = field(default_factory=dict)
    told_raised: Mapping[Identity, Told] = field(default_factory=dict)
    account_told: Millis | None = None
    last_id: str | None = None
    snoozed: Mapping[Identity, Millis] = field(default_factory=dict)
    handled: Mapping[str, Millis] = field(default_factory=dict)
    leased_until: Millis | None = None
    token: str | None = None

    @property
    def account(self) -> str | None:
        """The account whose desk it is, None for the desk of a single lead."""
        return self.name.removeprefix(ACCOUNT_PREFIX) if self.name.startswith(ACCOUNT_PREFIX) else None

    @property
    def leads(self) -> frozenset[Identity]:
        """The leads whose standings `seal` asks for."""
        return frozenset(one.lead for one in self.waiting.values() if not one.is_account)

    @property
    def asks_for_account(self) -> bool:
        """Whether `seal` asks for the standing of the account, too, by the name of the desk."""
        return self.name in self.waiting

    def to_json(self) -> str:
        """Return the desk as canonical JSON: equal desks give equal texts."""
        document: dict[str, object] = {
            "form": _FORM,
            "name": self.name,
            "release": self.release,
            "waiting": [self.waiting[lead] for lead in sorted(self.waiting)],
            "sealed": self.sealed,
            "told": self.told,
            "told_raised": self.told_raised,
            "account_told": self.account_told,
            "last_id": self.last_id,
            "snoozed": self.snoozed,
            "handled": self.handled,
            "leased_until": self.leased_until,
            "token": self.token,
        }
        return canonical_json({name: value for name, value in document.items() if value or value == 0})

    @classmethod
    def from_json(cls, text: str) -> Desk:
        """Return the desk that `to_json` wrote; raises ValueError for one of another form."""
        document = json.loads(text)
        if document["form"] != _FORM:
            raise ValueError(f"a desk of form {document['form']}, and {_FORM} can be read")
        waiting = [_read_waiting(item) for item in document.get("waiting", ())]
        return cls(
            name=document["name"],
            release=document["release"],
            waiting={one.lead: one for one in waiting},
            sealed=_read_sealed(document["sealed"]) if "sealed" in document else None,
            told={lead: Told(*item) for lead, item in document.get("told", {}).items()},
            told_raised={lead: Told(*item) for lead, item in document.get("told_raised", {}).items()},
            account_told=document.get("account_told"),
            last_id=document.get("last_id"),
            snoozed=document.get("snoozed", {}),
            handled=document.get("handled", {}),
            leased_until=document.get("leased_until"),
            token=document.get("token"),
        )


def desk_name(lead: Identity, account: str | None) -> str:
    """Return the name of the desk at which alerts on a lead wait."""
    return f"lead:{lead}" if account is None else f"{ACCOUNT_PREFIX}{account}"


def request_of(change: Change, lead: Identity) -> Request:
    """Return what a change of `lead`, whose alert is wanted, asks for."""
    return Request(
        id=change.id,
        lead=lead,
        at=parse_instant(change.at),
        cause="hand_raise" if change.kind == "hand_raise" else "tier",
        event=change.event,
        previous_tier=change.previous_tier,
        previous_score=change.previous_score,
        reason=change.alert_reason,
    )


def request_of_account(change: AccountChange) -> Request:
    """Return what a change of an account, whose alert is wanted, asks for."""
    return Request(
        id=change.id,
        lead=f"{ACCOUNT_PREFIX}{change.account}",
        at=parse_instant(change.at),
        cause="tier",
        event=None,
        previous_tier=change.previous_tier,
        previous_score=change.previous_score,
        reason=change.alert_reason,
    )


def file(policy: AlertPolicy | None, desk: Desk, request: Request, at: Millis) -> Desk:
    """Return the desk with a request waiting, in one entry per lead; the same object where it knows the request."""
    known = request.id in desk.handled or any(request.id in one.ids for one in _entries(desk))
    if known:
        return desk
    raised = request if request.cause == "hand_raise" else None
    entry = Waiting(request, raised, (request.id,))
    return _prune(policy, replace(desk, waiting=_joined(desk.waiting, entry)), at)


def due(policy: AlertPolicy | None, desk: Desk, at: Millis) -> Millis | None:
    """Return the first instant from `at` on at which `seal` has something to do; None when nothing waits."""
    if desk.sealed is None and not desk.waiting:
        return None
    return next_working(None if policy is None else policy.hours, max(at, _intended(policy, desk)))


def seal(
    policy: AlertPolicy | None,
    tiers: tuple[Tier, ...],
    desk: Desk,
    standings: Mapping[Identity, Standing],
    at: Millis,
    lease: Millis = 0,
) -> tuple[Desk, Sealed | None, tuple[Suppressed, ...]]:
    """Return the desk after a release at `at`, the alert to publish if any, and what nobody will be told of.

    `standings` says how each of `desk.leads` stands now; one without is gone. Before `due` nothing changes. What is
    sealed comes back as it is until it is `sent`; to nobody but the caller for as long as the `lease`. The desk and the
    records of what was suppressed are to be written together, before anything is published: the same release judged
    twice may come out otherwise.
    """
    when = due(policy, desk, at)
    if when is None or when > at:
        return desk, None, ()
    if desk.sealed is not None:
        return desk, desk.sealed, ()
    intended = _intended(policy, desk)
    suppressed: list[Suppressed] = []
    going: list[Waiting] = []
    left: dict[Identity, Waiting] = {}
    entries = sorted(desk.waiting.items())
    judged = {lead: _objection(policy, tiers, desk, entry, standings.get(lead), at) for lead, entry in entries}
    ripe = {lead for lead, entry in entries if _ready(policy, desk, entry) <= at}
    # What is left untold brings nobody forward.
    opens = any(judged[lead] is None for lead in ripe)
    for lead, entry in entries:
        reason = judged[lead]
        if reason is not None and (opens or lead in ripe):
            suppressed.append(Suppressed(entry.ids, lead, reason))
        elif reason is not None or not opens or _held_until(policy, desk, entry) > at:
            left[lead] = entry
        else:
            going.append(entry)
    going.sort(key=lambda entry: (not entry.is_account, -standings[entry.lead].total))
    going, later = going[:LEADS_PER_ALERT], going[LEADS_PER_ALERT:]
    left |= {entry.lead: entry for entry in later}
    handled = {**desk.handled, **{id_: at for one in suppressed for id_ in one.requests}}
    sealed = _make_sealed(policy, desk, going, intended, at) if going else None
    leased = at + lease if sealed is not None and lease else None
    after = replace(desk, waiting=left, sealed=sealed, handled=handled, leased_until=leased)
    return _prune(policy, after, at), sealed, tuple(suppressed)


def sent(policy: AlertPolicy | None, desk: Desk, sealed_id: str, at: Millis, named: Collection[Identity] = ()) -> Desk:
    """Return the desk after the sealed alert was published at `at`; the same object where that was noted before.

    `named` are leads in the tier that were told of as those who make their account hot.
    """
    sealed = desk.sealed
    if sealed is None or sealed.id != sealed_id:
        return desk
    told = Told(sealed.due, at)
    after = replace(
        desk,
        release=desk.release + 1,
        sealed=None,
        told={**desk.told, **dict.fromkeys(named, told), **{one.lead: told for one in sealed.leads}},
        told_raised={**desk.told_raised, **{one.lead: told for one in sealed.leads if one.raised is not None}},
        account_told=None if desk.account is None else at,
        last_id=None if desk.account is None else sealed.id,
        handled={**desk.handled, **{id_: at for one in sealed.leads for id_ in one.ids}},
        leased_until=None,
        token=None,
    )
    return _prune(policy, after, at)


def snooze(desk: Desk, lead: Identity, until: Millis) -> Desk:
    """Return the desk with a lead of which nobody is told before `until`, whatever was said before."""
    return replace(desk, snoozed={**desk.snoozed, lead: until})


def rename_lead(desk: Desk, lead: Identity, into: Identity) -> Desk:
    """Return the desk after `lead` was joined to another, with all that is known of the two under `into`.

    What is sealed stays as it is: its content must not change.
    """
    entry = desk.waiting.get(lead)
    waiting = {name: one for name, one in desk.waiting.items() if name != lead}
    if entry is not None:
        raised = None if entry.raised is None else entry.raised._replace(lead=into)
        waiting = _joined(waiting, Waiting(entry.first._replace(lead=into), raised, entry.ids))
    return replace(
        desk,
        waiting=waiting,
        told=_renamed(desk.told, lead, into),
        told_raised=_renamed(desk.told_raised, lead, into),
        snoozed=_renamed(desk.snoozed, lead, into),
    )


def forget_lead(desk: Desk, lead: Identity) -> Desk:
    """Return the desk without anything that is known of a lead, what is sealed included."""
    sealed = desk.sealed
    if sealed is not None:
        leads = tuple(one for one in sealed.leads if one.lead != lead)
        sealed = sealed._replace(leads=leads) if leads else None
    return replace(
        desk,
        waiting=_without(desk.waiting, lead),
        sealed=sealed,
        leased_until=None if sealed is None else desk.leased_until,
        token=None if sealed is None else desk.token,
        told=_without(desk.told, lead),
        told_raised=_without(desk.told_raised, lead),
        snoozed=_without(desk.snoozed, lead),
    )


def _objection(
    policy: AlertPolicy | None,
    tiers: tuple[Tier, ...],
    desk: Desk,
    entry: Waiting,
    standing: Standing | None,
    at: Millis,
) -> str | None:
    """Return why nobody is to be told of the entry's lead as it stands now, None where it is to be told of."""
    if policy is None:
        return NO_POLICY
    if entry.is_account and not policy.accounts:
        return NOT_ON_ACCOUNTS
    if standing is None:
        return "is gone"
    reason = find_objection(policy, standing)
    # Who wants to hear nothing of an account wants to hear nothing of its people.
    snoozed = max(desk.snoozed.get(entry.lead, at), desk.snoozed.get(desk.name, at))
    if reason is None and snoozed > at:
        reason = f"is snoozed until {format_instant(snoozed)}"
    if reason is None and entry.raised is None:
        reason = find_lack(policy, tiers, standing)
    if reason is None and not _is_free(policy, desk, entry):
        if entry.is_account:
            return "within the cooldown of the last alert on it or its people"
        reason = f"within the cooldown of the last {'alert' if entry.raised is None else 'hand-raise'}"
    return reason


def _intended(policy: AlertPolicy | None, desk: Desk) -> Millis:
    """Return from when on the desk's next release could be, whatever the time is."""
    if desk.sealed is not None:
        return max(desk.sealed.due, desk.leased_until or desk.sealed.due)
    return min(_ready(policy, desk, entry) for entry in desk.waiting.values())


def _ready(policy: AlertPolicy | None, desk: Desk, entry: Waiting) -> Millis:
    """Return from when on an entry alone could go out."""
    ready = max(_base(policy, desk, entry), _held_until(policy, desk, entry))
    return next_working(None if policy is None else policy.hours, ready)


def _base(policy: AlertPolicy | None, desk: Desk, entry: Waiting) -> Millis:
    """Return from when on an entry may go out as far as its lead's own cooldown is not concerned."""
    if policy is None:
        return entry.first.at
    if entry.raised is not None:
        return entry.raised.at
    settled = entry.first.at + policy.delay
    if desk.account_told is None or entry.is_account:
        return settled
    return max(settled, desk.account_told + policy.account_cooldown)


def _held_until(policy: AlertPolicy | None, desk: Desk, entry: Waiting) -> Millis:
    """Return until when an entry that is free to go waits for the end of its lead's cooldown; past where it does not.

    Alerts go out moments after they could: the next, due exactly a cooldown later, must not be lost by those moments.
    """
    last = _last_told(desk, entry)
    if policy is None or last is None or not _is_free(policy, desk, entry):
        return entry.first.at
    return last.at + _cooldown(policy, entry)


def _is_free(policy: AlertPolicy, desk: Desk, entry: Waiting) -> bool:
    """Return whether an entry is due a cooldown or more after the last alert on its lead was."""
    last = _last_told(desk, entry)
    planned = next_working(policy.hours, _base(policy, desk, entry))
    return last is None or planned - last.due >= _cooldown(policy, entry)


def _cooldown(policy: AlertPolicy, entry: Waiting) -> Millis:
    return account_silence(policy) if entry.is_account else policy.cooldown


def _last_told(desk: Desk, entry: Waiting) -> Told | None:
    if entry.is_account:
        known = desk.told.values()
        return Told(max(one.due for one in known), max(one.at for one in known)) if known else None
    return (desk.told if entry.raised is None else desk.told_raised).get(entry.lead)


def _make_sealed(
    policy: AlertPolicy | None, desk: Desk, going: Iterable[Waiting], intended: Millis, at: Millis
) -> Sealed:
    leads = tuple(going)
    cooldown = 0 if policy is None else policy.account_cooldown
    about_account = all(one.is_account for one in leads)
    first = min((one.first for one in leads), key=_filing_order)
    follows = not about_account and desk.account_told is not None and first.at < desk.account_told + cooldown
    # With a request, as a desk that was removed begins to count anew, and not the instant, as sealing is tried again.
    digest = hashlib.sha256(f"{desk.name}\n{desk.release}\n{first.id}".encode()).hexdigest()
    return Sealed(
        id=digest[:24],
        kind="account" if about_account else "follow_up" if follows else "alert",
        at=at,
        due=intended,
        leads=leads,
        follows=desk.last_id if follows else None,
    )


def _entries(desk: Desk) -> Iterator[Waiting]:
    yield from desk.waiting.values()
    if desk.sealed is not None:
        yield from desk.sealed.leads


def _joined(waiting: Mapping[Identity, Waiting], entry: Waiting) -> dict[Identity, Waiting]:
    """Return what waits with an entry in it, in one with that of its lead, in whichever order they came."""
    known = waiting.get(entry.lead)
    if known is None:
        return {**waiting, entry.lead: entry}
    raised = [one.raised for one in (known, entry) if one.raised is not None]
    both = Waiting(
        first=min(known.first, entry.first, key=_filing_order),
        raised=min(raised, key=_filing_order, default=None),
        ids=tuple(sorted({*known.ids, *entry.ids})),
    )
    return {**waiting, entry.lead: both}


def _filing_order(request: Request) -> tuple[Millis, str]:
    return request.at, request.id


def _prune(policy: AlertPolicy | None, desk: Desk, at: Millis) -> Desk:
    """Return the desk without what can no longer matter from `at` on; a desk without a policy keeps its cooldowns."""
    busy = {entry.lead for entry in _entries(desk)}
    told, told_raised, quiet = desk.told, desk.told_raised, False
    if policy is not None:
        kept = policy.cooldown if desk.account is None else max(policy.cooldown, account_silence(policy))
        told, told_raised = (
            {lead: last for lead, last in known.items() if lead in busy or last.at + kept > at}
            for known in (told, told_raised)
        )
        quiet = not busy and desk.account_told is not None and desk.account_told + policy.account_cooldown <= at
    return replace(
        desk,
        told=told,
        told_raised=told_raised,
        account_told=None if quiet else desk.account_told,
        last_id=None if quiet else desk.last_id,
        snoozed={lead: until for lead, until in desk.snoozed.items() if until > at},
        handled={id_: since for id_, since in desk.handled.items() if since + HANDLED_FOR > at},
    )


def _renamed[T: (Told, Millis)](known: Mapping[Identity, T], lead: Identity, into: Identity) -> dict[Identity, T]:
    """Return the values with the later of the two leads' under `into`."""
    latest = [known[name] for name in (lead, into) if name in known]
    others = {name: value for name, value in known.items() if name not in {lead, into}}
    return {**others, into: max(latest)} if latest else others


def _without[T](known: Mapping[Identity, T], lead: Identity) -> dict[Identity, T]:
    return {name: value for name, value in known.items() if name != lead}


def _read_waiting(item: list[object]) -> Waiting:
    first, raised, ids = item
    return Waiting(_read_request(first), None if raised is None else _read_request(raised), tuple(cast(list[str], ids)))


def _read_request(item: object) -> Request:
    return Request(*cast(list[Any], item))


def _read_sealed(item: list[Any]) -> Sealed:
    id_, kind, at, due_, leads, follows = item
    return Sealed(id_, kind, at, due_, tuple(_read_waiting(one) for one in leads), follows)
