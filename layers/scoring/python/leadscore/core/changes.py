"""What is announced when a lead's tier changes or it converts: recorded with the lead in the same transaction.

The id is derived from the commit that made the change, so that a repeated announcement is recognised as one.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from leadscore.core.alerting import Outcome

# Why a tier changed: the lead's own events, an identity that moved, its account's traits, time, other criteria, or past
# events that were imported.
Cause = Literal["events", "identity", "account", "time", "ruleset", "import"]
# `fit` is a lead that had the alert policy's tier before it had the fit; it and `hand_raise` are for people alone.
ChangeKind = Literal["tier", "conversion", "score", "hand_raise", "fit"]


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

    `alert` says what is to become of an alert, and `alert_reason` why; `at` is the instant of the decision. `event` is
    the name of a hand-raise's event, `account` that of the lead's account. Of two changes of a lead the one with the
    higher `revision` is the later one.
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
    alert: Outcome
    alert_reason: str
    ruleset: str
    event: str | None = None
    account: str | None = None
    revision: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the change as plain JSON types."""
        return asdict(self)


# Why an account's tier changed: its people, time, or other criteria.
AccountCause = Literal["people", "time", "ruleset"]


@dataclass(frozen=True, slots=True)
class AccountChange:
    """One announcement that an account is in another tier, complete in itself and without personal data.

    `people` is how many leads the account has, `previous_score` its score when its rating was written before.
    `revision` orders the changes of one account, of which several may be of one instant. `alert` says what is to become
    of an alert, and `alert_reason` why.
    """

    id: str
    account: str
    name: str
    cause: AccountCause
    at: str
    people: int
    tier: str
    previous_tier: str
    score: float
    previous_score: float
    ruleset: str
    revision: int = 0
    alert: Outcome = "none"
    alert_reason: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the change as plain JSON types."""
        return asdict(self)


def change_id(lead: str, commit: int, step: str) -> str:
    """Return the id of a change that the `commit`-th write of `lead` makes: 24 hex digits, the same on every retry."""
    return hashlib.sha256(f"{lead}\n{commit}\n{step}".encode()).hexdigest()[:24]
