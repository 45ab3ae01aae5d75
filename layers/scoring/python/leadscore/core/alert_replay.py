"""Of which alerts the policy of a ruleset would have told on one lead: its events, lived through once more.

    events in the order of their times --> score --> alert policy --> the lead's desk --> told
                    ^                                    |                 |
                    '---- an event, or the instant at which time alone ----'
                          changes the tier, or a desk is due

The policy and the desk are those that real alerts come from. What one lead's log cannot tell is not lived through:
other people of its account at the same desk, alerts on the account itself, snoozes and repairs, that events arrive late
or were imported, and which identities were not yet known to be one person. An instant that is due is met to the
millisecond, where the schedule needs minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from leadscore.core.alert_desk import Desk, Request, RequestCause, desk_name, due, file, seal, sent
from leadscore.core.alerting import AlertDecision, AlertMemory, Standing, decide_alert, decide_hand_raise, standing_of
from leadscore.core.instants import DAY, Millis, from_datetime, parse_instant, to_datetime
from leadscore.core.scoring import Score, score_state
from leadscore.core.state import AccountState, State, advance, advance_account

if TYPE_CHECKING:
    from leadscore.core.ruleset import AlertPolicy, Ruleset
    from leadscore.core.state import Event

# Working hours come once a week at least.
_LONGEST_NIGHT: Millis = 8 * DAY
_LEAD = "lead"


class Told(NamedTuple):
    """That people would have been told of the lead: when, and whether because it had raised its hand."""

    at: Millis
    cause: RequestCause


def replay_alerts(
    ruleset: Ruleset,
    events: Iterable[Event],
    account_events: Iterable[Event],
    since: Millis,
    until: Millis,
    known: State | None = None,
) -> list[Told]:
    """Return what people would have been told of a lead after `since` and up to `until`, in the order of time.

    `events` are all of the lead's, each once, in any order; `account_events` those `group` events of others that tell
    of its accounts. What was before `since` is lived through too, for the cooldowns. `known` is what is known of the
    lead from before its events begin: of what is no later than that, nothing is told.
    """
    policy = ruleset.alerts
    if policy is None:
        return []
    # Accounts are written before their leads.
    story = sorted(
        (
            (parse_instant(str(event["timestamp"])), str(event["messageId"]), own, event)
            for own, some in ((True, events), (False, account_events))
            for event in some
        ),
        key=lambda one: one[:3],
    )
    heard = [(time, own, event) for time, _, own, event in story if time <= until]
    life = _Life(ruleset, policy, State.empty(ruleset) if known is None else known)
    if not heard or life.is_over(heard, since):
        return []
    for time, own, event in life.begin(heard):
        life.pass_time(time)
        life.hear(event, time, own=own)
    life.pass_time(until)
    return [told for told in life.told if told.at > since]


class _Life:
    """One lead as it is stored from step to step, and the desks at which its alerts wait.

    What cannot lead to an alert is left out: a lead that may alert and is below the tier has nothing to remember until
    it comes into the tier, or raises its hand.
    """

    def __init__(self, ruleset: Ruleset, policy: AlertPolicy, known: State) -> None:
        self.told: list[Told] = []
        self._ruleset = ruleset
        self._policy = policy
        self._state = known
        self._accounts: dict[str, AccountState] = {}
        self._memory = AlertMemory()
        self._tier: str | None = None
        self._due: Millis | None = None
        self._desks: dict[str, Desk] = {}
        self._requests = 0
        names = [tier.name for tier in ruleset.tiers]
        place = names.index(policy.tier)
        self._reached = frozenset(names[: place + 1])
        self._least = ruleset.tiers[place].from_ or 0.0
        # Whether time can raise a score.
        self._rises = any(one.points < 0 or (one.disqualify and one.event is not None) for one in ruleset.criteria)

    def is_over(self, heard: Sequence[tuple[Millis, bool, Event]], since: Millis) -> bool:
        """Return whether nothing can be told after `since`: the last event is long ago, and time alone tells nobody."""
        waits = self._policy.delay + self._policy.cooldown + self._policy.account_cooldown + _LONGEST_NIGHT
        newest = max(heard[-1][0], self._state.newest or 0)
        if newest + waits > since:
            return False
        if not self._rises:
            return True
        state = advance(self._state, [event for _, own, event in heard if own])
        told = [event for *_, event in heard if event.get("groupId") == state.account]
        account = advance_account(AccountState.empty(self._ruleset), told)
        return score_state(state, to_datetime(newest), account).ceiling < self._least

    def begin(self, heard: Sequence[tuple[Millis, bool, Event]]) -> Iterator[tuple[Millis, bool, Event]]:
        """Take in silently what is no later than what is known of the lead already, and yield the rest."""
        newest = self._state.newest
        for time, own, event in heard:
            if newest is None or time > newest:
                yield time, own, event
            else:
                self._state, _ = self._with(event, own=own)

    def hear(self, event: Event, at: Millis, *, own: bool) -> None:
        """Take in an event of the lead's own, or one that tells of an account."""
        after, told = self._with(event, own=own)
        if after is not self._state or (told and self._state.account == str(event.get("groupId"))):
            self._commit(after, at, account=told)

    def pass_time(self, until: Millis) -> None:
        """Let happen what is due up to an instant, each at its own."""
        while (at := self._next_due()) is not None and at <= until:
            if self._due is not None and self._due <= at:
                self._commit(self._state, at)
            self._release(at)

    def _with(self, event: Event, *, own: bool) -> tuple[State, bool]:
        """Return the lead's state with an event, and whether that told of an account, which is kept."""
        name = str(event.get("groupId"))
        known = self._accounts.get(name)
        if event["type"] == "group":
            self._accounts[name] = advance_account(known or AccountState.empty(self._ruleset), [event])
        return advance(self._state, [event]) if own else self._state, self._accounts.get(name) is not known

    def _next_due(self) -> Millis | None:
        desks = [due(self._policy, desk, 0) for desk in self._desks.values()]
        return min([when for when in (self._due, *desks) if when is not None], default=None)

    def _commit(self, after: State, at: Millis, *, account: bool = False) -> None:
        """Judge one step of the lead as `usecases.deciding` does: silent changes, a raised hand, what is new."""
        score = self._score(after, at)
        if not account and self._is_quiet(score):
            self._state, self._tier, self._due = after, score.tier, self._rise(score)
            return
        before = self._score(self._state, at)
        if self._tier is not None and self._tier != before.tier:
            self._judge(replace(standing_of(before), tier=self._tier), before, at)
        raised = score.raised
        if raised is not None:
            known = None if before.raised is None else before.raised.time
            standing = standing_of(score)
            decision = decide_hand_raise(self._policy, self._memory, known, raised.time, standing, at)
            self._take(decision, "hand_raise", standing_of(before), raised.name, at)
        self._judge(standing_of(before), score, at)
        self._state, self._tier = after, score.tier
        self._due = _next_change(score)
        self._release(at)

    def _is_quiet(self, score: Score) -> bool:
        """Return whether a step to `score` changes nothing that alerts depend on."""
        return (
            self._memory.armed
            and self._tier not in self._reached
            and score.tier not in self._reached
            and score.raised == self._state.raised
        )

    def _rise(self, score: Score) -> Millis | None:
        """Return when time alone may bring a quiet lead into the tier; None where it never does."""
        return _next_change(score) if self._rises and score.ceiling >= self._least else None

    def _judge(self, before: Standing, score: Score, at: Millis) -> None:
        after = standing_of(score)
        decision = decide_alert(self._policy, self._ruleset.tiers, self._memory, before, after, at)
        self._take(decision, "tier", before, None, at)

    def _take(
        self, decision: AlertDecision, cause: RequestCause, before: Standing, event: str | None, at: Millis
    ) -> None:
        self._memory = decision.memory
        if decision.outcome != "wanted":
            return
        self._requests += 1
        request = Request(str(self._requests), _LEAD, at, cause, event, before.tier, before.total, decision.reason)
        name = desk_name(_LEAD, self._state.account)
        self._desks[name] = file(self._policy, self._desks.get(name, Desk(name)), request, at)

    def _release(self, at: Millis) -> None:
        for name, desk in self._desks.items():
            standings = {_LEAD: standing_of(self._score(self._state, at))} if desk.waiting else {}
            judged, sealed, _ = seal(self._policy, self._ruleset.tiers, desk, standings, at)
            if sealed is not None:
                self.told += [Told(at, one.main.cause) for one in sealed.leads]
                judged = sent(self._policy, judged, sealed.id, at)
            self._desks[name] = judged

    def _score(self, state: State, at: Millis) -> Score:
        account = None if state.account is None else self._accounts.get(state.account)
        return score_state(state, to_datetime(at), account)


def _next_change(score: Score) -> Millis | None:
    changes = score.next_change_at
    return None if changes is None else from_datetime(changes)
