"""Whether a change of a lead asks for an alert: one pure decision per change, with its reason on every branch.

    the lead's change --decide_alert--> wanted ----> the desk of its account (alert_desk.py), which says when
                                    |--> suppressed   on record with its reason
                                    '--> none         nothing that an alert would be about

A change of an account is judged alike; what was told of its people, and when, only the desk knows.

The memory is not a function of the set of events (people cannot be un-told), so it is kept beside the state, not in it.
It remembers alerts by the instants at which they are planned to go out: in the next working hour after their delay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from leadscore.core.instants import HOUR, Millis
from leadscore.core.ruleset import DISQUALIFIED, AlertPolicy, Tier
from leadscore.core.working_hours import next_working

if TYPE_CHECKING:
    from leadscore.core.scoring import Score

Outcome = Literal["wanted", "suppressed", "none"]
NO_POLICY = "no alert policy"
# An account is rated moments after the person that made it hot, and even without cooldowns that is one story.
LEAST_SILENCE: Millis = HOUR
NOT_ON_ACCOUNTS = "no alerts on accounts"


@dataclass(frozen=True, slots=True)
class AlertMemory:
    """What the policy remembers of a lead.

    `armed` says whether entering the tier may alert. `last_alert` is when the last alert was planned for, and
    `last_raise` the last one on a hand-raise; `earlier_alert` is what `last_alert` was before, for the case that the
    lead leaves the tier before it goes out. `heard_raise` is the newest hand-raise that was judged.
    """

    armed: bool = True
    last_alert: Millis | None = None
    earlier_alert: Millis | None = None
    last_raise: Millis | None = None
    heard_raise: Millis | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a lead or an account stands at one instant, as far as alerts depend on it; `fit` is in points.

    `nobody` is an account of whose people none may be told of; its fit is the best among those who may.
    """

    tier: str
    total: float
    fit: float = 0.0
    converted: bool = False
    internal: bool = False
    nobody: bool = False


@dataclass(frozen=True, slots=True)
class AlertDecision:
    """What is to become of an alert, why, and what to remember."""

    outcome: Outcome
    reason: str
    memory: AlertMemory


def standing_of(score: Score) -> Standing:
    """Return how a lead with this score stands."""
    return Standing(
        score.tier, score.total, score.groups["fit"], converted=score.converted_at is not None, internal=score.internal
    )


def decide_alert(
    policy: AlertPolicy | None,
    tiers: tuple[Tier, ...],
    memory: AlertMemory,
    before: Standing,
    after: Standing,
    at: Millis,
) -> AlertDecision:
    """Return whether going from `before` to `after` at `at` asks for an alert, and the memory to keep.

    Asking are a lead that enters the tier, and one in the tier whose fit reaches what the policy demands.
    """
    if policy is None:
        return AlertDecision("none", NO_POLICY, memory)
    memory = _rearm(policy, _rearm(policy, memory, before), after)
    if _qualifies(policy, tiers, before) and not _qualifies(policy, tiers, after):
        memory = _take_back(policy, memory, at)
    if _would_enter(policy, tiers, before, after):
        return _judge_entry(policy, tiers, memory, after, at)
    if _qualifies(policy, tiers, after) and not _qualifies(policy, tiers, before):
        decision = _judge_entry(policy, tiers, memory, after, at)
        if decision.outcome == "wanted":
            return replace(decision, reason=f"is {policy.tier}, and fits by now")
    return AlertDecision("none", f"did not enter {policy.tier}", memory)


def decide_hand_raise(
    policy: AlertPolicy | None,
    memory: AlertMemory,
    before: Millis | None,
    raised: Millis | None,
    after: Standing,
    at: Millis,
) -> AlertDecision:
    """Return whether a hand that was last raised at `raised`, and at `before` as known before, asks for an alert.

    A hand-raise needs no tier, no fit and no delay. It alerts within the cooldown of other alerts, but not within that
    of one on a hand-raise.
    """
    if policy is None:
        return AlertDecision("none", NO_POLICY, memory)
    known = max((time for time in (before, memory.heard_raise) if time is not None), default=None)
    if raised is None or (known is not None and raised <= known):
        return AlertDecision("none", "did not raise its hand", memory)
    memory = replace(memory, heard_raise=raised)
    objection = find_objection(policy, after)
    if objection is not None:
        return AlertDecision("suppressed", objection, memory)
    planned = next_working(policy.hours, at)
    if _is_within(policy.cooldown, memory.last_raise, planned):
        return AlertDecision("suppressed", "within the cooldown of the last hand-raise", memory)
    told = replace(memory, last_alert=planned, earlier_alert=None, last_raise=planned)
    return AlertDecision("wanted", "raised its hand", told)


def decide_account_alert(
    policy: AlertPolicy | None,
    tiers: tuple[Tier, ...],
    memory: AlertMemory,
    before: Standing,
    after: Standing,
    at: Millis,
) -> AlertDecision:
    """Return whether an account that goes from `before` to `after` at `at` asks for an alert, and the memory to keep.

    Cooldown and fit are for its desk to judge, which knows what was told of its people, and who they are by then.
    """
    if policy is None or not policy.accounts:
        return AlertDecision("none", NO_POLICY if policy is None else NOT_ON_ACCOUNTS, memory)
    lone = policy._replace(cooldown=0, account_cooldown=0, min_fit=None)
    return decide_alert(lone, tiers, memory, before, after, at)


def rearm(policy: AlertPolicy | None, memory: AlertMemory, total: float) -> AlertMemory:
    """Return the memory of an account that scores `total`, and need not be in another tier for it."""
    return replace(memory, armed=True) if policy is not None and total < policy.rearm_below else memory


def account_silence(policy: AlertPolicy) -> Millis:
    """Return for how long after people were told of an account, or of one of its people, they hear of it no more."""
    return max(policy.account_cooldown or policy.cooldown, LEAST_SILENCE)


def hold_back(decision: AlertDecision, memory: AlertMemory, reason: str) -> AlertDecision:
    """Return a decision that tells nobody, for `reason`, and keeps `memory`; what was not wanted stays what it was."""
    if decision.outcome == "wanted":
        return AlertDecision("suppressed", reason, memory)
    return replace(decision, memory=memory)


def find_objection(policy: AlertPolicy, standing: Standing) -> str | None:
    """Return why nobody is to be told of a lead that stands so, whatever it does; None where nothing speaks against."""
    if standing.tier == DISQUALIFIED:
        return "is disqualified"
    if policy.suppress_converted and standing.converted:
        return "has converted"
    if standing.nobody:
        return "has nobody who may be told of"
    return "is internal" if standing.internal else None


def find_lack(policy: AlertPolicy, tiers: tuple[Tier, ...], standing: Standing) -> str | None:
    """Return what a lead that was in the tier lacks to be told of without a hand-raise: the tier, or the fit."""
    if not _reaches(policy, tiers, standing):
        return f"is no longer {policy.tier}"
    if policy.min_fit is not None and standing.fit < policy.min_fit:
        return f"has a fit of {standing.fit:g}, below {policy.min_fit:g}"
    return None


def join_memories(memories: Iterable[AlertMemory]) -> AlertMemory:
    """Return what is remembered of a lead that several became one: what any of them must not do, it must not."""
    known = list(memories)
    alerts = sorted(time for memory in known for time in (memory.last_alert, memory.earlier_alert) if time is not None)
    return AlertMemory(
        armed=all(memory.armed for memory in known),
        last_alert=alerts[-1] if alerts else None,
        earlier_alert=alerts[-2] if len(alerts) > 1 else None,
        last_raise=max((memory.last_raise for memory in known if memory.last_raise is not None), default=None),
        heard_raise=max((memory.heard_raise for memory in known if memory.heard_raise is not None), default=None),
    )


def _judge_entry(
    policy: AlertPolicy, tiers: tuple[Tier, ...], memory: AlertMemory, after: Standing, at: Millis
) -> AlertDecision:
    planned = next_working(policy.hours, at + policy.delay)
    reason = find_objection(policy, after) or find_lack(policy, tiers, after)
    if reason is None and _is_within(policy.cooldown, memory.last_alert, planned):
        reason = "within the cooldown of the last alert"
    if reason is None and not memory.armed:
        reason = f"has not been below {policy.rearm_below:g} since the last alert"
    if reason is not None:
        return AlertDecision("suppressed", reason, memory)
    told = replace(memory, armed=False, last_alert=planned, earlier_alert=memory.last_alert)
    return AlertDecision("wanted", f"entered {policy.tier}", told)


def _rearm(policy: AlertPolicy, memory: AlertMemory, standing: Standing) -> AlertMemory:
    return replace(memory, armed=True) if standing.total < policy.rearm_below else memory


def _take_back(policy: AlertPolicy, memory: AlertMemory, at: Millis) -> AlertMemory:
    """Return the memory without an alert that may be still to come: the lead is leaving, and nobody will be told.

    Should it enter again before the planned instant, the alert that waits is joined by another request for it. Its
    account may hold it for as long as its own cooldown; where it was told of nevertheless, the desk knows.
    """
    if memory.last_alert is None or memory.last_alert == memory.last_raise:
        return memory
    if at >= memory.last_alert + min(policy.account_cooldown, policy.cooldown):
        return memory
    return replace(memory, armed=True, last_alert=memory.earlier_alert, earlier_alert=None)


def _is_within(cooldown: Millis, last: Millis | None, planned: Millis) -> bool:
    return last is not None and planned - last < cooldown


def _qualifies(policy: AlertPolicy, tiers: tuple[Tier, ...], standing: Standing) -> bool:
    return find_lack(policy, tiers, standing) is None


def _would_enter(policy: AlertPolicy, tiers: tuple[Tier, ...], before: Standing, after: Standing) -> bool:
    """Whether the lead comes into the tier or a higher one; a disqualified one would where its score does."""
    if _reaches(policy, tiers, before):
        return False
    if after.tier != DISQUALIFIED:
        return _reaches(policy, tiers, after)
    from_ = next(tier.from_ for tier in tiers if tier.name == policy.tier)
    return before.tier != DISQUALIFIED and from_ is not None and after.total >= from_


def _reaches(policy: AlertPolicy, tiers: tuple[Tier, ...], standing: Standing) -> bool:
    """Whether the standing is in the policy's tier or a higher one; a disqualified lead is in none."""
    names = [tier.name for tier in tiers]
    return standing.tier in names[: names.index(policy.tier) + 1]
