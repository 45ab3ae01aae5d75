"""What is announced when a lead's tier changes or it converts: recorded with the lead in the same transaction.

The id is derived from the commit that made the change, so that a repeated announcement is recognised as one.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Literal, TypedDict

# Why a tier changed: the lead's own events, an identity that moved, its account's traits, time, or other criteria.
Cause = Literal["events", "identity", "account", "time", "ruleset"]
ChangeKind = Literal["tier", "conversion"]


class Reason(TypedDict):
    """One criterion that counts, with its points now."""

    criterion: str
    label: str
    points: float


class Person(TypedDict):
    """Who a lead is, as far as its traits say; absent values are empty. May contain personal data: do not log."""

    id: str
    name: str
    email: str
    title: str
    company: str


@dataclass(frozen=True, slots=True)
class Change:
    """One announcement, complete in itself: whoever delivers it needs neither the lead nor the ruleset.

    `alert` says whether people are told, and `alert_reason` why or why not; `at` is the instant of the decision.
    """

    id: str
    kind: ChangeKind
    cause: Cause
    at: str
    person: Person
    tier: str
    previous_tier: str | None
    score: float
    previous_score: float
    groups: dict[str, float]
    reasons: list[Reason]
    alert: bool
    alert_reason: str
    ruleset: str

    def to_dict(self) -> dict[str, object]:
        """Return the change as plain JSON types."""
        return asdict(self)


def change_id(lead: str, commit: int, step: str) -> str:
    """Return the id of a change that the `commit`-th write of `lead` makes: 24 hex digits, the same on every retry."""
    return hashlib.sha256(f"{lead}\n{commit}\n{step}".encode()).hexdigest()[:24]
