"""A sales office with a clock of its own: the whole chain from events to alerts, without anything of AWS.

    events -> State -> decide (score, alert policy) -> pending changes -> desk -> seal -> publish -> sent

Every stored value is written and read back at every step. A step may be made to crash; what it was doing is then done
again, as a queue or the sweep over what is due would have it done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from leadscore.core.alert_desk import (
    ACCOUNT_PREFIX,
    Desk,
    Request,
    Sealed,
    desk_name,
    due,
    file,
    rename_lead,
    request_of,
    request_of_account,
    seal,
    sent,
    snooze,
)
from leadscore.core.alerting import (
    Standing,
    decide_account_alert,
    find_objection,
    hold_back,
    rearm,
    standing_of,
)
from leadscore.core.changes import AccountChange, Cause, Change, change_id
from leadscore.core.decay import to_points
from leadscore.core.identity import Identity
from leadscore.core.instants import Millis, format_instant, from_datetime, to_datetime
from leadscore.core.rolling import account_tier, account_total, counted_units
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import State, advance, merge
from leadscore.usecases.deciding import IMPORTED, Situation, decide
from leadscore.usecases.rating import LONGEST_UNRATED
from leadscore.usecases.records import LeadBody, StoredIdentity, StoredRating
from leadscore.usecases.standing import score_now


class CrashError(Exception):
    """A worker died between two steps."""


@dataclass(frozen=True)
class Published:
    """One message that went out; a repeat has the id of the first."""

    at: Millis
    alert: Sealed


@dataclass(frozen=True)
class Suppression:
    """One lead that was not told of, on record under the ids of its requests."""

    at: Millis
    lead: Identity
    reason: str


def no_crash(_step: str) -> None:
    """Let every step be done."""


def no_lag() -> timedelta:
    """Let everything be done at its instant."""
    return timedelta(0)


@dataclass
class Office:
    """Leads, desks and records as they are stored, and all that went out."""

    ruleset: Ruleset
    now: datetime
    crash: Callable[[str], None] = no_crash
    lag: Callable[[], timedelta] = no_lag
    leads: dict[Identity, StoredIdentity] = field(default_factory=dict)
    joined: dict[Identity, Identity] = field(default_factory=dict)
    # None where accounts are not rated; those that were touched by an import alone are told of by nobody.
    ratings: dict[str, StoredRating] | None = None
    imported: set[str] = field(default_factory=set)
    pending: list[tuple[Identity, Change | AccountChange]] = field(default_factory=list)
    delivered: list[tuple[Identity, Change | AccountChange]] = field(default_factory=list)
    desks: dict[str, str] = field(default_factory=dict)
    published: list[Published] = field(default_factory=list)
    # What became of each wanted change by its id: the alert's id, or why there is none.
    outcomes: dict[str, str | Suppression] = field(default_factory=dict)
    wanted: dict[str, Request] = field(default_factory=dict)
    # How the leads stood when an alert was first published.
    judged: dict[str, dict[Identity, Standing]] = field(default_factory=dict)
    decided: list[Suppression] = field(default_factory=list)

    @property
    def millis(self) -> Millis:
        return from_datetime(self.now)

    # ------------------------------------------------------------------------------------------ what happens to leads

    def hear(self, lead: Identity, event: dict[str, Any], cause: Cause = "events") -> None:
        """Apply one event of a lead that happens now."""
        before = self._state(lead)
        self._commit(lead, before, advance(before, [event]), cause)

    def pass_time(self, lead: Identity) -> None:
        """Look at a lead again, of which only the time has changed."""
        state = self._state(lead)
        self._commit(lead, state, state, "events")

    def join(self, lead: Identity, into: Identity) -> None:
        """Make one lead of two; what is asked for the first still waits under its old name."""
        swallowed = self.leads.pop(lead)
        self.joined[lead] = into
        before = self._state(into)
        brought = State.empty(self.ruleset)
        if swallowed.body is not None:
            brought = State.from_json(self.ruleset, swallowed.body.state)
        self._commit(into, before, merge(before, brought), "events", swallowed.body)

    def snooze(self, lead: Identity, until: datetime) -> None:
        """Have nobody told of a lead, or of an account by its desk's name, for a while."""
        name = lead if lead.startswith(ACCOUNT_PREFIX) else desk_name(lead, self._state(lead).account)
        self._save(snooze(self._desk(name), lead, from_datetime(until)))

    def standing(self, lead: Identity) -> Standing | None:
        """Return how a lead stands now, by whichever name."""
        root = self.root(lead)
        return None if root not in self.leads else standing_of(score_now(self._state(root), None, self.now))

    def root(self, lead: Identity) -> Identity:
        while lead in self.joined:
            lead = self.joined[lead]
        return lead

    def _commit(
        self, lead: Identity, before: State, after: State, cause: Cause, swallowed: LeadBody | None = None
    ) -> None:
        if cause == "import" and after.account is not None:
            self.imported.add(after.account)
        root = self.leads.get(lead, StoredIdentity(lead))
        bodies = () if swallowed is None else (swallowed,)
        situation = Situation(self.ruleset, root, before, after, None, None, bodies, cause)
        body, changes, *_ = decide(situation, self.now)
        self.leads[lead] = replace(root, version=root.version + 1, body=body)
        for change in changes:
            if change.alert == "wanted":
                self.pending.append((lead, change))
                self.wanted[change.id] = request_of(change, lead)
            elif change.alert == "suppressed":
                self.decided.append(Suppression(self.millis, lead, change.alert_reason))

    def _state(self, lead: Identity) -> State:
        stored = self.leads.get(lead)
        if stored is None or stored.body is None:
            return State.empty(self.ruleset)
        return State.from_json(self.ruleset, stored.body.state)

    # ----------------------------------------------------------------------------------------- what becomes of accounts

    def rate_accounts(self) -> None:
        """Bring the ratings of all accounts up to now, and ask for the alerts that follow."""
        if self.ratings is None:
            return
        accounts = {self._state(lead).account for lead in self.leads} | set(self.ratings)
        for account in sorted(name for name in accounts if name is not None):
            self._rate(account, self.ratings.get(account, StoredRating(account, tier=self.ruleset.tiers[-1].name)))
        self.imported.clear()

    def standing_of_account(self, account: str) -> Standing | None:
        """Return how an account stands now; None where it has nobody."""
        of_it = [lead for lead in self.leads if self._state(lead).account == account]
        scores = [score_now(self._state(lead), None, self.now) for lead in of_it]
        policy = self.ruleset.alerts
        assert policy is not None
        total = account_total(self.ruleset, [counted_units(score) for score in scores])
        standings = [standing_of(score) for score in scores if counted_units(score)]
        fits = [one.fit for one in standings if find_objection(policy, one) is None]
        tier = account_tier(self.ruleset, total)
        return Standing(tier, to_points(total), max(fits, default=0.0), nobody=not fits) if of_it else None

    def _rate(self, account: str, stored: StoredRating) -> None:
        assert self.ratings is not None
        policy, tiers = self.ruleset.alerts, self.ruleset.tiers
        after = self.standing_of_account(account) or Standing(tiers[-1].name, 0.0)
        memory = rearm(policy, stored.memory, after.total)
        before = Standing(stored.tier, stored.score)
        alert = decide_account_alert(policy, tiers, memory, before, after, self.millis)
        if account in self.imported:
            alert = hold_back(alert, replace(memory, armed=alert.memory.armed), IMPORTED)
        version = stored.version + 1
        unlooked = stored.due is None or stored.due <= self.millis
        self.ratings[account] = StoredRating(
            account=account,
            version=version,
            tier=after.tier,
            score=after.total,
            due=self.millis + LONGEST_UNRATED if unlooked else stored.due,
            memory=alert.memory,
        )
        name = f"account:{account}"
        if after.tier == before.tier or account in self.imported:
            return
        change = AccountChange(
            id=change_id(name, version, "tier"),
            account=account,
            name="",
            cause="people",
            at=format_instant(self.millis),
            people=1,
            tier=after.tier,
            previous_tier=before.tier,
            score=after.total,
            previous_score=before.total,
            ruleset="",
            alert=alert.outcome,
            alert_reason=alert.reason,
        )
        if alert.outcome == "wanted":
            self.pending.append((name, change))
            self.wanted[change.id] = request_of_account(change)
        elif alert.outcome == "suppressed":
            self.decided.append(Suppression(self.millis, name, alert.reason))

    # --------------------------------------------------------------------------------------------- what becomes of them

    def announce(self) -> None:
        """Take what is pending to its desks; what is done already is left out only once that is noted."""
        for lead, change in list(self.pending):
            self.deliver(lead, change)
            self.crash("filed")
            self.pending.remove((lead, change))
            self.delivered.append((lead, change))

    def deliver(self, lead: Identity, change: Change | AccountChange) -> None:
        """Take one change to its desk, whether or not that was done before."""
        request = request_of_account(change) if isinstance(change, AccountChange) else request_of(change, lead)
        desk = file(self.ruleset.alerts, self._desk(desk_name(lead, change.account)), request, self.millis)
        assert file(self.ruleset.alerts, desk, request, self.millis) is desk
        self._save(desk)

    def release(self, name: str) -> None:
        """Let go out what is due at one desk."""
        policy, desk = self.ruleset.alerts, self._desk(name)
        for lead in sorted(desk.leads):
            if self.root(lead) != lead:
                desk = rename_lead(desk, lead, self.root(lead))
        standings = {lead: standing for lead in desk.leads if (standing := self.standing(lead)) is not None}
        of_account = None if desk.account is None else self.standing_of_account(desk.account)
        if of_account is not None:
            standings[desk.name] = of_account
        desk, sealed, suppressed = seal(policy, self.ruleset.tiers, desk, standings, self.millis)
        self.crash("judged")
        # The desk and the records are one transaction.
        self._save(desk)
        for one in suppressed:
            self._note(one.requests, Suppression(self.millis, one.lead, one.reason))
        if sealed is None:
            return
        self.judged.setdefault(sealed.id, standings)
        self.crash("sealed")
        self.published.append(Published(self.millis, sealed))
        self.crash("published")
        self._save(sent(policy, self._desk(name), sealed.id, self.millis))
        for entry in sealed.leads:
            self._note(entry.ids, sealed.id)
        self.crash("sent")

    def _note(self, requests: tuple[str, ...], outcome: str | Suppression) -> None:
        for request in requests:
            assert request not in self.outcomes, "dealt with twice"
            self.outcomes[request] = outcome

    def _release_all(self) -> None:
        # Whoever looks at a desk too early does no harm.
        for name in sorted(self.desks):
            self.release(name)

    def due_at(self, name: str) -> Millis | None:
        return due(self.ruleset.alerts, self._desk(name), self.millis)

    def _desk(self, name: str) -> Desk:
        return Desk.from_json(self.desks[name]) if name in self.desks else Desk(name)

    def _save(self, desk: Desk) -> None:
        self.desks[desk.name] = desk.to_json()
        assert self._desk(desk.name) == desk

    # ------------------------------------------------------------------------------------------------------- the clock

    def settle(self) -> None:
        """Do all that is to be done now, again and again where it crashes."""
        while True:
            try:
                self.announce()
                self._release_all()
                # An account is rated moments after what happened to its people.
                self.rate_accounts()
                self.announce()
                self._release_all()
            except CrashError:
                self.now += self.lag()
                continue
            return

    def advance(self, to: datetime) -> None:
        """Let time pass, and all that is due happen at its instant."""
        while (instant := self._next_due()) is not None and instant <= from_datetime(to):
            self.now = max(self.now, to_datetime(instant)) + self.lag()
            for lead, stored in list(self.leads.items()):
                if stored.body is not None and stored.body.due is not None and stored.body.due <= self.millis:
                    self.pass_time(lead)
            self.settle()
        self.now = max(self.now, to)

    def _next_due(self) -> Millis | None:
        tiers = [one.body.due for one in self.leads.values() if one.body is not None and one.body.due is not None]
        desks = [instant for name in self.desks if (instant := self.due_at(name)) is not None]
        hot = [one.due for one in (self.ratings or {}).values() if one.tier != self.ruleset.tiers[-1].name]
        return min([*tiers, *desks, *(due for due in hot if due is not None)], default=None)


def track(name: str, at: datetime, number: int) -> dict[str, Any]:
    """Return the event that something was done."""
    return _event(at, number, type="track", event=name)


def identify(traits: dict[str, Any], at: datetime, number: int) -> dict[str, Any]:
    """Return the event that says who somebody is."""
    return _event(at, number, type="identify", traits=traits)


def belong(account: str, at: datetime, number: int) -> dict[str, Any]:
    """Return the event that says where somebody works."""
    return _event(at, number, type="group", groupId=account)


def _event(at: datetime, number: int, **fields: Any) -> dict[str, Any]:
    return {"messageId": f"m{number}", "timestamp": format_instant(from_datetime(at)), "userId": "u", **fields}
