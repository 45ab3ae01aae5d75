"""Whether people are told: one pure decision per change of a lead's score, with its reason on every branch.

The memory is not a function of the set of events (people cannot be un-told), so it is kept beside the state, not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from leadscore.core.instants import Millis
from leadscore.core.ruleset import AlertPolicy, Tier


@dataclass(frozen=True, slots=True)
class AlertMemory:
    """What the policy remembers of a lead: whether it may fire again, and when it last fired."""

    armed: bool = True
    last_alert: Millis | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A lead's tier and total at one instant."""

    tier: str
    total: float


@dataclass(frozen=True, slots=True)
class AlertDecision:
    """`fires` says whether to alert; `reason` says why or why not, for the record."""

    fires: bool
    reason: str
    memory: AlertMemory


def decide_alert(
    policy: AlertPolicy | None,
    tiers: tuple[Tier, ...],
    memory: AlertMemory,
    before: Standing,
    after: Standing,
    at: Millis,
) -> AlertDecision:
    """Return whether going from `before` to `after` at `at` alerts, and the memory to keep."""
    if policy is None:
        return AlertDecision(fires=False, reason="no alert policy", memory=memory)
    memory = _rearm(policy, _rearm(policy, memory, before), after)
    if not _reaches(policy, tiers, after) or _reaches(policy, tiers, before):
        return AlertDecision(fires=False, reason=f"did not enter {policy.tier}", memory=memory)
    if not memory.armed:
        reason = f"has not been below {policy.rearm_below:g} since the last alert"
        return AlertDecision(fires=False, reason=reason, memory=memory)
    if memory.last_alert is not None and at - memory.last_alert < policy.cooldown:
        return AlertDecision(fires=False, reason="within the cooldown of the last alert", memory=memory)
    told = AlertMemory(armed=False, last_alert=at)
    return AlertDecision(fires=True, reason=f"entered {policy.tier}", memory=told)


def join_memories(memories: Iterable[AlertMemory]) -> AlertMemory:
    """Return what is remembered of a lead that several became one: what any of them must not do, it must not."""
    known = list(memories)
    alerts = [memory.last_alert for memory in known if memory.last_alert is not None]
    return AlertMemory(armed=all(memory.armed for memory in known), last_alert=max(alerts, default=None))


def _rearm(policy: AlertPolicy, memory: AlertMemory, standing: Standing) -> AlertMemory:
    return replace(memory, armed=True) if standing.total < policy.rearm_below else memory


def _reaches(policy: AlertPolicy, tiers: tuple[Tier, ...], standing: Standing) -> bool:
    """Whether the standing is in the policy's tier or a higher one; a disqualified lead is in none."""
    names = [tier.name for tier in tiers]
    return standing.tier in names[: names.index(policy.tier) + 1]
