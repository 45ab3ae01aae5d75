"""The alert as it is published: one frozen value, complete in itself, and its form as JSON (version 1).

    {"schema": "leadscore.alert/1", "id", "kind", "at", "account", "leads": [...], "ruleset"}      alert.schema.json

Invariant: what `to_dict` writes, `from_dict` reads back as an equal value. A reader names the field that it cannot
read, and passes over fields that it does not know, as a newer writer of the same version may have added some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Literal, Self, cast

from leadscore.core.changes import Person
from leadscore.core.instants import parse_instant
from leadscore.core.p_convert import (
    CALIBRATION_STATUSES,
    NO_CALIBRATION,
    CalibrationNote,
    CalibrationSample,
    CalibrationStatus,
    PConvert,
)

ALERT_SCHEMA = "leadscore.alert/1"
# `follow_up` tells of further people of an account that was told of before.
# `account` tells of an account that entered the policy's tier, and of those of its people who made it do so.
AlertKind = Literal["alert", "follow_up", "account"]
# What a lead did to be told of: it entered the policy's tier, or asked to be called.
AlertCause = Literal["tier", "hand_raise"]
_KINDS = ("alert", "follow_up", "account")
_CAUSES = ("tier", "hand_raise")
_PERSON = ("id", "name", "email", "title", "company")


class UnreadableAlertError(ValueError):
    """A document is no alert of a known version; says which field is wrong and how, and never what is in it."""


@dataclass(frozen=True, slots=True)
class AlertReason:
    """One criterion that counts, with its points now; `last_at` is when it last happened, None for a trait."""

    criterion: str
    label: str
    points: float
    last_at: str | None = None


@dataclass(frozen=True, slots=True)
class AccountMove:
    """How an account stands that entered the policy's tier, and stood before; `people` is how many leads it has."""

    tier: str
    previous_tier: str
    score: float
    previous_score: float
    people: int


@dataclass(frozen=True, slots=True)
class AlertAccount:
    """The company of the leads; `name` may be empty. `move` is set where people are told of the account itself, too."""

    id: str
    name: str
    move: AccountMove | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertedLead:
    """One person to tell of. May contain personal data: do not log.

    `event` is the name of a hand-raise's event, `reason` why people are told, `at` the instant of the change, `links`
    addresses by what they lead to. `p_convert` is None where the alert's `calibration` is none to go by.
    """

    person: Person
    owner: str | None = None
    source: str | None = None
    cause: AlertCause = "tier"
    event: str | None = None
    tier: str
    previous_tier: str | None
    score: float
    previous_score: float
    groups: Mapping[str, float]
    p_convert: PConvert | None = None
    reasons: tuple[AlertReason, ...]
    reason: str
    at: str
    next_step: str
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message to people, of at least one lead, the highest score first.

    `id` is the same on every repeat. `more_leads` is how many people are told of beyond those that are listed.
    """

    id: str
    kind: AlertKind
    at: str
    leads: tuple[AlertedLead, ...]
    ruleset: str
    calibration: CalibrationNote = NO_CALIBRATION
    account: AlertAccount | None = None
    stage: str | None = None
    more_leads: int = 0

    @property
    def people(self) -> int:
        """How many people are told of."""
        return len(self.leads) + self.more_leads

    def to_dict(self) -> dict[str, object]:
        """Return the alert as plain JSON types; `stage` and `more_leads` are left out where they say nothing."""
        return {
            "schema": ALERT_SCHEMA,
            "id": self.id,
            "kind": self.kind,
            "at": self.at,
            **({} if self.stage is None else {"stage": self.stage}),
            "account": None if self.account is None else _account_dict(self.account),
            "leads": [_lead_dict(lead) for lead in self.leads],
            **({"more_leads": self.more_leads} if self.more_leads else {}),
            "ruleset": self.ruleset,
            "calibration": self.calibration.to_dict(),
        }

    @property
    def only(self) -> AlertedLead | None:
        """The lead that it is all about, None where it is about several or about an account."""
        return self.leads[0] if self.people == 1 and self.kind != "account" else None

    @property
    def account_move(self) -> AccountMove | None:
        """How the account stands that the alert is about, None where it is about leads alone or first of all."""
        return self.account.move if self.account is not None and self.kind == "account" else None

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Return the alert that a decoded JSON document is; raises UnreadableAlertError."""
        read = _Fields(document, "")
        schema = read.text("schema")
        if schema != ALERT_SCHEMA:
            raise UnreadableAlertError(f"schema: not {ALERT_SCHEMA}, the one that is known here")
        account = read.optional("account")
        leads = tuple(_read_lead(lead, f"leads[{place}]") for place, lead in enumerate(read.list("leads")))
        if not leads:
            raise UnreadableAlertError("leads: must not be empty")
        kind = cast(AlertKind, read.choice("kind", _KINDS))
        company = None if account is None else _read_account(account)
        if kind == "account" and (company is None or company.move is None):
            raise UnreadableAlertError("account.tier: is missing")
        return cls(
            id=read.text("id", empty=False),
            kind=kind,
            at=read.instant("at"),
            stage=read.optional_text("stage"),
            account=company,
            leads=leads,
            more_leads=read.count("more_leads"),
            ruleset=read.text("ruleset"),
            calibration=_read_calibration(read.optional("calibration")),
        )


def top_reasons(lead: AlertedLead) -> tuple[AlertReason, ...]:
    """Return the three reasons worth most, the most first; equal ones in their order."""
    return tuple(sorted(lead.reasons, key=lambda reason: -reason.points)[:3])


def suggest_next_step(person: Person, hand_raise: str | None, reasons: tuple[AlertReason, ...]) -> str:
    """Return one sentence that says what to do now; `hand_raise` is the name of the event by which a lead asked."""
    how = f"Write to {person['email']}" if person["email"] else f"Look up {person['name'] or person['id']}"
    if hand_raise is not None:
        return f"{how} at once: they asked for it ({hand_raise})."
    done = next((reason.label for reason in reasons if reason.last_at is not None), None)
    best = done or next((reason.label for reason in reasons), None)
    return f"{how} today." if best is None else f"{how} today, and begin with: {best}."


def _account_dict(account: AlertAccount) -> dict[str, object]:
    move = account.move
    return {"id": account.id, "name": account.name, **({} if move is None else asdict(move))}


def _lead_dict(lead: AlertedLead) -> dict[str, object]:
    return {
        "person": {name: lead.person[name] for name in _PERSON},  # type: ignore[literal-required]
        "owner": lead.owner,
        "source": lead.source,
        "cause": lead.cause,
        "event": lead.event,
        "tier": lead.tier,
        "previous_tier": lead.previous_tier,
        "score": lead.score,
        "previous_score": lead.previous_score,
        "groups": dict(lead.groups),
        "p_convert": None if lead.p_convert is None else lead.p_convert.to_dict(),
        "reasons": [
            {"criterion": one.criterion, "label": one.label, "points": one.points, "last_at": one.last_at}
            for one in lead.reasons
        ],
        "reason": lead.reason,
        "at": lead.at,
        "next_step": lead.next_step,
        "links": dict(lead.links),
    }


def _read_account(document: object) -> AlertAccount:
    read = _Fields(document, "account")
    move = None if read.optional("tier") is None else _read_move(read)
    return AlertAccount(read.text("id", empty=False), read.text("name"), move)


def _read_move(read: _Fields) -> AccountMove:
    return AccountMove(
        tier=read.text("tier", empty=False),
        previous_tier=read.text("previous_tier", empty=False),
        score=read.number("score"),
        previous_score=read.number("previous_score"),
        people=read.whole("people"),
    )


def _read_lead(document: object, path: str) -> AlertedLead:
    read = _Fields(document, path)
    person = _Fields(read.value("person"), f"{path}.person")
    return AlertedLead(
        person=cast(Person, {name: person.text(name) for name in _PERSON}),
        owner=read.optional_text("owner"),
        source=read.optional_text("source"),
        cause=cast(AlertCause, read.choice("cause", _CAUSES)),
        event=read.optional_text("event"),
        tier=read.text("tier", empty=False),
        previous_tier=read.optional_text("previous_tier"),
        score=read.number("score"),
        previous_score=read.number("previous_score"),
        groups=_Fields(read.value("groups"), f"{path}.groups").numbers(),
        p_convert=_read_p_convert(read.optional("p_convert"), f"{path}.p_convert"),
        reasons=tuple(_read_reason(one, f"{path}.reasons[{i}]") for i, one in enumerate(read.list("reasons"))),
        reason=read.text("reason"),
        at=read.instant("at"),
        next_step=read.text("next_step"),
        links=_Fields(read.value("links"), f"{path}.links").texts(),
    )


def _read_p_convert(document: object, path: str) -> PConvert | None:
    """Return None also where a writer did not know of it yet."""
    if document is None:
        return None
    read = _Fields(document, path)
    return PConvert(read.number("value"), read.number("low"), read.number("high"))


def _read_calibration(document: object) -> CalibrationNote:
    """Return that there is none also where a writer did not know of it yet."""
    if document is None:
        return NO_CALIBRATION
    read = _Fields(document, "calibration")
    status = cast(CalibrationStatus, read.choice("status", CALIBRATION_STATUSES))
    if status == "none":
        return NO_CALIBRATION
    sample = CalibrationSample(
        taken_at=read.instant("taken_at"),
        leads=read.whole("leads"),
        conversions=read.whole("conversions"),
        window_days=read.number("window_days"),
        ruleset=read.text("ruleset"),
    )
    return CalibrationNote(status, sample)


def _read_reason(document: object, path: str) -> AlertReason:
    read = _Fields(document, path)
    last_at = None if read.optional("last_at") is None else read.instant("last_at")
    return AlertReason(read.text("criterion"), read.text("label"), read.number("points"), last_at)


class _Fields:
    """One object of the document while it is read; every complaint names the field's path."""

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, Mapping):
            raise UnreadableAlertError(f"{path or 'the document'}: must be an object")
        self._document = cast(Mapping[str, object], document)
        self._path = path

    def value(self, name: str) -> object:
        if name not in self._document:
            raise self._complaint(name, "is missing")
        return self._document[name]

    def optional(self, name: str) -> object:
        return self._document.get(name)

    def text(self, name: str, *, empty: bool = True) -> str:
        value = self.value(name)
        if not isinstance(value, str) or not (value or empty):
            raise self._complaint(name, "must be a text" if empty else "must be a text that is not empty")
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self.optional(name) is None else self.text(name)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in choices:
            raise self._complaint(name, f"must be one of {', '.join(choices)}")
        return value

    def instant(self, name: str) -> str:
        value = self.text(name)
        try:
            parse_instant(value)
        except (ValueError, OverflowError):
            raise self._complaint(name, "must be an instant") from None
        return value

    def number(self, name: str) -> float:
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self._complaint(name, "must be a number")
        return value

    def count(self, name: str) -> int:
        return self.whole(name) if name in self._document else 0

    def whole(self, name: str) -> int:
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._complaint(name, "must be a whole number from 0 on")
        return value

    def list(self, name: str) -> list[object]:
        value = self.value(name)
        if not isinstance(value, list):
            raise self._complaint(name, "must be a list")
        return value

    def numbers(self) -> dict[str, float]:
        return {name: self.number(name) for name in self._document}

    def texts(self) -> dict[str, str]:
        return {name: self.text(name) for name in self._document}

    def _complaint(self, name: str, message: str) -> UnreadableAlertError:
        return UnreadableAlertError(f"{self._path}.{name}: {message}" if self._path else f"{name}: {message}")
