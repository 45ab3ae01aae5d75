"""Words for telling what happened to a lead: dated events and rulesets of a few lines.

An instant is written `2026-03-01` or `2026-03-01 09:30`, in UTC. An event's message id is what happened and when.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from leadscore import Ruleset, Score, parse_ruleset, score_events

Event = dict[str, Any]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(number: float) -> timedelta:
    return timedelta(days=number)


MILLISECOND = timedelta(milliseconds=1)


def did(when: str, what: str, **properties: object) -> Event:
    return _event(when, what, type="track", event=what, properties=properties)


def visited(when: str, path: str) -> Event:
    return _event(when, path, type="page", name=path, properties={"path": path})


def said(when: str, **traits: object) -> Event:
    return _event(when, "identify", type="identify", traits=traits)


def joined(when: str, account: str, **traits: object) -> Event:
    return _event(when, f"join {account}", type="group", groupId=account, traits=traits)


def _event(when: str, what: str, **fields: object) -> Event:
    time = instant(when).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    return {"messageId": f"{what} {when}", "timestamp": time, "userId": "ann", **fields}


def rules(
    *criteria: str,
    tiers: str = "[{name: some, from: 1}, {name: none}]",
    groups: str = "{}",
    total: str = "{min: 0, max: 100}",
    goal: str = "{event: [Subscription Started]}",
    alerts: str | None = None,
) -> Ruleset:
    lines = [f"tiers: {tiers}", f"groups: {groups}", f"total: {total}", f"goal: {goal}", "criteria:"]
    if alerts is not None:
        lines.insert(0, f"alerts: {alerts}")
    return parse_ruleset("\n".join([*lines, *(f"  - {{{criterion}}}" for criterion in criteria)]))


def score(ruleset: Ruleset, events: list[Event], at: str) -> Score:
    return score_events(ruleset, events, instant(at))


def factor_points(of: Score) -> dict[str, float]:
    return {factor.criterion: factor.points for factor in of.factors}


def reasons(of: Score) -> dict[str, str]:
    return {missed.criterion: missed.reason for missed in of.missed}
