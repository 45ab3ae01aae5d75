"""Applying events to leads: gather (lead, accounts, log if needed), decide (the core), act (one transaction).

    SQS batch -> by lead -> load -> advance, score, alert policy -> commit --ok--> announce -> acknowledge
                              ^                                       |
                              +-- events known / someone else wrote --+

Invariant: an event is acknowledged only after it is in the log, its lead's state contains it, and whatever it
changed has been handed on. Repeating any step is harmless, because a state is a semilattice over a set of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import batched

from leadscore.core.alerting import AlertDecision, AlertMemory, Standing, decide_alert
from leadscore.core.changes import Cause, Change, ChangeKind, change_id
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score, score_state
from leadscore.core.state import AccountState, State, advance, advance_account, touches
from leadscore.usecases.ranking import rank_key
from leadscore.usecases.records import (
    Event,
    KnownEventsError,
    LeadCommit,
    LeadReader,
    LeadStore,
    StoredAccount,
    StoredLead,
    VersionConflictError,
)
from leadscore.usecases.standing import describe_person, load_state, score_now, top_reasons

# A DynamoDB transaction has at most 100 actions: these, the lead, and the accounts of its group events.
EVENTS_PER_COMMIT = 49
ATTEMPTS = 6


class ContentionError(Exception):
    """A lead was written by others on every attempt: its messages go back to the queue."""


def lead_of(event: Event) -> str:
    """Return the id of the lead that a normalised event belongs to: its user, else its visitor."""
    return str(event.get("userId") or event["anonymousId"])


def apply_events(
    store: LeadStore, ruleset: Ruleset, lead: str, events: Iterable[Event], clock: Callable[[], datetime]
) -> bool:
    """Apply events of one lead, in any order, known ones included; return whether the lead is to be announced.

    It is where these events made a change, and where one is pending and some event is known already: then whoever
    made it may have died before handing it on. Raises ContentionError when other writers won every attempt.
    """
    distinct: dict[str, Event] = {}
    for event in events:
        distinct.setdefault(str(event["messageId"]), event)
    touching = [event for event in distinct.values() if touches(ruleset, event)]
    for event in distinct.values():
        if not touches(ruleset, event):
            store.append_event(lead, event)
    chunks = batched(touching, EVENTS_PER_COMMIT, strict=False)
    return any([_apply(store, ruleset, lead, chunk, clock) for chunk in chunks])  # noqa: C419  each must be applied


def _apply(
    store: LeadStore, ruleset: Ruleset, lead: str, events: Sequence[Event], clock: Callable[[], datetime]
) -> bool:
    redelivered = False
    for _ in range(ATTEMPTS):
        stored = store.load_lead(lead)
        unannounced = redelivered and stored is not None and bool(stored.pending)
        if not events:
            return unannounced
        commit = decide(gather(store, ruleset, lead, stored, events), clock())
        try:
            store.commit(commit)
        except KnownEventsError as known:
            redelivered = True
            events = [event for event in events if event["messageId"] not in known.ids]
        except VersionConflictError:
            continue
        else:
            return unannounced or bool(commit.lead.pending)
    raise ContentionError(f"a lead was written by others on each of {ATTEMPTS} attempts")


def refresh_lead(store: LeadStore, ruleset: Ruleset, lead: str, clock: Callable[[], datetime]) -> bool:
    """Bring a lead's stored standing up to now; return whether a change of it waits to be announced.

    Raises ContentionError when other writers won every attempt.
    """
    for _ in range(ATTEMPTS):
        stored = store.load_lead(lead)
        if stored is None:
            return False
        commit = decide(gather(store, ruleset, lead, stored, ()), clock())
        if replace(commit.lead, version=stored.version, pending=stored.pending) == stored:
            return bool(stored.pending)
        try:
            store.commit(commit)
        except VersionConflictError:
            continue
        return bool(stored.pending or commit.lead.pending)
    raise ContentionError(f"a lead was written by others on each of {ATTEMPTS} attempts")


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a decision about one lead depends on, but the instant."""

    ruleset: Ruleset
    lead: str
    stored: StoredLead | None
    state: State
    events: Sequence[Event]
    accounts: dict[str, StoredAccount]


def gather(
    store: LeadReader, ruleset: Ruleset, lead: str, stored: StoredLead | None, events: Sequence[Event]
) -> Gathered:
    """Return the lead's state before `events`, and the accounts that it or they belong to."""
    state = load_state(store, ruleset, stored)
    named = {str(event["groupId"]) for event in events if event.get("groupId")}
    if state.account is not None:
        named.add(state.account)
    return Gathered(ruleset, lead, stored, state, events, store.load_accounts(named) if named else {})


def decide(gathered: Gathered, now: datetime) -> LeadCommit:
    """Return everything to write: the lead's next state and standing, its account, the events, what to announce."""
    ruleset, stored = gathered.ruleset, gathered.stored
    state = advance(gathered.state, gathered.events)
    held = _account_states(gathered)
    grown = {name: advance_account(account, _of_account(gathered.events, name)) for name, account in held.items()}
    score = score_now(state, grown.get(state.account or ""), now)
    before = score_state(gathered.state, score.at, held.get(gathered.state.account or ""))
    version = stored.version + 1 if stored is not None else 1
    story = _Story(gathered, state, version, stored.memory if stored is not None else AlertMemory())
    if stored is not None and stored.tier != before.tier:
        cause: Cause = "time" if stored.ruleset == ruleset.version else "ruleset"
        story.tell_step(cause, Standing(stored.tier, before.total), before)
    story.tell_step("events", Standing(before.tier, before.total), score)
    if before.converted_at is None and score.converted_at is not None:
        story.tell_conversion(before, score)
    due = score.next_change_at
    lead = StoredLead(
        lead=gathered.lead,
        version=version,
        state=state.to_json(),
        ruleset=ruleset.version,
        tier=score.tier,
        rank_key=rank_key(score.ceiling),
        memory=story.memory,
        due=None if due is None else from_datetime(due),
        pending=tuple(story.changes),
    )
    accounts = [
        StoredAccount(name, _account_version(gathered, name) + 1, grown[name].to_json())
        for name in grown
        if grown[name] is not held[name]
    ]
    return LeadCommit(lead, gathered.events, accounts)


class _Story:
    """Collects the changes of one commit in their order, each judged by the alert policy with the memory so far."""

    def __init__(self, gathered: Gathered, state: State, version: int, memory: AlertMemory) -> None:
        self.changes: list[Change] = []
        self.memory = memory
        self._gathered = gathered
        self._person = describe_person(gathered.lead, state)
        self._version = version

    def tell_step(self, cause: Cause, before: Standing, score: Score) -> None:
        """Judge one step of the standing; it is a change where the tier differs."""
        rules = self._gathered.ruleset
        after = Standing(score.tier, score.total)
        alert = decide_alert(rules.alerts, rules.tiers, self.memory, before, after, from_datetime(score.at))
        if cause == "ruleset":
            alert = AlertDecision(fires=False, reason="the ruleset changed, not the lead", memory=self.memory)
        self.memory = alert.memory
        if before.tier != after.tier:
            self._tell("tier", cause, before, score, alert)

    def tell_conversion(self, before: Score, score: Score) -> None:
        """Record that the goal was reached."""
        alert = AlertDecision(fires=False, reason="a conversion is no alert", memory=self.memory)
        self._tell("conversion", "events", Standing(before.tier, before.total), score, alert)

    def _tell(self, kind: ChangeKind, cause: Cause, before: Standing, score: Score, alert: AlertDecision) -> None:
        lead = self._gathered.lead
        change = Change(
            id=change_id(lead, self._version, f"{kind} {cause}"),
            kind=kind,
            cause=cause,
            at=format_instant(from_datetime(score.at)),
            person=self._person,
            tier=score.tier,
            previous_tier=before.tier,
            score=score.total,
            previous_score=before.total,
            groups=score.groups,
            reasons=top_reasons(self._gathered.ruleset, score),
            alert=alert.fires,
            alert_reason=alert.reason,
            ruleset=score.version,
        )
        self.changes.append(change)


def _account_states(gathered: Gathered) -> dict[str, AccountState]:
    named = {str(event["groupId"]) for event in gathered.events if event.get("groupId")}
    empty = AccountState.empty(gathered.ruleset)
    states = {name: AccountState.from_json(gathered.ruleset, a.state) for name, a in gathered.accounts.items()}
    return {name: states.get(name, empty) for name in named | states.keys()}


def _account_version(gathered: Gathered, account: str) -> int:
    return gathered.accounts[account].version if account in gathered.accounts else 0


def _of_account(events: Sequence[Event], account: str) -> list[Event]:
    return [event for event in events if event["type"] == "group" and event.get("groupId") == account]
