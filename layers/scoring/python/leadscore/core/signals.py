"""What machines get: the events on the bus, each a typed value whose content is decided here and nowhere else.

What is stored and what people are told may change; a signal's fields may only be added to within its version. The JSON
Schema of each is in `events/NAME.VERSION.schema.json` beside this package. All that are of a lead may contain personal
data.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypedDict

from leadscore.core.changes import AccountCause, AccountChange, Cause, Change, Person, Reason

if TYPE_CHECKING:
    from leadscore.core.nurturing import Outlook, Step
    from leadscore.core.scoring import Score

VERSION = 1
# Whatever people wrote into their profile, an event stays of a size that every target of a rule takes.
LONGEST_TEXT = 200
# The longest address that SMTP can deliver to: RFC 5321, 4.5.3.1.3.
LONGEST_EMAIL = 254


class Account(TypedDict):
    """A company; the name is empty where it is not known."""

    id: str
    name: str


class Rate(TypedDict):
    """A share of leads, with the interval that holds the truth 95 times in 100."""

    value: float
    low: float
    high: float


class Question(Reason):
    """A criterion that would count if traits of the lead that nobody knows were what it asks for."""

    traits: list[str]


@dataclass(frozen=True, slots=True)
class LeadTierChanged:
    """A lead is in another tier; `cause` says what made it so."""

    id: str
    at: str
    cause: Cause
    person: Person
    account_id: str | None
    revision: int
    tier: str
    previous_tier: str | None
    score: float
    previous_score: float
    groups: dict[str, float]
    reasons: list[Reason]
    ruleset: str


@dataclass(frozen=True, slots=True)
class LeadScoreChanged:
    """A lead's score is far enough from what was last announced of it, while its tier is the same."""

    id: str
    at: str
    cause: Cause
    person: Person
    account_id: str | None
    revision: int
    tier: str
    score: float
    previous_score: float
    groups: dict[str, float]
    reasons: list[Reason]
    ruleset: str


@dataclass(frozen=True, slots=True)
class LeadConverted:
    """A lead has reached the goal, with its score at that instant."""

    id: str
    at: str
    person: Person
    account_id: str | None
    revision: int
    tier: str
    score: float
    groups: dict[str, float]
    reasons: list[Reason]
    ruleset: str


@dataclass(frozen=True, slots=True)
class LeadImported:
    """An import of past events has changed a lead: how it stands now, which is no news to act on."""

    id: str
    at: str
    person: Person
    account_id: str | None
    revision: int
    tier: str
    score: float
    groups: dict[str, float]
    reasons: list[Reason]
    ruleset: str


@dataclass(frozen=True, slots=True)
class AccountTierChanged:
    """An account is in another tier; `people` is how many leads it has, `cause` what made it so."""

    id: str
    at: str
    cause: AccountCause
    account: Account
    people: int
    tier: str
    previous_tier: str | None
    score: float
    previous_score: float
    ruleset: str


@dataclass(frozen=True, slots=True)
class LeadNeedsNurturing:
    """A lead fits, has gone quiet, and is `points_missing` below `next_tier`.

    `next_best_actions` are the criteria that it could meet, the one that adds most first; `shortest_way` are the fewest
    of them that together reach that tier, None where none do.
    """

    id: str
    at: str
    person: Person
    account_id: str | None
    tier: str
    score: float
    fit: float
    last_seen: str | None
    next_tier: str
    points_missing: float
    next_best_actions: list[Reason]
    shortest_way: list[str] | None
    worth_asking: list[Question]
    ruleset: str


@dataclass(frozen=True, slots=True)
class TierRateMoved:
    """The newest leads of a tier convert at another rate than was usual for it; `leads` and `conversions` are theirs.

    Names no lead.
    """

    id: str
    at: str
    tier: str
    leads: int
    conversions: int
    rate: Rate
    previous_rate: Rate
    ruleset: str


Signal = (
    LeadTierChanged
    | LeadScoreChanged
    | LeadConverted
    | LeadImported
    | AccountTierChanged
    | LeadNeedsNurturing
    | TierRateMoved
)


def name_of(signal: Signal) -> str:
    """Return the name of a signal, which is its event's detail type."""
    return type(signal).__name__


def detail_text(signal: Signal) -> str:
    """Return the detail of a signal's event as JSON: its fields, led by `schema`, which names it and its version."""
    detail = {"schema": f"leadscore.{name_of(signal)}/{VERSION}", **asdict(signal)}
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"))


def signal_of(change: Change | AccountChange) -> Signal:
    """Return what machines get of a change; raises ValueError for what is for people alone."""
    return _of_account(change) if isinstance(change, AccountChange) else _of_lead(change)


def call_for_nurturing(
    *,
    id_: str,
    at: str,
    person: Person,
    account: str | None,
    last_seen: str | None,
    score: Score,
    outlook: Outlook,
) -> LeadNeedsNurturing:
    """Return what machines get of a lead that is to be nurtured."""
    return LeadNeedsNurturing(
        id=id_,
        at=at,
        person=_bounded(person),
        account_id=account,
        tier=score.tier,
        score=score.total,
        fit=score.groups["fit"],
        last_seen=last_seen,
        next_tier=outlook.next_tier,
        points_missing=outlook.missing,
        next_best_actions=[_reason(step) for step in outlook.actions],
        shortest_way=None if outlook.way is None else [step.criterion.id for step in outlook.way],
        worth_asking=[{**_reason(step), "traits": list(step.unknown)} for step in outlook.questions],
        ruleset=score.version,
    )


def _reason(step: Step) -> Reason:
    criterion = step.criterion
    return {"criterion": criterion.id, "label": criterion.label or criterion.id, "points": step.points}


def _of_account(change: AccountChange) -> AccountTierChanged:
    return AccountTierChanged(
        id=change.id,
        at=change.at,
        cause=change.cause,
        account={"id": change.account, "name": change.name[:LONGEST_TEXT]},
        people=change.people,
        tier=change.tier,
        previous_tier=change.previous_tier,
        score=change.score,
        previous_score=change.previous_score,
        ruleset=change.ruleset,
    )


def _of_lead(change: Change) -> Signal:
    person = _bounded(change.person)
    if change.cause == "import" or change.kind == "conversion":
        kind = LeadImported if change.cause == "import" else LeadConverted
        return kind(
            id=change.id,
            at=change.at,
            person=person,
            account_id=change.account,
            revision=change.revision,
            tier=change.tier,
            score=change.score,
            groups=change.groups,
            reasons=change.reasons,
            ruleset=change.ruleset,
        )
    if change.kind == "score":
        return LeadScoreChanged(
            id=change.id,
            at=change.at,
            cause=change.cause,
            person=person,
            account_id=change.account,
            revision=change.revision,
            tier=change.tier,
            score=change.score,
            previous_score=change.previous_score,
            groups=change.groups,
            reasons=change.reasons,
            ruleset=change.ruleset,
        )
    if change.kind != "tier":
        raise ValueError(f"a change of the kind {change.kind!r} is for people alone")
    return LeadTierChanged(
        id=change.id,
        at=change.at,
        cause=change.cause,
        person=person,
        account_id=change.account,
        revision=change.revision,
        tier=change.tier,
        previous_tier=change.previous_tier,
        score=change.score,
        previous_score=change.previous_score,
        groups=change.groups,
        reasons=change.reasons,
        ruleset=change.ruleset,
    )


def _bounded(person: Person) -> Person:
    """Return a person whose texts are of bounded length; an address that is too long to be one is left out."""
    email = person["email"]
    return {
        "id": person["id"],
        "name": person["name"][:LONGEST_TEXT],
        "email": email if len(email) <= LONGEST_EMAIL else "",
        "title": person["title"][:LONGEST_TEXT],
        "company": person["company"][:LONGEST_TEXT],
    }
